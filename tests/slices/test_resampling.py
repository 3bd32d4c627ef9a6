"""Bootstrap draws and limits against rows drawn one by one, scipy and published resamples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap, ks_2samp, norm

from slices import resampling
from slices.metrics import METRICS

TABLE = np.array([40, 6, 9, 70])


def drawn_row_by_row(table, draws, seed):
    """The plain row bootstrap: outcomes of the log's rows, drawn with replacement, then counted."""
    rng = np.random.default_rng(seed)
    rows = np.repeat(np.arange(table.size), table)
    return np.stack(
        [np.bincount(rng.choice(rows, rows.size, replace=True), minlength=table.size) for _ in range(draws)],
        axis=1,
    ).astype(float)


@pytest.mark.parametrize("name", ["recall", "precision", "f1", "mcc"])
def test_same_law_as_drawing_rows(name):
    ours = METRICS[name].value(*resampling.resample_counts(TABLE, 4000, resampling.generator(1, name)))
    theirs = METRICS[name].value(*drawn_row_by_row(TABLE, 4000, 2))
    assert ks_2samp(ours, theirs).pvalue > 0.001
    spread = theirs.std()
    for q in (0.025, 0.25, 0.5, 0.75, 0.975):
        assert abs(np.quantile(ours, q) - np.quantile(theirs, q)) < 0.2 * spread


def test_joint_draw_keeps_the_total_and_the_covariance_of_a_slice_and_its_complement():
    both = np.array([30, 5, 6, 40, 300, 50, 60, 400])
    drawn = resampling.resample_counts(both, 20_000, resampling.generator(3, "joint"))
    assert np.all(drawn.sum(axis=0) == both.sum())
    total = both.sum()
    expected = np.diag(both) - np.outer(both, both) / total
    np.testing.assert_allclose(np.cov(drawn), expected, atol=0.04 * total**0.5 * expected.max() ** 0.5)


def test_clusters_drawn_by_pattern_have_the_law_of_clusters_drawn_one_by_one():
    rng = np.random.default_rng(5)
    clusters = np.stack([rng.integers(0, 4, 60), rng.integers(0, 2, 60)], axis=1)
    patterns, times = np.unique(clusters, axis=0, return_counts=True)
    drawn = resampling.resample_clusters(patterns, times, 4000, resampling.generator(1, "c"))
    ours = drawn[0] / drawn.sum(0)
    picks = rng.integers(0, 60, size=(4000, 60))
    sums = clusters[picks].sum(axis=1)
    theirs = sums[:, 0] / sums.sum(1)
    assert ks_2samp(ours, theirs).pvalue > 0.001
    assert ours.std() == pytest.approx(theirs.std(), rel=0.05)


def test_clusters_of_one_row_are_rows():
    one_each = np.eye(4, dtype=int)
    drawn = resampling.resample_clusters(one_each, TABLE, 4000, resampling.generator(1, "c"))
    assert np.all(drawn.sum(0) == TABLE.sum())
    theirs = resampling.resample_counts(TABLE, 4000, resampling.generator(2, "c"))
    assert ks_2samp(drawn[0], theirs[0]).pvalue > 0.001


def test_blocks_change_no_draw(monkeypatch):
    whole = resampling.resample_counts(TABLE, 1000, resampling.generator(1, "x"))
    monkeypatch.setattr(resampling, "BLOCK_BYTES", 8 * 4 * 7)
    blocked = resampling.resample_counts(TABLE, 1000, resampling.generator(1, "x"))
    np.testing.assert_array_equal(whole, blocked)


def test_bca_limits_against_scipy():
    # Tie-free data: on ties scipy ranks strictly, mid-ranks are ours.
    data = np.random.default_rng(11).gamma(2.0, size=40)
    theirs = bootstrap(
        (data,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(1), vectorized=True
    )
    replicates = np.sort(theirs.bootstrap_distribution)
    left_out = (data.sum() - data) / (data.size - 1)
    a = float(resampling.acceleration(left_out, np.ones(data.size)))
    ours = resampling.bca_limits(replicates, float(data.mean()), a, 0.05)
    # Same replicates, same formula: only the quantile's convention may differ.
    expected = (theirs.confidence_interval.low, theirs.confidence_interval.high)
    assert ours == pytest.approx(expected, abs=1e-3 * data.std())


def test_acceleration_of_a_proportion_in_closed_form():
    count, n = 37.0, 50.0
    left_out = np.array([(count - 1) / (n - 1), count / (n - 1)])
    ours = float(resampling.acceleration(left_out, np.array([count, n - count])))
    p = count / n
    assert ours == pytest.approx((1 - 2 * p) / (6 * np.sqrt(n * p * (1 - p))), rel=1e-9)


def test_mid_ranks_count_half_of_the_ties():
    replicates = np.array([0.1, 0.2, 0.2, 0.2, 0.3])
    assert resampling.mid_rank(replicates, 0.2) == pytest.approx((1 + 1.5) / 5)
    assert np.isfinite(resampling.bias_correction(replicates, 5.0))


def test_bca_p_value_is_dual_to_the_limits():
    replicates = np.sort(np.random.default_rng(1).normal(0.2, 0.1, 20_000))
    a, value = 0.02, 0.19
    z0 = resampling.bias_correction(replicates, value)
    p = resampling.bca_p_value(replicates, z0, a, 0.0)
    low, high = resampling.bca_limits(replicates, value, a, p)
    assert min(abs(low), abs(high)) < 2e-3


@pytest.mark.parametrize("distance", [2.9, 3.5, 4.5, 7.0, 12.0, -3.5, -7.0])
def test_p_values_beyond_the_draws_are_those_of_the_normal_tail(distance):
    replicates = np.sort(np.random.default_rng(1).normal(0.5, 0.1, 10_000))
    p = resampling.bca_p_value(replicates, 0.0, 0.0, 0.5 - 0.1 * distance)
    assert np.sum(replicates < 0.5 - 0.1 * distance) < 50 or distance < 0
    # On the scale of z: the anchor (the 50th of 10,000) is known to about .04.
    assert -norm.ppf(p / 2) == pytest.approx(abs(distance), abs=0.12)


def test_a_far_difference_passes_thousands_of_comparisons():
    replicates = np.sort(np.random.default_rng(1).normal(0.5, 0.005, 10_000))
    p = resampling.bca_p_value(replicates, 0.0, 0.01, 0.0)
    assert 0 < p < 1e-100


@pytest.mark.parametrize("a", [-0.1, 0.0, 0.1, 0.45])
def test_the_p_value_never_rises_with_the_distance(a):
    replicates = np.sort(np.round(np.random.default_rng(2).normal(0, 1, 4000), 1))
    for direction in (-1, 1):
        found = [
            resampling.bca_p_value(replicates, 0.05, a, null)
            for null in direction * np.concatenate([np.linspace(0.5, 4, 141), [6.0, 20.0, 500.0]])
        ]
        assert np.all(np.diff(found) <= 1e-12)
        assert found[-1] > 0


def test_with_no_draw_beyond_it_is_below_what_the_draws_can_count():
    replicates = np.sort(np.random.default_rng(3).standard_t(3, 2000))
    assert resampling.bca_p_value(replicates, 0.0, 0.0, replicates[0] - 1e-9) <= 2 / 2001


@pytest.mark.parametrize("seed", range(8))
def test_duality_holds_where_the_limit_has_just_enough_draws(seed):
    rng = np.random.default_rng(seed)
    replicates = np.sort(rng.normal(0.2, 0.1, 2000))
    low, high = resampling.percentile_limits(replicates, 0.05)
    for end, outwards in ((low, -1), (high, 1)):
        assert resampling.bca_p_value(replicates, 0, 0, end + outwards * 0.01) < 0.05
        assert resampling.bca_p_value(replicates, 0, 0, end - outwards * 0.01) > 0.05


# Published percentile intervals (1,000 resamples) of an ECG classifier's test set: Ribeiro et al.
# (2020), Nat. Commun. 11, 1760, with the resamples in its code repository. Counts: TN, FP, FN, TP.
PUBLISHED = [
    ("precision", (26, 4, 2, 795), 0.720, 0.969),
    ("recall", (26, 4, 2, 795), 0.824, 1.000),
    ("recall", (10, 0, 3, 814), 0.500, 1.000),
    ("precision", (15, 3, 1, 808), 0.647, 1.000),
]


@pytest.mark.parametrize(("name", "table", "low", "high"), PUBLISHED)
def test_percentile_limits_against_published_ones(name, table, low, high):
    drawn = resampling.resample_counts(np.array(table), 100_000, resampling.generator(7, name))
    values = np.sort(METRICS[name].value(*drawn))
    ours = resampling.percentile_limits(values[np.isfinite(values)], 0.05)
    # Monte Carlo error of a quantile from their 1,000 draws: three standard errors of its rank.
    error = 3 * np.sqrt(0.025 * 0.975 / 1000)
    for published, ours_at, tail in ((low, ours[0], 0.025), (high, ours[1], 0.975)):
        within = np.quantile(values, [max(tail - error, 0), min(tail + error, 1)])
        assert within[0] - 5e-4 <= published <= within[1] + 5e-4
        assert ours_at == pytest.approx(published, abs=0.04)


def test_the_generator_hangs_on_the_key_alone():
    same = [resampling.generator(1, "a", "b").integers(0, 2**62) for _ in range(2)]
    assert same[0] == same[1]
    others = {int(resampling.generator(1, *key).integers(0, 2**62)) for key in [("ab",), ("b", "a"), ("a",)]}
    assert same[0] not in others
    assert same[0] != resampling.generator(2, "a", "b").integers(0, 2**62)
