"""Missing metadata: how far the rows without a value could move a slice's figures.

Belongs here: bounds over every way of giving the missing rows to the slice or to its complement.
Does not: the explicit slice of missing values, which is counted like any other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slices.intervals import clopper_pearson, mover_difference, mover_ratio
from slices.metrics import Metric
from slices.said import say

Pair = tuple[float, float]


@dataclass(frozen=True, slots=True)
class WorstCase:
    """Bounds of a figure over all allocations, and an interval that adds sampling error.

    Attributes
    ----------
    lowest, highest : float or None
        Smallest and largest value over every allocation of the missing rows.
    low, high : float or None
        Imbens-Manski limits: hold the true value with the stated confidence, wherever between
        the bounds it lies.
    """

    lowest: float | None
    highest: float | None
    low: float | None
    high: float | None
    method: str
    undefined: str | None = None


METHOD = say("method.manski", "Manski bounds, Imbens-Manski limits from exact ones")
BETWEEN_CLUSTERS = say("method.manski_clusters", "{method}, rows divided by the design effect", method=METHOD)


def worst_case_value(
    metric: Metric,
    inside: NDArray[np.generic],
    missing: NDArray[np.generic],
    *,
    confidence: float = 0.95,
    design_effect: float = 1.0,
) -> WorstCase:
    """Bounds of a slice's metric when any of the missing rows may belong to it.

    Parameters
    ----------
    metric : Metric
        A proportion, or F1 (a rising function of one).
    inside, missing : arrays, shape (4,)
        Confusion counts of the slice, and of the rows that could belong to it but do not say so.
    design_effect : float
        Rows that are worth one independent row.

    Notes
    -----
    A share rises with every row in its numerator and falls with every other row of its
    denominator, so the extremes give the slice all missing hits and no misses, or the reverse.

    References
    ----------
    Manski (2003), Partial Identification of Probability Distributions, chapter 1. Horowitz &
    Manski (1995), Econometrica 63, 281-302 (sharp bounds with contaminated groups). Imbens &
    Manski (2004), Econometrica 72, 1845-1857, equation 7.
    """
    ends = _shares(metric, inside, missing)
    if any(n <= 0 for _, n in ends):
        return WorstCase(None, None, None, None, METHOD, metric.undefined)
    values = [x / n for x, n in ends]
    quantile = imbens_manski_quantile(
        values[1] - values[0], max(_error(end, design_effect) for end in ends), confidence
    )
    limits = [_limits(end, quantile, design_effect) for end in ends]
    result = [_rescaled(metric, v) for v in (*values, limits[0][0], limits[1][1])]
    return WorstCase(result[0], result[1], result[2], result[3], _method(design_effect))


def worst_case_difference(
    metric: Metric,
    inside: NDArray[np.generic],
    outside: NDArray[np.generic],
    missing: NDArray[np.generic],
    *,
    confidence: float = 0.95,
    design_effect: float = 1.0,
) -> WorstCase:
    """Bounds of slice less complement: a missing row given to one is taken from the other.

    The difference rises with every hit that moves into the slice and falls with every miss that
    does, so its extremes are two joint allocations; at each the slice and the complement rest on
    different rows, and their limits combine by MOVER.

    Parameters and return value as in `worst_case_value`; ``outside`` are the rows outside the slice
    with all of its attributes present.
    """
    corners = _joint(metric, inside, outside, missing)
    if any(n <= 0 for corner in corners for _, n in corner):
        return WorstCase(None, None, None, None, METHOD, metric.undefined)
    values = [_rescaled(metric, a[0] / a[1]) - _rescaled(metric, b[0] / b[1]) for a, b in corners]
    errors = [np.hypot(_error(a, design_effect), _error(b, design_effect)) for a, b in corners]
    quantile = imbens_manski_quantile(values[1] - values[0], float(max(errors)), confidence)
    low, _ = _combined(metric, corners[0], quantile, design_effect, ratio=False)
    _, high = _combined(metric, corners[1], quantile, design_effect, ratio=False)
    return WorstCase(values[0], values[1], low, high, _method(design_effect))


def worst_case_ratio(
    metric: Metric,
    inside: NDArray[np.generic],
    outside: NDArray[np.generic],
    missing: NDArray[np.generic],
    *,
    confidence: float = 0.95,
    design_effect: float = 1.0,
) -> WorstCase:
    """Bounds of slice / complement; undefined where an allocation leaves the complement's metric at 0."""
    corners = _joint(metric, inside, outside, missing)
    if any(n <= 0 for corner in corners for _, n in corner):
        return WorstCase(None, None, None, None, METHOD, metric.undefined)
    if any(other[0] <= 0 for _, other in corners):
        return WorstCase(
            None, None, None, None, METHOD, say("undefined.comparator_zero", "the comparator's metric is 0")
        )
    values = [_rescaled(metric, a[0] / a[1]) / _rescaled(metric, b[0] / b[1]) for a, b in corners]
    # The width is judged on the log scale, where the limits are made; a share of 0 has no logarithm.
    width = float(np.log(values[1] / values[0])) if values[0] > 0 else np.inf
    errors = [
        np.hypot(_error(a, design_effect) * a[1] / a[0], _error(b, design_effect) * b[1] / b[0])
        for a, b in corners
        if a[0] > 0
    ]
    quantile = imbens_manski_quantile(width, float(max(errors, default=1.0)), confidence)
    low, _ = _combined(metric, corners[0], quantile, design_effect, ratio=True)
    _, high = _combined(metric, corners[1], quantile, design_effect, ratio=True)
    return WorstCase(values[0], values[1], low, high, _method(design_effect))


def _method(design_effect: float) -> str:
    return METHOD if design_effect == 1 else BETWEEN_CLUSTERS


def imbens_manski_quantile(width: float, error: float, confidence: float) -> float:
    """Normal quantile c with Phi(c + width / error) - Phi(-c) = confidence.

    Between the one-sided quantile (wide bounds: the truth cannot err on both sides) and the
    two-sided one (no missing rows).
    """
    from scipy.optimize import brentq
    from scipy.special import ndtr, ndtri

    one_sided, two_sided = float(ndtri(confidence)), float(ndtri((1 + confidence) / 2))
    if error <= 0 or not np.isfinite(width / error):
        return one_sided if width > 0 else two_sided
    shift = width / error

    def excess(c: float) -> float:
        return float(ndtr(c + shift) - ndtr(-c)) - confidence

    if excess(one_sided) >= 0:
        return one_sided
    return float(brentq(excess, one_sided, two_sided + 1e-9))


def _split(metric: Metric, counts: NDArray[np.generic]) -> Pair:
    """Hits and misses of a metric's denominator."""
    hits = float(metric.count(counts))
    return hits, float(metric.trials(counts)) - hits


def _shares(metric: Metric, inside: NDArray[np.generic], missing: NDArray[np.generic]) -> tuple[Pair, Pair]:
    """(Count, trials) of the slice at its lowest and at its highest."""
    (x, y), (hits, misses) = _split(metric, inside), _split(metric, missing)
    return (x, x + y + misses), (x + hits, x + y + hits)


def _joint(
    metric: Metric, inside: NDArray[np.generic], outside: NDArray[np.generic], missing: NDArray[np.generic]
) -> tuple[tuple[Pair, Pair], tuple[Pair, Pair]]:
    """The two joint allocations: slice lowest with complement highest, and the reverse."""
    lowest, highest = _shares(metric, inside, missing)
    other_lowest, other_highest = _shares(metric, outside, missing)
    return (lowest, other_highest), (highest, other_lowest)


def _error(end: Pair, design_effect: float) -> float:
    x, n = end
    return float(np.sqrt(x / n * (1 - x / n) / n * design_effect))


def _limits(end: Pair, quantile: float, design_effect: float) -> Pair:
    from scipy.special import ndtr

    x, n = end
    low, high = clopper_pearson(x / design_effect, n / design_effect, 2 * float(ndtr(-quantile)))
    return float(low), float(high)


def _combined(
    metric: Metric, corner: tuple[Pair, Pair], quantile: float, design_effect: float, *, ratio: bool
) -> Pair:
    terms: list[float] = []
    for end in corner:
        low, high = _limits(end, quantile, design_effect)
        terms += [_rescaled(metric, v) for v in (end[0] / end[1], low, high)]
    low_high = (mover_ratio if ratio else mover_difference)(*terms)
    return float(low_high[0]), float(low_high[1])


def _rescaled(metric: Metric, share: float) -> float:
    return float(metric.from_proportion(np.asarray(share)))
