"""Joint outcomes: what model and baseline made of the same row, gathered by cluster.

Belongs here: the kinds of row that two models make, and each cluster's number of them. Does not: the
difference between the models (`slices.supplements.paired`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slices.counts import PairedPatterns
from slices.reading.arrays import group_starts

_CELLS = 8
_BITS = 8


@dataclass(frozen=True, slots=True)
class JointKinds:
    """The kinds of row that occur, told apart by both models' outcomes.

    Attributes
    ----------
    kind : int32 array, shape (combinations,)
        Of each raw combination of outcome columns; -1 where a row of it cannot be compared.
    cell : int8 array, shape (kinds, classes)
        Where a row of the kind stands in a class's joint table: 4 x label + 2 x model + baseline (1 for
        positive); -1 where it is no row of the class.
    """

    kind: NDArray[np.int32]
    cell: NDArray[np.int8]

    @classmethod
    def of(cls, pairs: NDArray[np.int64]) -> JointKinds:
        """From the joint tables of one row of each combination, (combinations, classes, 2, 2, 2)."""
        flat = pairs.reshape(*pairs.shape[:2], _CELLS)
        cell = np.where(flat.any(axis=-1), flat.argmax(axis=-1), -1).astype(np.int8)
        compared = (cell >= 0).any(axis=1)
        cells, place = np.unique(cell[compared], axis=0, return_inverse=True)
        kind = np.full(len(cell), -1, np.int32)
        kind[compared] = place.reshape(-1)
        return cls(kind, cells)


def paired_patterns(
    cluster: NDArray[np.int64], kind: NDArray[np.int32], cell: NDArray[np.int8]
) -> tuple[PairedPatterns, ...]:
    """Distinct joint tables of the clusters of some rows, for each class.

    Parameters
    ----------
    cluster : int64 array, shape (rows,)
        Ascending.
    kind : int32 array, shape (rows,)
        Of `JointKinds`; -1 where the row cannot be compared.
    cell : int8 array, shape (kinds, classes)
        Of `JointKinds`.

    Notes
    -----
    Clusters of up to 255 rows have their eight counts in the eight bytes of one number, so that equal
    tables are equal numbers: no clusters x cells array is made.
    """
    compared = kind >= 0
    cluster, kind = cluster[compared], kind[compared]
    found = []
    for of_class in cell.T:
        places = of_class[kind]
        here = places >= 0
        whole = bool(here.all())
        found.append(_distinct(cluster if whole else cluster[here], places if whole else places[here]))
    return tuple(found)


def _distinct(cluster: NDArray[np.int64], cell: NDArray[np.int8]) -> PairedPatterns:
    starts = group_starts(cluster)
    sizes = np.diff(np.append(starts, len(cluster)))
    if len(starts) and sizes.max() >= 1 << _BITS:
        place = np.repeat(np.arange(len(starts)), sizes)
        each = np.bincount(place * _CELLS + cell, minlength=len(starts) * _CELLS).reshape(-1, _CELLS)
        tables, times = np.unique(each, axis=0, return_counts=True)
    else:
        shift = _BITS * np.arange(_CELLS, dtype=np.uint64)
        one = np.uint64(1) << shift
        numbers = np.add.reduceat(one[cell], starts) if len(starts) else np.empty(0, np.uint64)
        distinct, times = np.unique(numbers, return_counts=True)
        tables = ((distinct[:, None] >> shift) & np.uint64((1 << _BITS) - 1)).astype(np.int64)
    return PairedPatterns(tables.reshape(-1, 2, 2, 2), times.astype(np.int64))
