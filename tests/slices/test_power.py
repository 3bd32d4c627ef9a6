"""Power and needed rows, against simulation, brute force and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.power import normal_power_het
from statsmodels.stats.proportion import power_proportions_2indep, proportion_confint

from slices.estimates.power import Arm, decision_power, detectable_gap, needed_units, standard_error
from slices.estimates.selection import proportion_limits


def selected_low(events: np.ndarray, units: int, alpha: float) -> np.ndarray:
    """Lower limits as the tool selects them, in closed form."""
    count = np.asarray(events, dtype=float)
    return proportion_limits(count, np.full(count.shape, float(units)), np.full(count.shape, alpha))[0]


def brute_power(
    added: int, events: int, present: int, value: float, floor: float, alphas: tuple[float, float]
) -> float:
    from scipy.stats import binom

    new = np.arange(added + 1)
    low = selected_low(events + new, present + added, alphas[0])
    _, high = proportion_confint(events + new, present + added, alpha=alphas[1], method="beta")
    return float(binom.pmf(new, added, value) @ ((low >= floor) | (high < floor)))


@settings(max_examples=200, deadline=None)
@given(st.integers(5, 60), st.integers(0, 90), st.floats(0.03, 0.97), st.data())
def test_decision_power_is_the_sum_over_every_outcome(
    present: int, added: int, floor: float, data: st.DataObject
) -> None:
    events = data.draw(st.integers(0, present))
    value = events / present
    got = decision_power(np.asarray([added]), value, floor, present, 0.05, 0.01)[0]
    assert got == pytest.approx(brute_power(added, events, present, value, floor, (0.05, 0.01)), abs=1e-9)


@pytest.mark.parametrize(
    ("rule", "limit", "value", "units"),
    [("at_least", 0.85, 0.90, 100), ("at_least", 0.85, 0.80, 120), ("at_most", 0.10, 0.05, 80)],
)
def test_needed_units_is_the_smallest_that_decides(rule: str, limit: float, value: float, units: int) -> None:
    needed = needed_units(rule, limit, Arm(value, units), simultaneous=0.999)  # type: ignore[arg-type]
    assert needed.units is not None
    rng = np.random.default_rng(3)

    def simulated(added: int) -> float:
        counts = round(value * units) + rng.binomial(added, value, 20_000)
        hits = counts if rule == "at_least" else units + added - counts
        floor = limit if rule == "at_least" else 1 - limit
        _, high = proportion_confint(hits, units + added, alpha=0.001, method="beta")
        return float(np.mean((selected_low(hits, units + added, 0.05) >= floor) | (high < floor)))

    # Exact power is a saw: the smallest sufficient number may overshoot, one row fewer falls short.
    assert simulated(needed.units) >= 0.795
    assert simulated(needed.units - 1) < 0.805


def test_design_effect_scales_rows_and_clusters() -> None:
    alone = needed_units("at_least", 0.85, Arm(0.9, 100))
    clustered = needed_units("at_least", 0.85, Arm(0.9, 400, effective=100, clusters=80))
    assert alone.units is not None
    assert clustered.units == 4 * alone.units
    assert clustered.clusters == -(-clustered.units // 5)


def test_no_fewer_clusters_than_would_decide_without_an_error() -> None:
    """8 of 1,000 images of 100 patients wrong, floor .97: below 122 patients no lower limit reaches it."""
    needed = needed_units("at_least", 0.97, Arm(0.992, 1000, effective=1000, clusters=100))
    assert 0.025 ** (1 / 121) < 0.97 < 0.025 ** (1 / 122)
    assert (needed.units, needed.clusters) == (220, 22)
    ceiling = needed_units("at_most", 0.03, Arm(0.008, 1000, effective=1000, clusters=100))
    assert (ceiling.units, ceiling.clusters) == (220, 22)


def test_estimate_on_the_limit_needs_no_number() -> None:
    reason = "The estimate lies on the limit: no number of rows decides."
    assert needed_units("at_least", 0.9, Arm(0.9, 100)).reason == reason
    assert needed_units("gap_at_most", 0.25, Arm(0.75, 100), Arm(0.5, 100)).reason == reason
    assert needed_units("ratio_at_least", 0.5, Arm(0.25, 100), Arm(0.5, 100)).units is None
    assert needed_units("at_least", 0.9, Arm(0.9, 100, se=0.1)).units is None


def test_reasons() -> None:
    assert needed_units("ratio_at_least", 0.8, Arm(0.0, 50), Arm(0.5, 50)).reason == (
        "A ratio with a rate of zero has no logarithm to plan on."
    )
    assert needed_units("gap_at_most", 0.1, Arm(1.0, 50), Arm(1.0, 50)).reason == (
        "Both estimates are at the end of their range: no spread to plan on."
    )
    assert (
        needed_units("at_least", 0.5, Arm(0.5000001, 50)).reason
        == "More than 100,000,000 rows would be needed."
    )
    assert (
        needed_units("at_least", 0.5, Arm(0.6, 50, se=0.0)).reason == "The estimate has no spread to plan on."
    )
    assert (
        needed_units("gap_at_most", 0.1, Arm(0.5999999, 50), Arm(0.5, 50)).reason
        == "More than 100,000,000 rows would be needed."
    )
    with pytest.raises(ValueError, match="compares two arms, outside is None: give the comparator"):
        needed_units("gap_at_most", 0.1, Arm(0.5, 10))


def grown(
    added: int, inside: tuple[float, int], outside: tuple[float, int], runs: int = 40_000
) -> tuple[tuple[np.ndarray, int], tuple[np.ndarray, int]]:
    """Shares of both arms after the log has been continued: rows at hand kept, both arms in proportion."""
    rng = np.random.default_rng(5)
    arms = []
    for value, units in (inside, outside):
        new = round(units * added / inside[1])
        arms.append(((value * units + rng.binomial(new, value, runs)) / (units + new), units + new))
    return arms[0], arms[1]


def decides_on_gap(added: int, inside: tuple[float, int], outside: tuple[float, int], limit: float) -> float:
    (p, n), (q, m) = grown(added, inside, outside)
    half = 1.959964 * np.sqrt(p * (1 - p) / n + q * (1 - q) / m)
    gap = p - q
    return float(np.mean((np.abs(gap) + half <= limit) | (np.abs(gap) - half > limit)))


@pytest.mark.parametrize(
    ("inside", "outside", "limit"),
    [
        ((0.90, 200), (0.88, 5000), 0.05),  # meets
        ((0.80, 200), (0.90, 5000), 0.05),  # fails
        ((0.90, 1000), (0.89, 60), 0.05),  # a comparator smaller than the slice
        ((0.80, 300), (0.80, 600), 0.05),  # no gap at all: both limits can be missed
        ((0.70, 300), (0.705, 300), 0.06),
    ],
)
def test_gap_by_simulation(inside: tuple[float, int], outside: tuple[float, int], limit: float) -> None:
    needed = needed_units("gap_at_most", limit, Arm(*inside), Arm(*outside))
    assert needed.units is not None
    assert needed.comparator_grows
    assert decides_on_gap(needed.units, inside, outside, limit) == pytest.approx(0.80, abs=0.035)
    assert decides_on_gap(needed.units * 3 // 4, inside, outside, limit) < 0.78


def test_a_gap_well_below_its_limit_needs_hundreds_not_tens_of_thousands() -> None:
    """A gap of .040 (-.075 to .132) held against .10, 115 units in the slice and 250 beside it.

    With the slice alone growing, the comparator's error all but filled the margin: 28,187.
    """
    inside, outside = (98 / 115, 115), (203 / 250, 250)
    needed = needed_units("gap_at_most", 0.10, Arm(*inside), Arm(*outside))
    assert needed.units is not None
    assert 100 < needed.units < 600
    assert decides_on_gap(needed.units, inside, outside, 0.10) == pytest.approx(0.80, abs=0.035)


@pytest.mark.parametrize(
    ("inside", "outside"), [((0.45, 100), (0.5, 4000)), ((0.45, 100), (0.5, 100)), ((0.30, 200), (0.5, 800))]
)
def test_ratio_by_simulation(inside: tuple[float, int], outside: tuple[float, int]) -> None:
    needed = needed_units("ratio_at_least", 0.8, Arm(*inside), Arm(*outside))
    assert needed.units is not None
    assert needed.comparator_grows
    (p, n), (q, m) = grown(needed.units, inside, outside)
    half = 1.959964 * np.sqrt((1 - p) / p / n + (1 - q) / q / m)
    ratio = np.log(p / q)
    decided = (ratio - half >= np.log(0.8)) | (ratio + half < np.log(0.8))
    if needed.units:
        assert np.mean(decided) == pytest.approx(0.80, abs=0.035)
    else:
        assert decided.all()


def test_a_value_has_no_comparator_to_grow() -> None:
    assert not needed_units("at_least", 0.85, Arm(0.9, 100)).comparator_grows


def test_other_metrics_use_their_standard_error() -> None:
    # Distance 0.05, unit variance 1: with all rows new, n = ((1.96 + .8416) / .05)^2 = 3140.
    needed = needed_units("at_least", 0.80, Arm(0.85, 100, se=0.1))
    assert needed.units is not None
    assert 2700 < 100 + needed.units < 3140
    assert standard_error(0.8 - 1.959964 * 0.1, 0.8 + 1.959964 * 0.1, 0.95) == pytest.approx(0.1, abs=1e-7)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(40, 3000), st.integers(40, 3000), st.floats(0.1, 0.9), st.sampled_from([0.95, 0.99, 0.9999])
)
def test_detectable_gap_against_statsmodels(n1: int, n0: int, rate: float, confidence: float) -> None:
    gap = detectable_gap(Arm(0.5, n1), Arm(rate, n0), confidence=confidence)
    if gap is None:
        return
    powers = [
        power_proportions_2indep(
            direction * gap, rate, n1, ratio=n0 / n1, alpha=(1 - confidence) / 2, alternative=side
        ).power
        for direction, side in ((1, "larger"), (-1, "smaller"))
        if 0 < rate + direction * gap < 1
    ]
    assert min(powers, default=0.8) == pytest.approx(0.8, abs=1e-6)


def test_detectable_gap_of_other_metrics_against_statsmodels() -> None:
    gap = detectable_gap(Arm(0.8, 100, se=0.03), Arm(0.8, 900, se=0.01))
    assert gap is not None
    power = normal_power_het(gap, 1, 0.025, std_null=np.hypot(0.03, 0.01), alternative="larger")
    assert power == pytest.approx(0.8, abs=1e-9)


def test_nothing_detectable() -> None:
    assert detectable_gap(Arm(0.5, 2), Arm(0.5, 1000)) is None
    assert detectable_gap(Arm(0.5, 0), Arm(0.5, 1000)) is None


@settings(deadline=None)
@given(st.floats(0.05, 0.95), st.integers(30, 400))
def test_more_rows_detect_smaller_gaps(rate: float, units: int) -> None:
    small = detectable_gap(Arm(rate, units), Arm(rate, 1000))
    large = detectable_gap(Arm(rate, 2 * units), Arm(rate, 1000))
    if small is not None:
        assert large is not None
        # Where the smaller log could see one direction only, the larger one may see both.
        assert large <= small or rate - large >= -1e-9
