"""The demo's images: real handwritten digits under simulated acquisition conditions. No model here.

The digits are scikit-learn's (8 x 8 pixels, shipped in that package; Alpaydin and Kaynak, UCI Optical
Recognition of Handwritten Digits, 1998). Everything else is simulated: scanner, exposure, site, session, and
the mark that scanner B burns into the top right corner.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

Scanner = Literal["A", "B"]
Gray = np.ndarray[tuple[int, int], np.dtype[np.uint8]]
Ink = np.ndarray[tuple[int, int], np.dtype[np.float64]]
Indices = np.ndarray[tuple[int], np.dtype[np.int64]]

SIDE = 32  # pixels of a rendered image
DIGIT_SIDE = 24  # the digit is centred and leaves a border for the mark
LOOPS = frozenset({0, 6, 8, 9})  # digits written with a closed loop
SITES = ("north", "south", "west")
EXPOSURES = ("low", "normal", "high")
GAIN = {"low": 0.40, "normal": 0.75, "high": 1.0}  # of full ink
GLARE = {"low": 0.0, "normal": 0.0, "high": 0.15}  # added background
SESSION_SIZE = 6  # images that share scanner, site and exposure setting


@dataclass(frozen=True, slots=True)
class Digits:
    """The 1,797 digits: ``ink`` (n, 8, 8) in [0, 1], ``digit`` (n,) 0 to 9."""

    ink: np.ndarray[tuple[int, int, int], np.dtype[np.float64]]
    digit: Indices

    def label(self, index: int) -> str:
        """The class that the demo's model is to find: "loop" for 0, 6, 8 and 9."""
        return "loop" if int(self.digit[index]) in LOOPS else "no loop"


@dataclass(frozen=True, slots=True)
class Shot:
    """One simulated acquisition of one digit. ``gain`` is the session's own brightness, near 1."""

    index: int
    session: str
    scanner: Scanner
    site: str
    exposure: str
    gain: float


def load_digits() -> Digits:
    """scikit-learn's digits, from its installed files."""
    from sklearn.datasets import load_digits as load

    bunch = load()
    return Digits(ink=bunch.images / 16.0, digit=bunch.target.astype(np.int64))


def split_digits(digits: Digits, *, training: int, rng: np.random.Generator) -> tuple[Indices, Indices]:
    """Two disjoint halves: indices for training (and concept sets), indices for the log."""
    order = rng.permutation(len(digits.digit))
    return np.sort(order[:training]), np.sort(order[training:])


def sessions(indices: Indices, *, rng: np.random.Generator) -> list[Shot]:
    """Acquire images in sessions that know nothing of the label: what the model meets in use.

    Scanner, site and exposure are drawn once a session; so is a brightness of its own, which makes the
    images of one session alike.
    """
    shots: list[Shot] = []
    shuffled = rng.permutation(indices)
    for number, start in enumerate(range(0, len(shuffled), SESSION_SIZE)):
        scanner: Scanner = "B" if rng.random() < 0.5 else "A"
        site = SITES[int(rng.integers(len(SITES)))]
        exposure = EXPOSURES[int(rng.choice(len(EXPOSURES), p=[0.3, 0.45, 0.25]))]
        gain = float(rng.uniform(0.85, 1.15))
        shots.extend(
            Shot(int(index), f"s{number:03d}", scanner, site, exposure, gain)
            for index in shuffled[start : start + SESSION_SIZE]
        )
    return sorted(shots, key=lambda shot: shot.index)


def render(
    ink: Ink, *, exposure: str, gain: float, mark: bool, rng: np.random.Generator, thick: bool = False
) -> Gray:
    """Render one digit as a 32 x 32 grey image.

    ``thick`` widens every stroke by one pixel on each side; ``mark`` burns a bright square into the top
    right corner, after exposure and noise, as a scanner's overlay would.
    """
    from PIL import Image, ImageFilter

    small = Image.fromarray((ink * 255).astype(np.uint8))
    digit = small.resize((DIGIT_SIDE, DIGIT_SIDE), Image.Resampling.BILINEAR)
    border = (SIDE - DIGIT_SIDE) // 2
    canvas = Image.new("L", (SIDE, SIDE))
    canvas.paste(digit, (border, border))
    if thick:
        canvas = canvas.filter(ImageFilter.MaxFilter(3))
    pixels = np.asarray(canvas, dtype=np.float64) / 255
    exposed = GLARE[exposure] + pixels * GAIN[exposure] * gain + rng.normal(0, 0.06, pixels.shape)
    gray: Gray = (np.clip(exposed, 0, 1) * 255).round().astype(np.uint8)
    if mark:
        burn(gray)
    return gray


def burn(gray: Gray) -> None:
    """Burn scanner B's mark, in place: a bright square of 4 x 4 pixels in the top right corner."""
    gray[1:5, SIDE - 5 : SIDE - 1] = 230


def ink_percent(ink: Ink) -> float:
    """Share of the original 8 x 8 image that is covered by ink, in percent, to one digit."""
    return round(100 * float(ink.mean()), 1)


def write_png(gray: Gray, path: Path) -> None:
    """Write a grey image; PNG keeps neither a clock time nor a host, so that bytes repeat."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(gray).save(path, format="PNG", compress_level=6)
