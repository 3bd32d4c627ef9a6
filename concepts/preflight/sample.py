"""The sample inputs of a .pt2 archive: few, small, and tensors only.

torch falls back to a full unpickling where they are more; here they are checked, counted, and not passed on.
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from pathlib import PurePosixPath

from concepts.errors import ModelError
from concepts.preflight.entries import check_entries

INSTEAD = "export it anew with torch.export.save, or give a factory and safetensors weights"
LARGEST_SAMPLE = 32 * 2**20
LARGEST_PICKLE = 2**20  # bytes that name the tensors; their values lie beside it
MOST_SAMPLE_IMAGES = 32
HARMLESS_GLOBALS = frozenset(
    {
        *(
            "torch._utils _rebuild_tensor_v2",
            "torch._utils _rebuild_parameter",
            "torch._tensor _rebuild_from_type_v2",
        ),
        *(
            "torch Tensor",
            "torch.nn.parameter Parameter",
            "collections OrderedDict",
            "torch Size",
            "torch device",
        ),
        *(
            f"torch {kind}Storage"
            for kind in (
                "Float",
                "Double",
                "Half",
                "BFloat16",
                "Long",
                "Int",
                "Short",
                "Char",
                "Byte",
                "Bool",
            )
        ),
    }
)


def check_sample(content: bytes, name: str) -> None:
    """The sample inputs: few and small, and a pickle that names tensors only.

    They are not loaded by torch.export.load here (the archive is written anew without them); they are
    checked all the same, since an archive that holds data or code there should not be in use.
    """
    if len(content) > LARGEST_SAMPLE:
        raise ModelError(
            f"{name} embeds sample inputs of {len(content)} bytes, more than {LARGEST_SAMPLE}: they may hold "
            "a data set: refused; export it with one or two images."
        )
    if not content:
        return
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            check_entries(archive.infolist(), len(content), name=f"{name}: sample inputs", instead=INSTEAD)
            pickles = [info for info in archive.infolist() if PurePosixPath(info.filename).suffix == ".pkl"]
            if len(pickles) != 1 or pickles[0].file_size > LARGEST_PICKLE:
                raise ModelError(f"{name}: the sample inputs are not one saved tuple of tensors: refused.")
            operations = list(pickletools.genops(archive.read(pickles[0])))
    except ModelError:
        raise
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError, IndexError) as error:
        raise ModelError(
            f"{name}: the sample inputs are a bare pickle or damaged, not tensors saved by torch: "
            f"refused; {INSTEAD}."
        ) from error
    for operation, argument, _ in operations:
        code = operation.name in ("INST", "OBJ", "EXT1", "EXT2", "EXT4", "STACK_GLOBAL")
        if code or (operation.name == "GLOBAL" and argument not in HARMLESS_GLOBALS):
            raise ModelError(
                f"{name}: the sample inputs are a pickle that calls "
                f"{str(argument or operation.name)[:80]!r}, not only tensors: refused; {INSTEAD}."
            )


def count_sample_images(sample: bytes, name: str) -> None:
    """Load the sample inputs as tensors only, and count them."""
    import torch
    from torch.utils import _pytree as pytree

    if not sample:
        return
    try:
        loaded = torch.load(io.BytesIO(sample), map_location="cpu", weights_only=True)
    except Exception as error:  # anything but tensors
        raise ModelError(f"{name}: the sample inputs do not load as tensors: refused; {INSTEAD}.") from error
    images = [
        len(leaf) for leaf in pytree.tree_leaves(loaded) if isinstance(leaf, torch.Tensor) and leaf.ndim
    ]
    if max(images, default=0) > MOST_SAMPLE_IMAGES:
        raise ModelError(
            f"{name} embeds {max(images)} sample inputs, more than {MOST_SAMPLE_IMAGES}: they may hold a "
            "data set: refused; export it with one or two images."
        )
