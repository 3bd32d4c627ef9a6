"""Dual solvers against scikit-learn and against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, Ridge

from concepts.tcav.cavs import mean_difference, mean_variance, pattern, solve


def _problem(
    seed: int, batch: int = 5, m: int = 24, d: int = 60
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.where(np.arange(m) < m // 3, 1.0, -1.0)  # unbalanced: the intercept matters
    x = rng.standard_normal((batch, m, d)) + 0.4 * y[None, :, None] * rng.standard_normal(d) + 2.0
    return x, x @ x.transpose(0, 2, 1), np.broadcast_to(y, (batch, m))


@pytest.mark.parametrize("penalty", [1e-3, 1.0, 250.0])
def test_ridge_equals_scikit_learn(penalty: float) -> None:
    x, kernels, y = _problem(1)
    cavs = solve(kernels, y, solver="ridge", penalty=penalty)
    for i in range(len(x)):
        other = Ridge(alpha=penalty, solver="cholesky").fit(x[i], y[i])
        np.testing.assert_allclose(cavs.alpha[i] @ x[i], other.coef_, rtol=0, atol=1e-10)
        np.testing.assert_allclose(cavs.intercept[i], other.intercept_, rtol=0, atol=1e-10)


def test_ridge_equals_scikit_learn_with_more_images_than_columns() -> None:
    x, kernels, y = _problem(2, m=40, d=7)
    cavs = solve(kernels, y, solver="ridge", penalty=0.5)
    for i in range(len(x)):
        other = Ridge(alpha=0.5, solver="cholesky").fit(x[i], y[i])
        np.testing.assert_allclose(cavs.alpha[i] @ x[i], other.coef_, rtol=0, atol=1e-10)


@pytest.mark.parametrize("penalty", [0.1, 1.0, 10.0])
def test_logistic_equals_scikit_learn(penalty: float) -> None:
    x, kernels, y = _problem(3)
    cavs = solve(kernels, y, solver="logistic", penalty=penalty)
    for i in range(len(x)):
        other = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=100_000).fit(x[i], y[i])
        np.testing.assert_allclose(cavs.alpha[i] @ x[i], other.coef_[0], rtol=0, atol=1e-5)
        # lbfgs leaves the intercept less settled than the weights; ours is held to the optimality condition.
        np.testing.assert_allclose(cavs.intercept[i], other.intercept_[0], rtol=0, atol=1e-4)


def test_logistic_meets_its_optimality_condition() -> None:
    _, kernels, y = _problem(4)
    cavs = solve(kernels, y, solver="logistic", penalty=2.0)
    margin = y * (np.einsum("bij,bj->bi", kernels, cavs.alpha) + cavs.intercept[:, None])
    # d/dw: alpha_i = y_i sigma(-y_i f_i) / penalty; d/db: they sum to zero.
    np.testing.assert_allclose(cavs.alpha, y / (1 + np.exp(margin)) / 2.0, atol=1e-9)
    np.testing.assert_allclose(cavs.alpha.sum(1), 0, atol=1e-9)


def test_mean_difference_is_signed_from_negatives_to_concept() -> None:
    x, kernels, y = _problem(5)
    cavs = mean_difference(kernels, y)
    for i in range(len(x)):
        w = x[i][y[i] > 0].mean(0) - x[i][y[i] < 0].mean(0)
        np.testing.assert_allclose(cavs.alpha[i] @ x[i], w, atol=1e-12)
        halfway = (x[i][y[i] > 0].mean(0) + x[i][y[i] < 0].mean(0)) / 2
        np.testing.assert_allclose(w @ halfway + cavs.intercept[i], 0, atol=1e-9)


def test_pattern_is_covariance_over_variance_of_the_label() -> None:
    x, kernels, y = _problem(6)
    cavs = pattern(kernels, y)
    for i in range(len(x)):
        covariance = np.cov(np.c_[x[i], y[i]].T, bias=True)[-1]
        np.testing.assert_allclose(cavs.alpha[i] @ x[i], covariance[:-1] / covariance[-1], atol=1e-10)
        assert np.sign(cavs.alpha[i] @ kernels[i] @ mean_difference(kernels, y).alpha[i]) == 1


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), factor=st.floats(1e-3, 1e3))
def test_the_default_penalty_makes_directions_independent_of_the_scale(seed: int, factor: float) -> None:
    _, kernels, y = _problem(seed, batch=2, m=12, d=9)
    for solver in ("ridge", "logistic"):
        one = solve(kernels, y, solver=solver).alpha
        other = solve(kernels * factor**2, y, solver=solver).alpha
        if solver == "ridge":
            other = other * factor**2  # alpha scales inversely; the direction is alpha up to a factor
        unit = [a / np.linalg.norm(a, axis=1, keepdims=True) for a in (one, other)]
        np.testing.assert_allclose(unit[0], unit[1], atol=1e-6)


def test_mean_variance_is_the_mean_squared_distance_to_the_centre() -> None:
    x, kernels, _ = _problem(7)
    expected = ((x - x.mean(1, keepdims=True)) ** 2).sum(2).mean(1)
    np.testing.assert_allclose(mean_variance(kernels), expected, rtol=1e-10)


def test_equal_activations_give_the_zero_vector_and_no_warning() -> None:
    kernels = np.full((2, 8, 8), 3.0)
    y = np.broadcast_to(np.where(np.arange(8) < 4, 1.0, -1.0), (2, 8))
    cavs = solve(kernels, y, solver="ridge")
    length = np.einsum("bi,bij,bj->b", cavs.alpha, kernels, cavs.alpha)
    np.testing.assert_allclose(length, 0, atol=1e-20)
