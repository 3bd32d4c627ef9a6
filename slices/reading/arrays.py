"""Arrays: Arrow columns as NumPy arrays, by DLPack; runs of equal values.

``Array.to_numpy``, ``pa.array`` and ``pa.scalar`` import pandas where it is installed: a quarter of
a second and sixty megabytes that counting has no use for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def numpy_of(values: pa.Array) -> NDArray[Any]:
    """The numbers of an array without nulls: a read-only view; booleans as NumPy's.

    Examples
    --------
    >>> numpy_of(pa.array([1, 2])).tolist(), numpy_of(pa.array([True, False])).tolist()
    ([1, 2], [True, False])
    """
    if pa.types.is_boolean(values.type):
        return np.from_dlpack(values.cast(pa.uint8())).astype(bool)
    if len(values) == 0:
        return np.empty(0, values.type.to_pandas_dtype())
    return np.from_dlpack(values)


def filled(values: pa.Array, instead: float) -> NDArray[Any]:
    """The numbers of an array, with another number in place of its nulls.

    Examples
    --------
    >>> filled(pa.array([1, None, 3]), -1).tolist()
    [1, -1, 3]
    """
    if values.null_count == 0:
        return numpy_of(values)
    if values.null_count == len(values):
        return np.full(len(values), instead, values.type.to_pandas_dtype())
    numbers = np.frombuffer(values.buffers()[1], values.type.to_pandas_dtype())
    there = numpy_of(values.is_valid())
    return np.where(there, numbers[values.offset : values.offset + len(values)], instead).astype(
        numbers.dtype
    )


def text_array(texts: Sequence[str | None]) -> pa.StringArray:
    """An Arrow array of texts, built from its buffers.

    Examples
    --------
    >>> text_array(["a", None, "bc"]).to_pylist()
    ['a', None, 'bc']
    """
    encoded = [b"" if text is None else text.encode() for text in texts]
    offsets = np.zeros(len(encoded) + 1, np.int32)
    np.cumsum([len(piece) for piece in encoded], out=offsets[1:])
    there = np.packbits([text is not None for text in texts], bitorder="little")
    buffers = [pa.py_buffer(there), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


def index_array(numbers: NDArray[np.int32]) -> pa.Int32Array:
    """An Arrow array over the same 32-bit numbers."""
    return pa.Array.from_buffers(
        pa.int32(), len(numbers), [None, pa.py_buffer(np.ascontiguousarray(numbers))]
    )


def sorted_distinct(values: NDArray[Any]) -> NDArray[Any]:
    """Distinct numbers, ascending, by sorting: many times as fast as hashing where most are distinct."""
    ordered = np.sort(values)
    return ordered[group_starts(ordered)]


def group_starts(ordered: NDArray[np.int64]) -> NDArray[np.intp]:
    """Where each run of equal values begins.

    Examples
    --------
    >>> group_starts(np.array([3, 3, 5, 9, 9])).tolist()
    [0, 2, 3]
    """
    return np.flatnonzero(
        np.concatenate([np.ones(min(1, len(ordered)), dtype=bool), ordered[1:] != ordered[:-1]])
    )


def summed(places: NDArray[Any], values: NDArray[Any], size: int) -> NDArray[np.float64]:
    """The sum of the values at each place from 0 to before ``size``, added in their order."""
    return np.asarray(np.bincount(places, weights=values, minlength=size), dtype=np.float64)
