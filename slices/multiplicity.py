"""Multiplicity: the level at which many intervals hold jointly, and adjusted p-values.

It supplies levels only; the limits at that level are exact ones (``slices.estimates.selection``), since with
normal or bootstrap tails the family-wise error is far above nominal for rare errors.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def bonferroni_level(alpha: float, family: int) -> float:
    """Each quantity's ``alpha`` so that all intervals of a family hold with 1 - ``alpha``.

    Examples
    --------
    >>> bonferroni_level(0.05, 10)
    0.005
    """
    return alpha / max(family, 1)


def adjust(p_values: ArrayLike, method: Literal["holm", "fdr_bh"]) -> Array:
    """Adjusted p-values over one family, by statsmodels; NaN (no test) stays NaN and is not counted.

    Parameters
    ----------
    p_values : array_like
        Of any shape; all of them are one family.
    method : holm | fdr_bh
        Family-wise error (Holm 1979) or false discovery rate (Benjamini & Hochberg 1995). A family
        is the caller's: one metric with all its slices and classes, or all comparisons with a baseline.

    Examples
    --------
    >>> adjust([0.01, 0.02, 0.5], "holm").tolist(), adjust([0.125, 0.25, 0.5], "fdr_bh").tolist()
    ([0.03, 0.04, 0.5], [0.375, 0.375, 0.5])
    """
    from statsmodels.stats.multitest import fdrcorrection, multipletests

    p = np.asarray(p_values, dtype=np.float64)
    result = np.full(p.shape, np.nan)
    tested = np.isfinite(p)
    if np.any(tested):
        with _nothing_to_collect():
            found = (
                fdrcorrection(p[tested]) if method == "fdr_bh" else multipletests(p[tested], method=method)
            )
        result[tested] = found[1]
    return result


@contextmanager
def _nothing_to_collect() -> Iterator[None]:
    """What is alive is passed over by the garbage collection that statsmodels asks for at every Holm's.

    It looked at each object of the process, a fifth of a second a call where torch is loaded.
    """
    if gc.get_freeze_count():  # somebody else's, which unfreezing would undo
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
