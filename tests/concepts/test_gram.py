"""Gram matrices against plain products, in memory and from mapped files."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

import concepts.tcav.gram as module
from concepts.tcav.gram import column_chunks, gram, grams

GPU = pytest.param(
    "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
)


@pytest.mark.parametrize("device", ["numpy", "cpu", GPU])
@pytest.mark.parametrize("chunk_bytes", [1, 2**14, 2**30])
def test_equal_to_the_plain_product(monkeypatch: pytest.MonkeyPatch, chunk_bytes: int, device: str) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", chunk_bytes)
    monkeypatch.setattr(module, "BLOCK_ROWS", 5)
    rng = np.random.default_rng(0)
    a = rng.standard_normal((13, 301)).astype(np.float32)
    g = [rng.standard_normal((n, 301)).astype(np.float32) for n in (4, 9)]
    kernel, products = grams(a, g, device=device)
    wide = a.astype(np.float64)
    np.testing.assert_allclose(kernel, wide @ wide.T, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(kernel, kernel.T)
    for one, product in zip(g, products, strict=True):
        np.testing.assert_allclose(product, one.astype(np.float64) @ wide.T, rtol=1e-12, atol=1e-12)


def test_a_mapped_file_and_a_view_of_one_give_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    values = rng.standard_normal((3, 6, 50)).astype(np.float32)
    np.save(tmp_path / "a.npy", values)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    for view, plain in (
        (mapped[1], values[1]),
        (mapped[2][2:5], values[2][2:5]),
        (mapped[0][:, ::2], values[0][:, ::2]),
    ):
        np.testing.assert_array_equal(gram(view), gram(np.ascontiguousarray(plain)))


def test_chunks_cover_the_columns_once() -> None:
    pieces = list(column_chunks(1000, 10**7))
    assert pieces[0][0] == 0
    assert pieces[-1][1] == 1000
    assert all(a[1] == b[0] for a, b in pairwise(pieces))


def test_float64_accumulation_keeps_what_float32_would_lose() -> None:
    a = np.full((2, 4_000_000), 0.1, dtype=np.float32)
    exact = 4_000_000 * float(np.float32(0.1)) ** 2
    assert abs(gram(a)[0, 1] - exact) < 1e-6


def test_the_number_of_threads_changes_no_bit() -> None:
    rng = np.random.default_rng(2)
    a = rng.standard_normal((700, 900)).astype(np.float32)
    g = rng.standard_normal((800, 900)).astype(np.float32)
    found = []
    for threads in (1, 2, 3):
        with threadpool_limits(limits=threads):
            found.append(grams(a, [g]))
    for kernel, (product,) in found[1:]:
        np.testing.assert_array_equal(kernel, found[0][0])
        np.testing.assert_array_equal(product, found[0][1][0])


def test_a_recordings_matrices_load_no_torch() -> None:
    code = (
        "import sys, numpy as np; from concepts.tcav.gram import gram; "
        "gram(np.ones((2, 3), np.float32)); print('torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "False"


def test_a_gpu_multiplies_where_the_model_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(module, "_on_device", lambda a, _g, _c, device: (asked.append(device), a)[1:])
    module.grams(np.ones((2, 3), np.float32), [])
    assert asked == ["cuda"]


def test_unequal_widths_are_refused() -> None:
    with pytest.raises(ValueError, match="width 3 do not fit activations of width 4"):
        grams(np.zeros((2, 4), np.float32), [np.zeros((2, 3), np.float32)])
