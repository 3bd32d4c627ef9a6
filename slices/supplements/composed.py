"""Supplements: what a counted log and its analysis say beyond slice against complement.

Composition only: the largest gap of each attribute, worst-case bounds for rows without a value,
model against baseline, impact ratios. Every statistic is made in the module that it is named for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from slices.counts import CountedLog, PairedPatterns, SliceCounts
from slices.estimates.comparison import mean_weight
from slices.estimates.design_effects import design_effects, share_effect, weighted_share
from slices.estimates.selection import linearised_error
from slices.metrics import (
    METRICS,
    POOLED,
    POOLED_MULTICLASS,
    POOLED_MULTILABEL,
    Metric,
    PooledMetric,
)
from slices.multiplicity import adjust
from slices.records import Estimate, SliceRecord
from slices.slicing import OVERALL, Slice
from slices.supplements.impact import ImpactTable, Rate, above, impact_table
from slices.supplements.missingness import (
    WorstCase,
    worst_case_difference,
    worst_case_ratio,
    worst_case_value,
)
from slices.supplements.paired import PairedDifference, paired_difference, paired_difference_clustered
from slices.supplements.paired_units import paired_over_units, tables
from slices.supplements.worst_gap import WorstGap, worst_gap

# No largest gap: a correlation is no share, and a calibration error near 0 has an error of its own kind.
NO_GAP = ("mcc", "ece")
# Changes over all classes, whatever the policy names.
OVER_CLASSES = ("accuracy", "mcc", "macro_recall", "macro_precision", "macro_f1")
OVER_LABELS = ("macro_recall", "macro_precision", "macro_f1")


@dataclass(frozen=True, slots=True)
class AttributeGap:
    """The largest gap of one metric among the values of one attribute; names in place of positions."""

    attribute: str
    klass: str | None
    metric: str
    gap: WorstGap
    highest: str | None
    lowest: str | None


@dataclass(frozen=True, slots=True)
class MissingBounds:
    """Worst-case bounds of one metric of a one-way slice, and of its difference and ratio to the complement.

    ``rows``: counted rows that have no value of the attribute.
    """

    slice: Slice
    klass: str | None
    metric: str
    rows: int
    value: WorstCase
    difference: WorstCase
    ratio: WorstCase


@dataclass(frozen=True, slots=True)
class Change:
    """Model less baseline in one slice and class.

    ``n``: rows that both predicted; counted rows without a baseline prediction are not among them.
    ``p_adjusted``, ``p_bh``: Holm's and Benjamini and Hochberg's p-value over all comparisons of a log.
    """

    slice: Slice
    klass: str | None
    metric: str
    difference: PairedDifference
    n: int
    p_adjusted: float | None = None
    p_bh: float | None = None


@dataclass(frozen=True, slots=True)
class AttributeImpact:
    """The impact-ratio table of one attribute, or of several crossed.

    ``median``: of all scores, where ``rate`` is the scoring rate.
    """

    attributes: tuple[str, ...]
    klass: str | None
    table: ImpactTable
    rate: Rate = "selection_rate"
    median: float | None = None


def worst_gaps(
    records: Sequence[SliceRecord], metrics: Sequence[str], *, confidence: float = 0.95
) -> tuple[AttributeGap, ...]:
    """The largest gap among the values of each attribute, for each class and metric in [0, 1] with an error.

    Left out: intersections, figures over all classes, MCC and the calibration error.

    Parameters
    ----------
    records : sequence of SliceRecord
        Of an analysis; one-way slices with a value are read, missing-value slices are no group.
    metrics : sequence of str
        Canonical names; those that have no such gap are passed over.
    """
    groups: dict[tuple[str, str | None], list[SliceRecord]] = {}
    for record in records:
        if record.slice.order == 1 and record.slice.values[0][1] is not None:
            groups.setdefault((record.slice.values[0][0], record.klass), []).append(record)
    found = []
    for (attribute, klass), members in groups.items():
        for metric in (METRICS[name] for name in metrics if name in METRICS and name not in NO_GAP):
            known = [(_estimate(member, metric.name), member) for member in members]
            estimates = [(e, _worth(metric, e, member)) for e, member in known if e is not None]
            if members[0].counts is not None and len(estimates) == len(members):
                gap = _gap(estimates, confidence)
                names = [member.slice.values[0][1] for member in members]
                highest = None if gap.highest is None else names[gap.highest]
                lowest = None if gap.lowest is None else names[gap.lowest]
                found.append(AttributeGap(attribute, klass, metric.name, gap, highest, lowest))
    return tuple(found)


def missing_bounds(
    counted: CountedLog, metrics: Sequence[str], *, confidence: float = 0.95
) -> tuple[MissingBounds, ...]:
    """Worst-case bounds of every one-way slice of an attribute that some rows have no value of.

    Where the log has clusters, the sampling part of the limits rests on rows over the design effect:
    the largest one of the slice, of the missing rows, and for difference and ratio of the complement,
    any of which may be what the figure is made of. In a weighted log the bounds are of weighted counts, and
    the design effect is the weights' too; ``rows`` stays a number of rows.
    """
    chosen = _proportions(metrics, f1=True)
    without = {counts.slice.values[0][0]: counts for counts in counted.slices if _is_missing(counts.slice)}
    found = []
    for counts in counted.slices:
        if counts.slice.order != 1 or _is_missing(counts.slice):
            continue
        gone = without.get(counts.slice.values[0][0])
        if gone is None or gone.inside.sum() == 0:
            continue
        worth, worth_missing = (design_effects(counted, one, chosen) for one in (counts, gone))
        for k, (klass, inside, outside, missing) in enumerate(_by_class(counted, counts, gone)):
            rows = int(counted.space.confusion(gone.inside)[k].sum())
            for metric in chosen:
                # Few degrees of freedom count where the figure is: the missing rows only join it.
                here = worth[metric.name]
                least = worth_missing[metric.name].effect[0, k] * _mass(counted, metric, gone, 0, k)
                inner, outer = (
                    max(here.effect[side, k] * _mass(counted, metric, counts, side, k), least)
                    * here.few[side, k]
                    for side in (0, 1)
                )
                value = worst_case_value(
                    metric, inside, missing, confidence=confidence, design_effect=float(inner)
                )
                difference, ratio = (
                    worst_case(
                        metric,
                        inside,
                        outside,
                        missing,
                        confidence=confidence,
                        design_effect=float(max(inner, outer)),
                    )
                    for worst_case in (worst_case_difference, worst_case_ratio)
                )
                found.append(MissingBounds(counts.slice, klass, metric.name, rows, value, difference, ratio))
    return tuple(found)


def changes(counted: CountedLog, metrics: Sequence[str], *, confidence: float = 0.95) -> tuple[Change, ...]:
    """Model against baseline in every slice and class; empty where the log names no baseline.

    Where the log has clusters they are the unit, of limits and of tests. *Worse* and *better* are read over
    all comparisons together (`read_together`).

    Figures over all classes (class None) come first; so do weighted rows, of their own rows and patients
    (`slices.supplements.paired_units`).
    """
    if counted.slices[0].paired is None:
        return ()
    names = [name for name in metrics if name != "prevalence"]
    chosen = [METRICS[name] for name in names if name in METRICS and METRICS[name].kind != "score"]
    over = {"multiclass": OVER_CLASSES, "multilabel": OVER_LABELS}.get(counted.space.task, ())
    known = {"multiclass": POOLED_MULTICLASS, "multilabel": POOLED_MULTILABEL}.get(counted.space.task, ())
    pooled = [POOLED[name] for name in dict.fromkeys([*over, *names]) if name in known]
    found: dict[int, tuple[Change, ...]] = {}
    # Crossing by crossing: what is prepared for one serves all of its slices.
    for place in sorted(range(len(counted.slices)), key=lambda k: counted.slices[k].slice.attributes):
        found[place] = tuple(_changes_of(counted, counted.slices[place], chosen, pooled, confidence))
    each = [change for place in range(len(counted.slices)) for change in found[place]]
    return read_together(each, confidence)


def read_together(found: Sequence[Change], confidence: float) -> tuple[Change, ...]:
    """Worse or better over all comparisons: at most 1 - confidence for any false one among them.

    A change is shown where Holm's adjusted p-value is at most 1 - confidence and the comparison's own
    interval excludes 0 (with clusters interval and test are not dual).
    """
    p_values = np.array([np.nan if c.difference.p_value is None else c.difference.p_value for c in found])
    holm, bh = (adjust(p_values, method) for method in ("holm", "fdr_bh"))
    alpha = round(1 - confidence, 12)
    read = []
    for change, p_holm, p_bh in zip(found, holm.tolist(), bh.tolist(), strict=True):
        difference = change.difference
        if difference.change is not None and not p_holm <= alpha:
            difference = replace(difference, change="no change shown")
        tested = difference.p_value is not None
        read.append(
            replace(
                change,
                difference=difference,
                p_adjusted=p_holm if tested else None,
                p_bh=p_bh if tested else None,
            )
        )
    return tuple(read)


def _changes_of(
    counted: CountedLog,
    counts: SliceCounts,
    metrics: Sequence[Metric],
    pooled: Sequence[PooledMetric],
    confidence: float,
) -> Iterator[Change]:
    assert counts.paired is not None
    weighted = counted.slices[0].weighted is not None
    if pooled or weighted:
        if counted.joint_rows is None:
            raise ValueError("A log with a baseline has the joint outcomes of its rows.")
        rows = counted.joint_rows(counts.slice)
        found = tables(rows)
        for over in pooled:
            difference = paired_over_units(over, rows, found, None, confidence=confidence)
            yield Change(counts.slice, None, over.name, difference, int(rows.times.sum()))
        if weighted:
            for k, klass in enumerate(counted.space.classes):
                n = int(counts.paired.inside[k].sum())
                for metric in metrics:
                    difference = paired_over_units(metric, rows, found, k, confidence=confidence)
                    yield Change(counts.slice, klass, metric.name, difference, n)
            return
    patterns: tuple[PairedPatterns, ...] | None = None
    if counted.clusters is not None:
        if counted.paired_patterns is None:
            raise ValueError("A log with clusters and a baseline has its clusters' joint tables.")
        patterns = counted.paired_patterns(counts.slice)
    for k, (klass, joint) in enumerate(zip(counted.space.classes, counts.paired.inside, strict=True)):
        for metric in metrics:
            if patterns is None:
                difference = paired_difference(metric, joint, confidence=confidence)
            else:
                totals, times = patterns[k].totals, patterns[k].multiplicity
                difference = paired_difference_clustered(metric, totals, times, confidence=confidence)
            yield Change(counts.slice, klass, metric.name, difference, int(joint.sum()))


def impact_tables(
    counted: CountedLog,
    attributes: Sequence[tuple[str, ...]],
    *,
    rates: Sequence[Rate] = ("selection_rate",),
    justification: str | None = None,
    confidence: float = 0.95,
) -> tuple[AttributeImpact, ...]:
    """Impact-ratio tables of the named attributes, of selection rates or scoring rates.

    Parameters
    ----------
    counted : CountedLog
    attributes : sequence of tuples of str
        One name each, or several for an intersectional table; slices that the log was not counted
        by give no row.
    rates : sequence of str
        A table for each: ``selection_rate`` (predicted positive), ``scoring_rate`` (scored above the
        median of all counted rows, those without the attribute included); the latter needs scores.
    justification : str, optional
        Why categories below 2% of the data are left out of the ratios; None keeps them in.

    Notes
    -----
    Numbers are rows. Where the log has clusters, the limits rest on rows over the design effect of
    the category's rate. In a weighted log rates (and the median) are weighted, numbers and the share of 2%
    stay rows, and limits rest on the effective number of rows of each rate.

    Raises
    ------
    ValueError
        A scoring rate of a log that keeps no scores.
    """
    found = []
    weighted = counted.slices[0].weighted is not None
    for names in attributes:
        wanted = tuple(sorted(names))
        members = [counts for counts in counted.slices if counts.slice.attributes == wanted]
        known = [counts for counts in members if all(v is not None for _, v in counts.slice.values)]
        unknown = [counts for counts in members if any(v is None for _, v in counts.slice.values)]
        if not known:
            continue
        for k, klass in enumerate(counted.space.classes):
            for rate in rates:
                median = _median(counted, k) if rate == "scoring_rate" else None
                people = [_people(counted, counts, k, median) for counts in known]
                table = impact_table(
                    [tuple(str(value) for _, value in counts.slice.values) for counts in known],
                    np.array([each.number for each in people], dtype=np.int64),
                    np.array([each.selected for each in people], dtype=np.int64),
                    unknown=sum(_people(counted, counts, k, median).number for counts in unknown),
                    justification=justification,
                    effective=np.array([each.effective for each in people]),
                    rates=None if not weighted else np.array([each.rate for each in people]),
                    confidence=confidence,
                )
                found.append(AttributeImpact(wanted, klass, table, rate, median))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _People:
    """Rows of a slice for one class, those selected (or scored above), the share, and what it rests on."""

    number: int
    selected: int
    rate: float
    effective: float


def _people(counted: CountedLog, counts: SliceCounts, k: int, median: float | None) -> _People:
    if median is not None:
        assert counted.scores is not None
        rows = counted.scores(counts.slice, k if counted.space.strata > 1 else 0, False)
        hits = above(rows.scores, median)
        number, selected = hits.size, int(hits.sum())
        if rows.weight is None or not number:
            effect = share_effect(hits, rows.cluster) if number else 1.0
            return _People(number, selected, selected / max(number, 1), number / effect)
        return _People(number, selected, *weighted_share(hits, rows.weight, rows.cluster))
    selection = METRICS["selection_rate"]
    tp, fp, fn, tn = (int(v) for v in counted.space.confusion(counts.inside)[k])
    number, selected = tp + fp + fn + tn, tp + fp
    if counts.weighted is None:
        worth = design_effects(counted, counts, [selection])[selection.name]
        effect = float((worth.effect * worth.few)[0, k])
        return _People(number, selected, selected / max(number, 1), number / effect)
    table = counted.space.confusion(counts.weighted.inside)[k]
    rate = float(selection.of(table)) if float(table.sum()) > 0 else 0.0
    worth = design_effects(counted, counts, [selection])[selection.name]
    return _People(number, selected, rate, float((number / worth.effect / worth.few)[0, k]))


def _median(counted: CountedLog, k: int) -> float:
    """Median of the scores of all counted rows, those without a category included; of their weights."""
    if counted.scores is None:
        raise ValueError("a scoring rate needs scores: the log was counted without them")
    rows = counted.scores(OVERALL, k if counted.space.strata > 1 else 0, False)
    if rows.weight is None:
        return float(np.median(rows.scores))
    order = np.argsort(rows.scores, kind="stable")
    below = np.cumsum(rows.weight[order])
    return float(rows.scores[order][np.searchsorted(below, below[-1] / 2)])


def _by_class(
    counted: CountedLog, *parts: SliceCounts
) -> Iterator[tuple[str | None, NDArray[np.generic], NDArray[np.generic], NDArray[np.generic]]]:
    """Class, confusion counts inside and outside the first slice, and inside the second; of weights by 1."""
    first, second = parts
    tables = (_table(counted, first, 0), _table(counted, first, 1), _table(counted, second, 0))
    yield from zip(counted.space.classes, *tables, strict=True)


def _table(counted: CountedLog, counts: SliceCounts, side: int) -> NDArray[np.generic]:
    """Confusion counts of the slice or its complement; of weights that are 1 on average."""
    if counts.weighted is None:
        return counted.space.confusion(counts.outside if side else counts.inside)
    cells = counts.weighted.outside if side else counts.weighted.inside
    return counted.space.confusion(cells / mean_weight(counted))


def _mass(counted: CountedLog, metric: Metric, counts: SliceCounts, side: int, k: int) -> float:
    """What a row of the denominator weighs on average: design effects are of rows, tables of weights."""
    if counts.weighted is None:
        return 1.0
    rows = float(metric.trials(counted.space.confusion(counts.outside if side else counts.inside)[k]))
    return float(metric.trials(_table(counted, counts, side)[k])) / rows if rows > 0 else 1.0


def _is_missing(one: Slice) -> bool:
    return one.order == 1 and one.values[0][1] is None


def _proportions(metrics: Sequence[str], *, f1: bool = False) -> list[Metric]:
    kinds = ("proportion", "f1") if f1 else ("proportion",)
    return [METRICS[name] for name in metrics if name in METRICS and METRICS[name].kind in kinds]


def _estimate(record: SliceRecord, metric: str) -> Estimate | None:
    return next((estimate for estimate in record.estimates if estimate.metric == metric), None)


def _worth(metric: Metric, estimate: Estimate, record: SliceRecord) -> float:
    """Independent rows that tell as much of a share as the estimate does of its metric.

    No denominator is worth more than its rows, however little its clusters differ. What is no proportion
    is worth the size at which a share's binomial error is its own.
    """
    if estimate.value is None:
        return 0.0
    rows = float(estimate.support)
    effective = rows if estimate.effective is None else min(estimate.effective, rows)
    if metric.kind == "proportion" or record.counts is None or not 0 < estimate.value < 1:
        return effective
    error = estimate.error
    if metric.kind != "score":
        # The design effect is that of the metric's own error.
        error = float(linearised_error(metric, np.array(record.counts))) * (rows / effective) ** 0.5
    if error is None or error <= 0:
        return effective
    return estimate.value * (1 - estimate.value) / error**2


def _gap(estimates: Sequence[tuple[Estimate, float]], confidence: float) -> WorstGap:
    """From the estimates' values, what each is worth, and degrees of freedom where these are few."""
    value = np.array([0.0 if e.value is None else e.value for e, _ in estimates])
    support = np.array([worth for _, worth in estimates])
    degrees = None
    if any(e.degrees is not None for e, _ in estimates):
        # So many are the normal law.
        degrees = np.array([1e9 if e.degrees is None else max(e.degrees, 1.0) for e, _ in estimates])
    return worst_gap(value, support, confidence=confidence, degrees=degrees)
