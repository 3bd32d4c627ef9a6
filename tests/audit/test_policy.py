"""The policy: outcomes by the design's semantics, retyped here in a slower way, and the verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from audit.config import Policy, Rule
from audit.policy import (
    EXIT_CODES,
    FailedShare,
    Judged,
    Results,
    failed_share,
    judge,
    judge_concepts,
    side_of,
    verdict_of,
)
from audit.targets import Target, family, kind_of, targets
from concepts.records import Cav, ConceptResult, ConceptStage
from slices import records
from slices.counts import AttributeSummary, CountedLog, Exclusion, OutcomeSpace, SliceCounts
from slices.estimates.power import Arm, needed_units
from slices.records import Disparity, Estimate, Limits, Simultaneous, SliceRecord
from slices.roles import Attribute
from slices.slicing import OVERALL, Slice
from slices.supplements.presentation import proportion_shortfall

BINARY = OutcomeSpace("binary", (None,), 1, 4)


def of(**values: str | None) -> Slice:
    return Slice(tuple(sorted(values.items())))


def counts(where: Slice, n: int = 100, *, failed: int = 0, clusters: int | None = None) -> SliceCounts:
    cells = np.array([[n // 4, n // 4, n // 4, n - 3 * (n // 4)]], dtype=np.int64)
    return SliceCounts(where, cells, cells * 2, np.array([[failed, 0]], dtype=np.int64), 0, n, clusters)


def log_with(*where: Slice, space: OutcomeSpace = BINARY, small: tuple[Exclusion, ...] = ()) -> CountedLog:
    slices = tuple(counts(item) for item in (OVERALL, *where))
    names = sorted({name for item in (*where, *(e.slice for e in small)) for name in item.attributes})
    summaries = tuple(
        AttributeSummary(
            Attribute(name, "other", name),
            tuple(
                sorted(
                    {
                        (value, 100)
                        for item in (*where, *(e.slice for e in small))
                        for key, value in item.values
                        if key == name and value is not None
                    }
                )
            ),
            sum(item.as_dict().get(name, "") is None for item in where) * 100,
        )
        for name in names
    )
    return CountedLog(space, slices, summaries, (), (), 1000, 1000, None, "1", small=small)


def estimate(value: float | None, low: float | None, high: float | None, *, support: int = 400) -> Estimate:
    return Estimate("recall", value, low, high, support, "Wilson", None if value is not None else "0 of 0")


def record(
    where: Slice,
    pointwise: tuple[float | None, float | None, float | None],
    joint: tuple[float, float] | None,
    *,
    support: int = 400,
    kind: Literal["value", "difference", "ratio"] = "value",
    comparator_support: int = 400,
) -> SliceRecord:
    against = None if kind == "value" else "complement"
    value, low, high = pointwise
    own = (
        estimate(value, low, high, support=support)
        if kind == "value"
        else estimate(0.9, 0.87, 0.93, support=support)
    )
    empty = Limits(None, None, None)
    disparities = ()
    if kind != "value":
        limits = Limits(value, low, high)
        disparities = (
            Disparity(
                "recall",
                "complement",
                limits if kind == "difference" else empty,
                limits if kind == "ratio" else empty,
                None,
                None,
                "score",
                comparator=estimate(0.9, 0.87, 0.93, support=comparator_support),
            ),
        )
    simultaneous = (
        () if joint is None else (Simultaneous("recall", kind, against, *joint, 0.999, "Clopper-Pearson"),)
    )
    return SliceRecord(where, None, 1000, None, (1, 2, 3, 4), 0, 0, (own,), disparities, simultaneous)


def outcome(rule: Rule, found: SliceRecord, policy: Policy | None = None) -> Judged:
    kind, limit = kind_of(rule)
    assert limit is not None
    against = "complement" if kind in ("gap", "ratio") else None
    target = Target(rule, kind, limit, found.slice, None, against)
    (judged,) = judge([target], Results((found,), 0.95), log_with(), policy or Policy())
    return judged


FLOOR = Rule(id="f", metric="recall", at_least=0.85, attributes=["sex"])
CEILING = Rule(id="c", metric="recall", at_most=0.85, attributes=["sex"])
GAP = Rule(id="g", metric="recall", gap_at_most=0.05, attributes=["sex"])
RATIO = Rule(id="r", metric="recall", ratio_at_least=0.8, attributes=["sex"])
F = of(sex="F")

# rule, quantity, (value, low, high), simultaneous, outcome, the interval it is read from
CASES = [
    (FLOOR, "value", (0.9, 0.86, 0.94), (0.84, 0.96), "meets", "pointwise"),
    (FLOOR, "value", (0.9, 0.85, 0.94), (0.84, 0.96), "meets", "pointwise"),  # equality meets
    (FLOOR, "value", (0.9, 0.8499, 0.94), (0.84, 0.96), "cannot_tell", "pointwise"),
    (FLOOR, "value", (0.8, 0.77, 0.84), (0.74, 0.8499), "fails", "simultaneous"),
    (
        FLOOR,
        "value",
        (0.8, 0.77, 0.84),
        (0.74, 0.85),
        "cannot_tell",
        "simultaneous",
    ),  # equality does not fail
    (FLOOR, "value", (0.8, 0.77, 0.84), (0.74, 0.86), "cannot_tell", "simultaneous"),
    (FLOOR, "value", (0.8, 0.77, 0.84), None, "cannot_tell", "pointwise"),  # no joint interval: no failure
    (CEILING, "value", (0.8, 0.76, 0.85), (0.74, 0.86), "meets", "pointwise"),
    (CEILING, "value", (0.9, 0.87, 0.94), (0.8501, 0.96), "fails", "simultaneous"),
    (CEILING, "value", (0.86, 0.83, 0.9), (0.8, 0.92), "cannot_tell", "pointwise"),
    (GAP, "difference", (0.01, -0.05, 0.05), (-0.08, 0.08), "meets", "pointwise"),
    (GAP, "difference", (-0.1, -0.13, -0.07), (-0.15, -0.0501), "fails", "simultaneous"),
    (GAP, "difference", (0.1, 0.07, 0.13), (0.0501, 0.15), "fails", "simultaneous"),
    (GAP, "difference", (0.1, 0.07, 0.13), (0.05, 0.15), "cannot_tell", "simultaneous"),
    (GAP, "difference", (0.0, -0.06, 0.06), (-0.09, 0.09), "cannot_tell", "pointwise"),
    (RATIO, "ratio", (0.9, 0.8, 1.01), (0.7, 1.1), "meets", "pointwise"),
    (RATIO, "ratio", (1.9, 1.7, 2.1), (1.6, 2.2), "meets", "pointwise"),  # one-sided: more is no failure
    (RATIO, "ratio", (0.6, 0.55, 0.7), (0.5, 0.79), "fails", "simultaneous"),
    (RATIO, "ratio", (0.8, 0.7, 0.9), (0.6, 1.0), "cannot_tell", "pointwise"),
]


@pytest.mark.parametrize(("rule", "quantity", "pointwise", "joint", "expected", "read_from"), CASES)
def test_outcomes(rule, quantity, pointwise, joint, expected, read_from) -> None:  # type: ignore[no-untyped-def]
    judged = outcome(rule, record(F, pointwise, joint, kind=quantity))
    assert judged.outcome == expected
    assert judged.interval.startswith(read_from)
    assert judged.level == (0.999 if read_from == "simultaneous" else 0.95)
    low, high = joint if read_from == "simultaneous" else pointwise[1:]
    assert (judged.low, judged.high) == (low, high)


def test_a_share_of_exactly_one_asks_for_a_review() -> None:
    """The NCHS standard: no event, or events only. Not where another minimum is stated, nor of a gap."""
    whole = record(F, (1.0, 0.99, 1.0), (0.98, 1.0))
    judged = outcome(FLOOR, whole)
    assert judged.outcome == "meets"
    asked = "The estimate is exactly 1: the standard asks that a statistician reviews it."
    assert judged.reason.endswith(asked)
    assert asked not in outcome(FLOOR, whole, Policy(minimum=30)).reason
    assert asked not in outcome(FLOOR, record(F, (0.99, 0.97, 1.0), (0.96, 1.0))).reason
    gap = outcome(GAP, record(F, (0.0, -0.01, 0.01), (-0.02, 0.02), kind="difference"))
    assert (gap.outcome, "reviews it" in gap.reason) == ("meets", False)


def test_too_little_data_does_not_hide_a_failure() -> None:
    assert outcome(FLOOR, record(F, (0.3, 0.1, 0.6), (0.05, 0.8), support=12)).outcome == "fails"
    thin = outcome(FLOOR, record(F, (0.99, 0.9, 1.0), (0.8, 1.0), support=12))
    assert (thin.outcome, thin.reason) == ("not_enough_data", "12 cases are too few; 30 are needed.")


def test_a_gap_needs_both_sides() -> None:
    met = ((0.0, -0.01, 0.01), (-0.02, 0.02))
    assert outcome(GAP, record(F, *met, kind="difference")).outcome == "meets"
    thin = outcome(GAP, record(F, *met, kind="difference", comparator_support=12))
    assert thin.outcome == "not_enough_data"
    assert thin.reason.startswith("Comparator: 12 cases are too few")


def test_the_minimum_can_be_stated() -> None:
    found = record(F, (0.99, 0.9, 1.0), (0.8, 1.0), support=12)
    assert outcome(FLOOR, found, Policy(minimum=10)).outcome == "meets"
    assert outcome(FLOOR, found, Policy(minimum=13)).outcome == "not_enough_data"


def test_the_stated_minimum_counts_what_clusters_leave() -> None:
    found = record(F, (0.99, 0.9, 1.0), (0.8, 1.0), support=400)
    clustered = replace(found, estimates=(replace(found.estimates[0], effective=12.5, clusters=13),))
    assert outcome(FLOOR, clustered, Policy(minimum=12)).outcome == "meets"
    judged = outcome(FLOOR, clustered, Policy(minimum=13))
    assert judged.outcome == "not_enough_data"
    assert judged.reason == "The denominator, after clusters and weights, is 12.5; 13 are needed."
    more = replace(found, estimates=(replace(found.estimates[0], effective=500.0),))
    assert outcome(FLOOR, more, Policy(minimum=401)).outcome == "not_enough_data"


@pytest.mark.parametrize(("support", "expected"), [(400, "cannot_tell"), (12, "not_enough_data")])
def test_a_ratio_to_nothing_says_so(support: int, expected: str) -> None:
    """The slice's figure is defined, the comparator's is 0: it is the ratio that does not exist."""
    found = record(F, (None, None, None), None, kind="ratio", support=support)
    (disparity,) = found.disparities
    assert disparity.comparator is not None
    nothing = replace(disparity.comparator, value=0.0, low=0.0, high=0.01)
    judged = outcome(RATIO, replace(found, disparities=(replace(disparity, comparator=nothing),)))
    assert (judged.outcome, judged.value, judged.low, judged.high) == (expected, None, None, None)
    assert judged.reason.startswith(f"The comparator's recall is 0 (of 400), the slice's 0.9 (of {support}):")
    assert "undefined" not in judged.reason


def test_an_undefined_metric_is_not_enough_data() -> None:
    judged = outcome(FLOOR, record(F, (None, None, None), None, support=0))
    assert (judged.outcome, judged.value, judged.reason) == ("not_enough_data", None, "0 of 0")


def test_undecided_says_how_many_more() -> None:
    judged = outcome(FLOOR, record(F, (0.88, 0.84, 0.91), (0.8, 0.93)))
    assert judged.outcome == "cannot_tell"
    assert judged.needed_n is not None
    assert judged.needed_n > 0
    assert "540 more cases" in judged.reason  # 537: the plan itself stays exact
    on_the_limit = outcome(FLOOR, record(F, (0.85, 0.81, 0.89), (0.8, 0.93)))
    assert on_the_limit.needed_n is None
    assert "on the limit" in on_the_limit.reason


@pytest.mark.parametrize(("value", "support", "limit"), [(0.99, 12, 0.85), (0.4, 5, 0.85), (0.86, 20, 0.85)])
def test_not_enough_data_says_how_many_more(value: float, support: int, limit: float) -> None:
    """Enough for the small-slice rule *and* for a decision, both counted up one case at a time."""
    rule = Rule(id="f", metric="recall", at_least=limit, attributes=["sex"])
    judged = outcome(rule, record(F, (value, 0.05, 1.0), (0.01, 1.0), support=support))
    judged_from = next(
        n for n in range(support, 10_000) if proportion_shortfall(value, n, limits=None) is None
    )
    decided = needed_units("at_least", limit, Arm(value, support), pointwise=0.95, simultaneous=0.999).units
    assert decided is not None
    assert judged.outcome == "not_enough_data"
    assert judged.needed_n == max(judged_from - support, decided)
    assert judged.needed_n >= 30 - support


def test_without_a_single_case_the_minimum_is_what_it_takes_at_least() -> None:
    assert outcome(FLOOR, record(F, (None, None, None), None, support=0)).needed_n == 30
    judged = outcome(FLOOR, record(F, (None, None, None), None, support=0), Policy(minimum=12))
    assert judged.needed_n == 12


def test_a_thin_comparator_grows_with_the_slice() -> None:
    met = ((0.0, -0.01, 0.01), (-0.02, 0.02))
    thin = outcome(GAP, record(F, *met, kind="difference", comparator_support=12))
    # 12 become 30 when 400 become 1,000.
    assert thin.needed_n is not None
    assert thin.needed_n >= 400 * (29.5 / 12) - 400


def test_a_mean_over_classes_is_judged_by_its_cases_and_not_by_its_number_of_classes() -> None:
    rule = Rule(id="m", metric="macro_recall", at_least=0.8, attributes=["sex"])
    of_classes = Estimate("macro_recall", 0.93, 0.9, 0.96, 6, "bootstrap")
    found = SliceRecord(F, None, 827, None, None, 0, 0, (of_classes,), (), ())
    judged = outcome(rule, found)
    assert (judged.outcome, judged.support) == ("meets", 827)
    few = outcome(rule, replace(found, n=29))
    assert (few.outcome, few.support) == ("not_enough_data", 29)
    assert few.needed_n is not None
    patients = outcome(rule, replace(found, clusters=12))
    assert patients.outcome == "not_enough_data"
    assert "12" in patients.reason


def test_a_gap_left_open_by_a_lopsided_interval_needs_more_cases() -> None:
    """The normal law would call it decided: 0.008 with a standard error of .005 inside 0.02."""
    rule = Rule(id="g", metric="recall", gap_at_most=0.02, attributes=["sex"])
    found = record(F, (-0.008, -0.027, 0.003), (-0.04, 0.01), kind="difference")
    rare = replace(
        found,
        estimates=(Estimate("recall", 0.002, 0.0, 0.011, 495, "Wilson"),),
        disparities=(
            replace(found.disparities[0], comparator=Estimate("recall", 0.01, 0.003, 0.03, 304, "Wilson")),
        ),
    )
    judged = outcome(rule, rare)
    assert judged.outcome == "cannot_tell"
    assert needed_units("gap_at_most", 0.02, Arm(0.002, 495), Arm(0.01, 304)).units == 0
    assert judged.needed_n is not None
    # Half as long an interval would lie inside, with room for what the new cases add.
    assert 200 < judged.needed_n < 10 * 495


limits = st.floats(0, 1)


def slow_outcome(kind: str, limit: float, pointwise: tuple[float, float], joint: tuple[float, float]) -> str:
    """The design's sentences, point by point on a grid of the interval instead of by its ends."""

    def right(x: float) -> bool:
        return {"floor": x >= limit, "ceiling": x <= limit, "gap": -limit <= x <= limit, "ratio": x >= limit}[
            kind
        ]

    def wrong_side(points: np.ndarray) -> bool:
        if kind == "gap":  # wholly above g, or wholly below -g: not some above and some below
            return bool(np.all(points > limit) or np.all(points < -limit))
        return not any(right(float(x)) for x in points)

    grid = [np.linspace(*ends, 41) for ends in (pointwise, joint)]
    if wrong_side(grid[1]):
        return "fails"
    return "meets" if all(right(float(x)) for x in grid[0]) else "cannot_tell"


@given(
    kind=st.sampled_from(["floor", "ceiling", "gap", "ratio"]),
    limit=st.floats(0.01, 1),
    ends=st.lists(st.floats(-1, 2), min_size=4, max_size=4),
)
def test_outcomes_against_the_slow_reading(kind: str, limit: float, ends: list[float]) -> None:
    outer_low, low, high, outer_high = sorted(ends)
    rule = {
        "floor": FLOOR,
        "ceiling": CEILING,
        "gap": GAP,
        "ratio": RATIO,
    }[kind]
    quantity: Literal["value", "difference", "ratio"] = (
        "difference" if kind == "gap" else "ratio" if kind == "ratio" else "value"
    )
    found = record(F, ((low + high) / 2, low, high), (outer_low, outer_high), kind=quantity)
    target = Target(rule, kind, limit, F, None, None if quantity == "value" else "complement")  # type: ignore[arg-type]
    (judged,) = judge([target], Results((found,), 0.95), log_with(), Policy(minimum=1))
    expected = slow_outcome(kind, limit, (low, high), (outer_low, outer_high))
    assert judged.outcome == expected
    # The reason never contradicts the outcome: its printed ends lie on the side that the outcome says.
    if judged.outcome == "fails":
        assert side_of(kind, limit, judged.low, judged.high) == "wrong"  # type: ignore[arg-type]


@given(low=limits, high=limits, limit=limits)
def test_no_interval_is_on_both_sides(low: float, high: float, limit: float) -> None:
    low, high = min(low, high), max(low, high)
    floor, ceiling = side_of("floor", limit, low, high), side_of("ceiling", limit, low, high)
    assert (floor == "wrong") <= (ceiling == "right")
    assert (ceiling == "wrong") <= (floor == "right")


def test_open_intervals_decide_nothing_by_their_open_end() -> None:
    assert side_of("floor", 0.5, None, 0.9) == "across"
    assert side_of("floor", 0.5, None, 0.4) == "wrong"
    assert side_of("gap", 0.5, None, 0.1) == "across"
    assert side_of("ceiling", 0.5, 0.2, None) == "across"


# Targets


def names(found: tuple[Target, ...]) -> list[tuple[dict[str, str | None], str | None]]:
    return [
        (target.slice.as_dict(), target.unavailable[0] if target.unavailable else None) for target in found
    ]


def test_a_rule_applies_to_each_value_and_not_to_the_missing_ones() -> None:
    log = log_with(of(sex="F"), of(sex="M"), of(sex=None))
    assert names(targets(Policy(rules=[FLOOR]), log)) == [({"sex": "F"}, None), ({"sex": "M"}, None)]
    with_missing = FLOOR.model_copy(update={"include_missing": True})
    assert names(targets(Policy(rules=[with_missing]), log))[-1] == ({"sex": None}, None)


def test_what_only_a_rule_names_and_the_log_lacks_is_not_tested() -> None:
    log = log_with(of(sex="F"))
    absent = Rule(id="a", metric="recall", at_least=0.5, attributes=["tone"])
    assert names(targets(Policy(rules=[absent]), log)) == [({}, "not_tested")]
    value = Rule(id="v", metric="recall", at_least=0.5, slices=[{"sex": "X"}])
    assert names(targets(Policy(rules=[value]), log)) == [({"sex": "X"}, "not_tested")]
    reference = Rule(id="g", metric="recall", gap_at_most=0.1, attributes=["sex"], against="X")
    assert names(targets(Policy(rules=[reference]), log)) == [({}, "not_tested")]


def test_a_slice_below_the_minimum_that_a_rule_names_is_not_enough_data() -> None:
    log = log_with(of(sex="F"), small=(Exclusion("too small", of(sex="M"), 7),))
    found = targets(Policy(rules=[FLOOR]), log)
    assert names(found) == [({"sex": "F"}, None), ({"sex": "M"}, "not_enough_data")]
    judged = judge(found[1:], Results((), 0.95), log, Policy())
    assert judged[0].outcome == "not_enough_data"
    assert "7 rows" in judged[0].reason


def with_attribute(log: CountedLog, name: str) -> CountedLog:
    """The log with an attribute that is missing in every row."""
    return replace(
        log,
        slices=(*log.slices, counts(Slice(((name, None),)))),
        attributes=(*log.attributes, AttributeSummary(Attribute(name, "other", name), (), 100)),
    )


def test_a_rule_that_finds_nothing_says_so() -> None:
    """Never in silence: no slice to judge is one undecided finding, and never a pass."""
    empty = with_attribute(log_with(of(sex="F")), "tone")
    tone = Rule(id="t", metric="recall", at_least=0.5, attributes=["sex", "tone"])
    found = targets(Policy(rules=[tone]), empty)
    assert names(found) == [({"sex": "F"}, None), ({}, "not_tested")]
    assert "“tone” is missing in every row" in found[1].unavailable[1]  # type: ignore[index]
    with_missing = tone.model_copy(update={"include_missing": True})
    assert names(targets(Policy(rules=[with_missing]), empty))[1:] == [({"tone": None}, None)]
    alone = Rule(id="g", metric="recall", gap_at_most=0.1, attributes=["sex"], against="F")
    found = targets(Policy(rules=[alone]), log_with(of(sex="F")))
    assert names(found) == [({}, "not_tested")]
    assert "nothing to compare" in found[0].unavailable[1]  # type: ignore[index]
    assert family(found) == ()
    judged = judge(found, Results((), 0.95), log_with(of(sex="F")), Policy(rules=[alone]))
    assert verdict_of(judged, rules=1) == "cannot_be_decided"
    apart = replace(log_with(of(sex="F"), of(site="X")))
    both = Rule(id="b", metric="recall", at_least=0.5, intersections=[["sex", "site"]])
    (target,) = targets(Policy(rules=[both]), apart)
    assert target.unavailable == ("not_tested", "No row has a value of each of sex and site.")


def test_nothing_to_judge_is_said_once_for_all_classes() -> None:
    log = replace(log_with(), space=OutcomeSpace("multiclass", ("cat", "dog"), 1, 6))
    rule = Rule(id="r", metric="recall", at_least=0.5, attributes=["tone"])
    assert [(t.klass, t.slice) for t in targets(Policy(rules=[rule]), log)] == [(None, OVERALL)]


def test_crossings_of_a_small_value_are_not_enough_data() -> None:
    """The counting forms no pair with a value below the minimum, and the rule still hears of it."""
    log = log_with(
        of(sex="F"),
        of(site="A"),
        of(sex="F", site="A"),
        small=(Exclusion("too small", of(sex="X"), 7), Exclusion("too small", of(site=None), 3)),
    )
    rule = Rule(id="i", metric="recall", at_least=0.5, intersections=[["sex", "site"]])
    found = targets(Policy(rules=[rule]), log)
    assert names(found) == [({"sex": "F", "site": "A"}, None), ({"sex": "X"}, "not_enough_data")]
    assert (
        found[1]
        .unavailable[1]
        .startswith("The crossings of sex: X with site were not computed: the value has 7 ")
    )  # type: ignore[index]
    missing = targets(Policy(rules=[rule.model_copy(update={"include_missing": True})]), log)
    assert names(missing)[2] == ({"site": None}, "not_enough_data")
    named = Rule(id="n", metric="recall", at_least=0.5, slices=[{"sex": "X", "site": "A"}])
    assert names(targets(Policy(rules=[named]), log)) == [({"sex": "X", "site": "A"}, "not_enough_data")]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"attributes": ["sex", "sex"]}, "names 'sex' twice"),
        ({"intersections": [["sex", "sex"]]}, "not crossed with itself"),
        ({"intersections": [["sex", "age"], ["age", "sex"]]}, "is named twice"),
        ({"overall": True, "classes": ["a", "a"]}, "names 'a' twice"),
    ],
)
def test_a_name_given_twice_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Rule.model_validate({"id": "r", "metric": "recall", "at_least": 0.5, **given})


def test_the_reference_is_not_compared_with_itself() -> None:
    log = log_with(of(sex="F"), of(sex="M"))
    rule = Rule(id="g", metric="recall", gap_at_most=0.1, attributes=["sex"], against="M")
    found = targets(Policy(rules=[rule]), log)
    assert names(found) == [({"sex": "F"}, None)]
    assert family(found) == (records.Tested(of(sex="F"), None, "recall", "difference", "M"),)


def test_classes_and_pooled_metrics() -> None:
    space = OutcomeSpace("multiclass", ("cat", "dog"), 1, 6)
    log = log_with(space=space)
    recall = Rule(id="r", metric="recall", at_least=0.5, overall=True)
    accuracy = Rule(id="a", metric="accuracy", at_least=0.5, overall=True)
    macro = Rule(id="m", metric="macro_recall", at_least=0.5, overall=True)
    dogs = Rule(id="d", metric="accuracy", at_least=0.5, overall=True, classes=["dog"])
    found = targets(Policy(rules=[recall, accuracy, macro, dogs]), log)
    assert [(target.rule.id, target.klass) for target in found] == [
        ("r", "cat"),
        ("r", "dog"),
        ("a", None),
        ("m", None),
        ("d", "dog"),
    ]


def test_the_family_holds_each_figure_once() -> None:
    log = log_with(of(sex="F"), of(sex="M"))
    twice = Policy(rules=[FLOOR, FLOOR.model_copy(update={"id": "again", "at_least": 0.5})])
    assert len(targets(twice, log)) == 4
    assert len(family(targets(twice, log))) == 2


# Failed predictions


@pytest.mark.parametrize(
    ("failed", "expected"), [(0, "meets"), (1, "meets"), (3, "cannot_tell"), (90, "fails")]
)
def test_failed_predictions_are_gated(failed: int, expected: str) -> None:
    rule = Rule(id="p", max_missing_predictions=0.02, attributes=["sex"])
    log = replace(log_with(), slices=(counts(OVERALL), counts(F, 300, failed=failed)))
    target = Target(rule, "missing_predictions", 0.02, F, None, None)
    (judged,) = judge([target], Results((), 0.95), log, Policy())
    assert judged.outcome == expected
    assert judged.value == failed / (300 + failed)
    assert judged.support == 300 + failed


def cells(*classes: tuple[int, int]) -> SliceCounts:
    """A multi-label slice of 40 images with an id: per class, rows with and without a prediction."""
    inside = np.array([[0, 0, 0, seen] for seen, _ in classes], dtype=np.int64)
    failed = np.array([[0, gone] for _, gone in classes], dtype=np.int64)
    return SliceCounts(F, inside, inside, failed, 0, 40)


def test_failed_predictions_count_images_and_clusters_not_rows() -> None:
    """60 images, three classes each; 20 of them fail in every class: never more than 60 units."""
    space = OutcomeSpace("multilabel", ("a", "b", "c"), 3, 4)
    log = replace(log_with(), space=space)
    images = cells((40, 20), (40, 20), (40, 20))
    assert failed_share(log, images) == FailedShare(60, 180, 40)
    without_id = replace(images, n=120)
    assert failed_share(log, without_id) == FailedShare(60, 180, 60)
    assert failed_share(log, replace(images, clusters=9)).units == 9
    # Every prediction of the slice failed, so that no cluster has a counted row.
    assert failed_share(log_with(), replace(counts(F, 0, failed=500), clusters=0)).units == 1
    assert failed_share(log_with(), counts(F, 300, failed=6)) == FailedShare(6, 306, 306)
    detection = replace(log_with(), space=OutcomeSpace("detection", (None,), 1, 4))
    boxes = replace(counts(F, 3000, failed=5), n=50)
    assert failed_share(detection, boxes) == FailedShare(5, 55, 55)


def test_many_rows_of_one_failed_patient_do_not_fail_the_gate() -> None:
    rule = Rule(id="p", max_missing_predictions=0.05, attributes=["sex"])
    target = Target(rule, "missing_predictions", 0.05, F, None, None)
    log = log_with()
    outcomes = []
    for clusters in (None, 0, 3):
        slices = (counts(OVERALL), replace(counts(F, 0, failed=500), clusters=clusters))
        (judged,) = judge([target], Results((), 0.95), replace(log, slices=slices), Policy())
        outcomes.append(judged.outcome)
    assert outcomes == ["fails", "not_enough_data", "fails"]


# Concepts


def concept(
    verdict: str = "no_effect_shown",
    *,
    layer: str = "a",
    effect: tuple[float, float, float] | None = (0.0, -0.05, 0.05),
    p: float | None = 0.5,
    undefined: str | None = None,
) -> ConceptResult:
    value, low, high = effect if effect is not None else (None, None, None)
    return ConceptResult(
        "ruler",
        "bad",
        layer,
        (),
        0.5,
        0.4,
        0.6,
        value,
        low,
        high,
        p,
        p,
        0.5,
        0.1,
        0,
        50,
        Cav(0.9, 0.9, 0.8, 1.0, 0.6, 0.9),
        verdict,  # type: ignore[arg-type]
        undefined,
    )


DRIVES = concept("drives", effect=(2.0, 1.0, 3.0), p=0.003)
WITHIN = concept("drives", effect=(0.0245, 0.0001, 0.0490), p=0.003)
NULL = concept(layer="b")
UNLEARNT = concept("not_learnt", layer="b", effect=None, p=None, undefined="Too few images.")


@pytest.mark.parametrize(
    ("results", "margin", "expected", "layer"),
    [
        ([NULL], 0.1, "meets", "b"),
        ([NULL], 0.05, "meets", "b"),
        ([NULL], 0.04, "cannot_tell", "b"),
        ([NULL], None, "cannot_tell", "b"),  # without a margin, non-significance is never a pass
        ([NULL, DRIVES], 0.1, "fails", "a"),  # at any layer
        ([NULL, WITHIN], 0.1, "meets", "b"),  # an effect inside the margin counts as none
        ([NULL, WITHIN], 0.04, "fails", "a"),
        ([NULL, WITHIN], None, "fails", "a"),
        ([UNLEARNT, WITHIN], 0.1, "cannot_tell", "b"),
        ([UNLEARNT, DRIVES], 0.1, "fails", "a"),
        ([UNLEARNT, concept(layer="a")], 0.1, "cannot_tell", "b"),  # learnt at every layer
        ([concept("opposes", effect=(-2.0, -3.0, -1.0), p=0.003)], 0.1, "cannot_tell", "a"),
        (
            [concept("drives", effect=(2.0, 1.0, 3.0), p=0.05)],
            0.1,
            "cannot_tell",
            "a",
        ),  # not below 1 - confidence
        ([], 0.1, "cannot_tell", None),
    ],
)
def test_concept_rules(
    results: list[ConceptResult], margin: float | None, expected: str, layer: str | None
) -> None:
    rule = Rule(id="no-ruler", concept="ruler", must_not_drive=["bad"], margin=margin)
    in_a_slice = replace(DRIVES, slice=(("sex", "F"),))
    stage = ConceptStage(
        (*results, in_a_slice, replace(DRIVES, klass="good"), replace(DRIVES, concept="x")), ()
    )
    (judged,) = judge_concepts(Policy(rules=[rule]), stage, 0.95)
    assert (judged.outcome, judged.layer) == (expected, layer)
    assert judged.concept == "ruler"
    assert judged.reason.endswith(".")


# Verdict


@pytest.mark.parametrize(
    ("outcomes", "verdict", "code"),
    [
        ([], "no_rule", 0),
        (["meets"], "meets", 0),
        (["meets", "fails", "cannot_tell"], "does_not_meet", 1),
        (["meets", "cannot_tell"], "cannot_be_decided", 3),
        (["meets", "not_enough_data"], "cannot_be_decided", 3),
        (["not_tested"], "cannot_be_decided", 3),
    ],
)
def test_verdict(outcomes: list[str], verdict: str, code: int) -> None:
    base = outcome(FLOOR, record(F, (0.9, 0.86, 0.94), (0.84, 0.96)))
    found = [replace(base, outcome=item) for item in outcomes]  # type: ignore[arg-type]
    assert verdict_of(found, rules=len(found)) == verdict
    assert EXIT_CODES[verdict] == code


def test_without_joint_limits_the_figures_own_interval_stays_and_nothing_is_planned():
    found = record(F, (0.78, 0.76, 0.80), None)
    found = replace(found, simultaneous=(Simultaneous("recall", "value", None, None, None, 0.999, "none"),))
    judged = outcome(FLOOR, found)
    assert judged.outcome == "cannot_tell"
    assert (judged.low, judged.high, judged.level) == (0.76, 0.80, 0.95)
    assert judged.interval.startswith("pointwise")
    assert "by itself" in judged.reason
    assert judged.needed_n is None


def test_what_a_wide_joint_interval_leaves_open_takes_more_than_the_normal_law_says():
    own = Estimate("mcc", 0.70, 0.64, 0.76, 400, "Fisher's z")
    joint = Simultaneous("mcc", "value", None, 0.52, 0.86, 0.999, "exact")
    found = replace(record(F, (0.7, 0.64, 0.76), None), estimates=(own,), simultaneous=(joint,))
    judged = outcome(Rule(id="m", metric="mcc", at_least=0.81, attributes=["sex"]), found)
    assert judged.outcome == "cannot_tell"
    # The normal law at .999 ends at .801, below the floor.
    assert judged.needed_n is not None
    assert judged.needed_n > 100
