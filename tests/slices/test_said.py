"""Sentences that keep what they were made of."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from slices.said import Said, say, sentence_pair


@pytest.mark.parametrize(
    ("template", "values", "text"),
    [
        ("{rows:,} rows", {"rows": 12345}, "12,345 rows"),
        ("{share:.1%}", {"share": 0.125}, "12.5%"),
        ("{names:and}", {"names": []}, ""),
        ("{names:and}", {"names": ["a"]}, "a"),
        ("{names:and}", {"names": ["a", "b", "c"]}, "a, b and c"),
        ("{names:; }", {"names": ("a", "b")}, "a; b"),
        ("{name:capital}!", {"name": "recall of {x}"}, "Recall of {x}!"),
        ("{limit:number}", {"limit": "84.996%"}, "84.996%"),
    ],
)
def test_templates_are_filled_in(template: str, values: dict[str, object], text: str) -> None:
    assert say("example", template, **values) == text  # type: ignore[arg-type]


def test_a_sentence_is_text_and_keeps_its_making() -> None:
    said = say("example", "{n} of {m:.2f}", n=np.int64(3), m=np.float32(0.5))
    assert said == "3 of 0.50"
    assert isinstance(said, str)
    assert (said.code, said.values) == ("example", {"n": 3, "m": 0.5})
    assert [type(value) for value in said.values.values()] == [int, float]


@pytest.mark.parametrize("again", [copy.deepcopy, lambda said: pickle.loads(pickle.dumps(said))])
def test_a_copy_keeps_its_making_too(again: object) -> None:
    said = say("outer", "{inner:capital}.", inner=say("inner", "no {what}", what="row"))
    copied = again(said)  # type: ignore[operator]
    assert isinstance(copied, Said)
    assert (copied, copied.code) == (said, "outer")
    inner = copied.values["inner"]
    assert isinstance(inner, Said)
    assert (inner, inner.code) == ("no row", "inner")


def test_two_sentences_in_a_row() -> None:
    assert sentence_pair("One.", say("two", "Two.")) == "One. Two."


@pytest.mark.parametrize("number", [float("inf"), np.float64("-inf"), float("nan")])
def test_what_json_does_not_have_is_no_value(number: float) -> None:
    with pytest.raises(ValueError, match="say it as text"):
        say("example", "{x:g}", x=number)
