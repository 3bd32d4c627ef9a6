"""Disparities: a slice against a comparator, as difference and ratio, in closed form for all at once.

Where the bootstrap is valid on both sides its limits replace these (``slices.estimates.replication``).

Rows are the unit: score limits for proportions (Miettinen-Nurminen for the difference, Koopman for
the ratio), whose common p-value is the score test's; F1, balanced accuracy and MCC take theirs from
the limits of both sides (MOVER). Clusters are the unit: MOVER with the correlation that shared
patients give the two sides. Every p-value is dual to the difference's interval: below ``alpha``
exactly where the interval excludes 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slices.estimates.jointly import joint_bounds
from slices.estimates.power import POWER
from slices.estimates.selection import MOVER, MOVER_SCORE, NONE, SCORE, Bounds, Design, bounds
from slices.intervals import (
    dual_p_value,
    koopman,
    miettinen_nurminen,
    mover_difference,
    mover_ratio,
    score_p_value,
)
from slices.metrics import Metric, PooledMetric

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Gaps:
    """Differences and ratios of one metric over many pairs; NaN where undefined."""

    difference: Bounds
    ratio: Bounds
    p_value: Array


def gaps(
    metric: Metric,
    counts: NDArray[np.generic],
    others: NDArray[np.generic],
    alpha: float | Array,
    *,
    designs: tuple[dict[str, Design], dict[str, Design]] | None = None,
    correlation: Array | float = 0.0,
    exact: bool = False,
    tested: bool = True,
) -> Gaps:
    """Compare slices with their comparators.

    Parameters
    ----------
    metric : Metric
    counts, others : array, shape (..., 4)
        Confusion counts of the slices and of their comparators.
    alpha : float or array
    designs : pair of dict, optional
        Designs of both sides, where rows are not the unit.
    correlation : array or float
        Of the two estimates.
    exact : bool
        MOVER from limits that are never below nominal, for simultaneous inference.
    tested : bool
        Whether the p-values are wanted.
    """
    value, other = metric.of(counts), metric.of(others)
    level = np.broadcast_to(np.asarray(alpha, dtype=np.float64), value.shape)
    if metric.kind == "proportion" and designs is None and not exact:
        return _by_score(metric, counts, others, level, value - other, _ratio(metric, value, other))

    def sides(level: Array) -> tuple[Bounds, Bounds]:
        first, second = designs or (None, None)
        if exact:
            return (
                joint_bounds(metric, counts, level, designs=first),
                joint_bounds(metric, others, level, designs=second),
            )
        return (
            bounds(metric, counts, level, designs=first),
            bounds(metric, others, level, designs=second),
        )

    return gaps_by_mover(metric, sides, level, correlation=correlation, tested=tested)


def gaps_by_mover(
    metric: Metric | PooledMetric,
    sides: Callable[[Array], tuple[Bounds, Bounds]],
    alpha: Array,
    *,
    correlation: Array | float = 0.0,
    tested: bool = True,
) -> Gaps:
    """Compare two sides through their own limits.

    Parameters
    ----------
    metric : Metric or PooledMetric
    sides : callable
        ``alpha`` -> bounds of the slices, bounds of their comparators.
    alpha : array
    correlation : array or float
        Of the two estimates.
    tested : bool
        Whether the p-values are wanted (simultaneous inference has none).
    """
    a, b = sides(alpha)
    difference = a.value - b.value
    rho = np.broadcast_to(np.nan_to_num(np.asarray(correlation, dtype=np.float64)), difference.shape)
    span = metric.highest - metric.lowest

    def limits(level: Array) -> tuple[Array, Array]:
        a, b = sides(level)
        low, high = mover_difference(a.value, a.low, a.high, b.value, b.low, b.high, rho)
        return np.clip(low, -span, span), np.clip(high, -span, span)

    low, high = limits(alpha)
    bounded = np.isfinite(low) & np.isfinite(high)
    low_ratio, high_ratio = mover_ratio(a.value, a.low, a.high, b.value, b.low, b.high, rho)
    p_value = np.full(difference.shape, np.nan)
    if tested and np.any(bounded):
        p_value = np.where(bounded, dual_p_value(limits, difference.shape), np.nan)
    return Gaps(
        Bounds(difference, low, high, _codes(bounded, MOVER)),
        _ratio_bounds(_ratio(metric, a.value, b.value), low_ratio, high_ratio, MOVER),
        p_value,
    )


def hull(outer: Bounds, inner: Bounds) -> Bounds:
    """Limits that hold those of both kinds; what only one kind bounds (an upper limit of a ratio) is open.

    Parameters
    ----------
    outer, inner : Bounds
        The same values, with limits made in two ways: by MOVER, pointwise.
    """
    both = (outer.method != NONE) & (inner.method != NONE)
    low = np.where(both, np.minimum(outer.low, inner.low), np.nan)
    high = np.where(both, np.maximum(outer.high, inner.high), np.nan)
    method = np.where(inner.method == SCORE, MOVER_SCORE, outer.method)
    return Bounds(outer.value, low, high, np.where(both, method, NONE).astype(np.int8))


def _ratio(metric: Metric | PooledMetric, value: Array, other: Array) -> Array:
    """Slice over comparator; NaN where the comparator is 0. A ratio of correlations means nothing."""
    if metric.lowest < 0:
        return np.full_like(value, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.isfinite(value) & (other > 0), value / other, np.nan)


def detectable_gaps(
    metric: Metric | PooledMetric,
    rate: Array,
    sizes: tuple[Array, Array],
    errors: tuple[Array, Array] | None,
    confidence: float,
) -> Array:
    """Smallest gap that each comparison could have shown with 80% probability; NaN where none.

    ``slices.estimates.power.detectable_gap`` for arrays: its results, halving all comparisons at once.

    Parameters
    ----------
    metric : Metric or PooledMetric
    rate : array
        The comparators' values, taken as known.
    sizes : pair of array
        Effective denominators of slice and comparator.
    errors : pair of array, optional
        Standard errors, for metrics that are no proportions.
    confidence : float
    """
    from scipy.special import ndtr, ndtri

    z = float(ndtri((1 + confidence) / 2))
    if errors is not None:
        reach = (z + float(ndtri(POWER))) * np.sqrt(errors[0] ** 2 + errors[1] ** 2)
        return np.asarray(np.where(reach > 0, reach, np.nan))
    n1, n2 = sizes
    usable = np.isfinite(rate) & (n1 > 0) & (n2 > 0)
    p, a, b = (np.where(usable, value, 0.5) for value in (rate, n1, n2))
    a, b = np.where(usable, a, 1.0), np.where(usable, b, 1.0)

    def power(gap: Array) -> Array:
        other = p + gap
        pooled = (other * a + p * b) / (a + b)
        null = np.sqrt(np.maximum(pooled * (1 - pooled), 0) * (1 / a + 1 / b))
        truth = np.sqrt(np.maximum(other * (1 - other), 0) / a + np.maximum(p * (1 - p), 0) / b)
        shown = np.abs(gap) - z * null
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(truth > 0, ndtr(shown / truth), shown > 0))

    found = []
    for direction in (1.0, -1.0):
        room = 1 - p if direction > 0 else p
        possible = usable & (room > 0) & (power(direction * room) >= POWER)
        low, high = np.zeros_like(p), room.copy()
        for _ in range(34):
            middle = (low + high) / 2
            short = power(direction * middle) < POWER
            low, high = np.where(short, middle, low), np.where(short, high, middle)
        found.append(np.where(possible, high, -np.inf))
    widest = np.maximum(found[0], found[1])
    return np.asarray(np.where(np.isfinite(widest), widest, np.nan))


def _by_score(
    metric: Metric,
    counts: NDArray[np.generic],
    others: NDArray[np.generic],
    alpha: Array,
    difference: Array,
    ratio: Array,
) -> Gaps:
    x1, n1, x2, n2 = metric.count(counts), metric.trials(counts), metric.count(others), metric.trials(others)
    defined = np.isfinite(difference)
    low, high, p_value = (np.full(difference.shape, np.nan) for _ in range(3))
    picked = x1[defined], n1[defined], x2[defined], n2[defined]
    low[defined], high[defined] = miettinen_nurminen(*picked, alpha[defined])
    p_value[defined] = score_p_value(*picked)
    low_ratio, high_ratio = np.full(ratio.shape, np.nan), np.full(ratio.shape, np.nan)
    positive = np.isfinite(ratio)
    low_ratio[positive], high_ratio[positive] = koopman(
        x1[positive], n1[positive], x2[positive], n2[positive], alpha[positive]
    )
    return Gaps(
        Bounds(difference, low, high, _codes(defined, SCORE)),
        _ratio_bounds(ratio, low_ratio, high_ratio, SCORE),
        p_value,
    )


def _ratio_bounds(ratio: Array, low: Array, high: Array, code: int) -> Bounds:
    known = np.isfinite(ratio)
    return Bounds(
        ratio,
        np.where(known, low, np.nan),
        np.where(known & np.isfinite(high), high, np.nan),
        _codes(known & np.isfinite(low), code),
    )


def _codes(where: NDArray[np.bool_], code: int) -> NDArray[np.int8]:
    return np.where(where, code, NONE).astype(np.int8)
