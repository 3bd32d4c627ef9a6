"""Bands: a numeric attribute cut at stated points, and what each band is called."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


def band_of(numbers: NDArray[np.float64], cuts: Sequence[float]) -> NDArray[np.intp]:
    """The band of each number: 0 below the first cut, ``len(cuts)`` from the last on.

    A band is closed below and open above.

    Examples
    --------
    >>> band_of(np.array([17.0, 18.0, 64.9, 65.0]), (18, 65)).tolist()
    [0, 1, 1, 2]
    """
    return np.searchsorted(np.asarray(cuts, dtype=np.float64), numbers, side="right")


def band_names(cuts: Sequence[float], *, whole: bool) -> tuple[str, ...]:
    """What each band is called.

    Parameters
    ----------
    cuts : ascending sequence of float
    whole : bool
        Every value of the column is a whole number; then ``[18, 40)`` is written ``18-39``.

    Examples
    --------
    >>> band_names((18, 40, 65), whole=True)
    ('<18', '18-39', '40-64', '65+')
    >>> band_names((0.5, 1), whole=False)
    ('<0.5', '[0.5, 1)', '1+')
    """
    whole = whole and all(float(cut).is_integer() for cut in cuts)
    inner = []
    for low, high in pairwise(cuts):
        if not whole:
            inner.append(f"[{_written(low)}, {_written(high)})")
        elif high - low == 1:
            inner.append(_written(low))
        else:
            inner.append(f"{_written(low)}-{_written(high - 1)}")
    return (f"<{_written(cuts[0])}", *inner, f"{_written(cuts[-1])}+")


def _written(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else repr(float(number))
