"""Label noise: every set of wrong labels by brute force."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from slices.intervals import clopper_pearson
from slices.metrics import METRICS
from slices.supplements import label_noise
from slices.supplements.label_noise import Holds, breaking_point, worst_case_labels, worst_tables

TABLE = arrays(np.int64, 4, elements=st.integers(0, 5))
SHARES = st.sampled_from([name for name, m in METRICS.items() if m.kind in ("proportion", "f1")])


def exact_limits_hold(name: str, *, at_least: float, at_most: float = 1.0) -> Holds:
    """A floor and a ceiling that are met by Clopper-Pearson limits, as a function of tables."""

    def holds(tables: np.ndarray) -> np.ndarray:
        trials, metric = METRICS[name].trials(tables), METRICS[name]
        low, high = clopper_pearson(np.where(trials > 0, metric.count(tables), 0.0), trials.clip(1), 0.05)
        return np.asarray((trials > 0) & (low >= at_least) & (high <= at_most))

    return holds


def every_relabelling(counts: np.ndarray, wrong: int) -> np.ndarray:
    """All tables after turning i tp, j fp, k fn and l tn, together at most ``wrong``."""
    tp, fp, fn, tn = counts
    tables = [
        (tp - i + j, fp + i - j, fn - k + m, tn + k - m)
        for i, j, k, m in product(*(range(c + 1) for c in counts))
        if i + j + k + m <= wrong
    ]
    return np.array(tables)


@settings(max_examples=40, deadline=None)
@given(TABLE, st.integers(0, 8), SHARES)
def test_bounds_are_the_extremes_of_every_relabelling(counts: np.ndarray, wrong: int, name: str) -> None:
    values = METRICS[name].of(every_relabelling(counts, wrong))
    found = worst_case_labels(METRICS[name], counts, wrong)
    if found is None:
        assert not np.isfinite(values).all()
    else:
        assert found == pytest.approx((np.nanmin(values), np.nanmax(values)))


@given(TABLE, st.integers(0, 8))
def test_tables_keep_predictions_and_rows(counts: np.ndarray, wrong: int) -> None:
    tables = worst_tables(counts, wrong)
    assert (tables >= 0).all()
    assert (tables[:, :2].sum(1) == counts[:2].sum()).all()
    assert (tables[:, 2:].sum(1) == counts[2:].sum()).all()
    assert (np.abs(tables - counts).sum(1) / 2 <= wrong).all()


@settings(max_examples=25, deadline=None)
@given(
    arrays(np.int64, 4, elements=st.integers(0, 4)),
    st.sampled_from(["precision", "recall", "accuracy", "fpr"]),
)
def test_breaking_point_by_brute_force(counts: np.ndarray, name: str) -> None:
    holds = exact_limits_hold(name, at_least=0.2, at_most=0.97)
    expected = next(
        (
            wrong
            for wrong in range(int(counts.sum()) + 1)
            if not holds(every_relabelling(counts, wrong).astype(float)).all()
        ),
        None,
    )
    assert breaking_point(counts, holds) == expected


def test_breaking_point_of_a_floor() -> None:
    counts = np.array([190, 10, 10, 300])
    found = breaking_point(counts, exact_limits_hold("recall", at_least=0.85))
    assert found is not None
    assert 0 < found < 20
    assert breaking_point(counts, exact_limits_hold("recall", at_least=0.99)) == 0
    assert breaking_point(counts, exact_limits_hold("accuracy", at_least=0.0)) is None


@pytest.mark.parametrize("name", ["recall", "precision", "fpr", "accuracy", "f1"])
def test_a_long_log_costs_no_more_and_keeps_the_extremes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = np.array([5200, 2700, 2900, 4100], dtype=np.int64)
    metric = METRICS[name]
    few = {wrong: label_noise.worst_case_labels(metric, counts, wrong) for wrong in (2500, 4700)}
    assert all(len(label_noise.worst_tables(counts, wrong)) < 10 * label_noise.GRID for wrong in few)
    monkeypatch.setattr(label_noise, "EVERY_TURN", 10**6)
    for wrong, found in few.items():
        every = label_noise.worst_case_labels(metric, counts, wrong)
        assert (found is None) == (every is None)
        if found is not None and every is not None:
            assert found == pytest.approx(every, abs=1e-12)
