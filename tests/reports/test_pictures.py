"""The figures as files: they stand alone, in the vendored font, the same to the byte."""

from __future__ import annotations

import io
import re
from functools import cache

import pytest
from fontTools.ttLib import TTFont
from lxml import etree
from PIL import Image

from reports.document import print_html
from reports.errors import RenderError
from reports.forms import pictures
from reports.glyphs import text_width
from tests.reports import sample

TEXT = "Recall ≥ 0.85"
DRAWN = (
    '<svg xmlns="http://www.w3.org/2000/svg" class="figure" width="200" height="40"><title>A &amp; b</title>'
    f'<text x="10" y="25" font-family="Xaudit Sans" font-size="16">{TEXT}</text></svg>'
)


@cache
def figures() -> dict[str, str]:
    return pictures.figures_in(print_html(sample.hostile()))


def test_figures_of_a_report_are_found_with_names_of_their_own() -> None:
    found = figures()
    assert len(found) >= 4
    for stem, svg in found.items():
        assert re.fullmatch(r"\d\d(-[a-z0-9-]*[a-z0-9])?", stem), stem
        assert svg.startswith("<svg")
        assert svg.endswith("</svg>")
    assert pictures.figures_in("<p>no figure</p>") == {}


def test_svg_files_stand_alone() -> None:
    for name, data in pictures.svg_files(figures()).items():
        tree = etree.fromstring(data)
        assert name.startswith("figures/")
        assert tree.tag == "{http://www.w3.org/2000/svg}svg"
        assert tree[0].tag.endswith("title")
        assert tree[0].text
        tags = {etree.QName(each).localname for each in tree.iter()}
        assert not tags & {"script", "image", "foreignObject", "use", "a"}
        attributes = {etree.QName(key).localname for each in tree.iter() for key in each.attrib}
        assert not [key for key in attributes if key in ("href", "src") or key.startswith("on")]


def test_svg_carries_the_glyphs_that_it_uses() -> None:
    (data,) = pictures.svg_files({"a": DRAWN}).values()
    import base64

    encoded = re.search(rb"font/woff2;base64,([A-Za-z0-9+/=]+)", data)
    assert encoded is not None
    characters = TTFont(io.BytesIO(base64.b64decode(encoded.group(1)))).getBestCmap()
    assert set(TEXT) <= set(map(chr, characters))
    assert len(data) < 6000


def ink(svg: str) -> tuple[int, int]:
    """First and last dot column that is not white."""
    (data,) = pictures.png_files({"a": svg}).values()
    picture = Image.open(io.BytesIO(data)).convert("L")
    columns = [
        x for x in range(picture.width) if min(picture.crop((x, 0, x + 1, picture.height)).tobytes()) < 200
    ]
    return columns[0], columns[-1]


def test_png_is_set_in_our_font_and_as_wide_as_computed() -> None:
    first, last = ink(DRAWN)
    expected = pictures.DOTS_PER_UNIT * text_width(TEXT, 16)
    assert last - first == pytest.approx(expected, abs=0.05 * expected)


def test_png_uses_no_system_font() -> None:
    """Whatever family is asked for, the system's fonts are out of reach: the dots do not depend on it."""
    asked = [
        DRAWN.replace("Xaudit Sans", name) for name in ("DejaVu Sans", "Liberation Serif", "No Such Font")
    ]
    assert len({pictures.png_files({"a": svg})["figures/a.png"] for svg in asked}) == 1


def test_png_size_and_background() -> None:
    (data,) = pictures.png_files({"a": DRAWN}).values()
    picture = Image.open(io.BytesIO(data))
    assert picture.size == (600, 120)
    assert picture.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)


def test_same_bytes_twice() -> None:
    assert pictures.svg_files({"a": DRAWN}) == pictures.svg_files({"a": DRAWN})
    assert pictures.png_files({"a": DRAWN}) == pictures.png_files({"a": DRAWN})
    assert pictures.png_files({}) == {}


def test_what_is_no_figure_is_refused() -> None:
    with pytest.raises(RenderError, match=r"^A figure is not an <svg> element: '<p>'\.$"):
        pictures.svg_files({"a": "<p>"})
    with pytest.raises(RenderError, match=r"^A figure is not an <svg> element: '<p>'\.$"):
        pictures.png_files({"a": "<p>"})
    with pytest.raises(RenderError, match=r"^A figure states no width: "):
        pictures.png_files({"a": "<svg><title>x</title></svg>"})
