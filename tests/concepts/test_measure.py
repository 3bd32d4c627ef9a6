"""What the model's outputs look like: probabilities are said, numbers that are none are refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from concepts.errors import ModelError
from concepts.measure import output_notes
from concepts.model import loading
from concepts.stage import run_concepts
from tests.concepts.conftest import World


@pytest.mark.parametrize(("found", "said"), [((0.01, 0.99), 1), ((-0.1, 0.9), 0), ((0.2, 1.1), 0), (None, 0)])
def test_outputs_that_look_like_probabilities_are_said(found: tuple[float, float] | None, said: int) -> None:
    notes = output_notes(found)
    assert len(notes) == said
    if found is not None and said:
        assert "lie between 0.01 and 0.99, as probabilities do" in notes[0]


def without_value(logits: Tensor) -> Tensor:
    return torch.where(logits[:, :1] > 0, torch.nan, logits)


@pytest.mark.parametrize("end", [torch.sigmoid, without_value])
def test_a_sigmoid_is_said_and_outputs_without_a_value_are_refused(
    end: object, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = loading.load_model(world.model)

    def finish(_module: nn.Module, _inputs: object, logits: Tensor) -> Tensor:
        return end(logits)  # type: ignore[operator]

    loaded.module.register_forward_hook(finish)
    monkeypatch.setattr(loading, "load_model", lambda _spec: loaded)
    spec = world.spec(world.folder("spot"))
    if end is without_value:
        with pytest.raises(
            ModelError, match=r"of the model for class 'yes' are NaN or infinite for \d+ of \d+ images"
        ):
            run_concepts(spec)
        return
    assert any("as probabilities do" in note for note in run_concepts(spec).notes)
