"""Part files of a recording, read a few rows at a time; a safetensors file or a Parquet file.

What the layout asks for is written in ``concepts.recordings.recorder``; whether a part follows it is
checked in ``concepts.recordings.reader``, which calls this.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from concepts.cache.mapped import BLOCK, Matrix
from concepts.errors import ConceptError

Rows = np.ndarray[tuple[int], np.dtype[np.int64]]
Nullable = list[str | None]
Texts = tuple[list[str], Nullable, Nullable, Nullable]


class Part(Protocol):
    """One part file."""

    @property
    def path(self) -> Path:
        """Where it is."""
        ...

    def texts(self) -> Texts:
        """Ids, labels, sets and inputs of its images, as found; inputs are null in layout 1."""
        ...

    @property
    def names(self) -> frozenset[str]:
        """What its matrices and columns are called (see ``column``)."""
        ...

    def blocks(self, layer: str, klass: str | None, width: int) -> Iterator[tuple[Rows, Matrix]]:
        """Rows of the part and their values (activations, or a class's gradients), a few rows at a time.

        Raises
        ------
        ConceptError
            The values are no float32 matrix of that width, or the rows are not one each.
        """
        ...


def open_part(path: Path) -> Part:
    """The part behind a file name, by its suffix."""
    return SafetensorsPart(path) if path.suffix == ".safetensors" else ParquetPart(path)


def column(layer: str, klass: str | None) -> str:
    """What a matrix is called in a part."""
    return f"activations/{layer}" if klass is None else f"gradients/{layer}/{klass}"


class SafetensorsPart:
    """A part of tensors; the file is opened anew for each block, so that its pages do not pile up."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def texts(self) -> Texts:
        """See ``Part``."""
        from safetensors import safe_open

        with safe_open(self.path, framework="numpy") as opened:
            images = json.loads((opened.metadata() or {})["images"])
        return (
            images["ids"],
            images["labels"],
            images["sets"],
            images.get("inputs", [None] * len(images["ids"])),
        )

    @cached_property
    def names(self) -> frozenset[str]:
        """See ``Part``."""
        from safetensors import safe_open

        with safe_open(self.path, framework="numpy") as opened:
            return frozenset(opened.keys())

    def blocks(self, layer: str, klass: str | None, width: int) -> Iterator[tuple[Rows, Matrix]]:
        """See ``Part``."""
        from safetensors import safe_open

        name = column(layer, klass)
        with safe_open(self.path, framework="numpy") as opened:
            shape = opened.get_slice(name).get_shape()
            kind = opened.get_slice(name).get_dtype()
            rows: Rows = np.arange(shape[0]) if klass is None else opened.get_tensor(f"rows/{klass}")
        if kind != "F32" or len(shape) != 2 or shape[1] != width or shape[0] != len(rows):
            found = {"F32": "float32", "F64": "float64", "F16": "float16"}.get(kind, kind)
            raise ConceptError(
                f"{self.path}: {name} is {found} {list(shape)}, "
                f"expected float32 {[len(rows), width]} (images, values)."
            )
        step = max(1, BLOCK // (4 * width))
        for start in range(0, len(rows), step):
            stop = min(start + step, len(rows))
            with safe_open(self.path, framework="numpy") as opened:
                values = opened.get_slice(name)[start:stop]
            yield rows[start:stop], values


class ParquetPart:
    """A part of one row an image; lists of float32, read through a small buffer."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def texts(self) -> Texts:
        """See ``Part``."""
        import pyarrow.parquet as pq

        # Read as a file, so that a folder's name is never taken for a partition.
        held = [key for key in ("id", "label", "set", "input") if key != "input" or key in self.names]
        table = pq.ParquetFile(self.path).read(columns=held)
        ids, labels, sets = (table[key].to_pylist() for key in ("id", "label", "set"))
        return ids, labels, sets, table["input"].to_pylist() if "input" in held else [None] * len(ids)

    @cached_property
    def names(self) -> frozenset[str]:
        """See ``Part``."""
        import pyarrow.parquet as pq

        return frozenset(pq.ParquetFile(self.path).schema_arrow.names)

    def blocks(self, layer: str, klass: str | None, width: int) -> Iterator[tuple[Rows, Matrix]]:
        """See ``Part``."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        name = column(layer, klass)
        file = pq.ParquetFile(self.path, buffer_size=2**20, pre_buffer=False)
        if file.schema_arrow.field(name).type not in (pa.list_(pa.float32()), pa.large_list(pa.float32())):
            raise ConceptError(
                f"{self.path}: {name} is {file.schema_arrow.field(name).type}, expected list of float32."
            )
        start = 0
        for batch in file.iter_batches(batch_size=max(1, BLOCK // (4 * width)), columns=[name]):
            lists = batch.column(0)
            held = np.flatnonzero(lists.is_valid().to_numpy(zero_copy_only=False))
            if klass is None and len(held) != len(lists):
                raise ConceptError(f"{self.path}: {name} is null for some images.")
            full = lists.drop_null()
            lengths = set(full.value_lengths().to_pylist())
            if lengths - {width}:
                raise ConceptError(
                    f"{self.path}: {name} holds lists of {sorted(lengths)} values, expected {width}."
                )
            yield held + start, full.flatten().to_numpy(zero_copy_only=False).reshape(len(held), width)
            start += len(lists)
