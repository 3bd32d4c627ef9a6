"""Paired differences: published examples, statsmodels, the delta method by brute force, simulation."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import brentq, minimize_scalar
from scipy.special import ndtri, xlogy
from scipy.stats import multinomial
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from slices.metrics import METRICS
from slices.supplements.paired import (
    _discordant,
    confusion_of_both,
    mcnemar,
    mcnemar_score,
    paired_difference,
    paired_difference_clustered,
    read_change,
    sign_flip,
    tango,
)

JOINT = arrays(np.int64, (2, 2, 2), elements=st.integers(1, 60))
MEASURES = [name for name, metric in METRICS.items() if metric.kind != "score" and name != "prevalence"]


def airway() -> np.ndarray:
    """Fagerland et al. (2013), airway hyper-responsiveness before and after: 1, 1, 7, 12 of 21."""
    joint = np.zeros((2, 2, 2), dtype=np.int64)
    joint[1] = [[12, 7], [1, 1]]
    return joint


def test_published_mid_p_and_limits() -> None:
    # Fagerland, Lydersen & Laake (2013), BMC Med Res Methodol 13:91: exact .070, mid-p .039.
    assert mcnemar(1, 7, mid_p=False) == pytest.approx(0.0703, abs=5e-5)
    assert mcnemar(1, 7) == pytest.approx(0.0391, abs=5e-5)
    found = paired_difference(METRICS["recall"], airway())
    assert found.value == pytest.approx(-6 / 21)
    assert (found.low, found.high) == pytest.approx(score_limits_by_search(1, 7, 21), abs=1e-6)
    assert found.change == "worse"
    assert found.changed == 8


def score_statistic_by_search(b: int, c: int, n: int, delta: float) -> float:
    """Tango's statistic with the restricted likelihood maximised numerically, not by his formula."""

    def against(p21: float) -> float:
        p12, rest = p21 + delta, 1 - 2 * p21 - delta
        return -(xlogy(b, p12) + xlogy(c, p21) + xlogy(n - b - c, rest))

    low, high = max(0.0, -delta), (1 - delta) / 2
    p21 = minimize_scalar(against, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    return (b - c - n * delta) / np.sqrt(n * (2 * p21 + delta - delta**2))


def score_limits_by_search(b: int, c: int, n: int) -> tuple[float, float]:
    value, z = (b - c) / n, ndtri(0.975)
    low = brentq(lambda d: score_statistic_by_search(b, c, n, d) - z, -0.9999, value)
    high = brentq(lambda d: score_statistic_by_search(b, c, n, d) + z, value, 0.9999)
    return low, high


@pytest.mark.parametrize(("b", "c", "n"), [(3, 9, 40), (12, 5, 100), (1, 0, 15), (30, 31, 200)])
def test_score_limits_against_a_numerical_likelihood(b: int, c: int, n: int) -> None:
    assert tango(b, c, n, 0.95) == pytest.approx(score_limits_by_search(b, c, n), abs=1e-6)
    assert tango(c, b, n, 0.95) == pytest.approx([-x for x in reversed(tango(b, c, n, 0.95))])


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 200), st.sampled_from([0.9, 0.95, 0.9995]))
def test_interval_and_test_of_rows_agree(b: int, c: int, agreed: int, confidence: float) -> None:
    n = b + c + agreed
    if n == 0:
        return
    low, high = tango(b, c, n, confidence)
    assert -1 <= low <= (b - c) / n <= high <= 1
    assert low < high
    p_value = mcnemar_score(b, c)
    if abs(p_value - (1 - confidence)) > 1e-9:
        assert (low > 0 or high < 0) == (p_value < 1 - confidence)


@given(JOINT)
@settings(max_examples=20)
def test_few_changes_have_a_test_dual_to_their_limits(joint: np.ndarray) -> None:
    joint = joint * np.eye(2, dtype=np.int64)
    joint[0, 1, 0], joint[1, 0, 1] = 6, 3
    found = paired_difference(METRICS["precision"], joint)
    assert found.p_value is not None
    assert found.low is not None
    assert found.high is not None
    assert (found.low > 0 or found.high < 0) == (found.p_value < 0.05)


# Enumerated: the rows' interval covers what it says, also where few rows are discordant.


@pytest.mark.parametrize("n", [10, 20, 50])
def test_score_limits_cover(n: int) -> None:
    b, c = np.array([(b, c) for b in range(n + 1) for c in range(n + 1 - b)]).T
    for discordant in (0.05, 0.2, 0.5):
        for delta in (0.0, discordant / 3, discordant * 0.8):
            p, q = (discordant + delta) / 2, (discordant - delta) / 2
            chance = multinomial.pmf(np.stack([b, c, n - b - c], -1), n, [p, q, 1 - discordant])
            likely = chance > 1e-6
            held = [
                low <= delta <= high
                for low, high in (tango(x, y, n, 0.95) for x, y in zip(b[likely], c[likely], strict=True))
            ]
            assert chance[likely][np.array(held)].sum() > 0.935


@given(st.integers(0, 60), st.integers(0, 60))
def test_exact_mcnemar_against_statsmodels(b: int, c: int) -> None:
    expected = statsmodels_mcnemar([[3, b], [c, 5]], exact=True).pvalue if b + c else 1.0
    assert mcnemar(b, c, mid_p=False) == pytest.approx(min(1, expected))
    assert mcnemar(b, c) <= mcnemar(b, c, mid_p=False)


def test_confusion_tables_of_both_models() -> None:
    joint = np.arange(8).reshape(2, 2, 2)
    model, baseline = confusion_of_both(joint)
    assert model.tolist() == [13, 5, 9, 1]
    assert baseline.tolist() == [12, 4, 10, 2]


@settings(max_examples=30)
@given(JOINT, st.sampled_from(MEASURES))
def test_error_is_the_delta_method_by_finite_differences(joint: np.ndarray, name: str) -> None:
    metric = METRICS[name]

    def difference(cells: np.ndarray) -> float:
        model, baseline = confusion_of_both(cells)
        return float(metric.of(model) - metric.of(baseline))

    slopes = np.zeros((2, 2, 2))
    for at in product(range(2), repeat=3):
        step = np.zeros((2, 2, 2))
        step[at] = 1e-4
        slopes[at] = (difference(joint + step) - difference(joint - step)) / 2e-4
    n = joint.sum()
    shares = joint / n
    covariance = np.diag(shares.ravel()) - np.outer(shares.ravel(), shares.ravel())
    variance = n * slopes.ravel() @ covariance @ slopes.ravel()
    assert paired_difference(metric, joint).se == pytest.approx(np.sqrt(max(variance, 0)), abs=1e-5)


@given(JOINT, st.sampled_from(MEASURES))
def test_exchanging_the_models_turns_the_sign(joint: np.ndarray, name: str) -> None:
    one = paired_difference(METRICS[name], joint)
    other = paired_difference(METRICS[name], joint.swapaxes(1, 2))
    assert one.value == pytest.approx(-other.value, abs=1e-12)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-9)
    assert one.low < one.high
    assert {one.change, other.change} in (
        {"no change shown"},
        {"better", "worse"},
        {None},
    )


@settings(max_examples=300)
@given(arrays(np.int64, (2, 2, 2), elements=st.integers(0, 12)), st.sampled_from(MEASURES))
def test_limits_stay_within_what_the_metric_can_differ_by(joint: np.ndarray, name: str) -> None:
    metric = METRICS[name]
    span = metric.highest - metric.lowest
    rows = np.eye(8).reshape(8, 2, 2, 2)
    for found in (
        paired_difference(metric, joint),
        paired_difference_clustered(metric, rows, joint.ravel()),
    ):
        if found.value is None:
            assert found.undefined
            continue
        assert found.low is not None
        assert found.high is not None
        assert -span <= found.low <= found.value <= found.high <= span
        assert found.low < found.high


def test_a_wide_students_interval_is_cut_at_the_metrics_range() -> None:
    """Precision 3 of 3 against 1 of 12: Student's upper limit, 1.14 uncut, is cut at 1."""
    joint = np.array([[[9, 11], [0, 0]], [[0, 0], [2, 1]]])
    found = paired_difference(METRICS["precision"], joint)
    assert found.method == "linearised over joint outcomes"
    assert found.high == 1.0


@pytest.mark.parametrize("name", MEASURES)
def test_equal_models_have_width_and_show_no_change(name: str) -> None:
    joint = np.zeros((2, 2, 2), dtype=np.int64)
    joint[0] = [[80, 0], [0, 9]]
    joint[1] = [[11, 0], [0, 70]]
    found = paired_difference(METRICS[name], joint)
    assert found.value == 0
    assert found.low < 0 < found.high
    assert found.change in ("no change shown", None)


def test_undefined_has_the_metrics_reason() -> None:
    joint = np.zeros((2, 2, 2), dtype=np.int64)
    joint[0, 0, 0] = 20
    found = paired_difference(METRICS["precision"], joint)
    assert found.undefined == METRICS["precision"].undefined
    assert found.value is None
    assert "prevalence" in str(paired_difference(METRICS["prevalence"], joint).undefined)


def test_paired_is_narrower_than_unpaired_when_models_mostly_agree() -> None:
    joint = np.zeros((2, 2, 2), dtype=np.int64)
    joint[1] = [[60, 20], [20, 900]]
    found = paired_difference(METRICS["recall"], joint)
    unpaired = np.sqrt(2 * 0.92 * 0.08 / 1000)
    assert found.se is not None
    assert found.se < unpaired / 1.8


@pytest.mark.parametrize("name", ["recall", "precision", "f1", "mcc"])
def test_small_coverage(name: str) -> None:
    """400 logs of 300 rows, 8% disagreement: at least 95% less three Monte Carlo errors."""
    rng = np.random.default_rng(0)
    shares = np.array([[[0.50, 0.04], [0.02, 0.04]], [[0.04, 0.01], [0.03, 0.32]]])
    metric = METRICS[name]
    model, baseline = confusion_of_both(shares)
    truth = float(metric.of(model) - metric.of(baseline))
    hits = 0
    for _ in range(400):
        found = paired_difference(metric, rng.multinomial(300, shares.ravel()).reshape(2, 2, 2))
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= truth <= found.high
    assert hits / 400 >= 0.917


def patients(rng: np.random.Generator, number: int, effect: float) -> np.ndarray:
    """Joint cells of patients with 5 positive rows each, errors shared within a patient."""
    hard = rng.beta(0.6, 5, number)
    rows = []
    for share in hard:
        common = rng.random(5) < share
        model, baseline = common | (rng.random(5) < 0.05 + effect), common | (rng.random(5) < 0.05)
        cells = np.zeros((2, 2, 2))
        np.add.at(cells, (1, (~model).astype(int), (~baseline).astype(int)), 1)
        rows.append(cells)
    return np.array(rows)


def test_clustered_coverage_and_level() -> None:
    rng = np.random.default_rng(1)
    metric = METRICS["recall"]
    hits = rejected = 0
    for _ in range(250):
        found = paired_difference_clustered(metric, patients(rng, 40, 0.0))
        assert found.low is not None
        assert found.high is not None
        assert found.p_value is not None
        hits += found.low <= 0 <= found.high
        rejected += found.p_value <= 0.05
    assert hits / 250 >= 0.95 - 0.041
    assert 0.01 <= rejected / 250 <= 0.05 + 0.041


def test_clustered_sees_a_real_change() -> None:
    rng = np.random.default_rng(2)
    found = paired_difference_clustered(METRICS["recall"], patients(rng, 150, 0.15))
    assert found.change == "worse"
    assert found.p_value is not None
    assert found.p_value < 0.01


@pytest.mark.parametrize(("worse", "low", "high"), [(0.0, 0.01, 0.09), (0.12, 0.6, 1.0)])
def test_sign_flip_of_precision_holds_its_level_and_sees_a_change(
    worse: float, low: float, high: float
) -> None:
    """250 logs of 60 patients with 6 rows; the model's false calls rise by ``worse``."""
    rng = np.random.default_rng(4)
    rejected = 0
    for _ in range(250):
        label = rng.random((60, 6)) < 0.5
        shared = rng.random((60, 1)) < 0.2
        calls = [
            np.where(label, rng.random((60, 6)) < 0.85, shared | (rng.random((60, 6)) < r))
            for r in (0.1 + worse, 0.1)
        ]
        cells = np.zeros((60, 2, 2, 2))
        np.add.at(cells, (np.repeat(np.arange(60), 6), *(a.ravel().astype(int) for a in (label, *calls))), 1)
        found = paired_difference_clustered(METRICS["precision"], cells)
        assert found.p_value is not None
        rejected += found.p_value <= 0.05
    assert low <= rejected / 250 <= high


def test_rows_as_clusters_give_the_row_error() -> None:
    joint = airway()
    rows = np.eye(8).reshape(8, 2, 2, 2)
    found = paired_difference_clustered(METRICS["recall"], rows, joint.ravel())
    plain = paired_difference(METRICS["recall"], joint)
    assert plain.se is not None
    assert found.se == pytest.approx(plain.se * np.sqrt(21 / 20))


def test_clusters_that_never_differ_have_width() -> None:
    cells = np.zeros((30, 2, 2, 2))
    cells[:, 1, 1, 1] = 4
    found = paired_difference_clustered(METRICS["recall"], cells)
    # Clopper-Pearson, 0 of 30.
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 30))
    assert found.p_value == 1


def test_undefined_clustered() -> None:
    found = paired_difference_clustered(METRICS["recall"], np.zeros((3, 2, 2, 2)))
    assert found.undefined == METRICS["recall"].undefined


def test_sign_flip_enumerates_few_clusters() -> None:
    # Five clusters, all to one side: 2 of 32 sign patterns are as extreme.
    assert sign_flip(np.array([1.0, 2, 3, 4, 5]), np.ones(5, dtype=np.int64)) == 2 / 32


@pytest.mark.parametrize("metric", ["recall", "specificity", "accuracy", "selection_rate"])
def test_rows_as_clusters_give_the_test_of_rows(metric: str) -> None:
    joint = np.array([[[50, 4], [9, 30]], [[12, 3], [11, 90]]])
    rows = np.eye(8).reshape(8, 2, 2, 2)
    found = paired_difference_clustered(METRICS[metric], rows, joint.ravel())
    plain = paired_difference(METRICS[metric], joint)
    assert found.p_value == pytest.approx(mcnemar(*_discordant(METRICS[metric], joint)), rel=1e-12)
    assert found.changed == plain.changed


@pytest.mark.parametrize(
    "sizes",
    [
        np.random.default_rng(5).exponential(size=16),
        np.random.default_rng(6).lognormal(0, 1.5, 30),
        np.array([10.0] + [1.0] * 30),
        np.repeat([1.0, 2.0, 3.0], [20, 9, 4]),
    ],
    ids=["exponential", "lognormal", "one large", "whole numbers"],
)
@pytest.mark.parametrize("spread", [1.0, 2.0, 2.7])
def test_sign_flip_of_many_clusters_against_drawn_signs(sizes: np.ndarray, spread: float) -> None:
    """400,000 random sign patterns, ties by half, beside the saddlepoint: within a tenth of the p-value."""
    rng = np.random.default_rng(7)
    signs = np.where(rng.random((400_000, sizes.size)) < 0.5, -1.0, 1.0)
    sums = np.sort(np.abs(signs @ sizes))
    # The pattern whose sum is nearest to so many standard deviations.
    near = np.argmin(np.abs(np.abs(signs @ sizes) - spread * np.sqrt(sizes @ sizes)))
    observed = abs(float(signs[near] @ sizes))
    below, upto = np.searchsorted(sums, [observed - 1e-9, observed + 1e-9])
    drawn = 1 - (below + upto) / 2 / sums.size
    error = np.sqrt(drawn * (1 - drawn) / sums.size)
    found = sign_flip(signs[near] * sizes, np.ones(sizes.size, dtype=np.int64))
    assert found == pytest.approx(drawn, abs=0.1 * drawn + 4 * error)


def test_sign_flip_far_out_stays_above_zero() -> None:
    sizes = np.linspace(1, 2, 3000)
    times = np.ones(3000, dtype=np.int64)
    assert 0 < sign_flip(sizes, times) < 1e-100
    assert 0 < sign_flip(np.where(np.arange(3000) < 60, -sizes, sizes), times) < 1e-100
    assert sign_flip(np.repeat([1.0, -1.0, 2.0, -2.0], 20), np.ones(80, dtype=np.int64)) == 1


@pytest.mark.parametrize(
    ("low", "high", "better", "expected"),
    [
        (0.1, 0.2, "high", "better"),
        (0.1, 0.2, "low", "worse"),
        (-0.2, -0.1, "high", "worse"),
        (-0.2, -0.1, "low", "better"),
        (-0.1, 0.1, "high", "no change shown"),
        (0.0, 0.1, "high", "no change shown"),
        (0.1, 0.2, "neither", None),
    ],
)
def test_reading(low: float, high: float, better: str, expected: str | None) -> None:
    assert read_change(low, high, better) == expected  # type: ignore[arg-type]
