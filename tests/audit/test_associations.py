"""What goes together in a log is told whether or not its crossings are slices."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.associations import associations, unseen_pairs
from audit.config import Config
from slices import log
from slices.counts import CountedLog
from slices.log import count_log
from slices.roles import Attribute, Decision, LogSpec

COLUMNS = ("scanner", "site", "sex")


def counted(folder: Path, rows: list[tuple[str, str, str]], *, intersections: int) -> CountedLog:
    lines = ["label,prediction," + ",".join(COLUMNS)]
    lines += [f"{i % 2},{i % 2},{','.join(row)}" for i, row in enumerate(rows)]
    (folder / "log.csv").write_text("\n".join(lines))
    spec = LogSpec(
        path="log.csv",
        root=folder,
        label="label",
        decision=Decision(prediction="prediction"),
        positive="1",
        attributes=tuple(Attribute(name, "other", column=name) for name in COLUMNS),
    )
    return count_log(spec, intersections=intersections, minimum=1)


def config(**names: dict[str, str]) -> Config:
    return Config.model_validate(
        {
            "log": {"path": "log.csv", "label": "label", "prediction": "prediction", "positive": "1"},
            "attributes": [{"name": name, "names": names.get(name, {})} for name in COLUMNS],
        }
    )


def nested() -> list[tuple[str, str, str]]:
    """Canon stands in the west only, the other scanners everywhere."""
    rows = [("Canon", "west", "F" if i % 2 else "M") for i in range(30)]
    sites = ("west", "east", "north")
    return rows + [(("GE", "Philips")[i % 2], sites[i % 3], ("F", "M")[(i // 6) % 2]) for i in range(240)]


@pytest.mark.parametrize("intersections", [1, 2])
def test_a_value_that_comes_with_one_other_only_is_named(tmp_path: Path, intersections: int) -> None:
    """With intersections = 1 no crossing is a slice: reviewer's finding, nothing was looked at."""
    log_ = counted(tmp_path, nested(), intersections=intersections)
    (found,) = associations(config(scanner={"Canon": "Canon <b>"}, site={"west": "West clinic"}), log_)
    assert found.attributes == ("scanner", "site")
    assert found.cramers_v < 0.7
    assert found.sentence == (
        "Every case with “scanner: Canon <b>” has “site: West clinic”: the two cannot be told apart there."
    )
    assert unseen_pairs(log_) == ()


def test_a_missing_value_is_no_other_value(tmp_path: Path) -> None:
    rows = nested()
    rows[3] = ("Canon", "", "F")
    (found,) = associations(config(), counted(tmp_path, rows, intersections=1))
    assert "“scanner: Canon” whose site is recorded has “site: west”" in found.sentence


def test_what_chance_explains_is_not_told(tmp_path: Path) -> None:
    """Nine rows, or a place that nearly every row is from, show nothing."""
    few = [row for i, row in enumerate(nested()) if row[0] != "Canon" or i < 9]
    assert associations(config(), counted(tmp_path, few, intersections=1)) == ()
    common = [("Canon", "west", "F")] * 12 + [
        (("GE", "Philips")[i % 2], "west" if i % 19 else "east", ("F", "M")[i % 3 == 0]) for i in range(400)
    ]
    assert associations(config(), counted(tmp_path, common, intersections=1)) == ()


def test_pairs_that_were_not_counted_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "MOST_PAIRS", 0)
    log_ = counted(tmp_path, nested(), intersections=1)
    assert unseen_pairs(log_) == (("scanner", "sex"), ("scanner", "site"), ("sex", "site"))
    assert associations(config(), log_) == ()


def test_pairs_beside_the_crossings_are_counted_as_crossings_are(tmp_path: Path) -> None:
    rows = nested()
    rows[3] = ("Canon", "", "F")
    beside = counted(tmp_path, rows, intersections=1).beside
    crossed = counted(tmp_path, rows, intersections=2)
    assert crossed.beside == {}
    assert crossed.joint is not None
    for pair, table in beside.items():
        assert table.codes.tolist() == crossed.joint(pair).codes.tolist()
        assert table.n.tolist() == crossed.joint(pair).n.tolist()
    assert set(beside) == {("scanner", "sex"), ("scanner", "site"), ("sex", "site")}
