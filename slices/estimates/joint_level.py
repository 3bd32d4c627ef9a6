"""The joint level: max-T from the covariance of the influence functions of what the policy tests.

For every tested quantity each row (or patient) has an influence on it; the quantities' correlations
are those of the influences. Quantities are put into groups within which the correlation is known
from the counts: all that can be had from one joint table of attributes, or all that one patient
table of a slice and its comparator tells. Within a group the probability that any of the normal
statistics exceeds the critical value is worked out with the correlation; between groups the
probabilities that none does are multiplied, which by the Gaussian correlation inequality is never
too small a level, however the groups depend on each other (overlapping slices among them).

Only the level comes from here. The limits at it are exact ones.

References
----------
Naiman & Priebe (2001), J. Comput. Graph. Stat. 10, 296-328, for the tail probability of a maximum;
Royen (2014), Far East J. Theor. Stat. 48, 139-145, for the inequality; Westfall & Young (1993),
Resampling-Based Multiple Testing, section 2.3, for max-T.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slices.counts import CountedLog, CountTable, OutcomeSpace
from slices.errors import LogError
from slices.estimates.comparison import Pair, by_crossing, comparator, joint_patterns
from slices.estimates.simultaneous import OVER_CLASSES, Member
from slices.metrics import METRICS, POOLED, SCORE_METRICS, gradient
from slices.resampling import generator
from slices.said import say
from slices.slicing import Slice

Array = NDArray[np.float64]
Slopes = tuple[Array, Array]

DRAWS = 4000
WIDE = 400
MOST_CELLS = 2**15
MOST_WORK = 4 * 10**9


@dataclass(frozen=True, slots=True)
class JointLevel:
    """Each quantity's ``alpha``, such that all limits hold jointly, and how it was found."""

    alpha: float
    method: str


def joint_level(
    counted: CountedLog,
    pairs: Sequence[Pair],
    family: Sequence[Member],
    counts: NDArray[np.generic],
    others: NDArray[np.generic],
    alpha: float,
    seed: int,
) -> JointLevel:
    """The level of each of a family's intervals.

    Parameters
    ----------
    counted : CountedLog
    pairs : sequence of Pair
    family : sequence of Member
    counts, others : array, shape (pairs, classes, 4)
        Of the slices and their comparators.
    alpha : float
        Of the family.
    seed : int
    """
    if len(family) <= 1:
        return JointLevel(alpha, say("joint.one", "one quantity"))
    found = [(member, _slopes(member, counts, others)) for member in family]
    known = [(member, slope) for member, slope in found if slope is not None]
    correlations, lonely = _correlations(
        counted, pairs, [member for member, _ in known], [slope for _, slope in known]
    )
    lonely += len(family) - len(known)
    each = level_of_groups(correlations, lonely, alpha, seed)
    bonferroni = alpha / len(family)
    groups = len({member.tested.slice for member in family})
    if groups == 1:
        text = say("joint.max_t_one", "max-T over {family:,} quantities in 1 group", family=len(family))
    else:
        text = say(
            "joint.max_t",
            "max-T over {family:,} quantities in {groups:,} groups",
            family=len(family),
            groups=groups,
        )
    # The draws' error aside it cannot be smaller.
    return JointLevel(max(each, bonferroni), text)


def level_of_groups(correlations: Sequence[Array], lonely: int, alpha: float, seed: int) -> float:
    """Each quantity's ``alpha`` from the groups' correlation matrices.

    Parameters
    ----------
    correlations : sequence of array, shape (quantities, quantities)
    lonely : int
        Quantities that stand by themselves.
    alpha : float
        Of the family.
    seed : int
    """
    from scipy.optimize import brentq
    from scipy.special import ndtr, ndtri

    groups = [
        _Group.of(matrix, generator(seed, "joint level", str(k))) for k, matrix in enumerate(correlations)
    ]
    total = sum(group.size for group in groups) + lonely

    def excess(critical: float) -> float:
        """Log probability that none exceeds, above the one wanted."""
        each = 2 * float(ndtr(-critical))
        logs = [np.log1p(-min(group.any_exceeds(critical), 1 - 1e-12)) for group in groups]
        return float(sum(logs) + lonely * np.log1p(-each) - np.log1p(-alpha))

    # From all quantities equal (the family's own level) to well beyond Bonferroni.
    low, high = float(-ndtri(alpha / 2)), float(-ndtri(alpha / total / 4))
    if excess(low) >= 0:
        return alpha
    return 2 * float(ndtr(-brentq(excess, low, high, xtol=1e-8)))


@dataclass(frozen=True, slots=True)
class _Group:
    """Normal draws of one group, kept for every critical value tried."""

    size: int
    correlation: Array
    draws: Array
    picked: NDArray[np.intp]
    tail: Array
    sign: Array

    @classmethod
    def of(cls, correlation: Array, rng: np.random.Generator) -> _Group:
        draws_here = DRAWS if correlation.shape[0] <= WIDE else DRAWS // 2
        values, vectors = np.linalg.eigh(correlation)
        root = vectors * np.sqrt(np.maximum(values, 0))
        draws = rng.standard_normal((draws_here, correlation.shape[0])) @ root.T
        picked = rng.integers(0, correlation.shape[0], draws_here)
        sign = np.where(rng.random(draws_here) < 0.5, -1.0, 1.0)
        return cls(correlation.shape[0], correlation, draws, picked, rng.random(draws_here), sign)

    def any_exceeds(self, critical: float) -> float:
        """P(max |Z| > critical): one statistic drawn from its tail, the others given it.

        The mean of 1 / (how many exceed), times the sum of the single probabilities.
        """
        from scipy.special import ndtr, ndtri

        single = 2 * float(ndtr(-critical))
        if self.size == 1:
            return single
        forced = -ndtri(self.tail * single / 2) * self.sign
        rows = np.arange(self.tail.size)
        moved = np.take(self.correlation, self.picked, axis=0)
        moved *= (forced - self.draws[rows, self.picked])[:, None]
        moved += self.draws
        # A product sums short rows several times as fast as a reduction; single precision holds the counts.
        exceeding = (np.abs(moved, out=moved) > critical) @ np.ones(self.size, dtype=np.float32)
        return self.size * single * float(np.mean(1 / np.maximum(exceeding.astype(np.float64), 1)))


def _slopes(member: Member, counts: NDArray[np.generic], others: NDArray[np.generic]) -> Slopes | None:
    """Derivative of a tested quantity in the counts of the slice, and of its comparator, (classes, 4) each.

    None where it has none: scores, undefined values, values without spread.
    """
    name, quantity = member.tested.metric, member.tested.quantity
    if name in SCORE_METRICS:
        return None
    tables = [np.asarray(side[member.pair], dtype=np.float64) for side in (counts, others)]
    if member.klass == OVER_CLASSES:
        values = [float(POOLED[name].of(table)) for table in tables]
        found = [POOLED[name].gradient(table) for table in tables]
    else:
        metric = METRICS[name]
        values = [float(metric.of(table[member.klass])) for table in tables]
        found = [np.zeros_like(table) for table in tables]
        for slope, table in zip(found, tables, strict=True):
            slope[member.klass] = gradient(metric, table[member.klass])
    if quantity == "value":
        slopes = found[0], np.zeros_like(found[0])
    elif quantity == "difference":
        slopes = found[0], -found[1]
    else:
        if not (values[0] > 0 and values[1] > 0):
            return None
        slopes = found[0] / values[0], -found[1] / values[1]
    return slopes if np.all(np.isfinite(slopes[0])) and np.all(np.isfinite(slopes[1])) else None


def _correlations(
    counted: CountedLog,
    pairs: Sequence[Pair],
    family: Sequence[Member],
    slopes: Sequence[Slopes],
) -> tuple[list[Array], int]:
    """Correlation matrices of the groups, and the number of quantities without spread."""
    weighted = counted.slices[0].weighted is not None
    known = range(len(family))
    if counted.patterns is not None and (counted.clusters is not None or counted.space.strata > 1):
        groups = _by(known, lambda number: family[number].pair)
        compared = [pairs[pair] for pair, _ in groups]
        of_group = {
            place: _over_patterns(counted, compared[place], [slopes[n] for n in groups[place][1]])
            for place in by_crossing(counted.slices, compared)
        }
        found = [of_group[place] for place in range(len(groups))]
    elif weighted or counted.joint is None:
        groups = _by(known, lambda number: family[number].pair)
        found = [_over_rows(counted, pairs[pair], [slopes[n] for n in group]) for pair, group in groups]
    else:
        found = [
            _over_table(counted, pairs, table, [family[n] for n in group], [slopes[n] for n in group])
            for table, group in _tables(counted, pairs, family, known)
        ]
    matrices, lonely = [], 0
    for covariance in found:
        spread = np.sqrt(np.diag(covariance))
        usable = spread > 1e-12 * max(float(spread.max(initial=0)), 1e-300)
        lonely += int((~usable).sum())
        if usable.any():
            kept = covariance[np.ix_(usable, usable)] / np.outer(spread[usable], spread[usable])
            matrices.append(np.clip(kept, -1, 1))
    return matrices, lonely


def _by(known: Sequence[int], key: Callable[[int], int]) -> list[tuple[int, list[int]]]:
    groups: dict[int, list[int]] = {}
    for number in known:
        groups.setdefault(key(number), []).append(number)
    return sorted(groups.items())


def _units(space: OutcomeSpace) -> Array:
    """What one row of each outcome adds to the classes' tables, (strata x cells, classes, 4)."""
    kinds = np.eye(space.strata * space.cells).reshape(-1, space.strata, space.cells)
    return np.asarray(space.confusion(kinds), dtype=np.float64)


def _over_patterns(counted: CountedLog, pair: Pair, slopes: Sequence[Slopes]) -> Array:
    """Covariance over patients, of the quantities of one slice and comparator."""
    patterns = joint_patterns(counted, pair)
    each = np.asarray(counted.space.confusion(patterns.totals), dtype=np.float64)
    influence = np.stack(
        [
            np.einsum("pkf,kf->p", each[:, 0], slope[0]) + np.einsum("pkf,kf->p", each[:, 1], slope[1])
            for slope in slopes
        ],
        axis=1,
    )
    return np.asarray((influence * patterns.multiplicity[:, None]).T @ influence)


def _over_rows(counted: CountedLog, pair: Pair, slopes: Sequence[Slopes]) -> Array:
    """Covariance over rows, of the quantities of one slice and comparator, from their counts."""
    here, units = counted.slices[pair.index], _units(counted.space)
    sides = [side.astype(np.float64) for side in (here.inside, comparator(counted.slices, pair))]
    if here.weighted is not None:
        squares = here.weighted.outside_squares
        if pair.other is not None:
            other = counted.slices[pair.other].weighted
            squares = squares if other is None else other.inside_squares
        sides = [here.weighted.inside_squares, squares]
    covariance = np.zeros((len(slopes), len(slopes)))
    for side in (0, 1):
        influence = np.stack([np.einsum("rkf,kf->r", units, slope[side]) for slope in slopes], axis=1)
        covariance += (influence * sides[side].reshape(-1, 1)).T @ influence
    return covariance


def _tables(
    counted: CountedLog, pairs: Sequence[Pair], family: Sequence[Member], known: Sequence[int]
) -> list[tuple[CountTable, list[int]]]:
    """Joint tables that hold the members' slices: one for all where small, else one a set of attributes."""
    sets = {number: _attributes(counted, pairs, family[number]) for number in known}
    together = tuple(sorted({name for names in sets.values() for name in names}))
    table = _joint(counted, together, len(known))
    if table is not None:
        return [(table, list(known))]
    largest = [one for one in set(sets.values()) if not any(set(one) < set(other) for other in sets.values())]
    groups: dict[tuple[str, ...], list[int]] = {one: [] for one in sorted(largest)}
    for number in known:
        home = next(one for one in groups if set(sets[number]) <= set(one))
        groups[home].append(number)
    found = []
    for names, group in groups.items():
        table = _joint(counted, names, len(group))
        if table is None:
            # No joint table of these: each slice by itself.
            for _, alone in _by(group, lambda number: family[number].pair):
                single = _joint(counted, sets[alone[0]], 1)
                if single is None:
                    raise LogError(f"The log has no counts of the attributes {', '.join(sets[alone[0]])}.")
                found.append((single, alone))
        elif group:
            found.append((table, group))
    return found


def _attributes(counted: CountedLog, pairs: Sequence[Pair], member: Member) -> tuple[str, ...]:
    return tuple(sorted(counted.slices[pairs[member.pair].index].slice.attributes))


def _joint(counted: CountedLog, names: tuple[str, ...], members: int) -> CountTable | None:
    """The joint table of some attributes; None where the log has none or its covariance is too much work."""
    if counted.joint is None:
        return None
    try:
        table = counted.joint(names)
    except LogError:
        return None
    cells = table.n.size
    small = cells <= MOST_CELLS and cells * members**2 <= MOST_WORK
    return table if small or members == 1 else None


def _over_table(
    counted: CountedLog,
    pairs: Sequence[Pair],
    table: CountTable,
    members: Sequence[Member],
    slopes: Sequence[Slopes],
) -> Array:
    """Covariance over rows, of quantities of any slices that the table's attributes define."""
    places = {
        summary.attribute.name: {value: code for code, (value, _) in enumerate(summary.values)}
        for summary in counted.attributes
    }
    column = {name: position for position, name in enumerate(table.block)}
    units = _units(counted.space)

    def rows_of(slice_: Slice) -> NDArray[np.bool_]:
        inside = np.ones(table.n.size, dtype=bool)
        for name, value in slice_.values:
            code = -1 if value is None else places[name][value]
            inside &= table.codes[:, column[name]] == code
        return inside

    influence = np.zeros((table.n.size, len(members)))
    for position, (member, slope) in enumerate(zip(members, slopes, strict=True)):
        pair = pairs[member.pair]
        here = counted.slices[pair.index].slice
        inside = rows_of(here)
        per_outcome = np.einsum("rkf,kf->r", units, slope[0])
        influence[inside, position] = per_outcome[table.outcome[inside]]
        if np.any(slope[1]):
            if pair.other is not None:
                other = rows_of(counted.slices[pair.other].slice)
            else:
                other = ~inside
                for name in here.attributes:
                    other &= table.codes[:, column[name]] >= 0
            per_outcome = np.einsum("rkf,kf->r", units, slope[1])
            influence[other, position] += per_outcome[table.outcome[other]]
    return np.asarray((influence * table.n[:, None]).T @ influence)
