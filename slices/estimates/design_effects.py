"""Design effects: how many rows of a slice tell as much as one independent row.

Belongs here: what limits made from plain counts must be told of clusters. Does not: the estimates'
own limits (`slices.estimates.selection`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slices.counts import CountedLog, SliceCounts
from slices.estimates.clustering import linearise
from slices.estimates.comparison import mean_weight
from slices.estimates.degrees import satterthwaite_degrees
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
    weighted = counts.weighted
    clustered = counted.clusters is not None and counted.patterns is not None
    if not clustered and weighted is None:
        ones = np.ones((2, len(counted.space.classes)))
        return {metric.name: DesignEffect(ones, ones) for metric in metrics}
    from scipy.special import ndtri, stdtrit

    plain = np.stack([counts.inside, counts.outside])
    total = counted.space.confusion(plain).astype(np.float64)
    if counted.clusters is not None and counted.patterns is not None:
        found = linearise(counted.space, counted.patterns(counts.slice), metrics)
    else:
        assert weighted is not None
        scale = mean_weight(counted)
        totals = np.stack([weighted.inside, weighted.outside]) / scale
        squares = np.stack([weighted.inside_squares, weighted.outside_squares]) / scale**2
        found = linearise_rows(counted.space, totals, squares, plain, metrics)
    # In weighted logs the patterns are sums of weights, and so is what the errors know of the denominators.
    result = {}
    for name, errors in found.items():
        rows, design = METRICS[name].trials(total), errors.design
        effective = np.clip(design.effective, 1e-9, rows.clip(1e-9))
        effect = np.where(rows > 0, np.maximum(rows / effective, 1), 1.0)
        few = (stdtrit(np.maximum(design.degrees, 1), 0.975) / ndtri(0.975)) ** 2
        result[name] = DesignEffect(effect, np.where(rows > 0, few, 1.0))
    return result


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
