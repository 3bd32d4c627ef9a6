"""Bad input: each kind gets its one line, the last on stderr, and exit code 2; never a traceback."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit.cli import invoke
from audit.config import load
from audit.epoch import check_epoch
from tests.audit.workplace import CONFIGURATION, HEADER, RULES, rows, write_log, write_work

Prepare = Callable[[Path], None]


def configured(*, replace: tuple[str, str] | None = None, more: str = "") -> Prepare:
    """A folder with a good log and a configuration with one mistake."""

    def prepare(folder: Path) -> None:
        text = CONFIGURATION
        if replace is not None:
            assert replace[0] in text
            text = text.replace(*replace)
        write_work(folder, configuration=text, more=more)

    return prepare


def log_of(lines: list[tuple[str, ...]]) -> Prepare:
    """A folder with a good configuration and another log."""

    def prepare(folder: Path) -> None:
        write_work(folder)
        write_log(folder, lines)

    return prepare


def with_column(column: str, value: str, *, every: bool = True) -> Prepare:
    """A log in which a column is overwritten: everywhere, or in its first row."""
    place = HEADER.index(column)
    changed = [
        (*row[:place], value, *row[place + 1 :]) if every or number == 0 else row
        for number, row in enumerate(rows(60))
    ]
    return log_of(changed)


def truncated_parquet(folder: Path) -> None:
    table = pa.table({name: [row[k] for row in rows(200)] for k, name in enumerate(HEADER)})
    pq.write_table(table, folder / "log.parquet")
    whole = (folder / "log.parquet").read_bytes()
    (folder / "log.parquet").write_bytes(whole[: len(whole) // 2])
    (folder / "audit.toml").write_text(CONFIGURATION.replace("log.csv", "log.parquet"))


def folder_without_files(folder: Path) -> None:
    configured(replace=("log.csv", "logs"))(folder)
    (folder / "logs").mkdir()


def no_toml(folder: Path) -> None:
    (folder / "audit.toml").write_text("[log\npath = 3")


def latin_toml(folder: Path) -> None:
    (folder / "audit.toml").write_bytes(b'[subject]\nname = "Universit\xe4t"\n')


def header_only(folder: Path) -> None:
    log_of([])(folder)


def empty_file(folder: Path) -> None:
    write_work(folder)
    (folder / "log.csv").write_text("")


def score_in_words(folder: Path) -> None:
    with_column("score", "high", every=False)(folder)
    by_score = 'score = "score"\nthreshold = 0.5\ntie = ">="'
    (folder / "audit.toml").write_text(CONFIGURATION.replace('prediction = "prediction"', by_score))


def spreadsheet(folder: Path) -> None:
    configured(replace=("log.csv", "log.xlsx"))(folder)
    (folder / "log.xlsx").write_text("x")


def output_is_a_file(folder: Path) -> None:
    write_work(folder)
    (folder / "out").write_text("mine")


def output_below_a_file(folder: Path) -> None:
    write_work(folder)
    (folder / "plain").write_text("mine")


def output_holds_files(folder: Path) -> None:
    write_work(folder)
    (folder / "out").mkdir()
    (folder / "out" / "thesis.txt").write_text("mine")


def two_columns_alike(folder: Path) -> None:
    write_work(folder)
    text = (folder / "log.csv").read_text().replace("sex,age", "sex,sex", 1)
    (folder / "log.csv").write_text(text)


def stray_quote(folder: Path) -> None:
    write_work(folder)
    lines = (folder / "log.csv").read_text().splitlines()
    lines[300] = '"' + lines[300]
    (folder / "log.csv").write_text("\n".join(lines) + "\n")


def several_classes(folder: Path) -> None:
    place = HEADER.index("label")
    lines = [(*row[:place], "abc"[k % 3], "abc"[k % 2], *row[place + 2 :]) for k, row in enumerate(rows(90))]
    write_work(
        folder,
        configuration=CONFIGURATION.replace('positive = "1"\n', ""),
        more=RULES.replace("overall = true", 'overall = true\nclasses = ["abd"]'),
    )
    write_log(folder, lines)


MODEL = """
[model]
factory = "concepts.demo.training:digits_cnn"
weights = "model.safetensors"
layers = ["block2", "block3"]
outputs = ["no loop", "loop"]
input = { size = [32, 32], channels = 1, mean = [0.2], std = [0.3] }
[concepts]
images = "images"
image_column = "image"
random = "random"
[[concepts.concept]]
name = "ruler"
folder = "ruler"
"""

RULE = '[[policy.rules]]\nid = "r"\n'

# kind of bad input -> what prepares the folder, what the one line must say
KINDS: dict[str, tuple[Prepare, str]] = {
    "missing column": (
        configured(replace=('name = "sex"', 'name = "sexx"')),
        r"Column 'sexx' \(attribute 'sexx'\) is not in log\.csv; it has: .*Did you mean 'sex'\?",
    ),
    "missing label column": (
        configured(replace=('label = "label"', 'label = "lable"')),
        r"Column 'lable' \(label\)",
    ),
    "class of a rule absent from the log": (
        several_classes,
        r"names class 'abd', which is not in the log; it has: a, b, c",
    ),
    "classes of a binary log": (
        configured(more=RULES.replace("overall = true", 'overall = true\nclasses = ["1"]')),
        r"names classes, but the log is binary",
    ),
    "positive occurs nowhere": (
        configured(replace=('positive = "1"', 'positive = "yes"')),
        r"The positive class 'yes' occurs nowhere in column 'label'",
    ),
    "score without threshold": (
        configured(replace=('prediction = "prediction"', 'score = "score"')),
        r"\[log\]: 'score' needs a threshold and a tie rule: threshold and tie missing",
    ),
    "score without tie rule": (
        configured(replace=('prediction = "prediction"', 'score = "score"\nthreshold = 0.5')),
        r"'score' needs a threshold and a tie rule: tie missing",
    ),
    "score that is no number": (
        score_in_words,
        r"Column 'score' holds 'high', which is not a number",
    ),
    "no decision": (
        configured(replace=('prediction = "prediction"\n', "")),
        r"exactly one of 'prediction', 'score' and 'scores' is needed: found none of them",
    ),
    "two decisions": (
        configured(replace=('prediction = "prediction"', 'prediction = "prediction"\nscore = "score"')),
        r"exactly one of .* found prediction and score",
    ),
    "empty log": (header_only, r"Log 'log\.csv' has no rows"),
    "empty file": (
        empty_file,
        r"log\.csv cannot be read as CSV: Empty CSV file",
    ),
    "all rows excluded": (with_column("label", ""), r"all 60 rows are excluded, since column 'label'"),
    "a label that is neither class": (
        with_column("label", "2", every=False),
        r"Column 'label' holds '2', which is neither class",
    ),
    "truncated Parquet": (truncated_parquet, r"log\.parquet cannot be read as Parquet"),
    "a folder without files": (folder_without_files, r"Folder 'logs' holds no file of a known format"),
    "a log that is not there": (configured(replace=("log.csv", "lug.csv")), r"Log 'lug\.csv' was not found"),
    "a log of unknown format": (
        spreadsheet,
        r"Log 'log\.xlsx' has the unknown ending '\.xlsx'",
    ),
    "a database address": (
        configured(replace=("log.csv", "postgresql://host/db")),
        r"is a database address, which this version of xaudit cannot read",
    ),
    "unreadable TOML": (no_toml, r"Configuration '.*audit\.toml' is not valid TOML"),
    "TOML that is no UTF-8": (latin_toml, r"is not UTF-8 text \(byte 27\)"),
    "no configuration": (lambda folder: None, r"Configuration '.*audit\.toml' cannot be read: No such file"),
    "rule on an unknown metric": (
        configured(more=RULE + 'metric = "recal"\nat_least = 0.5\noverall = true'),
        r"\[\[policy\.rules\]\] 'r' metric: no metric is called 'recal'\. Did you mean 'recall'\?",
    ),
    "rule without a limit": (
        configured(more=RULE + 'metric = "recall"\noverall = true'),
        r"\[\[policy\.rules\]\] 'r': needs exactly one of at_least, .*: found none",
    ),
    "rule with two limits": (
        configured(more=RULE + 'metric = "recall"\nat_least = 0.5\nat_most = 0.9\noverall = true'),
        r"found at_least and at_most",
    ),
    "rule that names an attribute twice": (
        configured(more=RULE + 'metric = "recall"\nat_least = 0.5\nattributes = ["sex", "sex"]'),
        r"\[\[policy\.rules\]\] 'r' attributes: names 'sex' twice",
    ),
    "rule that crosses an attribute with itself": (
        configured(more=RULE + 'metric = "recall"\nat_least = 0.5\nintersections = [["sex", "sex"]]'),
        r"'r' intersections: \['sex', 'sex'\] names 'sex' twice: an attribute is not crossed with itself",
    ),
    "rule without slices": (
        configured(more=RULE + 'metric = "recall"\nat_least = 0.5'),
        r"'r': names no slice",
    ),
    "rule over classes of a binary log": (
        configured(more=RULE + 'metric = "macro_recall"\nat_least = 0.5\noverall = true'),
        r"macro_recall averages over classes, but the log is binary; use recall",
    ),
    "limit outside the metric's range": (
        configured(more=RULE + 'metric = "recall"\nat_least = 85\noverall = true'),
        r"'r': at_least is 85; recall lies between 0 and 1",
    ),
    "a rule on scores without a score": (
        configured(more=RULE + 'metric = "roc_auc"\nat_least = 0.8\noverall = true'),
        r"Rule 'r': auroc needs a score: name the column as 'score' under \[log\]",
    ),
    "two rules of one name": (configured(more=RULES + RULES), r"two rules are called 'recall-floor'"),
    "unknown key": (
        configured(replace=("resamples = 400", "resample = 400")),
        r"unknown key 'resample' in \[statistics\]; it knows: .* Did you mean 'resamples'\?",
    ),
    "unknown table": (
        configured(more="[polcy]\nx = 1"),
        r"unknown key 'polcy' in the configuration.*'policy'\?",
    ),
    "value outside its range": (
        configured(more="[slices]\nminimum = 0"),
        r"\[slices\] minimum is 0; it must be at least 1",
    ),
    "value of another type": (
        configured(replace=("resamples = 400", 'resamples = "many"')),
        r"\[statistics\] resamples is 'many'; it must be a whole number",
    ),
    "bands that do not ascend": (
        configured(more='[[attributes]]\nname = "age"\nbands = [40, 18]'),
        r"\[\[attributes\]\] 'age' bands: cut points must ascend: found \[40\.0, 18\.0\]",
    ),
    "bands on a text": (
        configured(more='[[attributes]]\nname = "patient"\nbands = [18]'),
        r"Column 'patient' holds 'p000', which is not a number",
    ),
    "an attribute twice": (
        configured(more='[[attributes]]\nname = "sex"'),
        r"\[\[attributes\]\] names 'sex' twice",
    ),
    "two values under one name": (
        configured(more='[[attributes]]\nname = "age"\nnames = { F = "women", W = "women" }'),
        r"\[\[attributes\]\] 'age' names: names 'F' and 'W' both \"women\"; give each a name of its own",
    ),
    "two classes under one name": (
        configured(more='[classes]\nnames = { a = "x", b = "x" }'),
        r"\[classes\.names\]: names 'a' and 'b' both \"x\"",
    ),
    "intersection of an unknown attribute": (
        configured(more='[slices]\nintersections = [["sex", "age"]]'),
        r"\[slices\] intersections names 'age', which is not an attribute; there is: sex, scanner",
    ),
    "a role that is not honoured": (
        configured(replace=('positive = "1"', 'positive = "1"\nquery = "select 1"')),
        r"\[log\] 'query' is not honoured by this version",
    ),
    "a scoring rate without a score": (
        configured(
            replace=(
                'formats = ["html"]',
                'formats = ["html"]\nimpact_ratios = [["sex"]]\nimpact_rates = ["scoring_rate"]',
            )
        ),
        r"\[report\] impact_rates: a scoring rate needs a score: name the column as 'score' under \[log\]",
    ),
    "rates of no attribute": (
        configured(replace=('formats = ["html"]', 'impact_rates = ["selection_rate"]')),
        r"\[report\]: 'impact_rates' without 'impact_ratios': name the attributes there",
    ),
    "a rate named twice": (
        configured(
            replace=(
                'formats = ["html"]',
                'impact_ratios = [["sex"]]\nimpact_rates = ["selection_rate", "selection_rate"]',
            )
        ),
        r"\[report\] impact_rates: names 'selection_rate' twice",
    ),
    "label accuracy of detected objects": (
        configured(
            replace=(
                'label = "label"\nprediction = "prediction"\npositive = "1"',
                'detection = { tp = "age", fp = "age", fn = "age" }',
            ),
            more="[statistics.label_accuracy]\nsensitivity = 0.9\nspecificity = 0.9",
        ),
        r"\[statistics\] label_accuracy beside \[log\] detection: objects have no label each",
    ),
    "two columns of one name": (two_columns_alike, r"Column 'sex' stands twice in "),
    "an unknown report format": (
        configured(replace=('formats = ["html"]', 'formats = ["docx"]')),
        r"docx",
    ),
    "a logo that is not there": (
        configured(replace=('formats = ["html"]', 'logo = "logo.png"')),
        r"\[report\] logo 'logo\.png' cannot be read",
    ),
    "a logo that is SVG": (
        configured(replace=('formats = ["html"]', 'logo = "logo.svg"')),
        r"logo 'logo\.svg' must be a PNG or JPEG file",
    ),
    "concepts without a model": (
        configured(more='[[concepts.concept]]\nname = "ruler"\nfolder = "ruler"'),
        r"\[concepts\] needs a \[model\]",
    ),
    "a rule on an unknown concept": (
        configured(more=MODEL + RULE + 'concept = "ruller"\nmust_not_drive = ["loop"]'),
        r"names concept 'ruller', which is not a concept; there is: ruler\. Did you mean 'ruler'\?",
    ),
    "a class that the model does not have": (
        configured(more=MODEL + RULE + 'concept = "ruler"\nmust_not_drive = ["loob"]'),
        r"must_not_drive names 'loob'.*Did you mean 'loop'\?",
    ),
    "a concept with two sources": (
        configured(more=MODEL + 'where = { sex = "F" }'),
        r"concept 'ruler' needs exactly one of folder, where, transform: found folder and where",
    ),
    "mean of too few channels": (
        configured(more=MODEL.replace("channels = 1", "channels = 3")),
        r"\[model\.input\]: mean has 1 values for 3 channels",
    ),
    "a day that is none": (
        configured(replace=('version = "1.2"', 'version = "1.2"\ndate = "hello"')),
        r"\[subject\] date: found 'hello', which is no day of the calendar: write YYYY-MM-DD",
    ),
    "a month that is none": (
        configured(replace=('positive = "1"', 'positive = "1"\ncollected = ["2026-13-01", "b"]')),
        r"\[log\] collected number 1: found '2026-13-01', which is no day of the calendar",
    ),
    "collected backwards": (
        configured(replace=('positive = "1"', 'positive = "1"\ncollected = ["2026-06-30", "2026-01-01"]')),
        r"\[log\] collected: the first day comes after the last",
    ),
    "a gap wider than the metric": (
        configured(more=RULE + 'metric = "recall"\ngap_at_most = 1.5\nattributes = ["sex"]'),
        r"gap_at_most is 1\.5; a gap of recall lies between 0 and 1",
    ),
    "cut points that floats merge": (
        configured(more='[[attributes]]\nname = "age"\nbands = [9007199254740993]'),
        r"\[\[attributes\]\] 'age' bands: whole numbers from 2\^53 on are not told apart",
    ),
    "a rule that can never be decided": (
        configured(
            replace=(
                'label = "label"\nprediction = "prediction"\npositive = "1"',
                'detection = { tp = "age", fp = "label", fn = "prediction" }',
            ),
            more=RULE + 'metric = "specificity"\nat_least = 0.5\noverall = true',
        ),
        r"Rule 'r': specificity needs true negatives, which a detection log without tn does not have",
    ),
    "one column as label and prediction": (
        configured(replace=('prediction = "prediction"', 'prediction = "label"')),
        r"Column 'label' is both label and prediction; name a column of its own",
    ),
    "a quotation mark that never closes": (
        stray_quote,
        r"log\.csv: the quotation mark that opens a value in line 301 never closes",
    ),
    "a file as output": (output_is_a_file, r"Output '.*out' is not a folder"),
    "an output folder with other files": (
        output_holds_files,
        r"holds 'thesis\.txt', which is no part of a report",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_bad_input_is_told_in_one_line(kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    prepare, expected = KINDS[kind]
    prepare(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    code = invoke(["run", str(tmp_path / "audit.toml"), "--out", str(tmp_path / "out")])
    told = capfd.readouterr()
    last = told.err.strip().splitlines()[-1]
    assert code == 2, last
    assert last.startswith("xaudit: error: ")
    assert re.search(expected, last), last
    assert "Traceback" not in told.err
    assert told.out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == before, "bad input must leave nothing behind"


USAGE = {
    "no command": ([], r"Missing command"),
    "unknown command": (["rum"], r"No such command 'rum'\. Did you mean 'run'\?"),
    "unknown option": (["run", "--outt", "x"], r"No such option"),
    "no output": (["run", "audit.toml"], r"Missing option '--out'"),
    "neither configuration nor log": (["run", "--out", "x"], r"Neither a configuration nor --log is given"),
    "both configuration and log": (
        ["run", "audit.toml", "--log", "x", "--out", "x"],
        r"Both 'audit\.toml' and --log are given",
    ),
    "threshold that is no number": (
        ["run", "--threshold", "half", "--out", "x"],
        r"'--threshold'",
    ),
    "unknown schema": (["schema", "log"], r"There is no schema of 'log'; there are: config, evidence"),
    "evidence that is not there": (
        ["report", "no.json", "--out", "x"],
        r"Evidence 'no\.json' cannot be read",
    ),
    "verify without a manifest": (["verify", "."], r"has no manifest\.json that can be read"),
    "attribute with bands that are no numbers": (
        ["run", "--log", "log.csv", "--attribute", "age:demographic:old", "--out", "x"],
        r"the cut points 'old' are not numbers",
    ),
    "attribute of unknown kind": (
        ["run", "--log", "l", "--label", "l", "--prediction", "p", "--attribute", "age:demo", "--out", "x"],
        r"command line: \[\[attributes\]\] 'age' kind is 'demo'; it must be 'demographic', 'acquisition' "
        "or 'other'",
    ),
}


@pytest.mark.parametrize("kind", USAGE)
def test_usage_errors_are_told_the_same_way(
    kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, expected = USAGE[kind]
    assert invoke(arguments) == 2
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("xaudit: error: ")
    assert re.search(expected, last), last


def test_the_command_itself_exits_with_2(tmp_path: Path) -> None:
    output_below_a_file(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "xaudit", "run", "audit.toml", "--out", "plain/out"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert re.fullmatch(
        r"xaudit: error: Output folder 'plain/out' cannot be written: .*", done.stderr.splitlines()[-1]
    )


def test_an_interrupt_exits_with_130_and_keeps_the_old_report(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, out = write_work(tmp_path), tmp_path / "out"
    assert invoke(["run", str(config), "--out", str(out), "--quiet"]) == 1
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("audit.run.write_documents", stopped)
    assert invoke(["run", str(config), "--out", str(out), "--quiet"]) == 130
    assert capfd.readouterr().err.splitlines()[-1] == "xaudit: error: interrupted; nothing was written"
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_code_that_ends_the_process_is_no_pass(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``sys.exit(0)`` somewhere below would read as a met policy."""
    config = write_work(tmp_path)

    def leaves(*_: object, **__: object) -> None:
        raise SystemExit(0)

    monkeypatch.setattr("audit.run.gather", leaves)
    assert invoke(["run", str(config), "--out", str(tmp_path / "out")]) == 4
    assert "something called sys.exit(0) within the run" in capfd.readouterr().err.splitlines()[-1]


def test_a_reader_that_has_gone_changes_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind ``| head -1``: the summary finds no reader; the verdict (here: fails) is the exit code."""
    config = write_work(tmp_path)
    command = [sys.executable, "-m", "xaudit", "run", str(config), "--out", str(tmp_path / "out"), "--quiet"]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert done.returncode == 1, done.stderr

    def gone(*_: object, **__: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("audit.run.gather", gone)
    assert invoke(["run", str(config), "--out", str(tmp_path / "out"), "--quiet"]) == 4


def test_an_internal_error_is_short_and_exits_with_4(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_work(tmp_path)

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug\nof ours")

    monkeypatch.setattr("audit.run.gather", broken)
    monkeypatch.delenv("XAUDIT_DEBUG", raising=False)
    assert invoke(["run", str(config), "--out", str(tmp_path / "out")]) == 4
    told = capfd.readouterr().err
    assert told.splitlines()[-1].startswith(
        "xaudit: error: internal error (ZeroDivisionError: a bug of ours)"
    )
    assert "Traceback" not in told
    monkeypatch.setenv("XAUDIT_DEBUG", "1")
    assert invoke(["run", str(config), "--out", str(tmp_path / "out")]) == 4
    assert "Traceback" in capfd.readouterr().err


@pytest.mark.parametrize("epoch", ["abc", "1e99", "99999999999999999999"])
def test_a_wrong_source_date_epoch_is_told_before_libraries_read_it(epoch: str, tmp_path: Path) -> None:
    """scipy imports numpy.f2py, which fails on it with a traceback."""
    write_work(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "xaudit", "run", str(tmp_path / "audit.toml"), "--out", str(tmp_path / "out")],
        env={**os.environ, "SOURCE_DATE_EPOCH": epoch},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"xaudit: error: SOURCE_DATE_EPOCH is '{epoch}'; it must be a number of seconds since 1970.\n"
    )


def test_an_empty_source_date_epoch_states_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "")
    check_epoch()
    assert "SOURCE_DATE_EPOCH" not in os.environ


def test_a_gap_of_mcc_may_be_as_wide_as_mcc(tmp_path: Path) -> None:
    rule = RULE + 'metric = "mcc"\ngap_at_most = 1.5\nattributes = ["sex"]'
    assert load(write_work(tmp_path, more=rule)).config.policy.rules[0].gap_at_most == 1.5
