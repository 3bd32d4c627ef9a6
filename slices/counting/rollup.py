"""Roll-up: from the counts of blocks to the counts of slices.

Here codes of discovery become places in sorted value lists, so that nothing after this
depends on the order of rows, files or threads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slices.counting.engine import Scan, added, digits, joined
from slices.counting.outcomes import Interpretation, Layout
from slices.counts import CountTable, SliceCounts
from slices.errors import LogError
from slices.slicing import OVERALL, Slice

_MOST_BYTES = 4 << 30
_CHUNK_NUMBERS = 1 << 20


@dataclass(frozen=True, slots=True)
class ValueTable:
    """An attribute's values in their final order, and the way there.

    Attributes
    ----------
    values : tuple of str
        Sorted as text; bands in order.
    final : int32 array
        Code of discovery to place in ``values``; -1 is missing.
    """

    values: tuple[str, ...]
    final: NDArray[np.int32]

    @property
    def size(self) -> int:
        """Number of codes, the missing value among them."""
        return len(self.values) + 1


@dataclass(frozen=True, slots=True)
class SetCounts:
    """Counts of one crossing of attributes: outcome vectors of its occupied cells, sparse.

    Attributes
    ----------
    names : tuple of str
    codes : int32 array, shape (cells, len(names))
        Places in the value lists, -1 for missing; sorted.
    start : int64 array, shape (cells + 1,)
        Cell i's entries are ``start[i]:start[i + 1]`` of ``outcome`` and ``n``.
    """

    names: tuple[str, ...]
    codes: NDArray[np.int32]
    start: NDArray[np.int64]
    outcome: NDArray[np.int32]
    n: NDArray[np.int64]

    def vectors(self, first: int, last: int, width: int) -> NDArray[np.int64]:
        """Outcome vectors of the cells from ``first`` to before ``last``, shape (cells, width)."""
        piece = slice(self.start[first], self.start[last])
        vectors = np.zeros((last - first, width), np.int64)
        cell = np.repeat(np.arange(last - first), np.diff(self.start[first : last + 1]))
        vectors[cell, self.outcome[piece]] = self.n[piece]
        return vectors

    def present(self, width: int) -> NDArray[np.int64]:
        """Outcome vector of all rows whose attributes are all present, shape (width,)."""
        here = np.repeat((self.codes >= 0).all(axis=1), np.diff(self.start))
        # Sums of counts stay below 2**53: exact in bincount's float64.
        return np.bincount(self.outcome[here], weights=self.n[here], minlength=width).astype(np.int64)

    def table(self, counted: int) -> CountTable:
        """The counted rows as a table that adds."""
        cell = np.repeat(np.arange(len(self.codes)), np.diff(self.start))
        keep = self.outcome < counted
        return CountTable(self.names, self.codes[cell[keep]], self.outcome[keep], self.n[keep])


def value_table(
    values: Sequence[str | None], n: NDArray[np.int64], bands: Sequence[str] | None
) -> ValueTable:
    """Put an attribute's values in their final order.

    Parameters
    ----------
    values : sequence of str or None
        In the order of discovery.
    n : int64 array, shape (values,)
        Rows of each; values without rows are left out (a dictionary may name some).
    bands : sequence of str, optional
        Names of the bands; then all of them are kept, in order.
    """
    if bands is not None:
        return ValueTable(tuple(bands), np.array([*range(len(bands)), -1], np.int32))
    kept = sorted(value for value, rows in zip(values, n, strict=True) if value is not None and rows)
    place = {value: code for code, value in enumerate(kept)}
    return ValueTable(
        tuple(kept), np.array([-1 if v is None else place.get(v, -1) for v in values], np.int32)
    )


def raw_outcomes(scan: Scan) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The raw outcome combinations that occur, with their rows; shape (combinations, outcome columns)."""
    radix = [len(values) for values in scan.outcomes]
    keys, n = [], []
    for table in (plan[0] for plan in scan.plans):
        keys.append(joined(table.codes[:, len(table.block) :], radix))
        n.append(table.n)
    total_keys, total = (
        added(np.concatenate(keys), np.concatenate(n)) if keys else (np.empty(0, np.int64),) * 2
    )
    return digits(total_keys, radix), total


def attribute_rows(scan: Scan, attribute: int, meaning: Interpretation) -> NDArray[np.int64]:
    """Rows of each value of an attribute, in the order of discovery."""
    rows = np.zeros(len(scan.attributes[attribute]), np.int64)
    is_row = meaning.is_row
    for tables in scan.plans:
        table = next(t for t in tables if attribute in t.block)
        n = table.n * is_row[combination_of(table.codes[:, len(table.block) :], scan, meaning)]
        np.add.at(rows, table.codes[:, table.block.index(attribute)], n)
    return rows


def combination_of(codes: NDArray[np.int32], scan: Scan, meaning: Interpretation) -> NDArray[np.intp]:
    """Place of each row of raw outcome codes among the combinations."""
    radix = [len(values) for values in scan.outcomes]
    return np.searchsorted(joined(meaning.combinations, radix), joined(codes, radix))


def roll_up(
    scan: Scan,
    names: Sequence[str],
    tables: Mapping[str, ValueTable],
    meaning: Interpretation,
    wanted: tuple[str, ...],
    *,
    raw: bool = False,
) -> SetCounts:
    """Counts of one crossing of attributes.

    Parameters
    ----------
    names : sequence of str
        The attributes in the order of the scan.
    wanted : tuple of str
        The crossing.
    raw : bool
        Keep raw outcome combinations apart (their places as outcome) instead of outcomes.
    """
    positions = [names.index(name) for name in wanted]
    sizes = [tables[name].size for name in wanted]
    code = np.arange(len(meaning.code), dtype=np.int32) if raw else meaning.code
    width = max(1, len(code)) if raw else meaning.layout.width
    keys, n = [], []
    for plan in scan.plans:
        table = next(t for t in plan if set(positions) <= set(t.block))
        key = np.zeros(len(table.n), np.int64)
        for name, position, size in zip(wanted, positions, sizes, strict=True):
            key *= size
            # Missing is -1 in the value lists and 0 in the key, which sorts it first.
            key += tables[name].final[table.codes[:, table.block.index(position)]] + 1
        key *= width
        key += code[combination_of(table.codes[:, len(table.block) :], scan, meaning)]
        keys.append(key)
        n.append(table.n)
    key, total = _summed(keys, n, math.prod(sizes) * width)
    cell, outcome = np.divmod(key, width)
    distinct, first = np.unique(cell, return_index=True)
    return SetCounts(
        names=wanted,
        codes=digits(distinct, sizes) - 1,
        start=np.append(first, len(cell)).astype(np.int64),
        outcome=outcome.astype(np.int32),
        n=total,
    )


def _summed(
    keys: Sequence[NDArray[np.int64]], n: Sequence[NDArray[np.int64]], size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if not keys:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    if size <= 1 << 22:
        # Counts stay below 2**53: exact in bincount's float64, and much quicker than sorting.
        dense = sum(np.bincount(k, weights=w, minlength=size) for k, w in zip(keys, n, strict=True))
        occupied = np.flatnonzero(dense)
        return occupied, np.asarray(dense)[occupied].astype(np.int64)
    return added(np.concatenate(keys), np.concatenate(n))


@dataclass(frozen=True, slots=True)
class CellCounts:
    """Some cells of a crossing, taken apart for all of them at once.

    Attributes
    ----------
    codes : int32 array, shape (cells, attributes)
    inside, outside : int64 array, shape (cells, strata, outcomes of a stratum)
    failed : int64 array, shape (cells, strata, 2)
    unlabelled, classless, weightless, n, size : int64 array, shape (cells,)
        ``size``: rows that a slice is measured by: those with a label (in the largest class of
        a multi-label log), or those that are not counted where none has one.
    """

    names: tuple[str, ...]
    codes: NDArray[np.int32]
    inside: NDArray[np.int64]
    outside: NDArray[np.int64]
    failed: NDArray[np.int64]
    unlabelled: NDArray[np.int64]
    classless: NDArray[np.int64]
    weightless: NDArray[np.int64]
    n: NDArray[np.int64]
    size: NDArray[np.int64]

    def slices(
        self, tables: Mapping[str, ValueTable], cells: NDArray[np.intp]
    ) -> Iterator[tuple[int, str, Slice]]:
        """The slices that some cells are: the cell, the slice's canonical key, the slice."""
        # The code -1 of a missing value picks the last.
        pairs = [[(name, value) for value in (*tables[name].values, None)] for name in self.names]
        keys = [[Slice((pair,)).key[1:-1] for pair in column] for column in pairs]
        for cell, codes in zip(cells.tolist(), self.codes[cells].tolist(), strict=True):
            key = ", ".join([column[code] for column, code in zip(keys, codes, strict=True)])
            values = tuple([column[code] for column, code in zip(pairs, codes, strict=True)])
            yield cell, f"{{{key}}}", Slice(values)

    def counts_at(self, cell: int, slice_: Slice) -> SliceCounts:
        """One slice with its complement, as the statistics read it."""
        return SliceCounts(
            slice=slice_,
            inside=self.inside[cell],
            outside=self.outside[cell],
            failed=self.failed[cell],
            unlabelled=int(self.unlabelled[cell]),
            n=int(self.n[cell]),
            classless=int(self.classless[cell]),
            weightless=int(self.weightless[cell]),
        )


def cell_counts(crossing: SetCounts, layout: Layout) -> Iterator[CellCounts]:
    """The occupied cells of a crossing, some thousands at a time."""
    present = crossing.present(layout.width)
    chunk = max(1, _CHUNK_NUMBERS // layout.width)
    for first in range(0, len(crossing.codes), chunk):
        last = min(first + chunk, len(crossing.codes))
        codes = crossing.codes[first:last]
        vectors = crossing.vectors(first, last, layout.width)
        # A slice of missing values lies outside the rows whose attributes are all present.
        outside = present - vectors * (codes >= 0).all(axis=1, keepdims=True)
        yield _taken_apart(crossing.names, codes, vectors, outside, layout)


def overall_counts(n: NDArray[np.int64], meaning: Interpretation) -> SliceCounts:
    """The whole log as a slice, from the rows of each raw outcome combination."""
    width = meaning.layout.width
    vector = np.bincount(meaning.code, weights=n, minlength=width).astype(np.int64)[None]
    cells = _taken_apart((), np.empty((1, 0), np.int32), vector, np.zeros_like(vector), meaning.layout)
    return cells.counts_at(0, OVERALL)


def _taken_apart(
    names: tuple[str, ...],
    codes: NDArray[np.int32],
    vectors: NDArray[np.int64],
    outside: NDArray[np.int64],
    layout: Layout,
) -> CellCounts:
    shape = (len(vectors), layout.strata, layout.cells)
    inside = vectors[:, : layout.counted]
    failed = np.ascontiguousarray(vectors[:, layout.failed]).reshape(len(vectors), layout.strata, 2)
    unlabelled = vectors[:, layout.unlabelled].sum(axis=1)
    classless, weightless = vectors[:, layout.classless], vectors[:, layout.weightless]
    images = vectors[:, layout.images]
    # In a detection log the images are the rows; elsewhere there are none and outcomes are rows.
    n = np.where(images > 0, images, inside.sum(axis=1))
    # A class of a multi-label log has one row an image: the largest class tells the images.
    by_class = np.ascontiguousarray(inside).reshape(shape).sum(axis=2) + failed.sum(axis=2)
    labelled = np.where(images > 0, images + failed.sum(axis=(1, 2)), by_class.max(axis=1))
    return CellCounts(
        names=names,
        codes=codes,
        inside=np.ascontiguousarray(inside).reshape(shape),
        outside=np.ascontiguousarray(outside[:, : layout.counted]).reshape(shape),
        failed=failed,
        unlabelled=unlabelled,
        classless=classless,
        weightless=weightless,
        n=n,
        size=np.where(labelled > 0, labelled, unlabelled + classless + weightless),
    )


def check_memory(slices: int, layout: Layout) -> None:
    """Refuse a run whose slices would not fit in memory.

    Raises
    ------
    LogError
        More than 4 GiB of counts: thousands of slices times a confusion matrix of many classes.
    """
    need = 2 * 8 * slices * layout.counted
    if need > _MOST_BYTES:
        raise LogError(
            f"{slices:,} slices of {layout.counted:,} outcomes need {need / 2**30:.0f} GiB; "
            "configure fewer intersections, or a larger minimum."
        )


def summary(attribute_table: ValueTable, n: NDArray[np.int64]) -> tuple[tuple[tuple[str, int], ...], int]:
    """Rows of each value in final order, and rows of the missing value."""
    size = attribute_table.size
    rows = np.bincount(attribute_table.final + 1, weights=n, minlength=size).astype(np.int64)
    return tuple(zip(attribute_table.values, map(int, rows[1:]), strict=True)), int(rows[0])
