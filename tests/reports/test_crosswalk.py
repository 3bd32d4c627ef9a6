"""The crosswalk: its fields exist, its words are careful, and a run that lacks a field answers nothing."""

from __future__ import annotations

import re

import pytest

from reports.crosswalk import Clause, answers, crosswalk, filled, tick_list
from reports.strings import load
from tests.reports import sample

ENGLISH = load("en")


def clauses() -> list[Clause]:
    return [clause for framework in crosswalk().frameworks for clause in framework.clauses]


def texts(part: str) -> dict[str, str]:
    """What the catalogue says of every clause, by framework and clause."""
    found = {}
    for framework in crosswalk().frameworks:
        for clause in framework.clauses:
            found[f"{framework.id}.{clause.id}"] = ENGLISH(f"clause.{framework.id}.{clause.id}.{part}")
    return found


def test_every_regulation_that_was_asked_for_is_there() -> None:
    assert {framework.id for framework in crosswalk().frameworks} == {
        "eu-ai-act", "nist-ai-rmf", "fda-aidsf-draft", "gmlp", "tripod-ai", "stard-ai", "claim",
        "nyc-ll144", "iso-42001", "iso-tr-24027",
    }  # fmt: skip
    act = next(framework for framework in crosswalk().frameworks if framework.id == "eu-ai-act")
    named = {ENGLISH(f"clause.eu-ai-act.{clause.id}.name") for clause in act.clauses}
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


@pytest.mark.parametrize("clause", clauses(), ids=lambda clause: clause.id)
def test_answers_and_fields_agree(clause: Clause) -> None:
    assert clause.answer in ("answered", "partly", "outside")
    assert clause.checked in ("text", "title", "no")
    assert bool(clause.fields) == (clause.answer != "outside")


def test_the_catalogue_has_the_texts_of_every_clause_and_of_no_other() -> None:
    assert all(text.endswith(".") for text in [*texts("note").values(), *texts("asks").values()])
    assert len(set(texts("name").items())) == len(clauses())
    printed = {key.rsplit(".", 1)[0] for key in ENGLISH.texts if key.startswith("clause.")}
    assert printed == {f"clause.{key}" for key in texts("name")}
    frameworks = {f"framework.{framework.id}" for framework in crosswalk().frameworks}
    assert {key.rsplit(".", 1)[0] for key in ENGLISH.texts if key.startswith("framework.")} == frameworks


def test_words_are_careful() -> None:
    said = [text for key, text in ENGLISH.texts.items() if key.startswith(("crosswalk.", "clause."))]
    prose = " ".join(text for text in said if text not in texts("name").values()).lower()
    for word in ("compliant", "complies", "unbiased", "certif", "guarantee", "safe "):
        assert word not in prose
    assert "no legal advice" in prose
    # No date of application, which changes and differs by use: years stand only in titles.
    assert re.findall(r"\b20\d\d\b", prose) == []


def test_a_run_without_a_field_does_not_answer_by_it() -> None:
    def explainability(name: str) -> tuple[str, ...]:
        made = getattr(sample, name)()
        claim = next(pairs for framework, pairs in answers(made) if framework.id == "claim")
        return next(pair.lacking for pair in claim if pair.clause.id == "31")

    assert explainability("evidence") == ()
    assert explainability("several_classes") == ("results.concepts", "results.concept_method")


def test_what_people_wrote_is_carried() -> None:
    written = {
        f"{framework.id} {pair.clause.id}": pair.written
        for framework, pairs in answers(sample.evidence())
        for pair in pairs
        if pair.clause.card
    }
    assert written["gmlp 5"] == sample.CARD["reference_standard"]
    assert written["gmlp 4"] is None


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
