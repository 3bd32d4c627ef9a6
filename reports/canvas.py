"""The canvas: texts, lines and marks of the figures, with every label's measured box; scales and their ticks.

Text widths come from the font's own advances (`reports.glyphs`). Colours are presentation attributes of
the light palette, for print; classes let a style sheet put others in their place.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Literal

from markupsafe import Markup

from reports.glyphs import FAMILY, Weight, printable, text_width
from reports.palette import LIGHT

WIDTH = 665.0  # px: the text column of a page of A4 (176 mm)
TEXT = 11.0  # px
SMALL = 10.0
ROW = 22.0

Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear scale; ``ticks`` are (value, text) pairs inside [low, high]."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...] = ()

    def at(self, value: float, left: float, width: float) -> float:
        """Horizontal position of ``value``, held inside the axis."""
        share = (value - self.low) / (self.high - self.low)
        return left + min(1.0, max(0.0, share)) * width


@dataclass(frozen=True, slots=True)
class Point:
    """A value with its interval; None where undefined. ``outcome`` None: judged by no rule.

    ``outer``: the corrected interval that the outcome was read from, where that is another one.
    """

    value: float | None
    low: float | None
    high: float | None
    outcome: str | None = None
    tip: str = ""
    outer: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """The side of a limit that fails: below a floor, above a ceiling, outside a gap."""

    low: float | None = None
    high: float | None = None


NO_LIMIT = Limit()


@dataclass(frozen=True, slots=True)
class Placed:
    """A text and the box it fills: what the tests measure overlaps with."""

    text: str
    left: float
    right: float
    top: float
    bottom: float


@dataclass
class Canvas:
    """Collects shapes and texts; ``texts`` keeps every label's box."""

    title: str
    width: float
    height: float = 0.0
    shapes: list[str] = field(default_factory=list)
    texts: list[Placed] = field(default_factory=list)

    def add(self, shape: str) -> None:
        self.shapes.append(shape)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        anchor: Anchor = "start",
        size: float = TEXT,
        weight: Weight = 400,
        kind: str = "ink",
        colour: str = LIGHT.ink,
    ) -> None:
        """One line of text; ``y`` is its baseline."""
        text = printable(text)
        if not text:
            return
        wide = text_width(text, size, weight)
        left = x - {"start": 0.0, "middle": wide / 2, "end": wide}[anchor]
        self.texts.append(Placed(text, left, left + wide, y - 0.76 * size, y + 0.22 * size))
        extra = f' font-weight="{weight}"' if weight != 400 else ""
        turned = f' text-anchor="{anchor}"' if anchor != "start" else ""
        self.add(
            f'<text class="f-{kind}" x="{n(x)}" y="{n(y)}" font-size="{n(size)}" fill="{colour}"'
            f"{extra}{turned}>{escape(text)}</text>"
        )

    def line(
        self,
        x1: float,
        y1: float,
        x2: float,
        y2: float,
        *,
        kind: str,
        colour: str,
        width: float = 1.0,
        dash: str = "",
    ) -> None:
        """A straight line."""
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.add(
            f'<path class="s-{kind}" d="M{n(x1)} {n(y1)}L{n(x2)} {n(y2)}" stroke="{colour}"'
            f' stroke-width="{n(width)}" fill="none"{dashed}/>'
        )

    def rect(
        self, x: float, y: float, w: float, h: float, *, kind: str, colour: str, opacity: float = 1.0
    ) -> None:
        shade = f' fill-opacity="{n(opacity)}"' if opacity < 1 else ""
        self.add(
            f'<rect class="f-{kind}" x="{n(x)}" y="{n(y)}" width="{n(w)}" height="{n(h)}"'
            f' fill="{colour}"{shade}/>'
        )

    def svg(self, *, kind: str = "figure") -> Markup:
        """The whole figure; ``role="img"`` with its title as the alternative text."""
        return Markup(
            f'<svg xmlns="http://www.w3.org/2000/svg" class="{kind}" role="img" width="{n(self.width)}" '
            f'height="{n(self.height)}" viewBox="0 0 {n(self.width)} {n(self.height)}" '
            f'font-family="{FAMILY}"><title>{escape(printable(self.title))}</title>{"".join(self.shapes)}</svg>'
        )


def n(value: float) -> str:
    """A coordinate: at most two decimals, no trailing zeros."""
    return f"{value:.2f}".rstrip("0").rstrip(".").replace("-0", "0") if abs(value) < 0.005 else (
        f"{value:.2f}".rstrip("0").rstrip(".")
    )  # fmt: skip


def wrap(text: str, width: float, size: float = TEXT, weight: Weight = 400) -> list[str]:
    """Lines no wider than ``width``: broken at spaces, inside a word only where the word alone is wider.

    >>> wrap("one two", 1000)
    ['one two']
    """
    lines: list[str] = []
    current = ""
    for word in printable(text).split(" "):
        candidate = f"{current} {word}" if current else word
        if text_width(candidate, size, weight) <= width:
            current = candidate
            continue
        if current:
            lines.append(current)
        while text_width(word, size, weight) > width and len(word) > 1:
            keep = longest(word, width, size, weight)
            lines.append(word[:keep])
            word = word[keep:]
        current = word
    return [*lines, current] if current or not lines else lines


def longest(text: str, width: float, size: float, weight: Weight = 400) -> int:
    """Number of leading characters that fit in ``width``; at least one."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if text_width(text[:middle], size, weight) <= width:
            low = middle
        else:
            high = middle - 1
    return low


def shorten(text: str, width: float, lines: int, size: float, weight: Weight = 400) -> str:
    """``text`` where it fits in ``lines`` lines of ``width``, else its beginning with an ellipsis."""
    text = printable(text)
    if len(wrap(text, width, size, weight)) <= lines:
        return text
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if len(wrap(text[:middle].rstrip() + "…", width, size, weight)) <= lines:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…"


def nice_step(span: float, most: int) -> float:
    """The least of 1, 2, 2.5, 5 × a power of ten that cuts ``span`` into at most ``most`` parts."""
    power = 10.0 ** math.floor(math.log10(span / most))
    return next(step * power for step in (1.0, 2.0, 2.5, 5.0, 10.0) if span / (step * power) <= most)


def axis_for(
    values: Sequence[float | None],
    *,
    bounds: tuple[float, float] | None = None,
    least: float = 0.0,
    most: int = 5,
) -> tuple[float, float, list[float]]:
    """(low, high, ticks) of a scale that holds ``values``; it begins and ends at a tick.

    ``bounds``: what the quantity cannot leave (0 and 1 for a share); ``least``: the least span.
    """
    known = [value for value in values if value is not None]
    low, high = (min(known), max(known)) if known else (bounds or (0.0, 1.0))
    if high - low < max(least, 1e-9):
        middle, half = (low + high) / 2, max(least, 1e-3) / 2
        low, high = middle - half, middle + half
    if bounds:
        low, high = max(low, bounds[0]), min(high, bounds[1])
        if high <= low:
            low, high = bounds
    step = nice_step(high - low, most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = [round(i * step, 12) for i in range(first, last + 1)]
    if bounds:
        ticks = [tick for tick in ticks if bounds[0] <= tick <= bounds[1]]
    if len(ticks) < 2 and bounds:
        ticks = list(bounds)
    return ticks[0], ticks[-1], ticks


def mark(outcome: str | None, x: float, y: float, size: float = 4.2) -> str:
    """The outcome's shape: cross, open diamond, triangle or square, filled disc; else a filled dot."""
    colour = LIGHT.outcome.get(outcome or "", LIGHT.accent)
    kind = (outcome or "neutral").replace("_", "-")
    s, page = size, LIGHT.page
    stroke = f'class="m m-{kind}" stroke="{colour}" stroke-width="1.8"'
    if outcome == "fails":
        return (
            f'<path {stroke} fill="none" stroke-linecap="round" '
            f'd="M{n(x - s)} {n(y - s)}L{n(x + s)} {n(y + s)}M{n(x - s)} {n(y + s)}L{n(x + s)} {n(y - s)}"/>'
        )
    if outcome == "cannot_tell":
        d = s * 1.25
        path = f"M{n(x)} {n(y - d)}L{n(x + d)} {n(y)}L{n(x)} {n(y + d)}L{n(x - d)} {n(y)}Z"
        return f'<path {stroke} fill="{page}" d="{path}"/>'
    if outcome == "not_enough_data":
        d = s * 1.2
        path = f"M{n(x)} {n(y - d)}L{n(x + d)} {n(y + d * 0.8)}L{n(x - d)} {n(y + d * 0.8)}Z"
        return f'<path {stroke} fill="{page}" d="{path}"/>'
    if outcome == "not_tested":
        return f'<path {stroke} fill="{page}" d="M{n(x - s)} {n(y - s)}H{n(x + s)}V{n(y + s)}H{n(x - s)}Z"/>'
    return f'<circle class="d d-{kind}" cx="{n(x)}" cy="{n(y)}" r="{n(s)}" fill="{colour}"/>'


def draw_point(canvas: Canvas, point: Point, axis: Axis, left: float, width: float, y: float) -> None:
    """The interval as a line with end caps, a corrected one as a thin line, its value as the mark."""
    if point.value is None:
        return
    colour = LIGHT.outcome.get(point.outcome or "", LIGHT.accent)
    kind = (point.outcome or "neutral").replace("_", "-")
    canvas.add("<g>" + (f"<title>{escape(printable(point.tip))}</title>" if point.tip else ""))
    if point.outer is not None:
        a, b = (axis.at(end, left, width) for end in point.outer)
        canvas.line(a, y, b, y, kind=kind, colour=colour, width=0.8)
        for end in (a, b):
            canvas.line(end, y - 2, end, y + 2, kind=kind, colour=colour, width=0.8)
    if point.low is not None and point.high is not None:
        a, b = axis.at(point.low, left, width), axis.at(point.high, left, width)
        canvas.line(a, y, b, y, kind=kind, colour=colour, width=1.8)
        for end in (a, b):
            canvas.line(end, y - 3, end, y + 3, kind=kind, colour=colour, width=1.2)
    canvas.add(mark(point.outcome, axis.at(point.value, left, width), y, 3.6))
    canvas.add("</g>")


def draw_limit(
    canvas: Canvas, limit: Limit, axis: Axis, left: float, width: float, top: float, bottom: float
) -> None:
    """The failing side shaded, the limit itself a dark line."""
    for value, floor in ((limit.low, True), (limit.high, False)):
        if value is None:
            continue
        x = axis.at(value, left, width)
        start, end = (left, x) if floor else (x, left + width)
        if end > start:
            canvas.rect(start, top, end - start, bottom - top, kind="zone", colour=LIGHT.tint["fails"])
        canvas.line(x, top, x, bottom, kind="limit", colour=LIGHT.ink, width=1.4)


def draw_ticks(
    canvas: Canvas,
    axis: Axis,
    left: float,
    width: float,
    baseline: float,
    *,
    size: float,
    keep: tuple[float, float],
) -> None:
    """Texts of the ticks: all, or every second, third ..., so that they keep clear of each other."""
    for step in range(1, len(axis.ticks) + 1):
        placed = []
        for value, text in axis.ticks[::step]:
            wide = text_width(printable(text), size)
            start = axis.at(value, left, width) - wide / 2
            placed.append((min(max(start, keep[0]), keep[1] - wide), wide, text))
        if all(a + wide + 5 <= b for (a, wide, _), (b, _, _) in itertools.pairwise(placed)):
            break
    for start, _, text in placed:
        canvas.text(start, baseline, text, size=size, kind="muted", colour=LIGHT.muted)
