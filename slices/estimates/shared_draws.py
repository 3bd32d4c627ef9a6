"""Shared draws: one bootstrap of all clusters for many slices, where few clusters are alike.

Where clusters fall into few patterns, a slice draws how often each pattern occurs, by itself
(`slices.resampling`). Where nearly every cluster is a pattern of its own (long videos, many classes) that
costs a random number a cluster, draw and slice. Here clusters are drawn once, and what all slices
made of them is summed by matrix products.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from slices.counts import ClusterRows, CountedLog, OutcomeSpace
from slices.estimates.comparison import Pair, by_crossing
from slices.resampling import BLOCK_BYTES, generator, single_blas_thread
from slices.slicing import Slice

Array = NDArray[np.float64]

# Above so many patterns, and above this share of the clusters, drawing them pattern by pattern is dearer.
FEWEST_PATTERNS = 1000
SHARE_OF_CLUSTERS = 0.02
_BATCH_BYTES = 256 * 2**20
_TILE = 4096
_EXACT_SINGLE = 2.0**24


# Rows whose sums are wanted: a slice's, or those that have all of some attributes.
_Part = Slice | tuple[str, ...]


def many_patterns(patterns: int, clusters: int) -> bool:
    """Whether clusters are so different that they are better drawn once for all slices."""
    return patterns >= FEWEST_PATTERNS and patterns >= SHARE_OF_CLUSTERS * clusters


def shared_draws(
    counted: CountedLog, pairs: Sequence[Pair], draws: int, seed: int
) -> Iterator[list[tuple[int, Array]]]:
    """Replicated confusion counts of slices and comparators, clusters drawn with replacement.

    Parameters
    ----------
    counted : CountedLog
        With clusters.
    pairs : sequence of Pair
    draws, seed : int
        The draws hang on the seed and on the clusters alone: slices do not change each other's.

    Yields
    ------
    list of (int, float64 array)
        Some pairs' places with their counts, shape (2, 4, classes, draws); whole numbers. A batch holds as
        many pairs as fit in a bounded memory.
    """
    batch: list[int] = []
    parts: dict[_Part, None] = {}
    # Slices of one crossing share the sums of their complements.
    for place in by_crossing(counted.slices, pairs):
        wanted = _parts(counted, pairs[place])
        if batch and not _fits(counted, len(parts | dict.fromkeys(wanted)), draws):
            yield _drawn(counted, pairs, batch, list(parts), draws, seed)
            batch, parts = [], {}
        batch.append(place)
        parts |= dict.fromkeys(wanted)
    if batch:
        yield _drawn(counted, pairs, batch, list(parts), draws, seed)


def _parts(counted: CountedLog, pair: Pair) -> tuple[Slice, _Part]:
    """The slice, and what its comparator is read from; of the whole log itself."""
    here = counted.slices[pair.index].slice
    if pair.other is not None:
        return here, counted.slices[pair.other].slice
    return here, here.attributes if here.order else here


def _fits(counted: CountedLog, parts: int, draws: int) -> bool:
    assert counted.cluster_rows is not None
    # The clusters' counts, their drawn sums, and these for both sides of every pair.
    of_column = 4 * counted.cluster_rows.clusters + (8 + 16) * draws
    return 4 * len(counted.space.classes) * parts * of_column <= _BATCH_BYTES


def _drawn(
    counted: CountedLog,
    pairs: Sequence[Pair],
    batch: Sequence[int],
    parts: Sequence[_Part],
    draws: int,
    seed: int,
) -> list[tuple[int, Array]]:
    """One batch, from one joint draw."""
    assert counted.cluster_rows is not None
    of, classes = counted.cluster_rows, len(counted.space.classes)
    columns = np.empty((of.clusters, len(parts), 4 * classes), dtype=np.float32)
    for number, part in enumerate(parts):
        rows = of.inside(part) if isinstance(part, Slice) else of.present(part)
        _fill(counted.space, rows, columns[:, number])
    sums = drawn_sums(columns.reshape(of.clusters, -1), draws, generator(seed, "clusters"))
    of_part = dict(zip(parts, sums.T.reshape(len(parts), classes, 4, draws), strict=True))
    found = []
    for place in batch:
        here, against = _parts(counted, pairs[place])
        inside, other = of_part[here], of_part[against]
        # A slice of missing values is not among the rows that have all attributes.
        if against == here or (against == here.attributes and None not in dict(here.values).values()):
            other = other - inside
        found.append((place, np.ascontiguousarray(np.stack([inside, other]).swapaxes(1, 2))))
    return found


def _fill(space: OutcomeSpace, rows: ClusterRows, columns: NDArray[np.float32]) -> None:
    """Every cluster's confusion counts of all classes, (clusters, 4 x classes), some thousands at a time."""
    width = space.strata * space.cells
    for first in range(0, len(columns), _TILE):
        last = min(first + _TILE, len(columns))
        start, stop = np.searchsorted(rows.cluster, [first, last])
        cell = (rows.cluster[start:stop] - first) * width + rows.outcome[start:stop]
        n = None if rows.n is None else rows.n[start:stop]
        counts = np.bincount(cell, weights=n, minlength=(last - first) * width)
        confusion = space.confusion(counts.reshape(-1, space.strata, space.cells))
        columns[first:last] = confusion.reshape(last - first, -1)


def drawn_sums(counts: NDArray[np.float32], draws: int, rng: np.random.Generator) -> Array:
    """Sums of the clusters' counts over clusters drawn with replacement, as many as there are.

    Parameters
    ----------
    counts : float32 array, shape (clusters, columns)
        Whole numbers.

    Returns
    -------
    float64 array, shape (draws, columns)
        Exact, whatever the order of summation: products of single precision are made over so few
        clusters that no sum reaches 2**24, or else in double precision.
    """
    clusters = len(counts)
    result = np.zeros((draws, counts.shape[1]))
    step = max(1, BLOCK_BYTES // (4 * max(clusters, 1)))
    times = np.empty((min(step, draws), clusters), dtype=np.float32)
    largest = [float(counts[first : first + _TILE].max(initial=0)) for first in range(0, clusters, _TILE)]
    with single_blas_thread():
        for start in range(0, draws, step):
            here = times[: min(step, draws - start)]
            for row in here:
                row[:] = np.bincount(rng.integers(0, clusters, clusters, np.uint32), minlength=clusters)
            for tile, most in enumerate(largest):
                piece = slice(tile * _TILE, (tile + 1) * _TILE)
                factor, table = here[:, piece], counts[piece]
                if float(factor.sum(axis=1).max()) * most < _EXACT_SINGLE:
                    result[start : start + len(here)] += factor @ table
                else:
                    result[start : start + len(here)] += factor.astype(np.float64) @ table.astype(np.float64)
    return result
