"""Images: what is read equals an independent reading; names stay in their folder; errors name files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from concepts.errors import ConceptError
from concepts.images import check_format, hash_images, hash_set, list_images, locate, read_batch, read_pixels
from concepts.records import InputFormat

GREY = InputFormat(size=(6, 4), channels=1, mean=(0.5,), std=(0.25,))
RGB = InputFormat(size=(6, 4), channels=3, mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0))
RNG = np.random.default_rng(5)


def bilinear(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Triangle-filter resampling, retyped: each output pixel averages the inputs under a triangle whose half
    width is the scale (at least one pixel)."""

    def weights(old: int, new: int) -> np.ndarray:
        scale = old / new
        support = max(scale, 1.0)
        matrix = np.zeros((new, old))
        for place in range(new):
            centre = (place + 0.5) * scale
            low, high = max(int(centre - support + 0.5), 0), min(int(centre + support + 0.5), old)
            for source in range(low, high):
                matrix[place, source] = max(0.0, 1 - abs((source + 0.5 - centre) / support))
            matrix[place] /= matrix[place].sum()
        return matrix

    return weights(values.shape[0], height) @ values @ weights(values.shape[1], width).T


def save(path: Path, values: np.ndarray) -> Path:
    Image.fromarray(values).save(path)
    return path


@pytest.mark.parametrize("shape", [(12, 8), (3, 2), (6, 4), (7, 9)])
def test_grey_8_bit_against_a_plain_resampling(tmp_path: Path, shape: tuple[int, int]) -> None:
    values = RNG.integers(0, 256, shape, dtype=np.uint8)
    found = read_pixels(save(tmp_path / "a.png", values), GREY)
    assert found.shape == (1, 6, 4)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0] * 255, bilinear(values, 6, 4), atol=1.01)  # Pillow rounds twice


@pytest.mark.parametrize("shape", [(12, 8), (3, 2), (6, 4)])
def test_grey_16_bit_keeps_its_depth(tmp_path: Path, shape: tuple[int, int]) -> None:
    values = RNG.integers(0, 65536, shape).astype(np.uint16)
    for name in ("a.png", "a.tif"):
        found = read_pixels(save(tmp_path / name, values), GREY)
        np.testing.assert_allclose(found[0] * 65535, bilinear(values, 6, 4), rtol=1e-5, atol=0.2)
        spread = read_pixels(tmp_path / name, RGB)
        np.testing.assert_array_equal(spread, np.repeat(found, 3, axis=0))


def test_colour_channels_and_normalisation(tmp_path: Path) -> None:
    values = RNG.integers(0, 256, (6, 4, 3), dtype=np.uint8)
    paths = [save(tmp_path / "a.png", values), save(tmp_path / "b.bmp", values[::-1].copy())]
    batch = read_batch(paths, RGB)
    assert (batch.shape, batch.dtype) == ((2, 3, 6, 4), torch.float32)
    expected = (np.moveaxis(values, -1, 0) / 255 - np.array(RGB.mean)[:, None, None]) / np.array(RGB.std)[
        :, None, None
    ]
    np.testing.assert_allclose(batch[0], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(batch[1], expected[:, ::-1], rtol=1e-5, atol=1e-6)


def test_grey_from_colour_and_colour_from_grey(tmp_path: Path) -> None:
    values = RNG.integers(0, 256, (6, 4, 3), dtype=np.uint8)
    grey = read_pixels(save(tmp_path / "a.png", values), GREY)[0] * 255
    np.testing.assert_allclose(grey, values @ np.array([0.299, 0.587, 0.114]), atol=1)  # ITU-R BT.601
    colour = read_pixels(save(tmp_path / "b.png", values[..., 0]), RGB) * 255
    np.testing.assert_allclose(colour, np.repeat(values[None, ..., 0], 3, axis=0), atol=1e-4)


def test_transparency_palettes_and_bits(tmp_path: Path) -> None:
    values = RNG.integers(0, 256, (6, 4, 4), dtype=np.uint8)
    found = read_pixels(save(tmp_path / "a.png", values), RGB) * 255
    np.testing.assert_allclose(found, np.moveaxis(values[..., :3], -1, 0), atol=1e-4)
    Image.fromarray(values[..., 0]).convert("P").save(tmp_path / "p.gif")
    assert read_pixels(tmp_path / "p.gif", GREY).max() <= 1
    Image.fromarray(values[..., 0] > 128).save(tmp_path / "bit.png")
    np.testing.assert_array_equal(read_pixels(tmp_path / "bit.png", GREY)[0], values[..., 0] > 128)


def test_listing_is_recursive_sorted_and_skips_what_is_no_image(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/10.PNG", "a.jpg", ".hidden/x.png", "b/.y.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)] == [
        "a.jpg",
        "b/10.PNG",
        "b/2.png",
    ]


def test_folders_that_hold_no_image(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"")
    with pytest.raises(ConceptError, match=r"holds no image \(found 1 other files\); put image files there"):
        list_images(tmp_path)
    with pytest.raises(ConceptError, match=r"is not a folder \(found nothing\)"):
        list_images(tmp_path / "none")
    with pytest.raises(ConceptError, match=r"is not a folder \(found a file\)"):
        list_images(tmp_path / "notes.txt")


def test_names_of_a_log_stay_in_their_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    save(tmp_path / "in" / "a.png", np.zeros((2, 2), np.uint8))
    save(tmp_path / "out.png", np.zeros((2, 2), np.uint8))
    root = tmp_path / "in"
    assert locate(root, ["a.png", "./a.png"]) == (root / "a.png", root / "a.png")
    for name in ("../out.png", str(tmp_path / "out.png"), "x/../../out.png", "..\\out.png", "a\0.png"):
        with pytest.raises(ConceptError, match="leaves the image folder"):
            locate(root, [name])
    with pytest.raises(ConceptError, match=r"2 of 3 images of the log are not under .* \(first: 'b.png'\)"):
        locate(root, ["a.png", "b.png", "c.png"])
    with pytest.raises(
        ConceptError, match=r"Image name 'a{80}…' .* cannot be looked up .*File name too long"
    ):
        locate(root, ["a" * 5000])
    with pytest.raises(ConceptError, match="does not exist; correct `images`"):
        locate(tmp_path / "none", [])


@pytest.mark.parametrize("lenient", [False, True])
def test_unreadable_images_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lenient: bool) -> None:
    """Lenient: as WeasyPrint sets Pillow when it is imported, which reads a cut file as half grey."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    whole = save(tmp_path / "whole.png", RNG.integers(0, 256, (40, 40), dtype=np.uint8)).read_bytes()
    cases = {
        "text.png": b"not an image",
        "empty.png": b"",
        "cut.png": whole[: len(whole) // 2],
        "absent.png": None,
    }
    for name, content in cases.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(ConceptError, match=rf"Image .*{name} cannot be read: ") as raised:
            read_batch([tmp_path / "whole.png", tmp_path / name], GREY)
        assert "\n" not in str(raised.value)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is lenient


def test_pixels_without_a_stated_range(tmp_path: Path) -> None:
    Image.fromarray(np.ones((2, 2), np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(ConceptError, match=r"f\.tif has floating-point pixels, whose range is not stated"):
        read_pixels(tmp_path / "f.tif", GREY)
    Image.fromarray(np.array([[0, 70000]], np.int32)).save(tmp_path / "i.tif")
    with pytest.raises(ConceptError, match=r"i\.tif has 32-bit pixels from 0 to 70000"):
        read_pixels(tmp_path / "i.tif", GREY)


@pytest.mark.parametrize("kind", ["EPS", "PCX", "TGA"])
def test_a_file_is_read_for_what_it_holds(tmp_path: Path, kind: str) -> None:
    """An EPS file would be given to Ghostscript, whatever its name."""
    path = tmp_path / "photo.png"
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path, format=kind)
    with pytest.raises(ConceptError, match=r"photo\.png cannot be read: cannot identify image file"):
        read_pixels(path, GREY)


def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "large.png", np.zeros((60, 60), np.uint8))
    for limit in (2000, 1000):  # a warning and an error of Pillow's
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(
            ConceptError, match=r"large.png cannot be read: Image size \(3600 pixels\) exceeds limit"
        ):
            read_pixels(path, GREY)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (InputFormat((2, 2), 2, (0.0, 0.0), (1.0, 1.0)), "channels must be 1"),
        (InputFormat((1_000_000, 1_000_000), 1, (0.0,), (1.0,)), r"\[1000000, 1000000\] is too large"),
        (InputFormat((16_384, 16_384), 1, (0.0,), (1.0,)), r"is too large: .* 16,777,216 values"),
        (InputFormat((0, 2), 1, (0.0,), (1.0,)), r"size must be \[height, width\]"),
        (InputFormat((2, 2), 3, (0.0,), (1.0,)), "mean has 1 values for 3 channels"),
        (InputFormat((2, 2), 1, (0.0,), (1.0, 1.0)), "std has 2 values for 1 channels"),
        (InputFormat((2, 2), 1, (0.0,), (0.0,)), "std must be positive"),
    ],
)
def test_formats_that_fit_no_image(form: InputFormat, message: str) -> None:
    with pytest.raises(ConceptError, match=message):
        check_format(form)
    with pytest.raises(ConceptError, match=message):
        read_batch([], form)


def test_hashes(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{name}.png", RNG.integers(0, 256, (4, 4), dtype=np.uint8)) for name in "ab"]
    said: list[tuple[int, int]] = []
    hashes = hash_images(paths, progress=lambda _what, done, total: said.append((done, total)))
    assert hashes == tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
    assert said == [(1, 2), (2, 2)]
    whole = hash_set(paths, tmp_path)
    assert whole == hash_set(paths[::-1], tmp_path) == hash_set(paths, tmp_path, hashes=hashes)
    renamed = paths[1].rename(tmp_path / "c.png")
    assert hash_set([paths[0], renamed], tmp_path) != whole
    assert hash_set(paths[:1], tmp_path) != whole
    with pytest.raises(ConceptError, match=r"b.png cannot be read: No such file"):
        hash_images(paths)
