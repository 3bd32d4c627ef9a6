"""What the model does with the images: activations of the training table, logit gradients of the log.

One forward pass for each training image, one forward and one backward for each scored image, in batches;
what was measured before comes from the cache. The algebra after this never asks the model again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from concepts.cache.mapped import BLOCK, release
from concepts.errors import ConceptError, ModelError
from concepts.images import hash_images, list_images, locate
from concepts.records import ConceptSpec, ConceptStageSpec, LogImages
from concepts.sources import ImageLibrary, TrainingImage
from slices.said import say

if TYPE_CHECKING:
    from concepts.cache.content import Collected

Progress = Callable[[str, int, int], None]
Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ClassImages:
    """The scored images of a class: rows of the log, each file once, in the order of their names."""

    name: str
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """Activations and gradients.

    ``activations``: layer -> shape (table rows, width); ``gradients``: layer -> class -> shape (images of
    the class, width); ``layers``: layer -> its shape in words; ``recording_sha256``: of a recording;
    ``notes``: sentences for the report.
    """

    activations: Mapping[str, Matrix]
    gradients: Mapping[str, Mapping[str, Matrix]]
    layers: Mapping[str, str]
    weights_sha256: str | None
    recording_sha256: str | None = None
    notes: tuple[str, ...] = ()


class MeasuringLibrary(ImageLibrary, Protocol):
    """A library of images that can also measure them."""

    @property
    def log(self) -> LogImages:
        """The log's rows."""
        ...

    def measure(self, table: Sequence[TrainingImage], classes: Sequence[ClassImages]) -> Measured:
        """Activations of the training table and gradients of the scored images."""
        ...


class FolderLibrary:
    """Images as files: concept folders, the random folder and the log's images."""

    def __init__(self, spec: ConceptStageSpec, *, progress: Progress) -> None:
        self._spec = spec
        self._progress = progress
        self._known: dict[str, tuple[TrainingImage, ...]] = {}

    def concept(self, spec: ConceptSpec) -> Sequence[TrainingImage]:
        """The images of the concept's folder."""
        if spec.folder is None:
            raise ConceptError(f"Concept '{spec.name}' has no folder of images.")
        return self._folder(f"concept {spec.name}", spec.folder)

    def random(self) -> Sequence[TrainingImage]:
        """The images of the random folder.

        Raises
        ------
        ConceptError
            The configuration names none.
        """
        if self._spec.random is None:
            raise ConceptError(
                "[concepts] random is missing; name a folder of random images, from which the negatives and "
                "the pseudo-concepts are drawn."
            )
        return self._folder("random", self._spec.random)

    @property
    def log(self) -> LogImages:
        """The log's rows.

        Raises
        ------
        ConceptError
            The configuration names no images of the log.
        """
        if self._spec.log is None:
            raise ConceptError(
                "[concepts] has no images to score; give `images` and `image_column`, the log's own images."
            )
        return self._spec.log

    def logged(self) -> Sequence[TrainingImage]:
        """The log's images, one a row; a file is read once however many rows name it."""
        log = self.log
        if "log" not in self._known:
            names = sorted(set(log.files))
            paths = locate(log.root, names)
            digests = hash_images(paths, progress=self._progress)
            by_name = {
                name: TrainingImage("log", name, digest, path)
                for name, path, digest in zip(names, paths, digests, strict=True)
            }
            self._known["log"] = tuple(by_name[name] for name in log.files)
        return self._known["log"]

    def measure(self, table: Sequence[TrainingImage], classes: Sequence[ClassImages]) -> Measured:
        """Run the model over the training table and over the scored images of each class."""
        return _measure_with_model(self._spec, table, self.logged(), classes, progress=self._progress)

    def _folder(self, group: str, folder: Path) -> tuple[TrainingImage, ...]:
        if group not in self._known:
            paths = list_images(folder)
            digests = hash_images(paths, progress=self._progress)
            self._known[group] = tuple(
                TrainingImage(group, path.relative_to(folder).as_posix(), digest, path)
                for path, digest in zip(paths, digests, strict=True)
            )
        return self._known[group]


def images_of_classes(
    log: LogImages, classes: Sequence[str], outputs: Sequence[str]
) -> tuple[ClassImages, ...]:
    """The rows of the log that are scored for each class: those labelled with it.

    Raises
    ------
    ConceptError
        A class is not among the model's outputs.
    """
    found = []
    for name in classes:
        if outputs and name not in outputs:
            raise ConceptError(
                f"[concepts] classes names '{name}', which is not an output of the model; its outputs: "
                f"{', '.join(outputs)}."
            )
        first: dict[str, int] = {}
        for row, (file, label) in enumerate(zip(log.files, log.labels, strict=True)):
            if label == name:
                first.setdefault(file, row)
        found.append(ClassImages(name, tuple(first[file] for file in sorted(first))))
    return tuple(found)


def _measure_with_model(
    spec: ConceptStageSpec,
    table: Sequence[TrainingImage],
    logged: Sequence[TrainingImage],
    classes: Sequence[ClassImages],
    *,
    progress: Progress,
) -> Measured:
    from concepts.cache.content import bound, collect
    from concepts.model.loading import load_model

    loaded = load_model(spec.model)
    trained = collect(
        loaded,
        spec.model,
        _paths(table),
        transforms=[image.transform for image in table],
        cache=spec.cache,
        progress=progress,
    )
    activations = dict(trained.activations)
    gradients: dict[str, dict[str, Matrix]] = {layer: {} for layer in activations}
    ranges: list[tuple[float, float]] = []
    for one in classes:
        if not one.rows:
            continue
        column = spec.model.outputs.index(one.name)
        paths = _paths([logged[row] for row in one.rows])
        scored = collect(
            loaded,
            spec.model,
            paths,
            columns=(column,),
            with_activations=False,
            cache=spec.cache,
            progress=progress,
        )
        for layer in activations:
            gradients[layer][one.name] = scored.gradients[layer][0]
        assert scored.logits is not None  # a column was asked for
        ranges.append(_finite_range(scored.logits, one.name))
    if spec.cache is not None:
        bound(spec.cache, gigabytes=spec.cache_gigabytes)
    for layer, values in activations.items():
        _refuse_unsound(values, f"activations of layer '{layer}'")
    for layer, by_class in gradients.items():
        for name, values in by_class.items():
            _refuse_unsound(values, f"gradients of class '{name}' at layer '{layer}'")
    found = (min(low for low, _ in ranges), max(high for _, high in ranges)) if ranges else None
    return Measured(activations, gradients, _described(trained), loaded.sha256, notes=output_notes(found))


def output_notes(found: tuple[float, float] | None) -> tuple[str, ...]:
    """What the range of all logits (least, greatest) gives to say: probabilities look like logits to a test.

    The derivative of a sigmoid is the logit's times p(1 - p), which is nearly 0 where the model is sure; a
    layer's effect would be that of the undecided images. Logits may lie in [0, 1] by chance, so it is said
    and not refused.
    """
    if found is None or found[0] < 0 or found[1] > 1:
        return ()
    return (
        say(
            "concepts.outputs_within_one",
            "All outputs of the model for the scored images lie between {least:.3g} and {greatest:.3g}, as "
            "probabilities do: if a sigmoid ends the model, the effects below are of probabilities and not "
            "of logits, and nearly 0 for images that it is sure of; leave it out of the factory's module.",
            least=found[0],
            greatest=found[1],
        ),
    )


def _described(collected: Collected) -> dict[str, str]:
    return {layer: collected.plan.describe(layer) for layer in collected.plan.order}


def _paths(images: Sequence[TrainingImage]) -> tuple[Path, ...]:
    return tuple(image.path for image in images if image.path is not None)


def _refuse_unsound(values: Matrix, words: str) -> None:
    """Refuse numbers that are none, a few rows at a time.

    Raises
    ------
    ModelError
        NaN or an infinity; the number of images is said.
    """
    step = max(1, BLOCK // (4 * max(1, values.shape[1])))
    bad = 0
    for start in range(0, len(values), step):
        bad += int((~np.isfinite(values[start : start + step]).all(axis=1)).sum())
        release(values)
    if bad:
        raise ModelError(
            f"The {words} are NaN or infinite for {bad} of {len(values)} images; the model divides by zero "
            "or takes the logarithm of one there: correct it, or take these images out."
        )


def _finite_range(logits: Matrix, klass: str) -> tuple[float, float]:
    if not np.isfinite(logits).all():
        _refuse_unsound(logits, f"outputs of the model for class '{klass}'")
    return float(logits.min()), float(logits.max())
