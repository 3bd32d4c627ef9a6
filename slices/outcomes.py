"""Outcomes: what a row is, given the texts of its label and its prediction.

Interpretation comes after counting: the engine counts raw text by raw text, and this module
says once for each combination whether it is a true positive, a failed prediction, or bad input.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slices.counts import FN, FP, TN, TP, OutcomeSpace
from slices.errors import LogError
from slices.roles import LogSpec, Task
from slices.text import exact_number

Text = str | None
DEFAULT_POSITIVE = "1"


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
    (label positive, label negative); then unlabelled rows, one a stratum; last the rows of
    no class (multi-label logs whose class column is missing).
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
    def width(self) -> int:
        return self.counted + 3 * self.strata + 1


@dataclass(frozen=True, slots=True)
class Interpretation:
    """The outcome space of a log, and the outcome code of each raw combination.

    Attributes
    ----------
    code : int32 array, shape (combinations,)
        Place in a slice's outcome vector, laid out by ``layout``.
    """

    space: OutcomeSpace
    layout: Layout
    code: NDArray[np.int32]
    positive: str | None


def task_of(spec: LogSpec) -> Task:
    """The kind of log that the roles describe."""
    if spec.detection is not None:
        return "detection"
    if spec.klass is not None:
        return "multilabel"
    if spec.positive is not None or spec.decision.score is not None:
        return "binary"
    return "multiclass"


def interpret(
    spec: LogSpec, values: Sequence[Sequence[Text]], codes: NDArray[np.int32], n: NDArray[np.int64]
) -> Interpretation:
    """Give every raw combination its outcome.

    Parameters
    ----------
    values : sequence of sequences of text
        Value lists of the outcome columns: label, prediction, and for multi-label logs
        the class before them.
    codes : int32 array, shape (combinations, columns)
        The combinations that occur.
    n : int64 array, shape (combinations,)
        Their rows.

    Raises
    ------
    LogError
        A value that is neither class, a positive class that does not occur, no label at all.
    """
    task = task_of(spec)
    *classes, labels, predictions = [
        [column[code] for code in codes[:, place]] for place, column in enumerate(values)
    ]
    weights = [int(count) for count in n]
    if task == "multiclass":
        return _multiclass(spec, labels, predictions)
    reading = _binary_reading(spec, labels, predictions, weights)
    if task == "binary":
        return _binary(labels, predictions, reading)
    return _multilabel(spec, classes[0], labels, predictions, reading)


@dataclass(frozen=True, slots=True)
class _BinaryReading:
    positive: str
    label: dict[Text, bool | None]
    prediction: dict[Text, bool | None]


def _binary_reading(
    spec: LogSpec, labels: Sequence[Text], predictions: Sequence[Text], n: Sequence[int]
) -> _BinaryReading:
    """Which texts are the positive class and which the negative one."""
    scored = spec.decision.score is not None
    positive = DEFAULT_POSITIVE if spec.positive is None else spec.positive
    named = [] if scored else list(predictions)
    same = comparison([positive, *labels, *named])
    wanted = same(positive)
    sizes: dict[Hashable, int] = {}
    for text, rows in (*zip(labels, n, strict=True), *zip(named, [0] * len(named), strict=True)):
        if text is not None:
            sizes[same(text)] = sizes.get(same(text), 0) + rows
    label_column = str(spec.label)
    written = _names(same, [*labels, *named])
    if sizes and wanted not in sizes:
        raise LogError(
            f"The positive class '{positive}' occurs nowhere in column '{label_column}'; "
            f"found: {_listed(written.values())}. Set positive to one of them."
        )
    in_labels = {same(text) for text in labels if text is not None}
    others = sorted(
        (key for key in sizes if key != wanted), key=lambda k: (k not in in_labels, -sizes[k], written[k])
    )
    if len(others) > 1:
        bad = others[1]
        column = label_column if bad in in_labels else str(spec.decision.prediction)
        texts = labels if bad in in_labels else predictions
        text = min(t for t in texts if t is not None and same(t) == bad)
        raise BadClassError(column, text, _listed([written[wanted], *(written[k] for k in others)]))
    table = {text: None if text is None else same(text) == wanted for text in {*labels, *named}}
    decided = {"positive": True, "negative": False, None: None} if scored else table
    in_label = [text for text in labels if text is not None and same(text) == wanted]
    return _BinaryReading(min(in_label, key=_shortest, default=positive), table, decided)


def _binary(labels: Sequence[Text], predictions: Sequence[Text], reading: _BinaryReading) -> Interpretation:
    layout = Layout(strata=1, cells=4)
    code = [
        _place(layout, 0, reading.label[label], reading.prediction[prediction])
        for label, prediction in zip(labels, predictions, strict=True)
    ]
    space = OutcomeSpace("binary", (None,), strata=1, cells=4)
    return Interpretation(space, layout, np.array(code, np.int32), reading.positive)


def _multilabel(
    spec: LogSpec,
    classes: Sequence[Text],
    labels: Sequence[Text],
    predictions: Sequence[Text],
    reading: _BinaryReading,
) -> Interpretation:
    names = sorted({name for name in classes if name is not None})
    if not names:
        raise LogError(f"Column '{spec.klass}' (class) names no class in any row; fill it in.")
    place = {name: stratum for stratum, name in enumerate(names)}
    layout = Layout(strata=len(names), cells=4)
    code = [
        layout.classless
        if name is None
        else _place(layout, place[name], reading.label[label], reading.prediction[prediction])
        for name, label, prediction in zip(classes, labels, predictions, strict=True)
    ]
    space = OutcomeSpace("multilabel", tuple(names), strata=len(names), cells=4)
    return Interpretation(space, layout, np.array(code, np.int32), reading.positive)


def _place(layout: Layout, stratum: int, label: bool | None, prediction: bool | None) -> int:
    if label is None:
        return layout.first_unlabelled + stratum
    if prediction is None:
        return layout.counted + 2 * stratum + (0 if label else 1)
    cell = (TP if prediction else FN) if label else (FP if prediction else TN)
    return layout.cells * stratum + cell


def _multiclass(spec: LogSpec, labels: Sequence[Text], predictions: Sequence[Text]) -> Interpretation:
    same = comparison([*labels, *predictions])
    written = _names(same, labels)
    keys = sorted(written, key=lambda key: written[key])
    if len(keys) < 2 and any(label is not None for label in labels):
        raise LogError(
            f"Column '{spec.label}' (label) has one class, '{written[keys[0]]}'; "
            "a multi-class log needs two or more. For a binary log set positive."
        )
    place = {key: stratum for stratum, key in enumerate(keys)}
    k = len(keys)
    layout = Layout(strata=1, cells=k * (k + 1))
    code = []
    for label, prediction in zip(labels, predictions, strict=True):
        if label is None:
            code.append(layout.first_unlabelled)
        elif prediction is None:
            code.append(layout.counted)
        else:
            code.append(place[same(label)] * (k + 1) + place.get(same(prediction), k))
    space = OutcomeSpace("multiclass", tuple(written[key] for key in keys), strata=1, cells=k * (k + 1))
    return Interpretation(space, layout, np.array(code, np.int32), None)


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
