"""Pooling: closed-form limits of the figures over all classes, for all slices at once.

Rows are the unit: accuracy and micro averages are proportions of rows; macro averages take their
limits from those of the classes (MOVER), which are taken as independent (exactly so for recall,
whose denominators are different rows). Clusters are the unit: linearised, as for one class. MCC of
several classes has a bootstrap interval or none (linearised where there are clusters).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slices.estimates.selection import (
    BOOTSTRAP_FROM,
    CORRELATION_MARGIN,
    FISHER,
    MOVER,
    NONE,
    Bounds,
    Design,
    bounds,
    enough_clusters,
    fisher_limits,
    limits_between_clusters,
    proportion_limits,
)
from slices.intervals import mover_mean
from slices.metrics import PooledMetric

Array = NDArray[np.float64]

FEWEST_IN_CLASS = 10


def pooled_bounds(
    metric: PooledMetric,
    counts: NDArray[np.generic],
    alpha: float | Array,
    *,
    disjoint: bool,
    design: Design | None = None,
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
    exact : bool
        As in ``slices.estimates.selection.bounds``.
    """
    value = metric.of(counts)
    level = np.broadcast_to(np.asarray(alpha, dtype=np.float64), value.shape)
    if metric.how == "mcc":
        if design is None:
            nothing = np.full(value.shape, np.nan)
            return Bounds(value, nothing, nothing, np.zeros(value.shape, dtype=np.int8))
        usable = (np.abs(value) < 1) & (design.error > 0) & (design.units >= CORRELATION_MARGIN)
        low, high = fisher_limits(value, design.error, design.degrees, level, usable)
        return Bounds(value, low, high, np.where(usable, FISHER, NONE).astype(np.int8))
    defined = np.isfinite(value)
    if design is not None:
        p = np.where(defined, value, 0.0)
        n = np.maximum(metric.trials(counts), 1.0)
        low, high, method = limits_between_clusters(p, n, level, design, exact=exact)
    elif metric.how == "macro":
        return _macro(metric, counts, value, alpha, exact=exact)
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
    metric: PooledMetric, counts: NDArray[np.generic], value: Array, alpha: float | Array, *, exact: bool
) -> Bounds:
    level = np.broadcast_to(np.asarray(alpha, dtype=np.float64)[..., None], counts.shape[:-1])
    each = bounds(metric.base, counts, level, exact=exact)
    there = np.isfinite(each.value)
    number = np.maximum(there.sum(-1, keepdims=True), 1)
    low, high = mover_mean(
        np.where(there, each.value, 0.0),
        np.where(there, each.low, 0.0),
        np.where(there, each.high, 0.0),
        there / number,
    )
    defined = np.isfinite(value)
    return Bounds(
        value,
        np.where(defined, np.clip(low, 0, 1), np.nan),
        np.where(defined, np.clip(high, 0, 1), np.nan),
        np.where(defined, MOVER, NONE).astype(np.int8),
    )
