"""Reads recordings (the layout is described in ``concepts.recorder``). Nothing is written here."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from concepts.errors import ConceptError

FORMAT = 1
MANIFEST = "recording.json"
PART = re.compile(r"[A-Za-z0-9_-]+\.(safetensors|parquet)")
Matrix = np.ndarray[tuple[int, int], np.dtype[np.float32]]
Rows = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Recording:
    """Activations and gradients logged elsewhere; entry i of every list is image i.

    ``sets``: None for an image of the log, "random" for the pool, else a concept's name. ``activations``
    layer -> float32 (n, d); ``gradients`` layer -> class -> (rows, float32 (len(rows), d)). ``sha256`` is
    over the manifest and the parts.
    """

    ids: tuple[str, ...]
    labels: tuple[str | None, ...]
    sets: tuple[str | None, ...]
    layers: Mapping[str, int]
    outputs: tuple[str, ...]
    pooling: str
    activations: Mapping[str, Matrix]
    gradients: Mapping[str, Mapping[str, tuple[Rows, Matrix]]]
    weights_sha256: str | None
    sha256: str


@dataclass(frozen=True, slots=True)
class Part:
    """One part file, as read."""

    ids: list[str]
    labels: list[str | None]
    sets: list[str | None]
    activations: dict[str, Matrix]
    gradients: dict[tuple[str, str], tuple[Rows, Matrix]]  # (layer, class)


def read_recording(folder: Path) -> Recording:
    """Read a recording whole into memory.

    Raises
    ------
    ConceptError
        The folder holds no finished recording; a part is missing, damaged or does not follow the layout; an
        image occurs twice in a set; a number is not finite.
    """
    layers, outputs, manifest = _read_manifest(folder)
    digest = hashlib.sha256((folder / MANIFEST).read_bytes())
    parts: list[Part] = []
    for name in manifest["parts"]:  # type: ignore[attr-defined]
        if not isinstance(name, str) or not PART.fullmatch(name):
            raise ConceptError(f"{folder / MANIFEST} names a part {name!r}; expected a file name beside it.")
        path = folder / name
        try:
            digest.update(path.read_bytes())
        except OSError as error:
            raise ConceptError(
                f"Recording part {path} cannot be read: {error.strerror}; copy the whole recording."
            ) from error
        read = _read_safetensors if path.suffix == ".safetensors" else _read_parquet
        try:
            part = read(path, layers, outputs)
        except ConceptError:
            raise
        except Exception as error:  # a damaged file fails in many ways
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise ConceptError(f"Recording part {path} does not follow the layout: {reason}") from error
        _check_part(part, path, layers)
        parts.append(part)
    ids = tuple(key for part in parts for key in part.ids)
    sets = tuple(name for part in parts for name in part.sets)
    if not ids:
        raise ConceptError(f"Recording {folder} holds no image.")
    seen: set[tuple[str | None, str]] = set()
    for key in zip(sets, ids, strict=True):
        if key in seen:
            where = "the log's images" if key[0] is None else f"set {key[0]!r}"
            raise ConceptError(f"Recording {folder} holds image {key[1]!r} twice in {where}; record it once.")
        seen.add(key)
    weights = manifest["weights_sha256"]
    return Recording(
        ids=ids,
        labels=tuple(label for part in parts for label in part.labels),
        sets=sets,
        layers=layers,
        outputs=outputs,
        pooling=str(manifest["pooling"]),
        activations={layer: np.concatenate([part.activations[layer] for part in parts]) for layer in layers},
        gradients=_join_gradients(parts, layers, outputs),
        weights_sha256=None if weights is None else str(weights),
        sha256=digest.hexdigest(),
    )


def _read_manifest(folder: Path) -> tuple[dict[str, int], tuple[str, ...], dict[str, object]]:
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConceptError(
            f"Folder {folder} holds no finished recording ({MANIFEST}: {error.strerror}); "
            "leave the recorder's `with` block without an error first."
        ) from error
    except ValueError as error:
        raise ConceptError(f"{path} is not JSON: {error}") from error
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        raise ConceptError(f"{path} is of recording format {found!r}; this version reads format {FORMAT}.")
    layers, outputs = manifest.get("layers"), manifest.get("outputs")
    fits = (
        isinstance(layers, dict)
        and bool(layers)
        and all(isinstance(width, int) and width > 0 for width in layers.values())
        and isinstance(outputs, list)
        and all(isinstance(name, str) for name in outputs)
        and isinstance(manifest.get("parts"), list)
        and manifest.get("pooling") in ("flatten", "mean", "class_token")
        and isinstance(manifest.get("weights_sha256"), (str, type(None)))
        and "weights_sha256" in manifest
    )
    if not fits:
        raise ConceptError(
            f"{path} lacks or misstates one of layers, outputs, pooling, weights_sha256, parts; "
            "see the layout in the documentation of concepts.recorder."
        )
    return layers, tuple(outputs), manifest


def _read_safetensors(path: Path, layers: Mapping[str, int], outputs: tuple[str, ...]) -> Part:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as opened:
        names = set(opened.keys())
        texts = opened.metadata() or {}
        activations = {layer: opened.get_tensor(f"activations/{layer}") for layer in layers}
        gradients = {
            (layer, name): (opened.get_tensor(f"rows/{name}"), opened.get_tensor(f"gradients/{layer}/{name}"))
            for layer in layers
            for name in outputs
            if f"gradients/{layer}/{name}" in names
        }
    images = json.loads(texts["images"])
    ids, labels, sets = (images[key] for key in ("ids", "labels", "sets"))
    return Part(ids, labels, sets, activations, gradients)


def _read_parquet(path: Path, layers: Mapping[str, int], outputs: tuple[str, ...]) -> Part:
    import pyarrow.parquet as pq

    # Read as a file, so that a folder's name is never taken for a partition.
    table = pq.ParquetFile(path).read()

    def matrix(column: str, width: int) -> tuple[Rows, Matrix]:
        lists = table[column].combine_chunks()
        rows = np.flatnonzero(lists.is_valid().to_numpy(zero_copy_only=False))
        values = lists.drop_null().flatten().to_numpy(zero_copy_only=False)
        lengths = set(lists.drop_null().value_lengths().to_pylist())
        if lengths - {width}:
            raise ConceptError(f"{path}: {column} holds lists of {sorted(lengths)} values, expected {width}.")
        return rows, values.reshape(len(rows), width)

    activations = {}
    for layer, width in layers.items():
        rows, activations[layer] = matrix(f"activations/{layer}", width)
        if len(rows) != table.num_rows:
            raise ConceptError(f"{path}: activations/{layer} is null for some images.")
    gradients = {
        (layer, name): matrix(f"gradients/{layer}/{name}", width)
        for layer, width in layers.items()
        for name in outputs
        if f"gradients/{layer}/{name}" in table.column_names
    }
    ids, labels, sets = (table[key].to_pylist() for key in ("id", "label", "set"))
    return Part(ids, labels, sets, activations, gradients)


def _check_part(part: Part, path: Path, layers: Mapping[str, int]) -> None:
    count = len(part.ids)
    texts_fit = (
        len(part.labels) == len(part.sets) == count
        and all(isinstance(key, str) for key in part.ids)
        and all(isinstance(text, (str, type(None))) for text in (*part.labels, *part.sets))
    )
    if not texts_fit:
        raise ConceptError(
            f"{path}: ids, labels and sets must be one text an image (labels, sets may be null)."
        )
    for layer, width in layers.items():
        _check_matrix(part.activations[layer], (count, width), f"{path}: activations/{layer}")
    for (layer, name), (rows, values) in part.gradients.items():
        _check_matrix(values, (len(rows), layers[layer]), f"{path}: gradients/{layer}/{name}")
        if (
            rows.dtype != np.int64
            or len(set(rows.tolist())) != len(rows)
            or not set(rows.tolist()) <= set(range(count))
        ):
            raise ConceptError(f"{path}: rows/{name} must be distinct row numbers below {count}.")


def _check_matrix(values: Matrix, shape: tuple[int, int], where: str) -> None:
    if values.dtype != np.float32 or values.shape != shape:
        raise ConceptError(
            f"{where} is {values.dtype} {list(values.shape)}, "
            f"expected float32 {list(shape)} (images, values)."
        )
    if not np.isfinite(values).all():
        raise ConceptError(f"{where} holds a number that is not finite; record again in float32.")


def _join_gradients(
    parts: list[Part], layers: Mapping[str, int], outputs: tuple[str, ...]
) -> dict[str, dict[str, tuple[Rows, Matrix]]]:
    """Gradients of all parts, with rows counted over the whole recording."""
    starts = np.cumsum([0, *(len(part.ids) for part in parts)])
    joined: dict[str, dict[str, tuple[Rows, Matrix]]] = {layer: {} for layer in layers}
    for layer in layers:
        for name in outputs:
            found = [
                (start + part.gradients[layer, name][0], part.gradients[layer, name][1])
                for start, part in zip(starts, parts, strict=False)
                if (layer, name) in part.gradients
            ]
            if found:
                rows = np.concatenate([rows for rows, _ in found])
                joined[layer][name] = (rows, np.concatenate([values for _, values in found]))
    return joined
