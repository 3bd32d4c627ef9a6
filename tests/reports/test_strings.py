"""The catalogue: lookup, plurals, lists, and its errors."""

from __future__ import annotations

import pytest

from reports.errors import RenderError
from reports.strings import Catalogue, flat, load


def test_a_text_is_filled_in() -> None:
    assert load("en")("document.title", name="Model", version="2") == "Slice audit: Model 2"


@pytest.mark.parametrize(
    ("count", "text"), [(1, "≈ 1 more case"), (0, "≈ 0 more cases"), (1234, "≈ 1,234 more cases")]
)
def test_a_count_chooses_its_form(count: int, text: str) -> None:
    assert load("en")("page1.needed", count=count) == text


@pytest.mark.parametrize(
    ("items", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_lists(items: list[str], text: str) -> None:
    assert load("en").listed(items) == text


def test_nested_tables_become_dotted_keys() -> None:
    assert flat({"a": {"b": {"c": "x"}}, "d": 1}) == {"a.b.c": "x", "d": "1"}


def test_a_language_without_a_catalogue_is_refused() -> None:
    with pytest.raises(RenderError) as problem:
        load("tlh")
    assert str(problem.value).startswith("Report language 'tlh' has no catalogue; there is: en. Add ")


def test_a_missing_key_names_itself() -> None:
    with pytest.raises(RenderError, match=r"language 'xx' lacks 'a\.key' \(asked for 'a\.key'\); add it to"):
        Catalogue("xx", {})("a.key")


def test_a_value_is_never_read_as_a_template() -> None:
    assert Catalogue("xx", {"k": "{name}"})("k", name="{other.__class__}") == "{other.__class__}"
