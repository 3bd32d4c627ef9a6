"""Curve charts: ROC, precision-recall and reliability, with their points in numbers."""

from __future__ import annotations

from dataclasses import dataclass

from reports.evidence import ScoreCurve
from reports.figures import Curve
from reports.phrases import Phrases, visible


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
