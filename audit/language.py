"""Language: the catalogue of the report's texts, xaudit's own or a file beside the configuration."""

from __future__ import annotations

from pathlib import Path

from audit.errors import InputError
from reports.strings import Catalogue, load, translation


def read_catalogue(language: str, root: Path) -> Catalogue:
    """The texts that ``[report] language`` asks for: ``en``, or a translated catalogue's file name.

    Raises
    ------
    InputError
        The file cannot be read.
    RenderError
        It is not complete, or xaudit ships no such language.
    """
    if not language.endswith(".toml"):
        return load(language)
    try:
        raw = (root / language).read_bytes()
    except OSError as error:
        raise InputError(f"Report language '{language}' cannot be read: {error.strerror}.") from error
    return translation(raw, language)
