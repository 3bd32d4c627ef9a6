"""Precision and negative predictive value at the prevalence of use, for test sets enriched with cases.

Belongs here: which slices and counts go into the adjustment. Does not: its formula
(`slices.supplements.weights`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from slices.counts import CountedLog, SliceCounts
from slices.estimates.design_effects import slice_designs
from slices.estimates.selection import METHODS, bounds, correlation_of_halves
from slices.metrics import METRICS
from slices.said import say
from slices.slicing import Slice
from slices.supplements.weights import AtPrevalence, Rate, npv_at, precision_at, predictive


@dataclass(frozen=True, slots=True)
class Adjusted:
    """Precision or NPV of one slice and class if ``prevalence`` of its rows were positive."""

    slice: Slice
    klass: str | None
    metric: str
    prevalence: float
    found: AtPrevalence


def at_prevalence(
    counted: CountedLog, prevalence: Mapping[str | None, float], *, confidence: float = 0.95
) -> tuple[Adjusted, ...]:
    """Adjusted precision and NPV of the whole log and of every one-way slice.

    Parameters
    ----------
    counted : CountedLog
    prevalence : mapping
        Stated share of positives for each class that is to be adjusted (None: a binary log), each in
        (0, 1), taken as known and as the same in every slice. Empty where positives only are known.

    Notes
    -----
    Recall and specificity are the log's. Of independent rows they have Wilson's limits; with clusters
    or weights those that the estimates themselves get, and with clusters the correlation that the same
    patients give them: where hard patients are wrong in both classes, recall and the false positive rate
    move apart together.
    """
    if not counted.space.negatives:
        return ()
    found = []
    for index, counts in enumerate(counted.slices):
        if counts.slice.order > 1:
            continue
        known = [k for k, klass in enumerate(counted.space.classes) if klass in prevalence]
        shares = {k: prevalence[counted.space.classes[k]] for k in known}
        if counted.clusters is None and counts.weighted is None:
            values = _of_rows(counted, counts, shares, confidence)
        else:
            values = _of_design(counted, index, shares, confidence)
        for k in known:
            for name, value in zip(("precision", "npv"), values[k], strict=True):
                found.append(Adjusted(counts.slice, counted.space.classes[k], name, shares[k], value))
    return tuple(found)


def _of_rows(
    counted: CountedLog, counts: SliceCounts, shares: Mapping[int, float], confidence: float
) -> dict[int, tuple[AtPrevalence, AtPrevalence]]:
    """Precision and NPV of each class, rows being independent."""
    tables = counted.space.confusion(counts.inside).astype(np.float64)
    found = {}
    for k, share in shares.items():
        cells = [float(v) for v in tables[k]]
        found[k] = tuple(at(share, *cells, confidence=confidence) for at in (precision_at, npv_at))
    return {k: (pair[0], pair[1]) for k, pair in found.items()}


def _of_design(
    counted: CountedLog, index: int, shares: Mapping[int, float], confidence: float
) -> dict[int, tuple[AtPrevalence, AtPrevalence]]:
    """Precision and NPV of each class, from rates whose rows are not independent or have weights."""
    halves = [METRICS[name] for name in ("recall", "specificity")]
    table, designs = slice_designs(counted, index, [*halves, METRICS["balanced_accuracy"]])
    limits = [bounds(metric, table, 1 - confidence, designs=designs) for metric in halves]
    correlation = correlation_of_halves(designs)
    found = {}
    # Rows whose weights are all alike in each class are rows without weights.
    equal = np.all(
        [(designs[m.name].largest <= 1) & (designs[m.name].unit == "weighted row") for m in halves], axis=0
    )
    of_rows = _of_rows(counted, counted.slices[index], shares, confidence)
    for k, share in shares.items():
        if equal[k]:
            found[k] = of_rows[k]
            continue
        recall, specificity = (
            Rate(float(each.value[k]), float(each.low[k]), float(each.high[k])) for each in limits
        )
        method = say(
            "method.bayes_design",
            "Bayes' theorem at the stated prevalence; MOVER on the log scale (recall: {recall}; "
            "specificity: {specificity})",
            recall=METHODS[limits[0].method[k]],
            specificity=METHODS[limits[1].method[k]],
        )
        # 1 - x moves against x.
        apart = -float(correlation[k])
        found[k] = (
            predictive(share, recall, specificity.turned, apart, method),
            predictive(1 - share, specificity, recall.turned, apart, method),
        )
    return found
