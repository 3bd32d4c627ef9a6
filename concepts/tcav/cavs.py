"""Concept activation vectors, solved in the dual from Gram matrices; deterministic, in batches.

A vector is never formed: with activations ``x_i`` as rows, ``w = sum_i alpha_i x_i``, and everything that
TCAV asks of ``w`` is algebra on ``K = X X^T``. No images, no model and no test belong here.

References
----------
Kim et al. (2018), Interpretability beyond feature attribution (TCAV), section 3.2.
Saunders, Gammerman & Vovk (1998), ridge regression in dual variables.
Pahde et al. (2025), Navigating neural space: pattern-based CAVs, equation 4.
Schmalwasser et al. (2025), FastCAV.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Solver = Literal["ridge", "logistic", "mean_difference", "pattern"]

#: Newton steps and halvings after which the logistic solver gives up; it needs about 10 and 0.
NEWTON_STEPS = 100
HALVINGS = 40


@dataclass(frozen=True, slots=True)
class DualCavs:
    """A batch of vectors in dual form.

    ``alpha``: shape (batch, m), ``w = sum_i alpha_i x_i``; ``intercept``: shape (batch,), so that
    ``w x + intercept`` is positive on the concept's side.
    """

    alpha: Floats
    intercept: Floats


def solve(
    kernels: Floats, targets: Floats, *, solver: Solver, penalty: Floats | float | None = None
) -> DualCavs:
    """Solve a batch of concept activation vectors.

    Parameters
    ----------
    kernels : float64 array, shape (batch, m, m)
        Inner products of the activations of each training set.
    targets : float64 array, shape (batch, m)
        +1 for a concept image, -1 for a negative; both occur in each row.
    solver
        ``ridge`` and ``logistic`` minimise scikit-learn's objectives (intercept not penalised);
        ``mean_difference`` is concept mean minus negatives' mean; ``pattern`` the covariance of
        activation and label over the label's variance.
    penalty : float or array of shape (batch,), optional
        Weight of ``|w|^2``: ``Ridge(alpha=penalty)``, ``LogisticRegression(C=1 / penalty)``. Left out:
        the mean variance of an activation set in its own space (trace of the centred kernel over m), so
        that multiplying all activations by a constant changes no direction.

    Returns
    -------
    DualCavs
    """
    if solver == "mean_difference":
        return mean_difference(kernels, targets)
    if solver == "pattern":
        return pattern(kernels, targets)
    weight = mean_variance(kernels) if penalty is None else np.broadcast_to(penalty, targets.shape[:1])
    # Activations that are all equal have no variance; any positive penalty then gives the zero vector.
    weight = np.where(weight > 0, weight, 1.0)
    return ridge(kernels, targets, weight) if solver == "ridge" else logistic(kernels, targets, weight)


def mean_variance(kernels: Floats) -> Floats:
    """Trace of each centred kernel over its size: the mean squared distance to the set's centre."""
    size = kernels.shape[-1]
    trace = np.trace(kernels, axis1=1, axis2=2)
    variance: Floats = (trace - kernels.sum((1, 2)) / size) / size
    return variance


def ridge(kernels: Floats, targets: Floats, penalty: Floats) -> DualCavs:
    """Ridge regression on the labels: ``(H K H + penalty I) alpha = H y``, H the centring matrix."""
    size = kernels.shape[-1]
    rows = kernels.mean(1)
    centred = kernels - rows[:, None, :]
    centred -= rows[:, :, None]
    centred += rows.mean(1)[:, None, None]
    diagonal = np.arange(size)
    centred[:, diagonal, diagonal] += penalty[:, None]
    label_mean = targets.mean(1, keepdims=True)
    alpha = np.linalg.solve(centred, (targets - label_mean)[..., None])[..., 0]
    # The solution sums to zero in exact arithmetic (H annihilates the ones); rounding is taken out.
    alpha -= alpha.mean(1, keepdims=True)
    # The mean of the fitted values without intercept is the mean row of K times alpha.
    return DualCavs(alpha, label_mean[:, 0] - (rows * alpha).sum(1))


def logistic(kernels: Floats, targets: Floats, penalty: Floats) -> DualCavs:
    """L2-penalised logistic regression by Newton's method in function space, with step halving.

    Minimises ``|w|^2 / 2 + sum_i log(1 + exp(-y_i f_i)) / penalty``, the intercept free. One step solves
    ``(K + penalty diag(1/s)) a + b 1 = z`` under ``1'a = 0``, with s the weights p(1 - p) and z the
    working response (Green & Silverman 1994, section 5.3).

    Raises
    ------
    ArithmeticError
        No convergence; the objective is strictly convex, so this would be a defect.
    """
    batch, size = targets.shape
    alpha = np.zeros((batch, size))
    intercept = np.zeros(batch)
    inverse = 1.0 / penalty
    value, fitted = _logistic_objective(kernels, targets, inverse, alpha, intercept)
    for _ in range(NEWTON_STEPS):
        chance = 1.0 / (1.0 + np.exp(-np.clip(fitted, -500, 500)))
        weight = np.maximum(chance * (1 - chance), 1e-12)
        working = fitted - (chance - (targets > 0)) / weight
        system = kernels.copy()
        diagonal = np.arange(size)
        system[:, diagonal, diagonal] += penalty[:, None] / weight
        right = np.stack([working, np.ones_like(working)], axis=2)
        solved = np.linalg.solve(system, right)
        next_intercept = solved[..., 0].sum(1) / solved[..., 1].sum(1)
        next_alpha = solved[..., 0] - next_intercept[:, None] * solved[..., 1]
        step = np.ones(batch)
        for _ in range(HALVINGS):
            tried_alpha = alpha + step[:, None] * (next_alpha - alpha)
            tried_intercept = intercept + step * (next_intercept - intercept)
            tried_value, tried = _logistic_objective(kernels, targets, inverse, tried_alpha, tried_intercept)
            worse = tried_value > value + 1e-12 * np.abs(value)
            if not worse.any():
                break
            step = np.where(worse, step / 2, step)
        alpha, intercept, fitted = tried_alpha, tried_intercept, tried
        settled = np.abs(value - tried_value) <= 1e-14 * np.maximum(np.abs(value), 1.0)
        value = tried_value
        if settled.all():
            return DualCavs(alpha, intercept)
    raise ArithmeticError("The logistic solver did not settle; please report the activations' scale.")


def _logistic_objective(
    kernels: Floats, targets: Floats, inverse: Floats, alpha: Floats, intercept: Floats
) -> tuple[Floats, Floats]:
    """Objective of each problem and its fitted values; alpha of one problem is exactly ``w``'s."""
    projected = np.einsum("bij,bj->bi", kernels, alpha)
    fitted = projected + intercept[:, None]
    loss = np.logaddexp(0.0, -targets * fitted).sum(1)
    return 0.5 * (alpha * projected).sum(1) + inverse * loss, fitted


def mean_difference(kernels: Floats, targets: Floats) -> DualCavs:
    """Concept mean minus negatives' mean; the intercept puts zero halfway between the two means."""
    positive = (targets > 0).astype(np.float64)
    negative = 1.0 - positive
    means = positive / positive.sum(1, keepdims=True), negative / negative.sum(1, keepdims=True)
    alpha = means[0] - means[1]
    projected = np.matmul(kernels, alpha[..., None])[..., 0]
    halfway = ((means[0] + means[1]) / 2 * projected).sum(1)
    return DualCavs(alpha, -halfway)


def pattern(kernels: Floats, targets: Floats) -> DualCavs:
    """Covariance of activation and label over the label's variance (pattern-CAV).

    With labels of two values this is the mean difference over their distance (2): the same direction, by
    another road. It is kept under its own name since that is what papers report.
    """
    centred = targets - targets.mean(1, keepdims=True)
    alpha = centred / (centred**2).sum(1, keepdims=True)
    halves = mean_difference(kernels, targets)
    return DualCavs(alpha, halves.intercept / 2)
