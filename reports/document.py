"""The document: templates, filters and what every page of HTML is rendered with; the print document."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from reports import figures
from reports.evidence import Evidence, to_bytes
from reports.grids import paired
from reports.palette import LIGHT, Palette, readable
from reports.phrases import Phrases, visible
from reports.strings import Catalogue, catalogue_of
from reports.translation import English, translated

if TYPE_CHECKING:
    from jinja2 import Environment

# Longer than any word of a sentence: an identifier or a value without spaces. A reference such as
# &#34; counts as one character, so that no break falls inside it.
LONG_WORD = re.compile(r"(?:&[#\w]+;|[^\s&]){25,}")


def resource(name: str) -> str:
    """A template, style sheet or script of the package as text."""
    return (files("reports") / "templates" / name).read_text(encoding="utf-8")


def dashed(text: str | None) -> str:
    """An outcome as a class name."""
    return (text or "none").replace("_", "-")


@lru_cache
def environment() -> Environment:
    """Autoescaped templates; a name that is not there is an error, never an empty text."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup, escape

    def marked(value: object) -> object:
        """A sentence that has no translation says so to a screen reader; a long word may be broken.

        Attributes of elements take no markup: templates write ``| e`` there.
        """
        if not isinstance(value, str) or isinstance(value, Markup):
            return value
        text = LONG_WORD.sub(r'<span class="long">\g<0></span>', str(escape(str(value))))
        return Markup(f'<span lang="en">{text}</span>' if isinstance(value, English) else text)

    env = Environment(
        finalize=marked,
        loader=FunctionLoader(resource),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters["dashed"] = dashed
    env.filters["visible"] = visible
    env.globals["fig"] = figures
    env.globals["paired"] = paired
    return env


def context(evidence: Evidence, catalogue: Catalogue, *, paper: bool) -> dict[str, Any]:
    """What every template sees: the view of the evidence and the catalogue."""
    from reports.page_facts import signers
    from reports.view import build

    report = evidence.report
    sha256 = hashlib.sha256(to_bytes(evidence)).hexdigest()
    return {
        "t": catalogue,
        "view": build(translated(evidence, catalogue), catalogue, evidence_sha256=sha256, paper=paper),
        "language": catalogue.language,
        "signers": signers(Phrases(evidence, catalogue)),
        "organisation": visible(report.organisation) if report.organisation else "",
        "logo": report.logo or "",
        "evidence_sha256": sha256,
        "screen": not paper,
    }


def accent(colour: str | None, palette: Palette = LIGHT) -> str:
    """The house colour where it is a plain ``#rrggbb``, else ours: nothing else reaches the style sheet.

    A colour that could not be read on the palette's page becomes a shade of it that can.
    """
    if colour and re.fullmatch(r"#[0-9a-fA-F]{6}", colour):
        return readable(colour, palette)
    return palette.accent


def print_html(evidence: Evidence, *, catalogue: Catalogue | None = None) -> str:
    """The document for paper: complete, styled, tagged; `reports.pdf` makes the PDF of it."""
    words = catalogue or catalogue_of(evidence.report)
    house = accent(evidence.report.accent)
    style = resource("print.css").replace("VAR_PAPER", evidence.report.paper).replace(LIGHT.accent, house)
    html = (
        environment()
        .get_template("print.html.j2")
        .render(**context(evidence, words, paper=True), style=style)
    )
    # Figures name their colours as attributes; in data a quotation mark is escaped, so none is touched.
    return html.replace(f'="{LIGHT.accent}"', f'="{house}"')


def title(evidence: Evidence, catalogue: Catalogue) -> str:
    """The document's title, for its metadata."""
    from reports.page_facts import stated

    version = stated(Phrases(evidence, catalogue), evidence.subject.version)
    return catalogue("document.title", name=visible(evidence.subject.name), version=version)
