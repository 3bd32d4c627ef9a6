"""One layer's algebra: every concept's quality, scores and effects, for all images and for each slice.

From Gram matrices to numbers with their pseudo-concepts' numbers beside them. Adjustment over the family
and verdicts come after all layers are known, in `concepts.tcav.verdicts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from concepts.records import Cav
from concepts.tcav.cavs import Floats, Solver
from concepts.tcav.gates import judge
from concepts.tcav.membership import Comparison, studentised
from concepts.tcav.scores import (
    Directions,
    consensus_weights,
    derivatives,
    effect_weights,
    magnitude,
    sign_count,
    smooth,
    spread,
    train_directions,
)
from concepts.tcav.sets import SPLITS, Design, Draws, draw_sets, generator_for, resample_sets
from slices.said import say

SliceKey = tuple[tuple[str, str | None], ...]

#: Only standard errors are read from the bootstrap, which a few hundred draws give to 5%.
RESAMPLES = 200

#: Activations are single precision: of the sum of the terms' sizes, what is less than this share is rounding.
ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class PlannedDraws:
    """A concept's sets: those of the test and those of the bootstrap, the same at every layer."""

    name: str
    design: Design
    draws: Draws
    resampled: Draws


@dataclass(frozen=True, slots=True)
class ScoredClass:
    """The images of a class: ``products``, shape (images, table rows), and slices as rows of booleans.

    ``scored``: concept -> boolean array, shape (images,): False where the image may have trained it.
    ``slices``: slice -> boolean array, shape (images,). ``clusters``: int64 array, shape (images,), equal
    where images belong together (None: each on its own). ``comparisons``: concept -> slice -> its
    permutations among the images scored for the concept; without them no slice is compared.
    """

    name: str
    products: Floats
    scored: Mapping[str, NDArray[np.bool_]]
    slices: Mapping[SliceKey, NDArray[np.bool_]]
    clusters: NDArray[np.int64] | None = None
    comparisons: Mapping[str, Mapping[SliceKey, Comparison]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measure:
    """A number, its bootstrap standard error, and the pseudo-concepts' numbers, shape (R,)."""

    value: float
    error: float
    null: Floats


@dataclass(frozen=True, slots=True)
class Finding:
    """What one layer says of one concept and class, in one slice (empty: all its images).

    ``undefined``: why there is no figure; then the other fields hold nothing. Only where a gate is the reason
    (not ``learnt``) do ``effect``, ``difference`` and ``membership`` hold what counts in the family and is
    not reported. ``membership`` is the studentised distance between slice and rest, its ``null`` under
    permuted membership. ``clusters`` and ``rest_clusters``: of the images and of the class's other images
    (images, where each is on its own).
    """

    concept: str
    klass: str
    layer: str
    slice: SliceKey
    images: int
    cav: Cav
    learnt: bool
    undefined: str | None
    zero_gradients: int = 0
    score: float | None = None
    score_error: float = 0.0
    smooth: float | None = None
    magnitude: float | None = None
    effect: Measure | None = None
    rest: float | None = None
    difference: Measure | None = None
    membership: Measure | None = None
    set_size: int = 0
    clusters: int = 0
    rest_clusters: int = 0


def plan_draws(name: str, design: Design, *, pseudo_concepts: int, resamples: int, seed: int) -> PlannedDraws:
    """Draw a concept's sets from its own name and the seed."""
    draws = draw_sets(
        design,
        pseudo_concepts=pseudo_concepts,
        splits=SPLITS,
        rng=generator_for(seed, f"sets {name}"),
    )
    resampled = resample_sets(
        design,
        draws,
        resamples=min(resamples, RESAMPLES),
        splits=SPLITS,
        rng=generator_for(seed, f"bootstrap {name}"),
    )
    return PlannedDraws(name, design, draws, resampled)


def analyse_concept(
    kernel: Floats,
    planned: PlannedDraws,
    classes: Sequence[ScoredClass],
    *,
    layer: str,
    solver: Solver,
    confidence: float,
    minimum_images: int,
    seed: int,
) -> tuple[tuple[Finding, ...], Floats]:
    """All findings of one concept at one layer, and its mean vector in dual form.

    Parameters
    ----------
    kernel : float64 array, shape (table rows, table rows)
    planned : PlannedDraws
    classes : sequence of ScoredClass

    Returns
    -------
    findings : tuple of Finding
        For each class: all images first, then the slices in their order.
    consensus : float64 array, shape (table rows,)
    """
    width = len(kernel)
    columns = np.unique(np.concatenate([planned.design.positives, planned.design.pool]))
    local = np.full(width, -1, dtype=np.int64)
    local[columns] = np.arange(len(columns))
    inner = np.ascontiguousarray(kernel[np.ix_(columns, columns)])
    tested = train_directions(inner, _localise(planned.draws, local), solver=solver)
    resampled = train_directions(inner, _localise(planned.resampled, local), solver=solver)
    cav, reason = judge(tested, confidence=confidence)
    consensus = np.zeros(width)
    consensus[columns] = consensus_weights(tested, len(columns))[0]
    findings: list[Finding] = []
    for one in classes:
        findings.extend(
            _analyse_class(
                one,
                planned,
                tested,
                resampled,
                columns,
                cav=cav,
                reason=reason,
                layer=layer,
                minimum_images=minimum_images,
                seed=seed,
            )
        )
    return tuple(findings), consensus


def _analyse_class(
    one: ScoredClass,
    planned: PlannedDraws,
    tested: Directions,
    resampled: Directions,
    columns: NDArray[np.int64],
    *,
    cav: Cav,
    reason: str | None,
    layer: str,
    minimum_images: int,
    seed: int,
) -> list[Finding]:
    kept = one.scored[planned.name]
    products = np.ascontiguousarray(one.products[np.ix_(kept, columns)])
    images = len(products)
    numbers = np.arange(len(kept)) if one.clusters is None else one.clusters
    cluster: NDArray[np.int64] = np.unique(numbers[kept], return_inverse=True)[1]
    comparisons = one.comparisons.get(planned.name, {})
    zero: NDArray[np.bool_] = np.asarray(~products.any(axis=1))

    def clusters_of(mask: NDArray[np.bool_]) -> int:
        return len(np.unique(cluster[mask]))

    def without_figures(key: SliceKey, count: int, why: str) -> Finding:
        return Finding(
            planned.name,
            one.name,
            layer,
            key,
            count,
            cav,
            reason is None,
            why,
            set_size=planned.design.size,
            clusters=clusters_of(masks[key]),
        )

    masks = {(): np.ones(images, dtype=bool), **{key: mask[kept] for key, mask in one.slices.items()}}
    usable: dict[SliceKey, NDArray[np.bool_]] = {}
    absent: dict[SliceKey, Finding] = {}
    for key, mask in masks.items():
        count = int(mask.sum())
        if count < minimum_images:
            why = say(
                "concepts.few_to_score",
                "{images} images of class {name} to score; at least {minimum} are needed",
                images=count,
                name=one.name,
                minimum=minimum_images,
            )
            absent[key] = without_figures(key, count, why)
        elif clusters_of(mask) < minimum_images:
            why = say(
                "concepts.few_clusters",
                "{images} images of class {name} to score are of {clusters} clusters; at least {minimum} "
                "clusters are needed",
                images=count,
                name=one.name,
                clusters=clusters_of(mask),
                minimum=minimum_images,
            )
            absent[key] = without_figures(key, count, why)
        elif zero[mask].all():
            absent[key] = without_figures(
                key,
                count,
                reason or say("concepts.zero_gradients", "every logit gradient at this layer is zero"),
            )
        else:
            usable[key] = mask
    if not usable:
        return [absent[key] for key in masks]

    size = len(columns)
    # Effects of every image: under the concept and the pseudo-concepts, and under the resampled sets.
    weights = effect_weights(tested, size)
    effects = products @ weights.T
    rounding = ROUNDING * (np.abs(products).mean(0) @ np.abs(weights).T)

    def comparable(key: SliceKey, mask: NDArray[np.bool_]) -> bool:
        return key in comparisons and clusters_of(~mask) >= minimum_images

    def membership(key: SliceKey) -> Measure:
        observed, permuted = studentised(effects[:, 0], comparisons[key])
        return Measure(observed, 0.0, permuted)

    if reason is not None:
        for key, mask in usable.items():
            absent[key] = replace(
                without_figures(key, int(mask.sum()), reason),
                effect=_untold(_told_from_zero(effects[mask].mean(0), rounding)),
                difference=_untold(_gap(effects, mask)) if comparable(key, mask) else None,
                membership=membership(key) if comparable(key, mask) else None,
            )
        return [absent[key] for key in masks]

    redrawn = products @ effect_weights(resampled, size).T
    first = tested.vectors_a_set
    signs = derivatives(products, tested.rows[:first], tested.alpha[:first], tested.length[:first])
    above, counted = _shares(products, resampled)
    rng = generator_for(seed, f"images {one.name}")
    draws = _resampled_clusters(cluster, resamples=redrawn.shape[1], rng=rng)

    def mean_effect(mask: NDArray[np.bool_]) -> Measure:
        mean = _told_from_zero(effects[mask].mean(0), rounding)
        return _measure(mean, _resampled_mean(draws, redrawn, mask))

    def difference(mask: NDArray[np.bool_]) -> tuple[float, Measure]:
        rest = effects[~mask, 0].mean()
        moved = _resampled_mean(draws, redrawn, mask) - _resampled_mean(draws, redrawn, ~mask)
        return float(rest), _measure(_gap(effects, mask), moved)

    found: dict[SliceKey, Finding] = {}
    for key, mask in usable.items():
        rest, gap = difference(mask) if comparable(key, mask) else (None, None)
        found[key] = Finding(
            concept=planned.name,
            klass=one.name,
            layer=layer,
            slice=key,
            images=int(mask.sum()),
            cav=cav,
            learnt=True,
            undefined=None,
            zero_gradients=int(zero[mask].sum()),
            score=float(np.nanmean(sign_count(signs[mask]))),
            score_error=_score_error(above, counted, draws, mask),
            smooth=smooth(effects[mask, 0], redrawn[mask].std(axis=1, ddof=1)),
            magnitude=float(magnitude(signs[mask]).mean()),
            effect=mean_effect(mask),
            rest=rest,
            difference=gap,
            membership=membership(key) if gap is not None else None,
            clusters=clusters_of(mask),
            rest_clusters=clusters_of(~mask),
            set_size=planned.design.size,
        )
    return [found.get(key) or absent[key] for key in masks]


def _resampled_clusters(cluster: NDArray[np.int64], *, resamples: int, rng: np.random.Generator) -> Floats:
    """How often each image is in each resample of whole clusters, shape (resamples, images).

    One cluster fewer is drawn than there are: the variance of a mean is then that of n - 1 degrees of
    freedom, which matters at 20 clusters (Rao & Wu 1988).
    """
    clusters = int(cluster.max()) + 1
    drawn = rng.multinomial(max(1, clusters - 1), np.full(clusters, 1 / clusters), size=resamples)
    return drawn[:, cluster].astype(np.float64)


def _localise(draws: Draws, local: NDArray[np.int64]) -> Draws:
    return Draws(local[draws.positives], local[draws.negatives])


def _measure(values: Floats, resampled: Floats) -> Measure:
    usable = resampled[np.isfinite(resampled)]
    return Measure(float(values[0]), float(usable.std(ddof=1)), values[1:])


def _untold(values: Floats) -> Measure:
    """A figure that counts in its family and is not reported: nobody reads its error."""
    return Measure(float(values[0]), 0.0, values[1:])


def _told_from_zero(means: Floats, rounding: Floats) -> Floats:
    """Mean effects, exactly 0 where single precision cannot tell them from it.

    A transformation of what the network does not use moves activations that have no gradient: concept and
    pseudo-concepts all have the effect 0, and what is left is rounding, which would be tested as a figure.
    """
    return np.where(np.abs(means) <= rounding, 0.0, means)


def _gap(effects: Floats, mask: NDArray[np.bool_]) -> Floats:
    """Mean effects in the slice minus those outside it, of the concept and the pseudo-concepts.

    Differences that single precision cannot tell from 0 are exactly 0: after the last nonlinearity every
    image has the same gradient; what is left of the difference between slices is then rounding, and would
    be tested as if it were a figure.
    """
    gap = effects[mask].mean(0) - effects[~mask].mean(0)
    return np.where(np.abs(gap) <= 1e-6 * np.abs(effects).max(axis=0), 0.0, gap)


def _resampled_mean(draws: Floats, redrawn: Floats, mask: NDArray[np.bool_]) -> Floats:
    """Mean effect in each joint draw of images and sets; NaN where a draw holds no image of the slice."""
    weights = draws[:, mask]
    total = weights.sum(1)
    mean = np.einsum("bi,ib->b", weights, redrawn[mask]) / np.where(total > 0, total, 1.0)
    return np.where(total > 0, mean, np.nan)


def _shares(products: Floats, resampled: Directions) -> tuple[Floats, Floats]:
    """For each image and resampled set, the share of its vectors with a positive, and with any, derivative.

    One vector of every set at a time: the derivatives along all of them would be the largest array by far.

    Returns
    -------
    above, counted : float64 arrays, shape (images, sets)
    """
    vectors = resampled.vectors_a_set
    above, counted = (np.zeros((len(products), resampled.sets), dtype=np.int16) for _ in range(2))
    single = products.astype(np.float32)  # enough for signs from which only a standard error is read
    for first in range(vectors):
        of = slice(first, None, vectors)
        weights = spread(resampled.rows[of], resampled.alpha[of], products.shape[1])
        values = single @ weights.astype(np.float32).T
        above += values > 0
        counted += values != 0
    return above / vectors, counted / vectors


def _score_error(above: Floats, counted: Floats, draws: Floats, mask: NDArray[np.bool_]) -> float:
    """Bootstrap standard error of the sign count, over images and sets jointly."""
    wins = np.einsum("bi,ib->b", draws[:, mask], above[mask])
    total = np.einsum("bi,ib->b", draws[:, mask], counted[mask])
    scores = wins[total > 0] / total[total > 0]
    return float(scores.std(ddof=1)) if len(scores) > 1 else 0.0
