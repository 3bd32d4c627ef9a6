"""Score metrics as records: p-values dual to the interval, their families, weighted logs from disk."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from statsmodels.stats.multitest import multipletests

from slices.analysis import analyse
from slices.counts import CountedLog
from slices.estimates.comparison import make_pairs
from slices.log import count_log
from slices.records import Disparity, SliceRecord
from slices.records import Tested as Asked
from slices.roles import Attribute, Decision, LogSpec
from slices.scores.limits import Law, Laws
from slices.scores.scoring import Scores
from tests.slices.tables import one_way

NAMES = ("auroc", "auprc", "brier", "ece")


def log_of(
    folder: Path, *, shift: tuple[float, ...] = (1.2, 1.0, 0.5), rows: int = 900, **roles: str
) -> CountedLog:
    """A log of scores in groups a, b, c, which separate the classes by ``shift``; weights and patients."""
    rng = np.random.default_rng(11)
    group = rng.integers(0, len(shift), rows)
    labels = rng.random(rows) < 0.4
    patients = np.arange(rows) // 3
    raw = rng.normal(size=rows) + 0.5 * rng.normal(size=rows)[patients] + np.array(shift)[group] * labels
    with (folder / "log.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["group", "label", "score", "w", "patient"])
        weights = rng.lognormal(0, 0.6, rows)
        for k in range(rows):
            score = 1 / (1 + np.exp(-raw[k]))
            writer.writerow(
                ["abc"[group[k]], int(labels[k]), f"{score:.5f}", f"{weights[k]:.4f}", patients[k]]
            )
    spec = LogSpec(
        path="log.csv",
        root=folder,
        label="label",
        decision=Decision(score="score", threshold=0.5, tie=">="),
        positive="1",
        attributes=(Attribute("group", "other", "group"),),
        **roles,  # type: ignore[arg-type]
    )
    return count_log(spec, intersections=1, minimum=1, keep_scores=True)


def record_of(counted: CountedLog, value: str, **options: object) -> SliceRecord:
    analysis = analyse(counted, metrics=("recall", *NAMES), resamples=200, **options)  # type: ignore[arg-type]
    return next(r for r in analysis.slices if r.slice == one_way("group", value))


def gaps(record: SliceRecord) -> dict[str, Disparity]:
    return {d.metric: d for d in record.disparities if d.metric in NAMES}


@pytest.mark.parametrize("roles", [{}, {"cluster": "patient"}, {"weight": "w"}])
def test_the_p_value_is_dual_to_the_interval(tmp_path: Path, roles: dict[str, str]) -> None:
    """At the confidence of one less the p-value the interval ends at 0."""
    counted = log_of(tmp_path, **roles)
    for name, gap in gaps(record_of(counted, "c")).items():
        assert gap.p_value is not None
        assert gap.difference.low is not None
        assert gap.difference.high is not None
        assert (gap.p_value < 0.05) == (gap.difference.low > 0 or gap.difference.high < 0)
        edge = gaps(record_of(counted, "c", confidence=1 - gap.p_value))[name].difference
        nearest = min((edge.low, edge.high), key=abs)  # type: ignore[type-var]
        assert nearest == pytest.approx(0, abs=1e-9), name


def test_p_values_are_adjusted_over_the_slices_of_a_metric(tmp_path: Path) -> None:
    counted = log_of(tmp_path)
    records = [record_of(counted, value) for value in "abc"]
    for name in NAMES:
        found = [gaps(record)[name] for record in records]
        p = [gap.p_value for gap in found]
        for method, adjusted in (
            ("holm", [g.p_adjusted for g in found]),
            ("fdr_bh", [g.p_bh for g in found]),
        ):
            assert adjusted == pytest.approx(multipletests(p, method=method)[1])


def test_a_real_gap_is_found_and_equal_groups_rarely_differ(tmp_path: Path) -> None:
    real = gaps(record_of(log_of(tmp_path, shift=(2.0, 2.0, 0.0), rows=1500), "c"))
    assert real["auroc"].p_value is not None
    assert real["auroc"].p_value < 1e-6
    low = real["auroc"].detectable_gap
    assert low is not None
    assert 0.03 < low < abs(real["auroc"].difference.value)  # type: ignore[arg-type]


def test_p_values_of_equal_groups_are_uniform() -> None:
    """500 pairs of groups from one law: 5% below .05 within three Monte Carlo errors."""
    from slices.counts import ScoreRows
    from slices.intervals import dual_p_value, mover_difference
    from slices.scores.scoring import score_estimate

    rng = np.random.default_rng(12)
    sides: list[list[Law | None]] = [[], []]
    values = np.empty((2, 500))
    for run in range(500):
        for side, size in enumerate((120, 300)):
            labels = rng.random(size) < 0.4
            scores = rng.normal(size=size) + labels
            found = score_estimate("auroc", ScoreRows(scores, labels, None, None), 0.95)
            sides[side].append(found.law)
            values[side, run] = found.value
    laws = [Laws(side) for side in sides]

    def limits(alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        (a, b), (c, d) = (law.limits(alpha) for law in laws)
        return mover_difference(values[0], a, b, values[1], c, d)

    p = dual_p_value(limits, (500,))
    assert abs((p < 0.05).mean() - 0.05) < 3 * np.sqrt(0.05 * 0.95 / 500)
    assert abs((p < 0.5).mean() - 0.5) < 3 * np.sqrt(0.25 / 500)


def test_weighted_figures_of_a_log_on_disk(tmp_path: Path) -> None:
    counted = log_of(tmp_path, weight="w")
    with (tmp_path / "log.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    record = record_of(counted, "b")
    for inside in (True, False):
        here = [row for row in lines if (row["group"] == "b") == inside]
        labels = np.array([row["label"] == "1" for row in here])
        scores, weights = (np.array([float(row[name]) for row in here]) for name in ("score", "w"))
        for name, oracle in (
            ("auroc", roc_auc_score),
            ("auprc", average_precision_score),
            ("brier", brier_score_loss),
        ):
            expected = oracle(labels, scores, sample_weight=weights)
            if inside:
                own = next(e for e in record.estimates if e.metric == name)
                assert own.value == pytest.approx(expected)
                assert own.support == (labels.sum() if name == "auprc" else len(here))
            else:
                other = gaps(record)[name].comparator
                assert other is not None
                assert other.value == pytest.approx(expected)


def test_joint_limits_hold_the_pointwise_ones_of_their_level(tmp_path: Path) -> None:
    """Of scores: never narrower, and the same for one after the other and all at once."""
    counted = log_of(tmp_path, shift=(3.0, 1.0, 0.3), rows=150)
    pairs = make_pairs(counted.slices, ())
    ours, narrow = (Scores(counted, pairs, NAMES, confidence) for confidence in (0.95, 0.8))
    places = (np.array([1, 2, 3]), np.zeros(3, dtype=np.intp))
    for name in NAMES:
        for quantity in ("value", "difference", "ratio"):
            found = ours.bounds(name, quantity, places, 0.2)  # type: ignore[arg-type]
            for at, row in enumerate(places[0].tolist()):
                if quantity == "value":
                    same = next(e for e in narrow.estimates(row, 0) if e.metric == name)
                    low, high = same.low, same.high
                else:
                    gap = next(d for d in narrow.disparities(row, 0) if d.metric == name)
                    limits = gap.difference if quantity == "difference" else gap.ratio
                    low, high = limits.low, limits.high
                assert low is not None
                assert found.low[at] <= low + 1e-9
                assert (high is None) == np.isnan(found.high[at])
                assert high is None or found.high[at] >= high - 1e-9
                single = ours.bounds(name, quantity, (places[0][[at]], places[1][[at]]), 0.2)  # type: ignore[arg-type]
                assert single.low[0] == pytest.approx(found.low[at], rel=1e-12)


def test_rules_on_weighted_scores_have_simultaneous_limits(tmp_path: Path) -> None:
    tested = tuple(Asked(one_way("group", v), None, "auroc", "value", None) for v in "abc")
    record = record_of(log_of(tmp_path, weight="w"), "a", tested=tested)
    own = next(e for e in record.estimates if e.metric == "auroc")
    joint = next(s for s in record.simultaneous if s.metric == "auroc")
    assert joint.low < own.low < own.high < joint.high  # type: ignore[operator]


def test_no_law_no_limits() -> None:
    low, high = Laws([None, Law("exact", 0.5, units=10), None]).limits(0.05)
    assert np.isnan(low[[0, 2]]).all()
    assert 0.1 < low[1] < high[1] < 0.9
