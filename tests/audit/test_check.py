"""Check: the smallest gap that a log could show, against a slow search over statsmodels' own power."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from scipy.stats import norm

from audit.check import smallest_gap
from audit.config import Rule
from audit.targets import Target
from slices.counts import ClusterPatterns, CountedLog, OutcomeSpace, SliceCounts, WeightedCells
from slices.slicing import OVERALL, Slice

A, B, C = (Slice((("site", name),)) for name in "ABC")
GAP = Rule(id="g", metric="recall", gap_at_most=0.1, attributes=["site"])


def of(where: Slice, positives: int, others: int) -> SliceCounts:
    inside, outside = (np.array([[n // 2, 9, n - n // 2, 9]], dtype=np.int64) for n in (positives, others))
    return SliceCounts(where, inside, outside, np.zeros((1, 2), np.int64), 0, positives + 18)


def log_of(*slices: SliceCounts) -> CountedLog:
    space = OutcomeSpace("binary", (None,), 1, 4)
    return CountedLog(space, (of(OVERALL, 900, 0), *slices), (), (), (), 900, 900, None, "1")


def target(where: Slice, against: str = "complement") -> Target:
    return Target(GAP, "gap", 0.1, where, None, against)


def slow(n: float, m: float) -> float:
    """The smallest gap, on a fine grid, at which the test of two proportions has 80% power."""

    def power(gap: float) -> float:
        p, q = 0.9 + gap, 0.9
        pooled = (n * p + m * q) / (n + m)
        null = sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
        real = sqrt(p * (1 - p) / n + q * (1 - q) / m)
        z = norm.ppf(0.975)
        return float(norm.sf((z * null - abs(gap)) / real) + norm.cdf((-z * null - abs(gap)) / real))

    found = [
        next((g for g in np.arange(0.0005, room, 0.0005) if power(sign * g) >= 0.8), None)
        for sign, room in ((1, 0.1), (-1, 0.9))
    ]
    return max(g for g in found if g is not None)


def gap_of(where: Target, counts: SliceCounts, log: CountedLog) -> float:
    found = smallest_gap(where, counts, log, 0.95)
    assert found is not None
    return found


def test_the_gap_is_that_of_a_slow_search() -> None:
    one = of(A, 120, 700)
    assert gap_of(target(A), one, log_of(one)) == pytest.approx(slow(120, 700), abs=0.0006)


def test_a_named_reference_is_what_the_slice_is_compared_with() -> None:
    one, reference = of(A, 120, 700), of(B, 60, 760)
    log = log_of(one, reference)
    assert gap_of(target(A, "B"), one, log) == pytest.approx(slow(120, 60), abs=0.0006)
    assert smallest_gap(target(A, "C"), one, log, 0.95) is None


def test_a_cluster_counts_once() -> None:
    """120 positive rows of 30 patients, 700 of 200 outside; patients without a positive do not count."""
    one = replace(of(A, 120, 700), clusters=40)
    asked = []

    def patterns(where: Slice, against: Slice | None = None) -> ClusterPatterns:
        asked.append((where, against))
        totals = np.zeros((3, 2, 1, 4), dtype=np.int64)
        totals[0, 0, 0, 0], totals[1, 1, 0, 2], totals[2, 0, 0, 3] = 4, 3, 1
        return ClusterPatterns(totals, np.array([30, 200, 10]))

    log = replace(log_of(one), clusters=240, patterns=patterns)
    assert gap_of(target(A), one, log) == pytest.approx(slow(30, 200), abs=0.0006)
    assert asked == [(A, None)]
    assert gap_of(target(A), one, log) > gap_of(target(A), one, log_of(one))


def test_weights_count_by_what_they_are_worth() -> None:
    """Half of the rows at weight 1, half at 3: worth (60 + 180)^2 / (60 + 540) = 96 of 120 rows."""
    one = of(A, 120, 700)
    cells = np.array([[120.0, 0, 120.0, 0]])
    squares = np.array([[300.0, 0, 300.0, 0]])
    outside = np.array([[350.0, 0, 350.0, 0]])
    weighted = replace(one, weighted=WeightedCells(cells, outside, squares, outside, squares, outside))
    assert gap_of(target(A), weighted, log_of(weighted)) == pytest.approx(slow(96, 700), abs=0.0006)


def test_nothing_to_compare_is_no_gap() -> None:
    alone = of(A, 120, 0)
    assert smallest_gap(target(A), alone, log_of(alone), 0.95) is None
