"""Bad input of the concept half: model, weights, layers, folders; one line each, exit code 2."""

from __future__ import annotations

import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.cli import invoke
from concepts.demo.training import build_demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's folder, built once; a test works on links to its images."""
    return build_demo(tmp_path_factory.mktemp("demo"), seed=1).parent


def changed(*pairs: tuple[str, str]) -> Callable[[Path], None]:
    """Rewrite parts of the configuration."""

    def change(folder: Path) -> None:
        text = (folder / "audit.toml").read_text(encoding="utf-8")
        for old, new in pairs:
            assert old in text, old
            text = text.replace(old, new, 1)
        (folder / "audit.toml").write_text(text, encoding="utf-8")

    return change


def without_hash(folder: Path) -> None:
    text = (folder / "audit.toml").read_text(encoding="utf-8")
    (folder / "audit.toml").write_text(re.sub(r"sha256 = .*\n", "", text), encoding="utf-8")


def another_hash(folder: Path) -> None:
    text = (folder / "audit.toml").read_text(encoding="utf-8")
    text = re.sub(r'sha256 = ".*"', f'sha256 = "{"0" * 64}"', text)
    (folder / "audit.toml").write_text(text, encoding="utf-8")


def other_weights(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    without_hash(folder)
    save_file({"elsewhere.weight": torch.zeros(2, 2)}, folder / "model.safetensors")


def pickled_weights(folder: Path) -> None:
    without_hash(folder)
    changed(("model.safetensors", "model.pkl"))(folder)
    (folder / "model.pkl").write_bytes(pickle.dumps({"weight": 1}))


def empty_concept(folder: Path) -> None:
    (folder / "concepts" / "nothing").mkdir()
    changed(("concepts/corner_mark", "concepts/nothing"))(folder)


def no_images(folder: Path) -> None:
    (folder / "empty").mkdir()
    changed(('images = "images"', 'images = "empty"'))(folder)


KINDS: dict[str, tuple[Callable[[Path], None], str]] = {
    "weights that do not fit the model": (other_weights, r"do not fit the model"),
    "weights of another hash": (
        another_hash,
        r"(?i)sha-?256",
    ),
    "weights that are not there": (changed(("model.safetensors", "none.safetensors")), r"none\.safetensors"),
    "pickled weights": (pickled_weights, r"(?i)pickle"),
    "a factory that does not exist": (
        changed(("concepts.demo.training:digits_cnn", "concepts.demo.training:digits")),
        r"digits",
    ),
    "a factory in a module that does not exist": (
        changed(("concepts.demo.training:digits_cnn", "no_such:build")),
        r"no_such",
    ),
    "an unknown layer": (changed(('"block2"', '"blok2"')), r"blok2"),
    "an empty concept folder": (empty_concept, r"nothing"),
    "a concept folder that is not there": (changed(("concepts/corner_mark", "concepts/corner")), r"corner"),
    "no random pool": (changed(('random = "concepts/random"', 'random = "concepts/rand"')), r"rand"),
    "an image column that is not there": (
        changed(('image_column = "file"', 'image_column = "flie"')),
        r"flie",
    ),
    "images that are not there": (no_images, r"empty|not found|not there|cannot"),
    "a class that is named twice": (
        changed(('classes = ["loop"]', 'classes = ["loop", "loop"]')),
        r"classes names 'loop' twice",
    ),
    "too few pseudo-concepts to reject": (
        changed(("pseudo_concepts = 300", "pseudo_concepts = 19")),
        r"pseudo_concepts is 19; at confidence 0\.95 no test could reject: at least 20 are needed",
    ),
}


def linked(demo: Path, folder: Path) -> None:
    """The example in a folder of its own, its images linked."""
    (folder / "concepts").mkdir()
    for path in [*demo.iterdir(), *(demo / "concepts").iterdir()]:
        target = folder / path.relative_to(demo)
        if path.is_file():
            shutil.copy(path, target)
        elif path.name != "concepts":
            target.symlink_to(path)
    changed(("resamples = 10000", "resamples = 100"))(folder)


# Found by `xaudit check`, and by `xaudit run` before the statistics.
EARLY = (
    "weights that do not fit the model",
    "weights of another hash",
    "pickled weights",
    "a factory that does not exist",
    "an unknown layer",
    "an empty concept folder",
)


@pytest.mark.parametrize("kind", EARLY)
def test_a_model_that_cannot_be_used_is_found_before_the_work(
    kind: str, demo: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("the statistics were begun")

    monkeypatch.setattr("slices.analysis.analyse", never)
    linked(demo, tmp_path)
    change, expected = KINDS[kind]
    change(tmp_path)
    for command in (["check"], ["run", "--out", str(tmp_path / "out")]):
        code = invoke([command[0], str(tmp_path / "audit.toml"), *command[1:], "--quiet"])
        last = capfd.readouterr().err.strip().splitlines()[-1]
        assert code == 2, last
        assert re.search(expected, last), last
        assert str(tmp_path) not in last, "paths are told as they are configured"


def test_layers_are_tried_on_the_configured_images(
    demo: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Only what follows the last ReLU has one gradient; the note says on how many images that was seen."""
    linked(demo, tmp_path)
    assert invoke(["layers", str(tmp_path / "audit.toml")]) == 0
    told = capfd.readouterr().out
    end = "same gradient on all 32 configured images"
    noted = [line.split()[0] for line in told.splitlines() if line.endswith(end)]
    assert noted == ["hidden.1", "hidden", "head"]
    assert "The same gradient on all 32 configured images: hidden.1, hidden, head." in told
    assert "logits are linear" not in told


@pytest.mark.parametrize("kind", KINDS)
def test_bad_concept_input_is_told_in_one_line(
    kind: str, demo: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    linked(demo, tmp_path)
    change, expected = KINDS[kind]
    change(tmp_path)
    code = invoke(["run", str(tmp_path / "audit.toml"), "--out", str(tmp_path / "out"), "--quiet"])
    told = capfd.readouterr()
    last = told.err.strip().splitlines()[-1]
    assert code == 2, last
    assert last.startswith("xaudit: error: ")
    assert re.search(expected, last), last
    assert "Traceback" not in told.err
    assert not (tmp_path / "out").exists()
