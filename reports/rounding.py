"""Rounding: numbers as printed. A printed number never contradicts the verdict it stands beside.

A number is printed with the least digits (from a stated start) that leave it on its own side of every
*barrier*: the rule's limit. Where no reasonable number of digits does, the text says so: ``<85%``. A share
that is not 0 or 1 is never printed as such: ``>99.9%``, without more digits than its neighbours have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Literal

Scale = Literal["percent", "points", "number", "difference"]
MOST_DIGITS = 5
MINUS = "\u2212"


@dataclass(frozen=True, slots=True)
class Style:
    """How numbers are written in a language; ``scale`` percent: shown times 100 with a sign after it.

    ``points``: a difference of shares, shown times 100, with its sign before it; ``difference``: one of
    other numbers, with its sign.
    """

    decimal: str = "."
    group: str = ","
    percent: str = "{}%"
    points: str = "{}\u00a0pts"


ENGLISH = Style()


def exact(value: float, scale: Scale) -> Decimal:
    """The number as shown, before rounding: shortest decimal form of the float, times 100 for shares."""
    number = Decimal(repr(float(value)))
    return number if scale in ("number", "difference") else number.scaleb(2)


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
    >>> shown(0.9997, scale="percent", digits=1), shown(0.00003, scale="percent", digits=1)
    ('>99.9%', '<0.1%')
    """
    number = exact(value, scale)
    walls = [exact(barrier, scale) for barrier in barriers]
    signed = scale in ("points", "difference")
    needed = digits_needed(number, digits, walls)
    end = None if needed is None or scale != "percent" else beyond_end(number, needed, walls)
    if end is not None:
        text = end[0] + grouped(end[1], decimals(end[1]), style)
    elif needed is not None:
        text = grouped(round_to(number, needed), needed, style, signed=signed)
    else:
        # The barrier that no rounding respects: the nearest one.
        wall = min(walls, key=lambda barrier: abs(barrier - number))
        places = max(digits, decimals(wall))
        sign = "<" if number < wall else ">"
        text = sign + grouped(round_to(wall, places), places, style, signed=signed)
    return unit(text, scale, style) if with_unit else text


def beyond_end(number: Decimal, digits: int, barriers: Sequence[Decimal]) -> tuple[str, Decimal] | None:
    """``>`` and the last number before 100, ``<`` and the first after 0; None where neither is near.

    For a percentage that would be rounded to 0 or 100 and is neither. More digits only where a barrier
    lies between that number and the end.
    """
    if not 0 < number < 100 or round_to(number, digits) not in (0, 100):
        return None
    upper = round_to(number, digits) == 100
    for places in range(digits, MOST_DIGITS + 1):
        if round_to(number, places) not in (0, 100):
            return None if places == digits else ("", round_to(number, places))
        step = Decimal(1).scaleb(-places)
        edge = 100 - step if upper else step
        if not any(edge < wall < 100 if upper else 0 < wall < edge for wall in barriers):
            break
    return (">" if upper else "<"), edge


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
