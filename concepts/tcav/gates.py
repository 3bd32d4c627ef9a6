"""Quality gates: was the concept learnt at this layer at all? Without that, no claim is made.

A vector can be trained for any set of images, also for noise. A concept counts as learnt where its vectors
tell held-out concept images from held-out negatives better than the pseudo-concepts' vectors do theirs,
and where disjoint halves of the set give vectors that agree more than the pseudo-concepts' halves do.

References
----------
DeLong, DeLong & Clarke-Pearson (1988), structural components of the AUC.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from concepts.records import Cav
from concepts.tcav.scores import Directions
from slices.said import say

Floats = NDArray[np.float64]

#: Mean cosine above which two concepts' vectors are called entangled in the notes.
ENTANGLED = 0.5


@dataclass(frozen=True, slots=True)
class Quality:
    """Held-out quality of each set: ``auc``, ``accuracy``, ``stability``, float64 arrays, shape (sets,)."""

    auc: Floats
    accuracy: Floats
    stability: Floats


def measure_quality(directions: Directions) -> Quality:
    """AUC, accuracy and stability of every set, the concept's first.

    Each vector is judged on the half of the set that did not train it and on that half's negatives; a
    set's figure is the mean over its vectors. Stability is the mean cosine between the two vectors of a
    cut, trained on disjoint images: about 0 for noise.
    """
    concept, negative = _held_out(directions)
    above = concept[..., :, None] > negative[..., None, :]
    level = concept[..., :, None] == negative[..., None, :]
    auc = (above.mean((-1, -2)) + 0.5 * level.mean((-1, -2))).mean(1)
    accuracy = (0.5 * (concept > 0).mean(-1) + 0.5 * (negative < 0).mean(-1)).mean(1)
    return Quality(auc=auc, accuracy=accuracy, stability=directions.cosines.mean(1))


def _held_out(directions: Directions) -> tuple[Floats, Floats]:
    """Projections of held-out concept images and negatives, each of shape (sets, vectors, half)."""
    scores = directions.held_out.reshape(directions.sets, directions.vectors_a_set, -1)
    half = scores.shape[2] // 2
    return scores[..., :half], scores[..., half:]


def auc_interval(directions: Directions, *, confidence: float) -> tuple[float, float]:
    """Interval of the concept's (set 0) held-out AUC, from the spread of its images' placements.

    The placement of a concept image is the share of held-out negatives below it, averaged over the cuts;
    of a negative, the share of held-out concept images above it. Their variances over the number of
    images of one set add up (DeLong); on the logit scale. Where the AUC is 0 or 1 the spread is 0 and
    says nothing: then the exact limit for that many images of one kind, all placed alike.

    Returns
    -------
    low, high : float
    """
    from scipy.stats import norm

    concept, negative = (part[0] for part in _held_out(directions))
    wins = (concept[:, :, None] > negative[:, None, :]) + 0.5 * (concept[:, :, None] == negative[:, None, :])
    size = 2 * concept.shape[1]
    auc = float(wins.mean())
    tail = (1 - confidence) / 2
    if auc <= 0.0 or auc >= 1.0:
        limit = tail ** (1 / size)
        return (limit, 1.0) if auc >= 1.0 else (0.0, 1 - limit)
    variance = float(wins.mean(2).var(ddof=1) + wins.mean(1).var(ddof=1)) / size
    half_width = float(norm.ppf(1 - tail)) * np.sqrt(variance) / (auc * (1 - auc))
    centre = np.log(auc / (1 - auc))
    low, high = (1 / (1 + np.exp(-(centre + sign * half_width))) for sign in (-1, 1))
    return float(low), float(high)


def judge(directions: Directions, *, confidence: float) -> tuple[Cav, str | None]:
    """The concept's quality beside the pseudo-concepts', and why it is not learnt (None: it is).

    Parameters
    ----------
    directions : Directions
        Set 0 is the concept, the others are pseudo-concepts.
    confidence : float
        The pseudo-concepts' quantile that must be exceeded.

    Returns
    -------
    cav : Cav
    reason : str or None
    """
    quality = measure_quality(directions)
    auc, stability = float(quality.auc[0]), float(quality.stability[0])
    needed_auc, needed_stability = (
        float(np.quantile(null[1:], confidence, method="higher")) for null in (quality.auc, quality.stability)
    )
    low, high = auc_interval(directions, confidence=confidence)
    cav = Cav(
        accuracy=float(quality.accuracy[0]),
        auc=auc,
        auc_low=low,
        auc_high=high,
        auc_null=needed_auc,
        stability=stability,
    )
    if auc <= needed_auc:
        return cav, (
            say(
                "concepts.not_learnt_auc",
                "not learnt here: held-out AUC {auc:.2f} does not exceed {needed:.2f}, which "
                "{confidence:.0%} of random sets stay below",
                auc=auc,
                needed=needed_auc,
                confidence=confidence,
            )
        )
    if stability <= needed_stability:
        return cav, (
            say(
                "concepts.not_learnt_stability",
                "not learnt here: vectors from two halves of the images agree no better "
                "(cosine {stability:.2f}) than those of random sets ({needed:.2f})",
                stability=stability,
                needed=needed_stability,
            )
        )
    return cav, None


def cosine_matrix(kernel: Floats, weights: Floats) -> Floats:
    """Cosines between concepts' mean vectors, shape (concepts, concepts), with ones on the diagonal.

    Parameters
    ----------
    kernel : float64 array, shape (rows, rows)
    weights : float64 array, shape (concepts, rows)
        Dual weights of each concept's mean vector.
    """
    inner = weights @ kernel @ weights.T
    inner = (inner + inner.T) / 2
    length = np.sqrt(np.maximum(np.diag(inner), 0.0))
    safe = np.where(length > 0, length, 1.0)
    cosines: Floats = np.clip(inner / np.outer(safe, safe), -1.0, 1.0)
    np.fill_diagonal(cosines, 1.0)
    return cosines
