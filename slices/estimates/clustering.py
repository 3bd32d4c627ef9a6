"""Clusters: what several rows a patient make of standard errors, by linearisation over patients.

All clusters stay in (domain estimation): one without a row in the slice has influence 0 there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from slices.counts import ClusterPatterns, OutcomeSpace
from slices.estimates.comparison import WeightedSides
from slices.estimates.degrees import matched_degrees
from slices.estimates.selection import NO_VARIANCE, Design, Unit
from slices.metrics import METRICS, Metric, PooledMetric, gradient

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Errors:
    """One metric's design in one slice and its comparator.

    Attributes
    ----------
    design : Design
        Arrays of shape (2 sides, classes); figures over all classes have a class axis of length 1.
    correlation : array, shape (classes,)
        Of the two sides' estimates.
    """

    design: Design
    correlation: Array


def with_parts(metrics: Sequence[Metric]) -> tuple[Metric, ...]:
    """The metrics and those that their intervals are made from."""
    names = {metric.name: metric for metric in metrics}
    if "balanced_accuracy" in names:
        names |= {name: METRICS[name] for name in ("recall", "specificity")}
    return tuple(names.values())


def linearise(
    space: OutcomeSpace,
    patterns: ClusterPatterns,
    metrics: Sequence[Metric | PooledMetric],
    unit: Unit = "cluster",
    weights: WeightedSides | None = None,
) -> dict[str, Errors]:
    """Standard errors of one slice and its comparator between clusters.

    Parameters
    ----------
    space : OutcomeSpace
    patterns : ClusterPatterns
    metrics : sequence of Metric or PooledMetric
    unit : str
        What the patterns are of.
    weights : WeightedSides, optional
        The rows' weights, where they have any (``patterns`` then holds sums of weights).

    Notes
    -----
    ``Design.ends``: the contributing clusters, times the share that Kish's effective number is of the
    rows in the denominator: weights that are all alike change nothing, and one patient with most of
    the weight is little more than one patient.

    References
    ----------
    Korn & Graubard (1999), Analysis of Health Surveys, section 2.4; Cochran (1977), section 6.3.
    """
    each = space.confusion(patterns.totals).astype(np.float64)  # (patterns, 2, classes, 4)
    times = patterns.multiplicity.astype(np.float64)
    total = np.tensordot(times, each, axes=1)
    rows = np.tensordot(times, patterns.totals.reshape(times.size, 2, -1).astype(np.float64), axes=1)
    kinds = space.confusion(np.eye(rows.shape[1]).reshape(-1, space.strata, space.cells)).astype(np.float64)
    result = {}
    for metric in metrics:
        if isinstance(metric, PooledMetric):
            # A side without rows has no slope; what division left there is neither number nor 0.
            slope = np.nan_to_num(np.stack([metric.gradient(side) for side in total]), posinf=0, neginf=0)
            influence = np.einsum("pskf,skf->ps", each, slope)[..., None]
            # Of one row of each kind: a multi-class row stands in the tables of all classes.
            single = np.einsum("rkf,skf->sr", kinds, slope)
            simple = (rows * single**2).sum(-1)[:, None]
            contributes = (metric.trials(each) > 0)[..., None]
            trials = metric.trials(total)[:, None]
            size = metric.trials(each)[..., None]
        else:
            slope = np.nan_to_num(gradient(metric, total))
            influence = np.einsum("pskf,skf->psk", each, slope)
            simple = np.sum(total * slope**2, axis=-1)
            proportion = metric.kind in ("proportion", "f1")
            contributes = metric.support(each) > 0 if proportion else each.sum(-1) > 0
            trials = metric.support(total)
            size = metric.trials(each) if proportion else each.sum(-1)
        clusters = np.tensordot(times, contributes.astype(np.float64), axes=1)
        correction = np.where(clusters > 1, clusters / np.maximum(clusters - 1, 1), np.nan)
        squares = np.tensordot(times, influence**2, axes=1)
        error = np.sqrt(squares * correction)
        still = only_rounding(error, rows.sum(-1)[:, None])
        error = np.where(still, 0.0, error)
        cross = np.tensordot(times, influence[:, 0] * influence[:, 1], axes=1)
        scale = np.sqrt(squares[0] * squares[1])
        moving = ~still.any(axis=0) & (scale > 0)
        correlation = np.where(moving, cross / np.where(moving, scale, 1), 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            effective = trials * simple / error**2
        degrees = matched_degrees(influence, times, clusters)
        largest, ends = size.max(axis=0), clusters
        if weights is not None:
            here, kish = rows_behind(space, metric, weights)
            alike = (here > 0) & (kish >= here * (1 - NO_VARIANCE))
            largest = np.where(alike & (here == clusters), 1.0, np.inf)
            ends = np.where(alike, clusters, clusters * kish / np.maximum(here, 1.0))
            between = np.tensordot(times, size, axes=1) ** 2
            squared = np.tensordot(times, size**2, axes=1)
            most = np.where(squared > 0, between / np.where(squared > 0, squared, 1.0), 1.0) - 1
            degrees = np.where(alike, degrees, np.minimum(degrees, np.maximum(most, 1.0)))
        # Where nothing varies between clusters (at 0 and 1, or all of one share) each is worth one row,
        # as its limits have it.
        effective = np.where(np.isfinite(effective), effective, ends)
        design = Design(error, clusters, effective, largest, degrees, ends, unit)
        result[metric.name] = Errors(design, correlation)
    return result


def denominator_rows(metric: Metric | PooledMetric, kinds: Array) -> Array:
    """What one row of each kind adds to the metric's denominator, (kinds, classes) or (kinds, 1).

    Parameters
    ----------
    kinds : array, shape (kinds, classes, 4)
        One row of each outcome, in the classes' tables.
    """
    if isinstance(metric, PooledMetric):
        return metric.trials(kinds)[:, None]
    return metric.trials(kinds) if metric.kind in ("proportion", "f1") else np.asarray(kinds.sum(-1))


def rows_behind(
    space: OutcomeSpace, metric: Metric | PooledMetric, weights: WeightedSides
) -> tuple[Array, Array]:
    """Rows in the denominator of both sides, and Kish's effective number of them: (2, classes) each."""
    kinds = np.asarray(
        space.confusion(np.eye(space.strata * space.cells).reshape(-1, space.strata, space.cells)),
        dtype=np.float64,
    )
    inside = (denominator_rows(metric, kinds) > 0).astype(np.float64)
    rows, total, squares = (
        part.reshape(2, -1).astype(np.float64) @ inside
        for part in (weights.rows, weights.totals, weights.squares)
    )
    return rows, np.where(squares > 0, total**2 / np.where(squares > 0, squares, 1.0), 0.0)


def only_rounding(error: Array, rows: Array) -> NDArray[np.bool_]:
    """Where a standard error is what rounding left of 0: far below any that ``rows`` rows can have.

    Units of one and the same share have influences of 0, but for the last digit. A real error is at
    least of the order 1 / rows.
    """
    return np.asarray(np.nan_to_num(error) <= NO_VARIANCE / np.sqrt(np.maximum(rows, 1.0)))


def gather(
    rows: Sequence[dict[str, Errors]],
) -> tuple[dict[str, Design], dict[str, Design], dict[str, Array]]:
    """Designs of all slices, of all comparators, and their correlations, stacked over slices."""
    first: dict[str, Design] = {}
    second: dict[str, Design] = {}
    correlation: dict[str, Array] = {}
    for name in rows[0] if rows else ():
        designs = [row[name].design for row in rows]
        stacked = {
            field.name: np.stack([getattr(design, field.name) for design in designs])
            for field in fields(Design)
            if field.name != "unit"
        }
        unit = designs[0].unit
        sides = [
            Design(**{key: value[:, side] for key, value in stacked.items()}, unit=unit) for side in (0, 1)
        ]
        first[name], second[name] = sides
        correlation[name] = np.stack([row[name].correlation for row in rows])
    return first, second, correlation
