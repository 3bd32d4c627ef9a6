"""Slices: groups of rows named by attribute values, and which of them a run looks at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import combinations

from slices.errors import LogError


@dataclass(frozen=True, slots=True, order=False)
class Slice:
    """Rows that share a value of one or several attributes; ``values`` empty: all rows.

    ``values`` are (attribute name, value) pairs sorted by name; a missing value is ``None``,
    a slice of its own.
    """

    values: tuple[tuple[str, str | None], ...]

    @property
    def order(self) -> int:
        """Number of attributes: 0 overall, 1 one-way, 2 a pair, ..."""
        return len(self.values)

    @property
    def key(self) -> str:
        """Canonical key: seeds and sorting hang on it, never on row or file order."""
        return json.dumps(dict(self.values), ensure_ascii=False, sort_keys=True)

    @property
    def attributes(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.values)

    def as_dict(self) -> dict[str, str | None]:
        return dict(self.values)


OVERALL = Slice(())


def attribute_sets(
    names: Sequence[str], intersections: int | Sequence[Sequence[str]]
) -> tuple[tuple[str, ...], ...]:
    """Sets of attributes whose crossings a run looks at, each sorted by name, single ones first.

    Parameters
    ----------
    names : sequence of str
        The log's attributes.
    intersections : int or sequence of sequences of names
        The highest order (1: single attributes only; 2: all pairs too), or the crossings themselves.

    Raises
    ------
    LogError
        An order below 1, an unknown attribute, or one that is crossed with itself.

    Examples
    --------
    >>> attribute_sets(["sex", "age"], 2)
    (('age',), ('sex',), ('age', 'sex'))
    """
    singles = [(name,) for name in sorted(names)]
    if isinstance(intersections, int):
        if intersections < 1:
            raise LogError(
                f"intersections is {intersections}; give 1 (none), 2 (pairs), 3, or lists of names."
            )
        orders = range(2, min(intersections, len(names)) + 1)
        return (*singles, *(crossed for order in orders for crossed in combinations(sorted(names), order)))
    crossings = set()
    for crossing in intersections:
        for name in crossing:
            if name not in names:
                near = get_close_matches(name, names, n=1)
                hint = f" Did you mean '{near[0]}'?" if near else ""
                raise LogError(
                    f"Intersection {list(crossing)} names '{name}', which is no attribute; "
                    f"they are: {', '.join(sorted(names))}.{hint}"
                )
        if len(set(crossing)) < len(crossing):
            raise LogError(f"Intersection {list(crossing)} names an attribute twice.")
        if len(crossing) > 1:
            crossings.add(tuple(sorted(crossing)))
    return (*singles, *sorted(crossings, key=lambda crossing: (len(crossing), crossing)))
