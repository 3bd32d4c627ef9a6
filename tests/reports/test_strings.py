"""The catalogue: lookup, plurals, lists, and its errors."""

from __future__ import annotations

import pytest

from reports.errors import RenderError
from reports.evidence import ReportOptions
from reports.strings import Catalogue, catalogue_of, flat, load, source, translation


def test_a_text_is_filled_in() -> None:
    assert load("en")("document.title", name="Model", version="2") == "Slice audit: Model 2"


@pytest.mark.parametrize(
    ("count", "text"), [(1, "≈ 1 more case"), (0, "≈ 0 more cases"), (1234, "≈ 1,234 more cases")]
)
def test_a_count_chooses_its_form(count: int, text: str) -> None:
    assert load("en")("page1.needed.case", count=count) == text


@pytest.mark.parametrize(
    ("items", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_lists(items: list[str], text: str) -> None:
    assert load("en").listed(items) == text


def test_nested_tables_become_dotted_keys() -> None:
    assert flat({"a": {"b": {"c": "x"}}, "d": 1}) == {"a.b.c": "x", "d": "1"}


def test_a_language_without_a_catalogue_is_refused() -> None:
    with pytest.raises(
        RenderError, match=r"Report language 'tlh' has no catalogue; xaudit ships: en\. Name a"
    ):
        load("tlh")


def test_a_missing_key_names_itself() -> None:
    with pytest.raises(RenderError, match=r"language 'xx' lacks 'a\.key' \(asked for 'a\.key'\)"):
        Catalogue("xx", {})("a.key")


def test_a_value_is_never_read_as_a_template() -> None:
    assert Catalogue("xx", {"k": "{name}"})("k", name="{other.__class__}") == "{other.__class__}"


# A translation is one file


def changed(*changes: tuple[str, str]) -> bytes:
    """The English catalogue, said to be German, with some of its text changed."""
    text = source()
    for before, after in (('language = "en"', 'language = "de"'), *changes):
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    return text.encode()


def test_a_whole_translation_is_taken() -> None:
    german = translation(changed(('skip = "Skip to the report"', 'skip = "Zum Bericht"')), "de.toml")
    assert german.language == "de"
    assert german("document.skip") == "Zum Bericht"
    assert german.texts.keys() == load("en").texts.keys()


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\xff", "Catalogue 'de.toml' is not UTF-8 text (byte 0)."),
        (b"[", "Catalogue 'de.toml' is not valid TOML: "),
        (b"", "Catalogue 'de.toml' has language = '', which is no language tag: write the one of its texts"),
        (source().encode(), "Catalogue 'de.toml' says language = 'en', which is xaudit's own: "),
        (
            changed(('skip = "Skip to the report"\n', ""), ('theme = "Light or dark"\n', "")),
            f"Catalogue 'de.toml' lacks 2 of {len(load('en').texts)} texts: document.skip, document.theme. ",
        ),
        (
            changed(("skip = ", "skipp = "), ("theme = ", 'skip = ""\ntheme = ')),
            "Catalogue 'de.toml' has 1 texts that nothing prints: document.skipp. Did you mean",
        ),
        (
            changed(('{name} {version}"\ncontents', '{nmae} {version}"\ncontents')),
            "Catalogue 'de.toml', 'document.title' asks for {nmae}; the English text has: {name}, {version}.",
        ),
        (
            changed(("Skip to the report", "Zum Bericht {")),
            "Catalogue 'de.toml', 'document.skip': Single '{' encountered in format string",
        ),
        (
            changed(('skip = "Skip to the report"', 'skip = "Zum Bericht {0!x}"')),
            "Catalogue 'de.toml', 'document.skip': '!x' after '0' has no meaning here",
        ),
        (
            changed(('percent = "{}%"', 'percent = "%"')),
            "Catalogue 'de.toml', 'number.percent' lacks {}, where the number stands.",
        ),
        (
            changed(("The slice has {rows:,} rows", "Es sind {rows:9999}")),
            "Catalogue 'de.toml', 'said.untested.small' asks for {rows:9999}; the English text has: {rows:",
        ),
    ],
)
def test_a_translation_that_is_not_whole_says_what_it_lacks(raw: bytes, message: str) -> None:
    with pytest.raises(RenderError) as problem:
        translation(raw, "de.toml")
    assert str(problem.value).startswith(message)


def test_a_list_may_be_joined_in_another_way() -> None:
    german = translation(
        changed(('concepts.condition = "{values: and }"', 'concepts.condition = "{values: und }"')), "de.toml"
    )
    assert german.texts["said.concepts.condition"] == "{values: und }"


def test_an_evidence_carries_its_catalogue() -> None:
    assert catalogue_of(ReportOptions()) is load("en")
    texts = dict(load("en").texts) | {"document.skip": "Zum Bericht"}
    assert catalogue_of(ReportOptions(language="de", wording=texts))("document.skip") == "Zum Bericht"
    del texts["document.theme"]
    with pytest.raises(
        RenderError, match=r"Catalogue of the evidence \('de'\) lacks 1 of .*: document.theme"
    ):
        catalogue_of(ReportOptions(language="de", wording=texts))
