"""A first configuration: what is guessed from a log, and that it can be checked as it is written."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from audit.cli import invoke


def guessed(folder: Path, monkeypatch: pytest.MonkeyPatch, log: str) -> dict[str, object]:
    """What `xaudit init` writes, which `xaudit check` then accepts."""
    monkeypatch.chdir(folder)
    assert invoke(["init", log]) == 0
    assert invoke(["check", "audit.toml", "--quiet"]) == 0
    return tomllib.loads((folder / "audit.toml").read_text(encoding="utf-8"))


def write(folder: Path, name: str, header: str, rows: list[str]) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def test_partitions_of_all_folders_and_rows_of_all_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sorted by site and day: the first file has one scanner, and one site in its folder's name."""
    for site, scanner in (("north", "A"), ("south", "B")):
        rows = [f"{k % 2},{k % 3 % 2},{scanner}" for k in range(12)]
        write(tmp_path, f"log/site={site}/part.csv", "label,prediction,scanner", rows)
    config = guessed(tmp_path, monkeypatch, "log")
    assert config["attributes"] == [
        {"name": "site", "kind": "acquisition"},
        {"name": "scanner", "kind": "acquisition"},
    ]


def test_a_score_column_for_each_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f"{['cat', 'dog', 'big fox'][k % 3]},0.{k},0.3,0.2,{'FM'[k % 2]}" for k in range(1, 10)]
    write(tmp_path, "log.csv", "label,p_cat,p_dog,p_big fox,sex", rows)
    log = guessed(tmp_path, monkeypatch, "log.csv")["log"]
    assert isinstance(log, dict)
    assert log["scores"] == {"cat": "p_cat", "dog": "p_dog", "big fox": "p_big fox"}
    assert not {"prediction", "score", "positive"} & set(log)


def test_of_two_classes_the_positive_ones_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f"{k % 2},0.{9 - k},0.{k},{'FM'[k // 2 % 2]}" for k in range(1, 9)]
    write(tmp_path, "log.csv", "label,prob_0,prob_1,sex", rows)
    log = guessed(tmp_path, monkeypatch, "log.csv")["log"]
    assert isinstance(log, dict)
    assert (log["score"], log["positive"]) == ("prob_1", "1")


def test_counts_of_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f"i{k},p{k // 2},{k % 4},1,{k % 2},{'AB'[k % 2]}" for k in range(10)]
    write(tmp_path, "log.csv", "image,patient,tp,fp,fn,scanner", rows)
    log = guessed(tmp_path, monkeypatch, "log.csv")["log"]
    assert isinstance(log, dict)
    assert log["detection"] == {"tp": "tp", "fp": "fp", "fn": "fn"}
    assert (log["id"], log["cluster"]) == ("image", "patient")
    assert not {"label", "prediction"} & set(log)


@pytest.mark.parametrize("findings", [("nodule", "effusion"), ("nodule", "effusion", "mass")])
def test_the_column_of_the_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, findings: tuple[str, ...]
) -> None:
    """Where an image stands once for each finding, two findings are classes too."""
    rows = [
        f"i{k},{name},{k % 2},{(k + len(name)) % 2},{'FM'[k // 2 % 2]}" for k in range(8) for name in findings
    ]
    write(tmp_path, "log.csv", "image_id,finding,label,prediction,sex", rows)
    log = guessed(tmp_path, monkeypatch, "log.csv")["log"]
    assert isinstance(log, dict)
    assert (log["class"], log["id"], log["positive"]) == ("finding", "image_id", "1")


def test_a_log_without_rows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "log.csv", "label,prediction", [])
    monkeypatch.chdir(tmp_path)
    assert invoke(["init", "log.csv"]) == 2
    assert "Log 'log.csv' has no rows" in capsys.readouterr().err
    assert not (tmp_path / "audit.toml").exists()


def test_what_is_left_out_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f"{k % 2},{k % 3 % 2},{k},note {k},same" for k in range(60)]
    write(tmp_path, "log.csv", "label,prediction,dose,note,build", rows)
    guessed(tmp_path, monkeypatch, "log.csv")
    left = [line for line in (tmp_path / "audit.toml").read_text().splitlines() if "# Left out:" in line]
    assert [line.rpartition(". ")[2] or line for line in left] == [
        "Numbers need bands = [...] to define slices.",
        "More than 50 texts are no groups.",
        "One value defines no slices.",
    ]
