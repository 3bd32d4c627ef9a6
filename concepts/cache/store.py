"""The store's files: one folder a quantity, in it segments of rows by image, and a bound on them all.

A segment is ``<name>.npy`` (float32, one row an image) and ``<name>.json`` (the images' keys, by row), the
latter written last: a segment without it does not count. Both are moved into place whole and never changed
after. Whoever reads a segment maps it first and never asks for its name again, so that a run that removes it
takes nothing from another that uses it. The time of ``<name>.json`` is that of its last use.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from concepts.cache.mapped import Matrix, gather, open_matrix, write_header

NAME = re.compile(r"[0-9a-f]{32}")
LEFT_BEHIND = 24 * 3600  # seconds after which an unfinished file is taken for that of a killed run


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows that were written together: the images' keys, and their values mapped."""

    index: Path
    keys: tuple[str, ...]
    values: Matrix


class Entry:
    """One quantity of one network: rows by image, ``width`` values each, as found when this is made."""

    def __init__(self, folder: Path, width: int) -> None:
        self.folder = folder
        self.width = width
        self._segments = list(self._find())

    def held(self) -> set[str]:
        """The images that are held."""
        return {key for segment in self._segments for key in segment.keys}

    def one_of_each(self, keys: Sequence[str]) -> tuple[str, ...]:
        """The first of the keys in each segment that holds any."""
        found = (
            next((key for key in keys if key in within), None)
            for within in (frozenset(segment.keys) for segment in self._segments)
        )
        return tuple(key for key in found if key is not None)

    def clear(self) -> None:
        """Forget everything: the indices are removed first, and with them the segments' validity."""
        self._segments = []
        for suffix in ("*.json", "*.npy"):
            for path in self.folder.glob(suffix):
                if NAME.fullmatch(path.stem):  # not what another run is writing
                    path.unlink(missing_ok=True)

    @contextmanager
    def segment(self, keys: Sequence[str]) -> Iterator[BinaryIO]:
        """A new segment, to which one row of float32 an image is written; kept if the block ends well.

        Rows are written, not mapped: what a mapping writes stays in memory until the system needs the room.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:32]
        index = self.folder / f"{name}.json"
        with _moved_into_place(index.with_suffix(".npy")) as path:
            with path.open("wb") as file:
                write_header(file, (len(keys), self.width))
                yield file
            values = open_matrix(path)
        with _moved_into_place(index) as path:
            path.write_text(json.dumps(list(keys)), encoding="utf-8")
        self._segments.append(Segment(index, tuple(keys), values))

    def rows(self, keys: Sequence[str], scratch: Path | None) -> Matrix:
        """Rows in the order asked for: the segment itself where it is that, else put together.

        ``scratch`` is where a large result is written; None keeps it in memory.
        """
        asked = tuple(keys)
        for segment in self._segments:
            if segment.keys == asked:
                _mark_used(segment)
                return segment.values
        where = {key: (segment, row) for segment in self._segments for row, key in enumerate(segment.keys)}
        for segment in {id(where[key][0]): where[key][0] for key in asked}.values():
            _mark_used(segment)
        places = [(where[key][0].values, where[key][1]) for key in asked]
        return gather(places, self.width, scratch)

    def _find(self) -> Iterator[Segment]:
        """The segments that are whole; damaged ones are left out, and so missed."""
        for index in sorted(self.folder.glob("*.json")):
            try:
                keys = json.loads(index.read_text(encoding="utf-8"))
                values = open_matrix(index.with_suffix(".npy"))
            except (OSError, ValueError, EOFError, RecursionError):
                continue
            listed = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
            if listed and values.shape == (len(keys), self.width):
                yield Segment(index, tuple(keys), values)


def trim(root: Path, limit: int) -> int:
    """Remove the segments that were used longest ago until the store holds at most ``limit`` bytes.

    Nothing but the store's own files is looked at, whatever else is in the folder. What killed runs left
    behind goes after a day.

    Returns
    -------
    int
        The bytes that are left.
    """
    files: list[Path] = []
    for folder in root.glob("*"):
        if NAME.fullmatch(folder.name):
            with suppress(OSError):  # no folder, or one that somebody has just deleted
                files += folder.iterdir()
    segments: list[tuple[int, str, int, Path]] = []
    before = time.time() - LEFT_BEHIND
    for path in files:
        index, rows = path.with_suffix(".json"), path.with_suffix(".npy")
        with suppress(OSError):  # another run may have removed it meanwhile
            found = path.stat()
            named = NAME.fullmatch(path.stem) is not None
            if named and index.exists() and rows.exists():
                if path == index:
                    size = found.st_size + rows.stat().st_size
                    segments.append((found.st_mtime_ns, str(index), size, index))
            elif (named or path.name.startswith(".")) and found.st_mtime < before:
                path.unlink()
    total = sum(size for _, _, size, _ in segments)
    for _, _, size, index in sorted(segments):
        if total <= limit:
            break
        with suppress(PermissionError):  # another user's stays
            index.unlink(missing_ok=True)  # first, so that a segment is never believed without its rows
            index.with_suffix(".npy").unlink(missing_ok=True)
            total -= size
    return total


def _mark_used(segment: Segment) -> None:
    with suppress(OSError):  # removed meanwhile by another run, or another user's
        os.utime(segment.index)


@contextmanager
def _moved_into_place(path: Path) -> Iterator[Path]:
    """A temporary path beside the target, moved onto it if the block ends without an error."""
    handle, name = tempfile.mkstemp(prefix=".", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    try:
        yield Path(name)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
