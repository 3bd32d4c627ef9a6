"""Simultaneous limits: intervals that hold jointly over everything that the policy tests.

The level comes from ``slices.multiplicity``; the limits at it are exact ones: Clopper-Pearson (for
clusters Korn-Graubard), and MOVER from those for differences and ratios.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slices.comparison import Pair
from slices.counts import SliceCounts
from slices.disparities import gaps
from slices.metrics import METRICS
from slices.records import Simultaneous, Tested
from slices.selection import METHODS, Bounds, Design, bounds

Array = NDArray[np.float64]
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Member:
    """A tested quantity found in the log: places into pairs, classes and metrics."""

    tested: Tested
    pair: int
    klass: int


def members(
    tested: Sequence[Tested],
    slices: Sequence[SliceCounts],
    pairs: Sequence[Pair],
    classes: Sequence[str | None],
    metrics: Sequence[str],
) -> tuple[Member, ...]:
    """The family: each distinct tested quantity that this log holds."""
    place = {counts.slice: index for index, counts in enumerate(slices)}
    compared = {(pair.index, pair.against): number for number, pair in enumerate(pairs)}
    found = []
    for item in dict.fromkeys(tested):
        index = place.get(item.slice)
        if index is None or item.klass not in classes or item.metric not in metrics:
            continue
        pair = index if item.against is None else compared.get((index, item.against))
        if pair is not None:
            found.append(Member(item, pair, classes.index(item.klass)))
    return tuple(found)


def simultaneous_limits(
    family: Sequence[Member],
    alpha: float,
    level_method: str,
    pairs: Sequence[Pair],
    counts: NDArray[np.int64],
    others: NDArray[np.int64],
    designs: tuple[dict[str, Design], dict[str, Design]] | None,
    correlations: Mapping[str, Array],
) -> dict[Place, list[Simultaneous]]:
    """Limits of every member at one level.

    Parameters
    ----------
    family : sequence of Member
    alpha : float
        Each quantity's, such that all limits hold jointly.
    level_method : str
        How the level was found, for the record.
    counts, others : int array, shape (pairs, classes, 4)
    designs, correlations
        As ``slices.clustering.gather`` gives them.

    Returns
    -------
    dict of (slice, class) to list of Simultaneous
    """
    result: dict[Place, list[Simultaneous]] = {}
    groups: dict[tuple[str, str], list[Member]] = {}
    for member in family:
        groups.setdefault((member.tested.metric, member.tested.quantity), []).append(member)
    for (name, quantity), group in groups.items():
        at = np.array([m.pair for m in group]), np.array([m.klass for m in group])
        first = None if designs is None else _picked(designs[0], at)
        second = None if designs is None else _picked(designs[1], at)
        if quantity == "value":
            found = bounds(METRICS[name], counts[at], alpha, designs=first, exact=True)
        else:
            gap = gaps(
                METRICS[name],
                counts[at],
                others[at],
                alpha,
                designs=None if first is None or second is None else (first, second),
                correlation=correlations[name][at] if name in correlations else 0.0,
                exact=True,
            )
            found = gap.difference if quantity == "difference" else gap.ratio
        for row, member in enumerate(group):
            record = _record(member, found, row, alpha, level_method)
            result.setdefault((pairs[member.pair].index, member.klass), []).append(record)
    return result


def _picked(
    designs: Mapping[str, Design], at: tuple[NDArray[np.intp], NDArray[np.intp]]
) -> dict[str, Design]:
    return {
        name: Design(design.error[at], design.clusters[at], design.effective[at])
        for name, design in designs.items()
    }


def _record(member: Member, found: Bounds, row: int, alpha: float, level_method: str) -> Simultaneous:
    low, high = float(found.low[row]), float(found.high[row])
    return Simultaneous(
        metric=member.tested.metric,
        quantity=member.tested.quantity,
        against=member.tested.against,
        low=low if np.isfinite(low) else None,
        high=high if np.isfinite(high) else None,
        level=1 - alpha,
        method=f"{METHODS[found.method[row]]} at the joint level ({level_method})",
    )
