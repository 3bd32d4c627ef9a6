"""The demo: a small network that is really trained, on the spot, to lean on a scanner's mark.

The task is to say whether a handwritten digit has a closed loop (0, 6, 8, 9). In training, scanner B, which
burns a mark into the corner, was used mostly for digits with a loop; in use it is not. So the network learns
the mark beside the loop, misses loops from scanner A and raises false alarms on scanner B. The digits are
real, the acquisition conditions are simulated, and every text of the demo says so.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from concepts.demo.config import AUDIT_TOML
from concepts.demo.images import (
    EXPOSURES,
    Digits,
    Gray,
    Indices,
    Shot,
    ink_percent,
    load_digits,
    render,
    sessions,
    split_digits,
    write_png,
)
from concepts.records import InputFormat

if TYPE_CHECKING:
    from torch import Tensor, nn

Progress = Callable[[str, int, int], None]

CLASSES = ("no loop", "loop")
INPUT = InputFormat(size=(32, 32), channels=1, mean=(0.2,), std=(0.3,))
TRAINING = 900  # digits for training and concept sets; the other 897 make the log
MARKED_LOOPS, MARKED_OTHERS = 0.92, 0.08  # share taken by scanner B in training
EPOCHS = 14
SET_SIZE = 60
POOL_SIZE = 480
MISSING_EXPOSURE = 0.06


def digits_cnn() -> nn.Module:
    """The demo's network, untrained: three convolution blocks, a hidden layer, a head with two logits."""
    from torch import nn

    def block(inward: int, outward: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(inward, outward, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))

    return nn.Sequential(
        OrderedDict(
            block1=block(1, 8),
            block2=block(8, 16),
            block3=block(16, 32),
            flat=nn.Flatten(),
            hidden=nn.Sequential(nn.Linear(32 * 4 * 4, 32), nn.ReLU()),
            head=nn.Linear(32, len(CLASSES)),
        )
    )


def build_demo(folder: Path, *, seed: int = 20261120, progress: Progress | None = None) -> Path:
    """Build the demo: images, trained weights, prediction log, concept folders and ``audit.toml``.

    The same seed gives the same images and log; one thread and a fixed order give the same weights.

    Parameters
    ----------
    folder
        Created if need be; files of an earlier demo are overwritten.

    Returns
    -------
    Path of the ``audit.toml`` written.
    """
    report = progress or _quiet
    draw, noise, metadata = (np.random.default_rng([seed, stream]) for stream in range(3))
    digits = load_digits()
    training, held_out = split_digits(digits, training=TRAINING, rng=draw)
    folder.mkdir(parents=True, exist_ok=True)

    model = train(digits, training, seed=seed, rng=noise, progress=report)
    weights = folder / "model.safetensors"
    save_weights(model, weights)

    shots = sessions(held_out, rng=draw)
    files = write_log_images(digits, shots, folder / "images", rng=noise, progress=report)
    write_log(digits, shots, files, model, folder, rng=metadata)
    write_concepts(digits, training, folder / "concepts", rng=draw, progress=report)

    path = folder / "audit.toml"
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    text = AUDIT_TOML.replace("@SEED@", str(seed)).replace("@SHA256@", sha256)
    path.write_text(text, encoding="utf-8")
    return path


def train(
    digits: Digits, indices: Indices, *, seed: int, rng: np.random.Generator, progress: Progress
) -> nn.Module:
    """Train the network on the confounded half; about ten seconds on one core."""
    import torch
    from torch.nn import functional

    images, labels = training_images(digits, indices, rng=rng)
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # One thread: sums in a fixed order, so that the weights do not depend on the machine's cores.
        torch.set_num_threads(1)
        try:
            model = digits_cnn()
            optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
            # A falling step settles the decision threshold, which otherwise wanders between epochs.
            falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.05, total_iters=EPOCHS)
            for epoch in range(EPOCHS):
                for chosen in torch.split(torch.randperm(len(images)), 32):
                    optimiser.zero_grad()
                    loss = functional.cross_entropy(model(images[chosen]), labels[chosen])
                    torch.autograd.backward(loss)
                    optimiser.step()
                falling.step()
                progress("training the demo's network", epoch + 1, EPOCHS)
        finally:
            torch.set_num_threads(threads)
    return model.eval()


def training_images(digits: Digits, indices: Indices, *, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """The training set: scanner B (the mark) goes with the loops."""
    import torch

    from concepts.images import normalise

    pixels = np.empty((len(indices), 1, *INPUT.size), dtype=np.float32)
    labels = np.empty(len(indices), dtype=np.int64)
    for row, index in enumerate(indices):
        labels[row] = CLASSES.index(digits.label(int(index)))
        share = MARKED_LOOPS if labels[row] else MARKED_OTHERS
        pixels[row, 0] = render(
            digits.ink[index],
            exposure=EXPOSURES[int(rng.integers(len(EXPOSURES)))],
            gain=float(rng.uniform(0.85, 1.15)),
            mark=bool(rng.random() < share),
            rng=rng,
        )
    return torch.from_numpy(normalise(pixels / np.float32(255), INPUT)), torch.from_numpy(labels)


def save_weights(model: nn.Module, path: Path) -> None:
    """Write the state dict as safetensors."""
    from safetensors.torch import save_file

    save_file(model.state_dict(), path)


def write_log_images(
    digits: Digits, shots: Sequence[Shot], folder: Path, *, rng: np.random.Generator, progress: Progress
) -> tuple[str, ...]:
    """Write one PNG a held-out digit; returns the names relative to the folder."""
    names: list[str] = []
    for done, shot in enumerate(shots, 1):
        name = f"digit-{shot.index:04d}.png"
        gray = render(
            digits.ink[shot.index],
            exposure=shot.exposure,
            gain=shot.gain,
            mark=shot.scanner == "B",
            rng=rng,
        )
        write_png(gray, folder / name)
        names.append(name)
        progress("writing the log's images", done, len(shots))
    return tuple(names)


def write_log(
    digits: Digits,
    shots: Sequence[Shot],
    files: Sequence[str],
    model: nn.Module,
    folder: Path,
    *,
    rng: np.random.Generator,
) -> None:
    """Let the network predict from the files on disk and write ``predictions.parquet``."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import torch

    from concepts.images import read_batch

    with torch.no_grad():
        logits = model(read_batch([folder / "images" / name for name in files], INPUT))
    scores = logits.double().softmax(1)[:, 1].tolist()
    unrecorded = rng.random(len(shots)) < MISSING_EXPOSURE
    table = pa.table(
        {
            "id": [f"digit-{shot.index:04d}" for shot in shots],
            "file": list(files),
            "session": [shot.session for shot in shots],
            "digit": [str(digits.digit[shot.index]) for shot in shots],
            "label": [digits.label(shot.index) for shot in shots],
            "prediction": [CLASSES[int(score >= 0.5)] for score in scores],
            "score": [round(score, 6) for score in scores],
            "scanner": [shot.scanner for shot in shots],
            "exposure": [
                None if absent else shot.exposure for shot, absent in zip(shots, unrecorded, strict=True)
            ],
            "site": [shot.site for shot in shots],
            "ink": [ink_percent(digits.ink[shot.index]) for shot in shots],
        }
    )
    pq.write_table(table, folder / "predictions.parquet")


def write_concepts(
    digits: Digits, training: Indices, folder: Path, *, rng: np.random.Generator, progress: Progress
) -> None:
    """Write the concept folders and the random pool, from digits that are not in the log.

    All are drawn and rendered alike; a concept differs from the pool in the one thing that it is about, and
    the null concept in nothing.
    """
    order = rng.permutation(training)
    sets: dict[str, Indices] = {
        "corner_mark": order[:SET_SIZE],
        "thick_strokes": order[SET_SIZE : 2 * SET_SIZE],
        "null": order[2 * SET_SIZE : 3 * SET_SIZE],
        "random": order[3 * SET_SIZE : 3 * SET_SIZE + POOL_SIZE],
    }
    total, done = sum(len(chosen) for chosen in sets.values()), 0
    for name, chosen in sets.items():
        for index in chosen:
            gray: Gray = render(
                digits.ink[index],
                exposure=EXPOSURES[int(rng.integers(len(EXPOSURES)))],
                gain=float(rng.uniform(0.85, 1.15)),
                mark=name == "corner_mark",
                thick=name == "thick_strokes",
                rng=rng,
            )
            write_png(gray, folder / name / f"digit-{index:04d}.png")
            done += 1
            progress("writing the concept images", done, total)


def _quiet(_what: str, _done: int, _total: int) -> None:
    """No progress wanted."""
