"""Wording: what the analysis did, in plain sentences for the report's method section."""

from __future__ import annotations

from collections.abc import Iterable

from slices.counts import CountedLog
from slices.estimates.selection import BCA, METHODS, NONE
from slices.resampling import FEWEST_IN_TAIL
from slices.said import say, sentence_pair


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
    confidence = 100 * confidence
    sentences = []
    if counted.clusters is not None:
        sentences.append(
            say(
                "statistics.clusters",
                "The unit that is resampled is the cluster: {clusters:,} clusters, all kept in every slice. "
                "A slice and its comparator are drawn together, so that clusters with rows on both sides "
                "count as what they are.",
                clusters=counted.clusters,
            )
        )
    else:
        sentences.append(
            say(
                "statistics.rows",
                "The unit that is resampled is the row: rows are taken as independent of each other, since "
                "the log names no cluster. A slice and its complement are drawn together.",
            )
        )
    if counted.slices[0].weighted is not None:
        sentences.append(
            say(
                "statistics.weights",
                "Figures are weighted by the log's weights; their limits are linearised (Taylor) and rest on "
                "the effective number of rows. Supports and counts are rows, not weights.",
            )
        )
    codes = sorted(set(used) - {NONE})
    sentences.append(
        say(
            "statistics.intervals",
            "Intervals have {confidence:g}% confidence, each for itself. Which kind is used depends on the "
            "support and the number of clusters. Used here: {methods:; }.",
            confidence=confidence,
            methods=[METHODS[code] for code in codes],
        )
    )
    if BCA in codes:
        sentences.append(
            say(
                "statistics.bootstrap",
                "Bootstrap intervals come from {resamples:,} draws of the confusion counts, which have the "
                "same law as drawing rows (or clusters) from the log.",
                resamples=resamples,
            )
        )
    if undefined:
        sentences.append(
            say(
                "statistics.undefined",
                "Where a figure was undefined in more than 1% of its replicates, the closed-form interval "
                "for small samples was used instead.",
            )
        )
    if scarce:
        sentences.append(
            say(
                "statistics.scarce",
                "Where fewer than {fewest} of the {resamples:,} draws lay beyond a bootstrap limit, the "
                "closed-form interval was used instead.",
                fewest=FEWEST_IN_TAIL,
                resamples=resamples,
            )
        )
    if family:
        proportions = say("statistics.exact", "Clopper-Pearson's exact limits")
        if counted.clusters is not None or counted.slices[0].weighted is not None:
            proportions = say(
                "statistics.korn_graubard",
                "Korn and Graubard's limits, Clopper-Pearson's at the effective size",
            )
        sentences.append(
            say(
                "statistics.family",
                "The policy tests {quantities}. Their simultaneous intervals are made to hold together with "
                "{confidence:g}% confidence: each has a confidence of 1 - {alpha:.3g} ({method}). At that "
                "level a proportion has {proportions}; other metrics have the farthest value that such "
                "limits of their parts allow, differences and ratios limits made from both sides' (MOVER), "
                "never narrower than those of the pointwise kind.",
                quantities=say("statistics.quantity", "{count:,} quantity", count=family)
                if family == 1
                else say("statistics.quantities", "{count:,} quantities", count=family),
                confidence=confidence,
                alpha=1 - level,
                method=level_method,
                proportions=proportions,
            )
        )
    if BCA in codes:
        agrees = say(
            "statistics.p_bootstrap",
            "Before it is adjusted, a p-value is that of a difference of zero and agrees with the "
            "difference's interval (where fewer than {fewest} draws lie beyond zero, through the tail of "
            "the normal distribution, at the bootstrap's standard error).",
            fewest=FEWEST_IN_TAIL,
        )
    else:
        agrees = say(
            "statistics.p",
            "Before it is adjusted, a p-value is that of a difference of zero and agrees with the "
            "difference's interval.",
        )
    adjusted = say(
        "statistics.adjusted",
        "P-values are adjusted (Holm; Benjamini-Hochberg) metric by metric: each metric's family is all "
        "slices and classes compared in it. They inform and decide nothing.",
    )
    return (*sentences, sentence_pair(agrees, adjusted))
