"""Recordings: activations and gradients logged where the model runs, for an audit without the model.

The layout (version 2). A recording is a folder with one ``recording.json`` and parts in one of two formats.

``recording.json``: ``{"format": 2, "layers": {name: values an image}, "outputs": [class names in logit
order], "pooling": "flatten" | "mean" | "class_token", "weights_sha256": hex or null, "logit_range": [least,
greatest] or null, "parts": [file names, in order]}``.

A part ``*.safetensors`` holds, for n images,

- ``activations/<layer>``: float32 (n, values);
- ``rows/<class>``: int64 (m,), the images with gradients for that class, and
  ``gradients/<layer>/<class>``: float32 (m, values), the derivative of that class's *logit*;
- the metadata key ``images``: JSON ``{"ids": [...], "labels": [...], "sets": [...], "inputs": [...]}``, n
  entries each.

A part ``*.parquet`` holds one row an image: ``id`` (text), ``label``, ``set`` and ``input`` (text or null),
``activations/<layer>`` (list of float32) and ``gradients/<layer>/<class>`` (list of float32, or null).

``id`` names the image as the log's image column does; ``set`` is null for an image of the log, ``random``
for the pool, else a concept's name. ``input`` is a SHA-256 of the image as the network was given it (see
``hash_inputs``), or of the image's file: what trains a vector is told from what is scored by it and by the
``id``. Activations would not do: their last bits depend on the size of the batch. Version 1 had neither
``input`` nor ``logit_range``; it is still read. With pooling ``mean``, gradients are summed over positions
(see ``concepts.model.taps``). No pickle anywhere.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from concepts.cache.mapped import Matrix
from concepts.errors import ConceptError
from concepts.recordings.parts import Rows
from concepts.recordings.reader import FORMAT, HEX, MANIFEST, Recording, read_recording

if TYPE_CHECKING:
    from torch import Tensor, nn

    from concepts.model.pooling import Pooling
    from concepts.model.taps import TapPlan

__all__ = ["ActivationRecorder", "Recording", "read_recording"]


class ActivationRecorder:
    """Records what a model does while it is used, in a few lines around an inference loop.

    ::

        with ActivationRecorder(model, "recording", layers=["block3"], outputs=["no loop", "loop"],
                                classes=["loop"]) as recorder:
            for images, names, labels in loader:
                logits = recorder.record(images, names, labels)      # instead of model(images)
            for images, names in concept_loader:
                recorder.record_set("corner mark", images, names)    # and "random" for the pool

    The model is put into eval mode and its parameters are frozen while recording, and given back as found.

    Parameters
    ----------
    folder
        Created; must not hold a recording already.
    classes
        The classes whose logit gradients are recorded, for images with that label (or without any).
    weights_sha256
        SHA-256 of the weights file, for the evidence.
    output, pooling
        As in the configuration's [model].
    """

    def __init__(
        self,
        model: nn.Module,
        folder: str | Path,
        *,
        layers: Sequence[str],
        outputs: Sequence[str],
        classes: Sequence[str],
        pooling: Pooling = "flatten",
        output: str | int | None = None,
        weights_sha256: str | None = None,
        format: Literal["safetensors", "parquet"] = "safetensors",
    ) -> None:
        unknown = [name for name in classes if name not in outputs]
        if unknown:
            raise ConceptError(
                f"Class {unknown[0]!r} to record is not among the outputs: {', '.join(outputs)}."
            )
        if len(set(outputs)) != len(outputs):
            raise ConceptError(f"Outputs {list(outputs)} name a class twice.")
        if format not in ("safetensors", "parquet"):
            raise ConceptError(f"Recording format {format!r} is unknown; use 'safetensors' or 'parquet'.")
        if weights_sha256 is not None and not HEX.fullmatch(weights_sha256):
            raise ConceptError(
                f"weights_sha256 {weights_sha256[:80]!r} is not a SHA-256: 64 hexadecimal digits, lower case."
            )
        self.folder = Path(folder)
        if (self.folder / MANIFEST).exists():
            raise ConceptError(f"{self.folder} already holds a recording; give another folder.")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._model = model
        self._layers, self._outputs, self._classes = tuple(layers), tuple(outputs), tuple(classes)
        self._pooling: Pooling = pooling
        self._output = output
        self._weights_sha256 = weights_sha256
        self._format = format
        self._parts: list[str] = []
        self._logit_range: tuple[float, float] | None = None
        self._plan: TapPlan | None = None
        self._found_training = [(part, part.training) for part in model.modules()]
        self._found_gradients = [(weight, weight.requires_grad) for weight in model.parameters()]

    def __enter__(self) -> Self:
        for part, _ in self._found_training:
            part.training = False
        self._model.requires_grad_(False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for part, training in self._found_training:
            part.training = training
        for weight, needed in self._found_gradients:
            weight.requires_grad_(needed)
        # A loop that failed leaves no manifest, and so no recording that could be taken for whole.
        if kind is None:
            self._finish()

    def record(
        self, images: Tensor, ids: Sequence[str], labels: Sequence[str | None] | None = None
    ) -> Tensor:
        """Run the model on a batch of the log's images, record it, and return the logits (N, K), on the CPU.

        Raises
        ------
        ConceptError
            Ids or labels are not one an image.
        ModelError
            A layer cannot be tapped.
        """
        from concepts.model.taps import tap

        known = list(labels) if labels is not None else [None] * len(images)
        self._check(images, ids, known)
        columns = [self._outputs.index(name) for name in self._classes]
        tapped = tap(self._model, self._layers, images, columns, self._pooling, plan=self._planned(images))
        gradients: dict[str, tuple[Rows, dict[str, Matrix]]] = {}
        for place, name in enumerate(self._classes):
            rows = np.array([row for row, label in enumerate(known) if label in (None, name)], dtype=np.int64)
            gradients[name] = (
                rows,
                {layer: tapped.gradients[layer][place].numpy()[rows] for layer in self._layers},
            )
        activations = {layer: values.numpy() for layer, values in tapped.activations.items()}
        self._write(ids, known, [None] * len(ids), hash_inputs(images), activations, gradients)
        self._note_range(tapped.logits)
        return tapped.logits

    def record_set(self, name: str, images: Tensor, ids: Sequence[str]) -> None:
        """Record a batch of a concept's images, or of the pool's (``name="random"``)."""
        from concepts.model.taps import activations

        self._check(images, ids, [None] * len(images))
        found = activations(self._model, self._layers, images, self._pooling, plan=self._planned(images))
        rows = {layer: values.numpy() for layer, values in found.items()}
        self._write(ids, [None] * len(ids), [name] * len(ids), hash_inputs(images), rows, {})

    def _note_range(self, logits: Tensor) -> None:
        before = self._logit_range or (math.inf, -math.inf)
        self._logit_range = (min(float(logits.min()), before[0]), max(float(logits.max()), before[1]))

    def _finite_range(self) -> list[float] | None:
        found = self._logit_range
        return list(found) if found is not None and all(map(math.isfinite, found)) else None

    def _planned(self, images: Tensor) -> TapPlan:
        from concepts.model.taps import plan_taps

        if self._plan is None:
            self._plan = plan_taps(
                self._model,
                self._layers,
                images,
                self._pooling,
                output=self._output,
                classes=len(self._outputs),
            )
        return self._plan

    def _check(self, images: Tensor, ids: Sequence[str], labels: Sequence[str | None]) -> None:
        if not len(images) or len(ids) != len(images) or len(labels) != len(images):
            raise ConceptError(
                f"{len(images)} images to record, with {len(ids)} ids and {len(labels)} labels; "
                "give one of each an image, and at least one image."
            )
        unknown = sorted({label for label in labels if label is not None} - set(self._outputs))
        if unknown:
            raise ConceptError(
                f"Label {unknown[0]!r} to record is not among the outputs: {', '.join(self._outputs)}."
            )

    def _write(
        self,
        ids: Sequence[str],
        labels: Sequence[str | None],
        sets: Sequence[str | None],
        inputs: Sequence[str],
        activations: Mapping[str, Matrix],
        gradients: Mapping[str, tuple[Rows, Mapping[str, Matrix]]],
    ) -> None:
        name = f"part-{len(self._parts):05d}.{self._format}"
        # The suffix comes last, so that a part that was being written is never taken for one.
        partial = self.folder / f"{name}.partial"
        write = _write_safetensors if self._format == "safetensors" else _write_parquet
        write(partial, list(ids), list(labels), list(sets), list(inputs), activations, gradients)
        partial.replace(self.folder / name)
        self._parts.append(name)

    def _finish(self) -> None:
        if self._plan is None:
            raise ConceptError(f"Nothing was recorded into {self.folder}; call record() on a batch.")
        manifest = {
            "format": FORMAT,
            "layers": {layer: self._plan.sizes[layer] for layer in self._layers},
            "outputs": list(self._outputs),
            "pooling": self._pooling,
            "weights_sha256": self._weights_sha256,
            "logit_range": self._finite_range(),
            "parts": self._parts,
        }
        partial = self.folder / f"{MANIFEST}.partial"
        partial.write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        partial.replace(self.folder / MANIFEST)


def hash_inputs(images: Tensor) -> tuple[str, ...]:
    """One SHA-256 an image: of its shape, and its values as float32 in C order, little-endian.

    It does not depend on the batch. An image that is preprocessed in another way each time (augmentation)
    has another hash each time; then only its id tells.
    """
    values = np.ascontiguousarray(images.detach().float().cpu().numpy(), dtype="<f4")
    head = str(list(values.shape[1:])).encode()
    return tuple(hashlib.sha256(head + one.tobytes()).hexdigest() for one in values)


def _write_safetensors(
    path: Path,
    ids: list[str],
    labels: list[str | None],
    sets: list[str | None],
    inputs: list[str],
    activations: Mapping[str, Matrix],
    gradients: Mapping[str, tuple[Rows, Mapping[str, Matrix]]],
) -> None:
    from safetensors.numpy import save_file

    tensors: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32 | np.int64]]] = {}
    for layer, values in activations.items():
        tensors[f"activations/{layer}"] = np.ascontiguousarray(values)
    for name, (rows, slopes) in gradients.items():
        tensors[f"rows/{name}"] = rows
        for layer, values in slopes.items():
            tensors[f"gradients/{layer}/{name}"] = np.ascontiguousarray(values)
    # One key only: safetensors writes several in no fixed order, and the bytes would not repeat.
    images = json.dumps({"ids": ids, "labels": labels, "sets": sets, "inputs": inputs})
    save_file(tensors, path, metadata={"images": images})


def _write_parquet(
    path: Path,
    ids: list[str],
    labels: list[str | None],
    sets: list[str | None],
    inputs: list[str],
    activations: Mapping[str, Matrix],
    gradients: Mapping[str, tuple[Rows, Mapping[str, Matrix]]],
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, pa.Array] = {
        "id": pa.array(ids, pa.string()),
        "label": pa.array(labels, pa.string()),
        "set": pa.array(sets, pa.string()),
        "input": pa.array(inputs, pa.string()),
    }
    floats = pa.list_(pa.float32())
    for layer, values in activations.items():
        columns[f"activations/{layer}"] = pa.array(list(values), floats)
    for name, (rows, slopes) in gradients.items():
        for layer, values in slopes.items():
            spread: list[np.ndarray[tuple[int], np.dtype[np.float32]] | None] = [None] * len(ids)
            for place, row in enumerate(rows.tolist()):
                spread[row] = values[place]
            columns[f"gradients/{layer}/{name}"] = pa.array(spread, floats)
    pq.write_table(pa.table(columns), path)
