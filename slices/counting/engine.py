"""The counting engine: threads that read their own parts of a log and count blocks of columns.

Every row's attribute and outcome codes become one mixed-radix key a block, counted by
``np.bincount``. Value tables grow while the log is read: a thread whose plan has become
too small sets its counts aside as a table and plans anew; tables add. Memory does not
depend on the number of rows.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from slices.counting.covering import CELL_LIMIT, cover
from slices.errors import LogError
from slices.reading.coding import AmountCoder, BandCoder, Coder, CoderMaker, LargestScoreCoder
from slices.reading.sources import Part

Progress = Callable[[str, int, int], None]

DENSE_LIMIT = 1 << 20
_LARGEST_KEY = 1 << 62


def no_progress(what: str, done: int, total: int) -> None:
    """The default reporter: says nothing."""


@dataclass(frozen=True, slots=True)
class RawTable:
    """Counts of one block before roll-up.

    Attributes
    ----------
    block : tuple of int
        Attribute positions.
    codes : int32 array, shape (cells, len(block) + outcome columns)
        Codes of discovery, the attributes of the block first.
    n : int64 array, shape (cells,)
    """

    block: tuple[int, ...]
    codes: NDArray[np.int32]
    n: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Scan:
    """What one pass over a log found: value tables and the counts of every block.

    ``attributes`` and ``outcomes`` are the value lists in the order of discovery; ``whole``
    tells for each attribute whether all its numbers were whole (bands only), ``tied`` for each outcome
    column in how many rows two or more classes share the largest score. Each element of
    ``plans`` holds the blocks of one plan of one thread: every row is in exactly one plan, and
    in each of its blocks.
    """

    attributes: tuple[tuple[str | None, ...], ...]
    outcomes: tuple[tuple[str | None, ...], ...]
    whole: tuple[bool, ...]
    plans: tuple[tuple[RawTable, ...], ...]
    rows: int
    file_rows: dict[str, int]
    tied: tuple[int, ...] = ()


class RowSink:
    """Takes each batch's codes; the base class keeps nothing. Called by several threads at once."""

    columns: tuple[str, ...] = ()

    def take(
        self,
        arrays: Sequence[pa.Array],
        attributes: Sequence[NDArray[np.integer]],
        outcomes: Sequence[NDArray[np.integer]],
        n: NDArray[np.int64] | None,
        rows: int,
    ) -> None:
        """Take one batch: the sink's own columns and the codes of the same rows.

        Where an outcome column counts things (``n`` is given), codes come in several copies of
        the batch, one after the other.
        """


def scan(
    parts: Sequence[Part],
    attributes: Sequence[CoderMaker],
    outcomes: Sequence[CoderMaker],
    required: Sequence[frozenset[int]],
    *,
    wished: Sequence[frozenset[int]] = (),
    sinks: Sequence[RowSink] = (),
    threads: int | None = None,
    progress: Progress = no_progress,
) -> Scan:
    """Count a log in one pass.

    Parameters
    ----------
    parts : sequence of Part
        What the threads take turns in reading.
    attributes, outcomes : sequence of coder makers
        One a column; each thread makes its own coders.
    required : sequence of frozenset of int
        Sets of attributes (positions) whose joint counts with all outcome columns are wanted.
    wished : sequence of frozenset of int
        Sets that are counted as well where they are small (`is_small` tells of which this is certain).
    sinks : sequence of RowSink
        Take every batch as well, for what counts alone cannot give.
    progress : callable
        Told the rows done and in all; 0 in all where only reading tells.
    threads : int, optional
        Default: the processors at hand, at most 8.

    Raises
    ------
    LogError
        A part cannot be read, or a column has too many values.
    """
    queue = iter(parts)
    lock = threading.Lock()
    total = sum(part.rows or 0 for part in parts) if all(part.rows is not None for part in parts) else 0
    file_rows = {part.file.name: 0 for part in parts}
    done = [0]
    failed = threading.Event()

    def next_part() -> Part | None:
        with lock:
            return None if failed.is_set() else next(queue, None)

    def tell(part: Part, rows: int) -> None:
        with lock:
            done[0] += rows
            file_rows[part.file.name] += rows
            progress("counting rows", done[0], total)

    def work() -> _Worker:
        worker = _Worker(
            [make() for make in attributes], [make() for make in outcomes], required, wished, sinks
        )
        try:
            while (part := next_part()) is not None:
                for batch in part.batches(worker.columns):
                    worker.add(batch)
                    tell(part, batch.num_rows)
                    if failed.is_set():
                        break
            worker.finish()
        except BaseException:
            failed.set()
            raise
        return worker

    count = max(1, min(len(parts), threads or min(os.cpu_count() or 1, 8)))
    if count == 1:
        workers = [work()]
    else:
        with ThreadPoolExecutor(count) as pool:
            workers = [future.result() for future in [pool.submit(work) for _ in range(count)]]
    first = workers[0]
    return Scan(
        attributes=tuple(tuple(coder.vocabulary.values) for coder in first.attributes),
        outcomes=tuple(tuple(coder.vocabulary.values) for coder in first.outcomes),
        whole=tuple(
            all(_whole(worker.attributes[place]) for worker in workers) for place in range(len(attributes))
        ),
        plans=tuple(plan for worker in workers for plan in worker.plans),
        rows=done[0],
        file_rows=file_rows,
        tied=tuple(
            sum(_tied(worker.outcomes[place]) for worker in workers) for place in range(len(outcomes))
        ),
    )


def is_small(attributes: Sequence[int], outcomes: Sequence[int]) -> bool:
    """Whether a wished set with so many values was counted, whatever the order of the rows.

    Plans leave room for half as many values again in each column.
    """
    columns = (*attributes, *outcomes)
    return math.prod(size + size // 2 for size in columns) <= DENSE_LIMIT


def _whole(coder: Coder) -> bool:
    return coder.whole if isinstance(coder, BandCoder) else True


def _tied(coder: Coder) -> int:
    return coder.tied if isinstance(coder, LargestScoreCoder) else 0


class _Worker:
    """One thread: its coders, its plan, and the tables it has set aside."""

    def __init__(
        self,
        attributes: Sequence[Coder],
        outcomes: Sequence[Coder],
        required: Sequence[frozenset[int]],
        wished: Sequence[frozenset[int]],
        sinks: Sequence[RowSink],
    ) -> None:
        self.attributes = attributes
        self.outcomes = outcomes
        self.plans: list[tuple[RawTable, ...]] = []
        self.columns: list[str] = []
        self._required = required
        self._wished = wished
        self._sinks = sinks
        self._plan: _Plan | None = None
        for coder in (*attributes, *outcomes):
            self.columns += [c for c in coder.columns if c not in self.columns]
        for sink in sinks:
            self.columns += [c for c in sink.columns if c not in self.columns]

    def add(self, batch: pa.RecordBatch) -> None:
        if batch.num_rows == 0:
            return
        arrays = dict(zip(self.columns, batch.columns, strict=True))
        attributes = [coder.codes([arrays[c] for c in coder.columns]) for coder in self.attributes]
        outcomes = [coder.codes([arrays[c] for c in coder.columns]) for coder in self.outcomes]
        sizes = _Sizes(
            tuple(len(coder.vocabulary) for coder in self.attributes),
            tuple(len(coder.vocabulary) for coder in self.outcomes),
        )
        if self._plan is None:
            self._plan = _Plan(sizes, self._required, self._wished)
        elif not self._plan.holds(sizes):
            self.plans.append(self._plan.tables())
            # Room for half as many again: a column that keeps growing costs few new plans.
            self._plan = _Plan(self._plan.sizes.grown(sizes), self._required, self._wished)
        n = None
        if isinstance(self.outcomes[0], AmountCoder):
            # A row that counts several things is entered once for each, with their number.
            n = self.outcomes[0].amounts([arrays[c] for c in self.outcomes[0].columns])
            copies = len(n) // batch.num_rows
            attributes = [np.tile(codes, copies) for codes in attributes]
            outcomes = [outcomes[0], *(np.tile(codes, copies) for codes in outcomes[1:])]
        self._plan.add(attributes, outcomes, n)
        for sink in self._sinks:
            sink.take([arrays[c] for c in sink.columns], attributes, outcomes, n, batch.num_rows)

    def finish(self) -> None:
        if self._plan is not None:
            self.plans.append(self._plan.tables())
            self._plan = None


@dataclass(frozen=True, slots=True)
class _Sizes:
    attributes: tuple[int, ...]
    outcomes: tuple[int, ...]

    def grown(self, needed: _Sizes) -> _Sizes:
        return _Sizes(
            *(
                tuple(old if old >= new else new + new // 2 for old, new in zip(mine, theirs, strict=True))
                for mine, theirs in ((self.attributes, needed.attributes), (self.outcomes, needed.outcomes))
            )
        )


class _Plan:
    """Blocks for given numbers of values, and the counts gathered under them."""

    def __init__(
        self, sizes: _Sizes, required: Sequence[frozenset[int]], wished: Sequence[frozenset[int]]
    ) -> None:
        self.sizes = sizes
        self._outcomes = math.prod(sizes.outcomes)
        cells = {block: math.prod(sizes.attributes[c] for c in block) * self._outcomes for block in wished}
        required = [*required, *(block for block in wished if cells[block] <= DENSE_LIMIT)]
        limit = max(1, min(CELL_LIMIT, DENSE_LIMIT // self._outcomes))
        blocks = cover(sizes.attributes, required, limit) or [()]
        self._counts: list[_Dense | _Sparse] = []
        for block in blocks:
            size = math.prod(sizes.attributes[c] for c in block) * self._outcomes
            if size > _LARGEST_KEY:
                raise LogError(
                    f"Attributes {', '.join(str(c + 1) for c in block)} have too many values to be crossed; "
                    "give bands, or fewer intersections."
                )
            self._counts.append(_Dense(block, size) if size <= DENSE_LIMIT else _Sparse(block, size))

    def holds(self, sizes: _Sizes) -> bool:
        return all(a <= b for a, b in zip(sizes.attributes, self.sizes.attributes, strict=True)) and all(
            a <= b for a, b in zip(sizes.outcomes, self.sizes.outcomes, strict=True)
        )

    def add(
        self,
        attributes: Sequence[NDArray[np.integer]],
        outcomes: Sequence[NDArray[np.integer]],
        n: NDArray[np.int64] | None,
    ) -> None:
        outcome: NDArray[Any] = outcomes[0].astype(_key_type(self._outcomes))
        for codes, size in zip(outcomes[1:], self.sizes.outcomes[1:], strict=True):
            outcome *= size
            outcome += codes
        for counts in self._counts:
            if not counts.block:
                counts.add(outcome, n)
                continue
            key: NDArray[Any] = attributes[counts.block[0]].astype(_key_type(counts.size))
            for column in counts.block[1:]:
                key *= self.sizes.attributes[column]
                key += attributes[column]
            key *= self._outcomes
            key += outcome
            counts.add(key, n)

    def tables(self) -> tuple[RawTable, ...]:
        tables = []
        for counts in self._counts:
            keys, n = counts.occupied()
            radix = [*(self.sizes.attributes[c] for c in counts.block), *self.sizes.outcomes]
            tables.append(RawTable(counts.block, digits(keys, radix), n))
        return tuple(tables)


def _key_type(size: int) -> type[np.uint16] | type[np.int32] | type[np.int64]:
    """The smallest type that holds every key: arithmetic on two bytes is four times as fast as on eight."""
    return np.uint16 if size <= 1 << 16 else np.int32 if size <= 1 << 31 else np.int64


@dataclass(slots=True)
class _Dense:
    """Counts of a block of few cells: one number a cell."""

    block: tuple[int, ...]
    size: int
    _n: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self._n = np.zeros(self.size, np.int64)

    def add(self, keys: NDArray[Any], n: NDArray[np.int64] | None) -> None:
        if n is None:
            self._n += np.bincount(keys, minlength=self.size)
        else:
            # Sums of a batch stay below 2**53: exact in bincount's float64.
            self._n += np.bincount(keys, weights=n, minlength=self.size).astype(np.int64)

    def occupied(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        keys = np.flatnonzero(self._n)
        return keys, self._n[keys]


@dataclass(slots=True)
class _Sparse:
    """Counts of a block of many cells: sorted keys of the occupied ones, merged as rows gather."""

    block: tuple[int, ...]
    size: int
    _keys: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    _n: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    _waiting: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = field(default_factory=list)
    _rows: int = 0

    def add(self, keys: NDArray[Any], n: NDArray[np.int64] | None) -> None:
        self._waiting.append(np.unique(keys, return_counts=True) if n is None else added(keys, n))
        self._rows += len(self._waiting[-1][0])
        # Merging when as much waits as is held keeps the cost of merging linear in the rows.
        if self._rows >= max(DENSE_LIMIT, len(self._keys)):
            self._merge()

    def _merge(self) -> None:
        keys, n = zip((self._keys, self._n), *self._waiting, strict=True)
        self._keys, self._n = added(np.concatenate(keys), np.concatenate(n))
        self._waiting, self._rows = [], 0

    def occupied(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if self._waiting:
            self._merge()
        return self._keys, self._n


def added(keys: NDArray[np.int64], n: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sorted distinct keys and the sum of ``n`` of each, exactly."""
    if len(keys) == 0:
        return keys, n
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return keys[starts], np.add.reduceat(n[order], starts)


def digits(keys: NDArray[np.int64], radix: Sequence[int]) -> NDArray[np.int32]:
    """The mixed-radix digits of keys, the most significant first; shape (keys, len(radix)).

    Examples
    --------
    >>> digits(np.array([0, 5, 7]), [4, 2]).tolist()
    [[0, 0], [2, 1], [3, 1]]
    """
    out = np.empty((len(keys), len(radix)), np.int32)
    rest = keys
    for place in range(len(radix) - 1, -1, -1):
        rest, out[:, place] = np.divmod(rest, radix[place])
    return out


def joined(codes: NDArray[np.int32], radix: Sequence[int]) -> NDArray[np.int64]:
    """Keys of rows of digits: the inverse of :func:`digits`."""
    keys = np.zeros(len(codes), np.int64)
    for place, size in enumerate(radix):
        keys *= size
        keys += codes[:, place]
    return keys
