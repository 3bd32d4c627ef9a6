"""Model against baseline where a row is no unit of its own, or of no class of its own.

Belongs here: differences of weighted rows, and of figures over all classes, from what both models made of
each row or patient. Does not: unweighted counts of one class (`slices.supplements.paired`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from slices.counts import JointRows
from slices.estimates.degrees import satterthwaite_degrees
from slices.intervals import clopper_pearson
from slices.metrics import Metric, PooledMetric, gradient
from slices.said import say
from slices.supplements.paired import (
    FEW_CHANGES,
    PairedDifference,
    _student_limits,
    _student_p,
    mcnemar_score,
    read_change,
    sign_flip,
    tango,
)

Floats = NDArray[np.float64]

TANGO = say("method.tango", "Tango's score interval, paired")
ROWS = say("method.joint_outcomes", "linearised over joint outcomes")
CLUSTERS = say("method.joint_outcomes_clusters", "linearised over joint outcomes, between clusters; t")
WEIGHTS = say("method.joint_outcomes_weights", "linearised over joint outcomes of weighted rows; t")
FEW = say("method.few_changes", "bounded by the units that could change")

# A joint cell is 4 x label + 2 x model + baseline; a table's cell is one of tp, fp, fn, tn.
_OF_MODEL = np.array([3, 3, 1, 1, 2, 2, 0, 0])
_OF_BASELINE = np.array([3, 1, 3, 1, 2, 0, 2, 0])


@dataclass(frozen=True, slots=True)
class Tables:
    """Confusion tables of one row of each kind, and sums over a slice; (kinds, classes, 4), (classes, 4)."""

    of_model: Floats
    of_baseline: Floats
    model: Floats
    baseline: Floats


def tables(rows: JointRows) -> Tables:
    """What the kinds of row count as, for the model and for the baseline."""
    kinds = np.eye(4)
    there = (rows.cell >= 0)[..., None]
    of_model = np.where(there, kinds[_OF_MODEL[rows.cell]], 0.0)
    of_baseline = np.where(there, kinds[_OF_BASELINE[rows.cell]], 0.0)
    mass = np.bincount(rows.kind, weights=rows.weight * rows.times, minlength=len(rows.cell))
    sums = (np.einsum("r,rkf->kf", mass, each) for each in (of_model, of_baseline))
    return Tables(of_model, of_baseline, *sums)


def paired_over_units(
    metric: Metric | PooledMetric,
    rows: JointRows,
    found: Tables,
    klass: int | None,
    *,
    confidence: float = 0.95,
) -> PairedDifference:
    """Difference of a metric between two models on the same rows.

    Parameters
    ----------
    metric : Metric or PooledMetric
        Of the class ``klass``, or over all classes (None).
    rows : JointRows
    found : Tables
        Of the same rows.

    Notes
    -----
    Every row has its influence on the difference through both models' tables at once; a patient's rows add
    up, weights multiply them. Interval: Student's t with Satterthwaite's degrees of freedom. Test of rows
    without weights: dual to it (accuracy: Tango's interval and McNemar's test, as for one class); else
    each unit's two models are exchanged, at the mean of both tables (`sign_flip`). Where fewer than 10
    rows (2 weighted rows or patients) differ, the interval is wide on purpose: the largest share of units
    that could change, times the metric's range; rows of a mean over classes or an MCC then have the whole
    range, and a p-value of 1.

    References
    ----------
    Obuchowski (1998), Statistics in Medicine 17, 1495-1507; Leisenring, Alonzo & Pepe (2000), Biometrics
    56, 345-351; Korn & Graubard (1999), section 2.4 (weights).
    """
    model, baseline = (
        (found.model, found.baseline)
        if klass is None
        else (
            found.model[klass],
            found.baseline[klass],
        )
    )
    of_model = found.of_model if klass is None else found.of_model[:, klass]
    of_baseline = found.of_baseline if klass is None else found.of_baseline[:, klass]
    method = CLUSTERS if rows.unit is not None else WEIGHTS if rows.weighted else ROWS
    values = float(metric.of(model)), float(metric.of(baseline))
    if not np.all(np.isfinite(values)):
        return PairedDifference(None, None, None, None, None, None, 0.0, method, metric.undefined)
    slope = _slope(metric, model), _slope(metric, baseline)
    influence = _applied(of_model, slope[0]) - _applied(of_baseline, slope[1])
    middle = _slope(metric, (model + baseline) / 2)
    exchanged = _applied(of_model - of_baseline, middle)
    touched, differs = (
        _touched(metric, of_model, of_baseline),
        (of_model != of_baseline).reshape(len(of_model), -1),
    )
    moving = touched & differs.any(axis=1)
    contribution, times = _by_unit(rows, influence)
    score, _ = _by_unit(rows, exchanged)
    present, moved_by = (
        _by_unit(rows, touched.astype(float))[0] > 0,
        _by_unit(rows, moving.astype(float))[0] > 0,
    )
    units, moved = int(times[present].sum()), int(times[moved_by].sum())
    changed = float(np.sum(rows.times * moving[rows.kind]))
    difference = values[0] - values[1]
    plain = rows.unit is None and not rows.weighted
    if plain and metric.name == "accuracy":
        # Influences are centred: who is right tells the rows apart.
        ahead = (of_model[..., 0].sum(axis=1) - of_baseline[..., 0].sum(axis=1))[rows.kind]
        gained, lost = (float(times[sign * ahead > 0].sum()) for sign in (1, -1))
        low, high = tango(gained, lost, float(units), confidence)
        p_value = mcnemar_score(gained, lost)
        se = sqrt(float(times @ contribution**2))
        return PairedDifference(
            difference, low, high, se, p_value, read_change(low, high, metric.better), changed, TANGO
        )
    se = sqrt(units / (units - 1) * float(times @ contribution**2)) if units > 1 else 0.0
    span = metric.highest - metric.lowest
    if moved < (FEW_CHANGES if plain else 2) or se == 0:
        if isinstance(metric, PooledMetric) and metric.how in ("macro", "mcc"):
            reach = span
        else:
            worth = _kish(rows, present, touched)
            _, share = clopper_pearson(min(moved, worth), worth, 1 - confidence)
            reach = float(share) * span
        low, high = max(-span, difference - reach), min(span, difference + reach)
        p_value = 1.0 if plain else sign_flip(score, times)
        method = FEW
    else:
        degrees = satterthwaite_degrees(contribution[present], times[present])
        low, high = _student_limits(difference, se, degrees, confidence)
        low, high = max(-span, low), min(span, high)
        p_value = _student_p(difference, se, degrees) if plain else sign_flip(score, times)
    return PairedDifference(
        difference, low, high, se, p_value, read_change(low, high, metric.better), changed, method
    )


def _slope(metric: Metric | PooledMetric, table: Floats) -> Floats:
    made = metric.gradient(table) if isinstance(metric, PooledMetric) else gradient(metric, table)
    return np.asarray(np.nan_to_num(made, posinf=0, neginf=0))


def _applied(kinds: Floats, slope: Floats) -> Floats:
    """Each kind's table times the slope."""
    return np.asarray((kinds * slope).reshape(len(kinds), -1).sum(axis=1))


def _touched(metric: Metric | PooledMetric, of_model: Floats, of_baseline: Floats) -> NDArray[np.bool_]:
    """Kinds of row that enter the figure of either model."""
    if isinstance(metric, Metric) and any(metric.denominator):
        return np.asarray((metric.trials(of_model) > 0) | (metric.trials(of_baseline) > 0))
    return np.asarray((of_model + of_baseline).reshape(len(of_model), -1).sum(axis=1) > 0)


def _by_unit(rows: JointRows, of_kind: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Weighted sums over each unit, and how many units are like it."""
    each = rows.weight * of_kind[rows.kind]
    if rows.unit is None:
        return each, rows.times
    number = int(rows.unit.max()) + 1 if rows.unit.size else 0
    sums = np.bincount(rows.unit, weights=each * rows.times, minlength=number).astype(np.float64)
    return sums, np.ones(number, np.int64)


def _kish(rows: JointRows, present: NDArray[np.bool_], touched: NDArray[np.bool_]) -> float:
    """Units that equal weights would be worth; rows of one weight, or patients alike, are all worth one."""
    mass, times = _by_unit(rows, touched.astype(float))
    mass, times = mass[present], times[present]
    if not rows.weighted:
        return max(float(times.sum()), 1.0)
    return max(float(times @ mass) ** 2 / max(float(times @ mass**2), 1e-300), 1.0)
