"""JSON Lines: the reader of logs with one JSON object a line; every value becomes text once."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from slices.errors import LogError
from slices.reading.arrays import text_array

BATCH_ROWS = 1 << 17


class JsonLinesReader:
    """JSON Lines: one object a line; a part is a file.

    Parsed by Python's ``json``: Arrow's reader turns strings that look like dates into
    timestamps, and a log's text must stay as written.
    """

    name = "JSON Lines"

    def columns(self, path: Path) -> dict[str, pa.DataType]:
        """Columns of the first 1,000 records, with the types of their first values."""
        refuse_utf16(path)
        found: dict[str, pa.DataType] = {}
        for number, record in enumerate(self._records(path)):
            for key, value in record.items():
                if found.get(key, pa.null()) == pa.null():
                    found[key] = _json_type(value)
            if number >= 1000:
                break
        return found

    def parts(self, path: Path) -> Sequence[int | None]:
        """One part, of unknown length."""
        return [None]

    def batches(self, path: Path, part: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The rows, with exactly these columns as text."""
        lists: list[list[str | None]] = [[] for _ in columns]
        filled = 0
        for number, record in enumerate(self._records(path), start=1):
            for name, values in zip(columns, lists, strict=True):
                values.append(_json_text(record.get(name), name, path, number))
            filled += 1
            if filled == BATCH_ROWS:
                yield _text_batch(columns, lists)
                lists, filled = [[] for _ in columns], 0
        if filled:
            yield _text_batch(columns, lists)

    def _records(self, path: Path) -> Iterator[dict[str, object]]:
        opened = gzip.open if path.suffix.lower() == ".gz" else open
        with opened(path, "rt", encoding="utf-8-sig") as stream:
            for number, line in enumerate(stream, start=1):
                if not line.strip():
                    continue
                if line.lstrip().startswith("["):
                    raise LogError(
                        f"Line {number} of {path.name} begins a JSON array; write one object a line, "
                        "without brackets around them (JSON Lines)."
                    )
                try:
                    record = _DECODE(line)
                except RecursionError:
                    raise LogError(
                        f"Line {number} of {path.name} is nested too deeply; write one flat object a line."
                    ) from None
                except _TwiceError as problem:
                    raise LogError(
                        f"Line {number} of {path.name} has the key '{problem.key}' twice in one object; "
                        "which of the two values counts would be a guess: keep one."
                    ) from None
                except ValueError as problem:
                    raise LogError(
                        f"Line {number} of {path.name} is not JSON ({problem}); write one object a line."
                    ) from None
                if not isinstance(record, dict):
                    raise LogError(
                        f"Line {number} of {path.name} is not a JSON object; write one object a line."
                    )
                yield record


class _TwiceError(ValueError):
    """A key that an object has twice."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _distinct_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [key for key, _ in pairs]
        raise _TwiceError(next(name for name in names if names.count(name) > 1))
    return record


_DECODE = json.JSONDecoder(object_pairs_hook=_distinct_keys).decode


def refuse_utf16(path: Path) -> None:
    """Refuse a text file in UTF-16, which other programs call "Unicode", by its first two bytes.

    Raises
    ------
    LogError
    """
    with pa.input_stream(path, compression="detect") as stream:
        first = stream.read(2)
    if first in (b"\xff\xfe", b"\xfe\xff"):
        raise LogError(f"{path.name} is UTF-16 text; save it as UTF-8.")


def _json_type(value: object) -> pa.DataType:
    if isinstance(value, bool):
        return pa.bool_()
    if isinstance(value, int):
        return pa.int64()
    if isinstance(value, float):
        return pa.float64()
    return pa.null() if value is None else pa.string()


def _json_text(value: object, column: str, path: Path, number: int) -> str | None:
    if value is None:
        return value
    if isinstance(value, str):
        # JSON can write half of a surrogate pair (an escape such as ud800): no character, and no UTF-8.
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise LogError(
                f"Record {number} of {path.name} holds half of a surrogate pair in '{column}', "
                "which is no character; write the text as UTF-8."
            )
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return None if value != value else repr(value)
    raise LogError(
        f"Record {number} of {path.name} holds a {type(value).__name__} in '{column}'; "
        "a role needs text, numbers or booleans: write one value."
    )


def _text_batch(columns: Sequence[str], lists: Sequence[Sequence[str | None]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([text_array(values) for values in lists], names=list(columns))
