"""Page one: what decides. Model, verdict, counts, what fails worst first, what is not shown, the decision.

All of it stands on one page of paper: texts are shortened, and rows are chosen, by measured height.
What was shortened is printed in full elsewhere, and the page says where.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.canvas import shorten, wrap
from reports.evidence import Finding
from reports.glyphs import printable, text_width
from reports.page_facts import Fact, facts, predates, signers, unshown
from reports.page_measures import (
    BODY,
    COLUMN,
    FIT,
    HOUSE_KIND,
    MARGINS,
    PAGE_HEIGHT,
    SIGN_ROW,
    TITLES,
    height,
)
from reports.page_verdict import (
    RuleLine,
    leading_rule,
    open_besides,
    page_gloss,
    rule_lines,
    rule_room,
    trace,
)
from reports.palette import OUTCOMES
from reports.phrases import UNDECIDABLE, UNDECIDED, Phrases, visible
from reports.rounding import hashed
from reports.worst_table import Block, build_blocks, lead, plain_block

MOST_FACTS = 6  # lines of what is not shown


@dataclass(frozen=True, slots=True)
class Tally:
    """How many checks came out as ``outcome``."""

    outcome: str
    number: str
    word: str
    gloss: str


@dataclass(frozen=True, slots=True)
class PageOne:
    """Everything that page one says."""

    title: str
    long_title: bool
    facts: tuple[Fact, ...]
    outcome: str
    verdict: str
    gloss: str
    rule_head: str
    rule: str
    more_rules: str
    rules: tuple[RuleLine, ...]
    besides: str
    policy: str
    predates: str
    tallies: tuple[Tally, ...]
    heading: str
    lead: str
    blocks: tuple[Block, ...]
    empty: str
    trace: tuple[str, ...]
    more: tuple[str, ...]
    unshown: tuple[str, ...]
    cases_head: str


def cut(
    p: Phrases, *, title: str, facts_: Sequence[Fact], blocks: Sequence[Block], rest: Sequence[str]
) -> str:
    """Where what was shortened stands in full; empty where nothing was."""
    t = p.t
    places = []
    if any(text.endswith("…") for text in (title, facts_[0].text, facts_[2].text)):
        places.append(t("section.use"))
    if facts_[1].text.endswith("…"):
        places.append(t("section.provenance"))
    if any(row.group.endswith("…") for block in blocks for row in block.lines) or "…" in "".join(rest):
        places.append(t("section.findings" if p.evidence.policy.rules else "section.annex"))
    if not places:
        return ""
    return t("page1.shortened", places=t.listed([t("page1.place", name=name) for name in places]))


def notes(
    p: Phrases,
    shown: Sequence[Finding],
    blocks: Sequence[Block],
    *,
    title: str,
    facts_: Sequence[Fact],
    rest: Sequence[str],
) -> list[str]:
    """What stands after the table: what it leaves out, and what its words mean."""
    t, verdict = p.t, p.evidence.verdict
    more = []
    failing = verdict.fails - sum(f.outcome == "fails" for f in shown)
    undecided = sum(getattr(verdict, key) for key in UNDECIDED) - sum(f.outcome in UNDECIDED for f in shown)
    if failing > 0:
        more.append(t("page1.more", count=failing))
    if undecided > 0:
        more.append(t("page1.open_more", count=undecided))
    if any(f.concept is not None for f in shown):
        more.append(t("page1.concepts_by_p"))
    planned = [f.needed_n for f in shown if f.outcome in UNDECIDED and f.needed_n is not None]
    if any(number <= UNDECIDABLE for number in planned):
        more.append(t("page1.needed_means"))
    if any(number > UNDECIDABLE for number in planned):
        more.append(t("page1.undecidable_means"))
    shortened = cut(p, title=title, facts_=facts_, blocks=blocks, rest=rest)
    return [*more, shortened] if shortened else more


def masthead_height(p: Phrases, width: float) -> float:
    """Points of the house's line above the title: logo and organisation left, the kind of document right."""
    report = p.evidence.report
    room = width - (120.0 if report.logo else 0.0) - HOUSE_KIND
    lines = len(wrap(visible(report.organisation), room * FIT, 9.0, 600)) if report.organisation else 0
    return 2.5 + 7 + max(22.0 if report.logo else 0.0, lines * 9.0 * 1.25, 10.3) + 5


def build(p: Phrases) -> PageOne:
    """Page one, fitted to its paper."""
    e, t = p.evidence, p.t
    width = COLUMN[e.report.paper]
    verdict = e.verdict
    name = visible(e.subject.name)
    size, most = TITLES[0] if text_width(printable(name), TITLES[0][0], 700) <= width * FIT else TITLES[1]
    title = shorten(name, width, most, size, 700)
    rules, rules_left = rule_lines(p)
    rule = "" if rules else shorten(leading_rule(p), width - 60, 2, 9.5)
    others = 0 if rules else len(e.policy.rules) - 1
    more_rules = t("verdict.more", count=others) if others > 0 else ""
    besides = open_besides(p)
    if rules_left:
        besides = " ".join(text for text in (t("verdict.rules_left", count=rules_left), besides) if text)
    besides = shorten(besides, width - 66, 2, 8.5)
    facts_ = facts(p, width)
    tallies = tuple(
        Tally(key, p.count(getattr(verdict, key)), p.word(key), t(f"outcome.gloss.{key}")) for key in OUTCOMES
    )
    history = [shorten(text, width, 2, BODY) for text in trace(p)]
    every = [shorten(text, width - 14, 2, BODY) for text in unshown(p)]
    lines = 0
    kept: list[str] = []
    for text in every:
        lines += len(wrap(text, (width - 14) * FIT, BODY))
        if lines > MOST_FACTS:
            break
        kept.append(text)
    hidden = len(every) - len(kept)
    if hidden:
        kept.append(t("page1.unshown_more", count=hidden))
    # Heights of everything but the table, in the order of the page (print.css).
    taken = masthead_height(p, width) + len(wrap(title, width * FIT, size, 700)) * size * 1.2 + 7
    taken += sum(height(f.text, width - 76.0) + 2 for f in facts_[:2])
    taken += 4 + 9.8 + max((height(f.text, (width - 40) / 4) for f in facts_[2:]), default=0.0)
    gloss = " ".join(part for part in (page_gloss(p), rule, more_rules) if part)
    taken += 9 + 16 + 22.6 + height(gloss, width - 64, 9.5) + 14.0
    for line in rules:
        # All of it as bold as its name: a little more than it takes.
        taken += 12.3 * len(wrap(f"{line.name} {line.text}", rule_room(p) * 1.03, 9.0, 600))
    taken += (3 if rules else 0) + height(besides, width - 64, 8.5)
    gloss_lines = max(len(wrap(tally.gloss, (width - 28) / 5 * FIT, 7.5)) for tally in tallies)
    taken += 9 + 2 + 4 + 18.4 + 12.3 + gloss_lines * 7.5 * 1.2  # counts
    taken += 9 + 13.8 + 2 + 10.9 + 3 + (20.5 if p.cluster is not None else 12.0)  # the table's head
    taken += 3 + sum(height(text, width) for text in history)  # what stands after it
    taken += 9 + 13.8 + 3 + sum(height(text, width - 12) + 1.5 for text in kept)
    taken += 9 + 13.8 + 3 + 12 + len(signers(p)) * SIGN_ROW
    budget = PAGE_HEIGHT[e.report.paper] - MARGINS - taken - 6
    # The notes after the table depend on its rows, and these on the room that the notes leave.
    for lines in range(1, 5):
        heading, blocks, shown = build_blocks(p, budget - lines * 10.2, width)
        if not e.policy.rules:
            blocks = plain_block(p, width)
        more = notes(p, shown, blocks, title=title, facts_=facts_, rest=[*(r.text for r in rules), besides])
        if height(" ".join(more), width, 7.5) <= lines * 10.2 + 0.1:
            break
    return PageOne(
        title=title,
        long_title=size != TITLES[0][0],
        facts=facts_,
        outcome=verdict.outcome,
        verdict=t(f"verdict.{verdict.outcome}"),
        gloss=page_gloss(p),
        rule_head=t("verdict.rule"),
        rule=rule,
        more_rules=more_rules,
        rules=tuple(rules),
        besides=besides,
        policy=t("verdict.policy", hash=hashed(e.policy.sha256))
        if e.policy.sha256 and e.policy.rules
        else t("verdict.no_policy"),
        predates=predates(p) if e.policy.rules else "",
        tallies=tallies,
        heading=t(f"page1.{heading}_heading") if e.policy.rules else t("page1.no_rule_heading"),
        lead=lead(p, shown) if e.policy.rules else t("page1.lead.no_rule", level=p.level(e.run.confidence)),
        blocks=blocks,
        empty=t("page1.empty"),
        trace=tuple(history),
        more=tuple(more),
        unshown=tuple(kept),
        cases_head=t("page1.cases")
        if p.cluster is None
        else t("page1.cases_clusters", cluster=visible(p.cluster)),
    )
