"""What the concept stage costs: beside the bare passes, beside Captum's TCAV, and in memory.

Computation on one thread, all in one run, the bare passes before and after. Processor time of all threads is
what is compared, since other work on the machine enters wall-clock time; that is printed beside it.

    python -m benchmarks.concepts_cost                        # all three, some minutes
    python -m benchmarks.concepts_cost --captum-concepts 3    # Captum on 3 of 20 concepts, scaled up
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file
from threadpoolctl import threadpool_limits
from torch import nn

from concepts.images import list_images, read_batch
from concepts.records import ConceptSpec, ConceptStageSpec, InputFormat, LogImages, ModelSpec
from concepts.stage import run_concepts
from concepts.tcav.gram import grams

FORM = InputFormat(size=(64, 64), channels=3, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
LAYER = "features.8"  # 32 x 16 x 16 = 8,192 values
SET, POOL, SCORED = 50, 400, 1500


@dataclass
class Spent:
    """Processor and wall-clock seconds."""

    cpu: float = 0.0
    wall: float = 0.0

    def __str__(self) -> str:
        return f"{self.cpu:.1f} s ({self.wall:.1f} wall)"


@contextmanager
def stopwatch(spent: Spent) -> Iterator[Spent]:
    """Add what a block takes."""
    cpu, wall = time.process_time(), time.perf_counter()
    yield spent
    spent.cpu += time.process_time() - cpu
    spent.wall += time.perf_counter() - wall


def times(one: Spent, *others: Spent) -> str:
    """How many times the others together, by processor (and wall-clock) time."""
    cpu, wall = sum(other.cpu for other in others), sum(other.wall for other in others)
    return f"{one.cpu / cpu:.2f} ({one.wall / wall:.2f} wall)"


class Network(nn.Module):
    """A small CNN on 64 x 64 pixels; the layer tested has 8,192 values."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(64, 32, 3, padding=1),
            nn.ReLU(),
            nn.Identity(),
            nn.Conv2d(32, 96, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(96, 96, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
        )
        self.head = nn.Linear(96, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.features(x).flatten(1))
        return logits


def factory() -> nn.Module:
    """What the configuration's ``factory`` names."""
    return Network()


def make_images(folder: Path, count: int, rng: np.random.Generator, *, mark: int | None = None) -> None:
    """Smooth noise; with a mark, a bright square whose place is the concept's own."""
    from PIL import Image

    folder.mkdir()
    for number in range(count):
        coarse = rng.integers(60, 200, size=(8, 8, 3), dtype=np.uint8)
        pixels = np.kron(coarse, np.ones((8, 8, 1), dtype=np.uint8))
        if mark is not None:
            row, column = 12 * (mark // 5), 12 * (mark % 5)
            pixels[row : row + 10, column : column + 10] = 250
        Image.fromarray(pixels).save(folder / f"{number:04d}.png")


def lay_out(root: Path, concepts: int, scored: int) -> ConceptStageSpec:
    """Folders, weights and the specification."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    save_file(Network().state_dict(), root / "model.safetensors")
    for number in range(concepts):
        make_images(root / f"concept{number}", SET, rng, mark=number)
    make_images(root / "random", POOL, rng)
    make_images(root / "log", scored, rng)
    return ConceptStageSpec(
        model=ModelSpec(
            weights=root / "model.safetensors",
            factory="benchmarks.concepts_cost:factory",
            sha256=None,
            layers=(LAYER,),
            outputs=("a", "b", "c", "d"),
            input=FORM,
        ),
        concepts=tuple(ConceptSpec(f"concept{i}", folder=root / f"concept{i}") for i in range(concepts)),
        classes=("a",),
        random=root / "random",
        pseudo_concepts=300,
        confidence=0.95,
        resamples=200,
        seed=1,
        log=LogImages(root / "log", tuple(f"{i:04d}.png" for i in range(scored)), ("a",) * scored, {}),
    )


def bare_passes(root: Path, concepts: int, spent: dict[str, Spent]) -> None:
    """Add what reading the images takes, and forward (and backward) passes over the same images.

    ``passes``: every image forward through the whole network, the scored ones back to the layer. ``least``:
    the training images forward no further than the layer, which is as little as any method needs.
    """
    network = Network()
    network.load_state_dict(torch.load(root / "bare.pt", weights_only=True))
    network.eval().requires_grad_(False)
    with stopwatch(spent["reading"]):
        training = [path for i in range(concepts) for path in list_images(root / f"concept{i}")]
        training += list_images(root / "random")
        first = [read_batch(training[at : at + 64], FORM) for at in range(0, len(training), 64)]
        log = list_images(root / "log")
        second = [read_batch(log[at : at + 64], FORM) for at in range(0, len(log), 64)]
    scored = Spent()
    with stopwatch(scored):
        for batch in second:
            middle = network.features[:9](batch).requires_grad_(True)
            logit = network.head(network.features[9:](middle).flatten(1))[:, 0].sum()
            torch.autograd.grad(logit, middle)
    for name, part in (("passes", network), ("least", network.features[:9])):
        with stopwatch(spent[name]), torch.no_grad():
            for batch in first:
                part(batch)
        spent[name].cpu += scored.cpu
        spent[name].wall += scored.wall


def captum_spent(root: Path, concepts: int, sets: int) -> tuple[Spent, Spent, Spent]:
    """What Captum's TCAV takes as shipped: the sets' activations, the pairs' vectors, the scores."""
    from captum.attr import LayerGradientXActivation
    from captum.concept import TCAV, Concept

    network = Network().eval()
    rng = np.random.default_rng(1)
    pool = list_images(root / "random")
    of_sets, of_pairs, of_scores = Spent(), Spent(), Spent()

    def concept(number: int, paths: Sequence[Path]) -> Any:
        images = read_batch(paths, FORM)
        return Concept(number, f"c{number}", torch.utils.data.DataLoader(images, batch_size=len(images)))  # type: ignore[arg-type]

    with stopwatch(of_sets):
        named = [concept(i, list_images(root / f"concept{i}")) for i in range(concepts)]
        random = [
            concept(1000 + i, [pool[j] for j in rng.choice(len(pool), SET, replace=False)])
            for i in range(sets)
        ]
    with tempfile.TemporaryDirectory() as folder:
        tcav = TCAV(
            network,
            [LAYER],
            layer_attr_method=LayerGradientXActivation(network, None, multiply_by_inputs=False),
            save_path=folder,
        )
        with stopwatch(of_sets):
            for one in (*named, *random):
                tcav.concepts.add(one)
            tcav.generate_all_activations()
        pairs = [[a, b] for a in named for b in random]
        with stopwatch(of_pairs):
            tcav.compute_cavs(pairs)
        with stopwatch(of_scores):
            tcav.interpret(read_batch(list_images(root / "log"), FORM), pairs, target=0)
    return of_sets, of_pairs, of_scores


def peak_memory() -> float:
    """Peak resident memory of this process in MiB (Linux); getrusage would count the parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 2**10


def matrices(images: int, width: int) -> str:
    """Gram matrices from mapped files (sparse ones: their pages are read and counted all the same)."""
    with tempfile.TemporaryDirectory() as folder:
        maps = [
            np.lib.format.open_memmap(
                Path(folder) / f"{name}.npy", mode="w+", dtype=np.float32, shape=(count, width)
            )
            for name, count in (("a", images), ("g", 8))
        ]
        grams(maps[0], [maps[1]])
    return f"the matrices alone, K {images} x {images} and C 8 x {images}"


def from_recording(images: int, width: int) -> str:
    """The whole stage without the model, from a recording of random numbers."""
    scored, set_size = images // 2, 100
    rng = np.random.default_rng(0)
    sets = [f"concept{i}" for i in range(5) for _ in range(set_size)]
    groups = [None] * scored + [*sets, *["random"] * (images - scored - len(sets))]
    with tempfile.TemporaryDirectory() as name:
        folder, parts = Path(name), []
        for start in range(0, images, 100):
            of = groups[start : start + 100]
            values = rng.standard_normal((len(of), width), dtype=np.float32)
            arrays = {"activations/layer": values}
            logged = np.array([row for row, group in enumerate(of) if group is None], dtype=np.int64)
            if len(logged):
                arrays |= {"rows/yes": logged, "gradients/layer/yes": values[logged] / width}
            ids = [f"{start + row}" for row in range(len(of))]
            labels = ["yes" if group is None else None for group in of]
            texts = json.dumps({"ids": ids, "labels": labels, "sets": of})
            parts.append(f"part-{start:05d}.safetensors")
            save_arrays(arrays, folder / parts[-1], metadata={"images": texts})
        manifest = {
            "format": 1,
            "layers": {"layer": width},
            "outputs": ["no", "yes"],
            "pooling": "flatten",
            "weights_sha256": None,
            "parts": parts,
        }
        (folder / "recording.json").write_text(json.dumps(manifest))
        model = ModelSpec(folder, None, None, ("layer",), ("no", "yes"), FORM)
        spec = ConceptStageSpec(
            model=model,
            concepts=tuple(ConceptSpec(f"concept{i}") for i in range(5)),
            classes=("yes",),
            random=None,
            pseudo_concepts=300,
            confidence=0.95,
            resamples=200,
            seed=1,
            log=None,
            recorded=folder,
        )
        run_concepts(spec)
    return f"the stage from a recording of {images} images, {scored} of them with gradients"


class Wide(nn.Module):
    """A layer of 32 x 56 x 56 = 100,352 values, and a head that is not linear in it."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv2d(3, 32, 3, padding=1)
        self.narrow = nn.Conv2d(32, 8, 3, stride=4)
        self.head = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.narrow(self.wide(x).relu()).relu().mean((2, 3)))
        return logits


def wide() -> nn.Module:
    """What the configuration's ``factory`` names."""
    return Wide()


def with_model(images: int, _width: int) -> str:
    """The whole stage: model, images and cache files."""
    scored = images // 2
    form = replace(FORM, size=(56, 56))
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        save_file(Wide().state_dict(), root / "model.safetensors")
        for number in range(5):
            make_images(root / f"concept{number}", 100, rng, mark=number)
        make_images(root / "random", images - scored - 500, rng)
        make_images(root / "log", scored, rng)
        spec = ConceptStageSpec(
            model=ModelSpec(
                root / "model.safetensors",
                "benchmarks.concepts_cost:wide",
                None,
                ("wide",),
                ("no", "yes"),
                form,
            ),
            concepts=tuple(ConceptSpec(f"concept{i}", folder=root / f"concept{i}") for i in range(5)),
            classes=("yes",),
            random=root / "random",
            pseudo_concepts=300,
            confidence=0.95,
            resamples=200,
            seed=1,
            log=LogImages(root / "log", tuple(f"{i:04d}.png" for i in range(scored)), ("yes",) * scored, {}),
        )
        run_concepts(spec)
    return f"the stage with the model, {images} image files, {scored} of them scored"


MEMORY = {"matrices": matrices, "recording": from_recording, "model": with_model}


def memory(kind: str, images: int, width: int) -> str:
    """Peak resident memory, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.concepts_cost", "--child", kind, str(images), str(width)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def child(kind: str, images: int, width: int) -> None:
    """What ``memory`` runs."""
    import scipy.stats  # noqa: F401

    before, spent = peak_memory(), Spent()
    with stopwatch(spent):
        words = MEMORY[kind](images, width)
    print(f"d = {width:,}: {words}: peak memory {peak_memory():,.0f} MiB ({before:,.0f} before), {spent}")


def passes_and_captum(options: argparse.Namespace) -> None:
    """The stage beside the bare passes, with 5 and 20 concepts; and beside Captum."""
    import scipy.stats  # noqa: F401  (its import is no cost of the stage)

    with tempfile.TemporaryDirectory() as folder, threadpool_limits(limits=1):
        root = Path(folder)
        full = lay_out(root, 20, options.scored)
        torch.manual_seed(0)
        torch.save(Network().state_dict(), root / "bare.pt")
        stage = {}
        for count in (20,) if options.only == "captum" else (5, 20):
            spec = replace(full, concepts=full.concepts[:count])
            bare = {name: Spent() for name in ("reading", "passes", "least")}
            stage[count] = Spent()
            bare_passes(root, count, bare)
            for _ in range(2):
                with stopwatch(stage[count]):
                    run_concepts(spec)
                bare_passes(root, count, bare)
            for spent, runs in ((stage[count], 2), *((spent, 3) for spent in bare.values())):
                spent.cpu /= runs
                spent.wall /= runs
            reading, passes, least = bare.values()
            print(
                f"{count} concepts x {SET} images, pool {POOL}, {options.scored} scored, d = 8,192, 300 "
                f"pseudo-concepts: stage {stage[count]}; reading {reading}, passes {passes}, no further than "
                f"the layer {least}. The stage is {times(stage[count], passes)} x the passes, "
                f"{times(stage[count], reading, passes)} x reading and passes, "
                f"{times(stage[count], reading, least)} x reading and the least passes",
                flush=True,
            )
        if options.only in (None, "captum"):
            same = Spent()
            for _ in range(2):
                with stopwatch(same):
                    run_concepts(replace(full, pseudo_concepts=20))
            same.cpu, same.wall = same.cpu / 2, same.wall / 2
            of_sets, of_pairs, of_scores = captum_spent(root, options.captum_concepts, options.captum_sets)
            measured = options.captum_concepts * options.captum_sets
            share = 40 / (options.captum_concepts + options.captum_sets)
            whole = Spent(
                *(
                    getattr(of_sets, kind) * share
                    + getattr(of_pairs, kind) * 400 / measured
                    + getattr(of_scores, kind)
                    for kind in ("cpu", "wall")
                )
            )
            scaled = "" if measured == 400 else f" (scaled from {measured} of 400 pairs)"
            print(
                f"Captum's TCAV, 20 concepts x 20 random sets{scaled}: {whole}, as measured: sets {of_sets}, "
                f"{measured} vectors {of_pairs}, scores {of_scores}; the stage with 20 pseudo-concepts "
                f"{same}: factor {times(whole, same)}; with 300 {stage[20]}: "
                f"factor {times(whole, stage[20])}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of the concept stage.")
    parser.add_argument("--captum-concepts", type=int, default=20)
    parser.add_argument("--scored", type=int, default=SCORED, help="images of the log")
    parser.add_argument("--captum-sets", type=int, default=20)
    parser.add_argument("--memory-images", type=int, default=5000)
    parser.add_argument("--only", choices=["passes", "captum", "memory"])
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.child:
        kind, images, width = options.child
        child(kind, int(images), int(width))
        return
    if options.only in (None, "passes", "captum"):
        passes_and_captum(options)
    if options.only in (None, "memory"):
        for kind in MEMORY:
            print(memory(kind, options.memory_images, 100_352), flush=True)


if __name__ == "__main__":
    main()
