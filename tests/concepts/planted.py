"""Images whose truth is planted: the label depends on known concepts to a known degree.

Each image is smooth noise with concepts stamped onto it, each present by its own coin. The label is drawn
from ``logit P(y = 1) = sum_c degree_c x (2 present_c - 1)``: a concept of degree 0 is learnable (it can be
seen) and unused (it says nothing of the label). The spot is red, all other concepts are green and blue.
Small networks of three kinds are trained on fresh images; *split* ones hand the red channel alone to the part
that makes the logits, and green and blue to a part that is only looked at: there an unused concept has, by
construction, no effect on the logit, which no training can promise.
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

#: The concepts that the label does not depend on, where only the spot has a degree.
UNUSED = CONCEPTS[1:]
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

    stamp("spot", (away <= 6).astype(np.float32), (0,))
    stamp("stripes", 0.8 * stripes, (1, 2))
    stamp("checks", 0.8 * checks, (1, 2))
    stamp("weave", 0.8 * weave, (1, 2))
    stamp("tint", np.full((1, SIDE, SIDE), 0.7, np.float32), (1,))
    stamp("tint", np.full((1, SIDE, SIDE), -0.7, np.float32), (2,))
    stamp("frame", frame, (1, 2))
    stamp("bar", bar, (1, 2))
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

    def enter(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def stages(self) -> tuple[nn.Module, ...]:
        return self.features[0:3], self.features[3:6], self.features[6:9]

    def leave(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x)

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

    def enter(self, x: torch.Tensor) -> torch.Tensor:
        return self.stem(x)

    def stages(self) -> tuple[nn.Module, ...]:
        return self.block1, self.block2, self.block3

    def leave(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x.mean((2, 3)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.leave(self.block3(self.block2(self.block1(self.enter(x)))))


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

    def enter(self, x: torch.Tensor) -> torch.Tensor:
        patches = self.patch(x).flatten(2).transpose(1, 2)
        return torch.cat([self.token.expand(len(x), -1, -1), patches], dim=1) + self.place

    def stages(self) -> tuple[nn.Module, ...]:
        return tuple(self.encoder)

    def leave(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x.mean(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.leave(self.encoder(self.enter(x)))


class Split(nn.Module):
    """Two networks of one kind side by side, their activations joined at every layer.

    ``used`` sees red and makes the logits; ``watched`` sees green and blue and makes nothing. A concept
    painted in green and blue can be read off the joined layer and cannot reach a logit.
    """

    layers = ("join.0", "join.1", "join.2")

    def __init__(self, used: nn.Module, watched: nn.Module) -> None:
        super().__init__()
        self.used, self.watched = used, watched
        self.join = nn.ModuleList(nn.Identity() for _ in range(3))
        self.register_buffer("red", torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = self.used.enter(x * self.red), self.watched.enter(x * (1 - self.red))
        for one, other, join in zip(self.used.stages(), self.watched.stages(), self.join, strict=True):
            left, right = one(left), other(right)
            width = left[0].numel()
            both = join(torch.cat([left.flatten(1), right.flatten(1)], dim=1))
            left, right = both[:, :width].reshape(left.shape), both[:, width:].reshape(right.shape)
        return self.used.leave(left)


NETWORKS: dict[str, type[nn.Module]] = {"plain": Plain, "residual": Residual, "attention": Attention}


def train(
    kind: str,
    degrees: Mapping[str, float],
    *,
    seed: int,
    steps: int = 250,
    batch: int = 64,
    channels: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> nn.Module:
    """Train a network on fresh images of the planted population; evaluated with frozen weights."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = NETWORKS[kind]()
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=6e-3, total_steps=steps)
    for _ in range(steps):
        sample = draw(batch, degrees, rng)
        seen = centre(sample.images) * torch.tensor(channels).reshape(1, 3, 1, 1)
        loss = nn.functional.cross_entropy(network(seen), torch.from_numpy(sample.labels))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    network.eval()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network


def train_split(kind: str, degrees: Mapping[str, float], *, seed: int, steps: int = 250) -> nn.Module:
    """A split network; its watched part is trained a little, on labels that need green and blue."""
    used = train(kind, degrees, seed=seed, steps=steps, channels=(1.0, 0.0, 0.0))
    others = {"stripes": 2.0, "tint": 2.0, "bar": 2.0}
    watched = train(kind, others, seed=seed + 1, steps=steps // 4, channels=(0.0, 1.0, 1.0))
    return Split(used, watched).eval()


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
