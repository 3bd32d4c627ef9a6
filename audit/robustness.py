"""Beyond slice against complement: what the statistics' supplements found, as the evidence writes it.

The largest gap of each attribute, what missing metadata could hide, model against baseline,
impact ratios, and the wrong labels that would undo a check.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from audit.by_class import prevalence_by_class
from audit.config import Config
from audit.metric_names import COUNT_METRICS, PROPORTIONS, USUAL
from audit.policy import Judged, Results
from reports.evidence import (
    AtPrevalence,
    Bounds,
    BreakingPoint,
    Change,
    Impact,
    ImpactRow,
    Limits,
    MissingBounds,
    WorstGap,
)
from slices.counts import CountedLog
from slices.estimates.selection import bounds
from slices.metrics import METRICS
from slices.supplements import composed as supplements
from slices.supplements import target_prevalence
from slices.supplements.label_noise import Holds, breaking_point
from slices.supplements.missingness import WorstCase


def metrics_shown(config: Config) -> tuple[str, ...]:
    """The policy's metrics that are proportions, else precision, recall and false positive rate."""
    named = [rule.metric for rule in config.policy.rules if rule.metric in PROPORTIONS]
    shown = tuple(dict.fromkeys(name for name in named if name is not None)) or USUAL
    if config.log.detection is not None and config.log.detection.tn is None:
        return tuple(name for name in shown if not METRICS[name].needs_negatives)
    return shown


def worst_gaps(config: Config, results: Results) -> list[WorstGap]:
    """For every attribute, class and metric: the largest gap among its values, with an interval."""
    found = supplements.worst_gaps(results.records, metrics_shown(config), confidence=results.confidence)
    return [
        WorstGap(
            attribute=item.attribute,
            klass=item.klass,
            metric=item.metric,
            value=item.gap.value,
            low=item.gap.low,
            high=item.gap.high,
            highest=item.highest,
            lowest=item.lowest,
            groups=item.gap.groups,
            method=item.gap.method,
            undefined=item.gap.undefined,
        )
        for item in found
    ]


def missing_bounds(config: Config, counted: CountedLog, results: Results) -> list[MissingBounds]:
    """What each one-way figure could be, wherever the rows without the attribute belong.

    None in a log with weights: the bounds are of plain counts.
    """
    if counted.slices[0].weighted is not None:
        return []
    found = supplements.missing_bounds(counted, metrics_shown(config), confidence=results.confidence)
    bounds = []
    for item in found:
        record = results.record(item.slice, item.klass)
        value = next((e.value for e in record.estimates if e.metric == item.metric), None) if record else None
        bounds.append(
            MissingBounds(
                slice=item.slice.as_dict(),
                klass=item.klass,
                metric=item.metric,
                missing=item.rows,
                value=value,
                difference=_bounds(item.difference),
                ratio=_bounds(item.ratio),
                **_bounds(item.value).model_dump(),
                method=item.value.method,
                undefined=item.value.undefined,
            )
        )
    return bounds


def changes(config: Config, counted: CountedLog, results: Results) -> list[Change]:
    """Model less baseline on the same rows; empty where the log names no baseline."""
    named = [rule.metric for rule in config.policy.rules if rule.metric in COUNT_METRICS]
    metrics = tuple(dict.fromkeys([*USUAL, *(name for name in named if name is not None), "accuracy"]))
    return [
        Change(
            slice=item.slice.as_dict(),
            klass=item.klass,
            metric=item.metric,
            difference=Limits(
                value=item.difference.value, low=item.difference.low, high=item.difference.high
            ),
            p_value=item.difference.p_value,
            p_adjusted=item.p_adjusted,
            p_bh=item.p_bh,
            change=item.difference.change,
            changed=item.difference.changed,
            method=item.difference.method,
            undefined=item.difference.undefined,
            n=item.n,
        )
        for item in supplements.changes(counted, metrics, confidence=results.confidence)
    ]


def impacts(config: Config, counted: CountedLog, results: Results) -> list[Impact]:
    """Impact-ratio tables of the attributes that the configuration names for them."""
    wanted = [tuple(names) for names in config.report.impact_ratios]
    found = supplements.impact_tables(
        counted,
        wanted,
        rates=config.report.impact_rates,
        justification=config.report.impact_justification,
        confidence=results.confidence,
    )
    return [
        Impact(
            attributes=list(item.attributes),
            klass=item.klass,
            rate=item.rate,
            median=item.median,
            unknown=item.table.unknown,
            highest=None if item.table.highest is None else list(item.table.highest),
            justification=item.table.justification,
            rows=[
                ImpactRow(
                    category=list(row.category),
                    number=row.number,
                    selected=row.selected,
                    rate=row.rate,
                    ratio=row.ratio,
                    printed=row.printed,
                    low=row.low,
                    high=row.high,
                    small=row.small,
                )
                for row in item.table.rows
            ],
        )
        for item in found
    ]


def at_prevalence(config: Config, counted: CountedLog, results: Results) -> list[AtPrevalence]:
    """Precision and NPV at the stated prevalence of use; empty where none is stated."""
    by_class = prevalence_by_class(config, counted)
    if not by_class:
        return []
    return [
        AtPrevalence(
            slice=item.slice.as_dict(),
            klass=item.klass,
            metric=item.metric,
            prevalence=item.prevalence,
            value=item.found.value,
            low=item.found.low,
            high=item.found.high,
            method=item.found.method,
            undefined=item.found.undefined,
        )
        for item in target_prevalence.at_prevalence(counted, by_class, confidence=results.confidence)
    ]


def _bounds(found: WorstCase) -> Bounds:
    return Bounds(lowest=found.lowest, highest=found.highest, low=found.low, high=found.high)


def breaking_points(
    counted: CountedLog, findings: Sequence[Judged], confidence: float
) -> list[BreakingPoint]:
    """For every floor or ceiling that is met: the fewest wrong labels, placed worst, that would undo it.

    Read from the limits that the verdict was read from; with clusters or weights there are none,
    since the counts alone do not carry those intervals. The check that falls first stands first:
    the fewest labels, and among equals the smallest share of its rows.
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
        wrong = breaking_point(counts, still_met(finding, counts, confidence))
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
    return sorted(found, key=lambda item: (item.wrong_labels, item.wrong_labels / item.rows))


def still_met(finding: Judged, counts: NDArray[np.int64], confidence: float) -> Holds:
    """Whether a met floor or ceiling would be met by other tables, read from the same limits.

    The limits are the ones that the estimates get (``slices.estimates.selection``). From 600 rows on the
    verdict's are a bootstrap's, a little beside the closed form: there the closed form is moved by
    that little, so that at the counts themselves the verdict is the one that was given.
    """
    assert finding.metric is not None
    assert finding.limit is not None
    metric, limit, floor = METRICS[finding.metric], finding.limit, finding.kind == "floor"

    def end(tables: NDArray[np.generic]) -> NDArray[np.float64]:
        limits = bounds(metric, tables, 1 - confidence)
        return limits.low if floor else limits.high

    read = finding.low if floor else finding.high
    assert read is not None  # a check with an open end there is not met
    beside = read - float(end(counts))

    def holds(tables: NDArray[np.float64]) -> NDArray[np.bool_]:
        moved = end(tables) + beside
        # Equality meets; the addition must not lose it.
        return np.asarray(moved >= limit - 1e-12 if floor else moved <= limit + 1e-12)

    return holds
