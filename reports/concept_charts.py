"""Concept charts: what the model reacts to, against random sets, by group, and beside the findings."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from reports.canvas import Axis, Point, axis_for
from reports.evidence import ConceptRecord, Finding
from reports.figures import HeatCell, side_note
from reports.grids import HeatChart, parts
from reports.phrases import Phrases, barriers_of, slice_key, visible

#: Metrics that look at the images labelled with the class only, as the concept tests do.
OF_THE_CLASS = ("recall", "fnr")


@dataclass(frozen=True, slots=True)
class ConceptChart:
    """A concept's effect against the random sets' effects."""

    title: str
    null: tuple[float, ...]
    point: Point
    axis: Axis
    null_text: str
    effect_text: str
    margin: float | None


@dataclass(frozen=True, slots=True)
class ConceptRow:
    """A concept test in numbers."""

    concept: str
    klass: str
    layer: str
    group: str
    effect: str
    interval: str
    p: str
    p_adjusted: str
    auc: str
    score: str
    images: str
    verdict: str
    outcome: str | None


@dataclass(frozen=True, slots=True)
class Concepts:
    """What the model reacts to."""

    method: tuple[str, ...]
    charts: tuple[ConceptChart, ...]
    rows: tuple[ConceptRow, ...]
    slices: tuple[ConceptRow, ...]
    grids: tuple[HeatChart, ...]
    joined: tuple[str, ...]
    unlearnt: tuple[str, ...]
    sets: tuple[tuple[str, str, str, str], ...]
    entangled: tuple[tuple[str, tuple[str, ...]], ...]
    several_classes: bool


def concept_outcome(p: Phrases, record: ConceptRecord) -> Finding | None:
    for finding in p.evidence.findings:
        if (finding.concept, finding.klass, finding.layer) == (
            record.concept,
            record.klass,
            record.layer,
        ) and (slice_key(finding.slice) == slice_key(record.slice)):
            return finding
    return None


def concepts(p: Phrases) -> Concepts | None:
    """The concept tests; None where none was made."""
    records = p.evidence.results.concepts
    if not records:
        return None
    t = p.t
    charts = []
    for record in records:
        if record.slice or record.effect.value is None or not record.null_effects:
            continue
        finding = concept_outcome(p, record)
        margin = finding.limit if finding is not None else None
        walls = barriers_of("concept", margin)
        e = record.effect
        effect = p.number(e.value, "number", walls)
        low, high, ticks = axis_for([*record.null_effects, e.value, e.low, e.high, 0.0], most=6)
        layer = t("group.layer", layer=visible(record.layer))
        pseudo = len(record.null_effects)
        charts.append(
            ConceptChart(
                title=t(
                    "concepts.title",
                    concept=visible(record.concept),
                    klass=p.klass(record.klass),
                    layer=layer,
                    effect=effect,
                    pseudo=p.count(pseudo),
                ),
                null=tuple(record.null_effects),
                point=Point(e.value, e.low, e.high, finding.outcome if finding else None),
                axis=Axis(low, high, tuple((tick, p.tick(tick, "number")) for tick in ticks)),
                null_text=t("concepts.null" if margin else "concepts.null_no_margin", n=p.count(pseudo)),
                effect_text=side_note(
                    p.finding_group(finding)
                    if finding
                    else t("group.joiner").join(
                        [
                            t("group.concept", concept=visible(record.concept), klass=p.klass(record.klass)),
                            layer,
                        ]
                    ),
                    t("concepts.effect", effect=effect, interval=p.interval(e.low, e.high, "number", walls)),
                ),
                margin=margin,
            )
        )
    method = p.evidence.results.concept_method
    entangled = []
    if method is not None:
        for layer, matrix in sorted(method.entanglement.items()):
            pairs = entangled_pairs(p, layer, matrix)
            if pairs:
                entangled.append((t("concepts.entanglement", layer=visible(layer)), pairs))
    unlearnt = [
        t(
            "concepts.unlearnt_text",
            concept=visible(r.concept),
            layer=visible(r.layer),
            reason=visible(r.undefined or t("concepts.not_learnt")),
        )
        for r in records
        if r.verdict == "not_learnt" and not r.slice
    ]
    return Concepts(
        method=tuple(visible(text) for text in (method.method, *method.notes)) if method else (),
        charts=tuple(charts),
        rows=tuple(concept_row(p, r) for r in records if not r.slice),
        slices=tuple(concept_row(p, r) for r in records if r.slice and r.verdict != "not_learnt"),
        grids=concept_grids(p),
        joined=joined(p),
        unlearnt=tuple(unlearnt),
        sets=tuple((visible(s.name), visible(s.source), p.count(s.images), s.sha256) for s in method.sets)
        if method
        else (),
        entangled=tuple(entangled),
        several_classes=len({r.klass for r in records}) > 1,
    )


def elsewhere(record: ConceptRecord) -> int:
    """1 where the effect is shown to be higher here than in the other images, -1 lower, else 0."""
    return {"higher": 1, "lower": -1}.get(record.difference_verdict or "", 0)


def concept_grids(p: Phrases) -> tuple[HeatChart, ...]:
    """Concepts and layers down, an attribute's groups across; one grid an attribute (or crossing)."""
    t = p.t
    found = [
        r
        for r in p.evidence.results.concepts
        if r.slice and r.effect.value is not None and r.verdict != "not_learnt"
    ]
    classes = {r.klass for r in found}
    charts: list[HeatChart] = []
    for names in dict.fromkeys(tuple(sorted(r.slice)) for r in found):
        mine = sorted(
            (r for r in found if tuple(sorted(r.slice)) == names),
            key=lambda r: p.order(r.slice, r.klass),
        )
        key = "concepts.slices_class" if len(classes) > 1 else "concepts.slices_row"

        def label(r: ConceptRecord, key: str = key) -> str:
            return t(key, concept=visible(r.concept), klass=p.klass(r.klass), layer=visible(r.layer))

        def across(r: ConceptRecord, names: tuple[str, ...] = names) -> str:
            return t("group.joiner").join(p.value(name, r.slice[name]) for name in names)

        rows = sorted(dict.fromkeys(map(label, mine)))
        columns = list(dict.fromkeys(map(across, mine)))
        by_place = {(label(r), across(r)): r for r in mine}
        cells = [[concept_cell(p, by_place.get((row, column)), row) for column in columns] for row in rows]
        heading = t("list.comma").join(visible(name) for name in names)
        title = t("concepts.slices_title", attribute=heading)
        charts += parts(p, title, t("concepts.concept"), heading, rows, columns, cells) or []
    return tuple(charts)


def concept_cell(p: Phrases, record: ConceptRecord | None, row: str) -> HeatCell | None:
    if record is None or record.effect.value is None:
        return None
    e = record.effect
    effect = p.number(e.value, "number")
    key = {1: "concepts.more_here", -1: "concepts.less_here"}.get(elsewhere(record))
    tip = p.t(
        "concepts.slices_cell",
        row=row,
        group=p.group(record.slice),
        effect=effect,
        interval=p.interval(e.low, e.high, "number"),
    )
    return HeatCell(
        p.t(key, effect=effect) if key else effect,
        e.value,
        None,
        tip,
        p.t("concepts.slices_images", n=p.count(record.images)),
    )


def joined(p: Phrases) -> tuple[str, ...]:
    """For a group that fails a rule: the concepts that drive, or oppose, its class there more than elsewhere.

    Only where the concept is shown to do so in the group itself; a concept that opposes a class, and less
    so in the group, is no reason for the group.
    """
    sentences = []
    for finding in p.evidence.findings:
        if finding.outcome != "fails" or finding.concept is not None or not finding.slice:
            continue
        for record in p.evidence.results.concepts:
            same = slice_key(record.slice) == slice_key(finding.slice) and finding.klass in (
                None,
                record.klass,
            )
            d = record.difference
            key = {("drives", 1): "concepts.joined", ("opposes", -1): "concepts.joined_opposes"}.get(
                (record.verdict, elsewhere(record))
            )
            if same and d is not None and key is not None:
                sentence = p.t(
                    key,
                    group=p.finding_group(finding),
                    rule=p.rule_heading(finding),
                    concept=visible(record.concept),
                    klass=p.klass(record.klass),
                    layer=p.t("group.layer", layer=visible(record.layer)),
                    difference=p.number(d.value, "number", (0.0,)),
                    interval=p.interval(d.low, d.high, "number"),
                    p=p.probability(record.difference_p_adjusted),
                )
                if finding.metric not in OF_THE_CLASS:
                    other = p.t("concepts.joined_others", klass=p.klass(record.klass))
                    sentence = p.t("concepts.joined_with", sentence=sentence, caveat=other)
                sentences.append(sentence)
    return tuple(sentences)


def entangled_pairs(p: Phrases, layer: str, matrix: Sequence[Sequence[float]]) -> tuple[str, ...]:
    """Pairs of concepts learnt at the layer whose directions agree or are opposite, from the stated cosine.

    The matrix has a row for each concept that had images enough for a vector, in the order of the sets.
    """
    method, tests = p.evidence.results.concept_method, p.evidence.results.concepts
    had = {c.concept for c in tests if c.layer == layer and c.cav.auc is not None}
    names = [one.name for one in method.sets if one.name in had] if method is not None else []
    if method is None or len(names) != len(matrix):
        return ()
    learnt = {c.concept for c in tests if c.layer == layer and c.verdict != "not_learnt"}
    found = []
    for (i, a), (j, b) in itertools.combinations(enumerate(names), 2):
        if abs(matrix[i][j]) >= method.entangled_from and {a, b} <= learnt:
            value = p.number(matrix[i][j], "number")
            found.append(p.t("concepts.entangled", a=visible(a), b=visible(b), value=value))
    return tuple(found)


def concept_row(p: Phrases, record: ConceptRecord) -> ConceptRow:
    finding = concept_outcome(p, record)
    walls = barriers_of("concept", finding.limit) if finding else ()
    e, cav, none = record.effect, record.cav, p.t("number.none")
    auc = none if cav.auc is None else p.number(cav.auc, "number")
    return ConceptRow(
        concept=visible(record.concept),
        klass=p.klass(record.klass),
        layer=visible(record.layer),
        group=p.group(record.slice) if record.slice else "",
        effect=none if e.value is None else p.number(e.value, "number", walls),
        interval="" if e.value is None else p.interval(e.low, e.high, "number", walls),
        p=p.probability(record.p_value),
        p_adjusted=p.probability(record.p_adjusted),
        auc=auc,
        score=none if record.score is None else p.number(record.score, "percent"),
        images=p.count(record.images),
        verdict=p.t(f"concepts.{record.verdict}"),
        outcome=finding.outcome if finding else None,
    )
