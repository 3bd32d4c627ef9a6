"""The store of activations and gradients: content-addressed, so that only what is new is computed.

An entry is addressed by everything that its numbers depend on: the weights' SHA-256, the network's
structure, the layer, the pooling, the preprocessing, the versions of torch and Pillow, the kind of device,
and, row by row, the image's own SHA-256. A changed image, weight or layer therefore misses. The factory's
*code* is not in the weights, nor is a transformation's; so one stored image of every request (and one of each
transformation) goes through the network again, and all is computed again unless they agree.

The files are `concepts.cache.store`'s; they may be deleted at any time, and a run ends by removing those used
longest ago where they take more room than is allowed.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from concepts.cache.mapped import Matrix
from concepts.cache.store import Entry, trim
from concepts.errors import ConceptError, ModelError
from concepts.images import check_format, hash_images, normalise, read_batch, read_pixels
from concepts.records import ModelSpec
from concepts.transforms import Transform, find_transform

if TYPE_CHECKING:
    from torch import Tensor

    from concepts.model.loading import LoadedModel
    from concepts.model.taps import TapPlan

Progress = Callable[[str, int, int], None]

FORMAT = 1  # raise it when the meaning of the stored numbers changes
BATCH = 64  # images a pass; fixed, and the last batch is filled up, so that rows do not depend on neighbours
READERS = 8  # threads that decode images, at most; the pictures of a batch are read while another is computed
TOLERANCE = 1e-3  # relative to the largest value; a changed network differs by far more than hardware does


@dataclass(frozen=True, slots=True)
class Collected:
    """What a set of images does inside the network; row i belongs to the i-th path.

    ``activations`` layer -> (N, d); ``gradients`` layer -> one (N, d) for each column asked for; ``logits``
    (N, K), None where no column was asked for; all float32, memory-mapped where large or cached. ``hashes``
    the files' SHA-256; ``computed`` the number of images that went through the network.
    """

    activations: Mapping[str, Matrix]
    gradients: Mapping[str, tuple[Matrix, ...]]
    logits: Matrix | None
    hashes: tuple[str, ...]
    plan: TapPlan
    computed: int


def collect(
    loaded: LoadedModel,
    spec: ModelSpec,
    paths: Sequence[Path],
    *,
    transforms: Sequence[str | None] | None = None,
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
    transforms
        For each path the transformation to apply first (see ``concepts.transforms``), or None.
    columns
        Logit columns (positions in ``spec.outputs``) to differentiate.
    with_activations
        False: gradients and logits only.
    cache
        A folder to keep the numbers in; None: a temporary one.

    Raises
    ------
    ConceptError
        An image cannot be read, a transformation cannot be applied, or the cache cannot be written.
    ModelError
        A layer cannot be tapped (see ``concepts.model.taps.plan_taps``), or there is no image.
    """
    from concepts.model.taps import plan_taps

    if not paths:
        raise ModelError("No image to run the model on; give at least one.")
    hashes = hash_images(paths)
    images = [
        _Image(path, digest, name)
        for path, digest, name in zip(paths, hashes, transforms or [None] * len(paths), strict=True)
    ]
    plan = plan_taps(
        loaded.module,
        spec.layers,
        read_batch(paths[:3], spec.input),
        spec.pooling,
        output=spec.output,
        classes=len(spec.outputs),
    )
    # What is mapped from the scratch folder stays readable after the folder has gone.
    with tempfile.TemporaryDirectory(prefix="xaudit-activations-", ignore_cleanup_errors=True) as name:
        scratch = Path(name)
        root = cache if cache is not None else scratch / "store"
        quantities = _quantities(spec, plan, tuple(columns), with_activations)
        entries = {
            quantity: Entry(root / address(loaded, spec, quantity), width)
            for quantity, width in quantities.items()
        }
        _check_folder(root)
        work = _Work(loaded, spec, plan, tuple(columns), entries, {image.key: image for image in images})
        _forget_if_stale(work)
        held = {quantity: entry.held() for quantity, entry in entries.items()}
        missing = [key for key in work.images if any(key not in known for known in held.values())]
        if missing:
            try:
                _compute(work, missing, held, progress or _quiet)
            except OSError as error:
                raise ConceptError(
                    f"Activations cannot be kept in {root}: {error.strerror or error}; make room there, or "
                    "name another folder as cache in [concepts] (TMPDIR where there is none)."
                ) from error
        rows = {
            quantity: entry.rows([image.key for image in images], scratch / f"{number}.npy")
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
    )


def _check_folder(root: Path) -> None:
    """Make the store's folder before the network runs.

    Raises
    ------
    ConceptError
        It is a file, or cannot be made or written to.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
    except (OSError, ValueError) as error:
        raise ConceptError(
            f"[concepts] cache '{root.name}' cannot be used as a folder to write to: "
            f"{getattr(error, 'strerror', error)}; name another, or leave it out."
        ) from error


def bound(cache: Path, *, gigabytes: float) -> None:
    """Keep a store within its room: what was used longest ago goes first."""
    trim(cache, int(gigabytes * 10**9))


@dataclass(frozen=True, slots=True)
class _Image:
    """A file as the network is to see it; ``key`` names its content and what is done to it."""

    path: Path
    sha256: str
    transform: str | None

    @property
    def key(self) -> str:
        return self.sha256 if self.transform is None else f"{self.sha256} {self.transform}"


Quantity = tuple[str, str]  # what ("activation", "gradient 3", "logits") and of which layer


@dataclass(frozen=True, slots=True)
class _Work:
    """One request: the network, what is asked of it, where it is kept, each distinct image once."""

    loaded: LoadedModel
    spec: ModelSpec
    plan: TapPlan
    columns: tuple[int, ...]
    entries: Mapping[Quantity, Entry]
    images: Mapping[str, _Image]

    def run(self, batch: Tensor) -> dict[Quantity, Tensor]:
        """Every quantity asked for, (N, d) each.

        Raises
        ------
        ModelError
            The GPU's memory does not hold the pass.
        """
        import torch

        try:
            return self._run(batch)
        except torch.OutOfMemoryError as error:
            raise ModelError(
                f"The GPU's memory does not hold a pass over {BATCH} images of {self.spec.input.size[0]} x "
                f"{self.spec.input.size[1]} pixels; end what else uses it, or run on the processor: "
                'CUDA_VISIBLE_DEVICES="" xaudit run ….'
            ) from error

    def _run(self, batch: Tensor) -> dict[Quantity, Tensor]:
        from concepts.model.taps import activations, tap

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

        form = self.spec.input
        check_format(form)
        changes: dict[str, Transform] = {}
        for key in keys:
            name = self.images[key].transform
            if name is not None and name not in changes:
                changes[name] = find_transform(name)
        parts = [list(keys[start : start + BATCH]) for start in range(0, len(keys), BATCH)]

        def read(image: _Image, row: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
            pixels = read_pixels(image.path, form)
            if image.transform is not None:
                pixels = changes[image.transform](pixels)
            row[:] = normalise(pixels[None], form)[0]

        with ThreadPoolExecutor(min(READERS, os.cpu_count() or 1)) as readers:

            def start(part: list[str]) -> tuple[Tensor, list[Future[None]]]:
                batch = np.empty((BATCH, form.channels, *form.size), dtype=np.float32)
                reading = [readers.submit(read, self.images[key], batch[at]) for at, key in enumerate(part)]
                return torch.from_numpy(batch), reading

            coming = start(parts[0])
            for number, part in enumerate(parts):
                batch, reading = coming
                for one in reading:
                    one.result()
                batch[len(part) :] = batch[len(part) - 1]
                if number + 1 < len(parts):
                    coming = start(parts[number + 1])
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
                rows = found[quantity].numpy()
                for at, key in enumerate(part):
                    if key in lacking_set:
                        file.write(np.ascontiguousarray(rows[at]).data)
            done += len(part)
            report("running the model over images", done, len(missing))


def _forget_if_stale(work: _Work) -> None:
    """Clear the entries where the network no longer gives what is stored.

    One stored image of each segment tells, and one of each transformation.
    """
    common = set.intersection(*(entry.held() for entry in work.entries.values())) & work.images.keys()
    known = [key for key in work.images if key in common]
    probes = dict.fromkeys(key for entry in work.entries.values() for key in entry.one_of_each(known))
    probes |= dict.fromkeys({work.images[key].transform: key for key in reversed(known)}.values())
    if not probes:
        return
    for part, batch in work.batches(list(probes)):
        found = work.run(batch)
        for quantity, entry in work.entries.items():
            stored, fresh = entry.rows(part, None), found[quantity][: len(part)].numpy()
            scale = np.maximum(np.abs(stored).max(axis=1), np.abs(fresh).max(axis=1))
            if not (np.abs(stored - fresh).max(axis=1) <= TOLERANCE * scale).all():
                for other in work.entries.values():
                    other.clear()
                return


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
