"""Texture against shape: concepts whose truth is known, on the cue-conflict images of Geirhos et al. (2019).

Every image has the shape of one class and the texture of another. One network is trained on the shape, one
on the texture, by the same recipe on the same images. Texture concepts should drive the second and not the
first, and the reverse.

    python -m benchmarks.cue_conflict FOLDER     # the folder with labels.csv and cue_conflict/
"""

from __future__ import annotations

import argparse
import csv
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from concepts.images import read_batch
from concepts.records import ConceptResult, ConceptSpec, ConceptStageSpec, InputFormat, LogImages, ModelSpec
from concepts.stage import run_concepts

FORM = InputFormat(size=(48, 48), channels=3, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
LAYERS = ("features.7", "features.11")
CUES = ("shape", "texture")
PAGE = """# Texture against shape

Regenerate with `python -m benchmarks.cue_conflict FOLDER --out docs/validation-cue-conflict.md` on the
cue-conflict images of Geirhos et al. (2019): 16 shapes fully crossed with 16 textures. Two networks of one
recipe, one trained on the shape, one on the texture; concepts of six classes of each kind, tested for their
own class at two layers (and, in the same family, for the five other classes), 300 pseudo-concepts, max-T over
144 hypotheses.

"""


@dataclass(frozen=True)
class Image:
    """A file with its two classes."""

    file: str
    shape: str
    texture: str


def network() -> nn.Module:
    """A small CNN with 16 logits; the factory of the audit."""
    blocks: list[nn.Module] = []
    for inside, outside in ((3, 16), (16, 32), (32, 48)):
        blocks += [
            nn.Conv2d(inside, outside, 3, padding=1),
            nn.BatchNorm2d(outside),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
    return nn.Sequential(nn.Sequential(*blocks), nn.Flatten(), nn.Dropout(0.3), nn.Linear(48 * 36, 16))


class Named(nn.Module):
    """The network with its convolutions under a name."""

    def __init__(self) -> None:
        super().__init__()
        self.features, _, self.dropout, self.head = network()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.dropout(self.features(x).flatten(1)))
        return logits


def factory() -> nn.Module:
    """What the configuration's ``factory`` names."""
    return Named()


def read_labels(folder: Path) -> list[Image]:
    with (folder / "labels.csv").open(newline="") as file:
        rows = [
            Image(row["file"], row["shape_class"], row["texture_class"])
            for row in csv.DictReader(file)
            if row["file"].startswith("cue_conflict/")
        ]
    return sorted(rows, key=lambda image: image.file)


def train(
    images: torch.Tensor, targets: NDArray[np.int64], *, epochs: int, seed: int
) -> tuple[nn.Module, float]:
    """Train on all images; the share that the network then names rightly."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = Named()
    batch = 64
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2)
    steps = epochs * (len(images) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=4e-3, total_steps=steps)
    goal = torch.from_numpy(targets)
    for _ in range(epochs):
        order = rng.permutation(len(images))
        for start in range(0, len(order) - batch + 1, batch):
            rows = torch.from_numpy(order[start : start + batch])
            batch_images = images[rows]
            if rng.random() < 0.5:
                batch_images = batch_images.flip(3)
            loss = nn.functional.cross_entropy(model(batch_images), goal[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    model.eval()
    with torch.no_grad():
        right = torch.cat([model(part).argmax(1) for part in images.split(128)]) == goal
    return model, float(right.float().mean())


def lay_out(images: Sequence[Image], source: Path, target: Path, classes: Sequence[str]) -> set[str]:
    """Concept folders and the random pool from one half of the images; the other half is scored."""
    rng = np.random.default_rng(20261120)
    training = {image.file for image in images if rng.random() < 0.5}
    for image in images:
        if image.file not in training:
            continue
        name = Path(image.file).name
        wanted = [target / "random"]
        wanted += [target / f"shape {image.shape}"] if image.shape in classes else []
        wanted += [target / f"texture {image.texture}"] if image.texture in classes else []
        for place in wanted:
            place.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / image.file, place / name)
    return training


def audit(
    cue: str,
    images: Sequence[Image],
    source: Path,
    work: Path,
    classes: Sequence[str],
    outputs: Sequence[str],
    training: set[str],
    *,
    pseudo_concepts: int,
) -> tuple[ConceptResult, ...]:
    """The concept stage on the network trained on ``cue``; its label is the class by that cue."""
    scored = [image for image in images if image.file not in training]
    spec = ConceptStageSpec(
        model=ModelSpec(
            weights=work / f"{cue}.safetensors",
            factory="benchmarks.cue_conflict:factory",
            sha256=None,
            layers=LAYERS,
            outputs=tuple(outputs),
            input=FORM,
        ),
        concepts=tuple(
            ConceptSpec(f"{kind} {name}", folder=work / f"{kind} {name}") for kind in CUES for name in classes
        ),
        classes=tuple(classes),
        random=work / "random",
        pseudo_concepts=pseudo_concepts,
        confidence=0.95,
        resamples=200,
        seed=20261120,
        log=LogImages(
            source,
            tuple(image.file for image in scored),
            tuple(getattr(image, cue) for image in scored),
            {},
        ),
    )
    return run_concepts(spec).results


def summarise(cue: str, results: Sequence[ConceptResult]) -> list[str]:
    """One line for each kind of concept: concepts of the class itself, at each layer."""
    lines = []
    for kind in CUES:
        for layer in LAYERS:
            own = [
                one
                for one in results
                if one.layer == layer and one.concept == f"{kind} {one.klass}" and one.undefined is None
            ]
            absent = sum(
                one.layer == layer and one.concept == f"{kind} {one.klass}" and one.undefined is not None
                for one in results
            )
            effects = [one.effect for one in own if one.effect is not None]
            scores = [one.score for one in own if one.score is not None]
            drives = sum(one.verdict == "drives" for one in own)
            opposes = sum(one.verdict == "opposes" for one in own)
            effect = f"{np.mean(effects):+.2f}" if effects else "–"
            score = f"{np.mean(scores):.2f}" if scores else "–"
            lines.append(
                f"| {cue} | {kind} | {layer} | {drives} of {len(own) + absent} | {opposes} | {absent} | "
                f"{effect} | {score} |"
            )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description="Texture and shape concepts on two networks.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--classes", type=int, default=6, help="how many of the 16 classes are concepts")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--pseudo-concepts", type=int, default=300)
    parser.add_argument("--out", type=Path, help="write the table here too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    images = read_labels(options.folder)
    outputs = sorted({image.shape for image in images})
    classes = outputs[:: max(1, len(outputs) // options.classes)][: options.classes]
    batch = read_batch([options.folder / image.file for image in images], FORM)
    lines = [
        "| network trained on | concept | layer | drives its class | opposes | not learnt "
        "| mean effect (logits) | mean score |",
        "|---|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        training = lay_out(images, options.folder, work, classes)
        for cue in CUES:
            targets = np.array([outputs.index(getattr(image, cue)) for image in images])
            model, accuracy = train(batch, targets, epochs=options.epochs, seed=1)
            print(f"network trained on {cue}: accuracy {accuracy:.3f}", flush=True)
            save_file(model.state_dict(), work / f"{cue}.safetensors")
            results = audit(
                cue,
                images,
                options.folder,
                work,
                classes,
                outputs,
                training,
                pseudo_concepts=options.pseudo_concepts,
            )
            lines += summarise(cue, results)
            print("\n".join(lines), flush=True)
    if options.out:
        options.out.write_text(PAGE + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
