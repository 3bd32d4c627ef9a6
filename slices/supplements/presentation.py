"""Which estimates rest on too few data to be judged: the presentation standards for proportions.

Belongs here: the rule that says "not enough data", with its reason. Does not: the
verdict itself (a failure takes precedence over it) and the intervals of the report.
"""

from __future__ import annotations

from dataclasses import dataclass

from slices.intervals import clopper_pearson, korn_graubard
from slices.said import say


@dataclass(frozen=True, slots=True)
class PresentationRule:
    """The limits of the standard, each configurable.

    Attributes
    ----------
    minimum : int
        Smallest denominator, and smallest effective denominator.
    narrow, wide : float
        Absolute widths of the 95% interval: up to ``narrow`` it is presented, from ``wide``
        on it is not; in between the relative width decides.
    relative : float
        Largest width relative to the proportion.
    degrees : int
        Below so many degrees of freedom (clusters - 1) the standard asks for a statistician's review.
    """

    minimum: int = 30
    narrow: float = 0.05
    wide: float = 0.30
    relative: float = 1.30
    degrees: int = 8


NCHS = PresentationRule()

# The standard's interval is the two-sided 95% one, whatever confidence the report uses.
STANDARD_CONFIDENCE = 0.95


def korn_graubard_limits(
    value: float, support: float, *, effective: float | None = None, degrees: float | None = None
) -> tuple[float, float]:
    """The standard's 95% limits: Clopper-Pearson, with Korn and Graubard's effective size where clustered.

    Parameters
    ----------
    value : float
        The proportion, in [0, 1].
    support : float
        Its denominator in rows, at least 1.
    effective : float, optional
        The denominator over the design effect; never counts for more than ``support``.
    degrees : float, optional
        Degrees of freedom of the variance estimate: contributing clusters - 1.

    References
    ----------
    Korn & Graubard (1998), Survey Methodology 24, 193-201. Parker et al. (2017), appendix.
    """
    alpha = 1 - STANDARD_CONFIDENCE
    size = support if effective is None else min(effective, support)
    if degrees is None or degrees < 1:
        low, high = clopper_pearson(value * size, size, alpha)
    else:
        low, high = korn_graubard(value, support, size, degrees, alpha)
    return float(low), float(high)


def proportion_shortfall(
    value: float,
    support: int,
    *,
    effective: float | None = None,
    degrees: float | None = None,
    limits: tuple[float, float] | None = None,
    rule: PresentationRule = NCHS,
) -> str | None:
    """Why a proportion must not be judged, or None where it may be.

    It passes where the proportion or its complement passes. The relative width of the larger
    of the two is at most width / 0.5, so the relative rule never suppresses alone here; it is
    computed all the same, since its limits are configurable.

    Parameters
    ----------
    value : float
        The proportion, in [0, 1]; 0 and 1 are judged by the size and the width alone, and
        `proportion_review` asks for a second look.
    support : int
        The proportion's own denominator, in rows.
    effective : float, optional
        Denominator over the design effect (clusters, weights); None: simple random rows.
    degrees : float, optional
        Contributing clusters - 1, where the log has clusters.
    limits : (low, high), optional
        95% Clopper-Pearson or Korn-Graubard limits, if at hand; computed here if not.

    Returns
    -------
    str or None
        One sentence for the report.

    References
    ----------
    Parker JD, Talih M, Malec DJ, et al. (2017), National Center for Health Statistics Data
    Presentation Standards for Proportions, Vital and Health Statistics 2(175).
    """
    if support < rule.minimum:
        return say(
            "minimum.denominator",
            "{support} cases are too few; {minimum} are needed.",
            support=support,
            minimum=rule.minimum,
        )
    if effective is not None and effective < rule.minimum:
        return say(
            "minimum.effective",
            "{support} cases that count for {effective:.1f} independent ones are too few; {minimum} are "
            "needed.",
            effective=effective,
            support=support,
            minimum=rule.minimum,
        )
    low, high = limits or korn_graubard_limits(value, support, effective=effective, degrees=degrees)
    width = high - low
    if width >= rule.wide:
        return say(
            "minimum.wide",
            "The exact 95% interval is {width:.2f} wide; less than {widest:.2f} is needed.",
            width=width,
            widest=rule.wide,
        )
    if width > rule.narrow and width / max(value, 1 - value) > rule.relative:
        return say(
            "minimum.relative",
            "The exact 95% interval is {share:.0%} as wide as the proportion and its "
            "complement; at most {most:.0%} is allowed.",
            share=width / max(value, 1 - value),
            most=rule.relative,
        )
    if degrees is not None and degrees < rule.degrees:
        return say(
            "minimum.clusters",
            "{clusters:.0f} clusters contribute to the denominator; {minimum} are needed.",
            clusters=degrees + 1,
            minimum=rule.degrees + 1,
        )
    return None


def proportion_review(value: float | None) -> str | None:
    """The standard's request for a statistician's look at a proportion without events, or of events only."""
    if value in (0, 1):
        return say(
            "minimum.review",
            "The estimate is exactly {value:.0f}: the standard asks that a statistician reviews it.",
            value=value,
        )
    return None


def support_shortfall(
    support: float, *, minimum: int = NCHS.minimum, what: str = say("minimum.of.support", "support")
) -> str | None:
    """Why a metric that is no proportion (F1, MCC, AUROC) must not be judged: below a stated support."""
    if support < minimum:
        return say(
            "minimum.support",
            "The {what} is {support:g}; {minimum} are needed.",
            what=what,
            support=support,
            minimum=minimum,
        )
    return None
