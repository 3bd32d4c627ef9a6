"""Preview: what a log's columns are, from some of its rows; for a first configuration, never for a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slices.reading.sources import File, open_source
from slices.reading.text import number_of, texts_of

_MOST_ROWS = 10_000
_MOST_FILES = 100
_SHOWN = 8
_LISTED = 200


@dataclass(frozen=True, slots=True)
class ColumnDescription:
    """One column of a log.

    Attributes
    ----------
    type : str
        The type on file (``string``, ``int64``, ...); CSV columns are all ``string``.
    values : tuple of str
        A few distinct values, sorted as text.
    distinct : int
        Distinct values in the rows that were looked at; of a folder's name, in all folders.
    missing : int
        Nulls and empty texts there.
    numeric : bool
        Every value there writes a number.
    rows : int
        Rows that were looked at.
    every : tuple of str
        All distinct values, where they are 200 or fewer; else none.
    """

    name: str
    type: str
    values: tuple[str, ...]
    distinct: int
    missing: int
    numeric: bool
    rows: int
    every: tuple[str, ...] = ()


def column_names(path: str, root: Path) -> tuple[str, ...]:
    """The log's columns, from the schema alone.

    Raises
    ------
    LogError
        The log is not there or cannot be read.
    """
    return tuple(open_source(path, root).columns())


def describe(path: str, root: Path) -> tuple[ColumnDescription, ...]:
    """Each column with its type and a few values, from up to 10,000 rows.

    Every file gives its share of them (of more than 100 files, 100 spread over the list), so that a log
    sorted by site or day is not taken for a log of one. The values in folders' names are known of all.

    Raises
    ------
    LogError
        The log is not there or cannot be read.
    """
    source = open_source(path, root)
    types = source.columns()
    folders = {name: {dict(file.partition).get(name) for file in source.files} for name in types}
    values: dict[str, list[str | None]] = {name: [] for name in types}
    chosen = source.files[:: -(-len(source.files) // _MOST_FILES)]
    rows = 0
    for number, file in enumerate(chosen):
        # What a short file does not use is there for those after it.
        rows += _first_rows(file, -(-(_MOST_ROWS - rows) // (len(chosen) - number)), values)
    return _described(types, values, folders, rows)


def _first_rows(file: File, most: int, values: dict[str, list[str | None]]) -> int:
    """Append the texts of a file's first rows; returns their number."""
    columns = [name for name in file.columns() if name in values]
    rows = 0
    for part in file.parts():
        for batch in part.batches(columns):
            piece = batch.slice(0, most - rows)
            for name, array in zip(columns, piece.columns, strict=True):
                if _is_plain(array):
                    values[name] += texts_of(array, name)
            rows += int(piece.num_rows)
            if rows >= most:
                return rows
    return rows


def _is_plain(array: object) -> bool:
    return not any(word in str(array.type) for word in ("list", "struct", "map", "binary"))  # type: ignore[attr-defined]


def _described(
    types: Mapping[str, object],
    values: Mapping[str, Sequence[str | None]],
    folders: Mapping[str, set[str | None]],
    rows: int,
) -> tuple[ColumnDescription, ...]:
    found = []
    for name, kind in types.items():
        present = [text for text in values[name] if text]
        distinct = sorted({*present, *(text for text in folders[name] if text)})
        found.append(
            ColumnDescription(
                name=name,
                type=str(kind),
                values=tuple(distinct[:_SHOWN]),
                distinct=len(distinct),
                missing=len(values[name]) - len(present),
                numeric=bool(distinct) and all(number_of(text) is not None for text in distinct),
                rows=rows,
                every=tuple(distinct) if len(distinct) <= _LISTED else (),
            )
        )
    return tuple(found)
