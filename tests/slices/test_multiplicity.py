"""Levels and adjusted p-values, against statsmodels."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from slices.multiplicity import adjust, bonferroni_level


@pytest.mark.parametrize("method", ["holm", "fdr_bh"])
@pytest.mark.parametrize("size", [1, 2, 40])
def test_adjusted_p_values_against_statsmodels(method, size):
    p = np.round(np.random.default_rng(size).beta(0.3, 1, size), 3)
    np.testing.assert_allclose(adjust(p, method), multipletests(p, method=method)[1], atol=1e-12)


def test_what_was_not_tested_is_not_counted():
    p = np.array([0.01, np.nan, 0.04])
    np.testing.assert_allclose(adjust(p, "holm"), [0.02, np.nan, 0.04])
    assert np.all(np.isnan(adjust([np.nan, np.nan], "fdr_bh")))


def test_bonferroni():
    assert bonferroni_level(0.05, 10) == pytest.approx(0.005)
    assert bonferroni_level(0.05, 0) == 0.05


def test_garbage_collection_is_left_as_it_was() -> None:
    adjust([0.01, 0.02], "holm")
    assert gc.get_freeze_count() == 0
    gc.freeze()
    try:
        adjust([0.01, 0.02], "holm")
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
