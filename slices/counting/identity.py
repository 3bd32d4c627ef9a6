"""Identity: that no ``id`` occurs twice, in eight bytes a row.

Rows are compared by a 64-bit fingerprint of their id while the log is read; the few whose
fingerprints agree are read again and compared as text, so the answer is exact.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from slices.counting.engine import RowSink
from slices.counting.rows import text_dictionary
from slices.errors import LogError
from slices.reading.arrays import filled, index_array, numpy_of, text_array
from slices.reading.sources import Source

_CLASS_FACTOR = np.uint64(0x9E3779B97F4A7C15)


class IdCheck(RowSink):
    """Gathers a fingerprint of every row's id while the log is counted.

    Parameters
    ----------
    id_column : str
    class_column : str or None
        Multi-label logs: the same id may occur once for each class.
    missing : sequence of str
        Rows without an id are not compared.
    """

    def __init__(self, id_column: str, class_column: str | None, missing: Sequence[str]) -> None:
        self._id, self._class = id_column, class_column
        self.columns = (id_column,) if class_column is None else (id_column, class_column)
        self._missing = frozenset(missing)
        self._lock = threading.Lock()
        self._found: list[NDArray[np.uint64]] = []

    def take(
        self,
        arrays: Sequence[pa.Array],
        attributes: Sequence[NDArray[np.integer]],
        outcomes: Sequence[NDArray[np.integer]],
        n: NDArray[np.int64] | None,
        rows: int,
    ) -> None:
        found, there = self._row_fingerprints(arrays)
        with self._lock:
            self._found.append(found[there])

    def check(self, source: Source) -> None:
        """Look for ids that occur twice.

        Raises
        ------
        LogError
            The first of them in text order, with its first two rows.
        """
        everything = np.concatenate(self._found) if self._found else np.empty(0, np.uint64)
        self._found = []
        everything.sort()
        twice = np.unique(everything[1:][everything[1:] == everything[:-1]])
        if len(twice) == 0:
            return
        rows: dict[tuple[str, ...], list[str]] = {}
        for key, where in self._suspects(source, twice):
            rows.setdefault(key, []).append(where)
        doubled = sorted(key for key, places in rows.items() if len(places) > 1)
        if doubled:
            first = doubled[0]
            within = "" if self._class is None else f" for class '{first[1]}'"
            advice = (
                "; if a row is one label of an image, name the column of labels as class"
                if self._class is None
                else ""
            )
            raise LogError(
                f"Column '{self._id}' (id) holds '{first[0]}' {len(rows[first])} times{within} "
                f"({rows[first][0]} and {rows[first][1]}); {len(doubled):,} such in all. "
                f"Remove the repeats{advice}."
            )

    def _suspects(self, source: Source, twice: NDArray[np.uint64]) -> Iterator[tuple[tuple[str, ...], str]]:
        for file in source.files:
            row = 0
            for part in file.parts():
                for batch in part.batches(self.columns):
                    found, there = self._row_fingerprints(batch.columns)
                    places = np.flatnonzero(np.isin(found, twice) & there)
                    picked = [
                        text_dictionary(values, name).take(index_array(places.astype(np.int32))).to_pylist()
                        for values, name in zip(batch.columns, self.columns, strict=True)
                    ]
                    for place, *key in zip(places.tolist(), *picked, strict=True):
                        yield tuple(str(text) for text in key), f"row {row + place + 1:,} of {file.name}"
                    row += batch.num_rows

    def _row_fingerprints(self, arrays: Sequence[pa.Array]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
        found, there = self._column_fingerprints(arrays[0], self._id)
        if self._class is not None:
            classes, _ = self._column_fingerprints(arrays[1], self._class)
            found = found + classes * _CLASS_FACTOR
        return found, there

    def _column_fingerprints(
        self, values: pa.Array, column: str
    ) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
        """Fingerprint of each row's text, and whether there is one."""
        encoded = text_dictionary(values, column)
        prints = np.append(fingerprints(encoded.dictionary), np.uint64(0))
        listed = pc.is_in(encoded.dictionary, text_array(sorted(self._missing)))
        gone = numpy_of(pc.or_(pc.is_null(encoded.dictionary), listed))
        there = np.append(~gone, False)
        places = filled(encoded.indices, len(encoded.dictionary))
        return prints[places], there[places]


def fingerprints(texts: pa.Array) -> NDArray[np.uint64]:
    """A 64-bit fingerprint of each text of a string array; equal texts have equal ones.

    A random linear function of the bytes modulo 2**64, the same in every run.

    Examples
    --------
    >>> a, b, c = fingerprints(pa.array(["x1", "x2", "x1"]))
    >>> bool(a == c), bool(a == b)
    (True, False)
    """
    whole = texts.cast(pa.large_string())
    _, offsets_buffer, data_buffer = whole.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int64)[whole.offset : whole.offset + len(whole) + 1]
    if len(whole) == 0 or data_buffer is None:
        return np.zeros(len(whole), np.uint64)
    data = np.frombuffer(data_buffer, np.uint8)[offsets[0] : offsets[-1]].astype(np.uint64)
    starts = offsets - offsets[0]
    lengths = np.diff(starts)
    longest = int(lengths.max())
    factors = np.random.default_rng(0x1D).integers(0, 1 << 64, longest + 1, np.uint64, endpoint=False)
    factors |= np.uint64(1)
    within = np.arange(len(data)) - np.repeat(starts[:-1], lengths)
    # The byte's place enters through its factor, the length through one of its own.
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum((data + np.uint64(1)) * factors[within])])
    return np.asarray(sums[starts[1:]] - sums[starts[:-1]])
