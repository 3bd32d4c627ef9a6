"""JUnit XML: one test case a finding, so that a pipeline shows the release policy beside its other tests.

A finding that fails is a ``failure``. One that is undecided (cannot tell, not enough data, not tested)
is an ``error``: the test could not come to a result. It is not ``skipped``, since pipelines show skipped
tests as green, and a run that cannot be decided returns 3, not 0.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from reports.evidence import Evidence, Finding
from reports.forms.wording import (
    OUTCOMES,
    VERDICTS,
    decided,
    finding_name,
    finding_sentence,
    in_xml,
)

FILE = "junit.xml"


def render(evidence: Evidence) -> dict[str, bytes]:
    """The findings as JUnit XML; no clock time, host or duration."""
    title = in_xml(f"xaudit: {evidence.subject.name}")
    root = Element("testsuites", {"name": title, **_tally(evidence.findings)})
    sentences = {rule.id: rule.sentence for rule in evidence.policy.rules}
    for rule, findings in _by_rule(evidence.findings).items():
        suite = SubElement(root, "testsuite", {"name": in_xml(rule), "skipped": "0", **_tally(findings)})
        properties = SubElement(suite, "properties")
        for name, value in _facts(evidence, sentences.get(rule, "")).items():
            SubElement(properties, "property", name=name, value=in_xml(value))
        for finding in findings:
            _add_case(suite, finding)
    indent(root)
    return {FILE: b'<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="utf-8") + b"\n"}


def _by_rule(findings: list[Finding]) -> dict[str, list[Finding]]:
    grouped: dict[str, list[Finding]] = {}
    for finding in findings:
        grouped.setdefault(finding.rule, []).append(finding)
    return grouped


def _facts(evidence: Evidence, sentence: str) -> dict[str, str]:
    log = next((each.sha256 for each in evidence.run.inputs if each.role == "log"), "")
    return {
        "rule": sentence,
        "verdict": VERDICTS[evidence.verdict.outcome],
        "subject.version": evidence.subject.version,
        "policy.sha256": evidence.policy.sha256 or "",
        "log.sha256": log,
        "xaudit.version": evidence.run.xaudit_version,
    }


def _tally(findings: list[Finding]) -> dict[str, str]:
    kinds = [decided(finding.outcome) for finding in findings]
    return {
        "tests": str(len(kinds)),
        "failures": str(kinds.count("fails")),
        "errors": str(kinds.count("undecided")),
    }


def _add_case(suite: Element, finding: Finding) -> None:
    case = SubElement(
        suite,
        "testcase",
        classname=in_xml(f"xaudit.{finding.rule}"),
        name=in_xml(finding_name(finding)),
        status=OUTCOMES[finding.outcome],
    )
    sentence = in_xml(finding_sentence(finding))
    kind = decided(finding.outcome)
    if kind == "meets":
        SubElement(case, "system-out").text = sentence
        return
    tag = "failure" if kind == "fails" else "error"
    problem = SubElement(case, tag, type=finding.outcome, message=f"{OUTCOMES[finding.outcome]}: {sentence}")
    problem.text = sentence
