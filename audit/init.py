"""A first configuration, written from what the log holds. Guesses only, each marked for review."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from audit.errors import InputError
from audit.guessing import AGE, MOST_VALUES, Guess, guess_roles, kind_of_column
from slices.reading.preview import ColumnDescription, describe


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
    if not columns or columns[0].rows == 0:
        raise InputError(f"Log '{log}' has no rows: there is nothing to guess a configuration from.")
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
        for role, found in (
            ("label", guess.label),
            ("prediction", guess.prediction or guess.score or guess.scores),
        )
        if not found and not guess.detection
    ]
    return told


def _lines(path: str, columns: Sequence[ColumnDescription], guess: Guess) -> Iterator[str]:
    yield "# Written by `xaudit init` from some of the log's rows. Every line is a guess: review it."
    yield "# Columns found: " + ", ".join(_comment(column.name) for column in columns)
    yield "[subject]"
    yield 'name = "not stated"            # the model'
    yield 'version = "not stated"'
    yield 'purpose = "not stated"         # one sentence: what it decides, and what follows from it'
    yield ""
    yield "[log]"
    yield f"path = {quoted(path)}"
    if guess.detection:
        yield f"detection = {_table(guess.detection)}   # counts of objects in each image"
    else:
        yield f"label = {quoted(guess.label or 'FILL IN: the column of the true class')}"
    if guess.detection:
        pass
    elif guess.scores:
        yield f"scores = {_table(guess.scores)}   # the largest wins"
    elif guess.score is not None:
        yield f"score = {quoted(guess.score)}"
        yield "threshold = 0.5                # state the one that is used in practice"
        yield 'tie = ">="                     # what happens on the threshold: ">=" or ">"'
    else:
        yield f"prediction = {quoted(guess.prediction or 'FILL IN: the column of the predicted class')}"
    if guess.positive is not None:
        yield f"positive = {quoted(guess.positive)}"
    elif not guess.detection:
        yield '# positive = "1"               # binary logs'
    if not guess.detection:
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
        yield f"# Left out: {left}. {_why_left(column)}"
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


def _why_left(column: ColumnDescription) -> str:
    if column.distinct < 2:
        return "One value defines no slices."
    if column.numeric:
        return "Numbers need bands = [...] to define slices."
    return f"More than {MOST_VALUES} texts are no groups."


def _table(columns: Mapping[str, str]) -> str:
    """An inline table of TOML."""
    return "{ " + ", ".join(f"{_key(name)} = {quoted(column)}" for name, column in columns.items()) + " }"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else quoted(name)


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
