"""Pooling: closed-form limits of the figures over all classes, for all slices at once.

Rows are the unit: accuracy and micro averages are proportions of rows; macro averages take their
limits from those of the classes (MOVER), made wider where the classes move together (F1; recall has
other rows in each class). Clusters are the unit: linearised, as for one class. MCC of
several classes: Fisher's z with a linearised error. For simultaneous inference macro averages and MCC
have limits that hold far in the tail (``slices.estimates.jointly``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slices.counts import OutcomeSpace
from slices.estimates.jointly import matched_correlation, mean_limits, outer
from slices.estimates.selection import (
    BOOTSTRAP_FROM,
    CORRELATION_MARGIN,
    FISHER,
    MATCHED,
    MOVER,
    NONE,
    PROFILE,
    Bounds,
    Design,
    bounds,
    enough_clusters,
    fisher_limits,
    limits_between_clusters,
    proportion_limits,
)
from slices.intervals import clopper_pearson, mover_mean
from slices.metrics import Metric, PooledMetric

Array = NDArray[np.float64]

FEWEST_IN_CLASS = 10
# Influences worked out at a time: 32 MiB.
MOST_INFLUENCES = 2**22


def pooled_bounds(
    metric: PooledMetric,
    counts: NDArray[np.generic],
    alpha: float | Array,
    *,
    disjoint: bool,
    design: Design | None = None,
    error: Array | None = None,
    exact: bool = False,
) -> Bounds:
    """Closed-form limits of one figure over all classes.

    Parameters
    ----------
    metric : PooledMetric
    counts : array, shape (..., classes, 4)
        Each class against the rest.
    alpha : float or array
    disjoint : bool
        Multi-class: the classes' tables hold the same rows (multi-label: each its own).
    design : Design, optional
        Where rows are not the unit; arrays of shape (...).
    error : array, optional
        Linearised standard error where rows are the unit (`row_errors`).
    exact : bool
        As in ``slices.estimates.selection.bounds``.
    """
    value = metric.of(counts)
    level = np.broadcast_to(np.asarray(alpha, dtype=np.float64), value.shape)
    if metric.how == "mcc":
        return _correlation(metric, counts, level, design, error, exact=exact)
    defined = np.isfinite(value)
    if design is not None:
        p = np.where(defined, value, 0.0)
        n = np.maximum(metric.trials(counts), 1.0)
        low, high, method = limits_between_clusters(p, n, level, design, exact=exact)
    elif metric.how == "macro":
        return _macro(metric, counts, value, level, error, exact=exact)
    else:
        folds = _folds(metric, counts, disjoint=disjoint)
        count, trials = as_proportion(metric, counts)
        trials = np.where(defined, trials / folds, 1.0)
        low, high, method = proportion_limits(np.where(defined, count, 0.0), trials, level, exact=exact)
        low, high = low / folds, high / folds
    return Bounds(
        value,
        np.where(defined, low, np.nan),
        np.where(defined, high, np.nan),
        np.where(defined, method, NONE).astype(np.int8),
    )


def row_errors(space: OutcomeSpace, cells: NDArray[np.generic], metric: PooledMetric) -> Array:
    """Linearised standard error of one figure where rows are the unit: NaN where it has no slope.

    Parameters
    ----------
    space : OutcomeSpace
    cells : array, shape (logs, strata, cells)
    metric : PooledMetric
    """
    outcomes = space.strata * space.cells
    single = space.confusion(np.eye(outcomes).reshape(-1, space.strata, space.cells))
    kinds = np.asarray(single, dtype=np.float64).reshape(outcomes, -1)
    found = np.empty(len(cells))
    several = max(1, MOST_INFLUENCES // outcomes)
    for start in range(0, len(cells), several):
        part = np.asarray(cells[start : start + several], dtype=np.float64)
        slope = metric.gradient(space.confusion(part)).reshape(len(part), -1)
        # A class that no row has (or is given) has no slope; it counts for nothing.
        influence = np.nan_to_num(slope, posinf=0, neginf=0) @ kinds.T
        found[start : start + several] = np.sqrt((part.reshape(len(part), -1) * influence**2).sum(-1))
    return np.where(np.isfinite(metric.of(space.confusion(cells))), found, np.nan)


def pooled_bootstrap_valid(
    metric: PooledMetric, counts: NDArray[np.generic], design: Design | None, *, disjoint: bool
) -> NDArray[np.bool_]:
    """Where draws give the limits: enough rows, no class about to vanish, not at an end of the range."""
    value = metric.of(counts)
    trials = metric.base.trials(counts)
    inside = np.isfinite(value) & (value > metric.lowest) & (value < metric.highest)
    enough = trials.sum(-1) / _folds(metric, counts, disjoint=disjoint) >= BOOTSTRAP_FROM
    if metric.how == "macro":
        enough &= np.where(trials > 0, trials, np.inf).min(-1) >= FEWEST_IN_CLASS
    return np.asarray(inside & enough & enough_clusters(design))


def _folds(metric: PooledMetric, counts: NDArray[np.generic], *, disjoint: bool) -> int:
    """How often a row stands in the denominator: a multi-class row is a negative of K - 1 classes."""
    return max(counts.shape[-2] - 1, 1) if disjoint and metric.base.name == "fpr" else 1


def as_proportion(metric: PooledMetric, counts: NDArray[np.generic]) -> tuple[Array, Array]:
    """Numerator and denominator of accuracy and micro averages, in rows."""
    table = np.asarray(counts, dtype=np.float64)
    if metric.how == "accuracy":
        return table[..., 0].sum(-1), table[..., 0, :].sum(-1)
    total = table.sum(-2)
    if metric.base.name == "f1":
        # F1 = tp / (tp + (fp + fn) / 2): the mean of the numbers predicted and labelled.
        return total[..., 0], total[..., 0] + (total[..., 1] + total[..., 2]) / 2
    return metric.base.count(total), metric.base.trials(total)


def _macro(
    metric: PooledMetric,
    counts: NDArray[np.generic],
    value: Array,
    level: Array,
    error: Array | None,
    *,
    exact: bool,
) -> Bounds:
    each = bounds(metric.base, counts, np.broadcast_to(level[..., None], counts.shape[:-1]))
    there = np.isfinite(each.value)
    weight = there / np.maximum(there.sum(-1, keepdims=True), 1)
    single = np.where(there, each.value, 0.0)
    low, high = mover_mean(single, np.where(there, each.low, 0.0), np.where(there, each.high, 0.0), weight)
    if error is not None:
        together = _together(metric.base, counts, single, weight, error)
        low, high = value - together * (value - low), value + together * (high - value)
    found = _inside(value, low, high, MOVER)
    if not exact:
        return found
    from scipy.special import ndtr

    def limits(u: Array) -> tuple[Array, Array]:
        at = bounds(metric.base, counts, 2 * ndtr(-u), exact=True)
        return np.where(there, at.low, 0.0), np.where(there, at.high, 0.0)

    parts = _inside(value, *mean_limits(limits, single, weight, level), PROFILE)
    others = [(found.low, found.high)]
    if error is not None:
        # Classes that are taken for each other are not independent: the figure's own error knows it.
        rows = np.maximum(metric.trials(counts), 1.0)
        usable = (value > 0) & (value < 1) & (error > 0)
        p, se = np.where(usable, value, 0.5), np.where(usable, error, 1.0)
        size = np.minimum(p * (1 - p) / se**2, rows)
        own = clopper_pearson(p * size, size, level)
        others.append((np.where(usable, own[0], np.nan), np.where(usable, own[1], np.nan)))
    return outer(parts, *others)


def _together(base: Metric, counts: NDArray[np.generic], single: Array, weight: Array, error: Array) -> Array:
    """How much further a mean reaches than that of independent classes: its error over theirs, at least 1.

    A row of one class that is taken for another counts against both: with F1 the classes move together,
    and limits of independent ones covered 85% (3 classes, 400 rows). Recall and precision have rows of
    their own in each class.
    """
    trials = base.trials(counts).astype(np.float64)
    # F1 = 2 p / (1 + p) of the proportion p that is behind it.
    p = single / (2 - single) if base.kind == "f1" else single
    slope = 2 / (1 + p) ** 2 if base.kind == "f1" else 1.0
    variance = slope**2 * p * (1 - p) / np.maximum(trials, 1.0)
    apart = np.sqrt((weight**2 * variance).sum(-1))
    known = np.isfinite(error) & (apart > 0)
    return np.asarray(np.where(known, np.maximum(error / np.where(apart > 0, apart, 1.0), 1.0), 1.0))


def _correlation(
    metric: PooledMetric,
    counts: NDArray[np.generic],
    level: Array,
    design: Design | None,
    error: Array | None,
    *,
    exact: bool,
) -> Bounds:
    """Fisher's z by the linearised error; jointly the exact limits of the share of wrong rows besides."""
    value = metric.of(counts)
    table = np.asarray(counts, dtype=np.float64)
    rows = table[..., 0, :].sum(-1)
    if design is not None:
        error, degrees, units = design.error, design.degrees, np.nan_to_num(design.units)
    else:
        error = np.full(value.shape, np.nan) if error is None else error
        degrees, units = np.full(value.shape, np.inf), rows
    # Rounding keeps a correlation of 1 a little below it.
    usable = (np.abs(value) < 1 - 1e-12) & (error > 0) & (units >= CORRELATION_MARGIN)
    low, high = fisher_limits(value, error, degrees, level, usable)
    found = Bounds(value, low, high, np.where(usable, FISHER, NONE).astype(np.int8))
    if not exact:
        return found
    defined = np.isfinite(value) & (rows > 0)
    share = (table[..., 0] + table[..., 2]) / np.maximum(rows, 1.0)[..., None]
    right = table[..., 0].sum(-1) / np.maximum(rows, 1.0)
    # Rounding leaves a little of 1 - 1.
    wrong = np.where(defined & (right < 1 - 1e-12), 1 - right, 0.0)
    matched = matched_correlation(
        np.where(defined, value, 0.0),
        wrong,
        (share**2).sum(-1),
        np.minimum(units, rows),
        error,
        degrees,
        level,
    )
    low, high = (np.where(defined, end, np.nan) for end in matched)
    jointly = Bounds(value, low, high, np.where(defined, MATCHED, NONE).astype(np.int8))
    return outer(jointly, (found.low, found.high))


def _inside(value: Array, low: Array, high: Array, code: int) -> Bounds:
    """Limits cut to [0, 1]; none where there is no value."""
    defined = np.isfinite(value)
    return Bounds(
        value,
        np.where(defined, np.clip(low, 0, 1), np.nan),
        np.where(defined, np.clip(high, 0, 1), np.nan),
        np.where(defined, code, NONE).astype(np.int8),
    )
