"""Checks a .pt2 archive (torch.export) without torch, and loads what passed. Hostile until shown otherwise.

``torch.export.load`` runs code from an archive by several routes: pickled weights and constants, custom and
opaque objects, sample inputs (which fall back to a full unpickling), symbolic expressions, operator targets,
names in generated code, compiled kernels. Here the archive is opened as a plain zip file, each entry is
checked against a list, the program by ``concepts.preflight.program``; then an archive is written *anew* from
the checked parts, without the sample inputs, and only that one is given to torch. So nothing hides in an
entry that one reader sees and another does not.
"""

from __future__ import annotations

import io
import json
import logging
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from concepts.errors import ModelError
from concepts.foreign import one_line
from concepts.preflight.entries import check_entries
from concepts.preflight.operators import allowed
from concepts.preflight.program import check_program
from concepts.preflight.sample import INSTEAD, check_sample, count_sample_images

if TYPE_CHECKING:
    from torch import nn
    from torch.export import ExportedProgram

LARGEST_PROGRAM = 256 * 2**20
MOST_TIED = 64  # tensors that share one entry, each of which is a copy once the model is moved

PROGRAM = "models/model.json"
SAMPLE = "data/sample_inputs/model.pt"
WEIGHTS = "data/weights/"
CONSTANTS = "data/constants/"
WEIGHTS_CONFIG = "data/weights/model_weights_config.json"
CONSTANTS_CONFIG = "data/constants/model_constants_config.json"
BOOKKEEPING = frozenset(
    {"archive_format", "archive_version", "byteorder", "version", ".data/version", ".data/serialization_id"}
    | {".format_version", ".storage_alignment"}
)
REQUIRED = (PROGRAM, SAMPLE, WEIGHTS_CONFIG, CONSTANTS_CONFIG, "archive_format", "archive_version")
WEIGHT = re.compile(r"weight_[0-9]+", re.ASCII)
TENSOR = re.compile(r"tensor_[0-9]+", re.ASCII)
ELEMENT_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 2, 7: 4, 8: 8, 12: 1, 13: 2}
"""Bytes an element of torch's ScalarType: integers, half, float, double, bool, bfloat16."""


@dataclass(frozen=True, slots=True)
class CheckedArchive:
    """What passed: the program and the two payload tables, without what they do not need, and the tensors."""

    program: dict[str, object]
    weights_config: dict[str, object]
    constants_config: dict[str, object]
    tensors: Mapping[str, bytes]  # "data/weights/weight_0" -> raw bytes
    sample: bytes


def inspect_archive(content: bytes, *, name: str) -> CheckedArchive:
    """Check a .pt2 archive without torch.

    Raises
    ------
    ModelError
        One line on the first thing that is not as it should be.
    """
    entries = _read_entries(content, name)
    for entry in REQUIRED:
        if entry not in entries:
            raise ModelError(
                f"{name} has no entry {entry}: it is not an archive of torch.export.save; {INSTEAD}."
            )
    if entries["archive_format"] != b"pt2" or entries["archive_version"] != b"0":
        raise ModelError(f"{name} is not a pt2 archive of version 0; {INSTEAD}.")
    if len(entries[PROGRAM]) > LARGEST_PROGRAM:
        raise ModelError(f"{name}: models/model.json is larger than {LARGEST_PROGRAM} bytes: refused.")
    check_sample(entries[SAMPLE], name)
    weights = _check_payload(entries, WEIGHTS_CONFIG, WEIGHTS, WEIGHT, name)
    constants = _check_payload(entries, CONSTANTS_CONFIG, CONSTANTS, TENSOR, name)
    return CheckedArchive(
        program=check_program(entries[PROGRAM], name=name),
        weights_config=weights,
        constants_config=constants,
        tensors={
            entry: data
            for entry, data in entries.items()
            if entry.startswith((WEIGHTS, CONSTANTS)) and not entry.endswith(".json")
        },
        sample=entries[SAMPLE],
    )


def _read_entries(content: bytes, name: str) -> dict[str, bytes]:
    """Every entry on the list, by its name without the archive's root folder."""
    entries: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            check_entries(archive.infolist(), len(content), name=name, instead=INSTEAD)
            for info in archive.infolist():
                entry = info.filename.partition("/")[2]
                if entry in entries:
                    raise ModelError(f"{name} holds two entries {entry}: refused; {INSTEAD}.")
                if not _on_whitelist(entry):
                    raise ModelError(
                        f"{name} holds an entry {entry[:80]!r}, which is not part of a plain exported "
                        f"program and may run code: refused; {INSTEAD}."
                    )
                entries[entry] = archive.read(info)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise ModelError(f"{name} is not a readable .pt2 archive: {error}") from error
    return entries


def _on_whitelist(entry: str) -> bool:
    if entry in BOOKKEEPING or entry in (PROGRAM, SAMPLE, WEIGHTS_CONFIG, CONSTANTS_CONFIG):
        return True
    folder, _, file = entry.rpartition("/")
    known = {WEIGHTS.rstrip("/"): WEIGHT, CONSTANTS.rstrip("/"): TENSOR}.get(folder)
    return known is not None and known.fullmatch(file) is not None


def _check_payload(
    entries: Mapping[str, bytes], config: str, folder: str, pattern: re.Pattern[str], name: str
) -> dict[str, object]:
    """A payload table: every tensor raw, in an entry of its own folder, within its bounds."""
    try:
        table = json.loads(entries[config])["config"]
        items = list(table.items())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{name}: {config} is not a payload table: refused.") from error
    checked: dict[str, object] = {}
    named: Counter[str] = Counter()
    for tensor, meta in items:
        path = meta.get("path_name") if isinstance(meta, dict) else None
        if isinstance(meta, dict) and meta.get("use_pickle") is not False:
            raise ModelError(
                f"{name}: tensor {tensor[:80]!r} is pickled (use_pickle), which runs code when loaded: "
                f"refused; {INSTEAD}."
            )
        if not isinstance(path, str) or not pattern.fullmatch(path):
            raise ModelError(
                f"{name}: {tensor[:80]!r} is a custom or opaque object ({str(path)[:80]!r}), which runs "
                f"code when loaded: refused; {INSTEAD}."
            )
        if folder + path not in entries:
            raise ModelError(f"{name}: the data of tensor {tensor[:80]!r} are missing ({folder}{path}).")
        named[path] += 1
        if named[path] > MOST_TIED:
            raise ModelError(
                f"{name}: more than {MOST_TIED} tensors are stored in the one entry {folder}{path}: refused; "
                f"{INSTEAD}."
            )
        checked[tensor] = {
            "path_name": path,
            "is_param": meta.get("is_param") is True,
            "use_pickle": False,
            "tensor_meta": _check_bounds(meta.get("tensor_meta"), len(entries[folder + path]), tensor, name),
        }
    for entry in entries:
        if entry.startswith(folder) and entry != config and entry.removeprefix(folder) not in named:
            raise ModelError(
                f"{name}: no tensor of the program is stored in entry {entry}: refused; {INSTEAD}."
            )
    return {"config": checked}


def _check_bounds(meta: object, available: int, tensor: str, name: str) -> dict[str, object]:
    """Sizes, strides and offset as numbers that stay within the tensor's own bytes.

    A tensor may not have more elements than its bytes hold either: with a stride of 0 a few bytes become
    gigabytes as soon as the tensor is copied.
    """
    try:
        assert isinstance(meta, dict)
        sizes, strides = ([_whole(item) for item in meta[key]] for key in ("sizes", "strides"))
        offset, element = _whole(meta["storage_offset"]), ELEMENT_BYTES[meta["dtype"]]
        device = meta["device"]["type"]
        fits = len(sizes) == len(strides) and min([*sizes, *strides, offset]) >= 0
        last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
        empty = 0 in sizes
        fits = fits and (empty or prod(sizes) * element <= available)
        fits = fits and all(stride > 0 for size, stride in zip(sizes, strides, strict=True) if size > 1)
        fits = fits and (empty or (last + 1) * element <= available) and meta["layout"] == 7
    except (AssertionError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{name}: tensor {tensor[:80]!r} has no plain shape and type: refused.") from error
    if not fits or not isinstance(device, str) or device not in ("cpu", "cuda"):
        raise ModelError(
            f"{name}: tensor {tensor[:80]!r} does not lie within its data, or is not a plain tensor: refused."
        )
    return {
        "dtype": meta["dtype"],
        "sizes": [{"as_int": size} for size in sizes],
        "requires_grad": meta.get("requires_grad") is True,
        "device": {"type": "cpu", "index": None},
        "strides": [{"as_int": stride} for stride in strides],
        "storage_offset": {"as_int": offset},
        "layout": 7,
    }


def _whole(item: object) -> int:
    if not isinstance(item, dict) or set(item) != {"as_int"} or type(item["as_int"]) is not int:
        raise ValueError("not a whole number")
    return item["as_int"]


def load_archive(content: bytes, *, name: str, device: str = "cpu") -> nn.Module:
    """Check a .pt2 archive, then load it as a module with sub-modules (``torch.export.unflatten``).

    ``device``: where the program is to run; devices are written into its operators' arguments too.

    Raises
    ------
    ModelError
        The archive is refused, or torch cannot load what passed.
    """
    checked = inspect_archive(content, name=name)

    import torch
    from torch.export.passes import move_to_device_pass

    count_sample_images(checked.sample, name)
    _check_overloads(checked.program, name)
    try:
        with _quiet_torch():
            program = torch.export.load(io.BytesIO(_write_archive(checked)))
            _check_loaded(program, name)
            if device != "cpu":
                program = move_to_device_pass(program, device)
            return torch.export.unflatten(program)
    except ModelError:
        raise
    except (Exception, SystemExit) as error:  # whatever a damaged but harmless archive makes torch raise
        first: BaseException = error  # torch's last words only point to a warning, which is silenced
        while first.__cause__ or first.__context__:
            first = first.__cause__ or first.__context__  # type: ignore[assignment]
        reason = one_line(first)[:200]
        if "warnings above" in reason:
            reason = "a node of the program does not fit its operator"
        raise ModelError(f"{name} cannot be loaded by torch {torch.__version__}: {reason}") from error


@contextmanager
def _quiet_torch() -> Iterator[None]:
    """No warnings of torch's own deprecated calls, and no tracebacks in its log: our error says it."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _check_overloads(program: Mapping[str, object], name: str) -> None:
    """Every operator's overload is one that this torch has; ``allowed`` knows the names alone."""
    import torch

    for target in _targets(program):
        if not target.startswith("torch.ops.aten."):
            continue
        packet, _, overload = target.removeprefix("torch.ops.aten.").partition(".")
        if overload not in getattr(torch.ops.aten, packet).overloads():
            raise ModelError(
                f"{name} calls {target[:80]!r}, which torch {torch.__version__} does not have: export it "
                "again with this version."
            )


def _targets(value: object) -> Iterator[str]:
    """What the nodes of a checked program call."""
    if isinstance(value, dict) and isinstance(value.get("target"), str):
        yield value["target"]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in items:
        yield from _targets(item)


def _check_loaded(program: ExportedProgram, name: str) -> None:
    """What texts cannot tell, before anything runs: resolved operators, the mode, the open image axis."""
    for node in program.graph.nodes:
        if node.op == "call_function" and not _is_operator(node.target):
            raise ModelError(f"{name} calls {str(node.target)[:80]!r}: refused; {INSTEAD}.")
    _refuse_training(program, name)
    _refuse_fixed_batch(program, name)


def _is_operator(target: object) -> bool:
    import torch

    if isinstance(target, torch._ops.OpOverload):
        return allowed(f"torch.ops.{target}")
    module, named = getattr(target, "__module__", ""), getattr(target, "__name__", "")
    return allowed(f"{module}.{named}")


def _write_archive(checked: CheckedArchive) -> bytes:
    """The archive that torch is given: the checked parts and nothing else."""
    from torch.export.pt2_archive._package import PT2ArchiveWriter

    buffer = io.BytesIO()
    with PT2ArchiveWriter(buffer) as writer:
        writer.write_bytes(PROGRAM, json.dumps(checked.program).encode())
        writer.write_bytes(WEIGHTS_CONFIG, json.dumps(checked.weights_config).encode())
        writer.write_bytes(CONSTANTS_CONFIG, json.dumps(checked.constants_config).encode())
        writer.write_bytes(SAMPLE, b"")
        for entry, data in checked.tensors.items():
            writer.write_bytes(entry, data)
    return buffer.getvalue()


def _refuse_training(program: ExportedProgram, name: str) -> None:
    """A program keeps the mode it was exported in: dropout and batch statistics would stay on."""
    for node in program.graph.nodes:
        arguments = getattr(getattr(node.target, "_schema", None), "arguments", ())
        for place, argument in enumerate(arguments):
            given = node.kwargs.get(argument.name, node.args[place] if place < len(node.args) else None)
            if argument.name in ("train", "training") and given is True:
                raise ModelError(
                    f"{name} was exported in training mode ({node.target}): call model.eval() before "
                    "torch.export.export()."
                )


def _refuse_fixed_batch(program: ExportedProgram, name: str) -> None:
    """Images are run in batches, so the first axis must have been left open."""
    inputs = set(program.graph_signature.user_inputs)
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in inputs:
            shape = getattr(node.meta.get("val"), "shape", ())
            if shape and isinstance(shape[0], int):
                raise ModelError(
                    f"{name} was exported for exactly {shape[0]} images; export it with two sample images "
                    "and dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)."
                )
