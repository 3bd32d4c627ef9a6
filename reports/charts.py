"""Charts: which figures the document shows, with their numbers: attributes, heat grids, concepts, curves."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from reports.canvas import Axis, Limit, Point, axis_for
from reports.crosswalk import answers
from reports.evidence import AttributeData, ConceptRecord, Finding, ScoreCurve, SliceRecord
from reports.figures import Curve, Heat, HeatCell, Panel, heat_columns, side_note
from reports.phrases import Phrases, barriers_of, estimate_of, slice_key, visible
from reports.rounding import Scale
from reports.sections import Figure, figure_of

MOST_ROWS = 28  # values in one attribute's figure
MOST_GRIDS = 16
MOST_GRID_ROWS = 24


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
    metrics: tuple[str, ...]
    rows: tuple[TableRow, ...]
    gap_metrics: tuple[str, ...]
    disparities: tuple[DisparityRow, ...]
    gaps_left: bool
    show_clusters: bool


@dataclass(frozen=True, slots=True)
class HeatChart:
    """A heat grid that fits the column."""

    title: str
    grid: Heat


@dataclass(frozen=True, slots=True)
class ConceptChart:
    """A concept's effect against the random sets' effects."""

    title: str
    null: tuple[float, ...]
    point: Point
    axis: Axis
    null_text: str
    effect_text: str
    margin: float | None


@dataclass(frozen=True, slots=True)
class ConceptRow:
    """A concept test in numbers."""

    concept: str
    klass: str
    layer: str
    group: str
    effect: str
    interval: str
    p: str
    p_adjusted: str
    auc: str
    score: str
    images: str
    verdict: str
    outcome: str | None


@dataclass(frozen=True, slots=True)
class Concepts:
    """What the model reacts to."""

    method: tuple[str, ...]
    charts: tuple[ConceptChart, ...]
    rows: tuple[ConceptRow, ...]
    slices: tuple[ConceptRow, ...]
    grids: tuple[HeatChart, ...]
    joined: tuple[str, ...]
    unlearnt: tuple[str, ...]
    sets: tuple[tuple[str, str, str, str], ...]
    entangled: tuple[tuple[str, tuple[str, ...]], ...]
    several_classes: bool


def one_way(p: Phrases, attribute: AttributeData) -> list[SliceRecord]:
    """The attribute's slices in the order of its values, the missing one last; classes side by side."""
    order = {value.value: i for i, value in enumerate(attribute.values)}
    found = [r for r in p.evidence.results.slices if set(r.slice) == {attribute.name}]
    return sorted(
        found, key=lambda r: (r.slice[attribute.name] is None, order.get(r.slice[attribute.name], 0))
    )


def attribute_metrics(p: Phrases, records: Sequence[SliceRecord]) -> list[str]:
    """Up to three metrics: those that rules name first, as far as these records have them."""
    have = list(dict.fromkeys(e.metric for r in records for e in r.estimates if e.value is not None))
    named = [metric for metric in p.policy_metrics if metric in have]
    return named[:3] or have[:3]


def attribute_chart(p: Phrases, attribute: AttributeData) -> AttributeChart | None:
    """One attribute's figure and tables; None where it has no computed slice."""
    every = one_way(p, attribute)
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
    panels = tuple(panel(p, shown, metric) for metric in metrics)
    labels = tuple((row_label(p, r, attribute.name), p.t("attribute.cases", n=p.count(r.n))) for r in shown)
    gap_metrics, gaps_left = disparity_metrics(p, records)
    return AttributeChart(
        name=name,
        title=p.t("attribute.title", attribute=name, metrics=p.t.listed([p.metric(m) for m in metrics])),
        labels=labels,
        panels=panels,
        note=note,
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
        scale: Scale = "points" if p.scale(metric) == "percent" else "number"
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
    value = p.value(record.slice[attribute])
    if record.klass is None:
        return value
    return p.t("group.joiner").join([value, p.t("group.class", name=visible(record.klass))])


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


def heat_charts(p: Phrases) -> tuple[tuple[HeatChart, ...], int]:
    """Grids of the crossings that were computed; (charts, crossings not drawn)."""
    crossings: dict[tuple[str, ...], list[SliceRecord]] = {}
    order = [a.name for a in p.evidence.data.attributes]
    for record in p.evidence.results.slices:
        if len(record.slice) > 1:
            names = tuple(
                sorted(
                    record.slice, key=lambda name: (order.index(name) if name in order else len(order), name)
                )
            )
            crossings.setdefault(names, []).append(record)
    wanted: list[tuple[bool, tuple[str, ...], str | None, str, list[SliceRecord]]] = []
    for names, records in crossings.items():
        classes = list(dict.fromkeys(r.klass for r in records))
        for klass in [None] if None in classes else classes:
            mine = [r for r in records if r.klass == klass]
            for metric in attribute_metrics(p, mine):
                judged = any(p.judged(r, metric) for r in mine)
                wanted.append((not judged, names, klass, metric, mine))
    wanted.sort(key=lambda item: item[0])  # crossings that a rule judges come first
    charts: list[HeatChart] = []
    drawn = 0
    for _, names, klass, metric, mine in wanted:
        if len(charts) >= MOST_GRIDS:
            break
        made = grid_of(p, names, klass, metric, mine)
        if made is None:
            continue
        charts += made
        drawn += 1
    return tuple(charts), len(wanted) - drawn


def class_charts(p: Phrases) -> tuple[tuple[HeatChart, ...], int]:
    """Values of each attribute against classes, one grid a policy metric."""
    if not p.several_classes:
        return (), 0
    charts: list[HeatChart] = []
    left = 0
    for attribute, metric in itertools.product(p.evidence.data.attributes, p.policy_metrics[:2]):
        records = [r for r in one_way(p, attribute) if r.klass is not None]
        found = {(r.klass, r.slice[attribute.name]): r for r in records}
        columns = list(dict.fromkeys(r.slice[attribute.name] for r in records))
        rows = list(
            dict.fromkeys(k for k in (*p.evidence.data.classes, *(r.klass for r in records)) if k is not None)
        )
        cells = [[cell_of(p, found.get((k, v)), metric) for v in columns] for k in rows]
        if not any(cell is not None and cell.shade is not None for row in cells for cell in row):
            continue
        title = p.t("classes.title", metric=p.metric(metric), attribute=visible(attribute.name))
        made = parts(
            p,
            title,
            p.t("table.class"),
            visible(attribute.name),
            [visible(k) for k in rows],
            [p.value(v) for v in columns],
            cells,
        )
        if made is None or len(charts) + len(made) > MOST_GRIDS:
            left += 1
        else:
            charts += made
    return tuple(charts), left


def place(p: Phrases, name: str, value: str | None) -> tuple[bool, int, str]:
    """Where a value stands among its attribute's: in the log's order, the missing one last."""
    attribute = next((a for a in p.evidence.data.attributes if a.name == name), None)
    values = [v.value for v in attribute.values] if attribute else []
    return value is None, values.index(value) if value in values else len(values), value or ""


def grid_of(
    p: Phrases, names: tuple[str, ...], klass: str | None, metric: str, records: Sequence[SliceRecord]
) -> list[HeatChart] | None:
    """The grid of one crossing: its last attribute across, the others down; None: too large to draw."""
    *down, across = names
    found = {(tuple(r.slice[n] for n in down), r.slice[across]): r for r in records}

    rows = sorted(
        {key for key, _ in found}, key=lambda key: [place(p, n, v) for n, v in zip(down, key, strict=True)]
    )
    columns = sorted({value for _, value in found}, key=lambda value: place(p, across, value))
    if len(rows) > len(columns) and len(down) == 1 and len(columns) <= 4 and len(rows) > MOST_GRID_ROWS:
        return None
    cells = [[cell_of(p, found.get((row, column)), metric) for column in columns] for row in rows]
    down_name = p.t("group.joiner").join(visible(n) for n in down)
    title = p.t("heat.title", metric=p.metric(metric), rows=down_name, columns=visible(across))
    if klass is not None:
        title = p.t("group.joiner").join([title, p.t("group.class", name=visible(klass))])
    labels = [p.t("group.joiner").join(p.value(v) for v in row) for row in rows]
    return parts(p, title, down_name, visible(across), labels, [p.value(v) for v in columns], cells)


def parts(
    p: Phrases, title: str, row_heading: str, column_heading: str, rows: list[str], columns: list[str],
    cells: list[list[HeatCell | None]],
) -> list[HeatChart] | None:  # fmt: skip
    """A grid cut into parts that fit the column; None where it has too many rows or parts to be read."""
    if len(rows) > MOST_GRID_ROWS:
        return None
    cells = shaded(cells)
    grid = Heat(row_heading, column_heading, tuple(rows), tuple(columns), tuple(tuple(row) for row in cells))
    most = heat_columns(grid)
    count = -(-len(columns) // most)
    if count > 3:
        return None
    each = -(-len(columns) // count)
    charts = []
    for i in range(count):
        cut = slice(i * each, (i + 1) * each)
        part = Heat(
            row_heading, column_heading, grid.rows, grid.columns[cut], tuple(row[cut] for row in grid.cells)
        )
        name = (
            title if count == 1 else p.t("heat.part", title=title, part=p.count(i + 1), parts=p.count(count))
        )
        charts.append(HeatChart(name, part))
    return charts


def shaded(cells: list[list[HeatCell | None]]) -> list[list[HeatCell | None]]:
    """Shades from the lowest (0) to the highest (1) figure of this grid."""
    found = [cell.shade for row in cells for cell in row if cell is not None and cell.shade is not None]
    low, high = min(found, default=0.0), max(found, default=1.0)
    span = (high - low) or 1.0

    def again(cell: HeatCell | None) -> HeatCell | None:
        if cell is None or cell.shade is None:
            return cell
        return replace(cell, shade=(cell.shade - low) / span)

    return [[again(cell) for cell in row] for row in cells]


def cell_of(p: Phrases, record: SliceRecord | None, metric: str) -> HeatCell | None:
    if record is None:
        return None
    group = p.group(record.slice, record.klass)
    estimate = estimate_of(record, metric)
    finding = p.judged(record, metric)
    outcome = finding.outcome if finding is not None else None
    if estimate is None or estimate.value is None:
        return HeatCell(p.t("number.none"), None, outcome, p.t("heat.cell_undefined", group=group))
    figure = figure_of(p, record, metric)
    tip = p.t("heat.cell", group=group, value=figure.value, interval=figure.interval, n=figure.support)
    return HeatCell(figure.value, estimate.value, outcome, tip, p.t("heat.count", n=figure.support))


def concept_outcome(p: Phrases, record: ConceptRecord) -> Finding | None:
    for finding in p.evidence.findings:
        if (finding.concept, finding.klass, finding.layer) == (
            record.concept,
            record.klass,
            record.layer,
        ) and (slice_key(finding.slice) == slice_key(record.slice)):
            return finding
    return None


def concepts(p: Phrases) -> Concepts | None:
    """The concept tests; None where none was made."""
    records = p.evidence.results.concepts
    if not records:
        return None
    t = p.t
    charts = []
    for record in records:
        if record.slice or record.effect.value is None or not record.null_effects:
            continue
        finding = concept_outcome(p, record)
        margin = finding.limit if finding is not None else None
        walls = barriers_of("concept", margin)
        e = record.effect
        effect = p.number(e.value, "number", walls)
        low, high, ticks = axis_for([*record.null_effects, e.value, e.low, e.high, 0.0], most=6)
        layer = t("group.layer", layer=visible(record.layer))
        pseudo = len(record.null_effects)
        charts.append(
            ConceptChart(
                title=t(
                    "concepts.title",
                    concept=visible(record.concept),
                    klass=visible(record.klass),
                    layer=layer,
                    effect=effect,
                    pseudo=p.count(pseudo),
                ),
                null=tuple(record.null_effects),
                point=Point(e.value, e.low, e.high, finding.outcome if finding else None),
                axis=Axis(low, high, tuple((tick, p.tick(tick, "number")) for tick in ticks)),
                null_text=t("concepts.null" if margin else "concepts.null_no_margin", n=p.count(pseudo)),
                effect_text=side_note(
                    p.finding_group(finding)
                    if finding
                    else t("group.joiner").join(
                        [
                            t("group.concept", concept=visible(record.concept), klass=visible(record.klass)),
                            layer,
                        ]
                    ),
                    t("concepts.effect", effect=effect, interval=p.interval(e.low, e.high, "number", walls)),
                ),
                margin=margin,
            )
        )
    method = p.evidence.results.concept_method
    entangled = []
    if method is not None:
        names = [s.name for s in method.sets]
        for layer, matrix in sorted(method.entanglement.items()):
            pairs = entangled_pairs(p, names, matrix)
            if pairs:
                entangled.append((t("concepts.entanglement", layer=visible(layer)), pairs))
    unlearnt = [
        t(
            "concepts.unlearnt_text",
            concept=visible(r.concept),
            layer=visible(r.layer),
            reason=visible(r.undefined or t("concepts.not_learnt")),
        )
        for r in records
        if r.verdict == "not_learnt" and not r.slice
    ]
    return Concepts(
        method=tuple(visible(text) for text in (method.method, *method.notes)) if method else (),
        charts=tuple(charts),
        rows=tuple(concept_row(p, r) for r in records if not r.slice),
        slices=tuple(concept_row(p, r) for r in records if r.slice and r.verdict != "not_learnt"),
        grids=concept_grids(p),
        joined=joined(p),
        unlearnt=tuple(unlearnt),
        sets=tuple((visible(s.name), visible(s.source), p.count(s.images), s.sha256) for s in method.sets)
        if method
        else (),
        entangled=tuple(entangled),
        several_classes=len({r.klass for r in records}) > 1,
    )


def elsewhere(p: Phrases, record: ConceptRecord) -> int:
    """1 where the effect is shown to be larger here than in the other images, -1 smaller, else 0."""
    d, adjusted = record.difference, record.difference_p_adjusted
    if d is None or d.value is None or adjusted is None or adjusted >= 1 - p.evidence.run.confidence:
        return 0
    return 1 if d.value > 0 else -1


def concept_grids(p: Phrases) -> tuple[HeatChart, ...]:
    """Concepts and layers down, an attribute's groups across; one grid an attribute (or crossing)."""
    t = p.t
    found = [
        r
        for r in p.evidence.results.concepts
        if r.slice and r.effect.value is not None and r.verdict != "not_learnt"
    ]
    classes = {r.klass for r in found}
    charts: list[HeatChart] = []
    for names in dict.fromkeys(tuple(sorted(r.slice)) for r in found):
        mine = sorted(
            (r for r in found if tuple(sorted(r.slice)) == names),
            key=lambda r: [place(p, name, value) for name, value in sorted(r.slice.items())],
        )
        key = "concepts.slices_class" if len(classes) > 1 else "concepts.slices_row"

        def label(r: ConceptRecord, key: str = key) -> str:
            return t(key, concept=visible(r.concept), klass=visible(r.klass), layer=visible(r.layer))

        def across(r: ConceptRecord, names: tuple[str, ...] = names) -> str:
            return t("group.joiner").join(p.value(r.slice[name]) for name in names)

        rows = sorted(dict.fromkeys(map(label, mine)))
        columns = list(dict.fromkeys(map(across, mine)))
        by_place = {(label(r), across(r)): r for r in mine}
        cells = [[concept_cell(p, by_place.get((row, column)), row) for column in columns] for row in rows]
        heading = t("list.comma").join(visible(name) for name in names)
        title = t("concepts.slices_title", attribute=heading)
        charts += parts(p, title, t("concepts.concept"), heading, rows, columns, cells) or []
    return tuple(charts)


def concept_cell(p: Phrases, record: ConceptRecord | None, row: str) -> HeatCell | None:
    if record is None or record.effect.value is None:
        return None
    e = record.effect
    effect = p.number(e.value, "number")
    key = {1: "concepts.more_here", -1: "concepts.less_here"}.get(elsewhere(p, record))
    tip = p.t(
        "concepts.slices_cell",
        row=row,
        group=p.group(record.slice),
        effect=effect,
        interval=p.interval(e.low, e.high, "number"),
    )
    return HeatCell(
        p.t(key, effect=effect) if key else effect,
        e.value,
        None,
        tip,
        p.t("concepts.slices_images", n=p.count(record.images)),
    )


def joined(p: Phrases) -> tuple[str, ...]:
    """For a group that fails a rule: the concepts that move its class there more than elsewhere."""
    sentences = []
    for finding in p.evidence.findings:
        if finding.outcome != "fails" or finding.concept is not None or not finding.slice:
            continue
        for record in p.evidence.results.concepts:
            same = slice_key(record.slice) == slice_key(finding.slice) and finding.klass in (
                None,
                record.klass,
            )
            d = record.difference
            if same and d is not None and elsewhere(p, record) == 1:
                sentences.append(
                    p.t(
                        "concepts.joined",
                        group=p.finding_group(finding),
                        rule=p.rule_heading(finding),
                        concept=visible(record.concept),
                        klass=visible(record.klass),
                        layer=p.t("group.layer", layer=visible(record.layer)),
                        difference=p.number(d.value, "number", (0.0,)),
                        interval=p.interval(d.low, d.high, "number"),
                        p=p.probability(record.difference_p_adjusted),
                    )
                )
    return tuple(sentences)


def entangled_pairs(p: Phrases, names: Sequence[str], matrix: Sequence[Sequence[float]]) -> tuple[str, ...]:
    """Pairs of concepts whose directions agree (cosine of 0.3 or more, either way)."""
    found = []
    for i, j in itertools.combinations(range(len(matrix)), 2):
        if i < len(names) and j < len(names) and abs(matrix[i][j]) >= 0.3:
            found.append(
                p.t(
                    "concepts.entangled",
                    a=visible(names[i]),
                    b=visible(names[j]),
                    value=p.number(matrix[i][j], "number"),
                )
            )
    return tuple(found)


def concept_row(p: Phrases, record: ConceptRecord) -> ConceptRow:
    finding = concept_outcome(p, record)
    walls = barriers_of("concept", finding.limit) if finding else ()
    e, cav, none = record.effect, record.cav, p.t("number.none")
    auc = none if cav.auc is None else p.number(cav.auc, "number")
    return ConceptRow(
        concept=visible(record.concept),
        klass=visible(record.klass),
        layer=visible(record.layer),
        group=p.group(record.slice) if record.slice else "",
        effect=none if e.value is None else p.number(e.value, "number", walls),
        interval=p.interval(e.low, e.high, "number", walls),
        p=p.probability(record.p_value),
        p_adjusted=p.probability(record.p_adjusted),
        auc=auc,
        score=none if record.score is None else p.number(record.score, "percent"),
        images=p.count(record.images),
        verdict=p.t(f"concepts.{record.verdict}"),
        outcome=finding.outcome if finding else None,
    )


def by_kind(p: Phrases) -> Mapping[str, tuple[AttributeChart, ...]]:
    """The attributes' charts by kind, in the order of the configuration."""
    found: dict[str, list[AttributeChart]] = {"demographic": [], "acquisition": [], "other": []}
    for attribute in p.evidence.data.attributes:
        chart = attribute_chart(p, attribute)
        if chart is not None:
            found[attribute.kind].append(chart)
    return {kind: tuple(charts) for kind, charts in found.items()}


@dataclass(frozen=True, slots=True)
class CurveRow:
    """A point of a curve in numbers."""

    group: str
    x: str
    y: str
    n: str


@dataclass(frozen=True, slots=True)
class CurveChart:
    """Score curves of one kind and class, at most five groups."""

    title: str
    lines: tuple[Curve, ...]
    x_text: str
    y_text: str
    ticks: tuple[str, ...]
    rows: tuple[CurveRow, ...]


MOST_CURVES = 5


def curve_charts(p: Phrases) -> tuple[CurveChart, ...]:
    """One chart a kind, class and attribute: its values beside each other, at most five."""
    groups: dict[tuple[str, str, str], list[ScoreCurve]] = {}
    for curve in p.evidence.results.curves:
        groups.setdefault((curve.kind, curve.klass or "", " ".join(curve.slice)), []).append(curve)
    charts = []
    for (kind, klass, names), found in groups.items():
        for start in range(0, len(found), MOST_CURVES):
            shown = found[start : start + MOST_CURVES]
            heading = p.group({}, klass or None) if not names else visible(names)
            lines = tuple(
                Curve(
                    p.group(c.slice, c.klass),
                    tuple((q.x, q.y) for q in c.points),
                    tuple((q.x, q.low, q.high) for q in c.points if q.low is not None and q.high is not None),
                )
                for c in shown
            )
            charts.append(
                CurveChart(
                    title=p.t("curves.title", kind=p.t(f"curves.{kind}"), group=heading),
                    lines=lines,
                    x_text=p.t(f"curves.{kind}_x"),
                    y_text=p.t(f"curves.{kind}_y"),
                    ticks=tuple(p.limit(tick / 4, "number") for tick in range(5)),
                    rows=tuple(row for c in shown for row in curve_rows(p, c)),
                )
            )
    return tuple(charts)


def curve_rows(p: Phrases, curve: ScoreCurve) -> list[CurveRow]:
    """At most eleven points of a curve, evenly chosen, its ends included."""
    last = len(curve.points) - 1
    chosen = sorted({round(i * last / 10) for i in range(11)}) if last > 10 else range(last + 1)
    return [
        CurveRow(
            p.group(curve.slice, curve.klass),
            p.number(q.x, "number"),
            p.number(q.y, "number"),
            p.t("number.none") if q.n is None else p.count(q.n),
        )
        for q in (curve.points[i] for i in chosen)
    ]


@dataclass(frozen=True, slots=True)
class CrosswalkRow:
    """A clause, held against this run."""

    clause: str
    asks: str
    answer: str
    where: str


@dataclass(frozen=True, slots=True)
class CrosswalkSource:
    """A regulation or guideline."""

    title: str
    note: str
    rows: tuple[CrosswalkRow, ...]


def crosswalk(p: Phrases) -> tuple[CrosswalkSource, ...]:
    """The versioned table of clauses; a clause whose fields are empty in this run says so."""
    sources = []
    for framework, answered in answers(p.evidence):
        rows = []
        for item in answered:
            where = p.t("list.comma").join(item.clause.fields)
            if item.lacking:
                where = p.t("crosswalk.lacking", fields=p.t("list.comma").join(item.lacking))
            parts = [item.clause.note, visible(item.written or "")]
            key = "lacking_word" if item.lacking and item.clause.answer != "outside" else item.clause.answer
            rows.append(
                CrosswalkRow(
                    item.clause.clause,
                    item.clause.asks,
                    p.t(f"crosswalk.{key}"),
                    " ".join(x for x in (*parts, where) if x),
                )
            )
        sources.append(CrosswalkSource(framework.title, framework.note or "", tuple(rows)))
    return tuple(sources)
