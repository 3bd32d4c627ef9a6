"""Rounding: numbers as printed. A printed number never contradicts the verdict it stands beside.

A number is printed with the least digits (from a stated start) that leave it on its own side of every
*barrier*: the rule's limit, and 0 and 1 for a share, so that 99.97% is never printed as 100%. Where
no reasonable number of digits does, the text says so: ``<85%``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Literal

Scale = Literal["percent", "points", "number"]
MOST_DIGITS = 5
MINUS = "\u2212"


@dataclass(frozen=True, slots=True)
class Style:
    """How numbers are written in a language; ``scale`` percent: shown times 100 with a sign after it.

    ``points``: a difference of shares, shown times 100, with its sign before it.
    """

    decimal: str = "."
    group: str = ","
    percent: str = "{}%"
    points: str = "{}\u00a0pts"


ENGLISH = Style()


def exact(value: float, scale: Scale) -> Decimal:
    """The number as shown, before rounding: shortest decimal form of the float, times 100 for shares."""
    number = Decimal(repr(float(value)))
    return number if scale == "number" else number.scaleb(2)


def round_to(number: Decimal, digits: int) -> Decimal:
    """Rounded half to even at ``digits`` decimals; no negative zero."""
    rounded = number.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_EVEN)
    return abs(rounded) if rounded == 0 else rounded


def side(number: Decimal, barrier: Decimal) -> int:
    """-1 below the barrier, 0 on it, 1 above it."""
    return (number > barrier) - (number < barrier)


def digits_needed(number: Decimal, start: int, barriers: Sequence[Decimal]) -> int | None:
    """Least digits from ``start`` that keep ``number`` on its side of every barrier; None: too many."""
    for digits in range(start, MOST_DIGITS + 1):
        rounded = round_to(number, digits)
        if all(side(rounded, barrier) == side(number, barrier) for barrier in barriers):
            return digits
    return None


def grouped(number: Decimal, digits: int, style: Style, *, signed: bool = False) -> str:
    """``1,234.5`` in the language's signs; a typographic minus; ``+`` before positive differences."""
    text = f"{abs(number):,.{digits}f}".replace(",", "\x00").replace(".", style.decimal)
    text = text.replace("\x00", style.group)
    if number < 0:
        return MINUS + text
    return "+" + text if signed and number > 0 else text


def unit(text: str, scale: Scale, style: Style) -> str:
    """The number's text with its unit."""
    if scale == "percent":
        return style.percent.format(text)
    return style.points.format(text) if scale == "points" else text


def shown(
    value: float,
    *,
    scale: Scale,
    digits: int,
    barriers: Sequence[float] = (),
    style: Style = ENGLISH,
    with_unit: bool = True,
) -> str:
    """One number as printed.

    Parameters
    ----------
    value : float
        Finite.
    digits : int
        Decimals to start from; more where a barrier asks for them.
    barriers : sequence of float
        Limits, in the unit of ``value``, whose side the printed number must keep.

    Examples
    --------
    >>> shown(0.8497, scale="percent", digits=0, barriers=[0.85])
    '84.97%'
    >>> shown(0.84999999, scale="percent", digits=0, barriers=[0.85])
    '<85%'
    """
    number = exact(value, scale)
    walls = [exact(barrier, scale) for barrier in barriers]
    if scale == "percent":
        walls += [Decimal(0), Decimal(100)]
    signed = scale == "points"
    needed = digits_needed(number, digits, walls)
    if needed is not None:
        text = grouped(round_to(number, needed), needed, style, signed=signed)
    else:
        # The barrier that no rounding respects: the nearest one.
        wall = min(walls, key=lambda barrier: abs(barrier - number))
        places = max(digits, decimals(wall))
        sign = "<" if number < wall else ">"
        text = sign + grouped(round_to(wall, places), places, style, signed=signed)
    return unit(text, scale, style) if with_unit else text


def decimals(number: Decimal) -> int:
    """Digits after the point that ``number`` needs, at most twelve."""
    exponent = number.normalize().as_tuple().exponent
    return min(12, max(0, -exponent)) if isinstance(exponent, int) else 0


def limit_text(limit: float, *, scale: Scale, style: Style = ENGLISH) -> str:
    """A rule's limit: exactly as configured, never rounded, without a sign before it."""
    number = exact(limit, scale)
    text = grouped(number, decimals(number), style)
    return unit(text, scale, style)


def interval_text(
    low: float,
    high: float,
    *,
    scale: Scale,
    digits: int,
    barriers: Sequence[float] = (),
    style: Style = ENGLISH,
    joiner: str,
) -> str:
    """Both limits with one unit; ``joiner`` is the language's word between them (" to ").

    >>> interval_text(0.7, 0.8496, scale="percent", digits=0, barriers=[0.85], joiner=" to ")
    '70 to 84.96%'
    """
    first = shown(low, scale=scale, digits=digits, barriers=barriers, style=style, with_unit=False)
    last = shown(high, scale=scale, digits=digits, barriers=barriers, style=style)
    return f"{first}{joiner}{last}"


def whole(number: int, style: Style = ENGLISH) -> str:
    """A count: ``12,037``."""
    return grouped(Decimal(number), 0, style)


def hashed(sha256: str, length: int = 12) -> str:
    """The first characters of a hash: enough to compare by eye, the whole stands in the provenance."""
    return sha256[:length]
