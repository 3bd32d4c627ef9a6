"""Coverage of the interval as selected, by enumeration: exact, without a simulation's error."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from benchmarks.simulated_logs import log_of_rows, recall_only
from slices.analysis import analyse
from slices.estimates.selection import BOOTSTRAP_FROM, METHODS, bootstrap_valid, bounds, enough_of_each
from slices.metrics import METRICS, POOLED

SHARES = np.round(np.arange(0.5, 0.9901, 0.01), 2)


def limits(n: int, alpha: float = 0.05):
    count = np.arange(n + 1)
    table = np.stack([count, 0 * count, n - count, 0 * count], axis=1)
    found = bounds(METRICS["recall"], table, alpha)
    return found.low, found.high


def coverage(low, high, shares):
    n = low.size - 1
    chance = binom.pmf(np.arange(n + 1)[None], n, shares[:, None])
    holds = (low <= shares[:, None] + 1e-12) & (shares[:, None] <= high + 1e-12)
    return (chance * holds).sum(axis=1)


@pytest.mark.parametrize("n", [10, 11, 15, 20, 29, 30, 31, 36, 42, 50, 59, 60, 75, 100, 200, 350, 599])
def test_never_below_93_and_a_half_percent(n):
    assert coverage(*limits(n), SHARES).min() >= 0.935


@pytest.mark.parametrize("n", [30, 31, 45, 60, 100, 200, 350, 599])
def test_on_average_at_most_97_and_a_half_percent_but_where_discreteness_forces_it(n):
    low, high = limits(n)
    for share in SHARES:
        if n * (1 - share) < 4:
            continue
        near = np.linspace(share - 0.03, min(share + 0.03, 1 - 1e-9), 61)
        assert coverage(low, high, near).mean() <= 0.975


def test_the_choice_hangs_on_the_support_and_not_on_the_estimate():
    metric = METRICS["recall"]
    for n, expected in ((29, "Clopper-Pearson"), (30, "Wilson and Jeffreys, the wider")):
        count = np.arange(1, n)
        table = np.stack([count, 0 * count, n - count, 0 * count], axis=1)
        codes = np.unique(bounds(metric, table, 0.05).method)
        assert [METHODS[code] for code in codes] == [expected]


def test_draws_need_rows_of_each_outcome():
    for name in ("recall", "f1"):
        few = np.array([300, 20, 19, 0, BOOTSTRAP_FROM])
        table = np.stack([few, 0 * few, BOOTSTRAP_FROM - few, 0 * few], axis=1)
        support = np.full(5, float(BOOTSTRAP_FROM))
        assert enough_of_each(METRICS[name], table).tolist() == [True, True, False, False, False]
        drawn = bootstrap_valid(METRICS[name], table, support, None)
        assert drawn.tolist() == [True, True, True, False, False]
        assert not bootstrap_valid(METRICS[name], table, support - 1, None).any()
    both = np.array([[700, 20, 20, 700], [700, 19, 40, 700]])
    assert enough_of_each(METRICS["mcc"], both).tolist() == [True, False]
    # 39 and 19 rows of the wrong class.
    classes = np.array([[[400, 20, 19, 600], [600, 19, 20, 400]], [[400, 9, 10, 610], [610, 10, 9, 400]]])
    assert enough_of_each(POOLED["accuracy"], classes).tolist() == [True, False]
    assert enough_of_each(POOLED["macro_recall"], classes).tolist() == [True, True]


@pytest.mark.parametrize("alpha", [0.05, 0.001, 1e-6])
def test_simultaneous_limits_are_never_below_nominal(alpha):
    count = np.arange(51)
    table = np.stack([count, 0 * count, 50 - count, 0 * count], axis=1)
    found = bounds(METRICS["recall"], table, alpha, exact=True)
    assert coverage(found.low, found.high, SHARES).min() >= 1 - alpha - 1e-9


def test_proportions_are_drawn_on_request() -> None:
    log = log_of_rows(recall_only(np.array([570, 595]), 600))
    kinds = {}
    for drawn in (False, True):
        analysis = analyse(log, metrics=("recall",), resamples=4000, drawn_proportions=drawn)
        kinds[drawn] = [str(one.estimates[0].method) for one in analysis.slices]
    assert kinds[False] == ["Wilson and Jeffreys, the wider"] * 2
    # Five missed cases are too few to draw from.
    assert kinds[True] == ["bootstrap, BCa", "Wilson and Jeffreys, the wider"]
