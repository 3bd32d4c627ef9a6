"""Taps against plain autograd, over the architectures that users bring."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from concepts.errors import ModelError
from concepts.model.hooks import exact_arithmetic
from concepts.model.logits import select_logits
from concepts.model.taps import activations, gradients, plan_taps, tap

torch.set_num_threads(1)


class Cnn(nn.Module):
    """Convolutions whose ReLU writes in place, and a residual that adds in place."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.act1 = nn.ReLU(inplace=True)
        self.block = nn.Conv2d(6, 6, 3, padding=1)
        self.act2 = nn.ReLU(inplace=True)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act1(self.norm(self.stem(x)))
        y = self.block(x)
        y += x
        return self.head(self.act2(y).mean((2, 3)))


class Vit(nn.Module):
    """A small vision transformer: patches, a class token, nn.TransformerEncoder."""

    def __init__(self, *, batch_first: bool = True) -> None:
        super().__init__()
        self.batch_first = batch_first
        self.patches = nn.Conv2d(3, 16, 4, stride=4)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        layer = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=batch_first)
        self.encoder = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
        self.head = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), tokens], 1)
        if self.batch_first:
            return self.head(self.encoder(tokens)[:, 0])
        return self.head(self.encoder(tokens.transpose(0, 1))[0])


class Recurrent(nn.Module):
    """An LSTM, whose output is a tuple of a tensor and a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(24, 10, batch_first=True)
        self.head = nn.Linear(10, 4)

    def forward(self, x: Tensor) -> Tensor:
        rows, _ = self.lstm(x.flatten(2).transpose(1, 2).reshape(len(x), -1, 24))
        return self.head(rows[:, -1])


Pair = namedtuple("Pair", "features size")


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)

    def forward(self, x: Tensor) -> Pair:
        return Pair(self.conv(x).relu(), 5)


class Keyed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(5, 5, 3)

    def forward(self, pair: Pair) -> dict[str, Tensor]:
        return OrderedDict(indices=torch.arange(3), features=self.conv(pair.features))


class Structured(nn.Module):
    """A named tuple from one module, a dictionary from the next."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Named()
        self.second = Keyed()
        self.head = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.second(self.first(x))["features"]).mean((2, 3)))


@dataclass
class Answer:
    logits: Tensor
    box: Tensor


class Heads(nn.Module):
    """Several heads, given as a dict, a tuple, a named tuple or a dataclass."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.logits = nn.Linear(8, 4)
        self.box = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> object:
        features = self.body(x)
        logits, box = self.logits(features), self.box(features)
        if self.form == "dict":
            return {"logits": logits, "box": box}
        if self.form == "dataclass":
            return Answer(logits, box)
        return (box, logits)


def batch_of(images: int = 5, size: int = 16) -> Tensor:
    return torch.randn(images, 3, size, size, generator=torch.Generator().manual_seed(7))


def ready(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for part in module.modules():
        if hasattr(part, "reset_parameters"):
            part.reset_parameters()
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-1, 1)
            part.running_var.uniform_(0.5, 2)
    return module.eval().requires_grad_(False)


def oracle(
    module: nn.Module, layer: str, batch: Tensor, columns: tuple[int, ...], output: str | int | None = None
) -> tuple[Tensor, Tensor]:
    """The slow way: one image, one layer and one class at a time, through the whole graph from the pixels.

    Returns the activation (N, ...) and the gradients (classes, N, ...) of the layer's tensor, image axis
    first.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, out: object) -> object:
        tensor = out
        if isinstance(out, dict):
            tensor = out["features"]
        elif isinstance(out, tuple):
            tensor = out[0]
        assert isinstance(tensor, Tensor)
        tensor.retain_grad()
        kept.append(tensor)
        if isinstance(out, Tensor):
            return out.clone()
        return None

    values, slopes = [], []
    handle = module.get_submodule(layer).register_forward_hook(keep)
    for image in batch:
        per_class = []
        for column in columns:
            kept.clear()
            pixels = image[None].clone().requires_grad_(True)
            answer = module(pixels)
            logits = answer if output is None else select_logits(answer, output)
            logits[0, column].backward()
            assert kept[0].grad is not None
            per_class.append(kept[0].grad.clone())
        values.append(kept[0].detach().clone())
        slopes.append(torch.stack(per_class))
    handle.remove()
    torch.backends.mha.set_fastpath_enabled(fast)
    axis = next(i for i, length in enumerate(values[0].shape) if length == 1)
    return torch.cat(values, axis).movedim(axis, 0), torch.cat(slopes, axis + 1).movedim(axis + 1, 1)


ARCHITECTURES: dict[str, tuple[Callable[[], nn.Module], tuple[str, ...], str | int | None]] = {
    "cnn": (Cnn, ("act2", "stem", "block"), None),
    "vit": (Vit, ("encoder.layers.0", "encoder.layers.2", "patches"), None),
    "encoder inner": (Vit, ("encoder.layers.1.linear1", "encoder.layers.1.self_attn"), None),
    "sequence first": (lambda: Vit(batch_first=False), ("encoder.layers.0", "encoder.layers.1"), None),
    "tuple": (Recurrent, ("lstm",), None),
    "structured": (Structured, ("first", "second"), None),
    "dict head": (lambda: Heads("dict"), ("body.0", "body.3"), "logits"),
    "dataclass head": (lambda: Heads("dataclass"), ("body.0",), "logits"),
    "tuple head": (lambda: Heads("tuple"), ("body.0", "body.1"), 1),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_flattened_taps_equal_plain_autograd(name: str) -> None:
    build, layers, output = ARCHITECTURES[name]
    module, batch, columns = ready(build()), batch_of(), (2, 0)
    found = activations(module, layers, batch, "flatten", output=output)
    slopes = gradients(module, layers, batch, columns, "flatten", output=output)
    both = tap(module, layers, batch, columns, "flatten", output=output)
    assert list(found) == list(slopes) == list(layers)
    for layer in layers:
        value, slope = oracle(module, layer, batch, columns, output)
        torch.testing.assert_close(found[layer], value.flatten(1), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(slopes[layer], slope.flatten(2), rtol=1e-4, atol=1e-6)
        # Bit for bit: both passes run the same kernels, the fused path of the encoder switched off in both.
        torch.testing.assert_close(both.activations[layer], found[layer], rtol=0, atol=0)
        torch.testing.assert_close(both.gradients[layer], slopes[layer], rtol=0, atol=0)
        assert slopes[layer].abs().max() > 0


@pytest.mark.parametrize("layer", ["stem", "act2"])
def test_mean_pooling_of_a_convolution(layer: str) -> None:
    module, batch = ready(Cnn()), batch_of()
    value, slope = oracle(module, layer, batch, (1,))
    torch.testing.assert_close(
        activations(module, [layer], batch, "mean")[layer], value.mean((2, 3)), rtol=1e-5, atol=1e-6
    )
    torch.testing.assert_close(
        gradients(module, [layer], batch, [1], "mean")[layer], slope.sum((3, 4)), rtol=1e-4, atol=1e-6
    )


def test_mean_pooled_gradient_is_the_derivative_along_a_direction_at_every_position() -> None:
    module, batch = ready(Cnn()), batch_of(3)
    direction = torch.randn(6, generator=torch.Generator().manual_seed(1))

    def moved(step: float) -> Tensor:
        handle = module.get_submodule("block").register_forward_hook(
            lambda _m, _i, out: out + step * direction[None, :, None, None]
        )
        logits = module.double()(batch.double())[:, 1]
        handle.remove()
        return logits

    numeric = (moved(1e-5) - moved(-1e-5)) / 2e-5
    module.float()
    slope = gradients(module, ["block"], batch, [1], "mean")["block"][0]
    torch.testing.assert_close(slope @ direction, numeric.float(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("pooling", ["class_token", "mean"])
def test_token_pooling(batch_first: bool, pooling: str) -> None:
    module, batch, layer = ready(Vit(batch_first=batch_first)), batch_of(), "encoder.layers.1"
    value, slope = oracle(module, layer, batch, (3, 1))
    expected = (value[:, 0], slope[:, :, 0]) if pooling == "class_token" else (value.mean(1), slope.sum(2))
    assert pooling in ("class_token", "mean")
    found = tap(module, [layer], batch, [3, 1], pooling)  # type: ignore[arg-type]
    torch.testing.assert_close(found.activations[layer], expected[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.gradients[layer], expected[1], rtol=1e-4, atol=1e-6)


def test_forward_stops_at_the_deepest_layer() -> None:
    module = ready(Cnn())
    plan = plan_taps(module, ["act1", "stem"], batch_of())
    ran: list[str] = []
    for name in ("stem", "norm", "act1", "block", "head"):
        module.get_submodule(name).register_forward_hook(lambda _m, _i, _o, name=name: ran.append(name))
    activations(module, ["act1", "stem"], batch_of(), plan=plan)
    assert plan.order == ("stem", "act1")
    assert plan.deepest == "act1"
    assert ran in (["stem", "norm"], ["stem", "norm", "act1"])


def test_backward_ends_at_the_shallowest_layer() -> None:
    module = ready(Cnn())
    module.stem.weight.requires_grad_(True)
    plan = plan_taps(module, ["block"], batch_of())
    touched: list[int] = []
    module.stem.weight.register_hook(lambda _gradient: touched.append(1))
    gradients(module, ["block"], batch_of(), [0, 1], plan=plan)
    assert touched == []
    assert module.stem.weight.grad is None


def test_hooks_and_settings_are_left_as_found() -> None:
    module = ready(Vit())
    layers = ["encoder.layers.0"]
    before = torch.backends.mha.get_fastpath_enabled()
    tap(module, layers, batch_of(), [0])
    with pytest.raises(ModelError):
        tap(module, layers, torch.randn(2, 3, 3, 3), [0])
    assert not any(part._forward_hooks for part in module.modules())
    assert torch.backends.mha.get_fastpath_enabled() == before


def test_batches_agree_with_the_whole() -> None:
    module, batch, layers = ready(Cnn()), batch_of(6), ["stem", "act2"]
    whole = tap(module, layers, batch, [0, 3])
    parts = [tap(module, layers, part, [0, 3]) for part in batch.split([4, 2])]
    for layer in layers:
        torch.testing.assert_close(torch.cat([p.activations[layer] for p in parts]), whole.activations[layer])
        torch.testing.assert_close(torch.cat([p.gradients[layer] for p in parts], 1), whole.gradients[layer])
    torch.testing.assert_close(whole.logits, module(batch))


def test_single_logit() -> None:
    module = ready(nn.Sequential(nn.Flatten(), nn.Linear(768, 3), nn.Tanh(), nn.Linear(3, 1), nn.Flatten(0)))
    slope = gradients(module, ["1"], batch_of(), [0])["1"]
    expected = module[3].weight * (1 - torch.tanh(module[1](batch_of().flatten(1))) ** 2)
    torch.testing.assert_close(slope[0], expected)


def test_head_that_does_not_use_a_layer_has_zero_gradient() -> None:
    class TwoColumns(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Linear(768, 1), nn.Linear(768, 1)

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([self.left(x.flatten(1)), self.right(x.flatten(1))], 1)

    slope = gradients(ready(TwoColumns()), ["left"], batch_of(), [0, 1])["left"]
    assert slope[0].eq(1).all()
    assert slope[1].eq(0).all()


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.act, self.second = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.second(self.act(self.first(x)))).mean((2, 3))


class Unused(Twice):
    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.first.weight).mean((2, 3))


class Detached(Twice):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            features = self.first(x)
        return self.second(features.detach()).mean((2, 3))


class Folded(nn.Module):
    """Windows folded into the image axis, as in a Swin block."""

    def __init__(self) -> None:
        super().__init__()
        self.windows = nn.Linear(48, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.windows(x.reshape(-1, 48)).reshape(len(x), -1, 4).mean(1)


class Table(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.positions, self.head = nn.Linear(2, 4), nn.Linear(768, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.flatten(1)) + self.positions(torch.ones(1, 2))


class Whole(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ids = nn.Identity()
        self.head = nn.Linear(768, 4)

    def forward(self, x: Tensor) -> Tensor:
        self.ids(torch.arange(len(x)))
        return self.head(x.flatten(1))


REFUSED: dict[str, tuple[nn.Module, list[str], str]] = {
    "twice": (Twice(), ["act"], r"'act' runs 2 times in one forward pass.*parent block"),
    "unused": (Unused(), ["first"], r"'first' does not run in the forward pass"),
    "projection": (Vit(), ["encoder.layers.0.self_attn.out_proj"], r"does not run .* name its parent"),
    "detached": (Detached(), ["first"], r"No gradient reaches layer 'first'"),
    "folded": (Folded(), ["windows"], r"'windows' gives .*\[32, 4\] for 2 images and \[48, 4\] for 3"),
    "table": (Table(), ["positions"], r"'positions' gives .* no axis has one entry an image"),
    "whole numbers": (Whole(), ["ids"], r"'ids' gives torch.int64 values"),
    "unknown": (Cnn(), ["blok"], r"'blok' is not in the model; it has: stem, .*Did you mean 'block'\?"),
    "named twice": (Cnn(), ["stem", "stem"], r"names 'stem' twice"),
    "none": (Cnn(), [], r"layers is empty"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_layers_that_cannot_be_tapped(name: str) -> None:
    module, layers, message = REFUSED[name]
    with pytest.raises(ModelError, match=message):
        gradients(module.eval(), layers, batch_of(), [0])


def test_outputs_that_are_not_logits() -> None:
    batch = batch_of()
    layers = ["0"]

    def flat(*tail: nn.Module) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(768, 4), *tail).eval()

    with pytest.raises(ModelError, match="outputs are probabilities"):
        plan_taps(flat(nn.Softmax(1)), layers, batch)
    with pytest.raises(ModelError, match=r"gives 4 logits an image, but \[model\] outputs names 2 classes"):
        plan_taps(flat(), layers, batch, classes=2)
    with pytest.raises(ModelError, match=r"output has shape \[2, 2, 2\] for 2 images"):
        plan_taps(flat(nn.Unflatten(1, (2, 2))), layers, batch)
    with pytest.raises(ModelError, match=r"several outputs \('logits', 'box'\)"):
        plan_taps(Heads("dict"), ["body.0"], batch)
    with pytest.raises(ModelError, match=r"several outputs \(0, 1\)"):
        plan_taps(Heads("tuple"), ["body.0"], batch)
    with pytest.raises(ModelError, match=r"output = 'logit' is not a tensor .* it has: 'logits', 'box'"):
        plan_taps(Heads("dict"), ["body.0"], batch, output="logit")
    with pytest.raises(ModelError, match="the model returns one tensor; leave `output` out"):
        plan_taps(flat(), layers, batch, output=0)
    with pytest.raises(ModelError, match=r"cannot run on images of shape \[2, 3, 8, 8\]"):
        plan_taps(flat(), layers, batch_of(size=8))
    with pytest.raises(ModelError, match="has no class token"):
        plan_taps(Cnn().eval(), ["stem"], batch, "class_token")


class Raising(Twice):
    """Fails, or leaves, on more images than a trial has."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > 3:
            raise self.error
        return self.second(self.first(x)).mean((2, 3))


@pytest.mark.parametrize("error", [ValueError("only\ntwo"), SystemExit(0)])
def test_a_forward_pass_that_fails_or_leaves(error: BaseException) -> None:
    batch = batch_of().repeat(2, 1, 1, 1)
    model = Raising(error).eval()
    for run in (
        lambda: gradients(model, ["first"], batch, [0]),
        lambda: activations(model, ["first"], batch),
    ):
        with pytest.raises(ModelError, match=rf"cannot run on images of shape \[{len(batch)}, .*") as raised:
            run()
        assert ("ValueError: only two" if isinstance(error, ValueError) else "SystemExit (0)") in str(
            raised.value
        )


class Centred(Twice):
    """Logits that depend on the rest of the batch, as with batch statistics."""

    def forward(self, x: Tensor) -> Tensor:
        logits = self.second(self.first(x)).mean((2, 3))
        return logits - logits.mean(0, keepdim=True)


class Dropping(Twice):
    """Dropout without its switch."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.dropout(self.second(self.first(x)).mean((2, 3)))


class Normed(Twice):
    """Batch statistics in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.norm(self.first(x))).relu().mean((2, 3))


@pytest.mark.parametrize("kind", [Centred, Dropping, Normed])
@pytest.mark.parametrize("images", [1, 4])
def test_logits_that_depend_on_the_rest_of_the_batch(kind: type[Twice], images: int) -> None:
    torch.manual_seed(0)
    with pytest.raises(ModelError, match="logits of an image change with the images beside it"):
        plan_taps(kind().eval(), ["first"], batch_of()[:images])


def test_plan_says_how_a_layer_is_read() -> None:
    batch = batch_of()
    assert plan_taps(ready(Cnn()), ["stem"], batch).describe("stem") == "flattened: 6 x 16 x 16 = 1536 values"
    assert plan_taps(ready(Cnn()), ["stem"], batch, "mean").describe("stem") == (
        "mean over 16 x 16 positions: 6 values"
    )
    vit, layer = ready(Vit(batch_first=False)), "encoder.layers.0"
    assert plan_taps(vit, [layer], batch, "class_token").describe(layer) == "class token of 17: 16 values"
    assert plan_taps(vit, [layer], batch, "mean").describe(layer) == "mean over 17 positions: 16 values"
    assert plan_taps(vit, [layer], batch).sizes == {layer: 17 * 16}


def linear() -> nn.Module:
    torch.manual_seed(0)
    return ready(nn.Sequential(nn.Flatten(), nn.Linear(768, 512), nn.Tanh(), nn.Linear(512, 2)))


@pytest.mark.parametrize("setting", ["precision", "new precision", "autocast", "inference mode"])
def test_what_the_caller_or_the_factory_has_set_changes_no_number(setting: str) -> None:
    """Each of these alone changes the model's own output, or forbids gradients (asserted below)."""
    module, batch = linear(), batch_of(8)
    plain = tap(module, ["1"], batch, [0])
    with ExitStack() as stack:
        stack.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
        for kernels in (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul):
            stack.callback(setattr, kernels, "fp32_precision", kernels.fp32_precision)
        if setting == "precision":
            torch.set_float32_matmul_precision("medium")
        elif setting == "new precision":  # the older switches refuse to be asked after this
            torch.backends.cuda.matmul.fp32_precision = "tf32"
            torch.backends.mkldnn.matmul.fp32_precision = "bf16"
        elif setting == "autocast":
            stack.enter_context(torch.autocast("cpu", dtype=torch.bfloat16))
            assert module(batch).dtype == torch.bfloat16
        else:
            stack.enter_context(torch.inference_mode())
            batch = batch_of(8)
            assert batch.is_inference()
        before = (torch.backends.cuda.matmul.fp32_precision, torch.backends.mkldnn.matmul.fp32_precision)
        found = tap(module, ["1"], batch, [0])
        read = activations(module, ["1"], batch)["1"]
        after = (torch.backends.cuda.matmul.fp32_precision, torch.backends.mkldnn.matmul.fp32_precision)
    assert after == before
    for values in (found.activations["1"], read):
        torch.testing.assert_close(values, plain.activations["1"], rtol=0, atol=0)
    torch.testing.assert_close(found.gradients["1"], plain.gradients["1"], rtol=0, atol=0)
    torch.testing.assert_close(found.logits, plain.logits, rtol=0, atol=0)


def settings() -> dict[str, object]:
    """What decides how a GPU multiplies and adds up."""
    backends = torch.backends
    return {
        "cudnn": (backends.cudnn.benchmark, backends.cudnn.deterministic),
        "attention": (backends.cuda.flash_sdp_enabled(), backends.cuda.mem_efficient_sdp_enabled()),
        "order": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        "precision": tuple(
            kernels.fp32_precision
            for kernels in (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn)
        ),
        "autocast": (torch.is_autocast_enabled("cuda"), torch.is_autocast_enabled("cpu")),
    }


def test_the_settings_of_a_gpu_are_scoped(monkeypatch: pytest.MonkeyPatch) -> None:
    """They can be set where there is none, so that every machine checks them."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    before = settings()
    with torch.autocast("cpu", dtype=torch.bfloat16), exact_arithmetic():
        assert settings() == {
            "cudnn": (False, True),
            "attention": (False, False),
            "order": (True, True),
            "precision": ("ieee", "ieee", "ieee"),
            "autocast": (False, False),
        }
    assert settings() == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_gpu_agrees_with_cpu() -> None:
    module, batch, layers = ready(Cnn()), batch_of(16), ["stem", "act2"]
    here = tap(module, layers, batch, [0, 1])
    there = tap(module.to("cuda"), layers, batch, [0, 1])
    for layer in layers:
        torch.testing.assert_close(there.activations[layer], here.activations[layer], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(there.gradients[layer], here.gradients[layer], rtol=1e-4, atol=1e-5)
