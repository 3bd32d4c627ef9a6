"""Two logs: how far a figure of one log lies from the same figure of another, independent one.

Works on estimates alone, since of an earlier release the evidence is all that is left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slices.intervals import korn_graubard, mover_difference

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of one log.

    Attributes
    ----------
    value, low, high : float64 arrays, shape (figures,)
        Estimates and their limits at ``confidence``.
    support, effective, degrees : float64 arrays, shape (figures,)
        Denominator in rows; the same after clusters and weights; degrees of freedom of its variance.
    proportion : bool array, shape (figures,)
        Whether the figure is a share of its denominator.
    lowest, highest : float64 arrays, shape (figures,)
        The figure's range.
    confidence : float
    """

    value: Array
    low: Array
    high: Array
    support: Array
    effective: Array
    degrees: Array
    proportion: NDArray[np.bool_]
    lowest: Array
    highest: Array
    confidence: float

    def limits(self, alpha: float) -> tuple[Array, Array]:
        """Limits at another level: exact ones of proportions, else the given ones, scaled.

        Scaled limits are cut to the figure's range. Normal tails are far too short for shares near 0 or 1
        at the levels of a large family, so proportions get Clopper-Pearson's limits at their effective
        denominator (`korn_graubard`).
        """
        from scipy.special import ndtri

        exact = korn_graubard(np.clip(self.value, 0, 1), self.support, self.effective, self.degrees, alpha)
        scale = ndtri(alpha / 2) / ndtri((1 - self.confidence) / 2)
        low = np.maximum(self.value - scale * (self.value - self.low), self.lowest)
        high = np.minimum(self.value + scale * (self.high - self.value), self.highest)
        return np.where(self.proportion, exact[0], low), np.where(self.proportion, exact[1], high)


def difference_limits(now: Figures, then: Figures, alpha: float) -> tuple[Array, Array]:
    """Limits of now less then, for independent logs, within what two figures can differ by.

    Logs that share cases are positively correlated, which makes these limits wider than need be.

    References
    ----------
    Zou & Donner (2008), Stat. Med. 27, 1693-1702, equations 5 and 6 without correlation.
    """
    return mover_difference(now.value, *now.limits(alpha), then.value, *then.limits(alpha))
