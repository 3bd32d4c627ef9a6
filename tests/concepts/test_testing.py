"""The test's p-values and their adjustment: by hand, against statsmodels, and under the null."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concepts.errors import ConceptError
from concepts.tcav.testing import (
    can_survive_holm,
    check_can_reject,
    distances,
    max_t,
    p_values,
)


def test_the_p_value_counts_pseudo_concepts_as_far_from_the_median_of_all() -> None:
    null = np.array([[-3.0, -1.0, 0.0, 1.0, 4.0]])
    # Medians with the effect: 0, 0.5, -0.5, 0.5, -0.5, 0.5.
    for effect, as_far in ((0.0, 5), (1.0, 5), (-1.5, 3), (3.5, 2), (-4.0, 1), (4.1, 0)):
        assert p_values(np.array([effect]), null)[0] == pytest.approx((1 + as_far) / 6)


def test_distance_is_from_the_median_and_not_from_zero() -> None:
    null = np.array([[9.0, 10.0, 11.0, 10.5, 9.5]])
    assert p_values(np.array([10.0]), null)[0] == 1.0
    assert p_values(np.array([0.0]), null)[0] == pytest.approx(1 / 6)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), shift=st.floats(-5, 5), factor=st.floats(0.01, 100))
def test_shifting_and_scaling_one_hypothesis_changes_no_p_value(
    seed: int, shift: float, factor: float
) -> None:
    rng = np.random.default_rng(seed)
    effects, nulls = rng.standard_normal(3), rng.standard_normal((3, 49))
    moved, moved_nulls = effects.copy(), nulls.copy()
    moved[1] = moved[1] * factor + shift
    moved_nulls[1] = moved_nulls[1] * factor + shift
    np.testing.assert_allclose(p_values(moved, moved_nulls), p_values(effects, nulls))
    np.testing.assert_allclose(max_t(moved, moved_nulls), max_t(effects, nulls))


def test_max_t_retyped_from_westfall_and_young() -> None:
    rng = np.random.default_rng(3)
    effects, nulls = 2 * rng.standard_normal(5), rng.standard_normal((5, 39)) * np.arange(1, 6)[:, None]
    expected = []
    for i in range(5):
        every = [np.append(nulls[j], effects[j]) for j in range(5)]
        centred = [(every[j] - np.median(every[j])) / np.std(every[j], ddof=1) for j in range(5)]
        mine = abs(centred[i][39])
        count = sum(max(abs(centred[j][r]) for j in range(5)) >= mine for r in range(39))
        expected.append((1 + count) / 40)
    np.testing.assert_allclose(max_t(effects, nulls), expected)
    assert np.all(max_t(effects, nulls) >= p_values(effects, nulls))


def test_max_t_of_equal_hypotheses_is_the_plain_p_value() -> None:
    rng = np.random.default_rng(4)
    effects, nulls = np.full(4, 1.3), np.tile(rng.standard_normal(99), (4, 1))
    np.testing.assert_array_equal(max_t(effects, nulls), p_values(effects, nulls))


def test_holm_only_where_it_could_reject() -> None:
    assert can_survive_holm(300, 15)
    assert not can_survive_holm(300, 16)


def test_pseudo_concepts_without_spread() -> None:
    nulls = np.zeros((2, 9))
    observed, pseudo = distances(np.array([0.0, 1.0]), nulls)
    assert observed.tolist() == [0.0, pytest.approx(np.sqrt(10))]  # (1 - 0) / sd(1, nine zeros)
    assert not pseudo.any()
    assert p_values(np.array([0.0, 1.0]), nulls).tolist() == [1.0, 0.1]


def test_no_hypothesis_no_p_value() -> None:
    assert p_values(np.zeros(0), np.zeros((0, 99))).size == 0
    assert max_t(np.zeros(0), np.zeros((0, 99))).size == 0


@pytest.mark.parametrize(("confidence", "least"), [(0.95, 20), (0.9, 10), (0.99, 100)])
def test_a_configuration_that_cannot_reject_is_refused(confidence: float, least: int) -> None:
    check_can_reject(least, confidence=confidence)
    with pytest.raises(
        ConceptError, match=f"cannot reject at confidence {confidence:g}: .* at least {least} "
    ):
        check_can_reject(least - 1, confidence=confidence)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    hypotheses=st.integers(1, 6),
    draws=st.integers(4, 40),
    shape=st.sampled_from(["normal", "cauchy", "ties", "skewed"]),
)
def test_the_joint_test_is_exact(seed: int, hypotheses: int, draws: int, shape: str) -> None:
    """Each of the R + 1 joint draws in turn plays the concept: at most k of them have p <= k / (R + 1).

    This is exactness under exchangeability, with no Monte Carlo error: for every level, for each hypothesis
    alone, and by max-T for the family.
    """
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((1, draws))
    every = {
        "normal": lambda: common + rng.standard_normal((hypotheses, draws)),
        "cauchy": lambda: common + rng.standard_cauchy((hypotheses, draws)),
        "ties": lambda: rng.integers(-2, 3, size=(hypotheses, draws)).astype(float),
        "skewed": lambda: np.exp(2 * common + rng.standard_normal((hypotheses, draws))),
    }[shape]()
    plain, smallest = np.empty((draws, hypotheses)), np.empty(draws)
    for concept in range(draws):
        others = np.delete(every, concept, axis=1)
        plain[concept] = p_values(every[:, concept], others)
        smallest[concept] = max_t(every[:, concept], others).min()
    for k in range(1, draws + 1):
        assert (smallest <= k / draws + 1e-12).sum() <= k
        assert ((plain <= k / draws + 1e-12).sum(axis=0) <= k).all()


def test_family_wise_error_under_the_null() -> None:
    """Twenty dependent hypotheses, all null: some rejection in 5% of families."""
    rng = np.random.default_rng(6)
    families, alarms, plain = 400, 0, 0
    for _ in range(families):
        common = rng.standard_normal((1, 100))
        draws = common + rng.standard_normal((20, 100))
        adjusted = max_t(draws[:, 0], draws[:, 1:])
        alarms += int((adjusted <= 0.05).any())
        plain += int((p_values(draws[:, 0], draws[:, 1:]) <= 0.05).any())
    assert abs(alarms / families - 0.05) < 4 * np.sqrt(0.05 * 0.95 / families)
    assert plain / families > 0.3  # what the adjustment is for
