"""The store: what is new is computed, what is changed misses, and nothing else decides."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import concepts.cache.mapped
from concepts.cache.content import BATCH, Collected, address, bound, collect
from concepts.cache.mapped import open_matrix
from concepts.cache.store import LEFT_BEHIND, Entry, trim
from concepts.errors import ConceptError, ModelError
from concepts.images import normalise, read_batch, read_pixels
from concepts.model.loading import LoadedModel
from concepts.model.taps import tap
from concepts.records import InputFormat, ModelSpec
from concepts.stage import run_concepts
from concepts.tcav.gram import gram
from concepts.transforms import BUILT_IN, find_transform
from tests.concepts.conftest import World

torch.set_num_threads(1)

FORM = InputFormat(size=(8, 8), channels=1, mean=(0.5,), std=(0.5,))
SPEC = ModelSpec(
    weights=Path("unused"), factory="a:b", sha256=None, layers=("0", "3"), outputs=("no", "yes"), input=FORM
)


class Counting(nn.Sequential):
    """A network that counts the images that go through it (padding included)."""

    def __init__(self, seed: int = 0) -> None:
        torch.manual_seed(seed)
        super().__init__(
            nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(108, 64), nn.Tanh(), nn.Linear(64, 2)
        )
        self.seen = 0
        self.eval().requires_grad_(False)

    def forward(self, batch: Tensor) -> Tensor:
        self.seen += len(batch)
        return super().forward(batch)


@pytest.fixture
def model() -> LoadedModel:
    return LoadedModel(Counting(), "a" * 64)


def write_images(folder: Path, count: int, *, seed: int = 0) -> list[Path]:
    folder.mkdir(exist_ok=True, parents=True)
    rng = np.random.default_rng(seed)
    paths = [folder / f"{number:03d}.png" for number in range(count)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(path)
    return paths


def check(
    collected: Collected, model: LoadedModel, spec: ModelSpec, paths: list[Path], columns: tuple[int, ...]
) -> None:
    """Against one plain pass over everything."""
    plain = tap(model.module, spec.layers, read_batch(paths, spec.input), columns or (0,), spec.pooling)
    for layer in spec.layers:
        np.testing.assert_allclose(
            collected.activations[layer], plain.activations[layer], rtol=1e-5, atol=1e-6
        )
        for place in range(len(columns)):
            np.testing.assert_allclose(
                collected.gradients[layer][place], plain.gradients[layer][place], rtol=1e-5, atol=1e-6
            )
    if columns:
        np.testing.assert_allclose(collected.logits, plain.logits, rtol=1e-5, atol=1e-6)
    else:
        assert collected.logits is None
        assert collected.gradients == {}


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("columns", [(), (1,), (1, 0)])
def test_numbers_are_those_of_a_plain_pass(
    tmp_path: Path, model: LoadedModel, cached: bool, columns: tuple[int, ...]
) -> None:
    paths = write_images(tmp_path / "images", BATCH + 5)
    asked = [*paths[10:], paths[3], paths[12]]
    store = tmp_path / "store" if cached else None
    said: list[tuple[int, int]] = []
    found = collect(
        model, SPEC, asked, columns=columns, cache=store, progress=lambda _w, d, t: said.append((d, t))
    )
    check(found, model, SPEC, asked, columns)
    assert found.computed == BATCH - 5 + 1
    assert said[-1] == (BATCH - 4, BATCH - 4)


def test_a_second_run_computes_nothing_but_the_probe(tmp_path: Path, model: LoadedModel) -> None:
    paths, store = write_images(tmp_path / "images", 20), tmp_path / "store"
    first = collect(model, SPEC, paths, columns=(1,), cache=store)
    again = collect(model, SPEC, paths, columns=(1,), cache=store)
    assert (first.computed, again.computed) == (20, 0)
    for layer in SPEC.layers:
        assert isinstance(again.activations[layer], np.memmap)
        np.testing.assert_array_equal(again.activations[layer], first.activations[layer])
        np.testing.assert_array_equal(again.gradients[layer][0], first.gradients[layer][0])


def test_one_more_set_computes_only_that(tmp_path: Path, model: LoadedModel) -> None:
    old, new = write_images(tmp_path / "old", 20), write_images(tmp_path / "new", 7, seed=1)
    store = tmp_path / "store"
    collect(model, SPEC, old, columns=(1,), cache=store)
    found = collect(model, SPEC, [*new, *old], columns=(1,), cache=store)
    assert found.computed == 7
    check(found, model, SPEC, [*new, *old], (1,))
    assert collect(model, SPEC, [*old, *new], cache=store).computed == 0


def test_rows_do_not_depend_on_what_else_is_asked(tmp_path: Path, model: LoadedModel) -> None:
    """Bit for bit: a warm cache, another order and a cold start give the same bytes."""
    paths = write_images(tmp_path / "images", BATCH + 20)
    cold = collect(model, SPEC, paths, columns=(0,))
    collect(model, SPEC, paths[70:71], columns=(0,), cache=tmp_path / "store")
    warm = collect(model, SPEC, paths[::-1], columns=(0,), cache=tmp_path / "store")
    for layer in SPEC.layers:
        np.testing.assert_array_equal(warm.activations[layer][::-1], cold.activations[layer])
        np.testing.assert_array_equal(warm.gradients[layer][0][::-1], cold.gradients[layer][0])


def test_a_changed_image_misses_and_a_renamed_one_does_not(tmp_path: Path, model: LoadedModel) -> None:
    paths, store = write_images(tmp_path / "images", 6), tmp_path / "store"
    collect(model, SPEC, paths, cache=store)
    Image.fromarray(np.full((8, 8), 7, dtype=np.uint8)).save(paths[2])
    paths[4] = paths[4].rename(paths[4].with_name("other.png"))
    found = collect(model, SPEC, paths, cache=store)
    assert found.computed == 1
    check(found, model, SPEC, paths, ())


@pytest.mark.parametrize(
    "change",
    [
        {"pooling": "mean"},
        {"factory": "a:c"},
        {"input": replace(FORM, mean=(0.4,))},
        {"input": replace(FORM, std=(0.25,))},
        {"layers": ("1", "0")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_question_misses(tmp_path: Path, model: LoadedModel, change: dict[str, object]) -> None:
    paths, store = write_images(tmp_path / "images", 4), tmp_path / "store"
    collect(model, SPEC, paths, columns=(1,), cache=store)
    spec = replace(SPEC, **change)  # type: ignore[arg-type]
    found = collect(model, spec, paths, columns=(1,), cache=store)
    assert found.computed == 4
    check(found, model, spec, paths, (1,))


def test_changed_weights_miss(tmp_path: Path, model: LoadedModel) -> None:
    paths, store = write_images(tmp_path / "images", 4), tmp_path / "store"
    collect(model, SPEC, paths, cache=store)
    other = LoadedModel(Counting(seed=1), "b" * 64)
    found = collect(other, SPEC, paths, cache=store)
    assert found.computed == 4
    check(found, other, SPEC, paths, ())


def test_an_entrys_address_depends_on_everything(model: LoadedModel) -> None:
    """The probe would catch most of these too; the address must do so alone."""
    quantity = ("activation", "0")
    networks = [LoadedModel(model.module, "c" * 64), LoadedModel(model.module, model.sha256, "cuda")]
    networks.append(LoadedModel(nn.Sequential(model.module), model.sha256))
    specs = [
        replace(SPEC, pooling="mean"),
        replace(SPEC, factory=None),
        replace(SPEC, output=1),
        *(
            replace(SPEC, input=replace(FORM, **change))
            for change in ({"size": (9, 8)}, {"channels": 3}, {"mean": (0.1,)}, {"std": (0.1,)})
        ),
    ]
    addresses = [
        address(model, SPEC, quantity),
        *(address(network, SPEC, quantity) for network in networks),
        *(address(model, spec, quantity) for spec in specs),
        *(
            address(model, SPEC, other)
            for other in (("activation", "3"), ("gradient 0", "0"), ("gradient 1", "0"))
        ),
    ]
    assert len(set(addresses)) == len(addresses) == 14
    assert address(model, replace(SPEC, weights=Path("elsewhere"), layers=("3",)), quantity) == addresses[0]


def test_a_factory_whose_code_changed_is_noticed(tmp_path: Path, model: LoadedModel) -> None:
    """Same weights, same structure, another forward: the probe disagrees, and all is computed again."""

    class Changed(Counting):
        def forward(self, batch: Tensor) -> Tensor:
            return super().forward(batch * 0.9)

        def _get_name(self) -> str:
            return "Counting"

    paths, store = write_images(tmp_path / "images", 4), tmp_path / "store"
    collect(model, SPEC, paths, cache=store)
    other = LoadedModel(Changed(), model.sha256)
    assert repr(other.module) == repr(model.module)
    found = collect(other, SPEC, paths, cache=store)
    assert found.computed == 4
    check(found, other, SPEC, paths, ())
    assert collect(other, SPEC, paths, cache=store).computed == 0


def test_a_killed_run_leaves_no_segment(
    tmp_path: Path, model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, store = write_images(tmp_path / "images", BATCH + 4), tmp_path / "store"
    paths[-1].write_bytes(b"not an image")
    with pytest.raises(ConceptError, match=rf"{paths[-1].name} cannot be read"):
        collect(model, SPEC, paths, cache=store)
    assert not [path for path in store.rglob("*") if path.is_file()]


@pytest.mark.parametrize("damage", ["truncated", "pickle", "index", "no index", "other width", "other type"])
def test_a_damaged_segment_is_computed_again(tmp_path: Path, model: LoadedModel, damage: str) -> None:
    paths, store = write_images(tmp_path / "images", 5), tmp_path / "store"
    collect(model, SPEC, paths, cache=store)
    for segment in store.rglob("*.npy"):
        index = segment.with_suffix(".json")
        if damage == "truncated":
            segment.write_bytes(segment.read_bytes()[:90])
        elif damage == "pickle":
            np.save(segment, np.array([{"a": 1}], dtype=object), allow_pickle=True)
        elif damage == "index":
            index.write_text(json.dumps({"rows": 5}))
        elif damage == "no index":
            index.unlink()
        elif damage == "other width":
            np.save(segment, np.zeros((5, 2), dtype=np.float32))
        else:
            np.save(segment, np.load(segment).astype(np.float64))
    found = collect(model, SPEC, paths, cache=store)
    assert found.computed == 5
    check(found, model, SPEC, paths, ())


def test_large_results_are_mapped_from_disk(
    tmp_path: Path, model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concepts.cache.mapped, "IN_MEMORY", 100)
    paths = write_images(tmp_path / "images", 9)
    found = collect(model, SPEC, [*paths, paths[0]])
    check(found, model, SPEC, [*paths, paths[0]], ())
    assert all(isinstance(values, np.memmap) for values in found.activations.values())


def test_gradients_alone(tmp_path: Path, model: LoadedModel) -> None:
    paths = write_images(tmp_path / "images", 3)
    found = collect(model, SPEC, paths, columns=(0,), with_activations=False)
    assert found.activations == {}
    assert found.gradients["0"][0].shape == (3, 108)


def test_a_gpu_that_is_too_small_is_said(
    tmp_path: Path, model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_given: object, **_options: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    paths = write_images(tmp_path / "images", 3)
    monkeypatch.setattr("concepts.model.taps.activations", full)
    with pytest.raises(ModelError, match=r"memory does not hold a pass over 64 images of 8 x 8 pixels"):
        collect(model, SPEC, paths, cache=tmp_path / "store")
    assert not [path for path in (tmp_path / "store").rglob("*") if path.is_file()]


@pytest.mark.parametrize("place", ["a_file", "a_file/in it", "nul\0"])
def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path, model: LoadedModel, place: str) -> None:
    paths = write_images(tmp_path / "images", 3)
    (tmp_path / "a_file").write_text("a log")
    with pytest.raises(ConceptError, match=r"cannot be used as a folder to write to: .*; name another"):
        collect(model, SPEC, paths, cache=tmp_path / place)
    assert (tmp_path / "a_file").read_text() == "a log"


def test_a_full_disk_is_said(tmp_path: Path, model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_given: object) -> None:
        raise OSError(28, "No space left on device")

    paths = write_images(tmp_path / "images", 3)
    monkeypatch.setattr("concepts.cache.store.write_header", full)
    with pytest.raises(ConceptError, match=r"cannot be kept in .*: No space left on device; make room there"):
        collect(model, SPEC, paths, cache=tmp_path / "store")


def test_an_index_that_is_nested_too_deeply_is_a_miss(tmp_path: Path, model: LoadedModel) -> None:
    paths = write_images(tmp_path / "images", 3)
    collect(model, SPEC, paths, cache=tmp_path / "store")
    for index in (tmp_path / "store").rglob("*.json"):
        index.write_text("[" * 100_000)
    assert collect(model, SPEC, paths, cache=tmp_path / "store").computed == 3


def test_no_image_is_refused(model: LoadedModel) -> None:
    with pytest.raises(ModelError, match="No image to run the model on"):
        collect(model, SPEC, [])


def test_entry_keeps_nothing_of_a_failed_segment(tmp_path: Path) -> None:
    entry = Entry(tmp_path / "entry", 2)

    def fail() -> None:
        with entry.segment(["x"]) as file:
            file.write(np.ones(2, np.float32).tobytes())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert entry.held() == set()
    assert list((tmp_path / "entry").iterdir()) == []


def test_without_a_cache_nothing_is_left_on_disk(
    tmp_path: Path, model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even by a killed run: the names are gone before the numbers are used."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(concepts.cache.mapped, "IN_MEMORY", 100)
    (tmp_path / "temporary").mkdir()
    paths = write_images(tmp_path / "images", 5)
    found = collect(model, SPEC, [*paths, paths[0]], columns=(0,))
    assert list((tmp_path / "temporary").iterdir()) == []
    check(found, model, SPEC, [*paths, paths[0]], (0,))


def changed(paths: list[Path], name: str, model: LoadedModel) -> dict[str, np.ndarray]:
    """Plain passes over transformed images."""
    pixels = np.stack([find_transform(name)(read_pixels(path, FORM)) for path in paths])
    plain = tap(model.module, SPEC.layers, torch.from_numpy(normalise(pixels, FORM)), [0])
    return {layer: plain.activations[layer].numpy() for layer in SPEC.layers}


def test_transformed_images_are_kept_apart_from_their_files(tmp_path: Path, model: LoadedModel) -> None:
    paths, store = write_images(tmp_path / "images", 6), tmp_path / "store"
    collect(model, SPEC, paths, cache=store)
    asked, names = [paths[0], paths[0], paths[1], paths[1]], ["darken", None, "blur", "darken"]
    found = collect(model, SPEC, asked, transforms=names, cache=store)
    assert found.computed == 3
    for layer in SPEC.layers:
        dark, blurred = (changed(paths, name, model)[layer] for name in ("darken", "blur"))
        plain = collect(model, SPEC, paths).activations[layer]
        expected = [dark[0], plain[0], blurred[1], dark[1]]
        np.testing.assert_allclose(found.activations[layer], expected, rtol=1e-5, atol=1e-6)
    assert collect(model, SPEC, asked, transforms=names, cache=store).computed == 0


def test_a_transformation_whose_code_changed_is_noticed(
    tmp_path: Path, model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, store = write_images(tmp_path / "images", 4), tmp_path / "store"
    asked, names = [*paths, *paths], [None] * 4 + ["darken"] * 4
    collect(model, SPEC, asked, transforms=names, cache=store)
    monkeypatch.setitem(BUILT_IN, "darken", BUILT_IN["brighten"])
    found = collect(model, SPEC, asked, transforms=names, cache=store)
    assert found.computed == 8
    for layer in SPEC.layers:
        np.testing.assert_allclose(
            found.activations[layer][4:], changed(paths, "brighten", model)[layer], rtol=1e-5, atol=1e-6
        )


def test_a_segment_of_other_code_among_good_ones_is_noticed(tmp_path: Path, model: LoadedModel) -> None:
    """As two runs at once can leave it, one before and one after the factory's code was changed."""
    paths, store = write_images(tmp_path / "images", 6), tmp_path / "store"
    collect(model, SPEC, paths[:3], cache=store)
    first = set(store.rglob("*.npy"))
    collect(model, SPEC, paths[3:], cache=store)
    second = next(path for path in sorted(store.rglob("*.npy")) if path not in first)
    np.save(second, np.load(second) * np.float32(1.1))
    found = collect(model, SPEC, paths, cache=store)
    assert found.computed == 6
    check(found, model, SPEC, paths, ())


def sizes(store: Path) -> int:
    return sum(path.stat().st_size for path in store.rglob("*") if path.is_file())


def age(store: Path, seconds: float) -> None:
    """Let the files be that much older."""
    for path in store.rglob("*"):
        if path.is_file():
            found = path.stat()
            os.utime(path, (found.st_atime - seconds, found.st_mtime - seconds))


def test_what_was_used_longest_ago_goes_first(tmp_path: Path, model: LoadedModel) -> None:
    store = tmp_path / "store"
    sets = [write_images(tmp_path / name, 5, seed=seed) for seed, name in enumerate("abc")]
    for one in sets:
        collect(model, SPEC, one, cache=store)
        age(store, 60)
    collect(model, SPEC, sets[0], cache=store)  # used again: the second is now the oldest
    whole = sizes(store)
    assert trim(store, whole) == whole
    assert trim(store, whole - 1) < whole
    trim(store, whole * 2 // 3 + 10)
    assert sizes(store) <= whole * 2 // 3 + 10
    assert [collect(model, SPEC, one, cache=store).computed for one in (sets[0], sets[2])] == [0, 0]
    assert collect(model, SPEC, sets[1], cache=store).computed == 5
    bound(store, gigabytes=0)
    assert sizes(store) == 0
    found = collect(model, SPEC, sets[0], cache=store)
    check(found, model, SPEC, sets[0], ())


def test_only_the_stores_own_files_are_removed(tmp_path: Path, model: LoadedModel) -> None:
    """A cache can be told to live in a folder that holds other things."""
    paths, store = write_images(tmp_path / "images", 3), tmp_path / "images"
    (store / "results").mkdir()
    (store / "results" / f"{'a' * 32}.json").write_text("{}")
    (store / f"{'b' * 32}.json").write_text("{}")
    before = {path for path in store.rglob("*") if path.is_file()}
    collect(model, SPEC, paths, cache=store)
    age(store, 10 * LEFT_BEHIND)
    assert trim(store, 0) == 0
    assert {path for path in store.rglob("*") if path.is_file()} == before


def test_what_killed_runs_left_goes_after_a_day(tmp_path: Path, model: LoadedModel) -> None:
    paths, store = write_images(tmp_path / "images", 3), tmp_path / "store"
    collect(model, SPEC, paths, cache=store)
    folder = next(path for path in store.iterdir())
    whole = sizes(store)
    # Written halfway; rows whose index never came; an index that lost its rows.
    for name in (".unfinished.npy", f"{'c' * 32}.npy", f"{'d' * 32}.json"):
        (folder / name).write_bytes(b"0" * 9)
    trim(store, 10**9)
    assert sizes(store) == whole + 27  # another run may still be at it
    age(store, LEFT_BEHIND + 1)
    trim(store, 10**9)
    assert sizes(store) == whole


def test_a_process_killed_while_writing_leaves_nothing_that_counts(tmp_path: Path) -> None:
    folder = tmp_path / ("e" * 32)
    code = (
        "import os, signal, sys; from pathlib import Path; from concepts.cache.store import Entry\n"
        "with Entry(Path(sys.argv[1]), 2).segment(['a', 'b']) as file:\n"
        "    file.write(bytes(8)); file.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(folder)], check=False)
    assert ran.returncode == -signal.SIGKILL
    left = list(folder.iterdir())
    assert len(left) == 1
    assert Entry(folder, 2).held() == set()
    with Entry(folder, 2).segment(["a", "b"]) as file:
        file.write(np.arange(4, dtype=np.float32).tobytes())
    np.testing.assert_array_equal(Entry(folder, 2).rows(["b", "a"], None), [[2, 3], [0, 1]])
    age(tmp_path, LEFT_BEHIND + 1)
    trim(tmp_path, 10**6)
    assert not left[0].exists()
    assert Entry(folder, 2).held() == {"a", "b"}


def test_rows_in_use_survive_their_removal(
    tmp_path: Path, model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run may trim or clear the store at any moment."""
    monkeypatch.setattr(concepts.cache.mapped, "IN_MEMORY", 100)
    paths, store = write_images(tmp_path / "images", 7), tmp_path / "store"
    collect(model, SPEC, paths[:3], cache=store)
    found = collect(model, SPEC, paths, columns=(0,), cache=store)
    exact = collect(model, SPEC, paths[:3], cache=store)
    bound(store, gigabytes=0)
    assert sizes(store) == 0
    check(found, model, SPEC, paths, (0,))
    check(exact, model, SPEC, paths[:3], ())
    for values in (*found.activations.values(), *exact.activations.values()):
        np.testing.assert_allclose(gram(values), np.asarray(values) @ np.asarray(values).T, rtol=1e-4)


def test_runs_at_once_and_one_that_removes_all_the_time(tmp_path: Path) -> None:
    """Four runs share a store while a fifth empties it again and again: every number stays right."""
    store = tmp_path / "store"
    sets = [write_images(tmp_path / str(seed), 6, seed=seed) for seed in range(3)]
    asked = [sets[0] + sets[1], sets[1] + sets[2], sets[0] + sets[1], sets[2]]
    wrong: list[BaseException] = []
    stop = threading.Event()

    def run(model: LoadedModel, paths: list[Path]) -> None:
        try:
            for _ in range(12):
                check(collect(model, SPEC, paths, columns=(1,), cache=store), model, SPEC, paths, (1,))
        except BaseException as error:
            wrong.append(error)

    def empty() -> None:
        try:
            while not stop.is_set():
                trim(store, 0)
                time.sleep(0.002)
        except BaseException as error:
            wrong.append(error)

    emptier = threading.Thread(target=empty)
    runs = [
        threading.Thread(target=run, args=(LoadedModel(Counting(seed), str(seed) * 64), paths))
        for seed, paths in zip((0, 0, 1, 0), asked, strict=True)
    ]
    for thread in (emptier, *runs):
        thread.start()
    for thread in runs:
        thread.join()
    stop.set()
    emptier.join()
    assert not wrong, wrong
    for path in store.rglob("*.npy"):  # an index that lost its rows does not count, and is written again
        if path.with_suffix(".json").exists():
            assert len(json.loads(path.with_suffix(".json").read_text())) == len(open_matrix(path))


def test_the_stage_keeps_its_store_within_the_room_given(tmp_path: Path, world: World) -> None:
    first = run_concepts(world.spec(world.folder("spot"), cache=tmp_path / "store"))
    whole = sizes(tmp_path / "store")
    assert whole > 10**6
    room = whole / 2 / 10**9
    again = run_concepts(world.spec(world.folder("spot"), cache=tmp_path / "store", cache_gigabytes=room))
    assert 0 < sizes(tmp_path / "store") <= whole / 2
    assert again == first
