"""Analysis: counted log in, records out. The composition of the room's statistics, stage by stage.

No statistic is computed here: values and closed-form limits of every slice at once, draws where the
bootstrap is valid, adjusted p-values, simultaneous limits, records.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from slices.assembly import Results, slice_record
from slices.clustering import gather, linearise, with_parts
from slices.comparison import COMPLEMENT, Pair, both_sides, comparator, make_pairs, patterns_of
from slices.counts import CountedLog
from slices.disparities import Gaps, gaps
from slices.metrics import METRICS, Metric, canonical
from slices.multiplicity import adjust, bonferroni_level
from slices.records import SliceRecord, Tested
from slices.replication import DIFFERENCE, RATIO, VALUE, Replicated, Wanted, replicate
from slices.selection import NONE, Bounds, Design, bootstrap_valid, bounds
from slices.simultaneous import members, simultaneous_limits
from slices.wording import method_sentences

Array = NDArray[np.float64]
Progress = Callable[[str, int, int], None]
Designs = tuple[dict[str, Design], dict[str, Design]]


def silent(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """All estimates of a log.

    Attributes
    ----------
    overall, slices : tuple of SliceRecord
        One record a class each, in the log's order of slices.
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
    tested = tuple(replace(item, metric=canonical(item.metric)) for item in tested)
    pairs = make_pairs(counted.slices, tested)
    counts, others = both_sides(counted, pairs)
    designs, correlations = cluster_designs(counted, pairs, chosen, progress)
    results = [
        closed_form(metric, counts, others, alpha, designs, correlations.get(metric.name))
        for metric in chosen
    ]
    wanted = bootstrap_wanted(results, designs, counts, others, pairs)
    replicated = bootstrap(counted, pairs, chosen, wanted, alpha, resamples, seed, threads, progress)
    results = [
        adjusted(with_replicates(result, position, replicated)) for position, result in enumerate(results)
    ]
    classes = counted.space.classes
    family = members(tested, counted.slices, pairs, classes, tuple(metric.name for metric in chosen))
    level = bonferroni_level(alpha, len(family))
    level_method = f"Bonferroni over {len(family):,} quantities"
    jointly = simultaneous_limits(family, level, level_method, pairs, counts, others, designs, correlations)
    by_slice: dict[int, list[tuple[int, Pair]]] = {}
    for number, pair in enumerate(pairs):
        if counted.slices[pair.index].slice.order > 0:
            by_slice.setdefault(pair.index, []).append((number, pair))
    records = [
        slice_record(each, klass, (index, k), counts, results, by_slice, jointly, _failed(each.failed, k))
        for index, each in enumerate(counted.slices)
        for k, klass in enumerate(classes)
    ]
    sentences = method_sentences(
        counted,
        np.unique(np.concatenate([_codes(result) for result in results])).tolist() if results else (),
        resamples=resamples,
        confidence=confidence,
        family=len(family),
        level=1 - level,
        level_method=level_method,
        undefined=any(bool(np.any(result.undefined > 0.01)) for result in results),
    )
    first = len(classes)
    return Analysis(tuple(records[:first]), tuple(records[first:]), sentences, len(family), 1 - level)


def cluster_designs(
    counted: CountedLog, pairs: Sequence[Pair], metrics: Sequence[Metric], progress: Progress
) -> tuple[Designs | None, dict[str, Array]]:
    """Linearised errors of every pair between clusters; None where rows are the unit."""
    if counted.clusters is None or counted.patterns is None:
        return None, {}
    needed = with_parts(metrics)
    rows = []
    for number, pair in enumerate(pairs):
        patterns = patterns_of(counted, pair)
        assert patterns is not None
        rows.append(linearise(counted.space, patterns, needed))
        progress("linearising over clusters", number + 1, len(pairs))
    first, second, correlations = gather(rows)
    return (first, second), correlations


def closed_form(
    metric: Metric,
    counts: NDArray[np.int64],
    others: NDArray[np.int64],
    alpha: float,
    designs: Designs | None,
    correlation: Array | None,
) -> Results:
    """Values, differences and ratios with the limits that hold at any support."""
    value = bounds(metric, counts, alpha, designs=None if designs is None else designs[0])
    gap = gaps(
        metric,
        counts,
        others,
        alpha,
        designs=designs,
        correlation=0.0 if correlation is None else correlation,
    )
    nothing = np.full(value.value.shape, np.nan)
    return Results(
        metric,
        value,
        bounds(metric, others, alpha, designs=None if designs is None else designs[1]),
        gap,
        metric.support(counts),
        metric.support(others),
        np.zeros((3, *value.value.shape)),
        nothing,
        nothing,
        None if designs is None else designs[0][metric.name],
        None if designs is None else designs[1][metric.name],
    )


def bootstrap_wanted(
    results: Sequence[Results],
    designs: Designs | None,
    counts: NDArray[np.int64],
    others: NDArray[np.int64],
    pairs: Sequence[Pair],
) -> list[Wanted]:
    """For every pair: the classes and metrics whose limits come from draws."""
    values, differences = [], []
    complement = np.array([pair.against == COMPLEMENT and pair.other is None for pair in pairs])
    for result in results:
        metric = result.metric
        sides = [
            bootstrap_valid(
                metric,
                metric.of(table),
                support,
                None if designs is None else designs[side][metric.name].clusters,
            )
            for side, (table, support) in enumerate(
                ((counts, result.support), (others, result.other_support))
            )
        ]
        # A slice's own limits come from the draws with its complement.
        values.append(sides[0] & complement[:, None])
        differences.append(sides[0] & sides[1])
    return [
        Wanted(
            np.stack([value[row] for value in values], axis=-1),
            np.stack([difference[row] for difference in differences], axis=-1),
        )
        for row in range(len(pairs) if results else 0)
    ]


def bootstrap(
    counted: CountedLog,
    pairs: Sequence[Pair],
    metrics: tuple[Metric, ...],
    wanted: Sequence[Wanted],
    alpha: float,
    resamples: int,
    seed: int,
    threads: int,
    progress: Progress,
) -> dict[int, Replicated]:
    """Draw every pair that needs it; results by the pair's place."""
    todo = [row for row, want in enumerate(wanted) if want.value.any() or want.gap.any()]

    def one(row: int) -> Replicated:
        pair = pairs[row]
        here = counted.slices[pair.index]
        key = (here.slice.key,) if pair.other is None else (here.slice.key, "against", pair.against)
        return replicate(
            counted.space,
            here.inside,
            comparator(counted.slices, pair),
            patterns_of(counted, pair),
            metrics=metrics,
            wanted=wanted[row],
            alpha=alpha,
            draws=resamples,
            seed=seed,
            key=key,
        )

    result: dict[int, Replicated] = {}
    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        for done, (row, replicated) in enumerate(zip(todo, pool.map(one, todo), strict=True), start=1):
            result[row] = replicated
            progress("resampling", done, len(todo))
    return result


def with_replicates(result: Results, position: int, replicated: dict[int, Replicated]) -> Results:
    """Closed-form limits replaced by the draws' where these are valid."""
    figures = [result.value, result.gap.difference, result.gap.ratio]
    lows, highs = [f.low.copy() for f in figures], [f.high.copy() for f in figures]
    methods = [f.method.copy() for f in figures]
    p_value, undefined = result.gap.p_value.copy(), result.undefined.copy()
    for row, drawn in replicated.items():
        for figure in (VALUE, DIFFERENCE, RATIO):
            undefined[figure, row] = drawn.undefined[figure, :, position]
            took = drawn.method[figure, :, position] != NONE
            lows[figure][row, took] = drawn.low[figure, took, position]
            highs[figure][row, took] = drawn.high[figure, took, position]
            methods[figure][row, took] = drawn.method[figure, took, position]
            if figure == DIFFERENCE:
                p_value[row, took] = drawn.p_value[took, position]
    value, difference, ratio = (
        Bounds(f.value, low, high, method)
        for f, low, high, method in zip(figures, lows, highs, methods, strict=True)
    )
    return replace(result, value=value, gap=Gaps(difference, ratio, p_value), undefined=undefined)


def adjusted(result: Results) -> Results:
    """P-values adjusted over all slices, comparators and classes of the metric."""
    p = result.gap.p_value
    return replace(
        result,
        p_holm=adjust(p.ravel(), "holm").reshape(p.shape),
        p_bh=adjust(p.ravel(), "fdr_bh").reshape(p.shape),
    )


def _codes(result: Results) -> NDArray[np.int8]:
    return np.concatenate([f.method.ravel() for f in (result.value, result.gap.difference, result.gap.ratio)])


def _failed(failed: NDArray[np.int64], k: int) -> int:
    """Rows without a prediction; one stratum serves all classes of a multi-class log."""
    return int(failed[k if failed.shape[0] > 1 else 0].sum())
