"""The calibrated test: is a concept's effect more extreme than the pseudo-concepts'?

The unit is the set. What is compared is |T - median T|, T the mean effect in logits of the concept or of a
pseudo-concept; corrected over the family concept x class x layer by max-T on the joint draws. Median and
scale are taken over the concept and the pseudo-concepts together: where the joint draws are exchangeable the
p-values, adjusted ones too, are then exact. Nothing is known here of vectors or images.

References
----------
Phipson & Smyth (2010), Permutation p-values should never be zero.
Westfall & Young (1993), Resampling-based multiple testing, algorithm 2.5 (single step).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from concepts.errors import ConceptError

Floats = NDArray[np.float64]

#: Rounding of a mean over images; distances this close (relative to the spread) count as ties.
TIE = 1e-9


def significance_level(confidence: float) -> float:
    """1 - confidence without the rounding of binary fractions (1 - 0.95 is a little above 0.05)."""
    return round(1.0 - confidence, 12)


def check_can_reject(pseudo_concepts: int, *, confidence: float) -> None:
    """Refuse a number of pseudo-concepts with which no result could ever be significant.

    Raises
    ------
    ConceptError
        1 / (R + 1), the smallest p-value, is not below 1 - confidence.
    """
    level = significance_level(confidence)
    if 1.0 / (pseudo_concepts + 1) >= level:
        needed = int(np.floor(1.0 / level + 1e-9))
        while 1.0 / (needed + 1) >= level:
            needed += 1
        raise ConceptError(
            f"[concepts] pseudo_concepts = {pseudo_concepts} cannot reject at confidence {confidence:g}: "
            f"the smallest p-value would be {1 / (pseudo_concepts + 1):.3g}; give at least {needed} "
            "(300 is usual)."
        )


def distances(effects: Floats, nulls: Floats) -> tuple[Floats, Floats]:
    """Standardised distances from the median, of the concepts and of the pseudo-concepts.

    Median and standard deviation are those of the concept and its pseudo-concepts together, so that the
    concept's distance is computed as each pseudo-concept's is.

    Parameters
    ----------
    effects : float64 array, shape (hypotheses,)
    nulls : float64 array, shape (hypotheses, R)

    Returns
    -------
    observed : float64 array, shape (hypotheses,)
    pseudo : float64 array, shape (hypotheses, R)
        0 where all R + 1 effects are equal but for rounding.
    """
    every = np.concatenate([effects[:, None], nulls], axis=1)
    centre = np.median(every, axis=1, keepdims=True)
    scale = every.std(axis=1, ddof=1, keepdims=True)
    flat = scale <= 1e-9 * np.abs(every).max(axis=1, keepdims=True)
    away = np.where(flat, 0.0, np.abs(every - centre) / np.where(flat, 1.0, scale))
    return away[:, 0], away[:, 1:]


def p_values(effects: Floats, nulls: Floats) -> Floats:
    """Two-sided set-level p-value of each hypothesis, (1 + #{pseudo as far}) / (R + 1).

    Parameters
    ----------
    effects : float64 array, shape (hypotheses,)
    nulls : float64 array, shape (hypotheses, R)

    Returns
    -------
    float64 array, shape (hypotheses,)
    """
    if not len(effects):
        return np.zeros(0)
    return share_as_far(*distances(effects, nulls))


def share_as_far(observed: Floats, null: Floats) -> Floats:
    """Each hypothesis' share of draws at least as far as observed, the observed counted in.

    Parameters
    ----------
    observed : float64 array, shape (hypotheses,)
        Distances, never negative.
    null : float64 array, shape (hypotheses, R)
    """
    as_far = (null >= observed[:, None] - TIE).sum(axis=1)
    return np.asarray((1.0 + as_far) / (null.shape[1] + 1))


def share_of_largest(observed: Floats, null: Floats) -> Floats:
    """As `share_as_far`, against the largest distance of each joint draw (single-step max-T)."""
    largest = null.max(axis=0)
    as_far = (largest[None, :] >= observed[:, None] - TIE).sum(axis=1)
    return np.asarray((1.0 + as_far) / (null.shape[1] + 1))


def max_t(effects: Floats, nulls: Floats) -> Floats:
    """P-values adjusted over all hypotheses by the largest standardised distance of each joint draw.

    Column r of ``nulls`` must be one joint draw: the same pseudo-concept sets for every class and layer of
    a concept, and a pseudo-concept of its own for every concept (with one pseudo-concept for all concepts
    the largest distance would not grow with their number).

    Parameters
    ----------
    effects : float64 array, shape (hypotheses,)
    nulls : float64 array, shape (hypotheses, R)

    Returns
    -------
    float64 array, shape (hypotheses,); never below the unadjusted p-value
    """
    if not len(effects):
        return np.zeros(0)
    return share_of_largest(*distances(effects, nulls))


def can_survive_holm(pseudo_concepts: int, family: int) -> bool:
    """Whether R + 1 >= 20 x the family: else the smallest p-value cannot survive Holm at 5%."""
    return pseudo_concepts + 1 >= 20 * family
