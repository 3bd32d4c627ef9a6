"""What ``audit.toml`` can ask of the concept stage, asked on the command line, on the example's images."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import re
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from audit.cli import invoke
from concepts import ActivationRecorder
from concepts.demo.training import CLASSES, INPUT, build_demo, digits_cnn
from concepts.images import list_images, read_batch

torch.set_num_threads(1)
DECIDED = {0, 1, 3}  # exit codes of a run that came to its end

NETWORKS = '''
"""Networks of the kinds that users bring, with random weights."""

import torch
from torch import nn


class Vision(nn.Module):
    """Patches, a class token, nn.TransformerEncoder; two heads in a dict; a block that returns a tuple."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(1, 24, 8, 8)
        self.token = nn.Parameter(torch.randn(1, 1, 24))
        self.place = nn.Parameter(torch.randn(1, 17, 24) * 0.2)
        layer = nn.TransformerEncoderLayer(24, 4, 48, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.pair = Pair()
        self.age = nn.Linear(24, 1)
        self.finding = nn.Sequential(nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 2))

    def forward(self, x):
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), tokens], 1) + self.place
        tokens, _ = self.pair(self.encoder(tokens))
        return {"age": self.age(tokens[:, 0]), "finding": self.finding(tokens[:, 0])}


class Pair(nn.Module):
    def forward(self, tokens):
        return tokens.tanh(), tokens.mean(1)


def vision():
    torch.manual_seed(0)
    return Vision()
'''


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's folder, built once."""
    folder = build_demo(tmp_path_factory.mktemp("demo"), seed=1).parent
    text = (folder / "audit.toml").read_text(encoding="utf-8")
    # A quick run; rules that name a concept would tie the tests to its name.
    text = text.replace("resamples = 10000", "resamples = 100").replace('["html", "pdf"]', '["csv"]')
    text = re.sub(r'\[\[policy\.rules\]\]\nid = "no-.*\n(.+\n)*', "", text)
    (folder / "audit.toml").write_text(text, encoding="utf-8")
    (folder / "networks.py").write_text(NETWORKS, encoding="utf-8")
    return folder


def run(demo: Path, name: str, *changes: tuple[str, str], code: int | None = None) -> dict[str, Any]:
    """The evidence of a run of the changed configuration, which is written beside the first."""
    text = (demo / "audit.toml").read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    (demo / f"{name}.toml").write_text(text, encoding="utf-8")
    shutil.rmtree(demo / name, ignore_errors=True)
    found = invoke(["run", str(demo / f"{name}.toml"), "--out", str(demo / name), "--quiet"])
    if code is not None:
        assert found == code
        return {}
    assert found in DECIDED
    document: dict[str, Any] = json.loads((demo / name / "evidence.json").read_bytes())
    return document


def results(document: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document["results"]["concepts"]
    return found


def overall(document: dict[str, Any], concept: str) -> list[dict[str, Any]]:
    return [one for one in results(document) if one["concept"] == concept and not one["slice"]]


@pytest.fixture(scope="module")
def plain(demo: Path) -> dict[str, Any]:
    return run(demo, "plain")


def test_the_evidence_names_what_was_looked_into(demo: Path, plain: dict[str, Any]) -> None:
    inputs = {(item["role"], item["path"]): item for item in plain["run"]["inputs"]}
    weights = hashlib.sha256((demo / "model.safetensors").read_bytes()).hexdigest()
    assert inputs["weights", "model.safetensors"]["sha256"] == weights
    assert inputs["concept", "concepts/corner_mark"]["rows"] == len(
        list_images(demo / "concepts/corner_mark")
    )
    assert ("random", "concepts/random") in inputs


def same_figures(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert len(results(ours)) == len(results(theirs)) > 0
    for one, other in zip(results(ours), results(theirs), strict=True):
        for key in ("concept", "class", "layer", "slice", "images", "verdict", "p_value", "p_adjusted"):
            assert one[key] == other[key], key
        for key in ("low", "value", "high"):
            if other["undefined"] is not None:
                assert one["undefined"] == other["undefined"]
            else:
                assert one["effect"][key] == pytest.approx(other["effect"][key], rel=1e-4, abs=1e-6)


def test_the_same_seed_gives_the_same_bytes_with_a_cold_and_a_warm_cache(
    demo: Path, plain: dict[str, Any]
) -> None:
    with_cache = ("pseudo_concepts = 300", 'pseudo_concepts = 300\ncache = "cache"\ncache_gigabytes = 1')
    cold = run(demo, "cached", with_cache)
    first = (demo / "cached" / "evidence.json").read_bytes()
    written = {path: path.stat().st_mtime_ns for path in (demo / "cache").rglob("*.npy")}
    assert written
    run(demo, "cached", with_cache)
    assert (demo / "cached" / "evidence.json").read_bytes() == first
    assert {path: path.stat().st_mtime_ns for path in (demo / "cache").rglob("*.npy")} == written
    assert results(cold) == results(plain)
    small = ("pseudo_concepts = 300", 'pseudo_concepts = 300\ncache = "cache"\ncache_gigabytes = 1e-6')
    assert results(run(demo, "cached", small)) == results(plain)
    assert not list((demo / "cache").rglob("*.npy"))


def test_concepts_from_metadata_transformations_and_other_concepts(demo: Path) -> None:
    changes = (
        (
            '[[concepts.concept]]\nname = "thick strokes"\nfolder = "concepts/thick_strokes"',
            '[[concepts.concept]]\nname = "thick strokes"\nfolder = "concepts/thick_strokes"\n'
            'relative_to = ["null concept"]\n'
            '[[concepts.concept]]\nname = "scanner B"\nwhere = { scanner = "B" }\n'
            '[[concepts.concept]]\nname = "darker"\ntransform = "darken"',
        ),
        ("pseudo_concepts = 300", "pseudo_concepts = 300\nminimum_images = 10"),
    )
    # By session there are too few of them: sets from the log take one image of each.
    (by_session, _) = overall(run(demo, "by session", *changes), "scanner B")
    assert by_session["undefined"].endswith("at least 10 are needed, one image a cluster")
    line = next(one for one in (demo / "audit.toml").read_text().splitlines() if one.startswith("cluster"))
    document = run(demo, "sources", *changes, (line, ""))
    for name in ("scanner B", "darker", "thick strokes"):
        found = overall(document, name)
        assert len(found) == 2
        assert all(one["undefined"] is None or "not learnt" in one["undefined"] for one in found)
    # The scanner's mark is what the network was trained to lean on.
    assert {one["verdict"] for one in overall(document, "scanner B")} <= {"drives", "not_learnt"}
    assert "drives" in {one["verdict"] for one in overall(document, "scanner B")}


def record(demo: Path, folder: Path, kind: str) -> None:
    """As a user would, around a loop over batches of the log, the concepts and the pool."""
    model = digits_cnn()
    model.load_state_dict(load_file(demo / "model.safetensors"))
    table = pq.read_table(demo / "predictions.parquet", columns=["file", "label"]).to_pydict()
    with ActivationRecorder(
        model,
        folder,
        layers=["block2", "block3"],
        outputs=CLASSES,
        classes=["loop"],
        weights_sha256=hashlib.sha256((demo / "model.safetensors").read_bytes()).hexdigest(),
        format=kind,  # type: ignore[arg-type]
    ) as recorder:
        for start in range(0, len(table["file"]), 200):
            names: Sequence[str] = table["file"][start : start + 200]
            paths = [demo / "images" / name for name in names]
            recorder.record(read_batch(paths, INPUT), names, table["label"][start : start + 200])
        for name, of in (
            ("corner mark", "corner_mark"),
            ("thick strokes", "thick_strokes"),
            ("null concept", "null"),
            ("random", "random"),
        ):
            paths = list(list_images(demo / "concepts" / of))
            recorder.record_set(name, read_batch(paths, INPUT), [f"{of}/{path.name}" for path in paths])


@pytest.mark.parametrize("kind", ["safetensors", "parquet"])
def test_a_recording_stands_for_model_and_images(
    demo: Path, plain: dict[str, Any], kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    record(demo, demo / f"recorded-{kind}", kind)
    changes = [
        ('factory = "concepts.demo.training:digits_cnn"\nweights = "model.safetensors"\n', ""),
        ('images = "images"\n', ""),
        ('random = "concepts/random"', f'recorded = "recorded-{kind}"'),
        ('folder = "concepts/corner_mark"\n', ""),
        ('folder = "concepts/thick_strokes"\n', ""),
        ('folder = "concepts/null"', "#"),
    ]
    document = run(demo, "recorded", *changes)
    same_figures(document, plain)
    (recording,) = (item for item in document["run"]["inputs"] if item["role"] == "recording")
    assert recording["path"] == f"recorded-{kind}"
    part = next((demo / f"recorded-{kind}").glob("part-*"))
    before = recording["sha256"]
    assert len(before) == 64
    # Without the log's image column a recording tells no slices and no clusters, and the rest all the same.
    alone = run(demo, "recorded", *changes, ('image_column = "file"\n', ""))

    def told(document: dict[str, Any]) -> list[tuple[Any, ...]]:
        whole = [one for one in results(document) if not one["slice"]]
        return [
            (one["concept"], one["layer"], one["effect"]["value"], one["p_value"], one["score"], one["cav"])
            for one in whole
        ]

    assert told(alone) == told(document)
    assert all(not one["slice"] for one in results(alone))
    capfd.readouterr()
    run(demo, "recorded", ("layers = [", 'pooling = "mean"\nlayers = ['), *changes, code=2)
    assert "made with pooling 'flatten'" in capfd.readouterr().err
    run(demo, "recorded", *changes[1:], code=2)
    assert "[model] 'weights' has no use beside [concepts] recorded" in capfd.readouterr().err
    assert invoke(["layers", str(demo / "recorded.toml")]) == 2
    part.write_bytes(part.read_bytes()[:-9])
    run(demo, "recorded", *changes, code=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("pseudo_concepts", 'recorded = "r"\npseudo_concepts'), "'corner mark' has a folder, and"),
        (('folder = "concepts/corner_mark"\n', ""), "'corner mark' needs exactly one of folder, where"),
        (("pseudo_concepts = 300", "cache_gigabytes = 0"), "cache_gigabytes"),
        (("pseudo_concepts = 300", "pseudo_concepts = 100000000"), "pseudo_concepts is 100000000"),
        (("size = [32, 32]", "size = [1000000, 1000000]"), "[model.input] size number 1 is 1000000"),
    ],
)
def test_contradictions_are_refused(
    demo: Path, capfd: pytest.CaptureFixture[str], change: tuple[str, str], message: str
) -> None:
    run(demo, "refused", change, code=2)
    assert message in capfd.readouterr().err


def exported(demo: Path) -> bytes:
    model = digits_cnn()
    model.load_state_dict(load_file(demo / "model.safetensors"))
    images = torch.export.Dim("images")
    program = torch.export.export(
        model.eval(), (torch.zeros(2, 1, 32, 32),), dynamic_shapes=({0: images},), strict=False
    )
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


def test_an_exported_program_gives_what_its_module_gives(
    demo: Path, plain: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    (demo / "model.pt2").write_bytes(exported(demo))
    changes = [
        (
            'factory = "concepts.demo.training:digits_cnn"\nweights = "model.safetensors"',
            'weights = "model.pt2"',
        ),
        (next(line for line in (demo / "audit.toml").read_text().splitlines() if "sha256 =" in line), ""),
    ]
    same_figures(run(demo, "exported", *changes), plain)
    capfd.readouterr()
    assert invoke(["layers", str(demo / "exported.toml")]) == 0
    told = capfd.readouterr().out
    assert "block2" in told
    assert "Suggested: layers = [" in told


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


def test_a_program_with_a_pickle_runs_nothing(demo: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mark = demo / "it ran"
    evil = pickle.dumps(Evil(mark))
    pickle.loads(evil)
    assert mark.exists()  # the file is a real one
    mark.rmdir()
    content = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(exported(demo))) as archive, zipfile.ZipFile(content, "w") as changed:
        for name in archive.namelist():
            sample = "sample_inputs" in name
            changed.writestr(name, evil if sample else archive.read(name))
    assert any("sample_inputs" in name for name in zipfile.ZipFile(content).namelist())
    (demo / "evil.pt2").write_bytes(content.getvalue())
    (demo / "evil.pt").write_bytes(evil)
    line = next(line for line in (demo / "audit.toml").read_text().splitlines() if "sha256 =" in line)
    factory = 'factory = "concepts.demo.training:digits_cnn"\nweights = "model.safetensors"'
    for weights in (
        'weights = "evil.pt2"',
        'factory = "concepts.demo.training:digits_cnn"\nweights = "evil.pt"',
    ):
        run(demo, "evil", (factory, weights), (line, ""), code=2)
        assert capfd.readouterr().err.strip().splitlines()[-1].startswith("xaudit: error: ")
        assert not mark.exists()


@pytest.mark.parametrize("cav", ["ridge", "logistic", "pattern"])
def test_every_solver_can_be_chosen(demo: Path, plain: dict[str, Any], cav: str) -> None:
    document = run(demo, "solver", ("pseudo_concepts = 300", f'pseudo_concepts = 100\ncav = "{cav}"'))
    assert {one["verdict"] for one in overall(document, "corner mark")} == {"drives"}
    assert overall(document, "corner mark")[0]["effect"] != overall(plain, "corner mark")[0]["effect"]


@pytest.mark.parametrize(
    ("layer", "pooling", "words"),
    [
        ("encoder.layers.1", "class_token", "class token of 17: 24 values"),
        ("encoder.layers.0", "mean", "mean over 17 positions: 24 values"),
        ("pair", "flatten", "flattened: 17 x 24 = 408 values"),
        ("patches", "mean", "mean over 4 x 4 positions: 24 values"),
    ],
)
def test_a_vision_transformer_with_two_heads(demo: Path, layer: str, pooling: str, words: str) -> None:
    from safetensors.torch import save_file

    scope: dict[str, Any] = {"__name__": "networks"}
    exec(NETWORKS, scope)
    save_file(scope["vision"]().state_dict(), demo / "vision.safetensors")
    line = next(line for line in (demo / "audit.toml").read_text().splitlines() if "sha256 =" in line)
    document = run(
        demo,
        "vision",
        ("concepts.demo.training:digits_cnn", "networks:vision"),
        ("model.safetensors", "vision.safetensors"),
        (line, f'output = "finding"\npooling = "{pooling}"'),
        ('["block2", "block3"]', f'["{layer}"]'),
        ("pseudo_concepts = 300", "pseudo_concepts = 100"),
    )
    assert {one["layer"] for one in results(document)} == {layer}
    assert words in json.dumps(document)
    learnt = [one for one in results(document) if one["undefined"] is None]
    assert learnt  # a mark of one shape and place is told apart by random weights too
    assert all(np.isfinite(one["effect"]["value"]) for one in learnt)
