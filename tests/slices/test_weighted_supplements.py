"""Weights in impact ratios and in bounds for missing values: equal weights are none, unequal ones by hand."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from slices.counts import CountedLog
from slices.log import count_log
from slices.roles import Attribute, Decision, LogSpec
from slices.supplements.composed import impact_tables, missing_bounds
from slices.supplements.impact import Rate

BOTH: tuple[Rate, ...] = ("selection_rate", "scoring_rate")


def rows_of() -> list[dict[str, object]]:
    rng = np.random.default_rng(6)
    return [
        {
            "sex": ("f", "m", "x", "")[rng.choice(4, p=[0.4, 0.4, 0.1, 0.1])],
            "label": int(rng.random() < 0.5),
            "score": round(float(rng.random()), 3),
            "patient": f"p{rng.integers(120)}",
            "w": round(float(rng.uniform(0.3, 4)), 2),
            "same": 3.5,
        }
        for _ in range(400)
    ]


def counted(folder: Path, rows: list[dict[str, object]], **roles: object) -> CountedLog:
    with (folder / "log.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    spec = LogSpec(
        "log.csv",
        folder,
        label="label",
        decision=Decision(score="score", threshold=0.6, tie=">="),
        positive="1",
        attributes=(Attribute("sex", "demographic", "sex"),),
        **roles,  # type: ignore[arg-type]
    )
    return count_log(spec, intersections=1, minimum=1, keep_scores=True)


@pytest.mark.parametrize("cluster", [{}, {"cluster": "patient"}])
def test_equal_weights_change_no_ratio_and_hardly_a_limit(tmp_path: Path, cluster: dict[str, str]) -> None:
    rows = rows_of()
    logs = [counted(tmp_path, rows, **cluster, **more) for more in ({}, {"weight": "same"})]
    plain, weighted = (
        [
            row
            for one in impact_tables(log, [("sex",)], rates=("selection_rate", "scoring_rate"))
            for row in one.table.rows
        ]
        for log in logs
    )
    assert len(plain) == 6
    for one, other in zip(plain, weighted, strict=True):
        assert (one.category, one.number, one.selected, one.printed) == (
            other.category,
            other.number,
            other.selected,
            other.printed,
        )
        assert other.ratio == pytest.approx(one.ratio)
        if one.low is not None:
            assert [other.low, other.high] == pytest.approx([one.low, one.high], rel=0.05)


def test_weighted_rates_and_median_by_hand(tmp_path: Path) -> None:
    rows = rows_of()
    selection, scoring = impact_tables(counted(tmp_path, rows, weight="w"), [("sex",)], rates=BOTH)
    repeated = np.repeat(
        [float(row["score"]) for row in rows],
        [round(100 * float(row["w"])) for row in rows],  # type: ignore[arg-type]
    )
    assert scoring.median == pytest.approx(np.median(repeated), abs=1e-3)
    for table, cut in ((selection.table, lambda s: s >= 0.6), (scoring.table, lambda s: s > scoring.median)):
        rates = {}
        for sex in "fmx":
            here = [row for row in rows if row["sex"] == sex]
            weight = np.array([row["w"] for row in here], dtype=float)
            hit = np.array([cut(row["score"]) for row in here])
            rates[sex] = weight @ hit / weight.sum()
        for row in table.rows:
            assert row.rate == pytest.approx(rates[row.category[0]])
            assert row.ratio == pytest.approx(row.rate / max(rates.values()))


@pytest.mark.parametrize("cluster", [{}, {"cluster": "patient"}])
def test_bounds_of_weighted_missing_rows(tmp_path: Path, cluster: dict[str, str]) -> None:
    rows = rows_of()
    logs = [counted(tmp_path, rows, **cluster, **more) for more in ({}, {"weight": "same"}, {"weight": "w"})]
    plain, same, weighted = (
        {(b.slice, b.metric): b for b in missing_bounds(log, ("recall",))} for log in logs
    )
    for key, bound in plain.items():
        for quantity in ("value", "difference", "ratio"):
            one, other = getattr(bound, quantity), getattr(same[key], quantity)
            assert [other.lowest, other.highest] == pytest.approx([one.lowest, one.highest])
            assert [other.low, other.high] == pytest.approx([one.low, one.high], rel=0.05, abs=0.04)
        assert same[key].rows == weighted[key].rows == bound.rows
        sex = key[0].values[0][1]

        def mass(group: str, called: bool, which: list[dict[str, object]] = rows) -> float:
            chosen = [r for r in which if r["sex"] == group and r["label"] == 1]
            return sum(float(r["w"]) for r in chosen if (float(r["score"]) >= 0.6) == called)  # type: ignore[arg-type]

        hits, misses = mass(str(sex), True), mass(str(sex), False)
        found = weighted[key].value
        assert found.lowest == pytest.approx(hits / (hits + misses + mass("", False)))
        assert found.highest == pytest.approx((hits + mass("", True)) / (hits + misses + mass("", True)))
        assert found.low is not None
        assert found.lowest is not None
        assert found.low < found.lowest
