"""Covering blocks: few sets of columns such that every required set lies inside one of them.

One pass over the rows counts each block; every required set is then rolled up from a
block, so that 36 group-bys become about 7.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations

CELL_LIMIT = 1 << 14
_MOST_CANDIDATES = 1 << 12


def cover(
    sizes: Sequence[int], required: Iterable[frozenset[int]], limit: int = CELL_LIMIT
) -> list[tuple[int, ...]]:
    """Greedy covering set of column blocks.

    Parameters
    ----------
    sizes : sequence of int
        Number of values of each column, the missing value among them.
    required : iterable of frozenset of int
        Sets of columns (positions in ``sizes``) whose joint counts are wanted.
    limit : int
        A block has at most this many cells, unless it is a required set that is larger itself.

    Returns
    -------
    list of tuple of int
        Blocks, each ascending; every required set is a subset of at least one.

    Examples
    --------
    >>> cover([2, 3, 5], [frozenset({0, 1}), frozenset({1, 2}), frozenset({0, 2})])
    [(0, 1, 2)]
    """
    wanted = set(required)
    maximal = sorted((s for s in wanted if not any(s < other for other in wanted)), key=sorted)
    columns = sorted(set().union(*maximal))
    candidates = sorted(_candidates(sizes, columns, limit) | set(maximal), key=sorted)
    # Bit i of a candidate's number: it covers the required set i.
    covers = [sum(1 << place for place, s in enumerate(maximal) if s <= block) for block in candidates]
    # Ties go to the smaller block, then to the earlier columns: a plan is reproducible.
    order = sorted(
        range(len(candidates)), key=lambda c: (_cells(sizes, candidates[c]), sorted(candidates[c]))
    )
    left = (1 << len(maximal)) - 1
    blocks: list[tuple[int, ...]] = []
    while left:
        best = max(order, key=lambda c: (covers[c] & left).bit_count())
        blocks.append(tuple(sorted(candidates[best])))
        left &= ~covers[best]
    return blocks


def _candidates(sizes: Sequence[int], columns: Sequence[int], limit: int) -> set[frozenset[int]]:
    """Blocks within the limit: all of them where they are few, else those grown from each column by size."""
    if sum(math.comb(len(columns), order) for order in range(1, len(columns) + 1)) <= _MOST_CANDIDATES:
        return {
            frozenset(block)
            for order in range(1, len(columns) + 1)
            for block in combinations(columns, order)
            if _cells(sizes, block) <= limit
        }
    grown = set()
    ascending = sorted(columns, key=lambda c: (sizes[c], c))
    for first, second in combinations(columns, 2):
        for offset in range(len(ascending)):
            block = {first, second}
            for column in ascending[offset:] + ascending[:offset]:
                if _cells(sizes, block | {column}) <= limit:
                    block.add(column)
            if _cells(sizes, block) <= limit:
                grown.add(frozenset(block))
        if len(grown) > _MOST_CANDIDATES:
            break
    return grown


def _cells(sizes: Sequence[int], block: Iterable[int]) -> int:
    return math.prod(sizes[c] for c in block)
