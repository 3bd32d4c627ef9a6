"""Clauses: the regulation crosswalk as the document prints it."""

from __future__ import annotations

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


def crosswalk(p: Phrases) -> tuple[CrosswalkSource, ...]:
    """The versioned table of clauses; a clause whose fields are empty in this run says so."""
    sources = []
    for framework, answered in answers(p.evidence):
        rows = []
        for item in answered:
            where = p.t("list.comma").join(item.clause.fields)
            if item.lacking:
                where = p.t("crosswalk.lacking", fields=p.t("list.comma").join(item.lacking))
            parts = [item.clause.note, visible(item.written or "")]
            key = "lacking_word" if item.lacking and item.clause.answer != "outside" else item.clause.answer
            rows.append(
                CrosswalkRow(
                    item.clause.clause,
                    item.clause.asks,
                    p.t(f"crosswalk.{key}"),
                    " ".join(x for x in (*parts, where) if x),
                )
            )
        sources.append(CrosswalkSource(framework.title, framework.note or "", tuple(rows)))
    return tuple(sources)
