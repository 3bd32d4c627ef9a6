"""Composites at the joint level: false alarms among 400 slices, one part alone, clusters, several classes."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.validate_more import composite_alarm, pooled_alarm
from slices.analysis import analyse
from slices.counts import OutcomeSpace
from slices.estimates.jointly import joint_bounds, matched_correlation, mean_limits
from slices.estimates.pooling import pooled_bounds, row_errors
from slices.estimates.selection import bounds
from slices.intervals import clopper_pearson
from slices.metrics import METRICS, POOLED
from slices.records import Tested as Asked
from slices.scores.limits import Law, Laws
from slices.slicing import OVERALL
from tests.slices.tables import binary, clustered, counted


@pytest.mark.parametrize("name", ["f1", "balanced_accuracy", "mcc"])
def test_400_null_slices_of_a_composite_rarely_fail(name):
    # 20,000 slices: 5% of logs are 2.6 slices, 54% and 28% (MOVER, Fisher's z) were 39 and 17.
    assert composite_alarm(name, 30, 30, 0.95, 0.95, 20_000).share <= 0.12


@pytest.mark.parametrize("name", ["balanced_accuracy", "macro_f1", "mcc"])
def test_400_null_slices_of_several_classes_rarely_fail(name):
    assert pooled_alarm(name, (30, 30, 30), 0.05, 8_000).share <= 0.2


def test_a_mean_of_one_part_has_the_parts_own_limits():
    n = np.array([[40.0, 40.0, 40.0]])
    x = np.array([[36.0, 30.0, 20.0]])

    def limits(u):
        from scipy.special import ndtr

        return clopper_pearson(x, n, 2 * ndtr(-u))

    low, high = mean_limits(limits, x / n, np.array([[1.0, 0.0, 0.0]]), np.array([0.001]))
    expected = clopper_pearson(36.0, 40.0, 0.001)
    assert (low[0], high[0]) == pytest.approx((float(expected[0]), float(expected[1])), abs=1e-9)


def test_two_parts_and_many_agree():
    n, x = np.array([[40.0, 60.0]]), np.array([[36.0, 57.0]])

    def limits_of(x, n):
        from scipy.special import ndtr

        return lambda u: clopper_pearson(x, n, 2 * ndtr(-u))

    alpha, half = np.array([0.001]), np.array([[0.5, 0.5]])
    two = mean_limits(limits_of(x, n), x / n, half, alpha)
    x3, n3 = np.append(x, [[1.0]], axis=1), np.append(n, [[2.0]], axis=1)
    three = mean_limits(limits_of(x3, n3), x3 / n3, np.append(half, [[0.0]], axis=1), alpha)
    assert np.array(two) == pytest.approx(np.array(three), abs=2e-3)


@pytest.mark.parametrize("name", ["balanced_accuracy", "mcc"])
def test_joint_limits_hold_the_pointwise_kinds(name):
    tables = np.array([[28, 2, 2, 28], [50, 10, 30, 400], [90, 1, 10, 99]])
    outer, inner = joint_bounds(METRICS[name], tables, 0.01), bounds(METRICS[name], tables, 0.01)
    assert (outer.low <= inner.low).all()
    assert (outer.high >= inner.high).all()
    assert (outer.low < outer.value).all()


def test_a_correlation_at_the_end_has_joint_limits():
    found = joint_bounds(METRICS["mcc"], np.array([[30, 0, 0, 40]]), 0.001)
    assert found.value[0] == pytest.approx(1.0)
    assert 0.5 < found.low[0] < 0.9
    assert found.high[0] == pytest.approx(1.0)


def test_clusters_widen_joint_limits():
    rng = np.random.default_rng(3)
    hard = rng.random(80) < 0.2
    tables = np.zeros((80, 4), dtype=np.int64)
    tables[:40, 0], tables[:40, 2] = np.where(hard[:40], 1, 5), np.where(hard[:40], 4, 0)
    tables[40:, 3], tables[40:, 1] = np.where(hard[40:], 2, 5), np.where(hard[40:], 3, 0)
    total = tables.sum(0)
    for name in ("mcc", "balanced_accuracy"):
        tested = (Asked(OVERALL, None, name, "value", None),)
        log = clustered(tables, np.arange(80) % 2 == 0)
        with_clusters = analyse(log, metrics=(name,), tested=tested, resamples=50).overall[0].simultaneous[0]
        rows = joint_bounds(METRICS[name], total[None], 0.05)
        assert with_clusters.low < rows.low[0] - 0.02
        assert with_clusters.high > rows.high[0]


def multiclass(cells):
    space = OutcomeSpace("multiclass", ("a", "b", "c"), 1, 12)
    return space, np.array(cells, dtype=np.int64)


PART = [40, 3, 1, 0, 2, 30, 4, 0, 0, 5, 25, 0]


def test_row_errors_against_replicates():
    space, cells = multiclass(PART)
    rng = np.random.default_rng(1)
    drawn = rng.multinomial(cells.sum(), cells / cells.sum(), 20_000)[:, None, :]
    for name in ("mcc", "macro_f1", "macro_precision", "balanced_accuracy", "micro_f1"):
        found = row_errors(space, cells[None, None], POOLED[name])[0]
        assert found == pytest.approx(POOLED[name].of(space.confusion(drawn)).std(), rel=0.06)


def test_a_correlation_of_several_classes_has_limits_in_every_slice():
    space, cells = multiclass(PART)
    log = counted(space, {"x": cells[None], "y": cells[None] * 2})
    tested = tuple(
        Asked(s.slice, None, "mcc", q, a)
        for s in log.slices
        for q, a in (("value", None), ("difference", "complement"))
        if q == "value" or s.slice.order
    )
    found = analyse(log, metrics=("recall",), tested=tested, resamples=50)
    whole = [r for r in (*found.overall, *found.slices) if r.klass is None]
    for record in whole:
        assert record.simultaneous
        estimate = next(e for e in record.estimates if e.metric == "mcc")
        for joint in record.simultaneous:
            assert joint.low is not None
            assert joint.high is not None
            if joint.quantity == "value":
                assert joint.low < estimate.low < estimate.value < estimate.high < joint.high
    # The smallest gap that could be shown, of every figure over all classes.
    for record in whole[1:]:
        assert all(d.detectable_gap is not None for d in record.disparities)


def test_means_over_classes_hold_the_exact_limits_of_dependent_classes():
    space, cells = multiclass([30, 2, 0, 0, 2, 30, 0, 0, 0, 0, 30, 0])
    table = space.confusion(cells[None, None])
    error = row_errors(space, cells[None, None], POOLED["macro_f1"])
    alone = pooled_bounds(POOLED["macro_f1"], table, 0.001, disjoint=True, exact=True)
    both = pooled_bounds(POOLED["macro_f1"], table, 0.001, disjoint=True, error=error, exact=True)
    assert both.low[0] <= alone.low[0]
    assert both.high[0] > alone.high[0]


def test_all_right_leaves_the_exact_limit_of_none_wrong():
    one = np.ones(1)
    low, high = matched_correlation(one, 0 * one, one / 3, 60 * one, np.nan * one, np.inf * one, 0.05 * one)
    assert high[0] == 1.0
    assert low[0] == pytest.approx(1 - 1.5 * (1 - 0.025 ** (1 / 60)))


def test_few_rows_of_a_class_have_longer_joint_limits_of_auroc():
    laws = Laws([Law("newcombe", 0.8, units=12, others=200), Law("logit", 0.9, 0.03, 40.0), None])
    (low, high), (joint_low, joint_high) = laws.limits(0.001), laws.joint_limits(0.001)
    assert joint_high[0] > high[0] + 0.005
    assert (joint_low[:2] <= low[:2]).all()
    assert (joint_high[:2] >= high[:2]).all()
    assert np.isnan(joint_low[2])


def test_a_binary_log_with_a_correlation_rule():
    log = binary(a=(28, 2, 2, 28), b=(250, 12, 13, 240))
    tested = tuple(Asked(s.slice, None, "mcc", "value", None) for s in log.slices)
    found = analyse(log, metrics=("mcc",), tested=tested, resamples=50)
    for record in (*found.overall, *found.slices):
        assert record.simultaneous[0].method.startswith("the farthest value")
