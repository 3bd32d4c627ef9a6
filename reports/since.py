"""Change since the last release: what the evidence holds of both, as tables. No figure is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.evidence import (
    CheckSince,
    ConceptReading,
    FigureSince,
    Finding,
    Reading,
    RuleSince,
    SettingSince,
    Since,
    Verdict,
)
from reports.further import MOST_ROWS, gap_scale
from reports.palette import OUTCOMES
from reports.phrases import Phrases, visible
from reports.rounding import hashed


@dataclass(frozen=True, slots=True)
class Side:
    """What one release found: an outcome's mark and word, the figure, its interval, a note."""

    outcome: str | None
    word: str
    value: str = ""
    interval: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """What is compared, and both sides; ``about`` says which rule, metric or layer."""

    name: str
    about: str
    then: Side
    now: Side


@dataclass(frozen=True, slots=True)
class FigureRow:
    """A figure of both releases with its difference."""

    group: str
    metric: str
    then: str
    now: str
    difference: str
    interval: str
    word: str


@dataclass(frozen=True, slots=True)
class Change:
    """The section."""

    intro: tuple[str, ...]
    counts: tuple[tuple[str, ...], ...]
    count_heads: tuple[str, ...]
    policy: str
    rules: tuple[tuple[str, str, str, str], ...]
    settings: tuple[tuple[str, str, str], ...]
    checks: tuple[Row, ...]
    checks_note: str
    figures: tuple[FigureRow, ...]
    figures_intro: str
    figures_note: str
    limits: bool
    groups: tuple[tuple[str, str, str], ...]
    groups_note: str
    concepts: tuple[Row, ...]
    concepts_note: str


def change(p: Phrases) -> Change | None:
    """The section's tables; None where the run was given no previous release."""
    since = p.evidence.results.since
    if since is None:
        return None
    t = p.t
    date = t("since.dated", date=visible(since.date)) if since.date else ""
    groups = [
        (p.group(item.slice), t(f"since.{key}"), p.count(item.n))
        for key, items in (("vanished", since.vanished), ("appeared", since.appeared))
        for item in sorted(items, key=lambda item: p.order(item.slice, None))
    ]
    limits = any(figure.joint is not None for figure in since.figures)
    return Change(
        intro=(
            t(
                "since.intro",
                name=visible(since.name),
                version=visible(since.version),
                date=date,
                hash=hashed(since.sha256),
            ),
            t(f"since.data.{since.data}"),
        ),
        count_heads=(
            t("since.release"),
            t("since.verdict"),
            *(p.word(key) for key in OUTCOMES),
            t("since.rows"),
        ),
        counts=(
            counts(p, "then", since.version, since.verdict, since.rows_used),
            counts(p, "now", p.evidence.subject.version, p.evidence.verdict, p.evidence.data.rows_used),
        ),
        policy=policy(p, since),
        rules=tuple(rule(p, item) for item in since.rules),
        settings=tuple(setting(p, item) for item in since.settings),
        checks=tuple(check(p, item) for item in since.checks[:MOST_ROWS]),
        checks_note=left(p, since.checks),
        figures=tuple(figure(p, item) for item in since.figures[:MOST_ROWS]),
        figures_intro=figures_intro(p, since, limits=limits),
        figures_note=left(p, since.figures),
        limits=limits,
        groups=tuple(groups[:MOST_ROWS]),
        groups_note=left(p, groups),
        concepts=tuple(
            Row(
                name=t("group.concept", concept=visible(item.concept), klass=p.klass(item.klass)),
                about=visible(item.layer),
                then=concept(p, item.then),
                now=concept(p, item.now),
            )
            for item in since.concepts[:MOST_ROWS]
        ),
        concepts_note=left(p, since.concepts),
    )


def left(p: Phrases, items: Sequence[object]) -> str:
    """How many rows are not printed."""
    hidden = len(items) - MOST_ROWS
    return p.t("further.more", count=hidden) if hidden > 0 else ""


def counts(p: Phrases, when: str, version: str, verdict: Verdict, rows: int) -> tuple[str, ...]:
    """A release in one row: its version, verdict, the checks by outcome, its rows."""
    return (
        p.t("group.pair", attribute=p.t(f"since.{when}"), value=visible(version)),
        p.t(f"verdict.{verdict.outcome}"),
        *(p.count(getattr(verdict, key)) for key in OUTCOMES),
        p.count(rows),
    )


def policy(p: Phrases, since: Since) -> str:
    """Whether the release rules are the same, with both hashes."""
    now = p.evidence.policy.sha256
    if since.policy_sha256 == now:
        return p.t("since.policy.none" if now is None else "since.policy.same")
    none = p.t("number.none")
    then_hash, now_hash = (none if x is None else hashed(x) for x in (since.policy_sha256, now))
    return p.t(f"since.policy.{'other' if since.rules else 'settings'}", then=then_hash, now=now_hash)


def rule(p: Phrases, item: RuleSince) -> tuple[str, str, str, str]:
    """A rule's name, what happened to it, and how it read and reads."""
    word = "added" if item.then is None else "removed" if item.now is None else "changed"
    none = p.t("number.none")
    then, now = (none if x is None else visible(x.sentence) for x in (item.then, item.now))
    return visible(item.id), p.t(f"since.rule.{word}"), then, now


def setting(p: Phrases, item: SettingSince) -> tuple[str, str, str]:
    """A setting's name and both values."""

    def text(value: float | str | None) -> str:
        if value is None:
            return p.t("number.none")
        if isinstance(value, str):
            return hashed(value) if item.setting == "weights" else visible(value)
        if item.setting == "confidence":
            return p.level(value)
        return str(int(value)) if item.setting == "seed" else p.limit(value, "number")

    return p.t(f"since.setting.{item.setting}"), text(item.then), text(item.now)


def finding_of(item: CheckSince, reading: Reading) -> Finding:
    """One release's side of a check, named and printed as findings are."""
    return Finding(
        rule=item.rule, kind=item.kind, slice=item.slice, klass=item.klass, metric=item.metric,
        concept=item.concept, layer=reading.layer, against=item.against, limit=reading.limit,
        value=reading.value, low=reading.low, high=reading.high, interval="", level=None,
        outcome=reading.outcome,
    )  # fmt: skip


def check(p: Phrases, item: CheckSince) -> Row:
    """A check: its group and rule, what came out then and now, with the limit where that moved."""
    readings = [reading for reading in (item.now, item.then) if reading is not None]
    newest = finding_of(item, readings[0])
    moved = item.then is not None and item.now is not None and item.then.limit != item.now.limit

    def side(reading: Reading | None) -> Side:
        if reading is None:
            return Side(None, p.t("since.not_checked"))
        finding = finding_of(item, reading)
        limit = p.t("attribute.limit", limit=p.finding_limit(finding)) if moved else ""
        if reading.value is None:
            return Side(reading.outcome, p.word(reading.outcome), note=limit)
        return Side(
            reading.outcome,
            p.word(reading.outcome),
            p.finding_value(finding),
            p.finding_interval(finding),
            limit,
        )

    return Row(p.finding_group(newest), p.rule_heading(newest), side(item.then), side(item.now))


def figure(p: Phrases, item: FigureSince) -> FigureRow:
    """A figure then and now; the interval is the one that the word is read from."""
    scale, gap = p.scale(item.metric), gap_scale(p, item.metric)
    limits = item.joint or item.difference
    same = item.joint is None and item.difference.value == 0
    word = item.change or ("same" if same else "within")
    value = item.difference.value
    return FigureRow(
        group=p.group(item.slice, item.klass),
        metric=p.metric(item.metric),
        then=p.number(item.then.value, scale),
        now=p.number(item.now.value, scale),
        difference=p.t("number.none") if value is None else p.number(value, gap, (0.0,)),
        interval=p.interval(limits.low, limits.high, gap, (0.0,)),
        word=p.t(f"since.change.{word}"),
    )


def figures_intro(p: Phrases, since: Since, *, limits: bool) -> str:
    """How many figures were compared, and by which limits."""
    if not limits:
        return p.t("since.figures_one_log", compared=p.count(since.compared))
    return p.t(
        "since.figures_intro",
        compared=p.count(since.compared),
        level=p.level(since.level),
        joint=p.level(since.joint_level),
    )


def concept(p: Phrases, reading: ConceptReading | None) -> Side:
    """What one release found of a concept."""
    if reading is None:
        return Side(None, p.t("since.not_tested"))
    word = p.t(f"concepts.{reading.verdict}")
    if reading.effect.value is None:
        return Side(None, word)
    interval = p.interval(reading.effect.low, reading.effect.high, "number")
    return Side(None, word, p.number(reading.effect.value, "number"), interval)
