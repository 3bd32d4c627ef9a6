"""Degrees of freedom of a variance between clusters, from how unequally the clusters carry it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FEWEST = 4.0


def satterthwaite_degrees(
    influence: NDArray[np.float64], multiplicity: NDArray[np.integer] | None = None
) -> float:
    """Effective degrees of freedom of the sum of squared cluster influences.

    The variance of an estimate among m clusters has m - 1 degrees of freedom where all carry it
    alike. Where a few bad patients carry most of it (rare errors, strong correlation), it is as
    uncertain as one of those few: matching its second moment gives
    2 / (sum e^4 / (sum e^2)^2 - 1 / m). Never below 4, where the matching itself breaks down, nor
    above m - 1.

    Parameters
    ----------
    influence : float64 array, shape (patterns,)
        A cluster's influence on the estimate, 0 on average; clusters that do not contribute left out.
    multiplicity : integer array, shape (patterns,), optional
        Clusters with that influence; None: one each.

    Returns
    -------
    float
        At least 1.

    References
    ----------
    Satterthwaite (1946), Biometrics Bulletin 2, 110-114. Korn & Graubard (1999), section 5.2, on
    degrees of freedom for subgroups. Bell & McCaffrey (2002), Survey Methodology 28, 169-181.

    Examples
    --------
    >>> satterthwaite_degrees(np.array([1.0, -1.0] * 20))
    39.0
    >>> round(satterthwaite_degrees(np.array([10.0] * 6 + [-0.6] * 100)), 1)
    14.4
    """
    times = np.ones(influence.size) if multiplicity is None else np.asarray(multiplicity, dtype=np.float64)
    return float(matched_degrees(influence, times, times.sum()))


def matched_degrees(
    influence: NDArray[np.float64], times: NDArray[np.float64], number: ArrayLike
) -> NDArray[np.float64]:
    """`satterthwaite_degrees` of many estimates at once.

    Parameters
    ----------
    influence : float64 array, shape (patterns, ...)
        0 for clusters that do not contribute.
    times : float64 array, shape (patterns,)
        Clusters with that influence.
    number : array_like, shape (...)
        Clusters that contribute.
    """
    clusters = np.maximum(np.asarray(number, dtype=np.float64), 1.0)
    second = np.tensordot(times, influence**2, axes=1)
    # Divided before squared: influences of large logs are tiny, their fourth powers vanish.
    scaled = influence / np.sqrt(np.where(second > 0, second, 1.0))
    # Squared twice: other powers of negative numbers take ten times as long.
    return degrees_of(np.tensordot(times, (scaled**2) ** 2, axes=1), second > 0, clusters)


def degrees_of(
    fourth: NDArray[np.float64], moving: NDArray[np.bool_], number: ArrayLike
) -> NDArray[np.float64]:
    """`matched_degrees` from moments alone.

    Parameters
    ----------
    fourth : float64 array, shape (...)
        Sum of the fourth powers of influences whose squares sum to 1.
    moving : bool array, shape (...)
        Whether there is any influence to scale so.
    number : array_like, shape (...)
        Units that contribute.
    """
    units = np.maximum(np.asarray(number, dtype=np.float64), 1.0)
    most = np.maximum(units - 1, 1.0)
    excess = fourth - 1 / units
    alike = (excess <= 2 / most) | ~moving
    wanted = np.where(alike, most, 2 / np.where(alike, 1.0, excess))
    return np.asarray(np.clip(wanted, np.minimum(FEWEST, most), most))
