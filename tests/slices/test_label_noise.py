"""Label noise: expected counts forwards and back, every set of wrong labels by brute force, simulation."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from slices import label_noise
from slices.label_noise import (
    ASSUMPTION,
    breaking_accuracy,
    breaking_point,
    corrected_counts,
    corrected_metric,
    exact_limits_hold,
    worst_case_labels,
    worst_tables,
)
from slices.metrics import METRICS

TABLE = arrays(np.int64, 4, elements=st.integers(0, 5))
SHARES = st.sampled_from([name for name, m in METRICS.items() if m.kind in ("proportion", "f1")])
RATES = st.floats(0.7, 1)


def labelled(truth: np.ndarray, sensitivity: float, specificity: float) -> np.ndarray:
    """Counts against labels that are expected when the counts against the truth are these."""
    tp, fp, fn, tn = truth
    return np.array(
        [
            sensitivity * tp + (1 - specificity) * fp,
            (1 - sensitivity) * tp + specificity * fp,
            sensitivity * fn + (1 - specificity) * tn,
            (1 - sensitivity) * fn + specificity * tn,
        ]
    )


@given(arrays(float, 4, elements=st.floats(0, 500)), RATES, RATES)
def test_correction_undoes_the_noise(truth: np.ndarray, sensitivity: float, specificity: float) -> None:
    observed = labelled(truth, sensitivity, specificity)
    assert corrected_counts(observed, sensitivity, specificity) == pytest.approx(truth, abs=1e-6)


@given(arrays(float, (3, 4), elements=st.floats(0, 500)))
def test_perfect_labels_change_nothing(counts: np.ndarray) -> None:
    assert corrected_counts(counts, 1, 1) == pytest.approx(counts)


def test_rogan_gladen_by_hand() -> None:
    # 60 of 100 calls labelled positive, sensitivity .9, specificity .8: (60 - 20) / .7.
    assert corrected_counts(np.array([60, 40, 0, 0]), 0.9, 0.8)[0] == pytest.approx(40 / 0.7)


@pytest.mark.parametrize(
    "name", ["precision", "recall", "fpr", "f1", "balanced_accuracy", "mcc", "prevalence"]
)
def test_small_coverage_of_the_truth(name: str) -> None:
    """400 logs of 800 rows, labels 92% sensitive and 95% specific: 95% less three Monte Carlo errors."""
    rng = np.random.default_rng(0)
    shares = np.array([0.30, 0.10, 0.06, 0.54])
    truth = float(METRICS[name].of(shares))
    hits = 0
    for _ in range(400):
        observed = rng.multinomial(800, labelled(shares, 0.92, 0.95))
        found = corrected_metric(METRICS[name], observed, 0.92, 0.95)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= truth <= found.high
    assert hits / 400 >= 0.917


def test_uncorrected_error_widens_with_worse_labels() -> None:
    counts = np.array([90, 20, 12, 300])
    sharp, dull = (corrected_metric(METRICS["precision"], counts, s, s) for s in (1, 0.97))
    assert dull.high - dull.low > sharp.high - sharp.low


def test_reasons() -> None:
    with pytest.raises(ValueError, match=r"label sensitivity is 1.2: give a share between 0 and 1"):
        corrected_counts(np.ones(4), 1.2, 0.9)
    with pytest.raises(ValueError, match=r"sensitivity 0.5 and specificity 0.5 are no better than chance"):
        corrected_counts(np.ones(4), 0.5, 0.5)
    contradiction = (
        "Labels with sensitivity 0.9 and specificity 0.8 would put the figure outside its range: "
        "the stated accuracies do not fit this slice."
    )
    assert corrected_metric(METRICS["recall"], np.array([50, 0, 1, 900]), 0.9, 0.8).undefined == contradiction
    assert (
        corrected_metric(METRICS["precision"], np.array([1, 99, 5, 5]), 0.9, 0.8).undefined == contradiction
    )
    empty = corrected_metric(METRICS["precision"], np.array([0, 0, 5, 5]), 0.9, 0.8)
    assert empty.undefined == METRICS["precision"].undefined
    end = corrected_metric(METRICS["recall"], np.array([50, 0, 0, 90]), 1, 1)
    assert (
        end.undefined == "The corrected estimate lies at the end of its range and has no spread: no limits."
    )
    assert end.value == 1
    nothing = corrected_metric(METRICS["recall"], np.array([0, 10, 0, 90]), 1, 1)
    assert nothing.undefined == METRICS["recall"].undefined
    assert "independently of the model" in ASSUMPTION


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
    holds = exact_limits_hold(METRICS[name], at_least=0.2, at_most=0.97)
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
    found = breaking_point(counts, exact_limits_hold(METRICS["recall"], at_least=0.85))
    assert found is not None
    assert 0 < found < 20
    assert breaking_point(counts, exact_limits_hold(METRICS["recall"], at_least=0.99)) == 0
    assert breaking_point(counts, exact_limits_hold(METRICS["accuracy"], at_least=0.0)) is None


def test_breaking_accuracy_is_where_the_corrected_limit_crosses() -> None:
    counts = np.array([190, 60, 15, 800])
    found = breaking_accuracy(METRICS["precision"], counts, at_most=0.85)
    assert found is not None
    before = corrected_metric(METRICS["precision"], counts, found + 0.001, found + 0.001)
    after = corrected_metric(METRICS["precision"], counts, found, found)
    assert before.high is not None
    assert after.high is not None
    assert before.high <= 0.85 < after.high
    assert breaking_accuracy(METRICS["recall"], counts, at_least=0.99) == 1
    assert breaking_accuracy(METRICS["recall"], counts, at_least=0.5) is None


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
