"""Recordings: what is read is what a plain pass gives, in both formats; and nothing half-written is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from torch import Tensor, nn

import concepts
from concepts.errors import ConceptError, ModelError
from concepts.model.taps import tap
from concepts.recordings.identity import identify
from concepts.recordings.recorder import ActivationRecorder, read_recording

torch.set_num_threads(1)
OUTPUTS = ("no", "maybe", "yes")


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.Dropout(0.5), nn.Tanh(), nn.Flatten(), nn.Linear(48, 3))


def batch(count: int, seed: int) -> Tensor:
    return torch.randn(count, 1, 6, 6, generator=torch.Generator().manual_seed(seed))


def record(folder: Path, **options: object) -> nn.Module:
    model = network()
    with ActivationRecorder(
        model,
        folder,
        layers=["0", "2"],
        outputs=OUTPUTS,
        classes=["yes", "no"],
        weights_sha256="f" * 64,
        **options,
    ) as recorder:
        logits = recorder.record(batch(4, 0), ["a", "b", "c", "d"], ["yes", "no", "yes", "maybe"])
        recorder.record(batch(2, 1), ["e", "f"])
        recorder.record_set("mark", batch(3, 2), ["m1", "m2", "m3"])
        recorder.record_set("random", batch(5, 3), list("abcde"))
    torch.testing.assert_close(logits, model.eval()(batch(4, 0)).detach())
    return model


@pytest.mark.parametrize("kind", ["safetensors", "parquet"])
@pytest.mark.parametrize("pooling", ["flatten", "mean"])
def test_a_recording_is_what_a_plain_pass_gives(tmp_path: Path, kind: str, pooling: str) -> None:
    model = record(tmp_path / "r", format=kind, pooling=pooling).eval().requires_grad_(False)
    read = read_recording(tmp_path / "r")
    assert {path.suffix for path in (tmp_path / "r").iterdir()} == {".json", f".{kind}"}
    assert read.ids == ("a", "b", "c", "d", "e", "f", "m1", "m2", "m3", "a", "b", "c", "d", "e")
    assert read.sets == (None,) * 6 + ("mark",) * 3 + ("random",) * 5
    assert read.labels == ("yes", "no", "yes", "maybe") + (None,) * 10
    assert (read.outputs, read.pooling, read.weights_sha256) == (OUTPUTS, pooling, "f" * 64)
    images = torch.cat([batch(4, 0), batch(2, 1), batch(3, 2), batch(5, 3)])
    plain = tap(model, ["0", "2"], images, [0, 2], pooling)  # type: ignore[arg-type]
    for layer in ("0", "2"):
        assert read.layers[layer] == plain.activations[layer].shape[1]
        whole = read.activations(layer, range(14))
        np.testing.assert_allclose(whole, plain.activations[layer], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(read.activations(layer, [9, 0, 9, 13]), whole[[9, 0, 9, 13]])
        assert {name for at, name in read.differentiated if at == layer} == {"yes", "no"}
        for name, rows, column in (("yes", [0, 2, 4, 5], 1), ("no", [1, 4, 5], 0)):
            assert read.differentiated[layer, name].tolist() == rows
            values = read.gradients(layer, name, rows)
            np.testing.assert_allclose(values, plain.gradients[layer][column][rows], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["safetensors", "parquet"])
def test_a_few_rows_at_a_time_give_the_same(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of two rows, results in files: nothing may depend on what fits into memory."""
    record(tmp_path / "r", format=kind)
    whole = read_recording(tmp_path / "r")
    asked = [13, 2, 6, 2, 0]
    expected = {layer: whole.activations(layer, asked) for layer in whole.layers}
    slopes = whole.gradients("0", "yes", [5, 0, 4])
    monkeypatch.setattr("concepts.recordings.parts.BLOCK", 2 * 4 * 48)
    monkeypatch.setattr("concepts.cache.mapped.IN_MEMORY", 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    again = read_recording(tmp_path / "r")
    assert (again.digests, again.sha256) == (whole.digests, whole.sha256)
    for layer, values in expected.items():
        found = again.activations(layer, asked)
        assert isinstance(found, np.memmap)
        np.testing.assert_array_equal(found, values)
    np.testing.assert_array_equal(again.gradients("0", "yes", [5, 0, 4]), slopes)
    assert list((tmp_path / "temporary").iterdir()) == []
    with pytest.raises(ValueError, match=r"rows \[1\] did not come"):
        again.gradients("0", "yes", [0, 1])


@pytest.mark.parametrize("kind", ["safetensors", "parquet"])
def test_inputs_are_known_whatever_the_size_of_the_batch(tmp_path: Path, kind: str) -> None:
    """Recorded among many, and one by one: other last bits of the activations, the same input."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3000, 64), nn.Tanh(), nn.Linear(64, 3))
    images = torch.randn(60, 3, 10, 100)
    with ActivationRecorder(
        model,
        tmp_path,
        layers=["1"],
        outputs=OUTPUTS,
        classes=["yes"],
        format=kind,  # type: ignore[arg-type]
    ) as recorder:
        recorder.record(images, [f"log{i}" for i in range(60)])
        for number in range(5):
            recorder.record_set("mark", images[number : number + 1], [f"mark{number}"])
        recorder.record_set("random", images[5:9] + 1, ["log0", "r1", "r2", "r3"])
    read = read_recording(tmp_path)
    assert read.digests[:5] != read.digests[60:65], "else the hash of the input would not be needed"
    assert read.inputs[:5] == read.inputs[60:65]
    assert len(set(read.inputs)) == 64
    contents, (note,) = identify(read)
    assert contents[:5] == contents[60:65]  # by their inputs
    assert contents[65] == contents[0]  # by their ids
    assert len(set(contents)) == 63
    assert "1 ids stand for different inputs in different sets of the recording (such as log0)" in note
    assert read.logit_range is not None
    assert read.logit_range[0] < read.logit_range[1]


@pytest.mark.parametrize("kind", ["safetensors", "parquet"])
def test_layout_1_is_read_and_what_it_cannot_tell_is_said(tmp_path: Path, kind: str) -> None:
    record(tmp_path / "r", format=kind)
    for path in sorted((tmp_path / "r").glob("part-*")):
        if kind == "parquet":
            pq.write_table(pq.read_table(path).drop_columns("input"), path)
        else:
            with safe_open(path, framework="numpy") as opened:
                images = json.loads(opened.metadata()["images"])
            del images["inputs"]
            save_file(load_file(path), path, metadata={"images": json.dumps(images)})
    manifest = json.loads((tmp_path / "r" / "recording.json").read_text())
    del manifest["logit_range"]
    (tmp_path / "r" / "recording.json").write_text(json.dumps(manifest | {"format": 1}))
    read = read_recording(tmp_path / "r")
    assert (read.inputs, read.logit_range) == ((None,) * 14, None)
    contents, notes = identify(read)
    assert contents[0] == contents[9], "the id alone tells"
    assert len(set(contents)) == 9
    assert [str(note)[:75] for note in notes] == [
        "14 of the recording's 14 images have no hash of their input: a copy under a"
    ]


def test_digests_tell_images_apart_by_what_they_did(tmp_path: Path) -> None:
    record(tmp_path / "r")
    read = read_recording(tmp_path / "r")
    layers = sorted(read.layers)
    for row, digest in enumerate(read.digests):
        values = b"".join(read.activations(layer, [row]).tobytes() for layer in layers)
        assert digest == hashlib.sha256(values).hexdigest()
    assert len(set(read.digests)) == 14


@pytest.mark.parametrize("kind", ["safetensors", "parquet"])
def test_layers_inside_modules(tmp_path: Path, kind: str) -> None:
    """Their names have dots, which Parquet readers take for nested columns."""
    model = nn.Sequential(network(), nn.Identity())
    with ActivationRecorder(
        model, tmp_path / "r", layers=["0.0", "0.2"], outputs=OUTPUTS, classes=["yes"], format=kind
    ) as recorder:
        recorder.record(batch(3, 0), ["a", "b", "c"])
    read = read_recording(tmp_path / "r")
    plain = tap(model.eval().requires_grad_(False), ["0.0", "0.2"], batch(3, 0), [2])
    for layer in ("0.0", "0.2"):
        np.testing.assert_allclose(
            read.activations(layer, range(3)), plain.activations[layer], rtol=1e-5, atol=1e-6
        )


def test_the_model_is_given_back_as_found(tmp_path: Path) -> None:
    model = network()
    model[2].eval()
    model[4].bias.requires_grad_(False)
    with ActivationRecorder(
        model, tmp_path / "r", layers=["0"], outputs=OUTPUTS, classes=["yes"]
    ) as recorder:
        assert not any(part.training for part in model.modules())
        recorder.record(batch(1, 0), ["a"])
    assert [part.training for part in model] == [True, True, False, True, True]
    assert [weight.requires_grad for weight in model.parameters()] == [True, True, True, False]
    assert not any(part._forward_hooks for part in model.modules())


def test_the_same_loop_gives_the_same_bytes(tmp_path: Path) -> None:
    record(tmp_path / "a")
    record(tmp_path / "b")
    first, second = read_recording(tmp_path / "a"), read_recording(tmp_path / "b")
    assert first.sha256 == second.sha256
    part = tmp_path / "b" / "part-00000.safetensors"
    tensors = load_file(part)
    tensors["activations/0"][0, 0] += 1
    images = {"ids": list("abcd"), "labels": [None] * 4, "sets": [None] * 4}
    save_file(tensors, part, metadata={"images": json.dumps(images)})
    assert read_recording(tmp_path / "b").sha256 != first.sha256


def test_the_room_offers_the_recorder() -> None:
    assert concepts.ActivationRecorder is ActivationRecorder
    with pytest.raises(AttributeError, match="no attribute 'Recorder'"):
        _ = concepts.Recorder


def test_a_failed_loop_leaves_no_recording(tmp_path: Path) -> None:
    def loop() -> None:
        with ActivationRecorder(
            network(), tmp_path, layers=["0"], outputs=OUTPUTS, classes=["yes"]
        ) as recorder:
            recorder.record(batch(1, 0), ["a"])
            raise KeyError("the user's own bug")

    with pytest.raises(KeyError):
        loop()
    with pytest.raises(ConceptError, match="holds no finished recording"):
        read_recording(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ["perhaps"]}, r"Class 'perhaps' to record is not among the outputs: no, maybe, yes"),
        ({"outputs": ["yes", "yes", "no"]}, r"name a class twice"),
        ({"format": "pickle"}, r"format 'pickle' is unknown"),
    ],
)
def test_refused_at_once(tmp_path: Path, options: dict[str, object], message: str) -> None:
    given: dict[str, object] = {"layers": ["0"], "outputs": OUTPUTS, "classes": ["yes"], **options}
    with pytest.raises(ConceptError, match=message):
        ActivationRecorder(network(), tmp_path, **given)  # type: ignore[arg-type]


def test_refused_while_recording(tmp_path: Path) -> None:
    given = {"layers": ["0"], "outputs": OUTPUTS, "classes": ["yes"]}
    with ActivationRecorder(network(), tmp_path / "r", **given) as recorder:  # type: ignore[arg-type]
        with pytest.raises(ConceptError, match="2 images to record, with 1 ids and 2 labels"):
            recorder.record(batch(2, 0), ["a"])
        with pytest.raises(ConceptError, match="Label 'si' to record is not among the outputs"):
            recorder.record(batch(1, 0), ["a"], ["si"])
        with pytest.raises(ConceptError, match="0 images to record"):
            recorder.record_set("mark", batch(0, 0), [])
        recorder.record(batch(1, 0), ["a"])
    with pytest.raises(ConceptError, match="weights_sha256 'zz' is not a SHA-256"):
        ActivationRecorder(network(), tmp_path / "q", weights_sha256="zz", **given)  # type: ignore[arg-type]
    with pytest.raises(ConceptError, match="already holds a recording"):
        ActivationRecorder(network(), tmp_path / "r", **given)  # type: ignore[arg-type]
    with (
        pytest.raises(ConceptError, match="Nothing was recorded"),
        ActivationRecorder(network(), tmp_path / "s", **given),
    ):  # type: ignore[arg-type]
        pass
    with (
        pytest.raises(ModelError, match="gives 3 logits an image"),
        ActivationRecorder(
            network(), tmp_path / "t", layers=["0"], outputs=["a", "b"], classes=["a"]
        ) as other,
    ):
        other.record(batch(1, 0), ["a"])


def edit_manifest(**changes: object) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / "recording.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return damage


def edit_part(change: Callable[[dict[str, np.ndarray]], None], **texts: object) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / "part-00000.safetensors"
        tensors = load_file(path)
        change(tensors)
        images = {"ids": list("abcd"), "labels": [None] * 4, "sets": [None] * 4} | texts
        save_file(tensors, path, metadata={"images": json.dumps(images)})

    return damage


def put(key: str, value: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict[str, np.ndarray]], None]:
    return lambda tensors: tensors.update({key: np.ascontiguousarray(value(tensors[key]))})


DAMAGED: dict[str, tuple[Callable[[Path], None], str]] = {
    "no manifest": (lambda f: (f / "recording.json").unlink(), "holds no finished recording"),
    "not json": (lambda f: (f / "recording.json").write_text("{") and None, "is not JSON"),
    "a list": (lambda f: (f / "recording.json").write_text("[]") and None, "recording format None"),
    "later": (edit_manifest(format=3), "format 3; this version reads 1 and 2"),
    "nested": (lambda f: (f / "recording.json").write_text("[" * 100_000) and None, "is not JSON"),
    "no hash": (edit_manifest(weights_sha256="zz"), "lacks or misstates .* weights_sha256"),
    "truth as width": (edit_manifest(layers={"0": True}), "lacks or misstates"),
    "no layers": (edit_manifest(layers={}), "lacks or misstates"),
    "escape": (edit_manifest(parts=["../part-00000.safetensors"]), "names a part '../part"),
    "absent part": (edit_manifest(parts=["part-9.safetensors"]), "part-9.safetensors cannot be read"),
    "empty": (edit_manifest(parts=[]), "holds no image"),
    "twice": (edit_manifest(parts=["part-00000.safetensors"] * 2), "image 'a' twice in the log's images"),
    "other layer": (edit_manifest(layers={"9": 4}), "does not follow the layout"),
    "truncated": (
        lambda f: (f / "part-00000.safetensors").write_bytes(b"123") and None,
        "not follow the layout",
    ),
    "width": (
        edit_part(put("activations/0", lambda a: a[:, :5])),
        r"float32 \[4, 5\], expected float32 \[4, 48\]",
    ),
    "type": (edit_part(put("activations/0", lambda a: a.astype(np.float64))), "is float64"),
    "nan": (edit_part(put("activations/0", lambda a: a * np.nan)), "not finite"),
    "few rows": (
        edit_part(put("activations/2", lambda a: a[:3])),
        r"float32 \[3, 48\], expected float32 \[4, 48\]",
    ),
    "gradient width": (
        edit_part(put("gradients/2/yes", lambda g: g[:, :7])),
        r"gradients/2/yes is float32 \[2, 7\]",
    ),
    "a row twice": (edit_part(put("rows/yes", lambda r: r * 0)), "must be distinct row numbers"),
    "rows": (edit_part(put("rows/yes", lambda r: r + 9)), "rows/yes must be distinct row numbers below 4"),
    "ids": (edit_part(lambda _t: None, ids=[1, 2, 3, 4]), "one text an image"),
    "inputs": (edit_part(lambda _t: None, inputs=["zz"] * 4), "inputs must be SHA-256"),
    "few labels": (edit_part(lambda _t: None, labels=[]), "one text an image"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_recordings(tmp_path: Path, name: str) -> None:
    record(tmp_path / "r")
    damage, message = DAMAGED[name]
    damage(tmp_path / "r")
    with pytest.raises(ConceptError, match=message) as raised:
        read_recording(tmp_path / "r")
    assert "\n" not in str(raised.value)


def test_damaged_parquet(tmp_path: Path) -> None:
    record(tmp_path / "r", format="parquet")
    path = tmp_path / "r" / "part-00000.parquet"
    table = pq.read_table(path)
    place = table.column_names.index("activations/0")

    def rewrite(values: list[list[float] | None]) -> None:
        column = pa.array(values, pa.list_(pa.float32()))
        pq.write_table(table.set_column(place, "activations/0", column), path)

    rewrite([[0.0] * 48, None, [0.0] * 48, [0.0] * 48])
    with pytest.raises(ConceptError, match="activations/0 is null for some images"):
        read_recording(tmp_path / "r")
    rewrite([[0.0] * 48, [0.0] * 3, [0.0] * 48, [0.0] * 48])
    with pytest.raises(ConceptError, match=r"lists of \[3, 48\] values, expected 48"):
        read_recording(tmp_path / "r")
    pq.write_table(table.set_column(place, "activations/0", pa.array([["a"]] * 4)), path)
    with pytest.raises(ConceptError, match=r"activations/0 is list<.*string>, expected list of float32"):
        read_recording(tmp_path / "r")
