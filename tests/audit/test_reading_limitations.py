"""What the reading of a log decided stands in the limitations, in data and in what check prints."""

from __future__ import annotations

from pathlib import Path

from audit.cli import invoke
from audit.config import Loaded, load
from audit.limitations import limitations
from audit.run import count
from slices.counts import CountedLog


def prepared(folder: Path, roles: str) -> tuple[Loaded, CountedLog]:
    (folder / "logs").mkdir()
    header = "label,p_cat,p_dog,prediction,patient,sex\n"
    lines = [
        "cat,0.5,0.5,cat,p1,F\n",
        "dog,0.2,0.8,dog,,M\n",
        "cat,0.9,0.1,cat,,F\n",
        "dog,0.3,0.7,dog,p1,M\n",
    ]
    (folder / "logs" / "a.csv").write_text(header + "".join(lines))
    (folder / "logs" / "notes.md").write_text("x")
    (folder / "audit.toml").write_text(
        f'[log]\npath = "logs"\nlabel = "label"\n{roles}\n[[attributes]]\nname = "sex"\n', encoding="utf-8"
    )
    loaded = load(folder / "audit.toml")
    return loaded, count(loaded)[0]


def told(loaded: Loaded, counted: CountedLog) -> dict[str, tuple[str, str, str]]:
    found = limitations(loaded.config, counted, None, [], [], [], [])
    return {item.what: (item.who, item.size, item.how_known) for item in found}


def test_rows_without_a_cluster_and_files_left_aside(tmp_path: Path) -> None:
    found = told(*prepared(tmp_path, 'prediction = "prediction"\ncluster = "patient"'))
    assert found["Some rows name no cluster."][1:] == (
        "2 of 4 rows (50.0%).",
        "Counted in the log: each such row counts as a cluster of its own.",
    )
    assert found["The log's folder holds files that are no part of the log."][1:] == (
        "Number of files: 1.",
        "Their endings name no format of a log: notes.md.",
    )


def test_ties_of_scores_and_their_rule(tmp_path: Path, capsys: object) -> None:
    found = told(*prepared(tmp_path, 'scores = { cat = "p_cat", dog = "p_dog" }'))
    assert found["In some rows two or more classes share the largest score."][:2] == (
        "These rows count as the first of the tied classes in the order of their names.",
        "1 of 4 rows (25.0%).",
    )


def test_check_tells_them_and_the_smallest_gaps_without_a_rule(tmp_path: Path, capsys: object) -> None:
    prepared(tmp_path, 'scores = { cat = "p_cat", dog = "p_dog" }\ncluster = "patient"')
    assert invoke(["check", str(tmp_path / "audit.toml"), "--quiet"]) == 0
    lines = capsys.readouterr().out.splitlines()  # type: ignore[attr-defined]
    assert "Clusters: 3. 2 rows name none: each is its own." in lines
    assert "Ties: 1 rows whose largest score classes share; the first name is taken." in lines
    assert "Not read: 1 files of other kinds in the log's folder (notes.md)." in lines
