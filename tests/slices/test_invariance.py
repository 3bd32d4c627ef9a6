"""What changes no figure: the order of rows, the parts of a log, threads; a name changes only the draws."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from slices.analysis import Analysis, analyse
from slices.log import count_log
from slices.records import Tested as Asked
from slices.roles import Attribute, Decision, LogSpec
from slices.slicing import Slice

METRICS = ("recall", "precision", "f1", "mcc", "auroc", "auprc", "brier", "ece")
COLUMNS = ("label", "score", "group", "site", "patient", "w")
Row = tuple[str, float, str, str, str, float]
ROLES: dict[str, dict[str, str]] = {
    "rows": {},
    "patients": {"cluster": "patient"},
    "weights": {"weight": "w"},
    "patients and weights": {"cluster": "patient", "weight": "w"},
}


def rows_of(number: int = 1500) -> list[Row]:
    rng = np.random.default_rng(21)
    found: list[Row] = []
    for k in range(number):
        label = int(rng.random() < 0.45)
        score = round(float(1 / (1 + np.exp(-rng.normal() - 1.5 * label + 0.7))), 3)
        group, site = "abc"[int(rng.choice(3, p=[0.7, 0.2, 0.1]))], "xy"[int(rng.random() < 0.3)]
        found.append((str(label), score, group, site, f"p{k // 3}", round(float(rng.lognormal()), 3)))
    return found


def spec(folder: Path, path: str, **roles: str) -> LogSpec:
    return LogSpec(
        path=path,
        root=folder,
        label="label",
        decision=Decision(score="score", threshold=0.5, tie=">="),
        positive="1",
        attributes=(Attribute("group", "other", "group"), Attribute("site", "other", "site")),
        **roles,  # type: ignore[arg-type]
    )


def analysed(folder: Path, path: str, *, threads: int, resamples: int = 2000, **roles: str) -> Analysis:
    counted = count_log(
        spec(folder, path, **roles), intersections=2, minimum=1, threads=threads, keep_scores=True
    )
    tested = tuple(
        Asked(item.slice, None, metric, "value", None)
        for item in counted.slices
        if item.slice.order == 1
        for metric in ("recall", "auroc")
    )
    return analyse(counted, metrics=METRICS, tested=tested, resamples=resamples, seed=3, threads=threads)


def write_parquet(folder: Path, name: str, rows: list[Row], group: int) -> None:
    columns = dict(zip(COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
    pq.write_table(pa.table(columns), folder / name, row_group_size=group)


@pytest.mark.parametrize("unit", ROLES)
def test_order_parts_formats_and_threads_change_no_figure(unit: str, tmp_path: Path) -> None:
    """One file read by one thread, and the shuffled rows in three files of small row groups by four."""
    rows = rows_of()
    with (tmp_path / "log.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    one = analysed(tmp_path, "log.csv", threads=1, **ROLES[unit])
    (tmp_path / "parts").mkdir()
    random.Random(5).shuffle(rows)
    for number, (start, end) in enumerate(((0, 100), (100, 900), (900, 1500))):
        write_parquet(tmp_path / "parts", f"{2 - number}.parquet", rows[start:end], group=170)
    other = analysed(tmp_path, "parts", threads=4, **ROLES[unit])
    # Every record, by its own text: no digit may differ.
    assert list(map(repr, one.overall + one.slices)) == list(map(repr, other.overall + other.slices))
    assert one == other


NAMES = {"a": "zebra", "b": "ant", "c": "Mole & Sons"}


def renamed(slice_: Slice) -> Slice:
    return Slice(
        tuple((name, NAMES[str(value)] if name == "group" else value) for name, value in slice_.values)
    )


@pytest.mark.parametrize("unit", ROLES)
def test_renaming_a_group_changes_names_and_monte_carlo_noise_only(unit: str, tmp_path: Path) -> None:
    """The new names sort otherwise. Closed-form figures are the same, drawn ones but for their draws."""
    rows = rows_of()
    write_parquet(tmp_path, "a.parquet", rows, 10_000)
    write_parquet(tmp_path, "b.parquet", [(*row[:2], NAMES[row[2]], *row[3:]) for row in rows], 10_000)
    one, two = (
        analysed(tmp_path, name, threads=2, resamples=20_000, **ROLES[unit])
        for name in ("a.parquet", "b.parquet")
    )
    # The joint level is drawn too, where its quantities are correlated.
    assert one.family == two.family
    assert 1 - two.level == pytest.approx(1 - one.level, rel=0.02)
    found = {record.slice: record for record in two.overall + two.slices}
    drawn = 0
    for before in one.overall + one.slices:
        after = found[renamed(before.slice)]
        assert (before.n, before.counts, before.clusters) == (after.n, after.counts, after.clusters)
        for left, right in zip(before.estimates, after.estimates, strict=True):
            assert (left.metric, left.method, left.support) == (right.metric, right.method, right.support)
            near = 4e-3 if "bootstrap" in left.method else 1e-9
            drawn += "bootstrap" in left.method
            for end in ("value", "low", "high"):
                first, second = getattr(left, end), getattr(right, end)
                assert second == (None if first is None else pytest.approx(first, abs=near)), left
        for gap, same in zip(before.disparities, after.disparities, strict=True):
            assert (gap.metric, gap.against, gap.method) == (same.metric, same.against, same.method)
            near = 8e-3 if "bootstrap" in gap.method else 1e-9
            for end in ("value", "low", "high"):
                first, second = getattr(gap.difference, end), getattr(same.difference, end)
                assert second == (None if first is None else pytest.approx(first, abs=near)), gap
        for joint, same_joint in zip(before.simultaneous, after.simultaneous, strict=True):
            assert same_joint.low == pytest.approx(joint.low, abs=2e-4)
    # Some figures were drawn, where rows are the unit: the comparison is no empty one.
    assert (drawn > 0) == (unit == "rows")
