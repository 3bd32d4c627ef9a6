"""Clusters drawn once for all slices: against drawing them one by one, and against patterns."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import slices.estimates.shared_draws as module
from slices.analysis import Analysis, analyse
from slices.counts import CountedLog
from slices.estimates.comparison import make_pairs
from slices.estimates.shared_draws import drawn_sums, many_patterns, shared_draws
from slices.log import count_log
from slices.records import Tested as Asked
from slices.resampling import generator, resample_clusters
from slices.roles import Attribute, Decision, LogSpec
from slices.slicing import OVERALL, Slice

PATIENTS, ROWS, SEED = 2500, 12, 4
FEMALE = Slice((("sex", "f"),))


def written(folder: Path, *, classes: int = 2) -> CountedLog:
    """Patients of 12 rows, their errors alike; sex is theirs, the site each row's, some have none."""
    rng = np.random.default_rng(1)
    hard = rng.beta(1, 6, PATIENTS)
    with (folder / "log.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["patient", "sex", "site", "label", "model"])
        for patient in range(PATIENTS):
            for _ in range(ROWS):
                label = rng.integers(classes)
                wrong = (label + 1) % classes
                model = wrong if rng.random() < hard[patient] else label
                sex = ("f", "m", "")[patient % 3 if patient % 2 else 0]
                writer.writerow([f"p{patient}", sex, "nsw"[rng.integers(3)], label, model])
    spec = LogSpec(
        path="log.csv",
        root=folder,
        label="label",
        decision=Decision("model"),
        positive="1" if classes == 2 else None,
        cluster="patient",
        attributes=(Attribute("sex", "demographic", "sex"), Attribute("site", "other", "site")),
    )
    return count_log(spec, intersections=2, minimum=1)


@pytest.fixture(scope="module", params=[2, 3])
def log(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CountedLog:
    return written(tmp_path_factory.mktemp("log"), classes=request.param)


def test_sums_are_those_of_the_patients_drawn() -> None:
    counts = np.random.default_rng(0).integers(0, 40, (9000, 5)).astype(np.float32)
    found = drawn_sums(counts, 30, generator(7, "clusters"))
    rng = generator(7, "clusters")
    for draw in range(30):
        patients = rng.integers(0, 9000, 9000, np.uint32)
        assert found[draw].tolist() == counts[patients].sum(axis=0, dtype=np.float64).tolist()


def test_sums_beyond_single_precision_are_exact() -> None:
    counts = np.full((5000, 1), 16_001.0, dtype=np.float32)
    assert np.all(drawn_sums(counts, 3, generator(7)) == 5000 * 16_001)


def test_every_side_has_its_patients_law(log: CountedLog) -> None:
    """Means and covariances of both sides' counts beside patterns drawn for the slice alone."""
    asked = [Asked(FEMALE, log.space.classes[0], "recall", "difference", "m")]
    pairs = make_pairs(log.slices, asked)
    assert pairs[-1].other is not None
    draws, seen = 2000, 0
    for batch in shared_draws(log, pairs, draws, SEED):
        for place, drawn in batch:
            seen += 1
            here = log.slices[pairs[place].index].slice
            other = None if pairs[place].other is None else log.slices[pairs[place].other].slice
            assert log.patterns is not None
            patterns = log.patterns(here, other)
            table = log.space.confusion(patterns.totals).reshape(patterns.multiplicity.size, -1)
            alone = resample_clusters(table, patterns.multiplicity, draws, np.random.default_rng(place))
            mine = drawn.transpose(0, 2, 1, 3).reshape(-1, draws)
            assert np.all(mine == np.round(mine))
            spread = alone.std(axis=1)
            np.testing.assert_allclose(
                mine.mean(1), table.T @ patterns.multiplicity, atol=5 * spread.max() / 44
            )
            scale = np.maximum(np.outer(spread, spread), 1e-9)
            np.testing.assert_allclose(np.cov(mine) / scale, np.cov(alone) / scale, atol=0.3)
    assert seen == len(pairs)


def test_batches_change_no_draw(log: CountedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = make_pairs(log.slices, ())
    whole = dict(pair for batch in shared_draws(log, pairs, 200, SEED) for pair in batch)
    monkeypatch.setattr(module, "_BATCH_BYTES", 1)
    monkeypatch.setattr(module, "BLOCK_BYTES", 4 * PATIENTS * 7)
    batches = list(shared_draws(log, pairs, 200, SEED))
    assert len(batches) == len(pairs)
    for batch in batches:
        for place, drawn in batch:
            assert np.array_equal(drawn, whole[place])
    names = {place: log.slices[pair.index].slice for place, pair in enumerate(pairs)}
    outside = {names[place]: drawn[1] for place, drawn in whole.items()}
    assert np.all(outside[OVERALL] == 0)
    missing = whole[next(k for k, name in names.items() if name.values == (("sex", None),))]
    total = whole[next(k for k, name in names.items() if name == OVERALL)]
    assert np.array_equal(missing.sum(axis=0), total[0])


def limits(analysis: Analysis) -> dict[tuple[object, ...], tuple[float, float, str]]:
    return {
        (record.slice, record.klass, gap.metric): (gap.difference.low, gap.difference.high, gap.method)
        for record in analysis.slices
        for gap in record.disparities
        if gap.difference.low is not None and gap.difference.high is not None
    }


def test_the_analysis_agrees_with_drawing_patterns(log: CountedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> dict[tuple[object, ...], tuple[float, float, str]]:
        return limits(analyse(log, metrics=("recall", "accuracy", "f1"), resamples=4000, seed=SEED))

    shared = run()
    assert {method for *_, method in shared.values()} >= {"bootstrap, BCa"}
    assert run() == shared
    monkeypatch.setattr("slices.estimates.estimation.many_patterns", lambda patterns, clusters: False)
    alone = run()
    assert alone.keys() == shared.keys()
    drawn = [key for key in shared if shared[key][2] == "bootstrap, BCa"]
    assert any(shared[key] != alone[key] for key in drawn)
    for key in drawn:
        low, high, method = alone[key]
        assert method.startswith("bootstrap")
        assert shared[key][:2] == pytest.approx((low, high), abs=0.1 * (high - low))


def test_when_clusters_are_drawn_once() -> None:
    assert many_patterns(15_000, 20_000)
    assert not many_patterns(300, 2000)
    assert not many_patterns(3000, 200_000)
