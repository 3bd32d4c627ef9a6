"""Label noise: how far wrong labels, placed in the worst way, could move figures and verdicts.

Belongs here: bounds over every set of wrong labels, and the breaking point of a verdict. Does not:
correction under a stated accuracy of the labels (`slices.supplements.label_accuracy`), missing labels
(excluded and counted).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from slices.metrics import Metric

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Holds = Callable[[Floats], NDArray[np.bool_]]
BothHold = Callable[[Floats, Floats], NDArray[np.bool_]]

# Up to so many turned labels every number of them is looked at; beyond, so many of them.
EVERY_TURN = 2000
GRID = 257
# How many of the wrong labels are in the slice, the others in its comparator.
SPLITS = (0.0, 0.25, 0.5, 0.75, 1.0)


def worst_tables(counts: Ints, wrong: int) -> Ints:
    """Confusion counts that up to ``wrong`` wrong labels could hide, extreme for every share.

    Parameters
    ----------
    counts : int64 array, shape (4,)
        tp, fp, fn, tn against the labels.
    wrong : int
        Labels that may be wrong, any of them.

    Returns
    -------
    int64 array, shape (tables, 4)
        Correcting a label turns a tp into an fp (or the reverse), an fn into a tn (or the reverse).
        A share's extremes use one kind of turn per prediction, and for a given number of the
        first as many of the second as are left, or none. Up to ``EVERY_TURN`` turns all are listed.
        Beyond, an even grid with the ends and the kinks: a share is linear-fractional along each
        stretch, so its extremes stand there, and the cost does not depend on the rows.
    """

    def turns(most: int, kink: int) -> Ints:
        if most <= EVERY_TURN:
            return np.arange(most + 1, dtype=np.int64)
        grid = np.linspace(0, most, GRID).round().astype(np.int64)
        return np.unique(np.append(grid, min(max(kink, 0), most)))

    return _turned(counts, wrong, turns)


def _corner_tables(counts: Ints, wrong: int) -> Ints:
    """The few of ``worst_tables`` at the ends and kinks alone."""
    return _turned(counts, wrong, lambda most, kink: np.unique([0, min(max(kink, 0), most), most]))


def _turned(counts: Ints, wrong: int, turns: Callable[[int, int], Ints]) -> Ints:
    """Tables for the numbers of first turns that ``turns(most, kink)`` names."""
    tp, fp, fn, tn = (int(c) for c in counts)
    tables = []
    for first, limit in ((-1, tp), (1, fp)):
        for second, rest in ((-1, fn), (1, tn)):
            turned = turns(min(wrong, limit), wrong - rest)
            a, b = tp + first * turned, fp - first * turned
            left = np.minimum(wrong - turned, rest)
            tables += [np.stack([a, b, fn + second * c, tn - second * c], -1) for c in (0 * left, left)]
    return np.unique(np.concatenate(tables), axis=0).astype(np.int64)


def worst_case_labels(metric: Metric, counts: Ints, wrong: int) -> tuple[float, float] | None:
    """Smallest and largest value of a share (or F1) over every choice of up to ``wrong`` wrong labels.

    None where some choice leaves it undefined: nothing can be said.
    """
    values = metric.of(worst_tables(counts, wrong))
    if not bool(np.all(np.isfinite(values))):
        return None
    return float(values.min()), float(values.max())


def breaking_point(counts: Ints, holds: Holds) -> int | None:
    """Smallest number of wrong labels, placed in the worst way, at which a verdict no longer holds.

    Parameters
    ----------
    counts : int64 array, shape (4,)
        tp, fp, fn, tn against the labels.
    holds : callable
        Tables of shape (tables, 4) to booleans: whether the verdict stands. It must depend on a share
        and its support through limits that move with the counts, so that more wrong labels
        never mend it.

    Returns
    -------
    int or None
        0 if it does not hold now; None if no number of wrong labels undoes it.

    References
    ----------
    Hampel's breakdown point, applied to labels; compare the fragility index: Walsh et al. (2014),
    Journal of Clinical Epidemiology 67, 622-628.
    """

    def broken(wrong: int, tables: Callable[[Ints, int], Ints] = worst_tables) -> bool:
        return not bool(np.all(holds(tables(counts, wrong).astype(np.float64))))

    def fewest(low: int, high: int, tables: Callable[[Ints, int], Ints]) -> int:
        """Between ``low``, which holds, and ``high``, which does not."""
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if broken(middle, tables) else (middle, high)
        return high

    total = int(np.sum(counts))
    if not broken(total):
        return None
    # The corners are nearly always the worst: they find the place, all tables confirm it.
    near = fewest(-1, total, _corner_tables)
    return fewest(-1, near - 1, worst_tables) if near and broken(near - 1) else near


def gap_breaking_point(metric: Metric, counts: Ints, others: Ints, holds: BothHold) -> int | None:
    """Wrong labels, in a slice or its comparator, at which a verdict on their gap or ratio no longer holds.

    Parameters
    ----------
    metric : Metric
        A share.
    counts, others : int64 array, shape (4,)
        tp, fp, fn, tn of the slice, and of its comparator.
    holds : callable
        Tables of both, (tables, 4) each, to booleans.

    Returns
    -------
    int or None
        An upper bound of the fewest: labels are placed where they move each side's share most, and split
        between the sides in five ways. 0 if it does not hold now; None if no such number undoes it.
    """
    sizes = int(counts.sum()), int(others.sum())

    def extremes(table: Ints, wrong: int) -> tuple[Ints, Ints]:
        """The tables of smallest and of largest value that so many wrong labels could hide."""
        tables = _corner_tables(table, wrong)
        value = metric.of(tables)
        known = np.isfinite(value)
        if not known.any():
            return table, table
        return (
            tables[int(np.where(known, value, np.inf).argmin())],
            tables[int(np.where(known, value, -np.inf).argmax())],
        )

    def broken(wrong: int) -> bool:
        mine, theirs = [], []
        for share in SPLITS:
            here = min(round(share * wrong), sizes[0])
            low, high = extremes(counts, here)
            other_low, other_high = extremes(others, min(wrong - here, sizes[1]))
            mine += [low, high]
            theirs += [other_high, other_low]
        return not bool(np.all(holds(np.array(mine, dtype=np.float64), np.array(theirs, dtype=np.float64))))

    if broken(0):
        return 0
    high = 1
    while not broken(high):
        if high >= sum(sizes):
            return None
        high = min(2 * high, sum(sizes))
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if broken(middle) else (middle, high)
    return high
