"""Wording: the generated sentences of the evidence: rules, reasons, method, the verdict.

Numbers are rounded so that a sentence never contradicts the outcome it stands beside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from audit.group_words import class_words, pair_words, value_words
from audit.targets import RuleKind, kind_of
from slices.said import Said, say, sentence_pair

if TYPE_CHECKING:
    from audit.config import Config, Policy, Rule
    from concepts.records import ConceptResult

# Metrics by their name, as findings and reasons call them.
METRIC_KEYS = {
    "precision": say("metric_key.precision", "precision"),
    "recall": say("metric_key.recall", "recall"),
    "fpr": say("metric_key.fpr", "false-positive rate"),
    "fnr": say("metric_key.fnr", "false-negative rate"),
    "specificity": say("metric_key.specificity", "specificity"),
    "npv": say("metric_key.npv", "negative predictive value"),
    "f1": say("metric_key.f1", "F1"),
    "accuracy": say("metric_key.accuracy", "accuracy"),
    "balanced_accuracy": say("metric_key.balanced_accuracy", "balanced accuracy"),
    "selection_rate": say("metric_key.selection_rate", "selection rate"),
    "prevalence": say("metric_key.prevalence", "prevalence"),
    "mcc": say("metric_key.mcc", "Matthews correlation"),
    "auroc": say("metric_key.auroc", "AUROC"),
    "auprc": say("metric_key.auprc", "AUPRC"),
    "brier": say("metric_key.brier", "Brier score"),
    "ece": say("metric_key.ece", "calibration error"),
}

METRIC_WORDS = {
    "precision": say("rule.metric.precision", "precision (of the cases flagged, the share that are right)"),
    "recall": say("rule.metric.recall", "recall (of the positive cases, the share found)"),
    "fpr": say("rule.metric.fpr", "false-positive rate (of the negative cases, the share flagged)"),
    "fnr": say("rule.metric.fnr", "false-negative rate (of the positive cases, the share missed)"),
    "specificity": say(
        "rule.metric.specificity", "specificity (of the negative cases, the share left alone)"
    ),
    "npv": say(
        "rule.metric.npv", "negative predictive value (of the cases left alone, the share that are negative)"
    ),
    "f1": say("rule.metric.f1", "F1 (precision and recall in one figure)"),
    "accuracy": say("rule.metric.accuracy", "accuracy (the share of cases decided rightly)"),
    "balanced_accuracy": say(
        "rule.metric.balanced_accuracy", "balanced accuracy (the mean of recall over the classes)"
    ),
    "selection_rate": say("rule.metric.selection_rate", "selection rate (the share of cases flagged)"),
    "prevalence": say("rule.metric.prevalence", "prevalence (the share of positive cases)"),
    "mcc": say("rule.metric.mcc", "Matthews correlation (decision against truth, from -1 to 1)"),
    "auroc": say("rule.metric.auroc", "AUROC (the chance that a positive case scores above a negative one)"),
    "auprc": say("rule.metric.auprc", "average precision"),
    "brier": say("rule.metric.brier", "Brier score (mean squared error of the score)"),
    "ece": say("rule.metric.ece", "calibration error of the score"),
}

# Metrics that are no share of anything: written as plain numbers.
NO_SHARES = ("mcc", "brier", "auroc", "auprc", "ece")

VERDICT_SENTENCES = {
    "meets": say("verdict.meets", "The model meets the release rule on this data."),
    "does_not_meet": say("verdict.does_not_meet", "The model does not meet the release rule."),
    "cannot_be_decided": say("verdict.cannot_be_decided", "The release rule cannot be decided on this data."),
    "no_rule": say("verdict.no_rule", "No rule was given: this report measures, and decides nothing."),
}


def metric_words(metric: str) -> Said:
    """A metric in plain words.

    >>> metric_words("macro_recall")
    'recall (of the positive cases, the share found), averaged over the classes'
    """
    average, _, base = metric.partition("_")
    if average == "macro":
        return say("rule.macro", "{metric}, averaged over the classes", metric=METRIC_WORDS[base])
    if average == "micro":
        return say("rule.micro", "{metric}, pooled over the classes", metric=METRIC_WORDS[base])
    return METRIC_WORDS[metric]


def metric_key(metric: str) -> str:
    """A metric's name; a plugin's own key as it stands.

    >>> metric_key("macro_recall"), metric_key("fpr"), metric_key("recall").code
    ('mean recall over the classes', 'false-positive rate', 'metric_key.recall')
    """
    average, _, base = metric.partition("_")
    if average == "macro" and base in METRIC_KEYS:
        return say("metric_key.macro", "mean {metric} over the classes", metric=METRIC_KEYS[base])
    if average == "micro" and base in METRIC_KEYS:
        return say("metric_key.micro", "pooled {metric} of the classes", metric=METRIC_KEYS[base])
    return METRIC_KEYS.get(metric, metric)


def rule_sentence(config: Config, rule: Rule, *, each_class: bool = False) -> Said:
    """A rule of the policy in one sentence.

    ``each_class``: the rule names no class and is applied to every one of the log.
    """
    kind, limit = kind_of(rule)
    if kind == "concept":
        within: str = ""
        if limit is not None:
            within = say("rule.within", " (effects within {limit:g} logits count as none)", limit=limit)
        return say(
            "rule.concept",
            "The concept “{concept}” must not drive {classes:and}{within}.",
            concept=rule.concept or "",
            classes=[class_words(config, klass) for klass in rule.must_not_drive],
            within=within,
        )
    assert limit is not None
    where = _where(config, rule)
    if kind == "missing_predictions":
        return say(
            "rule.missing_predictions",
            "At most {limit:number} of the predictions may be missing {where: and }.",
            limit=percent(limit),
            where=where,
        )
    assert rule.metric is not None
    name = metric_words(rule.metric)
    classes: str = say("rule.each_class", ", for each class") if each_class else ""
    if rule.classes:
        named = [class_words(config, klass) for klass in rule.classes]
        classes = say("rule.classes", ", class {classes:and}", classes=named)
    if kind == "floor":
        return say(
            "rule.floor",
            "{metric:capital} must be at least {limit:number} {where: and }{classes}.",
            metric=name,
            limit=amount(limit, rule.metric),
            where=where,
            classes=classes,
        )
    if kind == "ceiling":
        return say(
            "rule.ceiling",
            "{metric:capital} must be at most {limit:number} {where: and }{classes}.",
            metric=name,
            limit=amount(limit, rule.metric),
            where=where,
            classes=classes,
        )
    other: str = say("rule.rest", "everybody else")
    if rule.against not in (None, "complement"):
        named_value = value_words(config, next(iter(rule.attributes), ""), rule.against)
        other = say("rule.other", "“{value}”", value=named_value)
    if kind == "gap":
        return say(
            "rule.gap",
            "{metric:capital} {where: and }{classes} must lie within {limit} of that of {other}.",
            metric=name,
            where=where,
            classes=classes,
            limit=points(limit),
            other=other,
        )
    return say(
        "rule.ratio",
        "{metric:capital} {where: and }{classes} must be at least {limit:number} of that of {other}.",
        metric=name,
        where=where,
        classes=classes,
        limit=percent(limit),
        other=other,
    )


def _where(config: Config, rule: Rule) -> list[str]:
    parts: list[str] = []
    if rule.overall:
        parts.append(say("rule.overall", "over all cases"))
    if rule.attributes:
        parts.append(say("rule.every", "for every value of {attributes:and}", attributes=rule.attributes))
    parts += [
        say("rule.combination", "for every combination of {attributes:and}", attributes=group)
        for group in rule.intersections
    ]
    parts += [
        say(
            "rule.slice",
            "for {values: with }",
            values=[pair_words(config, name, value) for name, value in sorted(values.items())],
        )
        for values in rule.slices
    ]
    return parts


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


def points(value: float) -> Said:
    """A difference of shares.

    >>> points(0.05)
    '5 percentage points'
    """
    return say("points", "{points:g} percentage points", points=round(100 * value, 3))


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
) -> Said:
    """Where an interval lies against its limit, in one sentence."""
    if low is None or high is None:
        return say("finding.no_limits", "The interval has no limits here, so that nothing can be decided.")
    near = -limit if kind == "gap" and abs(low + limit) < abs(low - limit) else limit
    far = -limit if kind == "gap" and abs(high + limit) < abs(high - limit) else limit
    plain = metric in NO_SHARES and kind != "ratio"
    scale = 1 if plain else 100
    ends = rounded(low, near, scale=scale), rounded(high, far, scale=scale)
    if kind == "gap" and not plain:
        span = say("span.points", "{low:number} points to {high:number} points", low=ends[0], high=ends[1])
    else:
        low_text, high_text = (end if plain else f"{end}%" for end in ends)
        span = say("span.plain", "{low:number} to {high:number}", low=low_text, high=high_text)
    bound = _bound(kind, limit, plain=plain)
    if outcome == "fails":
        template = say(
            "finding.fails",
            "The interval, {span}, lies wholly on the wrong side of {bound}.",
            span=span,
            bound=bound,
        )
    elif outcome == "meets":
        template = say(
            "finding.meets",
            "The interval, {span}, lies wholly on the right side of {bound}.",
            span=span,
            bound=bound,
        )
    elif outcome == "cannot_tell":
        template = say(
            "finding.cannot_tell", "The interval, {span}, crosses {bound}.", span=span, bound=bound
        )
    else:
        template = say(
            "finding.not_enough_data",
            "The interval, {span}, rests on too few cases to be held against {bound}.",
            span=span,
            bound=bound,
        )
    return template


def _bound(kind: RuleKind, limit: float, *, plain: bool) -> Said:
    """What an interval is held against."""
    shown = f"{limit:g}" if plain else percent(limit)
    if kind == "floor":
        return say("bound.floor", "the floor of {limit:number}", limit=shown)
    if kind == "ceiling":
        return say("bound.ceiling", "the ceiling of {limit:number}", limit=shown)
    if kind == "gap":
        allowed = shown if plain else points(limit)
        return say("bound.gap", "the allowed gap of {limit:number} either way", limit=allowed)
    if kind == "ratio":
        return say("bound.ratio", "the least ratio of {limit:number}", limit=percent(limit))
    if kind == "missing_predictions":
        return say("bound.ceiling", "the ceiling of {limit:number}", limit=percent(limit))
    return say("bound.margin", "the margin")


UNDECIDABLE = 100_000  # more cases: the figure lies on the limit, as far as any test set can tell


def two_figures(number: int) -> int:
    """A planned number of cases, up to two significant figures: it is no better known than that.

    >>> two_figures(87), two_figures(5384), two_figures(14)
    (87, 5400, 14)
    """
    step: int = 10 ** max(0, len(str(number)) - 2)
    return -(-number // step) * step


def needed_reason(units: int | None, clusters: int | None, comparator_grows: bool, reason: str | None) -> str:
    """What it would take to decide, with the warning that belongs to it."""
    if units is None:
        return reason or say("needed.none", "No number of further cases decides.")
    if units > UNDECIDABLE:
        return say(
            "needed.on_the_limit",
            "It lies on the limit, as far as a test set can tell: more than {most:,} more cases would be "
            "needed to decide.",
            most=UNDECIDABLE,
        )
    of_clusters: str = ""
    if clusters is not None:
        of_clusters = say("needed.clusters", " (about {clusters:,} clusters)", clusters=two_figures(clusters))
    grown: str = ""
    if comparator_grows:
        grown = say("needed.grown", " in the slice, and as many times more in its comparator,")
    return say(
        "needed.cases",
        "About {units:,} more cases{clusters}{grown} would decide with 80% probability, if the present "
        "estimate is the truth.",
        units=two_figures(units),
        clusters=of_clusters,
        grown=grown,
    )


def concept_reason(rule: Rule, klass: str, result: ConceptResult | None, outcome: str) -> Said:
    """Why a concept rule came out as it did."""
    concept = rule.concept or ""
    if result is None:
        return say(
            "finding.concept_untested",
            "The concept “{concept}” was not tested for {klass}.",
            concept=concept,
            klass=klass,
        )
    if result.verdict == "not_learnt" or result.undefined is not None:
        why = result.undefined or say(
            "finding.concept_not_told", "its activation vectors do not tell it from random images"
        )
        return say(
            "finding.concept_not_learnt",
            "“{concept}” was not learnt at layer {layer} ({why}): no claim either way.",
            concept=concept,
            layer=result.layer,
            why=why,
        )
    effect = _effect(result, rule.margin)
    if outcome == "fails":
        return say(
            "finding.concept_fails",
            "“{concept}” drives {klass} at layer {layer}: {effect}, adjusted p {p}.",
            concept=concept,
            klass=klass,
            layer=result.layer,
            effect=effect,
            p=_p(result.p_adjusted),
        )
    if rule.margin is None:
        return say(
            "finding.concept_no_margin",
            "{effect:capital} at layer {layer}; without a margin the rule cannot be met.",
            effect=effect,
            layer=result.layer,
        )
    if outcome == "meets":
        return say(
            "finding.concept_meets",
            "At every layer the effect's interval lies within {margin:g} logits; widest: {effect}.",
            margin=rule.margin,
            effect=effect,
        )
    return say(
        "finding.concept_beyond",
        "{effect:capital} at layer {layer} reaches beyond the margin of {margin:g}, but is not shown to "
        "drive the class.",
        effect=effect,
        layer=result.layer,
        margin=rule.margin,
    )


def _effect(result: ConceptResult, margin: float | None) -> Said:
    """The effect with its interval, as rounded as in the report's tables."""

    def shown(value: float) -> str:
        limit = 0.0 if margin is None else margin if value > 0 else -margin
        return rounded(value, limit, scale=1)

    if result.effect is None:
        return say("effect.undefined", "effect undefined")
    if result.effect_low is None or result.effect_high is None:
        return say("effect.value", "effect {effect:number} logits", effect=shown(result.effect))
    return say(
        "effect.interval",
        "effect {effect:number} logits ({low:number} to {high:number})",
        effect=shown(result.effect),
        low=shown(result.effect_low),
        high=shown(result.effect_high),
    )


def _p(value: float | None) -> Said:
    if value is None:
        return say("p.unknown", "unknown")
    if value < 0.001:
        return say("p.small", "below {least}", least=0.001)
    return say("p.value", "{p:.3f}", p=value)


def verdict_sentence(outcome: str, fails: int, undecided: int, total: int) -> Said:
    """The verdict in words, with the counts that carry it."""
    base = VERDICT_SENTENCES[outcome]
    if outcome == "does_not_meet":
        counts = say("verdict.fails", "{fails} of {total} checks fail.", fails=fails, total=total)
    elif outcome == "cannot_be_decided":
        counts = say(
            "verdict.undecided",
            "None of {total} checks fails, but {undecided} could not be decided.",
            total=total,
            undecided=undecided,
        )
    elif outcome == "meets":
        counts = say("verdict.all", "All {total} checks are met.", total=total)
    else:
        return base
    return sentence_pair(base, counts)


def minimum_sentence(policy: Policy) -> Said:
    """The small-slice rule in one sentence."""
    if isinstance(policy.minimum, int):
        return say(
            "policy.minimum",
            "A slice is judged from a denominator of {minimum} on; a failure takes precedence.",
            minimum=policy.minimum,
        )
    return say(
        "policy.standard",
        "A proportion is judged where it, or its complement, passes the NCHS Data Presentation Standards for "
        "Proportions (Vital Health Stat 2(175)) on the metric's own denominator; other metrics from a "
        "support of {support} on; a failure takes precedence.",
        support=policy.minimum_support,
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
    families: list[str] = []
    if any(rule.metric is not None for rule in rules):
        families.append(
            say(
                "policy.family",
                "the {family} figures from counts and scores that the policy tests",
                family=family,
            )
        )
    if any(rule.max_missing_predictions is not None for rule in rules):
        families.append(
            say("policy.missing_family", "the shares of failed predictions that it tests (Bonferroni)")
        )
    sentences: list[str] = []
    if families:
        jointly = say("policy.jointly", "jointly over {family}", family=families[0])
        if len(families) > 1:
            jointly = say(
                "policy.jointly_apart",
                "jointly over {family}, and apart from these over {other}",
                family=families[0],
                other=families[1],
            )
        sentences += [
            say(
                "policy.fails",
                "A check fails where its whole interval is on the wrong side of the limit; that interval "
                "holds {jointly}, so that many looks do not raise false alarms (simultaneous, "
                "{confidence:number}).",
                jointly=jointly,
                confidence=confidence,
            ),
            say(
                "policy.meets",
                "A check is met where its whole interval is on the right side; each check must be met on "
                "its own, which needs no correction (pointwise, {confidence:number}; intersection-union "
                "test).",
                confidence=confidence,
            ),
        ]
    if any(rule.concept is not None for rule in rules):
        families.append(say("policy.concept_family", "the concept tests"))
        sentences.append(
            say(
                "policy.concept",
                "A rule on a concept fails where the concept drives the class, its p-value, adjusted over "
                "all concept tests of the run, is below {alpha:number}, and the effect's interval does not "
                "lie within the margin, if one is given.",
                alpha=percent(1 - config.statistics.confidence),
            )
        )
    if len(families) == 2:
        sentences.append(
            say(
                "policy.two_families",
                "Two families are held at {confidence:number} each: {families:and}. No level is claimed "
                "over all of them together: a false alarm somewhere is likelier than in one family alone.",
                confidence=confidence,
                families=families,
            )
        )
    elif len(families) == 3:
        sentences.append(
            say(
                "policy.three_families",
                "Three families are held at {confidence:number} each: {families:and}. No level is claimed "
                "over all of them together: a false alarm somewhere is likelier than in one family alone.",
                confidence=confidence,
                families=families,
            )
        )
    return [
        *sentences,
        minimum_sentence(config.policy),
        say(
            "policy.needed",
            "The numbers of further cases assume that the present estimate is the truth. Adding cases until "
            "a check is met inflates the error: plan the new number before looking again.",
        ),
    ]
