"""Analysis: counted log in, records out. The composition of the room's statistics, stage by stage.

No statistic is computed here: values and closed-form limits of every slice at once, draws where the
bootstrap is valid, adjusted p-values, simultaneous limits, records.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from slices.counts import CountedLog
from slices.estimates.assembly import slice_record
from slices.estimates.comparison import Pair, make_pairs
from slices.estimates.estimation import MOST_UNDEFINED, Estimation, Places, adjusted, redrawn
from slices.estimates.joint_level import joint_level
from slices.estimates.selection import Bounds
from slices.estimates.simultaneous import OVER_CLASSES, members, simultaneous_limits
from slices.metrics import METRICS, POOLED, POOLED_MULTICLASS, POOLED_MULTILABEL, SCORE_METRICS, canonical
from slices.records import Quantity, SliceRecord, Tested
from slices.scores.scoring import Scores
from slices.wording import method_sentences

Progress = Callable[[str, int, int], None]


def silent(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """All estimates of a log.

    Attributes
    ----------
    overall, slices : tuple of SliceRecord
        One record a class each, in the log's order of slices; before them, in multi-class and
        multi-label logs, the record over all classes (``klass`` None).
    method : tuple of str
        What was done, in plain sentences.
    family : int
        Number of quantities that the policy tests and this log holds.
    level : float
        Confidence of each one's simultaneous interval, such that all hold jointly.
    """

    overall: tuple[SliceRecord, ...]
    slices: tuple[SliceRecord, ...]
    method: tuple[str, ...]
    family: int
    level: float


def analyse(
    counted: CountedLog,
    *,
    metrics: tuple[str, ...],
    tested: tuple[Tested, ...] = (),
    confidence: float = 0.95,
    resamples: int = 10_000,
    drawn_proportions: bool = False,
    seed: int = 0,
    threads: int = 2,
    progress: Progress = silent,
) -> Analysis:
    """Estimate every metric of every slice and class, with intervals and disparities.

    Parameters
    ----------
    counted : CountedLog
    metrics : tuple of str
        Names or aliases.
    tested : tuple of Tested
        What the policy tests: the family of the simultaneous intervals.
    confidence : float
        Of every pointwise interval, and of the family jointly.
    resamples : int
        Bootstrap draws a slice.
    drawn_proportions : bool
        Plain proportions have the bootstrap's limits where these are valid, as composites have; else
        they have closed-form ones at every support (``slices.estimates.selection``).
    seed : int
        Each slice's draws hang on it and on the slice's key.
    threads : int
        Slices drawn at a time; changes no figure.
    progress : callable
        (what, done, total).

    Raises
    ------
    LogError
        An unknown metric.
    """
    alpha = 1 - confidence
    names = dict.fromkeys(canonical(name) for name in metrics)
    chosen = tuple(METRICS[name] for name in names if name in METRICS and METRICS[name].kind != "score")
    over = {"multiclass": POOLED_MULTICLASS, "multilabel": POOLED_MULTILABEL}.get(counted.space.task, ())
    of_scores = tuple(name for name in names if name in SCORE_METRICS)
    tested = tuple(replace(item, metric=canonical(item.metric)) for item in tested)
    pairs = make_pairs(counted.slices, tested)

    estimation = Estimation.of(counted, pairs, chosen, tuple(POOLED[name] for name in over), progress)
    progress("limits in closed form", 0, 1)
    closed = estimation.closed_form(alpha, drawn=drawn_proportions)
    progress("limits in closed form", 1, 1)
    results = redrawn(estimation, closed, alpha, resamples, seed, threads, progress)
    progress("tests and simultaneous limits", 0, 1)
    results = adjusted(estimation.tested(results, alpha))

    classes = counted.space.classes
    scores = Scores(counted, pairs, of_scores, confidence)
    known = [m.name for m in chosen if counted.space.negatives or not m.needs_negatives]
    by_class = known + list(of_scores)
    family = members(tested, counted.slices, pairs, classes, by_class, over)
    joint = joint_level(counted, pairs, family, estimation.counts, estimation.others, alpha, seed)

    def limits(name: str, pooled: bool, quantity: Quantity, places: Places, alpha: float) -> Bounds:
        if name in of_scores:
            return scores.bounds(name, quantity, places, alpha)
        return estimation.exact(name, pooled, quantity, places, alpha)

    jointly = simultaneous_limits(family, joint.alpha, joint.method, pairs, limits)
    progress("tests and simultaneous limits", 1, 1)

    compared: dict[int, list[tuple[int, Pair]]] = {}
    for number, pair in enumerate(pairs):
        if counted.slices[pair.index].slice.order > 0:
            compared.setdefault(pair.index, []).append((number, pair))
    each_class = [result for result in results if not result.pooled]
    all_classes = [result for result in results if result.pooled]
    records = []
    for index, counts in enumerate(counted.slices):
        if all_classes:
            records.append(
                slice_record(counts, None, (index, OVER_CLASSES), None, all_classes, compared, jointly)
            )
        for k, klass in enumerate(classes):
            table = estimation.rows[0][index, k]
            made = slice_record(counts, klass, (index, k), table, each_class, compared, jointly)
            if of_scores:
                against = [scores.disparities(row, k) for row, _ in compared.get(index, ())]
                made = replace(
                    made,
                    estimates=made.estimates + scores.estimates(index, k),
                    disparities=made.disparities + tuple(d for found in against for d in found),
                )
            records.append(made)
        progress("reading results", index + 1, len(counted.slices))
    first = len(classes) + bool(all_classes)
    return Analysis(
        overall=tuple(records[:first]),
        slices=tuple(records[first:]),
        method=method_sentences(
            counted,
            np.unique([code for result in results for code in result.codes]).tolist(),
            resamples=resamples,
            confidence=confidence,
            family=len(family),
            level=1 - joint.alpha,
            level_method=joint.method,
            undefined=any(bool(np.any(result.undefined > MOST_UNDEFINED)) for result in results),
            scarce=any(bool(np.any(result.scarce)) for result in results),
        ),
        family=len(family),
        level=1 - joint.alpha,
    )
