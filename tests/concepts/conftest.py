"""One small network with a planted truth, its images and concept folders, for all tests of the stage."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from concepts.records import ConceptSpec, ConceptStageSpec, InputFormat, LogImages, ModelSpec
from tests.concepts.planted import Sample, draw, save, train

PLANTED = {"spot": 4.0}
FORM = InputFormat(size=(16, 16), channels=3, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


@dataclass(frozen=True)
class World:
    """Folders ``spot``, ``frame``, ``null``, ``random``, ``log``; weights; labels and attributes."""

    root: Path
    model: ModelSpec
    log: LogImages
    sample: Sample

    def spec(self, *concepts: ConceptSpec, **changes: object) -> ConceptStageSpec:
        settings: dict[str, object] = {
            "model": self.model,
            "concepts": concepts or (self.folder("spot"), self.folder("null")),
            "classes": ("yes",),
            "random": self.root / "random",
            "pseudo_concepts": 99,
            "confidence": 0.95,
            "resamples": 60,
            "seed": 7,
            "log": self.log,
        }
        return ConceptStageSpec(**(settings | changes))  # type: ignore[arg-type]

    def folder(self, name: str) -> ConceptSpec:
        return ConceptSpec(name, folder=self.root / name)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("planted")
    rng = np.random.default_rng(11)
    network = train("plain", PLANTED, seed=3, steps=200)
    save_file(network.state_dict(), root / "model.safetensors")
    rare = 0.15
    for name in ("spot", "frame"):
        save(draw(40, PLANTED, rng, prevalence=rare, always=(name,)).images, root / name)
    save(draw(40, PLANTED, rng, prevalence=rare).images, root / "null")
    save(draw(170, PLANTED, rng, prevalence=rare).images, root / "random")
    sample = draw(300, PLANTED, rng)
    save(sample.images, root / "log")
    has_tint = sample.present[:, 4]
    site = np.array(["north", "south", None], dtype=object)[rng.integers(0, 3, size=300)]
    log = LogImages(
        root=root / "log",
        files=tuple(f"{i:04d}.png" for i in range(300)),
        labels=tuple(("no", "yes")[label] for label in sample.labels),
        attributes={"tint": tuple(np.where(has_tint, "B", "A").tolist()), "site": tuple(site.tolist())},
    )
    model = ModelSpec(
        weights=root / "model.safetensors",
        factory="tests.concepts.planted:plain",
        sha256=hashlib.sha256((root / "model.safetensors").read_bytes()).hexdigest(),
        layers=("features.2", "features.5"),
        outputs=("no", "yes"),
        input=FORM,
    )
    return World(root, model, log, sample)
