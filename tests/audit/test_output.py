"""Output: whole or not at all, never over anything but a report of ours."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from audit.errors import InputError
from audit.output import check_target, staged, verify, write_documents, write_manifest


def write(target: Path, **documents: str) -> None:
    with staged(target) as folder:
        write_documents(folder, {name.replace("_", "."): text.encode() for name, text in documents.items()})


def test_the_manifest_names_every_file_by_its_hash(tmp_path: Path) -> None:
    with staged(tmp_path / "out") as folder:
        write_documents(folder, {"a.json": b"{}", "figures/b.svg": b"<svg/>"})
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest == {"a.json": sha256(b"{}").hexdigest(), "figures/b.svg": sha256(b"<svg/>").hexdigest()}
    assert verify(tmp_path / "out") == []


def test_a_new_report_replaces_the_old_one_whole(tmp_path: Path) -> None:
    write(tmp_path / "out", a_txt="old", b_txt="old")
    write(tmp_path / "out", a_txt="new")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.txt", "manifest.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "no temporary folder is left"


def test_an_error_leaves_the_old_report(tmp_path: Path) -> None:
    write(tmp_path / "out", a_txt="old")

    def fail_halfway() -> None:
        with staged(tmp_path / "out") as folder:
            write_documents(folder, {"a.txt": b"new"})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    assert (tmp_path / "out" / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("old", [True, False])
def test_a_killed_run_leaves_the_old_report_or_none(tmp_path: Path, old: bool) -> None:
    if old:
        write(tmp_path / "out", a_txt="old")
    program = (
        "import os, signal, sys; from pathlib import Path; from audit.output import staged, write_documents\n"
        "with staged(Path(sys.argv[1])) as folder:\n"
        "    write_documents(folder, {'a.txt': b'new'})\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "out")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "out").exists() == old
    if old:
        assert verify(tmp_path / "out") == []
        assert (tmp_path / "out" / "a.txt").read_text() == "old"
    write(tmp_path / "out", a_txt="next")
    assert (tmp_path / "out" / "a.txt").read_text() == "next"


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "out", a_txt="old")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds 'notes\.txt', which is no part of a report"):
        write(tmp_path / "out", a_txt="new")
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_a_folder_whose_manifest_is_not_json_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.json").write_text("mine")
    (tmp_path / "out" / "a.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds 'a\.txt'"):
        check_target(tmp_path / "out")


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write(tmp_path / "out", a_txt="new")
    assert (tmp_path / "out" / "a.txt").exists()


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")
    with pytest.raises(InputError, match="is not a folder"):
        check_target(tmp_path / "out")


def test_others_can_read_the_report(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write(tmp_path / "out", a_txt="new")
    finally:
        os.umask(before)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755


def test_verify_tells_what_changed(tmp_path: Path) -> None:
    write(tmp_path / "out", a_txt="one", b_txt="two")
    (tmp_path / "out" / "a.txt").write_text("forged")
    (tmp_path / "out" / "b.txt").unlink()
    (tmp_path / "out" / "c.txt").write_text("foreign")
    assert verify(tmp_path / "out") == [
        "b.txt is missing",
        "c.txt is not in the manifest",
        "a.txt was changed",
    ]
    (tmp_path / "out" / "manifest.json").write_text("[1]")
    with pytest.raises(InputError, match="is not a manifest of xaudit"):
        verify(tmp_path / "out")
    (tmp_path / "out" / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="is not valid JSON"):
        verify(tmp_path / "out")


def test_a_subfolder_with_its_own_manifest_answers_for_itself(tmp_path: Path) -> None:
    for _ in range(2):  # the second time over the first
        with staged(tmp_path / "out") as folder:
            write_documents(folder, {"a.txt": b"report", "example/log.csv": b"label"})
            write_manifest(folder / "example")
    assert list(json.loads((tmp_path / "out" / "manifest.json").read_text())) == ["a.txt"]
    assert list(json.loads((tmp_path / "out" / "example" / "manifest.json").read_text())) == ["log.csv"]
    (tmp_path / "out" / "example" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds 'example/mine\.txt'"):
        check_target(tmp_path / "out")
