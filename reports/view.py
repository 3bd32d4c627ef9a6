"""The view: the evidence as the templates see it: texts and rounded numbers. No figure is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from reports import (
    charts,
    clauses,
    concept_charts,
    curve_charts,
    further,
    grids,
    overall,
    sections,
    since,
    sweep_charts,
)
from reports.canvas import shorten
from reports.evidence import Evidence
from reports.glyphs import code_point, missing
from reports.page_facts import stated
from reports.page_one import PageOne
from reports.page_one import build as build_page_one
from reports.phrases import Phrases, visible
from reports.strings import Catalogue

SECTIONS = (
    "use", "data", "method", "overall", "demographic", "acquisition", "other", "intersections", "classes",
    "curves", "further", "concepts", "findings", "since", "limitations", "crosswalk", "signoff", "provenance",
    "annex", "glossary",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class InputRow:
    """A file that the run read."""

    role: str
    path: str
    rows: str
    sha256: str


@dataclass(frozen=True, slots=True)
class LimitationEntry:
    """A typed limitation, printable."""

    what: str
    who: str
    size: str
    how_known: str
    what_to_do: str


@dataclass(frozen=True, slots=True)
class Report:
    """The whole document."""

    title: str
    footer: str
    cluster: str
    level: str
    page1: PageOne
    card: tuple[sections.CardPart, ...]
    left_out: str
    data: sections.DataSection
    minimum: str
    rules: tuple[tuple[str, str], ...]
    meanings: tuple[str, ...]
    settings: str
    method: tuple[str, ...]
    overall: overall.Overall
    attributes: Mapping[str, tuple[charts.AttributeChart, ...]]
    few: str
    heats: tuple[grids.HeatChart, ...]
    heats_left: int
    class_charts: tuple[grids.HeatChart, ...]
    class_left: int
    curves: tuple[curve_charts.CurveBlock, ...]
    sweeps: tuple[curve_charts.CurveBlock, ...]
    sweeps_left: int
    further: tuple[further.Table, ...]
    concepts: concept_charts.Concepts | None
    findings: tuple[sections.FindingBlock, ...]
    since: since.Change | None
    limitations: tuple[LimitationEntry, ...]
    crosswalk: tuple[clauses.CrosswalkSource, ...]
    command: str
    inputs: tuple[InputRow, ...]
    versions: tuple[str, ...]
    glyphs: str
    annex: sections.Annex
    contents: tuple[tuple[str, str], ...]


def build(evidence: Evidence, catalogue: Catalogue, *, evidence_sha256: str, paper: bool) -> Report:
    """The view of ``evidence`` in the catalogue's language; ``paper``: the annex has an upper size."""
    p = Phrases(evidence, catalogue)
    t, run = catalogue, evidence.run
    name, version = visible(evidence.subject.name), stated(p, evidence.subject.version)
    parts = sections.card(p)
    written = tuple(part for part in parts if part.text)
    unsaid = [part.title for part in parts if not part.text]
    left_out = t("document.left_out", parts=t.listed(unsaid)) if unsaid else ""
    heats, heats_left = grids.heat_charts(p)
    by_class, class_left = grids.class_charts(p)
    settings = t(
        "method.confidence",
        confidence=p.level(run.confidence),
        resamples=p.count(run.resamples),
        seed=str(run.seed),
    )
    if evidence.policy.family:
        settings += " " + t("method.family", family=p.count(evidence.policy.family))
    report = Report(
        title=t("document.title", name=name, version=version),
        footer=t(
            "document.footer",
            name=shorten(name, 150.0, 1, 7.0),
            version=shorten(version, 50.0, 1, 7.0),
            hash=evidence_sha256[:12],
        ),
        cluster=visible(p.cluster or ""),
        level=p.level(run.confidence),
        page1=build_page_one(p),
        card=written,
        left_out=left_out,
        data=sections.data_section(p),
        minimum=visible(evidence.policy.minimum).rstrip(". ") or t("method.minimum_default"),
        rules=tuple((visible(rule.id), visible(rule.sentence)) for rule in evidence.policy.rules),
        meanings=overall.meanings(p),
        settings=settings,
        method=tuple(visible(sentence) for sentence in evidence.method.sentences),
        overall=overall.overall(p),
        attributes=charts.by_kind(p),
        few=p.count(grids.FEW),
        heats=heats,
        heats_left=heats_left,
        class_charts=by_class,
        class_left=class_left,
        curves=curve_charts.curve_blocks(p),
        sweeps=sweep_charts.sweep_blocks(p),
        sweeps_left=evidence.results.sweeps_left_out,
        further=further.tables(p),
        concepts=concept_charts.concepts(p),
        findings=sections.findings(p),
        since=since.change(p),
        limitations=tuple(
            LimitationEntry(*(visible(text) for text in (x.what, x.who, x.size, x.how_known, x.what_to_do)))
            for x in evidence.limitations
        ),
        crosswalk=clauses.crosswalk(p),
        command=visible(run.command),
        inputs=tuple(
            InputRow(
                t(f"provenance.roles.{x.role}"),
                visible(x.path),
                t("number.none") if x.rows is None else p.count(x.rows),
                x.sha256,
            )
            for x in run.inputs
        ),
        versions=versions(p),
        glyphs=lacking(evidence),
        annex=sections.annex(p, paper=paper),
        contents=(),
    )
    return replace(report, contents=contents(p, report))


def contents(p: Phrases, report: Report) -> tuple[tuple[str, str], ...]:
    """The sections that this document has, in their order."""
    there = {
        "demographic": report.attributes["demographic"],
        "acquisition": report.attributes["acquisition"],
        "other": report.attributes["other"],
        "intersections": report.heats or report.heats_left,
        "classes": report.class_charts or report.class_left,
        "curves": report.curves or report.sweeps,
        "further": report.further,
        "concepts": report.concepts,
        "since": report.since,
        "crosswalk": report.crosswalk,
    }
    return tuple((key, p.t(f"section.{key}")) for key in SECTIONS if there.get(key, True))


def versions(p: Phrases) -> tuple[str, ...]:
    """xaudit's version, the schema's, the environment's and the plugins'."""
    run, t = p.evidence.run, p.t
    found = [
        t("provenance.version", version=run.xaudit_version),
        t("provenance.schema", version=p.evidence.schema_version),
    ]
    found += [f"{visible(name)} {visible(version)}" for name, version in sorted(run.environment.items())]
    found += [f"{visible(x.group)}: {visible(x.name)} {visible(x.version)} {x.sha256}" for x in run.plugins]
    return tuple(found)


def lacking(evidence: Evidence) -> str:
    """Code points in the evidence that the font lacks, at most forty named."""
    found = sorted(missing(visible("".join(set(evidence.model_dump_json())))))
    more = "" if len(found) <= 40 else " …"
    return ", ".join(code_point(character) for character in found[:40]) + more
