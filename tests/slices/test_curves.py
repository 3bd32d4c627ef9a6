"""ROC curve against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import auc
from sklearn.metrics import roc_curve as sklearn_roc

from slices.scores.curves import roc_curve
from slices.scores.ranking import ScoreHistogram, auroc, histogram
from tests.oracles.asah import NDKA, POOR

ROWS = st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=60)


def test_roc_against_scikit_learn() -> None:
    fpr, tpr, threshold = roc_curve(histogram(NDKA, POOR))
    expected = sklearn_roc(POOR, NDKA, drop_intermediate=False)
    assert fpr == pytest.approx(expected[0])
    assert tpr == pytest.approx(expected[1])
    assert threshold[1:] == pytest.approx(expected[2][1:])
    assert auc(fpr, tpr) == pytest.approx(auroc(histogram(NDKA, POOR)).value)


@given(ROWS.filter(lambda rows: 0 < sum(y for _, y in rows) < len(rows)), st.integers(2, 8))
def test_thinned_roc_keeps_its_ends(rows: list[tuple[int, bool]], points: int) -> None:
    counts = histogram(np.array([float(s) for s, _ in rows]), np.array([y for _, y in rows]))
    fpr, tpr, _ = roc_curve(counts, points=points)
    assert fpr.size <= max(points, 2)
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert (np.diff(fpr) >= 0).all()
    assert (np.diff(tpr) >= 0).all()


def test_a_weighted_roc_ends_at_one_exactly() -> None:
    rng = np.random.default_rng(2)
    sums = rng.uniform(0.5, 2, (2, 997)).round(2)
    false, true, _ = roc_curve(ScoreHistogram(np.arange(997.0), sums[0], sums[1]))
    assert np.cumsum(sums[0][::-1])[-1] != sums[0].sum(), "else the test shows nothing"
    assert (false[-1], true[-1]) == (1.0, 1.0)
    assert max(false.max(), true.max()) == 1.0
    assert true[1] == pytest.approx(sums[0][-1] / sums[0].sum())


def test_roc_needs_both_classes() -> None:
    with pytest.raises(ValueError, match="needs both classes, found 0 positives and 3 negatives"):
        roc_curve(histogram(np.arange(3.0), np.zeros(3, dtype=bool)))
