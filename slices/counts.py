"""Counts: the additive tables between the log and every statistic.

Contract between the engine (which fills them) and the statistics (which read them).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from slices.roles import Attribute, Task
from slices.slicing import Slice

TP, FP, FN, TN = range(4)


@dataclass(frozen=True, slots=True)
class CountTable:
    """Additive counts per occupied cell of one block of columns.

    Attributes
    ----------
    block : tuple of str
        Attribute names, the order of ``codes``' columns.
    codes : int32 array, shape (cells, len(block))
        Value codes of each occupied cell: places in ``AttributeSummary.values``, -1 for missing.
    outcome : int32 array, shape (cells,)
        Outcome code of a counted row: ``stratum * space.cells + cell``.
    n : int64 array, shape (cells,)
        Rows. Adding the tables of two parts of a log gives the table of the whole.
    """

    block: tuple[str, ...]
    codes: NDArray[np.int32]
    outcome: NDArray[np.int32]
    n: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class OutcomeSpace:
    """What a counted row can be, and how outcome counts become confusion counts.

    Attributes
    ----------
    task : binary | multiclass | multilabel | detection
    classes : tuple
        Classes that have their own one-vs-rest records: ``(None,)`` for binary and detection,
        the K label classes for multi-class, the K values of the class column for multi-label.
    strata : int
        Leading axis of a slice's counts: K for multi-label (one 4-cell table a class), else 1.
    cells : int
        Outcomes per stratum: 4 (tp, fp, fn, tn) for binary, multi-label and detection;
        ``K * (K + 1)`` for multi-class (label-major; predicted class, the last column is
        "any prediction never seen as a label").
    negatives : bool
        False where true negatives are not known (a detection log without ``tn``): metrics that
        need them are undefined.
    """

    task: Task
    classes: tuple[str | None, ...]
    strata: int
    cells: int
    negatives: bool = True

    def confusion(self, cells: NDArray[np.generic]) -> NDArray[np.generic]:
        """One-vs-rest confusion counts: (..., strata, cells) -> (..., classes, 4) in tp, fp, fn, tn order."""
        if self.task != "multiclass":
            return cells
        k = len(self.classes)
        matrix = cells.reshape(*cells.shape[:-2], k, k + 1)
        tp = np.diagonal(matrix[..., :k], axis1=-2, axis2=-1)
        fn = matrix.sum(-1) - tp
        fp = matrix.sum(-2)[..., :k] - tp
        tn = matrix.sum((-2, -1))[..., None] - tp - fn - fp
        return np.stack([tp, fp, fn, tn], axis=-1)


@dataclass(frozen=True, slots=True)
class ClusterPatterns:
    """Distinct per-cluster count vectors with multiplicities (clusters with equal vectors are exchangeable).

    Attributes
    ----------
    totals : float64 or int64 array, shape (patterns, 2, strata, cells)
        Axis 1: inside the slice, outside it (its complement). Weighted logs: sums of weights.
    multiplicity : int64 array, shape (patterns,)
        Number of clusters with that vector; clusters with no counted row anywhere are left out,
        clusters with none in this slice are kept (domain estimation keeps all clusters).
    """

    totals: NDArray[np.generic]
    multiplicity: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ClusterRows:
    """Counted rows by cluster.

    Attributes
    ----------
    cluster : int64 array, shape (rows,)
        Ascending, from 0 to before the log's number of clusters.
    outcome : int32 array, shape (rows,)
        ``stratum * space.cells + cell``.
    n : int64 array, shape (rows,) or None
        How many outcomes the row stands for; None: one each.
    """

    cluster: NDArray[np.int64]
    outcome: NDArray[np.int32]
    n: NDArray[np.int64] | None


@dataclass(frozen=True, slots=True)
class PairedPatterns:
    """Distinct joint tables of model and baseline that clusters have within a slice, with multiplicities.

    Attributes
    ----------
    totals : int64 array, shape (patterns, 2, 2, 2)
        [label positive?, model positive?, baseline positive?], index 1 = yes.
    multiplicity : int64 array, shape (patterns,)
        Number of clusters with that table; clusters without a row to compare are left out.
    """

    totals: NDArray[np.int64]
    multiplicity: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class JointRows:
    """What model and baseline made of the rows of a slice.

    Attributes
    ----------
    cell : int8 array, shape (kinds, classes)
        Where a row of each kind stands in a class's joint table: 4 x label + 2 x model + baseline (1 for
        positive); -1 where it is no row of the class.
    kind : int array, shape (entries,)
    times : int64 array, shape (entries,)
        Rows that an entry stands for.
    weight : float64 array, shape (entries,)
        Of each of these rows, on average 1 over the log; 1 where rows have none.
    unit : int64 array, shape (entries,), or None
        Patient (or image) of the entry, from 0 on; None: each row is its own.
    weighted : bool
    """

    cell: NDArray[np.int8]
    kind: NDArray[np.integer]
    times: NDArray[np.int64]
    weight: NDArray[np.float64]
    unit: NDArray[np.int64] | None
    weighted: bool


@dataclass(frozen=True, slots=True)
class ScoreRows:
    """Scores of the counted rows of one side of a slice, in an order that the log's does not show in.

    Attributes
    ----------
    scores : float64 array, shape (rows,)
    positive : bool array, shape (rows,)
        Whether the label is the positive class.
    cluster : int64 array, shape (rows,) or None
        Ascending.
    weight : float64 array, shape (rows,) or None
    """

    scores: NDArray[np.float64]
    positive: NDArray[np.bool_]
    cluster: NDArray[np.int64] | None
    weight: NDArray[np.float64] | None


@dataclass(frozen=True, slots=True)
class SliceCounts:
    """All that the statistics need to know of one slice.

    Attributes
    ----------
    inside, outside : int64 array, shape (strata, cells)
        Rows in the slice; rows in its complement (outside it, all of its attributes present).
        ``outside`` is all zero for the overall slice.
    failed : int64 array, shape (strata, 2)
        Rows in the slice whose prediction is missing, by label positive / negative
        (multi-class and detection: all in column 0). Not in ``inside``.
    unlabelled : int
        Rows in the slice whose label is missing. Not in ``inside``.
    classless, weightless : int
        Rows in the slice that name no class (multi-label logs), that have no weight. Not in ``inside``.
    n : int
        Counted rows in the slice (multi-label: distinct ids where ``id`` is given, else rows;
        detection: images).
    clusters : int or None
        Distinct clusters with a counted row in the slice; None where the log has none.
    """

    slice: Slice
    inside: NDArray[np.int64]
    outside: NDArray[np.int64]
    failed: NDArray[np.int64]
    unlabelled: int
    n: int
    clusters: int | None = None
    weighted: WeightedCells | None = None
    paired: PairedCells | None = None
    classless: int = 0
    weightless: int = 0


@dataclass(frozen=True, slots=True)
class WeightedCells:
    """Sums of weights and of their powers; arrays shaped as ``inside`` / ``outside``.

    Fourth powers tell how sure the sums of squares are (`slices.estimates.degrees`).
    """

    inside: NDArray[np.float64]
    outside: NDArray[np.float64]
    inside_squares: NDArray[np.float64]
    outside_squares: NDArray[np.float64]
    inside_fourths: NDArray[np.float64]
    outside_fourths: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PairedCells:
    """Joint outcomes of the model and its baseline on the same rows.

    Attributes
    ----------
    inside, outside : int64 array, shape (classes, 2, 2, 2)
        [class, label positive?, model positive?, baseline positive?], index 1 = yes.
    """

    inside: NDArray[np.int64]
    outside: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class AttributeSummary:
    """One attribute as found in the log: values sorted as text (bands in order), with row counts."""

    attribute: Attribute
    values: tuple[tuple[str, int], ...]
    missing: int


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Rows not counted, or a slice not computed, with the reason. ``slice`` empty: the whole log."""

    reason: str
    slice: Slice
    rows: int


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that was read: path as configured (relative), SHA-256 of its bytes, rows."""

    path: str
    sha256: str
    rows: int


class PatternsOf(Protocol):
    """Cluster patterns of a slice, worked out when asked for."""

    def __call__(self, slice_: Slice, against: Slice | None = None) -> ClusterPatterns: ...


class ClusterRowsOf(Protocol):
    """The rows that cluster patterns are made of."""

    @property
    def clusters(self) -> int:
        """Number of clusters with a counted row."""

    def inside(self, slice_: Slice) -> ClusterRows:
        """Rows of a slice."""

    def present(self, attributes: tuple[str, ...]) -> ClusterRows:
        """Rows that have all of the attributes: a slice of these and its complement together."""


ScoresOf = Callable[[Slice, int, bool], ScoreRows]


@dataclass(frozen=True, slots=True)
class CountedLog:
    """A log after its one scan.

    ``slices[0]`` is the overall slice; then by order, then by canonical key.
    ``patterns(slice, against=None)`` gives the slice's cluster patterns, beside its complement
    or beside the slice ``against``; None where the log has no clusters. Multi-label logs with
    ``id`` and no cluster have the image as cluster for pooled figures: then ``clusters`` is
    None and ``patterns`` is not. ``unclustered`` rows have no cluster and are each their own.
    ``ignored`` files lie in the log's folder and are no part of it. Where one score column a class decides,
    ``tied`` counts the rows whose largest score two or more classes share.
    ``scores(slice, stratum, outside)`` gives the scores of a slice or of its complement;
    ``class_scores(slice, class, outside)`` those of one class against the rest, in a multi-class log with
    a score column a class.
    ``cluster_rows`` gives the rows that the patterns are made of.
    ``paired_patterns(slice)`` gives the joint tables of model and baseline of the slice's clusters, one
    set a class; None where the log has no clusters or no baseline.
    ``joint_rows(slice)`` gives what model and baseline made of each row; None without a baseline.
    ``failed_as_errors`` is the same log with every failed prediction counted as a wrong one; None where
    none failed, or where that cannot be said (the objects of an image that a detector failed on).
    ``beside`` has the joint counts of pairs of attributes that are no crossings, where these are few.
    """

    space: OutcomeSpace
    slices: tuple[SliceCounts, ...]
    attributes: tuple[AttributeSummary, ...]
    exclusions: tuple[Exclusion, ...]
    inputs: tuple[InputFile, ...]
    rows: int
    rows_used: int
    clusters: int | None
    positive: str | None
    patterns: PatternsOf | None = None
    joint: Callable[[tuple[str, ...]], CountTable] | None = None
    small: tuple[Exclusion, ...] = field(default=())
    unclustered: int = 0
    ignored: tuple[str, ...] = ()
    tied: int = 0
    scores: ScoresOf | None = None
    paired_patterns: Callable[[Slice], tuple[PairedPatterns, ...]] | None = None
    joint_rows: Callable[[Slice], JointRows] | None = None
    cluster_rows: ClusterRowsOf | None = None
    failed_as_errors: CountedLog | None = None
    class_scores: ScoresOf | None = None
    beside: Mapping[tuple[str, str], CountTable] = field(default_factory=dict)
