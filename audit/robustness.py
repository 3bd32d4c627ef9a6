"""Robustness: largest gap among groups, what missing metadata could hide, which wrong labels turn a check.

Arranges what ``slices`` computes for the report; the formulas are there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from audit.config import Policy
from audit.metric_names import PROPORTIONS
from audit.policy import Judged, Results
from reports.evidence import BreakingPoint, MissingBounds, WorstGap
from slices.counts import CountedLog
from slices.label_noise import breaking_point, exact_limits_hold
from slices.metrics import METRICS
from slices.missingness import worst_case_value
from slices.records import Estimate
from slices.slicing import Slice
from slices.worst_gap import worst_gap

# Without a policy: what a reader asks first.
USUAL = ("precision", "recall", "fpr")


def metrics_shown(policy: Policy) -> tuple[str, ...]:
    """The policy's metrics that are proportions, else precision, recall and false positive rate."""
    named = [rule.metric for rule in policy.rules if rule.metric in PROPORTIONS]
    return tuple(dict.fromkeys(name for name in named if name is not None)) or USUAL


def worst_gaps(counted: CountedLog, results: Results, policy: Policy) -> list[WorstGap]:
    """For every attribute, class and metric: the largest gap among its values, with an interval."""
    return [
        gap
        for summary in counted.attributes
        for klass in counted.space.classes
        for metric in metrics_shown(policy)
        if (gap := _worst_gap(summary.attribute.name, klass, metric, counted, results)) is not None
    ]


def _worst_gap(
    name: str, klass: str | None, metric: str, counted: CountedLog, results: Results
) -> WorstGap | None:
    groups: list[tuple[str, Estimate]] = []
    for item in counted.slices:
        value = item.slice.values[0][1] if item.slice.attributes == (name,) else None
        record = results.record(item.slice, klass) if value is not None else None
        if value is not None and record is not None:
            groups += [(value, estimate) for estimate in record.estimates if estimate.metric == metric]
    if len(groups) < 2:
        return None
    estimates = [estimate for _, estimate in groups]
    defined = [estimate.value is not None for estimate in estimates]
    size = [
        (estimate.support if estimate.effective is None else min(estimate.effective, estimate.support))
        if here
        else 0.0
        for estimate, here in zip(estimates, defined, strict=True)
    ]
    degrees = None
    if counted.clusters is not None:
        degrees = np.array([max((estimate.clusters or 2) - 1, 1) for estimate in estimates], dtype=np.float64)
    found = worst_gap(
        np.array([estimate.value if estimate.value is not None else 0.0 for estimate in estimates]),
        np.array(size, dtype=np.float64),
        confidence=results.confidence,
        degrees=degrees,
    )
    return WorstGap(
        attribute=name,
        klass=klass,
        metric=metric,
        value=found.value,
        low=found.low,
        high=found.high,
        highest=None if found.highest is None else groups[found.highest][0],
        lowest=None if found.lowest is None else groups[found.lowest][0],
        groups=found.groups,
        method=found.method,
        undefined=found.undefined,
    )


def missing_bounds(counted: CountedLog, results: Results, policy: Policy) -> list[MissingBounds]:
    """What each one-way figure could be, wherever the rows without the attribute belong."""
    found = []
    cells = {item.slice: counted.space.confusion(item.inside) for item in counted.slices}
    for summary in counted.attributes:
        hidden = cells.get(Slice(((summary.attribute.name, None),)))
        if hidden is None:
            continue
        for value, _ in summary.values:
            where = Slice(((summary.attribute.name, value),))
            if where in cells:
                found += list(_bounds(where, cells[where], hidden, counted, results, policy))
    return found


def _bounds(
    where: Slice,
    inside: NDArray[np.generic],
    hidden: NDArray[np.generic],
    counted: CountedLog,
    results: Results,
    policy: Policy,
) -> Iterator[MissingBounds]:
    for row, klass in enumerate(counted.space.classes):
        record = results.record(where, klass)
        for metric in metrics_shown(policy):
            estimate = next((e for e in record.estimates if e.metric == metric), None) if record else None
            if estimate is None:
                continue
            bounds = worst_case_value(
                METRICS[metric],
                inside[row],
                hidden[row],
                confidence=results.confidence,
                design_effect=max(estimate.design_effect or 1.0, 1.0),
            )
            yield MissingBounds(
                slice=where.as_dict(),
                klass=klass,
                metric=metric,
                missing=int(hidden[row].sum()),
                value=estimate.value,
                lowest=bounds.lowest,
                highest=bounds.highest,
                low=bounds.low,
                high=bounds.high,
                method=bounds.method,
                undefined=bounds.undefined,
            )


def breaking_points(
    counted: CountedLog, findings: Sequence[Judged], confidence: float
) -> list[BreakingPoint]:
    """For every floor or ceiling that is met: the fewest wrong labels, placed worst, that would undo it.

    Read from exact limits of the counts; with clusters or weights there are none, since the
    counts alone do not carry those intervals.
    """
    if counted.clusters is not None or counted.slices[0].weighted is not None:
        return []
    cells = {item.slice: counted.space.confusion(item.inside) for item in counted.slices}
    found = []
    for finding in findings:
        if finding.outcome != "meets" or finding.metric not in PROPORTIONS or finding.limit is None:
            continue
        if finding.kind not in ("floor", "ceiling") or finding.klass not in counted.space.classes:
            continue
        counts = np.asarray(cells[finding.slice][counted.space.classes.index(finding.klass)], dtype=np.int64)
        bound = {"at_least": finding.limit} if finding.kind == "floor" else {"at_most": finding.limit}
        holds = exact_limits_hold(METRICS[finding.metric], confidence=confidence, **bound)
        wrong = breaking_point(counts, holds)
        if wrong is not None:
            found.append(
                BreakingPoint(
                    rule=finding.rule,
                    slice=finding.slice.as_dict(),
                    klass=finding.klass,
                    metric=finding.metric,
                    wrong_labels=wrong,
                    rows=int(counts.sum()),
                )
            )
    return found
