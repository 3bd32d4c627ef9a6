"""Pictures: each figure of the report as a file of its own, SVG and PNG, set in the vendored font.

The figures themselves are drawn in ``reports.figures``; here they leave the page.
"""

from __future__ import annotations

import base64
import re
import tempfile
from collections.abc import Mapping
from html import unescape
from pathlib import Path

from reports.errors import RenderError
from reports.glyphs import FAMILY, FILES, font_faces, metrics, subset_woff2, truetype

DOTS_PER_UNIT = 3.0  # a 640-unit figure becomes 1,920 dots wide: sharp on a slide and in print
NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'

_OPENING = re.compile(r"<svg\b([^>]*)>")
_FIGURE = re.compile(
    r'<svg\b[^>]*\bclass="figure"[^>]*>\s*<title\b[^>]*>(?P<title>[^<]*)</title>.*?</svg>', re.DOTALL
)
_TEXT = re.compile(r">([^<]+)<")
_SIZE = re.compile(r'\b(width|height)="([0-9.]+)"')


def figures_in(html: str) -> dict[str, str]:
    """The figures of a rendered report, by a stem made of their order and their title.

    Only figures proper (``class="figure"``): not the bars inside tables, not signs beside words.
    """
    found: dict[str, str] = {}
    for number, match in enumerate(_FIGURE.finditer(html), start=1):
        slug = re.sub(r"[^a-z0-9]+", "-", unescape(match.group("title")).lower()).strip("-")[:60].rstrip("-")
        found[f"{number:02d}-{slug}".rstrip("-")] = match.group()
    return found


def svg_files(figures: Mapping[str, str]) -> dict[str, bytes]:
    """``figures``: file stem -> ``<svg>`` as drawn. Each file carries the glyphs it needs."""
    return {f"figures/{stem}.svg": standalone(svg).encode() for stem, svg in figures.items()}


def png_files(figures: Mapping[str, str]) -> dict[str, bytes]:
    """The same as PNG on white, with no font but ours."""
    if not figures:
        return {}
    with tempfile.TemporaryDirectory(prefix="xaudit-fonts-") as folder:
        paths = []
        for weight in FILES:
            path = Path(folder) / f"{weight}.ttf"
            path.write_bytes(truetype(weight))
            paths.append(str(path))
        return {f"figures/{stem}.png": _png(svg, paths) for stem, svg in figures.items()}


def standalone(svg: str) -> str:
    """A document of its own: namespace, and the font's glyphs that it uses, embedded."""
    opening = _OPENING.match(svg)
    if opening is None:
        raise RenderError(f"A figure is not an <svg> element: {svg[:60]!r}.")
    attributes = opening.group(1)
    if "xmlns=" not in attributes:
        attributes += f" {NAMESPACE}"
    used = {c for text in _TEXT.findall(svg) for c in unescape(text)} & set(metrics().advances)
    sources = {
        weight: "data:font/woff2;base64,"
        + base64.b64encode(subset_woff2("".join(sorted(used)), weight)).decode("ascii")
        for weight in FILES
        if weight == 400 or f'font-weight="{weight}"' in svg or f"font-weight:{weight}" in svg
    }
    style = f'<style>text{{font-family:"{FAMILY}",sans-serif}}{font_faces(sources)}</style>'
    body = svg[opening.end() :]
    # The title stays the first child: it is the figure's name for who cannot see it.
    title = re.match(r"\s*<title\b[^>]*>.*?</title>", body, re.DOTALL)
    cut = title.end() if title else 0
    return f"<svg{attributes}>{body[:cut]}{style}{body[cut:]}\n"


def _png(svg: str, font_paths: list[str]) -> bytes:
    import resvg_py

    opening = _OPENING.match(svg)
    if opening is None:
        raise RenderError(f"A figure is not an <svg> element: {svg[:60]!r}.")
    if "xmlns=" not in opening.group(1):
        svg = svg.replace("<svg", f"<svg {NAMESPACE}", 1)
    size = dict(_SIZE.findall(opening.group(1)))
    if "width" not in size:
        raise RenderError(f"A figure states no width: {svg[:60]!r}.")
    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=svg,
            background="#ffffff",
            skip_system_fonts=True,
            font_files=font_paths,
            font_family=FAMILY,
            sans_serif_family=FAMILY,
            width=round(DOTS_PER_UNIT * float(size["width"])),
        )
    )
