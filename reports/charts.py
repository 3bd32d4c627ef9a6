"""Charts: each attribute's figure and the numbers beneath it; its gaps are in `reports.gaps`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from reports.canvas import Axis, Limit, Point, axis_for
from reports.evidence import AttributeData, SliceRecord
from reports.figures import Panel
from reports.gaps import GapChart, gap_chart
from reports.palette import OUTCOMES
from reports.phrases import Phrases, estimate_of, severity, slice_key, visible
from reports.sections import MOST_VALUES, Figure, figure_of, joint_limits, shown_values, values_left

MOST_ROWS = 28  # rows in one attribute's figure
MOST_PANELS = 3


@dataclass(frozen=True, slots=True)
class TableRow:
    """A group and its figures, under the attribute's figure; ``klass`` where rows are of one class each."""

    klass: str
    first: bool
    group: str
    rows: str
    clusters: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class AttributeChart:
    """One attribute and one population of rows (all classes, or each class): its figure and tables."""

    name: str
    title: str
    labels: tuple[tuple[str, str], ...]
    headings: tuple[str, ...]
    panels: tuple[Panel, ...]
    note: str
    rows_head: str
    metrics: tuple[str, ...]
    rows: tuple[TableRow, ...]
    gaps: GapChart | None
    show_clusters: bool
    by_class: bool
    again: bool  # the attribute has a chart before this one


def one_way(p: Phrases, attribute: AttributeData) -> list[SliceRecord]:
    """The attribute's slices in the order of its values, the missing one last; classes side by side."""
    found = [r for r in p.evidence.results.slices if set(r.slice) == {attribute.name}]
    return sorted(found, key=lambda r: p.order(r.slice, r.klass))


def attribute_metrics(p: Phrases, records: Sequence[SliceRecord]) -> list[str]:
    """Up to three metrics: those that rules name first, as far as these records have them."""
    have = list(dict.fromkeys(e.metric for r in records for e in r.estimates if e.value is not None))
    named = [metric for metric in p.policy_metrics if metric in have]
    return named[:MOST_PANELS] or have[:MOST_PANELS]


def attribute_charts(p: Phrases, attribute: AttributeData) -> tuple[AttributeChart, ...]:
    """The attribute's charts: all classes together, and each class where rules judge classes of its groups.

    Averages over classes that no rule names stay out where rules judge the classes themselves.
    """
    every = one_way(p, attribute)
    if len(attribute.values) > MOST_VALUES:
        kept = {value.value for value in shown_values(p, attribute)}
        every = [record for record in every if record.slice[attribute.name] in kept]
    pooled = [r for r in every if r.klass is None]
    of_classes = judged_classes(p, every)
    found: list[AttributeChart] = []
    records = pooled or ([] if of_classes else every)
    metrics = attribute_metrics(p, records)
    if metrics and not (of_classes and not set(metrics) & set(p.policy_metrics)):
        found.append(chart_of(p, attribute, records, metrics))
    if of_classes:
        metrics = [m for m in p.policy_metrics if m in judged_metrics(p, of_classes)][:MOST_PANELS]
        if metrics:
            found.append(chart_of(p, attribute, of_classes, metrics))
    return tuple(replace(chart, again=i > 0) for i, chart in enumerate(found))


def judged_classes(p: Phrases, records: Sequence[SliceRecord]) -> list[SliceRecord]:
    """Records of classes that a rule judges in these groups, a class's groups together."""
    judged = {r.klass for r in records if r.klass is not None and p.checks.get((slice_key(r.slice), r.klass))}
    found = [r for r in records if r.klass in judged]
    return sorted(found, key=lambda r: p.class_places.get(r.klass or "", len(p.class_places)))


def judged_metrics(p: Phrases, records: Sequence[SliceRecord]) -> set[str]:
    """Metrics of these records that a rule looks at: their value, gap or ratio."""
    return {
        f.metric
        for r in records
        for f in p.checks.get((slice_key(r.slice), r.klass), ())
        if f.metric is not None and f.outcome != "not_tested"
    }


def chart_of(
    p: Phrases, attribute: AttributeData, records: Sequence[SliceRecord], metrics: list[str]
) -> AttributeChart:
    """The chart of these records, all pooled or all of one class each."""
    shown, note = list(records), ""
    name = visible(attribute.name)
    by_class = all(r.klass is not None for r in records) and bool(judged_classes(p, records))
    if len(shown) > MOST_ROWS:
        shown = sorted(shown, key=lambda r: gravity(p, r, metrics))[:MOST_ROWS]
        if by_class:
            shown = [r for r in records if any(r is kept for kept in shown)]
        note = p.t(
            "attribute.many",
            attribute=name,
            n=p.count(len(records)),
            shown=p.count(len(shown)),
            metric=p.metric(metrics[0]),
        )
    if len(attribute.values) > MOST_VALUES:
        note = " ".join((note, values_left(p, attribute, MOST_VALUES))).strip()
    labels = tuple(label_of(p, r, attribute.name, by_class=by_class) for r in shown)
    headings = firsts([p.klass(r.klass) if by_class else "" for r in shown])
    classes = [p.klass(r.klass) if by_class else "" for r in records]
    return AttributeChart(
        name=name,
        title=p.t(
            "attribute.title_class" if by_class else "attribute.title",
            attribute=name,
            metrics=p.t.listed([p.metric(m) for m in metrics]),
        ),
        labels=labels,
        headings=headings,
        panels=tuple(panel(p, shown, metric) for metric in metrics),
        note=note,
        rows_head=p.t("attribute.of_class", counted=p.counted) if by_class else p.counted,
        metrics=tuple(p.metric(m) for m in metrics),
        rows=tuple(
            TableRow(
                klass=klass,
                first=bool(first),
                group=row_label(p, r, attribute.name, with_class=not by_class),
                rows=label_of(p, r, attribute.name, by_class=True)[1] if by_class else p.count(r.n),
                clusters=p.count(r.clusters) if r.clusters is not None else p.t("number.none"),
                figures=tuple(figure_of(p, r, m) for m in metrics),
            )
            for r, klass, first in zip(records, classes, firsts(classes), strict=True)
        ),
        gaps=gap_chart(p, records, shown, labels, headings, attribute.name, by_class=by_class),
        show_clusters=p.cluster is not None,
        by_class=by_class,
        again=False,
    )


def firsts(names: Sequence[str]) -> tuple[str, ...]:
    """Each name where it begins a run of its own, else empty.

    >>> firsts(["a", "a", "b"])
    ('a', '', 'b')
    """
    return tuple(name if i == 0 or names[i - 1] != name else "" for i, name in enumerate(names))


def gravity(p: Phrases, record: SliceRecord, metrics: Sequence[str]) -> tuple[int, float, float]:
    """Sort key: gravest check of the record first, in it the farthest beyond, then the lowest figure."""
    found = p.checks.get((slice_key(record.slice), record.klass), ())
    rank = min((OUTCOMES.index(f.outcome) for f in found), default=len(OUTCOMES))
    worst = max((severity(f) for f in found if OUTCOMES.index(f.outcome) == rank), default=float("-inf"))
    estimate = estimate_of(record, metrics[0])
    lowest = float("inf") if estimate is None or estimate.value is None else estimate.value
    return rank, -worst, lowest


def label_of(p: Phrases, record: SliceRecord, attribute: str, *, by_class: bool) -> tuple[str, str]:
    """A row's name and its number of cases; of a class, how many of them are of the class."""
    if not by_class:
        return row_label(p, record, attribute), p.t("attribute.cases", n=p.count(record.n))
    counts = record.counts
    positives = p.t("number.none") if counts is None else p.count(counts.tp + counts.fn)
    cases = p.t("attribute.positives", positives=positives, n=p.count(record.n))
    return row_label(p, record, attribute, with_class=False), cases


def row_label(p: Phrases, record: SliceRecord, attribute: str, *, with_class: bool = True) -> str:
    """The value alone; with its class where there are several."""
    value = p.value(attribute, record.slice[attribute])
    if record.klass is None or not with_class:
        return value
    return p.t("group.joiner").join([value, p.t("group.class", name=p.klass(record.klass))])


def point_of(p: Phrases, record: SliceRecord, metric: str) -> Point:
    estimate = estimate_of(record, metric)
    if estimate is None or estimate.value is None:
        return Point(None, None, None)
    finding = p.judged(record, metric)
    figure = figure_of(p, record, metric)
    tip = p.t(
        "heat.cell",
        group=p.group(record.slice, record.klass),
        value=figure.value,
        interval=figure.interval,
        n=figure.support,
    )
    outcome = finding.outcome if finding else None
    return Point(estimate.value, estimate.low, estimate.high, outcome, tip, outer=joint_limits(p, finding))


def overall_of(p: Phrases, klass: str | None, metric: str) -> float | None:
    for record in p.evidence.results.overall:
        if record.klass == klass:
            estimate = estimate_of(record, metric)
            return None if estimate is None else estimate.value
    return None


def panel(p: Phrases, records: Sequence[SliceRecord], metric: str) -> Panel:
    """One metric's points on one scale that holds the limit and the overall value too."""
    points = tuple(point_of(p, r, metric) for r in records)
    scale = p.scale(metric)
    judged = [f for r in records if (f := p.judged(r, metric)) is not None and f.limit is not None]
    limits = {(f.kind, f.limit) for f in judged}
    limit = Limit()
    limit_text = ""
    if len(limits) == 1:  # rules with several limits on one figure are told apart in the table
        kind, value = next(iter(limits))
        limit = Limit(low=value) if kind == "floor" else Limit(high=value)
        limit_text = p.t("attribute.limit", limit=p.limit(value, scale)) if value is not None else ""
    classes = {r.klass for r in records}
    whole = overall_of(p, next(iter(classes)), metric) if len(classes) == 1 else None
    values = [x for point in points for x in (point.value, point.low, point.high, *(point.outer or ()))]
    low, high, ticks = axis_for(
        [*values, limit.low, limit.high, whole], bounds=p.bounds(metric), least=0.05, most=4
    )
    return Panel(
        heading=p.metric(metric),
        axis=Axis(low, high, tuple((tick, p.tick(tick, scale)) for tick in ticks)),
        points=points,
        limit=limit,
        limit_text=limit_text,
        overall=whole,
        overall_text="" if whole is None else p.t("attribute.overall", value=p.number(whole, scale)),
    )


def by_kind(p: Phrases) -> Mapping[str, tuple[AttributeChart, ...]]:
    """The attributes' charts by kind, in the order of the configuration."""
    found: dict[str, list[AttributeChart]] = {"demographic": [], "acquisition": [], "other": []}
    for attribute in p.evidence.data.attributes:
        found[attribute.kind] += attribute_charts(p, attribute)
    return {kind: tuple(charts) for kind, charts in found.items()}
