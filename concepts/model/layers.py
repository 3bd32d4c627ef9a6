"""Lists a model's layers for ``xaudit layers``: what each gives for an image, and which to choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from concepts.errors import ModelError
from concepts.images import check_format, noise_images
from concepts.model.hooks import exact_arithmetic, hooked, run_model, split_output
from concepts.model.pooling import image_axis
from concepts.model.taps import tap
from concepts.records import InputFormat

if TYPE_CHECKING:
    from concepts.model.loading import LoadedModel

PASSING_ON = frozenset({"Flatten", "Unflatten", "Identity", "Dropout", "Dropout2d", "DropPath"})
NOISE = 64  # images of noise, where the configuration names no image
FEW = 8
LARGE = 100_000  # values an image, beyond which pooling is advised


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer as a model runs it.

    ``name`` as `layers` in [model] takes it; ``kind`` the module's class; ``shape`` of its output for one
    image and ``values`` their number, None where it cannot be tapped, for which ``problem`` is the reason.
    ``constant_gradient``: the logits had the same derivative on every image that was tried (and every sign
    count would be 0 or 1 on them); None where that was not measured. It says nothing of other images.
    """

    name: str
    kind: str
    shape: tuple[int, ...] | None
    values: int | None
    problem: str | None
    constant_gradient: bool | None = None

    @property
    def positions(self) -> int:
        """Number of positions (pixels of a map, tokens) that an average would pool; 1 for plain values."""
        if self.shape is None or len(self.shape) < 2 or self.values is None:
            return 1
        # (tokens, values) or (channels, height, width).
        return self.shape[0] if len(self.shape) == 2 else self.values // self.shape[0]


def list_layers(
    loaded: LoadedModel,
    form: InputFormat,
    *,
    output: str | int | None = None,
    images: torch.Tensor | None = None,
    columns: Sequence[int] = (0,),
) -> tuple[Layer, ...]:
    """Every named layer in the order in which it finishes; those that cannot be tapped last.

    Parameters
    ----------
    loaded, form, output
        The model, and how it is run.
    images : float32 tensor, shape (N, channels, height, width), optional
        On which gradients are compared; left out, ``NOISE`` images of noise at the input's scale.
    columns : sequence of int
        The logits whose gradients are compared.

    Raises
    ------
    ModelError
        The model cannot run on images of the configured size.
    """
    check_format(form)
    named = {name: part for name, part in loaded.module.named_modules() if name}
    tried = noise_images(NOISE, form) if images is None else images
    trial = torch.cat([tried[:1]] * 3)
    small, order = _observe(loaded, named, trial[:2])
    large, _ = _observe(loaded, named, trial)
    layers: list[Layer] = []
    for name in [*order, *(name for name in named if name not in order)]:
        kind = type(named[name]).__name__
        try:
            shape = _shape(name, small.get(name, []), large.get(name, []))
        except ModelError as error:
            layers.append(Layer(name, kind, None, None, str(error)))
        else:
            values = 1
            for length in shape:
                values *= length
            layers.append(Layer(name, kind, shape, values, None))
    layers.sort(key=lambda layer: layer.problem is not None)  # a stable sort keeps the order within each
    return _with_gradients(loaded, layers, tried, columns, output)


def advise(layers: Sequence[Layer], *, tried: str = f"{NOISE} images of noise") -> tuple[str, ...]:
    """Plain sentences on which layers to choose; the first names two where the model has them.

    ``tried``: the images that the gradients were compared on, in words.

    A concept may be learnt at one depth and be gone at another, so two or more depths are advised: one in the
    middle of the network and the last whose gradient still differs between images.
    """
    chosen = choose(layers)
    if not chosen:
        return (f"No layer of this model can be tapped with a gradient that differs between {tried}.",)
    names = ", ".join(f'"{layer.name}"' for layer in chosen)
    sentences = [
        f"Suggested: layers = [{names}]. Look at two or more depths: a concept may be learnt at one and be "
        "gone at another."
    ]
    sentences += [
        f'"{layer.name}" gives {layer.values} values an image: pooling = "mean" leaves '
        f"{layer.values // layer.positions}, at the price of where in the image they are."
        for layer in chosen
        if layer.values is not None and layer.values > LARGE and layer.positions > 1
    ]
    constant = [layer.name for layer in layers if layer.constant_gradient and layer.kind not in PASSING_ON]
    if constant:
        sentences.append(
            f"The same gradient on all {tried}: {', '.join(constant)}. A score is 0 or 1 on such images "
            "there, and no slice differs from another."
        )
    return tuple(sentences)


def choose(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """The layers that ``advise`` suggests: a middle one and the last, from the outermost level with two."""
    fit = [
        layer
        for layer in layers
        if layer.constant_gradient is False and (layer.values or 0) > 1 and layer.kind not in PASSING_ON
    ]
    if not fit:
        return ()
    level = 0
    outer = [layer for layer in fit if layer.name.count(".") <= level]
    while len(outer) < 2 and len(outer) < len(fit):
        level += 1
        outer = [layer for layer in fit if layer.name.count(".") <= level]
    return (outer[-1],) if len(outer) == 1 else (outer[(len(outer) - 1) // 2], outer[-1])


Shapes = dict[str, list[tuple[int, ...] | str]]  # per layer and run: a shape, or why there is none


def _observe(
    loaded: LoadedModel, named: dict[str, torch.nn.Module], batch: torch.Tensor
) -> tuple[Shapes, list[str]]:
    seen: Shapes = {}

    def hook_for(name: str) -> Callable[..., object]:
        def hook(_module: torch.nn.Module, _inputs: object, out: object) -> None:
            try:
                shape: tuple[int, ...] | str = tuple(split_output(out, name)[0].shape)
            except ModelError as error:
                shape = str(error)
            seen.setdefault(name, []).append(shape)

        return hook

    with torch.no_grad(), hooked(named, hook_for), exact_arithmetic():
        run_model(loaded.module, batch)
    return seen, list(seen)


def _shape(
    name: str, small: list[tuple[int, ...] | str], large: list[tuple[int, ...] | str]
) -> tuple[int, ...]:
    """The shape for one image.

    Raises
    ------
    ModelError
        The layer does not run, runs more than once, or has no tensor with one entry an image.
    """
    if not small:
        raise ModelError("does not run by itself (its parent may use its weights directly)")
    if len(small) > 1:
        raise ModelError(f"runs {len(small)} times in one pass; choose its parent")
    first, second = small[0], large[0]
    if isinstance(first, str) or isinstance(second, str):
        raise ModelError(first if isinstance(first, str) else str(second))
    axis = image_axis(name, first, second)
    return (*first[:axis], *first[axis + 1 :])


def _with_gradients(
    loaded: LoadedModel,
    layers: list[Layer],
    tried: torch.Tensor,
    columns: Sequence[int],
    output: str | int | None,
) -> tuple[Layer, ...]:
    """Whether the logits' gradients are the same on every image, layer by layer where they can be had."""
    told: list[Layer] = []
    for layer in layers:
        constant: bool | None = None
        if layer.problem is None:
            with suppress(ModelError):  # the layer does not feed the logits: it stays None
                constant = _is_constant(loaded, layer.name, tried, columns, output)
        told.append(Layer(layer.name, layer.kind, layer.shape, layer.values, layer.problem, constant))
    return tuple(told)


def _is_constant(
    loaded: LoadedModel, name: str, tried: torch.Tensor, columns: Sequence[int], output: str | int | None
) -> bool:
    """Whether all images have one gradient; most layers differ within the first few and cost no more."""
    first: torch.Tensor | None = None
    for batch in torch.split(tried, FEW):
        slopes = tap(loaded.module, [name], batch, list(columns), output=output).gradients[name]
        first = slopes[:, :1] if first is None else first
        if not torch.allclose(slopes, first.expand_as(slopes), rtol=1e-4, atol=1e-7):
            return False
    return True
