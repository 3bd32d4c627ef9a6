"""Pooling: a layer's tensor, of any shape, as one row of values an image."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from concepts.errors import ModelError

Pooling = Literal["flatten", "mean", "class_token"]


def pool(tensor: Tensor, axis: int, pooling: Pooling) -> Tensor:
    """A layer's tensor as (N, d)."""
    return _pool(tensor, axis, pooling, summed=False)


def pool_gradient(tensor: Tensor, axis: int, pooling: Pooling) -> Tensor:
    """A layer's gradient as (N, d); summed over positions where the activations are averaged."""
    return _pool(tensor, axis, pooling, summed=True)


def _pool(tensor: Tensor, axis: int, pooling: Pooling, *, summed: bool) -> Tensor:
    images = tensor.movedim(axis, 0)
    if images.ndim <= 2 or pooling == "flatten":
        return images.reshape(images.shape[0], -1)
    if pooling == "class_token":
        return images[:, 0]
    # (N, tokens, D) over tokens; (N, C, ...) over all positions.
    positions = (1,) if images.ndim == 3 else tuple(range(2, images.ndim))
    return images.sum(positions) if summed else images.mean(positions)


def pooled_size(layer: str, shape: tuple[int, ...], pooling: Pooling) -> int:
    if pooling == "class_token" and len(shape) != 2:
        raise ModelError(
            f"Layer {layer!r} gives {' x '.join(map(str, shape)) or 'one value'} for an image, "
            'not tokens x values; it has no class token: use pooling "flatten" or "mean".'
        )
    if len(shape) >= 2 and pooling == "class_token":
        return shape[1]
    if len(shape) >= 2 and pooling == "mean":
        return shape[1] if len(shape) == 2 else shape[0]
    size = 1
    for length in shape:
        size *= length
    return size


def image_axis(layer: str, small: tuple[int, ...], large: tuple[int, ...]) -> int:
    changed = [axis for axis in range(min(len(small), len(large))) if small[axis] != large[axis]]
    if len(small) == len(large) and len(changed) == 1 and (small[changed[0]], large[changed[0]]) == (2, 3):
        return changed[0]
    raise ModelError(
        f"Layer {layer!r} gives a tensor of shape {list(small)} for 2 images and {list(large)} for 3: "
        "no axis has one entry an image; name another layer."
    )
