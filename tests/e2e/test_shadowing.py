"""The console script refuses to start where another package shadows one of the four rooms."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import xaudit


@pytest.mark.parametrize("room", ["slices", "concepts", "reports"])
def test_a_shadowed_room_is_one_line_and_exit_two(tmp_path: Path, room: str) -> None:
    (tmp_path / room).mkdir()
    (tmp_path / room / "__init__.py").write_text("raise SystemExit('imported')\n")
    done = subprocess.run(
        [sys.executable, "-P", "-c", "import xaudit; xaudit.main()", "--help"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    line = done.stderr.strip()
    assert line.startswith(f"xaudit: error: package '{room}' of xaudit (")
    assert f"is shadowed by {tmp_path / room}; take that folder off PYTHONPATH" in line


def test_a_missing_room_is_named(tmp_path: Path) -> None:
    folders: dict[str, Path | None] = {name: tmp_path / name for name in xaudit.PACKAGES}
    assert xaudit.shadowed(folders) is None
    folders["reports"] = None
    assert xaudit.shadowed(folders) == (
        f"package 'reports' is missing from {tmp_path}; install xaudit in an environment of its own."
    )
    assert xaudit.shadowed(dict.fromkeys(xaudit.PACKAGES)) is not None
