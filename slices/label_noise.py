"""Label noise: how figures and verdicts move if the labels themselves are sometimes wrong.

Belongs here: correction under a stated accuracy of the labels, bounds over every set of wrong
labels, and the breaking point of a verdict. Does not: missing labels (excluded and counted).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from slices.intervals import clopper_pearson
from slices.metrics import Metric, gradient
from slices.said import say
from slices.scores import logit_limits

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Holds = Callable[[Floats], NDArray[np.bool_]]

# Up to so many turned labels every number of them is looked at; beyond, so many of them.
EVERY_TURN = 2000
GRID = 257

# Said beside every corrected figure.
ASSUMPTION = say(
    "label_noise.assumption",
    "Assumes that, among truly positive rows and among truly negative ones, a "
    "label is wrong independently of the model's call. If hard cases mislead both, "
    "the correction is optimistic.",
)


@dataclass(frozen=True, slots=True)
class Corrected:
    """A metric against the truth behind imperfect labels; None with ``undefined``."""

    value: float | None
    low: float | None
    high: float | None
    method: str
    undefined: str | None = None


def corrected_counts(counts: NDArray[np.generic], sensitivity: float, specificity: float) -> Floats:
    """Expected confusion counts against the truth, if labels have this sensitivity and specificity.

    Of the N rows with one prediction, L are labelled positive and T truly are:
    E[L] = sensitivity T + (1 - specificity) (N - T), solved for T. Not truncated: counts below 0 mean
    that the stated accuracies do not fit this log.

    Parameters
    ----------
    counts : array, shape (..., 4)
        tp, fp, fn, tn against the labels.

    Raises
    ------
    ValueError
        A rate outside [0, 1], or labels no better than chance.

    References
    ----------
    Rogan & Gladen (1978), American Journal of Epidemiology 107, 71-76. Staquet et al. (1981),
    Methodology of the assessment of new dichotomous diagnostic tests, J. Chronic Diseases 34, 599-610.
    """
    return np.asarray(counts, dtype=np.float64) @ _correction(sensitivity, specificity).T


def corrected_metric(
    metric: Metric,
    counts: NDArray[np.generic],
    sensitivity: float,
    specificity: float,
    *,
    confidence: float = 0.95,
    design_effect: float = 1.0,
) -> Corrected:
    """A metric against the truth, under a stated accuracy of the labels taken as known.

    Notes
    -----
    Precision and NPV are linear in the observed ones, so their exact limits are carried over. Other
    metrics: the correction is linear in the counts, so a row's influence is the metric's gradient
    at the corrected counts through the correction; limits on the logit scale, or linear and cut
    where they reach an end of the range (there the logit explodes, while the noise of the labels
    keeps the error from vanishing). Where all of them lie outside the range, undefined: the
    stated accuracies contradict the log.
    """
    method = say("method.corrected", "corrected for label accuracy, conditional independence assumed")
    table = corrected_counts(counts, sensitivity, specificity)
    if metric.name in ("precision", "npv"):
        return _predictive(metric, counts, sensitivity, specificity, confidence, design_effect, method)
    value = float(metric.of(table))
    span = metric.highest - metric.lowest
    if not np.isfinite(value):
        return Corrected(None, None, None, method, metric.undefined)
    influence = _correction(sensitivity, specificity).T @ gradient(metric, table)
    observed = np.asarray(counts, dtype=np.float64)
    se = sqrt(max(float(observed @ np.nan_to_num(influence) ** 2), 0.0) * design_effect)
    if se == 0:
        reason = say(
            "undefined.corrected_end",
            "The corrected estimate lies at the end of its range and has no spread: no limits.",
        )
        return Corrected(value, None, None, method, reason)
    from scipy.special import ndtri

    reach = float(ndtri((1 + confidence) / 2)) * se
    low, high = value - reach, value + reach
    if high < metric.lowest or low > metric.highest:
        return Corrected(None, None, None, method, _contradiction(sensitivity, specificity))
    if metric.lowest < low and high < metric.highest:
        low, high = (
            metric.lowest + span * v for v in logit_limits((value - metric.lowest) / span, 1, reach / span)
        )
    low, value, high = (min(metric.highest, max(metric.lowest, v)) for v in (low, value, high))
    return Corrected(value, low, high, method)


def worst_tables(counts: Ints, wrong: int) -> Ints:
    """Confusion counts that up to ``wrong`` wrong labels could hide, extreme for every share.

    Parameters
    ----------
    counts : int64 array, shape (4,)
        tp, fp, fn, tn against the labels.
    wrong : int
        Labels that may be wrong, any of them.

    Returns
    -------
    int64 array, shape (tables, 4)
        Correcting a label turns a tp into an fp (or the reverse), an fn into a tn (or the reverse).
        A share's extremes use one kind of turn per prediction, and for a given number of the
        first as many of the second as are left, or none. Up to ``EVERY_TURN`` turns all are listed.
        Beyond, an even grid with the ends and the kinks: a share is linear-fractional along each
        stretch, so its extremes stand there, and the cost does not depend on the rows.
    """

    def turns(most: int, kink: int) -> Ints:
        if most <= EVERY_TURN:
            return np.arange(most + 1, dtype=np.int64)
        grid = np.linspace(0, most, GRID).round().astype(np.int64)
        return np.unique(np.append(grid, min(max(kink, 0), most)))

    return _turned(counts, wrong, turns)


def _corner_tables(counts: Ints, wrong: int) -> Ints:
    """The few of ``worst_tables`` at the ends and kinks alone."""
    return _turned(counts, wrong, lambda most, kink: np.unique([0, min(max(kink, 0), most), most]))


def _turned(counts: Ints, wrong: int, turns: Callable[[int, int], Ints]) -> Ints:
    """Tables for the numbers of first turns that ``turns(most, kink)`` names."""
    tp, fp, fn, tn = (int(c) for c in counts)
    tables = []
    for first, limit in ((-1, tp), (1, fp)):
        for second, rest in ((-1, fn), (1, tn)):
            turned = turns(min(wrong, limit), wrong - rest)
            a, b = tp + first * turned, fp - first * turned
            left = np.minimum(wrong - turned, rest)
            tables += [np.stack([a, b, fn + second * c, tn - second * c], -1) for c in (0 * left, left)]
    return np.unique(np.concatenate(tables), axis=0).astype(np.int64)


def worst_case_labels(metric: Metric, counts: Ints, wrong: int) -> tuple[float, float] | None:
    """Smallest and largest value of a share (or F1) over every choice of up to ``wrong`` wrong labels.

    None where some choice leaves it undefined: nothing can be said.
    """
    values = metric.of(worst_tables(counts, wrong))
    if not bool(np.all(np.isfinite(values))):
        return None
    return float(values.min()), float(values.max())


def breaking_point(counts: Ints, holds: Holds) -> int | None:
    """Smallest number of wrong labels, placed in the worst way, at which a verdict no longer holds.

    Parameters
    ----------
    counts : int64 array, shape (4,)
        tp, fp, fn, tn against the labels.
    holds : callable
        Tables of shape (tables, 4) to booleans: whether the verdict stands. It must depend on a share
        and its support through limits that move with the counts, so that more wrong labels
        never mend it.

    Returns
    -------
    int or None
        0 if it does not hold now; None if no number of wrong labels undoes it.

    References
    ----------
    Hampel's breakdown point, applied to labels; compare the fragility index: Walsh et al. (2014),
    Journal of Clinical Epidemiology 67, 622-628.
    """

    def broken(wrong: int, tables: Callable[[Ints, int], Ints] = worst_tables) -> bool:
        return not bool(np.all(holds(tables(counts, wrong).astype(np.float64))))

    def fewest(low: int, high: int, tables: Callable[[Ints, int], Ints]) -> int:
        """Between ``low``, which holds, and ``high``, which does not."""
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if broken(middle, tables) else (middle, high)
        return high

    total = int(np.sum(counts))
    if not broken(total):
        return None
    # The corners are nearly always the worst: they find the place, all tables confirm it.
    near = fewest(-1, total, _corner_tables)
    return fewest(-1, near - 1, worst_tables) if near and broken(near - 1) else near


def breaking_accuracy(
    metric: Metric,
    counts: NDArray[np.generic],
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    confidence: float = 0.95,
    design_effect: float = 1.0,
    steps: int = 400,
) -> float | None:
    """Largest label accuracy (sensitivity = specificity) at which *meets*, corrected, no longer holds.

    Read as: the verdict stands as long as labels are right more often than this, independently
    of the model. Looked for from 1 down to 0.6 in equal steps; None if it holds at every accuracy
    that the log allows (lower ones would give negative counts).
    """
    for accuracy in np.linspace(1, 0.6, steps + 1):
        rate = float(accuracy)
        found = corrected_metric(
            metric, counts, rate, rate, confidence=confidence, design_effect=design_effect
        )
        if found.value is None:
            return None
        floor_holds = at_least is None or (found.low is not None and found.low >= at_least)
        ceiling_holds = at_most is None or (found.high is not None and found.high <= at_most)
        if not (floor_holds and ceiling_holds):
            return rate
    return None


def exact_limits_hold(
    metric: Metric, *, at_least: float | None = None, at_most: float | None = None, confidence: float = 0.95
) -> Holds:
    """The verdict *meets* of a floor or ceiling, read from exact limits, as a function of tables."""

    def holds(tables: Floats) -> NDArray[np.bool_]:
        trials = metric.trials(tables)
        count = np.where(trials > 0, metric.count(tables), 0.0)
        low, high = clopper_pearson(count, np.where(trials > 0, trials, 1.0), 1 - confidence)
        fine = trials > 0
        if at_least is not None:
            fine &= metric.from_proportion(low) >= at_least
        if at_most is not None:
            fine &= metric.from_proportion(high) <= at_most
        return np.asarray(fine)

    return holds


def _correction(sensitivity: float, specificity: float) -> Floats:
    """Linear map from observed to corrected counts, in tp, fp, fn, tn order."""
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


def _predictive(
    metric: Metric,
    counts: NDArray[np.generic],
    sensitivity: float,
    specificity: float,
    confidence: float,
    design_effect: float,
    method: str,
) -> Corrected:
    """Precision and NPV: exact limits of the observed share, through the same line, cut to [0, 1]."""
    n = float(metric.trials(counts))
    if n <= 0:
        return Corrected(None, None, None, method, metric.undefined)
    youden = sensitivity + specificity - 1
    # A truly positive row is labelled so with the sensitivity, a negative one with 1 - specificity;
    # for NPV the classes change places.
    false_share = 1 - (specificity if metric.name == "precision" else sensitivity)
    observed = float(metric.count(counts)) / n
    limits = clopper_pearson(observed * n / design_effect, n / design_effect, 1 - confidence)
    value, low, high = ((float(v) - false_share) / youden for v in (observed, *limits))
    if high < 0 or low > 1:
        return Corrected(None, None, None, method, _contradiction(sensitivity, specificity))
    value, low, high = (min(1.0, max(0.0, v)) for v in (value, low, high))
    return Corrected(value, low, high, method)


def _contradiction(sensitivity: float, specificity: float) -> str:
    return say(
        "undefined.contradiction",
        "Labels with sensitivity {sensitivity:g} and specificity {specificity:g} would "
        "put the figure outside its range: the stated accuracies do not fit this slice.",
        sensitivity=sensitivity,
        specificity=specificity,
    )
