"""in-toto: the verdict as a Statement v1 with the test-result predicate v0.1, ready to be signed.

The subject is the model's weights (where the run read them) and the evidence document. The statement is
unsigned: signing it in a DSSE envelope is for whoever releases. ``PASSED`` is written only where every
finding meets; a run that cannot be decided, or that had no rule, is ``WARNED``, with its findings in
``warnedTests``: a verifier that asks for ``PASSED`` refuses both.

References
----------
in-toto Attestation Framework, Statement v1; predicate test-result v0.1.
"""

from __future__ import annotations

import hashlib
import json

from reports.evidence import Evidence, VerdictOutcome, to_bytes
from reports.forms.wording import Decided, decided, finding_name

FILE = "attestation.intoto.json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"
RESULTS: dict[VerdictOutcome, str] = {
    "meets": "PASSED",
    "does_not_meet": "FAILED",
    "cannot_be_decided": "WARNED",
    "no_rule": "WARNED",
}
LISTS: dict[Decided, str] = {"meets": "passedTests", "undecided": "warnedTests", "fails": "failedTests"}


def render(evidence: Evidence) -> dict[str, bytes]:
    """The statement as canonical JSON."""
    text = json.dumps(statement(evidence), ensure_ascii=False, sort_keys=True, indent=1, allow_nan=False)
    return {FILE: (text + "\n").encode()}


def statement(evidence: Evidence) -> dict[str, object]:
    """The statement as a document."""
    inputs = evidence.run.inputs
    subject = [_resource(each.path, each.sha256) for each in inputs if each.role == "weights"]
    subject.append(_resource("evidence.json", hashlib.sha256(to_bytes(evidence)).hexdigest()))
    tests: dict[str, list[str]] = {name: [] for name in LISTS.values()}
    for finding in evidence.findings:
        tests[LISTS[decided(finding.outcome)]].append(f"{finding.rule}: {finding_name(finding)}")
    return {
        "_type": STATEMENT,
        "subject": subject,
        "predicateType": PREDICATE,
        "predicate": {
            "result": RESULTS[evidence.verdict.outcome],
            "configuration": [_resource(each.path, each.sha256) for each in inputs if each.role != "weights"],
            **tests,
            "xaudit": {
                "verdict": evidence.verdict.outcome,
                "policySha256": evidence.policy.sha256,
                "version": evidence.run.xaudit_version,
            },
        },
    }


def _resource(name: str, sha256: str) -> dict[str, object]:
    return {"name": name, "digest": {"sha256": sha256}}
