"""A pseudo-locale: every text of the catalogue in letters that no log of a test uses, and what escaped it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from reports.strings import Catalogue, load

HEARD = {"alt", "aria-label", "title", "data-copied", "data-shown"}
# Hashes, and what stands in ``<code>``: commands to type.
NO_WORDS = re.compile(r"\b[0-9a-f]{12,64}\b")


def pseudo(text: str) -> str:
    """The same text in Cyrillic letters, which the font has; {names} stay, what joins a list does not."""

    def swap(match: re.Match[str]) -> str:
        part = match[0]
        if not part.startswith("{"):
            return chr(0x430 + (ord(part.lower()) - 97) % 32)
        name, colon, how = part[1:-1].partition(":")
        return "{" + name + colon + (re.sub("[A-Za-z]", swap, how) if " " in how else how) + "}"

    return re.sub(r"\{[^}]*\}|[A-Za-z]", swap, text)


def catalogue() -> Catalogue:
    """The English catalogue in that language, which is called ``xx``."""
    return Catalogue("xx", {**{k: pseudo(t) for k, t in load("en").texts.items()}, "language": "xx"})


def write_catalogue(path: Path) -> None:
    """The same as a user's file."""
    lines = [f"{key} = {json.dumps(text, ensure_ascii=False)}" for key, text in catalogue().texts.items()]
    path.write_text("\n".join(lines), encoding="utf-8")


class Words(HTMLParser):
    """What a reader sees or hears of a document; not style, script, commands, or text said not to be ours."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.silent: list[str] = []
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in HEARD]
        if self.silent or tag in ("style", "script", "code") or ("translate", "no") in attrs:
            self.silent += [] if tag in ("meta", "img", "br", "input", "link", "hr") else [tag]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in HEARD]

    def handle_endtag(self, tag: str) -> None:
        if self.silent:
            assert self.silent.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.found.append(data)


def english_words(html: str, allowed: set[str]) -> Iterator[tuple[str, str]]:
    """Words in Latin letters that are not ``allowed``, each with the text that it stands in."""
    for text in Words(html).found:
        for word in re.findall(r"[A-Za-z]{2,}", NO_WORDS.sub("", text)):
            if word not in allowed:
                yield word, text.strip()
