"""Resampling: bootstrap draws of counts, and limits from replicates. Knows no metric by name.

The row bootstrap of any function of counts is a multinomial draw over the occupied cells: the same
law as drawing rows, at a cost that does not depend on their number. Patients are drawn the same way,
over the distinct count vectors that they have.
"""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BLOCK_BYTES = 32 * 2**20
# A quantile with fewer draws beyond it is noise.
FEWEST_IN_TAIL = 50
# Standard errors at which a p-value stops falling: beyond, floating point has no smaller one.
FARTHEST = 36.0


def generator(seed: int, *key: str) -> np.random.Generator:
    """The random generator of one thing that is resampled.

    Parameters
    ----------
    seed : int
        The configured seed.
    *key : str
        Canonical key of what is resampled (a slice's key, its class): the order of slices, rows,
        files and threads changes nothing.
    """
    digest = hashlib.sha256("\x1f".join(key).encode("utf-8", "surrogatepass")).digest()
    words = np.frombuffer(digest, dtype="<u4").tolist()
    return np.random.Generator(np.random.PCG64DXSM(np.random.SeedSequence([seed, *words])))


def resample_counts(counts: NDArray[np.integer], draws: int, rng: np.random.Generator) -> Array:
    """Draw bootstrap replicates of cell counts, rows being the unit.

    Parameters
    ----------
    counts : int array, shape (cells,)
        Rows in each cell; all that is compared belongs into one call (slice and complement).
    draws : int
        Replicates.
    rng : Generator

    Returns
    -------
    float64 array, shape (cells, draws)
        Whole numbers. (Sorting float32 was no faster, and its limits miss short decimals such as .85.)

    References
    ----------
    Efron & Tibshirani (1993), An Introduction to the Bootstrap, section 5.
    """
    flat = np.asarray(counts, dtype=np.int64)
    occupied = np.flatnonzero(flat)
    result = np.zeros((flat.size, draws), dtype=np.float64)
    if occupied.size == 0:
        return result
    # The largest cell last: the multinomial's running remainder then loses no precision.
    occupied = occupied[np.argsort(flat[occupied], kind="stable")]
    total = int(flat.sum())
    probabilities = flat[occupied] / total
    step = max(1, BLOCK_BYTES // (8 * occupied.size))
    for start in range(0, draws, step):
        stop = min(draws, start + step)
        drawn = rng.multinomial(total, probabilities, size=stop - start)
        result[occupied, start:stop] = drawn.T
    return result


def resample_clusters(
    patterns: NDArray[np.generic],
    multiplicity: NDArray[np.integer],
    draws: int,
    rng: np.random.Generator,
) -> Array:
    """Draw bootstrap replicates of summed counts, clusters being the unit.

    Clusters with equal count vectors are exchangeable: drawing how often each distinct vector
    occurs, Multinomial(C, m / C), is drawing C clusters with replacement.

    Parameters
    ----------
    patterns : array, shape (patterns, cells)
        The distinct count vectors (or weighted sums).
    multiplicity : int array, shape (patterns,)
        Clusters with that vector; their sum is the number of clusters C.
    draws : int
    rng : Generator

    Returns
    -------
    float64 array, shape (cells, draws)

    Notes
    -----
    Memory is bounded: replicates are drawn in blocks of at most `BLOCK_BYTES` of multiplicities,
    and a vector of zeros costs nothing (its multiplicity is the remainder).
    """
    values = np.asarray(patterns, dtype=np.float64)
    times = np.asarray(multiplicity, dtype=np.int64)
    empty = ~values.any(axis=1)
    total = int(times.sum())
    order = np.argsort(times[~empty], kind="stable")
    kept, weights = values[~empty][order], times[~empty][order]
    result = np.empty((values.shape[1], draws), dtype=np.float64)
    if kept.shape[0] == 0:
        result[:] = 0
        return result
    probabilities = np.append(weights, times[empty].sum()) / total
    step = max(1, BLOCK_BYTES // (8 * probabilities.size))
    with single_blas_thread():
        for start in range(0, draws, step):
            stop = min(draws, start + step)
            drawn = rng.multinomial(total, probabilities, size=stop - start)[:, :-1]
            result[:, start:stop] = (drawn.astype(np.float64) @ kept).T
    return result


def single_blas_thread() -> AbstractContextManager[object]:
    """Keep small matrix products on one thread: slices are what runs in parallel."""
    from threadpoolctl import threadpool_limits

    limit: AbstractContextManager[object] = threadpool_limits(limits=1, user_api="blas")
    return limit


def acceleration(leave_one_out: Array, times: Array) -> Array:
    """BCa's acceleration from the distinct leave-one-out values and how often each occurs.

    Parameters
    ----------
    leave_one_out : array, shape (..., units)
        Statistic without one unit of each kind; NaN where that leaves it undefined.
    times : array, shape (..., units) or (units,)
        Number of units of each kind.

    References
    ----------
    Efron (1987), J. Am. Stat. Assoc. 82, 171-185, equation 6.6 (jackknife form).
    """
    usable = np.isfinite(leave_one_out) & (times > 0)
    weight = np.where(usable, times, 0.0)
    values = np.where(usable, leave_one_out, 0.0)
    total = np.maximum(weight.sum(-1, keepdims=True), 1)
    pull = (weight * values).sum(-1, keepdims=True) / total - values
    # Products: powers of negative numbers take ten times as long.
    squared = weight * pull * pull
    cubes, squares = (squared * pull).sum(-1), squared.sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(squares > 0, cubes / (6 * squares**1.5), 0.0))


def bias_correction(sorted_replicates: NDArray[np.floating], value: float) -> float:
    """BCa's z0 by mid-ranks: replicates of counts tie with the estimate, half of the ties count."""
    from scipy.special import ndtri

    count = sorted_replicates.size
    rank = mid_rank(sorted_replicates, value)
    # A value outside all replicates has z0 infinite: half a replicate keeps it finite.
    return float(ndtri(min(max(rank, 0.5 / count), 1 - 0.5 / count)))


def mid_rank(sorted_replicates: NDArray[np.floating], value: float) -> float:
    """Share of replicates below ``value``, ties by half."""
    probe = sorted_replicates.dtype.type(value)
    below = sorted_replicates.searchsorted(probe, side="left")
    upto = sorted_replicates.searchsorted(probe, side="right")
    return float(below + upto) / (2 * sorted_replicates.size)


def bca_tails(z0: float, a: float, alpha: float) -> tuple[float, float]:
    """The two tail probabilities that BCa reads replicates at.

    References
    ----------
    Efron & Tibshirani (1993), equation 14.10.
    """
    from scipy.special import ndtr, ndtri

    tails = []
    for z in (ndtri(alpha / 2), -ndtri(alpha / 2)):
        shifted = z0 + z
        tails.append(float(ndtr(z0 + shifted / (1 - a * shifted))))
    return tails[0], tails[1]


def quantile(sorted_replicates: NDArray[np.floating], probability: float) -> float:
    """Quantile of sorted replicates, linear between neighbours (R type 7, NumPy's default)."""
    position = min(max(probability, 0.0), 1.0) * (sorted_replicates.size - 1)
    below = int(position)
    above = min(below + 1, sorted_replicates.size - 1)
    low, high = float(sorted_replicates[below]), float(sorted_replicates[above])
    return low + (position - below) * (high - low)


def percentile_limits(sorted_replicates: NDArray[np.floating], alpha: float) -> tuple[float, float]:
    """Percentile limits (Efron & Tibshirani 1993, equation 13.5)."""
    return quantile(sorted_replicates, alpha / 2), quantile(sorted_replicates, 1 - alpha / 2)


def bca_limits(
    sorted_replicates: NDArray[np.floating], value: float, a: float, alpha: float
) -> tuple[float, float]:
    """Bias-corrected and accelerated limits (Efron & Tibshirani 1993, equation 14.9)."""
    low, high = bca_tails(bias_correction(sorted_replicates, value), a, alpha)
    return quantile(sorted_replicates, low), quantile(sorted_replicates, high)


def bca_p_value(sorted_replicates: NDArray[np.floating], z0: float, a: float, null: float) -> float:
    """Two-sided p-value dual to `bca_limits`: the smallest ``alpha`` whose limits exclude ``null``.

    ``z0`` and ``a`` of 0 give the percentile limits' p-value. Replicates are counted as far as there
    are `FEWEST_IN_TAIL` of them beyond ``null``; further out the tail is the normal one. It starts at
    the last replicate that counts, with the bias and the acceleration corrected there, and falls with
    the distance to ``null`` in bootstrap standard errors: counts alone cannot say less than 2 / draws,
    which no difference could bring through an adjustment for thousands of comparisons. Since limits are
    read only where `FEWEST_IN_TAIL` replicates lie beyond them, both parts are dual to them.

    References
    ----------
    Efron & Tibshirani (1993), section 14.3 (the transformation), section 6.4 (the standard error).
    """
    from scipy.special import ndtr, ndtri

    count = sorted_replicates.size

    def counted(probe: float) -> float:
        rank = min(max(mid_rank(sorted_replicates, probe), 1 / (count + 1)), count / (count + 1))
        shift = float(ndtri(rank)) - z0
        # Not positive: no level's limit reaches as far as the probe.
        scale = 1 + a * shift
        z = shift / scale - z0 if scale > 0 else np.inf
        return float(min(1.0, max(2 * ndtr(-abs(z)), 2 / (count + 1))))

    below = mid_rank(sorted_replicates, null) * count
    fewest = min(FEWEST_IN_TAIL, count // 2)
    beyond = min(below, count - below)
    if beyond >= fewest:
        return counted(null)
    last = float(sorted_replicates[fewest - 1 if below < fewest else count - fewest])
    spread = float(np.std(sorted_replicates, ddof=1))
    distance = abs(last - null) / spread if spread > 0 else 0.0
    z = float(ndtri(counted(last) / 2)) - distance
    p_value = float(2 * ndtr(max(z, -FARTHEST)))
    return min(p_value, counted(null)) if beyond == 0 else p_value
