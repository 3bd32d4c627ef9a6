"""Details: what a slice gets from the rows of a log rather than from its counts.

Clusters and their patterns, distinct images, sums of weights, scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from slices.counting.joint_outcomes import JointKinds, paired_patterns
from slices.counting.outcomes import Layout, comparison
from slices.counting.patterns import (
    INSIDE,
    OUTSIDE,
    CrossingPatterns,
    cell_keys,
    cluster_patterns,
    crossing_patterns,
    distinct_per_cell,
    sides,
)
from slices.counting.rollup import ValueTable
from slices.counting.rows import Rows
from slices.counts import (
    FN,
    TP,
    ClusterPatterns,
    ClusterRows,
    JointRows,
    OutcomeSpace,
    PairedPatterns,
    ScoreRows,
    SliceCounts,
    WeightedCells,
)
from slices.errors import LogError
from slices.reading.arrays import group_starts, sorted_distinct, summed
from slices.slicing import Slice

_MOST_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class _Cells:
    """Sums over the rows of each occupied cell of a crossing; one more place for empty cells."""

    keys: NDArray[np.int64]
    sizes: tuple[int, ...]
    clusters: NDArray[np.int64] | None
    units: NDArray[np.int64] | None
    weights: NDArray[np.float64] | None
    squares: NDArray[np.float64] | None
    fourths: NDArray[np.float64] | None

    def place(self, codes: Sequence[int]) -> int:
        """Place of a cell; the last one where no row of it is counted."""
        wanted = 0
        for code, size in zip(codes, self.sizes, strict=True):
            wanted = wanted * size + code + 1
        at = int(np.searchsorted(self.keys, wanted))
        return at if at < len(self.keys) and self.keys[at] == wanted else len(self.keys)

    def present(self, at: int) -> NDArray[np.bool_]:
        """The cells other than one whose attributes are all present, shape (cells,)."""
        rest, whole = self.keys, np.ones(len(self.keys), dtype=bool)
        for size in reversed(self.sizes):
            rest, code = np.divmod(rest, size)
            whole &= code > 0
        if at < len(whole):
            whole[at] = False
        return whole


def _column_of(
    class_scores: Mapping[str, NDArray[np.float64]], klass: str | None
) -> NDArray[np.float64] | None:
    """The score column of a class, whose name may be written otherwise (1 and 1.0)."""
    same = comparison([klass, *class_scores])
    return next(
        (v for name, v in class_scores.items() if klass is not None and same(name) == same(klass)), None
    )


@dataclass(slots=True)
class Details:
    """Row-level facts of a log's slices.

    Attributes
    ----------
    rows : Rows
    tables : dict of str to ValueTable
        The attributes' value lists.
    layout : Layout
    by_unit : bool
        The clusters are the images of a multi-label log, for pooled figures only.
    kinds : JointKinds or None
        The rows' joint outcomes with the baseline, where the log has one.
    """

    rows: Rows
    tables: Mapping[str, ValueTable]
    layout: Layout
    by_unit: bool
    kinds: JointKinds | None = None
    _prepared: dict[tuple[str, ...], CrossingPatterns | None] = field(default_factory=dict)

    def completed(self, slices: Sequence[SliceCounts]) -> list[SliceCounts]:
        """The same slices with their clusters, distinct images and weights filled in."""
        crossings: dict[tuple[str, ...], _Cells] = {}
        done = []
        for one in slices:
            names = one.slice.attributes
            if names not in crossings:
                crossings[names] = self._cells(names)
            cells = crossings[names]
            at = cells.place(self._codes(one.slice))
            done.append(
                replace(
                    one,
                    clusters=None if cells.clusters is None else int(cells.clusters[at]),
                    n=one.n if cells.units is None else int(cells.units[at]),
                    weighted=None if cells.weights is None else self._weighted(one, cells, at),
                )
            )
        return done

    def patterns(self, slice_: Slice, against: Slice | None = None) -> ClusterPatterns:
        """Cluster patterns of a slice beside its complement, or beside the slice ``against``."""
        strata, cells = self.layout.strata, self.layout.cells
        if against is None and slice_.order:
            prepared = self._prepared_for(slice_.attributes)
            found = None if prepared is None else prepared.of(self._codes(slice_))
            if found is not None:
                return found
        return cluster_patterns(self.rows, self._sides(slice_, against), strata, cells)

    @property
    def clusters(self) -> int:
        """Number of clusters with a counted row."""
        return 0 if self.rows.cluster is None else int(self.rows.cluster[-1]) + 1

    def inside(self, slice_: Slice) -> ClusterRows:
        """Rows of a slice, by cluster."""
        return self._by_cluster(self._places(slice_))

    def present(self, attributes: tuple[str, ...]) -> ClusterRows:
        """Rows that have all of the attributes, by cluster."""
        return self._by_cluster(np.flatnonzero(self.rows.present(attributes)))

    def _by_cluster(self, here: NDArray[np.intp]) -> ClusterRows:
        rows = self.rows
        assert rows.cluster is not None
        n = None if rows.n is None else rows.n[here]
        return ClusterRows(rows.cluster[here], rows.outcome[here], n)

    def _places(self, slice_: Slice) -> NDArray[np.intp]:
        """Places of a slice's rows, their clusters ascending."""
        prepared = self._prepared_for(slice_.attributes) if slice_.order else None
        if prepared is None:
            return np.flatnonzero(self.rows.cell(slice_.attributes, self._codes(slice_)))
        return prepared.rows_of(self._codes(slice_))

    def paired_patterns(self, slice_: Slice) -> tuple[PairedPatterns, ...]:
        """Joint tables of model and baseline of the slice's clusters, one set a class."""
        rows = self.rows
        assert rows.cluster is not None
        assert rows.kind is not None
        assert self.kinds is not None
        here = self._places(slice_)
        return paired_patterns(rows.cluster[here], rows.kind[here], self.kinds.cell)

    def joint_rows(self, slice_: Slice) -> JointRows:
        """What model and baseline made of the slice's rows, by cluster or with their weights."""
        rows = self.rows
        assert rows.kind is not None
        assert self.kinds is not None
        here = self._places(slice_) if rows.cluster is not None else self._inside(slice_)
        here = here[rows.kind[here] >= 0]
        kind, times = rows.kind[here], np.ones(len(here), np.int64)
        weight = np.ones(len(here))
        if rows.weight is not None:
            weight = rows.weight[here] / (float(rows.weight.mean()) or 1.0)
        unit = None
        if rows.cluster is not None:
            starts = group_starts(rows.cluster[here])
            unit = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(here))))
        elif len(here):
            # Rows of one kind and weight are alike: post-stratified weights are few.
            alike, times = np.unique(np.stack([kind.astype(np.float64), weight]), axis=1, return_counts=True)
            kind, weight, times = alike[0].astype(np.int32), alike[1], times.astype(np.int64)
        return JointRows(self.kinds.cell, kind, times, weight, unit, rows.weight is not None)

    def _inside(self, slice_: Slice) -> NDArray[np.intp]:
        return np.flatnonzero(self.rows.cell(slice_.attributes, self._codes(slice_)))

    def _prepared_for(self, names: tuple[str, ...]) -> CrossingPatterns | None:
        if names not in self._prepared:
            sizes = [self.tables[name].size for name in names]
            made = crossing_patterns(self.rows, names, sizes, self.layout.strata, self.layout.cells)
            self._prepared[names] = made
            # The oldest go first: what is held stays within a bound, however many crossings there are.
            while len(self._prepared) > 1 and self._held() > _MOST_BYTES:
                del self._prepared[next(iter(self._prepared))]
        return self._prepared[names]

    def _held(self) -> int:
        return sum(prepared.nbytes for prepared in self._prepared.values() if prepared is not None)

    def scores(self, slice_: Slice, stratum: int = 0, outside: bool = False) -> ScoreRows:
        """Scores of the counted rows of a slice, or of its complement, in one stratum."""
        rows = self.rows
        assert rows.score is not None
        here = self._sides(slice_) == (OUTSIDE if outside else INSIDE)
        here &= rows.outcome // self.layout.cells == stratum
        cell = rows.outcome[here] % self.layout.cells
        return ScoreRows(
            scores=rows.score[here],
            positive=(cell == TP) | (cell == FN),
            cluster=None if rows.cluster is None or self.by_unit else rows.cluster[here],
            weight=None if rows.weight is None else rows.weight[here],
        )

    def class_scores(self, space: OutcomeSpace, slice_: Slice, k: int, outside: bool = False) -> ScoreRows:
        """Scores of one class of a multi-class log, its own rows positive; none where it has no column."""
        rows = self.rows
        here = self._sides(slice_) == (OUTSIDE if outside else INSIDE)
        score = _column_of(rows.class_scores, space.classes[k])
        here &= np.zeros_like(here) if score is None else np.isfinite(score)
        return ScoreRows(
            scores=np.empty(0) if score is None else score[here],
            positive=rows.outcome[here] // (len(space.classes) + 1) == k,
            cluster=None if rows.cluster is None else rows.cluster[here],
            weight=None if rows.weight is None else rows.weight[here],
        )

    def _cells(self, names: tuple[str, ...]) -> _Cells:
        """Clusters, images and sums of weights of every cell of a crossing."""
        rows = self.rows
        sizes = tuple(self.tables[name].size for name in names)
        key = cell_keys(rows, names, sizes)
        keys = sorted_distinct(key)

        def distinct(identities: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
            # The last place answers for cells in which no row is counted.
            return None if identities is None else np.append(distinct_per_cell(key, identities)[1], 0)

        weights: NDArray[np.float64] | None = None
        squares: NDArray[np.float64] | None = None
        fourths: NDArray[np.float64] | None = None
        if rows.weight is not None:
            entry = np.searchsorted(keys, key) * self.layout.counted + rows.outcome
            size = (len(keys) + 1) * self.layout.counted
            shape = (len(keys) + 1, self.layout.strata, self.layout.cells)
            weights = summed(entry, rows.weight, size).reshape(shape)
            square = rows.weight**2
            squares = summed(entry, square, size).reshape(shape)
            fourths = summed(entry, square**2, size).reshape(shape)
        return _Cells(
            keys=keys,
            sizes=sizes,
            clusters=distinct(None if self.by_unit else rows.cluster),
            units=distinct(rows.unit),
            weights=weights,
            squares=squares,
            fourths=fourths,
        )

    def _weighted(self, one: SliceCounts, cells: _Cells, at: int) -> WeightedCells:
        assert cells.weights is not None
        assert cells.squares is not None
        assert cells.fourths is not None
        if not one.slice.order:
            nothing = np.zeros_like(cells.weights[at])
            return WeightedCells(
                cells.weights[at], nothing, cells.squares[at], nothing, cells.fourths[at], nothing
            )
        others = cells.present(at)
        return WeightedCells(
            inside=cells.weights[at],
            outside=cells.weights[:-1][others].sum(axis=0),
            inside_squares=cells.squares[at],
            outside_squares=cells.squares[:-1][others].sum(axis=0),
            inside_fourths=cells.fourths[at],
            outside_fourths=cells.fourths[:-1][others].sum(axis=0),
        )

    def _sides(self, slice_: Slice, against: Slice | None = None) -> NDArray[np.uint8]:
        other = None if against is None else (against.attributes, self._codes(against))
        return sides(self.rows, slice_.attributes, self._codes(slice_), other)

    def _codes(self, slice_: Slice) -> tuple[int, ...]:
        return tuple(self._code(name, value) for name, value in slice_.values)

    def _code(self, name: str, value: str | None) -> int:
        if value is None:
            return -1
        if name not in self.tables or value not in self.tables[name].values:
            raise LogError(f"No row has {name} = '{value}'; look at the log's attributes for what there is.")
        return self.tables[name].values.index(value)
