"""Two independent logs: the limits against their formulas retyped, and against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import beta, norm

from slices.supplements.two_logs import Figures, difference_limits


def ends(value: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.zeros(value.shape), np.ones(value.shape)


def shares(hits: NDArray[np.int64], rows: NDArray[np.int64], *, confidence: float = 0.95) -> Figures:
    """Shares of independent rows; their own limits are not looked at."""
    value, n = hits / rows, rows.astype(np.float64)
    return Figures(value, value, value, n, n, n - 1, np.full(value.shape, True), *ends(value), confidence)


def clopper_pearson(hits: int, rows: int, alpha: float) -> tuple[float, float]:
    low = 0.0 if hits == 0 else float(beta.ppf(alpha / 2, hits, rows - hits + 1))
    high = 1.0 if hits == rows else float(beta.ppf(1 - alpha / 2, hits + 1, rows - hits))
    return low, high


@pytest.mark.parametrize(
    ("now", "then"), [((45, 50), (30, 60)), ((0, 12), (3, 9)), ((40, 40), (39, 40)), ((7, 700), (2, 900))]
)
@pytest.mark.parametrize("alpha", [0.05, 0.0001])
def test_limits_of_shares_are_recovered_from_exact_ones(
    now: tuple[int, int], then: tuple[int, int], alpha: float
) -> None:
    """Zou and Donner's two square roots, by hand."""
    p, q = now[0] / now[1], then[0] / then[1]
    (low_p, high_p), (low_q, high_q) = clopper_pearson(*now, alpha), clopper_pearson(*then, alpha)
    expected = (
        p - q - ((p - low_p) ** 2 + (high_q - q) ** 2) ** 0.5,
        p - q + ((high_p - p) ** 2 + (q - low_q) ** 2) ** 0.5,
    )
    sides = [shares(np.array([k]), np.array([n])) for k, n in (now, then)]
    low, high = difference_limits(sides[0], sides[1], alpha)
    assert (low[0], high[0]) == pytest.approx(expected, abs=1e-9)


def test_other_figures_keep_their_own_limits_scaled_by_the_normal_quantile() -> None:
    one = np.array([1.0])

    def area(value: float, half: float, confidence: float) -> Figures:
        return Figures(
            value * one, (value - half) * one, (value + half) * one, 99 * one, 99 * one, 98 * one,
            np.array([False]), *ends(one), confidence,
        )  # fmt: skip

    now, then = area(0.9, 0.03, 0.95), area(0.8, 0.04, 0.95)
    low, high = difference_limits(now, then, 0.05)
    assert (low[0], high[0]) == pytest.approx((0.05, 0.15))
    wider = norm.ppf(0.0005) / norm.ppf(0.025)
    low, high = difference_limits(now, then, 0.001)
    assert (low[0], high[0]) == pytest.approx((0.1 - 0.05 * wider, 0.1 + 0.05 * wider))
    # A release that was audited at another confidence has its limits brought to the same level.
    other = area(0.8, 0.04 * norm.ppf(0.005) / norm.ppf(0.025), 0.99)
    assert difference_limits(now, other, 0.05)[0][0] == pytest.approx(0.05)


def test_scaled_limits_stay_within_the_range() -> None:
    """An area of 0.95, 0.5 to 1, at the level of a large family: two areas differ by 1 at most."""
    one = np.array([1.0])
    few = Figures(
        0.95 * one, 0.5 * one, one, 9 * one, 9 * one, 8 * one, np.array([False]), *ends(one), 0.95
    )  # fmt: skip
    sure = Figures(
        0.9 * one, 0.89 * one, 0.91 * one, 9 * one, 9 * one, 8 * one, np.array([False]), *ends(one), 0.95
    )  # fmt: skip
    low, high = difference_limits(few, sure, 0.00001)
    assert -1 <= low[0] < 0 < high[0] <= 1


def test_clusters_widen_the_limits() -> None:
    rows = shares(np.array([80]), np.array([100]))
    clustered = Figures(
        rows.value,
        rows.low,
        rows.high,
        rows.support,
        rows.effective / 4,
        np.array([20.0]),
        rows.proportion,
        rows.lowest,
        rows.highest,
        0.95,
    )
    plain, wide = (difference_limits(side, rows, 0.05) for side in (rows, clustered))
    assert wide[0][0] < plain[0][0]
    assert wide[1][0] > plain[1][0]


@pytest.mark.parametrize("share", [0.5, 0.9, 0.98])
def test_equal_logs_raise_few_false_alarms(share: float) -> None:
    """40 slices of 40 to 400 rows, 1,500 pairs of logs with the same truth: any slice beyond chance."""
    rng = np.random.default_rng(5)
    rows = np.broadcast_to(np.tile([40, 100, 200, 400], 10), (1500, 40))
    now, then = (shares(rng.binomial(rows, share), rows) for _ in range(2))
    low, high = difference_limits(now, then, 0.05 / 40)
    alarms = ((low > 0) | (high < 0)).any(axis=1).mean()
    assert alarms <= 0.05 + 2 * (0.05 * 0.95 / 1500) ** 0.5
    low, high = difference_limits(now, then, 0.05)
    assert ((low <= 0) & (high >= 0)).mean() >= 0.95


def test_a_real_fall_is_found() -> None:
    rng = np.random.default_rng(6)
    rows = np.full((400, 40), 400)
    now, then = shares(rng.binomial(rows, 0.75), rows), shares(rng.binomial(rows, 0.9), rows)
    _, high = difference_limits(now, then, 0.05 / 40)
    assert (high < 0).mean() > 0.9
