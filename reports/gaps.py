"""Gaps: groups of an attribute less everybody else or a named value, with what gap and ratio rules say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from reports.canvas import Axis, Point, axis_for
from reports.evidence import Disparity, Finding, SliceRecord
from reports.figures import Panel
from reports.phrases import Phrases, barriers_of, side_of, slice_key, visible
from reports.rounding import Scale
from reports.sections import joint_limits

ERRORS = ("recall", "fpr", "precision", "macro_recall", "macro_fpr", "macro_precision")
MOST_GAPS = 4  # columns of the table
PANELS = 3  # side by side in a figure
COMPLEMENT = "complement"

Kind = Literal["gap", "ratio"]


class Comparison(NamedTuple):
    """A metric of a group held against everybody else (``complement``) or a value of the attribute."""

    metric: str
    against: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A difference or ratio as printed; ``joint``: the corrected interval that its result was read from."""

    value: str
    interval: str
    joint: str
    outcome: str | None
    word: str


@dataclass(frozen=True, slots=True)
class Gap:
    """A group's difference and ratio in one comparison, and the p-values of the difference."""

    difference: Reading
    ratio: Reading
    p: str
    p_bh: str


@dataclass(frozen=True, slots=True)
class GapRow:
    """A group, one entry a comparison (None: undefined)."""

    klass: str
    first: bool
    group: str
    gaps: tuple[Gap | None, ...]


@dataclass(frozen=True, slots=True)
class GapFigure:
    """Panels side by side, drawn over the labels of the chart."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class GapChart:
    """The figures of what gap and ratio rules judge, and the table of all comparisons shown."""

    figures: tuple[GapFigure, ...]
    labels: tuple[tuple[str, str], ...]
    headings: tuple[str, ...]
    heads: tuple[tuple[str, str], ...]
    rows: tuple[GapRow, ...]
    left: bool


def gap_chart(
    p: Phrases, records: Sequence[SliceRecord], shown: Sequence[SliceRecord],
    labels: tuple[tuple[str, str], ...], headings: tuple[str, ...], attribute: str, *, by_class: bool,
) -> GapChart | None:  # fmt: skip
    """The gaps of ``records``, drawn for those ``shown``; None where there are none to show."""
    columns, left = comparisons(p, records)
    if by_class:  # the others would fill pages; they are in the evidence
        judged_only = {c for _, c in judged_comparisons(p, records)}
        columns, left = [c for c in columns if c in judged_only], True
    if not columns:
        return None
    judged = judged_comparisons(p, records)
    panels = [gap_panel(p, shown, kind, comparison) for kind, comparison in judged]
    figures = tuple(
        GapFigure(
            p.t(
                "attribute.gap_title",
                attribute=visible(attribute),
                metrics=p.t.listed([x.heading for x in part]),
            ),
            tuple(part),
        )
        for i in range(0, len(panels), PANELS)
        if (part := panels[i : i + PANELS])
    )
    rows = []
    previous: str | None = None
    for record in records:
        gaps = tuple(gap_of(p, record, comparison) for comparison in columns)
        if not any(gaps):
            continue
        klass = p.klass(record.klass) if by_class else ""
        value = p.value(attribute, record.slice[attribute])
        if record.klass is not None and not by_class:
            value = p.t("group.joiner").join([value, p.t("group.class", name=p.klass(record.klass))])
        rows.append(GapRow(klass, klass != previous, value, gaps))
        previous = klass
    return GapChart(
        figures=figures,
        labels=labels,
        headings=headings,
        heads=tuple((p.metric(c.metric), less(p, attribute, c.against)) for c in columns),
        rows=tuple(rows),
        left=left,
    )


def less(p: Phrases, attribute: str, against: str) -> str:
    """``less everybody else``."""
    other = p.t("rule.complement") if against == COMPLEMENT else (
        p.t("rule.value", value=p.value(attribute, against))
    )  # fmt: skip
    return p.t("attribute.less", against=other)


def judged_comparisons(p: Phrases, records: Sequence[SliceRecord]) -> list[tuple[Kind, Comparison]]:
    """What gap and ratio rules look at in these records, in the order of the findings."""
    found: dict[tuple[Kind, Comparison], None] = {}
    for record in records:
        for f in p.checks.get((slice_key(record.slice), record.klass), ()):
            if f.metric is None or f.outcome == "not_tested":
                continue
            if f.kind == "gap":
                found["gap", Comparison(f.metric, f.against or COMPLEMENT)] = None
            elif f.kind == "ratio":
                found["ratio", Comparison(f.metric, f.against or COMPLEMENT)] = None
    return list(found)


def comparisons(p: Phrases, records: Sequence[SliceRecord]) -> tuple[list[Comparison], bool]:
    """The table's columns: what rules judge, then the policy's metrics and the error rates; whether some
    are left out."""
    have = list(dict.fromkeys(Comparison(d.metric, d.against) for r in records for d in r.disparities))
    others = [c for c in have if c.against == COMPLEMENT]
    wanted = dict.fromkeys(c for _, c in judged_comparisons(p, records) if c in have)
    usual = [
        c for m in dict.fromkeys([*p.policy_metrics, *ERRORS]) if (c := Comparison(m, COMPLEMENT)) in have
    ]
    shown = list(dict.fromkeys([*wanted, *(usual or others)]))[: max(MOST_GAPS, len(wanted))]
    return shown, len(others) > len([c for c in shown if c.against == COMPLEMENT])


def finding_of(p: Phrases, record: SliceRecord, kind: Kind, comparison: Comparison) -> Finding | None:
    """The check that judges a record's gap or ratio, the gravest where several do."""
    order = ("fails", "cannot_tell", "not_enough_data", "not_tested", "meets")
    found = [
        f
        for f in p.checks.get((slice_key(record.slice), record.klass), ())
        if f.kind == kind and (f.metric, f.against or COMPLEMENT) == comparison
    ]
    return min(found, key=lambda f: order.index(f.outcome), default=None)


def disparity_of(record: SliceRecord, comparison: Comparison) -> Disparity | None:
    return next((d for d in record.disparities if (d.metric, d.against) == comparison), None)


def scale_of(p: Phrases, kind: Kind, metric: str) -> Scale:
    return p.difference_scale(metric) if kind == "gap" else "number"


def gap_of(p: Phrases, record: SliceRecord, comparison: Comparison) -> Gap | None:
    """A record's difference and ratio in words and digits."""
    found = disparity_of(record, comparison)
    if found is None or found.difference.value is None:
        return None
    return Gap(
        difference=reading(p, record, found, "gap", comparison),
        ratio=reading(p, record, found, "ratio", comparison),
        p=p.probability(found.p_value),
        p_bh=p.probability(found.p_bh),
    )


def reading(p: Phrases, record: SliceRecord, found: Disparity, kind: Kind, comparison: Comparison) -> Reading:
    """The difference or the ratio, with the limit's side kept, and the mark of the rule that judges it."""
    limits = found.difference if kind == "gap" else found.ratio
    finding = finding_of(p, record, kind, comparison)
    walls = () if finding is None else barriers_of(kind, finding.limit)
    scale = scale_of(p, kind, comparison.metric)
    joint = joint_limits(p, finding)
    return Reading(
        value=p.t("number.none") if limits.value is None else p.number(limits.value, scale, walls),
        interval="" if limits.value is None else p.interval(limits.low, limits.high, scale, walls),
        joint="" if joint is None else p.interval(*joint, scale, walls),
        outcome=None if finding is None else finding.outcome,
        word="" if finding is None else p.word(finding.outcome),
    )


def gap_panel(p: Phrases, records: Sequence[SliceRecord], kind: Kind, comparison: Comparison) -> Panel:
    """One comparison's points on one scale, with its limit and the line of no difference."""
    metric, against = comparison
    points, limits = [], set()
    for record in records:
        found = disparity_of(record, comparison)
        finding = finding_of(p, record, kind, comparison)
        if finding is not None and finding.limit is not None:
            limits.add(finding.limit)
        shown = None if found is None else (found.difference if kind == "gap" else found.ratio)
        if found is None or shown is None or shown.value is None:
            points.append(Point(None, None, None))
            continue
        read = reading(p, record, found, kind, comparison)
        tip = p.t("attribute.gap_tip", group=p.group(record.slice, record.klass), value=read.value,
                  interval=read.interval)  # fmt: skip
        points.append(
            Point(shown.value, shown.low, shown.high, read.outcome, tip, outer=joint_limits(p, finding))
        )
    even = 0.0 if kind == "gap" else 1.0
    one = next(iter(limits)) if len(limits) == 1 else None  # several limits are told apart in the table
    limit = side_of(kind, one)
    scale = scale_of(p, kind, metric)
    values = [x for q in points for x in (q.value, q.low, q.high, *(q.outer or ()))]
    low, high, ticks = axis_for(
        [*values, even, limit.low, limit.high],
        bounds=(0.0, float("inf")) if kind == "ratio" else None,
        least=0.05,
        most=4,
    )
    text = "" if one is None else p.t(f"attribute.{kind}_limit", limit=p.limit(one, scale))
    attribute = next(iter(records[0].slice))
    other = p.t("rule.complement") if against == COMPLEMENT else (
        p.t("rule.value", value=p.value(attribute, against))
    )  # fmt: skip
    return Panel(
        heading=p.t(f"attribute.{kind}_head", metric=p.metric(metric), against=other),
        axis=Axis(low, high, tuple((tick, p.tick(tick, scale)) for tick in ticks)),
        points=tuple(points),
        limit=limit,
        limit_text=text,
        overall=even,
        overall_text=p.t("attribute.no_difference"),
    )
