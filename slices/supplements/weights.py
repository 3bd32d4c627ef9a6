"""Weights: predictive values at a stated prevalence, for case-enriched sets.

Belongs here: the formula and its limits. Does not: errors of weighted figures
(`slices.estimates.weighting`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isnan, nan

from slices.said import say


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
    return _from_counts(prevalence, (tp, tp + fn), (fp, fp + tn), confidence)


def npv_at(
    prevalence: float, tp: float, fp: float, fn: float, tn: float, *, confidence: float = 0.95
) -> AtPrevalence:
    """Negative predictive value at a stated prevalence; as `precision_at` with the classes exchanged."""
    return _from_counts(1 - prevalence, (tn, fp + tn), (fn, tp + fn), confidence)


@dataclass(frozen=True, slots=True)
class Rate:
    """Share of right (or of wrong) calls in one class, with its limits; NaN where the class has no row."""

    value: float
    low: float
    high: float

    @property
    def turned(self) -> Rate:
        """The other calls' share."""
        return Rate(1 - self.value, 1 - self.high, 1 - self.low)


def predictive(prior: float, right: Rate, wrong: Rate, correlation: float, method: str) -> AtPrevalence:
    """Posterior share from a prior and the rates of right and wrong calls, with limits.

    Parameters
    ----------
    prior : float
        In (0, 1).
    right, wrong : Rate
        Recall and false positive rate for precision; specificity and false negative rate for NPV.
    correlation : float
        Of the two estimates: 0 where they rest on different rows, not where on the same patients.
    method : str
        How the rates' limits were made.

    Raises
    ------
    ValueError
        A prior outside (0, 1).

    References
    ----------
    Zou & Donner (2008), Statistics in Medicine 27, 1693-1702, section 3.3.
    """
    from slices.intervals import mover_ratio

    if not 0 < prior < 1:
        raise ValueError(f"prevalence is {prior:g}: give a share between 0 and 1, both excluded")
    if isnan(right.value) or isnan(wrong.value):
        return AtPrevalence(
            None, None, None, method, say("undefined.class_without_row", "One of the two classes has no row.")
        )
    if right.value == 0 and wrong.value == 0:
        return AtPrevalence(
            None, None, None, method, say("undefined.never_predicted", "No row is predicted so: 0 of 0.")
        )
    prior_odds = prior / (1 - prior)
    if wrong.value > 0:
        low, high = mover_ratio(
            right.value, right.low, right.high, wrong.value, wrong.low, wrong.high, correlation
        )
        return AtPrevalence(
            _share(prior_odds * right.value / wrong.value),
            _share(prior_odds * float(low)),
            _share(prior_odds * float(high)),
            method,
        )
    # With no false call the ratio is infinite: turn it over, its limits turn with it.
    _, high = mover_ratio(wrong.value, wrong.low, wrong.high, right.value, right.low, right.high, correlation)
    return AtPrevalence(1.0, _share(prior_odds / float(high)), 1.0, method)


def _from_counts(
    prior: float, hits: tuple[float, float], false: tuple[float, float], confidence: float
) -> AtPrevalence:
    """From independent rows: Wilson's limits of both rates."""
    from slices.intervals import wilson

    rates = []
    for count, trials in (hits, false):
        known = trials > 0
        low, high = wilson(count, trials, 1 - confidence) if known else (nan, nan)
        rates.append(Rate(count / trials if known else nan, float(low), float(high)))
    method = say(
        "method.bayes",
        "Bayes' theorem at the stated prevalence; MOVER of two Wilson intervals on the log scale",
    )
    return predictive(prior, rates[0], rates[1], 0.0, method)


def _share(odds: float) -> float:
    return 1.0 if odds == inf else odds / (1 + odds)
