"""Quotation marks of CSV files: a stray one is told by its line, legal ones stay legal."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slices.errors import LogError
from slices.reading.quotes import QuoteCheck
from slices.reading.sources import open_source


def slow(text: str) -> int | None:
    """Where the first field opens that never closes or closes before other text; one character at a time."""
    opened: int | None = None
    begins = True
    place = 0
    while place < len(text):
        if opened is None:
            if text[place] == '"' and begins:
                opened = place
            begins = text[place] in ",\r\n"
        elif text[place] == '"':
            following = text[place + 1 : place + 2]
            if following == '"':
                place += 1
            elif following in ("", ",", "\r", "\n"):
                opened, begins = None, False
            else:
                return opened
        place += 1
    return opened


@given(st.text('"",\n\ra', max_size=24), st.lists(st.integers(1, 6)))
def test_the_check_is_that_of_a_slow_reader_however_the_file_is_cut(text: str, cuts: list[int]) -> None:
    check = QuoteCheck(",")
    rest = text.encode()
    for size in cuts:
        check.take(rest[:size])
        rest = rest[size:]
    check.take(rest)
    assert check.problem(whole=True) == slow(text)


def rows_of(path: Path) -> list[dict[str, str]]:
    source = open_source(path.name, path.parent)
    columns = list(source.columns())
    batches = [batch for part in source.parts() for batch in part.batches(columns)]
    return list(pa.Table.from_batches(batches).to_pylist())


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_legal_quotation_marks_stay_legal(tmp_path: Path, end: str) -> None:
    """Line breaks, delimiters and doubled marks in quoted values, marks within unquoted ones, a BOM."""
    text = f'\ufeff"label","sex"\n"a\nb","say ""x"""\n1,5" lens\n"","1,2"{end}'
    (tmp_path / "log.csv").write_bytes(text.encode())
    assert rows_of(tmp_path / "log.csv") == [
        {"label": "a\nb", "sex": 'say "x"'},
        {"label": "1", "sex": '5" lens'},
        {"label": "", "sex": "1,2"},
    ]


def test_the_quotation_mark_is_told_before_what_the_parser_makes_of_it(tmp_path: Path) -> None:
    """A value longer than the parser's block is refused by the parser too, in other words."""
    row = b"1,1,F\n"
    (tmp_path / "log.csv").write_bytes(b'label,prediction,sex\n1,1,"F\n' + row * 2_000_000)
    with pytest.raises(LogError, match=r"opens a value in line 2 never closes"):
        rows_of(tmp_path / "log.csv")
