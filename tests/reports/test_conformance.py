"""The whole report against the validators: the demo-like sample, 500 slices, and a hostile log."""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from reports.evidence import Evidence, to_bytes
from reports.render import render
from tests.reports import conformance as check
from tests.reports import sample


@cache
def five_hundred() -> Evidence:
    """500 slices with three metrics each, from the sample's own records: only the names are made up."""
    made = sample.second_release()
    metrics = ("precision", "recall", "fpr")
    templates = [record for record in made.results.slices if len(record.slice) == 1]
    slices = [
        templates[number % len(templates)].model_copy(
            update={
                "slice": {"site": f"ward {number:03d}"},
                "estimates": [
                    each for each in templates[number % len(templates)].estimates if each.metric in metrics
                ],
            }
        )
        for number in range(500)
    ]
    site = next(each for each in made.data.attributes if each.name == "site")
    values = [site.values[0].model_copy(update={"value": f"ward {number:03d}"}) for number in range(500)]
    attributes = [
        each.model_copy(update={"values": values}) if each.name == "site" else each
        for each in made.data.attributes
    ]
    return made.model_copy(
        update={
            "results": made.results.model_copy(update={"slices": slices}),
            "data": made.data.model_copy(update={"attributes": attributes}),
        }
    )


SAMPLES = {"evidence": sample.evidence, "500 slices": five_hundred, "hostile": sample.hostile}


@dataclass(frozen=True)
class Printed:
    evidence: Evidence
    pdf: bytes
    path: Path


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Printed]:
    """Each sample's report, made once, when first asked for."""
    folder = tmp_path_factory.mktemp("reports")

    @cache
    def made(name: str) -> Printed:
        evidence = SAMPLES[name]()
        pdf = render(evidence, ["pdf"])["report.pdf"]
        path = folder / f"{len(list(folder.iterdir()))}.pdf"
        path.write_bytes(pdf)
        return Printed(evidence, pdf, path)

    return made


@pytest.mark.parametrize("profile", ["3a", "ua1"])
@pytest.mark.parametrize("name", SAMPLES)
def test_follows_both_profiles(printed: Callable[[str], Printed], name: str, profile: str) -> None:
    assert check.profile_failures(printed(name).pdf, profile) == []


@pytest.mark.parametrize("name", SAMPLES)
def test_other_tools_find_no_fault(printed: Callable[[str], Printed], name: str, tmp_path: Path) -> None:
    path = printed(name).path
    assert check.qpdf_problems(path) == []
    assert check.font_problems(path) == []
    assert check.structure_problems(path) == []
    attached = check.attachments(path, tmp_path / "attached")
    assert attached == {"evidence.json": to_bytes(printed(name).evidence)}


def test_negative_control_profiles(printed: Callable[[str], Printed]) -> None:
    """One tag or one key less, and each profile says so."""
    pdf = printed("evidence").pdf
    archived, accessible = b'pdfaid:conformance="A"', b"<pdfuaid:part>1</pdfuaid:part>"
    assert archived in pdf
    assert accessible in pdf
    broken = pdf.replace(archived, b'pdfaid:conformance="Z"').replace(
        accessible, b"<pdfuaid:part>9</pdfuaid:part>"
    )
    assert check.profile_failures(broken, "3a")
    assert check.profile_failures(broken, "ua1")


def test_hostile_values_are_whole_in_the_pdf(printed: Callable[[str], Printed]) -> None:
    """Nothing is cut: each value stands somewhere in full, lacking characters by their code point."""
    text = check.run("pdftotext", "-raw", printed("hostile").path, "-").stdout
    joined = "".join(text.split())
    for value in sample.HOSTILE:
        whole = "".join(check.as_printed(value).split())
        assert whole in joined, value


def test_lacking_characters_are_named(printed: Callable[[str], Printed]) -> None:
    text = check.run("pdftotext", "-layout", printed("hostile").path, "-").stdout
    for named in ("U+4E2D U+6587 U+503C", "U+0000", "U+202E", "U+1FA7B"):
        assert named in text


@pytest.mark.parametrize("name", ["hostile"])
def test_same_bytes_in_another_process_time_zone_and_hash_seed(
    printed: Callable[[str], Printed], name: str
) -> None:
    formats = ["html", "pdf", "csv", "parquet", "svg", "png"]
    code = (
        "import hashlib; from reports.render import render; from tests.reports import sample\n"
        f"for name, data in render(sample.{name}(), {formats}).items():\n"
        "    print(name, hashlib.sha256(data).hexdigest())"
    )
    environment = {
        **os.environ,
        "TZ": "Asia/Tokyo",
        "PYTHONHASHSEED": "11",
        "PYTHONPATH": os.getcwd(),
        "LC_ALL": "C",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    there = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())
    here = render(printed(name).evidence, [each for each in formats if each != "pdf"])
    here["report.pdf"] = printed(name).pdf
    assert there == {file: hashlib.sha256(data).hexdigest() for file, data in here.items()}


def test_contents_on_page_two_lead_to_every_section(printed: Callable[[str], Printed]) -> None:
    """Printed page numbers are those of the sections; page one's own headings are bookmarks too."""
    import pikepdf

    pdf = printed("evidence").pdf
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        titles = [str(item.title) for item in opened.open_outline().root]
        texts = {str(link.Contents) for link in opened.pages[1].get("/Annots", [])}
        assert "/Annots" not in opened.pages[0]
    assert {"Decision", "Findings", "Annex: every slice"} <= set(titles)
    assert titles[0] == "Does not meet the release rule"
    assert {"Findings", "Annex: every slice", "Intended use"} <= texts
    pages = check.run("pdftotext", "-layout", printed("evidence").path, "-").stdout.split("\f")
    stated = re.search(r"Findings[. ]+(\d+)", pages[1])
    assert stated is not None
    there = next(i for i, text in enumerate(pages, 1) if "Every check, by result." in text)
    assert int(stated.group(1)) == there
