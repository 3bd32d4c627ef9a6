"""Models: from a configured factory and weights to a frozen nn.Module on a device. No hooks here.

Weights load as tensors only (safetensors, or a state dict through ``weights_only=True``); a ``.pt2``
archive passes ``concepts.preflight.archive`` first. Anything that would run code from the weights file is
refused.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import io
import os
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from concepts.errors import ModelError
from concepts.foreign import foreign, one_line
from concepts.preflight.entries import check_entries
from concepts.records import ModelSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

STATE_DICT_SUFFIXES = frozenset({".pt", ".pth", ".bin", ".ckpt"})
NESTED = ("state_dict", "model_state_dict")  # what training loops call the weights in a checkpoint
SAVE_INSTEAD = 'save the weights alone: safetensors.torch.save_file(model.state_dict(), "model.safetensors")'


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model ready to be looked into: in eval mode, no parameter needs a gradient, float32.

    ``sha256`` is that of the weights file; ``device`` "cpu" or "cuda".
    """

    module: nn.Module
    sha256: str
    device: str = "cpu"


def load_model(spec: ModelSpec, *, device: str | None = None) -> LoadedModel:
    """Load the configured model.

    Parameters
    ----------
    spec
        Factory and weights; ``factory`` is None for a ``.pt2`` archive, which carries its own program.
    device
        "cpu" or "cuda"; left out: CUDA when there is one.

    Raises
    ------
    ModelError
        The weights are missing, have another SHA-256 than configured, hold code, or do not fit; the
        factory cannot be imported, fails, or returns no nn.Module. One line each.
    """
    import torch

    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if chosen.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError("Device 'cuda' was asked for, but torch finds no CUDA device; use device 'cpu'.")
    if chosen.startswith("cuda"):
        # Read when CUDA starts; without it cuBLAS adds up in an order that may vary.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    suffix = spec.weights.suffix.lower()
    content = _read_weights(spec.weights)
    sha256 = hashlib.sha256(content).hexdigest()
    _refuse_other_hash(spec, sha256)
    if suffix == ".pt2":
        from concepts.preflight.archive import load_archive

        if spec.factory is not None:
            raise ModelError(
                f"[model] names a factory ({spec.factory}) beside {spec.weights.name}; "
                "a .pt2 archive carries its own program: leave `factory` out."
            )
        module = load_archive(content, name=str(spec.weights), device=chosen)
    else:
        if spec.factory is None:
            raise ModelError(
                f'[model] has no factory for {spec.weights}; give factory = "package.module:function", '
                "a function that returns the nn.Module."
            )
        # The weights are looked at first: a refused file must not cost the import of the user's code.
        state = _read_state(content, spec.weights)
        module = build_module(spec.factory)
        with foreign(f"Loading weights {spec.weights} into the model"):
            fit_weights(module, state, name=str(spec.weights))
    with foreign(f"Moving the model to {chosen}"):
        module = module.float().to(chosen)
    for part in module.modules():
        part.training = False  # as eval(), which exported programs refuse
    module.requires_grad_(False)
    refuse_unsound(module, name=str(spec.weights))
    return LoadedModel(module=module, sha256=sha256, device=chosen)


def check_hash(spec: ModelSpec) -> None:
    """Hold the weights file against the configured SHA-256, where there is one; loads nothing.

    Raises
    ------
    ModelError
        The file cannot be read, is of a refused type, or has another SHA-256.
    """
    if spec.sha256 is not None:
        _refuse_other_hash(spec, hashlib.sha256(_read_weights(spec.weights)).hexdigest())


def _refuse_other_hash(spec: ModelSpec, found: str) -> None:
    if spec.sha256 is not None and spec.sha256.lower() != found:
        raise ModelError(
            f"Weights {spec.weights} have SHA-256 {found}, but [model] sha256 is {spec.sha256}; "
            "use the released weights, or correct the configured hash."
        )


def build_module(factory: str) -> nn.Module:
    """Import ``package.module:function`` and call it.

    Raises
    ------
    ModelError
        The text is not of that form, the import fails, the function is absent, it raises, or what it
        returns is not an nn.Module.
    """
    from torch import nn

    module_name, colon, function_name = factory.partition(":")
    named = all(part.isidentifier() for part in module_name.split("."))
    if not colon or not function_name.isidentifier() or not named:
        raise ModelError(f'[model] factory {factory!r} is not of the form "package.module:function".')
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        if module_name == missing or module_name.startswith(f"{missing}."):
            raise ModelError(
                f"[model] factory {factory!r}: there is no module '{missing}' on the import path "
                "(the configuration's folder is on it); correct the name, or put the file there."
            ) from error
        raise ModelError(
            f"[model] factory {factory!r}: importing {module_name} needs '{missing}', "
            "which is not installed; install it in xaudit's environment."
        ) from error
    except (Exception, SystemExit) as error:  # the user's module may raise anything at import
        raise ModelError(
            f"[model] factory {factory!r}: importing {module_name} failed with {one_line(error)}"
        ) from error
    with foreign(f"[model] factory {factory!r}: looking it up"):
        function: Callable[[], object] | None = getattr(module, function_name, None)
    if function is None:
        names = [name for name in vars(module) if not name.startswith("_")]
        close = difflib.get_close_matches(function_name, names, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise ModelError(f"[model] factory {factory!r}: {module_name} has no '{function_name}'.{hint}")
    if not callable(function):
        raise ModelError(
            f"[model] factory {factory!r} is not a function but {type(function).__name__}; "
            "name a function that returns the nn.Module."
        )
    with foreign(f"[model] factory {factory!r}"):
        built = function()
    if not isinstance(built, nn.Module):
        raise ModelError(
            f"[model] factory {factory!r} returned {type(built).__name__}, expected a torch.nn.Module."
        )
    return built


def fit_weights(module: nn.Module, state: Mapping[str, Tensor], *, name: str) -> None:
    """Load a state dict into a module, strictly.

    Names that share one tensor (tied weights) need be in the file only once, as safetensors stores them.

    Raises
    ------
    ModelError
        A name is missing or too much, or a shape or type differs; the first few are listed.
    """
    own = module.state_dict()
    shapes = [
        f"{key} (file {list(state[key].shape)}, model {list(own[key].shape)})"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    kinds = [
        f"{key} (file {_kind(state[key])}, model {_kind(own[key])})"
        for key in own
        if key in state and state[key].is_floating_point() != own[key].is_floating_point()
    ]
    places: dict[tuple[int, int, tuple[int, ...]], bool] = {}
    for key, tensor in own.items():
        places[_place(tensor)] = places.get(_place(tensor), False) or key in state
    missing = [key for key, tensor in own.items() if key not in state and not places[_place(tensor)]]
    unexpected = [key for key in state if key not in own]
    problems = [
        f"{label}: {_first(keys)}"
        for label, keys in (
            ("other shape", shapes),
            ("other type", kinds),
            ("missing", missing),
            ("not in the model", unexpected),
        )
        if keys
    ]
    if problems:
        raise ModelError(
            f"Weights {name} do not fit the model of the factory; {'; '.join(problems)}. "
            "Use the factory that the weights were saved from."
        )
    module.load_state_dict(dict(state), strict=False)


def refuse_unsound(module: nn.Module, *, name: str) -> None:
    """Refuse parameters and running statistics that are not numbers: every figure would be none, too.

    A negative infinity in a buffer is an attention mask; buffers are looked at for NaN only.

    Raises
    ------
    ModelError
        A parameter holds NaN or an infinity, or a buffer NaN; the first few are listed.
    """
    unsound = [key for key, tensor in module.named_parameters() if not bool(tensor.isfinite().all())]
    unsound += [key for key, tensor in module.named_buffers() if bool(tensor.isnan().any())]
    if unsound:
        raise ModelError(
            f"Weights {name} hold NaN or infinite values ({_first(unsound)}); the training may have "
            "diverged, or the file was written in too small a type: save them again."
        )


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _place(tensor: Tensor) -> tuple[int, int, tuple[int, ...]]:
    """Where a tensor lies in memory: equal for tied weights. An empty tensor is a place of its own."""
    return (tensor.data_ptr() or id(tensor), int(tensor.storage_offset()), tuple(tensor.shape))


def _read_weights(path: Path) -> bytes:
    """The file's bytes, read once, so that what is hashed is what is loaded."""
    suffix = path.suffix.lower()
    if suffix in {".pkl", ".pickle", ".joblib"}:
        raise ModelError(
            f"Weights {path} are a pickle, which runs code when loaded: refused; {SAVE_INSTEAD}."
        )
    if suffix not in STATE_DICT_SUFFIXES | {".safetensors", ".pt2"}:
        raise ModelError(
            f"Weights {path} are of an unknown type '{suffix}'; expected .safetensors, a state dict "
            f"({', '.join(sorted(STATE_DICT_SUFFIXES))}) or .pt2."
        )
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        raise ModelError(f"Weights {path} cannot be read: {getattr(error, 'strerror', error)}") from error


def _read_state(content: bytes, path: Path) -> dict[str, Tensor]:
    """Tensors by name, from safetensors or from a state dict; no code is run."""
    if path.suffix.lower() == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            tensors: dict[str, Tensor] = load(content)
        except (SafetensorError, ValueError, KeyError) as error:
            raise ModelError(f"Weights {path} are not a safetensors file: {one_line(error)}") from error
        return tensors
    return _read_checkpoint(content, path)


def _read_checkpoint(content: bytes, path: Path) -> dict[str, Tensor]:
    """A state dict saved by torch.save."""
    import pickle

    import torch

    _refuse_program(content, path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an unusual pickle is refused or read, either way for certain
            loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"Weights {path} hold pickled objects, not only tensors; loading them would run code: refused; "
            f"{SAVE_INSTEAD}."
        ) from error
    except Exception as error:  # a damaged file fails in many ways
        raise ModelError(f"Weights {path} cannot be read as a state dict: {one_line(error)}") from error
    for key in NESTED:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
            break
    if not isinstance(loaded, Mapping) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in loaded.items()
    ):
        raise ModelError(
            f"Weights {path} hold {type(loaded).__name__}, expected a state dict (name -> tensor); "
            f"{SAVE_INSTEAD}."
        )
    return dict(loaded)


def _refuse_program(content: bytes, path: Path) -> None:
    """Refuse archives that carry a program under a state dict's suffix."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = archive.infolist()
    except zipfile.BadZipFile as error:
        raise ModelError(f"Weights {path} are a damaged archive: {one_line(error)}") from error
    names = [info.filename.partition("/")[2] for info in infos]
    if any(name.startswith("code/") or name == "constants.pkl" for name in names):
        raise ModelError(
            f"Weights {path} are a TorchScript program, whose loading runs code and whose layers cannot be "
            f"looked into: refused; {SAVE_INSTEAD} and name a factory, or use torch.export to write a .pt2."
        )
    if any(name == "archive_format" or name.startswith("models/") for name in names):
        raise ModelError(
            f"Weights {path} are a torch.export archive; name the file .pt2 and leave `factory` out."
        )
    check_entries(infos, len(content), name=f"Weights {path}", instead=SAVE_INSTEAD)


def _first(names: list[str], limit: int = 3) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
