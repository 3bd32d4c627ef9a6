"""The organisation's logo: a picture beside the configuration, carried in the evidence as a data URI."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

from audit.errors import InputError

TYPES = {".png": ("image/png", b"\x89PNG\r\n\x1a\n"), ".jpg": ("image/jpeg", b"\xff\xd8\xff")}
MOST_BYTES = 500_000


def read_logo(name: str | None, root: Path) -> str | None:
    """The logo as a data URI, or None where none is configured.

    Raises
    ------
    InputError
        The file cannot be read, is too large, or is neither PNG nor JPEG (SVG can hold scripts).
    """
    if name is None:
        return None
    path = root / name
    kind = TYPES.get(path.suffix.lower().replace(".jpeg", ".jpg"))
    if kind is None:
        raise InputError(f"[report] logo '{name}' must be a PNG or JPEG file.")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"[report] logo '{name}' cannot be read: {error.strerror}.") from error
    media, opening = kind
    if not content.startswith(opening):
        raise InputError(f"[report] logo '{name}' is no {media} file, whatever its name says.")
    if len(content) > MOST_BYTES:
        raise InputError(
            f"[report] logo '{name}' has {len(content):,} bytes; at most {MOST_BYTES:,} fit a report."
        )
    return f"data:{media};base64,{b64encode(content).decode('ascii')}"
