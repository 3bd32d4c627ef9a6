"""The concept stage on a GPU: throughput beside the bare passes, and agreement with the CPU.

A network of ResNet-50's size with random weights (nothing is fetched), 224 x 224 JPEG files, one deep layer
of 100,352 values. Where there is no GPU the same runs on the CPU, and says so.

    python -m benchmarks.concepts_gpu                                  # about five minutes on a GPU
    python -m benchmarks.concepts_gpu --size 64 --width 8 --images 200 --agree 60   # a small one, anywhere
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from concepts.cache.content import BATCH, collect
from concepts.images import list_images, read_batch
from concepts.model.hooks import exact_arithmetic
from concepts.model.loading import load_model
from concepts.records import ConceptSpec, ConceptStageSpec, InputFormat, LogImages, ModelSpec
from concepts.stage import run_concepts

LAYER = "stage4"
WIDTH = "XAUDIT_BENCHMARK_WIDTH"  # how a child process's factory learns it
CONCEPTS, SET = 5, 40


class Bottleneck(nn.Module):
    """He et al. (2016), figure 5, with the stride in the middle."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        after = 4 * width
        self.inner = nn.Sequential(
            nn.Conv2d(before, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, after, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        # Small steps, so that fifty random layers neither blow up nor die out.
        nn.init.constant_(self.inner[-1].weight, 0.3)  # type: ignore[arg-type]
        self.skip: nn.Module = nn.Identity()
        if before != after or stride != 1:
            self.skip = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = torch.relu(self.inner(x) + self.skip(x))
        return out


class ResNet(nn.Module):
    """ResNet-50 at width 64; the head is not linear in the last stage, so that images' gradients differ."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        before = width
        for number, (blocks, stride) in enumerate(((3, 1), (4, 2), (6, 2), (3, 2)), 1):
            inner = width * 2 ** (number - 1)
            parts = [Bottleneck(before, inner, stride)]
            parts += [Bottleneck(4 * inner, inner, 1) for _ in range(blocks - 1)]
            setattr(self, f"stage{number}", nn.Sequential(*parts))
            before = 4 * inner
        self.head = nn.Sequential(nn.Linear(before, before), nn.Tanh(), nn.Linear(before, 4))

    def forward(self, x: Tensor) -> Tensor:
        for part in (self.stem, self.stage1, self.stage2, self.stage3, self.stage4):
            x = part(x)
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


def factory() -> nn.Module:
    """What the configuration's ``factory`` names."""
    torch.manual_seed(0)
    return ResNet(int(os.environ[WIDTH]))


def make_images(
    folder: Path, count: int, size: int, rng: np.random.Generator, *, mark: int | None = None
) -> None:
    """JPEG files of smooth noise; with a mark, a bright square whose place is the concept's own."""
    from PIL import Image

    folder.mkdir(parents=True)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(40, 200, size=(14, 14, 3), dtype=np.uint8))
        pixels = np.array(coarse.resize((size, size), Image.Resampling.BICUBIC))
        if mark is not None:
            side = size // 3
            row, column = side * (mark // 3), side * (mark % 3)
            pixels[row : row + side, column : column + side] = 250
        Image.fromarray(pixels).save(folder / f"{number:05d}.jpg", quality=90)


def lay_out(root: Path, images: int, size: int) -> None:
    """Files and weights: half of the images scored, the rest concepts and pool."""
    rng = np.random.default_rng(0)
    scored = images // 2
    sets = min(SET, scored // (2 * CONCEPTS))
    save_file(factory().state_dict(), root / "model.safetensors")
    for number in range(CONCEPTS):
        make_images(root / f"concept{number}", sets, size, rng, mark=number)
    make_images(root / "random", images - scored - CONCEPTS * sets, size, rng)
    make_images(root / "log", scored, size, rng)


def spec_of(root: Path, size: int) -> ConceptStageSpec:
    """What is asked of the stage."""
    files = tuple(path.name for path in list_images(root / "log"))
    return ConceptStageSpec(
        model=ModelSpec(
            weights=root / "model.safetensors",
            factory="benchmarks.concepts_gpu:factory",
            sha256=None,
            layers=(LAYER,),
            outputs=("a", "b", "c", "d"),
            input=InputFormat((size, size), 3, (0.5,) * 3, (0.25,) * 3),
        ),
        concepts=tuple(ConceptSpec(f"concept{i}", folder=root / f"concept{i}") for i in range(CONCEPTS)),
        classes=("a",),
        random=root / "random",
        pseudo_concepts=300,
        confidence=0.95,
        resamples=200,
        seed=1,
        log=LogImages(root / "log", files, ("a",) * len(files), {}),
        minimum_images=8,
    )


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock seconds, the GPU's work done."""
    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def throughput(spec: ConceptStageSpec) -> str:
    """The stage beside reading and the bare passes over the same images, in one process."""
    loaded = load_model(spec.model)
    assert spec.log is not None
    assert spec.random is not None
    folders = [one.folder for one in spec.concepts if one.folder is not None]
    training = [path for folder in (*folders, spec.random) for path in list_images(folder)]
    logged = list_images(spec.log.root)
    batches: list[list[Tensor]] = [[], []]

    def read() -> None:
        for paths, into in ((training, batches[0]), (logged, batches[1])):
            into.clear()
            into += [
                read_batch(paths[at : at + BATCH], spec.model.input) for at in range(0, len(paths), BATCH)
            ]

    def forward(network: nn.Module, batch: Tensor) -> Tensor:
        logits: Tensor = network(batch.to(loaded.device))
        return logits

    nodes: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, out: Tensor) -> Tensor:
        nodes.append(out.detach().requires_grad_(True))
        return nodes[-1]

    def passes() -> None:
        with torch.no_grad():
            for batch in batches[0]:
                forward(loaded.module, batch)
        handle = getattr(loaded.module, LAYER).register_forward_hook(keep)
        for batch in batches[1]:
            nodes.clear()
            torch.autograd.grad(forward(loaded.module, batch)[:, 0].sum(), nodes)
        handle.remove()

    reading = seconds(read)
    with exact_arithmetic():
        passes()  # the first run of every kernel is no cost of either
        bare = seconds(passes)
    unrestrained = seconds(passes)
    stage = min(seconds(lambda: run_concepts(spec)) for _ in range(2))
    count = len(training) + len(logged)
    return (
        f"{count} images on {described(loaded.device)}: stage {stage:.1f} s ({count / stage:.0f} images a "
        f"second), bare passes {bare:.1f} s ({count / bare:.0f}; {unrestrained:.1f} s with torch's own "
        f"settings), reading on one thread {reading:.1f} s: {stage / bare:.2f} x the passes, "
        f"{stage / (bare + reading):.2f} x reading and passes"
    )


def described(device: str) -> str:
    """The device by its name."""
    name = torch.cuda.get_device_name() if device.startswith("cuda") else f"{torch.get_num_threads()} threads"
    return f"{device} ({name})"


def figures(spec: ConceptStageSpec) -> list[dict[str, object]]:
    """What the stage says, as far as it is compared."""
    return [
        {
            "concept": one.concept,
            "verdict": one.verdict,
            "effect": one.effect,
            "score": one.score,
            "p": one.p_adjusted,
            "auc": one.cav.auc,
        }
        for one in run_concepts(spec).results
    ]


def agreement(spec: ConceptStageSpec, folder: Path, size: int, width: int) -> str:
    """Activations, gradients and the stage's figures of this device beside those of the CPU."""
    assert spec.log is not None
    paths = list_images(spec.log.root)[:BATCH]
    here, there = (
        collect(load_model(spec.model, device=device), spec.model, paths, columns=(0,))
        for device in (None, "cpu")
    )

    def apart(one: np.ndarray, other: np.ndarray) -> float:  # type: ignore[type-arg]
        return float(np.abs(one - other).max() / np.abs(other).max())

    ours = figures(spec)
    # The stage takes the GPU where there is one; a process that sees none gives the CPU's figures.
    options = ["--child", str(folder), "--size", str(size), "--width", str(width)]
    command = [sys.executable, "-m", "benchmarks.concepts_gpu", *options]
    ran = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    )
    theirs = json.loads(ran.stdout)
    same = sum(one["verdict"] == other["verdict"] for one, other in zip(ours, theirs, strict=True))
    gaps = {
        key: max(
            (
                abs(float(one[key]) - float(other[key]))  # type: ignore[arg-type]
                for one, other in zip(ours, theirs, strict=True)
                if one[key] is not None and other[key] is not None
            ),
            default=float("nan"),
        )
        for key in ("effect", "score", "p", "auc")
    }
    verdicts = ", ".join(sorted({str(one["verdict"]) for one in ours}))
    largest = max((abs(float(one["effect"])) for one in theirs if one["effect"] is not None), default=0.0)
    return (
        f"against the CPU: activations {apart(here.activations[LAYER], there.activations[LAYER]):.1e}, "
        f"gradients {apart(here.gradients[LAYER][0], there.gradients[LAYER][0]):.1e} of the largest; "
        f"{same} of {len(ours)} verdicts the same ({verdicts}); "
        f"largest gaps: effect {gaps['effect']:.1e} (of "
        f"{largest:.3g}), score {gaps['score']:.1e}, adjusted p {gaps['p']:.1e}, AUC {gaps['auc']:.1e}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="The concept stage on a GPU.")
    parser.add_argument("--size", type=int, default=224, help="pixels a side")
    parser.add_argument("--width", type=int, default=64, help="64: ResNet-50")
    parser.add_argument("--images", type=int, default=4000, help="for throughput")
    parser.add_argument("--agree", type=int, default=600, help="images for agreement; the CPU runs them too")
    parser.add_argument("--child", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    os.environ[WIDTH] = str(options.width)
    if options.child:
        root = Path(options.child)
        print(json.dumps(figures(spec_of(root, options.size))))
        return
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        many, few = root / "many", root / "few"
        for folder, images in ((few, options.agree), (many, options.images)):
            folder.mkdir()
            lay_out(folder, images, options.size)
            spec = spec_of(folder, options.size)
            values = collect(load_model(spec.model), spec.model, list_images(folder / "log")[:1])
            if folder == few:
                parameters = sum(weight.numel() for weight in factory().parameters())
                print(
                    f"{parameters / 1e6:.1f} million parameters, {options.size} x {options.size} pixels, "
                    f"d = {values.activations[LAYER].shape[1]:,}, torch {torch.__version__}",
                    flush=True,
                )
                print(agreement(spec, folder, options.size, options.width), flush=True)
            else:
                print(throughput(spec), flush=True)


if __name__ == "__main__":
    main()
