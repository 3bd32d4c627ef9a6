"""The list of layers: shapes, what cannot be tapped and why, and an advice that the stage can follow."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from concepts.demo.training import INPUT, digits_cnn
from concepts.errors import ModelError
from concepts.model.layers import advise, choose, list_layers
from concepts.model.loading import LoadedModel
from concepts.model.taps import plan_taps
from concepts.records import InputFormat

torch.set_num_threads(1)


class Mixed(nn.Module):
    """A block that runs once, an activation that runs twice, a layer that never runs, another head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.act = nn.ReLU()
        self.spare = nn.Linear(2, 2)
        self.body = nn.Conv2d(4, 4, 3, padding=1)
        self.embed = nn.Identity()
        self.other = nn.Linear(4, 1)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.act(self.body(self.act(self.stem(x)))).mean((2, 3))
        self.embed(torch.arange(3))
        return {"other": self.other(features), "logits": self.head(features)}


def loaded(module: nn.Module) -> LoadedModel:
    torch.manual_seed(0)
    for part in module.modules():
        if hasattr(part, "reset_parameters"):
            part.reset_parameters()
    return LoadedModel(module.eval().requires_grad_(False), "0" * 64)


def test_the_demos_layers() -> None:
    model = loaded(digits_cnn())
    layers = list_layers(model, INPUT)
    found = {layer.name: (layer.kind, layer.shape, layer.values, layer.positions) for layer in layers}
    assert found["block2"] == ("Sequential", (16, 8, 8), 1024, 64)
    assert found["block3.0"] == ("Conv2d", (32, 8, 8), 2048, 64)
    assert found["head"] == ("Linear", (2,), 2, 1)
    assert [layer.name for layer in layers][:4] == ["block1.0", "block1.1", "block1.2", "block1"]
    assert len(layers) == len([name for name, _ in model.module.named_modules() if name])


def test_layers_after_the_last_nonlinearity_are_told() -> None:
    layers = {layer.name: layer.constant_gradient for layer in list_layers(loaded(digits_cnn()), INPUT)}
    names = ("block2", "block3", "flat", "hidden.0", "hidden", "head")
    assert [layers[name] for name in names] == [False, False, False, False, True, True]


def test_the_advice_can_be_followed() -> None:
    model = loaded(digits_cnn())
    layers = list_layers(model, INPUT)
    chosen = [layer.name for layer in choose(layers)]
    assert chosen == ["block2", "block3"]
    assert plan_taps(model.module, chosen, torch.zeros(1, 1, 32, 32)).order == ("block2", "block3")
    advice = advise(layers)
    assert advice[0].startswith('Suggested: layers = ["block2", "block3"]. Look at two or more depths')
    assert advice[1] == (
        "The same gradient on all 64 images of noise: hidden.1, hidden, head. A score is 0 or 1 on such "
        "images there, and no slice differs from another."
    )


def test_what_cannot_be_tapped_is_said_and_comes_last() -> None:
    layers = list_layers(loaded(Mixed()), InputFormat((8, 8), 1, (0.0,), (1.0,)), output="logits")
    assert [layer.name for layer in layers] == ["stem", "body", "other", "head", "act", "embed", "spare"]
    problems = {layer.name: layer.problem for layer in layers if layer.problem}
    assert problems["act"] == "runs 2 times in one pass; choose its parent"
    assert problems["spare"].startswith("does not run by itself")
    assert "torch.int64 values" in problems["embed"]
    constant = {layer.name: layer.constant_gradient for layer in layers}
    assert (constant["stem"], constant["other"], constant["head"], constant["act"]) == (
        False,
        None,
        True,
        None,
    )


def test_large_layers_are_advised_to_be_pooled() -> None:
    model = loaded(
        nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(131072, 2))
    )
    advice = advise(list_layers(model, InputFormat((64, 64), 1, (0.0,), (1.0,))))
    assert '"0" gives 131072 values an image: pooling = "mean" leaves 32, at the price of where' in advice[1]


def test_a_linear_model_has_nothing_to_advise() -> None:
    model = loaded(nn.Sequential(nn.Flatten(), nn.Linear(16, 2)))
    layers = list_layers(model, InputFormat((4, 4), 1, (0.0,), (1.0,)))
    assert choose(layers) == ()
    assert advise(layers) == (
        "No layer of this model can be tapped with a gradient that differs between 64 images of noise.",
    )


def test_one_layer_is_chosen_where_there_is_one() -> None:
    model = loaded(nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.Tanh(), nn.Linear(4, 2)))
    names = [layer.name for layer in choose(list_layers(model, InputFormat((4, 4), 1, (0.0,), (1.0,))))]
    assert names == ["1"]


def test_a_size_that_does_not_fit_is_refused() -> None:
    with pytest.raises(
        ModelError, match=r"cannot run on images of shape \[2, 1, 9, 9\] .*: .*check \[model\] input"
    ):
        list_layers(
            loaded(nn.Sequential(nn.Flatten(), nn.Linear(16, 2))), InputFormat((9, 9), 1, (0.0,), (1.0,))
        )
