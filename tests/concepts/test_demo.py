"""The demo: the story that it tells must be true of the log and of the network, not of the text."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from concepts.demo.images import burn, load_digits, split_digits
from concepts.demo.training import CLASSES, INPUT, MISSING_EXPOSURE, POOL_SIZE, SET_SIZE, TRAINING, build_demo
from concepts.images import list_images, read_batch, read_pixels
from concepts.model.loading import load_model
from concepts.records import InputFormat, ModelSpec

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    said: list[tuple[str, int, int]] = []
    path = build_demo(folder, seed=20261120, progress=lambda *step: said.append(step))
    assert path == folder / "audit.toml"
    assert {what for what, _, _ in said} == {
        "training the demo's network",
        "writing the log's images",
        "writing the concept images",
    }
    assert all(0 < done <= total for _, done, total in said)
    return folder


def rates(folder: Path) -> dict[str, tuple[float, float]]:
    """Recall and false-positive rate a scanner, counted row by row."""
    rows = pq.read_table(folder / "predictions.parquet").to_pylist()
    found = {}
    for scanner in "AB":
        flagged = {
            label: [
                row["prediction"] == "loop"
                for row in rows
                if (row["scanner"], row["label"]) == (scanner, label)
            ]
            for label in CLASSES
        }
        found[scanner] = (float(np.mean(flagged["loop"])), float(np.mean(flagged["no loop"])))
    return found


def test_the_planted_failure_comes_out(demo: Path) -> None:
    found = rates(demo)
    assert found["A"][0] < 0.65, "scanner A, without the mark, must lose loops"
    assert found["B"][0] > 0.9
    assert found["B"][1] > 0.15, "scanner B, with the mark, must raise false alarms"
    assert found["A"][1] < 0.05


def test_the_network_itself_leans_on_the_mark(demo: Path) -> None:
    """The same images with the mark added: the logit of "loop" rises, image by image."""
    model = load_model(spec_of(demo)).module
    plain = list_images(demo / "concepts" / "random")[:60]
    marked = read_batch(plain, INPUT)
    with torch.no_grad():
        before = model(marked)[:, 1]
        gray = (np.stack([read_pixels(path, INPUT)[0] for path in plain]) * 255).round().astype(np.uint8)
        for image in gray:
            burn(image)
        marked[:, 0] = (torch.from_numpy(gray).float() / 255 - INPUT.mean[0]) / INPUT.std[0]
        after = model(marked)[:, 1]
    assert (after > before).float().mean() > 0.95
    assert (after - before).mean() > 1


def spec_of(folder: Path) -> ModelSpec:
    model = tomllib.loads((folder / "audit.toml").read_text())["model"]
    form = InputFormat(
        tuple(model["input"]["size"]),
        model["input"]["channels"],
        tuple(model["input"]["mean"]),
        tuple(model["input"]["std"]),
    )
    assert form == INPUT
    assert tuple(model["outputs"]) == CLASSES
    return ModelSpec(
        weights=folder / model["weights"],
        factory=model["factory"],
        sha256=model["sha256"],
        layers=tuple(model["layers"]),
        outputs=tuple(model["outputs"]),
        input=form,
    )


def test_the_log_is_what_the_released_weights_say_of_the_files(demo: Path) -> None:
    table = pq.read_table(demo / "predictions.parquet").to_pydict()
    loaded = load_model(spec_of(demo))
    with torch.no_grad():
        logits = loaded.module(read_batch([demo / "images" / name for name in table["file"]], INPUT))
    predicted = [CLASSES[column] for column in logits.argmax(1).tolist()]
    assert predicted == table["prediction"]
    digits = load_digits()
    numbers = [int(name[6:10]) for name in table["file"]]
    assert table["label"] == [digits.label(number) for number in numbers]
    assert [str(digits.digit[number]) for number in numbers] == table["digit"]


def test_log_concepts_and_pool_share_no_digit(demo: Path) -> None:
    named = {
        name: {path.name for path in list_images(demo / name)}
        for name in (
            "images",
            "concepts/corner_mark",
            "concepts/thick_strokes",
            "concepts/null",
            "concepts/random",
        )
    }
    assert sum(len(names) for names in named.values()) == len(set.union(*named.values()))
    assert len(named["images"]) == 1797 - TRAINING
    assert {len(names) for names in named.values()} == {1797 - TRAINING, SET_SIZE, POOL_SIZE}
    assert POOL_SIZE >= 4 * SET_SIZE


def test_training_and_log_are_disjoint() -> None:
    training, held_out = split_digits(load_digits(), training=TRAINING, rng=np.random.default_rng(0))
    assert not set(training.tolist()) & set(held_out.tolist())
    assert len(training) + len(held_out) == 1797


def test_sessions_share_their_acquisition_and_exposure_is_sometimes_missing(demo: Path) -> None:
    rows = pq.read_table(demo / "predictions.parquet").to_pylist()
    by_session: dict[str, set[tuple[str, str]]] = {}
    for row in rows:
        by_session.setdefault(row["session"], set()).add((row["scanner"], row["site"]))
    assert all(len(kinds) == 1 for kinds in by_session.values())
    missing = sum(row["exposure"] is None for row in rows) / len(rows)
    assert missing == pytest.approx(MISSING_EXPOSURE, abs=0.03)
    assert missing > 0


def test_what_is_simulated_is_said(demo: Path) -> None:
    text = (demo / "audit.toml").read_text()
    assert "SIMULATED" in text
    assert "simulated" in tomllib.loads(text)["subject"]["purpose"]


def test_the_same_seed_gives_the_same_bytes(demo: Path, tmp_path: Path) -> None:
    build_demo(tmp_path, seed=20261120)
    first = {path.relative_to(demo): path.read_bytes() for path in demo.rglob("*") if path.is_file()}
    again = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert first == again
