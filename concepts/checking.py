"""Checks what the concept tests need before any work: images, weights, layers, outputs; measures nothing."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from concepts.errors import ConceptError
from concepts.images import list_images, noise_images, read_batch
from concepts.records import ConceptStageSpec

if TYPE_CHECKING:
    from torch import Tensor

TRIED = 32


def check_model(spec: ConceptStageSpec) -> None:
    """Load the model, or open the recording, and try every configured layer and class.

    Two images of noise go through the model; what is wrong shows before a log is analysed, not after.

    Raises
    ------
    ConceptError, ModelError
        What the concept stage itself would refuse, in one line.
    """
    if spec.recorded is not None:
        from concepts.recordings.recorded import RecordedLibrary

        RecordedLibrary(spec)
        return
    from concepts.model.hooks import device_of
    from concepts.model.loading import load_model
    from concepts.model.taps import plan_taps, tap

    for folder in (spec.random, *(concept.folder for concept in spec.concepts)):
        if folder is not None:
            list_images(folder)
    model = spec.model
    module = load_model(model).module
    batch = noise_images(2, model.input).to(device_of(module))
    plan = plan_taps(
        module, model.layers, batch, model.pooling, output=model.output, classes=len(model.outputs)
    )
    columns = [model.outputs.index(name) for name in spec.classes if name in model.outputs]
    tap(module, model.layers, batch, columns or [0], model.pooling, output=model.output, plan=plan)


def configured_images(spec: ConceptStageSpec, of_log: Path | None) -> Tensor | None:
    """Some images of every configured folder that is there, at most ``TRIED``; None: there is none.

    Parameters
    ----------
    spec : ConceptStageSpec
    of_log : Path or None
        Folder of the log's images.

    Raises
    ------
    ConceptError
        An image cannot be read.
    """
    found: list[tuple[Path, ...]] = []
    for folder in (of_log, spec.random, *(concept.folder for concept in spec.concepts)):
        if folder is not None:
            with suppress(ConceptError):  # a folder without images is told by the run itself
                found.append(list_images(folder))
    if not found:
        return None
    each = -(-TRIED // len(found))
    # From the whole of each folder: images that lie side by side are often alike.
    chosen = [path for paths in found for path in paths[:: -(-len(paths) // each)]]
    return read_batch(chosen[:TRIED], spec.model.input)
