"""Replication: draw one slice (and its comparator) jointly, and read every metric's limits from it.

One task is one slice: its draws depend on the seed and the slice's key alone, so that tasks run in
any order on any number of threads. The statistics are in ``slices.resampling``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slices.counts import ClusterPatterns, OutcomeSpace
from slices.metrics import Metric
from slices.resampling import (
    acceleration,
    bca_p_value,
    bca_tails,
    bias_correction,
    generator,
    quantile,
    resample_clusters,
    resample_counts,
)
from slices.selection import BCA, PERCENTILE

Array = NDArray[np.float64]

MOST_UNDEFINED = 0.01
FEWEST_IN_TAIL = 20
VALUE, DIFFERENCE, RATIO = range(3)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which limits a slice's draws should give: boolean arrays, shape (classes, metrics)."""

    value: NDArray[np.bool_]
    gap: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Replicated:
    """Limits from replicates; NaN where the replicates do not allow them.

    Attributes
    ----------
    low, high : array, shape (3, classes, metrics)
        Value, difference, ratio.
    p_value : array, shape (classes, metrics)
        Of a difference of zero, dual to the difference's limits.
    method : int8 array, shape (3, classes, metrics)
        Code into ``slices.selection.METHODS``.
    undefined : array, shape (3, classes, metrics)
        Share of replicates in which the figure is undefined.
    """

    low: Array
    high: Array
    p_value: Array
    method: NDArray[np.int8]
    undefined: Array


def replicate(
    space: OutcomeSpace,
    inside: NDArray[np.int64],
    outside: NDArray[np.int64],
    patterns: ClusterPatterns | None,
    *,
    metrics: tuple[Metric, ...],
    wanted: Wanted,
    alpha: float,
    draws: int,
    seed: int,
    key: tuple[str, ...],
) -> Replicated:
    """Bootstrap one slice and its comparator.

    Parameters
    ----------
    space : OutcomeSpace
    inside, outside : int array, shape (strata, cells)
        Counts of the slice and of what it is compared with.
    patterns : ClusterPatterns or None
        Where patients are the unit.
    metrics : tuple of Metric
    wanted : Wanted
    alpha : float
    draws, seed : int
    key : tuple of str
        Canonical key of the slice, and of a named comparator.
    """
    table = np.stack([inside, outside])
    drawn = _draw(space, table, patterns, draws, seed, key)
    point = np.moveaxis(space.confusion(table), -1, 1).astype(np.float64)
    left_out, times = _leave_one_out(space, table, patterns)
    classes, width = wanted.value.shape
    low, high = np.full((3, classes, width), np.nan), np.full((3, classes, width), np.nan)
    p_value = np.full((classes, width), np.nan)
    method = np.zeros((3, classes, width), dtype=np.int8)
    undefined = np.zeros((3, classes, width))
    for klass in range(classes):
        for position, metric in enumerate(metrics):
            want = wanted.value[klass, position], wanted.gap[klass, position], wanted.gap[klass, position]
            if not any(want):
                continue
            replicates = _figures(metric, drawn[:, :, klass], want[DIFFERENCE])
            values = _figures(metric, point[:, :, klass, None], want[DIFFERENCE])
            jackknife = _figures(metric, left_out[:, :, klass], want[DIFFERENCE])
            for figure, rows in enumerate(replicates):
                if not want[figure]:
                    continue
                rows.sort()
                defined = int(np.searchsorted(rows, np.inf, side="left"))
                undefined[figure, klass, position] = 1 - defined / draws
                value = float(values[figure][0])
                if undefined[figure, klass, position] > MOST_UNDEFINED or not np.isfinite(value):
                    continue
                usable = rows[:defined]
                a = float(acceleration(jackknife[figure], times[klass]))
                z0 = bias_correction(usable, value)
                tails, code = bca_tails(z0, a, alpha), BCA
                if not _enough(tails, defined):
                    tails, code = (alpha / 2, 1 - alpha / 2), PERCENTILE
                if not _enough(tails, defined) or usable[0] == usable[-1]:
                    continue
                low[figure, klass, position] = quantile(usable, tails[0])
                high[figure, klass, position] = quantile(usable, tails[1])
                method[figure, klass, position] = code
                if figure == DIFFERENCE:
                    p_value[klass, position] = bca_p_value(
                        usable, z0 if code == BCA else 0.0, a if code == BCA else 0.0, 0.0
                    )
    return Replicated(low, high, p_value, method, undefined)


def _enough(tails: tuple[float, float], count: int) -> bool:
    """Whether both tails hold draws enough to read a quantile from."""
    return min(tails[0], 1 - tails[1]) * count >= FEWEST_IN_TAIL


def _figures(metric: Metric, counts: Array, gap: bool) -> list[Array]:
    """Value, difference and ratio from counts (2, 4, draws)."""
    value = metric.value(*counts[0])
    if not gap:
        return [value]
    other = metric.value(*counts[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = value / other
    return [value, value - other, ratio]


def _draw(
    space: OutcomeSpace,
    table: NDArray[np.int64],
    patterns: ClusterPatterns | None,
    draws: int,
    seed: int,
    key: tuple[str, ...],
) -> Array:
    """Replicated confusion counts of slice and comparator, shape (2, 4, classes, draws)."""
    if patterns is not None:
        rng = generator(seed, *key)
        flat = patterns.totals.reshape(patterns.totals.shape[0], -1)
        cells = resample_clusters(flat, patterns.multiplicity, draws, rng).reshape(*table.shape, draws)
    else:
        strata = [
            # Classes of a multi-label log are asked about the same rows, but reported one by one.
            resample_counts(
                table[:, stratum].reshape(-1), draws, generator(seed, *key, *_name(space, stratum))
            ).reshape(2, 1, space.cells, draws)
            for stratum in range(space.strata)
        ]
        cells = np.concatenate(strata, axis=1)
    if space.task != "multiclass":
        return np.ascontiguousarray(np.moveaxis(cells, 2, 1))
    confusion = space.confusion(np.moveaxis(cells, -1, 0))
    return np.ascontiguousarray(np.transpose(confusion, (1, 3, 2, 0)))


def _name(space: OutcomeSpace, stratum: int) -> tuple[str, ...]:
    name = space.classes[stratum] if space.strata > 1 else None
    return () if name is None else (name,)


def _leave_one_out(
    space: OutcomeSpace, table: NDArray[np.int64], patterns: ClusterPatterns | None
) -> tuple[Array, Array]:
    """Counts without one unit of each kind, (2, 4, classes, kinds), and units of each kind, (classes, kinds).

    Rows: eight kinds a class (the four outcomes of either side). Clusters: one kind a pattern.
    """
    point = space.confusion(table).astype(np.float64)  # (2, classes, 4)
    classes = point.shape[1]
    if patterns is not None:
        each = space.confusion(patterns.totals).astype(np.float64)  # (patterns, 2, classes, 4)
        left = point[None] - each
        times = np.broadcast_to(patterns.multiplicity.astype(np.float64), (classes, each.shape[0]))
        return np.ascontiguousarray(np.transpose(left, (1, 3, 2, 0))), times
    kinds = np.eye(8).reshape(8, 2, 1, 4)
    left = np.transpose(point[None] - kinds, (1, 3, 2, 0))
    times = point.transpose(1, 0, 2).reshape(classes, 8)
    return left, times
