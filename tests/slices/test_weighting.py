"""Errors of weighted figures against statsmodels' sandwich: rows, and patients with weighted rows."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.simulated_logs import log_of_clusters
from benchmarks.validate_more import weighted_coverage
from slices.analysis import analyse
from slices.counts import ClusterPatterns
from slices.estimates.clustering import linearise
from slices.estimates.comparison import WeightedSides
from slices.estimates.degrees import satterthwaite_degrees
from slices.estimates.weighting import linearise_rows
from slices.metrics import METRICS
from tests.slices.tables import BINARY

ROWS = st.lists(st.tuples(st.floats(0.1, 9), st.booleans()), min_size=4, max_size=50).filter(
    lambda rows: 0 < sum(y for _, y in rows) < len(rows)
)


def recall_of(weights: np.ndarray, hit: np.ndarray):  # type: ignore[no-untyped-def]
    """The design of recall, from rows that are all positive: hits and misses."""
    cells = np.zeros((4, 2, 1, 4))
    for place, rows in ((0, hit), (2, ~hit)):
        cells[:, 0, 0, place] = [(weights[rows] ** power).sum() for power in (0, 1, 2, 4)]
    sides = WeightedSides(cells[0].astype(np.int64), *cells[1:])
    found = linearise_rows(BINARY, sides, [METRICS["recall"]])
    return found["recall"].design


@given(ROWS)
def test_row_error_is_the_sandwich_of_a_weighted_mean(rows: list[tuple[float, bool]]) -> None:
    """But never below that of as many rows of equal weight."""
    weights, hit = np.array([w for w, _ in rows]), np.array([y for _, y in rows])
    design = recall_of(weights, hit)
    fitted = sm.WLS(hit.astype(float), np.ones(len(rows)), weights=weights).fit(cov_type="HC1")
    share = float(fitted.params[0])
    least = np.sqrt(share * (1 - share) / len(rows))
    assert design.error[0, 0] == pytest.approx(max(float(fitted.bse[0]), least))
    assert design.units[0, 0] == pytest.approx(weights.sum() ** 2 / (weights**2).sum())
    assert design.effective[0, 0] <= len(rows) * (1 + 1e-9)
    assert design.effective[0, 0] == pytest.approx(share * (1 - share) / design.error[0, 0] ** 2)


@given(ROWS, st.floats(0.01, 100))
def test_the_unit_of_the_weights_changes_nothing(rows: list[tuple[float, bool]], unit: float) -> None:
    weights, hit = np.array([w for w, _ in rows]), np.array([y for _, y in rows])
    one, other = recall_of(weights, hit), recall_of(unit * weights, hit)
    for name in ("error", "units", "effective", "degrees"):
        assert getattr(other, name)[0, 0] == pytest.approx(getattr(one, name)[0, 0])


def test_cluster_error_against_statsmodels() -> None:
    rng = np.random.default_rng(0)
    cluster = rng.integers(0, 60, 400)
    weights = rng.uniform(0.5, 4, 400)
    hit = rng.random(400) < 0.7 + 0.2 * np.sin(cluster)
    totals = np.zeros((60, 2, 1, 4))
    np.add.at(totals, (cluster, 0, 0, np.where(hit, 0, 2)), weights)
    patterns = ClusterPatterns(totals, np.ones(60, dtype=np.int64))
    design = linearise(BINARY, patterns, [METRICS["recall"]])["recall"].design
    fitted = sm.WLS(hit.astype(float), np.ones(400), weights=weights).fit(
        cov_type="cluster", cov_kwds={"groups": cluster}
    )
    # statsmodels' factor is C / (C - 1) x (n - 1) / (n - 1).
    assert design.error[0, 0] == pytest.approx(fitted.bse[0])
    times = ClusterPatterns(np.repeat(totals[:1], 3, axis=0), np.array([2, 3, 4]))
    listed = ClusterPatterns(np.repeat(totals[:1], 9, axis=0), np.ones(9, dtype=np.int64))
    few, many = (linearise(BINARY, each, [METRICS["recall"]])["recall"].design for each in (times, listed))
    assert few.error == pytest.approx(many.error)


@pytest.mark.parametrize(
    ("n", "spread", "share", "clustered"),
    [
        (30, 1.0, 0.9, False),
        (100, 1.0, 0.95, False),
        (400, 2.0, 0.9, False),
        (30, 1.0, 0.9, True),
        (50, 3.0, 0.95, True),
    ],
)
def test_small_coverage_as_the_analysis_selects(n: int, spread: float, share: float, clustered: bool) -> None:
    """500 logs: 93.5% less three Monte Carlo errors, no zero width; benchmarks/ has the full table."""
    found = weighted_coverage(n, spread, share, 500, clustered=clustered)
    assert found.share >= 0.935 - 3 * 0.011
    assert found.zero_width == 0


def limits_of(tables: np.ndarray, weights: np.ndarray | None = None):  # type: ignore[no-untyped-def]
    """Recall of one slice of patients, as the analysis selects it."""
    log = log_of_clusters([tables], None if weights is None else [weights])
    return analyse(log, metrics=("recall",), resamples=200, seed=1, threads=1).slices[0].estimates[0]


def test_one_row_a_patient_is_a_row_whatever_the_weight_of_its_class() -> None:
    """Positives enriched, weight .02 each: 50 of 512 missed."""
    tables = np.zeros((2000, 4), dtype=np.int64)
    tables[:462, 0], tables[462:512, 2], tables[512:, 3] = 1, 1, 1
    weighted = limits_of(tables, np.where(np.arange(2000) < 512, 0.02, 1.3))
    plain = limits_of(tables)
    assert weighted.value == pytest.approx(462 / 512)
    assert (weighted.low, weighted.high) == pytest.approx((plain.low, plain.high))
    assert weighted.high - weighted.low < 0.06
    assert weighted.method == plain.method == "Wilson and Jeffreys, the wider"


def test_one_patient_with_most_of_the_weight_is_hardly_more_than_one() -> None:
    """50 patients all right, one of them with 95% of the weight: Kish's number is 1.1."""
    right = np.tile([2, 0, 0, 0], (50, 1))
    heavy = limits_of(right, np.where(np.arange(50) == 0, 1000.0, 1.0))
    kish = 50 * (1000 + 49) ** 2 / (1000**2 + 49) / 50
    assert heavy.low == pytest.approx(0.025 ** (1 / kish))
    assert heavy.method == "Clopper-Pearson, n = effective clusters (Kish)"
    assert heavy.effective == pytest.approx(kish)
    alike = limits_of(right, np.full(50, 7.0))
    assert (alike.low, alike.method) == (pytest.approx(0.025 ** (1 / 50)), "Clopper-Pearson, n = clusters")


@given(ROWS)
def test_degrees_are_satterthwaites_of_the_rows(rows: list[tuple[float, bool]]) -> None:
    weights, hit = np.array([w for w, _ in rows]), np.array([y for _, y in rows])
    design = recall_of(weights, hit)
    influence = weights * (hit - weights @ hit / weights.sum())
    kish = weights.sum() ** 2 / (weights**2).sum()
    expected = min(satterthwaite_degrees(influence), max(kish - 1, 1))
    assert design.degrees[0, 0] == pytest.approx(expected, rel=1e-6)
