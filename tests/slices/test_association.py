"""Bias-corrected Cramér's V against scipy's chi-squared and its known ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import chi2_contingency
from scipy.stats.contingency import association

from slices.supplements.association import cramers_v

TABLES = arrays(np.int64, st.tuples(st.integers(2, 5), st.integers(2, 5)), elements=st.integers(0, 50))


@given(TABLES)
def test_against_scipys_chi_squared(table: np.ndarray) -> None:
    assume((table.sum(0) > 0).all() and (table.sum(1) > 0).all() and table.sum() > 30)
    n, (r, k) = table.sum(), table.shape
    phi = max(0, chi2_contingency(table, correction=False).statistic / n - (r - 1) * (k - 1) / (n - 1))
    expected = np.sqrt(phi / min(r - (r - 1) ** 2 / (n - 1) - 1, k - (k - 1) ** 2 / (n - 1) - 1))
    assert cramers_v(table) == pytest.approx(min(1, expected), abs=1e-9)


@given(TABLES)
def test_renaming_and_turning_change_nothing(table: np.ndarray) -> None:
    found = cramers_v(table)
    for other in (table.T, table[::-1], np.pad(table, ((0, 1), (0, 2)))):
        assert cramers_v(other) == (None if found is None else pytest.approx(found, abs=1e-9))


def test_large_table_agrees_with_the_plain_one() -> None:
    table = np.array([[9000, 1000], [2000, 8000]])
    assert cramers_v(table) == pytest.approx(association(table, method="cramer", correction=False), abs=1e-3)


def test_one_settles_the_other() -> None:
    assert cramers_v(np.diag([40, 50, 60])) == pytest.approx(1)


def test_one_value_is_undefined() -> None:
    assert cramers_v(np.array([[5, 6], [0, 0]])) is None
    assert cramers_v(np.array([[1, 0], [0, 0]])) is None
    # Two rows of two values each: the correction leaves nothing to divide by.
    assert cramers_v(np.array([[1, 0], [0, 1]])) is None
