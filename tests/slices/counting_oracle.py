"""The slow way to count a log: a loop over dictionaries, written without reading the engine."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations

Row = dict[str, str | None]
Key = tuple[tuple[str, str | None], ...]

CELL = {(True, True): 0, (False, True): 1, (True, False): 2, (False, False): 3}


def present(row: Row, column: str) -> str | None:
    return row.get(column) or None


def crossings(names: list[str], order: int) -> list[tuple[str, ...]]:
    return [c for k in range(order + 1) for c in combinations(sorted(names), k)]


def slices_of(rows: list[Row], names: list[str], order: int) -> list[Key]:
    return sorted(
        {tuple((n, present(r, n)) for n in c) for c in crossings(names, order) for r in rows}, key=repr
    )


def in_slice(row: Row, key: Key) -> bool:
    return all(present(row, name) == value for name, value in key)


def in_complement(row: Row, key: Key) -> bool:
    return not in_slice(row, key) and all(present(row, name) is not None for name, _ in key)


def is_counted(row: Row) -> bool:
    return present(row, "label") is not None and present(row, "prediction") is not None


def cell(row: Row) -> int:
    return CELL[row["label"] == "1", row["prediction"] == "1"]


def counts(rows: list[Row]) -> list[int]:
    found = [0, 0, 0, 0]
    for row in rows:
        if is_counted(row):
            found[cell(row)] += 1
    return found


def cluster_vectors(rows: list[Row], key: Key) -> list[tuple[int, ...]]:
    """Sorted count vectors of all clusters: four cells inside, four outside."""
    vectors: dict[object, list[int]] = defaultdict(lambda: [0] * 8)
    for number, row in enumerate(rows):
        if is_counted(row):
            vector = vectors[present(row, "cluster") or number]
            if in_slice(row, key):
                vector[cell(row)] += 1
            elif in_complement(row, key):
                vector[4 + cell(row)] += 1
    return sorted(tuple(v) for v in vectors.values())
