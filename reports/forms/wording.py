"""Wording: how the machine-read forms name slices, findings, outcomes and numbers. No layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from reports.evidence import Evidence, Finding, Outcome, VerdictOutcome
from reports.glyphs import code_point
from reports.rounding import Scale, interval_text, limit_text, shown

Words = Mapping[str, str | None]

OUTCOMES: dict[Outcome, str] = {
    "fails": "fails",
    "cannot_tell": "cannot tell",
    "not_enough_data": "not enough data",
    "not_tested": "not tested",
    "meets": "meets",
}
VERDICTS: dict[VerdictOutcome, str] = {
    "meets": "meets the release rule",
    "does_not_meet": "does not meet the release rule",
    "cannot_be_decided": "cannot be decided on this data",
    "no_rule": "no rule given",
}
METRICS = {
    "fpr": "false-positive rate",
    "fnr": "false-negative rate",
    "npv": "negative predictive value",
    "f1": "F1",
    "mcc": "MCC",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "ece": "expected calibration error",
    "brier": "Brier score",
}
UNSCALED = {"mcc", "auroc", "auprc", "ece", "brier"}


def metric_name(metric: str) -> str:
    """The metric in words.

    >>> metric_name("macro_fpr")
    'macro false-positive rate'
    """
    for average in ("macro", "micro"):
        if metric.startswith(f"{average}_"):
            return f"{average} {metric_name(metric.removeprefix(f'{average}_'))}"
    return METRICS.get(metric, metric.replace("_", " "))


def metric_scale(metric: str | None) -> Scale:
    """Shares are shown as percentages, the others as they are."""
    return "number" if metric in UNSCALED else "percent"


def slice_name(values: Words, klass: str | None = None) -> str:
    """A group in words, the same on every page and in every form.

    >>> slice_name({"sex": "F", "age": None}, "nodule")
    'class nodule, age not recorded, sex = F'
    """
    parts = [] if klass is None else [f"class {klass}"]
    parts += [
        f"{name} not recorded" if value is None else f"{name} = {value}"
        for name, value in sorted(values.items())
    ]
    return ", ".join(parts) if parts else "all cases"


def finding_name(finding: Finding) -> str:
    """A finding's name: what was looked at. Unique within its rule."""
    where = slice_name(finding.slice, finding.klass)
    if finding.outcome == "not_tested" and None in finding.slice.values():
        where = ", ".join(name for name in sorted(finding.slice)) + ": any value"
    if finding.concept is not None:
        layer = f" at layer {finding.layer}" if finding.layer is not None else ""
        return f"concept {finding.concept}, {where}{layer}"
    if finding.kind == "missing_predictions":
        return f"failed predictions, {where}"
    against = ""
    if finding.against is not None:
        against = " against the others" if finding.against == "complement" else f" against {finding.against}"
    metric = metric_name(finding.metric) if finding.metric else "figure"
    return f"{metric}{against}, {where}"


def finding_scale(finding: Finding) -> Scale:
    """The unit of a finding's numbers: percent, percentage points for gaps, plain for ratios and concepts."""
    if finding.kind in ("ratio", "concept"):
        return "number"
    scale = metric_scale(finding.metric)
    return "points" if finding.kind == "gap" and scale == "percent" else scale


def finding_numbers(finding: Finding) -> str:
    """Value, interval and limit in one sentence, rounded so that they never contradict the outcome."""
    if finding.value is None:
        return f"No figure: {finding.reason or 'undefined'}."
    scale = finding_scale(finding)
    digits = 2 if scale == "number" else 1
    barriers = [] if finding.limit is None else [finding.limit]
    if finding.kind in ("gap", "concept") and finding.limit is not None:
        barriers.append(-finding.limit)
    text = shown(finding.value, scale=scale, digits=digits, barriers=barriers)
    if finding.low is not None and finding.high is not None:
        limits = interval_text(
            finding.low, finding.high, scale=scale, digits=digits, barriers=barriers, joiner=" to "
        )
        level = (
            ""
            if finding.level is None
            else shown(finding.level, scale="percent", digits=0, barriers=(1.0,)) + ", "
        )
        text += f", interval {limits} ({level}{finding.interval})"
    if finding.limit is not None:
        text += f"; limit {limit_text(finding.limit, scale=scale)}"
    return text + "."


def finding_needs(finding: Finding) -> str:
    """How many more cases would decide it, or nothing."""
    if finding.needed_n is None:
        return ""
    patients = "" if finding.needed_clusters is None else f" from {finding.needed_clusters:,} more clusters"
    return f"About {finding.needed_n:,} more cases{patients} would decide it with 80% probability."


def finding_sentence(finding: Finding) -> str:
    """Numbers and reason; where no reason is given, what would decide it."""
    more = finding_needs(finding)
    if finding.reason:
        more = "" if finding.value is None else finding.reason.rstrip(".") + "."
    return f"{finding_numbers(finding)} {more}".rstrip()


def weights_sha256(evidence: Evidence) -> str | None:
    """Hash of the model's weights, where the run read them."""
    return next((each.sha256 for each in evidence.run.inputs if each.role == "weights"), None)


def in_xml(text: str) -> str:
    """Text that XML 1.0 can hold: characters outside its Char production become ``U+0000``.

    References
    ----------
    Extensible Markup Language (XML) 1.0, fifth edition, production [2].
    """
    return "".join(character if _xml_holds(character) else code_point(character) for character in text)


def _xml_holds(character: str) -> bool:
    code = ord(character)
    return character in "\t\n\r" or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000


Decided = Literal["meets", "fails", "undecided"]


def decided(outcome: Outcome) -> Decided:
    """The five outcomes as three: the last three of the design are undecided."""
    return outcome if outcome in ("meets", "fails") else "undecided"
