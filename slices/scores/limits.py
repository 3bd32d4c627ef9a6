"""Limits of score metrics at any level: from what an estimate's spread was made of, for many at once.

Belongs here: the four kinds of limits that metrics of scores have. Does not: the estimates and
the choice of the kind (`slices.scores.ranking`, `slices.scores.calibration`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from slices.intervals import clopper_pearson, logit_t

Floats = NDArray[np.float64]
Kind = Literal["logit", "linear", "exact", "newcombe"]

# Student's t of so many degrees is the normal law.
NORMAL = 1e9


@dataclass(frozen=True, slots=True)
class Law:
    """How one estimate's limits are made.

    Attributes
    ----------
    kind : logit | linear | exact | newcombe
        Student's limits on the logit scale; on the plain one, cut to [0, 1]; Clopper-Pearson;
        Newcombe's method 5 for an area under the ROC curve.
    value : float
    error, degrees : float
        Standard error and its degrees of freedom (logit, linear).
    units, others : float
        Trials (exact); positives and negatives (newcombe). They need not be whole.
    """

    kind: Kind
    value: float
    error: float = 0.0
    degrees: float = NORMAL
    units: float = 1.0
    others: float = 1.0


class Laws:
    """The limits of many estimates; NaN where there is no law.

    Parameters
    ----------
    laws : sequence of Law or None
    """

    def __init__(self, laws: Sequence[Law | None]) -> None:
        self._size = len(laws)
        self._groups: list[tuple[Kind, NDArray[np.intp], Floats]] = []
        by_kind: dict[Kind, list[int]] = {}
        for place, law in enumerate(laws):
            if law is not None:
                by_kind.setdefault(law.kind, []).append(place)
        for kind, places in by_kind.items():
            rows = [
                (law.value, law.error, law.degrees, law.units, law.others)
                for law in (laws[place] for place in places)
                if law is not None
            ]
            self._groups.append((kind, np.array(places), np.array(rows, dtype=np.float64).T))

    def limits(self, alpha: float | Floats) -> tuple[Floats, Floats]:
        """Low and high at one minus the confidence, one for all or one each."""
        level = np.broadcast_to(np.asarray(alpha, dtype=np.float64), (self._size,))
        low, high = np.full(self._size, np.nan), np.full(self._size, np.nan)
        for kind, places, (value, error, degrees, units, others) in self._groups:
            a = level[places]
            if kind == "logit":
                found = logit_t(value, error, degrees, a)
            elif kind == "linear":
                found = _linear(value, error, degrees, a)
            elif kind == "exact":
                found = clopper_pearson(value * units, units, a)
            else:
                found = newcombe_auc_limits(value, units, others, a)
            low[places], high[places] = found
        return low, high


def newcombe_auc_limits(
    value: Floats, positives: Floats, negatives: Floats, alpha: Floats
) -> tuple[Floats, Floats]:
    """Newcombe's method 5: the areas whose Hanley-McNeil variance reaches the estimate at the level.

    References
    ----------
    Newcombe (2006), Confidence intervals for an effect size measure based on the Mann-Whitney
    statistic, part 2, Statistics in Medicine 25, 559-573, method 5.
    """
    from scipy.special import ndtri

    value, positives, negatives, alpha = (
        np.asarray(v, dtype=np.float64) for v in np.broadcast_arrays(value, positives, negatives, alpha)
    )
    quantile = -ndtri(alpha / 2)
    mean_size = (positives + negatives) / 2

    def beyond(theta: Floats) -> NDArray[np.bool_]:
        spread = 1 + (mean_size - 1) * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        variance = theta * (1 - theta) / (positives * negatives) * spread
        return np.asarray(np.abs(value - theta) > quantile * np.sqrt(variance))

    found = []
    for end in (0.0, 1.0):
        outside, inside = np.full(value.shape, end), value.copy()
        for _ in range(56):
            middle = (outside + inside) / 2
            far = beyond(middle)
            outside, inside = np.where(far, middle, outside), np.where(far, inside, middle)
        found.append(inside)
    return found[0], found[1]


def _linear(value: Floats, error: Floats, degrees: Floats, alpha: Floats) -> tuple[Floats, Floats]:
    from scipy.special import ndtri, stdtrit

    reach = -np.where(degrees < NORMAL, stdtrit(degrees, alpha / 2), ndtri(alpha / 2)) * error
    return np.maximum(value - reach, 0.0), np.minimum(value + reach, 1.0)
