"""Score metrics against R's pROC, scikit-learn, the jackknife and retyped formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from slices.scores.limits import newcombe_auc_limits
from slices.scores.ranking import (
    ScoreHistogram,
    auroc,
    auroc_clustered,
    average_precision,
    average_precision_clustered,
    average_precision_influence,
    brier,
    clustered_error,
    histogram,
    merge,
)
from tests.oracles.asah import NDKA, POOR, S100B

ROWS = st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=60, max_size=100).filter(
    lambda rows: 20 <= sum(y for _, y in rows) <= len(rows) - 20
)


def arrays(rows: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([s / 12 for s, _ in rows]), np.array([y for _, y in rows])


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        # library(pROC); data(aSAH); r <- roc(aSAH$outcome, aSAH$ndka)      # pROC 1.18.0
        # sprintf("%.12f", c(auc(r), sqrt(var(r, method = "delong")), ci(r, method = "delong")))
        # "0.611957994580" "0.056487260063" "0.501244999272" "0.611957994580" "0.722670989888"
        (NDKA, (0.611957994580, 0.056487260063, 0.501244999272, 0.722670989888)),
        # the same with aSAH$s100b
        # "0.731368563686" "0.051659292070" "0.630118211762" "0.731368563686" "0.832618915610"
        (S100B, (0.731368563686, 0.051659292070, 0.630118211762, 0.832618915610)),
    ],
)
def test_delong_against_proc(scores: np.ndarray, expected: tuple[float, ...]) -> None:
    found = auroc(histogram(scores, POOR), logit=False)
    assert (found.value, found.se, found.low, found.high) == pytest.approx(expected, abs=1e-11)


def test_logit_interval_by_hand() -> None:
    from scipy.stats import t

    counts = histogram(NDKA, POOR)
    found = auroc(counts)
    kernel = (NDKA[POOR][:, None] > NDKA[~POOR]) + 0.5 * (NDKA[POOR][:, None] == NDKA[~POOR])
    value = kernel.mean()
    influence = np.concatenate([(kernel.mean(1) - value) / 41, (kernel.mean(0) - value) / 72])
    degrees = 2 / ((influence**4).sum() / (influence**2).sum() ** 2 - 1 / 113)
    centre = np.log(value / (1 - value))
    reach = t.ppf(0.975, min(degrees, 112)) * 0.056487260063 / (value * (1 - value))
    assert found.low == pytest.approx(1 / (1 + np.exp(reach - centre)), abs=1e-9)
    assert found.high == pytest.approx(1 / (1 + np.exp(-reach - centre)), abs=1e-9)


@given(ROWS)
def test_auroc_against_scikit_learn_and_the_double_sum(rows: list[tuple[int, bool]]) -> None:
    scores, labels = arrays(rows)
    found = auroc(histogram(scores, labels), logit=False)
    assert found.value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    # DeLong retyped with the kernel matrix.
    kernel = (scores[labels][:, None] > scores[~labels]) + 0.5 * (scores[labels][:, None] == scores[~labels])
    variance = kernel.mean(1).var(ddof=1) / labels.sum() + kernel.mean(0).var(ddof=1) / (~labels).sum()
    if found.se is not None:
        assert found.se**2 == pytest.approx(variance, abs=1e-12)


@given(ROWS)
def test_negated_scores_mirror_the_interval(rows: list[tuple[int, bool]]) -> None:
    scores, labels = arrays(rows)
    one, other = auroc(histogram(scores, labels)), auroc(histogram(-scores, labels))
    assert one.value is not None
    assert one.low is not None
    assert other.value == pytest.approx(1 - one.value)
    assert other.high == pytest.approx(1 - one.low)


@given(ROWS, ROWS)
def test_histograms_add(first: list[tuple[int, bool]], second: list[tuple[int, bool]]) -> None:
    parts = merge(histogram(*arrays(first)), histogram(*arrays(second)))
    whole = histogram(*arrays(first + second))
    assert np.array_equal(parts.scores, whole.scores)
    assert np.array_equal(parts.positives, whole.positives)
    assert np.array_equal(parts.negatives, whole.negatives)


def test_empty_bins_change_nothing() -> None:
    plain = histogram(NDKA, POOR)
    padded = ScoreHistogram(
        np.concatenate([[-1.0], plain.scores, [999.0]]),
        np.concatenate([[0], plain.positives, [0]]),
        np.concatenate([[0], plain.negatives, [0]]),
    )
    assert auroc(padded) == auroc(plain)
    assert average_precision(padded).se == pytest.approx(average_precision(plain).se)


def test_one_class_is_undefined() -> None:
    scores = np.linspace(0, 1, 20)
    nothing = np.zeros(20, dtype=bool)
    assert auroc(histogram(scores, nothing)).undefined == "No row has a positive label."
    assert auroc(histogram(scores, ~nothing)).undefined == "No row has a negative label."
    assert average_precision(histogram(scores, nothing)).undefined == "No row has a positive label."
    clusters = np.arange(20)
    assert auroc_clustered(scores, nothing, clusters).undefined == "No row has a positive label."
    assert average_precision_clustered(scores, nothing, clusters).undefined == "No row has a positive label."
    assert auroc(histogram(scores, nothing)).value is None


def test_perfect_separation_has_width() -> None:
    scores = np.arange(60.0)
    found = auroc(histogram(scores, scores >= 30))
    assert found.value == 1
    assert found.high == 1
    assert found.low is not None
    assert 0.8 < found.low < 0.99
    assert "Newcombe" in found.method
    perfect = average_precision(histogram(scores, scores >= 30))
    # Clopper-Pearson, 30 of 30: 0.025^(1/30).
    assert perfect.low == pytest.approx(0.025 ** (1 / 30))


def test_newcombe_published_example() -> None:
    # Newcombe (2006), part 2: the limits solve |A - theta| = z sqrt(V(theta)); checked by substitution
    # of both roots into the retyped variance.
    low, high = map(float, newcombe_auc_limits(0.85, 12, 30, 0.05))
    for theta in (low, high):
        shape = 1 + (21 - 1) * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        variance = theta * (1 - theta) / (12 * 30) * shape
        assert abs(0.85 - theta) == pytest.approx(1.959963984540054 * np.sqrt(variance), abs=1e-9)
    assert low < 0.85 < high


def obuchowski(scores: np.ndarray, labels: np.ndarray, clusters: np.ndarray) -> float:
    """The variance of Obuchowski (1997), formulas (3) to (6), with loops over clusters."""
    kernel = (scores[labels][:, None] > scores[~labels]) + 0.5 * (scores[labels][:, None] == scores[~labels])
    theta, m, n = kernel.mean(), labels.sum(), (~labels).sum()
    v10, v01 = np.zeros(scores.size), np.zeros(scores.size)
    v10[labels], v01[~labels] = kernel.mean(1), kernel.mean(0)
    s10 = s01 = s11 = 0.0
    names = np.unique(clusters)
    for name in names:
        own = clusters == name
        x = v10[own & labels].sum() - (own & labels).sum() * theta
        y = v01[own & ~labels].sum() - (own & ~labels).sum() * theta
        s10, s01, s11 = s10 + x**2, s01 + y**2, s11 + x * y
    i10, i01, i = np.unique(clusters[labels]).size, np.unique(clusters[~labels]).size, names.size
    s10 *= i10 / ((i10 - 1) * m)
    s01 *= i01 / ((i01 - 1) * n)
    s11 *= i / (i - 1)
    return float(s10 / m + s01 / n + 2 * s11 / (m * n))


def test_obuchowski_against_loops() -> None:
    rng = np.random.default_rng(1)
    clusters = rng.integers(0, 40, 300)
    labels = rng.random(300) < 0.4
    scores = np.round(rng.normal(size=300) + labels + rng.normal(size=40)[clusters], 1)
    found = auroc_clustered(scores, labels, clusters)
    assert found.value == pytest.approx(roc_auc_score(labels, scores))
    assert found.se == pytest.approx(np.sqrt(obuchowski(scores, labels, clusters)), abs=1e-12)


@given(ROWS)
def test_rows_as_clusters_are_delong(rows: list[tuple[int, bool]]) -> None:
    scores, labels = arrays(rows)
    alone = auroc_clustered(scores, labels, np.arange(labels.size))
    if alone.se is not None:
        assert alone.se == pytest.approx(auroc(histogram(scores, labels)).se, abs=1e-12)


def test_too_few_clusters_is_undefined() -> None:
    labels = np.array([True] * 15 + [False] * 15)
    found = auroc_clustered(np.linspace(0, 1, 30), labels, np.repeat([0, 1, 2], [15, 8, 7]))
    assert found.undefined == "1 clusters hold a positive row and 2 a negative one; 2 of each are needed."
    assert found.low is None
    single = average_precision_clustered(np.linspace(0, 1, 30), labels, np.repeat([0, 1, 2], [15, 8, 7]))
    assert single.undefined == "1 cluster holds a positive row; 2 are needed."


@given(ROWS)
def test_average_precision_against_scikit_learn(rows: list[tuple[int, bool]]) -> None:
    scores, labels = arrays(rows)
    found = average_precision(histogram(scores, labels))
    assert found.value == pytest.approx(average_precision_score(labels, scores), abs=1e-12)


@settings(max_examples=20)
@given(ROWS)
def test_influence_function_is_the_derivative(rows: list[tuple[int, bool]]) -> None:
    """A row's influence: the change of AP when its weight grows a little (scikit-learn, sample_weight)."""
    scores, labels = arrays(rows)
    counts = histogram(scores, labels)
    value, one, zero = average_precision_influence(counts)
    for row in (0, len(rows) // 2):
        weights = np.ones(labels.size)
        weights[row] += 1e-4 * labels.size
        moved = average_precision_score(labels, scores, sample_weight=weights)
        at = np.searchsorted(counts.scores, scores[row])
        slope = (moved - value) / 1e-4 * (1 + 1e-4)
        assert slope == pytest.approx(one[at] if labels[row] else zero[at], abs=0.02)


def test_average_precision_error_against_the_jackknife() -> None:
    rng = np.random.default_rng(2)
    labels = rng.random(400) < 0.3
    scores = rng.normal(size=400) + 1.2 * labels
    found = average_precision(histogram(scores, labels))
    keep = ~np.eye(400, dtype=bool)
    left_out = np.array([average_precision_score(labels[k], scores[k]) for k in keep])
    jackknife = np.sqrt(399 / 400 * ((left_out - left_out.mean()) ** 2).sum())
    assert found.se == pytest.approx(jackknife, rel=0.02)
    clustered = average_precision_clustered(scores, labels, np.arange(400))
    assert clustered.se == pytest.approx(found.se, rel=1e-9)


@given(ROWS)
def test_brier_against_scikit_learn(rows: list[tuple[int, bool]]) -> None:
    scores, labels = arrays(rows)
    found = brier(scores, labels)
    assert found.value == pytest.approx(brier_score_loss(labels, scores))
    losses = (scores - labels) ** 2
    if found.se is not None:
        assert found.se == pytest.approx(losses.std(ddof=1) / np.sqrt(losses.size))


def test_brier_of_clusters_against_statsmodels() -> None:
    import statsmodels.api as sm

    rng = np.random.default_rng(3)
    clusters = np.repeat(np.arange(50), 6)
    scores = rng.beta(2, 2, 300)
    labels = rng.random(300) < scores
    found = brier(scores, labels, clusters)
    # An intercept-only regression with cluster-robust errors; its small-sample factor
    # C/(C-1) x (n-1)/(n-1) is ours.
    fitted = sm.OLS((scores - labels) ** 2, np.ones(300)).fit(
        cov_type="cluster", cov_kwds={"groups": clusters}
    )
    assert found.value == pytest.approx(fitted.params[0])
    assert found.se == pytest.approx(fitted.bse[0], rel=1e-9)


def test_brier_reasons_and_ends() -> None:
    labels = np.array([True, False] * 10)
    assert brier(np.array([]), np.array([], dtype=bool)).undefined == "No row has a score and a label."
    assert brier(labels * 3.0 - 1, labels).undefined == "Scores run from −1 to 2: they are no probabilities."
    perfect = brier(labels.astype(float), labels)
    assert perfect.value == 0
    assert perfect.high == pytest.approx(1 - 0.025 ** (1 / 20))


def test_clustered_error_of_pairs_by_hand() -> None:
    # Totals 3 and -3: sqrt(2 / 1 x 18) = 6.
    assert clustered_error(np.array([1.0, 2.0, -1.0, -2.0]), np.array([0, 0, 1, 1])) == pytest.approx(6)


def test_small_coverage_of_the_logit_interval() -> None:
    """400 logs of 25 + 40 rows, true AUROC .9: nominal 95% within Monte Carlo error (3 se = .033)."""
    from scipy.stats import norm

    rng = np.random.default_rng(4)
    shift = np.sqrt(2) * norm.ppf(0.9)
    hits = 0
    for _ in range(400):
        scores = rng.normal(size=65)
        scores[:25] += shift
        found = auroc(histogram(scores, np.arange(65) < 25))
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 0.9 <= found.high
    assert 0.917 <= hits / 400 <= 0.983


def test_one_score_for_all_is_no_certainty() -> None:
    """200 positives and 400 negatives with one score: an area of 0.5, and limits around it."""
    labels = np.arange(600) < 200
    found = auroc(histogram(np.full(600, 0.5), labels))
    assert found.value == 0.5
    assert found.low is not None
    assert found.high is not None
    assert 0.4 < found.low < 0.47
    assert 0.53 < found.high < 0.6
    assert "no spread" in found.method


def test_infinite_scores_rank_and_are_no_probabilities() -> None:
    scores, labels = np.array([-np.inf, 0.2, 0.4, np.inf] * 5), np.array([False, False, True, True] * 5)
    assert auroc(histogram(scores, labels)).value == 1.0
    assert brier(scores, labels).undefined == "Scores run from -inf to inf: they are no probabilities."
