"""Beyond slice against complement: what the statistics' supplements found, as the evidence writes it.

The largest gap of each attribute, what missing metadata could hide, model against baseline,
impact ratios, and the wrong labels that would undo a check.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from audit.by_class import prevalence_by_class
from audit.config import Config
from audit.metric_names import COUNT_METRICS, POOLED_METRICS, PROPORTIONS, SCORE_METRICS, USUAL
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
from slices.estimates.disparities import gaps
from slices.estimates.selection import bounds
from slices.metrics import METRICS
from slices.slicing import OVERALL, Slice
from slices.supplements import composed as supplements
from slices.supplements import target_prevalence
from slices.supplements.label_noise import BothHold, Holds, breaking_point, gap_breaking_point
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
    named = [rule.metric for rule in config.policy.rules if rule.metric in COUNT_METRICS + SCORE_METRICS]
    shown = dict.fromkeys([*metrics_shown(config), *(name for name in named if name is not None)])
    found = supplements.worst_gaps(results.records, tuple(shown), confidence=results.confidence)
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
    """What each one-way figure could be, wherever the rows without the attribute belong."""
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
    named = [rule.metric for rule in config.policy.rules if rule.metric in (*COUNT_METRICS, *POOLED_METRICS)]
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


def breaking_points(counted: CountedLog, findings: Sequence[Judged], results: Results) -> list[BreakingPoint]:
    """For every share, gap or ratio that is met: the fewest wrong labels, placed worst, that would undo it.

    Read from the limits that the verdict was read from. With clusters these are moved as the closed form
    moves for as many independent rows as the figure is worth: the design effect is taken to stay. With
    weights there are none, since labels differ in weight (a limitation says so). Of gaps and ratios the
    number is an upper bound (`slices.supplements.label_noise.gap_breaking_point`). The check that falls
    first stands first: the fewest labels, and among equals the smallest share of its rows.
    """
    if counted.slices[0].weighted is not None:
        return []
    cells = {item.slice: item for item in counted.slices}
    found = []
    for finding in findings:
        if finding.outcome != "meets" or finding.metric not in PROPORTIONS or finding.limit is None:
            continue
        if finding.klass not in counted.space.classes:
            continue
        klass = counted.space.classes.index(finding.klass)

        def table(of: NDArray[np.int64], klass: int = klass) -> NDArray[np.int64]:
            return np.asarray(counted.space.confusion(of)[klass], dtype=np.int64)

        counts = table(cells[finding.slice].inside)
        if finding.kind in ("floor", "ceiling"):
            holds = still_met(finding, counts, results.confidence, _worth(finding, results))
            wrong, rows = breaking_point(counts, holds), int(counts.sum())
        elif finding.kind in ("gap", "ratio"):
            reference = _reference(finding)
            other = cells[finding.slice].outside if reference is None else cells[reference].inside
            others = table(other)
            worth = _worth(finding, results), _worth(replace(finding, slice=reference or OVERALL), results)
            both = gap_still_met(finding, (counts, others), results.confidence, worth)
            wrong = gap_breaking_point(METRICS[finding.metric], counts, others, both)
            rows = int(counts.sum() + others.sum())
        else:
            continue
        if wrong is not None:
            found.append(
                BreakingPoint(
                    rule=finding.rule,
                    slice=finding.slice.as_dict(),
                    klass=finding.klass,
                    metric=finding.metric,
                    wrong_labels=wrong,
                    rows=rows,
                )
            )
    return sorted(found, key=lambda item: (item.wrong_labels, item.wrong_labels / item.rows))


def _reference(finding: Judged) -> Slice | None:
    """The slice that a gap or ratio names to compare with; None: the complement."""
    if finding.against in (None, "complement"):
        return None
    return Slice(((finding.slice.attributes[0], finding.against),))


def _worth(finding: Judged, results: Results) -> float:
    """How many independent rows a row of the figure is worth: 1 without clusters, never more.

    A complement has no record of its own: the whole log stands for it.
    """
    record = results.record(finding.slice, finding.klass)
    estimate = next((e for e in record.estimates if e.metric == finding.metric), None) if record else None
    if estimate is None or estimate.effective is None or estimate.support == 0:
        return 1.0
    return min(1.0, estimate.effective / estimate.support)


def still_met(finding: Judged, counts: NDArray[np.int64], confidence: float, worth: float = 1.0) -> Holds:
    """Whether a met floor or ceiling would be met by other tables, read from the same limits.

    The limits are the ones that the estimates get (``slices.estimates.selection``), of rows times what
    each is ``worth``. The verdict's may lie beside the closed form (a bootstrap's, or with clusters a
    logit-t's): there the closed form is moved by the distance, so that at the counts themselves the verdict
    is the one that was given.
    """
    assert finding.metric is not None
    assert finding.limit is not None
    metric, limit, floor = METRICS[finding.metric], finding.limit, finding.kind == "floor"

    def end(tables: NDArray[np.generic]) -> NDArray[np.float64]:
        limits = bounds(metric, np.asarray(tables, dtype=np.float64) * worth, 1 - confidence)
        return limits.low if floor else limits.high

    read = finding.low if floor else finding.high
    assert read is not None  # a check with an open end there is not met
    beside = read - float(end(counts))

    def holds(tables: NDArray[np.float64]) -> NDArray[np.bool_]:
        moved = end(tables) + beside
        # Equality meets; the addition must not lose it.
        return np.asarray(moved >= limit - 1e-12 if floor else moved <= limit + 1e-12)

    return holds


def gap_still_met(
    finding: Judged,
    now: tuple[NDArray[np.int64], NDArray[np.int64]],
    confidence: float,
    worth: tuple[float, float] = (1.0, 1.0),
) -> BothHold:
    """Whether a met gap or ratio would be met by other tables of both sides, as `still_met`."""
    assert finding.metric is not None
    assert finding.limit is not None
    metric, limit, ratio = METRICS[finding.metric], finding.limit, finding.kind == "ratio"

    def ends(
        mine: NDArray[np.generic], theirs: NDArray[np.generic]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        counts = np.asarray(mine, dtype=np.float64) * worth[0]
        others = np.asarray(theirs, dtype=np.float64) * worth[1]
        found = gaps(metric, counts, others, 1 - confidence, tested=False)
        limits = found.ratio if ratio else found.difference
        return limits.low, limits.high

    low, high = ends(now[0][None], now[1][None])
    assert finding.low is not None
    below, above = finding.low - low, (finding.high or 0.0) - high

    def holds(mine: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.bool_]:
        low, high = ends(mine, theirs)
        if ratio:
            return np.asarray(low + below >= limit - 1e-12)
        return np.asarray((low + below >= -limit - 1e-12) & (high + above <= limit + 1e-12))

    return holds
