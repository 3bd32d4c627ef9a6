"""Weighted shares against statsmodels' sandwich errors; predictive values against Bayes and simulation."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from slices.weights import kish_effective, npv_at, precision_at, weighted_share, weighted_share_clustered

ROWS = st.lists(st.tuples(st.floats(0.1, 9), st.booleans()), min_size=4, max_size=50).filter(
    lambda rows: 0 < sum(y for _, y in rows) < len(rows)
)


def sums(weights: np.ndarray) -> tuple[float, float]:
    return float(weights.sum()), float((weights**2).sum())


@given(ROWS)
def test_row_error_is_the_sandwich_of_a_weighted_mean(rows: list[tuple[float, bool]]) -> None:
    weights, hit = np.array([w for w, _ in rows]), np.array([y for _, y in rows])
    found = weighted_share(sums(weights[hit]), sums(weights[~hit]), len(rows))
    fitted = sm.WLS(hit.astype(float), np.ones(len(rows)), weights=weights).fit(cov_type="HC1")
    assert found.value == pytest.approx(fitted.params[0])
    assert found.se == pytest.approx(fitted.bse[0])
    assert found.kish == pytest.approx(weights.sum() ** 2 / (weights**2).sum())
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low < found.value < found.high <= 1


@given(ROWS, st.floats(0.01, 100))
def test_scaling_all_weights_changes_nothing(rows: list[tuple[float, bool]], scale: float) -> None:
    weights, hit = np.array([w for w, _ in rows]), np.array([y for _, y in rows])
    one = weighted_share(sums(weights[hit]), sums(weights[~hit]), len(rows))
    other = weighted_share(sums(scale * weights[hit]), sums(scale * weights[~hit]), len(rows))
    assert (other.value, other.low, other.high, other.effective) == pytest.approx(
        (one.value, one.low, one.high, one.effective)
    )


def test_equal_weights_are_no_weights() -> None:
    found = weighted_share((80.0, 80.0), (20.0, 20.0), 100)
    # Linearised with n / (n - 1): effective 99 of 100 rows.
    assert found.effective == pytest.approx(99)
    assert found.kish == 100
    expected = proportion_confint(0.8 * 99, 99, method="beta")
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-9)


def test_ends_and_reasons() -> None:
    full = weighted_share((12.0, 16.0), (0.0, 0.0), 10)
    assert full.value == 1
    assert full.low == pytest.approx(0.025 ** (1 / 9))
    assert weighted_share((0.0, 0.0), (0.0, 0.0), 0).undefined == "The weighted denominator is 0."
    empty = weighted_share_clustered(np.zeros(3), np.zeros(3))
    assert empty.undefined == "The weighted denominator is 0."
    assert kish_effective(0, 0) == 0


def test_cluster_error_against_statsmodels() -> None:
    rng = np.random.default_rng(0)
    cluster = rng.integers(0, 60, 400)
    weights = rng.uniform(0.5, 4, 400)
    hit = rng.random(400) < 0.7 + 0.2 * np.sin(cluster)
    y = np.bincount(cluster, weights * hit, 60)
    x = np.bincount(cluster, weights, 60)
    found = weighted_share_clustered(y, x)
    fitted = sm.WLS(hit.astype(float), np.ones(400), weights=weights).fit(
        cov_type="cluster", cov_kwds={"groups": cluster}
    )
    # statsmodels' factor is C / (C - 1) x (n - 1) / (n - 1).
    assert found.value == pytest.approx(fitted.params[0])
    assert found.se == pytest.approx(fitted.bse[0])


def test_patterns_with_multiplicity_are_clusters_listed() -> None:
    y, x, times = np.array([1.0, 0.0, 2.0, 0.0]), np.array([2.0, 1.0, 2.0, 0.0]), np.array([3, 4, 2, 9])
    short = weighted_share_clustered(y, x, times)
    long = weighted_share_clustered(np.repeat(y, times), np.repeat(x, times))
    assert (short.value, short.se, short.low, short.high) == pytest.approx(
        (long.value, long.se, long.low, long.high)
    )


def test_clusters_at_the_end_count_clusters() -> None:
    found = weighted_share_clustered(np.full(20, 5.0), np.full(20, 5.0))
    assert found.low == pytest.approx(0.025 ** (1 / 20))
    single = weighted_share_clustered(np.array([3.0]), np.array([5.0]))
    assert single.low is not None
    assert single.high is not None
    assert single.high - single.low > 0.9


@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 200), st.integers(1, 200))
def test_own_prevalence_gives_the_observed_values(tp: int, fp: int, fn: int, tn: int) -> None:
    prevalence = (tp + fn) / (tp + fp + fn + tn)
    precision, npv = (f(prevalence, tp, fp, fn, tn) for f in (precision_at, npv_at))
    assert precision.value == pytest.approx(tp / (tp + fp))
    assert npv.value == pytest.approx(tn / (tn + fn))
    for found in (precision, npv):
        assert found.low is not None
        assert found.value is not None
        assert found.high is not None
        assert 0 <= found.low < found.value < found.high <= 1


def test_textbook_bayes() -> None:
    # Prevalence 1%, sensitivity 90%, specificity 91%: .009 / (.009 + .0891).
    assert precision_at(0.01, 90, 9, 10, 91).value == pytest.approx(0.009 / (0.009 + 0.0891))


def test_predictive_values_at_the_ends() -> None:
    none_wrong = precision_at(0.1, 50, 0, 10, 200)
    assert (none_wrong.value, none_wrong.high) == (1, 1)
    assert none_wrong.low is not None
    assert 0.5 < none_wrong.low < 1
    none_right = precision_at(0.1, 0, 20, 50, 200)
    assert (none_right.value, none_right.low) == (0, 0)
    assert none_right.high is not None
    assert 0 < none_right.high < 1
    assert precision_at(0.1, 0, 0, 50, 200).undefined == "No row is predicted so: 0 of 0."
    assert precision_at(0.1, 0, 5, 0, 200).undefined == "One of the two classes has no row."
    with pytest.raises(ValueError, match="prevalence is 1: give a share between 0 and 1, both excluded"):
        precision_at(1, 5, 5, 5, 5)


def test_small_coverage_at_another_prevalence() -> None:
    """500 case-enriched sets, prevalence of use 2%: nominal 95% within 3 Monte Carlo errors (.029)."""
    rng = np.random.default_rng(1)
    truth = 0.02 * 0.85 / (0.02 * 0.85 + 0.98 * 0.08)
    hits = 0
    for _ in range(500):
        tp, fp = rng.binomial(120, 0.85), rng.binomial(150, 0.08)
        found = precision_at(0.02, tp, fp, 120 - tp, 150 - fp)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= truth <= found.high
    assert 0.921 <= hits / 500 <= 0.979
