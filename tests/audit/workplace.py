"""A small log and its configuration, written into a folder for a test."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

HEADER = ("image", "patient", "label", "prediction", "score", "sex", "age", "scanner")

CONFIGURATION = """
[subject]
name = "Triage"
version = "1.2"
purpose = "Flag suspected findings."
[log]
path = "log.csv"
label = "label"
prediction = "prediction"
positive = "1"
[[attributes]]
name = "sex"
kind = "demographic"
[[attributes]]
name = "scanner"
kind = "acquisition"
[statistics]
resamples = 400
[report]
formats = ["html"]
"""

RULES = """
[[policy.rules]]
id = "recall-floor"
metric = "recall"
at_least = 0.85
attributes = ["sex", "scanner"]
[[policy.rules]]
id = "accuracy-floor"
metric = "accuracy"
at_least = 0.6
overall = true
"""


def rows(number: int = 600, *, seed: int = 7) -> list[tuple[str, ...]]:
    """A binary log in which scanner B finds far fewer positives."""
    rng = np.random.default_rng(seed)
    found = []
    for row in range(number):
        label = int(rng.random() < 0.4)
        scanner = "AB"[int(rng.random() < 0.4)]
        sex = ("F", "M", "")[int(rng.choice(3, p=[0.5, 0.45, 0.05]))]
        right = rng.random() < ((0.55 if scanner == "B" else 0.95) if label else 0.92)
        score = float(np.clip((label if right else 1 - label) * 0.6 + rng.random() * 0.39, 0, 1))
        found.append(
            (
                f"i{row:04d}.png",
                f"p{row // 3:03d}",
                str(label),
                str(label if right else 1 - label),
                f"{score:.4f}",
                sex,
                str(int(rng.integers(18, 90))),
                scanner,
            )
        )
    return found


def write_log(folder: Path, lines: list[tuple[str, ...]] | None = None, *, name: str = "log.csv") -> Path:
    """Write the log as CSV."""
    path = folder / name
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows(rows() if lines is None else lines)
    return path


def write_work(folder: Path, *, more: str = RULES, configuration: str = CONFIGURATION) -> Path:
    """Write log and configuration; returns the configuration's path."""
    write_log(folder)
    path = folder / "audit.toml"
    path.write_text(configuration + more, encoding="utf-8")
    return path
