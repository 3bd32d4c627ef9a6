"""Impact ratios in the layout of New York City's rules on automated employment decision tools.

Belongs here: selection and scoring rates per category, the ratio to the highest rate, small and
unknown categories. Does not: verdicts (the four-fifths rule is a policy's ``ratio_at_least``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from slices.intervals import koopman

Rate = Literal["selection_rate", "scoring_rate"]

SMALL_SHARE = 0.02
# Below 1.0% a tenth of a percent is more than a tenth of the rate itself.
COARSE_BELOW = 0.01


@dataclass(frozen=True, slots=True)
class ImpactRow:
    """One category of the table.

    Attributes
    ----------
    category : tuple of str
        One name, or one per attribute for an intersectional category.
    number, selected : int
        People assessed; selected, or scored above the median.
    rate : float
        ``selected / number``; in a weighted log the weighted share.
    ratio : float or None
        To the highest rate, unrounded; None where the category is left out of the ratios or the
        highest rate is 0.
    printed : float or None
        The ratio as the rules' examples print it: of rates rounded to a tenth of a percent, to
        two decimals. Where the highest rate is below 1.0% so rounded, of the rates themselves: a tenth
        of a percent is no rounding error there.
    low, high : float or None
        Koopman's limits of the ratio, from effective numbers where those are given; None for the
        category with the highest rate itself.
    small : bool
        Below 2% of the data: the auditor may leave it out of the ratios, with a justification.
    """

    category: tuple[str, ...]
    number: int
    selected: int
    rate: float
    ratio: float | None
    printed: float | None
    low: float | None
    high: float | None
    small: bool


@dataclass(frozen=True, slots=True)
class ImpactTable:
    """The table of one attribute, or of several crossed.

    ``unknown``: people assessed whose category is not known (in no row). ``justification``: why the
    small categories are left out of the ratios; None where they take part.
    """

    rows: tuple[ImpactRow, ...]
    unknown: int
    highest: tuple[str, ...] | None
    justification: str | None
    confidence: float


def impact_table(
    categories: Sequence[tuple[str, ...]],
    number: NDArray[np.int64],
    selected: NDArray[np.int64],
    *,
    unknown: int = 0,
    justification: str | None = None,
    effective: NDArray[np.float64] | None = None,
    rates: NDArray[np.float64] | None = None,
    confidence: float = 0.95,
) -> ImpactTable:
    """Rates and impact ratios of the categories, in the order given.

    Parameters
    ----------
    categories : sequence of tuples of str
        Names; one element each, or one per attribute for the intersectional table. Categories
        without a person are left out: they have no rate.
    number, selected : int64 arrays, shape (categories,)
        People assessed, and selected (or scored above the sample median, see `above`).
    unknown : int
        People assessed with a missing category; counted, never in a rate. They are part of the
        data that the 2% refers to.
    justification : str, optional
        If given, categories below 2% of the data take no part in the ratios (their number and
        rate are still shown) and the table carries this text, as section 5-301(d) requires.
    effective : float64 array, shape (categories,), optional
        People over the design effect, where several rows stand for one person; the limits rest on
        these. None: every row is a person of its own.
    rates : float64 array, shape (categories,), optional
        Weighted rates, in place of ``selected / number``; the limits rest on ``effective``.

    Raises
    ------
    ValueError
        A category has more people selected than assessed.

    Notes
    -----
    The highest rate is a maximum of noisy rates, taken as it stands, since the rules ask for it; the
    limits hold for the comparison with that category as if it had been named beforehand. They take
    two categories as independent; a person with rows in both makes them wider than need be.

    References
    ----------
    6 RCNY section 5-301 (Bias Audit), in particular (b), (c) and (d) and their examples; section
    5-300 (definitions of selection rate, scoring rate, impact ratio).
    """
    if np.any(selected > number):
        worst = int(np.argmax(selected - number))
        raise ValueError(
            f"category {categories[worst]}: {selected[worst]} selected of {number[worst]}: count people once"
        )
    total = int(number.sum()) + unknown
    people = [int(i) for i in np.flatnonzero(number > 0)]
    small = number < SMALL_SHARE * total
    taking_part = [i for i in people if justification is None or not small[i]]
    rate = np.divide(selected, number, out=np.zeros(number.size), where=number > 0)
    rate = rate if rates is None else rates
    best = max(taking_part, key=lambda i: (rate[i], number[i]), default=None)
    if best is not None and rate[best] == 0:
        best = None
    size = number.astype(np.float64) if effective is None else np.minimum(effective, number)
    rows = tuple(
        _row(categories[i], i, (number, selected), rate, size, best if i in taking_part else None, confidence)
        for i in people
    )
    rows = tuple(replace(row, small=bool(small[i])) for row, i in zip(rows, people, strict=True))
    return ImpactTable(rows, unknown, None if best is None else categories[best], justification, confidence)


def above(scores: NDArray[np.float64], median: float) -> NDArray[np.bool_]:
    """Who scored above the sample's median: the scoring rate's numerator (section 5-300)."""
    return np.asarray(scores > median)


def _row(
    category: tuple[str, ...],
    at: int,
    people: tuple[NDArray[np.int64], NDArray[np.int64]],
    rate: NDArray[np.float64],
    size: NDArray[np.float64],
    best: int | None,
    confidence: float,
) -> ImpactRow:
    number, selected = (int(each[at]) for each in people)
    row = ImpactRow(category, number, selected, float(rate[at]), None, None, None, None, small=False)
    if best is None:
        return row
    if at == best:
        return replace(row, ratio=1.0, printed=1.0)
    highest = float(rate[best])
    low, high = koopman(row.rate * size[at], size[at], highest * size[best], size[best], 1 - confidence)
    return replace(
        row,
        ratio=row.rate / highest,
        printed=_printed(row.rate, highest),
        low=float(low),
        high=float(high),
    )


def _printed(rate: float, highest: float) -> float:
    """The ratio to two decimals, of rates in tenths of a percent unless those are too coarse."""
    if round(highest, 3) < COARSE_BELOW:
        return round(rate / highest, 2)
    return round(round(rate, 3) / round(highest, 3), 2)
