"""Draws of image sets: concept sets, pseudo-concept sets and their negatives, by one procedure.

The set is the unit of the test. Set 0 is the concept's; sets 1..R are pseudo-concepts. For every set,
negatives are drawn anew, disjoint from the set, equal in number and (where the design has strata) with the
same composition. Each set is cut into two halves several times: each half trains one
vector against its own negatives and is the held-out half of the other.

Pseudo-concepts are drawn from the pool *and the concept's own set* together, and so are all negatives: set 0
is then one of the draws that could have been, and the test is a permutation test, exact wherever the
concept's images are exchangeable with the pool's in what is measured. With draws from the pool alone the
level held at 5% for one test, and not in the far tails that the correction for many tests reads.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]

#: A pool must hold this many times the images of one set (DESIGN: fewer is undefined).
POOL_TO_SET = 4

#: Larger sets cost a cube of their size in every solve and gain little.
LARGEST_SET = 100

#: Cuts of each set into two halves; each cut gives two vectors.
SPLITS = 3


@dataclass(frozen=True, slots=True)
class Design:
    """Where a concept's sets come from: rows of the activation table, each with a stratum.

    ``positives`` and ``pool``: int64 arrays of distinct rows in canonical order; ``*_strata``: their
    strata (equal integers: exchangeable). ``composition``: int64 array, the stratum of each member of a
    set, sorted; its length is the size of a set, an even number. In a *paired* design ``positives[i]``
    is the transformed image of ``pool[i]``, and a pseudo-concept swaps the members of pairs by coin.
    """

    positives: Rows
    positive_strata: Rows
    pool: Rows
    pool_strata: Rows
    composition: Rows
    paired: bool = False

    @property
    def size(self) -> int:
        """Images in one set."""
        return len(self.composition)


@dataclass(frozen=True, slots=True)
class Draws:
    """Rows of the drawn sets.

    ``positives`` and ``negatives``: int64 arrays, shape (sets, splits, 2 halves, size / 2).
    """

    positives: Rows
    negatives: Rows


def smallest_p_value(design: Design) -> float:
    """What the p-value cannot fall below, however many pseudo-concepts are drawn.

    The draws that could have been are all there are: 2^n patterns of swapped pairs, of which a pattern and
    its opposite lie equally far; or the ways to choose the set's images among set and pool, by stratum.
    """
    if design.paired:
        return 2.0 / 2.0**design.size
    ways = 1
    for stratum, count in zip(*np.unique(design.composition, return_counts=True), strict=True):
        ways *= math.comb(int(count) + int((design.pool_strata == stratum).sum()), int(count))
    return 1.0 / ways if ways < 10**9 else 0.0


def generator_for(seed: int, key: str) -> np.random.Generator:
    """A generator of its own for each name, so that order and company of the concepts change nothing."""
    digest = hashlib.sha256(key.encode("utf-8")).digest()
    return np.random.default_rng(np.random.SeedSequence([seed, int.from_bytes(digest[:16], "little")]))


def largest_composition(
    positive_strata: Rows, pool_strata: Rows, *, limit: int = LARGEST_SET, rng: np.random.Generator
) -> Rows:
    """The strata of the largest set that the concept can fill and the pool can match four times over.

    Parameters
    ----------
    positive_strata, pool_strata : int64 arrays
        Stratum of each concept image and of each image of the pool.
    limit : int
        Upper limit of the set's size; a larger candidate is thinned at random.

    Returns
    -------
    int64 array, sorted, of even length (length 0: nothing can be matched)
    """
    strata, available = np.unique(positive_strata, return_counts=True)
    offered = np.array([np.count_nonzero(pool_strata == one) for one in strata], dtype=np.int64)
    usable = np.minimum(available, offered // POOL_TO_SET)
    members = np.repeat(strata, usable)
    if len(members) > limit:
        members = rng.choice(members, size=limit, replace=False)
    members = np.sort(members)
    return members[: len(members) // 2 * 2].astype(np.int64)


def draw_sets(design: Design, *, pseudo_concepts: int, splits: int, rng: np.random.Generator) -> Draws:
    """Draw the concept's set (index 0) and the pseudo-concepts' (1..R), with their negatives.

    Parameters
    ----------
    design : Design
    pseudo_concepts : int
        R.
    splits : int
        Cuts of each set into halves.

    Returns
    -------
    Draws with R + 1 sets
    """
    if design.paired:
        return _swap_pairs(design, pseudo_concepts=pseudo_concepts, splits=splits, rng=rng)
    concept = _draw_stratified(design.positive_strata, design.composition, rng=rng, sets=1)[0]
    rows = np.concatenate([design.positives[concept], design.pool])
    strata = np.concatenate([design.composition, design.pool_strata])
    taken = _draw_stratified(strata, design.composition, rng=rng, sets=pseudo_concepts + 1)
    taken[0] = np.arange(design.size)
    negatives = np.stack(
        [
            rows[
                _draw_stratified(
                    strata, design.composition, rng=rng, sets=pseudo_concepts + 1, avoiding=taken
                )
            ]
            for _ in range(splits)
        ],
        axis=1,
    )
    order = _halves(pseudo_concepts + 1, splits, design.size, rng=rng)
    return Draws(_take(rows[taken], order), _take_each(negatives, order))


def resample_sets(
    design: Design, draws: Draws, *, resamples: int, splits: int, rng: np.random.Generator
) -> Draws:
    """Bootstrap the concept's set and the pool its negatives come from, then draw as for the test.

    The members of set 0 are drawn with replacement, and so is the pool; negatives are then drawn from the
    resampled pool without replacement within a cut, so that the replicates carry the chance of both.

    Returns
    -------
    Draws with ``resamples`` sets
    """
    members = np.sort(draws.positives[0, 0].ravel())
    if design.paired:
        partner = dict(zip(design.positives.tolist(), design.pool.tolist(), strict=True))
        picked = members[rng.integers(len(members), size=(resamples, len(members)))]
        opposite = np.array([partner[row] for row in members.tolist()], dtype=np.int64)
        lookup = opposite[np.searchsorted(members, picked)]
        order = _halves(resamples, splits, len(members), rng=rng)
        return Draws(_take(picked, order), _take(lookup, order))
    stratum = dict(zip(design.positives.tolist(), design.positive_strata.tolist(), strict=True))
    strata = np.array([stratum[row] for row in members.tolist()], dtype=np.int64)
    # Within each stratum, so that the composition stays that of the design.
    by_stratum = np.argsort(strata, kind="stable")
    sorted_strata = strata[by_stratum]
    starts = np.searchsorted(sorted_strata, sorted_strata, side="left")
    ends = np.searchsorted(sorted_strata, sorted_strata, side="right")
    offset = (rng.random((resamples, len(members))) * (ends - starts)).astype(np.int64)
    picked = members[by_stratum][starts + offset]

    pool_order = np.argsort(design.pool_strata, kind="stable")
    pool_strata = design.pool_strata[pool_order]
    first = np.searchsorted(pool_strata, pool_strata, side="left")
    last = np.searchsorted(pool_strata, pool_strata, side="right")
    within = (rng.random((resamples, len(pool_order))) * (last - first)).astype(np.int64)
    pools = pool_order[first + within]  # positions in the pool, resampled, grouped by stratum
    negatives = []
    for _ in range(splits):
        slots = _draw_stratified(pool_strata, design.composition, rng=rng, sets=resamples)
        negatives.append(design.pool[np.take_along_axis(pools, slots, axis=1)])
    order = _halves(resamples, splits, design.size, rng=rng)
    return Draws(_take(picked, order), _take_each(np.stack(negatives, axis=1), order))


def _draw_stratified(
    strata: Rows,
    composition: Rows,
    *,
    rng: np.random.Generator,
    sets: int,
    avoiding: Rows | None = None,
) -> Rows:
    """Positions of simple random samples within strata, one sample a row; never a position avoided.

    Each position gets a random key inside [stratum, stratum + 1); the first n of a stratum in key order
    are a simple random sample of it. Positions to avoid get the keys above stratum + 1/2, so that they
    come last, and the pool (at least four sets deep) is never read as far.

    Returns
    -------
    int64 array, shape (sets, len(composition)); column j is of stratum ``composition[j]``
    """
    ranks = np.unique(strata, return_inverse=True)[1].astype(np.float64)
    values = np.unique(strata)
    keys = rng.random((sets, len(strata)))
    if avoiding is not None:
        keys *= 0.5
        np.put_along_axis(keys, avoiding, 0.5 + np.take_along_axis(keys, avoiding, axis=1), axis=1)
    order = np.argsort(keys + ranks, axis=1)
    sorted_strata = np.sort(strata)
    start = np.searchsorted(sorted_strata, values, side="left")[np.searchsorted(values, composition)]
    within = np.arange(len(composition)) - np.searchsorted(composition, composition, side="left")
    return order[:, start + within].astype(np.int64)


def _halves(sets: int, splits: int, size: int, *, rng: np.random.Generator) -> Rows:
    """Random orders of a set's places, shape (sets, splits, size); the first half of an order is one half."""
    return np.argsort(rng.random((sets, splits, size)), axis=2).astype(np.int64)


def _take(members: Rows, order: Rows) -> Rows:
    """The members of each set in each order, cut into halves."""
    sets, splits, size = order.shape
    taken = np.take_along_axis(np.broadcast_to(members[:, None, :], order.shape), order, axis=2)
    return taken.reshape(sets, splits, 2, size // 2)


def _take_each(members: Rows, order: Rows) -> Rows:
    """As `_take`, for members that differ from cut to cut, shape (sets, splits, size)."""
    sets, splits, size = order.shape
    return np.take_along_axis(members, order, axis=2).reshape(sets, splits, 2, size // 2)


def _swap_pairs(design: Design, *, pseudo_concepts: int, splits: int, rng: np.random.Generator) -> Draws:
    """Sign flips: each pseudo-concept swaps every pair (image, transformed image) by a fair coin."""
    sets = pseudo_concepts + 1
    pairs = np.sort(rng.choice(len(design.pool), size=design.size, replace=False))
    swapped = rng.random((sets, design.size)) < 0.5
    swapped[0] = False
    changed, plain = design.positives[pairs], design.pool[pairs]
    order = _halves(sets, splits, design.size, rng=rng)
    return Draws(
        _take(np.where(swapped, plain, changed), order), _take(np.where(swapped, changed, plain), order)
    )
