"""Forward hooks as scopes: what they read from a layer's output, and under which settings. No statistics."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from concepts.errors import ModelError

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

Replace = Callable[[Tensor], object]


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


def device_of(module: nn.Module) -> torch.device:
    for tensor in (*module.parameters(), *module.buffers()):
        return tensor.device
    return torch.device("cpu")
