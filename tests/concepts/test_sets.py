"""Draws of sets: disjoint, equal in number, matched, and by one procedure for concept and pseudo-concept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from concepts.tcav.scores import effect_weights, train_directions
from concepts.tcav.sets import (
    Design,
    Draws,
    draw_sets,
    generator_for,
    largest_composition,
    resample_sets,
    smallest_p_value,
)
from concepts.tcav.testing import max_t, p_values


def _design(seed: int, strata: int = 3) -> Design:
    rng = np.random.default_rng(seed)
    own, pool = rng.integers(0, strata, 30), rng.integers(0, strata, 170)
    composition = largest_composition(own, pool, rng=rng)
    rows = rng.permutation(500)
    return Design(rows[:30], own, rows[30:200], pool, composition)


def _strata(design: Design, rows: np.ndarray) -> np.ndarray:
    table = {
        **dict(zip(design.positives.tolist(), design.positive_strata.tolist(), strict=True)),
        **dict(zip(design.pool.tolist(), design.pool_strata.tolist(), strict=True)),
    }
    return np.vectorize(table.__getitem__)(rows)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), strata=st.integers(1, 4))
def test_negatives_are_disjoint_from_the_set_and_matched_in_each_half(seed: int, strata: int) -> None:
    design = _design(seed, strata)
    draws = draw_sets(design, pseudo_concepts=7, splits=2, rng=np.random.default_rng(seed))
    assert draws.positives.shape == draws.negatives.shape == (8, 2, 2, design.size // 2)
    concept = set(draws.positives[0, 0].ravel().tolist())
    assert concept <= set(design.positives.tolist())
    union = concept | set(design.pool.tolist())
    for s in range(8):
        members = set(draws.positives[s, 0].ravel().tolist())
        assert len(members) == design.size
        assert members <= union
        for split in range(2):
            assert set(draws.positives[s, split].ravel().tolist()) == members
            negatives = draws.negatives[s, split].ravel().tolist()
            assert len(set(negatives)) == design.size
            assert set(negatives) <= union - members
    np.testing.assert_array_equal(_strata(design, draws.positives), _strata(design, draws.negatives))
    np.testing.assert_array_equal(
        np.sort(_strata(design, draws.positives[:, 0]).reshape(8, -1)), np.tile(design.composition, (8, 1))
    )


def test_negatives_differ_from_cut_to_cut_and_from_set_to_set() -> None:
    draws = draw_sets(_design(1), pseudo_concepts=5, splits=3, rng=np.random.default_rng(0))
    seen = {tuple(sorted(draws.negatives[s, c].ravel().tolist())) for s in range(6) for c in range(3)}
    assert len(seen) == 18


def test_draws_are_simple_random_samples() -> None:
    """Every image, the concept's own too, is as likely in a pseudo-concept and as likely a negative."""
    design = Design(np.arange(8), np.zeros(8, int), np.arange(8, 40), np.zeros(32, int), np.zeros(8, int))
    draws = draw_sets(design, pseudo_concepts=4000, splits=1, rng=np.random.default_rng(2))
    counts = np.bincount(draws.positives[1:].ravel(), minlength=40)
    assert stats.chisquare(counts).pvalue > 1e-3
    counts = np.bincount(draws.negatives[1:].ravel(), minlength=40)
    assert stats.chisquare(counts).pvalue > 1e-3


def test_the_set_is_as_large_as_concept_and_a_quarter_of_the_pool_allow() -> None:
    rng = np.random.default_rng(0)
    same = np.zeros(50, int)
    assert len(largest_composition(same, np.zeros(1000, int), rng=rng)) == 50
    assert len(largest_composition(same, np.zeros(120, int), rng=rng)) == 30
    assert len(largest_composition(np.zeros(51, int), np.zeros(1000, int), rng=rng)) == 50
    assert len(largest_composition(np.zeros(900, int), np.zeros(9000, int), rng=rng)) == 100
    two = largest_composition(np.array([0] * 10 + [1] * 10), np.array([0] * 40 + [1] * 8), rng=rng)
    assert two.tolist() == [0] * 10 + [1] * 2
    assert len(largest_composition(same, np.ones(1000, int), rng=rng)) == 0


def test_a_design_says_the_smallest_p_value_that_its_draws_allow() -> None:
    def paired(size: int) -> Design:
        zeros = np.zeros(size, int)
        return Design(size + np.arange(size), zeros, np.arange(size), zeros, zeros, True)

    assert smallest_p_value(paired(4)) == 2 / 16
    # What is drawn keeps to it: 4 pairs swapped by coin, whatever the effect.
    draws = draw_sets(paired(4), pseudo_concepts=400, splits=1, rng=np.random.default_rng(0))
    assert len({tuple(sorted(one.ravel().tolist())) for one in draws.positives}) == 16
    strata = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    matched = Design(np.array([8, 9]), np.array([0, 1]), np.arange(8), strata, np.array([0, 1]))
    assert smallest_p_value(matched) == 1 / 25
    assert smallest_p_value(_design(0)) < 1e-9


def test_pairs_are_swapped_by_a_fair_coin_and_never_for_the_concept() -> None:
    design = Design(
        np.arange(100, 140), np.zeros(40, int), np.arange(40), np.zeros(40, int), np.zeros(20, int), True
    )
    draws = draw_sets(design, pseudo_concepts=500, splits=2, rng=np.random.default_rng(3))
    np.testing.assert_array_equal(np.abs(draws.positives - draws.negatives), 100)
    assert (draws.positives[0] >= 100).all()
    swapped = (draws.positives[1:, 0] < 100).mean()
    assert abs(swapped - 0.5) < 4 * 0.5 / np.sqrt(500 * 20)
    again = resample_sets(design, draws, resamples=9, splits=2, rng=np.random.default_rng(4))
    np.testing.assert_array_equal(again.positives - again.negatives, 100)


def test_resampled_sets_are_drawn_with_replacement_from_the_concepts_own() -> None:
    design = _design(5)
    draws = draw_sets(design, pseudo_concepts=2, splits=2, rng=np.random.default_rng(0))
    again = resample_sets(design, draws, resamples=200, splits=2, rng=np.random.default_rng(1))
    own = set(draws.positives[0].ravel().tolist())
    assert set(again.positives.ravel().tolist()) == own
    assert set(again.negatives.ravel().tolist()) <= set(design.pool.tolist())
    np.testing.assert_array_equal(_strata(design, again.positives), _strata(design, again.negatives))
    distinct = np.mean([len(np.unique(one)) for one in again.positives[:, 0].reshape(200, -1)])
    assert distinct < 0.8 * len(own)


def test_the_generator_depends_on_seed_and_name_alone() -> None:
    first = generator_for(1, "ruler").random(4)
    np.testing.assert_array_equal(first, generator_for(1, "ruler").random(4))
    assert not np.array_equal(first, generator_for(2, "ruler").random(4))
    assert not np.array_equal(first, generator_for(1, "Ruler").random(4))


@pytest.mark.parametrize(("solver", "pool"), [("mean_difference", 80), ("ridge", 80), ("ridge", 200)])
def test_a_null_concept_is_rejected_in_five_percent_of_runs(solver: str, pool: int) -> None:
    """Fresh pools, fresh sets of the same population: nominal 5% within Monte Carlo error."""
    rng = np.random.default_rng(9)
    size, width, runs, hits = 20, 8, 200, 0
    zeros = np.zeros(pool, int)
    design = Design(pool + np.arange(size), zeros[:size], np.arange(pool), zeros, zeros[:size])
    scale = np.exp(rng.standard_normal(width))
    for _ in range(runs):
        a = rng.standard_normal((pool + size, width)) * scale
        products = rng.standard_normal((1, width)) @ a.T
        draws = draw_sets(design, pseudo_concepts=39, splits=2, rng=rng)
        directions = train_directions(a @ a.T, draws, solver=solver)  # type: ignore[arg-type]
        effects = (products @ effect_weights(directions, len(a)).T)[0]
        hits += int(p_values(effects[:1], effects[None, 1:])[0] <= 0.05)
    assert abs(hits / runs - 0.05) <= 4 * np.sqrt(0.05 * 0.95 / runs)


def test_a_family_of_exchangeable_sets_raises_an_alarm_in_five_percent_of_runs() -> None:
    """Four concepts of one pool at three layers, heavy tails: draws and max-T together are exact.

    The effect of the difference of means is a difference of two means of one number an image. Pseudo-concepts
    from the pool alone raised an alarm in 47% of such runs.
    """
    rng = np.random.default_rng(12)
    size, pool, concepts, runs, alarms = 10, 40, 4, 600, 0
    zeros = np.zeros(pool, int)
    for _ in range(runs):
        shared = rng.standard_normal((pool + concepts * size, 1))
        x = np.exp(shared + rng.standard_normal((len(shared), 3)))
        effects = []
        for c in range(concepts):
            design = Design(
                pool + c * size + np.arange(size), zeros[:size], np.arange(pool), zeros, zeros[:size]
            )
            draws = draw_sets(design, pseudo_concepts=59, splits=2, rng=rng)
            effects.append(x[draws.positives].mean((1, 2, 3)) - x[draws.negatives].mean((1, 2, 3)))
        every = np.concatenate(effects, axis=1).T
        alarms += int(max_t(every[:, 0], every[:, 1:]).min() <= 0.05)
    assert abs(alarms / runs - 0.05) <= 4 * np.sqrt(0.05 * 0.95 / runs)


def test_fixed_negatives_would_raise_false_alarms() -> None:
    """The control of the test above: one fixed set of negatives for all, and the level is lost."""
    rng = np.random.default_rng(10)
    size, pool, width, runs, hits = 20, 100, 8, 250, 0
    for _ in range(runs):
        a = rng.standard_normal((pool + size, width))
        products = rng.standard_normal((1, width)) @ a.T
        picks = np.stack(
            [np.arange(pool, pool + size)] + [20 + rng.choice(80, 20, replace=False) for _ in range(39)]
        )
        positives = picks.reshape(40, 1, 2, 10)
        negatives = np.broadcast_to(np.arange(20).reshape(1, 1, 2, 10), positives.shape)
        directions = train_directions(a @ a.T, Draws(positives, negatives), solver="mean_difference")
        effects = (products @ effect_weights(directions, len(a)).T)[0]
        hits += int(p_values(effects[:1], effects[None, 1:])[0] <= 0.05)
    assert hits / runs > 0.09
