"""Order: how the values of an attribute, and the classes, follow each other in evidence and reports."""

from __future__ import annotations

import re
from collections.abc import Mapping

from slices.counts import AttributeSummary

Part = tuple[int, float, str]


def in_order(summary: AttributeSummary, names: Mapping[str, str]) -> list[tuple[str, int]]:
    """Values with their rows: bands ascending; else as ``names`` lists them, the others after these.

    Parameters
    ----------
    summary : AttributeSummary
    names : mapping of str to str
        The configuration's names of values, in its order.
    """
    if summary.attribute.bands is not None:
        return list(summary.values)
    return sorted(summary.values, key=lambda item: place(item[0], names))


def place(value: str, names: Mapping[str, str]) -> tuple[int, tuple[Part, ...], str]:
    """Sort key: the named ones in the order of their names, then the others in natural order.

    >>> sorted(["10 mm", "9 mm", "none", "high"], key=lambda v: place(v, {"high": "High dose"}))
    ['high', '9 mm', '10 mm', 'none']
    """
    listed = list(names)
    return (listed.index(value) if value in names else len(listed)), natural(value), value


def natural(value: str) -> tuple[Part, ...]:
    """Digits compare as numbers: ``9`` before ``10``, ``0.05`` before ``0.10``, ``c5`` before ``c10``.

    >>> sorted(["0.35", "0.05", "-1", "1e3"], key=natural)
    ['-1', '0.05', '0.35', '1e3']
    """
    if re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", value):
        return ((0, float(value), ""),)
    parts = re.findall(r"[0-9]+(?:\.[0-9]+)?|[^0-9]+", value)
    return tuple((0, float(part), "") if part[0] in "0123456789" else (1, 0.0, part) for part in parts)
