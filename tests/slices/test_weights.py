"""Kish's number; predictive values against Bayes and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slices.supplements.weights import npv_at, precision_at


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
