"""A printed number stays on its side of every limit."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from reports.rounding import Style, exact, hashed, interval_text, limit_text, shown, whole

shares = st.floats(0, 1, allow_nan=False)
limits = st.decimals(0, 1, places=3).map(float)


def parsed(text: str) -> tuple[str, Decimal]:
    """Sign of inexactness ('<', '>' or '') and the number, from a printed percentage."""
    bare = (
        text.removesuffix("%")
        .replace("\u2212", "-")
        .replace(",", "")
        .replace("+", "")
        .removesuffix("\u00a0pts")
    )
    mark = bare[0] if bare[0] in "<>" else ""
    return mark, Decimal(bare.removeprefix(mark))


def below(text: str, limit: Decimal) -> bool:
    mark, number = parsed(text)
    return number < limit or (number == limit and mark == "<")


def above(text: str, limit: Decimal) -> bool:
    mark, number = parsed(text)
    return number > limit or (number == limit and mark == ">")


@given(shares, limits, st.integers(0, 3))
@example(0.8499999999, 0.85, 0)
@example(0.85, 0.85, 0)
@example(0.8500000000000001, 0.85, 1)
@example(0.1 + 0.2, 0.3, 1)
def test_a_printed_share_keeps_its_side_of_the_limit(value: float, limit: float, digits: int) -> None:
    text = shown(value, scale="percent", digits=digits, barriers=[limit])
    wall = exact(limit, "percent")
    assert below(text, wall) == (value < limit)
    assert above(text, wall) == (value > limit)


@given(shares, st.integers(0, 3))
def test_only_a_whole_share_is_printed_as_0_or_100_percent(value: float, digits: int) -> None:
    mark, number = parsed(shown(value, scale="percent", digits=digits))
    assert (number == 100 and not mark) == (value == 1)
    assert (number == 0 and not mark) == (value == 0)


@given(st.floats(-1, 1), limits)
def test_a_printed_difference_keeps_its_side_of_both_ends_of_a_gap(value: float, gap: float) -> None:
    text = shown(value, scale="points", digits=1, barriers=[-gap, gap])
    wall = exact(gap, "points")
    assert (below(text, wall), above(text, wall)) == (value < gap, value > gap)
    assert (below(text, -wall), above(text, -wall)) == (value < -gap, value > -gap)


@given(shares, shares, shares, limits)
def test_an_interval_that_crosses_the_limit_is_printed_as_crossing(
    a: float, b: float, c: float, limit: float
) -> None:
    low, _, high = sorted((a, b, c))
    assume(low < limit < high)
    first, last = interval_text(low, high, scale="percent", digits=0, barriers=[limit], joiner=" to ").split(
        " to "
    )
    wall = exact(limit, "percent")
    assert below(first + "%", wall)
    assert above(last, wall)


@given(st.floats(-1e9, 1e9), st.integers(0, 3))
def test_without_limits_the_error_is_at_most_half_a_unit(value: float, digits: int) -> None:
    _, number = parsed(shown(value, scale="number", digits=digits))
    assert abs(number - Decimal(repr(value))) <= Decimal(5).scaleb(-digits - 1)


@pytest.mark.parametrize(
    ("value", "barriers", "text"),
    [
        (0.8497, [0.85], "84.97%"),
        (0.85, [0.85], "85%"),
        (0.84999999, [0.85], "<85%"),
        (0.85000001, [0.85], ">85%"),
        (0.9997, [], ">99%"),
        (0.99999999, [], ">99%"),
        (0.0, [], "0%"),
        (-0.0, [], "0%"),
    ],
)
def test_examples(value: float, barriers: list[float], text: str) -> None:
    assert shown(value, scale="percent", digits=0, barriers=barriers) == text


def test_the_limit_is_printed_exactly() -> None:
    assert limit_text(0.85, scale="percent") == "85%"
    assert limit_text(0.8525, scale="percent") == "85.25%"
    assert limit_text(0.05, scale="points") == "5\u00a0pts"


def test_a_language_writes_numbers_in_its_own_way() -> None:
    german = Style(decimal=",", group=".", percent="{}\u00a0%")
    assert whole(1234567, german) == "1.234.567"
    assert shown(0.8497, scale="percent", digits=1, barriers=[0.85], style=german) == "84,97\u00a0%"
    assert (
        interval_text(0.1, 0.25, scale="percent", digits=1, style=german, joiner=" bis ")
        == "10,0 bis 25,0\u00a0%"
    )


def test_a_shortened_hash_is_the_beginning_of_the_hash() -> None:
    assert hashed("0123456789abcdef" * 4) == "0123456789ab"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.99999, ">99.9%"), (0.9996, ">99.9%"), (0.9994, "99.9%"), (0.00003, "<0.1%"), (0.0006, "0.1%")],
)
def test_near_0_and_100_no_number_has_more_digits_than_its_neighbours(value: float, text: str) -> None:
    assert shown(value, scale="percent", digits=1) == text


def test_where_a_limit_asks_for_digits_the_ends_keep_theirs() -> None:
    assert shown(0.99996, scale="percent", digits=1, barriers=[0.9999]) == ">99.99%"
    assert shown(0.9999999, scale="percent", digits=1, barriers=[0.9]) == ">99.9%"


def test_a_difference_has_its_sign() -> None:
    assert shown(0.0214, scale="difference", digits=3) == "+0.021"
    assert shown(-0.0214, scale="difference", digits=3) == "\u22120.021"
