"""Slice against rest: which images lie in the slice, permuted within the class.

The pseudo-concepts say whether a concept's difference between slice and rest is larger than theirs. They do
not say whether the slice has anything to do with it: of a concept that drives the class, any two halves of
the images differ by more than near-zero vectors do. Here the concept stays and membership is permuted,
jointly for all slices of a class that cut it into the same pieces. The unit is the *piece*: the images of
one cluster on one side of the slice; without clusters an image, with an attribute that is constant within
clusters a cluster. The statistic is studentised by the clusters' influence, so that pieces of one cluster
and slices of unequal spread are weighed as what they are.

References
----------
Janssen (1997), Studentized permutation tests for non-i.i.d. hypotheses.
Chung & Romano (2013), Exact and asymptotically robust permutation tests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from concepts.tcav.sets import generator_for

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Comparison:
    """A slice of a class's scored images, in pieces.

    ``piece``: int64 array, shape (images,), the piece of each image; ``inside``: boolean array, shape
    (pieces,); ``orders``: int array, shape (permutations, pieces): piece p is inside in draw r where
    ``inside[orders[r, p]]``; ``first``, ``second``: pieces of one cluster on both sides, shape (pairs,).
    """

    piece: NDArray[np.int64]
    inside: Booleans
    orders: NDArray[np.int32]
    first: NDArray[np.int64]
    second: NDArray[np.int64]


def plan_comparisons(
    masks: Mapping[Key, Booleans],
    clusters: NDArray[np.int64],
    *,
    permutations: int,
    seed: int,
    name: str,
) -> dict[Key, Comparison]:
    """Cut each slice into pieces and draw permutations, the same for slices with the same pieces.

    Parameters
    ----------
    masks : mapping of slice to boolean array, shape (images,)
        A slice without an image, or with all, has no comparison and is left out.
    clusters : int64 array, shape (images,)
        The cluster of each image; without clusters, a number of its own.
    permutations : int
    seed : int
    name : str
        Of the class: each class permutes its own images.
    """
    drawn: dict[str, NDArray[np.int32]] = {}
    found: dict[Key, Comparison] = {}
    for key, mask in masks.items():
        if mask.all() or not mask.any():
            continue
        coded, piece = np.unique(2 * clusters + mask, return_inverse=True)
        cut = hashlib.sha256(piece.astype(np.int64).tobytes()).hexdigest()
        if cut not in drawn:
            rng = generator_for(seed, f"membership {name} {cut}")
            orders = np.tile(np.arange(len(coded), dtype=np.int32), (permutations, 1))
            drawn[cut] = rng.permuted(orders, axis=1)
        # Codes are sorted: the outer piece of a cluster stands right before its inner one.
        both = np.flatnonzero(coded[1:] // 2 == coded[:-1] // 2)
        found[key] = Comparison(piece.astype(np.int64), coded % 2 == 1, drawn[cut], both, both + 1)
    return found


def studentised(values: Floats, comparison: Comparison) -> tuple[float, Floats]:
    """Distance between the means inside and outside in standard errors, as observed and permuted.

    Parameters
    ----------
    values : float64 array, shape (images,)
        Effects of the class's scored images.
    comparison : Comparison

    Returns
    -------
    observed : float
    permuted : float64 array, shape (permutations,)
        All 0 where the values are equal but for single-precision rounding.
    """
    permuted = np.zeros(len(comparison.orders))
    spread = values - values.mean()
    if np.abs(spread).max() <= 1e-6 * np.abs(values).max():
        return 0.0, permuted
    pieces = len(comparison.inside)
    sizes = np.bincount(comparison.piece, minlength=pieces).astype(np.float64)
    sums = np.bincount(comparison.piece, weights=spread, minlength=pieces)
    members = np.empty((len(comparison.orders) + 1, pieces))
    members[0] = comparison.inside
    members[1:] = comparison.inside[comparison.orders]
    # One product gives what the standard errors need: moments of the pieces, inside and outside.
    moments = np.stack([sizes, sums, sums**2, sums * sizes, sizes**2], axis=1)
    within = members @ moments
    without = moments.sum(0) - within
    difference = np.zeros(len(members))
    variance = np.zeros(len(members))
    means = []
    for sign, (n, s, ss, sn, nn) in ((1.0, within.T), (-1.0, without.T)):
        mean = s / n
        difference += sign * mean
        variance += (ss - 2 * mean * sn + mean**2 * nn) / n**2
        means.append((mean, n))
    if len(comparison.first):
        influence = []
        for place in (comparison.first, comparison.second):
            (inner, n1), (outer, n0) = means
            m = members[:, place]
            inner_part = (sums[place] - sizes[place] * inner[:, None]) / n1[:, None]
            outer_part = (sums[place] - sizes[place] * outer[:, None]) / n0[:, None]
            influence.append(np.where(m > 0, inner_part, -outer_part))
        variance += 2 * (influence[0] * influence[1]).sum(1)
    scale = np.abs(difference).max() ** 2 + 1e-300
    away = np.abs(difference) / np.sqrt(np.maximum(variance, 1e-12 * scale))
    return float(away[0]), np.asarray(away[1:])
