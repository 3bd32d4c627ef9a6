"""Details: what a slice gets from the rows of a log rather than from its counts.

Clusters and their patterns, distinct images, sums of weights, scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from slices.counts import FN, TP, ClusterPatterns, ScoreRows, SliceCounts, WeightedCells
from slices.errors import LogError
from slices.outcomes import Layout
from slices.patterns import INSIDE, OUTSIDE, cluster_patterns, distinct_per_cell, sides
from slices.rollup import ValueTable
from slices.rows import Rows
from slices.slicing import Slice


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
    """

    rows: Rows
    tables: Mapping[str, ValueTable]
    layout: Layout
    by_unit: bool

    def completed(self, slices: list[SliceCounts]) -> list[SliceCounts]:
        """The same slices with their clusters, distinct images and weights filled in."""
        clusters = None if self.by_unit else self.rows.cluster
        units = self.rows.unit
        counted: dict[tuple[str, ...], tuple[dict[tuple[int, ...], int], dict[tuple[int, ...], int]]] = {}
        done = []
        for one in slices:
            names = one.slice.attributes
            if names not in counted:
                sizes = [self.tables[name].size for name in names]
                counted[names] = (
                    {} if clusters is None else distinct_per_cell(self.rows, names, sizes, clusters),
                    {} if units is None else distinct_per_cell(self.rows, names, sizes, units),
                )
            codes = self._codes(one.slice)
            in_clusters, in_units = counted[names]
            done.append(
                replace(
                    one,
                    clusters=None if clusters is None else in_clusters.get(codes, 0),
                    n=one.n if units is None else in_units.get(codes, 0),
                    weighted=None
                    if self.rows.weight is None
                    else self._weighted(one.slice, self.rows.weight),
                )
            )
        return done

    def patterns(self, slice_: Slice, against: Slice | None = None) -> ClusterPatterns:
        """Cluster patterns of a slice beside its complement, or beside the slice ``against``."""
        return cluster_patterns(
            self.rows, self._sides(slice_, against), self.layout.strata, self.layout.cells
        )

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

    def _weighted(self, slice_: Slice, weight: NDArray[np.float64]) -> WeightedCells:
        side = self._sides(slice_)
        shape = (self.layout.strata, self.layout.cells)

        def summed(which: int, values: NDArray[np.float64]) -> NDArray[np.float64]:
            here = side == which
            sums = np.bincount(self.rows.outcome[here], weights=values[here], minlength=self.layout.counted)
            return sums.reshape(shape)

        squares = weight * weight
        return WeightedCells(
            inside=summed(INSIDE, weight),
            outside=summed(OUTSIDE, weight),
            inside_squares=summed(INSIDE, squares),
            outside_squares=summed(OUTSIDE, squares),
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
