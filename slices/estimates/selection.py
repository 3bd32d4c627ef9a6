"""Selection: which interval an estimate gets, and its closed-form limits for all slices at once.

The choice hangs on the support and on the number of clusters, never on the estimate (except at 0
and 1), so that limits rise with the count.

Rows are the unit (no clusters):

========================  =====================================================================
support (denominator)     interval
========================  =====================================================================
below 30                  Clopper-Pearson
30 to 599                 the wider of Wilson and Jeffreys; below 60 at a tenth less ``alpha``
600 and more              bootstrap from counts, BCa
at 0 and 1, any support   Clopper-Pearson
========================  =====================================================================

(The bootstrap of 200 rows covered 90.3% at p = .98, of 450 rows 92.3%; from 600 at least 94.2%.)

Patients (clusters) are the unit, some with several rows in the denominator:

==============================  ===============================================================
clusters that contribute        interval
==============================  ===============================================================
below 2,000                     logit-t, linearised, Satterthwaite's degrees of freedom
2,000 and more                  bootstrap of patients, BCa
at 0 and 1; one cluster; no     Clopper-Pearson with n = contributing clusters
variance between clusters
==============================  ===============================================================

Where few patients carry the rarer outcome, their spread says too little: with degrees of freedom of
clusters - 1 logit-t covered 87.5% at 100 patients of 10 images, p = .99 and an intra-class
correlation of .5, and the bootstrap of patients 86 to 91% up to 200 patients. With Satterthwaite's
degrees (``slices.estimates.degrees``), from how unequally the patients carry the variance, it covered
93.4% at the least (2,000 runs a cell, Monte Carlo error .5%) in 384 cells of 15 to 600 patients, 4 and 10
images (fixed, or varying), p from .5 to .99 and correlations of 0 to .5, and 95.9% on average
without correlation.

Expected from discreteness, stated before any tuning: coverage of the nominal 95% is above 97.5%
where fewer than about four rows are expected on the rarer side (n (1 - p) < 4): there the count 0
or n has a large probability, every interval that covers it covers too much, and none can do
otherwise and stay above 93.5%. Supports below 30 use exact limits, which lie at 96 to 99%.
Between 30 and 60 the lattice of counts pulls the wider of Wilson and Jeffreys down to 92.9% at some
p (n = 31, p = .5); with a tenth less ``alpha`` it stays at 93.5% and above for every n and p.

Composites: F1 is a rising function of tp / (tp + fp + fn) and takes that proportion's limits;
balanced accuracy takes its limits from recall's and specificity's (MOVER); MCC has no exact
interval: Fisher's z with a linearised error where each of its four margins holds 10 rows, no
limits at -1, 1 or below.

References
----------
Brown, Cai & DasGupta (2001), Stat. Sci. 16, 101-133; Korn & Graubard (1999), section 3.2;
Zou, Huang & Zhang (2009), Comput. Stat. Data Anal. 53, 3755-3764.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from slices.intervals import (
    clopper_pearson,
    jeffreys,
    korn_graubard,
    logit_t,
    mover_mean,
    wilson,
)
from slices.metrics import METRICS, Metric, gradient
from slices.said import say

Array = NDArray[np.float64]

EXACT_BELOW = 30
LATTICE_BELOW = 60
BOOTSTRAP_FROM = 600
BOOTSTRAP_CLUSTERS = 2000
CORRELATION_MARGIN = 10
# Below this share of the binomial error, the clusters' variance is an accident of a few equal ratios.
NO_VARIANCE = 1e-9

NONE, EXACT, HULL, LOGIT, EXACT_CLUSTERS, GRAUBARD, MOVER, FISHER, BCA, PERCENTILE, SCORE, SAME = range(12)
LOGIT_IMAGES, EXACT_IMAGES, LOGIT_WEIGHTS, EXACT_WEIGHTS, GRAUBARD_WEIGHTS, MOVER_SCORE = range(12, 18)
PROFILE, MATCHED = 18, 19
METHODS = (
    say("method.none", "none"),
    say("method.clopper_pearson", "Clopper-Pearson"),
    say("method.wilson_jeffreys", "Wilson and Jeffreys, the wider"),
    say("method.logit_clusters", "logit-t over clusters"),
    say("method.exact_clusters", "Clopper-Pearson, n = clusters"),
    say("method.korn_graubard", "Korn-Graubard"),
    say("method.mover", "MOVER"),
    say("method.fisher", "Fisher's z, linearised"),
    say("method.bca", "bootstrap, BCa"),
    say("method.percentile", "bootstrap, percentile"),
    say("method.score", "score (Miettinen-Nurminen, Koopman)"),
    say("method.pointwise", "as the pointwise limits"),
    say("method.logit_images", "logit-t over images (ids)"),
    say("method.exact_images", "Clopper-Pearson, n = images (ids)"),
    say("method.logit_weights", "logit-t, linearised for weights"),
    say("method.exact_weights", "Clopper-Pearson, n = effective rows (Kish)"),
    say("method.korn_graubard_weights", "Korn-Graubard, linearised for weights"),
    say("method.mover_score", "MOVER and score, the wider"),
    say("method.profile", "the farthest value within its parts' exact limits"),
    say("method.matched", "exact limits of the share of wrong rows, at the figure's effective size"),
)

Unit = Literal["cluster", "image", "weighted row"]
# What limits from a design are called, by its unit: logit-t, at 0 and 1, simultaneous.
CODES: dict[Unit, tuple[int, int, int]] = {
    "cluster": (LOGIT, EXACT_CLUSTERS, GRAUBARD),
    "image": (LOGIT_IMAGES, EXACT_IMAGES, GRAUBARD),
    "weighted row": (LOGIT_WEIGHTS, EXACT_WEIGHTS, GRAUBARD_WEIGHTS),
}


@dataclass(frozen=True, slots=True)
class Design:
    """What clusters (or weights) make of one metric's estimates; arrays shaped as the estimates.

    Attributes
    ----------
    error : array
        Linearised standard error of the metric.
    units : array
        Clusters (or images) that contribute to the denominator; of weighted rows Kish's effective number.
    effective : array
        Denominator over the design effect.
    largest : array
        Most rows that one cluster has in the denominator.
    degrees : array
        Degrees of freedom of the error.
    unit : str
        What the units are.
    """

    error: Array
    units: Array
    effective: Array
    largest: Array
    degrees: Array
    unit: Unit = "cluster"

    @property
    def clusters(self) -> Array | None:
        """Contributing clusters; None where no cluster is the unit."""
        return self.units if self.unit == "cluster" else None

    def at(self, places: tuple[NDArray[np.intp], ...]) -> Design:
        """The design at some places."""
        return Design(
            self.error[places],
            self.units[places],
            self.effective[places],
            self.largest[places],
            self.degrees[places],
            self.unit,
        )


@dataclass(frozen=True, slots=True)
class Bounds:
    """Values with limits, NaN where undefined, and the code (into `METHODS`) of how they were made."""

    value: Array
    low: Array
    high: Array
    method: NDArray[np.int8]


def bounds(
    metric: Metric,
    counts: NDArray[np.generic],
    alpha: float | Array,
    *,
    designs: dict[str, Design] | None = None,
    exact: bool = False,
) -> Bounds:
    """Closed-form limits of one metric.

    Parameters
    ----------
    metric : Metric
    counts : array, shape (..., 4)
        Confusion counts; sums of weights in weighted logs.
    alpha : float or array
        One minus the confidence; an array of shape (...).
    designs : dict, optional
        By metric name, where rows are not the unit (composites need their parts' too).
    exact : bool
        Limits for simultaneous inference: never below nominal, at any level (Clopper-Pearson,
        Korn-Graubard). Of proportions and F1; composites have theirs in ``slices.estimates.jointly``.
    """
    if metric.kind == "balanced":
        parts = [
            bounds(METRICS[name], counts, alpha, designs=designs, exact=exact)
            for name in ("recall", "specificity")
        ]
        value = (parts[0].value + parts[1].value) / 2
        low, high = mover_mean(
            np.stack([part.value for part in parts], axis=-1),
            np.stack([part.low for part in parts], axis=-1),
            np.stack([part.high for part in parts], axis=-1),
            0.5,
        )
        method = np.where(np.isfinite(value), MOVER, NONE)
        return _result(value, np.clip(low, 0, 1), np.clip(high, 0, 1), method)
    if metric.kind == "mcc":
        return _correlation(metric, counts, alpha, None if designs is None else designs["mcc"])
    count, trials = metric.count(counts), metric.trials(counts)
    defined = trials > 0
    x, n = np.where(defined, count, 0.0), np.where(defined, trials, 1.0)
    level = np.broadcast_to(np.asarray(alpha, dtype=np.float64), x.shape)
    if designs is None:
        low, high, method = proportion_limits(x, n, level, exact=exact)
    else:
        design = designs[metric.name]
        if metric.kind == "f1":
            # The error is F1's; the limits are made on the scale of the proportion behind it.
            slope = 2 / (1 + x / n) ** 2
            design = replace(design, error=design.error / slope)
        low, high, method = limits_between_clusters(x / n, n, level, design, exact=exact)
    scaled = [np.where(defined, metric.from_proportion(v), np.nan) for v in (x / n, low, high)]
    return _result(scaled[0], scaled[1], scaled[2], np.where(defined, method, NONE))


def proportion_limits(
    count: Array, n: Array, alpha: Array, *, exact: bool = False
) -> tuple[Array, Array, NDArray[np.int_]]:
    """Limits of proportions whose unit is the row, as the table above says; and their method's code."""
    low, high, method = np.empty(count.shape), np.empty(count.shape), np.full(count.shape, EXACT)
    hull = (n >= EXACT_BELOW) & (count > 0) & (count < n) & (not exact)
    low[~hull], high[~hull] = clopper_pearson(count[~hull], n[~hull], alpha[~hull])
    if np.any(hull):
        x, size = count[hull], n[hull]
        level = np.where(size < LATTICE_BELOW, 0.9, 1.0) * alpha[hull]
        first, second = wilson(x, size, level), jeffreys(x, size, level)
        low[hull] = np.minimum(first[0], second[0])
        high[hull] = np.maximum(first[1], second[1])
        method[hull] = HULL
    return low, high, method


def limits_between_clusters(
    value: Array, n: Array, alpha: Array, design: Design, *, exact: bool = False
) -> tuple[Array, Array, NDArray[np.int_]]:
    """Limits of proportions whose unit is no single row, as the table above says; and their method's code.

    Clusters of one row each are rows. Weighted rows have the same limits, from their own errors.
    """
    m = np.maximum(np.nan_to_num(design.units), 1.0)
    between, at_end, jointly = CODES[design.unit]
    error = np.nan_to_num(design.error)
    inside = (value > 0) & (value < 1)
    simple = np.sqrt(np.where(inside, value * (1 - value), 0.25) / n)
    alone = design.largest <= 1
    usable = inside & (m >= 2) & (error > NO_VARIANCE * simple) & ~alone
    ends = ~usable & ~alone
    low, high, method = np.empty(value.shape), np.empty(value.shape), np.full(value.shape, at_end)
    low[ends], high[ends] = clopper_pearson(np.minimum(value, 1.0)[ends] * m[ends], m[ends], alpha[ends])
    if np.any(usable):
        p, size, se, level = value[usable], n[usable], error[usable], alpha[usable]
        df = design.degrees[usable]
        low[usable], high[usable] = logit_t(p, se, df, level)
        if exact:
            # Never inside the pointwise kind: a family of one must not be surer than its only member.
            outer = korn_graubard(p, size, p * (1 - p) / se**2, df, level)
            low[usable] = np.minimum(low[usable], outer[0])
            high[usable] = np.maximum(high[usable], outer[1])
        method[usable] = jointly if exact else between
    if np.any(alone):
        low[alone], high[alone], method[alone] = proportion_limits(
            (value * n)[alone], n[alone], alpha[alone], exact=exact
        )
    return low, high, method


def bootstrap_valid(metric: Metric, value: Array, support: Array, design: Design | None) -> NDArray[np.bool_]:
    """Where the bootstrap's limits are used: enough support, enough clusters, not at an end of the range."""
    inside = np.isfinite(value) & (value > metric.lowest) & (value < metric.highest)
    return np.asarray(inside & (support >= BOOTSTRAP_FROM) & enough_clusters(design))


def enough_clusters(design: Design | None) -> NDArray[np.bool_]:
    """Where clusters are enough for their bootstrap; rows, and clusters of one row, always are."""
    if design is None:
        return np.asarray(True)
    return np.asarray((np.nan_to_num(design.units) >= BOOTSTRAP_CLUSTERS) | (design.largest <= 1))


def linearised_error(metric: Metric, counts: NDArray[np.generic]) -> Array:
    """Standard error of a metric where rows are the unit, from its influence function."""
    table = np.asarray(counts, dtype=np.float64)
    return np.asarray(np.sqrt(np.sum(table * gradient(metric, table) ** 2, axis=-1)))


def _correlation(
    metric: Metric, counts: NDArray[np.generic], alpha: float | Array, design: Design | None
) -> Bounds:
    """Limits of Matthews' correlation on Fisher's scale, where its margins allow them."""
    value = metric.of(counts)
    error = linearised_error(metric, counts) if design is None else design.error
    df = np.full(value.shape, np.inf) if design is None else design.degrees
    # Rounding keeps a correlation of 1 a little below it.
    usable = (np.abs(value) < 1 - 1e-12) & (metric.support(counts) >= CORRELATION_MARGIN) & (error > 0)
    if design is not None:
        usable &= design.units >= CORRELATION_MARGIN
    level = np.broadcast_to(np.asarray(alpha, dtype=np.float64), value.shape)
    low, high = fisher_limits(value, error, df, level, usable)
    return _result(value, low, high, np.where(usable, FISHER, NONE))


def fisher_limits(
    value: Array, error: Array, df: Array, alpha: Array, usable: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Student limits of a correlation on Fisher's scale; NaN where not ``usable``."""
    from scipy.special import stdtrit

    low, high = np.full(value.shape, np.nan), np.full(value.shape, np.nan)
    v, t = value[usable], -stdtrit(np.minimum(df[usable], 1e9), alpha[usable] / 2)
    half = t * error[usable] / (1 - v**2)
    low[usable], high[usable] = np.tanh(np.arctanh(v) - half), np.tanh(np.arctanh(v) + half)
    return low, high


def _result(value: Array, low: Array, high: Array, method: NDArray[np.int_]) -> Bounds:
    return Bounds(value, low, high, np.asarray(method, dtype=np.int8))
