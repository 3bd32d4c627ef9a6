"""Rows: the compact row-level codes behind those statistics that counts alone cannot give.

Kept only where a log has clusters, weights, scores to rank, or images with several rows.
A row takes a few bytes: small integers, no text. After the scan the rows are put in a
canonical order, so that no sum depends on the order of the log.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from slices.counting.engine import RowSink
from slices.counting.rollup import ValueTable
from slices.reading.arrays import filled, group_starts, numpy_of, text_array
from slices.reading.text import is_text, numbers_of, texts_of

IMAGE = -2
_OF_CLASS = "score of "


@dataclass(frozen=True, slots=True)
class Rows:
    """Counted rows in canonical order: by cluster, then by every other code, weight and score.

    Attributes
    ----------
    cluster : int64 array, shape (rows,) or None
        Ascending; rows without a cluster have one of their own.
    unit : int64 array, shape (rows,) or None
        What ``n`` counts where it is not rows: the image of a multi-label log.
    attributes : dict of str to integer array, shape (rows,)
        Places in the value lists, -1 for missing.
    outcome : int32 array, shape (rows,)
        ``stratum * cells + cell``.
    n : int64 array, shape (rows,) or None
        How many outcomes the row stands for (detection counts; 0 for the image itself); None: one each.
    weight, score : float64 array, shape (rows,) or None
    class_scores : dict of str to float64 array, shape (rows,)
        Scores of each class, by its written name.
    unclustered : int
        Rows without a cluster.
    kind : int32 array, shape (rows,) or None
        What model and baseline made of the row, of ``slices.counting.joint_outcomes``; None without a
        baseline.
    """

    cluster: NDArray[np.int64] | None
    unit: NDArray[np.int64] | None
    attributes: Mapping[str, NDArray[np.integer]]
    outcome: NDArray[np.int32]
    n: NDArray[np.int64] | None
    weight: NDArray[np.float64] | None
    score: NDArray[np.float64] | None
    unclustered: int
    kind: NDArray[np.int32] | None = None
    class_scores: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def cell(self, names: Sequence[str], codes: Sequence[int]) -> NDArray[np.bool_]:
        """Which rows have these values."""
        inside = np.ones(len(self.outcome), dtype=bool)
        for name, code in zip(names, codes, strict=True):
            inside &= self.attributes[name] == code
        return inside

    def present(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """Which rows have all of these attributes."""
        inside = np.ones(len(self.outcome), dtype=bool)
        for name in names:
            inside &= self.attributes[name] >= 0
        return inside


class RowCollector(RowSink):
    """Gathers the codes of every batch while the log is counted.

    Parameters
    ----------
    cluster, unit : str or None
        Columns of identifiers.
    each_row : bool
        Without a cluster column every row of the log is a cluster (the image of a detection log).
    weight, score : str or None
        Columns of numbers.
    class_scores : mapping, optional
        Class to its score column, in a multi-class log that has one a class.
    missing : sequence of str
    """

    def __init__(
        self,
        *,
        cluster: str | None,
        each_row: bool,
        unit: str | None,
        weight: str | None,
        score: str | None,
        missing: Sequence[str],
        class_scores: Mapping[str, str] | None = None,
    ) -> None:
        self._named = {
            role: column for role, column in (("cluster", cluster), ("unit", unit)) if column is not None
        }
        self._measured = {
            role: column for role, column in (("weight", weight), ("score", score)) if column is not None
        }
        self._measured |= {_OF_CLASS + name: column for name, column in (class_scores or {}).items()}
        self.columns = tuple(dict.fromkeys((*self._named.values(), *self._measured.values())))
        self._each_row = each_row and cluster is None
        self._missing = tuple(missing)
        self._lock = threading.Lock()
        self._batches: list[_Batch] = []

    def take(
        self,
        arrays: Sequence[pa.Array],
        attributes: Sequence[NDArray[np.integer]],
        outcomes: Sequence[NDArray[np.integer]],
        n: NDArray[np.int64] | None,
        rows: int,
    ) -> None:
        by_column = dict(zip(self.columns, arrays, strict=True))
        batch = _Batch(
            rows=rows,
            attributes=tuple(attributes),
            outcomes=tuple(outcomes),
            n=n,
            names={role: text_dictionary(by_column[column], column) for role, column in self._named.items()},
            numbers={
                role: numbers_of(by_column[column], column, self._missing)
                for role, column in self._measured.items()
            },
        )
        with self._lock:
            self._batches.append(batch)

    def rows(
        self,
        names: Sequence[str],
        tables: Mapping[str, ValueTable],
        outcome_of: OutcomeOf,
        kind_of: OutcomeOf | None = None,
        *,
        again: bool = False,
    ) -> Rows:
        """The counted rows in canonical order; what was gathered is given up.

        Parameters
        ----------
        names, tables
            The attributes in the order of the scan, and their value lists.
        outcome_of : callable
            Raw outcome codes, shape (rows, outcome columns), to outcome codes; -1 where not counted,
            ``IMAGE`` for the entry of an image itself.
        kind_of : callable, optional
            Raw outcome codes to the kind of joint outcome with the baseline.
        again : bool
            The rows will be asked for once more: what was gathered is kept.
        """
        batches = self._batches
        if not again:
            self._batches = []
        outcome = _coded(batches, outcome_of)
        kind = None if kind_of is None else _coded(batches, kind_of)
        keep = outcome >= 0
        n = None
        if batches[0].n is not None:
            n = np.concatenate([b.n for b in batches if b.n is not None])
            # An image without any object has no outcome and is an image all the same.
            alone = outcome == IMAGE
            outcome[alone] = 0
            keep = (keep | alone) & (n > 0)
            n[alone] = 0
            n = n[keep]
        codes = {
            name: _narrow(tables[name])[np.concatenate([b.attributes[place] for b in batches])[keep]]
            for place, name in enumerate(names)
        }
        numbers = {role: _spread(batches, role)[keep] for role in self._measured}
        ids = {role: _identities(batches, role, self._missing)[keep] for role in self._named}
        if self._each_row:
            ids["cluster"] = _each_row(batches)[keep]
        outcome = outcome[keep]
        order = _canonical_order(ids, codes, outcome, numbers)
        cluster, unit = (ids[role][order] if role in ids else None for role in ("cluster", "unit"))
        return Rows(
            cluster=None if cluster is None else _numbered(cluster),
            unit=None if unit is None else np.unique(unit, return_inverse=True)[1],
            attributes={name: values[order] for name, values in codes.items()},
            outcome=outcome[order],
            n=None if n is None else n[order],
            weight=numbers["weight"][order] if "weight" in numbers else None,
            score=numbers["score"][order] if "score" in numbers else None,
            # An image of a detection log stands here once for each outcome.
            unclustered=0 if cluster is None or self._each_row else len(np.unique(cluster[cluster < 0])),
            kind=None if kind is None else kind[keep][order],
            class_scores={
                role.removeprefix(_OF_CLASS): values[order]
                for role, values in numbers.items()
                if role.startswith(_OF_CLASS)
            },
        )


def _narrow(table: ValueTable) -> NDArray[np.integer]:
    """The codes of a table in the smallest type: rows are many."""
    return table.final.astype(
        np.int8 if len(table.values) < 1 << 7 else np.int16 if len(table.values) < 1 << 15 else np.int32
    )


def _numbered(cluster: NDArray[np.int64]) -> NDArray[np.int64]:
    """Runs of equal identifiers, numbered from 0 on."""
    starts = group_starts(cluster)
    return np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(cluster))))


OutcomeOf = Callable[[NDArray[np.int32]], NDArray[np.int32]]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Codes of one batch; ``attributes``, ``outcomes`` and ``n`` may hold several copies of its rows."""

    rows: int
    attributes: tuple[NDArray[np.integer], ...]
    outcomes: tuple[NDArray[np.integer], ...]
    n: NDArray[np.int64] | None
    names: Mapping[str, pa.DictionaryArray]
    numbers: Mapping[str, NDArray[np.float64]]

    @property
    def copies(self) -> int:
        return len(self.outcomes[0]) // self.rows


def text_dictionary(values: pa.Array, column: str) -> pa.DictionaryArray:
    """A column as text, dictionary-encoded, whatever its type: identifiers of all files compare."""
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    dictionary = values.dictionary
    if not pa.types.is_string(dictionary.type):
        plain = is_text(dictionary.type) or pa.types.is_integer(dictionary.type)
        dictionary = dictionary.cast(pa.string()) if plain else text_array(texts_of(dictionary, column))
    return pa.DictionaryArray.from_arrays(values.indices.cast(pa.int32()), dictionary)


def _identities(batches: Sequence[_Batch], role: str, missing: Sequence[str]) -> NDArray[np.int64]:
    """Places in the sorted list of identifiers; rows without one have a negative number of their own."""
    whole = pa.chunked_array([b.names[role] for b in batches]).combine_chunks()
    dictionary = whole.dictionary
    rank = np.empty(len(dictionary) + 1, np.int64)
    rank[numpy_of(pc.sort_indices(dictionary))] = np.arange(len(dictionary))
    gone = pc.or_(pc.is_null(dictionary), pc.is_in(dictionary, text_array(list(missing))))
    rank[:-1][numpy_of(gone)] = -1
    rank[-1] = -1
    codes = rank[filled(whole.indices, len(dictionary))]
    nobody = codes < 0
    codes[nobody] = -1 - np.arange(int(nobody.sum()))
    return _tiled(batches, codes)


def _coded(batches: Sequence[_Batch], of: OutcomeOf) -> NDArray[np.int32]:
    return np.concatenate([of(np.column_stack(batch.outcomes).astype(np.int32)) for batch in batches])


def _each_row(batches: Sequence[_Batch]) -> NDArray[np.int64]:
    return _tiled(batches, np.arange(sum(b.rows for b in batches)))


def _spread(batches: Sequence[_Batch], role: str) -> NDArray[np.float64]:
    return np.concatenate([np.tile(batch.numbers[role], batch.copies) for batch in batches])


def _tiled(batches: Sequence[_Batch], values: NDArray[np.int64]) -> NDArray[np.int64]:
    if all(batch.copies == 1 for batch in batches):
        return values
    ends = np.cumsum([batch.rows for batch in batches])[:-1]
    return np.concatenate(
        [np.tile(v, b.copies) for v, b in zip(np.split(values, ends), batches, strict=True)]
    )


def _canonical_order(
    ids: Mapping[str, NDArray[np.int64]],
    codes: Mapping[str, NDArray[np.integer]],
    outcome: NDArray[np.int32],
    numbers: Mapping[str, NDArray[np.float64]],
) -> NDArray[np.intp]:
    """An order that the log's own order does not show in.

    Whole counts add up to the same in any order, so the cluster is enough for them; sums of
    weights do not, so there every code and number takes part.
    """
    if not numbers:
        if "cluster" not in ids:
            return np.arange(len(outcome))
        return np.argsort(ids["cluster"], kind="stable")
    keys: list[NDArray[np.generic]] = [np.maximum(values, -1) for values in ids.values()]
    keys += [*codes.values(), outcome, *numbers.values()]
    return np.lexsort(keys[::-1])
