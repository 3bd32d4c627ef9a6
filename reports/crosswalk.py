"""The crosswalk: clause by clause, what a run answers, answers in part, or leaves to others. Data, not prose.

The data stand in ``crosswalk.toml``, versioned; here they are read, and held against one evidence
document: a clause whose fields are empty in this run is not answered by it, whatever the table says.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Literal

from reports.evidence import Evidence, Part

Answer = Literal["answered", "partly", "outside"]
Checked = Literal["text", "title", "no"]


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause: how far xaudit answers it, and from where. What it asks for stands in the catalogue.

    ``checked``: whether its number and paraphrase were held against the text itself.
    """

    id: str
    answer: Answer
    checked: Checked
    fields: tuple[str, ...] = ()
    card: str | None = None


@dataclass(frozen=True, slots=True)
class Framework:
    """A regulation, standard or guideline with its clauses."""

    id: str
    clauses: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class CardPart:
    """One part of a model card, filled by the run or by people."""

    section: str
    part: str
    by: Literal["run", "people"]
    fields: tuple[str, ...] = ()
    card: str | None = None


@dataclass(frozen=True, slots=True)
class Crosswalk:
    """The whole table."""

    version: str
    frameworks: tuple[Framework, ...]
    card: tuple[CardPart, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """A clause held against one run.

    Attributes
    ----------
    lacking : tuple of str
        Fields of the clause that are empty in this run: not empty means that this run does not answer it.
    written : str or None
        What people wrote on it under ``[card]``.
    """

    clause: Clause
    lacking: tuple[str, ...]
    written: str | None


@dataclass(frozen=True, slots=True)
class Ticked:
    """A part of the model card held against one run: given or left out."""

    part: CardPart
    given: bool


@lru_cache
def crosswalk() -> Crosswalk:
    """The table as shipped."""
    data = tomllib.loads((files("reports") / "crosswalk.toml").read_text(encoding="utf-8"))
    return Crosswalk(
        version=data["version"],
        frameworks=tuple(
            Framework(
                id=framework["id"],
                clauses=tuple(
                    Clause(**{**clause, "fields": tuple(clause["fields"])}) for clause in framework["clause"]
                ),
            )
            for framework in data["framework"]
        ),
        card=tuple(CardPart(**{**part, "fields": tuple(part.get("fields", ()))}) for part in data["card"]),
    )


def answers(evidence: Evidence) -> tuple[tuple[Framework, tuple[Answered, ...]], ...]:
    """Every clause held against the evidence, framework by framework."""
    return tuple(
        (
            framework,
            tuple(
                Answered(
                    clause=clause,
                    lacking=tuple(field for field in clause.fields if not filled(evidence, field)),
                    written=None if clause.card is None else evidence.subject.card.get(clause.card),
                )
                for clause in framework.clauses
            ),
        )
        for framework in crosswalk().frameworks
    )


def tick_list(evidence: Evidence) -> tuple[Ticked, ...]:
    """The parts of a model card, given or left out.

    References
    ----------
    Mitchell et al. (2019), Model Cards for Model Reporting, section 4.
    """
    return tuple(
        Ticked(
            part,
            given=all(filled(evidence, field) for field in part.fields)
            if part.by == "run"
            else bool(part.card and evidence.subject.card.get(part.card)),
        )
        for part in crosswalk().card
    )


def filled(evidence: Evidence, field: str) -> bool:
    """Whether ``field``, a dotted path into the evidence, holds anything.

    ``results.slices[2]``: slices of two attributes or more.

    Raises
    ------
    AttributeError
        The evidence has no such field: the table is wrong.
    """
    path, _, order = field.partition("[")
    value: object = evidence
    for name in path.split("."):
        value = getattr(value, name)
    if order:
        least = int(order.rstrip("]"))
        return any(len(record.slice) >= least for record in evidence.results.slices)
    if isinstance(value, Part):
        return True
    # That no row was left out is an answer, not a gap.
    return path == "data.excluded" or (value not in (None, "", "not stated") and value != [])
