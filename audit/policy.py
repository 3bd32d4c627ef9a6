"""The policy: findings with their five outcomes, and the verdict.

*Fails* is read from the simultaneous interval of the rule family, since many looks raise
false alarms; *meets* from the pointwise one, since release needs every slice to meet, an
intersection-union test, which needs no correction (Berger 1982, Technometrics 24, 295-300).
A failure takes precedence over the small-slice rule, and that over everything else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from audit import needed
from audit.config import Policy, Rule
from audit.metric_names import PROPORTIONS
from audit.targets import RuleKind, Target, kind_of, quantity
from audit.wording import concept_reason, interval_reason, metric_key, needed_reason
from concepts.records import ConceptResult, ConceptStage
from slices.counts import CountedLog, SliceCounts
from slices.estimates.power import Arm, Needed
from slices.estimates.selection import EXACT, METHODS
from slices.records import Disparity, Estimate, Simultaneous, SliceRecord
from slices.said import Said, say, sentence_pair
from slices.slicing import OVERALL, Slice
from slices.supplements.presentation import NCHS, proportion_review, proportion_shortfall, support_shortfall

Outcome = Literal["meets", "fails", "cannot_tell", "not_enough_data", "not_tested"]
VerdictOutcome = Literal["meets", "does_not_meet", "cannot_be_decided", "no_rule"]
Side = Literal["right", "wrong", "across"]

NO_JOINT_LIMITS = say(
    "finding.no_joint_limits",
    "This is the interval of the figure by itself, beyond the limit; a failure is read from one that holds "
    "over all checks together, and this figure has none.",
)

EXIT_CODES: Mapping[str, int] = {"meets": 0, "no_rule": 0, "does_not_meet": 1, "cannot_be_decided": 3}


@dataclass(frozen=True, slots=True)
class Judged:
    """One finding, in this room's terms; ``audit.assemble`` writes it into the evidence."""

    rule: str
    kind: RuleKind
    slice: Slice
    klass: str | None
    metric: str | None
    against: str | None
    limit: float | None
    value: float | None
    low: float | None
    high: float | None
    interval: str
    level: float | None
    outcome: Outcome
    reason: str
    concept: str | None = None
    layer: str | None = None
    support: int | None = None
    needed_n: int | None = None
    needed_clusters: int | None = None
    met_without_failed: bool = False


@dataclass(frozen=True)
class Results:
    """The statistics' records, found by slice and class."""

    records: tuple[SliceRecord, ...]
    confidence: float

    @cached_property
    def _by_key(self) -> dict[tuple[Slice, str | None], SliceRecord]:
        return {(record.slice, record.klass): record for record in self.records}

    def record(self, where: Slice, klass: str | None) -> SliceRecord | None:
        """The record of a slice and class, or None where none was computed."""
        return self._by_key.get((where, klass))


def side_of(kind: RuleKind, limit: float, low: float | None, high: float | None) -> Side:
    """Where an interval lies: wholly on the right side of a limit, wholly on the wrong one, or across.

    Equality meets. An interval that is open (a limit is None) is never on the right side by
    the end that is unknown.

    >>> side_of("floor", 0.8, 0.8, 0.9), side_of("gap", 0.05, -0.06, 0.01), side_of("ceiling", 0.1, 0.11, 0.2)
    ('right', 'across', 'wrong')
    """
    if kind in ("floor", "ratio"):
        if low is not None and low >= limit:
            return "right"
        return "wrong" if high is not None and high < limit else "across"
    if kind in ("ceiling", "missing_predictions"):
        if high is not None and high <= limit:
            return "right"
        return "wrong" if low is not None and low > limit else "across"
    if low is not None and high is not None and -limit <= low and high <= limit:
        return "right"
    if (low is not None and low > limit) or (high is not None and high < -limit):
        return "wrong"
    return "across"


def judge(
    targets: Sequence[Target],
    results: Results,
    counted: CountedLog,
    policy: Policy,
) -> tuple[Judged, ...]:
    """Apply every rule on metrics and on failed predictions to its targets.

    Parameters
    ----------
    targets : sequence of Target
        From `audit.targets.targets`.
    results : Results
        The statistics' records and their pointwise confidence.
    counted : CountedLog
        For the shares of failed predictions.
    policy : Policy
        For its small-slice rule.
    """
    looks = sum(target.kind == "missing_predictions" and target.unavailable is None for target in targets)
    counts = {item.slice: item for item in counted.slices}
    found = []
    for target in targets:
        if target.unavailable is not None:
            found.append(_unavailable(target))
        elif target.kind == "missing_predictions":
            shares = failed_share(counted, counts[target.slice])
            found.append(_judge_missing(target, shares, results.confidence, looks, policy))
        else:
            found.append(_judge_metric(target, results, policy))
    return tuple(found)


def _unavailable(target: Target) -> Judged:
    assert target.unavailable is not None
    outcome, reason = target.unavailable
    return Judged(
        rule=target.rule.id,
        kind=target.kind,
        slice=target.slice,
        klass=target.klass,
        metric=target.rule.metric,
        against=target.against,
        limit=target.limit,
        value=None,
        low=None,
        high=None,
        interval="none",
        level=None,
        outcome=outcome,
        reason=reason,
    )


def _judge_metric(target: Target, results: Results, policy: Policy) -> Judged:
    metric = target.rule.metric
    assert metric is not None
    record = results.record(target.slice, target.klass)
    estimate = None if record is None else _estimate(record, metric)
    if record is None or estimate is None:
        return _nothing(target, None, f"No figure for {metric} could be computed in this slice.")
    estimate = needed.in_cases(estimate, record)
    disparity = None
    value, low, high = estimate.value, estimate.low, estimate.high
    undefined, method = estimate.undefined, estimate.method
    if target.kind in ("gap", "ratio"):
        disparity = _disparity(record, metric, target.against)
        if disparity is None:
            return _nothing(target, estimate.support, "There are no cases to compare the slice with.")
        disparity = _with_cases(disparity, record, results)
        limits = disparity.difference if target.kind == "gap" else disparity.ratio
        value, low, high = limits.value, limits.low, limits.high
        undefined, method = disparity.undefined or estimate.undefined, disparity.method
        if target.kind == "ratio" and disparity.ratio_method is not None:
            method = disparity.ratio_method
    if value is None:
        if target.kind == "ratio" and disparity is not None and estimate.value is not None:
            zero = _over_zero(target, metric, estimate, disparity, policy)
            if zero is not None:
                return zero
        nothing = _nothing(target, estimate.support, undefined or _undefined(metric))
        least = policy.minimum if isinstance(policy.minimum, int) else _least_support(metric, policy)
        return replace(nothing, needed_n=least - estimate.support if least > estimate.support else None)
    base = Judged(
        rule=target.rule.id,
        kind=target.kind,
        slice=target.slice,
        klass=target.klass,
        metric=metric,
        against=target.against,
        limit=target.limit,
        value=value,
        low=low,
        high=high,
        interval=say("interval.pointwise", "pointwise, {method}", method=method),
        level=results.confidence,
        outcome="cannot_tell",
        reason=interval_reason(target.kind, target.limit, metric, low, high, "cannot_tell"),
        support=estimate.support,
    )
    joint = _simultaneous(record, target, metric)
    if joint is not None and side_of(target.kind, target.limit, joint.low, joint.high) == "wrong":
        return _read_jointly(base, joint, "fails")

    def shortfall_at(factor: float) -> str | None:
        """Why the slice and its comparator, so many times as large, may not be judged."""
        found = _shortfall(metric, needed.grown(estimate, factor), policy)
        if found is None and disparity is not None and disparity.comparator is not None:
            found = _shortfall(metric, needed.grown(disparity.comparator, factor), policy, comparator=True)
        return found

    shortfall = shortfall_at(1.0)
    side = side_of(target.kind, target.limit, low, high)
    if side == "right" and shortfall is None:
        reason = interval_reason(target.kind, target.limit, metric, low, high, "meets")
        review = proportion_review(estimate.value) if _by_standard(target, metric, policy) else None
        return replace(
            base, outcome="meets", reason=reason if review is None else sentence_pair(reason, review)
        )
    bounded = joint is not None and joint.low is not None and joint.high is not None
    if side == "wrong" and joint is not None and bounded:
        # Beyond the limit for this slice alone, but not over the whole family: show what was decisive.
        base = _read_jointly(base, joint, "cannot_tell")
    if side == "wrong" and not bounded:
        # Its own interval stays: there is none over the family that a failure could be read from.
        base = replace(base, reason=NO_JOINT_LIMITS)
        more = Needed(
            None, reason=say("needed.no_joint", "Without one there is no number of cases to plan on.")
        )
    else:
        more = needed.for_decision(
            target, metric, estimate, disparity, results.confidence, joint, (base.low, base.high)
        )
    if shortfall is None:
        return _with_needed(base, _at_least_one(more))
    base = replace(base, outcome="not_enough_data", reason=shortfall)
    if estimate.support == 0:
        return base
    enough = needed.to_be_judged(shortfall_at, estimate.support, estimate.clusters)
    return _with_plan(base, needed.both(enough, more))


def _by_standard(target: Target, metric: str, policy: Policy) -> bool:
    """Whether the standard for proportions looks at this very figure."""
    return policy.minimum == "nchs" and metric in PROPORTIONS and target.kind in ("floor", "ceiling")


def _with_plan(judged: Judged, more: Needed) -> Judged:
    """A finding without enough data, with what it takes to be judged and decided."""
    reason = judged.reason if more.reason is None else sentence_pair(judged.reason, more.reason)
    return replace(judged, needed_n=more.units, needed_clusters=more.clusters, reason=reason)


def _at_least_one(more: Needed) -> Needed:
    """A check that its interval leaves undecided takes one more case at least."""
    return replace(more, units=1) if more.units == 0 else more


def _with_cases(disparity: Disparity, record: SliceRecord, results: Results) -> Disparity:
    """The disparity with its comparator's size in cases, where its support is a number of classes."""
    if disparity.comparator is None:
        return disparity
    if disparity.against == "complement":
        every = results.record(OVERALL, record.klass)
        if every is None:
            return disparity
        # The complement leaves out rows without a value of the slice's attributes: at most so many.
        other = replace(every, n=every.n - record.n, clusters=None)
    else:
        reference = Slice(((record.slice.attributes[0], disparity.against),))
        found = results.record(reference, record.klass)
        if found is None:
            return disparity
        other = found
    return replace(disparity, comparator=needed.in_cases(disparity.comparator, other))


def _least_support(metric: str, policy: Policy) -> int:
    """The smallest denominator that the small-slice rule asks for."""
    return NCHS.minimum if metric in PROPORTIONS else policy.minimum_support


def _over_zero(
    target: Target, metric: str, estimate: Estimate, disparity: Disparity, policy: Policy
) -> Judged | None:
    """A ratio whose comparator is 0 has no value; None where the comparator is anything else."""
    other = disparity.comparator
    if other is None or other.value != 0:
        return None
    shortfall = _shortfall(metric, estimate, policy) or _shortfall(metric, other, policy, comparator=True)
    reason = say(
        "finding.ratio_to_zero",
        "The comparator's {metric} is 0 (of {other:,}), the slice's {value:.3g} (of {support:,}): there is "
        "no ratio to 0, and nothing to hold against the limit.",
        metric=metric_key(metric),
        other=other.support,
        value=estimate.value or 0.0,
        support=estimate.support,
    )
    if shortfall is not None:
        return _nothing(target, estimate.support, sentence_pair(reason, shortfall))
    return replace(_nothing(target, estimate.support, reason), outcome="cannot_tell")


def _read_jointly(base: Judged, joint: Simultaneous, outcome: Outcome) -> Judged:
    """A finding read from the interval that holds over the whole family."""
    assert base.limit is not None
    return replace(
        base,
        low=joint.low,
        high=joint.high,
        level=joint.level,
        interval=say("interval.simultaneous", "simultaneous, {method}", method=joint.method),
        outcome=outcome,
        reason=interval_reason(base.kind, base.limit, base.metric, joint.low, joint.high, outcome),
    )


@dataclass(frozen=True, slots=True)
class FailedShare:
    """Failed predictions of one slice.

    Attributes
    ----------
    failed, rows : int
        Predictions that are missing, and all predictions that there should be (multi-label: image x
        class; detection: images).
    units : int
        How many of them count as independent; never more than there can be.
    """

    failed: int
    rows: int
    units: int


def failed_share(counted: CountedLog, counts: SliceCounts) -> FailedShare:
    """How many predictions failed in a slice, and on how many independent units that rests.

    Failed predictions come in runs (a scanner's bad day, all classes of an image), and the counts
    do not say which patient or image they belong to: with clusters, those that have a counted row
    stand for the rows; in multi-label logs the images do, of which there are at least as many as
    one class has rows. Both err on the side of fewer units, so that the gate is never the faster.
    """
    failed = int(counts.failed.sum())
    if counted.space.task == "detection":
        # The cells of `inside` are objects; the image is what a prediction is made for.
        rows = units = counts.n + failed
    else:
        each = counts.inside.sum(axis=-1) + counts.failed.sum(axis=-1)
        rows, units = int(each.sum()), int(each.max())
        if counted.space.task == "multilabel":
            units = min(units, max(counts.n, 1))
    if counts.clusters is not None:
        units = min(units, max(counts.clusters, 1))
    return FailedShare(failed, rows, units)


def _judge_missing(
    target: Target, found: FailedShare, confidence: float, looks: int, policy: Policy
) -> Judged:
    """The share of failed predictions, by exact limits; several looks at a Bonferroni level."""
    from slices.intervals import clopper_pearson

    failed, rows, units = found.failed, found.rows, found.units
    if rows == 0:
        return _nothing(target, 0, say("finding.no_rows", "The slice has no rows with a label."))
    share = failed / rows
    level = 1 - (1 - confidence) / max(looks, 1)
    low, high = (float(limit) for limit in clopper_pearson(share * units, units, 1 - confidence))
    joint_low, joint_high = (float(limit) for limit in clopper_pearson(share * units, units, 1 - level))
    base = Judged(
        rule=target.rule.id,
        kind=target.kind,
        slice=target.slice,
        klass=target.klass,
        metric=None,
        against=None,
        limit=target.limit,
        value=share,
        low=low,
        high=high,
        interval=say("interval.pointwise", "pointwise, {method}", method=METHODS[EXACT]),
        level=confidence,
        outcome="meets",
        reason="",
        support=rows,
    )
    if side_of(target.kind, target.limit, joint_low, joint_high) == "wrong":
        base = replace(
            base,
            low=joint_low,
            high=joint_high,
            level=level,
            outcome="fails",
            interval=say(
                "interval.shares",
                "simultaneous, Clopper-Pearson at the Bonferroni level of {looks} shares",
                looks=looks,
            ),
        )
        return replace(
            base, reason=interval_reason(base.kind, target.limit, None, joint_low, joint_high, "fails")
        )

    def shortfall_at(factor: float) -> str | None:
        size = round(rows * factor)
        return _shortfall_of("missing_predictions", share, size, units * factor, None, policy)

    shortfall = shortfall_at(1.0)
    if shortfall is None and side_of(target.kind, target.limit, low, high) == "right":
        return replace(base, reason=interval_reason(base.kind, target.limit, None, low, high, "meets"))
    arm = Arm(share, rows, effective=units)
    more = needed.plan("at_most", target.limit, arm, None, confidence, level)
    if shortfall is not None:
        base = replace(base, outcome="not_enough_data", reason=shortfall)
        return _with_plan(base, needed.both(needed.to_be_judged(shortfall_at, rows, None), more))
    base = replace(
        base,
        outcome="cannot_tell",
        reason=interval_reason(base.kind, target.limit, None, low, high, "cannot_tell"),
    )
    return _with_needed(base, _at_least_one(more))


def _nothing(target: Target, support: int | None, reason: str) -> Judged:
    """A target without a value: there is not enough data to have one."""
    bare = Target(
        target.rule,
        target.kind,
        target.limit,
        target.slice,
        target.klass,
        target.against,
        ("not_enough_data", reason),
    )
    return replace(_unavailable(bare), support=support)


def _with_needed(judged: Judged, more: Needed) -> Judged:
    return replace(
        judged,
        needed_n=more.units,
        needed_clusters=more.clusters,
        reason=sentence_pair(
            judged.reason,
            needed_reason(more.units, more.clusters, more.comparator_grows, more.reason),
        ),
    )


def _estimate(record: SliceRecord, metric: str) -> Estimate | None:
    return next((item for item in record.estimates if item.metric == metric), None)


def _disparity(record: SliceRecord, metric: str, against: str | None) -> Disparity | None:
    return next(
        (item for item in record.disparities if (item.metric, item.against) == (metric, against)), None
    )


def _simultaneous(record: SliceRecord, target: Target, metric: str) -> Simultaneous | None:
    wanted = (metric, quantity(target.kind), target.against)
    return next(
        (item for item in record.simultaneous if (item.metric, item.quantity, item.against) == wanted), None
    )


def _undefined(metric: str) -> Said:
    return say("finding.undefined", "{metric:capital} is undefined here.", metric=metric_key(metric))


def _shortfall(metric: str, estimate: Estimate, policy: Policy, *, comparator: bool = False) -> str | None:
    degrees = None if estimate.clusters is None else max(estimate.clusters - 1, 0)
    reason = _shortfall_of(metric, estimate.value, estimate.support, estimate.effective, degrees, policy)
    if reason is None or not comparator:
        return reason
    return say("minimum.comparator", "Comparator: {reason}", reason=reason)


def _shortfall_of(
    metric: str,
    value: float | None,
    support: int,
    effective: float | None,
    degrees: float | None,
    policy: Policy,
) -> str | None:
    """Why the small-slice rule says that there is not enough data, or None."""
    least = support if effective is None else min(support, effective)
    if isinstance(policy.minimum, int):
        what = say("minimum.of.denominator", "denominator")
        if least != support:
            what = say("minimum.of.effective", "denominator, after clusters and weights,")
        return support_shortfall(least, minimum=policy.minimum, what=what)
    if value is None:
        return say(
            "minimum.undefined",
            "With {support} cases the metric is undefined.",
            support=support,
        )
    if metric in PROPORTIONS or metric == "missing_predictions":
        return proportion_shortfall(value, support, effective=effective, degrees=degrees)
    return support_shortfall(least, minimum=policy.minimum_support)


def judge_concepts(policy: Policy, stage: ConceptStage | None, confidence: float) -> tuple[Judged, ...]:
    """Apply every rule on concepts: one finding for each class that the concept must not drive."""
    found = []
    for rule in policy.rules:
        if rule.concept is None:
            continue
        for klass in rule.must_not_drive:
            results = [
                result
                for result in (stage.results if stage is not None else ())
                if (result.concept, result.klass, result.slice) == (rule.concept, klass, ())
            ]
            found.append(_judge_concept(rule, klass, results, confidence))
    return tuple(found)


def _judge_concept(rule: Rule, klass: str, results: Sequence[ConceptResult], confidence: float) -> Judged:
    """Fails at any layer; meets only where learnt at every layer with the effect inside the margin.

    An effect whose interval lies inside the margin counts as none, however small its p-value.
    Non-significance is never a pass.
    """
    if not results:
        return _concept_finding(rule, klass, None, confidence, "cannot_tell")
    failing = [
        result for result in results if _drives(result, confidence) and not _inside(result, rule.margin)
    ]
    if failing:
        worst = max(failing, key=lambda result: abs(result.effect or 0.0))
        return _concept_finding(rule, klass, worst, confidence, "fails")
    not_learnt = [result for result in results if not _learnt(result)]
    if not_learnt:
        return _concept_finding(rule, klass, not_learnt[0], confidence, "cannot_tell")
    widest = max(results, key=_reach)
    if _inside(widest, rule.margin):
        return _concept_finding(rule, klass, widest, confidence, "meets")
    return _concept_finding(rule, klass, widest, confidence, "cannot_tell")


def _learnt(result: ConceptResult) -> bool:
    return result.verdict != "not_learnt" and result.undefined is None and result.effect is not None


def _drives(result: ConceptResult, confidence: float) -> bool:
    return (
        _learnt(result)
        and result.verdict == "drives"
        and result.p_adjusted is not None
        and result.p_adjusted < round(1 - confidence, 12)  # 1 - 0.95 is a little above 0.05
    )


def _inside(result: ConceptResult, margin: float | None) -> bool:
    """Whether the effect's interval lies in [-margin, margin]."""
    return margin is not None and _reach(result) <= margin


def _reach(result: ConceptResult) -> float:
    """How far from zero the effect's interval reaches; unknown limits reach everywhere."""
    if result.effect_low is None or result.effect_high is None:
        return float("inf")
    return max(abs(result.effect_low), abs(result.effect_high))


def _concept_finding(
    rule: Rule, klass: str, result: ConceptResult | None, confidence: float, outcome: Outcome
) -> Judged:
    return Judged(
        rule=rule.id,
        kind="concept",
        slice=OVERALL,
        klass=klass,
        metric=None,
        against=None,
        limit=kind_of(rule)[1],
        value=None if result is None else result.effect,
        low=None if result is None else result.effect_low,
        high=None if result is None else result.effect_high,
        interval=say("interval.effect", "effect, bootstrap over images and concept sets")
        if result is not None
        else "none",
        level=confidence if result is not None else None,
        outcome=outcome,
        reason=concept_reason(rule, klass, result, outcome),
        concept=rule.concept,
        layer=None if result is None else result.layer,
        support=None if result is None else result.images,
    )


def verdict_of(findings: Sequence[Judged], *, rules: int) -> VerdictOutcome:
    """The run's verdict from its findings, under a policy of so many rules.

    Rules that found nothing to judge decide nothing: only a policy without rules is no rule.

    >>> verdict_of([], rules=0), verdict_of([], rules=1)
    ('no_rule', 'cannot_be_decided')
    """
    if rules == 0:
        return "no_rule"
    outcomes = Counter(finding.outcome for finding in findings)
    if outcomes["fails"]:
        return "does_not_meet"
    return "meets" if findings and outcomes["meets"] == len(findings) else "cannot_be_decided"
