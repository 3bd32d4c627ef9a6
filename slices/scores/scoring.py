"""Scoring: the metrics of scores (AUROC, average precision, Brier, calibration) as records.

The statistics are in ``slices.scores.ranking`` and ``slices.scores.calibration``; here they are asked for
every slice and comparator, and put against each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slices.counts import CountedLog, ScoreRows
from slices.estimates.assembly import number
from slices.estimates.comparison import Pair, of_side
from slices.estimates.disparities import detectable_gaps
from slices.estimates.selection import METHODS, MOVER, NONE, SAME, Bounds
from slices.intervals import dual_p_value, mover_difference, mover_ratio
from slices.metrics import METRICS
from slices.multiplicity import adjust
from slices.records import Disparity, Estimate, Limits, Quantity
from slices.said import say
from slices.scores.calibration import calibration_error
from slices.scores.limits import NORMAL, Laws
from slices.scores.ranking import (
    ScoreEstimate,
    auroc,
    auroc_clustered,
    average_precision,
    average_precision_clustered,
    brier,
    histogram,
    undefined_estimate,
)

Array = NDArray[np.float64]

NO_SCORES = say("undefined.no_scores", "the log has no score column")
WEIGHTLESS = say("undefined.weightless_scores", "no row with a score has a weight above 0")


def score_estimate(name: str, rows: ScoreRows | None, confidence: float) -> ScoreEstimate:
    """One metric of the scores of one side of a slice.

    Parameters
    ----------
    name : str
        ``auroc``, ``auprc``, ``brier`` or ``ece``.
    rows : ScoreRows or None
        None: the log has no scores. Rows of weight 0 do not count.
    confidence : float
    """
    if rows is None:
        return undefined_estimate(0, METHODS[NONE], NO_SCORES)
    used = np.ones(rows.scores.size, dtype=bool) if rows.weight is None else rows.weight > 0
    if rows.weight is not None and rows.scores.size and not used.any():
        return undefined_estimate(0, METHODS[NONE], WEIGHTLESS)
    scores, labels = rows.scores[used], rows.positive[used]
    weights = None if rows.weight is None else rows.weight[used]
    clusters = None if rows.cluster is None else np.unique(rows.cluster[used], return_inverse=True)[1]
    if name == "brier":
        return brier(scores, labels, clusters, weights, confidence=confidence)
    if name == "ece":
        return calibration_error(scores, labels, clusters, weights, confidence=confidence)
    if clusters is None and weights is None:
        single = auroc if name == "auroc" else average_precision
        return single(histogram(scores, labels), confidence=confidence)
    several = auroc_clustered if name == "auroc" else average_precision_clustered
    return several(scores, labels, clusters, weights, confidence=confidence)


@dataclass(frozen=True, slots=True)
class _Gaps:
    """One metric of slices against comparators; arrays over the places that are asked for."""

    difference: Array
    low: Array
    high: Array
    ratio: Array
    ratio_low: Array
    ratio_high: Array
    p_value: Array
    detectable: Array


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
        self._found: dict[tuple[str, int, int, bool], ScoreEstimate] = {}
        self._compared: dict[str, dict[tuple[int, int], Disparity]] = {}

    def estimates(self, row: int, k: int) -> tuple[Estimate, ...]:
        """The slice's own, of one class."""
        return tuple(_estimate(name, self._of(name, row, k, False)) for name in self.names)

    def disparities(self, row: int, k: int) -> tuple[Disparity, ...]:
        """Against the pair's comparator, of one class; adjusted p-values over all slices and classes."""
        for name in self.names:
            if name not in self._compared:
                self._compared[name] = self._compare(name)
        return tuple(self._compared[name][row, k] for name in self.names)

    def bounds(
        self, name: str, quantity: Quantity, places: tuple[NDArray[np.intp], NDArray[np.intp]], alpha: float
    ) -> Bounds:
        """Limits for simultaneous inference, of one quantity at some places (pairs, classes)."""
        where = list(zip(places[0].tolist(), places[1].tolist(), strict=True))
        if quantity == "value":
            mine = [self._of(name, row, k, False) for row, k in where]
            low, high = Laws([found.law for found in mine]).joint_limits(alpha)
            value, code = _values(mine), SAME
        else:
            found = self._gaps(name, where, alpha, tested=False)
            value, low, high, code = found.difference, found.low, found.high, MOVER
            if quantity == "ratio":
                value, low, high = found.ratio, found.ratio_low, found.ratio_high
        method = np.where(np.isfinite(low), code, NONE).astype(np.int8)
        return Bounds(value, low, high, method)

    def _rows(self, row: int, k: int, other: bool) -> ScoreRows | None:
        if self.counted.scores is None:
            return None
        pair = self.pairs[row]
        stratum = k if self.counted.space.strata > 1 else 0
        if other and pair.other is not None:
            return self.counted.scores(self.counted.slices[pair.other].slice, stratum, False)
        return self.counted.scores(self.counted.slices[pair.index].slice, stratum, other)

    def _of(self, name: str, row: int, k: int, other: bool) -> ScoreEstimate:
        if (name, row, k, other) not in self._found:
            # The rows of a side are gathered once for all metrics: there are many, and they are not kept.
            rows = self._rows(row, k, other)
            for each in self.names:
                self._found[each, row, k, other] = score_estimate(each, rows, self.confidence)
        return self._found[name, row, k, other]

    def _gaps(
        self, name: str, where: Sequence[tuple[int, int]], alpha: float, *, tested: bool = True
    ) -> _Gaps:
        """Slices against comparators from their own limits (MOVER), with the p-value dual to them.

        Patients on both sides correlate them, positively as a rule: left out, the limits are too wide.
        """
        mine, others = ([self._of(name, row, k, side) for row, k in where] for side in (False, True))
        a, b = _values(mine), _values(others)
        laws = [Laws([found.law for found in side]) for side in (mine, others)]

        def sides(level: Array | float) -> tuple[Array, Array, Array, Array, Array, Array]:
            (low, high), (low_other, high_other) = (
                law.limits(level) if tested else law.joint_limits(level) for law in laws
            )
            return a, low, high, b, low_other, high_other

        def limits(level: Array | float) -> tuple[Array, Array]:
            low, high = mover_difference(*sides(level))
            return np.maximum(low, -1.0), np.minimum(high, 1.0)

        low, high = limits(alpha)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(b > 0, a / b, np.nan)
        ratio_low, ratio_high = (np.where(np.isfinite(ratio), v, np.nan) for v in mover_ratio(*sides(alpha)))
        p_value = np.full(a.shape, np.nan)
        if tested and np.any(np.isfinite(low)):
            p_value = np.where(np.isfinite(low), dual_p_value(limits, a.shape), np.nan)
        errors = (_errors(mine), _errors(others))
        detectable = detectable_gaps(METRICS[name], b, (a, b), errors, 1 - alpha)
        return _Gaps(
            a - b,
            low,
            high,
            ratio,
            ratio_low,
            np.where(np.isfinite(ratio_high), ratio_high, np.nan),
            p_value,
            detectable,
        )

    def _compare(self, name: str) -> dict[tuple[int, int], Disparity]:
        """Every slice but the whole log against its comparators, one family of p-values."""
        where = [
            (row, k)
            for row, pair in enumerate(self.pairs)
            if self.counted.slices[pair.index].slice.order > 0
            for k in range(len(self.counted.space.classes))
        ]
        if not where:
            return {}
        found = self._gaps(name, where, 1 - self.confidence)
        holm, bh = (adjust(found.p_value, method) for method in ("holm", "fdr_bh"))
        made = {}
        for at, (row, k) in enumerate(where):
            mine, other = (self._of(name, row, k, side) for side in (False, True))
            reason = None
            if not np.isfinite(found.low[at]):
                side, missing = (0, mine) if mine.low is None else (1, other)
                reason = of_side(side, missing.undefined or METRICS[name].undefined)
            made[row, k] = Disparity(
                metric=name,
                against=self.pairs[row].against,
                difference=_limits(found.difference[at], found.low[at], found.high[at]),
                ratio=_limits(found.ratio[at], found.ratio_low[at], found.ratio_high[at]),
                p_value=number(found.p_value[at]),
                p_adjusted=number(holm[at]),
                method=METHODS[MOVER if np.isfinite(found.low[at]) else NONE],
                p_bh=number(bh[at]),
                undefined=reason,
                detectable_gap=number(found.detectable[at]),
                comparator=_estimate(name, other),
            )
        return made


def _estimate(name: str, found: ScoreEstimate) -> Estimate:
    return Estimate(
        metric=name,
        value=found.value,
        low=found.low,
        high=found.high,
        support=found.support,
        method=found.method,
        undefined=found.undefined,
        degrees=None if found.law is None or found.law.degrees >= NORMAL else found.law.degrees,
        error=found.se,
    )


def _values(found: Sequence[ScoreEstimate]) -> Array:
    return np.array([np.nan if each.value is None else each.value for each in found], dtype=np.float64)


def _errors(found: Sequence[ScoreEstimate]) -> Array:
    return np.array([np.nan if each.se is None else each.se for each in found], dtype=np.float64)


def _limits(value: np.floating, low: np.floating, high: np.floating) -> Limits:
    return Limits(number(value), number(low), number(high))
