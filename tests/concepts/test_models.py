"""Models from a factory and weights: what fits is loaded and frozen, what does not gets its one line."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from concepts.errors import ModelError
from concepts.model.loading import build_module, load_model
from concepts.records import InputFormat, ModelSpec

FACTORY = """
import torch
from torch import nn

not_a_function = 3


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(self.first(x))


def network():
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 2))


def half():
    return network().half()


def tied():
    return Tied()


def number():
    return 7


def broken():
    raise RuntimeError("no\\nsuch   file")


def leaves():
    raise SystemExit(0)
"""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelSpec:
    (tmp_path / "user_models.py").write_text(FACTORY)
    (tmp_path / "needy.py").write_text("import no_such_package_at_all\n")
    (tmp_path / "wrong.py").write_text("def f(:\n")
    (tmp_path / "script.py").write_text("from user_models import network\nimport sys\nsys.exit(0)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    torch.manual_seed(0)
    save_file(build_module("user_models:network").state_dict(), tmp_path / "model.safetensors")
    return ModelSpec(
        weights=tmp_path / "model.safetensors",
        factory="user_models:network",
        sha256=None,
        layers=("0",),
        outputs=("no", "yes"),
        input=InputFormat((2, 2), 1, (0.0,), (1.0,)),
    )


def test_a_model_is_loaded_frozen_and_in_eval_mode(spec: ModelSpec) -> None:
    loaded = load_model(spec, device="cpu")
    content = spec.weights.read_bytes()
    assert loaded.sha256 == hashlib.sha256(content).hexdigest()
    assert loaded.device == "cpu"
    assert not any(part.training for part in loaded.module.modules())
    assert not any(weight.requires_grad for weight in loaded.module.parameters())
    from safetensors.torch import load

    for name, tensor in load(content).items():
        torch.testing.assert_close(loaded.module.state_dict()[name], tensor, rtol=0, atol=0)


def test_half_precision_is_run_in_float32(spec: ModelSpec) -> None:
    loaded = load_model(replace(spec, factory="user_models:half"), device="cpu")
    assert {weight.dtype for weight in loaded.module.parameters()} == {torch.float32}


@pytest.mark.parametrize("nest", [None, "state_dict", "model_state_dict"])
@pytest.mark.parametrize("legacy", [False, True])
def test_state_dicts_of_torch(spec: ModelSpec, nest: str | None, legacy: bool) -> None:
    state = build_module("user_models:network").state_dict()
    path = spec.weights.with_suffix(".pt")
    torch.save({nest: state, "epoch": 3} if nest else state, path, _use_new_zipfile_serialization=not legacy)
    loaded = load_model(replace(spec, weights=path))
    torch.testing.assert_close(loaded.module.state_dict()["0.weight"], state["0.weight"].to(loaded.device))


def test_tied_weights_need_be_stored_once(spec: ModelSpec) -> None:
    module = build_module("user_models:tied")
    path = spec.weights.with_name("tied.safetensors")
    state = {key: value for key, value in module.state_dict().items() if key != "second.weight"}
    save_file(state, path)
    loaded = load_model(replace(spec, weights=path, factory="user_models:tied"), device="cpu")
    torch.testing.assert_close(loaded.module.second.weight, module.first.weight.detach())  # type: ignore[union-attr]
    del state["first.weight"]
    save_file(state, path)
    with pytest.raises(ModelError, match=r"missing: first\.weight, second\.weight"):
        load_model(replace(spec, weights=path, factory="user_models:tied"))


def test_the_configured_hash_is_checked(spec: ModelSpec) -> None:
    own = hashlib.sha256(spec.weights.read_bytes()).hexdigest()
    assert load_model(replace(spec, sha256=own.upper())).sha256 == own
    with pytest.raises(ModelError, match=rf"have SHA-256 {own}, but \[model\] sha256 is {'0' * 64}"):
        load_model(replace(spec, sha256="0" * 64))


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("user_models", r"is not of the form \"package.module:function\""),
        (":f", "is not of the form"),
        ("user_models:two words", "is not of the form"),
        ("user_model:network", r"there is no module 'user_model' on the import path"),
        ("user_models.inner:network", r"there is no module|'user_models' is not a package"),
        ("needy:network", r"importing needy needs 'no_such_package_at_all', which is not installed"),
        ("wrong:f", r"importing wrong failed with SyntaxError: "),
        ("user_models:netwrok", r"user_models has no 'netwrok'\. Did you mean 'network'\?"),
        ("user_models:not_a_function", r"is not a function but int"),
        ("user_models:number", r"returned int, expected a torch.nn.Module"),
        ("user_models:broken", r"failed with RuntimeError: no such file$"),
        # Each would end the run with exit code 0 and no report.
        ("user_models:leaves", r"failed with SystemExit \(0\): it ends the process"),
        ("script:network", r"importing script failed with SystemExit \(0\)"),
        ("builtins:exit", r"failed with SystemExit \(None\)"),
        (".x:f", "is not of the form"),
        ("a..b:f", "is not of the form"),
        (None, r"has no factory for .*model.safetensors; give factory = "),
    ],
)
def test_factories_that_do_not_give_a_module(spec: ModelSpec, factory: str | None, message: str) -> None:
    with pytest.raises(ModelError, match=message) as raised:
        load_model(replace(spec, factory=factory))
    assert "\n" not in str(raised.value)


def test_weights_that_do_not_fit(spec: ModelSpec) -> None:
    state = dict(build_module("user_models:network").state_dict())
    del state["0.bias"], state["1.weight"], state["1.bias"], state["3.bias"]
    state["3.weight"] = torch.zeros(5, 3)
    state["extra"] = torch.zeros(1)
    save_file(state, spec.weights)
    with pytest.raises(ModelError) as raised:
        load_model(spec)
    assert str(raised.value).endswith(
        "do not fit the model of the factory; other shape: 3.weight (file [5, 3], model [2, 3]); "
        "missing: 0.bias, 1.weight, 1.bias and 1 more; not in the model: extra. "
        "Use the factory that the weights were saved from."
    )


def test_weights_of_another_type_or_without_a_value(spec: ModelSpec) -> None:
    state = dict(build_module("user_models:network").state_dict())
    save_file(state | {"0.weight": torch.ones(3, 4, dtype=torch.int32)}, spec.weights)
    with pytest.raises(ModelError, match=r"other type: 0\.weight \(file int32, model float32\)"):
        load_model(spec)
    save_file(state | {"0.weight": state["0.weight"].double()}, spec.weights)
    load_model(spec)
    for value in (torch.nan, torch.inf):
        save_file(state | {"0.weight": torch.full((3, 4), value)}, spec.weights)
        with pytest.raises(ModelError, match=r"hold NaN or infinite values \(0\.weight\)"):
            load_model(spec)
    save_file(state | {"1.running_var": torch.full((3,), torch.nan)}, spec.weights)
    with pytest.raises(ModelError, match=r"hold NaN or infinite values \(1\.running_var\)"):
        load_model(spec)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.safetensors", None, "cannot be read: No such file"),
        ("model.onnx", b"x", r"are of an unknown type '.onnx'; expected .safetensors, a state dict"),
        ("model.joblib", b"x", "are a pickle, which runs code when loaded: refused"),
        ("cut.safetensors", b"12345678", "are not a safetensors file"),
        ("cut.pt", b"x", "hold pickled objects|cannot be read as a state dict"),
        ("empty.pth", b"", "cannot be read as a state dict"),
    ],
)
def test_files_that_are_no_weights(spec: ModelSpec, name: str, content: bytes | None, message: str) -> None:
    path = spec.weights.with_name(name)
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=message) as raised:
        load_model(replace(spec, weights=path))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("value", [[torch.zeros(2)], {"w": 3.0}, {3: torch.zeros(2)}, torch.zeros(2)])
def test_checkpoints_that_are_no_state_dict(spec: ModelSpec, value: object) -> None:
    path = spec.weights.with_suffix(".pt")
    torch.save(value, path)
    with pytest.raises(ModelError, match=r"expected a state dict \(name -> tensor\); save the weights alone"):
        load_model(replace(spec, weights=path))


def test_the_users_code_is_not_imported_for_refused_weights(spec: ModelSpec) -> None:
    marker = spec.weights.with_name("imported")
    (spec.weights.parent / "eager.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(replace(spec, factory="eager:f", weights=spec.weights.with_name("none.pt")))
    assert not marker.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_gpu_that_is_not_there(spec: ModelSpec) -> None:
    with pytest.raises(ModelError, match="finds no CUDA device"):
        load_model(spec, device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_a_gpu_that_is_there_is_used(spec: ModelSpec) -> None:
    loaded = load_model(spec)
    assert loaded.device == "cuda"
    assert isinstance(loaded.module, nn.Module)
    assert next(loaded.module.parameters()).device.type == "cuda"
