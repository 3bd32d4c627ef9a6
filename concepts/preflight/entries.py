"""Entries of a zip archive: each in a place of its own, as it is, within the file. Nothing is read here."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence

from concepts.errors import ModelError

LOCAL_HEADER = 30  # bytes of an entry's own header, before its name


def check_entries(infos: Sequence[zipfile.ZipInfo], available: int, *, name: str, instead: str) -> None:
    """Refuse entries that would unpack to more than the file: compressed ones, and ones that share bytes.

    zipfile looks for shared bytes only from Python 3.11.8 and 3.12.2 on, and never for compression. What
    torch writes is stored as it is.

    Parameters
    ----------
    available : int
        The archive's size in bytes.
    instead : str
        What to do instead, for the message.

    Raises
    ------
    ModelError
        One line with the first such entry.
    """
    end = 0
    for info in sorted(infos, key=lambda one: one.header_offset):
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise ModelError(f"{name}: entry {info.filename[:80]!r} is compressed: refused; {instead}.")
        # An entry takes at least its header, its name and its bytes.
        taken = LOCAL_HEADER + len(info.orig_filename.encode()) + info.file_size
        if info.header_offset < end or info.header_offset + taken > available:
            raise ModelError(
                f"{name}: entry {info.filename[:80]!r} shares its bytes with another or reaches beyond the "
                f"file: refused; {instead}."
            )
        end = info.header_offset + taken
