"""Charts: each attribute's figure, the numbers beneath it, and its gaps to everybody else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports.canvas import Axis, Limit, Point, axis_for
from reports.evidence import AttributeData, SliceRecord
from reports.figures import Panel
from reports.phrases import Phrases, barriers_of, estimate_of, slice_key, visible
from reports.sections import MOST_VALUES, Figure, figure_of, shown_values, values_left

MOST_ROWS = 28  # values in one attribute's figure


@dataclass(frozen=True, slots=True)
class TableRow:
    """A group and its figures, under the attribute's figure."""

    group: str
    rows: str
    clusters: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Gap:
    """One metric of a group less that of everybody else."""

    difference: str
    interval: str
    ratio: str
    p: str


@dataclass(frozen=True, slots=True)
class DisparityRow:
    """A group against everybody else, one entry a metric (None: undefined)."""

    group: str
    gaps: tuple[Gap | None, ...]


@dataclass(frozen=True, slots=True)
class AttributeChart:
    """One attribute: its figure, the numbers beneath, the gaps to everybody else."""

    name: str
    title: str
    labels: tuple[tuple[str, str], ...]
    panels: tuple[Panel, ...]
    note: str
    rows_head: str
    metrics: tuple[str, ...]
    rows: tuple[TableRow, ...]
    gap_metrics: tuple[str, ...]
    disparities: tuple[DisparityRow, ...]
    gaps_left: bool
    show_clusters: bool


def one_way(p: Phrases, attribute: AttributeData) -> list[SliceRecord]:
    """The attribute's slices in the order of its values, the missing one last; classes side by side."""
    found = [r for r in p.evidence.results.slices if set(r.slice) == {attribute.name}]
    return sorted(found, key=lambda r: p.order(r.slice, r.klass))


def attribute_metrics(p: Phrases, records: Sequence[SliceRecord]) -> list[str]:
    """Up to three metrics: those that rules name first, as far as these records have them."""
    have = list(dict.fromkeys(e.metric for r in records for e in r.estimates if e.value is not None))
    named = [metric for metric in p.policy_metrics if metric in have]
    return named[:3] or have[:3]


def attribute_chart(p: Phrases, attribute: AttributeData) -> AttributeChart | None:
    """One attribute's figure and tables; None where it has no computed slice."""
    every = one_way(p, attribute)
    if len(attribute.values) > MOST_VALUES:
        kept = {value.value for value in shown_values(p, attribute)}
        every = [record for record in every if record.slice[attribute.name] in kept]
    pooled = [r for r in every if r.klass is None]
    records = pooled or every
    if not records:
        return None
    metrics = attribute_metrics(p, records)
    if not metrics:
        return None
    shown, note = list(records), ""
    name = visible(attribute.name)
    if len(shown) > MOST_ROWS:

        def lowest(r: SliceRecord) -> float:
            estimate = estimate_of(r, metrics[0])
            return float("inf") if estimate is None or estimate.value is None else estimate.value

        shown = sorted(shown, key=lowest)[:MOST_ROWS]
        note = p.t(
            "attribute.many",
            attribute=name,
            n=p.count(len(records)),
            shown=p.count(len(shown)),
            metric=p.metric(metrics[0]),
        )
    if len(attribute.values) > MOST_VALUES:
        note = " ".join((note, values_left(p, attribute, MOST_VALUES))).strip()
    panels = tuple(panel(p, shown, metric) for metric in metrics)
    labels = tuple((row_label(p, r, attribute.name), p.t("attribute.cases", n=p.count(r.n))) for r in shown)
    gap_metrics, gaps_left = disparity_metrics(p, records)
    return AttributeChart(
        name=name,
        title=p.t("attribute.title", attribute=name, metrics=p.t.listed([p.metric(m) for m in metrics])),
        labels=labels,
        panels=panels,
        note=note,
        rows_head=p.counted,
        metrics=tuple(p.metric(m) for m in metrics),
        rows=tuple(
            TableRow(
                row_label(p, r, attribute.name),
                p.count(r.n),
                p.count(r.clusters) if r.clusters is not None else p.t("number.none"),
                tuple(figure_of(p, r, m) for m in metrics),
            )
            for r in records
        ),
        gap_metrics=tuple(p.metric(m) for m in gap_metrics),
        disparities=tuple(disparity_row(p, r, attribute.name, gap_metrics) for r in records)
        if gap_metrics
        else (),
        gaps_left=gaps_left,
        show_clusters=p.cluster is not None,
    )


ERRORS = ("recall", "fpr", "precision", "macro_recall", "macro_fpr", "macro_precision")
MOST_GAPS = 4


def disparity_metrics(p: Phrases, records: Sequence[SliceRecord]) -> tuple[list[str], bool]:
    """Metrics whose gaps the body shows (the policy's, the error rates); whether others are left out."""
    have = list(dict.fromkeys(d.metric for r in records for d in r.disparities if d.against == "complement"))
    wanted = [m for m in dict.fromkeys([*p.policy_metrics, *ERRORS]) if m in have]
    shown = (wanted or have)[:MOST_GAPS]
    return shown, len(have) > len(shown)


def disparity_row(p: Phrases, record: SliceRecord, attribute: str, metrics: Sequence[str]) -> DisparityRow:
    found = {d.metric: d for d in record.disparities if d.against == "complement"}
    gaps: list[Gap | None] = []
    for metric in metrics:
        d = found.get(metric)
        if d is None or d.difference.value is None:
            gaps.append(None)
            continue
        scale = p.difference_scale(metric)
        walls = gap_walls(p, record, metric, d.against)
        gaps.append(
            Gap(
                difference=p.number(d.difference.value, scale, walls),
                interval=p.interval(d.difference.low, d.difference.high, scale, walls),
                ratio=p.t("number.none") if d.ratio.value is None else p.number(d.ratio.value, "number"),
                p=p.probability(d.p_adjusted),
            )
        )
    return DisparityRow(row_label(p, record, attribute), tuple(gaps))


def gap_walls(p: Phrases, record: SliceRecord, metric: str, against: str) -> tuple[float, ...]:
    """The limits of a gap rule on this slice, so that its printed difference keeps its side."""
    for finding in p.checks.get((slice_key(record.slice), record.klass), ()):
        if (
            finding.kind == "gap"
            and finding.metric == metric
            and (finding.against or "complement") == against
        ):
            return barriers_of("gap", finding.limit)
    return ()


def row_label(p: Phrases, record: SliceRecord, attribute: str) -> str:
    """The value alone; with its class where there are several."""
    value = p.value(attribute, record.slice[attribute])
    if record.klass is None:
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
    return Point(estimate.value, estimate.low, estimate.high, finding.outcome if finding else None, tip)


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
    values = [x for point in points for x in (point.value, point.low, point.high)]
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
        chart = attribute_chart(p, attribute)
        if chart is not None:
            found[attribute.kind].append(chart)
    return {kind: tuple(charts) for kind, charts in found.items()}
