"""The catalogue's sentences of the evidence are the templates in the source, all of them."""

from __future__ import annotations

from reports.strings import load
from scripts.extract_wording import templates


def test_the_catalogue_has_every_template_of_the_source() -> None:
    said = {key: text for key, text in load("en").texts.items() if key.startswith("said.")}
    found = {f"said.{code}": text for code, text in templates().items()}
    assert said == found, "run: python scripts/extract_wording.py"
    assert len(found) > 200
