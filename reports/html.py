"""The screen document: one HTML file that works offline and without JavaScript.

Font, styles and script stand inside it; a content security policy that names them by their hash keeps
everything else out.
"""

from __future__ import annotations

import base64
import hashlib
import re

from reports.document import accent, context, environment, resource
from reports.evidence import Evidence
from reports.glyphs import FILES, Weight, covers, font_faces, subset_woff2
from reports.palette import DARK, LIGHT, variables
from reports.sections import Annex
from reports.strings import Catalogue, catalogue_of

MARKUP = re.compile(r"<[^>]*>")


def screen_html(evidence: Evidence, *, catalogue: Catalogue | None = None) -> str:
    """The whole document as one string; the same evidence gives the same string."""
    words = catalogue or catalogue_of(evidence.report)
    template = environment().get_template("screen.html.j2")
    seen = context(evidence, words, paper=False)
    body = template.render(**seen)
    house = house_colour(evidence.report.accent) if evidence.report.accent else ""
    style = resource("screen.css").replace("/*LIGHT*/", variables(LIGHT)).replace("/*DARK*/", variables(DARK))
    style = style.replace("/*STACKED*/", stacked(seen["view"].annex, words))
    style = f"{faces(body)}\n{style}\n{house}"
    script = resource("report.js")
    return (
        body.replace("<!--POLICY-->", policy(style, script))
        .replace("<!--STYLE-->", f"<style>{style}</style>")
        .replace("<!--SCRIPT-->", f"<script>{script}</script>")
    )


def stacked(annex: Annex, t: Catalogue) -> str:
    """On a narrow screen a row of a long table is a stack of lines: what each line is, by its place."""
    heads = [annex.rows_head, *annex.metrics, t("table.result")]
    rules = [f".annex td:nth-child({place}){{--l:{quoted(head)}}}" for place, head in enumerate(heads, 2)]
    of_finding = {1: "result", 3: "value", 4: "support", 5: "needed", 6: "reason"}
    rules += [
        f".findings td:nth-child({place}){{--l:{quoted(t(f'table.{key}'))}}}"
        for place, key in of_finding.items()
    ]
    return "".join(rules) + ".findings td::before,.annex td::before{content:var(--l)}"


def quoted(text: str) -> str:
    """A CSS string that holds any text, and nothing that ends a style element.

    >>> quoted('a"<b')
    '"a\\\\22 \\\\3c b"'
    """
    return '"' + "".join(c if c.isalnum() or c in " -_.,()" else f"\\{ord(c):x} " for c in text) + '"'


def house_colour(colour: str) -> str:
    """The house colour in light and dark, as readable in each as it needs to be."""
    light, dark = f"--accent:{accent(colour)}", f"--accent:{accent(colour, DARK)}"
    return (
        f":root{{{light}}}"
        f"@media (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{dark}}}}}"
        f":root[data-theme=dark]{{{dark}}}"
    )


def faces(body: str) -> str:
    """``@font-face`` rules with the glyphs that the document uses, as data URIs."""
    used = "".join(sorted({c for c in body if covers(c)} | set("0123456789#–…")))
    sources: dict[Weight, str] = {
        weight: "data:font/woff2;base64," + base64.b64encode(subset_woff2(used, weight)).decode("ascii")
        for weight in FILES
    }
    return font_faces(sources)


def policy(style: str, script: str) -> str:
    """A content security policy: our style and script by hash, fonts and pictures from inside."""

    def digest(text: str) -> str:
        return (
            "'sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii") + "'"
        )

    rules = [
        "default-src 'none'",
        f"style-src {digest(style)}",
        f"script-src {digest(script)}",
        "font-src data:",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return f'<meta http-equiv="Content-Security-Policy" content="{"; ".join(rules)}">'
