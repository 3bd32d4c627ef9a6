"""The concept stage: sources -> measurements -> one layer's algebra after another -> verdicts.

The sentence of the room, as a list of stages; what each does is in the module that it calls.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from concepts.errors import ConceptError
from concepts.measure import ClassImages, FolderLibrary, Measured, MeasuringLibrary, images_of_classes
from concepts.records import RANDOM, Cav, ConceptResult, ConceptSet, ConceptStage, ConceptStageSpec, LogImages
from concepts.sources import (
    ImageLibrary,
    PlannedConcept,
    TrainingImage,
    TrainingTable,
    has_images,
    hash_of_set,
    plan_concepts,
    units_of,
)
from concepts.tcav.analysis import (
    Finding,
    PlannedDraws,
    ScoredClass,
    SliceKey,
    analyse_concept,
    plan_draws,
)
from concepts.tcav.gates import ENTANGLED, cosine_matrix
from concepts.tcav.gram import grams
from concepts.tcav.membership import Comparison, plan_comparisons
from concepts.tcav.sets import SPLITS
from concepts.tcav.testing import check_can_reject
from concepts.tcav.verdicts import conclude
from slices.said import say

Progress = Callable[[str, int, int], None]
NO_CAV = Cav(accuracy=None, auc=None, auc_low=None, auc_high=None, auc_null=None, stability=None)


def _silent(_what: str, _done: int, _total: int) -> None:
    """Report nothing."""


def run_concepts(spec: ConceptStageSpec, *, progress: Progress = _silent) -> ConceptStage:
    """Test every concept for every class at every layer, over all images and in each slice.

    Parameters
    ----------
    spec : ConceptStageSpec
    progress : callable (what, done, total)

    Returns
    -------
    ConceptStage
        Results in the order concept, class, layer; after each, its slices in the order of the
        specification. The same specification and files give the same numbers.

    Raises
    ------
    ConceptError, ModelError
        Something configured cannot be used: one line that says what, where, found and fix.
    """
    from threadpoolctl import threadpool_limits

    check_spec(spec)
    library = open_library(spec, progress=progress)
    log = library.log
    table = TrainingTable()
    planned = plan_concepts(spec, library, table)
    logged = library.logged()
    classes = images_of_classes(log, spec.classes, spec.model.outputs)
    # Where no concept has a set, there is nothing to measure, and the reasons are all there is to say.
    measured = (
        library.measure(table.images, classes)
        if table.images
        else Measured({}, {}, dict.fromkeys(spec.model.layers, "not measured"), None)
    )
    units = np.unique(np.array(units_of(log, logged), dtype=object).astype(str), return_inverse=True)[1]
    scored_classes = [_plan_class(one, planned, logged, units, log, spec) for one in classes]
    draws = [
        plan_draws(
            one.spec.name,
            one.design,
            pseudo_concepts=spec.pseudo_concepts,
            resamples=spec.resamples,
            seed=spec.seed,
        )
        for one in planned
        if one.design is not None
    ]
    findings: list[Finding] = []
    entanglement: dict[str, tuple[tuple[float, ...], ...]] = {}
    # Small solves lose by threads, and their rounding must not depend on how many cores there are.
    for layer in measured.activations:
        kernel, products = _products(measured, layer, classes)
        with threadpool_limits(limits=1):
            found, cosines = _analyse_layer(
                spec, layer, kernel, products, draws, scored_classes, progress=progress
            )
        findings.extend(found)
        entanglement[layer] = cosines
    findings.extend(_without_design(planned, classes, tuple(measured.layers)))
    ordered = _in_order(findings, spec, tuple(measured.layers))
    results = conclude(ordered, confidence=spec.confidence)
    sizes = [one.design.size for one in draws]
    return ConceptStage(
        results=results,
        sets=_sets(planned, library, spec),
        entanglement=entanglement,
        weights_sha256=measured.weights_sha256,
        recording_sha256=measured.recording_sha256,
        method=describe_method(spec, sizes, clustered=log.clusters is not None),
        set_size=max(sizes, default=0),
        pseudo_concepts=spec.pseudo_concepts,
        layers=dict(measured.layers),
        notes=(
            *measured.notes,
            *consistency_notes(results, layers=len(measured.layers)),
            *entanglement_notes([one.name for one in draws], entanglement),
        ),
        unnamed_rows=log.unnamed,
        entangled_from=ENTANGLED,
    )


def open_library(spec: ConceptStageSpec, *, progress: Progress) -> MeasuringLibrary:
    """The images and what measures them: files and a model, or a recording of both."""
    if spec.recorded is None:
        return FolderLibrary(spec, progress=progress)
    from concepts.recordings.recorded import RecordedLibrary

    return RecordedLibrary(spec)


def check_spec(spec: ConceptStageSpec) -> None:
    """Refuse what can be refused before any image is read.

    Raises
    ------
    ConceptError
        No concept, one with the pool's name, no class, too few pseudo-concepts to ever reject, too small a
        minimum number of images.
    """
    if not spec.concepts:
        raise ConceptError("[concepts] names no concept; add a [[concepts.concept]].")
    if any(one.name == RANDOM for one in spec.concepts):
        raise ConceptError(
            f"A [[concepts.concept]] is named '{RANDOM}', which is the pool's name; give it another."
        )
    if not spec.classes:
        raise ConceptError("[concepts] classes is empty; name at least one class.")
    if spec.minimum_images < 4:
        raise ConceptError(
            f"[concepts] minimum_images = {spec.minimum_images} is too few: each half of a set needs two; "
            "give at least 4 (20 is usual)."
        )
    check_can_reject(spec.pseudo_concepts, confidence=spec.confidence)


def _products(
    measured: Measured, layer: str, classes: Sequence[ClassImages]
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    present = [one.name for one in classes if one.rows]
    kernel, products = grams(
        measured.activations[layer], [measured.gradients[layer][name] for name in present]
    )
    return kernel, dict(zip(present, products, strict=True))


def _analyse_layer(
    spec: ConceptStageSpec,
    layer: str,
    kernel: NDArray[np.float64],
    products: Mapping[str, NDArray[np.float64]],
    draws: Sequence[PlannedDraws],
    planned: Sequence[ScoredClass],
    *,
    progress: Progress,
) -> tuple[list[Finding], tuple[tuple[float, ...], ...]]:
    classes = [replace(one, products=products.get(one.name, np.zeros((0, len(kernel))))) for one in planned]
    findings: list[Finding] = []
    means = []
    for number, one in enumerate(draws, 1):
        found, consensus = analyse_concept(
            kernel,
            one,
            classes,
            layer=layer,
            solver=spec.cav,
            confidence=spec.confidence,
            minimum_images=spec.minimum_images,
            seed=spec.seed,
        )
        findings.extend(found)
        means.append(consensus)
        progress(f"testing concepts at {layer}", number, len(draws))
    cosines = cosine_matrix(kernel, np.stack(means)) if means else np.zeros((0, 0))
    return findings, tuple(tuple(float(v) for v in row) for row in cosines)


def _plan_class(
    one: ClassImages,
    planned: Sequence[PlannedConcept],
    logged: Sequence[TrainingImage],
    units: NDArray[np.int64],
    log: LogImages,
    spec: ConceptStageSpec,
) -> ScoredClass:
    """A class before any layer is measured: who is scored, in which slices, of which clusters."""
    scored = _who_is_scored(one, planned, logged, units)
    masks = _slice_masks(one, spec.slices, log)
    clusters = units[np.array(one.rows, dtype=np.int64)]
    known: dict[bytes, dict[SliceKey, Comparison]] = {}
    comparisons = {}
    for concept in planned:
        kept = scored[concept.spec.name]
        if concept.design is None:
            continue
        if kept.tobytes() not in known:
            known[kept.tobytes()] = plan_comparisons(
                {key: mask[kept] for key, mask in masks.items()},
                clusters[kept],
                permutations=spec.pseudo_concepts,
                seed=spec.seed,
                name=one.name,
            )
        comparisons[concept.spec.name] = known[kept.tobytes()]
    return ScoredClass(one.name, np.zeros((0, 0)), scored, masks, clusters, comparisons)


def _who_is_scored(
    one: ClassImages,
    planned: Sequence[PlannedConcept],
    logged: Sequence[TrainingImage],
    units: NDArray[np.int64],
) -> dict[str, NDArray[np.bool_]]:
    """For each concept, the class's images of whose cluster no image's content trains its vectors."""
    rows = np.array(one.rows, dtype=np.int64)
    found = {}
    for concept in planned:
        training = [row for row, image in enumerate(logged) if image.sha256 in concept.trained_on]
        found[concept.spec.name] = ~np.isin(units[rows], units[np.array(training, dtype=np.int64)])
    return found


def _slice_masks(
    one: ClassImages, slices: Sequence[SliceKey], log: LogImages
) -> dict[SliceKey, NDArray[np.bool_]]:
    rows = np.array(one.rows, dtype=np.int64)
    masks: dict[SliceKey, NDArray[np.bool_]] = {}
    for key in slices:
        mask = np.ones(len(rows), dtype=bool)
        for name, value in key:
            if name not in log.attributes:
                raise ConceptError(f"Slice on '{name}': the log's images have no such attribute.")
            column = log.attributes[name]
            mask &= np.array([column[row] == value for row in rows.tolist()], dtype=bool)
        if key:
            masks[key] = mask
    return masks


def _without_design(
    planned: Sequence[PlannedConcept], classes: Sequence[ClassImages], layers: Sequence[str]
) -> list[Finding]:
    """Findings that hold a reason and no figure, for concepts whose sets cannot be drawn."""
    return [
        Finding(one.spec.name, klass.name, layer, (), len(klass.rows), NO_CAV, False, one.undefined)
        for one in planned
        if one.design is None
        for klass in classes
        for layer in layers
    ]


def _in_order(findings: Sequence[Finding], spec: ConceptStageSpec, layers: Sequence[str]) -> list[Finding]:
    concepts = {one.name: place for place, one in enumerate(spec.concepts)}
    classes = {name: place for place, name in enumerate(spec.classes)}
    depth = {name: place for place, name in enumerate(layers)}
    slices = {key: place for place, key in enumerate(((), *spec.slices))}
    return sorted(
        findings, key=lambda f: (concepts[f.concept], classes[f.klass], depth[f.layer], slices[f.slice])
    )


def _sets(
    planned: Sequence[PlannedConcept], library: ImageLibrary, spec: ConceptStageSpec
) -> tuple[ConceptSet, ...]:
    sets = [one.described for one in planned]
    if any(has_images(one.spec) and not one.spec.relative_to for one in planned):
        pool = library.random()
        words = say("concepts.pool.set", "pool of negatives and pseudo-concepts")
        sets.append(ConceptSet(RANDOM, words, len(pool), hash_of_set(pool)))
    return tuple(sets)


SOLVERS = {
    "ridge": say(
        "concepts.solver.ridge", "ridge regression (penalty: the mean variance of the set's activations)"
    ),
    "logistic": say(
        "concepts.solver.logistic",
        "logistic regression (L2 penalty: the mean variance of the set's activations)",
    ),
    "mean_difference": say("concepts.solver.mean_difference", "the difference of the two means (FastCAV)"),
    "pattern": say("concepts.solver.pattern", "the covariance of activation and label (pattern-CAV)"),
}


def describe_method(spec: ConceptStageSpec, sizes: Sequence[int], *, clustered: bool) -> str:
    """The test in plain sentences, with the numbers of this run."""
    if not sizes:
        return say("concepts.none_tested", "No concept had enough images to be tested.")
    size = say("concepts.size", "{size}", size=min(sizes))
    if min(sizes) != max(sizes):
        size = say("concepts.sizes", "{least} to {most}", least=min(sizes), most=max(sizes))
    if clustered:
        units = say(
            "concepts.units.clusters",
            "The log's images come in clusters: a set drawn from the log takes one image of a cluster, no "
            "cluster both trains a vector and is scored for it, clusters are what is resampled, and a "
            "minimum number of images is one of clusters too. Images of a folder count as independent.",
        )
    else:
        units = say(
            "concepts.units.images",
            "No cluster is known of the log's images: those with different content count as independent.",
        )
    return say(
        "concepts.method",
        "From each concept's images one set of {size} images was taken, and {pseudo} sets of the same "
        "size, drawn from its pool and that set together, played the concept (pseudo-concepts). Every "
        "set, the concept's and each pseudo-concept's, went through one procedure: it was cut into halves"
        " {splits} times; each half was told from as many other images of pool and set, drawn anew each "
        "time, by {solver}; the other half judged the vector. The effect is the mean derivative of the "
        "class's logit along the vector, over the images of the class, times the distance from negatives "
        "to concept along it, averaged over the set's {vectors} vectors. The p-value is the share of "
        "pseudo-concepts whose effect lies as far from the median of all, the concept's included ((1 + "
        "number) / (R + 1)); it is adjusted over concept x class x layer, those not learnt included, by "
        "the largest standardised distance of each joint draw (max-T), every concept having "
        "pseudo-concepts of its own. Intervals are the value -/+ Student's t times the standard error of "
        "{resamples} joint resamplings of images and sets. The score is the share of images with a "
        "positive derivative, zero derivatives apart. A concept counts as learnt at a layer where its "
        "held-out AUC and the agreement of vectors from disjoint halves exceed the {confidence:.0%} "
        "quantile of the pseudo-concepts'. Images that may train a vector are not scored. {units} The "
        "effect in a slice is called higher or lower than in the class's other images only where the "
        "difference is larger than under the pseudo-concepts, larger (in standard errors) than in "
        "{pseudo} permutations of which of the class's images lie in the slice, both p-values adjusted "
        "over all slices by max-T and the larger of them given, and its interval does not hold 0: an "
        "association, not a cause. An effect whose interval holds 0 is never said to drive or to oppose.",
        size=size,
        pseudo=spec.pseudo_concepts,
        splits=SPLITS,
        units=units,
        solver=SOLVERS[spec.cav],
        vectors=2 * SPLITS,
        resamples=min(spec.resamples, 200),
        confidence=spec.confidence,
    )


def consistency_notes(results: Sequence[ConceptResult], *, layers: int) -> tuple[str, ...]:
    """One sentence for each concept and class that has an effect at some layer, and not the same at all."""
    by_pair: dict[tuple[str, str], list[ConceptResult]] = defaultdict(list)
    for one in results:
        if not one.slice:
            by_pair[one.concept, one.klass].append(one)
    notes = []
    for (concept, klass), found in by_pair.items():
        at = {
            verdict: [one.layer for one in found if one.verdict == verdict]
            for verdict in ("drives", "opposes")
        }
        if at["drives"] and at["opposes"]:
            notes.append(
                say(
                    "concepts.contradict",
                    "{concept} drives {klass} at {drives} but opposes it at {opposes}: the layers "
                    "contradict each other.",
                    concept=concept,
                    klass=klass,
                    drives=", ".join(at["drives"]),
                    opposes=", ".join(at["opposes"]),
                )
            )
        elif 0 < len(at["drives"]) + len(at["opposes"]) < layers:
            if at["drives"]:
                one_sided = say(
                    "concepts.drives_only",
                    "{concept} drives {klass} at {at:, } only, of {layers} layers tested.",
                    concept=concept,
                    klass=klass,
                    at=at["drives"],
                    layers=layers,
                )
            else:
                one_sided = say(
                    "concepts.opposes_only",
                    "{concept} opposes {klass} at {at:, } only, of {layers} layers tested.",
                    concept=concept,
                    klass=klass,
                    at=at["opposes"],
                    layers=layers,
                )
            notes.append(one_sided)
    return tuple(notes)


def entanglement_notes(
    names: Sequence[str], entanglement: Mapping[str, Sequence[Sequence[float]]]
) -> tuple[str, ...]:
    """One sentence for each pair of concepts whose vectors nearly share a line at a layer."""
    return tuple(
        say(
            "concepts.entangled",
            "{one} and {other} are entangled at {layer} (cosine {cosine:.2f}): their effects "
            "cannot be told apart.",
            one=names[i],
            other=names[j],
            layer=layer,
            cosine=cosines[i][j],
        )
        for layer, cosines in entanglement.items()
        for i in range(len(names))
        for j in range(i + 1, len(names))
        if abs(cosines[i][j]) >= ENTANGLED
    )
