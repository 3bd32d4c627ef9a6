"""The concept stage without the model: images, activations and gradients from a recording.

Which images are one and the same is decided in ``concepts.recordings.identity``.
"""

from __future__ import annotations

from collections.abc import Sequence

from concepts.errors import ConceptError
from concepts.measure import ClassImages, Matrix, Measured, output_notes
from concepts.recordings.identity import identify
from concepts.recordings.reader import Recording, read_recording
from concepts.records import RANDOM, ConceptSpec, ConceptStageSpec, LogImages
from concepts.sources import TrainingImage
from slices.said import say


class RecordedLibrary:
    """A recording as a library of images that have been measured already.

    Raises
    ------
    ConceptError
        The recording cannot be read, lacks a configured layer, or was made from other weights, with other
        outputs or another pooling than those configured, or does not say from which weights.
    """

    def __init__(self, spec: ConceptStageSpec) -> None:
        if spec.recorded is None:
            raise ConceptError("[concepts] recorded is missing; name the folder of a recording.")
        self._spec = spec
        self._folder = spec.recorded
        self._recording: Recording = read_recording(spec.recorded)
        self._layers = spec.model.layers or tuple(self._recording.layers)
        for layer in self._layers:
            if layer not in self._recording.layers:
                raise ConceptError(
                    f"Layer '{layer}' is not in recording {spec.recorded}; it has: "
                    f"{', '.join(self._recording.layers)}."
                )
        wanted, found = spec.model.sha256, self._recording.weights_sha256
        if wanted is not None and found is None:
            raise ConceptError(
                f"Recording {spec.recorded} does not say from which weights it was made, but [model] sha256 "
                f"is {wanted[:12]}…; record again with weights_sha256, or leave sha256 out."
            )
        if wanted is not None and found is not None and wanted.lower() != found:
            raise ConceptError(
                f"Recording {spec.recorded} was made with weights {found[:12]}…, the configuration says "
                f"{wanted[:12]}…; record again, or correct sha256 in [model]."
            )
        stated = spec.model.pooling_stated or spec.model.pooling != "flatten"
        if stated and spec.model.pooling != self._recording.pooling:
            raise ConceptError(
                f"Recording {spec.recorded} was made with pooling '{self._recording.pooling}', but [model] "
                f"pooling is '{spec.model.pooling}'; record again, or leave pooling out."
            )
        named = spec.model.outputs
        if named and named != self._recording.outputs:
            raise ConceptError(
                f"Recording {spec.recorded} was made with outputs {', '.join(self._recording.outputs)}, but "
                f"[model] outputs names {', '.join(named)}; name them in the recording's order."
            )
        self._contents, notes = identify(self._recording)
        self._notes = notes + output_notes(self._recording.logit_range)
        self._row = {
            (group, name): row
            for row, (group, name) in enumerate(zip(self._recording.sets, self._recording.ids, strict=True))
        }

    @property
    def log(self) -> LogImages:
        """The log's rows; where none were given, the recorded images with their labels, and no attributes."""
        if self._spec.log is not None:
            return self._spec.log
        rows = [row for row, group in enumerate(self._recording.sets) if group is None]
        return LogImages(
            root=self._folder,
            files=tuple(self._recording.ids[row] for row in rows),
            labels=tuple(self._recording.labels[row] for row in rows),
            attributes={},
        )

    def concept(self, spec: ConceptSpec) -> Sequence[TrainingImage]:
        """The images recorded under the concept's name."""
        return self._set(spec.name, f"concept '{spec.name}'")

    def random(self) -> Sequence[TrainingImage]:
        """The images recorded as the random pool."""
        return self._set(RANDOM, "the random pool")

    def logged(self) -> Sequence[TrainingImage]:
        """One recorded image for each row of the log.

        Raises
        ------
        ConceptError
            An image of the log was not recorded.
        """
        files = self.log.files
        absent = [name for name in files if (None, name) not in self._row]
        if absent:
            raise ConceptError(
                f"{len(absent)} of {len(files)} images of the log are not in recording {self._folder} "
                f"(first: '{absent[0]}'); record them, or correct image_column in [concepts]."
            )
        return [self._image("log", self._row[None, name]) for name in files]

    def measure(self, table: Sequence[TrainingImage], classes: Sequence[ClassImages]) -> Measured:
        """Gather what was recorded, in the table's order.

        Raises
        ------
        ConceptError
            A concept is a transformation, whose images nobody recorded; a gradient was not recorded.
        """
        changed = sorted({image.transform for image in table if image.transform is not None})
        if changed:
            raise ConceptError(
                f"Transformation '{changed[0]}' needs the model, and [concepts] recorded gives only what it "
                "did; record the transformed images as a concept of their own."
            )
        groups = {"log": None, RANDOM: RANDOM}
        rows = [
            self._row[groups.get(image.group, image.group.removeprefix("concept ")), image.name]
            for image in table
        ]
        files = self.log.files
        activations = {layer: self._recording.activations(layer, rows) for layer in self._layers}
        gradients = {
            layer: {
                one.name: self._gradients(layer, one.name, [files[row] for row in one.rows])
                for one in classes
                if one.rows
            }
            for layer in self._layers
        }
        words = {
            layer: say(
                "concepts.layer.recorded",
                "recorded, {pooling}: {values} values",
                pooling=self._recording.pooling,
                values=self._recording.layers[layer],
            )
            for layer in self._layers
        }
        return Measured(
            activations,
            gradients,
            words,
            self._recording.weights_sha256,
            self._recording.sha256,
            notes=self._notes,
        )

    def _gradients(self, layer: str, klass: str, files: Sequence[str]) -> Matrix:
        if (layer, klass) not in self._recording.differentiated:
            raise ConceptError(
                f"Recording {self._folder} holds no gradients for class '{klass}' at layer '{layer}'; record "
                "them (classes of ActivationRecorder), or leave the class out of [concepts]."
            )
        recorded = set(self._recording.differentiated[layer, klass].tolist())
        wanted = [self._row[None, name] for name in files]
        absent = [name for name, row in zip(files, wanted, strict=True) if row not in recorded]
        if absent:
            raise ConceptError(
                f"{len(absent)} of {len(files)} images of class '{klass}' have no gradient in recording "
                f"{self._folder} (first: '{absent[0]}'); record them with their label."
            )
        return self._recording.gradients(layer, klass, wanted)

    def _set(self, name: str, words: str) -> Sequence[TrainingImage]:
        rows = [row for row, group in enumerate(self._recording.sets) if group == name]
        if not rows:
            known = sorted({group for group in self._recording.sets if group is not None})
            raise ConceptError(
                f"Recording {self._folder} holds no images of {words}; its sets: "
                f"{', '.join(known) or 'none'}."
            )
        group = RANDOM if name == RANDOM else f"concept {name}"
        return [self._image(group, row) for row in rows]

    def _image(self, group: str, row: int) -> TrainingImage:
        return TrainingImage(group, self._recording.ids[row], self._contents[row], None)
