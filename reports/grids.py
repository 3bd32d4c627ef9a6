"""Grids: crossings of attributes, and values against classes, as heat grids that fit the column."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from reports.canvas import WIDTH
from reports.charts import attribute_metrics, one_way
from reports.evidence import SliceRecord
from reports.figures import Heat, HeatCell, heat_columns, heat_width
from reports.palette import OUTCOMES
from reports.phrases import Phrases, estimate_of, visible
from reports.sections import figure_of

MOST_GRIDS = 36
HALF = 0.485 * WIDTH
FEW = 10  # cases: a figure of fewer is printed grey
MOST_GRID_ROWS = 24


@dataclass(frozen=True, slots=True)
class HeatChart:
    """A heat grid that fits the column."""

    title: str
    grid: Heat


def paired(charts: Sequence[HeatChart]) -> tuple[tuple[HeatChart, ...], ...]:
    """Rows of a page: two grids where both fit into half of its width, else one."""
    rows: list[tuple[HeatChart, ...]] = []
    narrow = [heat_width(chart.grid) <= HALF for chart in charts]
    i = 0
    while i < len(charts):
        take = 2 if narrow[i] and i + 1 < len(charts) and narrow[i + 1] else 1
        rows.append(tuple(charts[i : i + take]))
        i += take
    return tuple(rows)


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
    wanted: list[tuple[tuple[int, int, float], tuple[str, ...], str | None, str, list[SliceRecord]]] = []
    for names, records in crossings.items():
        classes = list(dict.fromkeys(r.klass for r in records))
        for klass in [None] if None in classes else classes:
            mine = [r for r in records if r.klass == klass]
            metrics = attribute_metrics(p, mine)
            first = urgency(p, names, klass, metrics, mine)
            wanted += [(first, names, klass, metric, mine) for metric in metrics]
    wanted.sort(key=lambda item: item[0])  # stable: the metrics of one crossing stay together
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


def urgency(
    p: Phrases,
    names: tuple[str, ...],
    klass: str | None,
    metrics: Sequence[str],
    records: Sequence[SliceRecord],
) -> tuple[int, int, float]:
    """Sort key of a crossing: its gravest check, the gravest check of a single attribute in it, then how
    surely a cell lies away from the figure of all cases (the nearer limit of its interval)."""
    last = len(OUTCOMES)
    ranks = [
        OUTCOMES.index(found.outcome)
        for r in records
        for m in metrics
        if (found := p.judged(r, m)) is not None
    ]
    single = [
        OUTCOMES.index(f.outcome)
        for f in p.evidence.findings
        if len(f.slice) == 1 and set(f.slice) <= set(names) and f.klass == klass and f.concept is None
    ]
    overall = next((r for r in p.evidence.results.overall if r.klass == klass), None)
    surest = 0.0
    for metric in metrics:
        whole = None if overall is None else estimate_of(overall, metric)
        if whole is None or whole.value is None:
            continue
        for record in records:
            e = estimate_of(record, metric)
            if e is not None and e.low is not None and e.high is not None and e.support >= FEW:
                surest = max(surest, whole.value - e.high, e.low - whole.value)
    return min(ranks, default=last), min(single, default=last), -surest


def class_charts(p: Phrases) -> tuple[tuple[HeatChart, ...], int]:
    """Values of each attribute against classes, one grid a policy metric."""
    if not p.several_classes:
        return (), 0
    charts: list[HeatChart] = []
    left = 0
    for attribute, metric in itertools.product(p.evidence.data.attributes, judged_by_class(p)):
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
            [p.klass(k) for k in rows],
            [p.value(attribute.name, v) for v in columns],
            cells,
        )
        if made is None or len(charts) + len(made) > MOST_GRIDS:
            left += 1
        else:
            charts += made
    return tuple(charts), left


def judged_by_class(p: Phrases) -> list[str]:
    """Up to two metrics that rules judge by class; else recall and precision.

    Accuracy of one class against the rest is high even for a class that the model never names.
    """
    judged = {f.metric for f in p.evidence.findings if f.klass is not None}
    return [metric for metric in p.policy_metrics if metric in judged][:2] or ["recall", "precision"]


def grid_of(
    p: Phrases, names: tuple[str, ...], klass: str | None, metric: str, records: Sequence[SliceRecord]
) -> list[HeatChart] | None:
    """The grid of one crossing: its last attribute across, the others down; None: too large to draw."""
    *down, across = names
    found = {(tuple(r.slice[n] for n in down), r.slice[across]): r for r in records}

    rows = sorted({key for key, _ in found}, key=lambda key: p.order(dict(zip(down, key, strict=True)), None))
    columns = sorted({value for _, value in found}, key=lambda value: p.order({across: value}, None))
    if len(rows) > len(columns) and len(down) == 1 and len(columns) <= 4 and len(rows) > MOST_GRID_ROWS:
        return None
    cells = [[cell_of(p, found.get((row, column)), metric) for column in columns] for row in rows]
    down_name = p.t("group.joiner").join(visible(n) for n in down)
    title = p.t("heat.title", metric=p.metric(metric), rows=down_name, columns=visible(across))
    if klass is not None:
        title = p.t("group.joiner").join([title, p.t("group.class", name=p.klass(klass))])
    labels = [p.t("group.joiner").join(map(p.value, down, row)) for row in rows]
    heads = [p.value(across, value) for value in columns]
    return parts(p, title, down_name, visible(across), labels, heads, cells)


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
    known = [cell for row in cells for cell in row if cell is not None and not cell.few]
    found = [cell.shade for cell in known if cell.shade is not None]
    low, high = min(found, default=0.0), max(found, default=1.0)
    span = (high - low) or 1.0

    def again(cell: HeatCell | None) -> HeatCell | None:
        if cell is None or cell.shade is None:
            return cell
        return replace(cell, shade=min(1.0, max(0.0, (cell.shade - low) / span)))

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
    small = p.t("heat.count", n=figure.support)
    few = outcome is None and p.cases(record, estimate) < FEW
    return HeatCell(figure.value, estimate.value, outcome, tip, small, few)
