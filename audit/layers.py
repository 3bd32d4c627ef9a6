"""The layers of a configured model, with shapes and advice, as plain text."""

from __future__ import annotations

import sys

from audit.config import Loaded
from audit.errors import InputError
from audit.translate import to_concept_spec


def layers(loaded: Loaded) -> str:
    """A table of the model's layers, those that cannot be tapped last, and what is advised.

    Raises
    ------
    InputError
        The configuration has no model.
    ModelError
        The model cannot be loaded.
    """
    from concepts.model.layers import advise, list_layers
    from concepts.model.loading import load_model

    asked = to_concept_spec(loaded, images=None, slices=())
    if asked is None:
        raise InputError("The configuration has no [model]: there are no layers to list.")
    allow_factory(loaded)
    found = list_layers(load_model(asked.model), asked.model.input, output=asked.model.output)
    rows = [
        (
            layer.name,
            layer.kind,
            "x".join(str(size) for size in layer.shape) if layer.shape else "-",
            "-" if layer.values is None else f"{layer.values:,}",
            layer.problem or ("gradient is the same for every image" if layer.constant_gradient else ""),
        )
        for layer in found
    ]
    rows.insert(0, ("layer", "kind", "shape", "values", "note"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join([*lines, "", *advise(found)])


def allow_factory(loaded: Loaded) -> None:
    """Let the factory be imported from the configuration's folder.

    At the end of ``sys.path``: a file there never takes the place of an installed package.
    """
    folder = str(loaded.root)
    if folder not in sys.path:
        sys.path.append(folder)
