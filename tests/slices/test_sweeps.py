"""Threshold sweeps against scikit-learn, and against the estimates that a log with that threshold has."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from slices.analysis import analyse
from slices.counts import CountedLog, ScoreRows
from slices.log import count_log
from slices.metrics import METRICS
from slices.roles import Attribute, Decision, LogSpec
from slices.scores.sweeps import _counts, spread_thresholds, swept

ROWS = st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=60)
NAMES = ("recall", "fpr", "precision", "selection_rate")


@given(ROWS, st.sampled_from([">=", ">"]))
def test_counts_against_scikit_learn(rows: list[tuple[int, bool]], tie: str) -> None:
    scores, labels = np.array([float(s) for s, _ in rows]), np.array([y for _, y in rows])
    thresholds = np.array([-1.0, 0.0, 3.0, 3.5, 9.0, 10.0])
    found = _counts(ScoreRows(scores, labels, None, None), thresholds, tie)  # type: ignore[arg-type]
    for threshold, cells in zip(thresholds, found, strict=True):
        predicted = scores >= threshold if tie == ">=" else scores > threshold
        tn, fp, fn, tp = confusion_matrix(labels, predicted, labels=[False, True]).ravel()
        assert cells.tolist() == [tp, fp, fn, tn]


def log(folder: Path, threshold: float, **roles: str) -> CountedLog:
    """400 rows of 130 patients with weights; group b scores higher."""
    rng = np.random.default_rng(3)
    with (folder / "log.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["g", "label", "score", "patient", "w"])
        for row in range(400):
            label, group = int(rng.random() < 0.4), "ab"[row % 2]
            score = round(float(rng.normal(label + (group == "b") * 0.3, 1)), 1)
            writer.writerow(
                [group, label, score, f"p{rng.integers(130)}", round(float(rng.uniform(0.2, 3)), 2)]
            )
    spec = LogSpec(
        "log.csv",
        folder,
        label="label",
        positive="1",
        decision=Decision(score="score", threshold=threshold, tie=">"),
        attributes=(Attribute("g", "other", "g"),),
        **roles,  # type: ignore[arg-type]
    )
    return count_log(spec, intersections=1, minimum=1, keep_scores=True)


@pytest.mark.parametrize(
    "roles", [{}, {"cluster": "patient"}, {"weight": "w"}, {"cluster": "patient", "weight": "w"}]
)
def test_a_sweep_is_what_the_log_says_at_each_threshold(tmp_path: Path, roles: dict[str, str]) -> None:
    thresholds = np.array([-0.5, 0.3, 1.2])
    counted = log(tmp_path, 0.0, **roles)
    (one,) = (item.slice for item in counted.slices if dict(item.slice.values) == {"g": "a"})
    assert counted.scores is not None
    sides = (counted.scores(one, 0, outside) for outside in (False, True))
    found = swept([METRICS[name] for name in NAMES], *sides, thresholds, tie=">")
    for place, threshold in enumerate(thresholds):
        there = log(tmp_path, float(threshold), **roles)
        # Below 600 rows no bootstrap takes part: the estimates are the closed forms.
        record = next(r for r in analyse(there, metrics=NAMES, resamples=50).slices if r.slice == one)
        for name in NAMES:
            estimate = next(e for e in record.estimates if e.metric == name)
            disparity = next(d for d in record.disparities if d.metric == name)
            value, gap = found[name].value, found[name].gap
            assert gap is not None
            assert found[name].support[place] == estimate.support
            assert [value.value[place], value.low[place], value.high[place]] == pytest.approx(
                [estimate.value, estimate.low, estimate.high], rel=1e-9
            )
            assert gap.value[place] == pytest.approx(disparity.difference.value, rel=1e-9)
            if not roles:
                assert [gap.low[place], gap.high[place]] == pytest.approx(
                    [disparity.difference.low, disparity.difference.high], rel=1e-9
                )


def test_an_empty_denominator_is_undefined() -> None:
    rows = ScoreRows(np.array([0.1, 0.6]), np.array([True, False]), None, None)
    found = swept([METRICS["precision"]], rows, None, np.array([0.0, 0.9]), tie=">=")["precision"]
    assert np.isfinite(found.value.value).tolist() == [True, False]
    assert found.support.tolist() == [2, 0]
    assert found.gap is None


def test_thresholds_split_the_rows_evenly_and_hold_the_operating_one() -> None:
    scores = np.random.default_rng(1).permutation(1000.0 + np.arange(1000.0))
    thresholds = spread_thresholds(scores, 1234.5, 11)
    assert 1234.5 in thresholds
    assert np.abs(np.diff(np.searchsorted(np.sort(scores), thresholds))).max() <= 101
