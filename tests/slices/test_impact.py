"""Impact ratios: the worked example of the rules, and the definitions by hand."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep

from slices.counts import CountedLog
from slices.log import count_log
from slices.roles import Attribute, Decision, LogSpec
from slices.slicing import OVERALL
from slices.supplements.composed import impact_tables
from slices.supplements.impact import above, impact_table


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


def people(folder: Path, *, copies: int = 1, **roles: str) -> CountedLog:
    """The people of the worked example as a log of scores: above .5 those above the median of all.

    Sex and category are given in two halves of the example: the 36 people of no category that it
    names make up the 168.
    """
    by_sex = {"Male": (92, 50), "Female": (76, 34)}
    by_race = {"Hispanic": (28, 18), "White": (40, 15), "Black": (32, 16), "NHPI": (8, 5), "Asian": (24, 10)}
    by_race[""] = (36, 20)
    lists = [
        [
            (name, above)
            for above in (True, False)
            for name, (n, x) in each.items()
            for _ in range(x if above else n - x)
        ]
        for each in (by_sex, by_race)
    ]
    with (folder / "log.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["person", "sex", "race", "label", "score"])
        for k, ((sex, above), (race, too)) in enumerate(zip(*lists, strict=True)):
            assert above == too
            score = (0.6 if above else 0.1) + k / 1000
            writer.writerows([[f"p{k}", sex, race, k % 2, score]] * copies)
    spec = LogSpec(
        path="log.csv",
        root=folder,
        label="label",
        decision=Decision(score="score", threshold=0.5, tie=">="),
        positive="1",
        attributes=(Attribute("sex", "demographic", "sex"), Attribute("race", "demographic", "race")),
        **roles,  # type: ignore[arg-type]
    )
    return count_log(spec, intersections=2, minimum=1, keep_scores=True)


def test_the_worked_example_from_a_log_of_scores(tmp_path: Path) -> None:
    """6 RCNY section 5-301 (c): scoring rates, the median being that of all 168 people."""
    sex, race = impact_tables(people(tmp_path), [("sex",), ("race",)], rates=("scoring_rate",))
    assert (sex.rate, sex.klass) == ("scoring_rate", None)
    assert [(r.category, r.number, r.selected, f"{r.rate:.1%}", r.printed) for r in sex.table.rows] == [
        (("Female",), 76, 34, "44.7%", 0.82),
        (("Male",), 92, 50, "54.3%", 1.0),
    ]
    assert {r.category[0]: (r.number, f"{r.rate:.1%}", r.printed) for r in race.table.rows} == {
        "Hispanic": (28, "64.3%", 1.00),
        "White": (40, "37.5%", 0.58),
        "Black": (32, "50.0%", 0.78),
        "NHPI": (8, "62.5%", 0.97),
        "Asian": (24, "41.7%", 0.65),
    }
    assert race.table.unknown == 36
    assert sex.median == race.median


def test_both_rates_and_the_crossed_table(tmp_path: Path) -> None:
    """Selected is what the threshold says, at 0.65 others than the 84 above the median."""
    log = people(tmp_path)
    found = impact_tables(log, [("race", "sex")], rates=("selection_rate", "scoring_rate"))
    assert [each.rate for each in found] == ["selection_rate", "scoring_rate"]
    assert found[0].median is None
    assert sum(row.number for row in found[1].table.rows) + found[1].table.unknown == 168
    assert log.scores is not None
    everyone = log.scores(OVERALL, 0, False).scores
    assert found[1].median == np.median(everyone)
    with pytest.raises(ValueError, match="a scoring rate needs scores"):
        impact_tables(replace(log, scores=None), [("sex",)], rates=("scoring_rate",))


def test_scoring_rates_of_repeated_people_are_as_wide_as_the_people_alone(tmp_path: Path) -> None:
    one, many, patients = (
        impact_tables(people(tmp_path, copies=copies, **roles), [("sex",)], rates=("scoring_rate",))[0]
        for copies, roles in ((1, {}), (4, {}), (4, {"cluster": "person"}))
    )
    widths = []
    for each in (one, many, patients):
        row = each.table.rows[0]
        assert row.high is not None
        assert row.low is not None
        widths.append(row.high - row.low)
    assert widths[1] < 0.6 * widths[0]
    assert widths[0] * 0.999 <= widths[2] <= widths[0] * 1.06


def test_scoring_rate_is_above_not_at_the_median() -> None:
    scores = np.array([1.0, 2.0, 2.0, 2.0, 3.0])
    assert above(scores, 2.0).tolist() == [False, False, False, False, True]


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
