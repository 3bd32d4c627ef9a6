"""Records: the statistics' results, one dataclass a table of the evidence. Data only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from slices.slicing import Slice

Quantity = Literal["value", "difference", "ratio"]


@dataclass(frozen=True, slots=True)
class Limits:
    """A value with its limits; any of them None where it is undefined."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """One metric of one slice and class.

    ``support`` is the denominator in rows (0: undefined), ``effective`` the denominator
    after clustering and weights, ``undefined`` the reason why value or limits are None. ``degrees``
    are those of the error between clusters (None: rows are the unit), ``error`` the standard error of a
    metric of scores.
    """

    metric: str
    value: float | None
    low: float | None
    high: float | None
    support: int
    method: str
    undefined: str | None = None
    effective: float | None = None
    design_effect: float | None = None
    clusters: int | None = None
    degrees: float | None = None
    error: float | None = None


@dataclass(frozen=True, slots=True)
class Disparity:
    """A slice against a comparator: difference = slice - comparator, ratio = slice / comparator.

    ``method`` is of the difference's limits, ``ratio_method`` of the ratio's (None: the same).
    ``comparator`` is the comparator's own estimate, ``p_adjusted`` Holm's, ``p_bh`` Benjamini and
    Hochberg's, ``detectable_gap`` the smallest gap that this log could have shown.
    """

    metric: str
    against: str
    difference: Limits
    ratio: Limits
    p_value: float | None
    p_adjusted: float | None
    method: str
    p_bh: float | None = None
    undefined: str | None = None
    detectable_gap: float | None = None
    comparator: Estimate | None = None
    ratio_method: str | None = None


@dataclass(frozen=True, slots=True)
class Simultaneous:
    """Limits that hold jointly over the family that the policy tests."""

    metric: str
    quantity: Quantity
    against: str | None
    low: float | None
    high: float | None
    level: float
    method: str


@dataclass(frozen=True, slots=True)
class SliceRecord:
    """All results of one slice and class (``klass`` None: binary, or pooled over classes)."""

    slice: Slice
    klass: str | None
    n: int
    clusters: int | None
    counts: tuple[int, int, int, int] | None
    failed_predictions: int
    unlabelled: int
    estimates: tuple[Estimate, ...]
    disparities: tuple[Disparity, ...]
    simultaneous: tuple[Simultaneous, ...]


@dataclass(frozen=True, slots=True)
class Tested:
    """One quantity that the policy tests: the unit of the simultaneous family.

    ``against`` is None for a value, "complement", or a reference value of the slice's one attribute.
    """

    slice: Slice
    klass: str | None
    metric: str
    quantity: Quantity
    against: str | None
