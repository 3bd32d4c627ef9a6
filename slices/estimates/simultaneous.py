"""Simultaneous limits: intervals that hold jointly over everything that the policy tests.

The level comes from ``slices.estimates.joint_level``. At it proportions have exact limits,
Clopper-Pearson (for clusters Korn-Graubard); composites those of ``slices.estimates.jointly``; differences
and ratios have MOVER from those, and never less than the pointwise kind's limits at that level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slices.counts import SliceCounts
from slices.estimates.comparison import Pair
from slices.estimates.selection import METHODS, Bounds
from slices.records import Quantity, Simultaneous, Tested
from slices.said import say

Place = tuple[int, int]
Rows = tuple[NDArray[np.intp], NDArray[np.intp]]

OVER_CLASSES = -1


@dataclass(frozen=True, slots=True)
class Member:
    """A tested quantity found in the log; ``klass`` is `OVER_CLASSES` for figures over all classes."""

    tested: Tested
    pair: int
    klass: int


def members(
    tested: Sequence[Tested],
    slices: Sequence[SliceCounts],
    pairs: Sequence[Pair],
    classes: tuple[str | None, ...],
    metrics: Sequence[str],
    pooled: Sequence[str],
) -> tuple[Member, ...]:
    """The family: each distinct tested quantity that this log holds."""
    place = {counts.slice: index for index, counts in enumerate(slices)}
    compared = {(pair.index, pair.against): number for number, pair in enumerate(pairs)}
    found = []
    for item in dict.fromkeys(tested):
        index = place.get(item.slice)
        known = pooled if item.klass is None and classes != (None,) else metrics
        if index is None or item.metric not in known or item.klass not in (*classes, None):
            continue
        pair = index if item.against is None else compared.get((index, item.against))
        if pair is not None:
            klass = classes.index(item.klass) if item.klass in classes else OVER_CLASSES
            found.append(Member(item, pair, klass))
    return tuple(found)


def simultaneous_limits(
    family: Sequence[Member],
    alpha: float,
    level_method: str,
    pairs: Sequence[Pair],
    limits: Callable[[str, bool, Quantity, Rows, float], Bounds],
) -> dict[Place, list[Simultaneous]]:
    """Limits of every member at one level.

    Parameters
    ----------
    family : sequence of Member
    alpha : float
        Each quantity's, such that all limits hold jointly.
    level_method : str
        How the level was found, for the record.
    limits : callable
        (metric, over all classes?, quantity, places into (pairs, classes), alpha) -> bounds.

    Returns
    -------
    dict of (slice, class) to list of Simultaneous
    """
    result: dict[Place, list[Simultaneous]] = {}
    groups: dict[tuple[str, bool, Quantity], list[Member]] = {}
    for member in family:
        key = (member.tested.metric, member.klass == OVER_CLASSES, member.tested.quantity)
        groups.setdefault(key, []).append(member)
    for (name, pooled, quantity), group in groups.items():
        rows = np.array([m.pair for m in group]), np.array([max(m.klass, 0) for m in group])
        found = limits(name, pooled, quantity, rows, alpha)
        for row, member in enumerate(group):
            record = _record(member, found, row, alpha, level_method)
            result.setdefault((pairs[member.pair].index, member.klass), []).append(record)
    return result


def _record(member: Member, found: Bounds, row: int, alpha: float, level_method: str) -> Simultaneous:
    low, high = float(found.low[row]), float(found.high[row])
    return Simultaneous(
        metric=member.tested.metric,
        quantity=member.tested.quantity,
        against=member.tested.against,
        low=low if np.isfinite(low) else None,
        high=high if np.isfinite(high) else None,
        level=1 - alpha,
        method=say(
            "method.joint",
            "{method} at the joint level ({joint})",
            method=METHODS[found.method[row]],
            joint=level_method,
        ),
    )
