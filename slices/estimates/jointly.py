"""Limits of composites at the joint level: the farthest value that the parts' exact limits allow.

Each part (recall, specificity, prevalence; a class's recall ...) moves from its estimate to an exact
one-sided limit at a normal quantile u of its own, and the composite goes as far as it can while the
u's squares add to that of the level. Where the limits are linear in u that is MOVER; but in the far
tail, where a joint level lies, they are not: a limit of few errors stops at none, and MOVER's sum of
squares says too little. Of 400 null slices of 30 + 30 rows (recall and specificity .95) MOVER let
balanced accuracy fail wrongly in 54% of logs and Fisher's z MCC in 28%; these limits in 1%. The mean
of several classes' figures (30 rows each, .95) failed wrongly in 82% to 100% of logs, now in at most 4%.

Belongs here: limits for simultaneous inference of what is no proportion. Does not: the level
(`slices.estimates.joint_level`), pointwise limits (`slices.estimates.selection`).

References
----------
Zou, Huang & Zhang (2009), Comput. Stat. Data Anal. 53, 3755-3764 (MOVER, which this continues into the
tail); Korn & Graubard (1998), Survey Methodology 24, 193-201 (exact limits at an effective size).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from slices.estimates.selection import (
    NONE,
    PROFILE,
    Bounds,
    Design,
    bounds,
    limits_between_clusters,
    linearised_error,
)
from slices.intervals import clopper_pearson
from slices.metrics import METRICS, Metric

Array = NDArray[np.float64]
# Normal quantiles, (..., parts) -> limits of each part, low and high.
PartLimits = Callable[[Array], tuple[Array, Array]]

ANGLES = 17
# Of the correlation, which has three parts: 7 x 9 points take .5 ms a slice; 23 x 33 moved no limit by
# more than .8% of the width.
FEWER_ANGLES = 9
TILTS = 9
STEPS = 12
# A part that does not move: its limits at a quantile of 0 are no limits of Student's.
STILL = 1e-3


def joint_bounds(
    metric: Metric,
    counts: NDArray[np.generic],
    alpha: float | Array,
    *,
    designs: dict[str, Design] | None = None,
) -> Bounds:
    """Limits of one metric for simultaneous inference; parameters as in ``selection.bounds``."""
    if metric.kind == "balanced":
        return _balanced(metric, counts, alpha, designs)
    if metric.kind == "mcc":
        return _correlation(metric, counts, alpha, None if designs is None else designs["mcc"])
    return bounds(metric, counts, alpha, designs=designs, exact=True)


def outer(first: Bounds, *others: tuple[Array, Array]) -> Bounds:
    """The first limits, widened to hold the others where these exist."""
    low, high = first.low, first.high
    for other_low, other_high in others:
        low, high = np.fmin(low, other_low), np.fmax(high, other_high)
    return Bounds(first.value, low, high, first.method)


def mean_limits(limits: PartLimits, value: Array, weight: Array, alpha: Array) -> tuple[Array, Array]:
    """Limits of a weighted sum of independent parts, from the parts' limits at any quantile.

    Parameters
    ----------
    limits : callable
        Quantiles, shape (..., parts) -> low and high of each part.
    value, weight : array, shape (..., parts)
        Estimates; weights of at least 0 (0: the part is not there).
    alpha : array, shape (...)
    """
    from scipy.special import ndtri

    quantile = -ndtri(alpha / 2)
    down = _farthest(lambda u: -limits(u)[0], -value, weight, quantile)
    return -down, _farthest(lambda u: limits(u)[1], value, weight, quantile)


def _farthest(reach: Callable[[Array], Array], value: Array, weight: Array, quantile: Array) -> Array:
    """Largest weighted sum of ``reach(u)`` over quantiles u whose squares add to the level's."""
    there = weight > 0
    best = np.full(quantile.shape, -np.inf)

    def tried(u: Array) -> Array:
        found = reach(np.maximum(u, STILL))
        total = np.where(there, weight * found, 0.0).sum(-1)
        np.maximum(best, total, out=best)
        return found

    def on_sphere(direction: Array) -> Array:
        length = np.linalg.norm(direction, axis=-1, keepdims=True)
        return np.asarray(quantile[..., None] * direction / np.maximum(length, 1e-300))

    if value.shape[-1] == 2:
        for angle in np.linspace(0, np.pi / 2, ANGLES):
            tried(on_sphere(np.where(there, np.array([np.cos(angle), np.sin(angle)]), 0.0)))
        return best
    step = 0.02
    single = reach(np.broadcast_to(quantile[..., None], value.shape))
    for start in (np.where(there, weight * (single - value), 0.0), np.where(there, 1.0, 0.0)):
        u = on_sphere(start)
        for _ in range(STEPS):
            here = tried(u)
            slope = weight * (reach(np.maximum(u, STILL) + step) - here) / step
            # Towards where it rises fastest, half the way.
            u = on_sphere(u + on_sphere(np.where(there, np.maximum(slope, 0.0), 0.0)))
        tried(u)
    return best


def _balanced(
    metric: Metric, counts: NDArray[np.generic], alpha: float | Array, designs: dict[str, Design] | None
) -> Bounds:
    from scipy.special import ndtr

    parts = [METRICS[name] for name in ("recall", "specificity")]
    value = metric.of(counts)
    level = np.broadcast_to(np.asarray(alpha, dtype=np.float64), value.shape)
    defined = np.isfinite(value)
    single = np.stack([part.of(counts) for part in parts], axis=-1)

    def limits(u: Array) -> tuple[Array, Array]:
        found = [
            bounds(part, counts, 2 * ndtr(-u[..., k]), designs=designs, exact=True)
            for k, part in enumerate(parts)
        ]
        low, high = (
            np.stack([np.where(defined, getattr(part, end), 0.5) for part in found], axis=-1)
            for end in ("low", "high")
        )
        return low, high

    weight = np.full(single.shape, 0.5)
    low, high = mean_limits(limits, np.where(defined[..., None], single, 0.5), weight, level)
    found = Bounds(value, *_where(defined, low, high), _code(defined, PROFILE))
    inner = bounds(metric, counts, level, designs=designs)
    others = [(inner.low, inner.high)]
    if designs is not None:
        # Recall and specificity share their clusters: the metric's own error knows by how much.
        rows = np.maximum(np.asarray(counts, dtype=np.float64).sum(-1), 1.0)
        own = limits_between_clusters(
            np.where(defined, value, 0.0), rows, level, designs[metric.name], exact=True
        )
        others.append(_where(defined, own[0], own[1]))
    return outer(found, *others)


def _correlation(
    metric: Metric, counts: NDArray[np.generic], alpha: float | Array, design: Design | None
) -> Bounds:
    """Matthews' correlation from exact limits of recall, specificity and prevalence.

    It rises with recall and with specificity at any prevalence. Clusters and weights are allowed for as
    Korn and Graubard do: exact limits of the table at its effective size, by the correlation's own error.
    """
    value = metric.of(counts)
    level = np.broadcast_to(np.asarray(alpha, dtype=np.float64), value.shape)
    table = np.asarray(counts, dtype=np.float64)
    defined = np.isfinite(value)
    if design is not None:
        table = table * _effective_share(linearised_error(metric, table), design, table.sum(-1), level)
    # With all predictions turned round the correlation changes its sign.
    high = _farthest_correlation(table, level)
    low = -_farthest_correlation(table[..., [2, 3, 0, 1]], level)
    found = Bounds(value, *_where(defined, low, high), _code(defined, PROFILE))
    inner = bounds(metric, counts, level, designs=None if design is None else {metric.name: design})
    return outer(found, (inner.low, inner.high))


def _farthest_correlation(table: Array, alpha: Array) -> Array:
    """Largest correlation that recall, specificity and prevalence at limits of the level allow."""
    from scipy.special import ndtri

    quantile = -ndtri(alpha / 2)
    tp, fp, fn, tn = (table[..., k] for k in range(4))
    positives, negatives = tp + fn, fp + tn
    rows = np.maximum(positives + negatives, 1e-9)
    best = np.full(alpha.shape, -np.inf)
    for tilt in np.linspace(-np.pi / 2, np.pi / 2, TILTS)[1:-1]:
        up, left = quantile * np.sin(tilt), quantile * np.cos(tilt)
        prevalence = _limit(positives, rows, np.abs(up), above=tilt > 0)
        for angle in np.linspace(0, np.pi / 2, FEWER_ANGLES):
            recall = _limit(tp, positives, left * np.cos(angle), above=True)
            specificity = _limit(tn, negatives, left * np.sin(angle), above=True)
            best = np.fmax(best, _correlation_of(recall, specificity, prevalence))
    return best


def _correlation_of(recall: Array, specificity: Array, prevalence: Array) -> Array:
    selected = prevalence * recall + (1 - prevalence) * (1 - specificity)
    inside = (selected > 0) & (selected < 1)
    spread = np.where(inside, selected * (1 - selected), 1.0)
    value = (recall + specificity - 1) * np.sqrt(prevalence * (1 - prevalence) / spread)
    return np.where(inside, value, np.nan)


def _limit(count: Array, trials: Array, quantile: Array, *, above: bool) -> Array:
    """One exact limit of a proportion, at a normal quantile of at least 0."""
    from scipy.special import betaincinv, ndtr

    size = np.maximum(trials, 1e-9)
    hits = size - count if above else count
    some = hits > 0
    low = np.where(
        some, betaincinv(np.where(some, hits, 1.0), np.maximum(size - hits, 0) + 1, ndtr(-quantile)), 0.0
    )
    return np.asarray(1 - low if above else low)


def matched_correlation(
    value: Array,
    wrong: Array,
    chance: Array,
    rows: Array,
    error: Array,
    degrees: Array,
    alpha: Array,
) -> tuple[Array, Array]:
    """Limits of the correlation of several classes from exact ones of the share of wrong rows.

    What is missing to 1 is a multiple of the share of wrong rows; the size at which that share's
    binomial error is the correlation's own one gives the exact limits, as Korn and Graubard's.

    Parameters
    ----------
    value : array
    wrong : array
        Share of rows that are predicted wrongly.
    chance : array
        The share right if predictions had nothing to do with labels: used where none is wrong.
    rows : array
        Rows, or what they are worth.
    error, degrees : array
        Of the correlation; error 0 or NaN: none known.
    alpha : array
    """
    from scipy.special import ndtri, stdtrit

    wrongly = np.where(wrong > 0, (1 - value) / np.where(wrong > 0, wrong, 1.0), 0.0)
    scale = np.where(wrong > 0, wrongly, 1 / np.maximum(1 - chance, 1e-9))
    student = (ndtri(alpha / 2) / stdtrit(np.clip(degrees, 1, 1e9), alpha / 2)) ** 2
    known = np.isfinite(error) & (error > 0) & (wrong > 0)
    share = wrong * (1 - wrong) * scale**2 / np.where(known, error, 1.0) ** 2
    size = np.maximum(np.where(known, np.minimum(share * student, rows), rows), 1e-9)
    low, high = clopper_pearson(wrong * size, size, alpha)
    return np.maximum(1 - scale * high, -1.0), 1 - scale * low


def _effective_share(simple: Array, design: Design, rows: Array, alpha: Array) -> Array:
    """What a design leaves of a row, Student's t of its degrees allowed for; shape (..., 1)."""
    from scipy.special import ndtri, stdtrit

    known = (design.error > 0) & np.isfinite(design.error) & (simple > 0)
    student = (ndtri(alpha / 2) / stdtrit(np.clip(design.degrees, 1, 1e9), alpha / 2)) ** 2
    ratio = (simple / np.where(known, design.error, 1.0)) ** 2 * student
    nothing = np.nan_to_num(design.units) / np.maximum(rows, 1.0)
    return np.clip(np.where(known, ratio, nothing), 1e-9, 1.0)[..., None]


def _where(defined: NDArray[np.bool_], low: Array, high: Array) -> tuple[Array, Array]:
    return np.where(defined, low, np.nan), np.where(defined, high, np.nan)


def _code(defined: NDArray[np.bool_], code: int) -> NDArray[np.int8]:
    return np.where(defined, code, NONE).astype(np.int8)
