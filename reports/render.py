"""Rendering: which forms there are, and the files that each makes of the evidence."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence

from reports.errors import RenderError
from reports.evidence import Evidence, to_bytes
from reports.strings import Catalogue, catalogue_of

Renderer = Callable[[Evidence, Catalogue], dict[str, bytes]]


def html(evidence: Evidence, catalogue: Catalogue) -> dict[str, bytes]:
    """``report.html``: one file for the screen, that asks the network for nothing."""
    from reports.html import screen_html

    return {"report.html": screen_html(evidence, catalogue=catalogue).encode("utf-8")}


def pdf(evidence: Evidence, catalogue: Catalogue) -> dict[str, bytes]:
    """``report.pdf``: for paper and archive, with the evidence attached."""
    from reports.document import print_html, title
    from reports.pdf import write_pdf

    return {
        "report.pdf": write_pdf(
            print_html(evidence, catalogue=catalogue),
            title=title(evidence, catalogue),
            language=catalogue.language,
            attachments={"evidence.json": to_bytes(evidence)},
            date=evidence.subject.date,
            author=evidence.report.organisation,
        )
    }


def parquet(evidence: Evidence, _: Catalogue) -> dict[str, bytes]:
    """``estimates.parquet``: the tidy table of all estimates."""
    from reports.tables import to_parquet

    return {"estimates.parquet": to_parquet(evidence)}


def csv(evidence: Evidence, _: Catalogue) -> dict[str, bytes]:
    """``estimates.csv``: the same table as text."""
    from reports.forms import estimates_csv

    return estimates_csv.render(evidence)


def model_card(evidence: Evidence, _: Catalogue) -> dict[str, bytes]:
    """A model card in Markdown with metadata."""
    from reports.forms import model_card as form

    return form.render(evidence)


def cyclonedx(evidence: Evidence, _: Catalogue) -> dict[str, bytes]:
    """A CycloneDX bill of materials with a model card."""
    from reports.forms import cyclonedx as form

    return form.render(evidence)


def junit(evidence: Evidence, _: Catalogue) -> dict[str, bytes]:
    """JUnit XML: one test a check."""
    from reports.forms import junit as form

    return form.render(evidence)


def in_toto(evidence: Evidence, _: Catalogue) -> dict[str, bytes]:
    """An in-toto statement with a test result."""
    from reports.forms import intoto

    return intoto.render(evidence)


def svg(evidence: Evidence, catalogue: Catalogue) -> dict[str, bytes]:
    """Every figure of the print document as a file of its own."""
    from reports.document import print_html
    from reports.forms import pictures

    return pictures.svg_files(pictures.figures_in(print_html(evidence, catalogue=catalogue)))


def png(evidence: Evidence, catalogue: Catalogue) -> dict[str, bytes]:
    """The same figures as pictures."""
    from reports.document import print_html
    from reports.forms import pictures

    return pictures.png_files(pictures.figures_in(print_html(evidence, catalogue=catalogue)))


FORMATS: Mapping[str, Renderer] = {
    "html": html,
    "pdf": pdf,
    "parquet": parquet,
    "csv": csv,
    "model_card": model_card,
    "cyclonedx": cyclonedx,
    "junit": junit,
    "intoto": in_toto,
    "svg": svg,
    "png": png,
}


def check_formats(formats: Sequence[str]) -> None:
    """Refuse a format that is not known.

    Raises
    ------
    RenderError
        With the formats that there are, and the nearest one.
    """
    for name in formats:
        if name not in FORMATS:
            near = difflib.get_close_matches(name, FORMATS, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise RenderError(f"Report format '{name}' is not known; there are: {', '.join(FORMATS)}.{hint}")


def render(
    evidence: Evidence, formats: Sequence[str], *, catalogue: Catalogue | None = None
) -> dict[str, bytes]:
    """File name → bytes of every form asked for; the same evidence gives the same bytes.

    ``catalogue``: the language of the documents for people; left out, the one that the evidence names.

    Raises
    ------
    RenderError
        A format is not known, or a document cannot be made.
    """
    check_formats(formats)
    words = catalogue or catalogue_of(evidence.report)
    made: dict[str, bytes] = {}
    for name in dict.fromkeys(formats):
        made |= FORMATS[name](evidence, words)
    return made
