"""CSV of all estimates, for spreadsheets: RFC 4180, UTF-8, no text that a spreadsheet would run.

A cell that begins like a formula gets an apostrophe before it, and a control character is written as its
code point: the text is then not quite the log's. ``estimates.parquet`` and ``evidence.json`` hold it
untouched.

References
----------
OWASP, CSV Injection. RFC 4180.
"""

from __future__ import annotations

import csv
import io

from reports.evidence import Evidence
from reports.glyphs import code_point
from reports.tables import COLUMNS, rows

FILE = "estimates.csv"
_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")  # the full-width forms count too


def render(evidence: Evidence) -> dict[str, bytes]:
    """One row a slice, class and metric, with the columns of `reports.tables`."""
    names = [*COLUMNS, *(f"attribute:{attribute.name}" for attribute in evidence.data.attributes)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([harmless(name) for name in names])
    for row in rows(evidence):
        writer.writerow([_cell(row[name]) for name in names])
    return {FILE: out.getvalue().encode()}


def harmless(text: str) -> str:
    """Text that a spreadsheet shows and does not run, nor cut at a NUL.

    >>> harmless("=1+1")
    "'=1+1"
    """
    visible = "".join(code_point(c) if c < " " or "\x7f" <= c <= "\x9f" else c for c in text)
    return f"'{visible}" if visible.lstrip().startswith(_FORMULA) else visible


def _cell(value: object) -> str:
    if value is None:
        return ""
    return harmless(value) if isinstance(value, str) else repr(value)
