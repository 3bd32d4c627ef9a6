"""Glyphs: widths against the font's own tables, and code points for what the font lacks."""

from __future__ import annotations

import io
import subprocess
import sys
import unicodedata

import pytest
from fontTools.ttLib import TTFont
from hypothesis import given
from hypothesis import strategies as st

from reports import glyphs


@pytest.mark.parametrize("weight", [400, 600, 700])
def test_width_is_the_sum_of_advances_read_another_way(weight: glyphs.Weight) -> None:
    font = TTFont(io.BytesIO(glyphs.woff2(weight)))
    names, text = font.getBestCmap(), "Größe ≥ 0.85 → Ωμέγα, Ёж"
    units = sum(font.getGlyphSet()[names[ord(c)]].width for c in text)
    expected = 12 * units / font["head"].unitsPerEm
    assert glyphs.text_width(text, 12, weight) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("weight", [400, 600, 700])
def test_figures_are_tabular(weight: glyphs.Weight) -> None:
    widths = {glyphs.text_width(digit, 1000, weight) for digit in "0123456789−+"}
    assert len(widths) == 1


def test_width_of_a_lacking_character_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"font lacks \(U\+4E2D, U\+6587\); pass it through printable"):
        glyphs.text_width("中文", 10)


def test_what_the_documents_use_is_there() -> None:
    latin = "".join(chr(code) for code in (*range(0x20, 0x7F), *range(0xA0, 0xAD), *range(0xAE, 0x180)))
    latin = latin.replace("\u0149", "")  # deprecated in Unicode
    greek = "".join(c for c in map(chr, range(0x384, 0x3CF)) if unicodedata.name(c, ""))
    cyrillic = "".join(map(chr, range(0x400, 0x460)))
    signs = "▲▼●■◆◇○□✓✗→←↑↓−×±≤≥≠≈∞√∑…–—‘’“”•·§†₀₁²³‰\u2011\u00a0"
    assert glyphs.missing(latin + greek + cyrillic + signs) == set()


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("中", "[U+4E2D]"),
        ("a中文b", "a[U+4E2D U+6587]b"),
        ("nul\0byte", "nul[U+0000]byte"),
        ("\u202eabc", "[U+202E]abc"),
        ("🩻", "[U+1FA7B]"),
        ("a\u00adb", "a[U+00AD]b"),
        ("\ue000", "[U+E000]"),
        ("a\nb", "a[U+000A]b"),
        ("héllo", "héllo"),
    ],
)
def test_lacking_characters_are_named(text: str, printed: str) -> None:
    assert glyphs.printable(text) == printed
    assert bool(glyphs.missing(text)) == (text != printed)


def test_markup_keeps_its_line_breaks() -> None:
    assert glyphs.printable_markup("<p>\n\t中</p>\r\n") == "<p>\n\t[U+4E2D]</p>\r\n"


@given(st.text())
def test_what_is_printable_can_be_printed(text: str) -> None:
    printed = glyphs.printable(text)
    assert glyphs.missing(printed) == set()
    assert glyphs.printable(printed) == printed
    assert glyphs.text_width(printed, 10) >= 0
    assert all(glyphs.code_point(c) in printed for c in glyphs.missing(text))


def test_subset_is_the_same_for_the_same_set_and_small() -> None:
    some = glyphs.subset_woff2("0.85 abc")
    assert some == glyphs.subset_woff2("cba 5.80")
    assert len(some) < 4000
    cmap = TTFont(io.BytesIO(some)).getBestCmap()
    assert {chr(code) for code in cmap} == set("0.85 abc")


def test_vendored_files_are_small_and_carry_their_licence() -> None:
    assert sum(len(glyphs.woff2(weight)) for weight in glyphs.FILES) < 300_000
    for weight in glyphs.FILES:
        font = TTFont(io.BytesIO(glyphs.woff2(weight)))
        assert "SIL Open Font License" in font["name"].getDebugName(13)
        assert font["OS/2"].usWeightClass == weight
        assert font["OS/2"].fsType == 0  # embedding is not restricted
        family = font["name"].getDebugName(16) or font["name"].getDebugName(1)
        assert family == glyphs.FAMILY


def test_font_face_rules() -> None:
    css = glyphs.font_faces({400: "data:a", 700: "data:b"})
    assert css.count("@font-face") == 2
    assert 'font-weight:700;font-style:normal;src:url("data:b")' in css


def test_import_is_light() -> None:
    code = "import sys, reports.glyphs; assert 'fontTools' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
