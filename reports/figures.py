"""Figures: inline SVG from plain numbers and texts. Draws what it is told; rounds and decides nothing.

Every figure has a ``<title>`` (its alternative text) and leaves room for every label, so that nothing is
cut and nothing overlaps. The ``draw_`` functions return the canvas, whose label boxes the tests measure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

from reports.canvas import (
    NO_LIMIT,
    ROW,
    SMALL,
    TEXT,
    WIDTH,
    Axis,
    Canvas,
    Limit,
    Point,
    draw_limit,
    draw_point,
    draw_ticks,
    mark,
    n,
    wrap,
)
from reports.glyphs import printable, text_width
from reports.palette import LIGHT

MANY_ROWS = 16  # a figure of more rows has lower ones
LOW_ROW = 17.0
LEAST_CELL = 58.0  # px, of a heat grid
MOST_TALL = 12  # rows of a heat grid: two longer ones stand on a page, in lower rows


@dataclass(frozen=True, slots=True)
class Panel:
    """One metric of an attribute's figure: a point per row on one scale."""

    heading: str
    axis: Axis
    points: tuple[Point, ...]
    limit: Limit = NO_LIMIT
    limit_text: str = ""
    overall: float | None = None
    overall_text: str = ""


@dataclass(frozen=True, slots=True)
class HeatCell:
    """A cell of a heat grid: its number as text, its shade (0 to 1; None: undefined), its outcome.

    ``small``: the line beneath; ``few``: too few cases for the number to say much, so it is muted.
    """

    text: str
    shade: float | None
    outcome: str | None
    tip: str = ""
    small: str = ""
    few: bool = False


@dataclass(frozen=True, slots=True)
class Heat:
    """A grid: ``cells[row][column]``; None where the slice does not exist."""

    row_heading: str
    column_heading: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[HeatCell | None, ...], ...]


def badge(outcome: str | None, size: float = 11.0) -> Markup:
    """The outcome's shape alone, beside its word; hidden from screen readers, which read the word."""
    half = size / 2
    return Markup(
        f'<svg class="badge" aria-hidden="true" width="{n(size)}" height="{n(size)}" '
        f'viewBox="0 0 {n(size)} {n(size)}">{mark(outcome, half, half, size * 0.32)}</svg>'
    )


def bar(point: Point, axis: Axis, limit: Limit = NO_LIMIT, *, title: str, width: float = 150.0) -> Markup:
    """An interval in a table's cell, on the scale that the column's head names."""
    canvas = Canvas(title=title, width=width, height=18.0)
    inset = 6.0
    draw_limit(canvas, limit, axis, inset, width - 2 * inset, 1.0, 17.0)
    canvas.line(inset, 9, width - inset, 9, kind="line", colour=LIGHT.line, width=0.8)
    draw_point(canvas, point, axis, inset, width - 2 * inset, 9.0)
    return canvas.svg(kind="bar")


def scale(axis: Axis, *, title: str, width: float = 150.0) -> Markup:
    """The scale of a column of bars: its ticks' texts, as many as have room; in print 7 points high."""
    canvas = Canvas(title=title, width=width, height=14.0)
    inset = 6.0
    draw_ticks(canvas, axis, inset, width - 2 * inset, 11.0, size=12.0, keep=(0.0, width))
    return canvas.svg(kind="bar")


def dots(
    labels: Sequence[tuple[str, str]],
    panels: Sequence[Panel],
    *,
    title: str,
    headings: Sequence[str] = (),
    width: float = WIDTH,
) -> Markup:
    """An attribute's figure: one row a value, one panel a metric, the limit and the overall value marked.

    ``labels``: (value, number of cases) of each row; ``headings``: a line above a row, where not empty.
    """
    return draw_dots(labels, panels, title=title, headings=headings, width=width).svg()


def draw_dots(
    labels: Sequence[tuple[str, str]],
    panels: Sequence[Panel],
    *,
    title: str,
    headings: Sequence[str] = (),
    width: float = WIDTH,
) -> Canvas:
    """The canvas of `dots`, with the boxes of its labels."""
    canvas = Canvas(title=title, width=width)
    room = width * {1: 0.45, 2: 0.34}.get(len(panels), 0.27)
    count = max((text_width(printable(c), SMALL) for _, c in labels), default=0.0)
    names = max((text_width(printable(name), TEXT) for name, _ in labels), default=0.0)
    left = min(names + count + 18, room)
    wrapped = [wrap(name, left - count - 16) for name, _ in labels]
    gap = 30.0
    wide = (width - left - gap * (len(panels) - 1)) / len(panels)
    heads = [wrap(panel.heading, wide, TEXT, 600) for panel in panels]
    top = 15.0 * max((len(lines) for lines in heads), default=0) + 6
    notes = [panel_notes(panel, left + i * (wide + gap), wide) for i, panel in enumerate(panels)]
    note_lines = max((len(lines) for lines in notes), default=0)
    top += 13.0 * note_lines + (4 if note_lines else 0)
    least = ROW if len(labels) <= MANY_ROWS else LOW_ROW
    tall = [max(least, 14.0 * len(lines) + (7 if least == ROW else 3)) for lines in wrapped]
    above = [wrap(heading, 0.6 * width, TEXT, 600) if heading else [] for heading in headings]
    above += [[]] * (len(labels) - len(above))
    bottom = top + sum(tall) + sum(14.0 * len(lines) + 5 for lines in above if lines)
    for i, panel in enumerate(panels):
        x = left + i * (wide + gap)
        for k, line in enumerate(heads[i]):
            canvas.text(x, 12 + 15 * k, line, weight=600)
        base = 15.0 * max(len(lines) for lines in heads) + 12
        for k, (position, text, kind, colour) in enumerate(notes[i]):
            canvas.text(position, base + 13 * k, text, size=SMALL, kind=kind, colour=colour)
        draw_limit(canvas, panel.limit, panel.axis, x, wide, top, bottom)
        for value, _ in panel.axis.ticks:
            position = panel.axis.at(value, x, wide)
            canvas.line(position, top, position, bottom, kind="line", colour=LIGHT.line, width=0.6)
        if panel.overall is not None:
            position = panel.axis.at(panel.overall, x, wide)
            canvas.line(
                position, top, position, bottom, kind="muted", colour=LIGHT.muted, width=1.2, dash="3 3"
            )
        draw_ticks(
            canvas, panel.axis, x, wide, bottom + 13, size=SMALL, keep=(x - 9, min(x + wide + 9, width))
        )
    y = top
    for row, lines in enumerate(wrapped):
        if above[row]:
            for k, line in enumerate(above[row]):
                wide_line = text_width(line, TEXT, 600) + 6
                if wide_line > left - 6:  # the heading runs over the panels' lines: keep it readable
                    canvas.rect(
                        0, y + 3 + 14 * k, wide_line, 14, kind="page", colour=LIGHT.page, opacity=0.85
                    )
                canvas.text(0, y + 14 + 14 * k, line, weight=600)
            y += 14.0 * len(above[row]) + 5
        middle = y + tall[row] / 2
        start = middle - 7.0 * (len(lines) - 1) + 4
        for k, line in enumerate(lines):
            canvas.text(0, start + 14 * k, line)
        canvas.text(
            left - 10, middle + 4, labels[row][1], anchor="end", size=SMALL, kind="muted", colour=LIGHT.muted
        )
        for i, panel in enumerate(panels):
            draw_point(canvas, panel.points[row], panel.axis, left + i * (wide + gap), wide, middle)
        y += tall[row]
    canvas.height = bottom + 18
    return canvas


def panel_notes(panel: Panel, x: float, wide: float) -> list[tuple[float, str, str, str]]:
    """What the two lines mean, above the panel: (x, text, kind, colour) a line."""
    notes = [(panel.limit_text, "ink", LIGHT.ink), (panel.overall_text, "muted", LIGHT.muted)]
    return [
        (x, line, kind, colour) for text, kind, colour in notes if text for line in wrap(text, wide, SMALL)
    ]


def heat(grid: Heat, *, title: str, width: float = WIDTH) -> Markup:
    """A heat grid with the number and the outcome's mark in every cell."""
    return draw_heat(grid, title=title, width=width).svg()


def heat_columns(grid: Heat, width: float = WIDTH) -> int:
    """How many columns of the grid have room side by side: cells hold their number, mark and count."""
    left = heat_left(grid, width)
    return max(1, int((width - left) // heat_cell_width(grid)))


def heat_left(grid: Heat, width: float) -> float:
    longest_name = max(
        (text_width(printable(row), TEXT) for row in (*grid.rows, grid.row_heading)), default=0.0
    )
    spare = width - len(grid.columns) * max(heat_cell_width(grid), LEAST_CELL)
    return min(longest_name + 12, max(0.3 * width, min(0.5 * width, spare)))


def heat_width(grid: Heat, width: float = WIDTH) -> float:
    """How wide the grid is drawn: beside another one, or alone."""
    left = heat_left(grid, width)
    heading = text_width(printable(grid.column_heading), SMALL, 600)
    return left + max(heat_cell(grid, left, width) * len(grid.columns) + 2, 8 + heading)


def heat_cell(grid: Heat, left: float, width: float) -> float:
    """Width of a cell as drawn."""
    return min((width - left) / max(1, len(grid.columns)), max(heat_cell_width(grid), LEAST_CELL))


def heat_cell_width(grid: Heat) -> float:
    """The widest number with its mark, or count, or the widest word of a column's name (to 96 px)."""
    cells = [cell for row in grid.cells for cell in row if cell is not None]
    marks = max((mark_room(cell) for cell in cells), default=0.0)
    numbers = max((text_width(printable(cell.text), TEXT, 600) + marks for cell in cells), default=0.0)
    counts = max((text_width(printable(cell.small), 9.0) for cell in cells), default=0.0)
    words = max(
        (text_width(printable(w), SMALL) for name in grid.columns for w in name.split(" ")), default=0.0
    )
    return max(numbers, counts, min(words, 96.0)) + 12


def mark_room(cell: HeatCell) -> float:
    """Width that a cell's mark takes: an outcome's shape, the small dot or ring of the others, none."""
    if cell.outcome:
        return 20.0
    return 0.0 if cell.shade is None else 12.0


def draw_heat(grid: Heat, *, title: str, width: float = WIDTH) -> Canvas:
    """The canvas of `heat`. Shades run from the page to the accent's tint; the text keeps its contrast."""
    canvas = Canvas(title=title, width=width)
    left = heat_left(grid, width)
    wide = heat_cell(grid, left, width)
    names = [wrap(name, wide - 8, SMALL) for name in grid.columns]
    lines = max((len(name) for name in names), default=1)
    rows = [wrap(name, left - 10) for name in grid.rows]
    head = wrap(grid.row_heading, left - 10, SMALL, 600)
    canvas.text(left + 4, 11, printable(grid.column_heading), size=SMALL, weight=600)
    top = 18.0 + 13 * max(lines, len(head)) + 4
    for k, line in enumerate(head):
        canvas.text(0, top - 6 - 13 * (len(head) - 1 - k), line, size=SMALL, weight=600)
    for j, name in enumerate(names):
        for k, line in enumerate(name):
            y = top - 6 - 13 * (len(name) - 1 - k)
            canvas.text(
                left + (j + 0.5) * wide,
                y,
                line,
                anchor="middle",
                size=SMALL,
                kind="muted",
                colour=LIGHT.muted,
            )
    y = top
    for i, row in enumerate(rows):
        tall = max(25.0 if len(rows) > MOST_TALL else 30.0, 14.0 * len(row) + 8)
        for k, line in enumerate(row):
            canvas.text(0, y + tall / 2 + 4 - 7 * (len(row) - 1) + 14 * k, line)
        for j, cell in enumerate(grid.cells[i]):
            if cell is not None:
                draw_cell(canvas, cell, left + j * wide, y, wide, tall)
        y += tall
    canvas.width = heat_width(grid, width)
    canvas.height = y + 2
    return canvas


def draw_cell(canvas: Canvas, cell: HeatCell, x: float, y: float, wide: float, tall: float) -> None:
    """A cell: ground by outcome's tint or by shade, mark left of the number, the count beneath."""
    kind = (cell.outcome or "").replace("_", "-")
    canvas.add("<g>" + (f"<title>{escape(printable(cell.tip))}</title>" if cell.tip else ""))
    if cell.outcome:
        canvas.rect(x + 1, y + 1, wide - 2, tall - 2, kind=f"tint-{kind}", colour=LIGHT.tint[cell.outcome])
    elif cell.shade is not None and not cell.few:
        canvas.rect(
            x + 1,
            y + 1,
            wide - 2,
            tall - 2,
            kind="accent",
            colour=LIGHT.accent,
            opacity=0.04 + 0.18 * cell.shade,
        )
    else:
        canvas.rect(x + 1, y + 1, wide - 2, tall - 2, kind="panel", colour=LIGHT.panel)
    middle = x + wide / 2
    number = printable(cell.text)
    shift = 0.4 * mark_room(cell)
    base = y + tall / 2 + (-1.5 if cell.small else 4)
    spot = middle + shift - text_width(number, TEXT, 600) / 2 - (9 if cell.outcome else 6)
    if cell.few:
        canvas.add(
            f'<circle class="m m-few" cx="{n(spot)}" cy="{n(base - 4)}" r="2.6" fill="none" '
            f'stroke="{LIGHT.muted}" stroke-width="1" stroke-dasharray="1.6 1.2"/>'
        )
        canvas.text(middle + shift, base, number, anchor="middle", kind="muted", colour=LIGHT.muted)
    else:
        if shift:
            canvas.add(mark(cell.outcome, spot, base - 4, 3.4 if cell.outcome else 2.2))
        canvas.text(middle + shift, base, number, anchor="middle", weight=600)
    canvas.text(middle, base + 10.5, cell.small, anchor="middle", size=9.0, kind="muted", colour=LIGHT.muted)
    canvas.add("</g>")


def side_note(name: str, effect: str) -> str:
    """The two lines above a null distribution, as one text to wrap."""
    return f"{name}: {effect}"


def null_distribution(
    null: Sequence[float],
    point: Point,
    axis: Axis,
    *,
    title: str,
    null_text: str,
    effect_text: str,
    margin: float | None,
) -> Markup:
    """The pseudo-concepts' effects as a histogram, the concept's own marked on the same scale."""
    return draw_null(
        null, point, axis, title=title, null_text=null_text, effect_text=effect_text, margin=margin
    ).svg()


def draw_null(
    null: Sequence[float], point: Point, axis: Axis, *, title: str, null_text: str, effect_text: str,
    margin: float | None, width: float = 320.0,
) -> Canvas:  # fmt: skip
    """The canvas of `null_distribution`."""
    canvas = Canvas(title=title, width=width)
    left, wide = 8.0, width - 16.0
    first = wrap(effect_text, wide, SMALL, 600)
    second = wrap(null_text, wide, SMALL)
    for k, line in enumerate(first):
        canvas.text(left, 11 + 13 * k, line, size=SMALL, weight=600)
    for k, line in enumerate(second):
        canvas.text(left, 11 + 13 * (len(first) + k), line, size=SMALL, kind="muted", colour=LIGHT.muted)
    top = 13.0 * (len(first) + len(second)) + 10
    tall, track = 46.0, 16.0
    bottom = top + track + tall
    if margin is not None:
        a, b = axis.at(-margin, left, wide), axis.at(margin, left, wide)
        canvas.rect(a, top, b - a, bottom - top, kind="tint-meets", colour=LIGHT.tint["meets"])
    bins = 40
    counts = [0] * bins
    for value in null:
        share = (value - axis.low) / (axis.high - axis.low)
        counts[min(bins - 1, max(0, int(share * bins)))] += 1
    peak = max(counts) or 1
    for i, count in enumerate(counts):
        if count:
            high = tall * count / peak
            canvas.rect(
                left + i * wide / bins + 0.4,
                bottom - high,
                wide / bins - 0.8,
                high,
                kind="bars",
                colour="#9aa7b4",
            )
    canvas.line(left, bottom, left + wide, bottom, kind="muted", colour=LIGHT.muted, width=1)
    zero = axis.at(0.0, left, wide)
    if axis.low < 0 < axis.high:
        canvas.line(zero, top, zero, bottom, kind="muted", colour=LIGHT.muted, width=0.8, dash="2 3")
    if point.value is not None:
        x = axis.at(point.value, left, wide)
        colour = LIGHT.outcome.get(point.outcome or "", LIGHT.accent)
        kind = (point.outcome or "neutral").replace("_", "-")
        canvas.line(x, top + track / 2, x, bottom, kind=kind, colour=colour, width=1.2)
        draw_point(canvas, point, axis, left, wide, top + track / 2)
    draw_ticks(canvas, axis, left, wide, bottom + 13, size=SMALL, keep=(0.0, width))
    canvas.height = bottom + 18
    return canvas


def shares(rows: Sequence[tuple[str, float, str]], *, title: str, width: float = WIDTH) -> Markup:
    """Horizontal bars of shares, each with its label before it and its number after it."""
    return draw_shares(rows, title=title, width=width).svg()


def draw_shares(rows: Sequence[tuple[str, float, str]], *, title: str, width: float = WIDTH) -> Canvas:
    """The canvas of `shares`: (label, share between 0 and 1, number as text) a row."""
    canvas = Canvas(title=title, width=width)
    left = min(
        max((text_width(printable(label), TEXT) for label, _, _ in rows), default=0.0) + 12, 0.4 * width
    )
    right = max((text_width(printable(text), TEXT) for _, _, text in rows), default=0.0) + 8
    wide = width - left - right
    y = 2.0
    for label, share, text in rows:
        lines = wrap(label, left - 12)
        tall = max(ROW, 14.0 * len(lines) + 7)
        for k, line in enumerate(lines):
            canvas.text(0, y + tall / 2 + 4 - 7 * (len(lines) - 1) + 14 * k, line)
        canvas.rect(left, y + tall / 2 - 6, wide, 12, kind="panel", colour="#e9edf1")
        if share > 0:
            canvas.rect(
                left,
                y + tall / 2 - 6,
                max(1.5, wide * min(1.0, share)),
                12,
                kind="accent",
                colour=LIGHT.accent,
            )
        canvas.text(left + wide + 8, y + tall / 2 + 4, text)
        y += tall
    canvas.height = y + 2
    return canvas


@dataclass(frozen=True, slots=True)
class Curve:
    """A line through (x, y) points of the unit square, an optional band (x, low, high) and marked point."""

    label: str
    points: tuple[tuple[float, float], ...]
    band: tuple[tuple[float, float, float], ...] = ()
    mark: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Guides:
    """Lines that curves are read against, in the unit square: one upright, some across."""

    upright: float | None = None
    levels: tuple[float, ...] = ()


DASHES = ("", "6 3", "2 2", "8 3 2 3", "1 3")
CURVES = 270.0  # px: two charts stand side by side


def curves(
    lines: Sequence[Curve],
    *,
    title: str,
    x_text: str,
    y_text: str,
    x_ticks: Sequence[str],
    y_ticks: Sequence[str],
    corners: tuple[str, str] = ("", ""),
    mark_text: str = "",
    guides: Guides | None = None,
) -> Markup:
    """ROC or reliability curves in the unit square; told apart by dash as well as colour.

    ``x_ticks``, ``y_ticks``: the texts of 0, 1/4, 1/2, 3/4 and 1. ``corners``: what lies above the
    diagonal, and below it. ``mark_text``: what the marked points are. ``guides``: lines in place
    of the diagonal.
    """
    return draw_curves(
        lines,
        title=title,
        x_text=x_text,
        y_text=y_text,
        x_ticks=x_ticks,
        y_ticks=y_ticks,
        corners=corners,
        mark_text=mark_text,
        guides=guides,
    ).svg()


def draw_curves(
    lines: Sequence[Curve],
    *,
    title: str,
    x_text: str,
    y_text: str,
    x_ticks: Sequence[str],
    y_ticks: Sequence[str],
    corners: tuple[str, str] = ("", ""),
    mark_text: str = "",
    guides: Guides | None = None,
    width: float = CURVES,
) -> Canvas:
    """The canvas of `curves`; at most five lines, their legend beneath the square."""
    canvas = Canvas(title=title, width=width)
    left = max(text_width(printable(tick), SMALL) for tick in y_ticks) + 10
    right = max(text_width(printable(ticks[-1]), SMALL) for ticks in (x_ticks, y_ticks)) / 2
    top, side = 22.0, width - left - right - 2
    bottom = top + side
    canvas.text(0, 11, y_text, size=SMALL, kind="muted", colour=LIGHT.muted)
    for i, (x_tick, y_tick) in enumerate(zip(x_ticks, y_ticks, strict=True)):
        share = i / (len(x_ticks) - 1)
        y, x = top + side * (1 - share), left + side * share
        canvas.line(left, y, left + side, y, kind="line", colour=LIGHT.line, width=0.6)
        canvas.line(x, top, x, bottom, kind="line", colour=LIGHT.line, width=0.6)
        canvas.text(left - 6, y + 3.5, y_tick, anchor="end", size=SMALL, kind="muted", colour=LIGHT.muted)
        canvas.text(x, bottom + 14, x_tick, anchor="middle", size=SMALL, kind="muted", colour=LIGHT.muted)
    canvas.text(left + side, bottom + 28, x_text, anchor="end", size=SMALL, kind="muted", colour=LIGHT.muted)
    if guides is None:
        canvas.line(left, bottom, left + side, top, kind="muted", colour=LIGHT.muted, width=0.8, dash="2 3")
    else:
        draw_guides(canvas, guides, left=left, top=top, side=side)
    above, below = corners
    canvas.text(left + 8, top + 16, above, size=SMALL, kind="muted", colour=LIGHT.muted)
    canvas.text(
        left + side - 8, bottom - 8, below, anchor="end", size=SMALL, kind="muted", colour=LIGHT.muted
    )
    for k, curve in enumerate(lines):
        draw_curve(canvas, curve, k, left=left, top=top, side=side)
    y = bottom + 46
    for k, curve in enumerate(lines):
        canvas.add(curve_path(k, f"M0 {n(y - 4)}h22"))
        for line in wrap(curve.label, width - 30):
            canvas.text(30, y, line)
            y += 14
        y += 2
    if mark_text:
        canvas.add(f'<circle class="f-ink" cx="11" cy="{n(y - 4)}" r="3.4" fill="{LIGHT.ink}"/>')
        for line in wrap(mark_text, width - 30):
            canvas.text(30, y, line)
            y += 14
    canvas.height = y - 6
    return canvas


def draw_guides(canvas: Canvas, guides: Guides, *, left: float, top: float, side: float) -> None:
    """The operating threshold upright, a rule's limits across."""
    if guides.upright is not None:
        x = left + side * guides.upright
        canvas.line(x, top, x, top + side, kind="ink", colour=LIGHT.ink, width=0.9)
    for height in guides.levels:
        y = top + side * (1 - height)
        canvas.line(left, y, left + side, y, kind="muted", colour=LIGHT.muted, width=0.9, dash="2 3")


def draw_curve(canvas: Canvas, curve: Curve, k: int, *, left: float, top: float, side: float) -> None:
    """The k-th curve: its band, its line, its marked point."""

    def at(x: float, y: float) -> str:
        return f"{n(left + side * x)} {n(top + side * (1 - y))}"

    if curve.band:
        edge = [at(x, high) for x, _, high in curve.band]
        edge += [at(x, low) for x, low, _ in reversed(curve.band)]
        canvas.add(
            f'<path class="band-{k + 1}" d="M{"L".join(edge)}Z" fill="{LIGHT.series[k]}" '
            f'fill-opacity="0.14"/>'
        )
    canvas.add(curve_path(k, "M" + "L".join(at(x, y) for x, y in curve.points)))
    if curve.mark is not None:
        x, y = at(*curve.mark).split()
        canvas.add(
            f'<circle class="point-{k + 1}" cx="{x}" cy="{y}" r="3.8" fill="{LIGHT.series[k]}" '
            f'stroke="{LIGHT.page}" stroke-width="1.2"/>'
        )


def curve_path(k: int, path: str) -> str:
    """A line in the colour and dash of the k-th curve."""
    dashed = f' stroke-dasharray="{DASHES[k]}"' if DASHES[k] else ""
    return (
        f'<path class="curve curve-{k + 1}" d="{path}" fill="none" stroke="{LIGHT.series[k]}" '
        f'stroke-width="1.6"{dashed}/>'
    )


VERDICT_OUTCOME = {
    "does_not_meet": "fails",
    "cannot_be_decided": "cannot_tell",
    "meets": "meets",
    "no_rule": "not_enough_data",
}


def verdict_mark(verdict: str) -> Markup:
    """The verdict's sign: a filled disc with a cross, a diamond, a tick or a dash cut out of it."""
    outcome = VERDICT_OUTCOME[verdict]
    colour, page = LIGHT.outcome[outcome], LIGHT.page
    path = {
        "does_not_meet": "M13 13L23 23M13 23L23 13",
        "cannot_be_decided": "M18 11L25 18L18 25L11 18Z",
        "meets": "M11.5 18.5L16 23L25 13.5",
        "no_rule": "M12 18H24",
    }[verdict]
    return Markup(
        f'<svg class="verdict-sign" aria-hidden="true" width="36" height="36" viewBox="0 0 36 36">'
        f'<circle class="d d-{outcome.replace("_", "-")}" cx="18" cy="18" r="17" fill="{colour}"/>'
        f'<path class="cut" d="{path}" fill="none" stroke="{page}" stroke-width="3.2" stroke-linecap="round" '
        f'stroke-linejoin="round"/></svg>'
    )
