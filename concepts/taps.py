"""Taps: activations and logit gradients of named layers, by scoped hooks. No statistics here.

One forward serves all layers and stops at the deepest; one backward a class serves all layers and reaches
back no further than the shallowest. The value that a tap reads is that of the layer's output tensor: where
the layer returns a tuple, list, dict or dataclass, its first floating-point tensor.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from concepts.errors import ModelError

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

Pooling = Literal["flatten", "mean", "class_token"]
Replace = Callable[[Tensor], object]


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
            return f"mean over {' x '.join(map(str, spread))} positions: {size} values"
        if self.pooling == "class_token" and len(shape) > 1:
            return f"class token of {shape[0]}: {size} values"
        return f"flattened: {' x '.join(map(str, shape))} = {size} values"


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
    """Run the model on the first image (twice, and three times over) and see what each layer returns.

    The two runs differ only in the number of images, so that the axis that changes is the image axis:
    the first in most modules, the second in a transformer with ``batch_first=False``.

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
        image; outputs that are not logits of shape (N, classes).
    """
    modules = find_layers(module, layers)
    first = batch[:1]
    runs = [_trial(module, modules, torch.cat([first] * images)) for images in (2, 3)]
    (answer, seen2), (_, seen3) = runs
    axes: dict[str, int] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    sizes: dict[str, int] = {}
    for layer in seen2:
        small, large = seen2[layer], seen3[layer]
        axes[layer] = image_axis(layer, small, large)
        shapes[layer] = (*small[: axes[layer]], *small[axes[layer] + 1 :])
        sizes[layer] = _pooled_size(layer, shapes[layer], pooling)
    logits = select_logits(answer, output)
    found = _check_logits(logits, images=2, classes=classes)
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
            module(batch.to(device_of(module)))
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

    with torch.enable_grad(), hooked(modules, hook_for), exact_arithmetic():
        # The copies keep the tapped values intact through operations in place further on.
        answer = module(batch.detach().to(device_of(module)))
        logits = select_logits(answer, plan.output)
        _check_logits(logits, images=len(batch), classes=plan.classes)
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
        found = torch.autograd.grad(
            columns[:, column].sum(), [nodes[layer] for layer in layers], retain_graph=True, allow_unused=True
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


def _pooled_size(layer: str, shape: tuple[int, ...], pooling: Pooling) -> int:
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
        try:
            answer = module(batch.to(device_of(module)))
        except ModelError:
            raise
        except Exception as error:  # whatever the model raises on an input that it cannot take
            reason = " ".join(str(error).split())[:300]
            raise ModelError(
                f"The model cannot run on images of shape {list(batch.shape)} (images, channels, height, "
                f"width): {reason or type(error).__name__}; check [model] input."
            ) from error
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


def _check_logits(logits: Tensor, *, images: int, classes: int | None) -> int:
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


def split_output(out: object, layer: str) -> tuple[Tensor, Replace]:
    """The first floating-point tensor in a layer's output, and how to put another in its place."""
    if isinstance(out, Tensor):
        if not out.is_floating_point():
            raise ModelError(
                f"Layer {layer!r} gives {out.dtype} values, which have no gradient; name another."
            )
        return out, lambda tensor: tensor
    entries: list[tuple[object, object]]
    if isinstance(out, Mapping):
        entries = list(out.items())
    elif isinstance(out, (tuple, list)):
        entries = list(enumerate(out))
    else:
        raise ModelError(
            f"Layer {layer!r} gives {type(out).__name__}, expected a tensor, or a tuple or dict with one."
        )
    for key, value in entries:
        if isinstance(value, Tensor) and value.is_floating_point():
            return value, _replacing(out, key)
    raise ModelError(
        f"Layer {layer!r} gives a {type(out).__name__} without a floating-point tensor; name another."
    )


def _replacing(out: object, key: object) -> Replace:
    def replace(tensor: Tensor) -> object:
        if isinstance(out, Mapping):
            changed = copy.copy(out)
            changed[key] = tensor  # type: ignore[index]
            return changed
        assert isinstance(out, (tuple, list))
        items = [tensor if place == key else item for place, item in enumerate(out)]
        if hasattr(out, "_fields"):
            return type(out)(*items)
        return type(out)(items)

    return replace


@contextmanager
def hooked(
    modules: Mapping[str, nn.Module], hook_for: Callable[[str], Callable[..., object]]
) -> Iterator[None]:
    """Forward hooks as a scope: none is left behind, whatever happens."""
    handles: list[RemovableHandle] = []
    try:
        handles.extend(part.register_forward_hook(hook_for(layer)) for layer, part in modules.items())
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """The settings under which both passes give the same numbers.

    The fast path of nn.TransformerEncoder and nn.MultiheadAttention skips their sub-modules (and their
    hooks) when nothing needs a gradient. TF32 would round what a GPU multiplies to ten bits.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    tf32 = torch.backends.cuda.matmul.allow_tf32
    with ExitStack() as stack:
        torch.backends.mha.set_fastpath_enabled(False)
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast)
        if torch.cuda.is_available():
            torch.backends.cuda.matmul.allow_tf32 = False
            stack.callback(setattr, torch.backends.cuda.matmul, "allow_tf32", tf32)
            stack.enter_context(
                torch.backends.cudnn.flags(
                    enabled=True, benchmark=False, deterministic=True, allow_tf32=False
                )
            )
        yield


def device_of(module: nn.Module) -> torch.device:
    for tensor in (*module.parameters(), *module.buffers()):
        return tensor.device
    return torch.device("cpu")
