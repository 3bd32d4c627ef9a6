"""Satterthwaite's degrees of freedom: its ends, and the matched moment by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from slices.estimates.degrees import matched_degrees, satterthwaite_degrees

INFLUENCES = arrays(float, st.integers(2, 40), elements=st.floats(-5, 5))


@given(INFLUENCES)
def test_between_its_ends(influence: np.ndarray) -> None:
    found = satterthwaite_degrees(influence)
    assert min(4, influence.size - 1) <= found <= influence.size - 1


@given(INFLUENCES, st.floats(1e-9, 1e9))
def test_scale_changes_nothing(influence: np.ndarray, scale: float) -> None:
    if (np.abs(influence) > 1e-3).any():
        assert satterthwaite_degrees(influence * scale) == pytest.approx(satterthwaite_degrees(influence))


def test_patterns_are_clusters_listed() -> None:
    influence, times = np.array([5.0, -1.0, 0.2]), np.array([3, 12, 30])
    listed = satterthwaite_degrees(np.repeat(influence, times))
    assert satterthwaite_degrees(influence, times) == pytest.approx(listed)


def test_equal_clusters_have_all_degrees() -> None:
    assert satterthwaite_degrees(np.array([1.0, -1.0] * 10)) == 19
    assert satterthwaite_degrees(np.zeros(7)) == 6


def test_normal_clusters_have_nearly_all_degrees() -> None:
    """2 / (3 / m - 1 / m) = m for normal influences, on average over draws."""
    rng = np.random.default_rng(0)
    found = np.mean([satterthwaite_degrees(rng.normal(size=200)) for _ in range(200)])
    assert found == pytest.approx(195, abs=12)


def test_the_variance_of_a_variance_is_matched() -> None:
    """Sum of squares of m draws from a law with heavy tails: its relative variance is 2 / degrees."""
    rng = np.random.default_rng(1)
    values = np.where(rng.random((20_000, 300)) < 0.1, 3.0, 0.1)
    squares = (values**2).sum(1)
    expected = 2 * squares.mean() ** 2 / squares.var()
    found = np.mean([satterthwaite_degrees(row) for row in values[:300]])
    assert found == pytest.approx(expected, rel=0.1)


def test_many_estimates_at_once_and_clusters_that_do_not_contribute() -> None:
    rng = np.random.default_rng(2)
    influence, times = rng.normal(size=(30, 2, 3)) ** 3, rng.integers(1, 5, 30).astype(float)
    influence[20:, 0, 0] = 0.0
    number = np.full((2, 3), times.sum())
    number[0, 0] = times[:20].sum()
    found = matched_degrees(influence, times, number)
    for at in np.ndindex(2, 3):
        kept = slice(20) if at == (0, 0) else slice(None)
        one = satterthwaite_degrees(influence[(kept, *at)], times[kept].astype(int))
        assert found[at] == pytest.approx(one)


def test_tiny_influences_lose_no_digit() -> None:
    influence = np.array([5.0, -1.0, 0.2, -4.2])
    assert satterthwaite_degrees(influence * 1e-120) == pytest.approx(satterthwaite_degrees(influence))
    assert matched_degrees(np.zeros((3, 1)), np.ones(3), [0.0]) == 1
