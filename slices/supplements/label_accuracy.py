"""Label accuracy: figures against the truth, if labels are right with a stated sensitivity and specificity.

Belongs here: the correction, its limits, and the accuracy at which a verdict breaks. Does not: wrong
labels placed in the worst way (`slices.supplements.label_noise`), missing labels (excluded and counted).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from slices.counts import CountedLog, SliceCounts
from slices.estimates.assembly import WEIGHTLESS
from slices.estimates.comparison import mean_weight
from slices.estimates.degrees import matched_degrees
from slices.intervals import clopper_pearson, logit_t
from slices.metrics import METRICS, Metric, gradient
from slices.said import say
from slices.scores.limits import NORMAL

Floats = NDArray[np.float64]

METHOD = say("method.corrected", "corrected for label accuracy, conditional independence assumed")
# The least accuracy looked at, and the steps down to it: a verdict that survives labels of which 4 in
# 10 are wrong has nothing to fear from them.
LEAST, STEPS = 0.6, 20
# Below so many rows with or without what a share counts, the linearised limits are too narrow alone.
FEW = 10


@dataclass(frozen=True, slots=True)
class LabelAccuracy:
    """How often labels are right: among truly positive rows, and among truly negative ones."""

    sensitivity: float
    specificity: float

    @property
    def correction(self) -> Floats:
        """Linear map from observed to expected true counts, in tp, fp, fn, tn order.

        Raises
        ------
        ValueError
            A rate outside [0, 1], or labels no better than chance.
        """
        return _correction(self.sensitivity, self.specificity)


@lru_cache(maxsize=256)
def _correction(sensitivity: float, specificity: float) -> Floats:
    for name, rate in (("sensitivity", sensitivity), ("specificity", specificity)):
        if not 0 <= rate <= 1:
            raise ValueError(f"label {name} is {rate:g}: give a share between 0 and 1")
    youden = sensitivity + specificity - 1
    if youden <= 0:
        raise ValueError(
            f"labels with sensitivity {sensitivity:g} and specificity {specificity:g} are no better than "
            "chance: nothing can be corrected"
        )
    # T = (L - (1 - specificity) (L + M)) / youden, with L labelled positive and M negative.
    positive = np.array([specificity, -(1 - specificity)]) / youden
    negative = np.array([-(1 - sensitivity), sensitivity]) / youden
    matrix = np.zeros((4, 4))
    matrix[0, [0, 1]], matrix[1, [0, 1]] = positive, negative
    matrix[2, [2, 3]], matrix[3, [2, 3]] = positive, negative
    return matrix


ALWAYS_RIGHT = LabelAccuracy(1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Corrected:
    """A metric against the truth behind imperfect labels; None with ``undefined``."""

    value: float | None
    low: float | None
    high: float | None
    method: str = METHOD
    undefined: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """The rows of one class on one side of a slice.

    Attributes
    ----------
    counts : float64 array, shape (4,)
        tp, fp, fn, tn against the labels; sums of weights (on average 1 a row of the log) where weighted.
    squares, rows : float64 array, shape (4,), optional
        Sums of squared weights; numbers of rows.
    clusters : float64 array, shape (patterns, 4), optional
        Counts of each distinct cluster, and ``times`` how many clusters have them.
    """

    counts: Floats
    squares: Floats | None = None
    rows: Floats | None = None
    clusters: Floats | None = None
    times: Floats | None = None

    def design_effect(self, influence: Floats) -> float:
        """How many rows are worth one independent row, for an estimate with these row influences.

        Between clusters with Student's widening for their few degrees of freedom, so that normal limits
        are as wide as Student's; never below 1 where rows have no weights, nor below that of as many
        rows of equal weight (`slices.estimates.weighting`). Where the influence vanishes, the mean number
        of rows that a cluster has.
        """
        rows = float(self.counts @ influence**2)
        if self.clusters is None or self.times is None:
            if self.squares is None or self.rows is None:
                return 1.0
            used = influence != 0 if rows > 0 else np.ones(4, dtype=bool)
            mass, number = float(self.counts[used].sum()), float(self.rows[used].sum())
            spread = float(self.squares[used] @ (influence[used] ** 2 if rows > 0 else np.ones(4)))
            least = mass / number if number > 0 else 1.0
            return max(spread / (rows if rows > 0 else mass), least) if mass > 0 else 1.0
        from scipy.special import ndtri, stdtrit

        number = float(self.times @ (self.clusters.sum(-1) > 0))
        if rows <= 0 or number < 2:
            return max(float(self.counts.sum()) / max(number, 1.0), 1.0)
        each = self.clusters @ influence
        effect = number / (number - 1) * float(self.times @ each**2) / rows
        degrees = float(matched_degrees(each, self.times, number))
        few = float(stdtrit(degrees, 0.975) / ndtri(0.975)) ** 2
        return few * (effect if self.squares is not None else max(effect, 1.0))


def samples(counted: CountedLog, one: SliceCounts, *, outside: bool = False) -> list[Sample]:
    """The rows of a slice, or of its complement, for each class."""
    space, side = counted.space, int(outside)
    table = np.asarray(space.confusion((one.inside, one.outside)[side]), dtype=np.float64)
    squares = rows = None
    if one.weighted is not None:
        rows = table
        mean, weighted = mean_weight(counted), one.weighted
        table = np.asarray(space.confusion((weighted.inside, weighted.outside)[side])) / mean
        of_squares = (weighted.inside_squares, weighted.outside_squares)[side]
        squares = np.asarray(space.confusion(of_squares)) / mean**2
    clusters = times = None
    if counted.clusters is not None and counted.patterns is not None:
        patterns = counted.patterns(one.slice)
        clusters = np.asarray(space.confusion(patterns.totals[:, side]), dtype=np.float64)
        clusters = clusters / mean_weight(counted)
        times = patterns.multiplicity.astype(np.float64)
    return [
        Sample(
            table[k],
            None if squares is None else squares[k],
            None if rows is None else rows[k],
            None if clusters is None else clusters[:, k],
            times,
        )
        for k in range(len(table))
    ]


def corrected_counts(counts: NDArray[np.generic], accuracy: LabelAccuracy) -> Floats:
    """Expected confusion counts against the truth, if labels have this sensitivity and specificity.

    Of the N rows with one prediction, L are labelled positive and T truly are:
    E[L] = sensitivity T + (1 - specificity) (N - T), solved for T. Not truncated: counts below 0 mean
    that the stated accuracies do not fit this log.

    Parameters
    ----------
    counts : array, shape (..., 4)
        tp, fp, fn, tn against the labels.

    References
    ----------
    Rogan & Gladen (1978), American Journal of Epidemiology 107, 71-76. Staquet et al. (1981),
    Methodology of the assessment of new dichotomous diagnostic tests, J. Chronic Diseases 34, 599-610.
    """
    return np.asarray(counts, dtype=np.float64) @ accuracy.correction.T


def expected_wrong(counts: NDArray[np.generic], accuracy: LabelAccuracy) -> float:
    """Number of wrong labels to expect among these rows, the truth being what the correction says."""
    truth = np.maximum(corrected_counts(counts, accuracy), 0)
    positive, negative = float(truth[0] + truth[2]), float(truth[1] + truth[3])
    return (1 - accuracy.sensitivity) * positive + (1 - accuracy.specificity) * negative


def corrected_metric(
    metric: Metric, sample: Sample, accuracy: LabelAccuracy, *, confidence: float = 0.95
) -> Corrected:
    """A metric against the truth, under a stated accuracy of the labels taken as known.

    Notes
    -----
    Precision and NPV are linear in the observed ones, so their exact limits are carried over. Other
    metrics: the correction is linear in the counts, so a row's influence is the metric's gradient
    at the corrected counts through the correction; limits on the logit scale, or linear and cut
    where they reach an end of the range (there the logit explodes, while the noise of the labels
    keeps the error from vanishing), with one independent row more in each cell: an empty one need not
    be empty in repetition. With few rows on one side that law is too narrow (4 rows without an error
    have almost no spread), and wrong labels never make a figure surer: with fewer than 10 corrected
    rows in the numerator or left of the denominator, proportions and F1 have at least
    Clopper-Pearson's limits at the corrected share; balanced accuracy at least those that its two
    halves give. Without any spread (a share of 0 or 1 that wrong labels cannot touch):
    Clopper-Pearson's alone. Where all limits lie outside the range, undefined: the stated accuracies
    contradict the log. Clusters and weights enter by the design effect of these very influences.
    """
    if metric.name in ("precision", "npv"):
        return _predictive(metric, sample, accuracy, confidence)
    table = corrected_counts(sample.counts, accuracy)
    value = float(metric.of(table))
    if float(metric.support(sample.counts)) <= 0:
        return Corrected(None, None, None, undefined=_nothing(metric, sample))
    if not np.isfinite(value) or float(metric.support(table)) <= 0:
        return Corrected(None, None, None, undefined=_contradiction(accuracy))
    influence = np.nan_to_num(accuracy.correction.T @ gradient(metric, table))
    effect = sample.design_effect(influence)
    se = sqrt(max(float(sample.counts @ influence**2), 0.0) * effect)
    if se <= 1e-12:
        inside = min(metric.highest, max(metric.lowest, value))
        return _without_spread(metric, table, inside, effect, confidence)
    from scipy.special import ndtri

    quantile = float(ndtri((1 + confidence) / 2))
    low, high = value - quantile * se, value + quantile * se
    if low <= metric.lowest or high >= metric.highest:
        se = sqrt(float((sample.counts + effect) @ influence**2) * effect)
        low, high = value - quantile * se, value + quantile * se
        if high < metric.lowest or low > metric.highest:
            return Corrected(None, None, None, undefined=_contradiction(accuracy))
    else:
        span = metric.highest - metric.lowest
        limits = logit_t((value - metric.lowest) / span, se / span, NORMAL, 1 - confidence)
        low, high = (metric.lowest + span * float(v) for v in limits)
    low, value, high = (min(metric.highest, max(metric.lowest, v)) for v in (low, value, high))
    least = (low, high)
    if metric.kind in ("proportion", "f1"):
        hits, trials = float(metric.count(table)), float(metric.trials(table))
        if min(hits, trials - hits) < FEW * effect:
            least = _exact(metric, table, effect, confidence)
    elif metric.kind == "balanced":
        least = _of_halves(value, sample, accuracy, confidence) or least
    return Corrected(value, min(low, least[0]), max(high, least[1]))


def breaking_accuracy(holds: Callable[[LabelAccuracy], bool | None]) -> float | None:
    """Largest label accuracy (sensitivity = specificity) at which a verdict no longer holds.

    Read as: the verdict stands as long as labels are right more often than this, independently
    of the model.

    Parameters
    ----------
    holds : callable
        Accuracy to whether the verdict stands; None where the log does not allow such an accuracy (the
        correction would give negative counts), so that no lower one needs a look.

    Returns
    -------
    float or None
        Looked for from 1 down to 0.6 in equal steps, then between two steps; None if it holds at every
        accuracy that the log allows.
    """
    above = 1.0
    for rate in np.linspace(1, LEAST, STEPS + 1).tolist():
        held = holds(LabelAccuracy(rate, rate))
        if held is None:
            return None
        if not held:
            return rate if rate == 1 else _between(holds, rate, above)
        above = rate
    return None


def _between(holds: Callable[[LabelAccuracy], bool | None], below: float, above: float) -> float:
    """The crossing between an accuracy at which the verdict falls and one at which it stands."""
    for _ in range(11):
        middle = (below + above) / 2
        below, above = (below, middle) if holds(LabelAccuracy(middle, middle)) else (middle, above)
    return below


def _without_spread(
    metric: Metric, table: Floats, value: float, effect: float, confidence: float
) -> Corrected:
    if metric.kind not in ("proportion", "f1"):
        reason = say(
            "undefined.corrected_end",
            "The corrected estimate lies at the end of its range and has no spread: no limits.",
        )
        return Corrected(value, None, None, undefined=reason)
    return Corrected(value, *_exact(metric, table, effect, confidence))


def _exact(metric: Metric, table: Floats, effect: float, confidence: float) -> tuple[float, float]:
    """Clopper-Pearson's limits of a proportion or F1, as if the corrected counts had been counted."""
    trials = float(metric.trials(table))
    n = trials / effect
    share = min(1.0, max(0.0, float(metric.count(table)) / trials))
    low, high = (metric.from_proportion(v) for v in clopper_pearson(share * n, n, 1 - confidence))
    return float(low), float(high)


def _of_halves(
    value: float, sample: Sample, accuracy: LabelAccuracy, confidence: float
) -> tuple[float, float] | None:
    """Limits of balanced accuracy from those of recall and specificity (MOVER); None if one has none."""
    below = above = 0.0
    for name in ("recall", "specificity"):
        half = corrected_metric(METRICS[name], sample, accuracy, confidence=confidence)
        if half.value is None or half.low is None or half.high is None:
            return None
        below, above = below + (half.value - half.low) ** 2, above + (half.high - half.value) ** 2
    return max(0.0, value - sqrt(below) / 2), min(1.0, value + sqrt(above) / 2)


def _predictive(metric: Metric, sample: Sample, accuracy: LabelAccuracy, confidence: float) -> Corrected:
    """Precision and NPV: exact limits of the observed share, through the same line, cut to [0, 1]."""
    n = float(metric.trials(sample.counts))
    if n <= 0:
        return Corrected(None, None, None, undefined=_nothing(metric, sample))
    youden = accuracy.sensitivity + accuracy.specificity - 1
    # A truly positive row is labelled so with the sensitivity, a negative one with 1 - specificity;
    # for NPV the classes change places.
    false_share = 1 - (accuracy.specificity if metric.name == "precision" else accuracy.sensitivity)
    observed = float(metric.count(sample.counts)) / n
    effect = sample.design_effect(np.nan_to_num(gradient(metric, sample.counts)))
    limits = clopper_pearson(observed * n / effect, n / effect, 1 - confidence)
    value, low, high = ((float(v) - false_share) / youden for v in (observed, *limits))
    if high < 0 or low > 1:
        return Corrected(None, None, None, undefined=_contradiction(accuracy))
    value, low, high = (min(1.0, max(0.0, v)) for v in (value, low, high))
    return Corrected(value, low, high)


def _nothing(metric: Metric, sample: Sample) -> str:
    """Why there is nothing to divide by: no row, or rows without weight."""
    weightless = sample.rows is not None and float(metric.support(sample.rows)) > 0
    return WEIGHTLESS if weightless else metric.undefined


def _contradiction(accuracy: LabelAccuracy) -> str:
    return say(
        "undefined.contradiction",
        "Labels with sensitivity {sensitivity:g} and specificity {specificity:g} would "
        "put the figure outside its range: the stated accuracies do not fit this slice.",
        sensitivity=accuracy.sensitivity,
        specificity=accuracy.specificity,
    )
