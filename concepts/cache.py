"""The store of activations and gradients: content-addressed, so that only what is new is computed.

An entry is addressed by everything that its numbers depend on: the weights' SHA-256, the network's
structure, the layer, the pooling, the preprocessing, the versions of torch and Pillow, the kind of device,
and, row by row, the image's own SHA-256. A changed image, weight or layer therefore misses. The factory's
*code* is not in the weights; so one stored image of every request goes through the network again, and all is
computed again unless it agrees.

An entry is a folder of segments, one for each time that something was missing: ``<name>.npy`` (float32, one
row an image) and ``<name>.json`` (the images' hashes), the latter written last: a segment without it does not
count. Both are moved into place whole. NumPy files are opened without pickle. The folder may be deleted at
any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from concepts.errors import ModelError
from concepts.images import hash_images, read_batch
from concepts.records import ModelSpec

if TYPE_CHECKING:
    from torch import Tensor

    from concepts.models import LoadedModel
    from concepts.taps import TapPlan

Progress = Callable[[str, int, int], None]
Matrix = np.ndarray[tuple[int, int], np.dtype[np.float32]]

FORMAT = 1  # raise it when the meaning of the stored numbers changes
BATCH = 64  # images a pass; fixed, and the last batch is filled up, so that rows do not depend on neighbours
IN_MEMORY = 64 * 2**20  # bytes; what is put together from several segments is mapped from disk beyond
TOLERANCE = 1e-3  # relative to the largest value; a changed network differs by far more than hardware does


class Scratch:
    """A temporary folder that goes when this object does, or when the process ends."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="xaudit-activations-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Collected:
    """What a set of images does inside the network; row i belongs to the i-th path.

    ``activations`` layer -> (N, d); ``gradients`` layer -> one (N, d) for each column asked for; ``logits``
    (N, K), None where no column was asked for; all float32, memory-mapped where large or cached (the mapped
    files live as long as this object). ``hashes`` the files' SHA-256; ``computed`` the number of images that
    went through the network.
    """

    activations: Mapping[str, Matrix]
    gradients: Mapping[str, tuple[Matrix, ...]]
    logits: Matrix | None
    hashes: tuple[str, ...]
    plan: TapPlan
    computed: int
    scratch: Scratch = field(repr=False)


def collect(
    loaded: LoadedModel,
    spec: ModelSpec,
    paths: Sequence[Path],
    *,
    columns: Sequence[int] = (),
    with_activations: bool = True,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Collected:
    """Activations of the configured layers, and logit gradients where columns are named, for image files.

    Each image goes through the network once: one forward, stopped at the deepest layer where no column is
    asked for, and one backward a column. What the cache holds is not computed again.

    Parameters
    ----------
    paths
        Image files; a file whose content occurs twice is computed once.
    columns
        Logit columns (positions in ``spec.outputs``) to differentiate.
    with_activations
        False: gradients and logits only.
    cache
        A folder to keep the numbers in; None: a temporary one.

    Raises
    ------
    ConceptError
        An image cannot be read.
    ModelError
        A layer cannot be tapped (see ``concepts.taps.plan_taps``), or there is no image.
    """
    from concepts.taps import plan_taps

    if not paths:
        raise ModelError("No image to run the model on; give at least one.")
    report = progress or _quiet
    hashes = hash_images(paths)
    plan = plan_taps(
        loaded.module,
        spec.layers,
        read_batch(paths[:1], spec.input),
        spec.pooling,
        output=spec.output,
        classes=len(spec.outputs),
    )
    scratch = Scratch()
    root = cache if cache is not None else scratch.path / "store"
    quantities = _quantities(spec, plan, tuple(columns), with_activations)
    entries = {
        quantity: Entry(root / address(loaded, spec, quantity), width)
        for quantity, width in quantities.items()
    }
    work = _Work(loaded, spec, plan, tuple(columns), entries, dict(zip(hashes, paths, strict=True)))
    _forget_if_stale(work)
    held = {quantity: entry.hashes() for quantity, entry in entries.items()}
    missing = [key for key in work.files if any(key not in known for known in held.values())]
    if missing:
        _compute(work, missing, held, report)
    rows = {
        quantity: entry.gather(hashes, scratch.path / f"{number}.npy")
        for number, (quantity, entry) in enumerate(entries.items())
    }
    return Collected(
        activations={layer: rows["activation", layer] for layer in spec.layers} if with_activations else {},
        gradients={layer: tuple(rows[f"gradient {c}", layer] for c in columns) for layer in spec.layers}
        if columns
        else {},
        logits=rows["logits", ""] if columns else None,
        hashes=hashes,
        plan=plan,
        computed=len(missing),
        scratch=scratch,
    )


Quantity = tuple[str, str]  # what ("activation", "gradient 3", "logits") and of which layer


@dataclass(frozen=True, slots=True)
class _Work:
    """One request: the network, what is asked of it, where it is kept, one file for each distinct image."""

    loaded: LoadedModel
    spec: ModelSpec
    plan: TapPlan
    columns: tuple[int, ...]
    entries: Mapping[Quantity, Entry]
    files: Mapping[str, Path]

    def run(self, batch: Tensor) -> dict[Quantity, Tensor]:
        """Every quantity asked for, (N, d) each."""
        from concepts.taps import activations, tap

        module, layers, pooling = self.loaded.module, self.spec.layers, self.spec.pooling
        found: dict[Quantity, Tensor] = {}
        if self.columns:
            tapped = tap(module, layers, batch, self.columns, pooling, plan=self.plan)
            values: Mapping[str, Tensor] = tapped.activations
            found["logits", ""] = tapped.logits
            for layer in layers:
                for place, column in enumerate(self.columns):
                    found[f"gradient {column}", layer] = tapped.gradients[layer][place]
        else:
            values = activations(module, layers, batch, pooling, plan=self.plan)
        for layer in layers:
            found["activation", layer] = values[layer]
        return {quantity: found[quantity] for quantity in self.entries}

    def batches(self, keys: Sequence[str]) -> Iterator[tuple[list[str], Tensor]]:
        """The images in batches of ``BATCH``, the next read while the last is computed."""
        import torch

        parts = [list(keys[start : start + BATCH]) for start in range(0, len(keys), BATCH)]

        def read(part: list[str]) -> Tensor:
            batch = read_batch([self.files[key] for key in part], self.spec.input)
            return torch.cat([batch, batch[-1:].expand(BATCH - len(part), -1, -1, -1)])

        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(read, parts[0])
            for number, part in enumerate(parts):
                batch = coming.result()
                if number + 1 < len(parts):
                    coming = reader.submit(read, parts[number + 1])
                yield part, batch


def _compute(work: _Work, missing: list[str], held: Mapping[Quantity, set[str]], report: Progress) -> None:
    """Run the network over the missing images; each entry gets a segment of what it did not hold."""
    with ExitStack() as stack:
        segments: dict[Quantity, tuple[set[str], BinaryIO]] = {}
        for quantity, entry in work.entries.items():
            lacking = [key for key in missing if key not in held[quantity]]
            if lacking:
                segments[quantity] = (set(lacking), stack.enter_context(entry.segment(lacking)))
        done = 0
        for part, batch in work.batches(missing):
            found = work.run(batch)
            for quantity, (lacking_set, file) in segments.items():
                chosen = [row for row, key in enumerate(part) if key in lacking_set]
                file.write(found[quantity][chosen].numpy().tobytes())
            done += len(part)
            report("running the model over images", done, len(missing))


def _forget_if_stale(work: _Work) -> None:
    """Clear the entries where the network no longer gives what is stored: one stored image tells."""
    common = set.intersection(*(entry.hashes() for entry in work.entries.values()))
    probe = next((key for key in work.files if key in common), None)
    if probe is None:
        return
    _, batch = next(iter(work.batches([probe])))
    found = work.run(batch)
    for quantity, entry in work.entries.items():
        stored, fresh = entry.gather((probe,), None)[0], found[quantity][0].numpy()
        scale = float(max(np.abs(stored).max(initial=0.0), np.abs(fresh).max(initial=0.0)))
        if not np.allclose(stored, fresh, rtol=0, atol=TOLERANCE * scale):
            for other in work.entries.values():
                other.clear()
            return


class Entry:
    """One quantity of one network: rows by image hash, in segments. ``width`` is the values a row."""

    def __init__(self, folder: Path, width: int) -> None:
        self.folder = folder
        self.width = width

    def segments(self) -> dict[str, list[str]]:
        """Segment name -> its images' hashes, by row; damaged segments are left out, and so missed."""
        found: dict[str, list[str]] = {}
        for index in sorted(self.folder.glob("*.json")):
            try:
                rows = json.loads(index.read_text(encoding="utf-8"))
                shape = self._open(index.stem).shape
            except (OSError, ValueError):
                continue
            if isinstance(rows, list) and shape == (len(rows), self.width):
                found[index.stem] = rows
        return found

    def hashes(self) -> set[str]:
        """The images that are held."""
        return {key for rows in self.segments().values() for key in rows}

    def clear(self) -> None:
        """Forget everything: the indices are removed, and with them the segments' validity."""
        for suffix in ("*.json", "*.npy"):
            for path in self.folder.glob(suffix):
                path.unlink(missing_ok=True)

    @contextmanager
    def segment(self, hashes: Sequence[str]) -> Iterator[BinaryIO]:
        """A new segment, to which one row of float32 an image is written; kept if the block ends well.

        Rows are written, not mapped: what a mapping writes stays in memory until the system needs the room.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256("\n".join(hashes).encode()).hexdigest()[:32]
        with _moved_into_place(self.folder / f"{name}.npy") as path, path.open("wb") as file:
            _write_header(file, (len(hashes), self.width))
            yield file
        with _moved_into_place(self.folder / f"{name}.json") as path:
            path.write_text(json.dumps(list(hashes)), encoding="utf-8")

    def gather(self, hashes: Sequence[str], scratch: Path | None) -> Matrix:
        """Rows in the order asked for: the segment itself where it is that, else put together.

        ``scratch`` is where a large result is written; None keeps it in memory.
        """
        segments = self.segments()
        asked = list(hashes)
        for name, rows in segments.items():
            if rows == asked:
                return self._open(name)
        where = {key: (name, row) for name, rows in segments.items() for row, key in enumerate(rows)}
        shape = (len(asked), self.width)
        bytes_a_row = 4 * self.width
        with ExitStack() as stack:
            files = {name: stack.enter_context((self.folder / f"{name}.npy").open("rb")) for name in segments}
            starts = {name: self._open(name).offset for name in segments}

            def rows_asked() -> Iterator[bytes]:
                for key in asked:
                    name, row = where[key]
                    files[name].seek(starts[name] + row * bytes_a_row)
                    yield files[name].read(bytes_a_row)

            if scratch is None or shape[0] * bytes_a_row <= IN_MEMORY:
                joined = np.frombuffer(bytearray().join(rows_asked()), dtype=np.float32)
                return joined.reshape(shape)
            with scratch.open("wb") as file:
                _write_header(file, shape)
                file.writelines(rows_asked())
        mapped: Matrix = np.load(scratch, mmap_mode="r", allow_pickle=False)
        return mapped

    def _open(self, name: str) -> np.memmap[tuple[int, int], np.dtype[np.float32]]:
        opened = np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        if not isinstance(opened, np.memmap) or opened.dtype != np.float32:
            raise ValueError(f"{name}.npy is not an array of float32")
        return opened


def _write_header(file: BinaryIO, shape: tuple[int, int]) -> None:
    """The header of a .npy file of float32 in rows."""
    described = np.lib.format.dtype_to_descr(np.dtype(np.float32))
    np.lib.format.write_array_header_1_0(file, {"descr": described, "fortran_order": False, "shape": shape})


@contextmanager
def _moved_into_place(path: Path) -> Iterator[Path]:
    """A temporary path beside the target, moved onto it if the block ends without an error."""
    handle, name = tempfile.mkstemp(prefix=".", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    try:
        yield Path(name)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _quantities(
    spec: ModelSpec, plan: TapPlan, columns: tuple[int, ...], with_activations: bool
) -> dict[Quantity, int]:
    """What is asked for, with its number of values an image."""
    found: dict[Quantity, int] = {}
    for layer in spec.layers:
        if with_activations:
            found["activation", layer] = plan.sizes[layer]
        for column in columns:
            found[f"gradient {column}", layer] = plan.sizes[layer]
    if columns:
        found["logits", ""] = plan.classes
    return found


def address(loaded: LoadedModel, spec: ModelSpec, quantity: Quantity) -> str:
    """The entry's folder name: a hash of everything that its numbers depend on besides the image."""
    import PIL
    import torch

    parts = {
        "format": FORMAT,
        "weights": loaded.sha256,
        "structure": hashlib.sha256(repr(loaded.module).encode()).hexdigest(),
        "factory": spec.factory,
        "output": spec.output,
        "quantity": quantity,
        "pooling": spec.pooling,
        "input": [spec.input.size, spec.input.channels, spec.input.mean, spec.input.std],
        "torch": torch.__version__,
        "pillow": PIL.__version__,
        "device": loaded.device.partition(":")[0],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _quiet(_what: str, _done: int, _total: int) -> None:
    """No progress wanted."""
