"""The screen document read back: its texts, attributes and identifiers; functions that say what is wrong."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "input", "link", "hr", "rect", "path", "circle"}
FETCHING = ("src", "href", "xlink:href", "action", "srcset", "poster", "data")


class Reader(HTMLParser):
    """Texts, attributes and identifiers of a document; checks that every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data))


def reference_problems(html: str) -> list[str]:
    """Identifiers that stand twice, links and labels that name none."""
    reader = Reader(html)
    ids = [value for _, key, value in reader.attributes if key == "id"]
    twice = sorted({f"twice: {value}" for value in ids if ids.count(value) > 1})
    named = {value[1:] for tag, key, value in reader.attributes if (tag, key) == ("a", "href")}
    for _, key, value in reader.attributes:
        if key == "aria-labelledby":
            named |= set(value.split())
    return twice + [f"nowhere: {value}" for value in sorted(named - set(ids))]


def fetched(html: str) -> list[str]:
    """What a browser would ask for: addresses in attributes and in the style sheet."""
    found = [
        f"{tag} {key}={value}"
        for tag, key, value in Reader(html).attributes
        if key in FETCHING and not value.startswith(("#", "data:"))
    ]
    style = re.search(r"<style>(.*?)</style>", html, re.S)
    assert style
    found += [
        address for address in re.findall(r"url\((.*?)\)", style[1]) if not address.startswith('"data:')
    ]
    return found + re.findall(r"@import[^;]*", style[1])
