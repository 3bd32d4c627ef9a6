"""Predictive values at a stated prevalence: the log's own figures, patients as units, weights."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.simulated_logs import log_of_clusters
from slices.counts import CountedLog
from slices.log import count_log
from slices.roles import Attribute, Decision, LogSpec
from slices.slicing import OVERALL
from slices.supplements.target_prevalence import at_prevalence
from slices.supplements.weights import AtPrevalence, npv_at, precision_at

# label, prediction: rows in f and in m.
CELLS = {(1, 1): (45, 30), (0, 1): (8, 20), (1, 0): (5, 10), (0, 0): (72, 60)}


def log(folder: Path, *, images: int = 1, **roles: object) -> CountedLog:
    """One patient a row of ``CELLS``, with so many images alike; every image has the weight 2.5."""
    with (folder / "log.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["sex", "site", "label", "prediction", "patient", "weight"])
        for (label, call), both in CELLS.items():
            for sex, times in zip("fm", both, strict=True):
                for k in range(times):
                    row = [sex, "n", label, call, f"{label}{call}{sex}{k}", 2.5]
                    writer.writerows([row] * images)
    spec = LogSpec(
        path="log.csv",
        root=folder,
        label="label",
        decision=Decision(prediction="prediction"),
        positive="1",
        attributes=(Attribute("sex", "demographic", "sex"), Attribute("site", "acquisition", "site")),
        **roles,  # type: ignore[arg-type]
    )
    return count_log(spec, intersections=2, minimum=1, progress=lambda what, done, total: None)


def figures(counted: CountedLog, prevalence: float) -> dict[tuple[str, str], AtPrevalence]:
    return {(x.slice.key, x.metric): x.found for x in at_prevalence(counted, {None: prevalence})}


def test_whole_log_and_one_way_slices(tmp_path: Path) -> None:
    found = figures(log(tmp_path), 0.02)
    assert {key for key, _ in found} == {OVERALL.key, '{"sex": "f"}', '{"sex": "m"}', '{"site": "n"}'}
    assert found['{"sex": "f"}', "precision"] == precision_at(0.02, 45, 8, 5, 72)
    assert found['{"sex": "m"}', "npv"] == npv_at(0.02, 30, 20, 10, 60)
    # Bayes by hand: recall .9 of 2%, false alarms .1 of 98%.
    assert found['{"sex": "f"}', "precision"].value == pytest.approx(0.018 / (0.018 + 0.098))


def test_the_logs_own_prevalence_changes_nothing(tmp_path: Path) -> None:
    found = figures(log(tmp_path), 90 / 250)
    assert found[OVERALL.key, "precision"].value == pytest.approx(75 / 103)
    assert found[OVERALL.key, "npv"].value == pytest.approx(132 / 147)


def test_images_of_one_patient_are_not_so_many_patients(tmp_path: Path) -> None:
    alone = figures(log(tmp_path), 0.02)
    naive = figures(log(tmp_path, images=4), 0.02)
    right = figures(log(tmp_path, images=4, cluster="patient"), 0.02)
    for key, one in alone.items():
        widths = [x[key].high - x[key].low for x in (alone, naive, right)]  # type: ignore[operator]
        assert one.value == pytest.approx(right[key].value)
        assert widths[1] < widths[0]
        # Logit-t with few degrees (10 patients hold the misses) is wider than Wilson of so many rows.
        assert widths[0] <= widths[2] * 1.001
        assert widths[2] <= widths[0] * 1.3


def test_equal_weights_are_no_weights(tmp_path: Path) -> None:
    plain, weighted = figures(log(tmp_path), 0.1), figures(log(tmp_path, weight="weight"), 0.1)
    for key, one in plain.items():
        other = weighted[key]
        assert (other.value, other.low, other.high) == pytest.approx((one.value, one.low, one.high))


def test_equal_weights_change_nothing_of_patients_either(tmp_path: Path) -> None:
    plain = figures(log(tmp_path, images=3, cluster="patient"), 0.1)
    weighted = figures(log(tmp_path, images=3, cluster="patient", weight="weight"), 0.1)
    for key, one in plain.items():
        other = weighted[key]
        assert other.low is not None
        assert (other.value, other.low, other.high) == pytest.approx((one.value, one.low, one.high))
        assert other.method == one.method


def test_patients_wrong_in_both_classes_widen_the_interval() -> None:
    """400 logs of 300 patients whose own error rate sets recall and false alarms (was 92.2% at 400)."""
    rng = np.random.default_rng(3)
    truth = 0.1 * 0.8 / (0.1 * 0.8 + 0.9 * 0.1)
    logs = []
    for _ in range(400):
        hard = rng.beta(0.5, 2, 300)
        fn, fp = rng.binomial(10, hard), rng.binomial(10, hard / 2)
        logs.append(np.stack([10 - fn, fp, fn, 10 - fp], axis=-1))
    found = [x for x in at_prevalence(log_of_clusters(logs), {None: 0.1}) if x.slice.order]
    assert all("logit-t over clusters" in x.found.method for x in found)
    hits = [x.found.low <= truth <= x.found.high for x in found if x.metric == "precision"]  # type: ignore[operator]
    assert len(hits) == 400
    assert np.mean(hits) >= 0.935 - 2 * 0.0123


def test_unknown_negatives_and_unnamed_classes_have_none(tmp_path: Path) -> None:
    counted = log(tmp_path)
    assert at_prevalence(counted, {"other": 0.1}) == ()
    assert at_prevalence(replace(counted, space=replace(counted.space, negatives=False)), {None: 0.1}) == ()


def test_a_slice_of_one_class_says_why(tmp_path: Path) -> None:
    counted = log(tmp_path)
    overall = counted.slices[0]
    negatives = overall.inside * np.array([0, 1, 0, 1])
    only = replace(counted, slices=(replace(overall, inside=negatives),))
    assert {x.found.undefined for x in at_prevalence(only, {None: 0.1})} == {
        "One of the two classes has no row."
    }
