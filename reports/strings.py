"""Strings: the catalogue that holds every word of the documents; a translation is one file.

``reports/wording/en.toml``: keys in tables, texts with ``{names}`` to fill in. A key with ``one`` and
``other`` beneath it is chosen by the argument ``count``. The table ``[said]`` holds the sentences that
the evidence itself carries, by their code (`reports.translation`). A translation is a copy of that file
with other texts; it travels in the evidence, so that the evidence alone gives the same document again.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from string import Formatter

from reports.errors import RenderError
from reports.evidence import ReportOptions
from reports.rounding import Style, whole

ENGLISH = "en"
TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
MOST_NAMED = 20
SIGNS = ("number.percent", "number.points")  # how a number is written: without its place there is none


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
                "add it to its file."
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


@lru_cache
def load(language: str) -> Catalogue:
    """The catalogue that xaudit ships for ``language``.

    Raises
    ------
    RenderError
        It ships none.
    """
    if language != ENGLISH:
        raise RenderError(
            f"Report language '{language}' has no catalogue; xaudit ships: {ENGLISH}. Name a file of your "
            "own under [report] language: a translated copy of what `xaudit schema wording` prints."
        )
    return Catalogue(language, flat(tomllib.loads(source())))


def source() -> str:
    """The English catalogue's file: what a translator copies."""
    return (files("reports") / "wording" / "en.toml").read_text(encoding="utf-8")


def catalogue_of(report: ReportOptions) -> Catalogue:
    """The catalogue that an evidence document names or carries.

    Raises
    ------
    RenderError
        It names a language and carries no catalogue of it, or one that lacks keys of this version.
    """
    if report.wording is not None:
        try:
            return checked(
                Catalogue(report.language, report.wording), f"of the evidence ('{report.language}')"
            )
        except RenderError as error:
            raise RenderError(
                f"{error} Or render it in another language: `xaudit report --language en`."
            ) from error
    return load(report.language)


def translation(raw: bytes, name: str) -> Catalogue:
    """A user's catalogue from its file; ``name`` is how messages call it.

    Raises
    ------
    RenderError
        It is no TOML, has no ``language``, lacks keys, has keys that nothing prints, or asks for a value
        that the English text does not have.
    """
    try:
        texts = flat(tomllib.loads(raw.decode("utf-8")))
    except UnicodeDecodeError as error:
        raise RenderError(f"Catalogue '{name}' is not UTF-8 text (byte {error.start}).") from error
    except tomllib.TOMLDecodeError as error:
        raise RenderError(f"Catalogue '{name}' is not valid TOML: {error}.") from error
    language = texts.get("language", "")
    if not TAG.fullmatch(language):
        raise RenderError(
            f"Catalogue '{name}' has language = '{language}', which is no language tag: write the one of "
            'its texts, as in language = "de".'
        )
    if language == ENGLISH:
        raise RenderError(
            f"Catalogue '{name}' says language = '{ENGLISH}', which is xaudit's own: give it another tag, "
            "such as 'en-GB'."
        )
    return checked(Catalogue(language, texts), f"'{name}'")


def checked(catalogue: Catalogue, name: str) -> Catalogue:
    """The catalogue, if it has every key of the English one, no other, and its names in braces."""
    known = load(ENGLISH).texts
    missing = [key for key in known if key not in catalogue.texts]
    if missing:
        raise RenderError(
            f"Catalogue {name} lacks {len(missing)} of {len(known)} texts: {_named(missing)}. Copy them from "
            "`xaudit schema wording` and translate them."
        )
    unknown = [key for key in catalogue.texts if key not in known]
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise RenderError(
            f"Catalogue {name} has {len(unknown)} texts that nothing prints: {_named(unknown)}.{hint}"
        )
    for key, text in catalogue.texts.items():
        try:
            asked, given = _fields(text), _fields(known[key])
        except ValueError as error:
            raise RenderError(
                f"Catalogue {name}, '{key}': {error}; a brace that is to be printed is written twice."
            ) from error
        # How a list is joined is the language's own.
        joined = {field for field, how in given if " " in how}
        foreign = {(field, how) for field, how in asked - given if field not in joined}
        if foreign:
            has = ", ".join(sorted(map(_braced, given))) or "none"
            raise RenderError(
                f"Catalogue {name}, '{key}' asks for {_braced(min(foreign))}; the English text has: {has}."
            )
        lost = given - asked
        if lost and key in SIGNS:
            raise RenderError(
                f"Catalogue {name}, '{key}' lacks {_braced(min(lost))}, where the number stands."
            )
    return catalogue


def _fields(text: str) -> set[tuple[str, str]]:
    """What stands in braces: names, and how their values are written."""
    parts = [part for part in Formatter().parse(text) if part[1] is not None]
    for _, name, _, conversion in parts:
        if conversion:
            raise ValueError(f"'!{conversion}' after '{name}' has no meaning here")
    return {(name or "", how or "") for _, name, how, _ in parts}


def _braced(field: tuple[str, str]) -> str:
    name, how = field
    return f"{{{name}:{how}}}" if how else f"{{{name}}}"


def _named(keys: list[str]) -> str:
    more = f" and {len(keys) - MOST_NAMED} more" if len(keys) > MOST_NAMED else ""
    return ", ".join(keys[:MOST_NAMED]) + more
