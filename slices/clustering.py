"""Clusters: what several rows a patient make of standard errors, by linearisation over patients.

All clusters stay in (domain estimation): one without a row in the slice has influence 0 there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from slices.counts import ClusterPatterns, OutcomeSpace
from slices.metrics import METRICS, Metric, gradient
from slices.selection import Design

Array = NDArray[np.float64]


def with_parts(metrics: Sequence[Metric]) -> tuple[Metric, ...]:
    """The metrics and those that their intervals are made from."""
    names = {metric.name: metric for metric in metrics}
    if "balanced_accuracy" in names:
        names |= {name: METRICS[name] for name in ("recall", "specificity")}
    return tuple(names.values())


def linearise(
    space: OutcomeSpace, patterns: ClusterPatterns, metrics: Sequence[Metric]
) -> dict[str, tuple[Array, Array, Array, Array]]:
    """Standard errors of one slice and its comparator between clusters.

    Parameters
    ----------
    space : OutcomeSpace
    patterns : ClusterPatterns
    metrics : sequence of Metric

    Returns
    -------
    dict of name to (error, clusters, effective, correlation)
        The first three of shape (2, classes): slice, comparator. ``correlation`` of the two sides'
        estimates, shape (classes,).

    References
    ----------
    Korn & Graubard (1999), Analysis of Health Surveys, section 2.4; Cochran (1977), section 6.3.
    """
    each = space.confusion(patterns.totals).astype(np.float64)  # (patterns, 2, classes, 4)
    times = patterns.multiplicity.astype(np.float64)
    total = np.tensordot(times, each, axes=1)
    result = {}
    for metric in metrics:
        influence = np.einsum("pscf,scf->psc", each, np.nan_to_num(gradient(metric, total)))
        contributes = metric.support(each) > 0 if metric.kind in ("proportion", "f1") else each.sum(-1) > 0
        clusters = np.tensordot(times, contributes.astype(np.float64), axes=1)
        correction = np.where(clusters > 1, clusters / np.maximum(clusters - 1, 1), np.nan)
        squares = np.tensordot(times, influence**2, axes=1)
        error = np.sqrt(squares * correction)
        cross = np.tensordot(times, influence[:, 0] * influence[:, 1], axes=1)
        scale = np.sqrt(squares[0] * squares[1])
        correlation = np.where(scale > 0, cross / np.where(scale > 0, scale, 1), 0.0)
        simple = np.sum(total * np.nan_to_num(gradient(metric, total)) ** 2, axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            effective = metric.support(total) * simple / error**2
        result[metric.name] = (error, clusters, effective, correlation)
    return result


def gather(
    rows: Sequence[dict[str, tuple[Array, Array, Array, Array]]],
) -> tuple[dict[str, Design], dict[str, Design], dict[str, Array]]:
    """Designs of all slices, of all comparators, and their correlations, stacked over slices."""
    first, second, correlation = {}, {}, {}
    for name in rows[0] if rows else ():
        error, clusters, effective = (np.stack([row[name][k] for row in rows]) for k in range(3))
        first[name] = Design(error[:, 0], clusters[:, 0], effective[:, 0])
        second[name] = Design(error[:, 1], clusters[:, 1], effective[:, 1])
        correlation[name] = np.stack([row[name][3] for row in rows])
    return first, second, correlation
