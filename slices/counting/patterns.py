"""Patterns: distinct count vectors of clusters, with how many clusters have each.

Clusters with equal vectors are exchangeable, so that a resample of 200,000 patients is a
multinomial draw over a few hundred or thousand patterns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slices.counting.rows import Rows
from slices.counts import ClusterPatterns
from slices.errors import LogError
from slices.reading.arrays import group_starts, sorted_distinct

INSIDE, OUTSIDE, NEITHER = range(3)
_TRIES = 8
_MOST_BYTES = 2 << 30


def sides(
    rows: Rows,
    names: Sequence[str],
    codes: Sequence[int],
    against: tuple[Sequence[str], Sequence[int]] | None = None,
) -> NDArray[np.uint8]:
    """On which side of a comparison each row is, shape (rows,).

    Parameters
    ----------
    names, codes
        The slice; no names: every row is inside.
    against : (names, codes), optional
        A second slice as the other side; left out: the complement, rows outside the slice
        whose attributes are all present.
    """
    inside = rows.cell(names, codes)
    other = rows.present(names) & ~inside if against is None else rows.cell(*against)
    return np.where(inside, INSIDE, np.where(other, OUTSIDE, NEITHER)).astype(np.uint8)


def cluster_patterns(rows: Rows, side: NDArray[np.uint8], strata: int, cells: int) -> ClusterPatterns:
    """Distinct vectors of clusters over (inside, outside) x strata x cells, from all rows.

    Parameters
    ----------
    side : uint8 array, shape (rows,)
        From :func:`sides`.

    Returns
    -------
    ClusterPatterns
        Every cluster with a counted row takes part, those with none on either side as a
        vector of zeros. With weights every cluster is a pattern of its own.

    Notes
    -----
    Vectors are told apart by a random linear hash modulo 2**64 of their counts, and the sum
    over patterns is checked against the sum over rows: no clusters x cells array is made.
    """
    assert rows.cluster is not None
    width = strata * cells
    starts = group_starts(rows.cluster)
    key = rows.outcome + np.where(side == OUTSIDE, width, 0)
    here = side != NEITHER
    if rows.weight is not None:
        cell = rows.cluster[here] * (2 * width) + key[here]
        totals = np.bincount(cell, weights=rows.weight[here], minlength=len(starts) * 2 * width)
        return ClusterPatterns(totals.reshape(len(starts), 2, strata, cells), np.ones(len(starts), np.int64))
    n = here.astype(np.int64) if rows.n is None else rows.n * here
    # Counts stay below 2**53: exact in bincount's float64.
    expected = np.bincount(key, weights=n, minlength=2 * width)
    for attempt in range(_TRIES):
        hashes = np.add.reduceat(hash_weights(2 * width, attempt)[key] * n.view(np.uint64), starts)
        _, first, multiplicity = np.unique(hashes, return_index=True, return_counts=True)
        totals = _vectors(rows, key, n, len(starts), first, 2 * width)
        if np.array_equal(multiplicity @ totals, expected):
            return ClusterPatterns(
                totals.reshape(len(first), 2, strata, cells), multiplicity.astype(np.int64)
            )
    raise AssertionError("eight independent 64-bit hashes collided")


def hash_weights(width: int, attempt: int) -> NDArray[np.uint64]:
    """Factors of a linear hash of count vectors; the same in every run, others in every attempt."""
    return np.random.default_rng((0x5EED, attempt)).integers(0, 1 << 64, width, np.uint64, endpoint=False)


def _vectors(
    rows: Rows,
    key: NDArray[np.integer],
    n: NDArray[np.int64],
    clusters: int,
    chosen: NDArray[np.intp],
    width: int,
) -> NDArray[np.int64]:
    """Count vectors of the chosen clusters, shape (len(chosen), width)."""
    assert rows.cluster is not None
    need = 8 * len(chosen) * width
    if need > _MOST_BYTES:
        raise LogError(
            f"{len(chosen):,} clusters of different outcomes in {width // 2:,} cells "
            f"need {need / 2**30:.0f} GiB; leave out the cluster, or compare fewer classes."
        )
    place = np.full(clusters, -1, np.int64)
    place[chosen] = np.arange(len(chosen))
    row_place = place[rows.cluster]
    here = row_place >= 0
    cell = row_place[here] * width + key[here]
    counts = np.bincount(cell, weights=n[here], minlength=len(chosen) * width)
    return counts.astype(np.int64).reshape(len(chosen), width)


@dataclass(frozen=True, slots=True)
class CrossingPatterns:
    """Patterns of every slice of one crossing, at the cost of the rows in the slice.

    A slice differs from "nobody inside, all present rows outside" only in the clusters that
    have rows in it: those patterns are worked out once, and each slice moves its own rows over.

    Attributes
    ----------
    order, cell_keys, cell_starts
        Rows sorted by cell (by cluster within), the cells' keys, and where each begins.
    base_hash : uint64 array, shape (clusters,)
    base_place : int64 array, shape (clusters,)
        Each cluster's place among the base patterns.
    base_vectors : int64 array, shape (patterns, 2 * strata * cells)
    base_hashes : uint64 array, shape (patterns,)
    base_n : int64 array, shape (patterns,)
    """

    rows: Rows
    strata: int
    cells: int
    sizes: tuple[int, ...]
    order: NDArray[np.intp]
    cell_keys: NDArray[np.int64]
    cell_starts: NDArray[np.intp]
    weights: NDArray[np.uint64]
    base_hash: NDArray[np.uint64]
    base_place: NDArray[np.intp]
    base_vectors: NDArray[np.int64]
    base_hashes: NDArray[np.uint64]
    base_n: NDArray[np.int64]

    @property
    def nbytes(self) -> int:
        """Memory held beside the rows."""
        return self.order.nbytes + self.base_hash.nbytes + self.base_place.nbytes + self.base_vectors.nbytes

    def of(self, codes: Sequence[int]) -> ClusterPatterns | None:
        """Patterns of a slice; None where two vectors had one hash (then ask :func:`cluster_patterns`)."""
        assert self.rows.cluster is not None
        width = self.strata * self.cells
        here = self.rows_of(codes)
        cluster = self.rows.cluster[here]
        outcome = self.rows.outcome[here].astype(np.int64)
        n = np.ones(len(here), np.int64) if self.rows.n is None else self.rows.n[here]
        # Rows of a slice of missing values are not among the present ones: nothing to take away.
        taken = n if all(code >= 0 for code in codes) else np.zeros_like(n)
        starts = group_starts(cluster)
        touched = cluster[starts]
        added = self.weights[outcome] * n.view(np.uint64) - self.weights[outcome + width] * taken.view(
            np.uint64
        )
        moved = self.base_hash[touched] + (np.add.reduceat(added, starts) if len(starts) else added)
        hashes, first, multiplicity = np.unique(moved, return_index=True, return_counts=True)
        # Vectors of one cluster for each new pattern: its base vector with its rows moved over.
        place = np.full(len(touched), -1, np.int64)
        place[first] = np.arange(len(first))
        row_place = np.repeat(place, np.diff(np.append(starts, len(cluster))))
        shown = row_place >= 0
        cell = row_place[shown] * 2 * width + outcome[shown]
        size = len(first) * 2 * width
        vectors = self.base_vectors[self.base_place[touched[first]]].copy()
        vectors += np.bincount(cell, weights=n[shown], minlength=size).astype(np.int64).reshape(vectors.shape)
        vectors -= (
            np.bincount(cell + width, weights=taken[shown], minlength=size)
            .astype(np.int64)
            .reshape(vectors.shape)
        )
        left = self.base_n - np.bincount(self.base_place[touched], minlength=len(self.base_n))
        keep = left > 0
        totals = np.concatenate([self.base_vectors[keep], vectors])
        counts = np.concatenate([left[keep], multiplicity])
        expected = self.base_n @ self.base_vectors
        expected += np.bincount(outcome, weights=n, minlength=2 * width).astype(np.int64)
        expected -= np.bincount(outcome + width, weights=taken, minlength=2 * width).astype(np.int64)
        if not np.array_equal(counts @ totals, expected):
            return None
        sorting = np.argsort(np.concatenate([self.base_hashes[keep], hashes]), kind="stable")
        return ClusterPatterns(totals[sorting].reshape(-1, 2, self.strata, self.cells), counts[sorting])

    def rows_of(self, codes: Sequence[int]) -> NDArray[np.intp]:
        """Rows of a cell, their clusters ascending."""
        wanted = 0
        for code, size in zip(codes, self.sizes, strict=True):
            wanted = wanted * size + code + 1
        at = int(np.searchsorted(self.cell_keys, wanted))
        if at == len(self.cell_keys) or self.cell_keys[at] != wanted:
            return np.empty(0, np.intp)
        end = self.cell_starts[at + 1] if at + 1 < len(self.cell_starts) else len(self.order)
        return self.order[self.cell_starts[at] : end]


def crossing_patterns(
    rows: Rows, names: Sequence[str], sizes: Sequence[int], strata: int, cells: int
) -> CrossingPatterns | None:
    """Prepare the patterns of every slice of a crossing; None for weighted logs and where hashes collide.

    Parameters
    ----------
    sizes : sequence of int
        Number of codes of each attribute, the missing value among them.
    """
    assert rows.cluster is not None
    if rows.weight is not None:
        return None
    width = strata * cells
    starts = group_starts(rows.cluster)
    key = rows.outcome.astype(np.int64) + width
    present = rows.present(names)
    n = present.astype(np.int64) if rows.n is None else rows.n * present
    weights = hash_weights(2 * width, 0)
    base_hash = np.add.reduceat(weights[key] * n.view(np.uint64), starts)
    base_hashes, first, place, base_n = np.unique(
        base_hash, return_index=True, return_inverse=True, return_counts=True
    )
    vectors = _vectors(rows, key, n, len(starts), first, 2 * width)
    if not np.array_equal(base_n @ vectors, np.bincount(key, weights=n, minlength=2 * width)):
        return None
    cell = cell_keys(rows, names, sizes)
    order = np.argsort(cell, kind="stable")
    ordered = cell[order]
    cell_starts = group_starts(ordered)
    return CrossingPatterns(
        rows=rows,
        strata=strata,
        cells=cells,
        sizes=tuple(sizes),
        order=order,
        cell_keys=ordered[cell_starts],
        cell_starts=cell_starts,
        weights=weights,
        base_hash=base_hash,
        base_place=place,
        base_vectors=vectors,
        base_hashes=base_hashes,
        base_n=base_n.astype(np.int64),
    )


def cell_keys(rows: Rows, names: Sequence[str], sizes: Sequence[int]) -> NDArray[np.int64]:
    """One number for each row's cell of a crossing; missing counts as the first value."""
    key = np.zeros(len(rows.outcome), np.int64)
    for name, size in zip(names, sizes, strict=True):
        key *= size
        key += rows.attributes[name]
        key += 1
    return key


def distinct_per_cell(
    cell: NDArray[np.int64], identities: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many distinct identities each occupied cell has.

    Parameters
    ----------
    cell : int64 array, shape (rows,)
        From :func:`cell_keys`.
    identities : int64 array, shape (rows,)
        From 0 on.

    Returns
    -------
    cells, n : int64 arrays
        Ascending keys of the occupied cells, and their numbers of identities.
    """
    if len(cell) == 0:
        return cell, cell
    count = int(identities.max()) + 1
    pairs = sorted_distinct(cell * count + identities)
    cells = pairs // count
    starts = group_starts(cells)
    return cells[starts], np.diff(np.append(starts, len(cells)))
