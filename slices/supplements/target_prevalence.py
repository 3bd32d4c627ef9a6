"""Precision and negative predictive value at the prevalence of use, for test sets enriched with cases.

Belongs here: which slices and counts go into the adjustment. Does not: its formula
(`slices.supplements.weights`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slices.counts import FN, FP, TN, TP, CountedLog, SliceCounts
from slices.estimates.design_effects import design_effects
from slices.metrics import METRICS
from slices.said import say
from slices.slicing import Slice
from slices.supplements.weights import AtPrevalence, kish_effective, npv_at, precision_at

WEIGHTED_CLUSTERS = say(
    "undefined.weighted_clusters", "the log has weights and clusters: no interval that allows for both"
)


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
    Recall and false positive rate are the log's; with clusters each rests on its rows over its design
    effect, with weights on Kish's effective number of its denominator.
    """
    if not counted.space.negatives:
        return ()
    found = []
    for counts in counted.slices:
        if counts.slice.order > 1:
            continue
        tables = _effective(counted, counts)
        for klass, table in zip(counted.space.classes, tables, strict=True):
            if klass not in prevalence:
                continue
            share = prevalence[klass]
            for name, adjusted in (("precision", precision_at), ("npv", npv_at)):
                value = adjusted(share, *(float(v) for v in table), confidence=confidence)
                if counted.clusters is not None and counts.weighted is not None and value.undefined is None:
                    value = AtPrevalence(value.value, None, None, value.method, WEIGHTED_CLUSTERS)
                found.append(Adjusted(counts.slice, klass, name, share, value))
    return tuple(found)


def _effective(counted: CountedLog, counts: SliceCounts) -> NDArray[np.float64]:
    """Counts in independent rows, shape (classes, 4): positives by recall, negatives by fpr."""
    table = counted.space.confusion(counts.inside).astype(np.float64)
    if counts.weighted is not None:
        table = counted.space.confusion(counts.weighted.inside).astype(np.float64)
        squares = counted.space.confusion(counts.weighted.inside_squares).astype(np.float64)
        for k in range(len(table)):
            for places in ([TP, FN], [FP, TN]):
                total = float(table[k, places].sum())
                kish = kish_effective(total, float(squares[k, places].sum()))
                table[k, places] *= kish / total if total > 0 else 0.0
        return table
    worth = design_effects(counted, counts, [METRICS["recall"], METRICS["fpr"]])
    for name, places in (("recall", [TP, FN]), ("fpr", [FP, TN])):
        table[:, places] /= (worth[name].effect * worth[name].few)[0][:, None]
    return table
