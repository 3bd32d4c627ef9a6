"""A first configuration, written from what the log holds. Guesses only, each marked for review."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.errors import InputError
from slices.reading.preview import ColumnDescription, describe

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
AGE = re.compile(r"(^|_)age(_years|_yrs)?$", re.I)
MOST_VALUES = 50
MOST_NUMBERS = 12


@dataclass(frozen=True, slots=True)
class Guess:
    """What each column seems to be."""

    label: str | None
    prediction: str | None
    score: str | None
    positive: str | None
    klass: str | None
    cluster: str | None
    id: str | None
    attributes: tuple[ColumnDescription, ...]
    left: tuple[ColumnDescription, ...]


def write_configuration(log: str, out: Path, *, force: bool = False) -> list[str]:
    """Write a commented ``audit.toml``; returns what to tell the user.

    Raises
    ------
    InputError
        The file exists (and ``force`` is off), or cannot be written.
    LogError
        The log cannot be read.
    """
    if out.exists() and not force:
        raise InputError(f"'{out}' exists; name another file with --out, or overwrite it with --force.")
    columns = describe(log, Path.cwd())
    guess = guess_roles(columns)
    text = (
        "\n".join(_lines(Path(os.path.relpath(log, out.parent or Path())).as_posix(), columns, guess)) + "\n"
    )
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"'{out}' cannot be written: {error.strerror}.") from error
    told = [
        f"Wrote {out}: {len(columns)} columns, {len(guess.attributes)} attributes. "
        f"Review it, then: xaudit check {out}"
    ]
    told += [
        f"No column looks like the {role}: fill it in."
        for role, found in (("label", guess.label), ("prediction", guess.prediction or guess.score))
        if found is None
    ]
    return told


def guess_roles(columns: Sequence[ColumnDescription]) -> Guess:
    """What each column seems to be, by its name and its values."""
    by_name = {column.name.lower(): column for column in columns}
    label = _first(LABELS, by_name)
    taken = {label.name} if label else set()
    klass = None
    if label is not None and label.distinct <= 2:
        klass = next(
            (
                by_name[name].name
                for name in CLASSES
                if name in by_name and by_name[name].name not in taken and by_name[name].distinct > 2
            ),
            None,
        )
    taken |= {klass} if klass else set()
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
    positive = None
    if label is not None and label.distinct <= 2:
        positive = next((value for value in POSITIVES if value in label.values), None) or (
            label.values[-1] if label.values else None
        )
    return Guess(
        label=label.name if label else None,
        prediction=prediction.name if prediction else None,
        score=score.name if score and prediction is None else None,
        positive=positive,
        klass=klass,
        cluster=cluster.name if cluster else None,
        id=identity.name if identity else None,
        attributes=attributes,
        left=tuple(column for column in rest if column not in attributes),
    )


def _first(names: Sequence[str], by_name: dict[str, ColumnDescription]) -> ColumnDescription | None:
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


def _lines(path: str, columns: Sequence[ColumnDescription], guess: Guess) -> Iterator[str]:
    yield "# Written by `xaudit init` from the log's first rows. Every line is a guess: review it."
    yield "# Columns found: " + ", ".join(_comment(column.name) for column in columns)
    yield "[subject]"
    yield 'name = "not stated"            # the model'
    yield 'version = "not stated"'
    yield 'purpose = "not stated"         # one sentence: what it decides, and what follows from it'
    yield ""
    yield "[log]"
    yield f"path = {quoted(path)}"
    yield f"label = {quoted(guess.label or 'FILL IN: the column of the true class')}"
    if guess.score is not None:
        yield f"score = {quoted(guess.score)}"
        yield "threshold = 0.5                # state the one that is used in practice"
        yield 'tie = ">="                     # what happens on the threshold: ">=" or ">"'
    else:
        yield f"prediction = {quoted(guess.prediction or 'FILL IN: the column of the predicted class')}"
    if guess.positive is not None:
        yield f"positive = {quoted(guess.positive)}"
    else:
        yield '# positive = "1"               # binary logs'
    yield _optional(
        "class", guess.klass, "multi-label, long form: the column that names the class of the row"
    )
    yield _optional("cluster", guess.cluster, "patient, video, visit: rows that are not independent")
    yield _optional("id", guess.id, "the row's or image's own name")
    yield 'missing = [""]                 # written values that count as missing, besides nulls'
    for column in guess.attributes:
        yield ""
        yield "[[attributes]]                 # " + _seen(column)
        yield f"name = {quoted(column.name)}"
        yield f"kind = {quoted(kind_of_column(column.name))}"
        if column.numeric and AGE.search(column.name):
            yield "bands = [18, 40, 65]           # <18, 18-39, 40-64, 65+"
        elif not column.numeric and column is guess.attributes[0]:
            yield '# names = { F = "women" }       # what the report calls a value; their order is its order'
    for column in guess.left:
        yield ""
        left = f"{_comment(column.name)} ({_seen(column)})"
        yield f"# Left out: {left}. Numbers need bands = [...] to define slices."
    yield ""
    yield "[slices]"
    yield "intersections = 2              # 1: none; 2: all pairs; 3: all triples; or lists of names"
    yield ""
    yield "[statistics]"
    yield "confidence = 0.95"
    yield "resamples = 10000"
    yield "seed = 20261120"
    yield ""
    yield "# The release policy: fix it before the test data are seen. Without rules: measures only."
    name = guess.attributes[0].name if guess.attributes else "scanner"
    yield "# [[policy.rules]]"
    yield '# id = "recall-floor"'
    yield '# metric = "recall"'
    yield "# at_least = 0.85                # or at_most, gap_at_most, ratio_at_least"
    yield f"# attributes = [{_comment(quoted(name))}]"
    yield ""
    yield "[report]"
    yield 'formats = ["html", "pdf"]'
    yield '# previous = "..."   # evidence.json of the last release: the report says what changed since'


def _optional(key: str, column: str | None, meaning: str) -> str:
    return f"{key} = {quoted(column)}" if column is not None else f'# {key} = "..."   # {meaning}'


def _seen(column: ColumnDescription) -> str:
    values = ", ".join(_comment(value) for value in column.values)
    more = ", ..." if column.distinct > len(column.values) else ""
    missing = f"; {column.missing} missing" if column.missing else ""
    return f"{column.distinct} values in {column.rows} rows: {values}{more}{missing}"


def _comment(text: str) -> str:
    """A value as a TOML comment may hold it: one line, no control characters."""
    shown = "".join(c if c.isprintable() else f"U+{ord(c):04X}" for c in text)
    return shown if len(shown) <= 40 else shown[:37] + "..."


def quoted(text: str) -> str:
    r"""A TOML basic string.

    >>> quoted('a "b" \\ c')
    '"a \\"b\\" \\\\ c"'
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in escaped) + '"'
