"""Model card: Markdown with YAML metadata, as model hubs read it; the sections of Mitchell et al. (2019).

What only people can say comes from ``[card]`` in the configuration; what they left out is printed as
left out. Values from the log are escaped: none can become markup, a link or HTML.

References
----------
Mitchell et al. (2019), Model Cards for Model Reporting, section 4.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from reports.evidence import Estimate, Evidence, Finding, SliceRecord
from reports.forms.wording import (
    OUTCOMES,
    VERDICTS,
    finding_name,
    finding_sentence,
    metric_name,
    metric_scale,
    slice_name,
    weights_sha256,
)
from reports.glyphs import code_point
from reports.rounding import interval_text, shown
from reports.strings import ENGLISH

FILE = "MODEL_CARD.md"
LEFT_OUT = "*Not provided.*"
MOST_ROWS = 400  # a page of Markdown; the rest is in evidence.json

# Inline markup; the "://" and "www." of links that renderers make unasked; and what starts a block.
_SPECIAL = re.compile(r"[\\`*_\[\]|~&$@]|:(?=//)|(?<=www)\.|^[#+\-=:]|(?<=^\d)[.)]", re.IGNORECASE)
_WORST_FIRST = ("fails", "cannot_tell", "not_enough_data", "not_tested")


def render(evidence: Evidence) -> dict[str, bytes]:
    """The model card in UTF-8."""
    return {
        FILE: ("---\n" + metadata(evidence) + "---\n\n" + "\n\n".join(_sections(evidence)) + "\n").encode()
    }


def escaped(text: str) -> str:
    """Text that Markdown and HTML show as it is: on one line, every sign of markup made harmless."""
    visible = "".join(
        code_point(c) if (c < " " or "\x7f" <= c <= "\x9f" or c in _INVISIBLE) else c for c in text
    )
    shielded = _SPECIAL.sub(r"\\\g<0>", visible)
    return shielded.replace("<", "&lt;").replace(">", "&gt;")


_INVISIBLE = {chr(code) for code in (*range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070))}


def metadata(evidence: Evidence) -> str:
    """The card's YAML: tags and a model index with the overall figures."""
    log = next(each for each in evidence.run.inputs if each.role == "log")
    detection = evidence.data.task == "detection"
    task = {"type": "object-detection"} if detection else {"type": "other", "name": evidence.data.task}
    results = []
    for record in evidence.results.overall:
        metrics = [
            {"type": each.metric, "value": each.value, "name": metric_name(each.metric)}
            for each in record.estimates
            if each.value is not None
        ]
        dataset = {"type": "custom", "name": log.path, "revision": log.sha256}
        if record.klass is not None:
            dataset["config"] = record.klass
        if metrics:
            results.append({"task": task, "dataset": dataset, "metrics": metrics})
    document: dict[str, object] = {"language": ENGLISH, "tags": ["xaudit", "model-card"]}
    if results:
        document["model-index"] = [{"name": evidence.subject.name, "results": results}]
    return _yaml(document, 0)


def _yaml(value: object, depth: int) -> str:
    """Block YAML of mappings and lists; scalars as JSON, which is YAML."""
    pad = "  " * depth
    if isinstance(value, Mapping):
        lines = []
        for key, inner in value.items():
            if isinstance(inner, Mapping | list):
                lines.append(f"{pad}{key}:\n{_yaml(inner, depth + 1)}")
            else:
                lines.append(f"{pad}{key}: {_scalar(inner)}\n")
        return "".join(lines)
    if isinstance(value, list):
        items = []
        for inner in value:
            if isinstance(inner, Mapping | list):
                block = _yaml(inner, depth + 1)
                items.append(f"{pad}- " + block[len(pad) + 2 :])
            else:
                items.append(f"{pad}- {_scalar(inner)}\n")
        return "".join(items)
    raise TypeError(f"{type(value).__name__} is not a mapping or a list")


def _scalar(value: object) -> str:
    if not isinstance(value, str):
        return json.dumps(value, allow_nan=False)
    # YAML 1.2, production [1]: what is not printable is written as an escape, which JSON does below 0x20.
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(
        c
        if " " <= c <= "~" or "\xa0" <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff"
        else f"\\u{ord(c):04x}"
        for c in quoted
    )


def _sections(evidence: Evidence) -> Iterable[str]:
    subject, card = evidence.subject, evidence.subject.card

    def told(key: str) -> str:
        return escaped(card[key]) if key in card else LEFT_OUT

    yield f"# {escaped(subject.name)}"
    yield _verdict(evidence)
    yield "## Model details"
    yield _bullets(
        {
            "Version": escaped(subject.version),
            "Date": escaped(subject.date) if subject.date else LEFT_OUT,
            "Weights (SHA-256)": f"`{weights}`"
            if (weights := weights_sha256(evidence))
            else "not read in this run",
            "Contact": told("contact"),
        }
    )
    yield "## Intended use"
    yield _bullets(
        {
            "Purpose": escaped(subject.purpose),
            "Primary intended uses": told("intended_use"),
            "Primary intended users": told("users"),
            "Out of scope": told("out_of_scope"),
        }
    )
    yield "## Factors"
    yield _factors(evidence)
    yield "## Metrics"
    yield _metrics(evidence)
    yield "## Evaluation data"
    yield _evaluation_data(evidence, told("reference_standard"), told("independence"))
    yield "## Training data"
    yield told("training_data")
    yield "## Quantitative analyses"
    yield from _analyses(evidence)
    yield "## Ethical considerations"
    yield f"{told('ethical')}\n\nMitigations: {told('mitigations')}"
    yield "## Caveats and recommendations"
    yield _caveats(evidence)
    yield (
        f"Made by xaudit {escaped(evidence.run.xaudit_version)} from `evidence.json`, "
        f"which holds every figure; rebuild the run with `{evidence.run.command.replace('`', '')}`."
    )


def _verdict(evidence: Evidence) -> str:
    verdict = evidence.verdict
    tally = ", ".join(f"{getattr(verdict, outcome)} {word}" for outcome, word in OUTCOMES.items())
    sentence = f" {escaped(verdict.sentence)}" if verdict.sentence else ""
    lines = [f"**Audit verdict: {VERDICTS[verdict.outcome]}.**{sentence}", f"Findings: {tally}."]
    return "\n\n".join(lines)


def _bullets(items: Mapping[str, str]) -> str:
    return "\n".join(f"- **{name}:** {text}" for name, text in items.items())


def _factors(evidence: Evidence) -> str:
    rows = [
        (escaped(each.name), each.kind, str(len(each.values)), f"{each.missing:,}")
        for each in evidence.data.attributes
    ]
    return _table(("Attribute", "Kind", "Values", "Cases where it is not recorded"), rows)


def _metrics(evidence: Evidence) -> str:
    data = evidence.data
    threshold = "not stated"
    if data.threshold is not None:
        threshold = f"score {data.tie or ''} {data.threshold!r}".replace("  ", " ")
    rules = [f"- {escaped(rule.sentence)}" for rule in evidence.policy.rules] or [
        "- No release rule was given."
    ]
    method = [f"- {escaped(sentence)}" for sentence in evidence.method.sentences]
    return "\n".join(
        [
            f"Decision threshold: {escaped(threshold)}. Intervals at {100 * evidence.run.confidence:.6g}%.",
            "",
            "Release rules:",
            "",
            *rules,
            *(["", "Method:", "", *method] if method else []),
        ]
    )


def _evaluation_data(evidence: Evidence, reference: str, independence: str) -> str:
    data = evidence.data
    log = next(each for each in evidence.run.inputs if each.role == "log")
    items = {
        "Log": f"{escaped(log.path)}, SHA-256 `{log.sha256}`",
        "Rows": f"{data.rows:,}, of which {data.rows_used:,} were used",
        "Collected": escaped(" to ".join(data.collected)) if data.collected else LEFT_OUT,
        "Reference standard": reference,
        "Independence of test and training data": independence,
    }
    if data.clusters is not None:
        items["Clusters"] = f"{data.clusters:,} ({escaped(data.cluster or 'cluster')})"
    excluded = [
        (escaped(each.reason), escaped(slice_name(each.slice)), f"{each.rows:,}") for each in data.excluded
    ]
    text = _bullets(items)
    return text + ("\n\n" + _table(("Left out because", "Where", "Rows"), excluded) if excluded else "")


def _analyses(evidence: Evidence) -> Iterable[str]:
    tested = list(dict.fromkeys(rule.metric for rule in evidence.policy.rules if rule.metric))
    present = {each.metric for record in evidence.results.overall for each in record.estimates}
    metrics = [metric for metric in tested if metric in present] or sorted(present)[:4]
    one_way = [record for record in evidence.results.slices if len(record.slice) == 1]
    crossed = [record for record in evidence.results.slices if len(record.slice) > 1]
    yield "### Overall and unitary results"
    yield _estimates(evidence.results.overall + one_way, metrics)
    if crossed:
        yield "### Intersectional results"
        yield _estimates(crossed, metrics)
    open_findings = [each for key in _WORST_FIRST for each in evidence.findings if each.outcome == key]
    if open_findings:
        yield "### Findings that do not meet a rule"
        yield _findings(open_findings)
    if evidence.results.concepts:
        yield "### What the model leans on"
        yield "Concept tests are associations, not causes."
        yield _concepts(evidence)


def _estimates(records: Sequence[SliceRecord], metrics: Sequence[str]) -> str:
    head = ("Group", "Cases", *(metric_name(metric) for metric in metrics))
    rows = []
    for record in records[:MOST_ROWS]:
        found = {each.metric: each for each in record.estimates}
        name = escaped(slice_name(record.slice, record.klass))
        rows.append((name, f"{record.n:,}", *(_estimate(found.get(metric)) for metric in metrics)))
    text = _table(head, rows)
    left = len(records) - MOST_ROWS
    return text + (f"\n\n{left:,} more groups are in `evidence.json`." if left > 0 else "")


def _estimate(estimate: Estimate | None) -> str:
    if estimate is None:
        return "not computed"
    if estimate.value is None:
        return f"undefined: {escaped(estimate.undefined or 'no reason given')}"
    scale = metric_scale(estimate.metric)
    digits = 1 if scale == "percent" else 3
    text = shown(estimate.value, scale=scale, digits=digits)
    if estimate.low is None or estimate.high is None:
        return f"{text} (no interval)"
    limits = interval_text(estimate.low, estimate.high, scale=scale, digits=digits, joiner=" to ")
    return f"{text} ({limits})"


def _findings(findings: Sequence[Finding]) -> str:
    rows = [
        (
            OUTCOMES[each.outcome],
            escaped(each.rule),
            escaped(finding_name(each)),
            escaped(finding_sentence(each)),
        )
        for each in findings[:MOST_ROWS]
    ]
    text = _table(("Outcome", "Rule", "What", "Figures"), rows)
    left = len(findings) - MOST_ROWS
    return text + (f"\n\n{left:,} more findings are in `evidence.json`." if left > 0 else "")


_CONCEPT_VERDICTS = {
    "drives": "drives the class",
    "opposes": "speaks against the class",
    "no_effect_shown": "no effect shown",
    "not_learnt": "not learnt, so not testable",
}


def _concepts(evidence: Evidence) -> str:
    rows = []
    for each in evidence.results.concepts[:MOST_ROWS]:
        p = (
            ""
            if each.p_adjusted is None
            else shown(each.p_adjusted, scale="number", digits=3, barriers=[0.0])
        )
        verdict = _CONCEPT_VERDICTS[each.verdict]
        where = escaped(slice_name(each.slice, each.klass))
        rows.append((escaped(each.concept), where, escaped(each.layer), verdict, p))
    return _table(("Concept", "Where", "Layer", "Result", "Adjusted p"), rows)


def _caveats(evidence: Evidence) -> str:
    lines = [
        f"- {escaped(each.what)} Affected: {escaped(each.who)} ({escaped(each.size)}). "
        f"Known from: {escaped(each.how_known)}. To do: {escaped(each.what_to_do)}"
        for each in evidence.limitations
    ]
    lines += [f"- {escaped(each.sentence)}" for each in evidence.data.associations]
    return "\n".join(lines) or "No limitation was recorded."


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)
