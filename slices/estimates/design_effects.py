"""Design effects: what limits made outside the estimates must be told of clusters and weights.

Belongs here: how many rows of a slice tell as much as one independent row; one slice's designs. Does
not: the estimates' own limits (`slices.estimates.selection`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slices.counts import ClusterPatterns, CountedLog
from slices.estimates.clustering import linearise
from slices.estimates.comparison import COMPLEMENT, Pair, mean_weight, weighted_sides
from slices.estimates.degrees import satterthwaite_degrees
from slices.estimates.selection import Design
from slices.estimates.weighting import linearise_rows
from slices.metrics import METRICS, Metric
from slices.slicing import Slice


@dataclass(frozen=True, slots=True)
class DesignEffect:
    """How many rows tell as much as one independent row; shape (slice and complement, classes).

    ``effect``: the design effect, never below 1. ``few``: what enlarges it, as Korn and Graubard do for
    the few degrees of freedom of a variance between clusters, so that normal limits of the rows
    over both are as wide as Student's.
    """

    effect: NDArray[np.float64]
    few: NDArray[np.float64]


def design_effects(counted: CountedLog, slice_: Slice, metrics: Sequence[Metric]) -> dict[str, DesignEffect]:
    """Of each metric in one slice, from the log's clusters; all 1 where it has none.

    References
    ----------
    Korn & Graubard (1998), Survey Methodology 24, 193-201.
    """
    if counted.clusters is None or counted.patterns is None:
        ones = np.ones((2, len(counted.space.classes)))
        return {metric.name: DesignEffect(ones, ones) for metric in metrics}
    from scipy.special import ndtri, stdtrit

    patterns = counted.patterns(slice_)
    each = counted.space.confusion(patterns.totals).astype(np.float64)
    total = np.tensordot(patterns.multiplicity.astype(np.float64), each, axes=1)
    result = {}
    for name, errors in linearise(counted.space, patterns, metrics).items():
        rows, design = METRICS[name].trials(total), errors.design
        effective = np.clip(design.effective, 1e-9, rows.clip(1e-9))
        effect = np.where(rows > 0, np.maximum(rows / effective, 1), 1.0)
        few = (stdtrit(np.maximum(design.degrees, 1), 0.975) / ndtri(0.975)) ** 2
        result[name] = DesignEffect(effect, np.where(rows > 0, few, 1.0))
    return result


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
    weights = weighted_sides(counted, Pair(index, COMPLEMENT))
    table = np.asarray(counted.space.confusion(counts.inside), dtype=np.float64)
    if weights is not None:
        table = np.asarray(counted.space.confusion(weights.totals[0]), dtype=np.float64)
    if counted.clusters is not None and counted.patterns is not None:
        patterns = counted.patterns(counts.slice)
        if weights is not None:
            totals = patterns.totals.astype(np.float64) / mean_weight(counted)
            patterns = ClusterPatterns(totals, patterns.multiplicity)
        errors = linearise(counted.space, patterns, metrics, weights=weights)
    elif weights is not None:
        errors = linearise_rows(counted.space, weights, metrics)
    else:
        raise ValueError("Rows that are independent and of equal weight need no design.")
    inside = (np.zeros((), dtype=np.intp),)
    return table, {name: each.design.at(inside) for name, each in errors.items()}


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
