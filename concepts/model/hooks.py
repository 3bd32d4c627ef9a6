"""Forward hooks as scopes: what they read from a layer's output, and under which settings. No statistics."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from threading import RLock
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from concepts.errors import ModelError
from concepts.foreign import one_line

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

Replace = Callable[[Tensor], object]

# Most settings are the process's: two threads that change and restore them at once would leave a mixture.
_SETTINGS = RLock()


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
    """The settings under which both passes give the same numbers, whatever the caller or a factory has set.

    Multiplications in float32: TF32 and bfloat16 (``torch.set_float32_matmul_precision``), which keep ten
    bits and fewer, are off, and so is autocast. No fast path of nn.TransformerEncoder and
    nn.MultiheadAttention, which skips their sub-modules (and their hooks) when nothing needs a gradient. On
    a GPU only kernels that add up in the same order each time, where there are any (torch warns where there
    are none), attention included.
    """
    with _SETTINGS, ExitStack() as stack:
        stack.callback(torch.backends.mha.set_fastpath_enabled, torch.backends.mha.get_fastpath_enabled())
        torch.backends.mha.set_fastpath_enabled(False)
        for kind in ("cpu", "cuda"):
            stack.enter_context(torch.autocast(kind, enabled=False))
        backends: Any = torch.backends  # whose precisions its stubs do not know
        cuda, cudnn, mkldnn = backends.cuda, backends.cudnn, backends.mkldnn
        if torch.cuda.is_available():
            # Before the precisions, some of which it sets too.
            stack.enter_context(cudnn.flags(enabled=True, benchmark=False, deterministic=True))
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            stack.callback(
                torch.use_deterministic_algorithms,
                torch.are_deterministic_algorithms_enabled(),
                warn_only=torch.is_deterministic_algorithms_warn_only_enabled(),
            )
            torch.use_deterministic_algorithms(True, warn_only=True)
        for kernels in (cuda.matmul, cudnn.conv, cudnn.rnn, mkldnn.matmul, mkldnn.conv, mkldnn.rnn):
            stack.callback(setattr, kernels, "fp32_precision", kernels.fp32_precision)
            kernels.fp32_precision = "ieee"
        yield


def run_model(module: nn.Module, batch: Tensor) -> object:
    """What the model returns for a batch, which is moved to its device first.

    Raises
    ------
    ModelError
        The forward pass raises anything, or tries to end the process; one line.
    torch.OutOfMemoryError
        The GPU's memory does not hold the pass.
    """
    try:
        return module(batch.to(device_of(module)))
    except (ModelError, torch.OutOfMemoryError):
        raise
    except (Exception, SystemExit) as error:
        raise ModelError(
            f"The model cannot run on images of shape {list(batch.shape)} (images, channels, height, "
            f"width): {one_line(error)}; check [model] input, and that the forward pass takes any number of "
            "images."
        ) from error


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
