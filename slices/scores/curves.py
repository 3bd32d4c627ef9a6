"""Curves: the ROC curve, and confusion counts and metrics over a sweep of thresholds.

Belongs here: what a reader needs to see whether a gap is an artefact of the threshold.
Does not: single-figure summaries (`slices.scores.ranking`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from slices.intervals import clopper_pearson
from slices.scores.ranking import Floats, Ints, ScoreHistogram

SweepMetric = Literal["recall", "fpr", "specificity", "fnr", "precision", "npv", "selection_rate", "accuracy"]

# Numerator and denominator as cells of (tp, fp, fn, tn).
_CELLS: dict[SweepMetric, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "recall": ((0,), (0, 2)),
    "fnr": ((2,), (0, 2)),
    "fpr": ((1,), (1, 3)),
    "specificity": ((3,), (1, 3)),
    "precision": ((0,), (0, 1)),
    "npv": ((3,), (2, 3)),
    "selection_rate": ((0, 1), (0, 1, 2, 3)),
    "accuracy": ((0, 3), (0, 1, 2, 3)),
}


@dataclass(frozen=True, slots=True)
class Sweep:
    """One metric over thresholds; NaN never: ``defined`` says where the denominator is not empty.

    Arrays have shape (thresholds,); ``value``, ``low`` and ``high`` are 0 where not defined
    and must not be read there.
    """

    thresholds: Floats
    value: Floats
    low: Floats
    high: Floats
    support: Ints
    defined: NDArray[np.bool_]


def sweep_counts(counts: ScoreHistogram, thresholds: Floats, *, tie: Literal[">=", ">"]) -> Ints:
    """Confusion counts at each threshold: shape (thresholds, 4), axis 1 tp, fp, fn, tn.

    A row is predicted positive where its score is ``tie`` the threshold.
    """
    # Index of the first bin that is predicted positive.
    first = np.searchsorted(counts.scores, thresholds, side="left" if tie == ">=" else "right")
    below1 = np.concatenate([[0], np.cumsum(counts.positives)])[first]
    below0 = np.concatenate([[0], np.cumsum(counts.negatives)])[first]
    n1, n0 = counts.positives.sum(), counts.negatives.sum()
    return np.stack([n1 - below1, n0 - below0, below1, below0], axis=-1).astype(np.int64)


def sweep(
    counts: ScoreHistogram,
    thresholds: Floats,
    metric: SweepMetric,
    *,
    tie: Literal[">=", ">"],
    confidence: float = 0.95,
) -> Sweep:
    """A proportion metric with Clopper-Pearson limits at each threshold (pointwise, rows as units)."""
    cells = sweep_counts(counts, thresholds, tie=tie)
    top, bottom = _CELLS[metric]
    events = cells[:, top].sum(-1)
    support = cells[:, bottom].sum(-1)
    defined = support > 0
    trials = np.where(defined, support, 1)
    low, high = clopper_pearson(events, trials, 1 - confidence)
    return Sweep(
        thresholds,
        np.where(defined, events / trials, 0.0),
        np.where(defined, low, 0.0),
        np.where(defined, high, 0.0),
        support,
        defined,
    )


def roc_curve(counts: ScoreHistogram, *, points: int | None = None) -> tuple[Floats, Floats, Floats]:
    """ROC curve: false positive rate, true positive rate and threshold (``>=``), from (0, 0) to (1, 1).

    Parameters
    ----------
    points : int, optional
        At most so many points, spread evenly along the curve's length in both rates; the
        first and last stay. None: every distinct score.

    Returns
    -------
    fpr, tpr, threshold : float64 arrays, shape (points,)
        The first threshold is infinity: nothing is predicted positive.

    Raises
    ------
    ValueError
        A class is empty.
    """
    n1, n0 = counts.positives.sum(), counts.negatives.sum()
    if n1 == 0 or n0 == 0:
        raise ValueError(f"a ROC curve needs both classes, found {n1} positives and {n0} negatives")
    # Over their own last sum, not n1 and n0: weights add up to a little more or less in another order.
    above1, above0 = np.cumsum(counts.positives[::-1]), np.cumsum(counts.negatives[::-1])
    tpr = np.concatenate([[0.0], above1 / above1[-1]])
    fpr = np.concatenate([[0.0], above0 / above0[-1]])
    threshold = np.concatenate([[np.inf], counts.scores[::-1]])
    if points is not None and tpr.size > points:
        length = tpr + fpr
        keep = np.unique(np.searchsorted(length, np.linspace(0, length[-1], points)))
        keep = np.union1d(keep, [0, tpr.size - 1])[:points]
        keep[-1] = tpr.size - 1
        return fpr[keep], tpr[keep], threshold[keep]
    return fpr, tpr, threshold


def even_thresholds(counts: ScoreHistogram, number: int = 41) -> Floats:
    """Thresholds at even quantiles of the scores, for a sweep that shows every part of the log."""
    rows = np.cumsum(counts.positives + counts.negatives)
    wanted = np.linspace(0, rows[-1], number)
    where = np.minimum(np.searchsorted(rows, wanted), counts.scores.size - 1)
    return np.asarray(np.unique(counts.scores[where]), dtype=np.float64)
