"""Metrics against scikit-learn and fairlearn, their aliases, reasons and derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from fairlearn.metrics import MetricFrame
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from slices.errors import LogError
from slices.metrics import METRICS, POOLED, canonical, gradient

TABLES = st.tuples(*[st.integers(0, 50)] * 4)

ORACLES = {
    "precision": lambda y, p: sk.precision_score(y, p),
    "recall": lambda y, p: sk.recall_score(y, p),
    "specificity": lambda y, p: sk.recall_score(y, p, pos_label=0),
    "npv": lambda y, p: sk.precision_score(y, p, pos_label=0),
    "fpr": lambda y, p: 1 - sk.recall_score(y, p, pos_label=0),
    "fnr": lambda y, p: 1 - sk.recall_score(y, p),
    "f1": lambda y, p: sk.f1_score(y, p),
    "accuracy": lambda y, p: sk.accuracy_score(y, p),
    "balanced_accuracy": lambda y, p: sk.balanced_accuracy_score(y, p),
    "mcc": lambda y, p: sk.matthews_corrcoef(y, p),
    "selection_rate": lambda y, p: float(np.mean(p)),
    "prevalence": lambda y, p: float(np.mean(y)),
}


def rows(tp, fp, fn, tn):
    labels = [1] * tp + [0] * fp + [1] * fn + [0] * tn
    predictions = [1] * (tp + fp) + [0] * (fn + tn)
    return np.array(labels), np.array(predictions)


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("table", [(30, 4, 7, 60), (1, 9, 2, 3), (12, 1, 1, 1)])
def test_point_values_against_scikit_learn(name, table):
    assert float(METRICS[name].of(np.array(table))) == pytest.approx(ORACLES[name](*rows(*table)), abs=1e-12)


def test_point_values_by_group_against_fairlearn():
    rng = np.random.default_rng(1)
    labels, predictions, group = rng.integers(0, 2, 500), rng.integers(0, 2, 500), rng.integers(0, 3, 500)
    frame = MetricFrame(
        metrics={name: ORACLES[name] for name in ("recall", "fpr", "precision", "selection_rate")},
        y_true=labels,
        y_pred=predictions,
        sensitive_features=group,
    )
    for value in range(3):
        here = group == value
        table = np.array(
            [
                np.sum((labels[here] == y) & (predictions[here] == p))
                for p, y in ((1, 1), (1, 0), (0, 1), (0, 0))
            ]
        )
        for name in frame.by_group.columns:
            assert float(METRICS[name].of(table)) == pytest.approx(frame.by_group.loc[value, name])


@given(TABLES, st.sampled_from(sorted(ORACLES)))
def test_undefined_exactly_where_the_denominator_is_empty_and_inside_the_range_elsewhere(table, name):
    metric = METRICS[name]
    counts = np.array(table)
    value = float(metric.of(counts))
    assert np.isfinite(value) == (metric.support(counts) > 0)
    if np.isfinite(value):
        assert metric.lowest - 1e-12 <= value <= metric.highest + 1e-12
    assert metric.undefined


@given(st.tuples(*[st.integers(1, 50)] * 4), st.sampled_from(sorted(ORACLES)))
def test_gradient_against_differences(table, name):
    metric, counts = METRICS[name], np.array(table, dtype=float)
    step = 1e-5
    numeric = [(metric.of(counts + step * e) - metric.of(counts - step * e)) / (2 * step) for e in np.eye(4)]
    np.testing.assert_allclose(gradient(metric, counts), numeric, atol=1e-7)
    # Homogeneous of degree 0: the influences of all rows sum to 0.
    assert float(gradient(metric, counts) @ counts) == pytest.approx(0, abs=1e-12)


def test_f1_is_a_rising_function_of_its_proportion():
    counts = np.array([30, 4, 7, 60])
    metric = METRICS["f1"]
    proportion = metric.count(counts) / metric.trials(counts)
    assert float(metric.from_proportion(proportion)) == pytest.approx(float(metric.of(counts)))


def class_tables(labels, predictions, classes):
    tables = []
    for k in classes:
        yes, said = labels == k, predictions == k
        tables.append([np.sum(yes & said), np.sum(~yes & said), np.sum(yes & ~said), np.sum(~yes & ~said)])
    return np.array(tables)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_figures_over_classes_against_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, 300)
    predictions = np.where(rng.random(300) < 0.6, labels, rng.integers(0, 4, 300))
    tables = class_tables(labels, predictions, range(4))
    expected = {
        "accuracy": sk.accuracy_score(labels, predictions),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, predictions),
        "mcc": sk.matthews_corrcoef(labels, predictions),
    }
    for how in ("macro", "micro"):
        expected[f"{how}_precision"] = sk.precision_score(labels, predictions, average=how)
        expected[f"{how}_recall"] = sk.recall_score(labels, predictions, average=how)
        expected[f"{how}_f1"] = sk.f1_score(labels, predictions, average=how)
    for name, value in expected.items():
        assert float(POOLED[name].of(tables)) == pytest.approx(value, abs=1e-12), name


def test_abstentions_are_wrong_predictions_of_no_class():
    labels = np.array([0, 0, 1, 1, 1, 2])
    predictions = np.array([0, 9, 1, 1, 9, 2])
    tables = class_tables(labels, predictions, range(3))
    assert float(POOLED["accuracy"].of(tables)) == pytest.approx(4 / 6)
    assert float(POOLED["mcc"].of(tables)) == pytest.approx(sk.matthews_corrcoef(labels, predictions))
    assert float(POOLED["micro_precision"].of(tables)) == 1


def test_macro_is_over_the_classes_where_it_is_defined():
    tables = np.array([[3, 1, 1, 5], [0, 0, 0, 10], [2, 2, 0, 6]])
    metric = POOLED["macro_recall"]
    assert float(metric.of(tables)) == pytest.approx((3 / 4 + 1) / 2)
    assert float(metric.support(tables)) == 2


def test_pooled_gradient_against_differences():
    tables = np.array([[30, 4, 7, 59], [20, 6, 5, 69], [22, 9, 7, 62]], dtype=float)
    for metric in POOLED.values():
        ours = metric.gradient(tables)
        step = 1e-5
        for place in np.ndindex(3, 4):
            moved = np.zeros((3, 4))
            moved[place] = step
            numeric = (metric.of(tables + moved) - metric.of(tables - moved)) / (2 * step)
            assert ours[place] == pytest.approx(float(numeric), abs=1e-7), metric.name


@pytest.mark.parametrize(
    ("written", "key"),
    [("TPR", "recall"), ("sensitivity", "recall"), ("ppv", "precision"), ("macro_f1", "macro_f1")],
)
def test_aliases(written, key):
    assert canonical(written) == key


def test_an_unknown_metric_is_named_with_what_there_is():
    with pytest.raises(LogError, match=r"Metric 'recal' is not known; known are: .*Did you mean 'recall'\?"):
        canonical("recal")


def test_score_metrics_have_no_counts():
    with pytest.raises(LogError, match="made from scores"):
        gradient(METRICS["auroc"], np.ones(4))
