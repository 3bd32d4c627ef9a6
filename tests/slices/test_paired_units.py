"""Differences over weighted rows and over classes: against rows, patients, brute force and simulation."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from slices.counts import CountedLog, JointRows
from slices.log import count_log
from slices.metrics import METRICS, POOLED
from slices.roles import Attribute, Decision, LogSpec
from slices.slicing import OVERALL
from slices.supplements.composed import changes
from slices.supplements.paired import paired_difference_clustered
from slices.supplements.paired_units import paired_over_units, tables

CLASSES = "abc"


def rows_of(seed: int = 1, number: int = 240) -> list[dict[str, object]]:
    rng = np.random.default_rng(seed)
    made = []
    for row in range(number):
        label = CLASSES[rng.integers(3)]
        calls = [label if rng.random() < share else CLASSES[rng.integers(3)] for share in (0.6, 0.7)]
        made.append(
            {
                "g": "xy"[row % 2],
                "label": label,
                "prediction": calls[0],
                "base": calls[1],
                "yes": int(label == "a"),
                "call": int(calls[0] == "a"),
                "other": int(calls[1] == "a"),
                "patient": f"p{rng.integers(60)}",
                "w": round(float(rng.uniform(0.5, 3)), 2),
                "same": 2.5,
            }
        )
    return made


def counted(
    folder: Path, rows: list[dict[str, object]], *, binary: bool = False, **roles: object
) -> CountedLog:
    with (folder / "log.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    names = ("yes", "call", "other") if binary else ("label", "prediction", "base")
    spec = LogSpec(
        "log.csv",
        folder,
        label=names[0],
        decision=Decision(prediction=names[1]),
        baseline=Decision(prediction=names[2]),
        positive="1" if binary else None,
        attributes=(Attribute("g", "other", "g"),),
        **roles,  # type: ignore[arg-type]
    )
    return count_log(spec, intersections=1, minimum=1)


def joint(log: CountedLog) -> JointRows:
    assert log.joint_rows is not None
    return log.joint_rows(OVERALL)


def confusion(rows: list[dict[str, object]], call: str, weight: str | None = None) -> np.ndarray:
    """One-against-the-rest tables of the three classes, row by row."""
    found = np.zeros((3, 4))
    for row in rows:
        for k, name in enumerate(CLASSES):
            true, called = row["label"] == name, row[call] == name
            cell = 0 if true and called else 1 if called else 2 if true else 3
            found[k, cell] += 1 if weight is None else float(row[weight])  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize(
    "roles", [{}, {"weight": "w"}, {"cluster": "patient"}, {"cluster": "patient", "weight": "w"}]
)
@pytest.mark.parametrize("name", ["accuracy", "mcc", "macro_recall", "macro_f1"])
def test_value_and_error_over_classes_by_leaving_units_out(
    tmp_path: Path, roles: dict[str, str], name: str
) -> None:
    """The linearised error against the jackknife's, over rows or patients."""
    rows = rows_of()
    rows_joint = joint(counted(tmp_path, rows, **roles))
    found = paired_over_units(POOLED[name], rows_joint, tables(rows_joint), None)
    weight = roles.get("weight")

    def difference(chosen: list[dict[str, object]]) -> float:
        both = (POOLED[name].of(confusion(chosen, call, weight)) for call in ("prediction", "base"))
        model, baseline = both
        return float(model - baseline)

    assert found.value == pytest.approx(difference(rows))
    units = [str(row["patient"]) if "cluster" in roles else str(place) for place, row in enumerate(rows)]
    without = np.array(
        [difference([r for r, u in zip(rows, units, strict=True) if u != one]) for one in sorted(set(units))]
    )
    m = len(without)
    assert found.se == pytest.approx(np.sqrt((m - 1) / m * np.sum((without - without.mean()) ** 2)), rel=0.06)
    assert found.low is not None
    assert found.high is not None
    assert found.low < difference(rows) < found.high


@pytest.mark.parametrize("name", ["recall", "precision", "accuracy", "f1"])
def test_equal_weights_are_no_weights(tmp_path: Path, name: str) -> None:
    rows = rows_of()
    for roles in ({}, {"cluster": "patient"}):
        weighted = joint(counted(tmp_path, rows, binary=True, weight="same", **roles))
        found = paired_over_units(METRICS[name], weighted, tables(weighted), 0)
        log = counted(tmp_path, rows, binary=True, cluster="patient")
        if roles:
            assert log.paired_patterns is not None
            patterns = log.paired_patterns(OVERALL)[0]
            totals, times = patterns.totals, patterns.multiplicity
        else:
            assert log.slices[0].paired is not None
            totals, times = np.eye(8).reshape(8, 2, 2, 2), log.slices[0].paired.inside[0].ravel()
        plain = paired_difference_clustered(METRICS[name], totals, times)
        assert [found.value, found.low, found.high, found.p_value] == pytest.approx(
            [plain.value, plain.low, plain.high, plain.p_value], rel=1e-6
        )
        assert found.changed == plain.changed


def test_changes_over_classes_stand_beside_those_of_each_class(tmp_path: Path) -> None:
    found = changes(counted(tmp_path, rows_of()), ("recall",))
    assert {c.metric for c in found if c.klass is None} == {
        "accuracy",
        "mcc",
        "macro_recall",
        "macro_precision",
        "macro_f1",
    }
    assert {c.klass for c in found if c.metric == "recall"} == set(CLASSES)
    assert all(c.p_adjusted is not None for c in found)


def test_the_same_predictions_show_no_change(tmp_path: Path) -> None:
    rows = [{**row, "base": row["prediction"]} for row in rows_of()]
    for roles in ({}, {"weight": "w"}, {"cluster": "patient"}):
        for change in changes(counted(tmp_path, rows, **roles), ("recall", "precision")):
            difference = change.difference
            assert (difference.value, difference.change) == (0, "no change shown")
            assert difference.low is not None
            assert difference.high is not None
            assert difference.low < 0 < difference.high
            assert difference.p_value == 1


def test_weighted_rows_of_equal_models_are_rarely_told_apart(tmp_path: Path) -> None:
    """400 logs of 150 weighted rows and two models of one law: coverage of 0 and error of the test."""
    rng, inside, rejected, runs = np.random.default_rng(8), 0, 0, 400
    for _ in range(runs):
        kind = rng.choice(8, 150, p=np.array([0.3, 0.05, 0.05, 0.1, 0.1, 0.06, 0.06, 0.28]))
        weight = rng.lognormal(0, 0.8, 150)
        cell = np.arange(8, dtype=np.int8)[:, None]
        rows = JointRows(cell, kind, np.ones(150, np.int64), weight / weight.mean(), None, weighted=True)
        found = paired_over_units(METRICS["recall"], rows, tables(rows), 0)
        assert found.low is not None
        assert found.high is not None
        assert found.p_value is not None
        inside += found.low <= 0 <= found.high
        rejected += found.p_value < 0.05
    error = 3 * np.sqrt(0.05 * 0.95 / runs)
    assert inside / runs > 0.95 - error
    assert rejected / runs < 0.05 + error
