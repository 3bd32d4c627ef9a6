"""Patterns: distinct count vectors of clusters, with how many clusters have each.

Clusters with equal vectors are exchangeable, so that a resample of 200,000 patients is a
multinomial draw over a few hundred patterns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from slices.counts import ClusterPatterns
from slices.rows import Rows

INSIDE, OUTSIDE, NEITHER = range(3)
_TRIES = 8


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
    """Distinct vectors of clusters over (inside, outside) x strata x cells.

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
    over patterns is checked against the sum over rows: with no memory of clusters x cells.
    """
    assert rows.cluster is not None
    width = strata * cells
    starts = cluster_starts(rows.cluster)
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
        weights = np.random.default_rng((0x5EED, attempt)).integers(
            0, 1 << 64, 2 * width, np.uint64, endpoint=False
        )
        hashes = np.add.reduceat(weights[key] * n.view(np.uint64), starts)
        _, first, multiplicity = np.unique(hashes, return_index=True, return_counts=True)
        totals = _vectors(rows, key, n, starts, first, 2 * width)
        if np.array_equal(multiplicity @ totals, expected):
            return ClusterPatterns(
                totals.reshape(len(first), 2, strata, cells), multiplicity.astype(np.int64)
            )
    raise AssertionError("eight independent 64-bit hashes collided")


def _vectors(
    rows: Rows,
    key: NDArray[np.integer],
    n: NDArray[np.int64],
    starts: NDArray[np.intp],
    clusters: NDArray[np.intp],
    width: int,
) -> NDArray[np.int64]:
    """Count vectors of the given clusters, shape (len(clusters), width)."""
    assert rows.cluster is not None
    place = np.full(len(starts), -1, np.int64)
    place[clusters] = np.arange(len(clusters))
    row_place = place[rows.cluster]
    chosen = row_place >= 0
    cell = row_place[chosen] * width + key[chosen]
    counts = np.bincount(cell, weights=n[chosen], minlength=len(clusters) * width)
    return counts.astype(np.int64).reshape(len(clusters), width)


def cluster_starts(cluster: NDArray[np.int64]) -> NDArray[np.intp]:
    """First row of each cluster in an ascending array."""
    return np.flatnonzero(
        np.concatenate([np.ones(min(1, len(cluster)), dtype=bool), cluster[1:] != cluster[:-1]])
    )


def distinct_per_cell(
    rows: Rows, names: Sequence[str], sizes: Sequence[int], identities: NDArray[np.int64]
) -> dict[tuple[int, ...], int]:
    """How many distinct identities have a counted row in each cell of a crossing.

    Parameters
    ----------
    sizes : sequence of int
        Number of codes of each attribute, the missing value among them.
    identities : int64 array, shape (rows,)

    Returns
    -------
    dict
        Codes of the cell (-1 for missing) to the number of identities.
    """
    cell = np.zeros(len(identities), np.int64)
    for name, size in zip(names, sizes, strict=True):
        cell *= size
        cell += rows.attributes[name] + 1
    _, compact = np.unique(identities, return_inverse=True)
    count = int(compact.max()) + 1 if len(compact) else 0
    pairs = np.unique(cell * count + compact)
    cells, n = np.unique(pairs // count, return_counts=True) if count else (cell, cell)
    found = {}
    for place, number in zip(cells.tolist(), n.tolist(), strict=True):
        codes = []
        for size in reversed(sizes):
            place, digit = divmod(place, size)
            codes.append(digit - 1)
        found[tuple(reversed(codes))] = number
    return found
