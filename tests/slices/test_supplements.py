"""Supplements from a log on disk, against the statistic of each module called by hand."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from slices.analysis import analyse
from slices.counts import CountedLog
from slices.log import count_log
from slices.metrics import METRICS
from slices.missingness import worst_case_difference, worst_case_value
from slices.paired import paired_difference
from slices.roles import Attribute, Decision, LogSpec
from slices.supplements import PAIRED_CLUSTERS, changes, impact_tables, missing_bounds, worst_gaps
from slices.worst_gap import worst_gap

# (sex, site, label, prediction, baseline): rows of each kind.
ROWS = {
    ("f", "n", 1, 1, 1): 40,
    ("f", "n", 1, 0, 1): 9,
    ("f", "s", 0, 1, 0): 5,
    ("f", "s", 0, 0, 0): 50,
    ("m", "n", 1, 1, 1): 60,
    ("m", "s", 1, 0, 0): 4,
    ("m", "s", 0, 1, 1): 12,
    ("m", "n", 0, 0, 1): 44,
    ("x", "n", 1, 1, 0): 10,
    ("", "n", 1, 1, 1): 6,
    ("", "s", 1, 0, 1): 3,
    ("", "n", 0, 0, 0): 2,
}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> CountedLog:
    folder: Path = tmp_path_factory.mktemp("log")
    with (folder / "log.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["sex", "site", "label", "prediction", "base"])
        for row, times in ROWS.items():
            writer.writerows([row] * times)
    spec = LogSpec(
        path="log.csv",
        root=folder,
        label="label",
        decision=Decision(prediction="prediction"),
        baseline=Decision(prediction="base"),
        positive="1",
        attributes=(Attribute("sex", "demographic", "sex"), Attribute("site", "acquisition", "site")),
    )
    return count_log(spec, intersections=2, minimum=1, progress=lambda what, done, total: None)


def rows(**wanted: object) -> np.ndarray:
    """tp, fp, fn, tn of the rows that have these values."""
    names = ("sex", "site", "label", "prediction", "base")
    table = np.zeros(4, dtype=np.int64)
    for row, times in ROWS.items():
        named = dict(zip(names, row, strict=True))
        if all(named[name] == value for name, value in wanted.items()):
            table[{(1, 1): 0, (0, 1): 1, (1, 0): 2, (0, 0): 3}[row[2], row[3]]] += times
    return table


def test_worst_gap_of_each_attribute(log: CountedLog) -> None:
    analysis = analyse(log, metrics=("recall", "f1"), resamples=200)
    found = {gap.attribute: gap for gap in worst_gaps(analysis.slices, ("recall", "f1"))}
    assert set(found) == {"sex", "site"}
    expected = worst_gap(np.array([40 / 49, 60 / 64, 1.0]), np.array([49.0, 64.0, 10.0]))
    assert found["sex"].gap == expected
    assert (found["sex"].highest, found["sex"].lowest) == ("x", "f")


def test_missing_bounds_use_the_rows_without_a_value(log: CountedLog) -> None:
    found = {(b.slice.values[0], b.metric): b for b in missing_bounds(log, ("recall", "fpr", "mcc"))}
    assert {value for (_, value), _ in found} == {"f", "m", "x"}
    one = found[("sex", "f"), "recall"]
    inside, missing = rows(sex="f"), rows(sex="")
    outside = rows(sex="m") + rows(sex="x")
    assert one.rows == 11
    assert one.value == worst_case_value(METRICS["recall"], inside, missing)
    assert one.difference == worst_case_difference(METRICS["recall"], inside, outside, missing)
    assert one.value.lowest == pytest.approx(40 / 52)


def test_changes_of_every_slice(log: CountedLog) -> None:
    found = {(c.slice.key, c.metric): c.difference for c in changes(log, ("recall", "prevalence", "fpr"))}
    joint = np.zeros((2, 2, 2), dtype=np.int64)
    for (sex, _, label, prediction, base), times in ROWS.items():
        if sex == "f":
            joint[label, prediction, base] += times
    assert found['{"sex": "f"}', "recall"] == paired_difference(METRICS["recall"], joint)
    assert found['{"sex": "f"}', "recall"].change == "worse"
    assert not any(metric == "prevalence" for _, metric in found)


def test_changes_in_a_log_with_clusters_have_no_limits(log: CountedLog) -> None:
    for change in changes(replace(log, clusters=12), ("recall",)):
        if change.difference.value is not None:
            assert change.difference.low is None
            assert change.difference.undefined == PAIRED_CLUSTERS


def test_impact_tables_one_way_and_crossed(log: CountedLog) -> None:
    found = {
        table.attributes: table.table for table in impact_tables(log, [("sex",), ("site", "sex"), ("age",)])
    }
    assert set(found) == {("sex",), ("sex", "site")}
    sex = {row.category: row for row in found["sex",].rows}
    assert {name: (row.number, row.selected) for name, row in sex.items()} == {
        ("f",): (104, 45),
        ("m",): (120, 72),
        ("x",): (10, 10),
    }
    assert found["sex",].unknown == 11
    assert found["sex",].highest == ("x",)
    crossed = {row.category: row.number for row in found["sex", "site"].rows}
    assert crossed["m", "n"] == 104
    assert found["sex", "site"].unknown == 11
