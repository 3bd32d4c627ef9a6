"""SOURCE_DATE_EPOCH: the day that a build states (reproducible-builds.org); never the clock."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime

from audit.errors import InputError

NAME = "SOURCE_DATE_EPOCH"


def stated_day() -> date | None:
    """The day that the environment states, or None where it states none.

    Raises
    ------
    InputError
        It is set to something that is no number of seconds.
    """
    epoch = os.environ.get(NAME)
    if not epoch:
        return None
    try:
        return datetime.fromtimestamp(int(epoch), UTC).date()
    except (ValueError, OverflowError, OSError) as error:
        raise InputError(f"{NAME} is '{epoch}'; it must be a number of seconds since 1970.") from error


def check_epoch() -> None:
    """Refuse a wrong one before libraries are imported that read it themselves and fail (numpy.f2py).

    Raises
    ------
    InputError
    """
    if stated_day() is None:
        os.environ.pop(NAME, None)  # an empty one states nothing, and those libraries take it for a number
