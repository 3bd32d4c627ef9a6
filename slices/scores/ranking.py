"""Scores: metrics of a ranking or a probability, with intervals: AUROC, average precision, Brier.

Belongs here: estimates from scores and binary labels of one slice, as arrays. Does not:
calibration error and reliability (`slices.scores.calibration`), curves and thresholds
(`slices.scores.curves`), reading a log.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from slices.estimates.degrees import satterthwaite_degrees
from slices.said import Said, say
from slices.scores.limits import Law, Laws

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Sums = NDArray[np.int64] | NDArray[np.float64]

# Below so many units (rows, clusters) a linearised variance is no guide.
FEW = 10
# Below so many rows of a class DeLong's is not either: 92% coverage at 12 positives, 94% at 20. Nor is
# that of average precision where positives are rare: 93.1% at 15 of 1,515 rows, 94.1% at 20 and at 30.
FEW_OF_A_CLASS = 20
# Values and errors so near to 0 or 1 differ from them by rounding: sums of weights are not exact.
ROUNDING = 1e-12

NO_POSITIVE = say("undefined.no_positive_row", "No row has a positive label.")
NO_NEGATIVE = say("undefined.no_negative_row", "No row has a negative label.")


@dataclass(frozen=True, slots=True)
class ScoreHistogram:
    """Rows per distinct score (or bin), ascending: all that the unclustered metrics need. Histograms add.

    Attributes
    ----------
    scores : float64 array, shape (bins,)
        Strictly ascending; a bin's representative score.
    positives, negatives : int64 or float64 array, shape (bins,)
        Rows with a positive or negative label, or the sums of their weights.
    """

    scores: Floats
    positives: Sums
    negatives: Sums


@dataclass(frozen=True, slots=True)
class ScoreEstimate:
    """A metric of scores; ``undefined`` is the reason why ``value`` or its limits are None.

    ``law`` is what its limits are made from, at any level.
    """

    value: float | None
    low: float | None
    high: float | None
    se: float | None
    support: int
    method: str
    undefined: str | None = None
    law: Law | None = None


def undefined_estimate(
    support: int, method: str, reason: str, *, value: float | None = None
) -> ScoreEstimate:
    """A metric without limits, or without a value at all."""
    return ScoreEstimate(value, None, None, None, support, method, reason)


def bounded_estimate(law: Law, support: int, method: str, confidence: float) -> ScoreEstimate:
    """A metric with the limits that its law gives at a confidence."""
    low, high = (float(v[0]) for v in Laws([law]).limits(1 - confidence))
    error = law.error if law.kind in ("logit", "linear") else None
    return ScoreEstimate(law.value, low, high, error, support, method, None, law)


def histogram(scores: Floats, labels: NDArray[np.bool_], weights: Floats | None = None) -> ScoreHistogram:
    """Count positives and negatives per distinct score, or add their weights: exact, no binning."""
    values, where = np.unique(np.asarray(scores, dtype=np.float64), return_inverse=True)

    def total(rows: NDArray[np.bool_]) -> Sums:
        if weights is None:
            return np.bincount(where[rows], minlength=values.size).astype(np.int64)
        return np.bincount(where[rows], weights[rows], values.size).astype(np.float64)

    return ScoreHistogram(values, total(labels), total(~labels))


def effective_share(weights: Floats | None) -> float:
    """Kish's effective number over the number of rows: what weights leave of a row; 1 without weights.

    References
    ----------
    Kish (1965), Survey Sampling, section 8.2.
    """
    if weights is None or weights.size == 0:
        return 1.0
    return float(weights.sum()) ** 2 / float(weights @ weights) / weights.size


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
        Of rows, not of weights.
    logit : bool
        Interval on the logit scale (default; stays inside (0, 1)), else on the linear one.

    Notes
    -----
    Satterthwaite's degrees of freedom, since few rows may carry the variance of a large area. With fewer
    than 20 rows of a class, at 0 or 1, or without any spread (one score for all), the limits are
    Newcombe's (2006, method 5), which solve a score equation and have positive width there too.

    References
    ----------
    DeLong, DeLong & Clarke-Pearson (1988), Biometrics 44, 837-845. Sun & Xu (2014), IEEE Signal
    Processing Letters 21, 1389-1393 (mid-ranks). Newcombe (2006), Statistics in Medicine 25, 559-573.
    """
    n1, n0 = int(counts.positives.sum()), int(counts.negatives.sum())
    if (reason := _one_class(n1, n0)) is not None:
        return undefined_estimate(n1 + n0, say("method.delong", "DeLong"), reason)
    v10, v01 = _placements(counts)
    value = float(counts.positives @ v10) / n1
    # Variances of a class with one row are of no use: Newcombe's limits then.
    s10 = float(counts.positives @ (v10 - value) ** 2) / max(n1 - 1, 1)
    s01 = float(counts.negatives @ (v01 - value) ** 2) / max(n0 - 1, 1)
    se = sqrt(s10 / n1 + s01 / n0)
    few = min(n1, n0) < FEW_OF_A_CLASS
    if few or value in (0.0, 1.0) or se <= ROUNDING:
        method = say("method.newcombe_few", "Newcombe's method 5 (few rows of a class)")
        if not few:
            method = say("method.newcombe_no_spread", "Newcombe's method 5 (no spread to measure)")
        return bounded_estimate(Law("newcombe", value, units=n1, others=n0), n1 + n0, method, confidence)
    if logit:
        influence = np.concatenate([(v10 - value) / n1, (v01 - value) / n0])
        times = np.concatenate([counts.positives, counts.negatives]).astype(np.int64)
        law = Law("logit", value, se, satterthwaite_degrees(influence, times))
        return bounded_estimate(law, n1 + n0, say("method.delong_logit", "DeLong, logit-t"), confidence)
    method = say("method.delong_linear", "DeLong, linear scale")
    return bounded_estimate(Law("linear", value, se), n1 + n0, method, confidence)


def auroc_clustered(
    scores: Floats,
    labels: NDArray[np.bool_],
    clusters: Ints | None,
    weights: Floats | None = None,
    *,
    confidence: float = 0.95,
) -> ScoreEstimate:
    """Area under the ROC curve of clustered or weighted rows: Obuchowski's variance, logit-t interval.

    Parameters
    ----------
    scores, labels, clusters : arrays, shape (rows,)
        ``clusters`` are codes 0 .. C - 1; a cluster may hold rows of either class or of both. None: each
        row is its own.
    weights : float64 array, shape (rows,), optional
        Above 0. A pair of rows counts with the product of their weights.

    Notes
    -----
    The variance is that of the rows' influences, each times its weight, summed per cluster: for equal
    weights Obuchowski's, for rows as clusters DeLong's. Degrees of freedom: Satterthwaite's, at most
    the smaller of the numbers of clusters with a positive and with a negative row, less 1 (Obuchowski
    uses the normal law, which is too narrow below some 40 clusters). With fewer than 2 of either,
    undefined.

    References
    ----------
    Obuchowski (1997), Nonparametric analysis of clustered ROC curve data, Biometrics 53, 567-578.
    Binder (1983), On the variances of asymptotically normal estimators from complex surveys,
    International Statistical Review 51, 279-292 (linearisation).
    """
    support = int(labels.size)
    method = _linearised(clusters, weights, say("method.obuchowski", "Obuchowski, logit-t"))
    if (reason := _one_class(int(labels.sum()), support - int(labels.sum()))) is not None:
        return undefined_estimate(support, method, reason)
    counts = histogram(scores, labels, weights)
    w1, w0 = float(counts.positives.sum()), float(counts.negatives.sum())
    v10, v01 = _placements(counts)
    value = _at_the_end(float(counts.positives @ v10) / w1)
    at = np.searchsorted(counts.scores, scores)
    units = np.arange(support) if clusters is None else clusters
    size = int(units.max()) + 1
    mass = np.ones(support) if weights is None else weights
    # Centred placements, summed per cluster.
    d1 = np.bincount(units, np.where(labels, mass * (v10[at] - value), 0.0), size)
    d0 = np.bincount(units, np.where(labels, 0.0, mass * (v01[at] - value)), size)
    i10, i01 = distinct(units[labels]), distinct(units[~labels])
    if min(i10, i01) < 2:
        reason = say(
            "undefined.two_clusters",
            "{positive} clusters hold a positive row and {negative} a negative one; 2 of each are needed.",
            positive=i10,
            negative=i01,
        )
        return undefined_estimate(support, method, reason, value=value)
    used = distinct(units)
    s10 = i10 / (i10 - 1) * float(d1 @ d1) / w1**2
    s01 = i01 / (i01 - 1) * float(d0 @ d0) / w0**2
    s11 = used / (used - 1) * float(d1 @ d0) / (w1 * w0)
    variance = s10 + s01 + 2 * s11
    worth = [
        max(number * effective_share(None if weights is None else weights[rows]), 1.0)
        for number, rows in ((i10, labels), (i01, ~labels))
    ]
    if (
        value in (0.0, 1.0)
        or variance <= ROUNDING**2
        or min(worth) < (FEW_OF_A_CLASS if clusters is None else FEW)
    ):
        # As if each cluster were one row: never more certain than that.
        law = Law("newcombe", value, units=worth[0], others=worth[1])
        few = say("method.newcombe_clusters", "Newcombe's method 5 with n = clusters")
        if weights is not None:
            few = say("method.newcombe_weights", "Newcombe's method 5 with effective numbers (Kish)")
        return bounded_estimate(law, support, few, confidence)
    whole = d1 / w1 + d0 / w0
    degrees = min(min(i10, i01) - 1, satterthwaite_degrees(whole[whole != 0]))
    return bounded_estimate(Law("logit", value, sqrt(variance), degrees), support, method, confidence)


def average_precision(counts: ScoreHistogram, *, confidence: float = 0.95) -> ScoreEstimate:
    """Average precision (area under the precision-recall steps), influence-function error, logit-t.

    Satterthwaite's degrees of freedom, since few positives may carry the variance. Fewer than 20
    positives, or a value at 1: Clopper-Pearson with the positives as trials.

    Parameters
    ----------
    counts : ScoreHistogram
        Of rows, not of weights.

    References
    ----------
    Boyd, Eng & Page (2013), Area under the precision-recall curve: point estimates and confidence
    intervals, ECML PKDD: the logit and the binomial interval.
    """
    n1, n0 = int(counts.positives.sum()), int(counts.negatives.sum())
    method = say("method.influence", "influence function, logit-t")
    if n1 == 0:
        return undefined_estimate(0, method, NO_POSITIVE)
    value, of_positive, of_negative = average_precision_influence(counts)
    total = n1 + n0
    square = float(counts.positives @ of_positive**2 + counts.negatives @ of_negative**2)
    se = sqrt(square / total) / sqrt(max(total - 1, 1))
    if n1 < FEW_OF_A_CLASS or value >= 1 or se <= ROUNDING:
        method = say("method.exact_positives", "Clopper-Pearson with n = positives")
        return bounded_estimate(Law("exact", value, units=n1), n1, method, confidence)
    influence = np.concatenate([of_positive, of_negative]) / total
    times = np.concatenate([counts.positives, counts.negatives]).astype(np.int64)
    degrees = min(n1 - 1, satterthwaite_degrees(influence, times))
    return bounded_estimate(Law("logit", value, se, degrees), n1, method, confidence)


def average_precision_clustered(
    scores: Floats,
    labels: NDArray[np.bool_],
    clusters: Ints | None,
    weights: Floats | None = None,
    *,
    confidence: float = 0.95,
) -> ScoreEstimate:
    """Average precision of clustered or weighted rows: the influence function summed per cluster, logit-t.

    Parameters as in `auroc_clustered`.
    """
    n1 = int(labels.sum())
    of_clusters = say("method.influence_clusters", "influence function summed per cluster, logit-t")
    method = _linearised(clusters, weights, of_clusters)
    if n1 == 0:
        return undefined_estimate(0, method, NO_POSITIVE)
    counts = histogram(scores, labels, weights)
    value, of_positive, of_negative = average_precision_influence(counts)
    at = np.searchsorted(counts.scores, scores)
    mass = np.ones(scores.size) if weights is None else weights
    rows = mass * np.where(labels, of_positive[at], of_negative[at]) / mass.sum()
    units = np.arange(scores.size) if clusters is None else clusters
    holding = distinct(units[labels])
    if holding < 2:
        reason = say(
            "undefined.one_cluster",
            "{clusters} cluster holds a positive row; 2 are needed.",
            clusters=holding,
        )
        return undefined_estimate(n1, method, reason, value=value)
    se = clustered_error(rows, units)
    worth = max(holding * effective_share(None if weights is None else weights[labels]), 1.0)
    if worth < (FEW_OF_A_CLASS if clusters is None else FEW) or value >= 1 or se <= ROUNDING:
        few = say("method.exact_positive_clusters", "Clopper-Pearson with n = clusters with a positive")
        if weights is not None:
            few = say("method.exact_weighted_positives", "Clopper-Pearson, n = effective positives (Kish)")
        return bounded_estimate(Law("exact", value, units=worth), n1, few, confidence)
    degrees = min(holding - 1, cluster_degrees(rows, units))
    return bounded_estimate(Law("logit", value, se, degrees), n1, method, confidence)


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
    value = _at_the_end(float(mass @ precision))
    one = np.cumsum(mass * (1 - precision) * inverse)
    zero = np.cumsum(-mass * precision * inverse)
    return value, (precision - value) * (total / n1) + one, zero


def brier(
    scores: Floats,
    labels: NDArray[np.bool_],
    clusters: Ints | None = None,
    weights: Floats | None = None,
    *,
    confidence: float = 0.95,
) -> ScoreEstimate:
    """Brier score: mean squared distance of probability and label; logit-t interval, clustered if asked.

    Scores outside [0, 1] are no probabilities: undefined, with that reason. Fewer than 10 rows
    (clusters), or no spread: Clopper-Pearson with the rows (clusters) as trials, since a mean of
    values in [0, 1] never spreads wider than a proportion. Weights (above 0) make it a weighted mean,
    and rows worth Kish's effective number.

    References
    ----------
    Brier (1950), Monthly Weather Review 78, 1-3. The score is a mean: its
    influence function is the row's loss less the mean.
    """
    rows = int(scores.size)
    method = say("method.squares", "mean of squared errors, logit-t")
    if clusters is not None:
        method = say("method.squares_clusters", "mean of squared errors, logit-t, summed per cluster")
    method = method if weights is None else _linearised(clusters, weights, method)
    if rows == 0:
        return undefined_estimate(
            0, method, say("undefined.no_scored_row", "No row has a score and a label.")
        )
    if (reason := no_probabilities(scores)) is not None:
        return undefined_estimate(rows, method, reason)
    loss = (scores - labels) ** 2
    mass = np.ones(rows) if weights is None else weights
    value = _at_the_end(float(mass @ loss) / float(mass.sum()))
    units = np.arange(rows) if clusters is None else clusters
    influence = mass * (loss - value) / mass.sum()
    number = distinct(units)
    size = max(number * effective_share(weights), 1.0)
    se = clustered_error(influence, units) if number > 1 else 0.0
    if size < FEW or se <= ROUNDING or value in (0.0, 1.0):
        few = say("method.exact_rows", "Clopper-Pearson with n = rows")
        if clusters is not None:
            few = say("method.exact_score_clusters", "Clopper-Pearson with n = clusters")
        if weights is not None:
            few = say("method.exact_weighted", "Clopper-Pearson, n = effective number (Kish)")
        return bounded_estimate(Law("exact", value, units=size), rows, few, confidence)
    law = Law("logit", value, se, cluster_degrees(influence, units))
    return bounded_estimate(law, rows, method, confidence)


def no_probabilities(scores: Floats) -> str | None:
    """Why scores cannot be read as probabilities, or None where they can."""
    if bool(np.all((scores >= 0) & (scores <= 1))):
        return None
    return say(
        "undefined.no_probabilities",
        "Scores run from {low:number} to {high:number}: they are no probabilities.",
        low=f"{scores.min():g}",  # as text: a score may be infinite, and JSON has no such number
        high=f"{scores.max():g}",
    )


def distinct(codes: Ints) -> int:
    """How many of the codes 0, 1, 2 ... occur."""
    return int(np.count_nonzero(np.bincount(codes)))


def clustered_error(rows: Floats, clusters: Ints) -> float:
    """Standard error of a sum of per-row influences (already divided by the rows), per cluster.

    sqrt(C / (C - 1) x sum over clusters of (sum in cluster)^2); rows as clusters give the usual error.
    """
    totals, count = np.bincount(clusters, rows), distinct(clusters)
    return sqrt(count / (count - 1) * float(totals @ totals))


def cluster_degrees(rows: Floats, clusters: Ints) -> float:
    """Satterthwaite's degrees of freedom of `clustered_error`."""
    totals = np.bincount(clusters, rows).astype(np.float64)
    return satterthwaite_degrees(totals[np.bincount(clusters) > 0])


def _placements(counts: ScoreHistogram) -> tuple[Floats, Floats]:
    """Share of negatives below a positive of each bin, of positives above a negative; ties half."""
    n1, n0 = counts.positives.sum(), counts.negatives.sum()
    below = np.cumsum(counts.negatives) - counts.negatives / 2
    above = n1 - np.cumsum(counts.positives) + counts.positives / 2
    return below / n0, above / n1


def _at_the_end(value: float) -> float:
    """0 or 1 where only rounding keeps a value from it."""
    if value <= ROUNDING:
        return 0.0
    return 1.0 if value >= 1 - ROUNDING else value


def _one_class(n1: int, n0: int) -> str | None:
    if n1 and n0:
        return None
    return NO_POSITIVE if n1 == 0 else NO_NEGATIVE


def _linearised(clusters: Ints | None, weights: Floats | None, of_clusters: Said) -> Said:
    """The method's name for weighted rows, weighted clusters, or clusters alone."""
    if weights is None:
        return of_clusters
    if clusters is None:
        return say("method.weighted_scores", "influence function, linearised for weights, logit-t")
    return say(
        "method.weighted_score_clusters",
        "influence function, linearised for weights between clusters, logit-t",
    )
