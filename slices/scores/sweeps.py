"""Sweeps: a metric of the decisions, and its gap to a comparator, at other thresholds.

Belongs here: what shows whether a gap is an artefact of the threshold. Does not: figures at the operating
threshold (`slices.estimates`), curves over all thresholds at once (`slices.scores.curves`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from slices.counts import FN, FP, TN, TP, ClusterPatterns, OutcomeSpace, ScoreRows
from slices.estimates.clustering import Errors, linearise
from slices.estimates.comparison import WeightedSides
from slices.estimates.disparities import gaps
from slices.estimates.selection import Bounds, Design, bounds
from slices.estimates.weighting import linearise_rows
from slices.metrics import Metric

Floats = NDArray[np.float64]
Tie = Literal[">=", ">"]

_SPACE = OutcomeSpace("binary", (None,), strata=1, cells=4)


@dataclass(frozen=True, slots=True)
class Sweep:
    """One metric over thresholds, in one slice and against its comparator.

    Attributes
    ----------
    thresholds : float64 array, shape (thresholds,)
    value : Bounds
        Of the slice; pointwise limits; NaN where it is undefined.
    gap : Bounds or None
        Slice less comparator; None without one.
    support : float64 array, shape (thresholds,)
        The denominator in rows.
    """

    thresholds: Floats
    value: Bounds
    gap: Bounds | None
    support: Floats


def swept(
    metrics: Sequence[Metric],
    inside: ScoreRows,
    outside: ScoreRows | None,
    thresholds: Floats,
    *,
    tie: Tie,
    confidence: float = 0.95,
) -> dict[str, Sweep]:
    """Metrics of a slice, and their gaps to a comparator, had the threshold been another.

    Parameters
    ----------
    metrics : sequence of Metric
        Proportions.
    inside, outside : ScoreRows
        Rows of the slice and of its comparator; clusters and weights as there are.
    thresholds : float64 array
        Ascending.
    tie : str
        How a score at the threshold is read.

    Notes
    -----
    The limits are the closed forms that the estimates have (`slices.estimates.selection`):
    of rows, between clusters, of weighted rows; those of a gap are Miettinen and Nurminen's for rows,
    else MOVER's with the correlation of the two sides. They hold at one threshold each.
    """
    sides = (inside,) if outside is None else (inside, outside)
    counts = np.stack([_counts(rows, thresholds, tie) for rows in sides])  # (sides, thresholds, 4)
    found, designed = counts, inside.cluster is not None or inside.weight is not None
    errors: list[dict[str, Errors]] = []
    if designed:
        found = np.stack([_counts(rows, thresholds, tie, weighted=True) for rows in sides])
        errors = [
            _errors(metrics, sides, counts[:, place], found[:, place], threshold, tie)
            for place, threshold in enumerate(thresholds.tolist())
        ]
    alpha = 1 - confidence
    result = {}
    for metric in metrics:
        designs = None
        correlation: Floats | float = 0.0
        if designed:
            designs = (_stacked(errors, metric.name, 0), _stacked(errors, metric.name, 1))
            correlation = np.array([each[metric.name].correlation[0] for each in errors])
        value = bounds(metric, found[0], alpha, designs=None if designs is None else designs[0])
        gap = None
        if outside is not None:
            gap = gaps(
                metric, found[0], found[1], alpha, designs=designs, correlation=correlation, tested=False
            ).difference
        result[metric.name] = Sweep(thresholds, value, gap, metric.trials(counts[0]))
    return result


def spread_thresholds(scores: Floats, operating: float | None, number: int) -> Floats:
    """Thresholds at even quantiles of the scores, the operating one among them.

    Shared by all slices, so that their curves can be held against each other.
    """
    if scores.size == 0:
        return np.empty(0)
    wanted = np.linspace(0, scores.size - 1, number).round().astype(np.intp)
    chosen = np.unique(np.partition(scores, np.unique(wanted))[wanted])
    return chosen if operating is None else np.union1d(chosen, [operating])


def _calls(rows: ScoreRows, threshold: float, tie: Tie) -> NDArray[np.intp]:
    """The cell of each row had the threshold been this one."""
    called = rows.scores >= threshold if tie == ">=" else rows.scores > threshold
    return np.where(rows.positive, np.where(called, TP, FN), np.where(called, FP, TN))


def _counts(rows: ScoreRows, thresholds: Floats, tie: Tie, *, weighted: bool = False) -> Floats:
    """Confusion counts (or sums of weights) at each threshold, (thresholds, 4), in one pass over the rows."""
    weight = rows.weight if weighted else None
    passed = np.searchsorted(thresholds, rows.scores, side="right" if tie == ">=" else "left")
    width = thresholds.size + 1
    binned = np.bincount(rows.positive * width + passed, weights=weight, minlength=2 * width).reshape(
        2, width
    )
    below = np.cumsum(binned, axis=1)[:, :-1]
    above = binned.sum(axis=1, keepdims=True) - below
    return np.stack([above[1], above[0], below[1], below[0]], axis=-1).astype(np.float64)


def _errors(
    metrics: Sequence[Metric],
    sides: Sequence[ScoreRows],
    counts: Floats,
    totals: Floats,
    threshold: float,
    tie: Tie,
) -> dict[str, Errors]:
    """Standard errors of both sides at one threshold, between clusters or of weighted rows."""
    cells = [_calls(rows, threshold, tie) for rows in sides]
    weights = _weighted(sides, cells, counts, totals)
    if sides[0].cluster is None:
        assert weights is not None
        return linearise_rows(_SPACE, weights, metrics)
    clusters = [rows.cluster for rows in sides if rows.cluster is not None]
    _, places = np.unique(np.concatenate(clusters), return_inverse=True)
    number = int(places.max()) + 1 if places.size else 1
    each = np.zeros((number, 2, 1, 4))
    start = 0
    for side, (rows, cell) in enumerate(zip(sides, cells, strict=True)):
        here = places[start : start + cell.size] * 4 + cell
        start += cell.size
        each[:, side, 0] = np.bincount(here, weights=rows.weight, minlength=4 * number).reshape(number, 4)
    return linearise(_SPACE, ClusterPatterns(each, np.ones(number, np.int64)), metrics, weights=weights)


def _weighted(
    sides: Sequence[ScoreRows], cells: Sequence[NDArray[np.intp]], counts: Floats, totals: Floats
) -> WeightedSides | None:
    """Rows, weights and their powers of both sides at one threshold; None where rows have no weights."""
    number, mass = np.zeros((2, 1, 4), np.int64), np.zeros((2, 1, 4))
    squares, fourths = np.zeros((2, 1, 4)), np.zeros((2, 1, 4))
    for side, (rows, cell) in enumerate(zip(sides, cells, strict=True)):
        if rows.weight is None:
            return None
        number[side, 0], mass[side, 0] = counts[side], totals[side]
        squares[side, 0] = np.bincount(cell, weights=rows.weight**2, minlength=4)
        fourths[side, 0] = np.bincount(cell, weights=rows.weight**4, minlength=4)
    return WeightedSides(number, mass, squares, fourths)


def _stacked(errors: Sequence[dict[str, Errors]], name: str, side: int) -> dict[str, Design]:
    """One metric's design of one side over the thresholds."""
    designs = [each[name].design for each in errors]
    arrays = {
        field.name: np.array([getattr(design, field.name)[side, 0] for design in designs])
        for field in fields(Design)
        if field.name != "unit"
    }
    return {name: Design(**arrays, unit=designs[0].unit)}
