"""Logits: which of a model's outputs they are, and whether they are logits at all."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor

from concepts.errors import ModelError


def select_logits(answer: object, output: str | int | None) -> Tensor:
    """The logits in what a model returned, shape (N, K) or (N,).

    Raises
    ------
    ModelError
        The model returns several outputs and ``output`` names none, or one that is not there.
    """
    if isinstance(answer, Tensor):
        if output is not None:
            raise ModelError(
                f"[model] output = {output!r}, but the model returns one tensor; leave `output` out."
            )
        return answer
    names: list[str | int]
    chosen: object
    if isinstance(answer, Mapping):
        names = [key for key in answer if isinstance(key, (str, int))]
        chosen = answer.get(output)
    elif dataclasses.is_dataclass(answer) or (isinstance(answer, tuple) and hasattr(answer, "_fields")):
        fields = getattr(answer, "_fields", None) or [field.name for field in dataclasses.fields(answer)]  # type: ignore[arg-type]
        names = list(fields)
        chosen = getattr(answer, output, None) if isinstance(output, str) and output in names else None
        if isinstance(output, int) and isinstance(answer, tuple) and -len(answer) <= output < len(answer):
            chosen = answer[output]
    elif isinstance(answer, (tuple, list)):
        names = list(range(len(answer)))
        chosen = answer[output] if isinstance(output, int) and -len(answer) <= output < len(answer) else None
    else:
        raise ModelError(f"The model returns {type(answer).__name__}, expected a tensor of logits.")
    if isinstance(chosen, Tensor):
        return chosen
    listed = ", ".join(repr(name) for name in names)
    if output is None:
        raise ModelError(
            f"The model returns several outputs ({listed}); say which holds the logits: [model] output."
        )
    raise ModelError(
        f"[model] output = {output!r} is not a tensor in what the model returns; it has: {listed}."
    )


def check_logits(logits: Tensor, *, images: int, classes: int | None) -> int:
    shape = tuple(logits.shape)
    if logits.ndim not in (1, 2) or shape[0] != images:
        raise ModelError(
            f"The model's output has shape {list(shape)} for {images} images, expected [{images}, classes]."
        )
    found = 1 if logits.ndim == 1 else shape[1]
    if classes is not None and found != classes:
        raise ModelError(
            f"The model gives {found} logits an image, but [model] outputs names {classes} classes; "
            "name them in the order of the logits (one name, the positive class, for a single logit)."
        )
    values = logits.detach()
    if (
        found > 1
        and bool((values >= 0).all())
        and torch.allclose(values.sum(1).float(), torch.ones(images, device=values.device), atol=1e-4)
    ):
        raise ModelError(
            "The model's outputs are probabilities (not negative, and each image's sum is 1); "
            "return logits: leave the softmax out of the factory's module."
        )
    return found


def check_independent(logits: Tensor, in_company: Tensor) -> None:
    """Refuse logits that depend on the other images of a batch, or on chance.

    Parameters
    ----------
    logits, in_company : tensors, shape (N, K) or (N,)
        Of the same images, run with other images beside them.

    Raises
    ------
    ModelError
        They differ by more than a thousandth of the largest: kernels for batches of different sizes differ
        by a millionth.
    """
    scale = max(float(logits.abs().max()), float(in_company.abs().max()))
    change = float((logits - in_company).abs().max())
    if change > 1e-3 * scale:
        raise ModelError(
            f"The logits of an image change with the images beside it, or from run to run (by {change:.3g}, "
            f"the largest being {scale:.3g}): batch statistics or dropout stay on in eval mode; leave them "
            "out of the factory's module, or use the layer's own switch (module.training)."
        )
