"""Phrases: how groups, metrics, rules and findings are named, and their numbers written."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from reports.canvas import Limit
from reports.evidence import AttributeData, Estimate, Evidence, Finding, Rule, SliceRecord, WorstGap
from reports.glyphs import bracketed
from reports.rounding import Scale, interval_text, limit_text, shown, whole
from reports.strings import Catalogue

# Metrics that are shares are printed in percent; the others as numbers with three digits.
NUMBERS = {"mcc", "auroc", "auprc", "brier", "ece", "f1_score"}
SIGNED = {"mcc"}
# Control, surrogate, format, line and paragraph separators.
INVISIBLE = ("Cc", "Cs", "Cf", "Zl", "Zp")
DIGITS: Mapping[Scale, int] = {"percent": 1, "points": 1, "number": 3, "difference": 3}
# As in the reasons that the evidence gives: more cases than these are no plan.
UNDECIDABLE = 100_000
# What a metric's denominator counts.
UNITS = {
    "recall": "positive", "fnr": "positive", "fpr": "negative", "specificity": "negative",
    "precision": "flagged", "npv": "passed",
}  # fmt: skip
UNDECIDED = ("cannot_tell", "not_enough_data", "not_tested")
AVERAGES = ("macro_", "micro_")


def visible(text: str) -> str:
    """Control, surrogate and direction-changing characters written as their code points.

    They would vanish, break the markup, or make a value read as another one.
    """
    if text.isprintable():
        return text
    runs = itertools.groupby(text, key=lambda c: unicodedata.category(c) in INVISIBLE)
    return "".join(bracketed(run) if hidden else "".join(run) for hidden, run in runs)


def edged(text: str) -> str:
    """A value whose first or last spaces would be lost: they are written as code points.

    >>> edged(" a b")
    '[U+0020]a b'
    """
    core = text.strip(" ")
    if core == text:
        return text
    before = len(text) - len(text.lstrip(" "))
    after = 0 if not core else len(text) - len(text.rstrip(" "))
    return bracketed(" " * before) + core + bracketed(" " * after)


def side_of(kind: str, limit: float | None) -> Limit:
    """Which side of a rule's limit fails."""
    if limit is None:
        return Limit()
    if kind in ("floor", "ratio"):
        return Limit(low=limit)
    if kind in ("gap", "concept"):
        return Limit(low=-limit, high=limit)
    return Limit(high=limit)


def barriers_of(kind: str, limit: float | None) -> tuple[float, ...]:
    """Values whose side a printed number must keep."""
    if limit is None:
        return ()
    return (-limit, limit) if kind in ("gap", "concept") else (limit,)


def severity(finding: Finding) -> float:
    """How far the value lies beyond the limit (in the limit's unit); undefined values come last."""
    if finding.value is None or finding.limit is None:
        return float("-inf")
    if finding.kind in ("floor", "ratio"):
        return finding.limit - finding.value
    if finding.kind in ("gap", "concept"):
        return abs(finding.value) - finding.limit
    return finding.value - finding.limit


@dataclass(frozen=True)
class Phrases:
    """Names and numbers of one evidence in one language."""

    evidence: Evidence
    t: Catalogue

    @cached_property
    def rules(self) -> Mapping[str, Rule]:
        return {rule.id: rule for rule in self.evidence.policy.rules}

    @cached_property
    def several_classes(self) -> bool:
        return self.evidence.data.task in ("multiclass", "multilabel")

    @cached_property
    def cluster(self) -> str | None:
        """Name of the cluster column; None where rows are taken as independent."""
        return self.evidence.data.cluster if self.evidence.data.clusters is not None else None

    @cached_property
    def records(self) -> int | None:
        """Records of a log with a row a record and class; None where every row is a case of its own."""
        data = self.evidence.data
        pooled = next((r for r in self.evidence.results.overall if r.klass is None), None)
        several = data.task == "multilabel" and pooled is not None and pooled.n < data.rows_used
        return pooled.n if several and pooled is not None else None

    @cached_property
    def positive(self) -> str:
        """How the positive class is called in a sentence."""
        positive = self.evidence.data.positive
        return (
            self.t("positive.one", name=self.klass(positive))
            if positive is not None
            else self.t("positive.any")
        )

    # Groups

    @cached_property
    def attributes(self) -> Mapping[str, AttributeData]:
        return {attribute.name: attribute for attribute in self.evidence.data.attributes}

    def value(self, attribute: str, value: str | None) -> str:
        """An attribute's value by its name; a band in words; a missing one in words."""
        if value is None:
            return self.t("group.missing")
        data = self.attributes.get(attribute)
        if data is not None and value in data.names:
            return visible(data.names[value])
        if data is not None and data.bands is not None and value.startswith("["):
            low, _, high = value.strip("[)").partition(", ")
            return self.t("group.band", low=visible(low), high=visible(high))
        return edged(visible(value))

    def klass(self, klass: str | None) -> str:
        """A class by its name."""
        return visible(self.evidence.data.class_names.get(klass or "", klass or ""))

    def raw(self, attribute: str, value: str | None) -> str:
        """The value as the log writes it, where the report calls it by a name; else empty."""
        data = self.attributes.get(attribute)
        if data is None or value is None or value not in data.names:
            return ""
        return self.t("group.raw", value=visible(value))

    def raw_class(self, klass: str | None) -> str:
        """The class as the log writes it, where the report calls it by a name; else empty."""
        if klass is None or klass not in self.evidence.data.class_names:
            return ""
        return self.t("group.raw", value=visible(klass))

    @cached_property
    def places(self) -> Mapping[tuple[str, str | None], int]:
        """Where a value stands among its attribute's, the missing one last."""
        found: dict[tuple[str, str | None], int] = {}
        for attribute in self.evidence.data.attributes:
            found |= {(attribute.name, item.value): i for i, item in enumerate(attribute.values)}
            found[attribute.name, None] = len(attribute.values)
        return found

    def order(self, values: Mapping[str, str | None], klass: str | None) -> tuple[object, ...]:
        """Sort key of a slice: single attributes first, by attribute, by value, its classes together."""
        names = sorted(values, key=self.attribute_place)
        last = len(self.places)
        spots = [(self.places.get((name, values[name]), last), values[name] or "") for name in names]
        where = -1 if klass is None else self.class_places.get(klass, len(self.class_places))
        return len(names), [self.attribute_place(name) for name in names], spots, where, klass or ""

    def attribute_place(self, name: str) -> tuple[int, str]:
        """An attribute's place in the configuration."""
        return self.attribute_places.get(name, len(self.attribute_places)), name

    @cached_property
    def attribute_places(self) -> Mapping[str, int]:
        return {name: i for i, name in enumerate(self.attributes)}

    @cached_property
    def class_places(self) -> Mapping[str, int]:
        return {name: i for i, name in enumerate(self.evidence.data.classes)}

    @cached_property
    def counted(self) -> str:
        """What a slice's size counts: rows, records (a row a record and class) or images."""
        if self.records is not None:
            return self.t("table.records")
        return self.t("table.images" if self.evidence.data.task == "detection" else "table.rows")

    def group(self, values: Mapping[str, str | None], klass: str | None = None) -> str:
        """``sex: F · age: 65+ · class AF``."""
        parts = [
            self.t("group.pair", attribute=visible(name), value=self.value(name, values[name]))
            for name in sorted(values, key=self.attribute_place)
        ]
        if klass is not None:
            parts.append(self.t("group.class", name=self.klass(klass)))
        elif not parts:
            parts.append(self.t("group.overall"))
        return self.t("group.joiner").join(parts)

    def finding_group(self, finding: Finding) -> str:
        """The group of a finding; for a concept, the concept, its class and layer."""
        if finding.outcome == "not_tested":
            return self.absent(finding)
        if finding.concept is None:
            return self.group(finding.slice, finding.klass)
        parts = [self.t("group.concept", concept=visible(finding.concept), klass=self.klass(finding.klass))]
        if finding.layer is not None:
            parts.append(self.t("group.layer", layer=visible(finding.layer)))
        if finding.slice:
            parts.append(self.group(finding.slice))
        return self.t("group.joiner").join(parts)

    def absent(self, finding: Finding) -> str:
        """What a rule names and the log lacks: a value where it is known, else the attributes of the rule."""
        rule = self.rules.get(finding.rule)
        named = {name: value for name, value in finding.slice.items() if value is not None}
        if named or finding.concept is not None or rule is None:
            return self.group(named, finding.klass)
        lists = [rule.attributes, *rule.intersections]
        known = {attribute.name for attribute in self.evidence.data.attributes}
        names = dict.fromkeys(name for names in lists for name in names if name not in known)
        parts = [visible(name) for name in (names or finding.slice)]
        if finding.klass is not None:
            parts.append(self.t("group.class", name=self.klass(finding.klass)))
        return self.t("group.joiner").join(parts) or self.t("group.overall")

    def against(self, finding: Finding) -> str:
        """The comparator of a gap or ratio in words."""
        if finding.against in (None, "complement"):
            return self.t("rule.complement")
        attribute = next(iter(finding.slice), "")
        return self.t("rule.value", value=self.value(attribute, finding.against))

    # Metrics

    @staticmethod
    def base(metric: str) -> tuple[str, str]:
        """(average, plain metric): ``("macro_", "recall")``; the average is empty for plain metrics."""
        for average in AVERAGES:
            if metric.startswith(average):
                return average, metric.removeprefix(average)
        return "", metric

    def metric(self, metric: str) -> str:
        """A metric's name; a plugin's own key where the catalogue has none."""
        average, plain = self.base(metric)
        name = self.t(f"metric.{plain}.name") if self.t.has(f"metric.{plain}.name") else visible(plain)
        return self.t(f"metric_average.{average[:-1]}", name=name) if average else name

    def meaning(self, metric: str) -> str:
        """What a metric means here, as a part of a sentence; empty for a plugin's metric."""
        average, plain = self.base(metric)
        if not self.t.has(f"metric.{plain}.meaning"):
            return ""
        key = f"metric.{plain}.meaning"
        if self.several_classes and self.t.has(f"{key}_class"):
            key += "_class"
        meaning = self.t(key, positive=self.positive)
        return self.t(f"metric_average.{average[:-1]}_meaning", meaning=meaning) if average else meaning

    def scale(self, metric: str | None) -> Scale:
        """How a metric's values are printed."""
        plain = self.base(metric or "")[1]
        known = self.t.has(f"metric.{plain}.name") or metric is None
        return "number" if plain in NUMBERS or not known else "percent"

    def difference_scale(self, metric: str | None) -> Scale:
        """How a difference of two of a metric's values is printed: with its sign."""
        return "points" if self.scale(metric) == "percent" else "difference"

    def bounds(self, metric: str | None) -> tuple[float, float] | None:
        """What a metric cannot leave; None: not known."""
        plain = self.base(metric or "")[1]
        if plain in SIGNED:
            return (-1.0, 1.0)
        return (0.0, 1.0) if metric is None or self.t.has(f"metric.{plain}.name") else None

    # Numbers

    def number(self, value: float | None, scale: Scale, barriers: Sequence[float] = ()) -> str:
        if value is None:
            return self.t("number.undefined")
        digits = DIGITS[scale]
        return shown(value, scale=scale, digits=digits, barriers=barriers, style=self.t.style)

    def interval(
        self,
        low: float | None,
        high: float | None,
        scale: Scale,
        barriers: Sequence[float] = (),
        *,
        digits: int | None = None,
    ) -> str:
        """Both limits, or a dash where there are none."""
        if low is None or high is None:
            return self.t("number.none")
        return interval_text(
            low,
            high,
            scale=scale,
            digits=DIGITS[scale] if digits is None else digits,
            barriers=barriers,
            style=self.t.style,
            joiner=self.t("number.to"),
        )

    def limit(self, limit: float, scale: Scale) -> str:
        return limit_text(limit, scale=scale, style=self.t.style)

    def tick(self, value: float, scale: Scale) -> str:
        """A scale's tick: exact, differences with their sign and without unit."""
        if scale == "difference":
            return ("+" if value > 0 else "") + self.limit(value, scale)
        if scale != "points":
            return self.limit(value, scale)
        return shown(value, scale=scale, digits=0, style=self.t.style, barriers=(value,), with_unit=False)

    def count(self, number: int) -> str:
        return whole(number, self.t.style)

    def share(self, part: int, total: int) -> str:
        return self.t("number.none") if total == 0 else self.number(part / total, "percent")

    def probability(self, p: float | None) -> str:
        """A p-value: three digits, never printed as 0."""
        if p is None:
            return self.t("number.none")
        if p < 0.001:
            return "<" + shown(0.001, scale="number", digits=3, style=self.t.style)
        return shown(p, scale="number", digits=3, style=self.t.style)

    def level(self, level: float | None) -> str:
        """A confidence level: ``95%``; a corrected one with as many digits as tell it from 100%."""
        if level is None:
            return self.t("number.none")
        even = abs(level * 100 - round(level * 100)) < 1e-9
        return shown(level, scale="percent", digits=0 if even else 2, barriers=(1.0,), style=self.t.style)

    # Findings and rules

    def finding_scale(self, finding: Finding | Rule) -> Scale:
        """How a finding's numbers are printed."""
        if finding.kind == "missing_predictions":
            return "percent"
        if finding.kind in ("ratio", "concept"):
            return "number"
        scale = self.scale(finding.metric)
        return self.difference_scale(finding.metric) if finding.kind == "gap" else scale

    def finding_metric(self, finding: Finding) -> str:
        if finding.kind == "missing_predictions":
            return self.t("metric.failed.name")
        return "" if finding.metric is None else self.metric(finding.metric)

    def finding_value(self, finding: Finding) -> str:
        return self.number(
            finding.value, self.finding_scale(finding), barriers_of(finding.kind, finding.limit)
        )

    def finding_interval(self, finding: Finding) -> str:
        scale = self.finding_scale(finding)
        return self.interval(finding.low, finding.high, scale, barriers_of(finding.kind, finding.limit))

    def finding_limit(self, finding: Finding | Rule) -> str:
        return (
            self.t("number.none")
            if finding.limit is None
            else self.limit(finding.limit, self.finding_scale(finding))
        )

    def read_from(self, finding: Finding) -> str:
        """Which interval the outcome was read from, and its level."""
        key = f"interval.{finding.interval}"
        if finding.level is None or finding.interval == "none":
            return self.t("interval.none")
        if self.t.has(key):
            return self.t(key, level=self.level(finding.level))
        return self.t("interval.other", name=visible(finding.interval), level=self.level(finding.level))

    @cached_property
    def rule_names(self) -> Mapping[str, str]:
        """Each rule in a few words; its identifier after them where two rules read the same."""
        found = {rule.id: self.rule_words(rule) for rule in self.evidence.policy.rules}
        words = list(found.values())
        return {
            rule: text if words.count(text) == 1 else self.t("rule.named", words=text, rule=visible(rule))
            for rule, text in found.items()
        }

    def rule_words(self, rule: Rule) -> str:
        """``Recall: at least 85%``, ``“corner mark” must not drive loop``."""
        if rule.kind == "concept":
            classes = self.t.listed([self.klass(klass) for klass in rule.must_not_drive])
            limit = "" if rule.limit is None else self.finding_limit(rule)
            key = "rule.concept_named_open" if rule.limit is None else "rule.concept_named"
            return self.t(key, concept=visible(rule.concept or ""), classes=classes, limit=limit)
        metric = self.t("metric.failed.name") if rule.metric is None else self.metric(rule.metric)
        if rule.classes:
            classes = self.t.listed([self.klass(klass) for klass in rule.classes])
            metric = self.t("rule.of_classes", metric=metric, classes=classes)
        against = self.t("rule.complement")
        if rule.against not in (None, "complement"):
            value = self.value(next(iter(rule.attributes), ""), rule.against)
            against = self.t("rule.value", value=value)
        key = f"rule.{rule.kind}" if self.t.has(f"rule.{rule.kind}") else "rule.other"
        return self.t(key, metric=metric, limit=self.finding_limit(rule), against=against)

    def rule_heading(self, finding: Finding) -> str:
        """What a finding's rule asks for in a few words: ``Recall: at least 85%``."""
        if finding.kind == "concept":
            if finding.limit is None:
                return self.t("rule.concept_open")
            return self.t("rule.concept", limit=self.finding_limit(finding))
        key = f"rule.{finding.kind}" if self.t.has(f"rule.{finding.kind}") else "rule.other"
        return self.t(
            key, metric=self.finding_metric(finding), limit=self.finding_limit(finding),
            against=self.against(finding),
        )  # fmt: skip

    def rule_meaning(self, finding: Finding) -> str:
        """One sentence: what the figure that the rule judges means here."""
        if finding.kind in ("missing_predictions", "concept"):
            return self.t(f"meaning.{finding.kind}")
        if finding.kind in ("gap", "ratio"):
            name, against = self.metric(finding.metric or ""), self.against(finding)
            return self.t(f"meaning.{finding.kind}", name=name, against=against)
        return self.sentence(finding.metric or "", self.meaning(finding.metric or ""))

    def sentence(self, metric: str, meaning: str) -> str:
        """``Recall is the share of …``; empty without a meaning."""
        return self.t("metric_text.sentence", name=self.metric(metric), meaning=meaning) if meaning else ""

    def needed(self, finding: Finding) -> str:
        """How many more cases a decision would take; empty where that is not known.

        Where there is no figure to plan on, the number is what any judgement takes at least.
        """
        if finding.needed_n is None:
            return ""
        if finding.needed_n > UNDECIDABLE:
            return self.t("findings.undecidable")
        text = self.count(two_figures(finding.needed_n))
        return self.t("findings.at_least" if finding.value is None else "findings.about", units=text)

    def needed_note(self, finding: Finding) -> str:
        """The same in a few words, with what is counted: ``≈ 5,400 more positives``."""
        if finding.needed_n is None:
            return ""
        if finding.needed_n > UNDECIDABLE:
            return self.t("page1.undecidable")
        unit = UNITS.get(self.base(finding.metric or "")[1], "case")
        return self.t(f"page1.needed.{unit}", count=two_figures(finding.needed_n))

    def needed_clusters(self, finding: Finding) -> str:
        """How many more clusters that would be; empty where rows are independent."""
        if finding.needed_clusters is None or self.cluster is None:
            return ""
        if finding.needed_n is not None and finding.needed_n > UNDECIDABLE:
            return ""
        clusters = self.t("findings.about", units=self.count(two_figures(finding.needed_clusters)))
        return self.t("findings.needed_clusters", clusters=clusters, cluster=visible(self.cluster))

    def why(self, finding: Finding) -> str:
        """One plain sentence: the evidence's own reason, else the numbers against the limit."""
        told = (
            finding.outcome in ("fails", "meets", "cannot_tell")
            and finding.concept is None
            and finding.value is not None
        )
        if told:
            return ""  # value, limit and interval stand beside it
        if finding.reason:
            return visible(finding.reason)
        if finding.value is None or finding.limit is None or not self.t.has(f"finding.{finding.kind}"):
            return ""
        return self.t(
            f"finding.{finding.kind}", metric=self.finding_metric(finding), value=self.finding_value(finding),
            limit=self.finding_limit(finding), against=self.against(finding),
        )  # fmt: skip

    # Records

    @cached_property
    def policy_metrics(self) -> tuple[str, ...]:
        """Metrics that the rules name, in their order; without rules the first three of the evidence."""
        named = list(
            dict.fromkeys(rule.metric for rule in self.evidence.policy.rules if rule.metric is not None)
        )
        if named:
            return tuple(named)
        first = self.evidence.results.overall[:1]
        return tuple(e.metric for record in first for e in record.estimates)[:3]

    @cached_property
    def outcomes(self) -> Mapping[tuple[str, str | None, str], Finding]:
        """The finding that judges a slice, class and metric's *value* (floors and ceilings), worst first."""
        rank = {"fails": 0, "cannot_tell": 1, "not_enough_data": 2, "not_tested": 3, "meets": 4}
        found: dict[tuple[str, str | None, str], Finding] = {}
        for finding in sorted(self.evidence.findings, key=lambda f: rank[f.outcome]):
            if finding.kind in ("floor", "ceiling") and finding.metric is not None:
                found.setdefault((slice_key(finding.slice), finding.klass, finding.metric), finding)
        return found

    @cached_property
    def checks(self) -> Mapping[tuple[str, str | None], tuple[Finding, ...]]:
        """All findings of a slice and class."""
        found: dict[tuple[str, str | None], list[Finding]] = {}
        for finding in self.evidence.findings:
            if finding.concept is None:
                found.setdefault((slice_key(finding.slice), finding.klass), []).append(finding)
        return {key: tuple(items) for key, items in found.items()}

    @cached_property
    def slices(self) -> frozenset[tuple[str, str | None]]:
        """Slices and classes that the annex has a row for."""
        return frozenset((slice_key(r.slice), r.klass) for r in self.evidence.results.slices)

    @cached_property
    def unjudged_gaps(self) -> tuple[WorstGap, ...]:
        """The attributes' largest gaps that no check looks at: first those that are surest to be there."""
        return tuple(gap for gap in self.widest_gaps if not self.gap_rules(gap))

    @cached_property
    def widest_gaps(self) -> tuple[WorstGap, ...]:
        """Each attribute's largest gap by class and metric: by what is sure of it, then by its size."""
        by_class = {f.metric for f in self.evidence.findings if f.klass is not None}
        return tuple(
            sorted(
                (
                    # A gap of one value to itself says nothing; accuracy by class flatters.
                    gap
                    for gap in self.evidence.results.worst_gaps
                    if gap.value is not None
                    and gap.highest != gap.lowest
                    and (gap.klass is None or gap.metric != "accuracy" or gap.metric in by_class)
                ),
                key=lambda gap: (-max(gap.low or 0.0, 0.0), -(gap.value or 0.0)),
            )
        )

    def gap_rules(self, gap: WorstGap) -> list[str]:
        """The rules that look at a metric of each of an attribute's values."""
        return self._rules_by_gap.get((gap.attribute, gap.klass, gap.metric), [])

    @cached_property
    def _rules_by_gap(self) -> Mapping[tuple[str, str | None, str], list[str]]:
        found: dict[tuple[str, str | None, str], list[str]] = {}
        for finding in self.evidence.findings:
            if len(finding.slice) == 1 and finding.metric is not None and finding.outcome != "not_tested":
                (attribute,) = finding.slice
                rules = found.setdefault((attribute, finding.klass, finding.metric), [])
                if finding.rule not in rules:
                    rules.append(finding.rule)
        return found

    def gap_name(self, gap: WorstGap) -> str:
        """``age · class AF``."""
        of_class = [self.t("group.class", name=self.klass(gap.klass))] if gap.klass is not None else []
        return self.t("group.joiner").join([visible(gap.attribute), *of_class])

    def judged(self, record: SliceRecord, metric: str) -> Finding | None:
        return self.outcomes.get((slice_key(record.slice), record.klass, metric))

    def flattering(self, record: SliceRecord, metric: str) -> bool:
        """Accuracy of one class against the rest that no rule judges: high even for a class never named."""
        return (
            metric == "accuracy"
            and record.klass is not None
            and self.several_classes
            and (self.judged(record, metric) is None)
        )

    @staticmethod
    def cases(record: SliceRecord, estimate: Estimate) -> int:
        """The cases behind a figure; a mean over classes counts those of all classes, not the classes."""
        pooled = record.klass is None and record.counts is None
        of_classes = estimate.metric.startswith("macro_") or (
            pooled and estimate.metric == "balanced_accuracy"
        )
        return record.n if of_classes else estimate.support

    def worst(self, record: SliceRecord) -> str | None:
        """The gravest outcome of a slice and class over all its checks; None: no rule looks at it."""
        found = {finding.outcome for finding in self.checks.get((slice_key(record.slice), record.klass), ())}
        order = ("fails", "cannot_tell", "not_enough_data", "not_tested", "meets")
        return next((outcome for outcome in order if outcome in found), None)

    def word(self, outcome: str | None) -> str:
        return self.t(f"outcome.{outcome or 'none'}")


def two_figures(number: int) -> int:
    """A planned number, up to two significant figures: no plan knows it better.

    >>> two_figures(87), two_figures(5384), two_figures(100)
    (87, 5400, 100)
    """
    step: int = 10 ** max(0, len(str(number)) - 2)
    return -(-number // step) * step


def slice_key(values: Mapping[str, str | None]) -> str:
    """A slice's canonical key, whatever the order of its attributes."""
    return repr(sorted(values.items()))


def estimate_of(record: SliceRecord, metric: str) -> Estimate | None:
    """The record's estimate of a metric; None where it has none."""
    return next((estimate for estimate in record.estimates if estimate.metric == metric), None)
