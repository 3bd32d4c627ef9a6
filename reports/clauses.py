"""Clauses: the regulation crosswalk as the document prints it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.crosswalk import answers
from reports.phrases import Phrases, visible


@dataclass(frozen=True, slots=True)
class CrosswalkRow:
    """A clause, held against this run."""

    clause: str
    asks: str
    answer: str
    where: str


@dataclass(frozen=True, slots=True)
class CrosswalkSource:
    """A regulation or guideline."""

    title: str
    note: str
    rows: tuple[CrosswalkRow, ...]


SECTION = {
    "data": "data", "method": "method", "policy": "method", "run": "provenance", "subject": "use",
    "limitations": "limitations", "findings": "findings", "results.overall": "overall",
    "results.slices": "annex", "results.concepts": "concepts", "results.concept_method": "concepts",
    "results.since": "since", "results.impacts": "further",
}  # fmt: skip


def named(p: Phrases, fields: Sequence[str]) -> str:
    """The sections of this document that print these fields of the evidence."""
    sections = dict.fromkeys(
        SECTION.get(path) or SECTION[path.split(".")[0]] for path in (field.split("[")[0] for field in fields)
    )
    return p.t.listed([p.t("crosswalk.section", name=p.t(f"section.{key}")) for key in sections])


def crosswalk(p: Phrases) -> tuple[CrosswalkSource, ...]:
    """The versioned table of clauses; a clause whose fields are empty in this run says so."""
    sources = []
    for framework, answered in answers(p.evidence):
        rows = []
        for item in answered:
            where = (
                p.t("crosswalk.where_text", sections=named(p, item.clause.fields))
                if item.clause.fields
                else ""
            )
            if item.lacking:
                where = p.t("crosswalk.lacking", fields=named(p, item.lacking))
            written = p.t("crosswalk.written", text=visible(item.written)) if item.written else ""
            key = f"clause.{framework.id}.{item.clause.id}"
            parts = [p.t(f"{key}.note"), written]
            lacks = item.lacking and item.clause.answer != "outside"
            answer = p.t("crosswalk.lacking_word" if lacks else f"crosswalk.{item.clause.answer}")
            rows.append(
                CrosswalkRow(
                    p.t(f"{key}.name"),
                    p.t(f"{key}.asks"),
                    answer,
                    " ".join(x for x in (*parts, where) if x),
                )
            )
        note = f"framework.{framework.id}.note"
        title = p.t(f"framework.{framework.id}.title")
        sources.append(CrosswalkSource(title, p.t(note) if p.t.has(note) else "", tuple(rows)))
    return tuple(sources)
