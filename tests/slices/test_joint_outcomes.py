"""Model against baseline in logs with clusters: patterns against rows, limits against drawn patients."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from slices.counting.joint_outcomes import JointKinds, paired_patterns
from slices.counts import CountedLog
from slices.log import count_log
from slices.metrics import METRICS
from slices.roles import Attribute, Decision, LogSpec
from slices.slicing import OVERALL, Slice
from slices.supplements.composed import changes
from slices.supplements.paired import PairedDifference, confusion_of_both, paired_difference_clustered

COUNT_METRICS = tuple(n for n, metric in METRICS.items() if metric.kind != "score" and n != "prevalence")
COLUMNS = ("patient", "finding", "sex", "site", "label", "model", "base")
FEMALE = Slice((("sex", "f"),))


@dataclass(frozen=True)
class Log:
    """A log on disk, counted, and its rows as a table of text."""

    counted: CountedLog
    rows: np.ndarray

    def column(self, name: str) -> np.ndarray:
        return self.rows[:, COLUMNS.index(name)]


def written(folder: Path, rows: np.ndarray, **roles: object) -> Log:
    with (folder / "log.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows(rows.tolist())
    spec = LogSpec(
        path="log.csv",
        root=folder,
        label="label",
        decision=Decision("model"),
        baseline=Decision("base"),
        attributes=(Attribute("sex", "demographic", "sex"), Attribute("site", "other", "site")),
        **({"cluster": "patient"} | roles),  # type: ignore[arg-type]
    )
    return Log(count_log(spec, intersections=2, minimum=1), rows)


def simulated(classes: int, patients: int = 60, findings: int = 1, seed: int = 3) -> np.ndarray:
    """Patients of 1 to 6 rows, two sites each, errors shared within a patient; some cells empty."""
    rng = np.random.default_rng(seed)
    rows = []
    for patient in range(patients):
        sex = "fm"[patient % 2] if patient % 7 else ""
        hard = rng.beta(0.6, 3)
        for row in range(rng.integers(1, 7)):
            for finding in range(findings):
                label = rng.integers(classes)
                common = rng.random() < hard

                # In logs of several classes a wrong call may be a class that no label has.
                others = [k for k in range(classes + (classes > 2)) if k != label]

                def call(
                    error: float, label: int = label, others: list[int] = others, common: bool = common
                ) -> str:
                    return str(rng.choice(others) if common or rng.random() < error else label)

                base = "" if rng.random() < 0.05 else call(0.04)
                model = "" if rng.random() < 0.05 else call(0.12)
                name = f"p{patient}" if patient else ""
                rows.append((name, f"c{finding}", sex, "ns"[row % 2], str(label), model, base))
    return np.array(rows)


def tables(log: Log, rows: np.ndarray, klass: str | None) -> np.ndarray:
    """Joint table of each patient, (patients, 2, 2, 2), by going through the rows one by one."""
    names, label, model, base = (log.column(n) for n in ("patient", "label", "model", "base"))
    positive = "1" if klass is None or klass.startswith("c") else klass
    by_patient: dict[str, np.ndarray] = {}
    for row in np.flatnonzero(rows):
        if model[row] == "" or base[row] == "":
            continue
        if klass is not None and klass.startswith("c") and log.column("finding")[row] != klass:
            continue
        # A row without a patient is a patient of its own.
        name = names[row] or f"row {row}"
        at = tuple(int(text == positive) for text in (label[row], model[row], base[row]))
        by_patient.setdefault(name, np.zeros((2, 2, 2), dtype=np.int64))[at] += 1
    return np.array(list(by_patient.values()))


def inside(log: Log, slice_: Slice) -> np.ndarray:
    found = np.ones(len(log.rows), dtype=bool)
    for name, value in slice_.values:
        found &= log.column(name) == (value or "")
    return found


@pytest.fixture(scope="module", params=["binary", "multiclass", "multilabel"])
def log(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Log:
    folder = tmp_path_factory.mktemp("log")
    if request.param == "binary":
        return written(folder, simulated(2), positive="1")
    if request.param == "multiclass":
        return written(folder, simulated(4))
    return written(folder, simulated(2, findings=2), positive="1", klass="finding")


def test_patterns_are_the_patients_tables(log: Log) -> None:
    assert log.counted.paired_patterns is not None
    assert len(log.counted.slices) >= 9
    for counts in log.counted.slices:
        found = log.counted.paired_patterns(counts.slice)
        assert len(found) == len(log.counted.space.classes)
        for klass, patterns in zip(log.counted.space.classes, found, strict=True):
            expected = tables(log, inside(log, counts.slice), klass).reshape(-1, 8)
            here = np.repeat(patterns.totals.reshape(-1, 8), patterns.multiplicity, axis=0)
            assert sorted(here.tolist()) == sorted(expected.tolist())
            assert len(np.unique(patterns.totals.reshape(-1, 8), axis=0)) == len(patterns.totals)


def test_every_count_metric_has_limits_and_a_p_value_in_every_slice(log: Log) -> None:
    every = [c for c in changes(log.counted, COUNT_METRICS) if c.klass in log.counted.space.classes]
    found = {(c.slice, c.klass, c.metric): c for c in every}
    assert len(found) == len(log.counted.slices) * len(log.counted.space.classes) * len(COUNT_METRICS)
    for (slice_, klass, metric), change in found.items():
        each = tables(log, inside(log, slice_), klass)
        expected = paired_difference_clustered(METRICS[metric], each)
        assert change.difference.method == expected.method
        assert _numbers(change.difference) == pytest.approx(_numbers(expected))
        assert change.n == each.sum()
        model, baseline = (METRICS[metric].of(table) for table in confusion_of_both(each.sum(0)))
        if np.isfinite(model - baseline):
            assert change.difference.value == pytest.approx(float(model - baseline))
            assert change.difference.low is not None
            assert change.difference.high is not None
            assert change.difference.low < change.difference.high
            assert change.difference.p_value is not None
        else:
            assert change.difference.undefined == METRICS[metric].undefined


def _numbers(found: PairedDifference) -> list[float]:
    names = ("value", "low", "high", "se", "p_value", "changed")
    return [getattr(found, name) for name in names if getattr(found, name) is not None]


@pytest.mark.parametrize("metric", ["recall", "precision", "f1", "accuracy", "balanced_accuracy", "mcc"])
def test_limits_against_patients_drawn_one_by_one(tmp_path: Path, metric: str) -> None:
    """Standard error and limits beside 4,000 bootstrap samples of 150 patients."""
    log = written(tmp_path, simulated(2, patients=300, seed=8), positive="1")
    each = tables(log, inside(log, FEMALE), None)
    rng = np.random.default_rng(9)
    drawn = each[rng.integers(len(each), size=(4000, len(each)))].sum(axis=1)
    model, baseline = (METRICS[metric].of(table) for table in confusion_of_both(drawn))
    replicates = model - baseline
    (found,) = (c.difference for c in changes(log.counted, (metric,)) if c.slice == FEMALE)
    assert found.se == pytest.approx(replicates.std(), rel=0.08)
    expected = np.quantile(replicates, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx(expected.tolist(), abs=0.25 * replicates.std())
    rows = paired_difference_clustered(METRICS[metric], np.eye(8).reshape(8, 2, 2, 2), each.sum(0).ravel())
    assert found.low != pytest.approx(rows.low, abs=1e-4)


def test_clusters_of_any_size_are_told_apart() -> None:
    """Beyond 255 rows a byte a cell does not hold the counts."""
    cluster = np.repeat([0, 1, 2, 3], [300, 300, 2, 255])
    kind = np.concatenate([np.repeat([0, 1], [256, 44]), np.repeat([0, 1], [256, 44]), [0, -1], [1] * 255])
    cell = np.array([[3], [6]], dtype=np.int8)
    (found,) = paired_patterns(cluster, kind.astype(np.int32), cell)
    table = {
        tuple(t): n
        for t, n in zip(found.totals.reshape(-1, 8)[:, [3, 6]].tolist(), found.multiplicity, strict=True)
    }
    assert table == {(256, 44): 2, (1, 0): 1, (0, 255): 1}


def test_kinds_are_told_apart_by_the_tables_of_all_classes() -> None:
    pairs = np.zeros((4, 2, 2, 2, 2), dtype=np.int64)
    pairs[0, 0, 1, 1, 0] = pairs[2, 0, 1, 1, 0] = pairs[3, 1, 1, 1, 0] = 1
    kinds = JointKinds.of(pairs)
    assert kinds.kind[0] == kinds.kind[2] != kinds.kind[3]
    assert kinds.kind[1] == -1
    assert kinds.cell[kinds.kind[0]].tolist() == [6, -1]
    assert kinds.cell[kinds.kind[3]].tolist() == [-1, 6]


def test_the_overall_slice_has_every_patient(log: Log) -> None:
    assert log.counted.paired_patterns is not None
    for klass, patterns in zip(log.counted.space.classes, log.counted.paired_patterns(OVERALL), strict=True):
        assert patterns.multiplicity.sum() == len(tables(log, inside(log, OVERALL), klass))
