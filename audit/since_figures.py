"""Figures of two releases held against each other: which ones moved by more than chance.

Belongs here: which figures are compared, and at which level. Does not: the limits' formula
(`slices.supplements.two_logs`), nor what else changed (`audit.since`).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from audit.metric_names import PROPORTIONS, USUAL
from reports.evidence import Estimate, Evidence, FigureSince, Limits, SliceRecord, SliceValues
from slices.metrics import METRICS, POOLED
from slices.multiplicity import bonferroni_level
from slices.supplements.two_logs import Figures, difference_limits

Change = Literal["worse", "better", "higher", "lower"]

# Below it two figures are equal: the same counts, added in another order.
EQUAL = 1e-12


@dataclass(frozen=True, slots=True)
class Compared:
    """How many figures were compared, at which joint level, and those that are told."""

    number: int
    joint_level: float | None
    told: list[FigureSince]


@dataclass(frozen=True, slots=True)
class Pair:
    """A figure of both releases."""

    record: SliceRecord
    then: Estimate
    now: Estimate

    @property
    def difference(self) -> float:
        """Now less then; both have a value."""
        assert self.now.value is not None
        assert self.then.value is not None
        difference = self.now.value - self.then.value
        return 0.0 if abs(difference) <= EQUAL else difference

    def since(self, limits: Limits, joint: Limits | None, change: Change | None) -> FigureSince:
        return FigureSince(
            slice=self.record.slice,
            klass=self.record.klass,
            metric=self.now.metric,
            then=Limits(value=self.then.value, low=self.then.low, high=self.then.high),
            now=Limits(value=self.now.value, low=self.now.low, high=self.now.high),
            difference=limits,
            joint=joint,
            change=change,
        )


def slice_key(values: SliceValues) -> frozenset[tuple[str, str | None]]:
    """A slice whatever the order of its attributes."""
    return frozenset(values.items())


def records(evidence: Evidence) -> dict[tuple[Hashable, str | None], SliceRecord]:
    """Every record by its slice and class, those of all cases first."""
    every = [*evidence.results.overall, *evidence.results.slices]
    return {(slice_key(record.slice), record.klass): record for record in every}


def metrics(evidence: Evidence) -> list[str]:
    """The metrics of the policy, else precision, recall and false positive rate."""
    named = [rule.metric for rule in evidence.policy.rules if rule.metric is not None]
    return list(dict.fromkeys(named or USUAL))


def compare(then: Evidence, now: Evidence, *, one_log: bool) -> Compared | None:
    """Figures of both releases; None where they have no metric in common.

    Told are the figures of all cases, and those of slices that moved: with two logs by more than
    chance, at Bonferroni's level over all that were compared; with one log, where no chance comes in, at all.
    """
    before = records(then)
    both = [
        (record, _estimate(before[key], metric), _estimate(record, metric))
        for key, record in records(now).items()
        if key in before
        for metric in metrics(now)
    ]
    common = [(record, a, b) for record, a, b in both if a is not None and b is not None]
    if not common:
        return None
    pairs = [Pair(record, a, b) for record, a, b in common if _stands(a, one_log) and _stands(b, one_log)]
    if one_log:
        return Compared(len(pairs), None, _told([_of_one_log(pair) for pair in pairs]))
    alpha = 1 - now.run.confidence
    joint_alpha = bonferroni_level(alpha, len(pairs))
    sides = (
        _figures([pair.now for pair in pairs], now.run.confidence),
        _figures([pair.then for pair in pairs], then.run.confidence),
    )
    pointwise, joint = (difference_limits(*sides, level) for level in (alpha, joint_alpha))
    found = []
    for k, pair in enumerate(pairs):
        one, all_ = (
            Limits(value=pair.difference, low=float(low[k]), high=float(high[k]))
            for low, high in (pointwise, joint)
        )
        found.append(
            pair.since(one, all_, direction(pair.now.metric, float(joint[0][k]), float(joint[1][k])))
        )
    return Compared(len(pairs), 1 - joint_alpha, _told(found))


def _estimate(record: SliceRecord, metric: str) -> Estimate | None:
    return next((item for item in record.estimates if item.metric == metric), None)


def _stands(estimate: Estimate, one_log: bool) -> bool:
    """Whether an estimate can be compared: a value, and limits where chance comes in."""
    if estimate.value is None:
        return False
    return one_log or (estimate.low is not None and estimate.high is not None and estimate.support > 0)


def _of_one_log(pair: Pair) -> FigureSince:
    difference = pair.difference
    limits = Limits(value=difference, low=None, high=None)
    return pair.since(limits, None, direction(pair.now.metric, difference, difference))


def _told(found: Sequence[FigureSince]) -> list[FigureSince]:
    """All cases first, then what got worse: single values before crossings, large differences first."""

    def rank(figure: FigureSince) -> tuple[bool, int, int, float]:
        if not figure.slice:
            return False, 0, 0, 0.0
        place = ("worse", "higher", "lower", "better").index(figure.change or "better")
        return True, place, len(figure.slice), -abs(figure.difference.value or 0.0)

    return sorted((item for item in found if item.change is not None or not item.slice), key=rank)


def _figures(estimates: Sequence[Estimate], confidence: float) -> Figures:
    def column(values: Iterable[float | None]) -> NDArray[np.float64]:
        return np.array([np.nan if value is None else value for value in values])

    ranges = [_range(e.metric) for e in estimates]
    return Figures(
        value=column(e.value for e in estimates),
        low=column(e.low for e in estimates),
        high=column(e.high for e in estimates),
        support=column(e.support for e in estimates),
        effective=column(e.support if e.effective is None else e.effective for e in estimates),
        degrees=column((e.support if e.clusters is None else e.clusters) - 1 for e in estimates),
        proportion=np.array([e.metric in PROPORTIONS for e in estimates], dtype=np.bool_),
        lowest=column(low for low, _ in ranges),
        highest=column(high for _, high in ranges),
        confidence=confidence,
    )


def _range(metric: str) -> tuple[float, float]:
    known = METRICS.get(metric) or POOLED.get(metric)
    return (-np.inf, np.inf) if known is None else (known.lowest, known.highest)


def direction(metric: str, low: float, high: float) -> Change | None:
    """Which way a metric moved by an interval of its difference; None: the interval holds 0.

    >>> direction("recall", -0.2, -0.1), direction("fpr", -0.2, -0.1), direction("recall", -0.1, 0.0)
    ('worse', 'better', None)
    """
    if low <= 0 <= high:
        return None
    rose = low > 0
    known = METRICS.get(metric) or POOLED.get(metric)
    better = "neither" if known is None else known.better
    if better == "neither":
        return "higher" if rose else "lower"
    return "better" if rose == (better == "high") else "worse"
