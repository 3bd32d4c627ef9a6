"""The base of every table of the configuration, and how a mistake across keys is raised."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from difflib import get_close_matches
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

Text = Annotated[str, Field(min_length=1)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


def iso_day(text: str) -> str:
    """A day of the calendar, written YYYY-MM-DD."""
    try:
        written = date.fromisoformat(text).isoformat()
    except ValueError:
        written = ""
    if written != text:
        raise wrong(f"found '{text}', which is no day of the calendar: write YYYY-MM-DD")
    return text


Day = Annotated[str, AfterValidator(iso_day)]


class Table(BaseModel):
    """A table of the configuration: closed (an unknown key is bad input), immutable, no coercion."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)


def wrong(message: str) -> PydanticCustomError:
    """A mistake that only several keys together make; ``message`` is told as it is."""
    return PydanticCustomError("xaudit", "{message}", {"message": message})


def not_among(known: Sequence[str], found: str, what: str) -> str:
    """The tail of a message about a name that is not among the known ones."""
    near = get_close_matches(found, known, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    listed = ", ".join(known) if known else "none"
    return f", which is not {what}; there is: {listed}.{hint}"
