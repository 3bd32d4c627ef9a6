"""Preview: what a log's columns are, from its first rows; for a first configuration, never for a figure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slices.reading.sources import open_source
from slices.reading.text import number_of, texts_of

_FIRST_ROWS = 10_000
_SHOWN = 8


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
        Distinct values in the first 10,000 rows.
    missing : int
        Nulls and empty texts there.
    numeric : bool
        Every value there writes a number.
    rows : int
        Rows that were looked at.
    """

    name: str
    type: str
    values: tuple[str, ...]
    distinct: int
    missing: int
    numeric: bool
    rows: int


def column_names(path: str, root: Path) -> tuple[str, ...]:
    """The log's columns, from the schema alone.

    Raises
    ------
    LogError
        The log is not there or cannot be read.
    """
    return tuple(open_source(path, root).columns())


def describe(path: str, root: Path) -> tuple[ColumnDescription, ...]:
    """Each column with its type and a few values, from the first 10,000 rows.

    Raises
    ------
    LogError
        The log is not there or cannot be read.
    """
    source = open_source(path, root)
    types = source.columns()
    values: dict[str, list[str | None]] = {name: [] for name in types}
    rows = 0
    for part in source.files[0].parts():
        for batch in part.batches(list(types)):
            piece = batch.slice(0, _FIRST_ROWS - rows)
            for name, array in zip(types, piece.columns, strict=True):
                if _is_plain(array):
                    values[name] += texts_of(array, name)
            rows += piece.num_rows
            if rows >= _FIRST_ROWS:
                return _described(types, values, rows)
    return _described(types, values, rows)


def _is_plain(array: object) -> bool:
    return not any(word in str(array.type) for word in ("list", "struct", "map", "binary"))  # type: ignore[attr-defined]


def _described(
    types: dict[str, object], values: dict[str, list[str | None]], rows: int
) -> tuple[ColumnDescription, ...]:
    found = []
    for name, kind in types.items():
        present = [text for text in values[name] if text]
        distinct = sorted(set(present))
        found.append(
            ColumnDescription(
                name=name,
                type=str(kind),
                values=tuple(distinct[:_SHOWN]),
                distinct=len(distinct),
                missing=len(values[name]) - len(present),
                numeric=bool(distinct) and all(number_of(text) is not None for text in distinct),
                rows=rows,
            )
        )
    return tuple(found)
