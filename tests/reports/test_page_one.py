"""Page one decides: everything that it must say stands on one page of paper, whatever the names."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pytest
from pypdf import PdfReader

from reports import page_facts, page_one, page_verdict, worst_table
from reports.document import print_html
from reports.evidence import Change, Evidence, Signer, WorstGap
from reports.pdf import write_pdf
from reports.phrases import Phrases
from reports.strings import load
from tests.reports import sample

ENGLISH = load("en")
LONG = "An unusually long name of a group that nobody would print on a badge " * 3


def pages(evidence: Evidence) -> list[str]:
    """Text of the pages of a document that holds page one and the first lines after it."""
    html = print_html(evidence)
    start = html.index('<section class="part" id="data"')
    body = re.sub(r'<nav class="toc".*?</nav>', "", html[:start], flags=re.DOTALL)  # leads to what is cut off
    body += "</main></body></html>"
    data = write_pdf(body, title="t", language="en", attachments={})
    return [" ".join(page.extract_text().split()) for page in PdfReader(io.BytesIO(data)).pages]


def long_names(evidence: Evidence) -> Evidence:
    """The same evidence with a name, a purpose, a path, rules and groups that are far too long."""
    findings = [
        f.model_copy(
            update={
                "slice": {name: f"{value} {LONG}" for name, value in f.slice.items() if value is not None}
            }
        )
        for f in evidence.findings
    ]
    rules = [
        rule.model_copy(update={"sentence": f"{rule.sentence} {LONG * 3}"}) for rule in evidence.policy.rules
    ]
    inputs = [x.model_copy(update={"path": "folder/" * 60 + x.path}) for x in evidence.run.inputs]
    subject = evidence.subject.model_copy(update={"name": LONG, "purpose": LONG * 5, "version": LONG})
    associations = [a.model_copy(update={"sentence": LONG * 4}) for a in evidence.data.associations] * 9
    return evidence.model_copy(
        update={
            "subject": subject,
            "findings": findings,
            "policy": evidence.policy.model_copy(update={"rules": rules}),
            "run": evidence.run.model_copy(update={"inputs": inputs}),
            "data": evidence.data.model_copy(update={"associations": associations}),
        }
    )


def everything_fails(evidence: Evidence) -> Evidence:
    """All checks of the evidence fail: more rows than page one can hold."""
    findings = [f.model_copy(update={"outcome": "fails"}) for f in evidence.findings if f.value is not None]
    verdict = evidence.verdict.model_copy(
        update={"fails": len(findings), "meets": 0, "cannot_tell": 0, "not_enough_data": 0, "not_tested": 0}
    )
    return evidence.model_copy(update={"findings": findings, "verdict": verdict})


def on_letter(evidence: Evidence) -> Evidence:
    return evidence.model_copy(update={"report": evidence.report.model_copy(update={"paper": "Letter"})})


@pytest.mark.parametrize(
    "build",
    [
        sample.evidence,
        sample.without_failures,
        sample.hostile,
        lambda: long_names(sample.evidence()),
        lambda: everything_fails(sample.several_classes()),
        lambda: on_letter(long_names(everything_fails(sample.evidence()))),
    ],
    ids=["sample", "no failure", "hostile", "long names", "all fail, classes", "letter, long, all fail"],
)
def test_page_one_holds_all_that_decides(build: Callable[[], Evidence]) -> None:
    evidence = build()
    found = pages(evidence)
    first = found[0]
    verdict = ENGLISH(f"verdict.{evidence.verdict.outcome}")
    for text in (
        verdict,
        "Purpose", "Version", "Operating threshold", "Test set", "Collected", "Audited",
        evidence.policy.sha256[:12] if evidence.policy.sha256 else "",
        "not shown to predate the data",
        "Fails", "Cannot tell", "Not enough data", "Not tested", "Meets",
        "What this report does not show",
        "Decision", "Sign-off owner", "Second reader", "Signature",
    ):  # fmt: skip
        assert text in first
    assert first.count("not signed") == 2
    assert first.count("released · not released") == 2
    assert found[1].startswith("Intended use")
    assert len(found) == 2
    assert "not signed" not in found[1]


def test_page_one_names_what_fails_worst_first() -> None:
    evidence = sample.evidence()
    first = pages(evidence)[0]
    failing = sorted(
        (f for f in evidence.findings if f.outcome == "fails" and f.kind == "floor"),
        key=lambda f: f.value or 0,
    )
    p = Phrases(evidence, ENGLISH)
    places = [first.index(p.finding_group(f)) for f in failing]
    assert len(failing) >= 2
    assert places == sorted(places)
    for f in failing:
        assert f"{f.value:.1%}" in first


def test_at_most_ten_rows_and_the_rest_is_counted() -> None:
    evidence = everything_fails(sample.several_classes())
    made = page_one.build(Phrases(evidence, ENGLISH))
    rows = sum(len(block.lines) for block in made.blocks)
    assert 5 <= rows <= worst_table.MOST_ROWS
    left = evidence.verdict.fails - rows
    assert made.more[0] == f"{left} more checks fail: see “Findings”."


def test_without_failures_what_could_not_be_decided_comes_first() -> None:
    made = page_one.build(Phrases(sample.without_failures(), ENGLISH))
    assert made.heading.startswith("What could not be decided")
    outcomes = [line.outcome for block in made.blocks for line in block.lines]
    assert outcomes[0] == "not_enough_data"
    assert "meets" in outcomes


def test_every_shown_row_keeps_its_printed_interval_on_its_side() -> None:
    evidence = sample.evidence()
    for finding in evidence.findings:
        if finding.kind != "floor" or finding.limit is None or finding.high is None or finding.low is None:
            continue
        low, high = re.findall(r"[\d.]+", Phrases(evidence, ENGLISH).finding_interval(finding))
        limit = finding.limit * 100
        if finding.outcome == "fails":
            assert float(high) < limit
        elif finding.outcome == "meets":
            assert float(low) >= limit
        elif finding.outcome == "cannot_tell":
            assert float(low) < limit <= float(high)


def test_no_rule_is_never_worded_as_a_pass() -> None:
    evidence = sample.evidence()
    bare = evidence.model_copy(
        update={
            "findings": [],
            "policy": evidence.policy.model_copy(update={"rules": [], "sha256": None}),
            "verdict": evidence.verdict.model_copy(
                update=dict.fromkeys(("meets", "fails", "cannot_tell", "not_enough_data", "not_tested"), 0)
                | {"outcome": "no_rule"}
            ),
        }
    )
    made = page_one.build(Phrases(bare, ENGLISH))
    assert made.verdict == "No release rule was given"
    assert "no approval" in made.gloss
    assert made.heading.startswith("Lowest figures first")
    assert made.blocks[0].lines[0].word == "Not judged"
    assert "Meets" not in " ".join([made.verdict, made.gloss, made.rule, made.heading, *made.more])


LOCK = {"date": "2025-12-03", "signed_by": "A. Owner", "log": "not_seen"}


@pytest.mark.parametrize(
    ("change", "fixed"),
    [({}, True), ({"log": "seen"}, False), ({"sha256": "0" * 64}, False), ({"date": ""}, False)],
    ids=["shown", "log already seen", "another policy", "undated"],
)
def test_fixed_before_the_data_only_where_the_lock_shows_it(change: dict[str, str], fixed: bool) -> None:
    evidence = sample.evidence()
    lock = {"sha256": evidence.policy.sha256 or "", **LOCK, **change}
    locked = evidence.model_copy(update={"policy": evidence.policy.model_copy(update={"lock": lock})})
    text = page_facts.predates(Phrases(locked, ENGLISH))
    assert ("fixed before the data" in text) == fixed
    assert ("not shown to predate the data" in text) != fixed


def test_generated_facts_name_what_is_missing_and_what_goes_together() -> None:
    evidence = sample.evidence()
    facts = page_facts.unshown(Phrases(evidence, ENGLISH))
    text = " ".join(facts)
    assert "scanner and site cannot be told apart" in text
    assert "“sex” is not recorded for 6." in text
    assert "They are associations" in text
    made = page_one.build(Phrases(evidence, ENGLISH))
    assert "corrected for the number of checks of its kind" in made.lead
    assert "(column “patient_id”; the intervals allow for them)" in made.facts[1].text


def gap(attribute: str, metric: str, value: float, low: float) -> WorstGap:
    return WorstGap(
        attribute=attribute, klass=None, metric=metric, value=value, low=low, high=value + 0.1, highest="A",
        lowest="B", groups=2, method="m",
    )  # fmt: skip


def with_gaps(*gaps: WorstGap) -> Evidence:
    evidence = sample.evidence()
    results = evidence.results.model_copy(update={"worst_gaps": list(gaps)})
    return evidence.model_copy(update={"results": results})


def test_the_largest_gap_that_no_rule_looks_at_is_named() -> None:
    """The surest first; recall by scanner has a rule, precision by age has none."""
    judged = gap("scanner", "recall", 0.4, 0.3)
    assert any(
        set(f.slice) == {"scanner"} and f.metric == "recall" and f.outcome != "not_tested"
        for f in sample.evidence().findings
    )
    evidence = with_gaps(
        judged, gap("age", "precision", 0.2, 0.05), gap("sex", "npv", 0.1, 0.07), gap("sex", "fnr", 0.5, 0.0)
    )
    (text,) = (fact.replace("\u00a0", " ") for fact in page_facts.unjudged(Phrases(evidence, ENGLISH)))
    assert "Negative predictive value by sex, A against B: +10.0 pts (+7.0 to +20.0 pts)" in text
    assert "1 more is shown to be there" in text
    assert text.split(":")[0] in pages(evidence)[0]


def test_a_gap_that_may_be_none_is_not_called_one() -> None:
    evidence = with_gaps(gap("scanner", "recall", 0.4, 0.3), gap("sex", "npv", 0.1, 0.0))
    (text,) = page_facts.unjudged(Phrases(evidence, ENGLISH))
    assert text.startswith("No gap that no rule looks at is shown to differ from zero")
    assert page_facts.unjudged(Phrases(with_gaps(gap("scanner", "recall", 0.4, 0.3)), ENGLISH)) == []


def test_what_the_model_reacts_to_is_named_on_page_one() -> None:
    evidence = sample.evidence()
    driving = {c.concept for c in evidence.results.concepts if c.verdict == "drives" and not c.slice}
    text = page_facts.reacts_to(Phrases(evidence, ENGLISH))
    assert driving
    assert all(f"“{name}”" in text for name in driving)
    calm = [c.model_copy(update={"verdict": "no_effect_shown"}) for c in evidence.results.concepts]
    results = evidence.results.model_copy(update={"concepts": calm})
    text = page_facts.reacts_to(Phrases(evidence.model_copy(update={"results": results}), ENGLISH))
    assert text.startswith("No concept is shown to drive a class")


def test_what_was_not_tested_is_named() -> None:
    evidence = sample.evidence()
    p = Phrases(evidence, ENGLISH)
    absent = next(f for f in evidence.findings if f.outcome == "not_tested")
    assert any(
        "could not be made" in fact and p.finding_group(absent) in fact for fact in page_facts.unshown(p)
    )


def test_one_side_of_a_gap_between_two_groups_stands_for_both() -> None:
    """With two values, the gap of each to everybody else is the same one, seen from either side."""
    evidence = sample.without_failures()
    open_gap = next(f for f in evidence.findings if f.kind == "gap" and f.value is not None).model_copy(
        update={"outcome": "cannot_tell", "slice": {"sex": "F"}, "value": 0.03, "low": -0.01, "high": 0.07}
    )
    other = open_gap.model_copy(update={"slice": {"sex": "M"}, "value": -0.03, "low": -0.07, "high": 0.01})
    third = open_gap.model_copy(update={"slice": {"sex": None}, "value": -0.031})
    assert worst_table.mirrored(other, [open_gap])
    assert not worst_table.mirrored(third, [open_gap])
    assert not worst_table.mirrored(other.model_copy(update={"klass": "a"}), [open_gap])
    both = evidence.model_copy(update={"findings": [open_gap, other]})
    verdict = evidence.verdict.model_copy(update={"cannot_tell": 2, "not_enough_data": 0, "not_tested": 0})
    made = page_one.build(Phrases(both.model_copy(update={"verdict": verdict}), ENGLISH))
    assert sum(len(block.lines) for block in made.blocks) == 1
    assert made.more[0] == "1 more check could not be decided: see “Findings”."


def test_where_no_rule_looks_at_a_class_the_spread_of_the_classes_is_told() -> None:
    evidence = sample.several_classes()
    assert page_facts.unjudged_classes(Phrases(evidence, ENGLISH)) == []
    over_all = [f.model_copy(update={"klass": None}) for f in evidence.findings]
    (text,) = page_facts.unjudged_classes(
        Phrases(evidence.model_copy(update={"findings": over_all}), ENGLISH)
    )
    recalls = {
        e.value: r.klass
        for r in evidence.results.overall
        for e in r.estimates
        if e.metric == "recall" and e.value is not None
    }
    low, high = min(recalls), max(recalls)
    span = f"from {low:.1%} ({recalls[low]}) to {high:.1%} ({recalls[high]})"
    assert text.endswith(f"{span}; precision may tell another story.")


def test_each_broken_rule_has_a_line_with_its_worst_group_and_open_ones_are_named() -> None:
    evidence = sample.evidence()
    p = Phrases(evidence, ENGLISH)
    made = page_one.build(p)
    broken = {f.rule for f in evidence.findings if f.outcome == "fails"}
    assert len(made.rules) == min(len(broken), page_verdict.MOST_RULES)
    for line in made.rules:
        assert line.name in p.rule_names.values()
        assert line.text.startswith("fails in ")
    open_ones = [
        r.id
        for r in evidence.policy.rules
        if r.id not in broken and any(f.rule == r.id and f.outcome != "meets" for f in evidence.findings)
    ]
    assert open_ones
    assert all(p.rule_names[rule] in page_verdict.open_besides(p) for rule in open_ones)
    first = pages(evidence)[0]
    for line in made.rules:
        assert line.name in first


def test_without_a_failure_each_open_rule_has_a_line() -> None:
    evidence = sample.without_failures()
    made = page_one.build(Phrases(evidence, ENGLISH))
    undecided = {f.rule for f in evidence.findings if f.outcome not in ("meets", "fails")}
    assert len(undecided) >= 2
    assert len(made.rules) == min(len(undecided), page_verdict.MOST_RULES)
    assert all(line.text.startswith(("open in ", "not tested: ")) for line in made.rules)


def test_the_table_says_which_interval_its_bars_are_and_marks_those_of_another_kind() -> None:
    """Reviewer's finding: rows of a joint interval stood under “Intervals: 95%”."""
    evidence = sample.evidence()
    findings = [
        f.model_copy(update={"level": 0.998 if f.outcome == "fails" else 0.95})
        for f in evidence.findings
        if f.low is not None and f.kind != "concept" and f.outcome in ("fails", "cannot_tell")
    ]
    made = page_one.build(Phrases(evidence.model_copy(update={"findings": findings}), ENGLISH))
    assert "corrected for the number of checks of its kind (*: not corrected)" in made.lead
    rows = [row for block in made.blocks for row in block.lines]
    assert {row.interval.endswith("*") for row in rows if row.outcome == "fails"} == {False}
    assert {row.interval.endswith("*") for row in rows if row.outcome == "cannot_tell"} == {True}
    joint = [f.model_copy(update={"level": 0.998}) for f in findings]
    made = page_one.build(Phrases(evidence.model_copy(update={"findings": joint}), ENGLISH))
    assert made.lead.endswith("corrected for the number of checks of its kind.")
    assert not any(row.interval.endswith("*") for block in made.blocks for row in block.lines)


@pytest.mark.parametrize(
    ("needed", "note", "cell"),
    [
        (87, "≈ 87 more positives", "≈ 87"),
        (5384, "≈ 5,400 more positives", "≈ 5,400"),
        (4_470_431, "practically not decidable", "practically not decidable: the figure lies on the limit"),
    ],
)
def test_a_number_of_further_cases_is_no_more_exact_than_it_can_be(needed: int, note: str, cell: str) -> None:
    evidence = sample.evidence()
    finding = next(f for f in evidence.findings if f.metric == "recall" and f.value is not None)
    p = Phrases(evidence, ENGLISH)
    planned = finding.model_copy(update={"needed_n": needed, "outcome": "cannot_tell"})
    assert p.needed_note(planned) == note
    assert p.needed(planned) == cell


def test_a_long_name_stands_in_full_under_intended_use() -> None:
    evidence = long_names(sample.evidence())
    made = page_one.build(Phrases(evidence, ENGLISH))
    assert made.title.endswith("…")
    assert "“Intended use”" in made.more[-1]
    assert "“Provenance”" in made.more[-1]
    assert evidence.subject.name.strip() in pages(evidence)[1]
    assert not any("…" in text for text in page_one.build(Phrases(sample.evidence(), ENGLISH)).more)


def test_the_test_set_has_its_name_and_the_signers_theirs() -> None:
    evidence = sample.evidence()
    report = evidence.report.model_copy(
        update={"sign_off": [Signer(role="Head of quality", name="Dr. A. Owner"), Signer(role="Clinic")]}
    )
    data = evidence.data.model_copy(update={"name": "CXR-T5"})
    first = pages(evidence.model_copy(update={"report": report, "data": data}))[0]
    assert re.search(r"CXR-T5: [\d,]+ rows", first)
    for text in ("Head of quality", "Dr. A. Owner", "Clinic"):
        assert text in first
    assert first.count("not signed") == 2
    assert "Second reader" not in first


def test_baseline_and_previous_release_leave_a_line() -> None:
    evidence = sample.evidence()
    lines = page_verdict.trace(Phrases(evidence, ENGLISH))
    expected = (1 if evidence.results.since else 0) + (
        1 if any(c.slice and c.change for c in evidence.results.changes) else 0
    )
    assert len(lines) == expected
    change = Change.model_validate(
        {
            "slice": {"sex": "F"}, "class": None, "metric": "recall", "p_value": 0.01, "change": "worse",
            "difference": {"value": -0.1, "low": -0.2, "high": -0.01}, "changed": 9, "method": "m",
        }
    )  # fmt: skip
    better = change.model_copy(update={"slice": {"sex": "M"}, "change": "better"})
    results = evidence.results.model_copy(update={"changes": [change, better]})
    text = page_verdict.against_baseline(Phrases(evidence.model_copy(update={"results": results}), ENGLISH))
    assert "worse in 1 of 2 groups, better in 1" in text


def test_rules_that_read_the_same_are_told_apart() -> None:
    evidence = sample.evidence()
    first = next(rule for rule in evidence.policy.rules if rule.kind == "floor")
    twin = first.model_copy(update={"id": "twin"})
    policy = evidence.policy.model_copy(update={"rules": [*evidence.policy.rules, twin]})
    names = Phrases(evidence.model_copy(update={"policy": policy}), ENGLISH).rule_names
    assert names["twin"].endswith("(rule “twin”)")
    assert names[first.id].endswith(f"(rule “{first.id}”)")
    assert len(set(names.values())) == len(names)
