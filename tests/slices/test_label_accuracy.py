"""Label accuracy: expected counts forwards and back, coverage by simulation, clusters and weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from slices.counts import WeightedCells
from slices.metrics import METRICS
from slices.supplements.label_accuracy import (
    ALWAYS_RIGHT,
    LabelAccuracy,
    Sample,
    breaking_accuracy,
    corrected_counts,
    corrected_metric,
    expected_wrong,
    samples,
)
from tests.slices.tables import binary, clustered

RATES = st.floats(0.7, 1)


def sample(*counts: float) -> Sample:
    return Sample(np.array(counts, dtype=float))


def labelled(truth: np.ndarray, accuracy: LabelAccuracy) -> np.ndarray:
    """Counts against labels that are expected when the counts against the truth are these."""
    tp, fp, fn, tn = truth
    right, false = accuracy.sensitivity, 1 - accuracy.specificity
    return np.array(
        [
            right * tp + false * fp,
            (1 - right) * tp + (1 - false) * fp,
            right * fn + false * tn,
            (1 - right) * fn + (1 - false) * tn,
        ]
    )


@given(arrays(float, 4, elements=st.floats(0, 500)), RATES, RATES)
def test_correction_undoes_the_noise(truth: np.ndarray, sensitivity: float, specificity: float) -> None:
    accuracy = LabelAccuracy(sensitivity, specificity)
    observed = labelled(truth, accuracy)
    assert corrected_counts(observed, accuracy) == pytest.approx(truth, abs=1e-6)
    wrong = (1 - sensitivity) * (truth[0] + truth[2]) + (1 - specificity) * (truth[1] + truth[3])
    assert expected_wrong(observed, accuracy) == pytest.approx(wrong, abs=1e-6)


@given(arrays(float, (3, 4), elements=st.floats(0, 500)))
def test_perfect_labels_change_nothing(counts: np.ndarray) -> None:
    assert corrected_counts(counts, ALWAYS_RIGHT) == pytest.approx(counts)


def test_rogan_gladen_by_hand() -> None:
    # 60 of 100 calls labelled positive, sensitivity .9, specificity .8: (60 - 20) / .7.
    counts = corrected_counts(np.array([60, 40, 0, 0]), LabelAccuracy(0.9, 0.8))
    assert counts[0] == pytest.approx(40 / 0.7)


def covered(name: str, draw, accuracy: LabelAccuracy, truth: float, runs: int) -> float:  # type: ignore[no-untyped-def]
    hits = 0
    for _ in range(runs):
        found = corrected_metric(METRICS[name], draw(), accuracy)
        assert found.low is not None
        assert found.high is not None
        assert found.low < found.high
        hits += found.low <= truth <= found.high
    return hits / runs


@pytest.mark.parametrize(
    "name", ["precision", "recall", "fpr", "f1", "balanced_accuracy", "mcc", "prevalence"]
)
def test_small_coverage_of_the_truth(name: str) -> None:
    """400 logs of 800 rows, labels 92% sensitive and 95% specific: 95% less three Monte Carlo errors."""
    rng = np.random.default_rng(0)
    shares, accuracy = np.array([0.30, 0.10, 0.06, 0.54]), LabelAccuracy(0.92, 0.95)
    truth = float(METRICS[name].of(shares))
    chances = labelled(shares, accuracy)
    share = covered(name, lambda: sample(*rng.multinomial(800, chances)), accuracy, truth, 400)
    assert share >= 0.917


@pytest.mark.parametrize("name", ["recall", "precision"])
def test_small_coverage_between_patients(name: str) -> None:
    """120 patients of 6 images, the model's calls alike within each: naive limits would cover some 80%."""
    rng = np.random.default_rng(1)
    accuracy, truth = LabelAccuracy(0.95, 0.97), {"recall": 0.8, "precision": 0.8}[name]

    def draw() -> Sample:
        skill, sick = rng.beta(1.6, 0.4, 120), rng.random((120, 6)) < 0.4
        right = rng.random((120, 6)) < skill[:, None]
        # False alarms in step with the misses: precision .4 * .8 / (.4 * .8 + .6 * 2 / 15) = .8.
        called = np.where(sick, right, rng.random((120, 6)) < (2 / 3) * (1 - skill[:, None]))
        wrong = rng.random((120, 6)) < np.where(sick, 0.05, 0.03)
        label = sick ^ wrong
        each = np.stack(
            [(label & called), (~label & called), (label & ~called), (~label & ~called)], axis=-1
        ).sum(1)
        return Sample(each.sum(0).astype(float), clusters=each.astype(float), times=np.ones(120))

    assert covered(name, draw, accuracy, truth, 300) >= 0.95 - 0.038


def test_clusters_of_one_row_are_rows_and_copies_of_rows_tell_nothing() -> None:
    counts = np.array([90, 20, 12, 300])
    rows = np.repeat(np.eye(4), counts, axis=0)
    accuracy = LabelAccuracy(0.95, 0.98)
    plain = corrected_metric(METRICS["recall"], sample(*counts), accuracy)
    one, four = (
        corrected_metric(
            METRICS["recall"],
            Sample(times * counts.astype(float), clusters=times * rows, times=np.ones(422)),
            accuracy,
        )
        for times in (1, 4)
    )
    assert four.value == pytest.approx(plain.value)
    assert (four.low, four.high) == pytest.approx((one.low, one.high))
    assert one.high - one.low == pytest.approx(plain.high - plain.low, rel=0.05)  # type: ignore[operator]


def test_weights_enter_by_their_squares() -> None:
    """All weights alike: the interval of the rows, whatever the weights. Unequal ones widen it."""
    counts, accuracy = np.array([90.0, 20.0, 40.0, 300.0]), LabelAccuracy(0.95, 0.98)
    for name in ("recall", "precision"):
        plain = corrected_metric(METRICS[name], Sample(counts), accuracy)
        alike = corrected_metric(METRICS[name], Sample(3 * counts, 9 * counts, counts), accuracy)
        assert (alike.value, alike.low, alike.high) == pytest.approx((plain.value, plain.low, plain.high))
        unequal = corrected_metric(METRICS[name], Sample(counts, 2 * counts, counts), accuracy)
        assert unequal.high - unequal.low > 1.3 * (plain.high - plain.low)  # type: ignore[operator]
        lucky = corrected_metric(METRICS[name], Sample(counts, 0.2 * counts, counts), accuracy)
        assert (lucky.low, lucky.high) == pytest.approx((plain.low, plain.high)), "never above the rows"


def test_samples_are_the_slices_own_rows() -> None:
    log = binary(a=(40, 5, 10, 45), b=(80, 9, 12, 90))
    (inside,), (outside,) = (samples(log, log.slices[1], outside=side) for side in (False, True))
    assert inside.counts.tolist() == [40, 5, 10, 45]
    assert outside.counts.tolist() == [80, 9, 12, 90]
    weighted = replace(
        log,
        slices=tuple(
            replace(
                one,
                weighted=WeightedCells(
                    *(2.0**power * side for power in (1, 2, 4) for side in (one.inside, one.outside))
                ),
            )
            for one in log.slices
        ),
    )
    (found,) = samples(weighted, weighted.slices[1])
    assert found.counts.tolist() == [40, 5, 10, 45], "weights are on average 1 a row"
    assert found.squares is not None
    assert found.squares.tolist() == [40, 5, 10, 45]
    tables = np.array([[3, 0, 1, 0], [0, 2, 0, 2], [0, 0, 0, 0], [1, 1, 1, 1]])
    patients = clustered(tables, np.array([True, True, False, False]))
    (found,) = samples(patients, patients.slices[1])
    assert found.clusters is not None
    assert (found.times @ found.clusters).tolist() == [3, 2, 1, 2]


def test_uncorrected_error_widens_with_worse_labels() -> None:
    counts = sample(90, 20, 12, 300)
    sharp, dull = (corrected_metric(METRICS["precision"], counts, LabelAccuracy(s, s)) for s in (1, 0.97))
    assert dull.high - dull.low > sharp.high - sharp.low  # type: ignore[operator]


def test_a_share_that_wrong_labels_cannot_touch_has_exact_limits() -> None:
    """No miss, and no negative labelled positive: recall 50 of 50 whatever the sensitivity."""
    for sensitivity in (1, 0.9):
        end = corrected_metric(METRICS["recall"], sample(50, 0, 0, 90), LabelAccuracy(sensitivity, 1))
        assert end.value == pytest.approx(1)
        assert end.low == pytest.approx(0.025 ** (sensitivity / 50), abs=1e-6)
        assert end.high == pytest.approx(1)


def test_reasons() -> None:
    with pytest.raises(ValueError, match=r"label sensitivity is 1.2: give a share between 0 and 1"):
        corrected_counts(np.ones(4), LabelAccuracy(1.2, 0.9))
    with pytest.raises(ValueError, match=r"sensitivity 0.5 and specificity 0.5 are no better than chance"):
        corrected_counts(np.ones(4), LabelAccuracy(0.5, 0.5))
    contradiction = (
        "Labels with sensitivity 0.9 and specificity 0.8 would put the figure outside its range: "
        "the stated accuracies do not fit this slice."
    )
    poor = LabelAccuracy(0.9, 0.8)
    assert corrected_metric(METRICS["recall"], sample(50, 0, 1, 900), poor).undefined == contradiction
    assert corrected_metric(METRICS["precision"], sample(1, 99, 5, 5), poor).undefined == contradiction
    empty = corrected_metric(METRICS["precision"], sample(0, 0, 5, 5), poor)
    assert empty.undefined == METRICS["precision"].undefined
    nothing = corrected_metric(METRICS["recall"], sample(0, 10, 0, 90), ALWAYS_RIGHT)
    assert nothing.undefined == METRICS["recall"].undefined
    no_spread = corrected_metric(METRICS["balanced_accuracy"], sample(50, 0, 0, 90), ALWAYS_RIGHT)
    assert "has no spread: no limits" in str(no_spread.undefined)


def test_an_empty_cell_of_a_small_slice_is_no_contradiction() -> None:
    """0 of 24 false alarms are likely enough with labels 97% specific: not outside by chance alone."""
    found = corrected_metric(METRICS["fpr"], sample(6, 0, 1, 24), LabelAccuracy(0.98, 0.97))
    assert found.undefined is None
    assert found.low == 0
    assert found.high is not None
    assert 0 < found.high < 0.3


@pytest.mark.parametrize("name", ["recall", "fpr", "specificity", "f1", "balanced_accuracy", "mcc"])
def test_few_rows_without_an_error_tell_little(name: str) -> None:
    """2 hits and 2 right rejections: limits as wide as those of labels that are right, or wider."""
    found = corrected_metric(METRICS[name], sample(2, 0, 0, 2), LabelAccuracy(0.95, 0.97))
    assert found.low is not None
    assert found.high is not None
    if name in ("mcc", "balanced_accuracy"):
        assert found.high - found.low > 0.5
    else:
        # Exact limits of 0 of 2, or of 2 of 2 (0.84), F1 from them (0.73).
        assert found.high - found.low > 0.7


def test_rows_without_weight_are_not_no_rows() -> None:
    rows = np.array([5.0, 4, 3, 2])
    for name in ("recall", "precision", "mcc"):
        found = corrected_metric(
            METRICS[name], Sample(np.zeros(4), np.zeros(4), rows), LabelAccuracy(0.95, 0.97)
        )
        assert found.undefined == "weights sum to 0"


def test_a_figure_without_spread_stays_in_its_range() -> None:
    for counts, value in (((20, 0, 0, 0), 1), ((0, 10, 0, 10), 0)):
        found = corrected_metric(METRICS["f1"], sample(*counts), LabelAccuracy(0.95, 0.97))
        assert found.value == value
        assert found.low is not None
        assert found.high is not None
        assert 0 <= found.low <= value <= found.high <= 1
        assert found.low < found.high


@pytest.mark.parametrize(
    ("name", "positives", "negatives"),
    [
        ("fpr", 20, 30),
        ("recall", 30, 60),
        ("specificity", 30, 60),
        ("f1", 20, 60),
        ("balanced_accuracy", 30, 60),
    ],
)
def test_small_coverage_near_the_end_of_the_range(name: str, positives: int, negatives: int) -> None:
    """Recall .95 and false alarms .04 in slices of 50 to 90 rows: 95% less three Monte Carlo errors.

    Linearised limits alone covered 82 to 87%.
    """
    rng = np.random.default_rng(2)
    accuracy, rows = LabelAccuracy(0.95, 0.97), positives + negatives
    shares = np.array([0.95 * positives, 0.04 * negatives, 0.05 * positives, 0.96 * negatives]) / rows
    truth, chances = float(METRICS[name].of(shares)), labelled(shares, accuracy)
    hits = seen = 0
    for _ in range(500):
        found = corrected_metric(METRICS[name], sample(*rng.multinomial(rows, chances)), accuracy)
        if found.low is not None and found.high is not None:
            seen += 1
            hits += found.low <= truth <= found.high
    assert seen >= 485
    assert hits / seen >= 0.95 - 0.03


def test_breaking_accuracy_is_where_the_corrected_limit_crosses() -> None:
    counts = sample(190, 60, 15, 800)

    def below(limit: float):  # type: ignore[no-untyped-def]
        def holds(accuracy: LabelAccuracy) -> bool | None:
            found = corrected_metric(METRICS["precision"], counts, accuracy)
            return None if found.high is None else found.high <= limit

        return holds

    found = breaking_accuracy(below(0.85))
    assert found is not None
    assert below(0.85)(LabelAccuracy(found + 0.0001, found + 0.0001))
    assert not below(0.85)(LabelAccuracy(found, found))
    assert breaking_accuracy(below(0.5)) == 1, "not even right labels meet it"
    assert breaking_accuracy(below(1.0)) is None
