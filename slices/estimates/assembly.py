"""Assembly: arrays of limits into records, one per slice and class; every NaN becomes a reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from slices.counts import SliceCounts
from slices.estimates.comparison import Pair, of_side
from slices.estimates.estimation import Results
from slices.estimates.replication import DIFFERENCE, RATIO, VALUE
from slices.estimates.selection import METHODS, NONE, Bounds
from slices.metrics import Metric, PooledMetric
from slices.records import (
    Disparity,
    Estimate,
    Limits,
    Simultaneous,
    SliceRecord,
)
from slices.said import Said, say

Array = NDArray[np.float64]

NO_INTERVAL = say(
    "undefined.no_interval",
    "no interval holds for it here: a margin of fewer than 10 rows, or a value at -1 or 1",
)

WEIGHTLESS = say("undefined.weightless", "weights sum to 0")


def slice_record(
    counts: SliceCounts,
    klass: str | None,
    place: tuple[int, int],
    table: NDArray[np.int64] | None,
    results: Sequence[Results],
    compared: Mapping[int, Sequence[tuple[int, Pair]]],
    jointly: Mapping[tuple[int, int], Sequence[Simultaneous]],
) -> SliceRecord:
    """The record of one slice and class.

    Parameters
    ----------
    counts : SliceCounts
    klass : str or None
    place : tuple of int
        The slice's place, the class's; the latter negative over all classes.
    table : int array, shape (4,), or None
        tp, fp, fn, tn; None over all classes.
    results : sequence of Results
    compared : mapping
        Slice's place to its pairs, with their row in ``results``.
    jointly : mapping
        Place to its simultaneous limits.
    """
    index, k = place[0], max(place[1], 0)
    confusion = None if table is None else tuple(int(v) for v in table)
    # One table serves all classes of a multi-class log; a multi-label class has its own rows.
    failed = counts.failed[k] if table is not None and len(counts.failed) > 1 else counts.failed
    own_rows = table is not None and klass is not None
    return SliceRecord(
        slice=counts.slice,
        klass=klass,
        n=sum(confusion) if own_rows and confusion is not None else counts.n,
        clusters=counts.clusters,
        counts=None if confusion is None else (confusion[0], confusion[1], confusion[2], confusion[3]),
        failed_predictions=int(failed.sum()),
        unlabelled=counts.unlabelled,
        estimates=tuple(_estimate(result, index, k) for result in results),
        disparities=tuple(
            _disparity(result, row, k, pair) for result in results for row, pair in compared.get(index, ())
        ),
        simultaneous=tuple(jointly.get(place, ())),
    )


def limits(bounds: Bounds, at: tuple[int, int]) -> Limits:
    """Value and limits at a place, None where NaN."""
    return Limits(number(bounds.value[at]), number(bounds.low[at]), number(bounds.high[at]))


def number(value: float | np.floating) -> float | None:
    """A finite float, or None."""
    return float(value) if np.isfinite(value) else None


def _estimate(result: Results, index: int, k: int) -> Estimate:
    method = _method(result, result.value, VALUE, (index, k))
    return _described(result, 0, (index, k), method)


def _comparator(result: Results, row: int, k: int) -> Estimate:
    method = METHODS[result.other.method[row, k]]
    return _described(result, 1, (row, k), method)


def _described(result: Results, side: int, at: tuple[int, int], method: str) -> Estimate:
    """The estimate of one side: 0 the slice, 1 its comparator."""
    found = limits((result.value, result.other)[side], at)
    rows = round(float((result.support, result.other_support)[side][at]))
    design = (result.design, result.other_design)[side]
    reason = None
    if found.value is None:
        reason = _undefined(result, side, at)
    elif found.low is None:
        reason = NO_INTERVAL
    effective = None if design is None else number(design.effective[at])
    known = found.value is not None and _of_cases(result.metric)
    return Estimate(
        metric=result.metric.name,
        value=found.value,
        low=found.low,
        high=found.high,
        support=rows,
        method=method,
        undefined=reason,
        effective=effective,
        design_effect=rows / effective if effective and known else None,
        clusters=None if design is None or design.clusters is None else int(design.clusters[at]),
        degrees=None if design is None else number(design.degrees[at]),
    )


def _of_cases(metric: Metric | PooledMetric) -> bool:
    """Whether the support counts cases, as the effective number does: a mean over classes counts classes."""
    return not isinstance(metric, PooledMetric) or metric.how != "macro"


def _disparity(result: Results, row: int, k: int, pair: Pair) -> Disparity:
    at = (row, k)
    difference = limits(result.gap.difference, at)
    reason = None
    if difference.value is None:
        side = 1 if np.isfinite(result.value.value[at]) else 0
        reason = of_side(side, _undefined(result, side, at))
    elif difference.low is None:
        reason = NO_INTERVAL
    return Disparity(
        metric=result.metric.name,
        against=pair.against,
        difference=difference,
        ratio=limits(result.gap.ratio, at),
        p_value=number(result.gap.p_value[at]),
        p_adjusted=number(result.p_holm[at]),
        p_bh=number(result.p_bh[at]),
        method=_method(result, result.gap.difference, DIFFERENCE, at),
        undefined=reason,
        detectable_gap=number(result.detectable[at]),
        comparator=_comparator(result, row, k),
        ratio_method=_method(result, result.gap.ratio, RATIO, at),
    )


def _undefined(result: Results, side: int, at: tuple[int, int]) -> str:
    """Why one side has no value."""
    if result.weightless is not None and result.weightless[(side, *at)]:
        return WEIGHTLESS
    return result.metric.undefined


def _method(result: Results, bounds: Bounds, figure: int, at: tuple[int, int]) -> str:
    code = int(bounds.method[at])
    text: Said = METHODS[code]
    share = float(result.undefined[(figure, *at)])
    if share > 0 and code != NONE:
        return say(
            "method.undefined",
            "{method}; undefined in {percent:.2g}% of the replicates",
            method=text,
            percent=100 * share,
        )
    return text
