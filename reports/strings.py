"""Strings: the catalogue that holds every word of the documents; a translation is one file.

``reports/wording/<language>.toml``: keys in tables, texts with ``{names}`` to fill in. A key with
``one`` and ``other`` beneath it is chosen by the argument ``count``. Prose that the evidence itself
carries (a rule's sentence, the method's sentences) is printed as it stands there.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from reports.errors import RenderError
from reports.rounding import Style, whole


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The texts of one language, by dotted key."""

    language: str
    texts: Mapping[str, str]

    @property
    def style(self) -> Style:
        """How this language writes numbers."""
        return Style(
            decimal=self.texts["number.decimal"],
            group=self.texts["number.group"],
            percent=self.texts["number.percent"],
            points=self.texts["number.points"],
        )

    def has(self, key: str) -> bool:
        return key in self.texts

    def __call__(self, key: str, *, count: int | None = None, **values: str) -> str:
        """The text of ``key``, filled in.

        Raises
        ------
        RenderError
            No such key: the catalogue is not complete.
        """
        if count is not None:
            key = f"{key}.{'one' if count == 1 else 'other'}"
            values["count"] = whole(count, self.style)
        try:
            return self.texts[key].format_map(values)
        except KeyError as problem:
            raise RenderError(
                f"The catalogue of the language '{self.language}' lacks {problem} (asked for '{key}'); "
                f"add it to reports/wording/{self.language}.toml."
            ) from problem

    def listed(self, items: list[str]) -> str:
        """``a, b and c``."""
        if len(items) < 2:
            return "".join(items)
        return self("list.last", first=self.texts["list.comma"].join(items[:-1]), last=items[-1])


def flat(table: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Nested tables as dotted keys."""
    texts: dict[str, str] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            texts |= flat(value, f"{prefix}{key}.")
        else:
            texts[prefix + key] = str(value)
    return texts


def languages() -> list[str]:
    """The languages that have a catalogue."""
    folder = files("reports") / "wording"
    return sorted(
        entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")
    )


def load(language: str) -> Catalogue:
    """The catalogue of ``language``.

    Raises
    ------
    RenderError
        There is none for that language.
    """
    if language not in languages():
        raise RenderError(
            f"Report language '{language}' has no catalogue; there is: {', '.join(languages())}. "
            f"Add reports/wording/{language}.toml or set [report] language."
        )
    raw = (files("reports") / "wording" / f"{language}.toml").read_text(encoding="utf-8")
    return Catalogue(language, flat(tomllib.loads(raw)))
