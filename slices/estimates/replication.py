"""Replication: draw one slice (and its comparator) jointly, and read every metric's limits from it.

One task is one slice: its draws depend on the seed and the slice's key alone, so that tasks run in
any order on any number of threads. The statistics are in ``slices.resampling``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slices.counts import ClusterPatterns, OutcomeSpace
from slices.estimates.selection import BCA
from slices.metrics import Metric, PooledMetric
from slices.resampling import (
    FEWEST_IN_TAIL,
    acceleration,
    bca_p_value,
    bca_tails,
    bias_correction,
    generator,
    quantile,
    resample_clusters,
    resample_counts,
)

Array = NDArray[np.float64]

MOST_UNDEFINED = 0.01
VALUE, DIFFERENCE, RATIO = range(3)


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric of one class (``klass`` None: over all classes), and which limits its draws should give."""

    metric: Metric | PooledMetric
    klass: int | None
    value: bool
    gap: bool


@dataclass(frozen=True, slots=True)
class Replicated:
    """Limits from replicates; NaN where the replicates do not allow them.

    Attributes
    ----------
    low, high : array, shape (3, figures)
        Value, difference, ratio.
    p_value : array, shape (figures,)
        Of a difference of zero, dual to the difference's limits.
    method : int8 array, shape (3, figures)
        Code into ``slices.estimates.selection.METHODS``.
    undefined : array, shape (3, figures)
        Share of replicates in which the figure is undefined.
    scarce : bool array, shape (3, figures)
        Where the draws are too few for the limits.
    """

    low: Array
    high: Array
    p_value: Array
    method: NDArray[np.int8]
    undefined: Array
    scarce: NDArray[np.bool_]


def replicate(
    space: OutcomeSpace,
    inside: NDArray[np.int64],
    outside: NDArray[np.int64],
    patterns: ClusterPatterns | None,
    *,
    figures: Sequence[Figure],
    alpha: float,
    draws: int,
    seed: int,
    key: tuple[str, ...],
    drawn: Array | None = None,
) -> Replicated:
    """Bootstrap one slice and its comparator, in one joint draw.

    Parameters
    ----------
    space : OutcomeSpace
    inside, outside : int array, shape (strata, cells)
        Counts of the slice and of what it is compared with.
    patterns : ClusterPatterns or None
        Where clusters are the unit.
    figures : sequence of Figure
    alpha : float
    draws, seed : int
    key : tuple of str
        Canonical key of the slice, and of a named comparator.
    drawn : array, shape (2, 4, classes, draws), optional
        Replicated confusion counts of both sides, where clusters were drawn for all slices at once.
    """
    table = np.stack([inside, outside])
    if drawn is None:
        drawn = _draw(space, table, patterns, draws, seed, key)
    point = np.moveaxis(space.confusion(table), -1, 1).astype(np.float64)[..., None]
    joint = patterns is not None or any(figure.klass is None for figure in figures)
    whole = _leave_one_out(space, table, patterns) if joint else None
    rows_left_out: dict[int | None, tuple[Array, Array]] = {}
    low, high = np.full((3, len(figures)), np.nan), np.full((3, len(figures)), np.nan)
    p_value = np.full(len(figures), np.nan)
    method = np.zeros((3, len(figures)), dtype=np.int8)
    undefined, scarce = np.zeros((3, len(figures))), np.zeros((3, len(figures)), dtype=np.bool_)
    for number, figure in enumerate(figures):
        metric, klass = figure.metric, figure.klass
        at = (slice(None), slice(None)) if klass is None else (slice(None), slice(None), klass)
        if whole is not None and (klass is None or patterns is not None):
            left_out, times = whole[0][at], whole[1]
        else:
            if klass not in rows_left_out:
                rows_left_out[klass] = _rows_left_out(point[at])
            left_out, times = rows_left_out[klass]
        replicates = _quantities(metric, drawn[at], figure.gap)
        replicates.sort(axis=-1)
        values = _quantities(metric, point[at], figure.gap)[:, 0]
        accelerations = acceleration(_quantities(metric, left_out, figure.gap), times)
        for quantity, rows in enumerate(replicates):
            if quantity == VALUE and not figure.value:
                continue
            defined = int(rows.searchsorted(np.inf, side="left"))
            undefined[quantity, number] = 1 - defined / draws
            value, a = float(values[quantity]), float(accelerations[quantity])
            if undefined[quantity, number] > MOST_UNDEFINED or not np.isfinite(value):
                continue
            usable = rows[:defined]
            z0 = bias_correction(usable, value)
            tails = bca_tails(z0, a, alpha)
            scarce[quantity, number] = not _enough(tails, defined)
            if scarce[quantity, number] or usable[0] == usable[-1]:
                continue
            low[quantity, number] = quantile(usable, tails[0])
            high[quantity, number] = quantile(usable, tails[1])
            method[quantity, number] = BCA
            if quantity == DIFFERENCE:
                p_value[number] = bca_p_value(usable, z0, a, 0.0)
    return Replicated(low, high, p_value, method, undefined, scarce)


def _enough(tails: tuple[float, float], count: int) -> bool:
    """Whether both tails hold draws enough to read a quantile from."""
    # Half a millionth of a draw: 2,000 draws at 95% have 50 beyond each limit, but for rounding.
    return min(tails[0], 1 - tails[1]) * count >= FEWEST_IN_TAIL - 5e-7


def _quantities(metric: Metric | PooledMetric, counts: Array, gap: bool) -> Array:
    """Value, and with ``gap`` difference and ratio, from counts (2, 4, [classes,] draws): (1 or 3, draws)."""
    value = metric.value(*counts[0])
    if not gap:
        return value[None]
    other = metric.value(*counts[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.stack([value, value - other, value / other])


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


def _rows_left_out(point: Array) -> tuple[Array, Array]:
    """One class's counts (2, 4, 1) without one row of each of eight kinds, (2, 4, 8), and rows of each."""
    return point - np.eye(8).reshape(2, 4, 8), point.reshape(8)


def _leave_one_out(
    space: OutcomeSpace, table: NDArray[np.int64], patterns: ClusterPatterns | None
) -> tuple[Array, Array]:
    """All counts without one unit of each kind, (2, 4, classes, kinds), and units of each kind, (kinds,).

    A kind is a pattern where clusters are the unit, else an occupied cell of either side.
    """
    point = space.confusion(table).astype(np.float64)  # (2, classes, 4)
    if patterns is not None:
        units, times = patterns.totals, patterns.multiplicity.astype(np.float64)
    else:
        occupied = np.flatnonzero(table)
        units = np.zeros((occupied.size, table.size), dtype=np.int64)
        units[np.arange(occupied.size), occupied] = 1
        units = units.reshape(occupied.size, *table.shape)
        times = table.reshape(-1)[occupied].astype(np.float64)
    left = point[None] - space.confusion(units).astype(np.float64)
    return np.ascontiguousarray(np.transpose(left, (1, 3, 2, 0))), times
