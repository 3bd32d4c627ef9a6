"""Power: what this log could have shown, and how many more rows would decide.

Belongs here: planning figures under "the present estimate is the truth". Does not: verdicts.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf, log, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from slices.estimates.selection import EXACT_BELOW, LATTICE_BELOW, LATTICE_SHARE
from slices.said import say

RuleKind = Literal["at_least", "at_most", "gap_at_most", "ratio_at_least"]

POWER = 0.8
# Beyond a hundred million additional rows an answer is no plan; said as such.
MOST_UNITS = 100_000_000


@dataclass(frozen=True, slots=True)
class Arm:
    """A slice (or its comparator) as a rule's metric sees it.

    Attributes
    ----------
    value : float
        The metric's present estimate.
    units : int
        Its denominator, in rows.
    effective : float, optional
        Denominator over the design effect (clusters, weights); None: simple random rows.
    clusters : int, optional
        Clusters that contribute to the denominator.
    se : float, optional
        Standard error, for metrics that are no proportions; None: a proportion.
    """

    value: float
    units: int
    effective: float | None = None
    clusters: int | None = None
    se: float | None = None

    @property
    def design_effect(self) -> float:
        """Rows that are worth one independent row."""
        return 1.0 if self.effective is None or self.effective <= 0 else self.units / self.effective

    @property
    def unit_variance(self) -> float:
        """Variance of the estimate times the rows it rests on."""
        if self.se is not None:
            return self.se**2 * self.units
        return self.value * (1 - self.value) * self.design_effect


@dataclass(frozen=True, slots=True)
class Needed:
    """Rows of the denominator to add to the slice; None with the reason where no number decides.

    ``clusters`` is the same in clusters, at the slice's present rows a cluster.
    ``comparator_grows``: for gaps and ratios, whose comparator is taken to grow in the same
    proportion, as it does when the log is continued; ``units`` are the slice's alone.
    """

    units: int | None
    clusters: int | None = None
    comparator_grows: bool = False
    reason: str | None = None


def standard_error(low: float, high: float, confidence: float) -> float:
    """Standard error read back from a symmetric interval's limits."""
    return (high - low) / (2 * _quantile(confidence))


def needed_units(
    rule: RuleKind,
    limit: float,
    inside: Arm,
    outside: Arm | None = None,
    *,
    pointwise: float = 0.95,
    simultaneous: float = 0.95,
    power: float = POWER,
) -> Needed:
    """Additional rows for a decision with the stated probability, if the present estimates are the truth.

    The rows at hand are kept and new ones are added to them, so that only the new ones vary.
    *Fails* is read at the simultaneous level, *meets* at the pointwise one. A proportion against
    a floor or ceiling: exact binomial power of the selected limits, rows divided by the design
    effect; the smallest number from which the probability stays reached. Anything else: normal,
    ratios on the log scale; the log is continued as it is, so that slice and comparator grow in
    their present proportion.

    Parameters
    ----------
    rule : at_least | at_most | gap_at_most | ratio_at_least
        The rule's key.
    limit : float
        Its limit.
    inside, outside : Arm
        The slice; for gaps and ratios its comparator.
    pointwise, simultaneous : float
        Confidence of the two intervals, e.g. 0.95 and 0.9987.

    Returns
    -------
    Needed
        ``units`` None where the estimate lies on the limit, or no number of rows decides.
    """
    if rule in ("at_least", "at_most"):
        return _needed_for_value(rule, limit, inside, pointwise, simultaneous, power)
    if outside is None:
        raise ValueError(f"rule {rule!r} compares two arms, outside is None: give the comparator")
    if rule == "gap_at_most":
        estimate, scales = inside.value - outside.value, (1.0, 1.0)
        margin = limit - abs(estimate)
    else:
        if limit <= 0 or inside.value <= 0 or outside.value <= 0:
            return Needed(
                None,
                reason=say("needed.zero_rate", "A ratio with a rate of zero has no logarithm to plan on."),
            )
        estimate = log(inside.value / outside.value)
        scales = (inside.value**-2, outside.value**-2)
        margin = estimate - log(limit)
    variances = (inside.unit_variance * scales[0], outside.unit_variance * scales[1])
    if sum(variances) == 0:
        return Needed(
            None,
            reason=say("needed.ends", "Both estimates are at the end of their range: no spread to plan on."),
        )
    confidence = pointwise if margin > 0 else simultaneous
    if margin == 0:
        return Needed(
            None, reason=say("needed.on_limit", "The estimate lies on the limit: no number of rows decides.")
        )
    units = _least_normal(
        abs(margin),
        variances,
        (inside.units, outside.units),
        _quantile(confidence),
        power,
        # A gap that is met lies between two limits: the far one can be missed too.
        far=limit + abs(estimate) if rule == "gap_at_most" and margin > 0 else inf,
    )
    reason = (
        None
        if units is not None
        else say("needed.most", "More than {units:,} rows would be needed.", units=MOST_UNITS)
    )
    return Needed(units, _in_clusters(units, inside), comparator_grows=True, reason=reason)


def detectable_gap(
    inside: Arm, outside: Arm, *, confidence: float = 0.95, power: float = POWER
) -> float | None:
    """Smallest gap between a slice and its comparator that this log could have shown.

    The comparator's rate is taken as known truth and the slice's rate moved away from it, up or
    down, until a two-sided test at ``1 - confidence`` would find a difference with probability
    ``power``; the direction that needs the larger gap counts, if both stay inside [0, 1].
    Metrics that are no proportions: normal, with the standard errors at hand.

    Returns
    -------
    float or None
        None where not even the largest possible gap would have been shown, or an arm is empty.

    References
    ----------
    Fleiss, Levin & Paik (2003), section 4.2: pooled variance under the null, unpooled under the
    alternative; statsmodels.stats.proportion.power_proportions_2indep computes the same power.
    """
    if inside.units <= 0 or outside.units <= 0:
        return None
    if inside.se is not None and outside.se is not None:
        total = sqrt(inside.se**2 + outside.se**2)
        return (_quantile(confidence) + _normal_ppf(power)) * total
    sizes = (inside.units / inside.design_effect, outside.units / outside.design_effect)
    gaps = [
        gap
        for direction in (1.0, -1.0)
        if (gap := _gap_in_direction(direction, outside.value, sizes, confidence, power)) is not None
    ]
    return max(gaps, default=None)


def _gap_in_direction(
    direction: float, rate: float, sizes: tuple[float, float], confidence: float, power: float
) -> float | None:
    room = 1 - rate if direction > 0 else rate
    if room <= 0 or _two_sample_power(direction * room, rate, sizes, confidence) < power:
        return None
    low, high = 0.0, room
    # Power grows with the gap; 60 halvings reach the precision of a float.
    for _ in range(60):
        middle = (low + high) / 2
        if _two_sample_power(direction * middle, rate, sizes, confidence) < power:
            low = middle
        else:
            high = middle
    return high


def _two_sample_power(gap: float, rate: float, sizes: tuple[float, float], confidence: float) -> float:
    """Probability that a two-sided test of equal proportions rejects in the direction of the gap."""
    from scipy.special import ndtr

    other = rate + gap
    pooled = (other * sizes[0] + rate * sizes[1]) / (sizes[0] + sizes[1])
    null = sqrt(max(pooled * (1 - pooled), 0.0) * (1 / sizes[0] + 1 / sizes[1]))
    truth = sqrt(max(other * (1 - other), 0.0) / sizes[0] + max(rate * (1 - rate), 0.0) / sizes[1])
    shown = abs(gap) - _quantile(confidence) * null
    if truth == 0:
        return float(shown > 0)
    return float(ndtr(shown / truth))


def _needed_for_value(
    rule: RuleKind, limit: float, arm: Arm, pointwise: float, simultaneous: float, power: float
) -> Needed:
    if arm.value == limit:
        return Needed(
            None, reason=say("needed.on_limit", "The estimate lies on the limit: no number of rows decides.")
        )
    right_side = (arm.value > limit) == (rule == "at_least")
    if arm.se is not None:
        confidence = pointwise if right_side else simultaneous
        if arm.se == 0:
            return Needed(None, reason=say("needed.no_spread", "The estimate has no spread to plan on."))
        units = _least_normal(
            abs(arm.value - limit),
            (arm.unit_variance, 0.0),
            (arm.units, 1),
            _quantile(confidence),
            power,
        )
        reason = (
            None
            if units is not None
            else say("needed.most", "More than {units:,} rows would be needed.", units=MOST_UNITS)
        )
        return Needed(units, _in_clusters(units, arm), reason=reason)
    # A ceiling on a proportion is a floor on its complement.
    value, floor = (arm.value, limit) if rule == "at_least" else (1 - arm.value, 1 - limit)
    effective = _least_exact(
        value, floor, arm.units / arm.design_effect, 1 - pointwise, 1 - simultaneous, power
    )
    if effective is None:
        return Needed(
            None, reason=say("needed.most", "More than {units:,} rows would be needed.", units=MOST_UNITS)
        )
    units = ceil(effective * arm.design_effect)
    if arm.clusters:
        # No limit lies beyond the one that so many clusters would have without (or with only) errors.
        far, alpha = (floor, 1 - pointwise) if value > floor else (1 - floor, 1 - simultaneous)
        least = ceil(log(alpha / 2) / log(far)) - arm.clusters
        units = max(units, ceil(least * arm.units / arm.clusters))
    return Needed(units, _in_clusters(units, arm))


def _least_exact(
    value: float, floor: float, present: float, alpha_meets: float, alpha_fails: float, power: float
) -> int | None:
    """Smallest addition from which the exact probability of a decision stays at ``power``."""
    if not 0 < floor < 1:
        return None
    reach = 64
    while decision_power(np.asarray([reach]), value, floor, present, alpha_meets, alpha_fails)[0] < power:
        reach *= 2
        if reach > MOST_UNITS:
            return None
    # Exact power is a saw: look at every size up to beyond the first crossing while that is cheap,
    # on a grid of 0.1% steps where it is not.
    top = 2 * reach
    added = (
        np.arange(top + 1) if top <= 1 << 17 else np.unique(np.geomspace(1, top, 1 << 15).astype(np.int64))
    )
    short = decision_power(added, value, floor, present, alpha_meets, alpha_fails) < power
    below = np.flatnonzero(short)
    return int(added[0]) if below.size == 0 else int(added[min(below[-1] + 1, added.size - 1)])


def decision_power(
    added: NDArray[np.integer],
    value: float,
    floor: float,
    present: float,
    alpha_meets: float,
    alpha_fails: float,
) -> NDArray[np.float64]:
    """Probability that the limits decide about a floor after so many additional units.

    Parameters
    ----------
    added : integer array, any shape
        Additional independent units.
    value : float
        Present estimate, taken as the truth for the new units.
    floor : float
        Limit, in (0, 1).
    present : float
        Effective units at hand; ``value * present`` successes are kept.
    alpha_meets, alpha_fails : float
        Two-sided error levels of the intervals that *meets* and *fails* are read from.

    Notes
    -----
    *Fails* is read from Clopper-Pearson: the upper limit of X of N lies below the floor iff
    P(Bin(N, floor) <= X) < alpha / 2. *Meets* is read as `slices.estimates.selection` selects limits in
    closed form: exact below 30 units, else the wider of Wilson and Jeffreys. So each decision is a
    critical count of N.
    """
    from scipy.stats import binom

    total = np.rint(present) + added
    events = np.rint(value * present)
    fails_to = binom.ppf(alpha_fails / 2, total, floor) - 1
    meets = binom.sf(_meets_from(total, floor, alpha_meets) - events - 1, added, value)
    fails = binom.cdf(fails_to - events, added, value)
    result: NDArray[np.float64] = np.asarray(meets + fails, dtype=np.float64)
    return result


def _meets_from(total: NDArray[np.float64], floor: float, alpha: float) -> NDArray[np.float64]:
    """Smallest count whose lower limit reaches the floor; above ``total`` where none does."""
    from scipy.special import betainc
    from scipy.stats import binom

    exact = binom.ppf(1 - alpha / 2, total, floor) + 1
    level = np.where(total < LATTICE_BELOW, LATTICE_SHARE, 1.0) * alpha
    # Wilson's lower limit reaches the floor where the score test at the floor rejects.
    spread = np.sqrt(total * floor * (1 - floor))
    wilson = np.ceil(total * floor - _normal_quantiles(level / 2) * spread - 1e-9)
    # Jeffreys' limit reaches it at most two counts before Clopper-Pearson's does.
    jeffreys = binom.ppf(1 - level / 2, total, floor) + 1
    for _ in range(2):
        before = np.clip(jeffreys - 1, 0, total)
        enough = betainc(before + 0.5, total - before + 0.5, floor) <= level / 2
        jeffreys = np.where(enough & (before > 0) & (jeffreys <= total), before, jeffreys)
    # All of them: the limit is the exact one again.
    hull = np.minimum(np.maximum(wilson, jeffreys), np.where(exact <= total, total, total + 1))
    return np.asarray(np.where(total < EXACT_BELOW, exact, hull), dtype=np.float64)


def _least_normal(
    margin: float,
    variances: tuple[float, float],
    units: tuple[int, int],
    quantile: float,
    power: float,
    *,
    far: float = inf,
) -> int | None:
    """Smallest addition to the slice that decides with ``power``, by the normal law.

    After ``m`` more rows, and as many times more in the comparator, the estimate is the present one
    (kept rows) plus noise from the new share ``m / (n + m)`` alone, and its standard error is the
    one of all rows. It decides where it stays a half interval away from a limit ``margin`` off on
    one side, and from one ``far`` off on the other.
    """
    from scipy.special import ndtr

    # Variance of one log as large as this one: both arms grow by one factor.
    present = variances[0] / units[0] + variances[1] / units[1]

    def decides(added: int) -> bool:
        growth = (units[0] + added) / units[0]
        reach = quantile * sqrt(present / growth)
        noise = sqrt(present * (growth - 1)) / growth
        if noise == 0:
            return reach <= min(margin, far)
        return float(ndtr((margin - reach) / noise) - ndtr((reach - far) / noise)) >= power

    if decides(0):
        return 0
    high = 1
    while not decides(high):
        high *= 2
        if high > MOST_UNITS:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high


def _in_clusters(units: int | None, arm: Arm) -> int | None:
    if units is None or not arm.clusters:
        return None
    return ceil(units * arm.clusters / arm.units)


def _quantile(confidence: float) -> float:
    return _normal_ppf((1 + confidence) / 2)


def _normal_quantiles(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import ndtri

    return np.asarray(ndtri(probability), dtype=np.float64)


def _normal_ppf(probability: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(probability))
