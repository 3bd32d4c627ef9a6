"""Image files: listing, locating, reading into tensors, hashing. No model and no statistics here."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np

from concepts.errors import ConceptError
from concepts.records import InputFormat

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".pgm", ".ppm"})
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM")
"""What a file may hold, whatever it is called: Pillow would hand others to programs (EPS to Ghostscript)."""
_SETTINGS = RLock()
"""Pillow's settings are the process's: one thread at a time changes and restores them."""
LARGEST_SIDE = 16_384  # pixels of a model's input
LARGEST_IMAGE = 2**24  # pixels x channels of one: a batch of 64 in float32 takes 4 GiB
SIXTEEN_BIT = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})

Pixels = np.ndarray[tuple[int, int, int], np.dtype[np.float32]]


def list_images(folder: Path) -> tuple[Path, ...]:
    """List the image files under a folder, recursively, sorted by relative path.

    Hidden files and files without an image suffix are left out.

    Raises
    ------
    ConceptError
        The folder does not exist, is not a folder, or holds no image.
    """
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise ConceptError(
            f"Image folder {folder} is not a folder (found {found}); give a folder of image files."
        )
    named: list[tuple[str, Path]] = []
    others = 0
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        if any(part.startswith(".") for part in relative.parts) or not path.is_file():
            continue
        if path.suffix.lower() in SUFFIXES:
            named.append((relative.as_posix(), path))
        else:
            others += 1
    if not named:
        raise ConceptError(
            f"Image folder {folder} holds no image (found {others} other files); "
            f"put image files there, of type {', '.join(sorted(SUFFIXES))}."
        )
    return tuple(path for _, path in sorted(named))


def locate(root: Path, files: Sequence[str]) -> tuple[Path, ...]:
    """Turn the log's file names into paths under ``root``, in the same order.

    A log is not trusted: a name that leaves the root is refused, so that a report cannot be made to read
    (and hash) arbitrary files.

    Raises
    ------
    ConceptError
        A name is absolute or leaves the root, or a file does not exist.
    """
    if not root.is_dir():
        raise ConceptError(f"Image folder {root} of the log does not exist; correct `images` in [concepts].")
    paths: list[Path] = []
    missing: list[str] = []
    for name in files:
        parts = PurePosixPath(name)
        if parts.is_absolute() or ".." in parts.parts or "\\" in name or "\0" in name:
            raise ConceptError(
                f"Image name {name!r} in the log leaves the image folder {root}; "
                "names must be relative to it, with forward slashes and without '..'."
            )
        path = root / parts
        try:
            found = path.is_file()
        except OSError as error:  # a name longer than the file system takes
            raise ConceptError(
                f"Image name '{name[:80]}…' in the log cannot be looked up under {root}: {error.strerror}"
            ) from error
        if not found:
            missing.append(name)
        paths.append(path)
    if missing:
        raise ConceptError(
            f"{len(missing)} of {len(files)} images of the log are not under {root} "
            f"(first: {missing[0]!r}); correct `images` or `image_column` in [concepts]."
        )
    return tuple(paths)


def check_format(form: InputFormat) -> None:
    """Refuse an input format that no image can be brought into.

    Raises
    ------
    ConceptError
        Channels other than 1 or 3, a size below 1 pixel or beyond what memory holds, a mean or
        standard deviation of another length than the channels, or a standard deviation that is not positive.
    """
    if form.channels not in (1, 3):
        raise ConceptError(f"[model] input: channels must be 1 (grey) or 3 (RGB), found {form.channels}.")
    if len(form.size) != 2 or min(form.size) < 1:
        raise ConceptError(f"[model] input: size must be [height, width] in pixels, found {list(form.size)}.")
    pixels = form.size[0] * form.size[1] * form.channels
    if max(form.size) > LARGEST_SIDE or pixels > LARGEST_IMAGE:
        raise ConceptError(
            f"[model] input: size {list(form.size)} is too large: at most {LARGEST_SIDE} pixels a side and "
            f"{LARGEST_IMAGE:,} values an image."
        )
    for name, values in (("mean", form.mean), ("std", form.std)):
        if len(values) != form.channels:
            raise ConceptError(
                f"[model] input: {name} has {len(values)} values for {form.channels} channels; "
                "give one a channel."
            )
    if not all(value > 0 for value in form.std):
        raise ConceptError(f"[model] input: std must be positive, found {list(form.std)}.")


def read_pixels(path: Path, form: InputFormat) -> Pixels:
    """Read one image: decoded, brought to grey or RGB, resized, in [0, 1]; not yet normalised.

    8-bit images are resized as 8-bit by Pillow's bilinear filter (with its antialiasing), as training
    pipelines built on Pillow do; 16-bit grey images as floats, so that no depth is lost. Transparency is
    dropped, an EXIF rotation is not applied, and of an animation the first frame is read.

    Returns
    -------
    float32 array, shape (channels, height, width)

    Raises
    ------
    ConceptError
        The file is missing, not an image, truncated, too large to decode safely, or of a pixel type
        without a stated range (floats, 32-bit integers beyond 65,535).
    """
    from PIL import Image

    height, width = form.size
    try:
        with _strict_decoding(), Image.open(path, formats=FORMATS) as image:
            image.load()
            if image.mode in SIXTEEN_BIT or image.mode == "I":
                grey = _sixteen_bit(image, path).resize((width, height), Image.Resampling.BILINEAR)
                plane = np.asarray(grey, dtype=np.float32)
                return np.repeat(plane[None], form.channels, axis=0)
            if image.mode == "F":
                raise ConceptError(
                    f"Image {path} has floating-point pixels, whose range is not stated; "
                    "save it as an 8-bit or 16-bit image."
                )
            eight = image.convert("L" if form.channels == 1 else "RGB")
            resized = np.asarray(eight.resize((width, height), Image.Resampling.BILINEAR))
    except ConceptError:
        raise
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConceptError(f"Image {path} cannot be read: {reason}") from error
    planes = resized[None] if resized.ndim == 2 else np.moveaxis(resized, -1, 0)
    return np.ascontiguousarray(planes, dtype=np.float32) / np.float32(255)


@contextmanager
def _strict_decoding() -> Iterator[None]:
    """Truncated files and decompression bombs are errors, whatever other code of the process has set.

    WeasyPrint sets Pillow's ``LOAD_TRUNCATED_IMAGES`` for good when it is imported: a second run in one
    process (a notebook) would read half an image and fill the rest with grey.
    """
    from PIL import Image, ImageFile

    with _SETTINGS, warnings.catch_warnings():
        # A decompression bomb is a warning below twice the limit; here it is always refused.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        lenient = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def _sixteen_bit(image: Image, path: Path) -> Image:
    """A 16-bit grey image as floats in [0, 1]."""
    from PIL import Image as pillow

    values = np.asarray(image, dtype=np.float32)
    if values.size and (values.min() < 0 or values.max() > 65535):
        raise ConceptError(
            f"Image {path} has 32-bit pixels from {values.min():.0f} to {values.max():.0f}, "
            "whose range is not stated; save it as an 8-bit or 16-bit image."
        )
    return pillow.fromarray(values / np.float32(65535))


def read_batch(paths: Sequence[Path], form: InputFormat) -> Tensor:
    """Read images into one batch, normalised as (pixel in [0, 1] - mean) / std per channel.

    Returns
    -------
    float32 tensor, shape (N, channels, height, width)

    Raises
    ------
    ConceptError
        See ``read_pixels`` and ``check_format``; one line with the file.
    """
    import torch

    check_format(form)
    batch = np.empty((len(paths), form.channels, *form.size), dtype=np.float32)
    for row, path in enumerate(paths):
        batch[row] = read_pixels(path, form)
    return torch.from_numpy(normalise(batch, form))


def normalise(
    batch: np.ndarray[tuple[int, ...], np.dtype[np.float32]], form: InputFormat
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """(pixel - mean) / std per channel; shape (N, channels, height, width) in and out."""
    mean = np.asarray(form.mean, dtype=np.float32)[None, :, None, None]
    std = np.asarray(form.std, dtype=np.float32)[None, :, None, None]
    normalised: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = (batch - mean) / std
    return normalised


def noise_images(number: int, form: InputFormat) -> Tensor:
    """Images of noise, brought to the model's input as image files are; the same ones every time.

    Each is coarse blocks of grey or colour under fine noise, pixels in [0, 1], so that brightness and
    contrast differ between images as they do between photographs.

    Returns
    -------
    float32 tensor, shape (number, channels, height, width)
    """
    import torch

    check_format(form)
    draw = np.random.default_rng(0)
    height, width = form.size
    coarse = draw.random((number, form.channels, 4, 4), dtype=np.float32)
    rows, columns = np.arange(height) * 4 // height, np.arange(width) * 4 // width
    fine = draw.random((number, form.channels, height, width), dtype=np.float32)
    share = draw.random((number, 1, 1, 1), dtype=np.float32)
    pixels = share * coarse[:, :, rows][:, :, :, columns] + (1 - share) * fine
    return torch.from_numpy(normalise(pixels, form))


def hash_images(
    paths: Sequence[Path], *, progress: Callable[[str, int, int], None] | None = None
) -> tuple[str, ...]:
    """SHA-256 of each file's bytes, as hex, in the order given."""
    digests: list[str] = []
    for done, path in enumerate(paths, 1):
        try:
            with path.open("rb") as file:
                digests.append(hashlib.file_digest(file, "sha256").hexdigest())
        except OSError as error:
            raise ConceptError(f"Image {path} cannot be read: {error.strerror}") from error
        if progress is not None:
            progress("hashing images", done, len(paths))
    return tuple(digests)


def hash_set(paths: Sequence[Path], root: Path, *, hashes: Sequence[str] | None = None) -> str:
    """One SHA-256 over a set of images: each relative path and each file's content, in sorted order.

    Names count, since the draws from a pool follow the order of names. ``hashes``, where given, are the
    files' own (``hash_images``), so that a file is not read twice.
    """
    contents = hash_images(paths) if hashes is None else tuple(hashes)
    lines = sorted(
        f"{path.relative_to(root).as_posix()}\0{digest}" for path, digest in zip(paths, contents, strict=True)
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
