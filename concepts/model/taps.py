"""Taps: activations and logit gradients of named layers, by scoped hooks. No statistics here.

One forward serves all layers and stops at the deepest; one backward a class serves all layers and reaches
back no further than the shallowest. The value that a tap reads is that of the layer's output tensor: where
the layer returns a tuple, list, dict or dataclass, its first floating-point tensor.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from concepts.errors import ModelError
from concepts.foreign import foreign
from concepts.model.hooks import exact_arithmetic, hooked, run_model, split_output
from concepts.model.logits import check_independent, check_logits, select_logits
from concepts.model.pooling import Pooling, image_axis, pool, pool_gradient, pooled_size
from slices.said import say


@dataclass(frozen=True, slots=True)
class TapPlan:
    """What one trial run showed: layers in the order in which they run, where the image axis lies.

    ``shapes`` are those of the tapped tensor for one image (the image axis taken out); ``sizes`` the
    numbers of values after pooling; ``classes`` the number of logits.
    """

    order: tuple[str, ...]
    axes: Mapping[str, int]
    shapes: Mapping[str, tuple[int, ...]]
    sizes: Mapping[str, int]
    pooling: Pooling
    output: str | int | None
    classes: int

    @property
    def deepest(self) -> str:
        """The layer that runs last: the forward pass for activations stops there."""
        return self.order[-1]

    def describe(self, layer: str) -> str:
        """How a layer is read, in words: "mean over 8 x 8 positions: 64 values"."""
        shape, size = self.shapes[layer], self.sizes[layer]
        if self.pooling == "mean" and len(shape) > 1:
            spread = shape[1:] if len(shape) == 3 else shape[:-1]
            return say(
                "concepts.layer.mean",
                "mean over {shape: x } positions: {size} values",
                shape=[str(n) for n in spread],
                size=size,
            )
        if self.pooling == "class_token" and len(shape) > 1:
            return say(
                "concepts.layer.class_token",
                "class token of {tokens}: {size} values",
                tokens=shape[0],
                size=size,
            )
        return say(
            "concepts.layer.flattened",
            "flattened: {shape: x } = {size} values",
            shape=[str(n) for n in shape],
            size=size,
        )


@dataclass(frozen=True, slots=True)
class Tapped:
    """Activations (layer -> (N, d)), gradients (layer -> (classes, N, d)) and logits (N, K) of one batch."""

    activations: Mapping[str, Tensor]
    gradients: Mapping[str, Tensor]
    logits: Tensor


class _DeepestReachedError(BaseException):
    """Ends a forward pass. Not an Exception, so that no ``except Exception`` in a model swallows it."""


def plan_taps(
    module: nn.Module,
    layers: Sequence[str],
    batch: Tensor,
    pooling: Pooling = "flatten",
    *,
    output: str | int | None = None,
    classes: int | None = None,
) -> TapPlan:
    """Run the model on two images and on three, and see what each layer returns.

    The two runs differ only in the number of images, so that the axis that changes is the image axis:
    the first in most modules, the second in a transformer with ``batch_first=False``. The first two images'
    logits must be the same in both: where they depend on the company (batch statistics, dropout that stays
    on), a gradient is not an image's own.

    Parameters
    ----------
    module
        In eval mode.
    batch : float32 tensor, shape (N, channels, height, width), N >= 1
    output
        Key or index of the logits where the model returns several outputs.
    classes
        The number of class names configured; checked against the logits where given.

    Raises
    ------
    ModelError
        Unknown layer; a layer that does not run, runs twice, or returns nothing that has one entry an
        image; outputs that are not logits of shape (N, classes), or depend on the other images.
    """
    modules = find_layers(module, layers)
    trial = _three_images(batch)
    runs = [_trial(module, modules, trial[:images]) for images in (2, 3)]
    (answer, seen2), (again, seen3) = runs
    axes: dict[str, int] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    sizes: dict[str, int] = {}
    for layer in seen2:
        small, large = seen2[layer], seen3[layer]
        axes[layer] = image_axis(layer, small, large)
        shapes[layer] = (*small[: axes[layer]], *small[axes[layer] + 1 :])
        sizes[layer] = pooled_size(layer, shapes[layer], pooling)
    logits = select_logits(answer, output)
    found = check_logits(logits, images=2, classes=classes)
    check_independent(logits, select_logits(again, output)[:2])
    return TapPlan(tuple(seen2), axes, shapes, sizes, pooling, output, found)


def activations(
    module: nn.Module,
    layers: Sequence[str],
    batch: Tensor,
    pooling: Pooling = "flatten",
    *,
    output: str | int | None = None,
    plan: TapPlan | None = None,
) -> dict[str, Tensor]:
    """Activations of all layers in one forward pass, stopped at the deepest.

    Parameters
    ----------
    batch : float32 tensor, shape (N, channels, height, width)
        Moved to the model's device.
    pooling
        ``flatten``: all values. ``mean``: over positions: (C, H, W) over H and W, (tokens, D) over tokens.
        ``class_token``: the first token.
    plan
        From ``plan_taps``, for a caller that taps many batches; else made from this batch.

    Returns
    -------
    dict of layer -> float32 tensor on the CPU, shape (N, d); in the order of ``layers``
    """
    plan = plan or plan_taps(module, layers, batch, pooling, output=output)
    modules = find_layers(module, layers)
    read: dict[str, Tensor] = {}

    def hook_for(layer: str) -> Callable[..., object]:
        def hook(_module: nn.Module, _inputs: object, out: object) -> None:
            tensor, _ = split_output(out, layer)
            # A copy is needed: the next operation may write in place.
            read[layer] = pool(tensor.detach(), plan.axes[layer], pooling).to("cpu", copy=True)
            if len(read) == len(modules):
                raise _DeepestReachedError

        return hook

    with torch.no_grad(), hooked(modules, hook_for), exact_arithmetic():
        try:
            run_model(module, batch)
        except _DeepestReachedError:
            pass
        else:
            raise ModelError(
                f"Layer {next(name for name in layers if name not in read)!r} did not run on this batch, "
                "though it ran in the trial; a layer that runs only for some images cannot be tapped."
            )
    return {layer: read[layer].float() for layer in layers}


def gradients(
    module: nn.Module,
    layers: Sequence[str],
    batch: Tensor,
    outputs: Sequence[int],
    pooling: Pooling = "flatten",
    *,
    output: str | int | None = None,
    plan: TapPlan | None = None,
) -> dict[str, Tensor]:
    """Gradients of the logits ``outputs`` (columns) with respect to each layer.

    Returns
    -------
    dict of layer -> float32 tensor on the CPU, shape (classes, N, d)
        With ``mean`` pooling the gradient is summed over positions: it is the derivative along a direction
        added at every position alike, which is what moves the mean by that direction.
    """
    return dict(tap(module, layers, batch, outputs, pooling, output=output, plan=plan).gradients)


def tap(
    module: nn.Module,
    layers: Sequence[str],
    batch: Tensor,
    outputs: Sequence[int],
    pooling: Pooling = "flatten",
    *,
    output: str | int | None = None,
    plan: TapPlan | None = None,
) -> Tapped:
    """Activations, logits and gradients of one batch: one forward, one backward a class.

    The graph begins at the shallowest layer: everything before it runs without being recorded, so that
    each backward ends there.

    Raises
    ------
    ModelError
        As ``plan_taps``; and where no gradient reaches a layer from any of the outputs.
    """
    plan = plan or plan_taps(module, layers, batch, pooling, output=output)
    modules = find_layers(module, layers)
    nodes: dict[str, Tensor] = {}

    def hook_for(layer: str) -> Callable[..., object]:
        def hook(_module: nn.Module, _inputs: object, out: object) -> object:
            tensor, replace = split_output(out, layer)
            # The graph starts here, unless a shallower layer has already started it.
            nodes[layer] = tensor if tensor.requires_grad else tensor.detach().requires_grad_(True)
            # What flows on is a copy, so that an operation in place changes neither node nor leaf.
            return replace(nodes[layer].clone())

        return hook

    # Inference mode, in which a recorder's caller may be, records no graph, and its tensors enter none.
    with torch.inference_mode(False), torch.enable_grad(), hooked(modules, hook_for), exact_arithmetic():
        images = batch.detach().clone() if batch.is_inference() else batch.detach()
        # The copies keep the tapped values intact through operations in place further on.
        answer = run_model(module, images)
        logits = select_logits(answer, plan.output)
        check_logits(logits, images=len(batch), classes=plan.classes)
        missing = [layer for layer in layers if layer not in nodes]
        if missing:
            raise ModelError(
                f"Layer {missing[0]!r} did not run on this batch, though it ran in the trial; "
                "a layer that runs only for some images cannot be tapped."
            )
        collected = _backward(logits, nodes, tuple(layers), tuple(outputs))
    return Tapped(
        activations={
            layer: pool(nodes[layer].detach(), plan.axes[layer], pooling).to("cpu", copy=True).float()
            for layer in layers
        },
        gradients={
            layer: torch.stack(
                [pool_gradient(gradient, plan.axes[layer], pooling).cpu() for gradient in collected[layer]]
            ).float()
            for layer in layers
        },
        logits=(logits if logits.ndim == 2 else logits[:, None]).detach().cpu(),
    )


def _backward(
    logits: Tensor, nodes: Mapping[str, Tensor], layers: tuple[str, ...], outputs: tuple[int, ...]
) -> dict[str, list[Tensor]]:
    """One backward for each column: layer -> gradients in the shape of the layer's tensor."""
    columns = logits if logits.ndim == 2 else logits[:, None]
    collected: dict[str, list[Tensor]] = {layer: [] for layer in layers}
    reached: set[str] = set()
    if not columns.requires_grad:
        raise _no_gradient(layers[0])
    for column in outputs:
        # Images do not interact in eval mode, so the sum's gradient holds each image's own.
        # A model's own autograd functions may raise.
        with foreign("The model's backward pass"):
            found = torch.autograd.grad(
                columns[:, column].sum(),
                [nodes[layer] for layer in layers],
                retain_graph=True,
                allow_unused=True,
            )
        for layer, gradient in zip(layers, found, strict=True):
            if gradient is not None:
                reached.add(layer)
            # A layer that feeds another head only has a true derivative of zero for this one.
            collected[layer].append(torch.zeros_like(nodes[layer]) if gradient is None else gradient)
    for layer in layers:
        if layer not in reached:
            raise _no_gradient(layer)
    return collected


def _no_gradient(layer: str) -> ModelError:
    return ModelError(
        f"No gradient reaches layer {layer!r} from the outputs asked for: the layer does not feed them, or "
        "the model's forward uses no_grad() or detach() after it; name another layer, or take that out."
    )


def find_layers(module: nn.Module, layers: Sequence[str]) -> dict[str, nn.Module]:
    """Modules by name.

    Raises
    ------
    ModelError
        No layer is named, one is named twice, or one does not exist: with the nearest name and a list.
    """
    if not layers:
        raise ModelError("[model] layers is empty; name at least one layer (`xaudit layers` lists them).")
    if len(set(layers)) != len(layers):
        twice = next(name for name in layers if list(layers).count(name) > 1)
        raise ModelError(f"[model] layers names {twice!r} twice; name each layer once.")
    known = dict(module.named_modules(remove_duplicate=False))
    known.pop("", None)
    found: dict[str, nn.Module] = {}
    for layer in layers:
        if layer not in known:
            close = difflib.get_close_matches(layer, known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            names = list(known)
            more = f" and {len(names) - 12} more" if len(names) > 12 else ""
            raise ModelError(
                f"Layer {layer!r} is not in the model; it has: {', '.join(names[:12])}{more}.{hint}"
            )
        found[layer] = known[layer]
    return found


def _three_images(batch: Tensor) -> Tensor:
    """The first three images of a batch; where there are fewer, the first again, nearer to white and black.

    Both are mixtures of the image with its own extremes, so that no model meets a pixel out of its range,
    and their means and variances differ, which batch statistics would show.
    """
    first = batch[:1]
    flat = first.flatten(2)
    lightest, darkest = flat.amax(2)[:, :, None, None], flat.amin(2)[:, :, None, None]
    company = torch.cat([(first + lightest) / 2, (first + 3 * darkest) / 4])
    return torch.cat([batch[:3], company])[:3]


def _trial(
    module: nn.Module, modules: Mapping[str, nn.Module], batch: Tensor
) -> tuple[object, dict[str, tuple[int, ...]]]:
    """Run the whole model once; the shapes of the tapped tensors in the order in which layers ran."""
    shapes: dict[str, tuple[int, ...]] = {}
    runs = dict.fromkeys(modules, 0)

    def hook_for(layer: str) -> Callable[..., object]:
        def hook(_module: nn.Module, _inputs: object, out: object) -> None:
            runs[layer] += 1
            shapes[layer] = tuple(split_output(out, layer)[0].shape)

        return hook

    with torch.no_grad(), hooked(modules, hook_for), exact_arithmetic():
        answer = run_model(module, batch)
    for layer, count in runs.items():
        if count == 0:
            raise ModelError(
                f"Layer {layer!r} does not run in the forward pass (its parent may use its weights "
                "directly); name its parent."
            )
        if count > 1:
            raise ModelError(
                f"Layer {layer!r} runs {count} times in one forward pass, so that its activation is not one "
                "value; name a layer that runs once, such as its parent block."
            )
    return answer, shapes
