"""Scores against Captum's TCAV with the same vectors and images, and against explicit vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import LayerGradientXActivation
from captum.concept import TCAV, Classifier, Concept

from concepts.model.taps import activations, gradients
from concepts.tcav.analysis import ScoredClass, _gap, _resampled_mean, analyse_concept, plan_draws
from concepts.tcav.gates import auc_interval, cosine_matrix, judge, measure_quality
from concepts.tcav.gram import grams
from concepts.tcav.scores import (
    Directions,
    consensus_weights,
    derivatives,
    effect_weights,
    magnitude,
    sign_count,
    smooth,
    train_directions,
)
from concepts.tcav.sets import Design, draw_sets
from concepts.tcav.testing import p_values
from tests.concepts.planted import NETWORKS, Images, centre, draw, train

SIZE = 20


def _world(kind: str) -> tuple[torch.nn.Module, Images, Images]:
    network = train(kind, {"spot": 4.0}, seed=1, steps=60)
    rng = np.random.default_rng(0)
    table = np.concatenate(
        [draw(SIZE, {}, rng, always=("spot",)).images, draw(4 * SIZE, {}, rng, prevalence=0.2).images]
    )
    return network, table, draw(40, {"spot": 4.0}, rng).images


def _design() -> Design:
    zeros = np.zeros(5 * SIZE, int)
    return Design(np.arange(SIZE), zeros[:SIZE], np.arange(SIZE, 5 * SIZE), zeros[: 4 * SIZE], zeros[:SIZE])


class _Given(Classifier):
    """A classifier that was trained elsewhere: it hands Captum our vectors."""

    vectors: dict[str, torch.Tensor] = {}  # noqa: RUF012

    def __init__(self) -> None:
        self.labels: list[int] = []
        self.width = 0

    def train_and_eval(self, dataloader: Any, **_: Any) -> dict[str, Any]:
        self.labels = torch.unique(torch.cat([label for _, label in dataloader])).tolist()
        self.width = next(iter(dataloader))[0].shape[1]
        return {"accs": torch.tensor(1.0)}

    def weights(self) -> torch.Tensor:
        vector = self.vectors[str(self.width)]
        return torch.stack([vector, -vector])

    def classes(self) -> list[int]:
        return self.labels


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["plain", "residual"])
def test_equal_to_captum_with_the_same_vectors_and_images(kind: str, tmp_path: Path) -> None:
    network, table, scored = _world(kind)
    layers = NETWORKS[kind].layers[:2]  # type: ignore[attr-defined]
    found = activations(network, layers, centre(table), "flatten")
    slopes = gradients(network, layers, centre(scored), (1,), "flatten")
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    for layer in layers:
        kernel, (products,) = grams(found[layer].numpy(), [slopes[layer][0].numpy()])
        draws = draw_sets(_design(), pseudo_concepts=1, splits=1, rng=np.random.default_rng(4))
        directions = train_directions(kernel, draws, solver="ridge")
        values = derivatives(products, directions.rows, directions.alpha, directions.length)
        table64 = found[layer].numpy().astype(np.float64)
        for v in range(len(directions.rows)):
            w = (directions.alpha[v] @ table64[directions.rows[v]]) / directions.length[v]
            assert np.linalg.norm(w) == pytest.approx(1.0)
            _Given.vectors = {str(len(w)): torch.from_numpy(w)}
            images = centre(table)
            sets = [
                Concept(i, name, torch.utils.data.DataLoader(images[20 * i : 20 * i + 20], batch_size=20))
                for i, name in enumerate(("concept", "random"))
            ]
            captum = TCAV(
                network,
                [layer],
                classifier=_Given(),
                layer_attr_method=LayerGradientXActivation(network, None, multiply_by_inputs=False),
                save_path=str(tmp_path / f"{layer}-{v}"),
            )
            answer = captum.interpret(centre(scored), [sets], target=1)["0-1"][layer]
            assert not (values[:, v] == 0).any()
            assert float(answer["sign_count"][0]) == pytest.approx(sign_count(values)[v], abs=1e-6)
            assert float(answer["magnitude"][0]) == pytest.approx(magnitude(values)[v], abs=1e-5)


def _directions(
    solver: str = "ridge", pseudo: int = 5
) -> tuple[Directions, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    a = rng.standard_normal((5 * SIZE, 30))
    a[:SIZE, 0] += 2.0
    g = rng.standard_normal((9, 30))
    draws = draw_sets(_design(), pseudo_concepts=pseudo, splits=3, rng=rng)
    return train_directions(a @ a.T, draws, solver=solver), a, g, g @ a.T  # type: ignore[arg-type]


@pytest.mark.parametrize("solver", ["ridge", "logistic", "mean_difference", "pattern"])
def test_dual_figures_equal_those_of_explicit_vectors(solver: str) -> None:
    directions, a, g, products = _directions(solver)
    half = SIZE // 2
    effects = np.zeros((6, 9))
    for v, (rows, alpha) in enumerate(zip(directions.rows, directions.alpha, strict=True)):
        w = alpha @ a[rows]
        unit = w / np.linalg.norm(w)
        assert directions.length[v] == pytest.approx(np.linalg.norm(w))
        gap = a[rows[:half]].mean(0) - a[rows[half:]].mean(0)
        assert directions.distance[v] == pytest.approx(gap @ unit)
        other = directions.rows[v ^ 1]  # the other half of the same cut
        np.testing.assert_allclose(directions.held_out[v], a[other] @ w + directions.intercept[v], atol=1e-9)
        assert not set(other.tolist()) & set(rows.tolist())
        effects[v // 6] += (g @ unit) * (gap @ unit) / 6
        if v % 2 == 0:
            partner = directions.alpha[v + 1] @ a[directions.rows[v + 1]]
            cosine = unit @ partner / np.linalg.norm(partner)
            assert directions.cosines.ravel()[v // 2] == pytest.approx(cosine)
    np.testing.assert_allclose(products @ effect_weights(directions, len(a)).T, effects.T, atol=1e-10)


def test_the_effect_of_a_mean_difference_is_the_gradient_along_the_difference_of_means() -> None:
    directions, a, g, products = _directions("mean_difference")
    first = directions.rows[:6]
    gaps = [a[rows[: SIZE // 2]].mean(0) - a[rows[SIZE // 2 :]].mean(0) for rows in first]
    expected = np.mean([g.mean(0) @ gap for gap in gaps])
    assert (products @ effect_weights(directions, len(a)).T)[:, 0].mean() == pytest.approx(expected)


def test_solving_in_batches_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import concepts.tcav.scores as module

    whole = _directions()[0]
    monkeypatch.setattr(module, "BATCH_BYTES", 1)
    pieces = _directions()[0]
    for name in ("alpha", "intercept", "length", "distance", "held_out", "cosines"):
        np.testing.assert_allclose(getattr(pieces, name), getattr(whole, name), rtol=1e-9, atol=1e-12)


def test_zero_derivatives_are_neither_for_nor_against() -> None:
    values = np.array([[1.0, 0.0], [0.0, 0.0], [-2.0, 0.0], [3.0, 0.0]])
    counts = sign_count(values)
    assert counts[0] == pytest.approx(2 / 3)
    assert np.isnan(counts[1])
    assert sign_count(values, np.array([0.0, 1.0, 3.0, 1.0]))[0] == pytest.approx(1 / 4)


def test_the_smooth_score_is_the_sign_count_expected_of_another_draw() -> None:
    from scipy.stats import norm

    values, spread = np.array([1.0, -0.5, 0.0]), np.array([2.0, 0.5, 0.0])
    assert smooth(values, spread) == pytest.approx(np.mean([norm.cdf(0.5), norm.cdf(-1.0)]))
    assert smooth(np.array([3.0, -1.0]), np.zeros(2)) == pytest.approx(0.5)
    assert smooth(np.zeros(2), np.zeros(2)) is None


def test_quality_against_scikit_learn_on_held_out_halves() -> None:
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score

    directions, a, _, _ = _directions()
    quality = measure_quality(directions)
    truth = np.repeat([1, 0], SIZE // 2)
    for s in range(6):
        aucs, accuracies = [], []
        for v in range(6 * s, 6 * s + 6):
            scores = (
                a[directions.rows[v ^ 1]] @ (directions.alpha[v] @ a[directions.rows[v]])
                + directions.intercept[v]
            )
            aucs.append(roc_auc_score(truth, scores))
            accuracies.append(balanced_accuracy_score(truth, scores > 0))
        assert quality.auc[s] == pytest.approx(np.mean(aucs))
        assert quality.accuracy[s] == pytest.approx(np.mean(accuracies))
        assert quality.stability[s] == pytest.approx(directions.cosines[s].mean())


def test_the_aucs_interval_holds_it_and_is_never_of_zero_width() -> None:
    directions, _, _, _ = _directions()
    auc = measure_quality(directions).auc[0]
    low, high = auc_interval(directions, confidence=0.95)
    assert 0 < low < auc < high < 1
    wide = auc_interval(directions, confidence=0.99)
    assert wide[0] < low
    assert wide[1] > high
    rng = np.random.default_rng(3)
    a = rng.standard_normal((5 * SIZE, 30))
    a[:SIZE, 0] += 100.0
    perfect = train_directions(
        a @ a.T, draw_sets(_design(), pseudo_concepts=1, splits=3, rng=rng), solver="ridge"
    )
    low, high = auc_interval(perfect, confidence=0.95)
    assert (low, high) == (pytest.approx(0.025 ** (1 / SIZE)), 1.0)


def test_gates_call_noise_not_learnt_and_say_why() -> None:
    rng = np.random.default_rng(5)
    passed = 0
    for _ in range(60):
        a = rng.standard_normal((5 * SIZE, 30))
        directions = train_directions(
            a @ a.T, draw_sets(_design(), pseudo_concepts=39, splits=3, rng=rng), solver="ridge"
        )
        cav, reason = judge(directions, confidence=0.95)
        passed += reason is None
        if cav.auc is not None and cav.auc_null is not None and cav.auc <= cav.auc_null:
            assert reason is not None
            assert reason.startswith(f"not learnt here: held-out AUC {cav.auc:.2f} does not exceed")
    assert passed / 60 < 0.15
    _, reason = judge(_directions(pseudo=39)[0], confidence=0.95)
    assert reason is None


def test_constant_activations_are_not_learnt() -> None:
    directions = train_directions(
        np.ones((5 * SIZE, 5 * SIZE)),
        draw_sets(_design(), pseudo_concepts=5, splits=2, rng=np.random.default_rng(0)),
        solver="mean_difference",
    )
    assert judge(directions, confidence=0.95)[1] == (
        "not learnt here: held-out AUC 0.50 does not exceed 0.50, which 95% of random sets stay below"
    )


def test_cosines_between_concepts_mean_vectors() -> None:
    directions, a, _, _ = _directions()
    weights = consensus_weights(directions, len(a))
    cosines = cosine_matrix(a @ a.T, weights)
    np.testing.assert_allclose(cosines, np.corrcoef(weights @ a) * 0 + _cosines(weights @ a), atol=1e-9)
    np.testing.assert_array_equal(np.diag(cosines), 1.0)
    np.testing.assert_array_equal(cosines, cosines.T)


def _cosines(vectors: np.ndarray) -> np.ndarray:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit @ unit.T


def test_a_difference_within_single_precision_is_zero() -> None:
    effects = np.array([[1.0, 2.0], [1.0 + 1e-9, 2.5]])
    np.testing.assert_array_equal(_gap(effects, np.array([False, True])), [0.0, 0.5])


def test_an_effect_within_single_precision_is_zero_and_no_claim() -> None:
    """A transformation that moves only what no logit looks at; kernels leave the last digits of the rest."""
    rng = np.random.default_rng(0)
    pairs, width = 40, 20
    plain = rng.standard_normal((pairs, width)).astype(np.float32)
    changed = plain * np.float32(1 + 6e-8)
    changed[:, width // 2 :] += 2.0
    table = np.concatenate([plain, changed]).astype(np.float64)
    slopes = rng.standard_normal((50, width)) + 1.0
    slopes[:, width // 2 :] = 0.0
    zeros = np.zeros(pairs, int)
    design = Design(pairs + np.arange(pairs), zeros, np.arange(pairs), zeros, zeros, True)
    finding = analyse_concept(
        table @ table.T,
        plan_draws("mark", design, pseudo_concepts=39, resamples=20, seed=1),
        [ScoredClass("yes", slopes @ table.T, {"mark": np.ones(50, dtype=bool)}, {})],
        layer="deep",
        solver="mean_difference",
        confidence=0.95,
        minimum_images=20,
        seed=1,
    )[0][0]
    assert finding.learnt
    assert finding.effect is not None
    assert finding.effect.value == 0.0
    assert p_values(np.zeros(1), finding.effect.null[None])[0] == 1.0


def test_resampled_means_weigh_images_and_skip_empty_draws() -> None:
    draws = np.array([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0]])
    redrawn = np.array([[1.0, 5.0], [2.0, 6.0], [4.0, 7.0]])
    mask = np.array([True, False, True])
    found = _resampled_mean(draws, redrawn, mask)
    assert found[0] == pytest.approx((2 * 1 + 4) / 3)
    assert np.isnan(found[1])
