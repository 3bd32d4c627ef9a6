"""Selection: which interval an estimate gets, and its closed-form limits for all slices at once.

Proportions have closed-form limits at every support, so that limits rise with the count: no draw's
noise, and no change of kind between one count and the next. The kind hangs on the support and on the
number of clusters, never on the estimate.

Rows are the unit (no clusters):

========================  =====================================================================
support (denominator)     interval of a proportion
========================  =====================================================================
below 30                  Clopper-Pearson
30 and more               the wider of Wilson and Jeffreys; below 60 at .85 of ``alpha``
at 0 and 1, any support   Clopper-Pearson
========================  =====================================================================

Exact coverage of the wider of Wilson and Jeffreys, at its lowest over all p from .01 to .99 (looked for
at every jump): 93.8% from 30 to 59 rows (n = 30), 93.50% over all supports from 60 to 699 (at 60), 94.2%
at 600, 94.5% at 2,000. The bootstrap of so few rows is not right where the rarer outcome is rare: percentile
limits of 600 rows covered 91.2% at p = .988, of 2,000 rows 90.1% at p = .998.

Patients (clusters) are the unit, some with several rows in the denominator; so are rows of unequal
weight:

==============================  ===============================================================
estimate                        interval of a proportion
==============================  ===============================================================
between 0 and 1                 logit-t, linearised, Satterthwaite's degrees of freedom; never
                                beyond the limit that 0 or 1 has
at 0 and 1; one cluster; no     Clopper-Pearson with n = contributing clusters (times the share
variance between clusters       that Kish's number is of the rows, where rows have weights)
==============================  ===============================================================

Without "never beyond" a group with errors could be surer than one without: 8 of 1,000 images wrong in 8
of 100 patients had .9838 at the least, all right .9638. A group without a wrong image says nothing about
how alike a patient's images are, hence one row a patient there, and no more where a few are wrong.

Where few patients carry the rarer outcome, their spread says too little: with degrees of freedom of
clusters - 1 logit-t covered 87.5% at 100 patients of 10 images, p = .99 and an intra-class
correlation of .5, and the bootstrap of patients 86 to 91% up to 200 patients; with Satterthwaite's
degrees (``slices.estimates.degrees``) 93.4% and more in 384 cells of 15 to 600 patients.

Expected from discreteness, stated before any tuning: coverage of the nominal 95% is above 97.5%
where fewer than about four units (rows; patients) are expected on the rarer side, n (1 - p) < 4:
there the count 0 or n has a large probability, every interval that covers it covers too much, and
none can do otherwise and stay above 93.5%. Supports below 30 use exact limits, which lie at 96 to 99%.

Composites: F1 is a rising function of tp / (tp + fp + fn) and takes that proportion's limits;
balanced accuracy takes its limits from recall's and specificity's (MOVER, with the correlation that
patients with rows of both classes give them); MCC has no exact interval: Fisher's z with a linearised
error where each of its four margins holds 10 rows, no limits at -1, 1 or below. These, and gaps, have
the bootstrap from counts (BCa) instead where it is valid: `bootstrap_valid`, `enough_of_each`.

On request (``drawn_proportions``; ``[statistics] proportions = "bootstrap"``) proportions have them too:
there limits do not always rise with the count, since the kind changes with it and draws have noise (6
falls at 600 rows, 164 at 2,000); lowest exact coverage at 1,960 shares from .5 to .99, 10,000 draws: 94.0,
93.8 and 93.7% at 600, 1,000 and 2,000 rows (``python -m benchmarks.drawn_proportions``).

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
from slices.metrics import METRICS, Metric, PooledMetric, gradient
from slices.said import say

Array = NDArray[np.float64]

EXACT_BELOW = 30
# The lattice of counts pulls the coverage of so few rows below 93.5% at some p: a little less alpha.
LATTICE_BELOW, LATTICE_SHARE = 60, 0.85
BOOTSTRAP_FROM = 600
# Rows of each outcome behind a drawn figure: with fewer, its draws are too coarse and too skewed.
BOOTSTRAP_RARER = 20
BOOTSTRAP_CLUSTERS = 2000
CORRELATION_MARGIN = 10
# Below this share of the binomial error, the clusters' variance is an accident of a few equal ratios.
NO_VARIANCE = 1e-9

NONE, EXACT, HULL, LOGIT, EXACT_CLUSTERS, GRAUBARD, MOVER, FISHER, BCA, SCORE, SAME = range(11)
LOGIT_IMAGES, EXACT_IMAGES, LOGIT_WEIGHTS, EXACT_WEIGHTS, GRAUBARD_WEIGHTS, MOVER_SCORE, EXACT_KISH = range(
    11, 18
)
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
    say("method.score", "score (Miettinen-Nurminen, Koopman)"),
    say("method.pointwise", "as the pointwise limits"),
    say("method.logit_images", "logit-t over records (ids)"),
    say("method.exact_images", "Clopper-Pearson, n = records (ids)"),
    say("method.logit_weights", "logit-t, linearised for weights"),
    say("method.exact_weights", "Clopper-Pearson, n = effective rows (Kish)"),
    say("method.korn_graubard_weights", "Korn-Graubard, linearised for weights"),
    say("method.mover_score", "MOVER and score, the wider"),
    say("method.exact_kish", "Clopper-Pearson, n = effective clusters (Kish)"),
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
        Most rows that one cluster has in the denominator; infinite where weights differ.
    degrees : array
        Degrees of freedom of the error.
    ends : array
        Independent rows that an estimate of 0 or 1 rests on: the units, fewer where weights differ.
    unit : str
        What the units are.
    """

    error: Array
    units: Array
    effective: Array
    largest: Array
    degrees: Array
    ends: Array
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
            self.ends[places],
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
            correlation=0.0 if designs is None else correlation_of_halves(designs),
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
        level = np.where(size < LATTICE_BELOW, LATTICE_SHARE, 1.0) * alpha[hull]
        first, second = wilson(x, size, level), jeffreys(x, size, level)
        low[hull] = np.minimum(first[0], second[0])
        high[hull] = np.maximum(first[1], second[1])
        method[hull] = HULL
    return low, high, method


def limits_between_clusters(
    value: Array, n: Array, alpha: Array, design: Design, *, exact: bool = False
) -> tuple[Array, Array, NDArray[np.int_]]:
    """Limits of proportions whose unit is no single row, as the table above says; and their method's code.

    Clusters of one row each are rows, and so are rows of equal weight. Weighted rows have the same
    limits, from their own errors.
    """
    m = np.maximum(np.nan_to_num(design.units), 1.0)
    ends = np.maximum(np.nan_to_num(design.ends), 1.0)
    between, at_end, jointly = CODES[design.unit]
    error = np.nan_to_num(design.error)
    inside = (value > 0) & (value < 1)
    simple = np.sqrt(np.where(inside, value * (1 - value), 0.25) / n)
    alone = design.largest <= 1
    usable = inside & (m >= 2) & (error > NO_VARIANCE * simple) & ~alone
    still = ~usable & ~alone
    low, high, method = np.empty(value.shape), np.empty(value.shape), np.full(value.shape, at_end)
    if at_end == EXACT_CLUSTERS:
        method[ends < m] = EXACT_KISH
    low[still], high[still] = clopper_pearson(
        np.minimum(value, 1.0)[still] * ends[still], ends[still], alpha[still]
    )
    if np.any(usable):
        p, size, se, level = value[usable], n[usable], error[usable], alpha[usable]
        df = design.degrees[usable]
        low[usable], high[usable] = logit_t(p, se, df, level)
        if exact:
            # Never inside the pointwise kind: a family of one must not be surer than its only member.
            outer = korn_graubard(p, size, p * (1 - p) / se**2, df, level)
            low[usable] = np.minimum(low[usable], outer[0])
            high[usable] = np.maximum(high[usable], outer[1])
        # Clopper-Pearson's limit at 1, and at 0: a group with errors is never surer than one without.
        there = ends[usable]
        low[usable] = np.minimum(low[usable], clopper_pearson(there, there, level)[0])
        high[usable] = np.maximum(high[usable], clopper_pearson(np.zeros_like(there), there, level)[1])
        method[usable] = jointly if exact else between
    if np.any(alone):
        low[alone], high[alone], method[alone] = proportion_limits(
            # Of m rows, whatever their common weight is.
            _whole(value * m)[alone],
            m[alone],
            alpha[alone],
            exact=exact,
        )
    return low, high, method


def correlation_of_halves(designs: dict[str, Design]) -> Array:
    """Correlation of recall and specificity where the same patients have rows of both classes.

    From the three linearised errors: of both halves, and of their mean, balanced accuracy. 0 where a
    half has no error to go by.
    """
    whole, first, second = (
        np.nan_to_num(designs[name].error) for name in ("balanced_accuracy", "recall", "specificity")
    )
    if designs["recall"].unit == "weighted row":
        return np.zeros(whole.shape)
    product = 2 * first * second
    known = product > 0
    raw = (4 * whole**2 - first**2 - second**2) / np.where(known, product, 1.0)
    return np.asarray(np.where(known, np.clip(raw, -1, 1), 0.0))


def bootstrap_valid(
    metric: Metric, counts: NDArray[np.generic], support: Array, design: Design | None
) -> NDArray[np.bool_]:
    """Where there is enough to draw from: support and clusters. `enough_of_each` says what may be read.

    Parameters
    ----------
    metric : Metric
    counts : array, shape (..., 4)
        Confusion counts in rows.
    support : array, shape (...)
    design : Design, optional
    """
    value = metric.of(counts)
    inside = np.isfinite(value) & (value > metric.lowest) & (value < metric.highest)
    return np.asarray(inside & (support >= BOOTSTRAP_FROM) & enough_clusters(design))


def enough_of_each(metric: Metric | PooledMetric, counts: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Where limits may be read from draws: enough rows of each outcome behind the figure.

    Means over classes and the correlation of several have the draws' limits wherever there are any.
    """
    if isinstance(metric, PooledMetric):
        if not metric.is_proportion:
            return np.ones(counts.shape[:-2], dtype=np.bool_)
        value = np.nan_to_num(metric.of(counts))
        rarer = metric.trials(counts) * np.minimum(value, 1 - value)
        return np.asarray(np.rint(rarer) >= BOOTSTRAP_RARER)
    if metric.kind in ("balanced", "mcc"):
        rarer = np.asarray(counts, dtype=np.float64).min(-1)
    else:
        rarer = np.minimum(metric.count(counts), metric.trials(counts) - metric.count(counts))
    return np.asarray(rarer >= BOOTSTRAP_RARER)


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


def _whole(count: Array) -> Array:
    """Counts that only rounding keeps from being whole."""
    near = np.rint(count)
    return np.where(np.abs(count - near) <= NO_VARIANCE * np.maximum(near, 1.0), near, count)


def _result(value: Array, low: Array, high: Array, method: NDArray[np.int_]) -> Bounds:
    return Bounds(value, low, high, np.asarray(method, dtype=np.int8))
