"""Estimation: every metric over all pairs (slice, comparator) and classes, as arrays.

Two steps: closed-form limits for all at once, then the draws' limits where the bootstrap is valid.
Arrays have the shape (pairs, classes); figures over all classes have a class axis of length 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from slices.counts import CountedLog
from slices.estimates.clustering import Errors, gather, linearise, with_parts
from slices.estimates.comparison import (
    Pair,
    both_sides,
    by_crossing,
    comparator,
    joint_patterns,
    mean_weight,
    weighted_sides,
)
from slices.estimates.disparities import Gaps, detectable_gaps, gaps, gaps_by_mover, hull
from slices.estimates.jointly import joint_bounds
from slices.estimates.pooling import pooled_bootstrap_valid, pooled_bounds, row_errors
from slices.estimates.replication import (
    DIFFERENCE,
    MOST_UNDEFINED,
    RATIO,
    VALUE,
    Figure,
    Replicated,
    replicate,
)
from slices.estimates.selection import (
    NONE,
    Bounds,
    Design,
    Unit,
    bootstrap_valid,
    bounds,
    enough_of_each,
    linearised_error,
)
from slices.estimates.shared_draws import many_patterns, shared_draws
from slices.estimates.weighting import linearise_rows
from slices.metrics import METRICS, POOLED, Metric, PooledMetric
from slices.multiplicity import adjust
from slices.records import Quantity
from slices.said import say

Array = NDArray[np.float64]
Progress = Callable[[str, int, int], None]
Places = tuple[NDArray[np.intp], NDArray[np.intp]]

UNKNOWN_NEGATIVES = say("undefined.unknown_negatives", "true negatives are not known in this log")

__all__ = ["MOST_UNDEFINED", "Estimation", "Places", "Results", "adjusted", "redrawn"]


@dataclass(frozen=True, slots=True)
class Results:
    """One metric over all pairs (first the slices with their complements) and classes.

    Attributes
    ----------
    metric : Metric or PooledMetric
    value, other : Bounds
        Of the slices; of their comparators.
    gap : Gaps
    support, other_support : array
        Denominators.
    undefined : array, shape (3, pairs, classes)
        Share of replicates without a value, difference, ratio.
    scarce : bool array, shape (3, pairs, classes)
        Where the draws were too few for limits of value, difference, ratio.
    bootstrap, bootstrap_gap : bool array
        Where draws are made for the value; for difference and ratio.
    few : bool array
        Where the draws of difference and ratio only tell how often these are undefined: too few rows of one
        outcome to read limits from them.
    p_holm, p_bh : array
        Adjusted p-values.
    detectable : array
        Smallest gap that the log could have shown.
    design, other_design : Design, optional
        Where rows are not the unit.
    weightless : bool array, shape (2, pairs, classes), optional
        Where only weights of 0 leave slice or comparator without a value.
    """

    metric: Metric | PooledMetric
    value: Bounds
    other: Bounds
    gap: Gaps
    support: Array
    other_support: Array
    undefined: Array
    scarce: NDArray[np.bool_]
    bootstrap: NDArray[np.bool_]
    bootstrap_gap: NDArray[np.bool_]
    few: NDArray[np.bool_]
    p_holm: Array
    p_bh: Array
    detectable: Array
    design: Design | None = None
    other_design: Design | None = None
    weightless: NDArray[np.bool_] | None = None

    @property
    def pooled(self) -> bool:
        """Whether it is a figure over all classes."""
        return isinstance(self.metric, PooledMetric)

    @property
    def codes(self) -> list[int]:
        """Codes of all intervals in it."""
        parts = (self.value, self.gap.difference, self.gap.ratio)
        codes = np.unique(np.concatenate([part.method.ravel() for part in parts]))
        return [int(code) for code in codes]


@dataclass(frozen=True, slots=True)
class Estimation:
    """The log's counts as the metrics see them, with the clusters' designs.

    Attributes
    ----------
    rows : pair of int array, shape (pairs, classes, 4)
        Of the slices; of their comparators.
    counts, others : array, shape (pairs, classes, 4)
        The same, or sums of weights.
    first, second : dict of name to Design
        Both sides' designs of the figures whose unit is the cluster; empty where it is the row.
    correlation : dict of name to array
    distinct : tuple of int
        Distinct clusters of each pair; empty where the row is the unit.
    row_errors : pair of dict of name to array, shape (pairs, 1)
        Both sides' linearised errors of the figures over all classes; empty where rows are not the unit.
    """

    counted: CountedLog
    pairs: tuple[Pair, ...]
    metrics: tuple[Metric, ...]
    pooled: tuple[PooledMetric, ...]
    rows: tuple[NDArray[np.int64], NDArray[np.int64]]
    counts: NDArray[np.generic]
    others: NDArray[np.generic]
    first: dict[str, Design]
    second: dict[str, Design]
    correlation: dict[str, Array]
    pooled_first: dict[str, Design]
    pooled_second: dict[str, Design]
    pooled_correlation: dict[str, Array]
    distinct: tuple[int, ...]
    row_errors: tuple[dict[str, Array], dict[str, Array]]

    @classmethod
    def of(
        cls,
        counted: CountedLog,
        pairs: tuple[Pair, ...],
        metrics: tuple[Metric, ...],
        pooled: tuple[PooledMetric, ...],
        progress: Progress,
    ) -> Estimation:
        """Counts of both sides; errors where the row is not the unit, or rows have weights."""
        rows = both_sides(counted, pairs)
        weighted = counted.slices[0].weighted is not None
        parts = with_parts(metrics) if counted.clusters is not None or weighted else ()
        by_class: dict[int, dict[str, Errors]] = {}
        over: dict[int, dict[str, Errors]] = {}
        sums: dict[int, NDArray[np.float64]] = {}
        distinct: dict[int, int] = {}
        unit: Unit = "cluster" if counted.clusters is not None else "image"
        for number, place in enumerate(by_crossing(counted.slices, pairs)):
            pair = pairs[place]
            weights = weighted_sides(counted, pair)
            if weights is not None:
                sums[place] = np.asarray(counted.space.confusion(weights.totals), dtype=np.float64)
            if counted.patterns is not None and (parts or pooled):
                patterns = joint_patterns(counted, pair)
                distinct[place] = patterns.multiplicity.size
                if weights is not None:
                    patterns = replace(
                        patterns, totals=patterns.totals.astype(np.float64) / mean_weight(counted)
                    )
                by_class[place] = linearise(counted.space, patterns, parts, unit, weights)
                over[place] = linearise(counted.space, patterns, pooled, unit, weights)
            elif weights is not None:
                by_class[place] = linearise_rows(counted.space, weights, parts)
                over[place] = linearise_rows(counted.space, weights, pooled)
            if by_class:
                progress("linearising", number + 1, len(pairs))
        every = range(len(pairs))
        counts = np.stack([sums[place][0] for place in every]) if weighted else rows[0]
        others = np.stack([sums[place][1] for place in every]) if weighted else rows[1]
        designs = (
            *gather([by_class[place] for place in every if by_class]),
            *gather([over[place] for place in every if over]),
        )
        kinds = tuple(distinct[place] for place in every if distinct)
        errors: list[dict[str, Array]] = [{}, {}]
        if pooled and not any(over.values()):
            inside = np.stack([counted.slices[pair.index].inside for pair in pairs])
            outside = np.stack([comparator(counted.slices, pair) for pair in pairs])
            errors = [
                {metric.name: row_errors(counted.space, cells, metric)[:, None] for metric in pooled}
                for cells in (inside, outside)
            ]
        return cls(
            counted,
            pairs,
            metrics,
            pooled,
            rows,
            counts,
            others,
            *designs,
            kinds,
            (errors[0], errors[1]),
        )

    def closed_form(self, alpha: float, *, drawn: bool = False) -> list[Results]:
        """Values, differences and ratios with the limits that hold at any support.

        ``drawn``: proportions too are to have their draws' limits where these are valid.
        """
        every = np.indices(self.counts.shape[:2])
        places = (every[0], every[1])
        over = (every[0][:, :1], every[1][:, :1])
        found = [
            self._closed_form(metric.name, False, places, alpha, drawn)
            if self.counted.space.negatives or not metric.needs_negatives
            else self._unknown(metric, places, alpha)
            for metric in self.metrics
        ]
        return found + [self._closed_form(metric.name, True, over, alpha, drawn) for metric in self.pooled]

    def _unknown(self, metric: Metric, places: Places, alpha: float) -> Results:
        """A metric that the log cannot give: everything undefined, with that reason."""
        nothing = np.zeros_like(self.rows[0])
        empty = replace(self, rows=(nothing, nothing), counts=nothing, others=nothing, first={}, second={})
        found = empty._closed_form(metric.name, False, places, alpha, False)
        return replace(found, metric=replace(metric, undefined=UNKNOWN_NEGATIVES))

    def exact(self, name: str, pooled: bool, quantity: Quantity, places: Places, alpha: float) -> Bounds:
        """Limits for simultaneous inference, of one quantity at some places.

        Values have limits that are never below nominal; gaps those made from them (MOVER), which need
        not be wider than the pointwise kind of the same level: the hull of both.
        """
        if quantity == "value":
            return self._bounds(name, pooled, places, alpha, side=0, exact=True)
        made = [
            self._gaps(name, pooled, places, alpha, exact=True),
            self._gaps(name, pooled, places, alpha, tested=False),
        ]
        outer, inner = (gap.difference if quantity == "difference" else gap.ratio for gap in made)
        return hull(outer, inner)

    def tested(self, results: Sequence[Results], alpha: float) -> list[Results]:
        """P-values dual to the closed-form limits, where the draws gave none."""
        found = []
        for result in results:
            p_value = result.gap.p_value.copy()
            places = np.nonzero(np.isnan(p_value) & np.isfinite(result.gap.difference.low))
            if places[0].size:
                p_value[places] = self._gaps(
                    result.metric.name, result.pooled, (places[0], places[1]), alpha
                ).p_value
            found.append(replace(result, gap=replace(result.gap, p_value=p_value)))
        return found

    def _closed_form(self, name: str, pooled: bool, places: Places, alpha: float, drawn: bool) -> Results:
        value = self._bounds(name, pooled, places, alpha, side=0)
        designs = [self._designs(pooled, side, places).get(name) for side in (0, 1)]
        tables = [self._table(pooled, side, places) for side in (0, 1)]
        rows = [self.rows[side][places[0]] if pooled else self.rows[side][places] for side in (0, 1)]
        if pooled:
            over = POOLED[name]
            support = [over.support(table) for table in rows]
            disjoint = self.counted.space.task == "multiclass"
            valid = [
                pooled_bootstrap_valid(over, tables[side], designs[side], disjoint=disjoint)
                for side in (0, 1)
            ]
        else:
            metric = METRICS[name]
            support = [metric.support(table) for table in rows]
            valid = [bootstrap_valid(metric, rows[side], support[side], designs[side]) for side in (0, 1)]
        if self.counted.slices[0].weighted is not None:
            # Weighted figures have linearised limits: their draws would need every row's weight.
            valid = [np.zeros_like(side) for side in valid]
        # A slice's own limits come from its draws with the complement.
        complement = np.array([pair.other is None for pair in self.pairs])[:, None]
        enough = [enough_of_each(POOLED[name] if pooled else METRICS[name], table) for table in rows]
        closed = POOLED[name].is_proportion if pooled else METRICS[name].kind == "proportion"
        nothing = np.full(value.value.shape, np.nan)
        figure = POOLED[name] if pooled else METRICS[name]
        known = [np.isfinite(figure.of(table)) for table in (*rows, *tables)]
        return Results(
            metric=figure,
            value=value,
            other=self._bounds(name, pooled, places, alpha, side=1),
            gap=self._gaps(name, pooled, places, alpha, tested=False),
            support=support[0],
            other_support=support[1],
            undefined=np.zeros((3, *value.value.shape)),
            scarce=np.zeros((3, *value.value.shape), dtype=np.bool_),
            bootstrap=valid[0] & complement & enough[0] & (drawn or not closed),
            bootstrap_gap=valid[0] & valid[1],
            few=~(enough[0] & enough[1]),
            p_holm=nothing,
            p_bh=nothing,
            detectable=self._detectable(name, pooled, tables, support, designs, 1 - alpha),
            design=designs[0],
            other_design=designs[1],
            weightless=np.stack([known[0] & ~known[2], known[1] & ~known[3]]),
        )

    def _detectable(
        self,
        name: str,
        pooled: bool,
        tables: Sequence[NDArray[np.generic]],
        support: Sequence[Array],
        designs: Sequence[Design | None],
        confidence: float,
    ) -> Array:
        metric = POOLED[name] if pooled else METRICS[name]
        rate = metric.of(tables[1])
        sizes = [
            rows if design is None else np.minimum(design.effective, rows)
            for rows, design in zip(support, designs, strict=True)
        ]
        if not pooled and METRICS[name].kind == "proportion":
            return detectable_gaps(metric, rate, (sizes[0], sizes[1]), None, confidence)
        if designs[0] is not None and designs[1] is not None:
            return detectable_gaps(
                metric, rate, (sizes[0], sizes[1]), (designs[0].error, designs[1].error), confidence
            )
        if pooled:
            if POOLED[name].how == "accuracy":
                return detectable_gaps(metric, rate, (sizes[0], sizes[1]), None, confidence)
            own, others = (side[name] for side in self.row_errors)
            return detectable_gaps(metric, rate, (sizes[0], sizes[1]), (own, others), confidence)
        errors = [linearised_error(METRICS[name], table) for table in tables]
        return detectable_gaps(metric, rate, (sizes[0], sizes[1]), (errors[0], errors[1]), confidence)

    def _table(self, pooled: bool, side: int, places: Places) -> NDArray[np.generic]:
        """Counts at some places: (..., 4), or (..., classes, 4) over all classes."""
        table = self.others if side else self.counts
        return table[places[0]] if pooled else table[places]

    def _designs(self, pooled: bool, side: int, places: Places) -> dict[str, Design]:
        if pooled:
            designs = self.pooled_second if side else self.pooled_first
        else:
            designs = self.second if side else self.first
        return {name: design.at(places) for name, design in designs.items()}

    def _bounds(
        self,
        name: str,
        pooled: bool,
        places: Places,
        alpha: float | Array,
        *,
        side: int,
        exact: bool = False,
    ) -> Bounds:
        table, designs = self._table(pooled, side, places), self._designs(pooled, side, places)
        if not pooled:
            made = joint_bounds if exact else bounds
            return made(METRICS[name], table, alpha, designs=designs or None)
        errors = self.row_errors[side].get(name)
        return pooled_bounds(
            POOLED[name],
            table,
            alpha,
            disjoint=self.counted.space.task == "multiclass",
            design=designs.get(name),
            error=None if errors is None else errors[places],
            exact=exact,
        )

    def _gaps(
        self,
        name: str,
        pooled: bool,
        places: Places,
        alpha: float,
        *,
        exact: bool = False,
        tested: bool = True,
    ) -> Gaps:
        tested = tested and not exact
        correlations = self.pooled_correlation if pooled else self.correlation
        correlation = correlations[name][places] if name in correlations else 0.0
        if not pooled:
            sides = [self._designs(pooled, side, places) for side in (0, 1)]
            return gaps(
                METRICS[name],
                self._table(pooled, 0, places),
                self._table(pooled, 1, places),
                alpha,
                designs=(sides[0], sides[1]) if sides[0] else None,
                correlation=correlation,
                exact=exact,
                tested=tested,
            )

        def both(level: Array) -> tuple[Bounds, Bounds]:
            return (
                self._bounds(name, pooled, places, level, side=0, exact=exact),
                self._bounds(name, pooled, places, level, side=1, exact=exact),
            )

        level = np.full(places[0].shape, alpha)
        return gaps_by_mover(POOLED[name], both, level, correlation=correlation, tested=tested)


@dataclass(frozen=True, slots=True)
class Job:
    """One joint draw: a pair, its unit, and the places (result, class) of the figures read from it.

    ``shared``: its clusters are drawn for all slices at once.
    """

    row: int
    clustered: bool
    shared: bool
    places: tuple[tuple[int, int], ...]


def redrawn(
    estimation: Estimation,
    results: Sequence[Results],
    alpha: float,
    draws: int,
    seed: int,
    threads: int,
    progress: Progress,
) -> list[Results]:
    """Draw every pair that needs it, and put the draws' limits where they are valid."""
    counted, pairs = estimation.counted, estimation.pairs
    todo = _jobs(estimation, results)

    def draw(job: Job, drawn: Array | None = None) -> Replicated:
        pair = pairs[job.row]
        here = counted.slices[pair.index]
        return replicate(
            counted.space,
            here.inside,
            comparator(counted.slices, pair),
            joint_patterns(counted, pair) if job.clustered else None,
            figures=[_figure(results[number], job.row, k) for number, k in job.places],
            alpha=alpha,
            draws=draws,
            seed=seed,
            key=(here.slice.key,) if pair.other is None else (here.slice.key, "against", pair.against),
            drawn=drawn,
        )

    def batches() -> Iterator[tuple[list[Job], list[Array | None]]]:
        own = [job for job in todo if not job.shared]
        yield own, [None] * len(own)
        together = [job for job in todo if job.shared]
        for batch in shared_draws(counted, [pairs[job.row] for job in together], draws, seed):
            yield [together[place] for place, _ in batch], [drawn for _, drawn in batch]

    found, done = [_Writable.of(result) for result in results], 0
    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        for jobs, drawn in batches():
            for job, replicated in zip(jobs, pool.map(draw, jobs, drawn), strict=True):
                for position, (number, k) in enumerate(job.places):
                    found[number].take(replicated, position, (job.row, k))
                done += 1
                progress("resampling", done, len(todo))
    return [writable.result() for writable in found]


def adjusted(results: Sequence[Results]) -> list[Results]:
    """P-values adjusted over one family a metric: all its slices, comparators and classes."""
    return [
        replace(result, p_holm=adjust(result.gap.p_value, "holm"), p_bh=adjust(result.gap.p_value, "fdr_bh"))
        for result in results
    ]


def _jobs(estimation: Estimation, results: Sequence[Results]) -> list[Job]:
    counted, jobs = estimation.counted, []
    clusters = 0 if counted.cluster_rows is None else counted.cluster_rows.clusters
    for row in by_crossing(counted.slices, estimation.pairs):
        by_unit: dict[bool, list[tuple[int, int]]] = {}
        for number, result in enumerate(results):
            wanted = result.bootstrap[row] | result.bootstrap_gap[row]
            # Images are the unit of a multi-label log's figures over all classes, rows of each class's.
            clustered = counted.patterns is not None and (result.pooled or counted.clusters is not None)
            for k in np.flatnonzero(wanted).tolist():
                by_unit.setdefault(clustered, []).append((number, k))
        for clustered, places in by_unit.items():
            shared = clustered and clusters > 0 and many_patterns(estimation.distinct[row], clusters)
            jobs.append(Job(row, clustered, shared, tuple(places)))
    return jobs


def _figure(result: Results, row: int, k: int) -> Figure:
    return Figure(
        metric=result.metric,
        klass=None if result.pooled else k,
        value=bool(result.bootstrap[row, k]),
        gap=bool(result.bootstrap_gap[row, k]),
    )


@dataclass(frozen=True, slots=True)
class _Writable:
    """A result's limits while the draws come in."""

    before: Results
    low: list[Array]
    high: list[Array]
    method: list[NDArray[np.int8]]
    p_value: Array
    undefined: Array
    scarce: NDArray[np.bool_]

    @classmethod
    def of(cls, result: Results) -> _Writable:
        parts = (result.value, result.gap.difference, result.gap.ratio)
        return cls(
            result,
            [part.low.copy() for part in parts],
            [part.high.copy() for part in parts],
            [part.method.copy() for part in parts],
            result.gap.p_value.copy(),
            result.undefined.copy(),
            result.scarce.copy(),
        )

    def take(self, drawn: Replicated, position: int, place: tuple[int, int]) -> None:
        for quantity in (VALUE, DIFFERENCE, RATIO):
            self.undefined[(quantity, *place)] = drawn.undefined[quantity, position]
            if quantity != VALUE and self.before.few[place]:
                continue
            self.scarce[(quantity, *place)] = drawn.scarce[quantity, position]
            # A ratio of correlations means nothing, in draws too.
            meaningless = quantity == RATIO and self.before.metric.lowest < 0
            if drawn.method[quantity, position] == NONE or meaningless:
                continue
            self.low[quantity][place] = drawn.low[quantity, position]
            self.high[quantity][place] = drawn.high[quantity, position]
            self.method[quantity][place] = drawn.method[quantity, position]
            if quantity == DIFFERENCE:
                self.p_value[place] = drawn.p_value[position]

    def result(self) -> Results:
        before = self.before
        values = (before.value.value, before.gap.difference.value, before.gap.ratio.value)
        value, difference, ratio = (
            Bounds(values[q], self.low[q], self.high[q], self.method[q]) for q in (VALUE, DIFFERENCE, RATIO)
        )
        gap = Gaps(difference, ratio, self.p_value)
        return replace(before, value=value, gap=gap, undefined=self.undefined, scarce=self.scarce)
