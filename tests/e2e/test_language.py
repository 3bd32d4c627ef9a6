"""A report in another language: every text node of real runs' reports comes from the catalogue."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from audit import run_audit
from audit.cli import invoke
from concepts.demo.training import build_demo
from reports.document import print_html
from reports.evidence import AttributeData, Evidence, read_evidence, to_bytes
from reports.html import screen_html
from reports.strings import Catalogue, load
from reports.translation import English, translated
from tests.audit.workplace import HEADER, rows
from tests.pseudo import catalogue, english_words, pseudo, write_catalogue

# Columns and names that are no English words, so that whatever is English in a report is ours.
COLUMNS = dict(zip(HEADER, ("kxi", "kxp", "kxl", "kxb", "kxs", "kxe", "kxa", "kxn"), strict=True))
EVERYTHING = """
[subject]
name = "Qx"
version = "1.2"
purpose = "Qx."
date = "2026-11-20"
[card]
intended_use = "Qx"
[log]
path = "kx.csv"
label = "kxl"
score = "kxs"
threshold = 0.5
tie = ">="
positive = "1"
cluster = "kxp"
baseline = "kxb"
collected = ["2026-01-01", "2026-06-30"]
[[attributes]]
name = "kxe"
kind = "demographic"
[[attributes]]
name = "kxa"
kind = "demographic"
bands = [40, 60]
[[attributes]]
name = "kxn"
kind = "acquisition"
[slices]
intersections = 2
minimum = 25
[statistics]
resamples = 300
target_prevalence = 0.05
label_accuracy = { sensitivity = 0.98, specificity = 0.97 }
[[policy.rules]]
id = "r1"
metric = "recall"
at_least = 0.85
attributes = ["kxe", "kxn", "kxq"]
intersections = [["kxe", "kxn"]]
include_missing = true
[[policy.rules]]
id = "r2"
metric = "fpr"
gap_at_most = 0.05
attributes = ["kxn"]
against = "A"
[[policy.rules]]
id = "r3"
metric = "precision"
ratio_at_least = 0.9
attributes = ["kxe"]
[[policy.rules]]
id = "r4"
metric = "auroc"
at_least = 0.7
overall = true
[[policy.rules]]
id = "r5"
max_missing_predictions = 0.02
attributes = ["kxn"]
[[policy.rules]]
id = "r6"
metric = "brier"
at_most = 0.2
slices = [{ kxe = "F", kxn = "Z" }]
[report]
formats = ["html"]
language = "xx.toml"
organisation = "Qx"
impact_ratios = [["kxe"], ["kxe", "kxn"]]
impact_justification = "Qx"
"""
CLASSES = """
[subject]
name = "Qx"
[log]
path = "kx.csv"
label = "kxl"
prediction = "kxb"
[[attributes]]
name = "kxn"
kind = "other"
[statistics]
resamples = 300
[[policy.rules]]
id = "r1"
metric = "macro_recall"
at_least = 0.6
overall = true
[[policy.rules]]
id = "r2"
metric = "recall"
at_least = 0.5
attributes = ["kxn"]
[report]
formats = ["html"]
language = "xx.toml"
"""
LABELS = """
[subject]
name = "Qx"
[log]
path = "kx.csv"
label = "kxl"
prediction = "kxb"
positive = "1"
class = "kxc"
id = "kxi"
[[attributes]]
name = "kxn"
kind = "acquisition"
[statistics]
resamples = 300
[report]
formats = ["html"]
language = "xx.toml"
"""
RENAMED = {"corner mark": "kxa", "thick strokes": "kxb", "null concept": "kxc"}
# Columns that are no attribute, and the name of the pool of random images. Text that people wrote is "Qx".
NAMES = {"Qx", "xaudit", "evidence", "json", *COLUMNS.values(), "kx", "kxc", "kxq", "random", "session"}


def everything(folder: Path) -> Evidence:
    """One run with all that a configuration of a binary log can ask for."""
    before = EVERYTHING.replace('version = "1.2"', 'version = "1.1"').replace(
        "at_least = 0.85", "at_least = 0.5"
    )
    write_rows(folder, rows(700, seed=11))
    (folder / "audit.toml").write_text(before.replace('id = "r6"', 'id = "r7"'), encoding="utf-8")
    (folder / "kx.json").write_bytes(to_bytes(run_audit(folder / "audit.toml")))
    write_rows(folder, rows(900))
    (folder / "audit.toml").write_text(EVERYTHING + 'previous = "kx.json"\n', encoding="utf-8")
    return run_audit(folder / "audit.toml")


def classes(folder: Path) -> Evidence:
    """Several classes, no policy lock, rows taken as independent."""
    names = "PQR"
    label, call = HEADER.index("label"), HEADER.index("prediction")
    changed = []
    for place, row in enumerate(rows(600)):
        fields = list(row)
        fields[label] = names[place % 3]
        fields[call] = names[(place + (row[call] != row[label])) % 3] if place % 50 else ""
        changed.append(tuple(fields))
    write_rows(folder, changed)
    (folder / "audit.toml").write_text(CLASSES, encoding="utf-8")
    return run_audit(folder / "audit.toml")


def labels(folder: Path) -> Evidence:
    """Several labels an image, a row each, and no rule at all."""
    found = rows(200)
    with (folder / "kx.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["kxi", "kxc", "kxl", "kxb", "kxn"])
        for place, row in enumerate(found):
            for name in ("PP", "QQ"):
                writer.writerow([f"i{place}", name, row[2], row[3], row[7]])
    write_catalogue(folder / "xx.toml")
    (folder / "audit.toml").write_text(LABELS, encoding="utf-8")
    return run_audit(folder / "audit.toml")


def concepts(folder: Path) -> Evidence:
    """The demo: a model, concepts, a policy with concept rules."""
    path = build_demo(folder / "demo", seed=20261120)
    text = path.read_text(encoding="utf-8").replace("pseudo_concepts = 300", "pseudo_concepts = 60")
    text = text.replace("resamples = 10000", "resamples = 300")
    for english, renamed in RENAMED.items():
        text = text.replace(f'"{english}"', f'"{renamed}"')
    text, _, _ = text.partition("[report]")
    text = re.sub(r'(\[\[policy.rules\]\]\nid = )"[^"]*"', r'\1"kx"', text)
    for number in range(1, text.count('id = "kx"') + 1):
        text = text.replace('id = "kx"', f'id = "kx{number}"', 1)
    head, _, rest = text.partition("[subject]")
    rest = rest[rest.index("[log]") :]
    path.write_text(f'{head}[subject]\nname = "Qx"\n{rest}[report]\nlanguage = "xx.toml"\n', encoding="utf-8")
    write_catalogue(path.parent / "xx.toml")
    return run_audit(path)


def write_rows(folder: Path, found: list[tuple[str, ...]]) -> None:
    with (folder / "kx.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([[COLUMNS[name] for name in HEADER], *found])
    write_catalogue(folder / "xx.toml")


def data(evidence: Evidence) -> set[str]:
    """Words of attributes, values, classes, layers, files and programs."""
    run, results = evidence.run, evidence.results
    names = [item.path for item in run.inputs] + [*run.environment, *run.environment.values()]
    names += [word for item in evidence.data.attributes for word in (item.name, *values(item))]
    names += [*evidence.data.classes, *evidence.data.class_names.values()]
    names += [word for record in results.concepts for word in (record.klass, record.layer)]
    return NAMES | set(re.findall("[A-Za-z]{2,}", " ".join(names)))


def values(attribute: AttributeData) -> list[str]:
    return [*(item.value or "" for item in attribute.values), *attribute.names.values()]


@pytest.fixture(
    scope="module", params=[everything, classes, labels, concepts], ids=lambda made: made.__name__
)
def evidence(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    made: Evidence = request.param(tmp_path_factory.mktemp("language"))
    return made


def test_every_sentence_of_the_evidence_is_recorded_with_its_making(evidence: Evidence) -> None:
    said: list[str] = []

    def note(text: str) -> str:
        said.append(text)
        return text

    evidence.model_dump(context=note)
    # "none" is no interval's name, which the report tells by it.
    assert {text for text in said if text} - evidence.texts.keys() <= {"none"}
    assert len(evidence.texts) > 20


def test_english_made_anew_is_the_record_word_by_word(evidence: Evidence) -> None:
    other_english = Catalogue("en-GB", load("en").texts)
    again = translated(evidence, other_english)
    assert to_bytes(again.model_copy(update={"texts": {}})) == to_bytes(
        evidence.model_copy(update={"texts": {}})
    )


@pytest.mark.parametrize("paper", [False, True], ids=["screen", "paper"])
def test_no_english_is_left_in_another_language(evidence: Evidence, paper: bool) -> None:
    html = print_html(evidence) if paper else screen_html(evidence)
    assert '<html lang="xx"' in html
    assert 'lang="en"' not in html
    left = dict(english_words(html, data(evidence)))
    assert left == {}


def test_the_evidence_alone_gives_the_same_document(evidence: Evidence, tmp_path: Path) -> None:
    path = tmp_path / "evidence.json"
    path.write_bytes(to_bytes(evidence))
    again = read_evidence(path)
    assert to_bytes(again) == to_bytes(evidence)
    assert screen_html(again) == screen_html(evidence)


def test_the_test_would_notice() -> None:
    html = '<p title="word">ж <b translate="no">name</b> <code>xaudit run</code> and Qx</p>'
    assert list(english_words(html, {"Qx"})) == [("word", "word"), ("and", "and Qx")]
    foreign = pseudo("Fails, {name} by {values: and }")
    assert re.findall("[A-Za-z]+", foreign) == ["name", "values"]


def test_a_sentence_without_a_record_is_printed_in_english_and_marked(evidence: Evidence) -> None:
    older = evidence.model_copy(update={"texts": {}})
    shown = translated(older, catalogue())
    assert isinstance(shown.method.sentences[0], English)
    html = screen_html(older)
    assert f'<span lang="en">{shown.method.sentences[0][:20]}' in html


def test_a_record_can_be_read_in_another_language_than_its_own(tmp_path: Path) -> None:
    found = classes(tmp_path)
    (tmp_path / "evidence.json").write_bytes(to_bytes(found))
    command = ["report", str(tmp_path / "evidence.json"), "--format", "html", "--out"]
    assert invoke([*command, str(tmp_path / "as-is")]) == 0
    assert invoke([*command, str(tmp_path / "in-english"), "--language", "en"]) == 0
    foreign, english = (
        (tmp_path / name / "report.html").read_text(encoding="utf-8") for name in ("as-is", "in-english")
    )
    assert '<html lang="xx"' in foreign
    assert found.method.sentences[-1] not in foreign
    assert '<html lang="en"' in english
    assert found.method.sentences[-1] in english
    assert (tmp_path / "in-english" / "evidence.json").read_bytes() == to_bytes(found)


def test_an_incomplete_catalogue_stops_the_run_before_it_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(tmp_path, rows(60))
    lines = (tmp_path / "xx.toml").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith(("section.data", "said.method.bca"))]
    (tmp_path / "xx.toml").write_text("\n".join(kept), encoding="utf-8")
    (tmp_path / "audit.toml").write_text(CLASSES, encoding="utf-8")
    for command in (["check"], ["run", "--out", str(tmp_path / "out")]):
        assert invoke([*command, str(tmp_path / "audit.toml")]) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("xaudit: error: Catalogue 'xx.toml' lacks 2 of ")
        assert "section.data, said.method.bca" in error
    assert not (tmp_path / "out").exists()
    (tmp_path / "xx.toml").unlink()
    assert invoke(["check", str(tmp_path / "audit.toml")]) == 2
    assert "Report language 'xx.toml' cannot be read: No such file" in capsys.readouterr().err
