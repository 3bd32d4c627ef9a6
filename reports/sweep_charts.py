"""Sweep charts: a metric of an attribute's groups, and the gaps that rules limit, at other thresholds."""

from __future__ import annotations

from collections.abc import Sequence

from reports.curve_charts import MOST_BANDS, MOST_CURVES, CurveBlock, CurveCell, CurveChart, CurveRow
from reports.evidence import CurvePoint, ThresholdSweep
from reports.figures import Curve, Guides
from reports.phrases import Phrases, visible
from reports.rounding import Scale

MOST_POINTS = 7
# Half the height of a gap's chart: the first that holds every point and the rule's limits.
REACHES = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)

Key = tuple[tuple[str, ...], str | None]


def sweep_blocks(p: Phrases) -> tuple[CurveBlock, ...]:
    """All cases first, then attributes in the order of the data: a chart a metric, and one a rule on gaps.

    With rules only what they judge of an attribute is drawn; the evidence has the other metrics too.
    """
    blocks: dict[Key, dict[tuple[str, str | None], list[ThresholdSweep]]] = {}
    judged = {
        (name, finding.metric) for finding in p.evidence.findings if finding.metric for name in finding.slice
    }
    shown = [
        sweep
        for sweep in p.evidence.results.sweeps
        if not p.evidence.policy.rules or all((name, sweep.metric) in judged for name in sweep.slice)
    ]
    for sweep in sorted(shown, key=lambda s: p.order(s.slice, s.klass)):
        kinds = blocks.setdefault((tuple(sorted(sweep.slice)), sweep.klass), {})
        kinds.setdefault((sweep.metric, sweep.rule), []).append(sweep)
    made = []
    for (names, klass), kinds in blocks.items():
        title = " × ".join(visible(name) for name in names)
        if klass is not None or not names:
            title = p.t("group.joiner").join(x for x in (title, p.group({}, klass)) if x)
        charts = [
            chart(p, title, found[start : start + MOST_CURVES])
            for found in kinds.values()
            for start in range(0, len(found), MOST_CURVES)
        ]
        made.append(CurveBlock(title=title, charts=tuple(charts)))
    return tuple(made)


def chart(p: Phrases, title: str, found: Sequence[ThresholdSweep]) -> CurveChart:
    """One chart, over the thresholds that the sweeps of a log share."""
    t, first, threshold = p.t, found[0], p.evidence.data.threshold
    gap = first.against is not None
    shared = [x for sweep in p.evidence.results.sweeps if sweep.klass == first.klass for x in xs(sweep)]
    low, high = min(shared), max(shared)
    span = (high - low) or 1.0
    reach = reach_of(found) if gap else 1.0

    def height(y: float) -> float:
        return min(max((y + reach) / (2 * reach) if gap else y, 0.0), 1.0)

    scale: Scale = "points" if gap else "percent"
    name = t("sweeps.gap", metric=p.metric(first.metric)) if gap else p.metric(first.metric)
    y_text = name if first.rule is None else t("sweeps.rule", name=name, rule=visible(first.rule))
    lines = tuple(
        Curve(
            p.group(sweep.slice, None),
            tuple(((q.x - low) / span, height(q.y)) for q in sweep.points),
            tuple(
                ((q.x - low) / span, height(q.low), height(q.high))
                for q in sweep.points
                if q.low is not None and q.high is not None
            )
            if len(found) <= MOST_BANDS
            else (),
        )
        for sweep in found
    )
    limits = () if not gap else (0.5, *(height(sign * (first.limit or 0.0)) for sign in (-1, 1)))
    upright = None if threshold is None or not low <= threshold <= high else (threshold - low) / span
    return CurveChart(
        kind=y_text,
        title=t("curves.title", kind=y_text, group=title),
        lines=lines,
        x_text=t("sweeps.x"),
        y_text=t("sweeps.gap_y") if gap else p.metric(first.metric),
        x_ticks=tuple(p.number(low + span * tick / 4, "number") for tick in range(5)),
        y_ticks=tuple(p.number(reach * (tick / 2 - 1) if gap else tick / 4, scale) for tick in range(5)),
        corners=("", ""),
        mark_text="",
        points=t("sweeps.points", name=y_text),
        rows=tuple(
            CurveRow(p.group(sweep.slice, None), "", tuple(cell(p, q, scale) for q in chosen(p, sweep)))
            for sweep in found
        ),
        guides=Guides(upright, limits),
    )


def xs(sweep: ThresholdSweep) -> list[float]:
    return [point.x for point in sweep.points]


def reach_of(found: Sequence[ThresholdSweep]) -> float:
    """How far a chart of gaps goes either way: its points and its limits, as far as 100 points."""
    most = max(
        max(abs(q.y) for sweep in found for q in sweep.points), *(abs(sweep.limit or 0.0) for sweep in found)
    )
    return next((reach for reach in REACHES if most <= reach), 1.0)


def chosen(p: Phrases, sweep: ThresholdSweep) -> list[CurvePoint]:
    """At most seven points, evenly chosen, its ends and the operating threshold among them."""
    threshold, last = p.evidence.data.threshold, len(sweep.points) - 1
    places = {round(i * last / (MOST_POINTS - 1)) for i in range(MOST_POINTS)}
    operating = [i for i, point in enumerate(sweep.points) if point.x == threshold]
    if operating and operating[0] not in places:
        nearest = min(places - {0, last} or places, key=lambda i: abs(i - operating[0]))
        places = (places - {nearest}) | {operating[0]}
    return [sweep.points[i] for i in sorted(places)]


def cell(p: Phrases, point: CurvePoint, scale: Scale) -> CurveCell:
    """A point in numbers; the operating threshold is said to be it."""
    code = "sweeps.operating" if point.x == p.evidence.data.threshold else "sweeps.at"
    interval = "" if point.low is None else p.interval(point.low, point.high, scale)
    return CurveCell(p.number(point.y, scale), interval, p.t(code, x=p.number(point.x, "number")))
