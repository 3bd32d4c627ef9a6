"""Sections after page one: use, data, findings, annex."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from reports.canvas import Point
from reports.evidence import AttributeData, AttributeValue, Estimate, Finding, SliceRecord
from reports.palette import OUTCOMES
from reports.phrases import Phrases, estimate_of, slice_key, visible
from reports.rounding import Scale
from reports.worst_table import ordered

CARD = (
    "intended_use", "out_of_scope", "users", "reference_standard", "independence", "training_data",
    "mitigations", "ethical", "contact",
)  # fmt: skip
MOST_ANNEX_ROWS = 2000
MOST_ANNEX_METRICS = 5
OF_A_CLASS = ("recall", "precision")
MOST_CLASSES = 8  # columns of a table of counts
MOST_PAIRS = 12
MOST_VALUES = 200  # of one attribute


@dataclass(frozen=True, slots=True)
class CardPart:
    """A part that only people can fill; ``text`` empty: left out, and shown so."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Group:
    """A row of Table 1."""

    attribute: str
    first: bool
    span: int
    value: str
    raw: str
    rows: str
    share: str
    clusters: str
    positives: str
    failed: str
    unlabelled: str


@dataclass(frozen=True, slots=True)
class ClassMatrix:
    """Cases of each class in each group, as many classes as a page is wide."""

    classes: tuple[str, ...]
    rows: tuple[tuple[str, bool, str, tuple[str, ...]], ...]  # attribute, first of it, value, cases


@dataclass(frozen=True, slots=True)
class DataSection:
    """What was counted and what was not."""

    sentences: tuple[str, ...]
    groups: tuple[Group, ...]
    left: tuple[str, ...]
    rows_head: str
    show_clusters: bool
    show_positives: bool
    missing: tuple[tuple[str, float, str], ...]
    any_missing: bool
    excluded: tuple[tuple[str, str, str], ...]
    excluded_note: str
    associations: tuple[tuple[str, str], ...]
    classes: tuple[ClassMatrix, ...]
    unseen: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its interval, as the tables print it."""

    value: str
    interval: str
    support: str
    outcome: str | None
    word: str
    undefined: str
    method: str = ""
    joint: str = ""


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A check."""

    group: str
    value: str
    interval: str
    read_from: str
    cases: str
    needed: str
    needed_clusters: str
    why: str
    outcome: str
    word: str
    anchor: str
    mark: str = ""


@dataclass(frozen=True, slots=True)
class FindingBlock:
    """The checks of one rule; ``read_from`` says which interval each was read from, by its mark."""

    rule: str
    heading: str
    sentence: str
    tally: str
    rows: tuple[FindingRow, ...]
    read_from: str
    reasons: bool


@dataclass(frozen=True, slots=True)
class SliceRow:
    """A slice and class in the annex."""

    anchor: str
    group: str
    attributes: str
    rows: str
    sort_rows: int
    outcome: str | None
    word: str
    by: str  # the rules that the result comes from, where no figure beside it bears their mark
    figures: tuple[Figure, ...]
    basis: tuple[str, ...]
    sorts: tuple[str, ...]
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Annex:
    """Every slice with the policy's metrics."""

    rows_head: str
    metrics: tuple[str, ...]
    rows: tuple[SliceRow, ...]
    note: str
    small: tuple[tuple[str, str, str], ...]
    outcomes: tuple[tuple[str, str], ...]
    attributes: tuple[str, ...]
    level: str


def anchor_of(record_slice: dict[str, str | None], klass: str | None) -> str:
    """A stable identifier of a slice and class for links: a hash, since values hold any character."""
    return (
        "s-"
        + hashlib.sha256(f"{slice_key(record_slice)}|{klass!r}".encode("utf-8", "replace")).hexdigest()[:10]
    )


def card(p: Phrases) -> tuple[CardPart, ...]:
    """Purpose, then the known parts, left out ones too, then the parts under names of their own."""
    written = p.evidence.subject.card
    known = [CardPart(p.t(f"use.{key}"), visible_lines(written.get(key, ""))) for key in CARD]
    own = [
        CardPart(visible(key), visible_lines(text))
        for key, text in sorted(written.items())
        if key not in CARD
    ]
    purpose = p.evidence.subject.purpose
    version = p.evidence.subject.version
    name = [p.evidence.subject.name, *([version] if version not in ("", "not stated") else [])]
    return (
        CardPart(p.t("use.model"), visible_lines(" · ".join(name))),
        CardPart(p.t("use.purpose"), "" if purpose == "not stated" else visible_lines(purpose)),
        *known,
        *own,
    )


def visible_lines(text: str) -> str:
    """Prose of the configuration: its line breaks stay."""
    return "\n".join(visible(line) for line in text.splitlines())


def data_section(p: Phrases) -> DataSection:
    """Table 1, what is missing, what was left out, what cannot be told apart."""
    data, t = p.evidence.data, p.t
    sentences = [t("data.intro", rows=p.count(data.rows), used=p.count(data.rows_used))]
    classes = p.count(len(data.classes))
    if p.records is not None:
        sentences.append(t("data.task.records", records=p.count(p.records), classes=classes))
    else:
        sentences.append(t(f"data.task.{data.task}", positive=p.klass(data.positive), classes=classes))
    if p.cluster is not None and data.clusters is not None:
        sentences.append(t("data.clusters", clusters=p.count(data.clusters), cluster=visible(p.cluster)))
        sentences += cluster_sentences(p)
    else:
        sentences.append(t("data.no_clusters" if p.records is None else "data.no_clusters_records"))
    records: dict[str, SliceRecord] = {}
    for record in p.evidence.results.slices:
        if len(record.slice) == 1:
            records.setdefault(slice_key(record.slice), record)
    binary = not p.several_classes
    groups, left = [], []
    for attribute in data.attributes:
        # The missing value is a group of its own, and stands last.
        values = sorted(shown_values(p, attribute), key=lambda v: v.value is None)
        if attribute.missing and all(value.value is not None for value in values):
            values.append(AttributeValue(value=None, n=attribute.missing))
        if len(attribute.values) > MOST_VALUES:
            left.append(values_left(p, attribute, MOST_VALUES))
        for i, value in enumerate(values):
            found = records.get(slice_key({attribute.name: value.value}))
            counts = found.counts if found is not None and binary else None
            rows, share = p.count(value.n), p.share(value.n, data.rows)
            if (
                p.records is not None
            ):  # a slice that is too small to compute has rows, its records are unknown
                known = found is not None and found.klass is None
                rows = p.count(found.n) if found is not None and known else t("number.none")
                share = p.share(found.n, p.records) if found is not None and known else t("number.none")
            groups.append(
                Group(
                    attribute=visible(attribute.name),
                    first=i == 0,
                    span=len(values),
                    value=p.value(attribute.name, value.value),
                    raw=p.raw(attribute.name, value.value),
                    rows=rows,
                    share=share,
                    clusters=p.count(found.clusters)
                    if found and found.clusters is not None
                    else t("number.none"),
                    positives=p.count(counts.tp + counts.fn) if counts else t("number.none"),
                    failed=p.count(found.failed_predictions) if found else t("number.none"),
                    unlabelled=p.count(found.unlabelled) if found else t("number.none"),
                )
            )
    return DataSection(
        sentences=tuple(sentences),
        groups=tuple(groups),
        left=tuple(left),
        rows_head=p.counted,
        show_clusters=p.cluster is not None,
        show_positives=binary,
        missing=tuple(
            (visible(a.name), a.missing / data.rows if data.rows else 0.0, p.share(a.missing, data.rows))
            for a in data.attributes
        ),
        any_missing=any(a.missing for a in data.attributes),
        excluded=tuple(
            (visible(x.reason), p.group(x.slice) if x.slice else t("data.everywhere"), p.count(x.rows))
            for x in data.excluded
            if not (x.slice and x.of == "figures")
        ),
        excluded_note=t("data.excluded_note") if any(x.slice for x in data.excluded) else "",
        associations=tuple(
            (visible(a.sentence), t("data.association_strength", value=p.number(a.cramers_v, "number")))
            for a in data.associations
        ),
        classes=class_matrices(p),
        unseen=unseen(p),
    )


def cluster_sentences(p: Phrases) -> list[str]:
    """How many rows a cluster has, and what that costs: the range of the design effects."""
    data, sentences = p.evidence.data, []
    if data.clusters is None:
        return []
    sizes = data.cluster_sizes
    if sizes is not None:
        sentences.append(
            p.t(
                "data.cluster_sizes",
                median=p.number(sizes.median, "number").rstrip("0").rstrip(p.t.style.decimal),
                fewest=p.count(sizes.fewest),
                most=p.count(sizes.most),
            )
        )
    records = [*p.evidence.results.overall, *p.evidence.results.slices]
    effects = [
        e.design_effect
        for r in records
        for e in r.estimates
        if e.design_effect is not None and (not p.policy_metrics or e.metric in p.policy_metrics)
    ]
    if effects:
        ordered_effects = sorted(effects)
        low, middle, high = (ordered_effects[i] for i in (0, len(effects) // 2, -1))
        sentences.append(
            p.t(
                "data.design_effects",
                low=p.limit(round(low, 2), "number"),
                median=p.limit(round(middle, 2), "number"),
                high=p.limit(round(high, 2), "number"),
            )
        )
    return sentences


def class_matrices(p: Phrases) -> tuple[ClassMatrix, ...]:
    """Cases of each class by group; nothing for two classes, whose positives stand in Table 1."""
    if not p.several_classes:
        return ()
    found = {
        (slice_key(r.slice), r.klass): r.counts.tp + r.counts.fn
        for r in p.evidence.results.slices
        if len(r.slice) == 1 and r.counts is not None and r.klass is not None
    }
    classes = [k for k in p.evidence.data.classes if any(klass == k for _, klass in found)]
    made = []
    for start in range(0, len(classes), MOST_CLASSES):
        part = classes[start : start + MOST_CLASSES]
        rows = []
        for attribute in p.evidence.data.attributes:
            groups = [v.value for v in shown_values(p, attribute)]
            groups = [v for v in groups if any((slice_key({attribute.name: v}), k) in found for k in part)]
            for i, value in enumerate(groups):
                counts = [found.get((slice_key({attribute.name: value}), k)) for k in part]
                cells = tuple(p.t("number.none") if n is None else p.count(n) for n in counts)
                rows.append((visible(attribute.name), i == 0, p.value(attribute.name, value), cells))
        if rows:
            made.append(ClassMatrix(tuple(p.klass(k) for k in part), tuple(rows)))
    return tuple(made)


def unseen(p: Phrases) -> str:
    """Which attributes were not held against each other; empty where all were."""
    pairs = p.evidence.data.unseen_pairs
    if not pairs:
        return ""
    named = [p.t("data.pair", one=visible(one), other=visible(other)) for one, other in pairs[:MOST_PAIRS]]
    if len(pairs) > MOST_PAIRS:
        named.append(p.t("unshown_fact.more", count=len(pairs) - MOST_PAIRS))
    return p.t("data.unseen", pairs=p.t.listed(named))


def shown_values(p: Phrases, attribute: AttributeData) -> list[AttributeValue]:
    """The values that are printed, in their order: at most 200, those that a rule tests, then the largest."""
    if len(attribute.values) <= MOST_VALUES:
        return list(attribute.values)
    rank = {outcome: i for i, outcome in enumerate(OUTCOMES)}
    tested = {
        key: min(rank[finding.outcome] for finding in found) for (key, _), found in p.checks.items() if found
    }

    def claim(value: AttributeValue) -> tuple[int, int, str]:
        gravest = tested.get(slice_key({attribute.name: value.value}), len(OUTCOMES))
        return gravest, -value.n, value.value or ""

    kept = {value.value for value in sorted(attribute.values, key=claim)[:MOST_VALUES]}
    return [value for value in attribute.values if value.value in kept]


def values_left(p: Phrases, attribute: AttributeData, shown: int) -> str:
    return p.t(
        "data.values_left",
        attribute=visible(attribute.name),
        n=p.count(len(attribute.values)),
        shown=p.count(shown),
        left=p.count(len(attribute.values) - shown),
    )


def figure_of(p: Phrases, record: SliceRecord, metric: str) -> Figure:
    """A slice's metric as printed; digits keep it on its side of the limit that judges it."""
    estimate = estimate_of(record, metric)
    finding = p.judged(record, metric)
    outcome = finding.outcome if finding is not None else None
    word = p.word(outcome) if outcome else ""
    if estimate is None:
        return Figure(p.t("number.none"), "", "", outcome, word, "")
    scale = p.scale(metric)
    walls = (finding.limit,) if finding is not None and finding.limit is not None else ()
    joint = joint_limits(p, finding)
    return Figure(
        value=p.number(estimate.value, scale, walls),
        interval=p.interval(estimate.low, estimate.high, scale, walls),
        support=p.count(p.cases(record, estimate)),
        outcome=outcome,
        word=word,
        undefined=visible(estimate.undefined or ""),
        method=visible(estimate.method),
        joint="" if joint is None else p.interval(*joint, scale, walls),
    )


def joint_limits(p: Phrases, finding: Finding | None) -> tuple[float, float] | None:
    """The corrected interval that a check was read from; None where it was read from the plain one."""
    if finding is None or finding.level is None or finding.low is None or finding.high is None:
        return None
    return (finding.low, finding.high) if finding.level > p.evidence.run.confidence + 1e-9 else None


def finding_row(p: Phrases, finding: Finding) -> FindingRow:
    group = p.finding_group(finding)
    linked = finding.concept is None and (slice_key(finding.slice), finding.klass) in p.slices
    return FindingRow(
        group=group,
        value=p.finding_value(finding) if finding.value is not None else p.t("number.none"),
        interval=p.finding_interval(finding) if finding.value is not None else "",
        read_from=p.read_from(finding),
        cases=p.t("number.none") if finding.support is None else p.count(finding.support),
        needed=p.needed(finding),
        needed_clusters=p.needed_clusters(finding),
        why=p.why(finding),
        outcome=finding.outcome,
        word=p.word(finding.outcome),
        anchor=anchor_of(finding.slice, finding.klass) if linked else "",
    )


def findings(p: Phrases) -> tuple[FindingBlock, ...]:
    """The checks by rule; in a rule the gravest outcome first, then worst first."""
    rank = {outcome: i for i, outcome in enumerate(OUTCOMES)}
    by_rule: dict[str, list[Finding]] = {rule: [] for rule in p.rules}
    for finding in p.evidence.findings:
        by_rule.setdefault(finding.rule, []).append(finding)
    blocks = []
    for rule, found in by_rule.items():
        rows = sorted(ordered(found), key=lambda f: rank[f.outcome])
        tally = [
            p.t(f"findings.tally.{outcome}", count=n)
            for outcome in OUTCOMES
            if (n := sum(f.outcome == outcome for f in found))
        ]
        sentence = visible(p.rules[rule].sentence) if rule in p.rules else ""
        marked, read_from = marks(p, [finding_row(p, finding) for finding in rows])
        blocks.append(
            FindingBlock(
                rule=visible(rule),
                heading=p.rule_names.get(rule) or (p.rule_heading(found[0]) if found else visible(rule)),
                sentence=sentence,
                tally=p.t("list.comma").join(tally),
                rows=marked,
                read_from=read_from,
                reasons=any(row.why for row in marked),
            )
        )
    return tuple(blocks)


def marks(p: Phrases, rows: Sequence[FindingRow]) -> tuple[tuple[FindingRow, ...], str]:
    """Rows with a letter for the interval that they were read from, and the letters' key.

    One kind of interval needs no letter; a row without an interval gets none.
    """
    none = ("", p.t("number.none"))
    kinds = list(dict.fromkeys(row.read_from for row in rows if row.interval not in none))
    if not kinds:
        return tuple(rows), ""
    if len(kinds) == 1:
        return tuple(rows), p.t("findings.read_from", interval=kinds[0])
    letters = {kind: letter(i) for i, kind in enumerate(kinds)}
    key = [p.t("findings.read_from_mark", mark=mark, interval=kind) for kind, mark in letters.items()]
    return (
        tuple(replace(row, mark=letters[row.read_from]) if row.interval not in none else row for row in rows),
        p.t("findings.read_from_several", intervals="; ".join(key)),
    )


def letter(number: int) -> str:
    """``a`` to ``z``, then ``aa``, ``ab`` and so on."""
    return (letter(number // 26 - 1) if number >= 26 else "") + chr(ord("a") + number % 26)


def annex(p: Phrases, *, paper: bool) -> Annex:
    """One row a slice, and a class where rules judge classes.

    On paper, above 2,000 rows, only those that a rule judges; and as many metrics as the page is wide.
    """
    records: Sequence[SliceRecord] = sorted(
        p.evidence.results.slices, key=lambda record: p.order(record.slice, record.klass)
    )
    metrics, notes = list(p.policy_metrics), []
    pooled = [record for record in records if record.klass is None]
    by_class = any(finding.klass is not None for finding in p.evidence.findings)
    if len(pooled) < len(records) and not by_class:
        if paper and pooled:
            notes.append(p.t("annex.classes_left", n=p.count(len(records) - len(pooled))))
            records = pooled
        else:
            have = {e.metric for r in records if r.klass is not None for e in r.estimates}
            metrics += [metric for metric in OF_A_CLASS if metric in have and metric not in metrics]
            notes.append(p.t("annex.classes"))
    if paper and len(metrics) > MOST_ANNEX_METRICS:
        notes.append(p.t("annex.metrics_left", count=len(metrics) - MOST_ANNEX_METRICS))
        metrics = metrics[:MOST_ANNEX_METRICS]
    notes.append(p.t("annex.basis"))
    if any(p.flattering(record, metric) for record in records for metric in metrics):
        notes.append(p.t("annex.no_accuracy"))
    if paper and len(records) > MOST_ANNEX_ROWS:
        judged = [record for record in records if p.worst(record) is not None][:MOST_ANNEX_ROWS]
        notes.append(p.t("annex.tested_only", n=p.count(len(records)), shown=p.count(len(judged))))
        records = judged
    rows = []
    for record in records:
        found = [
            (metric, None if p.flattering(record, metric) else estimate_of(record, metric))
            for metric in metrics
        ]
        outcome = p.worst(record)
        rows.append(
            SliceRow(
                anchor=anchor_of(record.slice, record.klass),
                group=p.group(record.slice, record.klass),
                attributes=" × ".join(visible(name) for name in record.slice),
                rows=p.count(record.n),
                sort_rows=record.n,
                outcome=outcome,
                word=p.word(outcome),
                by=deciding(p, record, outcome, metrics),
                basis=tuple(basis_of(p, record, metric) if estimate else "" for metric, estimate in found),
                figures=tuple(
                    figure_of(p, record, metric)
                    if estimate
                    else Figure(p.t("number.none"), "", "", None, "", "")
                    for metric, estimate in found
                ),
                sorts=tuple(sort_key(estimate) for _, estimate in found),
                points=tuple(
                    Point(e.value, e.low, e.high, outcome_of(p, record, metric))
                    if e
                    else Point(None, None, None)
                    for metric, e in found
                ),
            )
        )
    return Annex(
        rows_head=p.counted,
        metrics=tuple(p.metric(metric) for metric in metrics),
        rows=tuple(rows),
        note=" ".join(notes),
        small=tuple(
            (p.group(x.slice), visible(x.reason), p.count(x.rows)) for x in p.evidence.data.small_slices
        ),
        outcomes=tuple(
            (outcome, p.word(outcome)) for outcome in OUTCOMES if any(row.outcome == outcome for row in rows)
        ),
        attributes=tuple(dict.fromkeys(row.attributes for row in rows)),
        level=p.level(p.evidence.run.confidence),
    )


def deciding(p: Phrases, record: SliceRecord, outcome: str | None, metrics: Sequence[str]) -> str:
    """The rules behind a result other than "meets", where no figure of the row is marked with it."""
    if outcome in (None, "meets") or any(outcome_of(p, record, metric) == outcome for metric in metrics):
        return ""
    found = p.checks.get((slice_key(record.slice), record.klass), ())
    return p.t("list.comma").join(dict.fromkeys(visible(f.rule) for f in found if f.outcome == outcome))


def basis_of(p: Phrases, record: SliceRecord, metric: str) -> str:
    """What a figure rests on: its cases, what they are worth, the smallest gap that they could show."""
    estimate = estimate_of(record, metric)
    if estimate is None:
        return ""
    parts = [p.t("annex.cases", n=p.count(p.cases(record, estimate)))]
    if estimate.effective is not None and (p.cluster is not None or estimate.design_effect is not None):
        parts.append(p.t("annex.effective", n=p.count(round(estimate.effective))))
    gap = next((d for d in record.disparities if d.metric == metric and d.against == "complement"), None)
    if gap is not None and gap.detectable_gap is not None:
        scale: Scale = "points" if p.scale(metric) == "percent" else "number"
        parts.append(p.t("annex.gap", gap=p.limit(round(gap.detectable_gap, 3), scale)))
    return p.t("list.comma").join(parts)


def sort_key(estimate: Estimate | None) -> str:
    """A number that the table sorts by; undefined figures last."""
    return "" if estimate is None or estimate.value is None else repr(round(estimate.value, 9))


def outcome_of(p: Phrases, record: SliceRecord, metric: str) -> str | None:
    finding = p.judged(record, metric)
    return finding.outcome if finding is not None else None
