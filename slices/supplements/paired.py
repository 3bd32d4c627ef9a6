"""Model against baseline on the same rows: differences with intervals, tests, and a verdict per slice.

Belongs here: joint outcomes of two models. Does not: a slice against its complement.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from slices.estimates.degrees import satterthwaite_degrees
from slices.estimates.selection import METHODS, NONE
from slices.intervals import clopper_pearson, dual_p_value
from slices.metrics import Metric, gradient
from slices.said import say

Floats = NDArray[np.float64]
Change = Literal["worse", "no change shown", "better"]

# Below so many rows that carry information, the linearised limits give way to closed-form ones.
FEW_CHANGES = 10

_ENUMERATED = 13
_MOST_STEPS = 200
_SMALLEST = 1e-300

_NO_MODEL = say("undefined.not_the_model", "the labels' prevalence does not depend on the model")


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Model less baseline, for one metric and slice.

    Attributes
    ----------
    value, low, high : float or None
        Difference and limits; None with ``undefined`` where a model's denominator is 0.
    se : float or None
        Linearised standard error.
    p_value : float or None
        Two-sided test of no difference.
    change : worse | no change shown | better | None
        Read from this interval alone; None for metrics without a better direction. Many comparisons
        are read together in `slices.supplements.composed.changes`.
    changed : int
        Rows on which the two models' outcomes differ and the metric could move.
    """

    value: float | None
    low: float | None
    high: float | None
    se: float | None
    p_value: float | None
    change: Change | None
    changed: float
    method: str
    undefined: str | None = None


def confusion_of_both(joint: NDArray[np.generic]) -> tuple[Floats, Floats]:
    """Confusion counts of model and baseline from joint cells.

    Parameters
    ----------
    joint : array, shape (..., 2, 2, 2)
        [label positive?, model positive?, baseline positive?], index 1 = yes.

    Returns
    -------
    model, baseline : float64 arrays, shape (..., 4)
        tp, fp, fn, tn.
    """
    cells = np.asarray(joint, dtype=np.float64)
    of_model, of_baseline = cells.sum(-1), cells.sum(-2)

    def table(part: Floats) -> Floats:
        return np.stack([part[..., 1, 1], part[..., 0, 1], part[..., 1, 0], part[..., 0, 0]], axis=-1)

    return table(of_model), table(of_baseline)


def paired_difference(
    metric: Metric, joint: NDArray[np.generic], *, confidence: float = 0.95
) -> PairedDifference:
    """Difference of a metric between two models on the same rows; rows as units.

    Parameters
    ----------
    metric : Metric
        Any metric of the confusion counts.
    joint : int array, shape (2, 2, 2)
        [label positive?, model positive?, baseline positive?], index 1 = yes.

    Notes
    -----
    Where both models share the metric's denominator (recall, specificity, accuracy, selection rate and
    their complements) the difference is (b - c) / n of the discordant rows: Tango's score limits, which have
    width at 0 discordant rows too, and McNemar's test, which is dual to them. Enumerated for 10 to 100
    rows, 2 to 50% of them discordant, the limits' coverage is at least 93.9% and 95.7 to 98.9% on average;
    the test's error is at most 5.3% at 5%, and below nominal at 1% and less, where Holm's steps read it.
    Elsewhere (precision, NPV, F1, balanced accuracy, MCC) each of the eight cells has its influence
    on the difference; the multinomial variance of their sum gives a Student interval with
    Satterthwaite's degrees of freedom (few changed rows carry it), and the test is dual to it. With
    fewer than 10 discordant rows that law is not to be trusted: Bonferroni's box of each model's
    own limits at half the error, conservative, and the test dual to it.

    References
    ----------
    Tango (1998), Statistics in Medicine 17, 891-908. Newcombe (1998), Statistics in Medicine 17, 2635-2650
    (its coverage beside nine others'). Moskowitz & Pepe (2006),
    Clinical Trials 3, 272-279 (paired predictive values).
    """
    model, baseline = confusion_of_both(joint)
    if metric.name == "prevalence":
        return PairedDifference(None, None, None, None, None, None, 0.0, METHODS[NONE], _NO_MODEL)
    values = float(metric.of(model)), float(metric.of(baseline))
    shared = _shares_denominator(metric)
    method = (
        say("method.tango", "Tango's score interval, paired")
        if shared
        else say("method.joint_outcomes", "linearised over joint outcomes")
    )
    if not np.all(np.isfinite(values)):
        return PairedDifference(None, None, None, None, None, None, 0.0, method, metric.undefined)
    influence = _influence(metric, model, baseline)
    cells = np.asarray(joint, dtype=np.float64)
    changed = float(cells[_moving(metric)].sum())
    se = sqrt(max(float((cells * influence**2).sum()), 0.0))
    difference = values[0] - values[1]
    if shared:
        changes = _discordant(metric, joint)
        low, high = tango(*changes, float(cells[_touched(metric)].sum()), confidence)
        p_value = mcnemar_score(*changes)
    elif changed >= FEW_CHANGES and se > 0:
        degrees = satterthwaite_degrees(influence.ravel(), np.asarray(joint).ravel())
        low, high = _within(metric, *_student_limits(difference, se, degrees, confidence))
        p_value = _student_p(difference, se, degrees)
    else:
        method = say("method.exact_halves", "each model's exact limits at half the error")
        low, high = _box(metric, model, baseline, confidence)
        p_value = _box_p_value(metric, model, baseline)
    return PairedDifference(
        difference, low, high, se, p_value, read_change(low, high, metric.better), changed, method
    )


def paired_difference_clustered(
    metric: Metric,
    totals: NDArray[np.generic],
    multiplicity: NDArray[np.int64] | None = None,
    *,
    confidence: float = 0.95,
) -> PairedDifference:
    """Difference of a metric between two models on the same patients; clusters as units.

    Parameters
    ----------
    metric : Metric
    totals : array, shape (patterns, 2, 2, 2)
        Joint cells per cluster, or per distinct pattern of clusters.
    multiplicity : int64 array, shape (patterns,), optional
        Clusters with that pattern.

    Notes
    -----
    Each cluster's influence on the difference is linearised (for shared denominators this is
    Obuchowski's variance for correlated proportions); Student's t with Satterthwaite's degrees
    of freedom, at most the contributing clusters less 1. The test flips whole patients. Fewer than
    2 clusters that differ: Clopper-Pearson with n = clusters for the share that changes.

    References
    ----------
    Obuchowski (1998), On the comparison of correlated proportions for clustered data, Statistics in
    Medicine 17, 1495-1507. Leisenring, Alonzo & Pepe (2000), Comparisons of predictive values of
    binary medical diagnostic tests for paired designs, Biometrics 56, 345-351.
    """
    cells = np.asarray(totals, dtype=np.float64)
    times = np.ones(cells.shape[0], dtype=np.int64) if multiplicity is None else multiplicity
    whole = np.tensordot(times, cells, axes=1)
    model, baseline = confusion_of_both(whole)
    values = float(metric.of(model)), float(metric.of(baseline))
    method = say("method.joint_outcomes_clusters", "linearised over joint outcomes, between clusters; t")
    if metric.name == "prevalence":
        return PairedDifference(None, None, None, None, None, None, 0.0, METHODS[NONE], _NO_MODEL)
    if not np.all(np.isfinite(values)):
        return PairedDifference(None, None, None, None, None, None, 0.0, method, metric.undefined)
    influence = _influence(metric, model, baseline)
    of_cluster = (cells * influence).sum((-3, -2, -1))
    contributing = (np.abs(cells) * _touched(metric)).sum((-3, -2, -1)) > 0
    clusters = int(times[contributing].sum())
    moved = int(times[(cells * _moving(metric)).sum((-3, -2, -1)) > 0].sum())
    difference = values[0] - values[1]
    square = float(times @ of_cluster**2)
    se = sqrt(clusters / (clusters - 1) * square) if clusters > 1 else 0.0
    # Evaluated where both models are one (pooled), the contributions only turn their sign when a
    # patient's two models are exchanged, and they sum to the difference's score (Leisenring et al. 2000).
    pooled = (model + baseline) / 2
    p_value = sign_flip((cells * _influence(metric, pooled, pooled)).sum((-3, -2, -1)), times)
    if moved < 2 or se == 0:
        # The two models disagree in at most one patient: the share of patients that would change is
        # known only as exactly as their number allows.
        _, share = clopper_pearson(moved, max(clusters, 1), 1 - confidence)
        reach = float(share) * (metric.highest - metric.lowest)
        low, high = _within(metric, difference - reach, difference + reach)
        method = say("method.exact_changes", "Clopper-Pearson for the share of clusters that change")
    else:
        from scipy.special import stdtrit

        degrees = satterthwaite_degrees(of_cluster[contributing], times[contributing])
        half = float(stdtrit(degrees, (1 + confidence) / 2)) * se
        low, high = _within(metric, difference - half, difference + half)
    return PairedDifference(
        difference,
        low,
        high,
        se,
        p_value,
        read_change(low, high, metric.better),
        float(whole[_moving(metric)].sum()),
        method,
    )


def mcnemar(model_only: float, baseline_only: float, *, mid_p: bool = True) -> float:
    """McNemar's test of equal shares from the discordant rows: exact binomial, mid-p by default.

    References
    ----------
    McNemar (1947), Psychometrika 12, 153-157. Fagerland, Lydersen & Laake (2013), BMC Medical
    Research Methodology 13, 91: the mid-p test holds its level where the exact one is conservative.
    """
    from scipy.stats import binom

    n, smaller = model_only + baseline_only, min(model_only, baseline_only)
    if n == 0:
        return 1.0
    tail = float(binom.cdf(smaller, n, 0.5))
    if mid_p:
        tail -= float(binom.pmf(smaller, n, 0.5)) / 2
    return min(1.0, 2 * tail)


def sign_flip(contribution: Floats, multiplicity: NDArray[np.int64]) -> float:
    """Patient-level test of no difference: under it a patient's two models could be exchanged.

    Parameters
    ----------
    contribution : float64 array, shape (patterns,)
        Of a cluster to the difference; exchanging its two models turns its sign.
    multiplicity : int64 array, shape (patterns,)

    Returns
    -------
    float
        Two-sided p-value of the sum of contributions, above 0.

    Notes
    -----
    Conditional on the sizes of the contributions, every pattern of signs is as likely: exact for shared
    denominators, where the sum is the difference; for the others to first order. Clusters of one
    and the same size are McNemar's test, in its mid-p form (rows have the uncorrected one). Up to 13
    contributing clusters all patterns are enumerated; beyond, the tail is Robinson's saddlepoint
    approximation in Barndorff-Nielsen's form, from the cumulants sum of log cosh (size x t): no draws, and
    p-values as small as they are.

    References
    ----------
    Robinson (1982), Saddlepoint approximations for permutation tests and confidence intervals, Journal of
    the Royal Statistical Society B 44, 91-101. Barndorff-Nielsen (1986), Biometrika 73, 307-322.
    """
    taking_part = (contribution != 0) & (multiplicity > 0)
    value, number = contribution[taking_part], multiplicity[taking_part]
    if value.size == 0:
        return 1.0
    size, total = np.abs(value), int(number.sum())
    size = size / size.max()
    # Sizes that rounding alone left of 0, or tells apart, are none.
    value, number, size = value[size > 1e-9], number[size > 1e-9], size[size > 1e-9]
    total = int(number.sum())
    if size.min() > 1 - 1e-9:
        return mcnemar(float(number[value > 0].sum()), float(number[value < 0].sum()))
    observed = abs(float(number @ (size * np.sign(value))))
    most = float(number @ size)
    if total <= _ENUMERATED:
        each = np.repeat(size, number)
        signs = 1 - 2 * ((np.arange(1 << total)[:, None] >> np.arange(total)) & 1)
        return float(np.mean(np.abs(signs @ each) >= observed - 1e-9 * most))
    if observed >= most * (1 - 1e-9):
        return max(2.0 ** (1 - total), _SMALLEST)
    return _saddlepoint_tails(size, number.astype(np.float64), observed)


def _saddlepoint_tails(size: Floats, number: Floats, observed: float) -> float:
    """Both tails beyond ``observed`` of a sum of ``number`` random signs times ``size``."""
    from scipy.special import ndtr

    t = 0.0
    # The derivative of the cumulants is concave above 0: Newton's steps from there rise to the root.
    for _ in range(_MOST_STEPS):
        slope = np.tanh(size * t)
        step = (observed - float(number @ (size * slope))) / float(number @ (size**2 * (1 - slope**2)))
        t += step
        if step <= 1e-10 * t:
            break
    curvature = float(number @ (size**2 * (1 - np.tanh(size * t) ** 2)))
    cumulant = float(number @ (size * t + np.log1p(np.exp(-2 * size * t)) - log(2)))
    r, v = sqrt(max(2 * (t * observed - cumulant), 0.0)), t * sqrt(curvature)
    # At the centre both are 0 and their ratio is 1.
    beyond = r if r < 1e-3 else r + log(v / r) / r
    return min(1.0, max(2 * float(ndtr(-beyond)), _SMALLEST))


def read_change(low: float, high: float, better: Literal["high", "low", "neither"]) -> Change | None:
    """Worse or better where the whole interval lies on one side of 0; else no change is shown."""
    if better == "neither":
        return None
    if low > 0:
        return "better" if better == "high" else "worse"
    if high < 0:
        return "worse" if better == "high" else "better"
    return "no change shown"


def _shares_denominator(metric: Metric) -> bool:
    """Whether rows enter the denominator by their label alone, the same for both models."""
    tp, fp, fn, tn = metric.denominator
    return metric.kind == "proportion" and tp == fn and fp == tn


def _numerator_by_cell(metric: Metric, axis: Literal["model", "baseline"]) -> Floats:
    """The metric's numerator coefficient at each joint cell, for one of the models."""
    tp, fp, fn, tn = metric.numerator
    single: Floats = np.array([[tn, fp], [fn, tp]], dtype=np.float64)
    return np.broadcast_to(single[:, :, None] if axis == "model" else single[:, None, :], (2, 2, 2))


def _touched(metric: Metric) -> NDArray[np.bool_]:
    """Joint cells that enter either model's denominator (or, without one, all)."""
    if not any(metric.denominator):
        return np.ones((2, 2, 2), dtype=bool)
    tp, fp, fn, tn = metric.denominator
    single = np.array([[tn, fp], [fn, tp]]) != 0
    return np.asarray(single[:, :, None] | single[:, None, :])


def _moving(metric: Metric) -> NDArray[np.bool_]:
    """Joint cells in which the two models disagree, of rows that the metric looks at."""
    return np.asarray(~np.eye(2, dtype=bool) & _touched(metric))


def _influence(metric: Metric, model: Floats, baseline: Floats) -> Floats:
    """Derivative of the difference in each of the eight joint counts."""

    def by_label_and_call(confusion: Floats) -> Floats:
        tp, fp, fn, tn = gradient(metric, confusion)
        return np.asarray(np.nan_to_num(np.array([[tn, fp], [fn, tp]])), dtype=np.float64)

    return np.subtract(by_label_and_call(model)[:, :, None], by_label_and_call(baseline)[:, None, :])


def _discordant(metric: Metric, joint: NDArray[np.generic]) -> tuple[float, float]:
    """Rows in the numerator of the model only, and of the baseline only."""
    one, other = (_numerator_by_cell(metric, axis) for axis in ("model", "baseline"))
    cells = np.asarray(joint, dtype=np.float64)
    return float(cells[(one > 0) & (other == 0)].sum()), float(cells[(other > 0) & (one == 0)].sum())


def tango(model_only: float, baseline_only: float, n: float, confidence: float) -> tuple[float, float]:
    """Score limits of a paired difference (b - c) / n; b: rows of the model only, c: of the baseline only.

    They exclude 0 exactly where McNemar's test (uncorrected) rejects.

    References
    ----------
    Tango (1998), Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design, Statistics in Medicine 17, 891-908, equations 24 to 27.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtri

    z = float(ndtri((1 + confidence) / 2))
    b, c = model_only, baseline_only

    def score(delta: float) -> float:
        """Signed root of the score statistic at a true difference; falls with it."""
        linear = -b - c + (2 * n - b + c) * delta
        root = sqrt(max(linear**2 + 8 * n * c * delta * (1 - delta), 0.0))
        # Of two forms of one root, the one without cancellation.
        q = (root - linear) / (4 * n)
        if linear > 0:
            q = 2 * c * delta * (1 - delta) / (root + linear)
        variance = n * max(2 * q + delta * (1 - delta), 0.0)
        distance = b - c - n * delta
        if variance <= 0:
            return 0.0 if distance == 0 else float(np.copysign(np.inf, distance))
        return distance / sqrt(variance)

    def upper() -> float:
        value = (b - c) / n
        if value >= 1:
            return 1.0
        end = 1 - 1e-12
        return 1.0 if score(end) > -z else float(brentq(lambda d: max(score(d), -2 * z - 1) + z, value, end))

    high = upper()
    b, c = c, b
    return -upper(), high


def mcnemar_score(model_only: float, baseline_only: float) -> float:
    """McNemar's test of equal shares, uncorrected: dual to `tango`.

    References
    ----------
    McNemar (1947), Psychometrika 12, 153-157.
    """
    from scipy.special import ndtr

    n = model_only + baseline_only
    return 1.0 if n == 0 else 2 * float(ndtr(-abs(model_only - baseline_only) / sqrt(n)))


def _box(metric: Metric, model: Floats, baseline: Floats, confidence: float) -> tuple[float, float]:
    """Limits of a difference from each model's limits at half the error (Bonferroni): any dependence."""
    if metric.kind not in ("proportion", "f1"):
        return metric.lowest - metric.highest, metric.highest - metric.lowest
    alpha = (1 - confidence) / 2
    limits = [
        [
            float(metric.from_proportion(limit))
            for limit in clopper_pearson(metric.count(c), metric.trials(c), alpha)
        ]
        for c in (model, baseline)
    ]
    return limits[0][0] - limits[1][1], limits[0][1] - limits[1][0]


def _box_p_value(metric: Metric, model: Floats, baseline: Floats) -> float:
    """Dual to `_box`."""

    def limits(alpha: Floats) -> tuple[Floats, Floats]:
        low, high = _box(metric, model, baseline, 1 - float(alpha))
        return np.asarray(low), np.asarray(high)

    found = float(dual_p_value(limits, ()))
    return 1.0 if found > 1 - 1e-9 else found  # halving stops a little below


def _student_limits(value: float, se: float, degrees: float, confidence: float) -> tuple[float, float]:
    from scipy.special import stdtrit

    reach = float(stdtrit(degrees, (1 + confidence) / 2)) * se
    return value - reach, value + reach


def _within(metric: Metric, low: float, high: float) -> tuple[float, float]:
    """Limits of a difference, cut to what two values of the metric's range can differ by."""
    span = metric.highest - metric.lowest
    return max(-span, low), min(span, high)


def _student_p(value: float, se: float, degrees: float) -> float:
    from scipy.special import stdtr

    return 2 * float(stdtr(degrees, -abs(value) / se))
