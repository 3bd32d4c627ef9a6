"""Roles: which column of the log means what. Declarations only; nothing is read here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["demographic", "acquisition", "other"]
Task = Literal["binary", "multiclass", "multilabel", "detection"]


@dataclass(frozen=True, slots=True)
class Attribute:
    """A column whose values define slices.

    ``bands`` are ascending cut points of a numeric column: ``(18, 40, 65)`` gives
    ``<18``, ``18-39``, ``40-64``, ``65+``; a band is closed below and open above.
    """

    name: str
    kind: Kind
    column: str
    bands: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """How the log says what the model decided.

    Exactly one of ``prediction`` (class names), ``score`` (with ``threshold`` and
    ``tie``) or ``scores`` (class name -> score column; the largest wins) is given.
    """

    prediction: str | None = None
    score: str | None = None
    scores: Mapping[str, str] | None = None
    threshold: float | None = None
    tie: Literal[">=", ">"] | None = None


@dataclass(frozen=True, slots=True)
class DetectionColumns:
    """Per-image counts of a detection or segmentation log; the image is the cluster."""

    tp: str
    fp: str
    fn: str
    tn: str | None = None


@dataclass(frozen=True, slots=True)
class LogSpec:
    """A prediction log and the roles of its columns.

    Attributes
    ----------
    path : str
        As configured: a file, a folder (Hive partitions are read) or a glob; relative to ``root``.
    root : Path
        Folder that relative paths start from.
    klass : str or None
        Multi-label logs in long form: the column that names the class of the row.
    missing : tuple of str
        Written values that count as missing, besides nulls; for every role.
    """

    path: str
    root: Path
    label: str | None
    decision: Decision
    attributes: tuple[Attribute, ...]
    positive: str | None = None
    klass: str | None = None
    cluster: str | None = None
    weight: str | None = None
    id: str | None = None
    baseline: Decision | None = None
    detection: DetectionColumns | None = None
    missing: tuple[str, ...] = ("",)
