"""Weights: weighted shares with linearised limits, and predictive values at a stated prevalence.

Belongs here: survey weights, case-enriched sets, a stated target prevalence. Does not: the
choice among interval methods (`slices.selection`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray

from slices.degrees import satterthwaite_degrees
from slices.intervals import clopper_pearson, korn_graubard, logit_t
from slices.said import say

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WeightedShare:
    """A weighted proportion: value, linearised error, and what its denominator is worth.

    Attributes
    ----------
    value : float or None
    se : float or None
        Taylor-linearised standard error; None where value is.
    effective : float
        Denominator over the design effect: value (1 - value) / se^2 where that is defined, else
        Kish's effective number of the denominator's weights.
    kish : float
        (sum w)^2 / sum w^2 of the denominator.
    """

    value: float | None
    low: float | None
    high: float | None
    se: float | None
    effective: float
    kish: float
    method: str
    undefined: str | None = None


def kish_effective(total: float, squares: float) -> float:
    """Kish's effective number of rows, (sum w)^2 / sum w^2; 0 where there is no weight.

    References
    ----------
    Kish (1965), Survey Sampling, section 8.2; Kish (1992), Journal of Official Statistics 8, 183-200.
    """
    return total**2 / squares if squares > 0 else 0.0


def weighted_share(
    numerator: tuple[float, float],
    rest: tuple[float, float],
    rows: int,
    *,
    confidence: float = 0.95,
) -> WeightedShare:
    """A ratio of weighted counts from the sums of weights and of squared weights, rows as units.

    Parameters
    ----------
    numerator : (sum w, sum w^2)
        Over the rows in the numerator.
    rest : (sum w, sum w^2)
        Over the rows of the denominator that are not in the numerator.
    rows : int
        Rows of the denominator, unweighted.

    Notes
    -----
    With y the numerator's indicator, R = sum w y / sum w has the linearised variance
    n / (n - 1) x sum w^2 (y - R)^2 / (sum w)^2 = n / (n - 1) x
    ((1 - R)^2 Q1 + R^2 Q0) / (W1 + W0)^2: the four sums suffice.

    Limits: Korn-Graubard at the effective size, which stay right at small numbers; at 0 and 1,
    where the linearised error vanishes, Clopper-Pearson at Kish's effective number.

    References
    ----------
    Särndal, Swensson & Wretman (1992), Model Assisted Survey Sampling, result 5.6.2.
    Korn & Graubard (1998), Survey Methodology 24, 193-201.
    """
    (w1, q1), (w0, q0) = numerator, rest
    total, kish = w1 + w0, kish_effective(w1 + w0, q1 + q0)
    method = say("method.taylor", "Taylor-linearised, Korn-Graubard limits")
    if total <= 0 or rows < 1:
        return WeightedShare(
            None,
            None,
            None,
            None,
            0.0,
            kish,
            method,
            say("undefined.weighted_zero", "The weighted denominator is 0."),
        )
    value = w1 / total
    alpha = 1 - confidence
    if w1 <= 0 or w0 <= 0 or rows < 2:
        low, high = clopper_pearson(value * kish, kish, alpha)
        ends = say("method.exact_kish", "Clopper-Pearson at Kish's effective number")
        return WeightedShare(value, float(low), float(high), 0.0, kish, kish, ends)
    variance = rows / (rows - 1) * ((1 - value) ** 2 * q1 + value**2 * q0) / total**2
    effective = min(value * (1 - value) / variance, float(rows))
    low, high = korn_graubard(value, rows, effective, rows - 1, alpha)
    return WeightedShare(value, float(low), float(high), sqrt(variance), effective, kish, method)


def weighted_share_clustered(
    numerator: Floats,
    denominator: Floats,
    multiplicity: NDArray[np.int64] | None = None,
    *,
    squares: float | None = None,
    rows: int | None = None,
    confidence: float = 0.95,
) -> WeightedShare:
    """A ratio of weighted counts from cluster totals: between-cluster linearised variance.

    Parameters
    ----------
    numerator, denominator : float64 arrays, shape (patterns,)
        Sums of weights per cluster (or per distinct pattern of clusters).
    multiplicity : int64 array, shape (patterns,), optional
        Clusters with that pattern; None: one each.
    squares : float, optional
        Sum of squared weights of the denominator's rows, for Kish's number; None: of clusters' totals.
    rows : int, optional
        Rows of the denominator; bounds the effective size. None: no bound beyond the clusters' own.

    Notes
    -----
    Variance C / (C - 1) x sum over clusters of (y_c - R x_c)^2 / (sum x)^2, C the clusters that
    contribute to the denominator; logit-t limits with Satterthwaite's degrees of freedom, at most
    C - 1 (`slices.degrees`). At 0 and 1, or
    with one cluster: Clopper-Pearson with the clusters' Kish number as trials.
    """
    times = np.ones(numerator.size, dtype=np.int64) if multiplicity is None else multiplicity
    used = denominator > 0
    y, x, m = numerator[used], denominator[used], times[used]
    total, clusters = float(m @ x), int(m.sum())
    method = say("method.taylor_clusters", "Taylor-linearised between clusters, logit-t")
    if total <= 0:
        return WeightedShare(
            None,
            None,
            None,
            None,
            0.0,
            0.0,
            method,
            say("undefined.weighted_zero", "The weighted denominator is 0."),
        )
    of_clusters = kish_effective(total, float(m @ x**2))
    kish = of_clusters if squares is None else kish_effective(total, squares)
    value = float(m @ y) / total
    residual = y - value * x
    variance = 0.0 if clusters < 2 else clusters / (clusters - 1) * float(m @ residual**2) / total**2
    if not 0 < value < 1 or variance <= 1e-18:
        low, high = clopper_pearson(min(value, 1.0) * of_clusters, of_clusters, 1 - confidence)
        ends = say("method.exact_effective_clusters", "Clopper-Pearson at the clusters' effective number")
        return WeightedShare(value, float(low), float(high), sqrt(variance), of_clusters, kish, ends)
    se = sqrt(variance)
    effective = value * (1 - value) / variance
    if rows is not None:
        effective = min(effective, float(rows))
    low, high = logit_t(value, se, satterthwaite_degrees(residual, m), 1 - confidence)
    return WeightedShare(value, float(low), float(high), se, effective, kish, method)


@dataclass(frozen=True, slots=True)
class AtPrevalence:
    """Precision or NPV at a stated prevalence, with its interval; None with the reason where undefined."""

    value: float | None
    low: float | None
    high: float | None
    method: str
    undefined: str | None = None


def precision_at(
    prevalence: float, tp: float, fp: float, fn: float, tn: float, *, confidence: float = 0.95
) -> AtPrevalence:
    """Precision if positives were ``prevalence`` of all rows, with recall and specificity as observed.

    A case-enriched test set overstates precision; Bayes' theorem moves it to the prevalence of use.

    Parameters
    ----------
    prevalence : float
        In (0, 1), stated by the user and taken as known.
    tp, fp, fn, tn : float
        Counts; effective ones where clustered or weighted.

    Notes
    -----
    odds(precision) = prevalence / (1 - prevalence) x recall / fpr. Limits: of the likelihood ratio
    recall / fpr on the log scale, by MOVER from Wilson limits of both rates (independent: they
    rest on different rows), so they exist at 0 and 1 and stay in [0, 1].

    References
    ----------
    Mercaldo, Lau & Zhou (2007), Confidence intervals for predictive values with an emphasis to
    case-control studies, Statistics in Medicine 26, 2170-2183. Zou & Donner (2008), Statistics in
    Medicine 27, 1693-1702.
    """
    return _bayes(prevalence, (tp, tp + fn), (fp, fp + tn), confidence)


def npv_at(
    prevalence: float, tp: float, fp: float, fn: float, tn: float, *, confidence: float = 0.95
) -> AtPrevalence:
    """Negative predictive value at a stated prevalence; as `precision_at` with the classes exchanged."""
    return _bayes(1 - prevalence, (tn, fp + tn), (fn, tp + fn), confidence)


def _bayes(
    prior: float, hits: tuple[float, float], false: tuple[float, float], confidence: float
) -> AtPrevalence:
    """Posterior share from a prior and the rates of right and wrong calls, with limits."""
    from slices.intervals import mover_ratio, wilson

    method = say(
        "method.bayes",
        "Bayes' theorem at the stated prevalence; MOVER of two Wilson intervals on the log scale",
    )
    if not 0 < prior < 1:
        raise ValueError(f"prevalence is {prior:g}: give a share between 0 and 1, both excluded")
    if hits[1] <= 0 or false[1] <= 0:
        return AtPrevalence(
            None, None, None, method, say("undefined.class_without_row", "One of the two classes has no row.")
        )
    right, wrong = hits[0] / hits[1], false[0] / false[1]
    if right == 0 and wrong == 0:
        return AtPrevalence(
            None, None, None, method, say("undefined.never_predicted", "No row is predicted so: 0 of 0.")
        )
    alpha = 1 - confidence
    bounds = [wilson(*pair, alpha) for pair in (hits, false)]
    (l1, h1), (l0, h0) = ((float(low), float(high)) for low, high in bounds)
    prior_odds = prior / (1 - prior)
    if wrong > 0:
        low, high = mover_ratio(right, l1, h1, wrong, l0, h0)
        return AtPrevalence(
            _share(prior_odds * right / wrong),
            _share(prior_odds * float(low)),
            _share(prior_odds * float(high)),
            method,
        )
    # With no false call the ratio is infinite: turn it over, its limits turn with it.
    low, high = mover_ratio(wrong, l0, h0, right, l1, h1)
    return AtPrevalence(1.0, _share(prior_odds / float(high)), 1.0, method)


def _share(odds: float) -> float:
    return 1.0 if odds == inf else odds / (1 + odds)
