"""The small version of the validation: coverage and false alarms as the analysis selects intervals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from benchmarks.simulated_logs import beta_binomial, log_of_clusters, log_of_rows, recall_only
from benchmarks.validate_composites import average_coverage, composite_coverage, hard_coverage
from benchmarks.validate_more import (
    average_precision_coverage,
    calibration_coverage,
    clustered_worst_gap_coverage,
    plan_power,
)
from benchmarks.validate_slices import (
    SHARES,
    clustered_coverage,
    clustered_gap_coverage,
    exact_coverage,
    falls,
    gap_coverage,
    gate,
    limits_of_every_count,
    smoothed,
)
from benchmarks.validation_measures import measured, selected_limits
from slices.analysis import analyse


@pytest.mark.parametrize("n", [10, 15, 20, 30, 31, 40, 60, 67, 100, 200, 500, 600, 700, 2000])
def test_rows_cover_at_every_share(n: int) -> None:
    """Exact: never below 93.5%, no zero width; from 30 rows on at most 97.5% on average off the lattice."""
    counts, low, high = limits_of_every_count(n)
    coverage = exact_coverage(n, counts, low, high)
    assert coverage.min() >= 0.935
    assert (high > low).all()
    assert (low >= 0).all()
    assert (high <= 1).all()
    regular = n * (1 - SHARES) >= 4
    if n >= 30 and regular.any():
        assert smoothed(coverage)[regular].max() <= 0.975


@pytest.mark.parametrize("n", [15, 29, 30, 59, 60, 300, 600, 700, 1000, 2000])
def test_limits_rise_with_the_count_up_to_the_last(n: int) -> None:
    counts, low, high = limits_of_every_count(n)
    assert counts[-1] == n
    assert falls(low, high) == 0
    assert falls(np.array([0.1, 0.3, 0.2]), np.array([0.4, 0.5, 0.6])) == 1


@pytest.mark.parametrize(("patients", "images"), [(15, 10), (40, 2), (100, 10)])
def test_no_group_with_errors_is_surer_than_one_without(patients: int, images: int) -> None:
    """Any number of patients with one wrong image each, or one with several."""
    sizes = np.full(patients, images)
    logs = [recall_only(sizes - (np.arange(patients) < wrong), sizes) for wrong in range(patients)]
    logs += [recall_only(sizes - k * (np.arange(patients) < 1), sizes) for k in range(2, images + 1)]
    low, high = selected_limits(log_of_clusters(logs), "recall")
    assert (low <= low[0]).all()
    low, high = selected_limits(log_of_clusters([log[:, [2, 1, 0, 3]] for log in logs]), "recall")
    assert (high >= high[0]).all()


@pytest.mark.parametrize("name", ["f1", "balanced_accuracy", "mcc"])
def test_composites_cover(name: str) -> None:
    """300 logs each: closed form, bootstrap, patients who are wrong in both classes."""
    cells = [
        composite_coverage(name, 50, 50, 0.95, 0.95, 300),
        composite_coverage(name, 700, 700, 0.975, 0.985, 150),
        hard_coverage(name, 100, 0.2, 0.5, 300),
    ]
    for found in cells:
        assert found.share >= 0.935 - 3 * np.sqrt(0.061 / found.runs)
        assert found.zero_width == 0


@pytest.mark.parametrize(
    ("patients", "images", "share", "correlation"),
    [(15, (10, 10), 0.9, 0.3), (40, (1, 10), 0.95, 0.5), (150, (4, 4), 0.99, 0.3), (60, (2, 2), 0.5, 0.1)],
)
def test_patients_cover(patients: int, images: tuple[int, int], share: float, correlation: float) -> None:
    """400 logs: at least 93.5% less three Monte Carlo errors, no zero width."""
    found = clustered_coverage(patients, images, share, correlation, 400)
    assert found.share >= 0.935 - 3 * 0.0123
    assert found.zero_width == 0


@pytest.mark.parametrize("gap", [0.0, 0.1])
def test_gaps_cover(gap: float) -> None:
    between = clustered_gap_coverage((40, 40, 40), 0.9, 0.3, gap, 300)
    for found in (*gap_coverage(60, 600, 0.9, gap, 300), *between):
        assert found.share >= 0.935 - 3 * 0.0143
        assert found.zero_width == 0


@pytest.mark.parametrize("share", [0.95, 0.98])
@pytest.mark.parametrize("n", [50, 500])
def test_family_of_400_null_slices_rarely_fails(share: float, n: int) -> None:
    found = gate(share, n, 400, share)
    assert 1 - (1 - found.fails) ** 400 <= 0.05
    assert found.meets <= 0.04


def test_meets_would_lose_power_simultaneously() -> None:
    found = gate(0.95, 200, 400, 0.85)
    assert found.meets > 0.95
    assert found.meets > found.meets_jointly + 0.15


def test_harness_counts_coverage_and_zero_width() -> None:
    found = measured(np.array([0.1, 0.4, 0.5, np.nan]), np.array([0.6, 0.6, 0.5, np.nan]), 0.5)
    assert found.share == 0.75
    assert found.zero_width == 1
    assert str(found).startswith("75.0 ± ")


def test_harness_draws_the_stated_correlation() -> None:
    """Moments of the beta-binomial: variance n p (1 - p) (1 + (n - 1) ICC)."""
    hits = beta_binomial(np.random.default_rng(0), np.full(200_000, 10), 0.8, 0.3)
    assert hits.mean() == pytest.approx(8, abs=0.02)
    assert hits.var() == pytest.approx(10 * 0.16 * (1 + 9 * 0.3), rel=0.02)


def test_harness_gives_each_repetition_its_own_record() -> None:
    analysis = analyse(log_of_rows(recall_only(np.array([3, 7]), 10)), metrics=("recall",), resamples=100)
    assert [record.estimates[0].value for record in analysis.slices] == [0.3, 0.7]


def test_exact_coverage_is_a_sum_of_probabilities() -> None:
    counts = np.arange(11)
    everything = exact_coverage(10, counts, np.zeros(11), np.ones(11))
    assert everything == pytest.approx(np.ones(SHARES.size))
    only_ten = exact_coverage(10, counts, np.where(counts == 10, 0.0, 2.0), np.ones(11) * 3)
    assert only_ten == pytest.approx(binom.pmf(10, 10, SHARES))


@pytest.mark.parametrize("gap", [0.0, 0.1])
def test_largest_gap_covers_between_patients(gap: float) -> None:
    """60 logs of 12 groups: with degrees of clusters - 1 it covered 0 in 84%."""
    found = clustered_worst_gap_coverage(12, 40, 0.95, 0.5, gap, 60)
    assert found.share >= 0.935
    assert found.zero_width == 0


def test_calibration_error_of_a_perfect_model_covers_zero() -> None:
    """400 logs: it covered 85% at 2,000 rows; 95% less three Monte Carlo errors."""
    assert calibration_coverage(500, 0.0, 400).share >= 0.95 - 3 * 0.011


def test_average_precision_of_rare_positives_covers() -> None:
    """400 logs of 20 positives in 2,020 rows: the normal law covered 91%."""
    assert average_precision_coverage(20, 400, 100).share >= 0.935 - 3 * 0.0123


@pytest.mark.parametrize(
    ("rule", "limit", "hits", "rows", "other"),
    [
        ("at_least", 0.95, 180, 200, None),
        ("at_least", 0.85, 90, 100, None),
        ("gap_at_most", 0.10, 86, 100, (450, 500)),
    ],
)
def test_a_plan_decides_as_often_as_it_says(
    rule: str, limit: float, hits: int, rows: int, other: tuple[int, int] | None
) -> None:
    units, found = plan_power(rule, limit, hits, rows, other, 1_000)
    assert units > 0
    assert 0.8 - 3 * found.error <= found.share <= 0.9


def test_a_mean_over_classes_that_move_together_covers() -> None:
    """200 logs of 400 rows; with the classes taken as independent it covered 85%."""
    found = average_coverage("macro_f1", 400, 200, clustered=False)
    assert found is not None
    assert found.share >= 0.935 - 3 * 0.0174
