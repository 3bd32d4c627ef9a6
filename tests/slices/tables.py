"""Counted logs made by hand or by simulation, for the tests of the estimates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from slices.counts import (
    AttributeSummary,
    ClusterPatterns,
    CountedLog,
    CountTable,
    OutcomeSpace,
    SliceCounts,
)
from slices.roles import Attribute
from slices.slicing import OVERALL, Slice

BINARY = OutcomeSpace("binary", (None,), 1, 4)


def one_way(name: str, value: str | None) -> Slice:
    return Slice(((name, value),))


def counted(
    space: OutcomeSpace, parts: dict[str, NDArray[np.int64]], *, attribute: str = "group"
) -> CountedLog:
    """A log of one attribute from the counts of each of its values, (strata, cells) each."""
    total = np.sum(list(parts.values()), axis=0)
    names = sorted(parts)

    def one(slice_: Slice, inside: NDArray[np.int64], outside: NDArray[np.int64]) -> SliceCounts:
        failed = np.zeros((space.strata, 2), dtype=np.int64)
        return SliceCounts(slice_, inside, outside, failed, 0, int(inside.sum()))

    def joint(wanted: tuple[str, ...]) -> CountTable:
        assert wanted in ((), (attribute,))
        rows = [
            (code, outcome, n)
            for code, name in enumerate(names)
            for outcome, n in enumerate(parts[name].reshape(-1).tolist())
            if n
        ]
        codes, outcomes, n = (np.array(column) for column in zip(*rows, strict=True))
        table = codes[:, None].astype(np.int32) if wanted else np.zeros((len(rows), 0), dtype=np.int32)
        return CountTable(wanted, table, outcomes.astype(np.int32), n.astype(np.int64))

    slices = [one(OVERALL, total, np.zeros_like(total))]
    slices += [one(one_way(attribute, name), parts[name], total - parts[name]) for name in names]
    rows = int(total.sum())
    summary = AttributeSummary(
        Attribute(attribute, "other", attribute), tuple((name, int(parts[name].sum())) for name in names), 0
    )
    return CountedLog(space, tuple(slices), (summary,), (), (), rows, rows, None, "1", joint=joint)


def binary(**parts: Sequence[int]) -> CountedLog:
    """A binary log: (tp, fp, fn, tn) of each value of the attribute ``group``."""
    return counted(BINARY, {name: np.array([table]) for name, table in parts.items()})


def clustered(tables: NDArray[np.int64], group: NDArray[np.bool_]) -> CountedLog:
    """A binary log of patients: each one's counts inside group ``a`` where ``group``, else in ``b``.

    Parameters
    ----------
    tables : int array, shape (patients, 4)
    group : bool array, shape (patients,)
    """
    here, there = tables * group[:, None], tables * ~group[:, None]
    sides = {
        OVERALL: (tables, np.zeros_like(tables)),
        one_way("group", "a"): (here, there),
        one_way("group", "b"): (there, here),
    }

    def patterns(slice_: Slice, against: Slice | None = None) -> ClusterPatterns:
        inside, outside = sides[slice_]
        if against is not None:
            outside = sides[against][0]
        kept = tables.any(axis=1)
        both = np.concatenate([inside, outside], axis=1)[kept]
        values, times = np.unique(both, axis=0, return_counts=True)
        return ClusterPatterns(values.reshape(-1, 2, 1, 4), times)

    nothing = np.zeros((1, 2), dtype=np.int64)
    slices = [
        SliceCounts(
            slice_,
            inside.sum(0)[None],
            outside.sum(0)[None],
            nothing,
            0,
            int(inside.sum()),
            int(inside.any(axis=1).sum()),
        )
        for slice_, (inside, outside) in sides.items()
    ]
    rows = int(tables.sum())
    return CountedLog(
        BINARY, tuple(slices), (), (), (), rows, rows, int(tables.any(axis=1).sum()), "1", patterns
    )
