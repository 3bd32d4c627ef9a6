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
from slices.roles import Attribute, Decision, LogSpec
from slices.slicing import OVERALL
from slices.supplements.composed import changes, impact_tables, missing_bounds, worst_gaps
from slices.supplements.missingness import (
    WorstCase,
    worst_case_difference,
    worst_case_ratio,
    worst_case_value,
)
from slices.supplements.paired import paired_difference
from slices.supplements.worst_gap import worst_gap

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


def written(folder: Path, header: list[str], lines: list[tuple[object, ...]], **roles: object) -> CountedLog:
    """A log of label, prediction and other columns, counted one way by sex."""
    with (folder / "log.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(lines)
    spec = LogSpec(
        path="log.csv",
        root=folder,
        label="label",
        decision=Decision(prediction="prediction"),
        attributes=(Attribute("sex", "demographic", "sex"),),
        **roles,  # type: ignore[arg-type]
    )
    return count_log(spec, intersections=1, minimum=1, progress=lambda what, done, total: None)


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
    every = worst_gaps(analysis.slices, ("recall", "f1"))
    found = {gap.attribute: gap for gap in every if gap.metric == "recall"}
    assert set(found) == {"sex", "site"}
    expected = worst_gap(np.array([40 / 49, 60 / 64, 1.0]), np.array([49.0, 64.0, 10.0]))
    assert found["sex"].gap == expected
    assert (found["sex"].highest, found["sex"].lowest) == ("x", "f")
    f1 = next(gap for gap in every if (gap.attribute, gap.metric) == ("sex", "f1"))
    assert f1.gap.value == pytest.approx(np.ptp([METRICS["f1"].of(rows(sex=v)) for v in "fmx"]))
    assert f1.gap.low is not None
    assert f1.gap.low <= f1.gap.value < f1.gap.high


def test_missing_bounds_use_the_rows_without_a_value(log: CountedLog) -> None:
    found = {(b.slice.values[0], b.metric): b for b in missing_bounds(log, ("recall", "fpr", "mcc"))}
    assert {value for (_, value), _ in found} == {"f", "m", "x"}
    one = found[("sex", "f"), "recall"]
    inside, missing = rows(sex="f"), rows(sex="")
    outside = rows(sex="m") + rows(sex="x")
    assert one.rows == 11
    assert one.value == worst_case_value(METRICS["recall"], inside, missing)
    assert one.difference == worst_case_difference(METRICS["recall"], inside, outside, missing)
    assert one.ratio == worst_case_ratio(METRICS["recall"], inside, outside, missing)
    assert one.value.lowest == pytest.approx(40 / 52)
    # All 3 missed rows in the slice, all 6 found ones outside it: 40 of 52 against 76 of 80.
    assert one.ratio.lowest == pytest.approx((40 / 52) / (76 / 80))


def test_changes_of_every_slice(log: CountedLog) -> None:
    found = {(c.slice.key, c.metric): c.difference for c in changes(log, ("recall", "prevalence", "fpr"))}
    joint = np.zeros((2, 2, 2), dtype=np.int64)
    for (sex, _, label, prediction, base), times in ROWS.items():
        if sex == "f":
            joint[label, prediction, base] += times
    assert found['{"sex": "f"}', "recall"] == paired_difference(METRICS["recall"], joint)
    assert found['{"sex": "f"}', "recall"].change == "worse"
    assert not any(metric == "prevalence" for _, metric in found)


@pytest.mark.parametrize("roles", [{"positive": "1"}, {}])
def test_rows_without_a_baseline_prediction_are_counted(tmp_path: Path, roles: dict[str, str]) -> None:
    """200 of 600 rows have none; 5 more have no prediction at all, and that is another reason."""
    lines: list[tuple[object, ...]] = [
        ("fm"[k % 2], k // 2 % 2, k // 4 % 2, "" if k % 3 == 0 else k // 8 % 2) for k in range(600)
    ]
    lines += [("f", 1, "", "")] * 5
    log = written(tmp_path, ["sex", "label", "prediction", "base"], lines, **roles, baseline=Decision("base"))
    left_out = [item for item in log.exclusions if "baseline" in item.reason]
    assert [(item.slice, item.rows) for item in left_out] == [(OVERALL, 200)]
    assert left_out[0].reason.startswith("missing baseline prediction")
    assert log.rows_used == 600
    found = {(c.slice.key, c.klass): c.n for c in changes(log, ("accuracy",))}
    for klass in log.space.classes:
        assert found[OVERALL.key, klass] == 400
        assert found['{"sex": "f"}', klass] == sum(row[0] == "f" and row[3] != "" for row in lines) == 200


def test_a_whole_baseline_leaves_nothing_out(log: CountedLog) -> None:
    assert not [item for item in log.exclusions if "baseline" in item.reason]


def images_of_patients(folder: Path, images: int, **roles: object) -> CountedLog:
    """180 patients in f, 180 in m, 48 of no sex; all images of a patient are alike."""
    lines: list[tuple[object, ...]] = [
        (sex, patient * 7 % 3 % 2, int(patient * 5 % 4 > 0), f"{sex}{patient}")
        for sex, patients in (("f", 180), ("m", 180), ("", 48))
        for patient in range(patients)
        for _ in range(images)
    ]
    return written(folder, ["sex", "label", "prediction", "patient"], lines, positive="1", **roles)


def test_bounds_and_impact_ratios_with_clusters_are_as_wide_as_the_patients_alone(tmp_path: Path) -> None:
    """Four equal images a patient tell no more than one: limits of the patients, ratios of all rows."""
    alone = images_of_patients(tmp_path, 1)
    rows = images_of_patients(tmp_path, 4)
    clustered = images_of_patients(tmp_path, 4, cluster="patient")

    def width(found: WorstCase) -> float:
        assert found.low is not None
        assert found.high is not None
        return found.high - found.low

    for metrics in (("recall",), ("accuracy",), ("f1",)):
        few, wrong, right = (missing_bounds(each, metrics) for each in (alone, rows, clustered))
        assert len(few) == len(right) == 2
        for a, b, c in zip(few, wrong, right, strict=True):
            assert c.value.lowest == pytest.approx(a.value.lowest)
            for part in ("value", "difference"):
                one, naive, whole = (getattr(x, part) for x in (a, b, c))
                assert width(naive) < width(one)
                # Student's t and n - 1 make it a little wider than the patients taken as rows.
                assert width(one) <= width(whole) * 1.001
                assert width(whole) <= width(one) * 1.06
                assert "design effect" in whole.method
    few_row, wrong_row, right_row = (
        next(row for row in impact_tables(each, [("sex",)])[0].table.rows if row.low is not None)
        for each in (alone, rows, clustered)
    )
    assert right_row.ratio == wrong_row.ratio == few_row.ratio
    spans = [row.high - row.low for row in (few_row, wrong_row, right_row)]  # type: ignore[operator]
    assert spans[1] < 0.7 * spans[0]
    assert spans[0] <= spans[2] * 1.001 <= spans[0] * 1.06


def test_a_gap_is_never_more_certain_than_its_rows(log: CountedLog) -> None:
    """An effective number beyond the support (clusters that hardly differ) gives no zero width."""
    records = analyse(log, metrics=("recall",), resamples=200).slices
    blown = [
        replace(record, estimates=tuple(replace(e, effective=4.8e33) for e in record.estimates))
        for record in records
    ]
    assert worst_gaps(blown, ("recall",)) == worst_gaps(records, ("recall",))


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
