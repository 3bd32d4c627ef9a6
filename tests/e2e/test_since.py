"""Two releases in a row: the second is held against the evidence of the first."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from audit.cli import invoke
from reports.evidence import Evidence, read_evidence
from tests.audit.workplace import CONFIGURATION, RULES, rows, write_log
from tests.reports import conformance

NAMED = '[report]\nprevious = "first/evidence.json"\n'
FPR = '[[policy.rules]]\nid = "fpr-ceiling"\nmetric = "fpr"\nat_most = 0.2\nattributes = ["sex"]\n'


def configuration(version: str, log: str, *, more: str = RULES, report: str = "[report]\n") -> str:
    text = CONFIGURATION.replace('version = "1.2"', f'version = "{version}"').replace("log.csv", log)
    return text.replace("[report]\n", report) + more


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``first``, and ``second`` in which scanner B is mended, a rule is new and one has another limit."""
    folder = tmp_path_factory.mktemp("releases")
    write_log(folder, rows(900), name="one.csv")
    mended = [
        (*row[:3], row[2] if row[7] == "B" and int(row[0][1:5]) % 4 else row[3], *row[4:])
        for row in rows(1200, seed=8)
    ]
    write_log(folder, mended, name="two.csv")
    (folder / "first.toml").write_text(configuration("1.1", "one.csv"), encoding="utf-8")
    second = configuration("1.2", "two.csv", more=RULES.replace("0.6", "0.7") + FPR, report=NAMED).replace(
        '["html"]', '["html", "pdf"]'
    )
    (folder / "second.toml").write_text(second, encoding="utf-8")
    assert invoke(["run", str(folder / "first.toml"), "--out", str(folder / "first"), "--quiet"]) == 1
    invoke(["run", str(folder / "second.toml"), "--out", str(folder / "second"), "--quiet"])
    return folder


@pytest.fixture(scope="module")
def second(work: Path) -> Evidence:
    return read_evidence(work / "second" / "evidence.json")


def test_the_first_has_nothing_to_be_held_against(work: Path) -> None:
    assert read_evidence(work / "first" / "evidence.json").results.since is None
    page = (work / "first" / "report.html").read_text(encoding="utf-8")
    assert 'id="since"' not in page


def test_what_changed_is_in_the_evidence(work: Path, second: Evidence) -> None:
    first = read_evidence(work / "first" / "evidence.json")
    since = second.results.since
    assert since is not None
    assert (since.name, since.version, since.data, since.rows_used) == ("Triage", "1.1", "different", 900)
    assert since.verdict == first.verdict
    assert {(r.id, r.then is None) for r in since.rules} == {("accuracy-floor", False), ("fpr-ceiling", True)}
    (mended,) = (c for c in since.checks if c.slice == {"scanner": "B"})
    assert mended.then is not None
    assert mended.now is not None
    assert mended.then.outcome == "fails"
    assert mended.now.outcome != "fails"
    better = [f for f in since.figures if f.slice == {"scanner": "B"} and f.metric == "recall"]
    assert [f.change for f in better] == ["better"]
    assert [(s.setting, s.then, s.now) for s in since.settings] == [("version", "1.1", "1.2")]


def test_the_previous_evidence_is_an_input_with_its_hash(work: Path, second: Evidence) -> None:
    assert second.results.since is not None
    (entry,) = (item for item in second.run.inputs if item.role == "previous")
    expected = sha256((work / "first" / "evidence.json").read_bytes()).hexdigest()
    assert (entry.path, entry.sha256) == ("first/evidence.json", expected)
    assert second.results.since.sha256 == expected


def test_both_documents_show_it(work: Path, second: Evidence, tmp_path: Path) -> None:
    text = conformance.run("pdftotext", "-layout", work / "second" / "report.pdf", "-").stdout
    page = (work / "second" / "report.html").read_text(encoding="utf-8")
    assert 'id="since"' in page
    for document in (text, page):
        for told in ("Change since the last release", "Now: 1.2", "Then: 1.1", "fpr-ceiling", "Better"):
            assert told in document
    path = work / "second" / "report.pdf"
    for profile in ("3a", "ua1"):
        assert conformance.profile_failures(path.read_bytes(), profile) == []
    assert conformance.structure_problems(path) == []


def test_the_report_can_be_made_again_from_the_evidence(work: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    assert invoke(["report", str(work / "second" / "evidence.json"), "--out", str(again)]) == 0
    assert (again / "manifest.json").read_bytes() == (work / "second" / "manifest.json").read_bytes()


def test_the_same_log_is_said_to_be(work: Path, second: Evidence) -> None:
    text = configuration("1.2", "one.csv", report=NAMED)
    (work / "same.toml").write_text(text, encoding="utf-8")
    invoke(["run", str(work / "same.toml"), "--out", str(work / "same"), "--quiet"])
    since = read_evidence(work / "same" / "evidence.json").results.since
    assert since is not None
    assert (since.data, since.checks, since.joint_level) == ("same_log", [], None)
    page = (work / "same" / "report.html").read_text(encoding="utf-8")
    assert "Both releases read the same log (same SHA-256)" in page
    assert "The release rules are the same (same SHA-256)." in page


BROKEN = {
    "absent": (None, "Evidence 'old.json' cannot be read: No such file or directory."),
    "not json": (b"{", "Evidence 'old.json' does not follow schema"),
    "another document": (b'{"report.html": "0"}', "Evidence 'old.json' does not follow schema"),
    "later": (
        b'{"schema_version": "9.2", "verdict": {}}',
        "Evidence 'old.json' follows schema 9.2; this version of xaudit reads up to",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_no_evidence_is_one_line(
    work: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content, message = BROKEN[name]
    if content is not None:
        (tmp_path / "old.json").write_bytes(content)
    refused(work, tmp_path, f"[report] previous: {message}", capsys)


def refused(
    work: Path, folder: Path, message: str, capsys: pytest.CaptureFixture[str], *, command: str = "run"
) -> None:
    """A run that names ``old.json`` as previous: exit 2, one line, nothing written."""
    (folder / "one.csv").write_bytes((work / "one.csv").read_bytes())
    report = '[report]\nprevious = "old.json"\n'
    (folder / "audit.toml").write_text(configuration("2", "one.csv", report=report), encoding="utf-8")
    arguments = [command, str(folder / "audit.toml"), "--quiet"]
    capsys.readouterr()
    assert invoke([*arguments, "--out", str(folder / "out")] if command == "run" else arguments) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"xaudit: error: {message}")
    assert not (folder / "out").exists()


UNRELATED = {
    "task": ("task", "multiclass", "it is of a multiclass log, this one is binary."),
    "positive": ("positive", "0", "its positive class is '0', here it is '1'."),
}


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize("name", UNRELATED)
def test_unrelated_evidence_is_refused(
    work: Path, tmp_path: Path, name: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    key, value, message = UNRELATED[name]
    document = json.loads((work / "first" / "evidence.json").read_bytes())
    document["data"][key] = value
    (tmp_path / "old.json").write_text(json.dumps(document))
    line = f"[report] previous 'old.json' cannot be compared with this run: {message}"
    refused(work, tmp_path, line, capsys, command=command)


def test_evidence_without_a_common_metric_is_refused(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads((work / "first" / "evidence.json").read_bytes())
    for record in document["results"]["overall"] + document["results"]["slices"]:
        record["estimates"] = [e for e in record["estimates"] if e["metric"] == "npv"]
    (tmp_path / "old.json").write_text(json.dumps(document))
    refused(
        work,
        tmp_path,
        "[report] previous 'old.json' cannot be compared with this run: it has none of the metrics recall "
        "and accuracy.",
        capsys,
    )
