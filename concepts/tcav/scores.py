"""TCAV scores by algebra on Gram matrices: from drawn sets to derivatives, scores and effects.

``K = A A^T`` holds the training images' inner products, ``C = G A^T`` those of the scored images' logit
gradients with them; a vector ``w = sum_i alpha_i a_i`` then has the derivatives ``S = C alpha``. What the
figures mean is decided here; whether they differ from chance is decided in `concepts.tcav.testing`.

References
----------
Kim et al. (2018), Interpretability beyond feature attribution (TCAV), sections 3.3 and 3.4.
Schnoor et al. (2026), alpha-TCAV: a unified framework for testing with CAVs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from concepts.tcav.cavs import Floats, Solver, solve
from concepts.tcav.sets import Draws, Rows

#: Bytes of small kernels gathered at once.
BATCH_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Directions:
    """The vectors of all sets: two a cut, flattened in the order set, cut, half.

    ``rows``: int64 array, shape (vectors, m), rows of the activation table, the concept's half first;
    ``alpha``: shape (vectors, m); ``intercept``, ``length`` (norm of w), ``distance`` (concept mean minus
    negatives' mean along w / |w|): shape (vectors,); ``held_out``: the other half's projections
    ``w a + intercept``, shape (vectors, m), concept's half first; ``cosines``: cosine of the two vectors
    of each cut, shape (sets, splits); ``sets``: number of sets.
    """

    rows: Rows
    alpha: Floats
    intercept: Floats
    length: Floats
    distance: Floats
    held_out: Floats
    cosines: Floats
    sets: int

    @property
    def vectors_a_set(self) -> int:
        return len(self.rows) // self.sets


def train_directions(kernel: Floats, draws: Draws, *, solver: Solver) -> Directions:
    """Train the two vectors of each cut of each set.

    Parameters
    ----------
    kernel : float64 array, shape (rows, rows)
    draws : Draws
    solver
        See `concepts.tcav.cavs.solve`.

    Returns
    -------
    Directions
    """
    sets, splits, _, half = draws.positives.shape
    size = 2 * half
    rows = np.concatenate([draws.positives, draws.negatives], axis=3).reshape(-1, size)
    targets = np.where(np.arange(size) < half, 1.0, -1.0)
    contrast = targets / half  # mean of the concept's half minus mean of the negatives'
    batch = 2 * max(1, BATCH_BYTES // (8 * 3 * size**2))
    parts: list[tuple[Floats, ...]] = []
    for start in range(0, len(rows), batch):
        own_rows = rows[start : start + batch]  # the two halves of a cut follow each other
        own = _gather(kernel, own_rows, own_rows)
        across = _gather(kernel, own_rows[::2], own_rows[1::2])
        cavs = solve(own, np.broadcast_to(targets, own_rows.shape), solver=solver)
        alpha = cavs.alpha
        projected = np.matmul(own, alpha[..., None])[..., 0]
        length = np.sqrt(np.maximum((alpha * projected).sum(1), 0.0))
        safe = np.where(length > 0, length, 1.0)
        # Each vector of a cut on the rows of the other.
        seen = np.empty_like(projected)
        seen[::2] = np.matmul(alpha[::2, None, :], across)[:, 0]
        seen[1::2] = np.matmul(across, alpha[1::2, :, None])[..., 0]
        cosine = (seen[::2] * alpha[1::2]).sum(1) / (safe[::2] * safe[1::2])
        parts.append(
            (
                alpha,
                cavs.intercept,
                length,
                projected @ contrast / safe,
                seen + cavs.intercept[:, None],
                cosine,
            )
        )
    alpha, intercept, length, distance, held_out, cosine = (
        np.concatenate([part[i] for part in parts]) for i in range(6)
    )
    return Directions(
        rows=rows,
        alpha=alpha,
        intercept=intercept,
        length=length,
        distance=distance,
        held_out=held_out,
        cosines=cosine.reshape(sets, splits),
        sets=sets,
    )


def _gather(kernel: Floats, left: Rows, right: Rows) -> Floats:
    """Blocks ``kernel[left_i, right_j]``, one a batch row; ``take`` is twice as fast as indexing."""
    return np.take(kernel.ravel(), left[:, :, None] * len(kernel) + right[:, None, :])


def derivatives(products: Floats, rows: Rows, alpha: Floats, length: Floats | None = None) -> Floats:
    """Logit derivatives along each vector, ``S = C alpha`` (over ``|w|`` where ``length`` is given).

    Parameters
    ----------
    products : float64 array, shape (images, table rows)
    rows, alpha : arrays, shape (vectors, m)
    length : float64 array, shape (vectors,), optional

    Returns
    -------
    float64 array, shape (images, vectors)
    """
    values = products @ spread(rows, alpha, products.shape[1]).T
    if length is not None:
        values /= np.where(length > 0, length, 1.0)
    return values


def spread(rows: Rows, alpha: Floats, width: int) -> Floats:
    """Dual weights as rows over the whole table, shape (vectors, width); a row drawn twice adds up."""
    vectors = len(rows)
    places = (np.arange(vectors)[:, None] * width + rows).ravel()
    flat = np.bincount(places, weights=alpha.ravel(), minlength=vectors * width)
    return np.asarray(flat, dtype=np.float64).reshape(vectors, width)


def effect_weights(directions: Directions, width: int) -> Floats:
    """Each set's weights b such that ``C b`` is every image's effect, in logits.

    The effect along one vector is (derivative along w / |w|) x (concept minus negatives along w / |w|): by
    how much the logit would change, to first order, for a step as long as what separates the concept from
    its negatives. A set's effect is the mean over its vectors. It is linear in C, so the mean over any
    slice of images costs no further pass.

    Returns
    -------
    float64 array, shape (sets, width)
    """
    scale = directions.distance / np.where(directions.length > 0, directions.length, 1.0)
    each = directions.alpha * (scale / directions.vectors_a_set)[:, None]
    rows = directions.rows.reshape(directions.sets, -1)
    return spread(rows, each.reshape(directions.sets, -1), width)


def consensus_weights(directions: Directions, width: int) -> Floats:
    """Each set's mean unit vector in dual form, shape (sets, width); for cosines between concepts."""
    unit = directions.alpha / np.where(directions.length > 0, directions.length, 1.0)[:, None]
    rows = directions.rows.reshape(directions.sets, -1)
    return spread(rows, (unit / directions.vectors_a_set).reshape(directions.sets, -1), width)


def sign_count(values: NDArray[np.float64], weights: Floats | None = None) -> Floats:
    """Share of images with a positive derivative among those whose derivative is not zero.

    Parameters
    ----------
    values : float64 array, shape (images, vectors)
    weights : float64 array, shape (images,), optional

    Returns
    -------
    float64 array, shape (vectors,); NaN where every derivative is zero (callers give a reason instead)

    References
    ----------
    Kim et al. (2018), equation 2, with zeros apart: a derivative of zero is neither for nor against.
    """
    mass = np.ones(len(values)) if weights is None else weights
    above, below = mass @ (values > 0), mass @ (values < 0)
    counted = above + below
    return np.where(counted > 0, above / np.where(counted > 0, counted, 1.0), np.nan)


def magnitude(values: NDArray[np.float64]) -> Floats:
    """Mean derivative of each vector over images, shape (vectors,): Captum's ``magnitude``."""
    return np.asarray(values.mean(0), dtype=np.float64)


def smooth(values: NDArray[np.float64], spread_of_values: NDArray[np.float64]) -> float | None:
    """Sign count with each image's sign replaced by its chance, ``mean_i Phi(s_i / sd_i)`` (alpha-TCAV).

    The slope is not chosen by hand: ``sd_i`` is the standard deviation of image i's effect over resampled
    concept sets, so that the score is the sign count expected from another draw of the sets.

    Parameters
    ----------
    values : float64 array, shape (images,)
        Effects.
    spread_of_values : float64 array, shape (images,)
        Their standard deviations.

    Returns
    -------
    float, or None where every effect is zero
    """
    from scipy.special import ndtr

    counted = (values != 0) | (spread_of_values > 0)
    if not counted.any():
        return None
    sd = np.maximum(spread_of_values[counted], np.finfo(np.float64).tiny)
    return float(ndtr(np.clip(values[counted] / sd, -40, 40)).mean())
