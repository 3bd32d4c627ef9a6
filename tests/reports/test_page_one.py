"""Page one decides: everything that it must say stands on one page of paper, whatever the names."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pytest
from pypdf import PdfReader

from reports import page_one
from reports.document import print_html
from reports.evidence import Evidence
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
    body = html[:start] + "</main></body></html>"
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
    assert 5 <= rows <= page_one.MOST_ROWS
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
    text = page_one.predates(Phrases(locked, ENGLISH))
    assert ("fixed before the data" in text) == fixed
    assert ("not shown to predate the data" in text) != fixed


def test_generated_facts_name_what_is_missing_and_what_goes_together() -> None:
    evidence = sample.evidence()
    facts = page_one.unshown(Phrases(evidence, ENGLISH))
    text = " ".join(facts)
    assert "scanner and site cannot be told apart" in text
    assert "“sex” is not recorded for 6." in text
    assert f"With {evidence.policy.family} figures tested" in text
    assert "They are associations" in text
    assert "patient_id are not independent" in text
