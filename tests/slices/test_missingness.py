"""Worst-case bounds against every allocation, one by one, and coverage under the worst of them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm

from slices.metrics import METRICS
from slices.supplements.missingness import (
    imbens_manski_quantile,
    worst_case_difference,
    worst_case_ratio,
    worst_case_value,
)

COUNTS = arrays(np.int64, 4, elements=st.integers(1, 5))
FEW = arrays(np.int64, 4, elements=st.integers(0, 3))
NAMES = st.sampled_from([name for name, m in METRICS.items() if m.kind in ("proportion", "f1")])


def allocations(missing: np.ndarray) -> list[np.ndarray]:
    return [np.array(given_) for given_ in product(*(range(m + 1) for m in missing))]


@settings(max_examples=40, deadline=None)
@given(COUNTS, COUNTS, FEW, NAMES)
def test_bounds_are_the_extremes_of_every_allocation(
    inside: np.ndarray, outside: np.ndarray, missing: np.ndarray, name: str
) -> None:
    metric = METRICS[name]
    own = [float(metric.of(inside + a)) for a in allocations(missing)]
    other = [float(metric.of(outside + missing - a)) for a in allocations(missing)]
    gaps = [a - b for a, b in zip(own, other, strict=True)]
    value = worst_case_value(metric, inside, missing)
    difference = worst_case_difference(metric, inside, outside, missing)
    assert (value.lowest, value.highest) == pytest.approx((min(own), max(own)))
    assert (difference.lowest, difference.highest) == pytest.approx((min(gaps), max(gaps)))
    if min(other) > 0:
        ratios = [a / b for a, b in zip(own, other, strict=True)]
        ratio = worst_case_ratio(metric, inside, outside, missing)
        assert (ratio.lowest, ratio.highest) == pytest.approx((min(ratios), max(ratios)))
    for found in (value, difference):
        assert found.low < found.lowest <= found.highest < found.high


@given(COUNTS, NAMES)
def test_nothing_missing_gives_the_exact_interval(inside: np.ndarray, name: str) -> None:
    from statsmodels.stats.proportion import proportion_confint

    metric = METRICS[name]
    found = worst_case_value(metric, inside, np.zeros(4, dtype=np.int64))
    low, high = proportion_confint(metric.count(inside), metric.trials(inside), method="beta")
    expected = [float(metric.from_proportion(np.asarray(v))) for v in (low, high)]
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-6)


@given(COUNTS, FEW, FEW, NAMES)
def test_more_missing_rows_never_narrow_the_bounds(
    inside: np.ndarray, missing: np.ndarray, more: np.ndarray, name: str
) -> None:
    one = worst_case_value(METRICS[name], inside, missing)
    other = worst_case_value(METRICS[name], inside, missing + more)
    assert other.lowest <= one.lowest + 1e-12
    assert other.highest >= one.highest - 1e-12


@given(st.floats(0, 5), st.floats(0.01, 5), st.floats(0.8, 0.999))
def test_quantile_solves_its_equation(width: float, error: float, confidence: float) -> None:
    c = imbens_manski_quantile(width, error, confidence)
    assert norm.cdf(c + width / error) - norm.cdf(-c) == pytest.approx(confidence, abs=1e-6)
    assert norm.ppf(confidence) - 1e-9 <= c <= norm.ppf((1 + confidence) / 2) + 1e-9


def test_quantile_without_spread() -> None:
    assert imbens_manski_quantile(0.2, 0.0, 0.95) == pytest.approx(1.645, abs=1e-3)
    assert imbens_manski_quantile(0.0, 0.0, 0.95) == pytest.approx(1.960, abs=1e-3)


def test_a_design_effect_widens_the_limits_and_not_the_bounds() -> None:
    counts, missing = np.array([80, 10, 20, 90]), np.array([4, 1, 2, 5])
    one, four = (worst_case_value(METRICS["recall"], counts, missing, design_effect=d) for d in (1, 4))
    assert (one.lowest, one.highest) == (four.lowest, four.highest)
    assert four.low < one.low
    assert four.high > one.high


def test_undefined_reasons() -> None:
    empty, some = np.zeros(4, dtype=np.int64), np.array([0, 5, 5, 5])
    recall = METRICS["recall"]
    assert worst_case_value(recall, empty, some).undefined == recall.undefined
    assert worst_case_difference(recall, empty, some, some).undefined == recall.undefined
    assert worst_case_ratio(recall, empty, some, some).undefined == recall.undefined
    assert worst_case_ratio(recall, some, some, some).undefined == "the comparator's metric is 0"


@pytest.mark.parametrize("hidden", ["hits", "misses", "neither"])
def test_small_coverage(hidden: str) -> None:
    """500 logs, true recall .85, values withheld from hits or misses: at least 95% less three errors."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(500):
        hits, misses = rng.multinomial(200, [0.85, 0.15])
        gone = np.zeros(4, dtype=np.int64)
        if hidden == "hits":
            gone[0] = rng.binomial(hits, 0.1)
        if hidden == "misses":
            gone[2] = rng.binomial(misses, 0.4)
        seen = np.array([hits, 0, misses, 0]) - gone
        found = worst_case_value(METRICS["recall"], seen, gone)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.85 <= found.high
    assert covered / 500 >= 0.921
