"""Design effects: what limits made outside the estimates must be told of clusters and weights.

Belongs here: how many rows of a slice tell as much as one independent row; one slice's designs. Does
not: the estimates' own limits (`slices.estimates.selection`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slices.counts import ClusterPatterns, CountedLog, SliceCounts
from slices.estimates.clustering import Errors, linearise
from slices.estimates.comparison import mean_weight, slice_and_rest
from slices.estimates.degrees import satterthwaite_degrees
from slices.estimates.selection import Design
from slices.estimates.weighting import linearise_rows
from slices.metrics import METRICS, Metric


@dataclass(frozen=True, slots=True)
class DesignEffect:
    """How many rows tell as much as one independent row; shape (slice and complement, classes).

    ``effect``: the design effect, never below 1. ``few``: what enlarges it, as Korn and Graubard do for
    the few degrees of freedom of a variance between clusters, so that normal limits of the rows
    over both are as wide as Student's.
    """

    effect: NDArray[np.float64]
    few: NDArray[np.float64]


def design_effects(
    counted: CountedLog, counts: SliceCounts, metrics: Sequence[Metric]
) -> dict[str, DesignEffect]:
    """Of each metric in one slice, from the log's clusters and weights; all 1 where it has neither.

    An effect is what the rows (their plain number) are divided by.

    References
    ----------
    Korn & Graubard (1998), Survey Methodology 24, 193-201.
    """
    found = _errors(counted, counts, metrics)
    if found is None:
        ones = np.ones((2, len(counted.space.classes)))
        return {metric.name: DesignEffect(ones, ones) for metric in metrics}
    from scipy.special import ndtri, stdtrit

    total = counted.space.confusion(np.stack([counts.inside, counts.outside])).astype(np.float64)
    # In weighted logs the patterns are sums of weights, and so is what the errors know of the denominators.
    result = {}
    for name, errors in found.items():
        rows, design = METRICS[name].trials(total), errors.design
        effective = np.clip(design.effective, 1e-9, rows.clip(1e-9))
        effect = np.where(rows > 0, np.maximum(rows / effective, 1), 1.0)
        few = (stdtrit(np.maximum(design.degrees, 1), 0.975) / ndtri(0.975)) ** 2
        result[name] = DesignEffect(effect, np.where(rows > 0, few, 1.0))
    return result


def _errors(counted: CountedLog, counts: SliceCounts, metrics: Sequence[Metric]) -> dict[str, Errors] | None:
    """Linearised errors of a slice and its complement; None where rows are independent and weigh the same."""
    weights = slice_and_rest(counts, mean_weight(counted)) if counts.weighted is not None else None
    if counted.clusters is not None and counted.patterns is not None:
        patterns = counted.patterns(counts.slice)
        if weights is not None:
            totals = patterns.totals.astype(np.float64) / mean_weight(counted)
            patterns = ClusterPatterns(totals, patterns.multiplicity)
        return linearise(counted.space, patterns, metrics, weights=weights)
    return None if weights is None else linearise_rows(counted.space, weights, metrics)


def slice_designs(
    counted: CountedLog, index: int, metrics: Sequence[Metric]
) -> tuple[NDArray[np.float64], dict[str, Design]]:
    """The confusion counts of the slice at a place, (classes, 4), and designs as its estimates have them.

    Counts are sums of weights (on average 1 a row of the log) where rows have weights.

    Raises
    ------
    ValueError
        The log has neither clusters nor weights.
    """
    counts = counted.slices[index]
    errors = _errors(counted, counts, metrics)
    if errors is None:
        raise ValueError("Rows that are independent and of equal weight need no design.")
    cells: NDArray[np.float64] | NDArray[np.int64] = counts.inside
    if counts.weighted is not None:
        cells = slice_and_rest(counts, mean_weight(counted)).totals[0]
    table = np.asarray(counted.space.confusion(cells), dtype=np.float64)
    inside = (np.zeros((), dtype=np.intp),)
    return table, {name: each.design.at(inside) for name, each in errors.items()}


def weighted_share(
    hits: NDArray[np.bool_], weight: NDArray[np.float64], clusters: NDArray[np.int64] | None
) -> tuple[float, float]:
    """A weighted share, and the number of independent rows that it rests on.

    Parameters
    ----------
    hits : bool array, shape (rows,)
        At least one row.
    weight : float64 array, shape (rows,)
    clusters : int64 array, shape (rows,), optional

    Notes
    -----
    From the linearised error between rows or clusters, made smaller for its few degrees of freedom as in
    `design_effects`; never above Kish's effective number. A share of 0 or 1 has Kish's alone.

    References
    ----------
    Kish (1965), Survey Sampling, section 8.2; Korn & Graubard (1998), Survey Methodology 24, 193-201.
    """
    from scipy.special import ndtri, stdtrit

    where = np.arange(hits.size) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    mass = np.bincount(where, weights=weight)
    whole = float(mass.sum())
    if whole <= 0:
        return 0.0, 0.0
    kish = whole**2 / float(mass @ mass)
    share = float(weight @ hits) / whole
    units = int(np.count_nonzero(mass))
    if not 0 < share < 1 or units < 2:
        return share, kish
    each = np.bincount(where, weights=weight * (hits - share)) / whole
    square = units / (units - 1) * float(each @ each)
    few = float(stdtrit(satterthwaite_degrees(each[mass > 0]), 0.975) / ndtri(0.975)) ** 2
    rows = whole**2 / float(weight @ weight)
    return share, min(share * (1 - share) / square, rows) / few if square > 0 else kish / few


def share_effect(hits: NDArray[np.bool_], clusters: NDArray[np.int64] | None) -> float:
    """Design effect of a share of rows, from the rows themselves; 1 without clusters.

    Parameters
    ----------
    hits : bool array, shape (rows,)
        At least one row.
    clusters : int64 array, shape (rows,), optional

    Notes
    -----
    Both parts of `DesignEffect` in one: the effect, never below 1, and what enlarges it. A share
    of 0 or 1 shows no spread: each cluster is worth one row.
    """
    if clusters is None:
        return 1.0
    from scipy.special import ndtri, stdtrit

    _, where = np.unique(clusters, return_inverse=True)
    share, number = float(hits.mean()), int(where.max()) + 1
    if not 0 < share < 1 or number < 2:
        return hits.size / number
    each = np.bincount(where, hits - share).astype(np.float64)
    effect = number / (number - 1) * float(each @ each) / (hits.size * share * (1 - share))
    few = float(stdtrit(satterthwaite_degrees(each), 0.975) / ndtri(0.975)) ** 2
    return max(effect, 1.0) * few
