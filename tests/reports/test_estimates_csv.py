"""The CSV: the same table as the data frame, and nothing in it that a spreadsheet would run."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pytest

from reports.evidence import Evidence
from reports.forms import estimates_csv
from reports.forms.estimates_csv import harmless
from reports.tables import to_frame
from tests.reports import sample


def text(made: Evidence) -> str:
    return estimates_csv.render(made)["estimates.csv"].decode()


def test_csv_is_the_data_frame() -> None:
    made = sample.several_classes()
    expected = to_frame(made)
    read = pd.read_csv(
        io.StringIO(text(made)), dtype=dict(expected.dtypes), keep_default_na=False, na_values=[""]
    )
    pd.testing.assert_frame_equal(read, expected)


def test_no_cell_begins_like_a_formula_and_none_is_cut() -> None:
    made = sample.hostile()
    cells = [cell for row in csv.reader(io.StringIO(text(made), newline="")) for cell in row]
    for cell in cells:
        number = cell.replace("-", "", 1).replace(".", "", 1).replace("e-", "", 1).isdigit()
        assert number or not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
        assert "\0" not in cell
    assert "'" + sample.HOSTILE[2] in cells
    assert "nulU+0000byte" in cells
    assert sample.HOSTILE[6] in cells  # 300 characters, whole
    assert "中文值" in cells


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@x", "'@x"),
        (" =1", "' =1"),
        ("\t=1", "U+0009=1"),
        ("＝1", "'＝1"),
        ("a=1", "a=1"),
        ("<18", "<18"),
        ("", ""),
    ],
)
def test_harmless(given: str, written: str) -> None:
    assert harmless(given) == written


def test_header_is_escaped_too() -> None:
    made = sample.several_classes()
    attributes = [made.data.attributes[0].model_copy(update={"name": "=x"}), *made.data.attributes[1:]]
    made = made.model_copy(update={"data": made.data.model_copy(update={"attributes": attributes})})
    header = next(csv.reader(io.StringIO(text(made), newline="")))
    assert "attribute:=x" in header
    assert not any(name.startswith("=") for name in header)


def test_rows_end_as_rfc_4180_says() -> None:
    made = estimates_csv.render(sample.several_classes())["estimates.csv"]
    assert made.endswith(b"\r\n")
    assert made == estimates_csv.render(sample.several_classes())["estimates.csv"]
