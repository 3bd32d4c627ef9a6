"""Calibration error and reliability against simulation of the published estimator and hand-worked bins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import foldnorm
from sklearn.calibration import calibration_curve
from statsmodels.stats.proportion import proportion_confint

from slices.scores.calibration import calibration_error, folded_normal_mean, reliability


@given(st.floats(-3, 3), st.floats(0.01, 3))
def test_folded_normal_mean_against_scipy(mean: float, deviation: float) -> None:
    found = folded_normal_mean(np.array([mean]), np.array([deviation]))[0]
    assert found == pytest.approx(foldnorm.mean(abs(mean) / deviation, scale=deviation), rel=1e-6)


def test_folded_normal_without_spread_is_the_absolute_value() -> None:
    assert folded_normal_mean(np.array([-0.2, 0.3]), np.zeros(2)) == pytest.approx([0.2, 0.3])


def test_reliability_against_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(1000)
    labels = rng.random(1000) < scores**2
    curve = reliability(scores, labels, bins=10)
    observed, predicted = calibration_curve(labels, scores, n_bins=10, strategy="quantile")
    assert curve.rows.tolist() == [100] * 10
    assert curve.observed == pytest.approx(observed)
    assert curve.score == pytest.approx(predicted)
    low, high = proportion_confint(np.rint(curve.observed * 100), 100, method="beta")
    assert curve.low == pytest.approx(low)
    assert curve.high == pytest.approx(high)


def test_ties_share_a_bin() -> None:
    scores = np.repeat([0.1, 0.2, 0.9], [5, 90, 5])
    curve = reliability(scores, scores > 0.5, bins=10)
    assert curve.rows.sum() == 100
    assert sorted(curve.rows) == [5, 5, 90]
    assert (curve.low <= curve.observed).all()
    assert (curve.high >= curve.observed).all()


def test_rows_as_clusters_change_nothing_but_a_small_factor() -> None:
    rng = np.random.default_rng(1)
    scores = rng.random(600)
    labels = rng.random(600) < scores
    plain = reliability(scores, labels)
    clustered = reliability(scores, labels, np.arange(600))
    assert clustered.variance == pytest.approx(plain.variance)


def test_repeated_rows_do_not_narrow_a_clustered_curve() -> None:
    rng = np.random.default_rng(2)
    scores = rng.random(300)
    labels = rng.random(300) < scores
    once = reliability(scores, labels)
    thrice = reliability(np.repeat(scores, 3), np.repeat(labels, 3), np.repeat(np.arange(300), 3))
    assert thrice.variance == pytest.approx(once.variance)
    assert (thrice.high - thrice.low).mean() == pytest.approx((once.high - once.low).mean(), rel=0.1)


def test_debiased_error_is_the_published_one_in_closed_form() -> None:
    """Kumar, Liang & Ma (2019): resample each bin's gap as normal, subtract the mean excess."""
    rng = np.random.default_rng(3)
    scores = rng.random(450)
    labels = rng.random(450) < np.clip(scores + 0.05, 0, 1)
    curve = reliability(scores, labels, bins=15)
    share, gap = curve.rows / 450, np.abs(curve.observed - curve.score)
    plug_in = float(share @ gap)
    drawn = np.abs(rng.normal(curve.observed - curve.score, np.sqrt(curve.variance), (200_000, 15))) @ share
    found = calibration_error(scores, labels)
    assert found.value == pytest.approx(
        max(0, 2 * plug_in - drawn.mean()), abs=4 * drawn.std() / np.sqrt(2e5)
    )
    again = rng.normal(curve.observed - curve.score, np.sqrt(curve.variance), (200_000, 15))
    debiased = (2 * np.abs(again) - folded_normal_mean(again, np.sqrt(curve.variance)[None, :])) @ share
    correction = drawn.mean() - plug_in
    assert found.se == pytest.approx(np.hypot(debiased.std(), correction), rel=0.02)


def test_debiased_is_nearer_the_truth_than_the_plug_in() -> None:
    rng = np.random.default_rng(4)
    plug_in, debiased = [], []
    for _ in range(200):
        scores = rng.random(300)
        labels = rng.random(300) < np.clip(0.8 * scores + 0.1, 0, 1)
        curve = reliability(scores, labels)
        plug_in.append(float(curve.rows / 300 @ np.abs(curve.observed - curve.score)))
        debiased.append(calibration_error(scores, labels).value)
    truth = 0.05  # mean of |0.1 - 0.2 p| over p uniform
    assert abs(np.mean(debiased) - truth) < 0.5 * abs(np.mean(plug_in) - truth)


def test_interval_covers_a_real_miscalibration() -> None:
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(300):
        scores = rng.random(800)
        found = calibration_error(scores, rng.random(800) < 0.7 * scores + 0.3)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 0.15 <= found.high
    assert hits / 300 > 0.91


def test_reasons() -> None:
    scores = np.linspace(0, 1, 30)
    assert (
        calibration_error(scores[:19], scores[:19] > 0.5).undefined == "19 rows with a score; 20 are needed."
    )
    few = calibration_error(scores, scores > 0.5, np.repeat(np.arange(10), 3))
    assert few.undefined == "10 clusters with a score; 20 are needed."
    assert calibration_error(scores * 3, scores > 0.5).undefined == (
        "Scores run from 0 to 3: they are no probabilities."
    )
    sure = calibration_error((scores > 0.5) * 1.0, scores > 0.5)
    assert sure.undefined == "Every bin holds one class and one score: the error has no spread to measure."
