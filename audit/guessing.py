"""Guessing: what each column of a log seems to be, by its name and its values. Nothing is written here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slices.reading.preview import ColumnDescription

# In order of preference; a log that has both `y_true` and `label` is multi-label more often than not.
LABELS = (
    "y_true",
    "true_label",
    "ground_truth",
    "gt",
    "truth",
    "label_value",
    "target",
    "actual",
    "label",
    "true_class",
    "category",
    "outcome",
    "y",
)
PREDICTIONS = ("prediction", "pred", "y_pred", "predicted", "predicted_label", "pred_label", "decision")
SCORES = ("score", "y_score", "probability", "prob", "confidence", "risk")
CLASSES = ("finding", "class", "label", "pathology", "diagnosis", "condition_name")
POSITIVES = ("1", "1.0", "true", "True", "yes", "positive", "pos", "present")
CLUSTER = re.compile(
    r"(patient|subject|participant|person|video|visit|session|encounter)(_?(id|no|number))?$", re.I
)
IDENTITY = re.compile(r"(^|_)(id|uid|uuid|key|index|record|image|file|filename|path|row)$", re.I)
DEMOGRAPHIC = re.compile(
    r"(sex|gender|age|race|ethnic|skin|tone|fitzpatrick|income|insurance|language|relig)", re.I
)
ACQUISITION = re.compile(
    r"(scanner|site|device|camera|vendor|manufacturer|exposure|model|protocol|view|kvp|lens|light|resolution|"
    r"hospital|centre|center|quality|distortion|condition|weather|angle|session|modality)",
    re.I,
)
FINDING = re.compile(
    r"(^|_)(finding|pathology|disease|diagnosis|abnormality|condition|class|task|tag)(_?name)?$", re.I
)
DETECTION = {
    "tp": ("tp", "n_tp", "true_positives", "true_positive"),
    "fp": ("fp", "n_fp", "false_positives", "false_positive"),
    "fn": ("fn", "n_fn", "false_negatives", "false_negative"),
    "tn": ("tn", "n_tn", "true_negatives", "true_negative"),
}
SCORE_WORD = re.compile(r"^(p|prob|proba|probability|score|logit|pred|y_score|y_prob)$", re.I)
AGE = re.compile(r"(^|_)age(_years|_yrs)?$", re.I)
MOST_VALUES = 50
MOST_NUMBERS = 12


@dataclass(frozen=True, slots=True)
class Guess:
    """What each column seems to be."""

    label: str | None
    prediction: str | None
    score: str | None
    scores: Mapping[str, str]
    detection: Mapping[str, str]
    positive: str | None
    klass: str | None
    cluster: str | None
    id: str | None
    attributes: tuple[ColumnDescription, ...]
    left: tuple[ColumnDescription, ...]


def guess_roles(columns: Sequence[ColumnDescription]) -> Guess:
    """What each column seems to be, by its name and its values."""
    by_name = {column.name.lower(): column for column in columns}
    detection = _detection(by_name)
    if detection:
        return _of_objects(columns, detection)
    label = _first(LABELS, by_name)
    taken = {label.name} if label else set()
    klass = _class_column(columns, by_name, label)
    taken |= {klass} if klass else set()
    of_class = {} if klass else _class_scores(columns, label)
    taken |= set(of_class.values())
    prediction = _first(PREDICTIONS, by_name) or next(
        (
            c
            for c in columns
            if re.match(r"(pred|prediction|y_pred)[_-]", c.name, re.I) and c.name not in taken
        ),
        None,
    )
    score = _first(SCORES, by_name)
    if prediction is None and score is None and label is not None and label.values:
        # A column that holds the label's own values is a decision, whatever it is called.
        prediction = next((c for c in columns if c.values == label.values and c.name != label.name), None)
    if prediction is None and score is not None and score.distinct <= 2:
        prediction, score = score, None  # a decision, whatever it is called
    positive = _positive(label)
    if prediction is None and score is None and positive in of_class:
        # One of two classes: its own score decides.
        score = next(c for c in columns if c.name == of_class[positive])
    taken |= {column.name for column in (prediction, score) if column is not None}
    rest = [column for column in columns if column.name not in taken]
    cluster = next((c for c in rest if CLUSTER.search(c.name) and 1 < c.distinct < c.rows), None)
    identity = next(
        (c for c in rest if IDENTITY.search(c.name) and c is not cluster and (c.distinct == c.rows or klass)),
        None,
    )
    taken |= {column.name for column in (cluster, identity) if column is not None}
    rest = [column for column in rest if column.name not in taken]
    attributes = tuple(column for column in rest if _slices_well(column))
    decided = prediction is not None or score is not None
    return Guess(
        label=label.name if label else None,
        prediction=prediction.name if prediction else None,
        score=score.name if score and prediction is None else None,
        scores={} if decided else of_class,
        detection={},
        positive=positive,
        klass=klass,
        cluster=cluster.name if cluster else None,
        id=identity.name if identity else None,
        attributes=attributes,
        left=tuple(column for column in rest if column not in attributes),
    )


def _positive(label: ColumnDescription | None) -> str | None:
    """The positive class of a label with two values or fewer."""
    if label is None or label.distinct > 2 or not label.values:
        return None
    return next((value for value in POSITIVES if value in label.values), label.values[-1])


def _class_column(
    columns: Sequence[ColumnDescription],
    by_name: Mapping[str, ColumnDescription],
    label: ColumnDescription | None,
) -> str | None:
    """The column that names the class of the row, where a log is multi-label in long form."""
    if label is None or label.distinct > 2:
        return None
    for name in CLASSES:
        if name in by_name and by_name[name] is not label and by_name[name].distinct > 2:
            return by_name[name].name
    # Of two classes only: where an image stands once for each.
    for column in columns:
        if column is label or column.distinct < 2 or not FINDING.search(column.name):
            continue
        if any(
            IDENTITY.search(other.name) and other.distinct * column.distinct == column.rows
            for other in columns
        ):
            return column.name
    return None


def _class_scores(columns: Sequence[ColumnDescription], label: ColumnDescription | None) -> dict[str, str]:
    """A score column for each class, told by its name: ``p_cat``, ``p_dog``, or ``cat_score``."""
    if label is None or label.distinct < 2 or not label.every:
        return {}
    numbers = {column.name: column for column in columns if column.numeric and column is not label}
    for name in numbers:
        for value in label.every:
            before, found, after = name.partition(value)
            if not found or not SCORE_WORD.match((before + after).strip("_-. ")):
                continue
            scores = {klass: f"{before}{klass}{after}" for klass in label.every}
            if all(column in numbers for column in scores.values()):
                return scores
    return {}


def _detection(by_name: Mapping[str, ColumnDescription]) -> dict[str, str]:
    """Columns of the counts of an image; none where one of tp, fp and fn is not there."""
    found = {cell: _first(names, by_name) for cell, names in DETECTION.items()}
    columns = {cell: column.name for cell, column in found.items() if column is not None and column.numeric}
    return columns if {"tp", "fp", "fn"} <= set(columns) else {}


def _of_objects(columns: Sequence[ColumnDescription], detection: Mapping[str, str]) -> Guess:
    """The roles of a log with the counts of each image."""
    rest = [column for column in columns if column.name not in detection.values()]
    cluster = next((c for c in rest if CLUSTER.search(c.name) and 1 < c.distinct < c.rows), None)
    identity = next(
        (c for c in rest if IDENTITY.search(c.name) and c is not cluster and c.distinct == c.rows), None
    )
    rest = [column for column in rest if column is not cluster and column is not identity]
    attributes = tuple(column for column in rest if _slices_well(column))
    return Guess(
        label=None,
        prediction=None,
        score=None,
        scores={},
        detection=detection,
        positive=None,
        klass=None,
        cluster=cluster.name if cluster else None,
        id=identity.name if identity else None,
        attributes=attributes,
        left=tuple(column for column in rest if column not in attributes),
    )


def _first(names: Sequence[str], by_name: Mapping[str, ColumnDescription]) -> ColumnDescription | None:
    return next((by_name[name] for name in names if name in by_name), None)


def _slices_well(column: ColumnDescription) -> bool:
    if column.numeric and AGE.search(column.name):
        return True
    if re.match(r"(pred|prediction|y_pred|score|prob)[_-]", column.name, re.I):
        return False  # another model's decisions
    return 2 <= column.distinct <= (MOST_NUMBERS if column.numeric else MOST_VALUES)


def kind_of_column(name: str) -> str:
    """Demographic, acquisition or other, by a column's name.

    >>> kind_of_column("patient_sex"), kind_of_column("scanner_id"), kind_of_column("ward")
    ('demographic', 'acquisition', 'other')
    """
    if DEMOGRAPHIC.search(name) and not re.search(
        r"(image|page|stage|usage|average|language_model)", name, re.I
    ):
        return "demographic"
    return "acquisition" if ACQUISITION.search(name) else "other"
