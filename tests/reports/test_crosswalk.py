"""The crosswalk: its fields exist, its words are careful, and a run that lacks a field answers nothing."""

from __future__ import annotations

import re

import pytest

from reports.crosswalk import Clause, answers, crosswalk, filled, tick_list
from tests.reports import sample


def clauses() -> list[Clause]:
    return [clause for framework in crosswalk().frameworks for clause in framework.clauses]


def test_every_regulation_that_was_asked_for_is_there() -> None:
    assert {framework.id for framework in crosswalk().frameworks} == {
        "eu-ai-act", "nist-ai-rmf", "fda-aidsf-draft", "gmlp", "tripod-ai", "stard-ai", "claim",
        "nyc-ll144", "iso-42001", "iso-tr-24027",
    }  # fmt: skip
    act = next(framework for framework in crosswalk().frameworks if framework.id == "eu-ai-act")
    named = {clause.clause for clause in act.clauses}
    points = {f"Annex IV, point {point}" for point in ("2(g)", "3", "4", "6")}
    assert points | {f"Article 10(2)({letter})" for letter in "fgh"} | {"Article 15(3)"} <= named
    assert any(name.startswith("Article 13(3)(b)") for name in named)


def test_every_field_is_one_of_the_evidence() -> None:
    made = sample.evidence()
    for clause in clauses():
        for field in clause.fields:
            filled(made, field)
    with pytest.raises(AttributeError):
        filled(made, "results.nothing")


@pytest.mark.parametrize("clause", clauses(), ids=lambda clause: clause.clause)
def test_answers_and_fields_agree(clause: Clause) -> None:
    assert clause.answer in ("answered", "partly", "outside")
    assert bool(clause.fields) == (clause.answer != "outside")
    assert clause.note.endswith(".")
    assert clause.asks.endswith(".")


def test_words_are_careful() -> None:
    table = crosswalk()
    prose = " ".join(
        [table.caution, *(f"{c.asks} {c.note}" for c in clauses()), *(f.note or "" for f in table.frameworks)]
    ).lower()
    for word in ("compliant", "complies", "unbiased", "certif", "guarantee", "safe "):
        assert word not in prose
    assert "no legal advice" in prose
    # No date of application, which changes and differs by use: years stand only in titles.
    assert re.findall(r"\b20\d\d\b", prose) == []


def test_a_run_without_a_field_does_not_answer_by_it() -> None:
    def explainability(name: str) -> tuple[str, ...]:
        made = getattr(sample, name)()
        claim = next(pairs for framework, pairs in answers(made) if framework.id == "claim")
        return next(pair.lacking for pair in claim if pair.clause.clause == "Item 31")

    assert explainability("evidence") == ()
    assert explainability("several_classes") == ("results.concepts", "results.concept_method")


def test_what_people_wrote_is_carried() -> None:
    written = {
        pair.clause.clause: pair.written
        for framework, pairs in answers(sample.evidence())
        for pair in pairs
        if pair.clause.card
    }
    assert written["Principle 5"] == sample.CARD["reference_standard"]
    assert written["Principle 4"] is None


def test_tick_list_of_the_model_card() -> None:
    ticked = {each.part.part: each.given for each in tick_list(sample.evidence())}
    assert ticked["Out-of-scope uses"]
    assert ticked["Intersectional results"]
    assert not ticked["What the model was trained on"]
    made = sample.evidence()
    one_way = [record for record in made.results.slices if len(record.slice) == 1]
    results = made.results.model_copy(update={"slices": one_way})
    fewer = made.model_copy(
        update={"results": results, "subject": made.subject.model_copy(update={"purpose": "not stated"})}
    )
    ticked = {each.part.part: each.given for each in tick_list(fewer)}
    assert not ticked["Intersectional results"]
    assert not ticked["Purpose"]


def test_card_keys_are_the_same_everywhere() -> None:
    """The crosswalk asks for no card section that the tick list does not name."""
    sections = {part.card for part in crosswalk().card if part.by == "people"}
    assert {clause.card for clause in clauses() if clause.card} <= sections
