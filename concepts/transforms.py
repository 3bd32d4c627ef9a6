"""Transformations that define a concept: named functions on one image; built in, or the user's own.

A transformation takes a float32 array of shape (channels, height, width) with values in [0, 1] and returns
one of the same shape; it must not change its argument.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from importlib import import_module

import numpy as np

from concepts.errors import ConceptError
from concepts.foreign import foreign
from concepts.images import Pixels

Transform = Callable[[Pixels], Pixels]


def darken(image: Pixels) -> Pixels:
    """Half the brightness, as from half the exposure on a linear sensor."""
    return np.asarray(image * np.float32(0.5), dtype=np.float32)


def brighten(image: Pixels) -> Pixels:
    """Twice the brightness, cut at white."""
    return np.asarray(np.minimum(image * np.float32(2.0), np.float32(1.0)), dtype=np.float32)


def lower_contrast(image: Pixels) -> Pixels:
    """Half the distance to the image's mean."""
    mean = np.float32(image.mean())
    return np.asarray(mean + (image - mean) * np.float32(0.5), dtype=np.float32)


def blur(image: Pixels) -> Pixels:
    """Mean over 3 x 3 pixels, edges repeated."""
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)), mode="edge")
    height, width = image.shape[1:]
    total = sum(
        padded[:, row : row + height, column : column + width] for row in range(3) for column in range(3)
    )
    return np.asarray(total / np.float32(9.0), dtype=np.float32)


def grey(image: Pixels) -> Pixels:
    """Every channel replaced by the mean of the channels."""
    return np.asarray(np.broadcast_to(image.mean(0, keepdims=True), image.shape), dtype=np.float32).copy()


def corner_mark(image: Pixels) -> Pixels:
    """A white square in the lower right corner, an eighth of the image's shorter side."""
    marked = image.copy()
    side = max(1, min(image.shape[1:]) // 8)
    marked[:, -side:, -side:] = 1.0
    return marked


BUILT_IN: dict[str, Transform] = {
    "darken": darken,
    "brighten": brighten,
    "lower_contrast": lower_contrast,
    "blur": blur,
    "grey": grey,
    "corner_mark": corner_mark,
}


def find_transform(name: str) -> Transform:
    """The built-in transformation of that name, or the function "package.module:function".

    The returned function checks what the named one gives back.

    Raises
    ------
    ConceptError
        The name is unknown, the function cannot be imported, or (on use) raises, returns something that is
        no array of numbers, another shape, values that are not finite or lie outside [0, 1].
    """
    chosen = BUILT_IN.get(name)
    if chosen is None:
        chosen = _import(name)

    def checked(image: Pixels) -> Pixels:
        with foreign(f"Transformation '{name}'", ConceptError):
            returned = chosen(image.copy())
        try:
            changed = np.asarray(returned, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise ConceptError(
                f"Transformation '{name}' returned {type(returned).__name__}, expected an array of floats in "
                "[0, 1] of the image's shape (channels, height, width)."
            ) from error
        if changed.shape != image.shape:
            raise ConceptError(
                f"Transformation '{name}' returned shape {changed.shape} for an image of shape "
                f"{image.shape}; it must keep the shape (channels, height, width)."
            )
        if not np.isfinite(changed).all() or changed.min() < 0 or changed.max() > 1:
            raise ConceptError(
                f"Transformation '{name}' returned values outside [0, 1]; cut them, as with numpy.clip."
            )
        return np.ascontiguousarray(changed)

    return checked


def _import(name: str) -> Transform:
    module, separator, function = name.partition(":")
    if not separator:
        close = difflib.get_close_matches(name, BUILT_IN, n=1)
        meant = f" Did you mean '{close[0]}'?" if close else ""
        raise ConceptError(
            f"Transformation '{name}' is unknown; built in are {', '.join(BUILT_IN)}, or give "
            f"'package.module:function'.{meant}"
        )
    if not function.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise ConceptError(f"Transformation '{name}' is not of the form 'package.module:function'.")
    try:
        with foreign(f"Importing transformation '{name}'", ConceptError):
            found = getattr(import_module(module), function)
    except ConceptError as error:
        if isinstance(error.__cause__, (ImportError, AttributeError)):
            raise ConceptError(f"Transformation '{name}' cannot be imported: {error.__cause__}.") from error
        raise
    if not callable(found):
        raise ConceptError(f"Transformation '{name}' is not a function.")
    chosen: Transform = found
    return chosen
