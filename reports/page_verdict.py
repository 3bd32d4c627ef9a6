"""The verdict of page one in words: a line for each rule that decides, and what changed since before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.canvas import shorten
from reports.evidence import Finding
from reports.glyphs import printable, text_width
from reports.page_measures import COLUMN, FIT, LEAST_GROUP
from reports.phrases import UNDECIDED, Phrases, slice_key, visible
from reports.worst_table import interleaved

MOST_RULES = 4  # that the verdict names, a line each


@dataclass(frozen=True, slots=True)
class RuleLine:
    """A rule that is broken or open, and where it is furthest from being met."""

    outcome: str
    name: str
    text: str


def rule_lines(p: Phrases) -> tuple[list[RuleLine], int]:
    """The rules that decide, a line each, and how many more there are: the broken ones; else the open ones.

    The gravest first. Empty where one rule alone was given: its sentence says more.
    """
    if len(p.evidence.policy.rules) < 2:
        return [], 0
    for outcome, outcomes in (("fails", ("fails",)), ("cannot_tell", UNDECIDED)):
        worst: dict[str, Finding] = {}
        for finding in interleaved([f for f in p.evidence.findings if f.outcome in outcomes]):
            worst.setdefault(finding.rule, finding)
        if worst:
            lines = [rule_line(p, finding, outcome, outcomes) for finding in worst.values()]
            return lines[:MOST_RULES], max(0, len(lines) - MOST_RULES)
    return [], 0


def rule_line(p: Phrases, worst: Finding, outcome: str, outcomes: Sequence[str]) -> RuleLine:
    """How many of a rule's checks came out so, and the group that is furthest from meeting it."""
    found = [f for f in p.evidence.findings if f.rule == worst.rule]
    name = p.rule_names.get(worst.rule) or p.rule_heading(worst)
    number, checks = sum(f.outcome in outcomes for f in found), len(found)
    room = rule_room(p) - text_width(printable(name), 9.0, 600) - 3

    def said(group: str, *, short: bool = False) -> str:
        key = outcome if checks == 1 or short else f"{outcome}_of"
        if worst.outcome == "not_tested":
            key = "not_tested"
        elif worst.value is None:
            key = "no_value"
        return p.t(
            f"verdict.line.{key}",
            number=p.count(number),
            checks=p.count(checks),
            group=group,
            value=p.finding_value(worst),
        )

    if worst.concept is not None and worst.layer is not None:
        return RuleLine(outcome, name, said(p.t("group.layer", layer=visible(worst.layer))))
    group = p.finding_group(worst)
    if worst.slice and text_width(printable(said(group)), 9.0) > room:
        # Its values say what it is; their attributes stand in the table.
        parts = [p.value(key, worst.slice[key]) for key in sorted(worst.slice, key=p.attribute_place)]
        parts += [p.klass(worst.klass)] if worst.klass is not None else []
        group = p.t("group.joiner").join(parts)
    left = room - text_width(printable(said("")), 9.0)
    short = left < min(LEAST_GROUP, text_width(printable(group), 9.0))
    if short:
        left = max(LEAST_GROUP, room - text_width(printable(said("", short=True)), 9.0))
    return RuleLine(outcome, name, said(shorten(group, left, 1, 9.0), short=short))


def rule_room(p: Phrases) -> float:
    """Points of a line of the verdict."""
    return (COLUMN[p.evidence.report.paper] - 64.0) * FIT


def open_besides(p: Phrases) -> str:
    """Rules that could not be decided beside the broken ones, by name."""
    broken = {f.rule for f in p.evidence.findings if f.outcome == "fails"}
    left = [
        rule.id
        for rule in p.evidence.policy.rules
        if rule.id not in broken
        and any(f.rule == rule.id and f.outcome in UNDECIDED for f in p.evidence.findings)
    ]
    if not broken or not left:
        return ""
    return p.t("verdict.besides", rules="; ".join(p.rule_names[rule] for rule in left))


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


def trace(p: Phrases) -> list[str]:
    """A line on the baseline and one on the previous release, where there are any."""
    return [text for text in (against_baseline(p), since_release(p)) if text]


def against_baseline(p: Phrases) -> str:
    """In how many groups the model does worse, and better, than its baseline on the same cases."""
    metrics = {c.metric for c in p.evidence.results.changes} & set(p.policy_metrics)
    changes = [c for c in p.evidence.results.changes if c.slice and c.metric in metrics and c.change]
    if not changes:
        return ""
    groups = {(slice_key(c.slice), c.klass) for c in changes}
    worse = {(slice_key(c.slice), c.klass) for c in changes if c.change == "worse"}
    better = {(slice_key(c.slice), c.klass) for c in changes if c.change == "better"}
    return p.t(
        "page1.baseline",
        worse=p.count(len(worse)),
        better=p.count(len(better)),
        groups=p.count(len(groups)),
    )


def since_release(p: Phrases) -> str:
    """The previous release's verdict, and how many checks came out worse and better since."""
    since = p.evidence.results.since
    if since is None:
        return ""
    rank = {outcome: i for i, outcome in enumerate(("fails", *UNDECIDED, "meets"))}
    moved = [
        rank[check.now.outcome] - rank[check.then.outcome]
        for check in since.checks
        if check.now is not None and check.then is not None
    ]
    return p.t(
        "page1.since",
        version=visible(since.version),
        verdict=p.t(f"verdict.{since.verdict.outcome}"),
        worse=p.count(sum(step < 0 for step in moved)),
        better=p.count(sum(step > 0 for step in moved)),
    )
