"""Scoring: the metrics of scores (AUROC, average precision, Brier, calibration) as records.

The statistics are in ``slices.scores`` and ``slices.calibration``; here they are asked for every slice
and comparator, and put against each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from slices.calibration import calibration_error
from slices.comparison import Pair, of_side
from slices.counts import CountedLog, ScoreRows
from slices.intervals import mover_difference, mover_ratio
from slices.metrics import METRICS
from slices.records import Disparity, Estimate, Limits, Quantity
from slices.said import say
from slices.scores import (
    ScoreEstimate,
    auroc,
    auroc_clustered,
    average_precision,
    average_precision_clustered,
    brier,
    histogram,
)
from slices.selection import METHODS, MOVER, NONE, SAME, Bounds

NO_SCORES = say("undefined.no_scores", "the log has no score column")
WEIGHTED = say("undefined.weighted_scores", "scores of a weighted log are not estimated")


def score_estimate(name: str, rows: ScoreRows | None, confidence: float) -> ScoreEstimate:
    """One metric of the scores of one side of a slice.

    Parameters
    ----------
    name : str
        ``auroc``, ``auprc``, ``brier`` or ``ece``.
    rows : ScoreRows or None
        None: the log has no scores.
    confidence : float
    """
    if rows is None or rows.weight is not None:
        reason = NO_SCORES if rows is None else WEIGHTED
        return ScoreEstimate(None, None, None, None, 0, METHODS[NONE], reason)
    scores, labels = rows.scores, rows.positive
    clusters = None if rows.cluster is None else np.unique(rows.cluster, return_inverse=True)[1]
    if name == "brier":
        return brier(scores, labels, clusters, confidence=confidence)
    if name == "ece":
        return calibration_error(scores, labels, clusters, confidence=confidence)
    if clusters is None:
        single = auroc if name == "auroc" else average_precision
        return single(histogram(scores, labels), confidence=confidence)
    several = auroc_clustered if name == "auroc" else average_precision_clustered
    return several(scores, labels, clusters, confidence=confidence)


class Scores:
    """The score metrics of a counted log, each worked out once.

    Parameters
    ----------
    counted : CountedLog
    pairs : sequence of Pair
    names : sequence of str
        The score metrics asked for.
    confidence : float
        Of the pointwise limits.
    """

    def __init__(
        self, counted: CountedLog, pairs: Sequence[Pair], names: Sequence[str], confidence: float
    ) -> None:
        self.counted, self.pairs, self.names, self.confidence = counted, pairs, tuple(names), confidence
        self._found: dict[tuple[str, int, int, bool, float], ScoreEstimate] = {}

    def estimates(self, row: int, k: int) -> tuple[Estimate, ...]:
        """The slice's own, of one class."""
        return tuple(_estimate(name, self._of(name, row, k, False, self.confidence)) for name in self.names)

    def disparities(self, row: int, k: int) -> tuple[Disparity, ...]:
        """Against the pair's comparator, of one class."""
        return tuple(self._disparity(name, row, k) for name in self.names)

    def bounds(
        self, name: str, quantity: Quantity, places: tuple[NDArray[np.intp], NDArray[np.intp]], alpha: float
    ) -> Bounds:
        """Limits at another level, of one quantity at some places (pairs, classes)."""
        found = []
        for row, k in zip(places[0].tolist(), places[1].tolist(), strict=True):
            sides = [self._of(name, row, k, side, 1 - alpha) for side in (False, True)]
            if quantity == "value":
                found.append((sides[0].value, sides[0].low, sides[0].high))
            else:
                difference, ratio = _against(sides[0], sides[1])
                chosen = difference if quantity == "difference" else ratio
                found.append((chosen.value, chosen.low, chosen.high))
        table = np.array([[np.nan if v is None else v for v in row] for row in found], dtype=np.float64)
        code = SAME if quantity == "value" else MOVER
        method = np.where(np.isfinite(table[:, 1]), code, NONE).astype(np.int8)
        return Bounds(table[:, 0], table[:, 1], table[:, 2], method)

    def _rows(self, row: int, k: int, other: bool) -> ScoreRows | None:
        if self.counted.scores is None:
            return None
        pair = self.pairs[row]
        stratum = k if self.counted.space.strata > 1 else 0
        if other and pair.other is not None:
            return self.counted.scores(self.counted.slices[pair.other].slice, stratum, False)
        return self.counted.scores(self.counted.slices[pair.index].slice, stratum, other)

    def _of(self, name: str, row: int, k: int, other: bool, confidence: float) -> ScoreEstimate:
        key = (name, row, k, other, confidence)
        if key not in self._found:
            self._found[key] = score_estimate(name, self._rows(row, k, other), confidence)
        return self._found[key]

    def _disparity(self, name: str, row: int, k: int) -> Disparity:
        mine, other = (self._of(name, row, k, side, self.confidence) for side in (False, True))
        difference, ratio = _against(mine, other)
        reason = None
        if difference.low is None:
            side, found = (0, mine) if mine.low is None else (1, other)
            reason = of_side(side, found.undefined or METRICS[name].undefined)
        return Disparity(
            metric=name,
            against=self.pairs[row].against,
            difference=difference,
            ratio=ratio,
            p_value=None,
            p_adjusted=None,
            method=METHODS[NONE if difference.low is None else MOVER],
            undefined=reason,
            comparator=_estimate(name, other),
        )


def _estimate(name: str, found: ScoreEstimate) -> Estimate:
    return Estimate(
        metric=name,
        value=found.value,
        low=found.low,
        high=found.high,
        support=found.support,
        method=found.method,
        undefined=found.undefined,
    )


def _against(mine: ScoreEstimate, other: ScoreEstimate) -> tuple[Limits, Limits]:
    """Difference and ratio of two sides from their own limits.

    Patients on both sides correlate them, positively as a rule: left out, the limits are too wide.
    """
    if mine.value is None or other.value is None:
        return Limits(None, None, None), Limits(None, None, None)
    difference = mine.value - other.value
    ratio = mine.value / other.value if other.value > 0 else None
    if mine.low is None or mine.high is None or other.low is None or other.high is None:
        return Limits(difference, None, None), Limits(ratio, None, None)
    sides = (mine.value, mine.low, mine.high, other.value, other.low, other.high)
    low, high = mover_difference(*sides)
    gap = Limits(difference, max(float(low), -1.0), min(float(high), 1.0))
    if ratio is None:
        return gap, Limits(None, None, None)
    low, high = mover_ratio(*sides)
    return gap, Limits(ratio, float(low), float(high) if np.isfinite(high) else None)
