"""Weighted score metrics: scikit-learn's sample_weight, a brute-force bootstrap, rows written out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from slices.counts import ScoreRows
from slices.scores.calibration import calibration_error, reliability
from slices.scores.ranking import (
    ScoreEstimate,
    auroc,
    auroc_clustered,
    average_precision_clustered,
    brier,
    effective_share,
    histogram,
)
from slices.scores.scoring import WEIGHTLESS, score_estimate

ORACLES: dict[str, Callable[..., float]] = {
    "auroc": roc_auc_score,
    "auprc": average_precision_score,
    "brier": brier_score_loss,
}
ROWS = st.lists(
    st.tuples(st.integers(0, 12), st.booleans(), st.floats(0.05, 20)), min_size=60, max_size=100
).filter(lambda rows: 20 <= sum(y for _, y, _ in rows) <= len(rows) - 20)


def estimate(
    name: str, scores: np.ndarray, labels: np.ndarray, weights: np.ndarray, clusters: np.ndarray | None = None
) -> ScoreEstimate:
    return score_estimate(name, ScoreRows(scores, labels, clusters, weights), 0.95)


@given(ROWS, st.sampled_from(sorted(ORACLES)))
def test_point_values_against_scikit_learn(rows: list[tuple[int, bool, float]], name: str) -> None:
    scores, labels, weights = (np.array(column) for column in zip(*rows, strict=True))
    found = estimate(name, scores / 12, labels, weights)
    expected = ORACLES[name](labels, scores / 12, sample_weight=weights)
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.value <= found.high <= 1  # type: ignore[operator]
    assert found.low < found.high


def weighted_ece(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray, bins: int) -> float:
    """The plug-in error with loops: bins of equal weight by the middle of each score's mass."""
    below, of_bin = 0.0, {}
    for score in np.unique(scores):
        mass = weights[scores == score].sum()
        of_bin[score] = min(int((below + mass / 2) * bins / weights.sum()), bins - 1)
        below += mass
    total = 0.0
    for b in set(of_bin.values()):
        here = np.array([of_bin[s] == b for s in scores])
        w = weights[here]
        total += abs(np.average(labels[here], weights=w) - np.average(scores[here], weights=w)) * w.sum()
    return total / weights.sum()


def test_calibration_bins_against_loops() -> None:
    rng = np.random.default_rng(1)
    scores, weights = np.round(rng.random(400), 2), rng.lognormal(0, 0.7, 400)
    labels = rng.random(400) < scores**1.5
    curve = reliability(scores, labels, None, weights, bins=10)
    plug_in = float(curve.share @ np.abs(curve.observed - curve.score))
    assert plug_in == pytest.approx(weighted_ece(scores, labels, weights, 10), abs=1e-12)
    found = calibration_error(scores, labels, None, weights)
    assert found.value is not None
    assert found.value < weighted_ece(scores, labels, weights, 15), "debiased"


@settings(max_examples=20)
@given(ROWS, st.floats(0.01, 100), st.sampled_from(["auroc", "auprc", "brier", "ece"]))
def test_the_unit_of_the_weights_changes_nothing(
    rows: list[tuple[int, bool, float]], unit: float, name: str
) -> None:
    scores, labels, weights = (np.array(column) for column in zip(*rows, strict=True))
    one, other = (estimate(name, scores / 12, labels, w) for w in (weights, unit * weights))
    for end in ("value", "low", "high"):
        first, second = getattr(one, end), getattr(other, end)
        assert (first is None) == (second is None)
        if first is not None:
            assert second == pytest.approx(first, abs=1e-9)


@pytest.mark.parametrize("name", ["auroc", "auprc", "brier", "ece"])
def test_equal_weights_are_no_weights(name: str) -> None:
    rng = np.random.default_rng(2)
    labels = rng.random(600) < 0.3
    scores = 1 / (1 + np.exp(-rng.normal(size=600) - labels))
    for clusters in (None, np.arange(600) // 3):
        plain = score_estimate(name, ScoreRows(scores, labels, clusters, None), 0.95)
        equal = estimate(name, scores, labels, np.full(600, 2.5), clusters)
        ends = [(each.value, each.low, each.high) for each in (plain, equal)]
        # Without clusters or weights average precision has normal limits, and the area more degrees.
        near = 2e-3 if name in ("auroc", "auprc") and clusters is None else 1e-9
        assert ends[1] == pytest.approx(ends[0], abs=near)


def test_rows_of_weight_zero_are_not_there() -> None:
    rng = np.random.default_rng(3)
    labels, scores = rng.random(300) < 0.4, rng.random(300)
    weights = np.where(np.arange(300) < 200, rng.lognormal(0, 0.5, 300), 0.0)
    for name in ("auroc", "auprc", "brier", "ece"):
        padded = estimate(name, scores, labels, weights)
        assert padded == estimate(name, scores[:200], labels[:200], weights[:200])
    assert estimate("auroc", scores, labels, np.zeros(300)).undefined == WEIGHTLESS


def drawn(rng: np.random.Generator, patients: int, images: int) -> tuple[np.ndarray, ...]:
    """Rows of patients; the weight rises with the score, so that weighting changes the metric."""
    clusters = np.repeat(np.arange(patients), images)
    own = rng.normal(size=patients)[clusters]
    labels = rng.random(clusters.size) < 0.35
    raw = 0.6 * own + rng.normal(size=clusters.size) + 1.1 * labels
    scores = 1 / (1 + np.exp(-raw))
    return scores, labels, rng.lognormal(0.5 * raw / 2, 0.5), clusters


@pytest.mark.parametrize("images", [1, 4])
@pytest.mark.parametrize("name", ["auroc", "auprc", "brier"])
def test_errors_against_a_brute_force_bootstrap(name: str, images: int) -> None:
    """400 patients resampled 400 times, each replicate worked out from its rows by scikit-learn.

    A Monte Carlo error of 3.5% in a bootstrap's standard error of 400 draws: three of them.
    """
    rng = np.random.default_rng(4)
    scores, labels, weights, clusters = drawn(rng, 400, images)
    found = estimate(name, scores, labels, weights, clusters if images > 1 else None)
    values = []
    for _ in range(400):
        rows = (rng.integers(0, 400, 400)[:, None] * images + np.arange(images)).ravel()
        values.append(ORACLES[name](labels[rows], scores[rows], sample_weight=weights[rows]))
    assert found.se == pytest.approx(np.std(values, ddof=1), rel=0.107)
    naive = estimate(name, scores, labels, np.ones(scores.size))
    assert abs(found.se / naive.se - 1) > 0.1  # type: ignore[operator]


def test_auroc_error_by_the_pairs() -> None:
    """The influences of the weighted double sum, by numerical derivative in each row's weight."""
    rng = np.random.default_rng(5)
    scores, labels, weights, _ = drawn(rng, 150, 1)

    def area(w: np.ndarray) -> float:
        pairs = (scores[labels][:, None] > scores[~labels]) + 0.5 * (
            scores[labels][:, None] == scores[~labels]
        )
        return float(w[labels] @ pairs @ w[~labels] / w[labels].sum() / w[~labels].sum())

    step = 1e-5
    influence = np.array(
        [
            w * (area(weights + step * one) - area(weights - step * one)) / (2 * step)
            for w, one in zip(weights, np.eye(150), strict=True)
        ]
    )
    n1, n0 = labels.sum(), (~labels).sum()
    variance = (influence[labels] ** 2).sum() * n1 / (n1 - 1) + (influence[~labels] ** 2).sum() * n0 / (
        n0 - 1
    )
    assert auroc_clustered(scores, labels, None, weights).se == pytest.approx(np.sqrt(variance), rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_rounding_gives_no_interval_of_zero_width(seed: int) -> None:
    """Perfect ranking, perfect probabilities, equal losses: sums of weights miss the end by a digit."""
    rng = np.random.default_rng(seed)
    labels, weights = np.arange(200) % 3 == 0, rng.lognormal(0, 1, 200)
    for name, scores in (
        ("auroc", labels * 0.7 + 0.1 * rng.random(200)),
        ("auprc", labels * 0.7 + 0.1 * rng.random(200)),
        ("brier", labels.astype(float)),
        ("brier", np.where(labels, 0.7, 0.3)),
    ):
        found = estimate(name, scores, labels, weights)
        assert found.low is not None
        assert found.high is not None
        assert found.high - found.low > 1e-3, (name, found)
        if name != "brier":
            assert (found.value, found.high) == (1.0, 1.0)


def test_few_effective_rows_have_limits_that_do_not_rest_on_their_spread() -> None:
    """30 rows of each class, of which three carry nearly all the weight."""
    rng = np.random.default_rng(6)
    labels = np.arange(60) < 30
    scores, weights = rng.random(60) * 0.5 + 0.4 * labels, np.where(np.arange(60) % 10 == 0, 100.0, 0.01)
    assert effective_share(weights[labels]) * 30 == pytest.approx(3, rel=0.01)
    area = auroc_clustered(scores, labels, None, weights)
    assert area.method == "Newcombe's method 5 with effective numbers (Kish)"
    wide = auroc(histogram(scores, labels))
    assert area.high - area.low > 1.5 * (wide.high - wide.low)  # type: ignore[operator]
    assert average_precision_clustered(scores, labels, None, weights).method == (
        "Clopper-Pearson, n = effective positives (Kish)"
    )
    assert brier(scores, labels, None, weights).method == "Clopper-Pearson, n = effective number (Kish)"
    assert calibration_error(scores, labels, None, weights).undefined == (
        "6.0 effective rows or clusters with a score (Kish); 20 are needed."
    )


@pytest.mark.parametrize("name", ["auroc", "auprc", "brier"])
def test_small_coverage(name: str) -> None:
    """300 weighted logs of 200 rows: 95% less three Monte Carlo errors. The truth from 400,000 rows."""
    rng = np.random.default_rng(7)
    scores, labels, weights, _ = drawn(rng, 400_000, 1)
    truth = ORACLES[name](labels, scores, sample_weight=weights)
    hits = 0
    for _ in range(300):
        scores, labels, weights, _ = drawn(rng, 200, 1)
        found = estimate(name, scores, labels, weights)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= truth <= found.high
    assert hits / 300 >= 0.95 - 0.038
