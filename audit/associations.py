"""Associations: attributes of the log that cannot be told apart, or hardly, or only for some values.

Where every image of a site comes from one scanner, no log can say which of the two a gap is
due to: the report must say so beside the gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

from audit.config import Config
from audit.group_words import value_words
from reports.evidence import Association
from slices.counts import CountedLog, CountTable
from slices.errors import LogError
from slices.said import Said, say
from slices.supplements.association import cramers_v

# From here on a report says that two attributes can hardly be told apart.
STRONG = 0.7
# A value that comes with one value of another attribute only is told from so many rows on, and where
# independent attributes would show it in fewer than one log in a thousand.
FEWEST_ROWS = 10
BY_CHANCE = 1e-3
MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Nesting:
    """Every row with this value of ``inner`` that has one of ``outer`` at all has the same one.

    ``partly_missing``: in some of its rows ``outer`` is missing.
    """

    inner: str
    value: str
    outer: str
    only: str
    rows: int
    partly_missing: bool


def associations(config: Config, counted: CountedLog) -> tuple[Association, ...]:
    """Pairs of attributes that go together, strongest first.

    Told are a bias-corrected Cramér's V of `STRONG` or more, and single values of one attribute that come
    with a single value of the other.
    """
    found = []
    for one, other in combinations(sorted(item.attribute.name for item in counted.attributes), 2):
        table = joint_rows(counted, one, other)
        strength = None if table is None else cramers_v(table[:-1, :-1])
        if table is None or strength is None:
            continue
        nested = nestings(counted, one, other, table)
        if strength >= STRONG or nested:
            found.append(
                Association(
                    attributes=(one, other),
                    cramers_v=strength,
                    sentence=_sentence(config, one, other, nested),
                )
            )
    return tuple(sorted(found, key=lambda item: (-item.cramers_v, item.attributes)))


def unseen_pairs(counted: CountedLog) -> tuple[tuple[str, str], ...]:
    """Pairs of attributes whose joint counts are not there: too many values or attributes."""
    names = sorted(item.attribute.name for item in counted.attributes)
    return tuple(pair for pair in combinations(names, 2) if _cells(counted, *pair) is None)


def _cells(counted: CountedLog, one: str, other: str) -> CountTable | None:
    """Joint counts of a pair: of its crossing, or beside the crossings; None where there are none."""
    if (one, other) in counted.beside:
        return counted.beside[one, other]
    try:
        return None if counted.joint is None else counted.joint((one, other))
    except LogError:
        return None


def joint_rows(counted: CountedLog, one: str, other: str) -> NDArray[np.int64] | None:
    """Counted rows by the values of two attributes, the missing ones last; None: not counted together."""
    cells = _cells(counted, one, other)
    if cells is None:
        return None
    sizes = {item.attribute.name: len(item.values) + 1 for item in counted.attributes}
    table = np.zeros((sizes[one], sizes[other]), np.int64)
    np.add.at(table, (cells.codes[:, 0], cells.codes[:, 1]), cells.n)  # -1, missing: the last place
    return table


def nestings(counted: CountedLog, one: str, other: str, table: NDArray[np.int64]) -> list[Nesting]:
    """Values of either attribute that come with a single value of the other, the largest first.

    ``table`` as `joint_rows` makes it. Rows whose other attribute is missing say nothing.
    """
    values = {item.attribute.name: [value for value, _ in item.values] for item in counted.attributes}
    found = []
    for inner, outer in permutations((one, other)):
        every = table if inner == one else table.T
        rows = every[:-1, :-1]
        share = rows.sum(0) / max(1, rows.sum())
        for place in np.flatnonzero((rows > 0).sum(1) == 1):
            n = int(rows[place].sum())
            only = int(rows[place].argmax())
            if n >= FEWEST_ROWS and share[only] ** n < BY_CHANCE:
                found.append(
                    Nesting(
                        inner, values[inner][place], outer, values[outer][only], n, bool(every[place, -1])
                    )
                )
    return sorted(found, key=lambda item: (-item.rows, item.inner, item.value))


def _sentence(config: Config, one: str, other: str, nested: Sequence[Nesting]) -> Said:
    if not nested:
        return say(
            "limitation.association.what",
            "“{one}” and “{other}” go together: knowing one nearly tells the other, so a gap by one may be "
            "due to the other.",
            one=one,
            other=other,
        )
    distinct = _one_way(nested)
    named: list[str] = [_named(config, item) for item in distinct[:MOST_NAMED]]
    left = len(distinct) - len(named)
    if left:
        named.append(say("limitation.association.more", "{left} more in the same way", left=left))
    return say(
        "limitation.association.values",
        "{nested:capital}: the two cannot be told apart there.",
        nested=say("limitation.association.list", "{named:and}", named=named),
    )


def _named(config: Config, item: Nesting) -> Said:
    inner = value_words(config, item.inner, item.value)
    only = value_words(config, item.outer, item.only)
    if item.partly_missing:
        return say(
            "limitation.association.nested_recorded",
            "every case with “{inner}: {value}” whose {outer} is recorded has “{outer}: {only}”",
            inner=item.inner,
            value=inner,
            outer=item.outer,
            only=only,
        )
    return say(
        "limitation.association.nested",
        "every case with “{inner}: {value}” has “{outer}: {only}”",
        inner=item.inner,
        value=inner,
        outer=item.outer,
        only=only,
    )


def _one_way(nested: Sequence[Nesting]) -> list[Nesting]:
    """Without those that say the same from the other side."""
    kept: list[Nesting] = []
    for item in nested:
        turned = (item.outer, item.only, item.inner, item.value)
        if not any((other.inner, other.value, other.outer, other.only) == turned for other in kept):
            kept.append(item)
    return kept
