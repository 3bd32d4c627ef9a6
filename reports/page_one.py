"""Page one: what decides. Model, verdict, counts, what fails worst first, what is not shown, the decision.

All of it stands on one page of paper: texts are shortened, and rows are chosen, by measured height.
Names that were shortened are printed in full under "Findings".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.canvas import NO_LIMIT, Axis, Limit, Point, axis_for, shorten, wrap
from reports.evidence import Estimate, Finding, SliceRecord
from reports.glyphs import printable, text_width
from reports.palette import OUTCOMES
from reports.phrases import UNDECIDED, Phrases, estimate_of, severity, side_of, slice_key, visible
from reports.rounding import Scale, hashed

MOST_ROWS = 10
SIGN_ROW = 24.5  # points: a person signs there

# The print layout in points (1/72 inch): the style sheet of the page is written to these numbers.
PAGE_HEIGHT = {"A4": 842.0, "Letter": 792.0}
MARGINS = 40.0 + 48.0
COLUMN = {"A4": 499.0, "Letter": 516.0}
BODY = 8.5
LEADING = 1.36
GROUP = 0.313  # of the width: the group's name
FIT = 0.995  # of a width: rounding of the layout; kerning is off in print, so that advances add up


@dataclass(frozen=True, slots=True)
class Fact:
    """A term and its text; ``written`` by people, so in no known language."""

    term: str
    text: str
    written: bool = False


@dataclass(frozen=True, slots=True)
class Tally:
    """How many checks came out as ``outcome``."""

    outcome: str
    number: str
    word: str
    gloss: str


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


@dataclass(frozen=True, slots=True)
class PageOne:
    """Everything that page one says."""

    title: str
    facts: tuple[Fact, ...]
    outcome: str
    verdict: str
    gloss: str
    rule_head: str
    rule: str
    more_rules: str
    policy: str
    predates: str
    tallies: tuple[Tally, ...]
    heading: str
    blocks: tuple[Block, ...]
    empty: str
    more: tuple[str, ...]
    unshown: tuple[str, ...]
    cases_head: str


def height(text: str, width: float, size: float = BODY, leading: float = LEADING) -> float:
    """Points that a paragraph takes."""
    return len(wrap(text, width * FIT, size)) * size * leading if text else 0.0


def facts(p: Phrases, width: float) -> tuple[Fact, ...]:
    """Model, version, purpose, threshold, test set and dates."""
    data, subject, t = p.evidence.data, p.evidence.subject, p.t
    log = next((item for item in p.evidence.run.inputs if item.role == "log"), None)
    path = visible(log.path) if log is not None else t("document.not_stated")
    logs = sum(item.role == "log" for item in p.evidence.run.inputs)
    if logs > 1:
        path = t("page1.files", path=path, count=logs - 1)
    rows = p.count(data.rows)
    if p.cluster is not None and data.clusters is not None:
        test = t(
            "page1.test_set_clusters",
            path=path,
            rows=rows,
            clusters=p.count(data.clusters),
            cluster=visible(p.cluster),
        )
    elif p.records is not None and "id" in data.roles:
        test = t(
            "page1.test_set_records_id",
            path=path,
            records=p.count(p.records),
            id=visible(data.roles["id"]),
            rows=rows,
        )
    elif p.records is not None:
        test = t("page1.test_set_records", path=path, records=p.count(p.records), rows=rows)
    else:
        test = t("page1.test_set_value", path=path, rows=rows)
    if data.threshold is not None:
        threshold = t(
            "page1.threshold_value", tie=data.tie or ">=", threshold=p.limit(data.threshold, "number")
        )
    else:
        threshold = t("page1.no_threshold")
    collected = t("number.to").join(visible(day) for day in data.collected or []) or t("document.not_stated")
    found = [
        (t("page1.purpose"), stated(p, subject.purpose)),
        (t("page1.test_set"), test),
        (t("page1.version"), stated(p, subject.version)),
        (t("page1.threshold"), threshold),
        (t("page1.collected"), collected),
        (t("page1.audited"), visible(subject.date) if subject.date else t("document.not_stated")),
    ]
    wide, narrow = width - 76.0, (width - 4 * 10) / 4
    return tuple(
        Fact(
            term,
            shorten(text, wide if i < 2 else narrow, 2, BODY),
            written=i == 0 and text != t("document.not_stated"),
        )
        for i, (term, text) in enumerate(found)
    )


def stated(p: Phrases, text: str) -> str:
    """A text of the configuration; its default is the catalogue's own words."""
    return p.t("document.not_stated") if text in ("", "not stated") else visible(text)


def axis(p: Phrases, finding: Finding, values: Sequence[float | None], limit: Limit) -> Axis:
    """The scale of a rule's rows: as tight as they allow, so that near groups can be told apart."""
    scale = p.finding_scale(finding)
    bounds = p.bounds(finding.metric) if finding.kind in ("floor", "ceiling", "missing_predictions") else None
    least = {"percent": 0.05, "points": 0.05, "number": 0.05}[scale]
    low, high, ticks = axis_for([*values, limit.low, limit.high], bounds=bounds, least=least, most=4)
    return Axis(low, high, tuple((tick, p.tick(tick, scale)) for tick in ticks))


def line(
    p: Phrases, finding: Finding, records: dict[tuple[str, str | None], SliceRecord], room: float
) -> Line:
    """One finding as a row; ``room``: points for the group's name in two lines."""
    record = records.get((slice_key(finding.slice), finding.klass))
    estimate = estimate_of(record, finding.metric) if record is not None and finding.metric else None
    clusters = clusters_of(p, record, estimate)
    value, interval = p.finding_value(finding), p.finding_interval(finding)
    word = p.word(finding.outcome)
    note = ""
    if finding.outcome in UNDECIDED and finding.needed_n is not None:
        note = p.t("page1.needed", count=finding.needed_n)
    group = p.finding_group(finding)
    title = p.t("page1.bar", value=value, interval=interval, outcome=word)
    return Line(
        group=shorten(group, room, 2, BODY),
        cases=cases_of(p, finding, estimate),
        clusters=clusters,
        point=Point(finding.value, finding.low, finding.high, finding.outcome, f"{group}: {title}"),
        value=value,
        interval=interval,
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
    wide = text_width(printable(value), BODY, 600) + text_width(printable(interval), 7.5) + 3
    number = BODY * 1.2 + (9.0 if wide > width * 0.215 - 9 else 0.0)
    cases = text_width(printable(f"{cases_of(p, finding, None)} "), BODY)
    cases += text_width("(12,345)", 7.0) if p.cluster is not None else 0.0
    broken = BODY * 1.2 + (9.0 if cases > width * 0.12 - 9 else 0.0)
    result = BODY * 1.2 + (8.4 if finding.outcome in UNDECIDED and finding.needed_n is not None else 0.0)
    return 5.7 + max(name, 10.2, number, broken, result)


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
            cost += 16.1 + height(p.rule_meaning(finding), width * (GROUP + 0.12), 7.5, 1.3)
        if cost > left:
            if finding.outcome == "fails":
                break  # no failure is passed over for a lesser one
            continue
        left -= cost
        heads.add(block_key(finding))
        kept.append(finding)
    if heading == "fails_and_open" and all(finding.outcome == "fails" for finding in kept):
        heading = "fails"
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
                meaning=p.rule_meaning(rows[0]),
                axis=scale,
                limit=limit,
                scale_title=p.t("page1.scale", low=low, high=high),
                lines=tuple(line(p, f, records, room) for f in rows),
            )
        )
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


def unshown(p: Phrases) -> list[str]:
    """Generated facts on what the report cannot show, the gravest first."""
    e, t = p.evidence, p.t
    facts: list[str] = [visible(a.sentence) for a in e.data.associations[:2]]
    missing = sorted((a for a in e.data.attributes if a.missing), key=lambda a: -a.missing)
    facts += [
        t("unshown_fact.missing", attribute=visible(a.name), share=p.share(a.missing, e.data.rows))
        for a in missing[:2]
    ]
    if e.verdict.not_tested:
        lacking = list(dict.fromkeys(p.finding_group(f) for f in e.findings if f.outcome == "not_tested"))
        more = [t("unshown_fact.more", count=len(lacking) - 3)] if len(lacking) > 3 else []
        names = t.listed([*lacking[:3], *more])
        facts.append(t("unshown_fact.not_tested", count=e.verdict.not_tested, names=names))
    facts.append(reacts_to(p))
    facts += unjudged(p) + unjudged_classes(p)
    if e.policy.family > 1:
        corrected = any(s.simultaneous for s in e.results.slices)
        key = "unshown_fact.correction" if corrected else "unshown_fact.no_correction"
        facts.append(t(key, family=p.count(e.policy.family)))
    if p.cluster is not None:
        facts.append(t("unshown_fact.clusters", cluster=visible(p.cluster)))
    else:
        facts.append(
            t("unshown_fact.no_clusters" if p.records is None else "unshown_fact.no_clusters_records")
        )
    left_out = [x for x in e.data.excluded if not x.slice and x.rows and x.of == "figures"]
    if left_out:
        reasons = [t("unshown_fact.reason", rows=p.count(x.rows), reason=visible(x.reason)) for x in left_out]
        total = p.count(sum(x.rows for x in left_out))
        facts.append(
            t("unshown_fact.excluded", rows=total, total=p.count(e.data.rows), reasons=t.listed(reasons))
        )
    facts.append(t("unshown_fact.only_log"))
    if e.data.small_slices:
        facts.append(t("unshown_fact.small", count=len(e.data.small_slices)))
    return facts


def reacts_to(p: Phrases) -> str:
    """The concepts that are shown to drive a class, at most three by name, and what that does not show."""
    drive = list(
        dict.fromkeys(
            p.t("group.concept", concept=visible(c.concept), klass=p.klass(c.klass))
            for c in p.evidence.results.concepts
            if c.verdict == "drives" and not c.slice
        )
    )
    if not p.evidence.results.concepts:
        return p.t("unshown_fact.no_concepts")
    if not drive:
        return p.t("unshown_fact.concepts")
    more = [p.t("unshown_fact.more", count=len(drive) - 3)] if len(drive) > 3 else []
    return p.t("unshown_fact.concepts_drive", concepts=p.t.listed([*drive[:3], *more]))


def unjudged(p: Phrases) -> list[str]:
    """The largest gap between groups that no rule looks at, and how many more are shown to be there."""
    gaps = p.unjudged_gaps
    if not gaps or not p.evidence.policy.rules:
        return []
    sure = [gap for gap in gaps if gap.low is not None and gap.low > 0]
    first = gaps[0]
    scale: Scale = "points" if p.scale(first.metric) == "percent" else "number"
    text = p.t(
        "unshown_fact.unjudged" if sure else "unshown_fact.unjudged_open",
        metric=p.metric(first.metric),
        attribute=p.gap_name(first),
        highest=p.value(first.attribute, first.highest),
        lowest=p.value(first.attribute, first.lowest),
        value=p.number(first.value, scale, (0.0,)),
        interval=p.interval(first.low, first.high, scale, (0.0,)),
    )
    if len(sure) > 1:
        text = f"{text} {p.t('unshown_fact.unjudged_more', count=len(sure) - 1)}"
    return [text]


def unjudged_classes(p: Phrases) -> list[str]:
    """How far recall differs between the classes, where no rule looks at a class."""
    if not p.several_classes or not p.evidence.policy.rules:
        return []
    if any(finding.klass is not None and finding.concept is None for finding in p.evidence.findings):
        return []
    found = [
        (estimate.value, record)
        for record in p.evidence.results.overall
        if record.klass is not None and (estimate := estimate_of(record, "recall")) is not None
        and estimate.value is not None
    ]  # fmt: skip
    if len(found) < 2:
        return []
    (low, lowest), (high, highest) = min(found, key=lambda f: f[0]), max(found, key=lambda f: f[0])
    return [
        p.t(
            "unshown_fact.classes",
            low=p.number(low, "percent"),
            lowest=p.klass(lowest.klass),
            high=p.number(high, "percent"),
            highest=p.klass(highest.klass),
        )
    ]


def predates(p: Phrases) -> str:
    """Whether the policy predates the data: only a lock of it that had not seen the log shows so."""
    lock, policy = p.evidence.policy.lock, p.evidence.policy
    if lock and lock.get("sha256") == policy.sha256 and lock.get("log") == "not_seen" and lock.get("date"):
        return p.t(
            "verdict.fixed",
            date=visible(lock["date"]),
            who=visible(lock.get("signed_by", p.t("document.not_stated"))),
        )
    return p.t("verdict.not_fixed")


def broken_rules(p: Phrases) -> list[str]:
    """Each rule that fails, with its worst group."""
    worst: dict[str, Finding] = {}
    for finding in interleaved([f for f in p.evidence.findings if f.outcome == "fails"]):
        worst.setdefault(finding.rule, finding)
    return [
        p.t(
            "verdict.broken_rule",
            rule=p.rule_heading(finding),
            group=p.finding_group(finding),
            value=p.finding_value(finding),
        )
        for finding in worst.values()
    ]


def leading_rule(p: Phrases) -> str:
    """The sentence of the rule that decides: of the worst failure, the worst open check, else the first."""
    for outcomes in (("fails",), UNDECIDED):
        found = interleaved([f for f in p.evidence.findings if f.outcome in outcomes])
        if found and found[0].rule in p.rules:
            return visible(p.rules[found[0].rule].sentence)
    return visible(p.evidence.policy.rules[0].sentence) if p.evidence.policy.rules else ""


def page_gloss(p: Phrases) -> str:
    """How many checks came out how, in one sentence."""
    verdict = p.evidence.verdict
    return p.t(
        f"verdict.gloss.{verdict.outcome}",
        checks=p.count(len(p.evidence.findings)),
        fails=p.count(verdict.fails),
        open=p.count(sum(getattr(verdict, key) for key in UNDECIDED)),
    )


def build(p: Phrases) -> PageOne:
    """Page one, fitted to its paper."""
    e, t = p.evidence, p.t
    width = COLUMN[e.report.paper]
    verdict = e.verdict
    broken = broken_rules(p)
    several = len(broken) > 1
    text = t("verdict.broken_joiner").join(broken) if several else leading_rule(p)
    rule = shorten(text, width - 60, 3 if several else 2, 9.5)
    facts_ = facts(p, width)
    tallies = tuple(
        Tally(key, p.count(getattr(verdict, key)), p.word(key), t(f"outcome.gloss.{key}")) for key in OUTCOMES
    )
    every = [shorten(text, width - 14, 2, BODY) for text in unshown(p)]
    lines = 0
    kept: list[str] = []
    for text in every:
        lines += len(wrap(text, (width - 14) * FIT, BODY))
        if lines > 9:
            break
        kept.append(text)
    hidden = len(every) - len(kept)
    if hidden:
        kept.append(t("page1.unshown_more", count=hidden))
    others = 0 if several else len(e.policy.rules) - 1
    more_rules = t("verdict.more", count=others) if others > 0 else ""
    # Heights of everything but the table, in the order of the page (print.css).
    taken = 10.5 + 33.5  # kicker, title
    taken += sum(height(f.text, width - 76.0) + 2 for f in facts_[:2])
    taken += 4 + 9.1 + max((height(f.text, (width - 40) / 4) for f in facts_[2:]), default=0.0)
    taken += 9 + 18 + 22.6 + height(" ".join((page_gloss(p), rule, more_rules)), width - 64, 9.5) + 13.2
    taken += 9 + 2 + 4 + 18.4 + 12.3 + 2 * 8.75  # counts
    taken += (
        9 + 13.8 + 3 + (20.5 if p.cluster is not None else 12.0) + 3 + 2 * 10.2
    )  # the table's headings, and two lines after it
    taken += 9 + 13.8 + 3 + sum(height(text, width - 12) + 1.5 for text in kept)
    taken += 9 + 13.8 + 3 + 12 + 2 * SIGN_ROW
    budget = PAGE_HEIGHT[e.report.paper] - MARGINS - taken - 6
    heading, blocks, shown = build_blocks(p, budget, width)
    if not e.policy.rules:
        blocks = plain_block(p, width)
    more = []
    failing = verdict.fails - sum(f.outcome == "fails" for f in shown)
    undecided = sum(getattr(verdict, key) for key in UNDECIDED) - sum(f.outcome in UNDECIDED for f in shown)
    if failing > 0:
        more.append(t("page1.more", count=failing))
    if undecided > 0:
        more.append(t("page1.open_more", count=undecided))
    if blocks:
        corrected = any(
            f.outcome == "fails" and f.level is not None and f.level > e.run.confidence for f in shown
        )
        key = "page1.level_corrected" if corrected else "page1.level"
        more.append(t(key, level=p.level(e.run.confidence)))
    if any(row.note for block in blocks for row in block.lines):
        more.append(t("page1.needed_means"))
    if any(row.group.endswith("…") for block in blocks for row in block.lines):
        more.append(t("page1.shortened"))
    return PageOne(
        title=shorten(visible(e.subject.name), width, 1, 21, 700),
        facts=facts_,
        outcome=verdict.outcome,
        verdict=t(f"verdict.{verdict.outcome}"),
        gloss=page_gloss(p),
        rule_head=t("verdict.broken" if several else "verdict.rule"),
        rule=rule,
        more_rules=more_rules,
        policy=t("verdict.policy", hash=hashed(e.policy.sha256))
        if e.policy.sha256 and e.policy.rules
        else t("verdict.no_policy"),
        predates=predates(p) if e.policy.rules else "",
        tallies=tallies,
        heading=t(f"page1.{heading}_heading") if e.policy.rules else t("page1.no_rule_heading"),
        blocks=blocks,
        empty=t("page1.empty"),
        more=tuple(more),
        unshown=tuple(kept),
        cases_head=t("page1.cases")
        if p.cluster is None
        else t("page1.cases_clusters", cluster=visible(p.cluster)),
    )
