"""The built wheel: the four rooms at its top level, the console script's module, and every data file."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("audit", "slices", "concepts", "reports")


def test_wheel_holds_every_tracked_file_of_the_rooms(tmp_path: Path) -> None:
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    wheel = tmp_path / done.stdout.strip().splitlines()[-1]
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    tracked = subprocess.run(
        ["git", "ls-files", *ROOMS, "xaudit.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert {f"{room}/__init__.py" for room in ROOMS} <= set(tracked)
    assert set(tracked) <= held
