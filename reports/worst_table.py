"""The table of page one: which checks have a row, in which order, grouped by rule on one scale.

Rows are chosen by measured height; what stands around the table is decided in `reports.page_one`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.canvas import NO_LIMIT, Axis, Limit, Point, axis_for, shorten, wrap
from reports.evidence import Estimate, Finding, SliceRecord
from reports.glyphs import printable, text_width
from reports.page_measures import BODY, FIT, GROUP, MEANING
from reports.phrases import UNDECIDED, Phrases, estimate_of, severity, side_of, slice_key

MOST_ROWS = 10
MARK = "*"


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table on page one."""

    group: str
    cases: str
    clusters: str
    point: Point
    value: str
    interval: str
    outcome: str | None
    word: str
    note: str
    title: str


@dataclass(frozen=True, slots=True)
class Block:
    """The rows of one rule, on one scale."""

    heading: str
    meaning: str
    axis: Axis
    limit: Limit
    scale_title: str
    lines: tuple[Line, ...]


def axis(p: Phrases, finding: Finding, values: Sequence[float | None], limit: Limit) -> Axis:
    """The scale of a rule's rows: as tight as they allow, so that near groups can be told apart."""
    scale = p.finding_scale(finding)
    bounds = p.bounds(finding.metric) if finding.kind in ("floor", "ceiling", "missing_predictions") else None
    least = 0.05
    low, high, ticks = axis_for([*values, limit.low, limit.high], bounds=bounds, least=least, most=4)
    return Axis(low, high, tuple((tick, p.tick(tick, scale)) for tick in ticks))


def line(
    p: Phrases,
    finding: Finding,
    records: dict[tuple[str, str | None], SliceRecord],
    room: float,
    *,
    marked: bool = False,
) -> Line:
    """One finding as a row; ``room``: points for the group's name in two lines.

    ``marked``: its interval is of another kind than the table's sentence says.
    """
    record = records.get((slice_key(finding.slice), finding.klass))
    estimate = estimate_of(record, finding.metric) if record is not None and finding.metric else None
    clusters = clusters_of(p, record, estimate)
    value, interval = p.finding_value(finding), p.finding_interval(finding)
    word = p.word(finding.outcome)
    note = p.needed_note(finding) if finding.outcome in UNDECIDED else ""
    if finding.met_without_failed:
        note = p.t("page1.without_failed")
    group = p.finding_group(finding)
    title = p.t("page1.bar", value=value, interval=interval, outcome=word)
    return Line(
        group=shorten(group, room, 2, BODY),
        cases=cases_of(p, finding, estimate),
        clusters=clusters,
        point=Point(finding.value, finding.low, finding.high, finding.outcome, f"{group}: {title}"),
        value=value,
        interval=f"{interval}{MARK}" if marked else interval,
        outcome=finding.outcome,
        word=word,
        note=note,
        title=f"{shorten(group, 400.0, 1, BODY)}: {title}",
    )


def cases_of(p: Phrases, finding: Finding, estimate: Estimate | None) -> str:
    if finding.support is not None:
        return p.count(finding.support)
    if finding.concept is not None:
        asked = (finding.concept, finding.klass or "", finding.layer or "", slice_key(finding.slice))
        tests = {
            (c.concept, c.klass, c.layer, slice_key(c.slice)): c.images for c in p.evidence.results.concepts
        }
        images = tests.get(asked)
        return p.t("number.none") if images is None else p.count(images)
    return p.t("number.none") if estimate is None else p.count(estimate.support)


def clusters_of(p: Phrases, record: SliceRecord | None, estimate: Estimate | None) -> str:
    """Distinct clusters among the cases; empty where rows are independent or it is not known."""
    if p.cluster is None or estimate is None or estimate.clusters is None:
        return ""
    return p.count(estimate.clusters)


def ordered(found: Sequence[Finding]) -> list[Finding]:
    """Worst first; equal ones by rule and group, so that the order never depends on the run."""
    return sorted(
        found, key=lambda f: (-severity(f), f.rule, slice_key(f.slice), f.klass or "", f.layer or "")
    )


def rank(finding: Finding) -> int:
    """Groups of people and images before failed predictions, and these before concepts."""
    return {"missing_predictions": 1, "concept": 2}.get(finding.kind, 0)


def interleaved(found: Sequence[Finding]) -> list[Finding]:
    """The worst of each rule first, then the rest, worst first: no rule hides behind another's scale."""
    worst: dict[str, Finding] = {}
    for finding in ordered(found):
        worst.setdefault(finding.rule, finding)
    first = list(worst.values())
    rest = [finding for finding in ordered(found) if finding not in first]
    return sorted(first, key=rank) + sorted(rest, key=rank)


def open_checks(p: Phrases) -> list[Finding]:
    """What could not be decided and has a value: the worst of each rule, then what more cases would decide,
    then what has too few."""
    found = interleaved([f for f in p.evidence.findings if f.outcome in UNDECIDED and f.value is not None])
    first = len({finding.rule for finding in found})
    return found[:first] + sorted(found[first:], key=lambda f: UNDECIDED.index(f.outcome))


def mirrored(finding: Finding, kept: Sequence[Finding]) -> bool:
    """Whether a gap is one that stands there already, seen from the other of two groups."""
    return finding.kind == "gap" and any(
        other.value is not None
        and finding.value is not None
        and abs(other.value + finding.value) < 1e-12
        and block_key(other) == block_key(finding)
        and (other.rule, other.klass, other.outcome) == (finding.rule, finding.klass, finding.outcome)
        and other.slice.keys() == finding.slice.keys()
        for other in kept
    )


def candidates(p: Phrases) -> tuple[str, list[Finding]]:
    """The table's heading, and its rows in the order of their claim to room."""
    fails = interleaved([f for f in p.evidence.findings if f.outcome == "fails"])
    undecided = open_checks(p)
    if fails:
        return "fails_and_open" if undecided and len(fails) < MOST_ROWS else "fails", fails
    if undecided:
        near = ordered([f for f in p.evidence.findings if f.outcome == "meets"])
        few = len(undecided) <= MOST_ROWS // 2 and near
        return ("open_and_near", undecided + near) if few else ("open", undecided)
    return "near", ordered([f for f in p.evidence.findings if f.outcome == "meets"])


def row_height(p: Phrases, finding: Finding, width: float) -> float:
    """Points that a row of the table takes: the tallest of its name, its bar, its value and its result."""
    room = width * GROUP
    name = len(wrap(shorten(p.finding_group(finding), room, 2, BODY), room * FIT, BODY)) * BODY * 1.2
    value, interval = p.finding_value(finding), p.finding_interval(finding)
    wide = text_width(printable(value), BODY, 600) + text_width(printable(interval + MARK), 7.5) + 3
    number = BODY * 1.2 + (9.0 if wide > width * 0.21 - 9 else 0.0)
    cases = text_width(printable(f"{cases_of(p, finding, None)} "), BODY)
    cases += text_width("(12,345)", 7.5) if p.cluster is not None else 0.0
    broken = BODY * 1.2 + (9.0 if cases > width * 0.125 - 9 else 0.0)
    result = BODY * 1.2 + (9.0 if finding.outcome in UNDECIDED and finding.needed_n is not None else 0.0)
    return 4.7 + max(name, 10.2, number, broken, result)


def head_height(p: Phrases, finding: Finding, width: float, *, again: bool = False) -> float:
    """Points that a block's head takes: its rule, its scale, and what its metric means beside it.

    ``again``: the meaning stands in a block above.
    """
    name = len(wrap(p.rule_heading(finding), width * (GROUP + 0.127) * FIT, BODY, 600)) * BODY * 1.2
    meaning = len(wrap(p.rule_meaning(finding), width * MEANING * FIT, 7.5)) * 7.5 * 1.2
    return 7.4 + max(name, 0.0 if again else meaning, 10.2)


def corrected(p: Phrases, finding: Finding) -> bool:
    """Whether a finding's interval is corrected for the number of checks of its kind."""
    return finding.level is not None and finding.level > p.evidence.run.confidence + 1e-9


def lead(p: Phrases, shown: Sequence[Finding]) -> str:
    """What the table's lines and bars are, in a sentence."""
    level = p.level(p.evidence.run.confidence)
    kinds = {corrected(p, finding) for finding in shown if finding.low is not None}
    key = "alone" if kinds == {False} else "mixed" if len(kinds) == 2 else "corrected"
    return p.t(f"page1.lead.{key}", level=level)


def build_blocks(p: Phrases, budget: float, width: float) -> tuple[str, tuple[Block, ...], list[Finding]]:
    """Rows that fit ``budget`` points, grouped by rule: (heading's key, blocks, findings shown)."""
    heading, found = candidates(p)
    queue = found + (open_checks(p) if heading == "fails_and_open" else [])
    records = {
        (slice_key(r.slice), r.klass): r for r in [*p.evidence.results.overall, *p.evidence.results.slices]
    }
    room = width * GROUP
    kept: list[Finding] = []
    heads: set[tuple[str, str | None, float | None, str | None]] = set()
    left = budget
    for finding in queue:
        if len(kept) == MOST_ROWS:
            break
        if mirrored(finding, kept):
            continue
        cost = row_height(p, finding, width)
        if block_key(finding) not in heads:
            again = any(p.rule_meaning(other) == p.rule_meaning(finding) for other in kept)
            cost += head_height(p, finding, width, again=again)
        if cost > left:
            if finding.outcome == "fails":
                break  # no failure is passed over for a lesser one
            continue
        left -= cost
        heads.add(block_key(finding))
        kept.append(finding)
    if heading == "fails_and_open" and all(finding.outcome == "fails" for finding in kept):
        heading = "fails"
    mixed = len({corrected(p, finding) for finding in kept if finding.low is not None}) == 2
    said: set[str] = set()
    blocks = []
    for key in dict.fromkeys(block_key(finding) for finding in kept):
        rows = [f for f in kept if block_key(f) == key]
        rows = sorted(ordered(rows), key=lambda f: ("fails", *UNDECIDED, "meets").index(f.outcome))
        limit = side_of(rows[0].kind, rows[0].limit)
        scale = axis(p, rows[0], [x for f in rows for x in (f.value, f.low, f.high)], limit)
        low, high = scale.ticks[0][1], scale.ticks[-1][1]
        blocks.append(
            Block(
                heading=p.rule_heading(rows[0]),
                meaning="" if p.rule_meaning(rows[0]) in said else p.rule_meaning(rows[0]),
                axis=scale,
                limit=limit,
                scale_title=p.t("page1.scale", low=low, high=high),
                lines=tuple(
                    line(p, f, records, room, marked=mixed and f.low is not None and not corrected(p, f))
                    for f in rows
                ),
            )
        )
        said.add(p.rule_meaning(rows[0]))
    return heading, tuple(blocks), kept


def plain_block(p: Phrases, width: float) -> tuple[Block, ...]:
    """Without rules: the lowest figures of the first metric among the values of single attributes."""
    if not p.policy_metrics:
        return ()
    metric = p.policy_metrics[0]
    found = [
        (estimate.value, record, estimate)
        for record in p.evidence.results.slices
        if len(record.slice) == 1 and (estimate := estimate_of(record, metric)) is not None
        and estimate.value is not None
    ]  # fmt: skip
    found = sorted(found, key=lambda item: (item[0], slice_key(item[1].slice), item[1].klass or ""))[
        :MOST_ROWS
    ]
    if not found:
        return ()
    scale = p.scale(metric)
    values = [x for _, _, e in found for x in (e.value, e.low, e.high)]
    low, high, ticks = axis_for(values, bounds=p.bounds(metric), least=0.05, most=4)
    lines = []
    for value, record, estimate in found:
        number, interval = p.number(value, scale), p.interval(estimate.low, estimate.high, scale)
        group = p.group(record.slice, record.klass)
        title = p.t("page1.bar", value=number, interval=interval, outcome=p.word(None))
        lines.append(
            Line(
                group=shorten(group, width * GROUP, 2, BODY),
                cases=p.count(p.cases(record, estimate)),
                clusters=clusters_of(p, record, estimate),
                point=Point(value, estimate.low, estimate.high, None, f"{group}: {title}"),
                value=number,
                interval=interval,
                outcome=None,
                word=p.word(None),
                note="",
                title=f"{shorten(group, 400.0, 1, BODY)}: {title}",
            )
        )
    axis_ = Axis(low, high, tuple((tick, p.tick(tick, scale)) for tick in ticks))
    return (
        Block(
            heading=p.metric(metric),
            meaning=p.sentence(metric, p.meaning(metric)),
            axis=axis_,
            limit=NO_LIMIT,
            scale_title=p.t("page1.scale", low=axis_.ticks[0][1], high=axis_.ticks[-1][1]),
            lines=tuple(lines),
        ),
    )


def block_key(finding: Finding) -> tuple[str, str | None, float | None, str | None]:
    """Findings that share a scale and a limit stand in one block, whichever rule they come from."""
    return finding.kind, finding.metric, finding.limit, finding.against
