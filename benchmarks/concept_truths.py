"""What the validation of the concept tests needs beside folders: true effects, other sources, slices.

True effects of freely trained networks, measured on fresh images; the level of concepts from the log's
metadata, relative ones and transformations, on split networks; clusters; slices. `validate_concepts` writes
the page.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from concepts.model.taps import activations, gradients
from concepts.records import ConceptResult, ConceptSpec, ConceptStageSpec, InputFormat, LogImages, ModelSpec
from concepts.sources import PlannedConcept, TrainingImage, TrainingTable, plan_concepts
from concepts.tcav.analysis import Measure, ScoredClass, SliceKey, analyse_concept, plan_draws
from concepts.tcav.gram import grams
from concepts.tcav.membership import plan_comparisons
from concepts.tcav.sets import Design
from concepts.tcav.testing import max_t, p_values
from concepts.tcav.verdicts import conclude
from tests.concepts.planted import CONCEPTS, NETWORKS, centre, draw, paint, train_split

Floats = NDArray[np.float64]
FRESH = 2000  # images a side from which a true effect is measured
SOURCES = ("where, coin", "where, stripes", "relative, stripes", "transform, stripes")


@dataclass(frozen=True)
class Truth:
    """A network's true effects: value and standard error by (concept, layer), and by concept alone."""

    at_layer: Mapping[tuple[str, str], tuple[float, float]]
    on_logit: Mapping[str, tuple[float, float]]

    def claim_is_true(self, concept: str, layer: str, verdict: str) -> bool:
        """Whether the effect at the layer is not 0 (3 standard errors) and has the claim's sign."""
        value, error = self.at_layer.get((concept, layer), (0.0, 0.0))
        return abs(value) > 3 * error and (value > 0) == (verdict == "drives")

    def intervention_agrees(self, concept: str, verdict: str) -> bool:
        """The same of the mean change of the logit when the concept is added to images."""
        value, error = self.on_logit.get(concept, (0.0, 0.0))
        return abs(value) > 3 * error and (value > 0) == (verdict == "drives")


def true_effects(
    network: nn.Module, degrees: Mapping[str, float], names: Sequence[str], prevalence: float, seed: int
) -> Truth:
    """Measure what the concept does in this network, on fresh images.

    At a layer: the mean gradient of the class's images along the mean change of the activations when the
    concept is added, which is what the test estimates. On the logit: its mean change when the concept is
    added (the intervention).
    """
    import torch

    layers = type(network).layers  # type: ignore[attr-defined]
    rng = np.random.default_rng([seed, 77])
    scored = draw(3 * FRESH, degrees, rng)
    own = centre(scored.images[scored.labels == 1][:FRESH])
    slopes = gradients(network, layers, own, (1,), "flatten")
    at_layer: dict[tuple[str, str], tuple[float, float]] = {}
    on_logit: dict[str, tuple[float, float]] = {}
    for name in names:
        present = rng.random((FRESH, len(CONCEPTS))) < prevalence
        without, with_it = present.copy(), present.copy()
        without[:, CONCEPTS.index(name)], with_it[:, CONCEPTS.index(name)] = False, True
        key = int(rng.integers(2**31))
        # Equal draws: the two images of a pair differ in the concept alone.
        plain = centre(paint(without, np.random.default_rng(key)))
        added = centre(paint(with_it, np.random.default_rng(key)))
        with torch.no_grad():
            moved = (network(added) - network(plain))[:, 1].numpy().astype(np.float64)
        on_logit[name] = (float(moved.mean()), float(moved.std(ddof=1) / np.sqrt(FRESH)))
        after, before = (activations(network, layers, one, "flatten") for one in (added, plain))
        for layer in layers:
            change = after[layer].numpy().astype(np.float64) - before[layer].numpy()
            slope = slopes[layer][0].numpy().astype(np.float64)
            by_image, by_pair = slope @ change.mean(0), change @ slope.mean(0)
            error = np.sqrt(by_image.var(ddof=1) / len(by_image) + by_pair.var(ddof=1) / FRESH)
            at_layer[name, layer] = (float(by_image.mean()), float(error))
    return Truth(at_layer, on_logit)


class MemoryLibrary:
    """Images that exist as names only: what `plan_concepts` needs."""

    def __init__(self, logged: Sequence[TrainingImage], sets: Mapping[str, Sequence[TrainingImage]]) -> None:
        self._logged, self._sets = logged, sets

    def concept(self, spec: ConceptSpec) -> Sequence[TrainingImage]:
        return self._sets[spec.name]

    def random(self) -> Sequence[TrainingImage]:
        raise NotImplementedError

    def logged(self) -> Sequence[TrainingImage]:
        return self._logged


def named(group: str, count: int) -> list[TrainingImage]:
    """Images of a group, with names and contents of their own."""
    names = [f"{i:05d}" for i in range(count)]
    return [
        TrainingImage(group, one, hashlib.sha256(f"{group} {one}".encode()).hexdigest(), None)
        for one in names
    ]


def plan(
    concepts: Sequence[ConceptSpec],
    log: LogImages,
    sets: Mapping[str, Sequence[TrainingImage]],
    *,
    seed: int,
    minimum: int = 20,
) -> tuple[tuple[PlannedConcept, ...], list[TrainingImage]]:
    """The product's own plan of the concepts, and the table of training images."""
    model = ModelSpec(Path(), None, None, (), (), InputFormat((1, 1), 1, (0.0,), (1.0,)))
    spec = ConceptStageSpec(
        model, tuple(concepts), ("y",), None, 99, 0.95, 100, seed, log, minimum_images=minimum
    )
    table = TrainingTable()
    return plan_concepts(spec, MemoryLibrary(named("log", len(log.files)), sets), table), table.images


def examine(
    kernel: Floats,
    products: Floats,
    design: Design,
    *,
    name: str,
    seed: int,
    pseudo: int = 99,
    masks: Mapping[SliceKey, NDArray[np.bool_]] | None = None,
    clusters: NDArray[np.int64] | None = None,
    minimum: int = 20,
    layer: str = "deep",
) -> tuple[ConceptResult, list[ConceptResult], Measure | None, list[Measure]]:
    """One concept at one layer, as the stage does it: all images, slices, effect and differences."""
    images = len(products)
    numbers = np.arange(images) if clusters is None else clusters
    masks = masks or {}
    compared = plan_comparisons(masks, numbers, permutations=pseudo, seed=seed, name="y")
    one = ScoredClass("y", products, {name: np.ones(images, dtype=bool)}, masks, numbers, {name: compared})
    draws = plan_draws(name, design, pseudo_concepts=pseudo, resamples=100, seed=seed)
    found = analyse_concept(
        kernel,
        draws,
        [one],
        layer=layer,
        solver="mean_difference",
        confidence=0.95,
        minimum_images=minimum,
        seed=seed,
    )[0]
    whole, *sliced = conclude(found, confidence=0.95)
    gaps = [item.difference for item in found if item.difference is not None]
    return whole, sliced, found[0].effect, gaps


def sources(networks: int, replicates: int) -> dict[str, tuple[int, int]]:
    """False alarms of concepts from the log, relative ones and transformations, on split networks."""
    hits: dict[str, list[bool]] = {}
    degrees = {"spot": 4.0}
    for kind in NETWORKS:
        for seed in range(networks):
            network = train_split(kind, degrees, seed=300 + 10 * seed, steps=300)
            layers = type(network).layers  # type: ignore[attr-defined]
            rng = np.random.default_rng([seed, list(NETWORKS).index(kind), 9])
            for number in range(replicates):
                sample = draw(600, degrees, rng, prevalence=0.3)
                stripes = CONCEPTS.index("stripes")
                present = rng.random((600, len(CONCEPTS))) < 0.3
                present[:, stripes] = rng.random(600) < 0.15
                chance = 1 / (1 + np.exp(-4.0 * (2.0 * present[:, CONCEPTS.index("spot")] - 1.0)))
                labels = rng.random(600) < chance
                key = int(rng.integers(2**31))
                marked = present.copy()
                marked[:, stripes] = True
                groups = {"log": paint(present, np.random.default_rng(key))}
                changed = paint(marked, np.random.default_rng(key))
                for name, count in (("stripes", 40), ("checks", 80), ("weave", 80)):
                    groups[name] = draw(count, degrees, rng, prevalence=0.15, always=(name,)).images
                log = LogImages(
                    Path(),
                    tuple(f"{i:05d}" for i in range(600)),
                    tuple("y" if one else "n" for one in labels),
                    {
                        "coin": tuple("B" if one else "A" for one in rng.random(600) < 0.15),
                        "stripes": tuple("B" if one else "A" for one in present[:, stripes]),
                    },
                )
                folder = Path("x")
                concepts = (
                    ConceptSpec(SOURCES[0], where={"coin": "B"}),
                    ConceptSpec(SOURCES[1], where={"stripes": "B"}),
                    ConceptSpec(SOURCES[2], folder=folder, relative_to=("checks", "weave")),
                    ConceptSpec(SOURCES[3], transform="paint"),
                    ConceptSpec("checks", folder=folder, relative_to=("weave",)),
                    ConceptSpec("weave", folder=folder, relative_to=("checks",)),
                )
                sets = {name: named(name, len(groups[name])) for name in ("stripes", "checks", "weave")}
                sets[SOURCES[2]] = sets["stripes"]
                planned, table = plan(concepts, log, sets, seed=1000 * seed + number)
                pixels = np.stack(
                    [
                        changed[int(one.name)] if one.transform else groups[one.group][int(one.name)]
                        for one in table
                    ]
                )
                found = activations(network, layers, centre(pixels), "flatten")
                own = centre(sample.images[sample.labels == 1][:150])
                slopes = gradients(network, layers, own, (1,), "flatten")
                for layer in layers:
                    kernel, (products,) = grams(found[layer].numpy(), [slopes[layer][0].numpy()])
                    for one in planned[:4]:
                        if one.design is None:
                            continue
                        whole, _, effect, _ = examine(
                            kernel, products, one.design, name=one.spec.name, seed=1000 * seed + number
                        )
                        assert effect is not None
                        p = float(p_values(np.array([effect.value]), effect.null[None])[0])
                        hits.setdefault(f"alone|{one.spec.name}", []).append(p <= 0.05)
                        claim = whole.verdict in ("drives", "opposes")
                        hits.setdefault(f"claim|{one.spec.name}", []).append(claim)
    return {key: (int(sum(found)), len(found)) for key, found in hits.items()}


def clusters(runs: int, *, each: int = 10, icc: float = 0.5) -> dict[str, tuple[int, int]]:
    """A where-concept that is constant within patients and means nothing; with the patients told and not."""
    hits: dict[str, list[bool]] = {}
    for seed in range(runs):
        rng = np.random.default_rng([seed, 5])
        patients, width = 240, 40
        patient = np.repeat(np.arange(patients), each)
        count = len(patient)
        attribute = np.where(rng.random(patients) < 0.15, "B", "A")[patient]
        table = np.sqrt(icc) * rng.standard_normal((patients, width))[patient]
        table += np.sqrt(1 - icc) * rng.standard_normal((count, width))
        slopes = rng.standard_normal(width) + 0.3 * rng.standard_normal((200, width))
        files = tuple(f"{i:05d}" for i in range(count))
        labels = tuple("y" if one else "n" for one in rng.random(count) < 0.5)
        for told in (False, True):
            names = tuple(f"p{one}" for one in patient) if told else None
            log = LogImages(Path(), files, labels, {"scanner": tuple(attribute.tolist())}, names)
            spec = ConceptSpec("B", where={"scanner": "B"})
            (one,), images = plan((spec,), log, {}, seed=seed, minimum=10)
            if one.design is None:
                continue
            rows = table[[int(image.name) for image in images]]
            whole, _, effect, _ = examine(rows @ rows.T, slopes @ rows.T, one.design, name="B", seed=seed)
            assert effect is not None
            p = float(p_values(np.array([effect.value]), effect.null[None])[0])
            key = "told" if told else "not told"
            hits.setdefault(f"alone|{key}", []).append(p <= 0.05)
            hits.setdefault(f"learnt|{key}", []).append(whole.verdict != "not_learnt")
            hits.setdefault(f"claim|{key}", []).append(whole.verdict in ("drives", "opposes"))
    return {key: (int(sum(found)), len(found)) for key, found in hits.items()}


def coverage(runs: int, *, each: int, spread: float = 3.0, patients: int = 30) -> dict[str, tuple[int, int]]:
    """How often the interval holds the true effect, patients of ``each`` equal gradients, told and not."""
    hits: dict[str, list[bool]] = {}
    for seed in range(runs):
        rng = np.random.default_rng([seed, 6])
        size, pool, width = 40, 200, 30
        step = np.zeros(width)
        step[0] = 1.5
        table = rng.standard_normal((pool + size, width))
        table[pool:] += step
        slopes = spread * rng.standard_normal((patients, width))
        slopes[:, 0] += 1.0
        owner = np.repeat(np.arange(patients), each)
        for told in (False, True):
            whole, *_ = examine(
                table @ table.T,
                slopes[owner] @ table.T,
                design_of(pool, size),
                name="c",
                seed=seed,
                pseudo=39,
                clusters=owner if told else None,
            )
            if whole.effect_low is not None and whole.effect_high is not None:
                key = "told" if told else "not told"
                hits.setdefault(key, []).append(whole.effect_low <= step[0] <= whole.effect_high)
    return {key: (int(sum(found)), len(found)) for key, found in hits.items()}


def design_of(pool: int, size: int) -> Design:
    """Rows 0..pool-1 are the pool, then the concept."""
    none = np.zeros(pool + size, dtype=np.int64)
    return Design(np.arange(pool, pool + size), none[:size], np.arange(pool), none[:pool], none[:size])


def slices(runs: int, drives: Sequence[float], more: Sequence[float]) -> dict[str, tuple[int, int]]:
    """Runs with any claim about 12 random slices, and claims about a slice in which the concept acts more.

    ``drives``: distances of the concept from its pool along the logit's gradient; ``more``: by how many
    times more the logit follows it in the slice (0: a random one).
    """
    hits: dict[str, list[bool]] = {}
    size, pool, width, images = 30, 180, 30, 200
    for true in drives:
        for extra in (0.0, *more):
            for seed in range(runs):
                rng = np.random.default_rng([seed, int(10 * true), int(100 * extra)])
                table = rng.standard_normal((pool + size, width))
                table[pool:, 0] += true
                masks: dict[SliceKey, NDArray[np.bool_]] = {
                    (("g", str(k)),): rng.random(images) < 0.5 for k in range(12)
                }
                slopes = 0.5 * rng.standard_normal((images, width))
                slopes[:, 0] += 1.0 + extra * masks[(("g", "0"),)]
                whole, sliced, _, gaps = examine(
                    table @ table.T,
                    slopes @ table.T,
                    design_of(pool, size),
                    name="c",
                    seed=seed,
                    masks=masks,
                )
                if whole.verdict == "not_learnt":
                    continue
                key = f"{true:g}|{extra:g}"
                claims = [one.difference_verdict in ("higher", "lower") for one in sliced]
                if extra > 0:
                    hits.setdefault(f"found|{key}", []).append(sliced[0].difference_verdict == "higher")
                    continue
                before = max_t(np.array([one.value for one in gaps]), np.stack([one.null for one in gaps]))
                adjusted = [
                    one.difference_p_adjusted for one in sliced if one.difference_p_adjusted is not None
                ]
                hits.setdefault(f"pseudo alone|{key}", []).append(bool(before.min() < 0.05))
                hits.setdefault(f"both tests|{key}", []).append(min(adjusted) < 0.05)
                hits.setdefault(f"claim|{key}", []).append(any(claims))
    return {key: (int(sum(found)), len(found)) for key, found in hits.items()}
