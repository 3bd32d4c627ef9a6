"""Mapped files: rows in any order, and pages that are let go."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import concepts.cache.mapped as module
from concepts.cache.mapped import gather, open_matrix, place, release


def resident() -> int:
    """Resident memory of this process in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc; other systems count otherwise")
def test_pages_are_let_go(tmp_path: Path) -> None:
    size = 64 * 2**20
    np.save(tmp_path / "a.npy", np.ones((1024, size // 4096), dtype=np.float32))
    mapped = open_matrix(tmp_path / "a.npy")
    before = resident()
    assert mapped[:, ::8].sum() == size / 32
    assert resident() - before > size / 2
    release(mapped[3:, 5:])
    assert resident() - before < size / 8
    assert mapped[1023].sum() == size / 4096


def test_what_is_not_mapped_or_private_is_left_alone(tmp_path: Path) -> None:
    plain = np.ones((2, 2), dtype=np.float32)
    release(plain)
    np.save(tmp_path / "a.npy", plain)
    private = np.load(tmp_path / "a.npy", mmap_mode="c")
    private[0, 0] = 7
    release(private)
    assert private[0, 0] == 7
    shared = np.load(tmp_path / "a.npy", mmap_mode="r+")
    shared[0, 1] = 5
    release(shared)
    assert shared[0, 1] == 5


@pytest.mark.parametrize("limit", [0, 2**30])
def test_rows_in_the_order_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(module, "IN_MEMORY", limit)
    monkeypatch.setattr(module, "BLOCK", 40)
    values = np.arange(60, dtype=np.float32).reshape(12, 5)
    np.save(tmp_path / "a.npy", values[:7])
    np.save(tmp_path / "b.npy", values[7:])
    first, second = open_matrix(tmp_path / "a.npy"), open_matrix(tmp_path / "b.npy")
    asked = [9, 0, 11, 6, 0, 7]
    places = [(first, row) if row < 7 else (second, row - 7) for row in asked]
    gathered = gather(places, 5, tmp_path / "g.npy")
    blocks = [(np.array([8, 0]), values[[8, 0]]), (np.array([7, 11, 6, 9]), values[[7, 11, 6, 9]])]
    placed = place(iter(blocks), asked, 5, tmp_path / "p.npy")
    for found in (gathered, placed):
        assert isinstance(found, np.memmap) == (limit == 0)
        np.testing.assert_array_equal(found, values[asked])
    assert {path.name for path in tmp_path.iterdir()} == {"a.npy", "b.npy"}


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "long.npy", np.ones((2, 2)))
    np.save(tmp_path / "flat.npy", np.ones(4, dtype=np.float32))
    for name in ("long", "flat"):
        with pytest.raises(ValueError, match=f"{name}.npy is not a matrix of float32"):
            open_matrix(tmp_path / f"{name}.npy")
