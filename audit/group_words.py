"""Group words: a slice as the report calls it, for the sentences of the evidence.

The evidence keeps the log's values; its sentences are read by people and call them by their names.
"""

from __future__ import annotations

from collections.abc import Mapping

from audit.config import Config
from slices.said import Said, say


def value_words(config: Config, attribute: str, value: str | None) -> str:
    """An attribute's value by its name; a band in words; a missing one in words.

    Values of attributes that the configuration does not have stay as they are.
    """
    if value is None:
        return say("group.missing", "not recorded")
    known = next((item for item in config.attributes if item.name == attribute), None)
    if known is None:
        return value
    if value in known.names:
        return known.names[value]
    if known.bands is not None and value.startswith("["):
        low, _, high = value.strip("[)").partition(", ")
        return say("group.band", "{low} to <{high}", low=low, high=high)
    return value


def class_words(config: Config, klass: str) -> str:
    """A class by its name."""
    return config.classes.names.get(klass, klass)


def pair_words(config: Config, attribute: str, value: str | None) -> Said:
    """One attribute with its value: ``sex: women``."""
    return say(
        "group.pair", "{attribute}: {value}", attribute=attribute, value=value_words(config, attribute, value)
    )


def group_words(config: Config, values: Mapping[str, str | None], klass: str | None = None) -> Said:
    """A slice, and the class in it: ``sex: women · class atrial fibrillation``; all cases without either."""
    parts: list[str] = [pair_words(config, name, value) for name, value in values.items()]
    if klass is not None:
        parts.append(say("group.class", "class {klass}", klass=class_words(config, klass)))
    return say("group.parts", "{parts: · }", parts=parts or [say("group.all", "all cases")])
