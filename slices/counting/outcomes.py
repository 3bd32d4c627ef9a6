"""Outcomes: what a row is, given the texts of its label and its prediction.

Interpretation comes after counting: the engine counts raw text by raw text, and this module
says once for each combination whether it is a true positive, a failed prediction, or bad input.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from slices.counts import FN, FP, TN, TP, OutcomeSpace
from slices.errors import LogError
from slices.reading.text import exact_number
from slices.roles import LogSpec, Task

Text = str | None
DEFAULT_POSITIVE = "1"
_MOST_PAIRS = 1 << 24


class BadClassError(LogError):
    """A label or prediction that is neither class; the reader of the log adds the row."""

    def __init__(self, column: str, text: str, found: str) -> None:
        super().__init__(f"Column '{column}' holds '{text}', which is neither class; found: {found}.")
        self.column = column
        self.text = text
        self.found = found


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each kind of row stands in a slice's outcome vector.

    Counted outcomes first, ``strata * cells`` of them; then failed predictions, ``strata * 2``
    (label positive, label negative); then unlabelled rows, one a stratum; then rows of no class
    (multi-label logs whose class column is missing), rows without a weight, and last the
    images of a detection log, whose outcomes are not rows.
    """

    strata: int
    cells: int

    @property
    def counted(self) -> int:
        return self.strata * self.cells

    @property
    def first_unlabelled(self) -> int:
        return self.counted + 2 * self.strata

    @property
    def failed(self) -> slice:
        return slice(self.counted, self.first_unlabelled)

    @property
    def unlabelled(self) -> slice:
        return slice(self.first_unlabelled, self.classless)

    @property
    def classless(self) -> int:
        return self.counted + 3 * self.strata

    @property
    def weightless(self) -> int:
        return self.classless + 1

    @property
    def images(self) -> int:
        return self.classless + 2

    @property
    def width(self) -> int:
        return self.classless + 3


@dataclass(frozen=True, slots=True)
class Interpretation:
    """The outcome space of a log, and the outcome code of each raw combination.

    Attributes
    ----------
    roles : tuple of str
        The outcome columns: ``class``, ``label``, ``prediction``, ``baseline``, ``weight``, or ``counts``.
    combinations : int32 array, shape (combinations, len(roles))
        The raw combinations that occur, sorted.
    code : int32 array, shape (combinations,)
        Place in a slice's outcome vector, laid out by ``layout``.
    pairs : int64 array, shape (combinations, classes, 2, 2, 2), or None
        With a baseline: 1 where a row of the combination counts as [class, label positive,
        model positive, baseline positive].
    """

    space: OutcomeSpace
    layout: Layout
    roles: tuple[str, ...]
    combinations: NDArray[np.int32]
    code: NDArray[np.int32]
    positive: str | None
    pairs: NDArray[np.int64] | None = None

    @property
    def is_row(self) -> NDArray[np.bool_]:
        """Combinations whose count is a count of rows (all but a detection log's outcomes)."""
        if self.space.task != "detection":
            return np.ones(len(self.code), dtype=bool)
        return self.code >= self.layout.counted


def task_of(spec: LogSpec) -> Task:
    """The kind of log that the roles describe."""
    if spec.detection is not None:
        return "detection"
    if spec.klass is not None:
        return "multilabel"
    if spec.positive is not None or spec.decision.score is not None:
        return "binary"
    return "multiclass"


def outcome_roles(spec: LogSpec) -> tuple[str, ...]:
    """The outcome columns that a log is counted by, in order."""
    if spec.detection is not None:
        return ("counts",)
    roles = ("class", "label", "prediction") if spec.klass is not None else ("label", "prediction")
    return (
        *roles,
        *(("baseline",) if spec.baseline is not None else ()),
        *(("weight",) if spec.weight is not None else ()),
    )


def interpret(
    spec: LogSpec,
    values: Sequence[Sequence[Text]],
    codes: NDArray[np.int32],
    n: NDArray[np.int64],
    *,
    failed_as_errors: bool = False,
) -> Interpretation:
    """Give every raw combination its outcome.

    Parameters
    ----------
    values : sequence of sequences of text
        Value lists of the outcome columns, in the order of ``outcome_roles(spec)``.
    codes : int32 array, shape (combinations, columns)
        The combinations that occur.
    n : int64 array, shape (combinations,)
        Their rows.
    failed_as_errors : bool
        Count a failed prediction as a wrong one: a positive label as a false negative, a negative one as
        a false positive; in a multi-class log as a call of no class. Without the baseline.

    Raises
    ------
    LogError
        A value that is neither class, a positive class that does not occur, no class at all.
    """
    roles = outcome_roles(spec)
    texts: dict[str, list[Text]] = {
        role: [column[code] for code in codes[:, place]]
        for place, (role, column) in enumerate(zip(roles, values, strict=True))
    }
    if spec.detection is not None:
        reading = _detection(texts["counts"])
    elif task_of(spec) == "multiclass":
        reading = _multiclass(spec, texts)
    else:
        reading = _binary(spec, texts, [int(count) for count in n])
    layout = reading.layout
    code = np.array(reading.code, np.int32)
    if failed_as_errors:
        wrong = _wrong_calls(reading, texts)
        code, reading = np.where(wrong >= 0, wrong, code).astype(np.int32), replace(reading, pairs=None)
    if "weight" in texts:
        weightless = np.array([text is None for text in texts["weight"]], dtype=bool)
        code[weightless & (code < layout.counted)] = layout.weightless
    pairs = (
        None if reading.pairs is None else reading.pairs * (code < layout.counted)[:, None, None, None, None]
    )
    return Interpretation(reading.space, layout, roles, codes, code, reading.positive, pairs)


def _wrong_calls(reading: _Reading, texts: Mapping[str, Sequence[Text]]) -> NDArray[np.int32]:
    """The outcome that a failed prediction has as an error; -1 for every other combination."""
    layout, code = reading.layout, np.array(reading.code, np.int32)
    failed = (code >= layout.counted) & (code < layout.first_unlabelled)
    if reading.space.task == "detection":
        return np.full(len(code), -1, np.int32)  # an image without a prediction has unknown objects
    if reading.space.task == "multiclass":
        # An abstention, as a prediction that no label has: wrong for the row, for its class a miss.
        k = len(reading.space.classes)
        same = comparison([text for role in ("label", "prediction") for text in texts[role]])
        place = {
            same(name): stratum for stratum, name in enumerate(reading.space.classes) if name is not None
        }
        of_label = [place.get(same(text), 0) if text is not None else 0 for text in texts["label"]]
        return np.where(failed, np.array(of_label) * (k + 1) + k, -1).astype(np.int32)
    stratum, negative = np.divmod(code - layout.counted, 2)
    return np.where(failed, layout.cells * stratum + np.where(negative, FP, FN), -1).astype(np.int32)


@dataclass(frozen=True, slots=True)
class _Reading:
    space: OutcomeSpace
    layout: Layout
    code: Sequence[int]
    positive: str | None = None
    pairs: NDArray[np.int64] | None = None


def _detection(kinds: Sequence[Text]) -> _Reading:
    layout = Layout(strata=1, cells=4)
    place = {"tp": TP, "fp": FP, "fn": FN, "tn": TN, "image": layout.images, None: layout.counted}
    space = OutcomeSpace("detection", (None,), strata=1, cells=4)
    return _Reading(space, layout, [place[kind] for kind in kinds])


@dataclass(frozen=True, slots=True)
class _Classes:
    """The texts of a two-class log: True for the positive class, False for the other one."""

    positive: str
    label: Mapping[Text, bool | None]
    prediction: Mapping[Text, bool | None]
    baseline: Mapping[Text, bool | None]


_THRESHOLDED: Mapping[Text, bool | None] = {"positive": True, "negative": False, None: None}


def _binary(spec: LogSpec, texts: Mapping[str, Sequence[Text]], n: Sequence[int]) -> _Reading:
    classes = _two_classes(spec, texts, n)
    names: list[str | None] = [None]
    if spec.klass is not None:
        names = [*sorted({name for name in texts["class"] if name is not None})]
        if not names:
            raise LogError(f"Column '{spec.klass}' (class) names no class in any row; fill it in.")
    place = {name: stratum for stratum, name in enumerate(names)}
    strata = [place.get(name) for name in texts.get("class", [None] * len(n))]
    layout = Layout(strata=len(names), cells=4)
    labels = [classes.label[text] for text in texts["label"]]
    predictions = [classes.prediction[text] for text in texts["prediction"]]
    code = [
        layout.classless if stratum is None else _place(layout, stratum, label, prediction)
        for stratum, label, prediction in zip(strata, labels, predictions, strict=True)
    ]
    pairs = None
    if "baseline" in texts:
        pairs = np.zeros((len(n), len(names), 2, 2, 2), np.int64)
        for row, text in enumerate(texts["baseline"]):
            where = (strata[row], labels[row], predictions[row], classes.baseline[text])
            if None not in where:
                pairs[(row, *(int(w) for w in where if w is not None))] = 1
    space = OutcomeSpace(task_of(spec), tuple(names), strata=len(names), cells=4)
    return _Reading(space, layout, code, classes.positive, pairs)


def _two_classes(spec: LogSpec, texts: Mapping[str, Sequence[Text]], n: Sequence[int]) -> _Classes:
    """Which texts are the positive class and which the negative one."""
    positive = DEFAULT_POSITIVE if spec.positive is None else spec.positive
    columns = {str(spec.label): texts["label"]}
    if spec.decision.prediction is not None:
        columns[spec.decision.prediction] = texts["prediction"]
    if spec.baseline is not None and spec.baseline.prediction is not None:
        columns[spec.baseline.prediction] = texts["baseline"]
    same = comparison([positive, *(text for column in columns.values() for text in column)])
    wanted = same(positive)
    rows: dict[Hashable, int] = {}
    for place, column in enumerate(columns.values()):
        for text, count in zip(column, n, strict=True):
            if text is not None:
                # Labels decide which class is the other one; predictions only where labels do not tell.
                rows[same(text)] = rows.get(same(text), 0) + (count if place == 0 else 0)
    written = _names(same, (text for column in columns.values() for text in column))
    if rows and wanted not in rows:
        raise LogError(
            f"The positive class '{positive}' occurs nowhere in column '{spec.label}' (label); "
            f"found: {_listed(sorted(written.values()))}. Set positive to one of them."
        )
    others = sorted((key for key in rows if key != wanted), key=lambda key: (-rows[key], written[key]))
    if len(others) > 1:
        bad = others[1]
        where, text = next(
            (name, min(t for t in column if t is not None and same(t) == bad))
            for name, column in columns.items()
            if any(t is not None and same(t) == bad for t in column)
        )
        raise BadClassError(where, text, _listed([written[wanted], *(written[key] for key in others)]))
    table: dict[Text, bool | None] = {None: None}
    table |= {
        text: same(text) == wanted for column in columns.values() for text in column if text is not None
    }
    in_labels = [text for text in texts["label"] if text is not None and same(text) == wanted]
    return _Classes(
        positive=min(in_labels, key=_shortest, default=positive),
        label=table,
        prediction=table if spec.decision.prediction is not None else _THRESHOLDED,
        baseline=table if spec.baseline is None or spec.baseline.prediction is not None else _THRESHOLDED,
    )


def _place(layout: Layout, stratum: int, label: bool | None, prediction: bool | None) -> int:
    if label is None:
        return layout.first_unlabelled + stratum
    if prediction is None:
        return layout.counted + 2 * stratum + (0 if label else 1)
    cell = (TP if prediction else FN) if label else (FP if prediction else TN)
    return layout.cells * stratum + cell


def _multiclass(spec: LogSpec, texts: Mapping[str, Sequence[Text]]) -> _Reading:
    labels, predictions = texts["label"], texts["prediction"]
    baselines = texts.get("baseline", [])
    same = comparison([*labels, *predictions, *baselines])
    written = _names(same, labels)
    keys = sorted(written, key=lambda key: written[key])
    if len(keys) == 1:
        raise LogError(
            f"Column '{spec.label}' (label) has one class only, '{written[keys[0]]}'; a multi-class log "
            "needs two or more. For a binary log set positive."
        )
    place = {key: stratum for stratum, key in enumerate(keys)}
    k = len(keys)
    layout = Layout(strata=1, cells=k * (k + 1))
    label_of = [None if text is None else place[same(text)] for text in labels]
    # A class that no label has ever is a wrong answer of its own: the last column.
    predicted = [None if text is None else place.get(same(text), k) for text in predictions]
    code = []
    for label, prediction in zip(label_of, predicted, strict=True):
        if label is None:
            code.append(layout.first_unlabelled)
        elif prediction is None:
            code.append(layout.counted)
        else:
            code.append(label * (k + 1) + prediction)
    pairs = None
    if "baseline" in texts:
        if len(labels) * k > _MOST_PAIRS:
            raise LogError(
                f"A baseline for {k:,} classes takes too much memory ({len(labels):,} combinations occur); "
                "compare fewer classes, or leave the baseline out."
            )
        pairs = np.zeros((len(labels), k, 2, 2, 2), np.int64)
        based = [None if text is None else place.get(same(text), k) for text in baselines]
        for row, (label, prediction, base) in enumerate(zip(label_of, predicted, based, strict=True)):
            if label is not None and prediction is not None and base is not None:
                for stratum in range(k):
                    where = (int(label == stratum), int(prediction == stratum), int(base == stratum))
                    pairs[(row, stratum, *where)] = 1
    space = OutcomeSpace("multiclass", tuple(written[key] for key in keys), strata=1, cells=layout.cells)
    return _Reading(space, layout, code, None, pairs)


def comparison(texts: Iterable[Text]) -> Callable[[str], Hashable]:
    """How classes compare: as numbers where every text writes one, else as text.

    Returns
    -------
    callable
        Maps a text to a key; texts with equal keys are one class.

    Examples
    --------
    >>> same = comparison(["1", "1.0", "0"])
    >>> same("1") == same("1.0")
    True
    >>> same = comparison(["1", "1.0", "cat"])
    >>> same("1") == same("1.0")
    False
    """
    numbers = {text: exact_number(text) for text in texts if text is not None}
    if any(number is None for number in numbers.values()):
        return lambda text: text
    return lambda text: numbers[text]


def _names(same: Callable[[str], Hashable], texts: Iterable[Text]) -> dict[Hashable, str]:
    """What each class is called: the shortest of its texts, as met first in the labels."""
    names: dict[Hashable, str] = {}
    for text in texts:
        if text is not None:
            names[same(text)] = min(names.get(same(text), text), text, key=_shortest)
    return names


def _shortest(text: str) -> tuple[int, str]:
    return (len(text), text)


def _listed(texts: Iterable[str]) -> str:
    named = [f"'{text}'" for text in texts]
    return ", ".join(named[:10]) + (f" and {len(named) - 10} more" if len(named) > 10 else "")
