"""The layers of a configured model, with shapes and advice, as plain text."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from audit.config import Loaded
from audit.errors import InputError
from audit.translate import to_concept_spec


def layers(loaded: Loaded) -> str:
    """A table of the model's layers, those that cannot be tapped last, and what is advised.

    Raises
    ------
    InputError
        The configuration has no model.
    ConceptError, ModelError
        The model cannot be loaded, or an image cannot be read.
    """
    from concepts.checking import configured_images
    from concepts.model.layers import NOISE, advise, list_layers
    from concepts.model.loading import load_model

    asked = to_concept_spec(loaded, images=None, slices=())
    if asked is None:
        raise InputError("The configuration has no [model]: there are no layers to list.")
    if asked.recorded is not None:
        from concepts.recordings.reader import read_recording

        held = read_recording(asked.recorded).layers
        named = ", ".join(f'"{name}" ({values:,} values)' for name, values in held.items())
        raise InputError(
            f"[concepts] recorded names the recording '{asked.recorded.name}' in place of a model, and "
            f"`xaudit layers` runs a model; the recording holds the layers {named}."
        )
    allow_factory(loaded)
    with paths_as_configured(loaded):
        concepts = loaded.config.concepts
        of_log = None if concepts is None or concepts.images is None else loaded.root / concepts.images
        images = configured_images(asked, of_log)
        found = list_layers(
            load_model(asked.model),
            asked.model.input,
            output=asked.model.output,
            images=images,
            columns=[asked.model.outputs.index(name) for name in asked.classes],
        )
    tried = f"{NOISE} images of noise" if images is None else f"{len(images)} configured images"
    rows = [
        (
            layer.name,
            layer.kind,
            "x".join(str(size) for size in layer.shape) if layer.shape else "-",
            "-" if layer.values is None else f"{layer.values:,}",
            layer.problem or (f"same gradient on all {tried}" if layer.constant_gradient else ""),
        )
        for layer in found
    ]
    rows.insert(0, ("layer", "kind", "shape", "values", "note"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join([*lines, "", *advise(found, tried=tried)])


def check_model(loaded: Loaded, *, hash_only: bool = False) -> None:
    """Refuse a model, a layer or an output that cannot be used, before the log is analysed.

    Parameters
    ----------
    loaded : Loaded
    hash_only : bool
        Only hold the weights against the configured SHA-256; nothing is imported or loaded.

    Raises
    ------
    ConceptError, ModelError
        What the concept tests themselves would refuse.
    """
    from concepts.checking import check_model as check
    from concepts.model.loading import check_hash

    asked = to_concept_spec(loaded, images=None, slices=())
    if asked is None:
        return
    with paths_as_configured(loaded):
        if hash_only:
            if asked.recorded is None:
                check_hash(asked.model)
            return
        allow_factory(loaded)
        check(asked)


@contextmanager
def paths_as_configured(loaded: Loaded) -> Iterator[None]:
    """Name files in the errors of the concept tests as the configuration does, not by where they lie.

    Raises
    ------
    ConceptError, ModelError
        As raised within, without the configuration's folder in front of its paths.
    """
    from concepts.errors import ConceptError, ModelError

    try:
        yield
    except (ConceptError, ModelError) as error:
        raise type(error)(str(error).replace(f"{loaded.root}/", "")) from error


def allow_factory(loaded: Loaded) -> None:
    """Let the factory be imported from the configuration's folder.

    At the end of ``sys.path``: a file there never takes the place of an installed package.
    """
    folder = str(loaded.root)
    if folder not in sys.path:
        sys.path.append(folder)
