"""Images whose truth is planted: the label depends on known concepts to a known degree.

Each image is smooth noise with concepts stamped onto it, each present by its own coin. The label is drawn
from ``logit P(y = 1) = sum_c degree_c x (2 present_c - 1)``: a concept of degree 0 is learnable (it can be
seen) and unused (it says nothing of the label). Small networks of three kinds are trained on fresh images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

SIDE = 16
CONCEPTS = ("spot", "stripes", "checks", "weave", "tint", "frame", "bar")

#: Concepts that share no feature with the spot, to first order: they leave mean brightness as it is. The
#: bright bar is kept apart: a network that looks for bright pixels responds to it, whatever the labels say.
UNLIKE = ("stripes", "checks", "weave", "tint", "frame")
Images = NDArray[np.float32]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True)
class Sample:
    """``images``: (n, 3, 16, 16) in [0, 1]; ``present``: (n, concepts), as CONCEPTS; ``labels``: (n,)."""

    images: Images
    present: Booleans
    labels: NDArray[np.int64]


def draw(
    n: int,
    degrees: Mapping[str, float],
    rng: np.random.Generator,
    *,
    prevalence: float = 0.5,
    always: tuple[str, ...] = (),
    never: tuple[str, ...] = (),
) -> Sample:
    """Draw images; concepts in ``always`` are on every image, those in ``never`` on none."""
    present = rng.random((n, len(CONCEPTS))) < prevalence
    for name in always:
        present[:, CONCEPTS.index(name)] = True
    for name in never:
        present[:, CONCEPTS.index(name)] = False
    weights = np.array([degrees.get(name, 0.0) for name in CONCEPTS])
    chance = 1 / (1 + np.exp(-(2.0 * present - 1.0) @ weights))
    labels = (rng.random(n) < chance).astype(np.int64)
    return Sample(paint(present, rng), present, labels)


def paint(present: Booleans, rng: np.random.Generator) -> Images:
    """Stamp the concepts onto smooth noise, each at a random strength and, where it can be, place."""
    n = len(present)
    coarse = rng.random((n, 3, 4, 4)).astype(np.float32)
    images = 0.3 + 0.3 * np.kron(coarse, np.ones((1, 1, 4, 4), dtype=np.float32))
    images += 0.05 * rng.standard_normal(images.shape).astype(np.float32)
    row, column = np.mgrid[0:SIDE, 0:SIDE]
    on = {name: present[:, i] for i, name in enumerate(CONCEPTS)}
    strength = (0.25 + 0.2 * rng.random((n, len(CONCEPTS)))).astype(np.float32)
    power = {name: strength[:, i, None, None] for i, name in enumerate(CONCEPTS)}
    place = rng.integers(3, SIDE - 3, size=(n, 2))
    away = (row - place[:, :1, None]) ** 2 + (column - place[:, 1:, None]) ** 2
    phase = rng.integers(0, 4, size=(n, 1, 1))
    stripes = np.where((column[None] + phase) % 4 < 2, 1.0, -1.0).astype(np.float32)
    checks = np.where(((row // 2 + column // 2)[None] + phase) % 2 == 0, 1.0, -1.0).astype(np.float32)
    line = rng.integers(2, SIDE - 3, size=(n, 1, 1))
    bar = ((row[None] >= line) & (row[None] < line + 2)).astype(np.float32)
    weave = np.where((row + column + phase) % 6 < 3, 1.0, -1.0).astype(np.float32)
    edge = ((row < 1) | (row >= SIDE - 1) | (column < 1) | (column >= SIDE - 1))[None]
    frame = np.where(edge, np.where((row + column) % 2 == 0, 1.0, -1.0), 0.0).astype(np.float32)

    def stamp(name: str, shape: NDArray[np.float32], channels: tuple[int, ...]) -> None:
        layer = (on[name][:, None, None] * power[name] * shape).astype(np.float32)
        for channel in channels:
            images[:, channel] += layer

    stamp("spot", (away <= 6).astype(np.float32), (0, 1, 2))
    stamp("stripes", 0.8 * stripes, (0, 1, 2))
    stamp("checks", 0.8 * checks, (0, 2))
    stamp("weave", 0.8 * weave, (1, 2))
    stamp("tint", np.full((1, SIDE, SIDE), 0.7, np.float32), (1,))
    stamp("tint", np.full((1, SIDE, SIDE), -0.7, np.float32), (0,))
    stamp("frame", frame, (0, 1, 2))
    stamp("bar", bar, (0, 1, 2))
    return np.clip(images, 0.0, 1.0).astype(np.float32)


def centre(images: Images) -> torch.Tensor:
    """As networks see them: (pixel - 0.5) / 0.25."""
    return torch.from_numpy((images - np.float32(0.5)) / np.float32(0.25))


class Plain(nn.Module):
    """Three convolutions with max-pooling; two logits."""

    layers = ("features.2", "features.5", "features.8")

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for inside, outside in ((3, 8), (8, 16), (16, 24)):
            blocks += [nn.Conv2d(inside, outside, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*blocks)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(24 * 4, 32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x))


class Residual(nn.Module):
    """A stem and three residual blocks with batch normalisation, mean-pooled; two logits."""

    layers = ("block1", "block2", "block3")

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1, stride=2)
        self.block1, self.block2, self.block3 = (_Block(12) for _ in range(3))
        self.head = nn.Sequential(nn.Linear(12, 24), nn.Tanh(), nn.Linear(24, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.block3(self.block2(self.block1(self.stem(x)))).mean((2, 3)))


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.body(x))


class Attention(nn.Module):
    """A small vision transformer with a class token: patches of 4 x 4, three encoder layers; two logits."""

    layers = ("encoder.0", "encoder.1", "encoder.2")

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 32, 4, stride=4)
        self.token = nn.Parameter(torch.zeros(1, 1, 32))
        self.place = nn.Parameter(0.02 * torch.randn(1, 17, 32))
        self.encoder = nn.Sequential(
            *(nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True) for _ in range(3))
        )
        self.head = nn.Linear(32, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        patches = self.patch(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), patches], dim=1) + self.place
        return self.head(self.encoder(tokens).mean(1))


NETWORKS: dict[str, type[nn.Module]] = {"plain": Plain, "residual": Residual, "attention": Attention}


def train(
    kind: str, degrees: Mapping[str, float], *, seed: int, steps: int = 250, batch: int = 64
) -> nn.Module:
    """Train a network on fresh images of the planted population; evaluated with frozen weights."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = NETWORKS[kind]()
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=6e-3, total_steps=steps)
    for _ in range(steps):
        sample = draw(batch, degrees, rng)
        loss = nn.functional.cross_entropy(network(centre(sample.images)), torch.from_numpy(sample.labels))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    network.eval()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network


def save(images: Images, folder: Path) -> None:
    """Write images as PNG files 0000.png, 0001.png, …"""
    from PIL import Image

    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        pixels = (np.moveaxis(image, 0, -1) * 255).round().astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:04d}.png")


def plain() -> nn.Module:
    """A factory, as configurations name one."""
    return Plain()


def residual() -> nn.Module:
    return Residual()


def attention() -> nn.Module:
    return Attention()
