"""Failed predictions as errors: figures and checks of the log in which each of them is a wrong call.

The headline figures leave failed predictions out. A scanner whose images often fail must not pass for
that: what meets only because they are left out is not decided, unless the policy gates their share.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from audit.config import Config
from audit.policy import Judged, Results, judge
from audit.robustness import metrics_shown
from audit.targets import Target, family
from audit.wording import interval_reason
from reports.evidence import FailedBounds
from slices.analysis import analyse
from slices.counts import CountedLog
from slices.metrics import METRICS
from slices.records import Estimate
from slices.said import say, sentence_pair
from slices.slicing import OVERALL, Slice


@dataclass(frozen=True, slots=True)
class AsErrors:
    """The findings after failed predictions were counted as errors, and the figures with them."""

    findings: tuple[Judged, ...]
    bounds: tuple[FailedBounds, ...] = ()


def count_failed_as_errors(
    config: Config,
    counted: CountedLog,
    results: Results,
    targets: Sequence[Target],
    findings: Sequence[Judged],
) -> AsErrors:
    """Read every check that is met once more, failed predictions counted as errors.

    Parameters
    ----------
    targets, findings
        Of the rules on metrics and failed predictions, in one order.

    Notes
    -----
    A positive case without a prediction counts as missed, a negative one as a false alarm, on both sides
    of a gap or ratio; in a multi-class log it is a call of no class. Values and intervals are then
    made as for any log. A check that no longer meets becomes *cannot tell*; where met rules on
    ``max_missing_predictions`` look at every side of it in which predictions failed (the slice; of a gap
    or ratio what it is compared with too) it stays, with the figure in its reason.
    """
    worst = counted.failed_as_errors
    if worst is None:
        return AsErrors(tuple(findings))
    failed = {item.slice: int(item.failed.sum()) for item in counted.slices}
    again = [
        place
        for place, (target, finding) in enumerate(zip(targets, findings, strict=True))
        if finding.outcome == "meets" and target.tested is not None and _touched(target, failed)
    ]
    shown = metrics_shown(config)
    wanted = {targets[place].slice for place in again}
    wanted |= {reference for place in again for reference in _reference(targets[place])}
    wanted |= {where for where, rows in failed.items() if rows and where.order < 2} | {OVERALL}
    kept = replace(worst, slices=tuple(item for item in worst.slices if item.slice in wanted))
    aims = [targets[place] for place in again]
    statistics = config.statistics
    named = [target.rule.metric for target in aims if target.rule.metric is not None]
    analysis = analyse(
        kept,
        metrics=tuple(dict.fromkeys([*shown, *named])),
        tested=family(aims),
        confidence=statistics.confidence,
        resamples=statistics.resamples,
        drawn_proportions=statistics.proportions == "bootstrap",
        seed=statistics.seed,
    )
    records = Results((*analysis.overall, *analysis.slices), statistics.confidence)
    gated = {
        finding.slice: finding.rule
        for finding in findings
        if finding.kind == "missing_predictions" and finding.outcome == "meets"
    }
    read = list(findings)
    for place, finding in zip(again, judge(aims, records, kept, config.policy), strict=True):
        if finding.outcome != "meets":
            read[place] = _reread(read[place], finding, failed, _gate(targets[place], gated, failed))
    return AsErrors(tuple(read), tuple(_bounds(shown, failed, results, records)))


def _reference(target: Target) -> tuple[Slice, ...]:
    """The slice that a gap or ratio names to compare with."""
    if target.against in (None, "complement"):
        return ()
    return (Slice(((target.slice.attributes[0], target.against),)),)


def _gate(target: Target, gated: dict[Slice, str], failed: dict[Slice, int]) -> str | None:
    """The rule whose met limit on failed predictions covers every side of the check that has any.

    Of a complement: a rule over all cases, or one on each of the attribute's other values.
    """
    sides = [target.slice, *_reference(target)]
    if target.against == "complement" and failed[OVERALL] > failed.get(target.slice, 0):
        names = target.slice.attributes
        others = [where for where in failed if where.attributes == names and where != target.slice]
        sides += [OVERALL] if OVERALL in gated or not any(failed[where] for where in others) else others
    rules = [gated.get(side) for side in sides if failed.get(side, 0)]
    return rules[0] if rules and None not in rules else None


def _touched(target: Target, failed: dict[Slice, int]) -> bool:
    """Whether a failed prediction could enter the check: its slice's, or its comparator's."""
    if failed.get(target.slice, 0):
        return True
    if target.against == "complement":
        return failed[OVERALL] > 0
    return any(failed.get(where, 0) for where in _reference(target))


def _reread(met: Judged, worst: Judged, failed: dict[Slice, int], gate: str | None) -> Judged:
    """A met check with what it becomes when failed predictions count as errors."""
    rows = failed.get(met.slice, 0)
    where: str = say("failed.in_slice", "{rows:,} in this slice", rows=rows)
    if not rows:
        where = say("failed.in_comparator", "among the cases compared with")
    counted = worst.reason
    if worst.limit is not None and worst.value is not None:
        counted = interval_reason(worst.kind, worst.limit, worst.metric, worst.low, worst.high, worst.outcome)
    if gate is not None:
        allowed = say(
            "failed.gated",
            "Failed predictions ({where}), whose share rule '{rule}' allows, are left out. Counted as "
            "errors: {reason}",
            where=where,
            rule=gate,
            reason=counted,
        )
        return replace(met, reason=sentence_pair(met.reason, allowed))
    only = say(
        "failed.only_so",
        "Met only as long as failed predictions ({where}) are left out. Counted as errors: {reason} Get "
        "predictions for them, or gate their share with max_missing_predictions.",
        where=where,
        reason=counted,
    )
    return replace(met, outcome="cannot_tell", reason=only, met_without_failed=True)


def _bounds(
    metrics: Sequence[str], failed: dict[Slice, int], results: Results, records: Results
) -> Iterator[FailedBounds]:
    """The usual figures of every slice in which predictions failed; crossings are left to the checks."""
    for record in records.records:
        rows = failed.get(record.slice, 0)
        before = results.record(record.slice, record.klass)
        if not rows or record.slice.order > 1 or before is None:
            continue
        for metric in metrics:
            now, then = _of(record.estimates, metric), _of(before.estimates, metric)
            if now is None or then is None or metric not in METRICS:
                continue
            yield FailedBounds(
                slice=record.slice.as_dict(),
                klass=record.klass,
                metric=metric,
                failed=before.failed_predictions,
                value=then.value,
                as_errors=now.value,
                low=now.low,
                high=now.high,
                method=now.method,
                undefined=now.undefined,
            )


def _of(estimates: Sequence[Estimate], metric: str) -> Estimate | None:
    return next((item for item in estimates if item.metric == metric), None)
