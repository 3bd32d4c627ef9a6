"""Arrays in mapped files: rows written one after another, read back without staying in memory.

Nothing is known here of images, layers or caches. Files are in NumPy's format, opened without pickle.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

Matrix = np.ndarray[tuple[int, int], np.dtype[np.float32]]
Place = tuple[Matrix, int]

IN_MEMORY = 64 * 2**20  # bytes; what is put together beyond this goes to a file
BLOCK = 64 * 2**20  # bytes read before the pages read are let go


def write_header(file: BinaryIO, shape: tuple[int, int]) -> None:
    """The header of a .npy file of float32 in rows, which then follow."""
    described = np.lib.format.dtype_to_descr(np.dtype(np.float32))
    np.lib.format.write_array_header_1_0(file, {"descr": described, "fortran_order": False, "shape": shape})


def open_matrix(path: Path) -> Matrix:
    """Map a .npy file of float32.

    Raises
    ------
    OSError, ValueError
        The file is missing or damaged, or holds something else.
    """
    opened = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(opened, np.memmap) or opened.dtype != np.float32 or opened.ndim != 2:
        raise ValueError(f"{path.name} is not a matrix of float32")
    return opened


def release(array: np.ndarray[Any, Any]) -> None:
    """Let go of the pages of a mapped array; an array in memory is left alone.

    Pages of a mapped file count as resident until the map closes: read once in full, 2 GB would cost 2 GB
    of memory although no block does. They are read again from the file when they are needed again.
    """
    if isinstance(array, np.memmap) and array.mode == "c":
        return  # private changes would be lost
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(base, "madvise"):
        base.madvise(mmap.MADV_DONTNEED)


def gather(places: Sequence[Place], width: int, path: Path | None) -> Matrix:
    """Rows from several matrices, in the order asked for.

    Parameters
    ----------
    places : sequence of (matrix, row)
    width : int
        Values a row.
    path
        Where a large result is written; the name goes at once and the file with the array. None keeps the
        result in memory.

    Returns
    -------
    float32 array, shape (len(places), width)
    """
    shape = (len(places), width)
    if path is None or 4 * shape[0] * width <= IN_MEMORY:
        joined = np.empty(shape, dtype=np.float32)
        for row, (matrix, at) in enumerate(_read(places, width)):
            joined[row] = matrix[at]
        return joined
    with path.open("wb") as file:
        write_header(file, shape)
        file.writelines(matrix[at].data for matrix, at in _read(places, width))
    return _open_unnamed(path)


def place(
    blocks: Iterable[tuple[np.ndarray[Any, np.dtype[np.int64]], Matrix]],
    asked: Sequence[int],
    width: int,
    path: Path,
) -> Matrix:
    """Rows that come in an order of their own, in the order asked for.

    Parameters
    ----------
    blocks : iterable of (row numbers, their values)
    asked : sequence of int
        Row numbers; each must come in some block.
    width, path
        As for ``gather``.

    Returns
    -------
    float32 array, shape (len(asked), width)
    """
    places: dict[int, list[int]] = {}
    for at, row in enumerate(asked):
        places.setdefault(row, []).append(at)
    shape = (len(asked), width)
    if 4 * shape[0] * width <= IN_MEMORY:
        joined = np.empty(shape, dtype=np.float32)
        for row, values in _each_row(blocks):
            joined[places.pop(row, [])] = values
        _check_all_came(places)
        return joined
    with path.open("wb") as file:
        write_header(file, shape)
        start = file.tell()
        for row, values in _each_row(blocks):
            for at in places.pop(row, []):
                file.seek(start + 4 * width * at)
                file.write(np.ascontiguousarray(values).data)
    _check_all_came(places)
    return _open_unnamed(path)


def _check_all_came(places: dict[int, list[int]]) -> None:
    if places:
        raise ValueError(f"rows {sorted(places)[:3]} did not come")


def _open_unnamed(path: Path) -> Matrix:
    """Map a file and take its name away, so that a killed run leaves nothing."""
    mapped = open_matrix(path)
    path.unlink()
    return mapped


def _each_row(
    blocks: Iterable[tuple[np.ndarray[Any, np.dtype[np.int64]], Matrix]],
) -> Iterator[tuple[int, np.ndarray[Any, np.dtype[np.float32]]]]:
    for rows, values in blocks:
        yield from zip(rows.tolist(), values, strict=True)


def _read(places: Sequence[Place], width: int) -> Iterator[Place]:
    """The places as they are, and the pages behind them let go from time to time."""
    step = max(1, BLOCK // (4 * max(width, 1)))
    for start in range(0, len(places), step):
        part = places[start : start + step]
        yield from part
        for matrix in {id(matrix): matrix for matrix, _ in part}.values():
            release(matrix)
