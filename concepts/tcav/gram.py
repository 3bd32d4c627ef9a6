"""Gram matrices over columns: ``K = A A^T`` and ``C = G A^T``, accumulated in float64 chunk by chunk.

Activations of 100,000 columns and thousands of rows are read a few columns at a time, so that memory is
bounded by the rows and not by the layer's width. Nothing is known here of images or concepts.

Where the model ran on a GPU, its float64 units multiply here too; sums are then taken in another order, so
that figures agree with the CPU's to 1e-12 of the largest (activations of two kinds of device agree far less).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from concepts.cache.mapped import release

Floats = NDArray[np.float64]

#: Bytes of float64 that one chunk of columns, over all rows read together, may take.
CHUNK_BYTES = 128 * 2**20
#: Rows that one thread multiplies at a time.
BLOCK_ROWS = 256


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
    activations: NDArray[np.float32],
    gradients: Sequence[NDArray[np.float32]],
    *,
    device: str | None = None,
) -> tuple[Floats, tuple[Floats, ...]]:
    """``K = A A^T`` and, for each array of gradients, ``C = G A^T``, in one reading of the columns.

    Parameters
    ----------
    activations : float32 array or memory map, shape (rows, width)
    gradients : sequence of float32 arrays or memory maps, each of shape (images, width)
    device
        "numpy", or a device of torch; left out: "cuda" where torch is in use and has one.

    Returns
    -------
    kernel : float64 array, shape (rows, rows), exactly symmetric
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
    device = device or _default_device()
    tallest = rows + max((one.shape[0] for one in gradients), default=0)
    chunks = column_chunks(width, tallest)
    if device != "numpy":
        return _on_device(activations, gradients, chunks, device)
    return _in_blocks(activations, gradients, chunks)


def _in_blocks(
    activations: NDArray[np.float32],
    gradients: Sequence[NDArray[np.float32]],
    chunks: Iterator[tuple[int, int]],
) -> tuple[Floats, tuple[Floats, ...]]:
    """Blocks of `BLOCK_ROWS` rows, each multiplied on one thread.

    A library that spreads one product over its threads adds up in an order that depends on how many there
    are, and the evidence would differ in its last digits from one machine to the next.
    """
    from threadpoolctl import threadpool_info, threadpool_limits

    rows = len(activations)
    kernel = np.zeros((rows, rows))
    products = tuple(np.zeros((len(one), rows)) for one in gradients)
    threads = max(
        (found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"), default=1
    )

    def within(part: Floats, start: int) -> None:
        stop = start + BLOCK_ROWS
        kernel[start:stop, :stop] += part[start:stop] @ part[:stop].T

    def across(part: Floats, other: Floats, product: Floats, start: int) -> None:
        stop = start + BLOCK_ROWS
        product[start:stop] += other[start:stop] @ part.T

    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        for start, stop in chunks:
            part = _columns(activations, start, stop)
            # The tall blocks first, so that no thread is left with one at the end.
            working = [pool.submit(within, part, at) for at in reversed(range(0, rows, BLOCK_ROWS))]
            for one, product in zip(gradients, products, strict=True):
                other = _columns(one, start, stop)
                working += [
                    pool.submit(across, part, other, product, at) for at in range(0, len(one), BLOCK_ROWS)
                ]
                for work in working:
                    work.result()
                working = []
            for work in working:
                work.result()
    return np.tril(kernel) + np.tril(kernel, -1).T, products


def _default_device() -> str:
    """A recording needs no torch, and must not load it for this."""
    torch = sys.modules.get("torch")
    return "cuda" if torch is not None and torch.cuda.is_available() else "numpy"


def _on_device(
    activations: NDArray[np.float32],
    gradients: Sequence[NDArray[np.float32]],
    chunks: Iterator[tuple[int, int]],
    device: str,
) -> tuple[Floats, tuple[Floats, ...]]:
    import torch

    rows = len(activations)

    def columns(array: NDArray[np.float32], start: int, stop: int) -> torch.Tensor:
        return torch.from_numpy(_columns(array, start, stop, np.float32)).to(device).double()

    kernel = torch.zeros((rows, rows), dtype=torch.float64, device=device)
    products = [torch.zeros((len(one), rows), dtype=torch.float64, device=device) for one in gradients]
    for start, stop in chunks:
        part = columns(activations, start, stop)
        kernel.addmm_(part, part.T)
        for one, product in zip(gradients, products, strict=True):
            product.addmm_(columns(one, start, stop), part.T)
    # A library's product of a matrix with its own transpose is symmetric only up to rounding.
    symmetric = kernel.triu() + kernel.triu(1).T
    return symmetric.cpu().numpy(), tuple(product.cpu().numpy() for product in products)


def column_chunks(width: int, rows: int) -> Iterator[tuple[int, int]]:
    """Column ranges whose float64 copy over ``rows`` rows stays within `CHUNK_BYTES`."""
    step = max(64, CHUNK_BYTES // (8 * max(rows, 1)))
    for start in range(0, width, step):
        yield start, min(start + step, width)


def _columns(
    array: NDArray[np.float32], start: int, stop: int, kind: type[np.floating[Any]] = np.float64
) -> NDArray[Any]:
    """A copy of some columns; the pages of a memory map are let go."""
    part = np.array(array[:, start:stop], dtype=kind)
    release(array)
    return part
