"""The whole run on a small log: evidence by its schema, the same bytes again, and the other commands."""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from audit import run_audit
from audit.cli import invoke
from audit.config import load
from audit.run import gather
from reports.evidence import Evidence, json_schema, read_evidence, to_bytes
from tests.audit.workplace import CONFIGURATION, HEADER, RULES, rows, write_log, write_work


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which one run was made, into ``out``."""
    folder = tmp_path_factory.mktemp("work")
    write_work(folder)
    assert invoke(["run", str(folder / "audit.toml"), "--out", str(folder / "out")]) == 1
    return folder


@pytest.fixture(scope="module")
def document(work: Path) -> dict:  # type: ignore[type-arg]
    return json.loads((work / "out" / "evidence.json").read_bytes())


def test_the_evidence_follows_its_schema(document: dict) -> None:  # type: ignore[type-arg]
    jsonschema.Draft202012Validator.check_schema(json_schema())
    jsonschema.Draft202012Validator(json_schema()).validate(document)
    broken = json.loads(json.dumps(document))
    broken["verdict"]["outcome"] = "safe"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(json_schema()).validate(broken)


def test_the_counts_are_those_of_a_plain_loop_over_the_file(work: Path, document: dict) -> None:  # type: ignore[type-arg]
    with (work / "log.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    names = {("1", "1"): "tp", ("0", "1"): "fp", ("1", "0"): "fn", ("0", "0"): "tn"}
    for record in document["results"]["overall"] + document["results"]["slices"]:
        counts = dict.fromkeys(names.values(), 0)
        for line in lines:
            if all((line[name] or None) == value for name, value in record["slice"].items()):
                counts[names[line["label"], line["prediction"]]] += 1
        assert record["counts"] == counts, record["slice"]
        assert record["n"] == sum(counts.values())
        recall = next(item for item in record["estimates"] if item["metric"] == "recall")
        positives = counts["tp"] + counts["fn"]
        assert recall["support"] == positives
        if positives:
            assert recall["value"] == pytest.approx(counts["tp"] / positives, abs=1e-12)
            assert recall["low"] < recall["high"]


def test_the_verdict_and_the_findings_agree(document: dict) -> None:  # type: ignore[type-arg]
    outcomes = [finding["outcome"] for finding in document["findings"]]
    for outcome in ("meets", "fails", "cannot_tell", "not_enough_data", "not_tested"):
        assert document["verdict"][outcome] == outcomes.count(outcome)
    assert document["verdict"]["outcome"] == "does_not_meet"
    failed = [finding for finding in document["findings"] if finding["outcome"] == "fails"]
    assert [finding["slice"] for finding in failed] == [{"scanner": "B"}]
    assert failed[0]["interval"].startswith("simultaneous")
    assert failed[0]["high"] < failed[0]["limit"]
    assert failed[0]["level"] > 0.95


def test_missing_metadata_is_a_slice_and_is_counted(work: Path, document: dict) -> None:  # type: ignore[type-arg]
    missing = sum(row[HEADER.index("sex")] == "" for row in rows())
    (sex,) = (item for item in document["data"]["attributes"] if item["name"] == "sex")
    assert sex["missing"] == missing > 0
    assert any(
        record["slice"] == {"sex": None} and record["n"] == missing
        for record in document["results"]["slices"]
    )


def test_nothing_of_this_machine_is_in_the_evidence(work: Path) -> None:
    text = (work / "out" / "evidence.json").read_text(encoding="utf-8")
    for secret in (str(work), str(Path.home()), os.uname().nodename, f"/{os.environ.get('USER', 'nobody')}/"):
        assert secret not in text, secret


def test_rendering_again_gives_the_same_documents(work: Path, tmp_path: Path) -> None:
    assert invoke(["report", str(work / "out" / "evidence.json"), "--out", str(tmp_path / "again")]) == 0
    first = {path.name: path.read_bytes() for path in (work / "out").iterdir()}
    again = {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}
    assert first.keys() >= {"evidence.json", "report.html", "estimates.parquet", "manifest.json"}
    assert first == again


def test_verify_finds_the_report_whole(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["verify", str(work / "out")]) == 0
    assert "every file is as it was written" in capsys.readouterr().out


def bytes_of(folder: Path) -> bytes:
    """Evidence of a run in a folder, without the hash of the log, which row order changes."""
    evidence = run_audit(folder / "audit.toml").model_dump(mode="json", by_alias=True)
    evidence["run"]["inputs"] = [item for item in evidence["run"]["inputs"] if item["role"] != "log"]
    return json.dumps(evidence, sort_keys=True).encode()


def test_row_order_changes_no_byte(tmp_path: Path) -> None:
    write_work(tmp_path)
    before = bytes_of(tmp_path)
    shuffled = rows()
    random.Random(3).shuffle(shuffled)
    write_log(tmp_path, shuffled)
    assert bytes_of(tmp_path) == before
    write_log(tmp_path, shuffled[:-1])
    assert bytes_of(tmp_path) != before


def test_the_same_bytes_in_other_processes(work: Path, tmp_path: Path) -> None:
    """Another time zone, another hash seed, another locale, another folder: the same report."""
    write_work(tmp_path)
    environment = {
        **os.environ,
        "TZ": "Pacific/Kiritimati",
        "PYTHONHASHSEED": "12345",
        "LC_ALL": "C",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }
    done = subprocess.run(
        [sys.executable, "-m", "xaudit", "run", "audit.toml", "--out", "out"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "The model does not meet the release rule." in done.stdout
    assert (tmp_path / "out" / "manifest.json").read_bytes() == (work / "out" / "manifest.json").read_bytes()


def test_flags_give_the_same_figures_as_a_file(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_log(tmp_path)
    monkeypatch.chdir(tmp_path)
    arguments = (
        "run --log log.csv --label label --prediction prediction --positive 1 --resamples 400 --format html"
    )
    arguments += " --attribute sex:demographic --attribute scanner:acquisition --out out"
    assert invoke(arguments.split()) == 0, "no rule given"
    flags, file = (
        read_evidence(tmp_path / "out" / "evidence.json"),
        read_evidence(work / "out" / "evidence.json"),
    )
    assert flags.verdict.outcome == "no_rule"
    assert "does not meet" not in flags.verdict.sentence
    assert flags.data == file.data
    assert values(flags) == values(file)
    assert flags.subject.name == "log.csv"
    assert (flags.subject.version, flags.subject.purpose) == ("not stated", "not stated")


def values(evidence: Evidence) -> list[object]:
    """Every figure of the slices but the simultaneous limits, which hang on the policy."""
    return [
        (record.slice, record.counts, record.estimates, record.disparities)
        for record in evidence.results.slices
    ]


def test_from_python(work: Path) -> None:
    evidence = run_audit(work / "audit.toml")
    assert to_bytes(evidence) == (work / "out" / "evidence.json").read_bytes()
    frame = evidence.to_frame()
    assert len(frame) > 0
    assert {"metric", "value", "low", "high"} <= set(frame.columns)


def test_init_then_check_then_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_log(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert invoke(["init", "log.csv"]) == 0
    assert invoke(["init", "log.csv"]) == 2, "an existing file is not overwritten"
    assert "'audit.toml' exists" in capsys.readouterr().err
    text = (tmp_path / "audit.toml").read_text(encoding="utf-8")
    for line in (
        'label = "label"',
        'prediction = "prediction"',
        'positive = "1"',
        'cluster = "patient"',
        'name = "sex"',
    ):
        assert line in text
    assert invoke(["check", "audit.toml"]) == 0
    told = capsys.readouterr().out
    assert "Log: 600 rows, 600 used; binary." in told
    assert "Policy: no rule" in told
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv", "audit.toml"] or len(
        list(tmp_path.iterdir())
    ) == 2
    (tmp_path / "audit.toml").write_text(
        text.replace("resamples = 10000", "resamples = 200").replace(', "pdf"', "")
    )
    assert invoke(["run", "audit.toml", "--out", "out", "--quiet"]) == 0


def test_check_tells_the_smallest_gap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_work(tmp_path, more=RULES.replace("at_least = 0.85", "gap_at_most = 0.05") + ABSENT)
    assert invoke(["check", str(tmp_path / "audit.toml"), "--quiet"]) == 0
    told = capsys.readouterr().out
    assert "Rule 'recall-floor': the smallest gap that a slice could show" in told
    assert "Not tested: rule 'tone': The log has no attribute “tone”." in told


ABSENT = '[[policy.rules]]\nid = "tone"\nmetric = "recall"\nat_least = 0.5\nattributes = ["tone"]\n'


def test_an_attribute_that_only_a_rule_names_is_not_tested(tmp_path: Path) -> None:
    evidence = run_audit(write_work(tmp_path, more=ABSENT))
    (finding,) = evidence.findings
    assert (finding.outcome, finding.value, finding.interval) == ("not_tested", None, "none")
    assert evidence.verdict.outcome == "cannot_be_decided"
    assert any("could not be tested" in item.what for item in evidence.limitations)


def test_a_rule_may_ask_for_more_than_the_slices_do(tmp_path: Path) -> None:
    more = "[slices]\nintersections = 1\n" + ABSENT.replace(
        'attributes = ["tone"]', 'intersections = [["sex", "scanner"]]'
    )
    evidence = run_audit(write_work(tmp_path, more=more))
    assert {tuple(finding.slice) for finding in evidence.findings} == {("scanner", "sex")}
    assert len(evidence.findings) == 4


def test_the_evidence_names_the_columns_by_their_roles(tmp_path: Path) -> None:
    config = write_work(
        tmp_path,
        more="",
        configuration=CONFIGURATION.replace(
            'prediction = "prediction"',
            'score = "score"\nthreshold = 0.5\ntie = ">="\ncluster = "patient"\nid = "image"\n'
            'baseline = "prediction"',
        ),
    )
    assert run_audit(config).data.roles == {
        "label": "label",
        "score": "score",
        "cluster": "patient",
        "id": "image",
        "baseline": "prediction",
    }


def test_no_rule_falls_silent(tmp_path: Path) -> None:
    """Below the minimum, compared with itself, or missing throughout: undecided, exit 3, never a pass."""
    more = (
        '[[policy.rules]]\nid = "pairs"\nmetric = "recall"\nat_least = 0.01\n'
        'intersections = [["sex", "scanner"]]\n'
        '[[policy.rules]]\nid = "gap"\nmetric = "recall"\ngap_at_most = 0.9\n'
        'attributes = ["site"]\nagainst = "X"\n'
        '[[policy.rules]]\nid = "gone"\nmetric = "recall"\nat_least = 0.01\nattributes = ["tone"]\n'
    )
    config = write_work(tmp_path, more="[slices]\nminimum = 20\n[policy]\nminimum = 10\n" + more)
    lines = [
        (*row[:5], "X" if number < 5 else row[5], *row[6:], "X", "") for number, row in enumerate(rows())
    ]
    with (tmp_path / "log.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([(*HEADER, "site", "tone"), *lines])
    assert invoke(["run", str(config), "--out", str(tmp_path / "out"), "--quiet"]) == 3
    document = json.loads((tmp_path / "out" / "evidence.json").read_text())
    found = [
        (item["rule"], item["slice"], item["outcome"])
        for item in document["findings"]
        if item["outcome"] != "meets"
    ]
    assert found == [
        ("pairs", {"sex": "X"}, "not_enough_data"),
        ("gap", {}, "not_tested"),
        ("gone", {}, "not_tested"),
    ]
    assert sum(item["outcome"] == "meets" for item in document["findings"]) == 4


def test_clusters_are_the_unit(tmp_path: Path) -> None:
    clustered = CONFIGURATION.replace('positive = "1"', 'positive = "1"\ncluster = "patient"')
    evidence = run_audit(write_work(tmp_path, configuration=clustered))
    assert evidence.data.clusters == 200
    assert evidence.data.cluster == "patient"
    assert all("which rows belong together" not in item.what for item in evidence.limitations)


def test_a_baseline_beside_clusters_has_limits_and_tests(tmp_path: Path) -> None:
    roles = 'positive = "1"\ncluster = "patient"\nbaseline = {score = "score", threshold = 0.75, tie = ">="}'
    clustered = CONFIGURATION.replace('positive = "1"', roles)
    evidence = run_audit(write_work(tmp_path, configuration=clustered), tmp_path / "out")
    changes = evidence.results.changes
    groups = {tuple(sorted(change.slice.items())) for change in changes}
    assert {(), (("sex", "F"),), (("scanner", "B"), ("sex", "F"))} <= groups
    for change in changes:
        assert change.undefined is None
        assert change.difference.low is not None
        assert change.difference.high is not None
        assert change.difference.low < change.difference.value < change.difference.high
        assert change.p_value is not None
        assert "clusters" in change.method
    # Scores of positive calls lie between .6 and .99: at .75 the baseline makes fewer of them.
    recall = next(change for change in changes if not change.slice and change.metric == "recall")
    assert recall.change == "better"
    assert recall.p_value < 1e-4
    assert "Change since the baseline" in (tmp_path / "out" / "report.html").read_text()


def test_detection_counts_have_the_image_as_cluster(tmp_path: Path) -> None:
    """Objects pooled over images; what needs true negatives is undefined, with that reason."""
    lines = [
        (f"i{k}", k % 4, int(k % 7 == 0), int(k % 5 == 0), "day" if k % 3 else "night") for k in range(200)
    ]
    with (tmp_path / "log.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("image", "found", "false", "missed", "light"), *lines])
    (tmp_path / "audit.toml").write_text(
        '[log]\npath = "log.csv"\nid = "image"\n'
        'detection = { tp = "found", fp = "false", fn = "missed" }\n'
        '[[attributes]]\nname = "light"\nkind = "acquisition"\n[statistics]\nresamples = 200\n',
        encoding="utf-8",
    )
    evidence = run_audit(tmp_path / "audit.toml")
    (overall,) = evidence.results.overall
    tp, fn = (sum(line[place] for line in lines) for place in (1, 3))
    estimates = {item.metric: item for item in overall.estimates}
    assert estimates["recall"].value == pytest.approx(tp / (tp + fn))
    assert (estimates["fpr"].value, estimates["fpr"].undefined) == (
        None,
        "true negatives are not known in this log",
    )
    assert evidence.data.clusters == 200
    assert all(item.metric != "fpr" for item in evidence.results.worst_gaps)


def test_failed_images_of_a_detection_log_are_gated_by_images(tmp_path: Path) -> None:
    """5 of 200 images without counts: the share is of images, however many objects they hold."""
    lines = [(f"i{k}", "" if k < 5 else 30, "" if k < 5 else 1, "" if k < 5 else 2) for k in range(200)]
    with (tmp_path / "log.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("image", "found", "false", "missed"), *lines])
    (tmp_path / "audit.toml").write_text(
        '[log]\npath = "log.csv"\nid = "image"\n'
        'detection = { tp = "found", fp = "false", fn = "missed" }\n[statistics]\nresamples = 200\n'
        '[[policy.rules]]\nid = "gone"\nmax_missing_predictions = 0.2\noverall = true\n',
        encoding="utf-8",
    )
    (finding,) = run_audit(tmp_path / "audit.toml").findings
    assert (finding.value, finding.support, finding.outcome) == (5 / 200, 200, "meets")


def test_the_evidence_says_how_large_clusters_are_and_what_is_taken_for_what(tmp_path: Path) -> None:
    """Cluster sizes of a binary log; the confusion matrix of a multi-class one, against a slow count."""
    rows = [("p1", "cat", "cat"), ("p1", "cat", "dog"), ("p1", "dog", "dog"), ("p2", "dog", "cow")] * 10
    (tmp_path / "log.csv").write_text(
        "patient,y,p,half\n"
        + "".join(f"{p}-{i // 8},{y},{d},{'ab'[i % 2]}\n" for i, (p, y, d) in enumerate(rows))
    )
    (tmp_path / "audit.toml").write_text(
        '[subject]\nname = "x"\n[log]\npath = "log.csv"\nlabel = "y"\nprediction = "p"\ncluster = "patient"\n'
        '[[attributes]]\nname = "half"\nkind = "other"\n[statistics]\nresamples = 400\n'
        '[report]\nformats = ["html"]\n'
    )
    evidence = gather(load(tmp_path / "audit.toml"))
    sizes, confusion = evidence.data.cluster_sizes, evidence.results.confusion
    assert sizes is not None
    assert (sizes.fewest, sizes.median, sizes.most) == (2, 4.0, 6)
    assert confusion is not None
    table = [[sum(r[1:] == (y, d) for r in rows) for d in confusion.classes] for y in confusion.classes]
    assert confusion.counts == table
    assert confusion.other == [0 if y == "cat" else 10 for y in confusion.classes]
