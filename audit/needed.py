"""Needed: how many more cases a check would take to be judged and decided.

Composition of `slices.estimates.power` (a decision) and `slices.supplements.presentation` (the small-slice
rule). Belongs here: which figures, limits and denominators the plans are made of. Does not: the outcomes
themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from math import ceil
from typing import Literal

from audit.metric_names import PROPORTIONS
from audit.targets import Target
from slices.estimates.power import MOST_UNITS, Arm, Needed, needed_units, standard_error
from slices.records import Disparity, Estimate, Simultaneous, SliceRecord
from slices.said import say

PlanKind = Literal["at_least", "at_most", "gap_at_most", "ratio_at_least"]
PLANS: Mapping[str, PlanKind] = {
    "floor": "at_least",
    "ceiling": "at_most",
    "missing_predictions": "at_most",
    "gap": "gap_at_most",
    "ratio": "ratio_at_least",
}


def in_cases(estimate: Estimate, record: SliceRecord | None) -> Estimate:
    """The estimate with its size in cases: the support of a mean over classes is a number of classes.

    Patients (clusters) count in place of cases where the record has them.
    """
    pooled = record is not None and record.klass is None and record.counts is None
    of_classes = estimate.metric.startswith("macro_") or (pooled and estimate.metric == "balanced_accuracy")
    if record is None or not of_classes:
        return estimate
    effective = None if record.clusters is None else float(min(record.n, record.clusters))
    return replace(estimate, support=record.n, effective=effective, clusters=record.clusters)


def for_decision(
    target: Target,
    metric: str,
    estimate: Estimate,
    disparity: Disparity | None,
    confidence: float,
    joint: Simultaneous | None,
    interval: tuple[float | None, float | None],
) -> Needed:
    """Additional denominator units for a decision, if the present estimate is the truth.

    ``interval``: the limits that the check was read from.
    """
    level = confidence if joint is None else joint.level
    inside = _arm(metric, estimate, confidence)
    if inside is None:
        return Needed(None, reason=say("needed.no_figure", "There is no figure to plan on."))
    if disparity is None:
        if metric not in PROPORTIONS:
            right = (inside.value > target.limit) == (PLANS[target.kind] == "at_least")
            read = interval if right or joint is None else (joint.low, joint.high)
            factor = _wider_value(inside, target.limit, read, confidence if right else level)
            inside = _spread(inside, factor)
        return plan(PLANS[target.kind], target.limit, inside, None, confidence, level)
    if disparity.comparator is None:
        return Needed(
            None, reason=say("needed.unknown_comparator", "The comparator's own figures are not known.")
        )
    outside = _arm(metric, disparity.comparator, confidence)
    if outside is None:
        return Needed(None, reason=say("needed.no_comparator", "The comparator has no figure to plan on."))
    if target.kind == "gap":
        difference = inside.value - outside.value
        level_read = confidence if abs(difference) < target.limit else level
        factor = _wider(difference, target.limit, interval, inside, outside, level_read)
        inside, outside = _spread(inside, factor), _spread(outside, factor)
    return plan(PLANS[target.kind], target.limit, inside, outside, confidence, level)


@lru_cache(maxsize=4096)
def plan(
    kind: PlanKind, limit: float, inside: Arm, outside: Arm | None, pointwise: float, simultaneous: float
) -> Needed:
    """`slices.estimates.power.needed_units`, remembered: many small slices have the same few counts."""
    return needed_units(kind, limit, inside, outside, pointwise=pointwise, simultaneous=simultaneous)


def _wider(
    value: float,
    limit: float,
    interval: tuple[float | None, float | None],
    inside: Arm,
    outside: Arm,
    confidence: float,
) -> float:
    """How much more variance the interval of a gap shows, on the side that crosses, than the normal law.

    The score interval of two rare rates is longer on one side: planned by the normal law, a check that
    it leaves open could look decided already.
    """
    from scipy.special import ndtri

    low, high = interval
    if low is None or high is None:
        return 1.0
    crossing = [abs(end - value) for end in (low, high) if (abs(value) < limit) != (abs(end) <= limit)]
    variance = sum(arm.unit_variance / arm.units for arm in (inside, outside))
    if not crossing or variance <= 0:
        return 1.0
    normal = float(ndtri((1 + confidence) / 2)) ** 2 * variance
    return max(1.0, max(crossing) ** 2 / normal)


def _wider_value(
    arm: Arm, limit: float, interval: tuple[float | None, float | None], confidence: float
) -> float:
    """How much more variance a figure's interval shows towards the limit than the normal law.

    Limits far in the tail are longer there than the error times a normal quantile: planned without it,
    a check that they leave open could look decided already.
    """
    from scipy.special import ndtri

    end = interval[0] if limit < arm.value else interval[1]
    if end is None or arm.se is None or arm.se <= 0:
        return 1.0
    normal = float(ndtri((1 + confidence) / 2)) ** 2 * arm.se**2
    return max(1.0, (end - arm.value) ** 2 / normal)


def _spread(arm: Arm, factor: float) -> Arm:
    """The arm with ``factor`` times the variance."""
    if arm.se is not None:
        return replace(arm, se=arm.se * factor**0.5)
    return replace(arm, effective=arm.units / (arm.design_effect * factor))


def to_be_judged(shortfall: Callable[[float], str | None], support: int, clusters: int | None) -> Needed:
    """Least addition to a slice after which the small-slice rule lets it be judged.

    Parameters
    ----------
    shortfall : callable
        Why a slice (and its comparator) grown by this factor may not be judged, or None; once None,
        None for every larger one.
    support : int
        The slice's denominator, at least 1.
    clusters : int or None
        Those that contribute to it.
    """

    def enough(added: int) -> bool:
        return shortfall((support + added) / support) is None

    high = 1
    while not enough(high):
        high *= 2
        if high > MOST_UNITS:
            return Needed(
                None, reason=say("needed.most", "More than {units:,} rows would be needed.", units=MOST_UNITS)
            )
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return Needed(high, None if clusters is None else ceil(high * clusters / support))


def both(judged: Needed, decided: Needed) -> Needed:
    """What it takes to be judged and decided; None where either is not known."""
    if judged.units is None or decided.units is None:
        return decided if decided.units is None else judged
    more = max(judged, decided, key=lambda found: found.units or 0)
    return replace(more, comparator_grows=decided.comparator_grows)


def grown(estimate: Estimate, factor: float) -> Estimate:
    """The same figure on ``factor`` times the cases and clusters."""
    return replace(
        estimate,
        support=round(estimate.support * factor),
        effective=None if estimate.effective is None else estimate.effective * factor,
        clusters=None if estimate.clusters is None else round(estimate.clusters * factor),
    )


def _arm(metric: str, estimate: Estimate, confidence: float) -> Arm | None:
    if estimate.value is None or estimate.support < 1:
        return None
    error = None
    if metric not in PROPORTIONS:
        if estimate.low is None or estimate.high is None:
            return None
        error = standard_error(estimate.low, estimate.high, confidence)
    return Arm(estimate.value, estimate.support, estimate.effective, estimate.clusters, error)
