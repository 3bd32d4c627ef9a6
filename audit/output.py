"""Output: a folder of documents, written beside its target and moved into place whole.

A killed run leaves the old report or none, never half of one. A folder that holds anything
but a report of ours is never touched.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from audit.errors import InputError

MANIFEST = "manifest.json"


def check_target(target: Path) -> None:
    """Refuse a target that could not be written or must not be replaced; asked before the work begins.

    Raises
    ------
    InputError
        The target is a file, holds files that no manifest of ours names, or its parent cannot be written.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InputError(
            f"Output '{target}' is not a folder; name one that is new, empty or an older report."
        )
    if target.is_dir():
        foreign = _foreign(target)
        if foreign is not None:
            raise InputError(
                f"Output folder '{target}' holds '{foreign}', which is no part of a report of xaudit; "
                "name a folder that is new, empty or an older report."
            )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".xaudit-", dir=target.parent):
            pass
    except OSError as error:
        raise InputError(f"Output folder '{target}' cannot be written: {error.strerror}.") from error


def _foreign(target: Path) -> str | None:
    """The first file below a folder that no manifest names, or None."""
    named: dict[Path, set[str]] = {}
    for path in sorted(target.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        folder = _sealed(path, target)
        if folder not in named:
            named[folder] = _listed(folder)
        name = path.relative_to(folder).as_posix()
        if name != MANIFEST and name not in named[folder]:
            return path.relative_to(target).as_posix()
    return None


def _sealed(path: Path, top: Path) -> Path:
    """The folder whose manifest answers for a file: the nearest that has one, at most ``top``."""
    return next(folder for folder in path.parents if folder == top or (folder / MANIFEST).is_file())


def _listed(target: Path) -> set[str]:
    """The names in a folder's manifest; none where there is no manifest that can be read."""
    try:
        manifest = json.loads((target / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return set()
    return set(manifest) if isinstance(manifest, dict) else set()


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """A new folder beside the target, to be filled; on leaving it takes the target's place.

    Its manifest is written last. If the block raises, nothing is moved and the folder is removed.

    Raises
    ------
    InputError
        The folder cannot be written.
    """
    check_target(target)
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.xaudit-", dir=target.parent))
    except OSError as error:
        raise InputError(f"Output folder '{target}' cannot be written: {error.strerror}.") from error
    try:
        yield folder
        try:
            write_manifest(folder)
            folder.chmod(0o777 & ~_umask())
            _replace(folder, target)
        except OSError as error:
            raise InputError(f"Output folder '{target}' cannot be written: {error.strerror}.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_documents(folder: Path, documents: Mapping[str, bytes]) -> None:
    """Write documents into a folder; a name may hold subfolders.

    Raises
    ------
    InputError
        The disk refuses.
    """
    try:
        for name, content in documents.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    except OSError as error:
        raise InputError(f"Output '{folder / name}' cannot be written: {error.strerror}.") from error


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file that a folder's own manifest answers for, by name."""
    return {
        name: sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and _sealed(path, folder) == folder
        and (name := path.relative_to(folder).as_posix()) != MANIFEST
    }


def write_manifest(folder: Path) -> None:
    """Write a folder's manifest; files of a subfolder that has one of its own are left to that."""
    text = json.dumps(hashes(folder), indent=1, sort_keys=True, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _replace(folder: Path, target: Path) -> None:
    """Move ``folder`` to ``target``. Between the two renames there is no report at all, never half of one."""
    if not target.exists():
        folder.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.xaudit-old-", dir=target.parent))
    target.rename(old / "report")
    try:
        folder.rename(target)
    except OSError:
        (old / "report").rename(target)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _umask() -> int:
    """The process's file mask; mkdtemp makes folders that only their owner can read."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def verify(folder: Path) -> list[str]:
    """What in a report folder is not as its manifest says: changed, missing or foreign files. Empty: intact.

    Raises
    ------
    InputError
        The folder has no manifest that can be read.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except OSError as error:
        raise InputError(
            f"Folder '{folder}' has no {MANIFEST} that can be read: {error.strerror}."
        ) from error
    except ValueError as error:
        raise InputError(f"'{folder / MANIFEST}' is not valid JSON: {error}.") from error
    if not isinstance(manifest, dict):
        raise InputError(f"'{folder / MANIFEST}' is not a manifest of xaudit: it must map names to SHA-256.")
    found = hashes(folder)
    problems = [f"{name} is missing" for name in sorted(set(manifest) - set(found))]
    problems += [f"{name} is not in the manifest" for name in sorted(set(found) - set(manifest))]
    problems += [
        f"{name} was changed" for name in sorted(set(found) & set(manifest)) if found[name] != manifest[name]
    ]
    return problems
