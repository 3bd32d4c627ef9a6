"""False alarms and power of the concept test, measured on networks whose truth is planted.

Writes ``docs/validation-concepts.md``. Each replicate has images of its own: a pool, one set of every
concept, one null set. The product's own functions do the work; only the sign count's test and the original
t-tests are built here, for comparison.

    python -m benchmarks.validate_concepts --out docs/validation-concepts.md   # about 40 minutes, one core
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from threadpoolctl import threadpool_limits
from torch import nn

from benchmarks.concept_truths import FRESH, SOURCES, clusters, coverage, slices, sources, true_effects
from concepts.model.taps import activations, gradients
from concepts.tcav.analysis import Finding, Measure, _resampled_clusters, _resampled_mean
from concepts.tcav.cavs import Solver
from concepts.tcav.gates import judge
from concepts.tcav.gram import grams
from concepts.tcav.scores import derivatives, effect_weights, sign_count, train_directions
from concepts.tcav.sets import SPLITS, Design, Draws, draw_sets, generator_for, resample_sets
from concepts.tcav.testing import p_values
from concepts.tcav.verdicts import conclude
from tests.concepts.planted import NETWORKS, UNUSED, centre, draw, train, train_split

SET, POOL, PSEUDO, SCORED, LEVEL = 30, 180, 300, 150, 0.05
FULL = 2  # replicates of a network in which ridge and the published tests run too
PREVALENCE = 0.15  # of every concept in the pool and in the other concepts' sets
PAIRS = 20  # random sets of the original t-tests
Hits = dict[tuple[str, ...], list[bool]]
Counts = dict[str, dict[str, tuple[int, int]]]


@dataclass(frozen=True)
class Layer:
    """One replicate at one layer: Gram matrices; rows 0..POOL-1 are the pool, then one set a concept."""

    name: str
    kernel: NDArray[np.float64]
    products: NDArray[np.float64]


def zeros(count: int) -> NDArray[np.int64]:
    return np.zeros(count, dtype=np.int64)


def design_of(place: int) -> Design:
    """The design of the ``place``-th set."""
    rows = POOL + place * SET + np.arange(SET)
    return Design(rows, zeros(SET), np.arange(POOL), zeros(POOL), zeros(SET))


def replicate(
    network: nn.Module, degrees: Mapping[str, float], names: Sequence[str], rng: np.random.Generator
) -> list[Layer]:
    """Fresh images through the network: Gram matrices of every layer."""
    layers = type(network).layers  # type: ignore[attr-defined]
    scored = draw(4 * SCORED, degrees, rng)
    images = [draw(POOL, degrees, rng, prevalence=PREVALENCE).images]
    for name in names:
        always = () if name == "null" else (name,)
        images.append(draw(SET, degrees, rng, prevalence=PREVALENCE, always=always).images)
    found = activations(network, layers, centre(np.concatenate(images)), "flatten")
    slopes = gradients(network, layers, centre(scored.images[scored.labels == 1][:SCORED]), (1,), "flatten")
    made = []
    for name in layers:
        kernel, (products,) = grams(found[name].numpy(), [slopes[name][0].numpy()])
        made.append(Layer(name, kernel, products))
    return made


@dataclass(frozen=True)
class Tested:
    """A set at a layer: the stage's finding; p-values of the effect and, where asked, of the sign count."""

    finding: Finding
    p: float
    sign_p: float | None


def draw_named(place: int, name: str, *, seed: int) -> Draws:
    """The sets of the ``place``-th concept, as the stage draws them."""
    rng = generator_for(seed, f"sets {name}")
    return draw_sets(design_of(place), pseudo_concepts=PSEUDO, splits=SPLITS, rng=rng)


def run_test(
    layer: Layer, draws: Draws, name: str, *, solver: Solver, signs: bool, bootstrap: Draws | None = None
) -> Tested:
    """Train, gate and test one set as the stage does; ``bootstrap``: with the interval."""
    directions = train_directions(layer.kernel, draws, solver=solver)
    effects = layer.products.mean(0) @ effect_weights(directions, len(layer.kernel)).T
    cav, reason = judge(directions, confidence=1 - LEVEL)
    error = 0.0
    if bootstrap is not None:
        weights = effect_weights(train_directions(layer.kernel, bootstrap, solver=solver), len(layer.kernel))
        images = np.arange(len(layer.products))
        drawn = _resampled_clusters(images, resamples=len(weights), rng=generator_for(1, name))
        means = _resampled_mean(drawn, layer.products @ weights.T, np.ones(len(images), dtype=bool))
        error = float(means.std(ddof=1))
    finding = Finding(
        concept=name,
        klass="label",
        layer=layer.name,
        slice=(),
        images=len(layer.products),
        cav=cav,
        learnt=reason is None,
        undefined=reason,
        effect=Measure(float(effects[0]), error, effects[1:]),
        set_size=SET,
    )
    sign_p = None
    if signs:
        shares = sign_count(derivatives(layer.products, directions.rows, directions.alpha))
        sign_p = p_of(np.nan_to_num(shares, nan=0.5).reshape(PSEUDO + 1, -1).mean(1))
    return Tested(finding, p_of(effects), sign_p)


def p_of(figures: NDArray[np.float64]) -> float:
    """P-value of the first figure among all."""
    return float(p_values(figures[:1], figures[None, 1:])[0])


def original_tests(layer: Layer, place: int, rng: np.random.Generator) -> tuple[float, float]:
    """P-values of the published tests on the sign counts of vectors against 20 random sets.

    Kim et al. (2018), section 3.4: two-sample t-test of the concept's scores against those of random sets;
    and the one-sample t-test against 0.5.
    """
    sets = np.stack([rng.choice(POOL, SET, replace=False) for _ in range(PAIRS + 1)])
    concept = np.repeat(design_of(place).positives[None], PAIRS, axis=0)

    def scores(positives: NDArray[np.int64], negatives: NDArray[np.int64]) -> NDArray[np.float64]:
        # One vector a pair from whole sets: a cut into "halves" that are the set and its copy.
        both = Draws(
            np.stack([positives, positives], axis=1)[:, None],
            np.stack([negatives, negatives], axis=1)[:, None],
        )
        directions = train_directions(layer.kernel, both, solver="ridge")
        found = sign_count(derivatives(layer.products, directions.rows[::2], directions.alpha[::2]))
        return np.nan_to_num(found, nan=0.5)

    mine, others = scores(concept, sets[:PAIRS]), scores(sets[:PAIRS], sets[1:])
    pooled = np.concatenate([mine, others])
    two = 1.0 if np.ptp(pooled) == 0 else float(stats.ttest_ind(mine, others).pvalue)
    one = float(stats.ttest_1samp(mine, 0.5).pvalue) if np.ptp(mine) > 0 else float(np.all(mine == 0.5))
    return float(np.nan_to_num(two, nan=0.0)), one


def false_alarms(networks: int, replicates: int, solvers: Sequence[Solver], *, split: bool) -> Counts:
    """Rates on null sets and on learnable concepts that the label does not use.

    ``split``: networks in which green and blue, where the unused concepts are, cannot reach a logit. Of the
    others the true effects are measured, and a claim that they bear out is not false.
    """
    degrees = {"spot": 4.0}
    names = ("null", *UNUSED, "spot")
    alone: Hits = defaultdict(list)
    stage: Hits = defaultdict(list)
    learnt: Hits = defaultdict(list)
    clusters: Hits = defaultdict(list)
    for kind in NETWORKS:
        for seed in range(networks):
            make = train_split if split else train
            network = make(kind, degrees, seed=100 + 10 * seed, steps=300)
            truth = None if split else true_effects(network, degrees, names[1:], PREVALENCE, seed)
            rng = np.random.default_rng([seed, list(NETWORKS).index(kind), int(split)])
            for number in range(replicates):
                key = 1000 * seed + number
                layers = replicate(network, degrees, names, rng)
                if number < FULL:
                    for depth, layer in enumerate(layers):
                        for place, name in enumerate(names):
                            sort = "unused" if name in UNUSED else name
                            both = original_tests(layer, place, rng)
                            for label, p in zip(("original", "half"), both, strict=True):
                                alone[label, sort, kind, str(depth)].append(p <= LEVEL)
                draws = [draw_named(place, name, seed=key) for place, name in enumerate(names)]
                again = [
                    resample_sets(
                        design_of(place),
                        drawn,
                        resamples=200,
                        splits=SPLITS,
                        rng=generator_for(key, f"bootstrap {name}"),
                    )
                    for place, (name, drawn) in enumerate(zip(names, draws, strict=True))
                ]
                for solver in solvers if number < FULL else solvers[:1]:
                    tested = {
                        (name, depth): run_test(
                            layer, drawn, name, solver=solver, signs=number < FULL, bootstrap=bootstrap
                        )
                        for name, drawn, bootstrap in zip(names, draws, again, strict=True)
                        for depth, layer in enumerate(layers)
                    }
                    for (name, depth), one in tested.items():
                        sort = "unused" if name in UNUSED else name
                        alone[solver, sort, kind, str(depth)].append(one.p <= LEVEL)
                        if one.sign_p is not None:
                            alone[f"{solver} sign count", sort, kind, str(depth)].append(one.sign_p <= LEVEL)
                        learnt[solver, sort].append(one.finding.learnt)
                        if one.finding.learnt and sort == "unused":
                            alone[f"{solver} learnt", sort].append(one.p <= LEVEL)
                    for sort in ("null", "unused"):
                        clusters[solver, sort, str(key), kind] = [
                            one.p <= LEVEL
                            for (name, _), one in tested.items()
                            if name != "spot" and (name in UNUSED) == (sort == "unused")
                        ]
                    results = conclude([one.finding for one in tested.values()], confidence=1 - LEVEL)
                    made = [
                        one
                        for one in results
                        if one.verdict in ("drives", "opposes") and one.concept in {"null", *UNUSED}
                    ]
                    stage[solver, "false", kind].append(bool(made))
                    if truth is not None:
                        borne = [truth.claim_is_true(one.concept, one.layer, one.verdict) for one in made]
                        stage[solver, "untrue", kind].append(not all(borne))
                        stage[solver, "of claims", kind].extend(borne)
                        stage[solver, "intervention", kind].extend(
                            truth.intervention_agrees(one.concept, one.verdict) for one in made
                        )
                    stage[solver, "spot", kind].extend(
                        one.verdict == "drives" for one in results if one.concept == "spot"
                    )
    return {"alone": pack(alone), "stage": pack(stage), "learnt": pack(learnt), "clusters": pack(clusters)}


def power(
    networks: int, replicates: int, degrees: Sequence[float], solvers: Sequence[Solver]
) -> dict[str, object]:
    """Rate of rejections for stripes, whose degree varies beside a spot of degree 3."""
    hits: Hits = defaultdict(list)
    for degree in degrees:
        planted = {"spot": 3.0, "stripes": degree}
        for kind in NETWORKS:
            for seed in range(networks):
                network = train(kind, planted, seed=500 + 10 * seed, steps=500)
                rng = np.random.default_rng([seed, list(NETWORKS).index(kind), int(1000 * degree)])
                for number in range(replicates):
                    draws = draw_named(0, "stripes", seed=1000 * seed + number)
                    for layer in replicate(network, planted, ("stripes",), rng):
                        for solver in solvers:
                            one = run_test(layer, draws, "stripes", solver=solver, signs=True)
                            hits[solver, f"{degree:g}"].append(one.p <= LEVEL)
                            if one.sign_p is not None:
                                hits[f"{solver} sign count", f"{degree:g}"].append(one.sign_p <= LEVEL)
    return {"power": pack(hits)}


def pack(hits: Hits) -> dict[str, tuple[int, int]]:
    """Hits as (rejections, tests) under joined keys."""
    return {"|".join(key): (int(sum(found)), len(found)) for key, found in hits.items()}


def pooled(packed: Mapping[str, tuple[int, int]], *prefix: str) -> tuple[int, int]:
    """Sum over all keys that begin with the prefix."""
    found = [value for key, value in packed.items() if tuple(key.split("|")[: len(prefix)]) == prefix]
    return sum(a for a, _ in found), sum(b for _, b in found)


def clustered(packed: Mapping[str, tuple[int, int]], *prefix: str) -> str:
    """Mean rate with 95% limits from the spread between replicates."""
    found = [a / b for key, (a, b) in packed.items() if tuple(key.split("|")[: len(prefix)]) == prefix]
    if len(found) < 2:
        return "–"
    half = float(stats.t.ppf(0.975, len(found) - 1) * np.std(found, ddof=1) / np.sqrt(len(found)))
    mean = float(np.mean(found))
    return (
        f"{100 * mean:.1f}% ({100 * (mean - half):.1f} to {100 * (mean + half):.1f}; {len(found)} replicates)"
    )


def rate(pair: tuple[int, int]) -> str:
    """A rate in percent with its 95% Clopper-Pearson limits."""
    hits, tests = pair
    if tests == 0:
        return "–"
    limits = stats.binomtest(hits, tests).proportion_ci(0.95, "exact")
    return f"{100 * hits / tests:.1f}% ({100 * limits.low:.1f} to {100 * limits.high:.1f}; {tests:,} tests)"


def report(found: Mapping[str, Mapping[str, tuple[int, int]]], solvers: Sequence[Solver]) -> str:
    """The page."""
    names: dict[str, str] = {}
    for solver in solvers:
        words = solver.replace("_", " ")
        names[solver] = f"this test, {words}"
        names[f"{solver} sign count"] = f"the same with the sign count, {words}"
    published = {
        "original": "two-sample t-test (Kim et al. 2018), 20 random sets",
        "half": "t-test against 0.5, 20 random sets",
    }
    lines = [
        "# How far the concept test can be trusted",
        "",
        "Regenerate with `python -m benchmarks.validate_concepts --out docs/validation-concepts.md`. "
        "Networks are trained on images whose labels depend on planted concepts only "
        "(`tests/concepts/planted.py`), so that the truth of every claim is known. Three architectures "
        "(plain CNN, residual CNN with batch normalisation, vision transformer), three layers each; sets of "
        f"{SET} images, a pool of {POOL}, {PSEUDO} pseudo-concepts, every concept on {PREVALENCE:.0%} of the "
        "pool's images, fresh images in every replicate; nominal level 5%. In parentheses 95% limits that "
        "take tests as independent, which those of one replicate are not.",
        "",
        "*Null set*: images like the pool's. *Unused*: a concept that can be seen and that the label does "
        "not depend on (stripes, checks, weave, tint, frame, bar; green and blue, while the label's spot is "
        "red).",
    ]
    for kind, title, words in (
        (
            "split",
            "False alarms where the truth is known by construction",
            "Networks in which green and blue can be read off every layer and cannot reach a logit: an "
            "unused concept has no effect, and every alarm is false.",
        ),
        (
            "free",
            "Networks trained freely",
            "The same architectures trained on all three channels. Training does not make a network blind to "
            "what the labels do not use: the gradient at a layer does meet unused concepts, most at the "
            "first layers, and the test then reports an effect on the logit that is there. An alarm here is "
            "false about the labels, and not about the network.",
        ),
    ):
        alone = found[f"{kind} alone"]
        lines += ["", f"## {title}", "", words, "", "The test alone (no gate, no adjustment):", ""]
        lines += ["| test | null set | unused concept |", "|---|---|---|"]
        for key, name in {**names, **published}.items():
            cells = " | ".join(rate(pooled(alone, key, sort)) for sort in ("null", "unused"))
            lines.append(f"| {name} | {cells} |")
        for solver in solvers:
            share = rate(pooled(alone, f"{solver} learnt"))
            lines.append(
                f"| this test, {solver.replace('_', ' ')}, where the gates call it learnt | – | {share} |"
            )
        lines += [
            "",
            "The same with limits from the spread between replicates, whose tests are dependent:",
            "",
        ]
        lines += ["| vectors | null set | unused concept |", "|---|---|---|"]
        for solver in solvers:
            cells = " | ".join(clustered(found[f"{kind} clusters"], solver, s) for s in ("null", "unused"))
            lines.append(f"| {solver.replace('_', ' ')} | {cells} |")
        for solver in solvers:
            lines += [
                "",
                f"By architecture and layer, {solver.replace('_', ' ')}, null and unused together:",
                "",
            ]
            lines += ["| network | first layer | second | third |", "|---|---|---|---|"]
            for network in NETWORKS:
                cells_of = []
                for depth in "012":
                    pairs = [pooled(alone, solver, sort, network, depth) for sort in ("null", "unused")]
                    cells_of.append(rate((pairs[0][0] + pairs[1][0], pairs[0][1] + pairs[1][1])))
                lines.append(f"| {network} | " + " | ".join(cells_of) + " |")
        stage, learnt = found[f"{kind} stage"], found[f"{kind} learnt"]
        lines += [
            "",
            "The whole stage (gates, and max-T over 8 concepts x 3 layers): how often a replicate holds "
            "*any* claim about a null set or an unused concept, and how often the used one is found at a "
            "layer:",
            "",
            "| vectors | any claim | used concept found | null set learnt | unused concepts learnt |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {solver.replace('_', ' ')} | {rate(pooled(stage, solver, 'false'))} | "
            f"{rate(pooled(stage, solver, 'spot'))} | {rate(pooled(learnt, solver, 'null'))} | "
            f"{rate(pooled(learnt, solver, 'unused'))} |"
            for solver in solvers
        ]
    lines += truths(found, solvers)
    powers = found["power"]
    degrees = sorted({key.split("|")[1] for key in powers}, key=float)
    lines += [
        "",
        "## Power by planted degree",
        "",
        "The label's log-odds rise by twice the degree where stripes are present, beside a spot of degree 3. "
        "Share of tests at 5% that reject, over all networks and layers:",
        "",
        "| test | " + " | ".join(degrees) + " |",
        "|---|" + "---|" * len(degrees),
    ]
    for key, words in names.items():
        cells = " | ".join(f"{100 * a / b:.0f}%" for a, b in (powers[f"{key}|{one}"] for one in degrees))
        lines.append(f"| {words} | {cells} |")
    tests = powers[f"{solvers[0]}|{degrees[0]}"][1]
    lines += ["", f"Each cell rests on {tests:,} tests.", ""]
    return "\n".join(lines)


def truths(found: Mapping[str, Mapping[str, tuple[int, int]]], solvers: Sequence[Solver]) -> list[str]:
    """The sections on true effects, other sources, clusters and slices."""
    free = found["free stage"]
    lines = [
        "",
        "True effects of the freely trained networks: at a layer, the mean gradient along the mean change of "
        f"the activations when the concept is added to {FRESH:,} fresh images, which is what the test "
        "estimates; a claim is false where that is within 3 standard errors of 0 or of the other sign. The "
        "intervention: the logit's own mean change when the concept is added, which a first-order effect at "
        "one layer need not share.",
        "",
        "| vectors | any claim false about the network | borne out at their layer | by the intervention |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {solver.replace('_', ' ')} | {rate(pooled(free, solver, 'untrue'))} | "
        f"{rate(pooled(free, solver, 'of claims'))} | {rate(pooled(free, solver, 'intervention'))} |"
        for solver in solvers
    ]
    lines += [
        "",
        "## Concepts from the log, relative ones and transformations",
        "",
        "On split networks, where every alarm is false; 99 pseudo-concepts. *Coin*: an attribute that means "
        "nothing; stripes can be seen and not reach the logit. A claim needs gates, test and interval.",
        "",
        "| concept | the test alone | claims |",
        "|---|---|---|",
    ]
    made = found["sources"]
    lines += [
        f"| {one} | {rate(made.get(f'alone|{one}', (0, 0)))} | {rate(made.get(f'claim|{one}', (0, 0)))} |"
        for one in SOURCES
    ]
    told, covered = found["clusters"], found["coverage"]
    lines += [
        "",
        "## Clusters",
        "",
        "240 patients of 10 images, intra-class correlation .5, an attribute that is constant within "
        "patients and means nothing, as a `where` concept; 30 patients of 10 equal gradients for the "
        "interval. Left the log does not tell its patients, right it does:",
        "",
        "| | not told | told |",
        "|---|---|---|",
    ]
    for key, words in (("alone", "the test alone rejects"), ("learnt", "learnt"), ("claim", "claims")):
        lines.append(
            f"| {words} | {rate(told.get(f'{key}|not told', (0, 0)))} | "
            f"{rate(told.get(f'{key}|told', (0, 0)))} |"
        )
    lines.append(
        f"| the 95% interval holds the effect | {rate(covered['not told'])} | {rate(covered['told'])} |"
    )
    sliced = found["slices"]
    lines += [
        "",
        "## Slices",
        "",
        "A concept that drives the class, by its distance from the pool along the logit's gradient; 12 "
        "random slices of 200 images. Runs with any slice said to differ: by the pseudo-concepts alone, "
        "by both tests, and as claimed (both and the interval). Last, the share of runs that find a slice in "
        "which the logit follows the concept 1.5 or 2 times as much:",
        "",
        "| distance | pseudo-concepts alone | both tests | claimed | 1.5 times found | twice found |",
        "|---|---|---|---|---|---|",
    ]
    drives = sorted({key.split("|")[1] for key in sliced}, key=float)
    for true in drives:
        cells = [
            rate(sliced.get(f"{key}|{true}|{extra}", (0, 0)))
            for key, extra in (
                ("pseudo alone", "0"),
                ("both tests", "0"),
                ("claim", "0"),
                ("found", "0.5"),
                ("found", "1"),
            )
        ]
        lines.append(f"| {true} | " + " | ".join(cells) + " |")
    return lines


def write(path: Path, *, runs: int | None = None, raw: Path | None = None) -> None:
    """Run everything and write the page.

    Parameters
    ----------
    path : Path
    runs : int, optional
        Networks of each kind (9); 16 replicates of a split network, 8 of a free one.
    raw : Path, optional
        Keep the counts there, as JSON.
    """
    torch.set_num_threads(1)
    networks = runs if runs is not None else 9
    solvers: tuple[Solver, ...] = ("mean_difference", "ridge")
    with threadpool_limits(limits=1):
        found: Counts = {}
        for kind, count, each in (("split", networks, 16), ("free", max(1, networks // 3), 8)):
            for part, counts in false_alarms(count, each, solvers, split=kind == "split").items():
                found[f"{kind} {part}"] = counts
        found |= power(max(1, networks // 4), 4, (0.0, 0.25, 0.5, 1.0, 2.0), solvers)
        found["sources"] = sources(max(1, networks // 3), 6)
        found["clusters"] = clusters(20 * networks)
        found["coverage"] = coverage(20 * networks, each=10)
        found["slices"] = slices(12 * networks, (1.0, 2.0, 4.0), (0.5, 1.0))
    if raw is not None:
        raw.write_text(json.dumps(found, indent=1) + "\n")
    path.write_text(report(found, solvers))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the concept test's false alarms and power.")
    parser.add_argument("--out", type=Path, default=Path("docs/validation-concepts.md"))
    parser.add_argument("--runs", type=int, help="networks of each kind (9)")
    parser.add_argument("--raw", type=Path, help="keep the counts here, as JSON")
    options = parser.parse_args()
    started = time.perf_counter()
    write(options.out, runs=options.runs, raw=options.raw)
    print(f"{options.out} written in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
