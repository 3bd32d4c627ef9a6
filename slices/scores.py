"""Scores: metrics of a ranking or a probability, with intervals: AUROC, average precision, Brier.

Belongs here: estimates from scores and binary labels of one slice, as arrays. Does not:
calibration error and reliability (`slices.calibration`), curves and thresholds
(`slices.curves`), reading a log.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np
from numpy.typing import NDArray

from slices.degrees import satterthwaite_degrees
from slices.intervals import clopper_pearson
from slices.said import say

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Below so many units (rows, clusters) a linearised variance is no guide.
FEW = 10
# Below so many rows of a class DeLong's is not either: 92% coverage at 12 positives, 94% at 20.
FEW_OF_A_CLASS = 20


@dataclass(frozen=True, slots=True)
class ScoreHistogram:
    """Rows per distinct score (or bin), ascending: all that the unclustered metrics need. Histograms add.

    Attributes
    ----------
    scores : float64 array, shape (bins,)
        Strictly ascending; a bin's representative score.
    positives, negatives : int64 array, shape (bins,)
        Rows with a positive or negative label.
    """

    scores: Floats
    positives: Ints
    negatives: Ints


@dataclass(frozen=True, slots=True)
class ScoreEstimate:
    """A metric of scores; ``undefined`` is the reason why ``value`` or its limits are None."""

    value: float | None
    low: float | None
    high: float | None
    se: float | None
    support: int
    method: str
    undefined: str | None = None


def histogram(scores: Floats, labels: NDArray[np.bool_]) -> ScoreHistogram:
    """Count positives and negatives per distinct score: exact, no binning."""
    values, where = np.unique(np.asarray(scores, dtype=np.float64), return_inverse=True)
    positives = np.bincount(where[labels], minlength=values.size).astype(np.int64)
    negatives = np.bincount(where[~labels], minlength=values.size).astype(np.int64)
    return ScoreHistogram(values, positives, negatives)


def merge(first: ScoreHistogram, second: ScoreHistogram) -> ScoreHistogram:
    """Histogram of the union of two disjoint parts of a log."""
    values, where = np.unique(np.concatenate([first.scores, second.scores]), return_inverse=True)
    totals = []
    for a, b in ((first.positives, second.positives), (first.negatives, second.negatives)):
        total = np.zeros(values.size, dtype=np.int64)
        np.add.at(total, where, np.concatenate([a, b]))
        totals.append(total)
    return ScoreHistogram(values, totals[0], totals[1])


def auroc(counts: ScoreHistogram, *, confidence: float = 0.95, logit: bool = True) -> ScoreEstimate:
    """Area under the ROC curve with DeLong's variance, in one pass over the histogram.

    Parameters
    ----------
    counts : ScoreHistogram
    logit : bool
        Interval on the logit scale (default; stays inside (0, 1)), else on the linear one.

    Notes
    -----
    Satterthwaite's degrees of freedom, since few rows may carry the variance of a large area. With fewer
    than 20 rows of a class, or at 0 or 1, the limits are Newcombe's (2006, method 5),
    which solve a score equation and have positive width there too.

    References
    ----------
    DeLong, DeLong & Clarke-Pearson (1988), Biometrics 44, 837-845. Sun & Xu (2014), IEEE Signal
    Processing Letters 21, 1389-1393 (mid-ranks). Newcombe (2006), Statistics in Medicine 25, 559-573.
    """
    n1, n0 = int(counts.positives.sum()), int(counts.negatives.sum())
    if (reason := _one_class(n1, n0)) is not None:
        return ScoreEstimate(None, None, None, None, n1 + n0, say("method.delong", "DeLong"), reason)
    v10, v01 = _placements(counts)
    value = float(counts.positives @ v10) / n1
    if min(n1, n0) < FEW_OF_A_CLASS or value in (0.0, 1.0):
        low, high = newcombe_auc_limits(value, n1, n0, confidence)
        return ScoreEstimate(
            value,
            low,
            high,
            None,
            n1 + n0,
            say("method.newcombe_few", "Newcombe's method 5 (few rows of a class)"),
        )
    s10 = float(counts.positives @ (v10 - value) ** 2) / (n1 - 1)
    s01 = float(counts.negatives @ (v01 - value) ** 2) / (n0 - 1)
    se = sqrt(s10 / n1 + s01 / n0)
    if logit:
        influence = np.concatenate([(v10 - value) / n1, (v01 - value) / n0])
        degrees = satterthwaite_degrees(influence, np.concatenate([counts.positives, counts.negatives]))
        low, high = logit_limits(value, se, _student(confidence, degrees))
        return ScoreEstimate(value, low, high, se, n1 + n0, say("method.delong_logit", "DeLong, logit-t"))
    reach = _normal(confidence) * se
    return ScoreEstimate(
        value, value - reach, value + reach, se, n1 + n0, say("method.delong_linear", "DeLong, linear scale")
    )


def auroc_clustered(
    scores: Floats, labels: NDArray[np.bool_], clusters: Ints, *, confidence: float = 0.95
) -> ScoreEstimate:
    """Area under the ROC curve with Obuchowski's variance for clustered rows, logit-t interval.

    Parameters
    ----------
    scores, labels, clusters : arrays, shape (rows,)
        ``clusters`` are codes 0 .. C - 1; a cluster may hold rows of either class or of both.

    Notes
    -----
    Degrees of freedom: Satterthwaite's, at most the smaller of the numbers of clusters with a positive
    and with a negative row, less 1 (Obuchowski uses the normal law, which is too narrow below some
    40 clusters). With fewer than 2 of either, undefined.

    References
    ----------
    Obuchowski (1997), Nonparametric analysis of clustered ROC curve data, Biometrics 53, 567-578.
    """
    counts = histogram(scores, labels)
    n1, n0 = int(counts.positives.sum()), int(counts.negatives.sum())
    method = say("method.obuchowski", "Obuchowski, logit-t")
    if (reason := _one_class(n1, n0)) is not None:
        return ScoreEstimate(None, None, None, None, n1 + n0, method, reason)
    v10, v01 = _placements(counts)
    value = float(counts.positives @ v10) / n1
    at = np.searchsorted(counts.scores, scores)
    size = int(clusters.max()) + 1
    # Centred placements, summed per cluster.
    d1 = np.bincount(clusters, np.where(labels, v10[at] - value, 0.0), size)
    d0 = np.bincount(clusters, np.where(labels, 0.0, v01[at] - value), size)
    i10 = int(np.unique(clusters[labels]).size)
    i01 = int(np.unique(clusters[~labels]).size)
    if min(i10, i01) < 2:
        reason = say(
            "undefined.two_clusters",
            "{positive} clusters hold a positive row and {negative} a negative one; 2 of each are needed.",
            positive=i10,
            negative=i01,
        )
        return ScoreEstimate(value, None, None, None, n1 + n0, method, reason)
    used = int(np.unique(clusters).size)
    s10 = i10 / (i10 - 1) * float(d1 @ d1) / n1
    s01 = i01 / (i01 - 1) * float(d0 @ d0) / n0
    s11 = used / (used - 1) * float(d1 @ d0)
    variance = s10 / n1 + s01 / n0 + 2 * s11 / (n1 * n0)
    if value in (0.0, 1.0) or variance <= 0 or min(i10, i01) < FEW:
        # As if each cluster were one row: never more certain than that.
        low, high = newcombe_auc_limits(value, i10, i01, confidence)
        return ScoreEstimate(
            value,
            low,
            high,
            None,
            n1 + n0,
            say("method.newcombe_clusters", "Newcombe's method 5 with n = clusters"),
        )
    se = sqrt(variance)
    whole = d1 / n1 + d0 / n0
    degrees = min(min(i10, i01) - 1, satterthwaite_degrees(whole[whole != 0]))
    low, high = logit_limits(value, se, _student(confidence, degrees))
    return ScoreEstimate(value, low, high, se, n1 + n0, method)


def newcombe_auc_limits(value: float, n1: int, n0: int, confidence: float) -> tuple[float, float]:
    """Newcombe's method 5: the areas whose Hanley-McNeil variance reaches the estimate at the level.

    References
    ----------
    Newcombe (2006), Confidence intervals for an effect size measure based on the Mann-Whitney
    statistic, part 2, Statistics in Medicine 25, 559-573, method 5.
    """
    from scipy.optimize import brentq

    quantile = _normal(confidence)
    mean_size = (n1 + n0) / 2

    def excess(theta: float) -> float:
        spread = 1 + (mean_size - 1) * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        noise = quantile**2 / (n1 * n0) * spread
        # At an end the estimate itself is a root too: divide it out.
        if value == 1:
            return (1 - theta) - noise * theta
        if value == 0:
            return theta - noise * (1 - theta)
        return (value - theta) ** 2 - noise * theta * (1 - theta)

    low = 0.0 if value <= 0 else float(brentq(excess, 0.0, value))
    high = 1.0 if value >= 1 else float(brentq(excess, value, 1.0))
    return low, high


def average_precision(counts: ScoreHistogram, *, confidence: float = 0.95) -> ScoreEstimate:
    """Average precision (area under the precision-recall steps), influence-function error, logit scale.

    Fewer than 10 positives, or a value at 1: Clopper-Pearson with the positives as trials.

    References
    ----------
    Boyd, Eng & Page (2013), Area under the precision-recall curve: point estimates and confidence
    intervals, ECML PKDD: the logit and the binomial interval.
    """
    n1, n0 = int(counts.positives.sum()), int(counts.negatives.sum())
    method = say("method.influence", "influence function, logit scale")
    if n1 == 0:
        return ScoreEstimate(
            None,
            None,
            None,
            None,
            0,
            method,
            say("undefined.no_positive_row", "No row has a positive label."),
        )
    value, of_positive, of_negative = average_precision_influence(counts)
    total = n1 + n0
    square = float(counts.positives @ of_positive**2 + counts.negatives @ of_negative**2)
    se = sqrt(square / total) / sqrt(max(total - 1, 1))
    if n1 < FEW or value >= 1 or se == 0:
        low, high = exact_limits(value, n1, confidence)
        return ScoreEstimate(
            value, low, high, None, n1, say("method.exact_positives", "Clopper-Pearson with n = positives")
        )
    low, high = logit_limits(value, se, _normal(confidence))
    return ScoreEstimate(value, low, high, se, n1, method)


def average_precision_clustered(
    scores: Floats, labels: NDArray[np.bool_], clusters: Ints, *, confidence: float = 0.95
) -> ScoreEstimate:
    """Average precision with the influence function summed per cluster; logit-t, clusters - 1 degrees."""
    counts = histogram(scores, labels)
    n1 = int(counts.positives.sum())
    method = say("method.influence_clusters", "influence function summed per cluster, logit-t")
    if n1 == 0:
        return ScoreEstimate(
            None,
            None,
            None,
            None,
            0,
            method,
            say("undefined.no_positive_row", "No row has a positive label."),
        )
    value, of_positive, of_negative = average_precision_influence(counts)
    at = np.searchsorted(counts.scores, scores)
    rows = np.where(labels, of_positive[at], of_negative[at]) / scores.size
    holding = int(np.unique(clusters[labels]).size)
    if holding < 2:
        reason = say(
            "undefined.one_cluster",
            "{clusters} cluster holds a positive row; 2 are needed.",
            clusters=holding,
        )
        return ScoreEstimate(value, None, None, None, n1, method, reason)
    se = clustered_error(rows, clusters)
    if holding < FEW or value >= 1 or se == 0:
        low, high = exact_limits(value, holding, confidence)
        return ScoreEstimate(
            value,
            low,
            high,
            None,
            n1,
            say("method.exact_positive_clusters", "Clopper-Pearson with n = clusters with a positive"),
        )
    degrees = min(holding - 1, cluster_degrees(rows, clusters))
    low, high = logit_limits(value, se, _student(confidence, degrees))
    return ScoreEstimate(value, low, high, se, n1, method)


def average_precision_influence(counts: ScoreHistogram) -> tuple[float, Floats, Floats]:
    """Average precision and its influence function at a positive and at a negative of each bin.

    With P(s) the precision and N(s) the share of rows at or above s, pi the share of positives:
    IF(x, y) = y (P(x) - AP) / pi + sum over positive mass at s <= x of (y - P(s)) / N(s).
    """
    above1 = np.cumsum(counts.positives[::-1])[::-1].astype(np.float64)
    above = above1 + np.cumsum(counts.negatives[::-1])[::-1]
    n1, total = above1[0], above[0]
    # Empty bins at the top of a histogram have nobody above them; they carry no mass either.
    precision = np.divide(above1, above, out=np.zeros_like(above), where=above > 0)
    inverse = np.divide(total, above, out=np.zeros_like(above), where=above > 0)
    mass = counts.positives / n1
    value = float(mass @ precision)
    one = np.cumsum(mass * (1 - precision) * inverse)
    zero = np.cumsum(-mass * precision * inverse)
    return value, (precision - value) * (total / n1) + one, zero


def brier(
    scores: Floats,
    labels: NDArray[np.bool_],
    clusters: Ints | None = None,
    *,
    confidence: float = 0.95,
) -> ScoreEstimate:
    """Brier score: mean squared distance of probability and label; logit-t interval, clustered if asked.

    Scores outside [0, 1] are no probabilities: undefined, with that reason. Fewer than 10 rows
    (clusters), or no spread: Clopper-Pearson with the rows (clusters) as trials, since a mean of
    values in [0, 1] never spreads wider than a proportion.

    References
    ----------
    Brier (1950), Monthly Weather Review 78, 1-3. The score is a mean: its
    influence function is the row's loss less the mean.
    """
    rows = int(scores.size)
    method = say("method.squares", "mean of squared errors, logit-t")
    if clusters is not None:
        method = say("method.squares_clusters", "mean of squared errors, logit-t, summed per cluster")
    if rows == 0:
        return ScoreEstimate(
            None,
            None,
            None,
            None,
            0,
            method,
            say("undefined.no_scored_row", "No row has a score and a label."),
        )
    if not bool(np.all((scores >= 0) & (scores <= 1))):
        reason = say(
            "undefined.no_probabilities",
            "Scores run from {low:g} to {high:g}: they are no probabilities.",
            low=scores.min(),
            high=scores.max(),
        )
        return ScoreEstimate(None, None, None, None, rows, method, reason)
    loss = (scores - labels) ** 2
    value = float(loss.mean())
    units = np.arange(rows) if clusters is None else clusters
    size = int(np.unique(units).size)
    se = clustered_error((loss - value) / rows, units) if size > 1 else 0.0
    if size < FEW or se == 0 or value in (0.0, 1.0):
        low, high = exact_limits(value, size, confidence)
        method = say("method.exact_rows", "Clopper-Pearson with n = rows")
        if clusters is not None:
            method = say("method.exact_score_clusters", "Clopper-Pearson with n = clusters")
        return ScoreEstimate(value, low, high, None, rows, method)
    degrees = cluster_degrees((loss - value) / rows, units)
    low, high = logit_limits(value, se, _student(confidence, degrees))
    return ScoreEstimate(value, low, high, se, rows, method)


def clustered_error(rows: Floats, clusters: Ints) -> float:
    """Standard error of a sum of per-row influences (already divided by the rows), per cluster.

    sqrt(C / (C - 1) x sum over clusters of (sum in cluster)^2); rows as clusters give the usual error.
    """
    _, where = np.unique(clusters, return_inverse=True)
    totals = np.bincount(where, rows)
    count = totals.size
    return sqrt(count / (count - 1) * float(totals @ totals))


def cluster_degrees(rows: Floats, clusters: Ints) -> float:
    """Satterthwaite's degrees of freedom of `clustered_error`."""
    _, where = np.unique(clusters, return_inverse=True)
    return satterthwaite_degrees(np.bincount(where, rows).astype(np.float64))


def logit_limits(value: float, se: float, quantile: float) -> tuple[float, float]:
    """Limits symmetric on the logit scale, by the delta method; ``value`` in (0, 1)."""
    centre = log(value / (1 - value))
    reach = quantile * se / (value * (1 - value))
    return _expit(centre - reach), _expit(centre + reach)


def exact_limits(value: float, trials: float, confidence: float) -> tuple[float, float]:
    """Clopper-Pearson limits of a share, trials need not be whole."""
    low, high = clopper_pearson(value * trials, trials, 1 - confidence)
    return float(low), float(high)


def _placements(counts: ScoreHistogram) -> tuple[Floats, Floats]:
    """Share of negatives below a positive of each bin, of positives above a negative; ties half."""
    n1, n0 = counts.positives.sum(), counts.negatives.sum()
    below = np.cumsum(counts.negatives) - counts.negatives / 2
    above = n1 - np.cumsum(counts.positives) + counts.positives / 2
    return below / n0, above / n1


def _one_class(n1: int, n0: int) -> str | None:
    if n1 and n0:
        return None
    return (
        say("undefined.no_positive_row", "No row has a positive label.")
        if n1 == 0
        else say("undefined.no_negative_row", "No row has a negative label.")
    )


def _expit(x: float) -> float:
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))


def _normal(confidence: float) -> float:
    from scipy.special import ndtri

    return float(ndtri((1 + confidence) / 2))


def _student(confidence: float, degrees: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + confidence) / 2))
