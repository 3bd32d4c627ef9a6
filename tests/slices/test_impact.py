"""Impact ratios: the worked example of the rules, and the definitions by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep

from slices.impact import above_median, impact_table


def names(*text: str) -> list[tuple[str, ...]]:
    return [(name,) for name in text]


def test_worked_example_by_sex() -> None:
    """6 RCNY section 5-301: 84 of 168 above the median; Male 92, 54.3%, 1.00; Female 76, 44.7%, 0.82."""
    table = impact_table(names("Male", "Female"), np.array([92, 76]), np.array([50, 34]))
    assert [(r.number, round(100 * r.rate, 1), r.printed) for r in table.rows] == [
        (92, 54.3, 1.00),
        (76, 44.7, 0.82),
    ]
    assert table.highest == ("Male",)


def test_worked_example_by_race_and_ethnicity() -> None:
    """The rules print 64.2% for Hispanic people: 18 of 28 is 64.29%, truncated there, rounded here."""
    table = impact_table(
        names("Hispanic", "White", "Black", "Native Hawaiian or Pacific Islander", "Asian"),
        np.array([28, 40, 32, 8, 24]),
        np.array([18, 15, 16, 5, 10]),
    )
    assert [(r.number, round(100 * r.rate, 1), r.printed) for r in table.rows] == [
        (28, 64.3, 1.00),
        (40, 37.5, 0.58),
        (32, 50.0, 0.78),
        (8, 62.5, 0.97),
        (24, 41.7, 0.65),
    ]
    assert int(1000 * table.rows[0].rate) / 10 == 64.2


def test_intersectional_rows_keep_both_names() -> None:
    table = impact_table(
        [("Male", "Hispanic"), ("Female", "Hispanic"), ("Female", "White")],
        np.array([20, 8, 0]),
        np.array([10, 6, 0]),
        unknown=3,
    )
    assert [row.category for row in table.rows] == [("Male", "Hispanic"), ("Female", "Hispanic")]
    assert table.unknown == 3
    assert table.rows[0].ratio == pytest.approx(0.5 / 0.75)


def test_limits_against_statsmodels() -> None:
    table = impact_table(names("A", "B"), np.array([120, 80]), np.array([60, 28]))
    expected = confint_proportions_2indep(28, 80, 60, 120, compare="ratio", method="score", correction=True)
    assert (table.rows[1].low, table.rows[1].high) == pytest.approx(expected, abs=1e-4)
    assert table.rows[0].low is None


def test_small_categories_are_flagged_and_left_out_only_with_a_justification() -> None:
    categories, number, selected = names("A", "B", "C"), np.array([900, 980, 10]), np.array([450, 400, 9])
    kept = impact_table(categories, number, selected)
    assert [row.small for row in kept.rows] == [False, False, True]
    assert kept.highest == ("C",)
    left_out = impact_table(categories, number, selected, justification="Ten people give no stable rate.")
    assert left_out.highest == ("A",)
    assert left_out.rows[2].ratio is None
    assert left_out.rows[2].rate == 0.9
    assert left_out.justification == "Ten people give no stable rate."


def test_unknown_people_count_towards_the_two_percent() -> None:
    small = [impact_table(names("A", "B"), np.array([97, 3]), np.array([9, 1]), unknown=u) for u in (0, 60)]
    assert [table.rows[1].small for table in small] == [False, True]


def test_nobody_selected_has_no_ratio() -> None:
    table = impact_table(names("A", "B"), np.array([10, 20]), np.array([0, 0]))
    assert table.highest is None
    assert [row.ratio for row in table.rows] == [None, None]


def test_more_selected_than_assessed() -> None:
    with pytest.raises(ValueError, match=r"category \('B',\): 5 selected of 4: count people once"):
        impact_table(names("A", "B"), np.array([10, 4]), np.array([1, 5]))


def test_scoring_rate_is_above_not_at_the_median() -> None:
    assert above_median(np.array([1.0, 2.0, 2.0, 2.0, 3.0])).tolist() == [False, False, False, False, True]
    assert above_median(np.arange(168.0)).sum() == 84


def test_rare_selections_have_the_ratio_of_their_own_rates() -> None:
    """40 and 10 of 100,000: both rates print as 0.0%, their ratio is a quarter all the same."""
    table = impact_table(names("A", "B", "C"), np.full(3, 100_000), np.array([40, 10, 0]))
    assert [(row.ratio, row.printed) for row in table.rows] == [(1.0, 1.0), (0.25, 0.25), (0.0, 0.0)]


@pytest.mark.parametrize(
    ("selected", "printed"),
    # Highest 0.94% prints as 0.9%: unrounded. 0.96% prints as 1.0%, and 0.44% as 0.4%: rounded.
    [((940, 440), 0.47), ((960, 440), 0.40), ((5000, 40), 0.00), ((5000, 60), 0.02)],
)
def test_rounded_rates_from_one_percent_on(selected: tuple[int, int], printed: float) -> None:
    table = impact_table(names("A", "B"), np.full(2, 100_000), np.array(selected))
    assert table.rows[1].printed == printed
    assert table.rows[1].ratio == pytest.approx(selected[1] / selected[0])


@given(st.integers(1, 100_000), st.integers(0, 100_000))
def test_a_printed_ratio_is_near_the_ratio(highest: int, other: int) -> None:
    """Tenths of a percent move a ratio of rates from 1.0% on by .1 at the most, two decimals by .005."""
    pair = np.array([max(highest, other), min(highest, other)])
    row = impact_table(names("A", "B"), np.full(2, 100_000), pair).rows[1]
    assert row.ratio is not None
    assert row.printed is not None
    assert abs(row.printed - row.ratio) <= (0.0051 if pair[0] < 950 else 0.11)


def test_limits_from_effective_numbers() -> None:
    """Half the people's worth: the limits of a table of half the size; rates and ratios stay."""
    number, selected = np.array([200, 100]), np.array([100, 40])
    plain, half = (impact_table(names("A", "B"), number, selected, effective=e) for e in (None, number / 2))
    small = impact_table(names("A", "B"), number // 2, selected // 2)
    assert half.rows[1].ratio == plain.rows[1].ratio
    assert (half.rows[1].low, half.rows[1].high) == pytest.approx((small.rows[1].low, small.rows[1].high))
    assert half.rows[1].number == 100
    over = impact_table(names("A", "B"), number, selected, effective=number * 9.0)
    assert over == plain


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(0, 300)), min_size=1, max_size=8))
def test_ratios_are_at_most_one_and_order_changes_nothing(groups: list[tuple[int, int]]) -> None:
    number = np.array([a + b for a, b in groups])
    selected = np.array([a for a, _ in groups])
    categories = [(str(i),) for i in range(len(groups))]
    table = impact_table(categories, number, selected)
    turned = impact_table(categories[::-1], number[::-1], selected[::-1])
    assert max(row.ratio for row in table.rows if row.ratio is not None) == 1
    assert [row.ratio for row in table.rows] == [row.ratio for row in turned.rows][::-1]
