"""The presentation standards for proportions, against statsmodels' exact limits and hand-worked rows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from slices.supplements.presentation import (
    PresentationRule,
    korn_graubard_limits,
    proportion_review,
    proportion_shortfall,
    support_shortfall,
)


@given(st.integers(1, 400), st.data())
def test_limits_are_clopper_pearson_without_clusters(support: int, data: st.DataObject) -> None:
    events = data.draw(st.integers(0, support))
    expected = proportion_confint(events, support, alpha=0.05, method="beta")
    assert korn_graubard_limits(events / support, support) == pytest.approx(expected, abs=1e-9)


def test_clustered_limits_use_the_effective_size_and_students_t() -> None:
    # 200 rows, design effect 4, 11 clusters: n* = 50 (t_199 / t_10)^2 = 50 (1.971957 / 2.228139)^2 = 39.1634.
    from scipy.stats import beta

    size = 50 * (1.971956544 / 2.228138852) ** 2
    events = 0.8 * size
    expected = beta.ppf(0.025, events, size - events + 1), beta.ppf(0.975, events + 1, size - events)
    assert korn_graubard_limits(0.8, 200, effective=50, degrees=10) == pytest.approx(expected, abs=1e-8)


def test_the_effective_size_never_exceeds_the_rows() -> None:
    assert korn_graubard_limits(0.5, 40, effective=90) == korn_graubard_limits(0.5, 40)


@pytest.mark.parametrize(
    ("value", "support", "options", "reason"),
    [
        (0.9, 29, {}, "29 cases are too few; 30 are needed."),
        (
            0.9,
            200,
            {"effective": 12.5},
            "200 cases that count for 12.5 independent ones are too few; 30 are needed.",
        ),
        # 15 of 30: Clopper-Pearson .313 to .687.
        (0.5, 30, {}, "The exact 95% interval is 0.37 wide; less than 0.30 is needed."),
        (
            0.95,
            400,
            {"effective": 90, "degrees": 7},
            "8 clusters contribute to the denominator; 9 are needed.",
        ),
        # 29 of 30: .828 to .999, width .17; the complement alone (1 of 30) would be suppressed.
        (29 / 30, 30, {}, None),
        (1 / 30, 30, {}, None),
        (1.0, 30, {}, None),
        (0.0, 30, {}, None),
        (0.95, 400, {"effective": 90, "degrees": 8}, None),
    ],
)
def test_rule(value: float, support: int, options: dict[str, float], reason: str | None) -> None:
    assert proportion_shortfall(value, support, **options) == reason


def test_relative_rule_can_be_made_to_bite() -> None:
    strict = PresentationRule(relative=0.1)
    assert proportion_shortfall(0.5, 100, rule=strict) == (
        "The exact 95% interval is 41% as wide as the proportion and its complement; at most 10% is allowed."
    )


@given(st.integers(30, 500), st.data())
def test_a_proportion_and_its_complement_are_judged_alike(support: int, data: st.DataObject) -> None:
    events = data.draw(st.integers(0, support))
    one, other = (proportion_shortfall(x / support, support) for x in (events, support - events))
    assert one == other


@given(st.integers(30, 500), st.data())
def test_retyped_standard(support: int, data: st.DataObject) -> None:
    """Parker et al. (2017): each of proportion and complement by the steps of the standard."""
    events = data.draw(st.integers(0, support))
    low, high = proportion_confint(events, support, alpha=0.05, method="beta")
    width = high - low

    def presented(proportion: float) -> bool:
        if width >= 0.30:
            return False
        if width <= 0.05:
            return True
        return proportion > 0 and width / proportion <= 1.30

    expected = presented(events / support) or presented(1 - events / support)
    assert (proportion_shortfall(events / support, support) is None) == expected


def test_review_is_asked_for_at_both_ends_only() -> None:
    assert proportion_review(0.5) is None
    assert (
        proportion_review(1) == "The estimate is exactly 1: the standard asks that a statistician reviews it."
    )
    assert (
        proportion_review(0.0)
        == "The estimate is exactly 0: the standard asks that a statistician reviews it."
    )


def test_stated_minimum_for_other_metrics() -> None:
    assert support_shortfall(30) is None
    assert (
        support_shortfall(12, minimum=20, what="smaller class") == "The smaller class is 12; 20 are needed."
    )
