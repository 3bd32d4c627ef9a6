"""Curves: the ROC curve.

Does not belong here: figures threshold by threshold (`slices.scores.sweeps`), single-figure
summaries (`slices.scores.ranking`).
"""

from __future__ import annotations

import numpy as np

from slices.scores.ranking import Floats, ScoreHistogram


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
