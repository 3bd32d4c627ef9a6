"""Translation: the evidence with its generated sentences in the language of a report.

The evidence itself is never changed: it keeps the English sentences that were signed, and beside them
what they were made of. Text that people wrote, and data, is no sentence of ours and stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Formatter

from reports.evidence import Evidence, Text
from reports.rounding import MINUS
from reports.strings import ENGLISH, Catalogue

NUMBER = re.compile(r"\d[\d,]*(\.\d+)?%?")
HYPHEN = re.compile(r"(?<![\w)])-(?=\.?\d)")  # before a number: a minus

Value = str | int | float | Text | Sequence[str | Text]


class English(str):
    """A sentence of the record for which there is no translation: printed as it stands, marked as English."""


def translated(evidence: Evidence, catalogue: Catalogue) -> Evidence:
    """What a document in the catalogue's language prints of ``evidence``.

    A sentence whose making is not recorded (a plugin's own, or that of an older run), or whose code
    the catalogue lacks, becomes `English`.
    """
    if catalogue.language == ENGLISH:
        return evidence
    speaker = _Speaker(catalogue, evidence.texts)
    return Evidence.model_validate(evidence.model_dump(by_alias=True, context=speaker.sentence))


@dataclass(frozen=True)
class _Speaker(Formatter):
    """Fills the catalogue's templates in: numbers in the language's signs, lists joined in its way."""

    catalogue: Catalogue
    texts: Mapping[str, Text]

    def sentence(self, english: str) -> str:
        """The sentence in the catalogue's language; `English` where it cannot be said anew."""
        made = self.texts.get(english)
        if not english:
            return ""
        try:
            return English(english) if made is None else self.say(made)
        except (KeyError, ValueError):
            return English(english)

    def say(self, made: Text) -> str:
        """Raises KeyError for an unknown code or value, ValueError for a value of another kind."""
        return self.vformat(self.catalogue.texts[f"said.{made.code}"], (), made.values)

    def format_field(self, value: Value, format_spec: str) -> str:
        if isinstance(value, list):
            parts = [self.format_field(part, "") for part in value]
            return self.catalogue.listed(parts) if format_spec == "and" else format_spec.join(parts)
        if not isinstance(value, str | Text):
            return self.number(format(value, format_spec))
        text = value if isinstance(value, str) else self.say(value)
        if format_spec == "number":
            return self.number(text) if isinstance(value, str) else text
        if format_spec == "capital":
            return text[:1].upper() + text[1:]
        return format(text, format_spec)

    def number(self, english: str) -> str:
        """Numbers written in English, ``1,234.5`` and ``85%``, in the language's signs."""
        style = self.catalogue.style
        signs = str.maketrans({",": style.group, ".": style.decimal})

        def local(match: re.Match[str]) -> str:
            plain = match[0].removesuffix("%").translate(signs)
            return style.percent.format(plain) if match[0].endswith("%") else plain

        return NUMBER.sub(local, HYPHEN.sub(MINUS, english))
