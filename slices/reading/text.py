"""Text: a typed column becomes text once, here, so that every format of a log says the same.

What the rest of the room compares, sorts and prints is this text; the columns of a CSV
file are text already and stay exactly as written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from slices.errors import LogError
from slices.reading.arrays import filled

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WORDS = {"inf": "inf", "+inf": "inf", "-inf": "-inf", "infinity": "inf", "-infinity": "-inf"}


def texts_of(values: pa.Array, column: str) -> list[str | None]:
    """Write each value of an Arrow array as text; nulls and NaN are None.

    Integers are written ``1``, floats in the shortest form that reads back as the same
    number (``0.1``, ``1.0``, ``1e-07``), booleans ``true`` and ``false``, dates and times
    by ISO 8601. Text is left as it is.

    Parameters
    ----------
    values : pyarrow.Array
        Usually the distinct values of a column, since this is a loop in Python.
    column : str
        Named in the error.

    Raises
    ------
    LogError
        The column holds lists, structures, bytes that are not UTF-8, or dates beyond the calendar.

    Examples
    --------
    >>> texts_of(pa.array([1.0, 0.1, float("nan"), None]), "x")
    ['1.0', '0.1', None, None]
    """
    kind = values.type
    if pa.types.is_dictionary(kind):
        values, kind = values.dictionary_decode(), kind.value_type
    if is_text(kind) or pa.types.is_null(kind):
        return list(values.to_pylist())
    if pa.types.is_boolean(kind):
        return [None if v is None else "true" if v else "false" for v in values.to_pylist()]
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return [None if v is None else str(v) for v in values.to_pylist()]
    if pa.types.is_float64(kind):
        return [None if v is None or v != v else repr(v) for v in values.to_pylist()]
    if pa.types.is_floating(kind):
        # str() of a NumPy float32 is shortest in single precision: 0.1, not 0.10000000149011612.
        single = np.float32 if pa.types.is_float32(kind) else np.float16
        return [None if v is None or v != v else str(single(v)) for v in values.to_pylist()]
    if pa.types.is_temporal(kind) and not pa.types.is_duration(kind) and not pa.types.is_interval(kind):
        try:
            return _dates_of(values)
        except (ValueError, OverflowError):
            raise LogError(
                f"Column '{column}' holds a date outside the years 1 to 9999; write it as text."
            ) from None
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        try:
            return list(values.cast(pa.string()).to_pylist())
        except pa.ArrowInvalid:
            raise LogError(
                f"Column '{column}' holds bytes that are not UTF-8 text; write it as text."
            ) from None
    raise LogError(f"Column '{column}' is of type {kind}; a role needs text, numbers, booleans or dates.")


def is_text(kind: pa.DataType) -> bool:
    """Whether the type is one of Arrow's string types."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _dates_of(values: pa.Array) -> list[str | None]:
    """Dates, times and timestamps by ISO 8601, to the nanosecond where there are any."""
    kind = values.type
    if not (pa.types.is_timestamp(kind) or pa.types.is_time64(kind)) or kind.unit != "ns":
        return [None if v is None else v.isoformat() for v in values.to_pylist()]
    # Python's dates end at microseconds: what is beyond them is put between them and the time zone.
    pieces = [None if v is None else divmod(v, 1000) for v in values.cast(pa.int64()).to_pylist()]
    coarse = pa.timestamp("us", tz=kind.tz) if pa.types.is_timestamp(kind) else pa.time64("us")
    whole = pa.array([None if piece is None else piece[0] for piece in pieces], coarse).to_pylist()
    texts: list[str | None] = []
    for moment, piece in zip(whole, pieces, strict=True):
        if piece is None or piece[1] == 0:
            texts.append(None if moment is None else moment.isoformat())
        else:
            fine = moment.isoformat(timespec="microseconds")
            end = fine.index(".") + 7
            texts.append(f"{fine[:end]}{piece[1]:03d}{fine[end:]}")
    return texts


def number_of(text: str) -> float | None:
    """The finite or infinite number that a text writes, else None.

    Stricter than ``float``: no underscores, no ``nan``, and surrounding blanks only.

    Examples
    --------
    >>> number_of("0.50"), number_of("1_000"), number_of("nan"), number_of("inf")
    (0.5, None, None, inf)
    """
    stripped = text.strip()
    if _NUMBER.fullmatch(stripped):
        return float(stripped)
    word = _WORDS.get(stripped.lower())
    return None if word is None else float(word)


def exact_number(text: str) -> Decimal | None:
    """The finite number that a text writes, exactly (``1`` equals ``1.0``), else None.

    An exponent beyond what Decimal holds writes no number that a class could be: text.
    """
    stripped = text.strip()
    if not _NUMBER.fullmatch(stripped):
        return None
    try:
        return Decimal(stripped)
    except InvalidOperation:
        return None


def numbers_of(values: pa.Array, column: str, missing: Sequence[str]) -> NDArray[np.float64]:
    """A column as float64, missing values and NaN as NaN.

    Parameters
    ----------
    values : pyarrow.Array
        Numbers, or text that writes numbers.
    missing : sequence of str
        Written values that count as missing.

    Raises
    ------
    NotANumberError
        A text that is no number, or a type that holds none.
    """
    kind = values.type
    if pa.types.is_dictionary(kind):
        values, kind = values.dictionary_decode(), kind.value_type
    if is_text(kind):
        encoded = values.dictionary_encode()
        table = np.empty(len(encoded.dictionary) + 1)
        table[-1] = np.nan
        gone = set(missing)
        for place, text in enumerate(encoded.dictionary.to_pylist()):
            number = np.nan if text in gone or text.strip().lower() == "nan" else number_of(text)
            if number is None:
                raise NotANumberError(column, text)
            table[place] = number
        return np.asarray(table[filled(encoded.indices, len(encoded.dictionary))])
    if pa.types.is_null(kind):
        return np.full(len(values), np.nan)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        first = next((t for t in texts_of(values, column) if t is not None), "")
        raise NotANumberError(column, first)
    numbers = filled(values.cast(pa.float64(), safe=False), np.nan)
    sentinels = [number for number in map(number_of, missing) if number is not None]
    if sentinels:
        numbers = np.where(np.isin(numbers, sentinels), np.nan, numbers)
    return np.asarray(numbers, dtype=np.float64)


def like_column(number: float, kind: pa.DataType) -> float:
    """A stated number in the precision of a column that it is compared with.

    A score written 0.7 in single precision equals the threshold 0.7, as it does in a CSV file.

    Examples
    --------
    >>> like_column(0.7, pa.float32()) == float(np.float32(0.7)), like_column(0.7, pa.float64())
    (True, 0.7)
    """
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_float32(kind):
        return float(np.float32(number))
    return float(np.float16(number)) if pa.types.is_float16(kind) else number


class NotANumberError(LogError):
    """A value that should be a number and is not; the reader of the log adds the row."""

    def __init__(self, column: str, text: str) -> None:
        super().__init__(f"Column '{column}' holds '{text}', which is not a number.")
        self.column = column
        self.text = text
