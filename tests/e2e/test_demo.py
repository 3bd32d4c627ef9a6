"""The demo as a reader gets it: both documents against the validators, and the story that they tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.cli import invoke
from reports.evidence import Evidence, read_evidence
from tests.reports import conformance
from tests.reports.markup import fetched, reference_problems


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one run of the demo: it trains a network, so nothing else in the tests repeats it."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    assert invoke(["demo", "--out", str(folder), "--quiet"]) == 0
    return folder


@pytest.fixture(scope="module")
def evidence(demo: Path) -> Evidence:
    return read_evidence(demo / "evidence.json")


@pytest.mark.parametrize("profile", ["3a", "ua1"])
def test_the_pdf_follows_both_profiles(demo: Path, profile: str) -> None:
    assert conformance.profile_failures((demo / "report.pdf").read_bytes(), profile) == []


def test_other_tools_find_no_fault_in_the_pdf(demo: Path, tmp_path: Path) -> None:
    path = demo / "report.pdf"
    assert conformance.qpdf_problems(path) == []
    assert conformance.font_problems(path) == []
    assert conformance.structure_problems(path) == []
    attached = conformance.attachments(path, tmp_path / "attached")
    assert attached == {"evidence.json": (demo / "evidence.json").read_bytes()}


def test_a_damaged_pdf_is_found_out(demo: Path, tmp_path: Path) -> None:
    """The tools above do look: the same file with another claim, and half of it."""
    pdf = (demo / "report.pdf").read_bytes()
    untagged = pdf.replace(b"<pdfuaid:part>1</pdfuaid:part>", b"<pdfuaid:part>9</pdfuaid:part>")
    assert untagged != pdf
    assert conformance.profile_failures(untagged, "ua1")
    (tmp_path / "cut.pdf").write_bytes(pdf[: len(pdf) // 2])
    assert conformance.qpdf_problems(tmp_path / "cut.pdf")


def test_the_page_is_whole_and_fetches_nothing(demo: Path) -> None:
    html = (demo / "report.html").read_text(encoding="utf-8")
    assert reference_problems(html) == []
    assert fetched(html) == []


def test_the_planted_failure_is_what_page_one_says(demo: Path, evidence: Evidence) -> None:
    """Scanner A loses loops, B raises false alarms, and the network leans on the mark."""
    failed = {
        (f.rule, f.concept or tuple(f.slice.items())) for f in evidence.findings if f.outcome == "fails"
    }
    assert failed == {
        ("recall-floor", (("scanner", "A"),)),
        ("false-alarm-ceiling", (("scanner", "B"),)),
        ("no-corner-mark", "corner mark"),
    }
    text = conformance.run("pdftotext", "-f", "1", "-l", "1", "-layout", demo / "report.pdf", "-").stdout
    for told in ("Does not meet the release rule", "scanner: A", "scanner: B", "corner mark", "not signed"):
        assert told in text
