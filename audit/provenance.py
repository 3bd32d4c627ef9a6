"""Provenance: the hashes of everything that was read, and the versions of what computed.

Never a clock time, an absolute path, a host, a user, a thread count or a time zone:
two runs of the same inputs give the same bytes.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import audit
from audit.config import Loaded
from audit.epoch import stated_day
from audit.from_flags import shown_path
from audit.lock import ReadLock
from audit.since import Previous
from concepts.records import ConceptStage
from reports.evidence import Input
from slices.counts import InputFile

# The libraries whose numbers or bytes enter the evidence and the documents.
LIBRARIES = ("numpy", "scipy", "pyarrow", "statsmodels", "scikit-learn", "weasyprint")
MODEL_LIBRARIES = ("torch", "safetensors", "Pillow")


def environment(*, with_model: bool) -> dict[str, str]:
    """Versions of Python and of the libraries, and the processor's architecture.

    ``with_model`` adds the libraries that the concept tests run on.
    """
    found = {"python": platform.python_version(), "architecture": platform.machine(), "system": sys.platform}
    for name in LIBRARIES + (MODEL_LIBRARIES if with_model else ()):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def xaudit_version() -> str:
    """The version of xaudit that ran."""
    return audit.__version__


def inputs(
    loaded: Loaded,
    files: Sequence[InputFile],
    stage: ConceptStage | None,
    *,
    lock: ReadLock | None = None,
    previous: Previous | None = None,
) -> list[Input]:
    """Everything that was read, with its role, its path as configured and its SHA-256."""
    read = [
        Input(role="log", path=shown_path(file.path), sha256=file.sha256, rows=file.rows) for file in files
    ]
    if loaded.name is not None and loaded.sha256 is not None:
        read.append(Input(role="configuration", path=loaded.name, sha256=loaded.sha256))
    if lock is not None:
        read.append(Input(role="lock", path=shown_path(lock.path), sha256=lock.sha256))
    if previous is not None:
        read.append(Input(role="previous", path=shown_path(previous.path), sha256=previous.sha256))
    model, concepts = loaded.config.model, loaded.config.concepts
    if stage is None or model is None or concepts is None:
        return read
    if stage.weights_sha256 is not None:
        name = shown_path(model.weights or "not stated")
        read.append(Input(role="weights", path=name, sha256=stage.weights_sha256))
    if stage.recording_sha256 is not None:
        path = shown_path(concepts.recorded or "not stated")
        read.append(Input(role="recording", path=path, sha256=stage.recording_sha256))
    folders = {concept.name: concept.folder for concept in concepts.concept}
    for images in stage.sets:
        folder = folders.get(images.name)
        if folder is not None:
            read.append(
                Input(role="concept", path=shown_path(folder), sha256=images.sha256, rows=images.images)
            )
        elif images.name not in folders and concepts.random is not None:
            read.append(
                Input(
                    role="random", path=shown_path(concepts.random), sha256=images.sha256, rows=images.images
                )
            )
    return read


def stated_date(loaded: Loaded) -> str | None:
    """The report's date: from the configuration, else SOURCE_DATE_EPOCH, else none. Never the clock.

    Raises
    ------
    InputError
        SOURCE_DATE_EPOCH is set to something that is no number of seconds.
    """
    if loaded.config.subject.date is not None:
        return loaded.config.subject.date
    day = stated_day()
    return None if day is None else day.isoformat()
