"""Comparison: which slice is compared with what, and both sides' confusion counts as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from slices.counts import ClusterPatterns, CountedLog, SliceCounts
from slices.errors import LogError
from slices.records import Tested
from slices.said import Said, say
from slices.slicing import Slice

Array = NDArray[np.float64]

COMPLEMENT = "complement"


@dataclass(frozen=True, slots=True)
class Pair:
    """A slice (by place) and its comparator: the complement (``other`` None) or another slice."""

    index: int
    against: str
    other: int | None = None


def of_side(side: int, reason: str) -> Said:
    """Why a comparison has no value, and whose fault it is: 0 the slice's, 1 its comparator's."""
    if side == 0:
        return say("undefined.slice", "the slice: {reason}", reason=reason)
    return say("undefined.comparator", "the comparator: {reason}", reason=reason)


def reference_slice(slice_: Slice, value: str) -> Slice | None:
    """The slice with the reference value of a one-way slice's attribute; None for intersections."""
    if slice_.order != 1:
        return None
    return Slice(((slice_.values[0][0], value),))


def make_pairs(slices: Sequence[SliceCounts], tested: Sequence[Tested]) -> tuple[Pair, ...]:
    """Every slice with its complement in the log's order, then the named references that rules ask for."""
    place = {counts.slice: index for index, counts in enumerate(slices)}
    named = set()
    for item in tested:
        if item.against in (None, COMPLEMENT) or item.slice not in place:
            continue
        reference = reference_slice(item.slice, str(item.against))
        if reference in place and reference != item.slice:
            named.add((place[item.slice], str(item.against), place[reference]))
    return tuple(
        [Pair(index, COMPLEMENT) for index in range(len(slices))]
        + [Pair(index, against, other) for index, against, other in sorted(named)]
    )


def by_crossing(slices: Sequence[SliceCounts], pairs: Sequence[Pair]) -> list[int]:
    """Places of pairs, those of one set of attributes together: what is prepared for it serves all."""
    return sorted(range(len(pairs)), key=lambda place: slices[pairs[place].index].slice.attributes)


def both_sides(counted: CountedLog, pairs: Sequence[Pair]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """One-vs-rest rows of all slices and comparators, each of shape (pairs, classes, 4)."""
    slices = counted.slices
    inside = np.stack([slices[pair.index].inside for pair in pairs])
    outside = np.stack([comparator(slices, pair) for pair in pairs])
    return (
        np.asarray(counted.space.confusion(inside), dtype=np.int64),
        np.asarray(counted.space.confusion(outside), dtype=np.int64),
    )


@dataclass(frozen=True, slots=True)
class WeightedSides:
    """Rows of a slice and of its comparator, and their weights (on average 1 a row of the log).

    Attributes
    ----------
    rows : int array, shape (2, strata, cells)
    totals, squares, fourths : float64 array, shape (2, strata, cells)
        Sums of weights, of their squares and of their fourth powers.
    """

    rows: NDArray[np.int64]
    totals: Array
    squares: Array
    fourths: Array


def weighted_sides(counted: CountedLog, pair: Pair) -> WeightedSides | None:
    """Both sides of a pair; None where the log has no weights."""
    one = counted.slices[pair.index]
    if one.weighted is None:
        return None
    mean = mean_weight(counted)
    sides = slice_and_rest(one, mean)
    if pair.other is None:
        return sides
    other = slice_and_rest(counted.slices[pair.other], mean)
    parts = [
        (getattr(sides, field.name)[0], getattr(other, field.name)[0]) for field in fields(WeightedSides)
    ]
    return WeightedSides(*(np.stack(each) for each in parts))


def slice_and_rest(counts: SliceCounts, mean: float) -> WeightedSides:
    """A slice and the rows outside it, of a log whose rows weigh ``mean`` on average.

    Raises
    ------
    ValueError
        Rows have no weights.
    """
    weights = counts.weighted
    if weights is None:
        raise ValueError("A weighted log has weights in every slice.")
    return WeightedSides(
        np.stack([counts.inside, counts.outside]),
        np.stack([weights.inside, weights.outside]) / mean,
        np.stack([weights.inside_squares, weights.outside_squares]) / mean**2,
        np.stack([weights.inside_fourths, weights.outside_fourths]) / mean**4,
    )


def mean_weight(counted: CountedLog) -> float:
    """Mean weight of the counted rows; 1 where rows have none.

    Raises
    ------
    LogError
        No row has a weight above 0.
    """
    whole = counted.slices[0]
    if whole.weighted is None:
        return 1.0
    total, rows = float(whole.weighted.inside.sum()), int(whole.inside.sum())
    if rows and total <= 0:
        raise LogError(
            f"The weights of all {rows:,} counted rows sum to 0; give at least one row a weight above 0, "
            "or leave the weight column out."
        )
    return total / max(rows, 1)


def comparator(slices: Sequence[SliceCounts], pair: Pair) -> NDArray[np.int64]:
    """Counts of the comparator, shape (strata, cells)."""
    return slices[pair.index].outside if pair.other is None else slices[pair.other].inside


def joint_patterns(counted: CountedLog, pair: Pair) -> ClusterPatterns:
    """Joint count vectors of the pair's two sides per cluster.

    Raises
    ------
    ValueError
        The log has no clusters.
    """
    if counted.patterns is None:
        raise ValueError("A log without clusters has no cluster patterns.")
    here = counted.slices[pair.index].slice
    if pair.other is None:
        return counted.patterns(here)
    return counted.patterns(here, counted.slices[pair.other].slice)
