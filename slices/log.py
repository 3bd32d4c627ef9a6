"""The log: from files and roles to a counted log. The only module that knows all the steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from slices.bands import band_names
from slices.coding import CoderMaker, band_column, decision_column, text_column
from slices.counts import AttributeSummary, CountedLog, CountTable, Exclusion, InputFile, SliceCounts
from slices.engine import Progress, Scan, no_progress, scan
from slices.errors import EmptyLogError, LogError
from slices.hashing import Hashing
from slices.images import ImageRows, read_images
from slices.outcomes import BadClassError, Layout, interpret
from slices.preview import ColumnDescription, column_names, describe
from slices.roles import Attribute, Decision, LogSpec
from slices.rollup import (
    SetCounts,
    ValueTable,
    attribute_rows,
    check_memory,
    overall_counts,
    raw_outcomes,
    roll_up,
    size_of,
    slice_counts,
    summary,
    value_table,
)
from slices.slicing import attribute_sets
from slices.sources import Source, open_source
from slices.text import NotANumberError, texts_of

__all__ = [
    "ColumnDescription",
    "ImageRows",
    "check_roles",
    "column_names",
    "count_log",
    "describe",
    "read_images",
]

MISSING_LABEL = "missing label"
MISSING_PREDICTION = "missing prediction"
MISSING_CLASS = "missing class"
TOO_SMALL = "fewer rows than the minimum"


def count_log(
    spec: LogSpec,
    *,
    intersections: int | tuple[tuple[str, ...], ...],
    minimum: int,
    threads: int | None = None,
    progress: Progress = no_progress,
) -> CountedLog:
    """Read a prediction log once and count its slices.

    Parameters
    ----------
    spec : LogSpec
    intersections : int or tuple of tuples of attribute names
        1: single attributes; 2: all pairs too; 3: all triples too; or the crossings themselves.
    minimum : int
        Slices with fewer rows are listed in ``small`` and not computed. Crossings of a value
        that is below the minimum itself are not formed.
    threads : int, optional
        Default: the processors at hand, at most 8. Changes nothing but the time.

    Raises
    ------
    LogError
        Bad input, told in one line.
    EmptyLogError
        No row is left to count.
    """
    check_roles(spec)
    source = open_source(spec.path, spec.root)
    source.require(_named_columns(spec))
    names = [attribute.name for attribute in spec.attributes]
    crossings = attribute_sets(names, intersections)
    required = [frozenset(names.index(name) for name in crossing) for crossing in crossings]
    with Hashing(file.path for file in source.files) as hashes:
        try:
            found = scan(
                source.parts(),
                [_attribute_column(attribute, spec) for attribute in spec.attributes],
                _outcome_columns(spec),
                required,
                threads=threads,
                progress=progress,
            )
        except NotANumberError as problem:
            raise _with_row(source, spec, problem.column, problem.text, str(problem)) from None
        if found.rows == 0:
            raise EmptyLogError(f"Log '{spec.path}' has no rows; give one with predictions.")
        counted = _Counting(spec, source, found, crossings, minimum).counted_log()
        inputs = tuple(InputFile(f.name, hashes.of(f.path), found.file_rows[f.name]) for f in source.files)
    return replace(counted, inputs=inputs)


def check_roles(spec: LogSpec) -> None:
    """Refuse roles that contradict each other, before any file is opened.

    Raises
    ------
    LogError
    """
    if spec.detection is None:
        if spec.label is None:
            raise LogError("The log has no label column; set label to the column with the truth.")
        _check_decision(spec.decision, "prediction")
        if spec.decision.scores is not None and (spec.positive is not None or spec.klass is not None):
            raise LogError(
                "scores (one score column a class) is for multi-class logs; leave out positive and class."
            )
    names = [attribute.name for attribute in spec.attributes]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise LogError(f"Attribute '{twice[0]}' is named twice; give each a name of its own.")
    for attribute in spec.attributes:
        cuts = attribute.bands
        if cuts is not None and (not cuts or any(b <= a for a, b in pairwise(cuts))):
            raise LogError(
                f"The bands of attribute '{attribute.name}' are {list(cuts)}; give ascending cut points."
            )


def _check_decision(decision: Decision, role: str) -> None:
    given = [n for n in ("prediction", "score", "scores") if getattr(decision, n) is not None]
    if len(given) != 1:
        found = " and ".join(given) if given else "none of them"
        raise LogError(f"The {role} needs exactly one of prediction, score and scores; found {found}.")
    if decision.score is not None and (decision.threshold is None or decision.tie is None):
        missing = " and ".join(
            name
            for name, value in (("threshold", decision.threshold), ("tie", decision.tie))
            if value is None
        )
        raise LogError(
            f"Score '{decision.score}' has no {missing}; state threshold and tie ('>=' or '>'), "
            "which decide what counts as positive."
        )
    if decision.scores is not None and len(decision.scores) < 2:
        raise LogError("scores names fewer than two classes; give one score column for each class.")


def _named_columns(spec: LogSpec) -> list[tuple[str, str]]:
    """Every column that the roles name, with the role as an error says it."""
    roles: list[tuple[str | None, str]] = [(spec.label, "label"), (spec.klass, "class")]
    roles += [(column, "prediction") for column in _decision_columns(spec.decision)]
    roles += [(a.column, f"attribute '{a.name}'") for a in spec.attributes]
    return [(column, role) for column, role in roles if column is not None]


def _decision_columns(decision: Decision) -> list[str]:
    if decision.scores is not None:
        return [decision.scores[name] for name in sorted(decision.scores)]
    return [column for column in (decision.prediction, decision.score) if column is not None]


def _attribute_column(attribute: Attribute, spec: LogSpec) -> CoderMaker:
    if attribute.bands is not None:
        return band_column(attribute.column, attribute.bands, spec.missing)
    return text_column(attribute.column, spec.missing)


def _outcome_columns(spec: LogSpec) -> list[CoderMaker]:
    assert spec.label is not None
    columns = [text_column(spec.label, spec.missing), decision_column(spec.decision, spec.missing)]
    return columns if spec.klass is None else [text_column(spec.klass, spec.missing), *columns]


@dataclass(slots=True)
class _Counting:
    """The steps after the scan: value lists, outcomes, slices, what was left out."""

    spec: LogSpec
    source: Source
    found: Scan
    crossings: Sequence[tuple[str, ...]]
    minimum: int

    def counted_log(self) -> CountedLog:
        names = [attribute.name for attribute in self.spec.attributes]
        rows = {name: attribute_rows(self.found, place) for place, name in enumerate(names)}
        tables = {
            attribute.name: value_table(
                self.found.attributes[place], rows[attribute.name], self._bands(place)
            )
            for place, attribute in enumerate(self.spec.attributes)
        }
        combinations, n = raw_outcomes(self.found)
        self._check_labels(combinations, n)
        try:
            meaning = interpret(self.spec, self.found.outcomes, combinations, n)
        except BadClassError as problem:
            raise _with_row(self.source, self.spec, problem.column, problem.text, str(problem)) from None
        overall = overall_counts(n, meaning)
        if overall.n == 0:
            raise EmptyLogError(
                f"Log '{self.spec.path}': none of its {self.found.rows:,} rows can be counted "
                f"({overall.unlabelled:,} without a label, "
                f"{int(overall.failed.sum()):,} without a prediction)."
            )
        crossed = {
            crossing: roll_up(self.found, names, tables, combinations, meaning, crossing)
            for crossing in self.crossings
        }
        check_memory(sum(len(counts.codes) for counts in crossed.values()), meaning.layout)
        kept, small = self._slices(crossed, tables, meaning.layout)
        classless = int(
            np.bincount(meaning.code, weights=n, minlength=meaning.layout.width)[meaning.layout.classless]
        )
        return CountedLog(
            space=meaning.space,
            slices=(overall, *kept),
            attributes=tuple(
                AttributeSummary(attribute, *summary(tables[attribute.name], rows[attribute.name]))
                for attribute in self.spec.attributes
            ),
            exclusions=(
                *_excluded(overall, classless),
                *(e for s in kept if s.slice.order == 1 for e in _excluded(s)),
            ),
            inputs=(),
            rows=self.found.rows,
            rows_used=overall.n,
            clusters=None,
            positive=meaning.positive,
            joint=_joint(crossed, meaning.layout.counted),
            small=small,
        )

    def _bands(self, place: int) -> tuple[str, ...] | None:
        cuts = self.spec.attributes[place].bands
        return None if cuts is None else band_names(cuts, whole=self.found.whole[place])

    def _check_labels(self, combinations: NDArray[np.int32], n: NDArray[np.int64]) -> None:
        labels = self.found.outcomes[-2]
        if all(labels[code] is None for code in combinations[:, -2]):
            raise EmptyLogError(
                f"Log '{self.spec.path}': all {int(n.sum()):,} rows are excluded, "
                f"since column '{self.spec.label}' (label) is missing in each."
            )

    def _slices(
        self, crossed: dict[tuple[str, ...], SetCounts], tables: dict[str, ValueTable], layout: Layout
    ) -> tuple[list[SliceCounts], tuple[Exclusion, ...]]:
        """The slices that are large enough, and those that are not."""
        kept: list[SliceCounts] = []
        small: list[Exclusion] = []
        large: dict[str, NDArray[np.bool_]] = {}
        for crossing, counts in crossed.items():
            cells = list(range(len(counts.codes)))
            if len(crossing) > 1:
                # A value below the minimum is listed once; its crossings are smaller still and not formed.
                worthy = np.ones(len(counts.codes), dtype=bool)
                for column, name in enumerate(crossing):
                    worthy &= large[name][counts.codes[:, column] + 1]
                cells = np.flatnonzero(worthy).tolist()
            else:
                large[crossing[0]] = np.zeros(tables[crossing[0]].size, dtype=bool)
            present = counts.present(layout.width)
            for cell in cells:
                one = slice_counts(counts, cell, tables, present, layout)
                if size_of(one) < self.minimum:
                    small.append(Exclusion(TOO_SMALL, one.slice, size_of(one)))
                    continue
                kept.append(one)
                if len(crossing) == 1:
                    large[crossing[0]][counts.codes[cell, 0] + 1] = True
        kept.sort(key=lambda s: (s.slice.order, s.slice.key))
        small.sort(key=lambda e: (e.slice.order, e.slice.key))
        return kept, tuple(small)


def _excluded(counts: SliceCounts, classless: int = 0) -> list[Exclusion]:
    found = (
        (MISSING_LABEL, counts.unlabelled),
        (MISSING_PREDICTION, int(counts.failed.sum())),
        (MISSING_CLASS, classless),
    )
    return [Exclusion(reason, counts.slice, rows) for reason, rows in found if rows]


def _joint(
    crossed: dict[tuple[str, ...], SetCounts], counted: int
) -> Callable[[tuple[str, ...]], CountTable]:
    def joint(names: tuple[str, ...]) -> CountTable:
        crossing = tuple(sorted(names))
        if crossing not in crossed:
            known = ", ".join(" x ".join(c) for c in crossed)
            raise LogError(f"{' x '.join(crossing)} was not counted together; counted are: {known}.")
        return crossed[crossing].table(counted)

    return joint


def _with_row(source: Source, spec: LogSpec, column: str, text: str, message: str) -> LogError:
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
