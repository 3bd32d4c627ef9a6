"""Gram matrices over columns: ``K = A A^T`` and ``C = G A^T``, accumulated in float64 chunk by chunk.

Activations of 100,000 columns and thousands of rows are read a few columns at a time, so that memory is
bounded by the rows and not by the layer's width. Nothing is known here of images or concepts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from concepts.mapped import release

Floats = NDArray[np.float64]

#: Bytes of float64 that one chunk of columns, over all rows read together, may take.
CHUNK_BYTES = 128 * 2**20


def gram(activations: NDArray[np.float32]) -> Floats:
    """Inner products of all pairs of rows, ``A A^T``.

    Parameters
    ----------
    activations : float32 array or memory map, shape (rows, width)

    Returns
    -------
    float64 array, shape (rows, rows), exactly symmetric
    """
    return grams(activations, ())[0]


def grams(
    activations: NDArray[np.float32], gradients: Sequence[NDArray[np.float32]]
) -> tuple[Floats, tuple[Floats, ...]]:
    """``K = A A^T`` and, for each array of gradients, ``C = G A^T``, in one reading of the columns.

    Parameters
    ----------
    activations : float32 array or memory map, shape (rows, width)
    gradients : sequence of float32 arrays or memory maps, each of shape (images, width)

    Returns
    -------
    kernel : float64 array, shape (rows, rows)
    products : tuple of float64 arrays, each of shape (images, rows)

    Raises
    ------
    ValueError
        The arrays differ in width.
    """
    rows, width = activations.shape
    for one in gradients:
        if one.shape[1] != width:
            raise ValueError(f"Gradients of width {one.shape[1]} do not fit activations of width {width}.")
    kernel = np.zeros((rows, rows))
    products = tuple(np.zeros((one.shape[0], rows)) for one in gradients)
    tallest = rows + max((one.shape[0] for one in gradients), default=0)
    for start, stop in column_chunks(width, tallest):
        part = _columns(activations, start, stop)
        kernel += part @ part.T
        for one, product in zip(gradients, products, strict=True):
            product += _columns(one, start, stop) @ part.T
    return kernel, products


def column_chunks(width: int, rows: int) -> Iterator[tuple[int, int]]:
    """Column ranges whose float64 copy over ``rows`` rows stays within `CHUNK_BYTES`."""
    step = max(64, CHUNK_BYTES // (8 * max(rows, 1)))
    for start in range(0, width, step):
        yield start, min(start + step, width)


def _columns(array: NDArray[np.float32], start: int, stop: int) -> Floats:
    """A float64 copy of some columns; the pages of a memory map are let go."""
    part = np.array(array[:, start:stop], dtype=np.float64)
    release(array)
    return part
