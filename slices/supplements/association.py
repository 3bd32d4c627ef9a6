"""Association of two attributes: which conditions of the log go together, and so cannot be told apart."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray


def cramers_v(table: NDArray[np.int64]) -> float | None:
    """Bias-corrected Cramér's V: 0 for independent attributes, 1 where one settles the other.

    Parameters
    ----------
    table : int64 array, shape (values of one, values of the other)
        Rows of the log per pair of values; empty rows and columns are left out.

    Returns
    -------
    float or None
        None where either side has fewer than two values with rows, or too few rows to correct.

    References
    ----------
    Bergsma (2013), A bias-correction for Cramér's V and Tschuprow's T, Journal of the Korean
    Statistical Society 42, 323-328. The plain V of independent attributes grows with their values.
    """
    used = table[table.sum(1) > 0][:, table.sum(0) > 0].astype(np.float64)
    rows, columns = used.shape
    total = float(used.sum())
    if rows < 2 or columns < 2 or total < 2:
        return None
    expected = np.outer(used.sum(1), used.sum(0)) / total
    phi = float(((used - expected) ** 2 / expected).sum()) / total
    corrected = max(0.0, phi - (rows - 1) * (columns - 1) / (total - 1))
    smaller = min(rows - (rows - 1) ** 2 / (total - 1), columns - (columns - 1) ** 2 / (total - 1)) - 1
    if smaller <= 0:
        return None
    return min(1.0, sqrt(corrected / smaller))
