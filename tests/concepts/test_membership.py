"""Slice against rest by permuted membership: a slow oracle, its level on random slices, and its power."""

from __future__ import annotations

import numpy as np
import pytest

from concepts.records import ConceptResult
from concepts.tcav.analysis import Measure, ScoredClass, SliceKey, analyse_concept, plan_draws
from concepts.tcav.membership import Comparison, plan_comparisons, studentised
from concepts.tcav.sets import Design
from concepts.tcav.testing import max_t, share_as_far
from concepts.tcav.verdicts import conclude


def _plan(masks: dict[str, np.ndarray], clusters: np.ndarray) -> dict[str, Comparison]:
    return plan_comparisons(masks, clusters, permutations=19, seed=3, name="yes")


def _by_hand(values: np.ndarray, inside: np.ndarray, cluster: np.ndarray) -> float:
    """Difference of means over the root of the clusters' squared influences, one image at a time."""
    n1, n0 = inside.sum(), (~inside).sum()
    mean1, mean0 = values[inside].mean(), values[~inside].mean()
    influence = dict.fromkeys(cluster.tolist(), 0.0)
    for value, within, one in zip(values, inside, cluster.tolist(), strict=True):
        influence[one] += (value - mean1) / n1 if within else -(value - mean0) / n0
    return float(abs(mean1 - mean0) / np.sqrt(sum(part**2 for part in influence.values())))


@pytest.mark.parametrize("constant", [True, False])
def test_the_statistic_is_the_difference_in_clustered_standard_errors(constant: bool) -> None:
    rng = np.random.default_rng(0)
    cluster = rng.integers(0, 25, 90)
    mask = (rng.random(25) < 0.4)[cluster] if constant else rng.random(90) < 0.4
    values = rng.standard_normal(90) + 5.0
    comparison = _plan({"north": mask}, cluster)["north"]
    observed, permuted = studentised(values, comparison)
    assert observed == pytest.approx(_by_hand(values, mask, cluster))
    for r in range(3):
        moved = comparison.inside[comparison.orders[r]][comparison.piece]
        assert permuted[r] == pytest.approx(_by_hand(values, moved, cluster))
    if constant:
        # Whole clusters move.
        assert all(len(set(moved[cluster == one])) == 1 for one in np.unique(cluster))


def test_slices_that_cut_the_class_alike_are_permuted_alike() -> None:
    rng = np.random.default_rng(1)
    masks = {name: rng.random(40) < 0.5 for name in ("a", "b")} | {"all": np.ones(40, dtype=bool)}
    found = _plan(masks, np.arange(40))
    assert set(found) == {"a", "b"}  # with nobody outside there is nothing to compare
    assert found["a"].orders is found["b"].orders
    assert all(sorted(row) == list(range(40)) for row in found["a"].orders.tolist())


def test_equal_effects_differ_nowhere() -> None:
    mask = np.arange(40) < 20
    comparison = _plan({"a": mask}, np.arange(40))["a"]
    observed, permuted = studentised(np.full(40, 3.0) + 1e-9 * np.arange(40), comparison)
    assert observed == 0.0
    assert share_as_far(np.array([observed]), permuted[None])[0] == 1.0


def test_clusters_move_whole_and_the_level_holds() -> None:
    """10 images a patient, all alike, an attribute of the patient: 5% with clusters, far more without."""
    rng = np.random.default_rng(2)
    cluster, runs = np.repeat(np.arange(40), 10), 200
    hits = np.zeros(2)
    for _ in range(runs):
        values = rng.exponential(size=40)[cluster] + 0.3 * rng.standard_normal(400)
        mask = (rng.random(40) < 0.4)[cluster]
        for place, units in enumerate((cluster, np.arange(400))):
            observed, permuted = studentised(values, _plan({"a": mask}, units)["a"])
            hits[place] += share_as_far(np.array([observed]), permuted[None])[0] <= 0.05
    assert abs(hits[0] / runs - 0.05) <= 3 * np.sqrt(0.05 * 0.95 / runs)
    assert hits[1] / runs > 0.4


def _stage(seed: int, *, more: float = 0.0) -> tuple[list[ConceptResult], list[Measure]]:
    """Random slices under a concept that truly drives the class: results, and differences as measured.

    ``more``: by how many times more the logit follows the concept in the first slice.
    """
    rng = np.random.default_rng(seed)
    size, pool, width, images = 20, 80, 8, 100
    table = rng.standard_normal((pool + size, width))
    table[pool:, 0] += 4.0
    masks: dict[SliceKey, np.ndarray] = {(("g", str(k)),): rng.random(images) < 0.5 for k in range(8)}
    slopes = 0.5 * rng.standard_normal((images, width))
    slopes[:, 0] += 1.0 + more * masks[(("g", "0"),)]
    zeros = np.zeros(pool, int)
    design = Design(pool + np.arange(size), zeros[:size], np.arange(pool), zeros, zeros[:size])
    scored = {"c": np.ones(images, dtype=bool)}
    permuted = plan_comparisons(masks, np.arange(images), permutations=39, seed=seed, name="yes")
    findings = analyse_concept(
        table @ table.T,
        plan_draws("c", design, pseudo_concepts=39, resamples=40, seed=seed),
        [ScoredClass("yes", slopes @ table.T, scored, masks, None, {"c": permuted})],
        layer="deep",
        solver="mean_difference",
        confidence=0.95,
        minimum_images=20,
        seed=seed,
    )[0]
    results = [result for result in conclude(findings, confidence=0.95) if result.slice]
    return results, [one.difference for one in findings if one.difference is not None]


def test_random_slices_of_a_driving_concept_raise_no_alarm() -> None:
    """Beside it what the pseudo-concepts alone said of the same slices."""
    runs, alarms, before = 12, 0, 0
    for seed in range(runs):
        results, measures = _stage(seed)
        alarms += min(one.difference_p_adjusted or 0.0 for one in results) <= 0.05
        against = max_t(np.array([one.value for one in measures]), np.stack([one.null for one in measures]))
        before += int(against.min() <= 0.05)
        assert {one.difference_verdict for one in results} == {"not_shown"}
        assert {one.verdict for one in results} == {"drives"}
    assert alarms <= 2
    assert before >= 6


def test_a_slice_in_which_the_concept_acts_more_is_found() -> None:
    found = [_stage(seed, more=1.5)[0][0].difference_verdict for seed in range(4)]
    assert found.count("higher") >= 3
    assert "lower" not in found
