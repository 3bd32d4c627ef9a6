"""The joint level: against numerical integration, Šidák, a simulation of rows, and its extremes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from slices.analysis import analyse
from slices.estimates import joint_level as module
from slices.estimates.comparison import both_sides, make_pairs
from slices.estimates.joint_level import joint_level, level_of_groups
from slices.estimates.simultaneous import members
from slices.metrics import METRICS
from slices.records import Tested as Asked
from slices.resampling import generator, resample_counts
from tests.slices.tables import binary, clustered, one_way

LOG = binary(a=(400, 30, 60, 700), b=(300, 40, 50, 500), c=(90, 10, 20, 150))


def family_of(log, tested, metrics):
    pairs = make_pairs(log.slices, tested)
    counts, others = both_sides(log, pairs)
    family = members(tested, log.slices, pairs, log.space.classes, metrics, ())
    return pairs, family, counts, others


def test_independent_quantities_have_sidaks_level():
    expected = 1 - 0.95 ** (1 / 20)
    assert level_of_groups([], 20, 0.05, 1) == pytest.approx(expected, rel=1e-6)
    assert level_of_groups([np.eye(20)], 0, 0.05, 1) == pytest.approx(expected, rel=0.02)


def test_equal_quantities_cost_nothing():
    assert level_of_groups([np.ones((10, 10))], 0, 0.05, 1) == pytest.approx(0.05, rel=1e-6)


@pytest.mark.parametrize("rho", [0.3, 0.8, -0.6])
def test_two_correlated_quantities_against_numerical_integration(rho):
    level = level_of_groups([np.array([[1, rho], [rho, 1]])], 0, 0.05, 1)
    c = norm.isf(level / 2)
    law = multivariate_normal([0, 0], [[1, rho], [rho, 1]])
    inside = law.cdf([c, c]) - law.cdf([-c, c]) - law.cdf([c, -c]) + law.cdf([-c, -c])
    assert inside == pytest.approx(0.95, abs=0.001)


def test_correlations_from_the_table_against_replicates_of_the_whole_log():
    tested = tuple(
        Asked(one_way("group", v), None, m, q, a)
        for v in "ab"
        for m in ("recall", "precision")
        for q, a in (("value", None), ("difference", "complement"), ("ratio", "complement"))
    )
    pairs, family, counts, others = family_of(LOG, tested, ("recall", "precision"))
    slopes = [module._slopes(member, counts, others) for member in family]
    (matrix,), lonely = module._correlations(LOG, pairs, family, slopes)
    assert lonely == 0
    cells = np.concatenate([s.inside.reshape(-1) for s in LOG.slices[1:]])
    drawn = resample_counts(cells, 20_000, generator(1, "rows")).reshape(3, 4, -1)
    figures = []
    for item in tested:
        k = "abc".index(item.slice.values[0][1])
        mine = METRICS[item.metric].value(*drawn[k])
        rest = METRICS[item.metric].value(*(drawn.sum(0) - drawn[k]))
        figures.append(
            {"value": mine, "difference": mine - rest, "ratio": np.log(mine / rest)}[item.quantity]
        )
    np.testing.assert_allclose(matrix, np.corrcoef(figures), atol=0.04)


def test_correlated_families_have_a_better_level_than_bonferroni():
    tested = tuple(
        Asked(one_way("group", v), None, m, q, a)
        for v in "abc"
        for m in ("recall", "fnr")
        for q, a in (("value", None), ("difference", "complement"))
    )
    pairs, family, counts, others = family_of(LOG, tested, ("recall", "fnr"))
    found = joint_level(LOG, pairs, family, counts, others, 0.05, 1)
    assert len(family) == 12
    # recall and fnr are one quantity: at most six count.
    assert found.alpha > 1 - 0.95 ** (1 / 6) - 1e-4
    assert found.method == "max-T over 12 quantities in 3 groups"


def test_clusters_are_grouped_by_slice_and_never_below_bonferroni():
    rng = np.random.default_rng(1)
    tables = rng.integers(0, 4, size=(60, 4))
    log = clustered(tables, rng.random(60) < 0.5)
    tested = tuple(
        Asked(one_way("group", v), None, m, "value", None)
        for v in "ab"
        for m in ("recall", "fnr", "precision")
    )
    pairs, family, counts, others = family_of(log, tested, ("recall", "fnr", "precision"))
    found = joint_level(log, pairs, family, counts, others, 0.05, 1)
    assert 1 - 0.95 ** (1 / 4) - 1e-3 < found.alpha < 0.05
    assert "2 groups" in found.method


def test_quantities_without_spread_or_from_scores_count_by_themselves():
    log = binary(a=(40, 0, 0, 50), b=(30, 5, 5, 60))
    tested = tuple(Asked(one_way("group", v), None, "recall", "value", None) for v in "ab")
    pairs, family, counts, others = family_of(log, tested, ("recall",))
    found = joint_level(log, pairs, family, counts, others, 0.05, 1)
    assert found.alpha == pytest.approx(1 - 0.95**0.5, rel=1e-6)


@pytest.mark.parametrize("runs", [6, pytest.param(100, marks=pytest.mark.slow)])
def test_the_family_wise_error_of_exact_limits_at_the_joint_level(runs):
    # 20 null slices of 60 positives at p = .95, recall and its difference from the complement.
    rng = np.random.default_rng(3)
    false = 0
    names = [f"s{k:02d}" for k in range(20)]
    tested = tuple(
        Asked(one_way("group", v), None, "recall", q, a)
        for v in names
        for q, a in (("value", None), ("difference", "complement"))
    )
    for _ in range(runs):
        hits = rng.binomial(60, 0.95, 20)
        log = binary(**{v: (h, 0, 60 - h, 5) for v, h in zip(names, hits.tolist(), strict=True)})
        found = analyse(log, metrics=("recall",), tested=tested, resamples=100)
        truth = {"value": 0.95, "difference": 0.0}
        false += any(
            s.low > truth[s.quantity] or s.high < truth[s.quantity]
            for record in found.slices
            for s in record.simultaneous
        )
    # 5% and three Monte Carlo errors above it.
    assert false <= runs * 0.05 + 3 * np.sqrt(runs * 0.05 * 0.95)
