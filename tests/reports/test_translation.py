"""Sentences said anew: numbers and lists as a language writes them; what cannot be said stays English."""

from __future__ import annotations

import io

import pytest

from reports.evidence import Evidence, Text
from reports.render import render
from reports.strings import Catalogue, load
from reports.translation import English, translated
from tests.pseudo import catalogue
from tests.reports import sample
from tests.reports.conformance import profile_failures

GERMAN = {
    **load("en").texts,
    "number.decimal": ",",
    "number.group": ".",
    "number.percent": "{} %",
    "list.last": "{first} und {last}",
    "said.rows": "{rows:,} Zeilen ({share:.1%})",
    "said.rule": "{metric:capital}: mindestens {limit:number} für {names:and}",
    "said.recall": "trefferquote ({names: oder })",
    "said.pair": "{first} {second}",
}


def said(text: Text) -> str:
    evidence = sample.evidence()
    method = evidence.method.model_copy(update={"sentences": ["English."]})
    made = evidence.model_copy(update={"method": method, "texts": {"English.": text}})
    return translated(made, Catalogue("de", GERMAN)).method.sentences[0]


@pytest.mark.parametrize(
    ("text", "german"),
    [
        (Text(code="rows", values={"rows": 12345, "share": 0.125}), "12.345 Zeilen (12,5 %)"),
        (
            Text(
                code="rule",
                values={
                    "metric": Text(code="recall", values={"names": ["1,2", "b"]}),
                    "limit": "84.996%",
                    "names": ["sex", "1.5", Text(code="rows", values={"rows": 1, "share": 1.0})],
                },
            ),
            "Trefferquote (1,2 oder b): mindestens 84,996 % für sex, 1.5 und 1 Zeilen (100,0 %)",
        ),
        (Text(code="recall", values={"names": ["{rows}"]}), "trefferquote ({rows})"),
    ],
)
def test_a_sentence_is_said_in_another_language(text: Text, german: str) -> None:
    assert said(text) == german
    assert not isinstance(said(text), English)


@pytest.mark.parametrize(
    "text",
    [
        Text(code="of a later version"),
        Text(code="rows", values={"rows": 5}),
        Text(code="pair", values={"first": "x", "second": Text(code="of a later version")}),
        Text(code="recall", values={"names": [Text(code="of a later version")]}),
        Text(code="rows", values={"rows": "text", "share": 0.5}),
    ],
    ids=["code", "value", "part", "item", "type"],
)
def test_what_cannot_be_said_stays_as_it_was_recorded(text: Text) -> None:
    assert said(text) == "English."
    assert isinstance(said(text), English)


def test_only_sentences_are_touched() -> None:
    evidence = sample.evidence()
    subject = evidence.subject.model_copy(update={"name": "English."})
    made = evidence.model_copy(
        update={
            "subject": subject,
            "texts": {"English.": Text(code="rows", values={"rows": 1, "share": 1.0})},
        }
    )
    shown = translated(made, Catalogue("de", GERMAN))
    assert shown.subject.name == "English."
    assert shown.results.overall[0].counts == evidence.results.overall[0].counts
    assert translated(made, load("en")) is made


def test_evidence_without_the_making_of_its_sentences_can_be_read() -> None:
    document = sample.evidence().model_dump(mode="json", by_alias=True)
    del document["texts"]
    del document["report"]["wording"]
    assert Evidence.model_validate(document) == sample.evidence()


def test_the_pdf_says_its_language() -> None:
    import pikepdf

    made = render(sample.without_failures(), ["pdf"], catalogue=catalogue())
    with pikepdf.open(io.BytesIO(made["report.pdf"])) as opened:
        assert str(opened.Root.Lang) == "xx"
        assert profile_failures(made["report.pdf"], "ua1") == []
