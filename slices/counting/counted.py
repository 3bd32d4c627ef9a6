"""Counting: from what a scan found to a counted log: value lists, outcomes, slices, what was left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from slices.counting.details import Details
from slices.counting.engine import Scan, is_small, joined
from slices.counting.joint_outcomes import JointKinds
from slices.counting.outcomes import BadClassError, Interpretation, interpret
from slices.counting.rollup import (
    SetCounts,
    ValueTable,
    attribute_rows,
    cell_counts,
    check_memory,
    overall_counts,
    raw_outcomes,
    roll_up,
    summary,
    value_table,
)
from slices.counting.rows import IMAGE, RowCollector
from slices.counts import (
    FN,
    AttributeSummary,
    CountedLog,
    CountTable,
    Exclusion,
    JointRows,
    PairedCells,
    SliceCounts,
)
from slices.errors import EmptyLogError, LogError
from slices.reading.bands import band_names
from slices.reading.sources import Source
from slices.reading.text import texts_of
from slices.roles import LogSpec
from slices.said import say
from slices.slicing import OVERALL, Slice

MISSING_LABEL = say("excluded.label", "missing label")
MISSING_PREDICTION = say("excluded.prediction", "missing prediction")
MISSING_CLASS = say("excluded.class", "missing class")
MISSING_WEIGHT = say("excluded.weight", "missing weight")
MISSING_BASELINE = say(
    "excluded.baseline", "missing baseline prediction (left out of the comparison with the baseline only)"
)
TOO_SMALL = say("excluded.small", "fewer rows than the minimum")


@dataclass(slots=True)
class Counting:
    """One log's way from its scan to its slices; used once.

    Attributes
    ----------
    crossings : sequence of tuple of str
        Sets of attributes, single ones first.
    minimum : int
        Rows that a slice needs to be computed.
    collector : RowCollector or None
        The rows, where the log has clusters, weights, scores or images of several rows.
    failed_as_errors : bool
        Count failed predictions as wrong ones, for the worst case.
    beside : sequence of pairs of str
        Pairs of attributes that are no crossings: counted where they are small, for associations.
    """

    spec: LogSpec
    source: Source
    found: Scan
    crossings: Sequence[tuple[str, ...]]
    minimum: int
    collector: RowCollector | None
    failed_as_errors: bool = False
    beside: Sequence[tuple[str, str]] = ()
    names: list[str] = field(init=False)
    tables: dict[str, ValueTable] = field(init=False)
    meaning: Interpretation = field(init=False)

    def counted_log(self) -> CountedLog:
        """Everything that the statistics need to know.

        Raises
        ------
        LogError
            A value that is neither class, or too many slices for the memory.
        EmptyLogError
            No row is left to count.
        """
        self.names = [attribute.name for attribute in self.spec.attributes]
        combinations, n = raw_outcomes(self.found)
        self._check_labels(combinations, n)
        try:
            self.meaning = interpret(
                self.spec, self.found.outcomes, combinations, n, failed_as_errors=self.failed_as_errors
            )
        except BadClassError as problem:
            raise with_row(self.source, problem.column, problem.text, str(problem)) from None
        layout = self.meaning.layout
        overall = overall_counts(n, self.meaning)
        if overall.n == 0:
            raise EmptyLogError(
                f"Log '{self.spec.path}': none of its {self.found.rows:,} rows can be counted "
                f"({overall.unlabelled:,} without a label, "
                f"{int(overall.failed.sum()):,} without a prediction)."
            )
        rows_of = [attribute_rows(self.found, place, self.meaning) for place in range(len(self.names))]
        self.tables = {
            name: value_table(self.found.attributes[place], rows_of[place], self._bands(place))
            for place, name in enumerate(self.names)
        }
        crossed = {crossing: self._roll_up(crossing) for crossing in self.crossings}
        check_memory(sum(len(counts.codes) for counts in crossed.values()), layout)
        kept, small = self._slices(crossed)
        rows = None
        kinds = None
        if self.meaning.pairs is not None:
            kinds = JointKinds.of(self.meaning.pairs)
        if self.collector is not None:
            kind_of = None if kinds is None else partial(self._coded, kinds.kind, -1)
            again = bool(overall.failed.any()) and self.spec.detection is None
            rows = self.collector.rows(self.names, self.tables, self._outcome_of, kind_of, again=again)
            if self.failed_as_errors and rows.score is not None:
                rows = replace(rows, score=_worst_scores(rows.score, rows.outcome % layout.cells == FN))
        by_unit = rows is not None and self.spec.cluster is None and rows.unit is not None
        detail = None if rows is None else Details(rows, self.tables, layout, by_unit, kinds)
        slices = [overall, *kept]
        paired = self._paired(n)
        if paired is not None:
            slices = [replace(one, paired=paired(one.slice)[0]) for one in slices]
        if detail is not None:
            slices = detail.completed(slices)
        clustered = rows is not None and rows.cluster is not None
        return CountedLog(
            space=replace(
                self.meaning.space,
                negatives=self.spec.detection is None or self.spec.detection.tn is not None,
            ),
            slices=tuple(slices),
            attributes=tuple(
                AttributeSummary(attribute, *summary(self.tables[attribute.name], rows_of[place]))
                for place, attribute in enumerate(self.spec.attributes)
            ),
            exclusions=(
                *_excluded(overall),
                *self._without_baseline(n),
                *(e for one in kept if one.slice.order == 1 for e in _excluded(one)),
            ),
            inputs=(),
            rows=self.found.rows,
            rows_used=overall.n,
            clusters=slices[0].clusters,
            positive=self.meaning.positive,
            patterns=detail.patterns if detail is not None and clustered else None,
            cluster_rows=detail if clustered else None,
            joint=_joint(crossed, layout.counted),
            beside=self._beside(),
            small=small,
            unclustered=0 if rows is None else rows.unclustered,
            tied=self._tied(),
            scores=detail.scores if detail is not None and detail.rows.score is not None else None,
            class_scores=partial(detail.class_scores, self.meaning.space)
            if detail is not None and detail.rows.class_scores
            else None,
            paired_patterns=detail.paired_patterns
            if detail is not None and kinds is not None and self.spec.cluster is not None
            else None,
            joint_rows=self._joint_rows(kinds, detail, paired),
        )

    def _roll_up(self, crossing: tuple[str, ...], *, raw: bool = False) -> SetCounts:
        return roll_up(self.found, self.names, self.tables, self.meaning, crossing, raw=raw)

    def _beside(self) -> dict[tuple[str, str], CountTable]:
        """Joint counts of the small pairs that are no crossings."""
        outcomes = [len(values) for values in self.found.outcomes]
        found = {}
        for pair in self.beside:
            sizes = [len(self.found.attributes[self.names.index(name)]) for name in pair]
            if is_small(sizes, outcomes):
                found[pair] = self._roll_up(pair).table(self.meaning.layout.counted)
        return found

    def _outcome_of(self, codes: NDArray[np.int32]) -> NDArray[np.int32]:
        """Outcome code of rows of raw codes, -1 where the row is not counted."""
        outcome = self._coded(self.meaning.code, self.meaning.layout.width, codes)
        counted = np.where(outcome < self.meaning.layout.counted, outcome, -1)
        return np.where(outcome == self.meaning.layout.images, IMAGE, counted)

    def _coded(self, code: NDArray[np.int32], otherwise: int, codes: NDArray[np.int32]) -> NDArray[np.int32]:
        """What each row's combination of raw codes is by a table of combinations."""
        radix = [len(values) for values in self.found.outcomes]
        known = joined(self.meaning.combinations, radix)
        keys = joined(codes, radix)
        # Entries with the number 0 (an image without false positives) were never counted.
        places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        return np.where(known[places] == keys, code[places], np.int32(otherwise))

    def _bands(self, place: int) -> tuple[str, ...] | None:
        cuts = self.spec.attributes[place].bands
        return None if cuts is None else band_names(cuts, whole=self.found.whole[place])

    def _tied(self) -> int:
        """Rows whose class the order of the names decided, where one score column a class decides."""
        if self.spec.decision.scores is None:
            return 0
        return self.found.tied[self.meaning.roles.index("prediction")]

    def _check_labels(self, combinations: NDArray[np.int32], n: NDArray[np.int64]) -> None:
        if self.spec.detection is not None:
            return
        place = 0 if self.spec.klass is None else 1
        labels = self.found.outcomes[place]
        if all(labels[code] is None for code in combinations[:, place]):
            raise EmptyLogError(
                f"Log '{self.spec.path}': all {int(n.sum()):,} rows are excluded, "
                f"since column '{self.spec.label}' (label) is missing in each."
            )

    def _slices(
        self, crossed: Mapping[tuple[str, ...], SetCounts]
    ) -> tuple[list[SliceCounts], tuple[Exclusion, ...]]:
        """The slices that are large enough, and those that are not."""
        kept: list[tuple[int, str, SliceCounts]] = []
        small: list[tuple[int, str, Exclusion]] = []
        large = {name: np.zeros(table.size, dtype=bool) for name, table in self.tables.items()}
        for crossing, counts in crossed.items():
            for cells in cell_counts(counts, self.meaning.layout):
                enough = cells.size >= self.minimum
                worthy = np.ones(len(enough), dtype=bool)
                if len(crossing) == 1:
                    large[crossing[0]][cells.codes[enough, 0] + 1] = True
                else:
                    # A value below the minimum is listed once; its crossings are smaller still.
                    for place, name in enumerate(crossing):
                        worthy &= large[name][cells.codes[:, place] + 1]
                for cell, key, slice_ in cells.slices(self.tables, np.flatnonzero(worthy)):
                    if enough[cell]:
                        kept.append((len(crossing), key, cells.counts_at(cell, slice_)))
                    else:
                        small.append(
                            (len(crossing), key, Exclusion(TOO_SMALL, slice_, int(cells.size[cell])))
                        )
        kept.sort(key=lambda entry: entry[:2])
        small.sort(key=lambda entry: entry[:2])
        return [one for *_, one in kept], tuple(exclusion for *_, exclusion in small)

    def _without_baseline(self, n: NDArray[np.int64]) -> list[Exclusion]:
        """Counted rows that the baseline gave no prediction for."""
        if self.meaning.pairs is None:
            return []
        unpaired = self.meaning.pairs.reshape(len(n), -1).sum(axis=1) == 0
        rows = int(n[unpaired & (self.meaning.code < self.meaning.layout.counted)].sum())
        return [Exclusion(MISSING_BASELINE, OVERALL, rows)] if rows else []

    def _paired(
        self, n: NDArray[np.int64]
    ) -> Callable[[Slice], tuple[PairedCells, NDArray[np.int64]]] | None:
        """Joint outcomes of model and baseline, and rows of each raw combination, for logs that have one."""
        pairs = self.meaning.pairs
        if pairs is None:
            return None
        flat = pairs.reshape(len(pairs), -1)
        shape = pairs.shape[1:]
        found: dict[Slice, tuple[PairedCells, NDArray[np.int64]]] = {
            OVERALL: (PairedCells((n @ flat).reshape(shape), np.zeros(shape, np.int64)), n)
        }
        for crossing in self.crossings:
            counts = self._roll_up(crossing, raw=True)
            present = counts.present(len(pairs)) @ flat
            for cell, codes in enumerate(counts.codes):
                rows = counts.vectors(cell, cell + 1, len(pairs))[0]
                inside = rows @ flat
                outside = present - inside if (codes >= 0).all() else present
                values = (
                    (name, None if code < 0 else self.tables[name].values[code])
                    for name, code in zip(crossing, codes.tolist(), strict=True)
                )
                joint = PairedCells(inside.reshape(shape), outside.reshape(shape))
                found[Slice(tuple(values))] = (joint, rows)
        return found.__getitem__

    def _joint_rows(
        self,
        kinds: JointKinds | None,
        detail: Details | None,
        paired: Callable[[Slice], tuple[PairedCells, NDArray[np.int64]]] | None,
    ) -> Callable[[Slice], JointRows] | None:
        """What both models made of each row: of the rows where they are kept, else of their counts."""
        if kinds is None or paired is None:
            return None
        if detail is not None and (detail.rows.cluster is not None or detail.rows.weight is not None):
            return detail.joint_rows

        def of_counts(slice_: Slice) -> JointRows:
            compared = kinds.kind >= 0
            number = len(kinds.cell)
            rows = np.bincount(kinds.kind[compared], weights=paired(slice_)[1][compared], minlength=number)
            kind = np.flatnonzero(rows)
            times = rows[kind].astype(np.int64)
            return JointRows(kinds.cell, kind, times, np.ones(len(kind)), None, weighted=False)

        return of_counts


def _worst_scores(scores: NDArray[np.float64], missed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Rows without a score get the worst one: the lowest for a positive label, the highest for another."""
    known = scores[np.isfinite(scores)]
    if known.size == 0:
        return np.where(missed, 0.0, 1.0)
    low, high = float(known.min()), float(known.max())
    # Probabilities stay probabilities, so that Brier score and calibration have theirs.
    low, high = (0.0, 1.0) if low >= 0 and high <= 1 else (low - 1, high + 1)
    return np.where(np.isfinite(scores), scores, np.where(missed, low, high))


def _excluded(counts: SliceCounts) -> list[Exclusion]:
    found = (
        (MISSING_LABEL, counts.unlabelled),
        (MISSING_PREDICTION, int(counts.failed.sum())),
        (MISSING_CLASS, counts.classless),
        (MISSING_WEIGHT, counts.weightless),
    )
    return [Exclusion(reason, counts.slice, rows) for reason, rows in found if rows]


def _joint(
    crossed: Mapping[tuple[str, ...], SetCounts], counted: int
) -> Callable[[tuple[str, ...]], CountTable]:
    def joint(names: tuple[str, ...]) -> CountTable:
        crossing = tuple(sorted(names))
        if crossing not in crossed:
            known = ", ".join(" x ".join(c) for c in crossed)
            raise LogError(f"{' x '.join(crossing)} was not counted together; counted are: {known}.")
        return crossed[crossing].table(counted)

    return joint


def with_row(source: Source, column: str, text: str, message: str) -> LogError:
    """The same error with the first row that holds the value, found by reading the column again."""
    for file in source.files:
        row = 0
        for part in file.parts():
            for batch in part.batches([column]):
                texts = texts_of(batch.column(0), column)
                if text in texts:
                    where = f"row {row + texts.index(text) + 1:,} of {file.name}"
                    return LogError(
                        f"{message.rstrip('.')} (first in {where}). Mend the value, or list it as missing."
                    )
                row += len(texts)
    return LogError(message)
