"""Order: of values and classes, by the configuration's names, else as people count."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from audit.order import in_order, natural, place
from slices.counts import AttributeSummary
from slices.roles import Attribute


def test_numbers_in_a_text_count_as_numbers() -> None:
    mixed = ["c10", "c5", "c05b", "10", "9.5", "-2", "A", "a", ""]
    assert sorted(mixed, key=natural) == ["", "-2", "9.5", "10", "A", "a", "c5", "c05b", "c10"]


@given(st.lists(st.text()))
def test_any_text_has_a_place(values: list[str]) -> None:
    ordered = sorted(values, key=lambda value: place(value, {}))
    assert sorted(ordered) == sorted(values)


@given(st.lists(st.integers()))
def test_whole_numbers_are_in_their_own_order(values: list[int]) -> None:
    assert sorted(map(str, values), key=lambda value: natural(value)[0][1]) == list(map(str, sorted(values)))


def test_names_give_the_order_and_bands_keep_theirs() -> None:
    values = (("high", 3), ("low", 1), ("normal", 2))
    exposure = AttributeSummary(Attribute("exposure", "acquisition", "exposure"), values, 0)
    assert in_order(exposure, {"low": "l", "normal": "n"}) == [("low", 1), ("normal", 2), ("high", 3)]
    bands = (("<18", 1), ("18-39", 2), ("40+", 3))
    age = AttributeSummary(Attribute("age", "demographic", "age", (18.0, 40.0)), bands, 0)
    assert in_order(age, {"40+": "old"}) == list(bands)
