"""Curve charts: ROC, precision-recall and reliability side by side, an attribute's groups in one chart."""

from __future__ import annotations

from dataclasses import dataclass

from reports.evidence import CurvePoint, ScoreCurve
from reports.figures import Curve, Guides
from reports.phrases import Phrases, estimate_of, slice_key, visible
from reports.rounding import Scale


@dataclass(frozen=True, slots=True)
class CurveCell:
    """A point in numbers: its height, its interval where it has one, and what lies beneath."""

    y: str
    interval: str
    x: str


@dataclass(frozen=True, slots=True)
class CurveRow:
    """A group's points in numbers, in the order of the curve; ``cases``: rows behind each, where they are."""

    group: str
    cases: str
    cells: tuple[CurveCell, ...]


@dataclass(frozen=True, slots=True)
class CurveChart:
    """Curves of one kind and class, at most five groups."""

    kind: str
    title: str
    lines: tuple[Curve, ...]
    x_text: str
    y_text: str
    x_ticks: tuple[str, ...]
    y_ticks: tuple[str, ...]
    corners: tuple[str, str]
    mark_text: str
    points: str
    rows: tuple[CurveRow, ...]
    guides: Guides | None = None

    @property
    def columns(self) -> int:
        """Points of the longest row."""
        return max(len(row.cells) for row in self.rows)


@dataclass(frozen=True, slots=True)
class CurveBlock:
    """The charts of one attribute (or of all cases) and class."""

    title: str
    charts: tuple[CurveChart, ...]


MOST_CURVES = 5
MOST_POINTS = 11
# More bands than two cannot be told apart; the limits are in the table.
MOST_BANDS = 2


def curve_blocks(p: Phrases) -> tuple[CurveBlock, ...]:
    """All cases first, then attributes and values in the order of the data; at most five curves a chart."""
    blocks: dict[tuple[object, ...], dict[str, list[ScoreCurve]]] = {}
    for curve in sorted(p.evidence.results.curves, key=lambda c: p.order(c.slice, c.klass)):
        kinds = blocks.setdefault((tuple(sorted(curve.slice)), curve.klass), {})
        kinds.setdefault(curve.kind, []).append(curve)
    made = []
    for kinds in blocks.values():
        first = next(iter(kinds.values()))[0]
        title = " × ".join(visible(n) for n in first.slice)
        if first.klass is not None or not first.slice:
            title = p.t("group.joiner").join(x for x in (title, p.group({}, first.klass)) if x)
        longest = max(len(found) for found in kinds.values())
        for start in range(0, longest, MOST_CURVES):
            parts = [(kind, found[start : start + MOST_CURVES]) for kind, found in kinds.items()]
            charts = tuple(chart(p, kind, title, part) for kind, part in parts if part)
            made.append(CurveBlock(title=title, charts=charts))
    return tuple(made)


def chart(p: Phrases, kind: str, title: str, found: list[ScoreCurve]) -> CurveChart:
    """One chart: the curves, what their corners mean, and their points in numbers."""
    threshold = p.evidence.data.threshold
    marked = kind == "roc" and threshold is not None
    corners = (p.t("curves.too_low"), p.t("curves.too_high")) if kind == "reliability" else ("", "")
    lines = tuple(
        Curve(
            p.group(c.slice, c.klass),
            tuple((q.x, q.y) for q in c.points),
            band(c) if len(found) <= MOST_BANDS else (),
            operating_point(p, c) if marked else None,
        )
        for c in found
    )
    text = ""
    if threshold is not None and any(line.mark is not None for line in lines):
        text = p.t("curves.threshold", threshold=p.limit(threshold, "number"))
    return CurveChart(
        kind=p.t(f"curves.{kind}"),
        title=p.t("curves.title", kind=p.t(f"curves.{kind}"), group=title),
        lines=lines,
        x_text=p.t(f"curves.{kind}_x"),
        y_text=p.t(f"curves.{kind}_y"),
        x_ticks=tuple(p.limit(tick / 4, x_scale(kind)) for tick in range(5)),
        y_ticks=tuple(p.limit(tick / 4, "percent") for tick in range(5)),
        corners=corners,
        mark_text=text,
        points=p.t(f"curves.{kind}_points"),
        rows=tuple(CurveRow(p.group(c.slice, c.klass), cases(p, c), cells(p, c)) for c in found),
    )


def band(curve: ScoreCurve) -> tuple[tuple[float, float, float], ...]:
    """The limits of a curve's points, as far as it has any."""
    return tuple((q.x, q.low, q.high) for q in curve.points if q.low is not None and q.high is not None)


def operating_point(p: Phrases, curve: ScoreCurve) -> tuple[float, float] | None:
    """False-positive rate and recall at the threshold, from the slice's own record."""
    records = [*p.evidence.results.overall, *p.evidence.results.slices]
    asked = (slice_key(curve.slice), curve.klass)
    record = next((r for r in records if (slice_key(r.slice), r.klass) == asked), None)
    if record is None:
        return None
    fpr, recall = (estimate_of(record, metric) for metric in ("fpr", "recall"))
    if fpr is None or recall is None or fpr.value is None or recall.value is None:
        return None
    return fpr.value, recall.value


def cells(p: Phrases, curve: ScoreCurve) -> tuple[CurveCell, ...]:
    """At most eleven points of a curve, evenly chosen, its ends included."""
    last = len(curve.points) - 1
    chosen = (
        sorted({round(i * last / (MOST_POINTS - 1)) for i in range(MOST_POINTS)})
        if last >= MOST_POINTS
        else range(last + 1)
    )
    return tuple(cell(p, curve.kind, curve.points[i]) for i in chosen)


def cell(p: Phrases, kind: str, point: CurvePoint) -> CurveCell:
    """A point in numbers."""
    interval = "" if point.low is None else p.interval(point.low, point.high, "percent")
    x = p.number(point.x, x_scale(kind))
    return CurveCell(p.number(point.y, "percent"), interval, p.t(f"curves.{kind}_at", x=x))


def x_scale(kind: str) -> Scale:
    """Scores are numbers, all else is a share."""
    return "number" if kind == "reliability" else "percent"


def cases(p: Phrases, curve: ScoreCurve) -> str:
    """How many rows stand behind each point, from the fewest to the most."""
    known = sorted({point.n for point in curve.points if point.n is not None})
    if not known:
        return ""
    if len(known) == 1:
        return p.t("curves.cases", n=p.count(known[0]))
    return p.t("curves.cases_between", fewest=p.count(known[0]), most=p.count(known[-1]))
