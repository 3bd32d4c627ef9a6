"""Wording: what the analysis did, in plain sentences for the report's method section."""

from __future__ import annotations

from collections.abc import Iterable

from slices.counts import CountedLog
from slices.resampling import FEWEST_IN_TAIL
from slices.selection import BCA, METHODS, NONE, PERCENTILE


def method_sentences(
    counted: CountedLog,
    used: Iterable[int],
    *,
    resamples: int,
    confidence: float,
    family: int,
    level: float,
    level_method: str,
    undefined: bool,
    scarce: bool,
) -> tuple[str, ...]:
    """Plain sentences: the unit, the draws, the intervals used, the family and its level.

    Parameters
    ----------
    counted : CountedLog
    used : iterable of int
        Codes (into ``METHODS``) of the intervals in this report.
    undefined : bool
        Whether an interval was replaced because over 1% of its replicates were undefined.
    scarce : bool
        Whether one was replaced because too few draws lay beyond it.
    """
    percent = f"{100 * confidence:g}%"
    sentences = []
    if counted.clusters is not None:
        sentences.append(
            f"The unit that is resampled is the cluster: {counted.clusters:,} clusters, all "
            "kept in every slice. A slice and its comparator are drawn together, so that clusters with "
            "rows on both sides count as what they are."
        )
    else:
        sentences.append(
            "The unit that is resampled is the row: rows are taken as independent of each other, since "
            "the log names no cluster. A slice and its complement are drawn together."
        )
    if counted.slices[0].weighted is not None:
        sentences.append(
            "Figures are weighted by the log's weights; their limits are linearised (Taylor) and rest on "
            "the effective number of rows. Supports and counts are rows, not weights."
        )
    codes = sorted(set(used) - {NONE})
    sentences.append(
        f"Intervals have {percent} confidence, each for itself. Which kind is used depends on the support "
        f"and the number of clusters. Used here: {'; '.join(METHODS[code] for code in codes)}."
    )
    if BCA in codes or PERCENTILE in codes:
        sentences.append(
            f"Bootstrap intervals come from {resamples:,} draws of the confusion counts, which have the "
            "same law as drawing rows (or clusters) from the log."
        )
    if undefined:
        sentences.append(
            "Where a figure was undefined in more than 1% of its replicates, the closed-form interval "
            "for small samples was used instead."
        )
    if scarce:
        sentences.append(
            f"Where fewer than {FEWEST_IN_TAIL} of the {resamples:,} draws lay beyond a bootstrap limit, the "
            "closed-form interval was used instead."
        )
    if family:
        proportions = "Clopper-Pearson's exact limits"
        if counted.clusters is not None or counted.slices[0].weighted is not None:
            proportions = "Korn and Graubard's limits, Clopper-Pearson's at the effective size"
        sentences.append(
            f"The policy tests {_number(family, 'quantity', 'quantities')}. Their simultaneous intervals "
            f"are made to hold together with {percent} confidence: each has a confidence of 1 - "
            f"{1 - level:.3g} ({level_method}). At that level a proportion has {proportions}; other "
            "metrics, differences and ratios have limits made from such ones (MOVER) where there are any, "
            "never narrower than those of the pointwise kind."
        )
    sentences.append(
        "A p-value is that of a difference of zero and agrees with the difference's interval"
        + (
            f" (where fewer than {FEWEST_IN_TAIL} draws lie beyond zero, through the tail of the normal "
            "distribution, at the bootstrap's standard error)"
            if BCA in codes or PERCENTILE in codes
            else ""
        )
        + ". P-values are adjusted (Holm; Benjamini-Hochberg) metric by metric: each metric's family is all "
        "slices and classes compared in it. They inform and decide nothing."
    )
    return tuple(sentences)


def _number(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"
