"""Calibration: do the scores mean what they say? Reliability curve and debiased calibration error.

Belongs here: anything that takes the score for a probability, by bins. Does not: the Brier
score and ranking metrics (`slices.scores.ranking`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from slices.intervals import clopper_pearson
from slices.said import say
from slices.scores.limits import Law
from slices.scores.ranking import (
    FEW,
    ROUNDING,
    Floats,
    Ints,
    ScoreEstimate,
    bounded_estimate,
    distinct,
    effective_share,
    no_probabilities,
    undefined_estimate,
)

BINS = 15


@dataclass(frozen=True, slots=True)
class ReliabilityCurve:
    """Mean score against observed share of positives, per bin of equal numbers of rows.

    Attributes
    ----------
    rows : int64 array, shape (bins,)
    share : float64 array, shape (bins,)
        Of the rows, or of their weights.
    score, observed : float64 array, shape (bins,)
        Mean score and share of positives in the bin.
    low, high : float64 array, shape (bins,)
        Limits of the share (Clopper-Pearson; effective rows where clustered).
    variance : float64 array, shape (bins,)
        Of ``observed - score``, per cluster where clustered.
    """

    rows: Ints
    share: Floats
    score: Floats
    observed: Floats
    low: Floats
    high: Floats
    variance: Floats


def reliability(
    scores: Floats,
    labels: NDArray[np.bool_],
    clusters: Ints | None = None,
    weights: Floats | None = None,
    *,
    bins: int = BINS,
    confidence: float = 0.95,
) -> ReliabilityCurve:
    """Reliability curve in bins of (nearly) equal numbers (sums of weights); equal scores stay in one bin.

    Bins of equal numbers rather than equal widths: the latter leave most rows of a skewed score in
    one bin, and were more biased in Roelofs et al. (2022), Mitigating bias in calibration error
    estimation, AISTATS.

    Parameters
    ----------
    scores : float64 array, shape (rows,)
        In [0, 1].
    labels : bool array, shape (rows,)
    clusters : int64 array, shape (rows,), optional
        Cluster codes.
    weights : float64 array, shape (rows,), optional
        Above 0.
    """
    mass = np.ones(scores.size) if weights is None else weights
    where = _equal_bins(scores, mass, bins)
    size = int(where.max()) + 1
    rows = np.bincount(where, minlength=size)
    total = np.bincount(where, mass, size).astype(np.float64)
    score = np.bincount(where, mass * scores, size) / total
    # Equal weights add up to the numbers but for rounding.
    observed = np.minimum(np.bincount(where, mass * labels, size) / total, 1.0)
    # The residual y - p about the bin's gap; n - 1 makes the variance unbiased.
    residual = labels - scores - (observed - score)[where]
    if clusters is None and weights is None:
        spread = np.bincount(where, residual**2, size)
        variance = spread / np.maximum(rows - 1, 1) / rows
        effective = rows.astype(np.float64)
    else:
        units = np.arange(scores.size) if clusters is None else clusters
        variance, number = _clustered_variance(mass * residual, where, units, total)
        worth = number * total**2 / np.bincount(where, mass**2, size) / rows
        binomial = observed * (1 - observed)
        with np.errstate(divide="ignore", invalid="ignore"):
            effective = np.where((variance > 0) & (binomial > 0), binomial / variance, worth)
        effective = np.minimum(effective, rows)
    low, high = clopper_pearson(observed * effective, effective, 1 - confidence)
    return ReliabilityCurve(rows.astype(np.int64), total / total.sum(), score, observed, low, high, variance)


def calibration_error(
    scores: Floats,
    labels: NDArray[np.bool_],
    clusters: Ints | None = None,
    weights: Floats | None = None,
    *,
    bins: int = BINS,
    confidence: float = 0.95,
) -> ScoreEstimate:
    """Expected calibration error (mean absolute gap over bins), debiased.

    The plug-in error is biased upwards, since noise has an absolute value too. Subtracted is its
    bias as if the observed gaps were the true ones: sum of share x (E|N(gap, variance)| - |gap|),
    the debiased estimator of Kumar, Liang & Ma, in closed form (they simulate it). The variance of
    each bin's share is taken from its rows, or its clusters. The error is at least 0.

    Notes
    -----
    The standard error is that of the debiased sum with each bin's gap normal about the observed one
    (by quadrature; it exceeds the plug-in's where gaps are near 0), bins taken as independent, and of
    the correction's own size; the interval is truncated to [0, 1]. Its low limit is 0 unless a test of
    calibration rejects: no noise of an error near 0 is normal. With fewer than 10 rows a bin
    fewer bins are used, never fewer than 2; below 20 rows (clusters): undefined. Weighted rows count with
    Kish's effective number.

    References
    ----------
    Kumar, Liang & Ma (2019), Verified uncertainty calibration, NeurIPS, section 5 and appendix D.
    """
    rows = int(scores.size)
    units = rows if clusters is None else distinct(clusters)
    method = say("method.debiased", "debiased (Kumar, Liang & Ma 2019), bins of equal numbers")
    worth = effective_share(weights)
    if units * worth < 2 * FEW:
        return undefined_estimate(rows, method, _few(units, worth, of_clusters=clusters is not None))
    if (reason := no_probabilities(scores)) is not None:
        return undefined_estimate(rows, method, reason)
    used = max(2, min(bins, int(rows * worth + 1e-9) // FEW))
    curve = reliability(scores, labels, clusters, weights, bins=used, confidence=confidence)
    share = curve.share
    gap = np.abs(curve.observed - curve.score)
    folded = folded_normal_mean(gap, np.sqrt(curve.variance))
    plug_in = float(share @ gap)
    correction = float(share @ (folded - gap))
    value = max(0.0, plug_in - correction)
    # The correction holds only if the observed gaps were the true ones: it is uncertain by its own size.
    se = sqrt(float(share**2 @ _debiased_variance(gap, np.sqrt(curve.variance))) + correction**2)
    if se <= ROUNDING:
        reason = say(
            "undefined.no_spread_in_bins",
            "Every bin holds one class and one score: the error has no spread to measure.",
        )
        return undefined_estimate(rows, method, reason, value=value)
    null = _calibrated(scores, labels, clusters, weights, used)
    return bounded_estimate(Law("linear", value, se, null=null), rows, method, confidence)


def _calibrated(
    scores: Floats, labels: NDArray[np.bool_], clusters: Ints | None, weights: Floats | None, bins: int
) -> float:
    """P-value of perfect calibration: the bins' squared gaps over their variances, if scores are true.

    Without clusters the variances are those of labels drawn with the scores as probabilities, and the sum's
    first two moments are exact (a scaled chi-square with them). With clusters the gaps' covariance is
    that between clusters, the moments those of a normal quadratic form (Rao & Scott), and F has as
    many degrees of freedom below as clusters less 1.

    References
    ----------
    Hosmer & Lemeshow (1980), Communications in Statistics A9, 1043-1069; Rao & Scott (1984), Annals of
    Statistics 12, 46-60.
    """
    from scipy.special import chdtrc, fdtrc

    mass = np.ones(scores.size) if weights is None else weights
    where = _equal_bins(scores, mass, bins)
    each = scores * (1 - scores)
    variance = np.bincount(where, mass**2 * each)
    moving = variance > 0
    gap = np.bincount(where, mass * (labels - scores))
    if np.any(np.abs(gap[~moving]) > ROUNDING):
        return 0.0  # a score of 0 or 1 that is wrong
    if not moving.any():
        return 1.0
    statistic = float((gap[moving] ** 2 / variance[moving]).sum())
    if clusters is None:
        fourth = np.bincount(where, mass**4 * each * (1 - 6 * each))[moving]
        mean, spread = float(moving.sum()), float((2 + fourth / variance[moving] ** 2).sum())
        degrees = 2 * mean**2 / spread
        return float(chdtrc(degrees, statistic * degrees / mean))
    _, code = np.unique(clusters, return_inverse=True)
    number = int(code.max()) + 1
    totals = np.zeros((number, variance.size))
    np.add.at(totals, (code, where), mass * (labels - scores))
    scaled = totals[:, moving] / np.sqrt(variance[moving])
    covariance = scaled.T @ scaled
    mean, square = float(np.trace(covariance)), float((covariance**2).sum())
    if mean <= 0:
        return 1.0
    return float(fdtrc(mean**2 / square, max(number - 1, 1), statistic / mean))


def _few(units: int, worth: float, *, of_clusters: bool) -> str:
    """Why so few rows or clusters are too few."""
    if worth < 1 and units >= 2 * FEW:
        return say(
            "undefined.few_effective",
            "{units:.1f} effective rows or clusters with a score (Kish); {minimum} are needed.",
            units=units * worth,
            minimum=2 * FEW,
        )
    if of_clusters:
        return say(
            "undefined.few_scored_clusters",
            "{clusters} clusters with a score; {minimum} are needed.",
            clusters=units,
            minimum=2 * FEW,
        )
    return say(
        "undefined.few_scored_rows",
        "{rows} rows with a score; {minimum} are needed.",
        rows=units,
        minimum=2 * FEW,
    )


def folded_normal_mean(mean: Floats, deviation: Floats) -> Floats:
    """E|X| for X ~ N(mean, deviation^2); |mean| where the deviation is 0.

    References
    ----------
    Leone, Nelson & Nottingham (1961), The folded normal distribution, Technometrics 3, 543-550.
    """
    from scipy.special import ndtr

    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(deviation > 0, mean / deviation, np.inf)
        result: Floats = deviation * np.sqrt(2 / np.pi) * np.exp(-(z**2) / 2) + mean * (1 - 2 * ndtr(-z))
    return np.where(deviation > 0, result, np.abs(mean))


def _debiased_variance(gap: Floats, deviation: Floats) -> Floats:
    """Variance of 2|X| - E|N(X, deviation^2)| for X ~ N(gap, deviation^2), by Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(48)
    weights = weights / weights.sum()
    drawn = gap[:, None] + deviation[:, None] * nodes
    debiased = 2 * np.abs(drawn) - folded_normal_mean(drawn, np.broadcast_to(deviation[:, None], drawn.shape))
    mean = debiased @ weights
    result: Floats = np.maximum(debiased**2 @ weights - mean**2, 0.0)
    return result


def _equal_bins(scores: Floats, mass: Floats, bins: int) -> Ints:
    """Bin of each row: by the rank of its score's first row, so that ties share a bin; codes without gaps."""
    values, where = np.unique(scores, return_inverse=True)
    each = np.bincount(where, mass, values.size)
    middle = np.cumsum(each) - each / 2
    of_value = np.minimum((middle * bins / each.sum()).astype(np.int64), bins - 1)
    _, dense = np.unique(of_value, return_inverse=True)
    return dense[where].astype(np.int64) if values.size else np.zeros(0, dtype=np.int64)


def _clustered_variance(
    residual: Floats, where: Ints, clusters: Ints, total: Floats
) -> tuple[Floats, Floats]:
    """Variance of each bin's gap from cluster totals, and the clusters in the bin."""
    size = total.size
    _, code = np.unique(clusters, return_inverse=True)
    pair, at = np.unique(code.astype(np.int64) * size + where, return_inverse=True)
    totals = np.bincount(at, residual)
    bin_of = pair % size
    count = np.bincount(bin_of, minlength=size).astype(np.float64)
    variance = np.bincount(bin_of, totals**2, size) * count / np.maximum(count - 1, 1) / total**2
    return variance, count
