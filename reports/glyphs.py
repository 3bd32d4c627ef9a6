"""Glyphs: what the vendored font can print, how wide a text is, and how a character that it lacks is written.

The only font of PDF and figures is Xaudit Sans (``reports/fonts``, OFL). A missing glyph fails PDF/A
(ISO 19005-3, 6.2.11.4) and PDF/UA (ISO 14289-1, 7.21.4.1), so such a character is printed as ``U+4E2D``.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Literal

Weight = Literal[400, 600, 700]

FAMILY = "Xaudit Sans"
FILES: dict[Weight, str] = {
    400: "XauditSans-Regular.woff2",
    600: "XauditSans-SemiBold.woff2",
    700: "XauditSans-Bold.woff2",
}


@dataclass(frozen=True, slots=True)
class Metrics:
    """Measures of one weight; lengths in ems, ``advances`` by character."""

    ascent: float
    descent: float
    cap_height: float
    x_height: float
    advances: dict[str, float]


def woff2(weight: Weight = 400) -> bytes:
    """The font file as shipped."""
    return (files("reports") / "fonts" / FILES[weight]).read_bytes()


@lru_cache
def truetype(weight: Weight = 400) -> bytes:
    """The font file unpacked, for readers that know no WOFF2 (fontconfig, resvg)."""
    from fontTools.ttLib import TTFont

    font = TTFont(io.BytesIO(woff2(weight)), recalcTimestamp=False)
    font.flavor = None
    out = io.BytesIO()
    font.save(out)
    return out.getvalue()


def subset_woff2(characters: str, weight: Weight = 400) -> bytes:
    """A WOFF2 file with the glyphs of ``characters`` only; the same bytes for the same set."""
    from fontTools import subset
    from fontTools.ttLib import TTFont

    font = TTFont(io.BytesIO(woff2(weight)), recalcTimestamp=False)
    options = subset.Options()
    options.layout_features = ["kern", "mark", "mkmk", "ccmp", "locl"]
    options.notdef_outline = True
    options.recalc_timestamp = False
    options.name_IDs = ["*"]
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=sorted({ord(character) for character in characters} | {0x20}))
    cutter.subset(font)
    font.flavor = "woff2"
    out = io.BytesIO()
    font.save(out)
    return out.getvalue()


@lru_cache
def metrics(weight: Weight = 400) -> Metrics:
    """Measures of a weight, read from its ``hmtx``, ``hhea`` and ``OS/2`` tables."""
    from fontTools.ttLib import TTFont

    font = TTFont(io.BytesIO(truetype(weight)))
    em = float(font["head"].unitsPerEm)
    widths = font["hmtx"].metrics
    return Metrics(
        ascent=font["hhea"].ascent / em,
        descent=-font["hhea"].descent / em,
        cap_height=font["OS/2"].sCapHeight / em,
        x_height=font["OS/2"].sxHeight / em,
        advances={chr(code): widths[glyph][0] / em for code, glyph in font.getBestCmap().items()},
    )


def covers(character: str) -> bool:
    """Whether every weight has a glyph for ``character``."""
    return character in _covered()


def missing(text: str) -> set[str]:
    """Characters of ``text`` that the font lacks: invisible and control characters too."""
    return set(text) - _covered()


def printable(text: str) -> str:
    """``text`` with each character that the font lacks written as its code point.

    A run of them stands in brackets, else the letters beside it would read as part of a number.

    >>> printable("a中文b")
    'a[U+4E2D U+6587]b'
    """
    return _replace(_lacking(), text)


def printable_markup(html: str) -> str:
    """The same for a whole HTML document, whose line breaks and tabs are layout, not text."""
    return _replace(_lacking_in_markup(), html)


def text_width(text: str, size: float, weight: Weight = 400) -> float:
    """Width of ``text`` set in one line at ``size``, in the unit of ``size``.

    The sum of the advances. Kerning, which draws pairs together, is left out, so the figure is an upper
    bound but for a few pairs that kerning moves apart (0.16 em at most); ``font-kerning: none`` makes
    it exact.

    Raises
    ------
    ValueError
        A character that the font lacks: call `printable` first.
    """
    advances = metrics(weight).advances
    try:
        return size * sum([advances[character] for character in text])
    except KeyError as problem:
        lacking = ", ".join(sorted(map(code_point, missing(text))))
        raise ValueError(
            f"text has characters that the font lacks ({lacking}); pass it through printable()"
        ) from problem


def code_point(character: str) -> str:
    """``U+4E2D`` for ``中``."""
    return f"U+{ord(character):04X}"


def bracketed(characters: Iterable[str]) -> str:
    """``[U+4E2D U+6587]`` for ``中文``; empty for none."""
    named = " ".join(map(code_point, characters))
    return f"[{named}]" if named else ""


def font_faces(sources: dict[Weight, str]) -> str:
    """``@font-face`` rules of the family; ``sources`` gives each weight's URL."""
    return "\n".join(
        f'@font-face{{font-family:"{FAMILY}";font-weight:{weight};font-style:normal;'
        f'src:url("{url}") format("woff2")}}'
        for weight, url in sources.items()
    )


def _replace(pattern: re.Pattern[str], text: str) -> str:
    return pattern.sub(lambda match: bracketed(match.group()), text)


@lru_cache
def _covered() -> frozenset[str]:
    return frozenset.intersection(*(frozenset(metrics(weight).advances) for weight in FILES))


@lru_cache
def _lacking() -> re.Pattern[str]:
    return re.compile(f"[^{re.escape(''.join(sorted(_covered())))}]+")


@lru_cache
def _lacking_in_markup() -> re.Pattern[str]:
    return re.compile(f"[^\n\r\t{re.escape(''.join(sorted(_covered())))}]+")
