"""CycloneDX 1.7: a machine-learning bill of materials whose model card holds every estimate.

``modelCard.quantitativeAnalysis`` has each metric of each slice with its interval; ``declarations`` has
the release policy as a standard of its own, each rule a requirement, each rule's result a claim.
Undefined estimates have no value to give and are counted in a property. Written by hand: the Python
library has no model card.

References
----------
ECMA-424, second edition (CycloneDX 1.7): modelCard, performanceMetric, declarations.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections import Counter

from reports.evidence import Evidence, Finding, Rule, SliceRecord, to_bytes
from reports.forms.wording import (
    OUTCOMES,
    VERDICTS,
    decided,
    finding_name,
    finding_sentence,
    metric_name,
    slice_name,
    weights_sha256,
)

FILE = "model.cdx.json"
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://cyclonedx.org/schema/bom-1.7")

Json = dict[str, object]


def render(evidence: Evidence) -> dict[str, bytes]:
    """The bill of materials as canonical JSON; its serial number is derived from the evidence's hash."""
    text = json.dumps(bill(evidence), ensure_ascii=False, sort_keys=True, indent=1, allow_nan=False)
    return {FILE: (text + "\n").encode()}


def bill(evidence: Evidence) -> Json:
    """The bill of materials as a document."""
    digest = hashlib.sha256(to_bytes(evidence)).hexdigest()
    tool = {"type": "application", "name": "xaudit", "version": evidence.run.xaudit_version}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.7.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.7",
        "serialNumber": f"urn:uuid:{uuid.uuid5(NAMESPACE, digest)}",
        "version": 1,
        "metadata": {"tools": {"components": [tool]}, "component": _model(evidence)},
        "definitions": {"standards": [_policy(evidence)]},
        "declarations": _declarations(evidence, digest),
    }


def _model(evidence: Evidence) -> Json:
    subject, weights = evidence.subject, weights_sha256(evidence)
    component: Json = {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": subject.name,
        "version": subject.version,
        "description": subject.purpose,
        "modelCard": _card(evidence),
        "properties": [
            {"name": f"xaudit:{name}", "value": value} for name, value in _properties(evidence).items()
        ],
    }
    if weights is not None:
        component["hashes"] = [{"alg": "SHA-256", "content": weights}]
    return component


def _properties(evidence: Evidence) -> dict[str, str]:
    records = evidence.results.overall + evidence.results.slices
    undefined = sum(each.value is None for record in records for each in record.estimates)
    return {
        "verdict": VERDICTS[evidence.verdict.outcome],
        "confidence": repr(evidence.run.confidence),
        "undefinedEstimates": str(undefined),
        "rowsUsed": str(evidence.data.rows_used),
    }


def _card(evidence: Evidence) -> Json:
    data, card = evidence.data, evidence.subject.card
    scope = [f"Out of scope: {card['out_of_scope']}"] if "out_of_scope" in card else []
    considerations: Json = {
        "useCases": [evidence.subject.purpose, *([card["intended_use"]] if "intended_use" in card else [])],
        "technicalLimitations": scope
        + [
            f"{each.what} Affected: {each.who} ({each.size}). Known from: {each.how_known}. {each.what_to_do}"
            for each in evidence.limitations
        ],
    }
    if "users" in card:
        considerations["users"] = [card["users"]]
    if "ethical" in card:
        considerations["ethicalConsiderations"] = [{"name": card["ethical"]}]
    at_risk = _groups_at_risk(evidence)
    if at_risk:
        considerations["fairnessAssessments"] = at_risk
    records = evidence.results.overall + evidence.results.slices
    return {
        "modelParameters": {
            "task": "object detection" if data.task == "detection" else f"{data.task} classification",
            "datasets": [
                {
                    "type": "dataset",
                    "name": each.path,
                    "description": f"Evaluated on; SHA-256 {each.sha256}.",
                }
                for each in evidence.run.inputs
                if each.role == "log"
            ],
        },
        "quantitativeAnalysis": {
            "performanceMetrics": [metric for record in records for metric in _metrics(record)]
        },
        "considerations": considerations,
    }


def _metrics(record: SliceRecord) -> list[Json]:
    metrics: list[Json] = []
    for estimate in record.estimates:
        if estimate.value is None:
            continue
        metric: Json = {"type": estimate.metric, "value": repr(estimate.value)}
        if record.slice or record.klass is not None:
            metric["slice"] = slice_name(record.slice, record.klass)
        if estimate.low is not None and estimate.high is not None:
            limits = {"lowerBound": repr(estimate.low), "upperBound": repr(estimate.high)}
            metric["confidenceInterval"] = limits
        metrics.append(metric)
    return metrics


def _groups_at_risk(evidence: Evidence) -> list[Json]:
    """Groups of people for whom a rule fails; what helps them is for people to say (``card.mitigations``)."""
    demographic = {each.name for each in evidence.data.attributes if each.kind == "demographic"}
    mitigations = evidence.subject.card.get("mitigations")
    groups: list[Json] = []
    for finding in evidence.findings:
        if finding.outcome == "fails" and finding.slice and set(finding.slice) <= demographic:
            metric = metric_name(finding.metric) if finding.metric else finding.kind.replace("_", " ")
            harm = f"Rule {finding.rule}, {metric}: {finding_sentence(finding)}"
            group: Json = {"groupAtRisk": slice_name(finding.slice, finding.klass), "harms": harm}
            if mitigations is not None:
                group["mitigationStrategy"] = mitigations
            groups.append(group)
    return groups


def _policy(evidence: Evidence) -> Json:
    standard: Json = {
        "bom-ref": "release-policy",
        "name": "Release policy",
        "description": "The release rules as configured for this run.",
        "requirements": [
            {"bom-ref": _requirement(rule), "identifier": rule.id, "text": rule.sentence}
            for rule in evidence.policy.rules
        ],
    }
    if evidence.policy.sha256 is not None:
        standard["version"] = f"sha256:{evidence.policy.sha256}"
    return standard


def _requirement(rule: Rule) -> str:
    return f"requirement:{rule.id}"


def _declarations(evidence: Evidence, digest: str) -> Json:
    by_rule: dict[str, list[Finding]] = {}
    for finding in evidence.findings:
        by_rule.setdefault(finding.rule, []).append(finding)
    claims: list[Json] = []
    maps: list[Json] = []
    for rule in evidence.policy.rules:
        findings = by_rule.get(rule.id, [])
        kinds = {decided(finding.outcome) for finding in findings}
        reasoning, name = _reasoning(findings), f"claim:{rule.id}"
        claim: Json = {"bom-ref": name, "target": "model", "predicate": rule.sentence, "reasoning": reasoning}
        entry: Json = {"requirement": _requirement(rule), "conformance": {"rationale": reasoning}}
        # Only a decided rule speaks for or against: 1 it meets, 0 it fails, never a share of groups.
        if "fails" in kinds:
            claim["counterEvidence"], entry["counterClaims"] = ["evidence.json"], [name]
            entry["conformance"] = {"score": 0, "rationale": reasoning}
        elif kinds == {"meets"}:
            claim["evidence"], entry["claims"] = ["evidence.json"], [name]
            entry["conformance"] = {"score": 1, "rationale": reasoning}
        claims.append(claim)
        maps.append(entry)
    assessor: Json = {"bom-ref": "assessor"}
    if evidence.report.organisation:
        assessor["organization"] = {"name": evidence.report.organisation}
    verdict = evidence.verdict.sentence or f"Verdict: {VERDICTS[evidence.verdict.outcome]}."
    return {
        "assessors": [assessor],
        "attestations": [{"summary": verdict, "assessor": "assessor", "map": maps}],
        "claims": claims,
        "evidence": [
            {
                "bom-ref": "evidence.json",
                "description": f"The evidence document of xaudit, SHA-256 {digest}.",
                "data": [{"name": "evidence.json", "contents": {"url": "evidence.json"}}],
            }
        ],
    }


def _reasoning(findings: list[Finding]) -> str:
    if not findings:
        return "No finding."
    tally = Counter(OUTCOMES[finding.outcome] for finding in findings)
    summary = ", ".join(f"{tally[word]} {word}" for word in OUTCOMES.values() if tally[word])
    failing = [
        f"{finding_name(finding)}: {finding_sentence(finding)}"
        for finding in findings
        if finding.outcome == "fails"
    ]
    return " ".join([f"{len(findings)} looked at: {summary}.", *failing])
