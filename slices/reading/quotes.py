"""Quotes: whether the quotation marks of a CSV file close, told while its bytes are read.

A quote that opens and never closes makes the rest of the file one value: Arrow's parser takes it
for a legal one, and half a log would be gone without a word. Nothing here parses values.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from slices.errors import LogError

_QUOTE, _LINE_FEED, _RETURN = b'"\n\r'
_BOM = b"\xef\xbb\xbf"
_CHUNK = 1 << 20


class QuoteCheck:
    """The state of the quotation marks after the bytes that have been taken.

    A field is quoted where its first character is a quotation mark (RFC 4180); two in a row inside it
    are one, and after the closing one comes a delimiter or the line's end. A quotation mark within an
    unquoted field (``5" lens``) is a character like any other.

    Attributes
    ----------
    opened : int or None
        Byte at which the quoted field opened that the last byte is in, None outside of any.
    spoilt : int or None
        Byte at which the first quoted field opened that closes before other text.
    """

    def __init__(self, delimiter: str) -> None:
        self.opened: int | None = None
        self.spoilt: int | None = None
        self._taken = 0
        self._last = _LINE_FEED  # the byte before the next one; a file begins as a line does
        self._held = b""  # quotation marks at the end: what they are, the next byte tells
        self._ends = np.zeros(256, dtype=bool)
        self._ends[[ord(delimiter), _LINE_FEED, _RETURN]] = True

    def take(self, chunk: bytes) -> None:
        """Go on with the next bytes of the file."""
        if self.spoilt is not None:
            return
        if self._held:
            chunk = self._held + chunk
        if self._taken == 0 and chunk.startswith(_BOM):
            self._taken, chunk = len(_BOM), chunk[len(_BOM) :]
        sure = chunk.rstrip(b'"') if chunk.endswith(b'"') else chunk
        self._held = chunk[len(sure) :]
        if not sure:
            return
        # Looking for a byte that is not there costs next to nothing.
        if b'"' in sure:
            data = np.frombuffer(sure, np.uint8)
            places = np.flatnonzero(data == _QUOTE)
            if not self._alternate(data, places):
                self._step_by_step(sure, places)
        self._taken += len(sure)
        self._last = sure[-1]

    def _alternate(self, data: NDArray[np.uint8], places: NDArray[np.intp]) -> bool:
        """Take quotation marks that open and close in turn, all at once; False where they do not."""
        inside = self.opened is not None
        opening, closing = (places[1::2], places[::2]) if inside else (places[::2], places[1::2])
        before = np.where(opening > 0, data[opening - 1], self._last)
        after = data[closing + 1]
        # The second of two quotation marks in a row opens again: the field goes on.
        if not (self._ends[before] | (before == _QUOTE)).all():
            return False
        if not (self._ends[after] | (after == _QUOTE)).all():
            return False
        if len(places) % 2 == inside:
            self.opened = None
        else:
            fields = opening[before != _QUOTE]
            if len(fields):
                self.opened = self._taken + int(fields[-1])
        return True

    def _step_by_step(self, chunk: bytes, places: NDArray[np.intp]) -> None:
        """The same by one quotation mark after the other, for bytes that are not so regular."""
        skip = -1
        for place in places.tolist():
            if place == skip:
                continue
            if self.opened is None:
                if self._ends[chunk[place - 1] if place else self._last]:
                    self.opened = self._taken + place
            elif chunk[place + 1] == _QUOTE:
                skip = place + 1
            elif self._ends[chunk[place + 1]]:
                self.opened = None
            else:
                self.spoilt = self.opened
                return

    def problem(self, *, whole: bool) -> int | None:
        """Byte at which the field opens that is wrong; ``whole``: there is nothing more to take."""
        if whole:
            self.take(b"\n")  # a file ends as a line does
            return self.opened if self.spoilt is None else self.spoilt
        return self.spoilt


class CheckedStream:
    """A file for Arrow to read from, whose quotation marks are looked at on the way."""

    def __init__(self, path: Path, delimiter: str) -> None:
        self._stream = pa.input_stream(path, compression="detect")
        self.check = QuoteCheck(delimiter)
        self.whole = False

    def read(self, size: int = -1) -> bytes:
        chunk: bytes = self._stream.read(None if size < 0 else size)
        if chunk:
            self.check.take(chunk)
        elif size:
            self.whole = True
        return chunk

    def readable(self) -> bool:
        return True

    @property
    def closed(self) -> bool:
        return bool(self._stream.closed)

    def close(self) -> None:
        self._stream.close()


def refuse_open_quotes(path: Path, delimiter: str, stream: CheckedStream | None = None) -> None:
    """Refuse a file whose quotation marks do not close.

    Parameters
    ----------
    path : Path
    delimiter : str
    stream : CheckedStream, optional
        What was read of it; left out, the file is read here.

    Raises
    ------
    LogError
        Names the line in which the quotation mark opens.
    """
    if stream is None:
        stream = CheckedStream(path, delimiter)
        while stream.read(_CHUNK):
            pass
        stream.close()
    place = stream.check.problem(whole=stream.whole)
    if place is None:
        return
    found = "closes before other text" if stream.check.spoilt is not None else "never closes"
    raise LogError(
        f"{path.name}: the quotation mark that opens a value in line {_line_of(path, place):,} {found}; the "
        "rows from there on would be one value. Close it, or write a quotation mark inside a value twice."
    )


def _line_of(path: Path, place: int) -> int:
    """The line of a byte, counted from 1."""
    line, left = 1, place
    with pa.input_stream(path, compression="detect") as stream:
        while left > 0 and (chunk := stream.read(min(left, _CHUNK))):
            line += chunk.count(b"\n")
            left -= len(chunk)
    return line
