"""Settings that are stated once, or for each class: resolved against the log's classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from audit.config import Config
from audit.config.models import LabelAccuracy
from audit.errors import InputError
from audit.wording import listed
from slices.counts import CountedLog

Stated = TypeVar("Stated")


def prevalence_by_class(config: Config, counted: CountedLog) -> dict[str | None, float]:
    """The stated prevalence of use of each class; empty where none is stated.

    Raises
    ------
    InputError
        One share for a log with several classes, or a class that the log does not have.
    """
    stated = config.statistics.target_prevalence
    return _by_class("target_prevalence", stated, counted, "give one share a class, in a table")


def accuracy_by_class(config: Config, counted: CountedLog) -> dict[str | None, LabelAccuracy]:
    """The stated accuracy of the labels of each class; empty where none is stated.

    Raises
    ------
    InputError
        One accuracy for a log with several classes, or a class that the log does not have.
    """
    stated = config.statistics.label_accuracy
    mend = "give sensitivity and specificity for each class, in a table of its own"
    return _by_class("label_accuracy", stated, counted, mend)


def _by_class(
    key: str, stated: Stated | Mapping[str, Stated] | None, counted: CountedLog, mend: str
) -> dict[str | None, Stated]:
    if stated is None:
        return {}
    classes = counted.space.classes
    named = listed([f"'{name}'" for name in classes if name is not None])
    if not isinstance(stated, Mapping):
        if classes != (None,):
            raise InputError(f"{key} is one for all, and the log has the classes {named}: {mend}.")
        return {None: stated}
    for name in stated:
        if name not in classes:
            has = f"has {named}" if named else "has two classes without a name"
            raise InputError(f"{key} names the class '{name}'; the log {has}.")
    return {**stated}
