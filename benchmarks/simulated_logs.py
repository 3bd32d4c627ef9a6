"""Counted logs with a known truth, made without files: one slice is one repetition of an experiment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from slices.counts import (
    AttributeSummary,
    ClusterPatterns,
    CountedLog,
    OutcomeSpace,
    SliceCounts,
    WeightedCells,
)
from slices.roles import Attribute
from slices.slicing import OVERALL, Slice

BINARY = OutcomeSpace(task="binary", classes=(None,), strata=1, cells=4)
REPETITION = Attribute("repetition", "other", "repetition")


def repetition(index: int) -> Slice:
    """The slice that stands for one repetition."""
    return Slice((("repetition", f"{index:06d}"),))


def log_of_rows(
    inside: NDArray[np.int64],
    outside: NDArray[np.int64] | None = None,
    weighted: Sequence[WeightedCells] | None = None,
) -> CountedLog:
    """A log whose slices are independent repetitions; rows are the unit.

    Parameters
    ----------
    inside, outside : int64 array, shape (repetitions, 4)
        tp, fp, fn, tn of each slice and of its complement (None: no complement, nothing to compare).
    weighted : sequence of WeightedCells, optional
        One a slice.
    """
    other = np.zeros_like(inside) if outside is None else outside
    whole = inside.sum(0)
    return _log(inside, other, [None] * len(inside), None, weighted, whole)


def log_of_clusters(
    clusters: Sequence[NDArray[np.int64]], weights: Sequence[NDArray[np.float64]] | None = None
) -> CountedLog:
    """A log whose slices are independent repetitions; patients are the unit.

    Parameters
    ----------
    clusters : sequence of int64 arrays, shape (patients, 4)
        tp, fp, fn, tn of each patient, one array a slice.
    weights : sequence of float64 arrays, shape (patients,), optional
        Of each row of a patient.
    """
    patterns, weighted = {}, None
    if weights is not None:
        weighted = [weighted_cells(each, own[:, None]) for each, own in zip(clusters, weights, strict=True)]
    for index, each in enumerate(clusters):
        sums = each if weights is None else each * weights[index][:, None]
        vectors, times = np.unique(sums, axis=0, return_counts=True)
        totals = np.stack([vectors, np.zeros_like(vectors)], axis=1)[:, :, None, :]
        patterns[repetition(index)] = ClusterPatterns(totals, times.astype(np.int64))
    # The overall slice is not looked at: one repetition stands in for it.
    patterns[OVERALL] = patterns[repetition(0)]
    inside = np.array([each.sum(0) for each in clusters])
    sizes = [len(each) for each in clusters]
    return _log(inside, np.zeros_like(inside), sizes, patterns, weighted, inside[0])


def log_of_cluster_pairs(clusters: Sequence[NDArray[np.int64]]) -> CountedLog:
    """A log whose slices, with their complements, are repetitions; patients may have rows in both.

    Parameters
    ----------
    clusters : sequence of int64 arrays, shape (patients, 2, 4)
        tp, fp, fn, tn of each patient inside the slice and in its complement, one array a slice.
    """
    patterns = {}
    for index, each in enumerate(clusters):
        vectors, times = np.unique(each.reshape(len(each), 8), axis=0, return_counts=True)
        patterns[repetition(index)] = ClusterPatterns(vectors.reshape(-1, 2, 1, 4), times.astype(np.int64))
    patterns[OVERALL] = patterns[repetition(0)]
    sides = np.array([each.sum(0) for each in clusters])
    sizes = [int(np.any(each[:, 0], axis=-1).sum()) for each in clusters]
    return _log(sides[:, 0], sides[:, 1], sizes, patterns, None, sides[0, 0])


def log_of_classes(
    tables: NDArray[np.int64], clusters: Sequence[NDArray[np.int64]] | None = None
) -> CountedLog:
    """A multi-class log whose slices are independent repetitions, rows or patients being the unit.

    Parameters
    ----------
    tables : int64 array, shape (repetitions, K, K)
        Rows by label and predicted class.
    clusters : sequence of int64 arrays, shape (patients, K, K), optional
        The same of each patient, one array a repetition.
    """

    def cells(matrix: NDArray[np.int64]) -> NDArray[np.int64]:
        """With the column of predictions that are no class, as (..., K (K + 1))."""
        wider = np.concatenate([matrix, np.zeros_like(matrix[..., :1])], axis=-1)
        return wider.reshape(*matrix.shape[:-2], -1)

    patterns, sizes = None, [None] * len(tables)
    if clusters is not None:
        patterns, sizes = {}, [len(each) for each in clusters]
        for index, each in enumerate(clusters):
            vectors, times = np.unique(cells(each), axis=0, return_counts=True)
            totals = np.stack([vectors, np.zeros_like(vectors)], axis=1)[:, :, None, :]
            patterns[repetition(index)] = ClusterPatterns(totals, times.astype(np.int64))
        patterns[OVERALL] = patterns[repetition(0)]
    inside = cells(tables)
    number = tables.shape[-1]
    space = OutcomeSpace("multiclass", tuple(f"class {k}" for k in range(number)), 1, number * (number + 1))
    return replace(_log(inside, np.zeros_like(inside), sizes, patterns, None, inside[0]), space=space)


def weighted_cells(rows: NDArray[np.int64], weight: NDArray[np.float64]) -> WeightedCells:
    """Sums of weights and of their powers, from outcomes of shape (rows, 4) and their weights, (rows, 1)."""
    inside, squares, fourths = ((rows * weight**power).sum(0)[None] for power in (1, 2, 4))
    nothing = np.zeros_like(inside)
    return WeightedCells(inside, nothing, squares, nothing, fourths, nothing)


def _log(
    inside: NDArray[np.int64],
    outside: NDArray[np.int64],
    clusters: Sequence[int | None],
    patterns: dict[Slice, ClusterPatterns] | None,
    weighted: Sequence[WeightedCells] | None,
    whole: NDArray[np.int64],
) -> CountedLog:
    failed = np.zeros((1, 2), dtype=np.int64)
    slices = [
        SliceCounts(
            OVERALL,
            whole[None],
            np.zeros_like(whole)[None],
            failed,
            0,
            int(whole.sum()),
            clusters[0],
            # Weights count by their ratios only: one repetition's stand for all.
            None if weighted is None else weighted[0],
        )
    ]
    for index, (own, other) in enumerate(zip(inside, outside, strict=True)):
        slices.append(
            SliceCounts(
                repetition(index),
                own[None],
                other[None],
                failed,
                0,
                int(own.sum()),
                clusters[index],
                None if weighted is None else weighted[index],
            )
        )
    values = tuple((f"{index:06d}", int(own.sum())) for index, own in enumerate(inside))
    rows = int(inside.sum())

    def of_slice(wanted: Slice, against: Slice | None = None) -> ClusterPatterns:
        assert patterns is not None, "no clusters in this log"
        assert against is None, "repetitions are not compared with each other"
        return patterns[wanted]

    return CountedLog(
        space=BINARY,
        slices=tuple(slices),
        attributes=(AttributeSummary(REPETITION, values, 0),),
        exclusions=(),
        inputs=(),
        rows=rows,
        rows_used=rows,
        clusters=None if patterns is None else sum(c or 0 for c in clusters),
        positive="1",
        patterns=None if patterns is None else of_slice,
    )


def recall_only(events: NDArray[np.int64], trials: NDArray[np.int64] | int) -> NDArray[np.int64]:
    """Counts with a recall of ``events / trials`` and no negative row: shape (..., 4)."""
    nothing = np.zeros_like(events)
    return np.stack([events, nothing, trials - events, nothing], axis=-1)


def beta_binomial(
    rng: np.random.Generator,
    sizes: NDArray[np.int64],
    share: float | NDArray[np.float64],
    correlation: float,
    *,
    rank: NDArray[np.float64] | None = None,
) -> NDArray[np.int64]:
    """Hits of patients whose own rate varies: Beta with mean ``share`` and intra-class correlation given.

    ``rank``: which quantile of the law a patient has; drawn where not given.
    """
    if correlation == 0:
        return rng.binomial(sizes, share)
    scale = (1 - correlation) / correlation
    if rank is None:
        own = rng.beta(share * scale, (1 - share) * scale, sizes.shape)
    else:
        own = beta.ppf(rank, share * scale, (1 - share) * scale)
    return rng.binomial(sizes, own)
