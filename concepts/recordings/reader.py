"""Reads recordings (the layout is described in ``concepts.recordings.recorder``). Nothing is written here."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from concepts.cache.mapped import Matrix, place
from concepts.errors import ConceptError
from concepts.recordings.parts import Nullable, Part, Rows, column, open_part

FORMAT = 2
READABLE = (1, 2)
HEX = re.compile(r"[0-9a-f]{64}")
MANIFEST = "recording.json"
PART = re.compile(r"[A-Za-z0-9_-]+\.(safetensors|parquet)")


@dataclass(frozen=True, slots=True)
class Recording:
    """Activations and gradients logged elsewhere; entry i of every list is image i. They stay on disk.

    ``sets``: None for an image of the log, "random" for the pool, else a concept's name. ``inputs``: a hash
    of what the network was given, None where none was recorded. ``digests``: one SHA-256 an image, over its
    activations at all layers; they depend on the size of the batch that the image ran in.
    ``differentiated``: (layer, class) -> the images with gradients. ``sha256`` is over the manifest and the
    parts.
    """

    ids: tuple[str, ...]
    labels: tuple[str | None, ...]
    sets: tuple[str | None, ...]
    inputs: tuple[str | None, ...]
    digests: tuple[str, ...]
    layers: Mapping[str, int]
    outputs: tuple[str, ...]
    pooling: str
    differentiated: Mapping[tuple[str, str], Rows]
    weights_sha256: str | None
    sha256: str
    logit_range: tuple[float, float] | None  # least and greatest of all logits, where the recorder says
    parts: tuple[tuple[int, Part], ...]  # the place of the part's first image, and the part

    def activations(self, layer: str, images: Sequence[int]) -> Matrix:
        """Activations of some images, shape (len(images), values); mapped from a file where large."""
        return self._gather(layer, None, images)

    def gradients(self, layer: str, klass: str, images: Sequence[int]) -> Matrix:
        """Gradients of the class's logit; every image must be among those ``differentiated``."""
        return self._gather(layer, klass, images)

    def _gather(self, layer: str, klass: str | None, images: Sequence[int]) -> Matrix:
        width = self.layers[layer]
        with tempfile.TemporaryDirectory(prefix="xaudit-recording-", ignore_cleanup_errors=True) as folder:
            return place(self._blocks(layer, klass), images, width, Path(folder) / "rows.npy")

    def _blocks(self, layer: str, klass: str | None) -> Iterator[tuple[Rows, Matrix]]:
        for start, part in self.parts:
            if column(layer, klass) in part.names:
                for rows, values in part.blocks(layer, klass, self.layers[layer]):
                    yield rows + start, values


def read_recording(folder: Path) -> Recording:
    """Read a recording through once: its images, and whether every number is sound.

    Raises
    ------
    ConceptError
        The folder holds no finished recording; a part is missing, damaged or does not follow the layout; an
        image occurs twice in a set; a number is not finite.
    """
    layers, outputs, manifest = _read_manifest(folder)
    digest = hashlib.sha256((folder / MANIFEST).read_bytes())
    ids: list[str] = []
    labels: list[str | None] = []
    sets: list[str | None] = []
    inputs: list[str | None] = []
    digests: list[str] = []
    rows: dict[tuple[str, str], list[Rows]] = {}
    parts: list[tuple[int, Part]] = []
    for name in manifest["parts"]:  # type: ignore[attr-defined]
        if not isinstance(name, str) or not PART.fullmatch(name):
            raise ConceptError(f"{folder / MANIFEST} names a part {name!r}; expected a file name beside it.")
        path = folder / name
        try:
            with path.open("rb") as file:
                while piece := file.read(2**20):
                    digest.update(piece)
        except OSError as error:
            raise ConceptError(
                f"Recording part {path} cannot be read: {error.strerror}; copy the whole recording."
            ) from error
        part, start = open_part(path), len(ids)
        try:
            texts = part.texts()
            _check_texts(path, *texts)
            digests += _read_activations(part, layers, len(texts[0]))
            for key, found in _read_gradients(part, layers, outputs, len(texts[0])).items():
                rows.setdefault(key, []).append(found + start)
        except ConceptError:
            raise
        except Exception as error:  # a damaged file fails in many ways
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise ConceptError(f"Recording part {path} does not follow the layout: {reason}") from error
        ids += texts[0]
        labels += texts[1]
        sets += texts[2]
        inputs += texts[3]
        parts.append((start, part))
    if not ids:
        raise ConceptError(f"Recording {folder} holds no image.")
    seen: set[tuple[str | None, str]] = set()
    for image in zip(sets, ids, strict=True):
        if image in seen:
            where = "the log's images" if image[0] is None else f"set {image[0]!r}"
            raise ConceptError(
                f"Recording {folder} holds image {image[1]!r} twice in {where}; record it once."
            )
        seen.add(image)
    weights = manifest["weights_sha256"]
    return Recording(
        ids=tuple(ids),
        labels=tuple(labels),
        sets=tuple(sets),
        inputs=tuple(inputs),
        digests=tuple(digests),
        layers=layers,
        outputs=outputs,
        pooling=str(manifest["pooling"]),
        differentiated={key: np.concatenate(found) for key, found in rows.items()},
        weights_sha256=None if weights is None else str(weights),
        sha256=digest.hexdigest(),
        logit_range=_logit_range(manifest),
        parts=tuple(parts),
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
    except (ValueError, RecursionError) as error:
        raise ConceptError(f"{path} is not JSON: {error}") from error
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found not in READABLE or isinstance(found, bool):
        known = " and ".join(map(str, READABLE))
        raise ConceptError(f"{path} is of recording format {repr(found)[:80]}; this version reads {known}.")
    layers, outputs = manifest.get("layers"), manifest.get("outputs")
    fits = (
        isinstance(layers, dict)
        and bool(layers)
        and all(type(width) is int and width > 0 for width in layers.values())
        and isinstance(outputs, list)
        and all(isinstance(name, str) for name in outputs)
        and isinstance(manifest.get("parts"), list)
        and manifest.get("pooling") in ("flatten", "mean", "class_token")
        and _is_hash(manifest.get("weights_sha256"))
        and "weights_sha256" in manifest
    )
    if not fits:
        raise ConceptError(
            f"{path} lacks or misstates one of layers, outputs, pooling, weights_sha256 (64 hexadecimal "
            "digits, or null), parts; "
            "see the layout in the documentation of concepts.recordings.recorder."
        )
    return layers, tuple(outputs), manifest


def _is_hash(value: object) -> bool:
    return value is None or (isinstance(value, str) and HEX.fullmatch(value) is not None)


def _logit_range(manifest: Mapping[str, object]) -> tuple[float, float] | None:
    found = manifest.get("logit_range")
    if not isinstance(found, list) or len(found) != 2 or not all(type(one) in (int, float) for one in found):
        return None
    return float(found[0]), float(found[1])


def _check_texts(path: Path, ids: list[str], labels: Nullable, sets: Nullable, inputs: Nullable) -> None:
    fit = (
        len(labels) == len(sets) == len(inputs) == len(ids)
        and all(isinstance(key, str) for key in ids)
        and all(isinstance(text, (str, type(None))) for text in (*labels, *sets))
    )
    if not fit:
        raise ConceptError(
            f"{path}: ids, labels, sets and inputs must be one text an image (all but ids may be null)."
        )
    if not all(_is_hash(text) for text in inputs):
        raise ConceptError(f"{path}: inputs must be SHA-256 in hexadecimal digits, or null.")


def _read_activations(part: Part, layers: Mapping[str, int], count: int) -> list[str]:
    """Read a part's activations through; one digest an image, over all layers in the order of their names."""
    digests = [hashlib.sha256() for _ in range(count)]
    for layer in sorted(layers):
        seen = 0
        for rows, values in part.blocks(layer, None, layers[layer]):
            _check_finite(values, part, layer, None)
            seen += len(rows)
            for row, of_image in zip(rows.tolist(), values, strict=True):
                if row < count:
                    digests[row].update(of_image.tobytes())
        if seen != count:
            raise ConceptError(
                f"{part.path}: {column(layer, None)} is float32 {[seen, layers[layer]]}, "
                f"expected float32 {[count, layers[layer]]} (images, values)."
            )
    return [digest.hexdigest() for digest in digests]


def _read_gradients(
    part: Part, layers: Mapping[str, int], outputs: tuple[str, ...], count: int
) -> dict[tuple[str, str], Rows]:
    """Read a part's gradients through: (layer, class) -> the part's rows that have them."""
    found: dict[tuple[str, str], Rows] = {}
    for layer, width in layers.items():
        for klass in outputs:
            if column(layer, klass) not in part.names:
                continue
            rows: list[Rows] = [np.zeros(0, dtype=np.int64)]
            for block, values in part.blocks(layer, klass, width):
                _check_finite(values, part, layer, klass)
                rows.append(block)
            joined = np.concatenate(rows)
            sound = (
                joined.dtype == np.int64
                and np.array_equal(np.unique(joined), np.sort(joined))
                and ((joined >= 0) & (joined < count)).all()
            )
            if not sound:
                raise ConceptError(f"{part.path}: rows/{klass} must be distinct row numbers below {count}.")
            found[layer, klass] = joined
    return found


def _check_finite(values: Matrix, part: Part, layer: str, klass: str | None) -> None:
    if not np.isfinite(values).all():
        raise ConceptError(
            f"{part.path}: {column(layer, klass)} holds a number that is not finite; record again in float32."
        )
