"""What the concept stage costs: beside the bare passes, beside Captum's TCAV, and in memory.

Processor time of one thread, in one run, so that other work on the machine does not enter.

    python -m benchmarks.concepts_cost                        # all three, some minutes
    python -m benchmarks.concepts_cost --captum-concepts 3    # Captum on 3 of 20 concepts, scaled up
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from threadpoolctl import threadpool_limits
from torch import nn

from concepts.gram import grams
from concepts.images import list_images, read_batch
from concepts.records import ConceptSpec, ConceptStageSpec, InputFormat, LogImages, ModelSpec
from concepts.stage import run_concepts

FORM = InputFormat(size=(64, 64), channels=3, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
LAYER = "features.8"  # 32 x 16 x 16 = 8,192 values
SET, POOL, SCORED = 50, 400, 1500


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


def bare_passes(root: Path, concepts: int) -> tuple[float, float]:
    """Seconds for reading the images, and for forward (and backward) passes over the same images."""
    network = Network()
    network.load_state_dict(torch.load(root / "bare.pt", weights_only=True))
    network.eval()
    started = time.process_time()
    training = [path for i in range(concepts) for path in list_images(root / f"concept{i}")]
    training += list_images(root / "random")
    first = [read_batch(training[at : at + 64], FORM) for at in range(0, len(training), 64)]
    log = list_images(root / "log")
    second = [read_batch(log[at : at + 64], FORM) for at in range(0, len(log), 64)]
    read = time.process_time() - started
    started = time.process_time()
    with torch.no_grad():
        for batch in first:
            network(batch)
    for batch in second:
        middle = network.features[:9](batch).detach().requires_grad_(True)
        logit = network.head(network.features[9:](middle).flatten(1))[:, 0].sum()
        torch.autograd.grad(logit, middle)
    return read, time.process_time() - started


def captum_seconds(root: Path, concepts: int, sets: int) -> tuple[float, float, float]:
    """Seconds of Captum's TCAV as shipped: the sets' activations, the pairs' vectors, the scores."""
    from captum.attr import LayerGradientXActivation
    from captum.concept import TCAV, Concept

    network = Network().eval()
    rng = np.random.default_rng(1)
    pool = list_images(root / "random")

    def concept(number: int, paths: Sequence[Path]) -> Any:
        images = read_batch(paths, FORM)
        return Concept(number, f"c{number}", torch.utils.data.DataLoader(images, batch_size=len(images)))  # type: ignore[arg-type]

    named = [concept(i, list_images(root / f"concept{i}")) for i in range(concepts)]
    random = [
        concept(1000 + i, [pool[j] for j in rng.choice(len(pool), SET, replace=False)]) for i in range(sets)
    ]
    scored = read_batch(list_images(root / "log"), FORM)
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        tcav = TCAV(
            network,
            [LAYER],
            layer_attr_method=LayerGradientXActivation(network, None, multiply_by_inputs=False),
            save_path=folder,
        )
        tcav.generate_all_activations()
        for one in (*named, *random):
            tcav.concepts.add(one)
        tcav.generate_all_activations()
        sets_seconds = time.process_time() - started
        pairs = [[a, b] for a in named for b in random]
        started = time.process_time()
        tcav.compute_cavs(pairs)
        trained = time.process_time() - started
        started = time.process_time()
        tcav.interpret(scored, pairs, target=0)
        return sets_seconds, trained, time.process_time() - started


def memory(rows: int, scored: int, width: int) -> str:
    """Peak resident memory of the Gram matrices, in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.concepts_cost",
        "--child",
        str(rows),
        str(scored),
        str(width),
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def peak_memory() -> float:
    """Peak resident memory of this process in MiB (Linux); getrusage would count the parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 2**10


def child(rows: int, scored: int, width: int) -> None:
    """Gram matrices from mapped files (sparse ones: their pages are read and counted all the same)."""
    before = peak_memory()
    with tempfile.TemporaryDirectory() as folder:
        maps = [
            np.lib.format.open_memmap(
                Path(folder) / f"{name}.npy", mode="w+", dtype=np.float32, shape=(count, width)
            )
            for name, count in (("a", rows), ("g", scored))
        ]
        started = time.process_time()
        grams(maps[0], [maps[1]])
        seconds = time.process_time() - started
    peak = peak_memory()
    print(
        f"K ({rows} x {rows}) and C ({scored} x {rows}) of {rows + scored} images at d = {width:,}: "
        f"peak memory {peak:,.0f} MiB ({before:,.0f} before), {seconds:.0f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of the concept stage.")
    parser.add_argument("--captum-concepts", type=int, default=20)
    parser.add_argument("--scored", type=int, default=SCORED, help="images of the log")
    parser.add_argument("--captum-sets", type=int, default=20)
    parser.add_argument("--memory", type=int, nargs=3, default=[5000, 8, 100_352])
    parser.add_argument("--only", choices=["passes", "captum", "memory"])
    parser.add_argument("--child", type=int, nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.child:
        child(*options.child)
        return
    if options.only in (None, "passes", "captum"):
        with tempfile.TemporaryDirectory() as folder, threadpool_limits(limits=1):
            root = Path(folder)
            full = lay_out(root, 20, options.scored)
            torch.manual_seed(0)
            torch.save(Network().state_dict(), root / "bare.pt")
            stage = {}
            import scipy.stats  # noqa: F401  (its import is no cost of the stage)

            for count in (20,) if options.only == "captum" else (5, 20):
                spec = replace(full, concepts=full.concepts[:count])
                read, passes = bare_passes(root, count)
                started = time.process_time()
                run_concepts(spec)
                stage[count] = time.process_time() - started
                print(
                    f"{count} concepts x {SET} images, pool {POOL}, {options.scored} scored, d = 8,192, 300 "
                    f"pseudo-concepts: stage {stage[count]:.1f} s, bare passes {passes:.1f} s, reading "
                    f"images {read:.1f} s: {stage[count] / (read + passes):.2f} x reading and passes, "
                    f"{stage[count] / passes:.2f} x passes alone",
                    flush=True,
                )
            if options.only in (None, "captum"):
                started = time.process_time()
                run_concepts(replace(full, pseudo_concepts=20))
                same = time.process_time() - started
                of_sets, of_pairs, of_scores = captum_seconds(
                    root, options.captum_concepts, options.captum_sets
                )
                measured = options.captum_concepts * options.captum_sets
                share = 40 / (options.captum_concepts + options.captum_sets)
                whole = of_sets * share + of_pairs * 400 / measured + of_scores
                scaled = "" if measured == 400 else f" (scaled from {measured} of 400 pairs)"
                print(
                    f"Captum's TCAV, 20 concepts x 20 random sets{scaled}: {whole:.0f} s; the stage with 20 "
                    f"pseudo-concepts {same:.1f} s, factor {whole / same:.1f}; with 300 {stage[20]:.1f} s, "
                    f"factor {whole / stage[20]:.1f}",
                    flush=True,
                )
    if options.only in (None, "memory"):
        print(memory(*options.memory))


if __name__ == "__main__":
    main()
