"""Slices: groups of rows named by attribute values, and which of them a run looks at."""

from __future__ import annotations

import json
from dataclasses import dataclass


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
