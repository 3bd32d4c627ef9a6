"""Wording: the generated sentences of the evidence: rules, reasons, method, the verdict.

Numbers are rounded so that a sentence never contradicts the outcome it stands beside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from audit.targets import RuleKind, kind_of

if TYPE_CHECKING:
    from audit.config import Config, Policy, Rule
    from concepts.records import ConceptResult

METRIC_WORDS = {
    "precision": "precision (of the cases flagged, the share that are right)",
    "recall": "recall (of the positive cases, the share found)",
    "fpr": "false positive rate (of the negative cases, the share flagged)",
    "fnr": "false negative rate (of the positive cases, the share missed)",
    "specificity": "specificity (of the negative cases, the share left alone)",
    "npv": "negative predictive value (of the cases left alone, the share that are negative)",
    "f1": "F1 (precision and recall in one figure)",
    "accuracy": "accuracy (the share of cases decided rightly)",
    "balanced_accuracy": "balanced accuracy (the mean of recall over the classes)",
    "selection_rate": "selection rate (the share of cases flagged)",
    "prevalence": "prevalence (the share of positive cases)",
    "mcc": "Matthews correlation (decision against truth, from -1 to 1)",
    "auroc": "AUROC (the chance that a positive case scores above a negative one)",
    "auprc": "average precision",
    "brier": "Brier score (mean squared error of the score)",
    "ece": "calibration error of the score",
}

# Metrics that are no share of anything: written as plain numbers.
NO_SHARES = ("mcc", "brier", "auroc", "auprc", "ece")

VERDICT_SENTENCES = {
    "meets": "The model meets the release rule on this data.",
    "does_not_meet": "The model does not meet the release rule.",
    "cannot_be_decided": "The release rule cannot be decided on this data.",
    "no_rule": "No rule was given: this report measures, and decides nothing.",
}


def metric_words(metric: str) -> str:
    """A metric in plain words.

    >>> metric_words("macro_recall")
    'recall (of the positive cases, the share found), averaged over the classes'
    """
    average, _, base = metric.partition("_")
    if average == "macro":
        return f"{METRIC_WORDS[base]}, averaged over the classes"
    if average == "micro":
        return f"{METRIC_WORDS[base]}, pooled over the classes"
    return METRIC_WORDS[metric]


def rule_sentence(rule: Rule) -> str:
    """A rule of the policy in one sentence."""
    kind, limit = kind_of(rule)
    if kind == "concept":
        within = f" (effects within {limit:g} logits count as none)" if limit is not None else ""
        return f"The concept '{rule.concept}' must not drive {listed(rule.must_not_drive)}{within}."
    assert limit is not None
    where = _where(rule)
    classes = f", class {listed(rule.classes)}" if rule.classes else ""
    if kind == "missing_predictions":
        return f"At most {percent(limit)} of the predictions may be missing {where}."
    assert rule.metric is not None
    name = metric_words(rule.metric)
    name = name[0].upper() + name[1:]
    if kind in ("floor", "ceiling"):
        bound = "at least" if kind == "floor" else "at most"
        return f"{name} must be {bound} {amount(limit, rule.metric)} {where}{classes}."
    other = "the rest of the data" if rule.against in (None, "complement") else f"'{rule.against}'"
    if kind == "gap":
        return f"{name} {where}{classes} must lie within {points(limit)} of that of {other}."
    return f"{name} {where}{classes} must be at least {percent(limit)} of that of {other}."


def _where(rule: Rule) -> str:
    parts = []
    if rule.overall:
        parts.append("over all cases")
    if rule.attributes:
        parts.append(f"for every {listed(rule.attributes)}")
    parts += [f"for every combination of {listed(group)}" for group in rule.intersections]
    parts += [
        "for " + " with ".join(f"{name} = {value}" for name, value in sorted(values.items()))
        for values in rule.slices
    ]
    return " and ".join(parts)


def listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def percent(value: float) -> str:
    """A share as a percentage with as few digits as say it exactly, three decimals at most.

    >>> percent(0.85), percent(0.0225), percent(1 / 3)
    ('85%', '2.25%', '33.333%')
    """
    return f"{round(100 * value, 3):g}%"


def points(value: float) -> str:
    """A difference of shares.

    >>> points(0.05)
    '5 percentage points'
    """
    return f"{round(100 * value, 3):g} percentage points"


def amount(value: float, metric: str) -> str:
    """A value of a metric: a percentage, except where the metric is no share."""
    return f"{value:g}" if metric in NO_SHARES else percent(value)


def rounded(value: float, limit: float, *, scale: int = 100) -> str:
    """``scale`` x value with as many decimals as keep it on its side of the limit.

    >>> rounded(0.84996, 0.85), rounded(0.85, 0.85), rounded(0.8512, 0.85), rounded(0.4, 0.5, scale=1)
    ('84.996', '85.0', '85.1', '0.400')
    """
    bound = round(scale * limit, 10)
    for digits in range(1 if scale == 100 else 3, 13):
        text = f"{scale * value:.{digits}f}"
        shown = float(text)
        if (shown < bound) == (value < limit) and (shown > bound) == (value > limit):
            return text
    return repr(scale * value)


def interval_reason(
    kind: RuleKind, limit: float, metric: str | None, low: float | None, high: float | None, outcome: str
) -> str:
    """Where an interval lies against its limit, in one sentence."""
    if low is None or high is None:
        return "The interval has no limits here, so that nothing can be decided."
    near = -limit if kind == "gap" and abs(low + limit) < abs(low - limit) else limit
    far = -limit if kind == "gap" and abs(high + limit) < abs(high - limit) else limit
    plain = metric in NO_SHARES and kind != "ratio"
    unit = "" if plain else " points" if kind == "gap" else "%"
    scale = 1 if plain else 100
    span = f"{rounded(low, near, scale=scale)}{unit} to {rounded(high, far, scale=scale)}{unit}"
    shown = f"{limit:g}" if plain else percent(limit)
    bound = {
        "floor": f"the floor of {shown}",
        "ceiling": f"the ceiling of {shown}",
        "gap": f"the allowed gap of {shown if plain else points(limit)} either way",
        "ratio": f"the least ratio of {percent(limit)}",
        "missing_predictions": f"the ceiling of {percent(limit)}",
        "concept": "the margin",
    }[kind]
    where = {
        "fails": "lies wholly on the wrong side of",
        "meets": "lies wholly on the right side of",
        "cannot_tell": "crosses",
        "not_enough_data": "rests on too few cases to be held against",
    }[outcome]
    return f"The interval, {span}, {where} {bound}."


def needed_reason(units: int | None, clusters: int | None, comparator_grows: bool, reason: str | None) -> str:
    """What it would take to decide, with the warning that belongs to it."""
    if units is None:
        return reason or "No number of further cases decides."
    grown = " in the slice, and as many times more in its comparator," if comparator_grows else ""
    of_clusters = f" (about {clusters:,} clusters)" if clusters is not None else ""
    return (
        f"About {units:,} more cases{of_clusters}{grown} would decide with 80% probability, if the present "
        "estimate is the truth."
    )


def concept_reason(rule: Rule, klass: str, result: ConceptResult | None, outcome: str) -> str:
    """Why a concept rule came out as it did."""
    concept = f"'{rule.concept}'"
    if result is None:
        return f"The concept {concept} was not tested for {klass}."
    if result.verdict == "not_learnt" or result.undefined is not None:
        why = result.undefined or "its activation vectors do not tell it from random images"
        return f"{concept} was not learnt at layer {result.layer} ({why.rstrip('.')}): no claim either way."
    effect = _effect(result)
    if outcome == "fails":
        return (
            f"{concept} drives {klass} at layer {result.layer}: {effect}, adjusted p {_p(result.p_adjusted)}."
        )
    if rule.margin is None:
        return (
            f"{effect[0].upper()}{effect[1:]} at layer {result.layer}; without a margin the rule cannot "
            f"be met."
        )
    if outcome == "meets":
        return f"At every layer the effect's interval lies within {rule.margin:g} logits; widest: {effect}."
    return (
        f"{effect[0].upper()}{effect[1:]} at layer {result.layer} reaches beyond the margin of "
        f"{rule.margin:g}, "
        "but is not shown to drive the class."
    )


def _effect(result: ConceptResult) -> str:
    if result.effect is None:
        return "effect undefined"
    if result.effect_low is None or result.effect_high is None:
        return f"effect {result.effect:.3g} logits"
    return f"effect {result.effect:.3g} logits ({result.effect_low:.3g} to {result.effect_high:.3g})"


def _p(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:.3f}" if value >= 0.001 else "below 0.001"


def verdict_sentence(outcome: str, fails: int, undecided: int, total: int) -> str:
    """The verdict in words, with the counts that carry it."""
    base = VERDICT_SENTENCES[outcome]
    if outcome == "does_not_meet":
        return f"{base} {fails} of {total} checks fail."
    if outcome == "cannot_be_decided":
        return f"{base} None of {total} checks fails, but {undecided} could not be decided."
    if outcome == "meets":
        return f"{base} All {total} checks are met."
    return base


def minimum_sentence(policy: Policy) -> str:
    """The small-slice rule in one sentence."""
    if isinstance(policy.minimum, int):
        return f"A slice is judged from a denominator of {policy.minimum} on; a failure takes precedence."
    return (
        "A proportion is judged where it, or its complement, passes the NCHS Data Presentation Standards for "
        "Proportions (Vital Health Stat 2(175)) on the metric's own denominator; other metrics from a "
        "support of "
        f"{policy.minimum_support} on; a failure takes precedence."
    )


def policy_sentences(config: Config, family: int) -> list[str]:
    """How the verdicts were read, for the statistics box.

    ``family`` is the number of figures that the policy tests jointly.
    """
    rules = config.policy.rules
    if not rules:
        return []
    confidence = percent(config.statistics.confidence)
    # Each kind of check has a family of its own; nothing holds jointly over two of them.
    families = []
    if any(rule.metric is not None for rule in rules):
        families.append(f"the {family} figures from counts and scores that the policy tests")
    if any(rule.max_missing_predictions is not None for rule in rules):
        families.append("the shares of failed predictions that it tests (Bonferroni)")
    sentences = []
    if families:
        jointly = f"jointly over {families[0]}"
        if len(families) > 1:
            jointly = f"jointly over {families[0]}, and apart from these over {families[1]}"
        sentences += [
            "A check fails where its whole interval is on the wrong side of the limit; that interval holds "
            f"{jointly}, so that many looks do not raise false alarms (simultaneous, {confidence}).",
            "A check is met where its whole interval is on the right side; each check must be met on its "
            f"own, which needs no correction (pointwise, {confidence}; intersection-union test).",
        ]
    if any(rule.concept is not None for rule in rules):
        families.append("the concept tests")
        sentences.append(
            "A rule on a concept fails where the concept drives the class and its p-value, adjusted over all "
            f"concept tests of the run, is below {percent(1 - config.statistics.confidence)}."
        )
    if len(families) > 1:
        number = {2: "Two", 3: "Three"}[len(families)]
        sentences.append(
            f"{number} families are held at {confidence} each: {listed(families)}. No level is claimed over "
            "all of them together: a false alarm somewhere is likelier than in one family alone."
        )
    return [
        *sentences,
        minimum_sentence(config.policy),
        "The numbers of further cases assume that the present estimate is the truth. Adding cases until a "
        "check is met inflates the error: plan the new number before looking again.",
    ]
