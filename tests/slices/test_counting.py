"""The counted log against a loop over the rows, and what must change nothing."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slices.counts import CountedLog
from slices.log import count_log
from slices.roles import Attribute, Decision, LogSpec
from slices.slicing import OVERALL, Slice
from tests.slices import counting_oracle as oracle

ATTRIBUTES = ["site", "sex", "age"]
COLUMNS = ["label", "prediction", "base", "cluster", *ATTRIBUTES]


def text(*values: str) -> st.SearchStrategy[str | None]:
    return st.sampled_from([*values, None, ""])


ROW = st.fixed_dictionaries(
    {
        "label": text("0", "1"),
        "prediction": text("0", "1"),
        "base": text("0", "1"),
        "cluster": text("a", "b", "c", "d"),
        "site": text("x", "y", "Ω", "z z"),
        "sex": text("F", "M"),
        "age": text("NA", "0.00"),
    }
)
LOGS = st.lists(ROW, min_size=1, max_size=40).map(
    lambda rows: [*rows, dict.fromkeys(COLUMNS, "1"), {**dict.fromkeys(COLUMNS, "1"), "label": "0"}]
)
QUICK = settings(max_examples=40)


def write(rows: list[oracle.Row], path: Path, group: int = 7) -> None:
    columns = {name: pa.array([row[name] for row in rows], pa.string()) for name in COLUMNS}
    pq.write_table(pa.table(columns), path, row_group_size=group)


def spec(folder: Path, path: str = "log.parquet", **roles: object) -> LogSpec:
    attributes = tuple(Attribute(name, "other", name) for name in ATTRIBUTES)
    made = LogSpec(path, folder, "label", Decision(prediction="prediction"), attributes, positive="1")
    return replace(made, **roles)  # type: ignore[arg-type]


def plain(counted: CountedLog) -> object:
    """Everything of a counted log that can be compared, but the input files."""
    slices = [
        (
            s.slice.key,
            s.inside.tolist(),
            s.outside.tolist(),
            s.failed.tolist(),
            s.unlabelled,
            s.n,
            s.clusters,
            None if s.paired is None else (s.paired.inside.tolist(), s.paired.outside.tolist()),
            None if s.weighted is None else [getattr(s.weighted, f).tolist() for f in s.weighted.__slots__],
            None
            if counted.patterns is None
            else [
                a.tolist() for a in (counted.patterns(s.slice).totals, counted.patterns(s.slice).multiplicity)
            ],
        )
        for s in counted.slices
    ]
    rest = (counted.attributes, counted.exclusions, counted.small, counted.rows, counted.rows_used)
    return slices, rest, counted.clusters, counted.unclustered


@QUICK
@given(rows=LOGS)
def test_counts_equal_a_loop_over_the_rows(
    rows: list[oracle.Row], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("log")
    write(rows, folder / "log.parquet")
    counted = count_log(spec(folder, cluster="cluster"), intersections=3, minimum=1)
    keys = oracle.slices_of(rows, ATTRIBUTES, 3)
    assert [s.slice.values for s in counted.slices] == sorted(
        keys, key=lambda k: (len(k), json.dumps(dict(k), ensure_ascii=False, sort_keys=True))
    )
    for one in counted.slices:
        inside = [r for r in rows if oracle.in_slice(r, one.slice.values)]
        outside = [r for r in rows if oracle.in_complement(r, one.slice.values)]
        assert one.inside.tolist() == [oracle.counts(inside)]
        assert one.outside.tolist() == [oracle.counts(outside)]
        assert one.n == sum(map(oracle.is_counted, inside))
        assert one.unlabelled == sum(oracle.present(r, "label") is None for r in inside)
        failed = [
            r["label"] for r in inside if oracle.present(r, "label") and not oracle.present(r, "prediction")
        ]
        assert one.failed.tolist() == [[failed.count("1"), failed.count("0")]]
        vectors = oracle.cluster_vectors(rows, one.slice.values)
        assert counted.patterns is not None
        found = counted.patterns(one.slice)
        spread = np.repeat(found.totals.reshape(len(found.totals), 8), found.multiplicity, axis=0)
        assert sorted(map(tuple, spread.tolist())) == vectors
        named = {oracle.present(r, "cluster") for r in inside if oracle.is_counted(r)} - {None}
        alone = [r for r in inside if oracle.is_counted(r) and oracle.present(r, "cluster") is None]
        assert one.clusters == len(named) + len(alone)
    assert counted.rows == len(rows)
    assert counted.rows_used == sum(map(oracle.is_counted, rows))
    assert counted.unclustered == sum(
        oracle.is_counted(r) and oracle.present(r, "cluster") is None for r in rows
    )


@QUICK
@given(rows=LOGS, seed=st.integers(0, 9), group=st.integers(1, 50), threads=st.integers(1, 4))
def test_order_parts_and_threads_change_nothing(
    rows: list[oracle.Row], seed: int, group: int, threads: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("log")
    write(rows, folder / "log.parquet", group=10_000)
    other = random.Random(seed).sample(rows, len(rows))
    (folder / "parts").mkdir()
    cut = len(other) // 3
    write(other[cut:], folder / "parts" / "a.parquet", group)
    write(other[:cut] or other[:1], folder / "parts" / "b.parquet", group)
    if not cut:
        return
    roles = {"cluster": "cluster", "baseline": Decision(prediction="base")}
    one = count_log(spec(folder, **roles), intersections=2, minimum=2, threads=1)
    two = count_log(spec(folder, "parts", **roles), intersections=2, minimum=2, threads=threads)
    assert plain(one) == plain(two)


@QUICK
@given(rows=LOGS)
def test_baseline_pairs_equal_a_loop(
    rows: list[oracle.Row], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("log")
    write(rows, folder / "log.parquet")
    counted = count_log(spec(folder, baseline=Decision(prediction="base")), intersections=2, minimum=1)
    for one in counted.slices:
        for side, paired in ((oracle.in_slice, "inside"), (oracle.in_complement, "outside")):
            expected = np.zeros((1, 2, 2, 2), int)
            for row in rows:
                if side(row, one.slice.values) and oracle.is_counted(row) and oracle.present(row, "base"):
                    expected[
                        0, int(row["label"] == "1"), int(row["prediction"] == "1"), int(row["base"] == "1")
                    ] += 1
            assert getattr(one.paired, paired).tolist() == expected.tolist()


@QUICK
@given(rows=LOGS)
def test_tables_of_two_parts_add_to_the_table_of_the_whole(
    rows: list[oracle.Row], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("log")
    half = [*rows, *rows[-2:]]
    write(rows, folder / "a.parquet")
    write(half, folder / "b.parquet")
    whole = count_log(spec(folder, "*.parquet"), intersections=2, minimum=1)
    parts = [count_log(spec(folder, f"{name}.parquet"), intersections=2, minimum=1) for name in "ab"]
    for names in (("sex",), ("site",), ("age", "site")):
        added: dict[tuple[int, ...], int] = {}
        for counted in (*parts,):
            assert counted.joint is not None
            table = counted.joint(names)
            for codes, outcome, n in zip(
                table.codes.tolist(), table.outcome.tolist(), table.n.tolist(), strict=True
            ):
                added[(*codes, outcome)] = added.get((*codes, outcome), 0) + n
        assert whole.joint is not None
        table = whole.joint(names)
        cells = zip(table.codes.tolist(), table.outcome.tolist(), table.n.tolist(), strict=True)
        assert {(*codes, outcome): n for codes, outcome, n in cells} == added


def test_slices_below_the_minimum_are_listed_and_their_crossings_are_not_formed(tmp_path: Path) -> None:
    row = dict.fromkeys(COLUMNS, "1")
    rows = [{**row, "sex": "F"}] * 5 + [{**row, "sex": "M", "label": "0"}] * 5 + [{**row, "sex": "X"}] * 2
    rows[0] = {**rows[0], "site": "far"}
    write(rows, tmp_path / "log.parquet")
    counted = count_log(spec(tmp_path), intersections=2, minimum=3)
    assert [(e.slice.as_dict(), e.rows) for e in counted.small] == [({"sex": "X"}, 2), ({"site": "far"}, 1)]
    assert {"age": "1", "sex": "F"} in [s.slice.as_dict() for s in counted.slices]
    assert not any(value in ("X", "far") for s in counted.slices for _, value in s.slice.values)


def test_patterns_against_a_named_slice(tmp_path: Path) -> None:
    row = dict.fromkeys(COLUMNS, "1")
    rows = [
        {**row, "cluster": "a", "sex": "F"},
        {**row, "cluster": "a", "sex": "M", "label": "0"},
        {**row, "cluster": "b", "sex": "X"},
    ]
    write(rows, tmp_path / "log.parquet")
    counted = count_log(spec(tmp_path, cluster="cluster"), intersections=1, minimum=1)
    assert counted.patterns is not None
    found = counted.patterns(Slice((("sex", "F"),)), Slice((("sex", "M"),)))
    order = np.argsort(found.totals.sum((1, 2, 3)))
    assert found.totals[order, :, 0].tolist() == [[[0, 0, 0, 0]] * 2, [[1, 0, 0, 0], [0, 1, 0, 0]]]
    assert found.multiplicity.tolist() == [1, 1]
    assert counted.patterns(OVERALL).totals[:, 1].sum() == 0
