"""A log whose values attack every format, through the whole run: nothing runs, nothing is cut."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lxml import etree

from audit.cli import invoke
from reports.evidence import read_evidence
from reports.forms.estimates_csv import harmless
from tests.reports import conformance as check
from tests.reports import sample

COLUMN = "ven<b>dor</b>"
CONFIGURATION = f"""
[subject]
name = "</title><script>alert(1)</script> 中"
version = "=1+1"
purpose = '"><img src=x onerror=alert(1)>'
[log]
path = "log.parquet"
label = "label"
prediction = "prediction"
positive = "<i>yes</i>"
[[attributes]]
name = "{COLUMN}"
kind = "acquisition"
[slices]
intersections = 1
[statistics]
resamples = 200
[[policy.rules]]
id = "recall"
metric = "recall"
at_least = 0.8
attributes = ["{COLUMN}"]
[report]
formats = ["html", "pdf", "model_card", "cyclonedx", "junit", "intoto", "csv", "parquet", "svg", "png"]
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    rng = np.random.default_rng(5)
    rows = 660
    label = rng.random(rows) < 0.5
    right = rng.random(rows) < 0.85
    names = np.array(["no", "<i>yes</i>"])
    table = {
        "label": names[label.astype(int)],
        "prediction": names[(label == right).astype(int)],
        COLUMN: [sample.HOSTILE[row % len(sample.HOSTILE)] for row in range(rows)],
    }
    pq.write_table(pa.table(table), folder / "log.parquet")
    (folder / "audit.toml").write_text(CONFIGURATION, encoding="utf-8")
    assert invoke(["run", str(folder / "audit.toml"), "--out", str(folder / "out")]) in (1, 3)
    return folder / "out"


def test_every_value_is_in_the_evidence_as_written(made: Path) -> None:
    evidence = read_evidence(made / "evidence.json")
    (attribute,) = evidence.data.attributes
    assert attribute.name == COLUMN
    assert {each.value for each in attribute.values} == set(sample.HOSTILE)


def test_the_pdf_follows_both_standards_and_cuts_nothing(made: Path) -> None:
    pdf = (made / "report.pdf").read_bytes()
    assert check.profile_failures(pdf, "3a") == []
    assert check.profile_failures(pdf, "ua1") == []
    assert check.font_problems(made / "report.pdf") == []
    text = "".join(check.run("pdftotext", "-raw", made / "report.pdf", "-").stdout.split())
    for value in sample.HOSTILE:
        assert "".join(check.as_printed(value).split()) in text, value


def test_the_html_holds_no_element_and_no_handler_of_the_log(made: Path) -> None:
    tree = etree.HTML((made / "report.html").read_bytes())
    assert len(list(tree.iter("script"))) == 1
    assert list(tree.iter("img")) == []
    assert list(tree.iter("i")) == []
    assert not [
        key
        for each in tree.iter()
        if isinstance(each.tag, str)
        for key in each.attrib
        if key.startswith("on")
    ]
    text = "".join(tree.itertext())
    for value in sample.HOSTILE:
        if "\0" not in value and "\u202e" not in value:
            assert value in text, value


def test_the_other_forms_hold_them_as_text(made: Path) -> None:
    junit = etree.fromstring((made / "junit.xml").read_bytes())
    names = {case.get("name") for case in junit.iter("testcase")}
    csv = (made / "estimates.csv").read_text(encoding="utf-8")
    for value in sample.HOSTILE:
        shown = value.replace("\0", "U+0000")
        assert f"recall, {COLUMN} = {shown}" in names
        assert harmless(value).replace('"', '""') in csv
    bill = json.loads((made / "model.cdx.json").read_bytes())
    assert bill["metadata"]["component"]["name"] == "</title><script>alert(1)</script> 中"
    statement = json.loads((made / "attestation.intoto.json").read_bytes())
    listed = [
        name for key in ("passedTests", "warnedTests", "failedTests") for name in statement["predicate"][key]
    ]
    assert f"recall: recall, {COLUMN} = {sample.HOSTILE[2]}" in listed
    assert "<script" not in (made / "MODEL_CARD.md").read_text(encoding="utf-8").split("---\n", 2)[2]
    assert len(list((made / "figures").glob("*.svg"))) == len(list((made / "figures").glob("*.png"))) > 0
