"""Weights: Kish's effective number, and predictive values at a stated prevalence.

Belongs here: case-enriched sets, a stated target prevalence. Does not: errors of weighted figures
(`slices.estimates.weighting`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from slices.said import say


def kish_effective(total: float, squares: float) -> float:
    """Kish's effective number of rows, (sum w)^2 / sum w^2; 0 where there is no weight.

    References
    ----------
    Kish (1965), Survey Sampling, section 8.2; Kish (1992), Journal of Official Statistics 8, 183-200.
    """
    return total**2 / squares if squares > 0 else 0.0


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
