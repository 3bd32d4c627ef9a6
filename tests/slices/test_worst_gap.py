"""The largest gap: retyped loops, and coverage of 0 and of true gaps in simulation."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, studentized_range
from statsmodels.stats.proportion import proportion_confint

from slices.supplements.worst_gap import worst_gap

GROUPS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=2, max_size=6).filter(
    lambda groups: sum(a + b > 0 for a, b in groups) >= 2
)


def split(groups: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    events, misses = np.array(groups, dtype=float).T
    support = events + misses
    return np.divide(events, support, out=np.zeros_like(events), where=support > 0), support


def slow(groups: list[tuple[int, int]]) -> tuple[float, float]:
    """Both limits with loops over ordered pairs and statsmodels' limits."""
    full = [(a, a + b) for a, b in groups if a + b]
    tail = 2 * norm.sf(studentized_range.ppf(0.95, len(full), np.inf) / np.sqrt(2))
    lows, highs = [0.0], [0.0]
    for (x, n), (y, m) in permutations(full, 2):
        p, q = x / n, y / m
        l1, u2 = proportion_confint(x, n, tail, "beta")[0], proportion_confint(y, m, tail, "beta")[1]
        lows.append(p - q - np.hypot(p - l1, u2 - q))
        u1, l2 = proportion_confint(x, n, 0.05, "wilson")[1], proportion_confint(y, m, 0.05, "wilson")[0]
        highs.append(p - q + np.hypot(u1 - p, q - l2))
    return max(lows), max(highs)


@given(GROUPS)
def test_against_loops(groups: list[tuple[int, int]]) -> None:
    found = worst_gap(*split(groups))
    assert (found.low, found.high) == pytest.approx(slow(groups), abs=1e-6)
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.value <= found.high
    assert found.low < found.high


@given(GROUPS)
def test_order_of_groups_changes_only_positions(groups: list[tuple[int, int]]) -> None:
    turned = groups[::-1]
    one, other = worst_gap(*split(groups)), worst_gap(*split(turned))
    assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high), abs=1e-12)


def test_positions_count_the_groups_given() -> None:
    found = worst_gap(np.array([0.5, 0.0, 0.9, 0.2]), np.array([50.0, 0.0, 50.0, 50.0]))
    assert (found.highest, found.lowest, found.groups) == (2, 3, 3)
    assert found.low is not None
    assert found.low > 0.4


def test_one_group_has_no_gap() -> None:
    found = worst_gap(np.array([0.5, 0.0]), np.array([50.0, 0.0]))
    assert found.undefined == "The metric is defined in 1 of the groups; a gap needs 2."
    assert found.value is None


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_equal_groups_have_no_highest_and_no_lowest(share: float) -> None:
    found = worst_gap(np.array([share, share, share]), np.array([20.0, 50.0, 10.0]))
    assert (found.highest, found.lowest, found.value, found.low) == (None, None, 0.0, 0.0)
    assert found.undefined == "All 3 groups have the same value: none is the highest or the lowest."
    assert found.high is not None
    assert found.high > 0.1


@given(GROUPS)
def test_the_highest_is_never_the_lowest(groups: list[tuple[int, int]]) -> None:
    value, support = split(groups)
    found = worst_gap(value, support)
    tied = np.ptp(value[support > 0]) == 0
    assert (found.highest is None, found.lowest is None, found.undefined is not None) == (tied, tied, tied)
    if not tied:
        assert found.highest != found.lowest


def test_few_clusters_widen() -> None:
    value, support = np.array([0.9, 0.7]), np.array([100.0, 100.0])
    wide = worst_gap(value, support, degrees=np.array([5.0, 5.0]))
    plain = worst_gap(value, support)
    assert wide.low is not None
    assert plain.low is not None
    assert wide.low < plain.low
    many = worst_gap(value, support, degrees=np.array([1e7, 1e7]))
    assert (many.low, many.high) == pytest.approx((plain.low, plain.high), abs=1e-5)


@pytest.mark.parametrize(("groups", "size", "rate"), [(2, 500, 0.5), (5, 50, 0.9), (10, 200, 0.98)])
@pytest.mark.parametrize("gap", [0.0, 0.05, 0.10])
def test_small_coverage(groups: int, size: int, rate: float, gap: float) -> None:
    """300 runs: at least 95% less three Monte Carlo errors (.038); benchmarks/ has the full table."""
    rng = np.random.default_rng(groups)
    truth = np.full(groups, rate)
    truth[0] -= gap
    hits = 0
    for _ in range(300):
        found = worst_gap(rng.binomial(size, truth) / size, np.full(groups, float(size)))
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= gap <= found.high
        assert found.high > found.low
    assert hits / 300 >= 0.95 - 0.038


def test_a_large_gap_is_seen() -> None:
    """The interval is no trivial [0, .]: true gap .3, five groups of 300."""
    rng = np.random.default_rng(9)
    truth = np.array([0.9, 0.9, 0.9, 0.9, 0.6])
    lows = [worst_gap(rng.binomial(300, truth) / 300, np.full(5, 300.0)).low for _ in range(100)]
    assert np.mean([low is not None and low > 0.1 for low in lows]) > 0.95
