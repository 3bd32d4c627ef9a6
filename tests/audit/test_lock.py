"""The policy lock: what it says, when a report may say "fixed before the data", and what is refused."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from audit import run_audit
from audit.cli import invoke
from audit.config import load, policy_hash
from reports.render import render
from tests.audit.workplace import RULES, write_log, write_work

LOCKED = '[policy]\nlock = "policy.lock.json"\n' + RULES


def lock(folder: Path, *, by: str = "A. Meyer", day: str = "2026-02-01") -> int:
    out = str(folder / "policy.lock.json")
    return invoke(["lock", str(folder / "audit.toml"), "--by", by, "--date", day, "--out", out])


def locked_before(folder: Path) -> Path:
    """A policy that was locked while no log was there; then the log came."""
    config = write_work(folder, more=LOCKED)
    (folder / "log.csv").unlink()
    assert lock(folder) == 0
    write_log(folder)
    return config


def test_a_policy_locked_before_the_log_is_said_to_be(tmp_path: Path) -> None:
    config = locked_before(tmp_path)
    written = json.loads((tmp_path / "policy.lock.json").read_text())
    assert (written["log"], written["log_sha256"]) == ("not_seen", [])
    evidence = run_audit(config)
    assert evidence.policy.lock == {
        "sha256": evidence.policy.sha256,
        "date": "2026-02-01",
        "signed_by": "A. Meyer",
        "log": "not_seen",
    }
    assert all("predate" not in item.what for item in evidence.limitations)
    (entry,) = (item for item in evidence.run.inputs if item.role == "lock")
    assert entry.sha256 == sha256((tmp_path / "policy.lock.json").read_bytes()).hexdigest()
    page = render(evidence, ["html"])["report.html"].decode()
    assert "fixed before the data: locked on 2026-02-01 by A. Meyer" in page


def test_a_log_that_was_there_has_been_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_work(tmp_path, more=LOCKED)
    assert lock(tmp_path) == 0
    assert "The log is there already" in capsys.readouterr().out
    written = json.loads((tmp_path / "policy.lock.json").read_text())
    assert written["log_sha256"] == [sha256((tmp_path / "log.csv").read_bytes()).hexdigest()]
    evidence = run_audit(config)
    assert evidence.policy.lock is not None
    assert evidence.policy.lock["log"] == "seen"
    (entry,) = (item for item in evidence.limitations if "predate" in item.what)
    assert entry.how_known == "The policy was locked on 2026-02-01 by A. Meyer, with this log at hand."
    page = render(evidence, ["html"])["report.html"].decode()
    assert "fixed before the data" not in page
    assert "not shown to predate the data" in page


def test_another_log_was_not_seen(tmp_path: Path) -> None:
    config = write_work(tmp_path, more=LOCKED)
    assert lock(tmp_path) == 0
    (tmp_path / "log.csv").write_bytes(
        (tmp_path / "log.csv").read_bytes().replace(b"i0000.png", b"i9999.png")
    )
    evidence = run_audit(config)
    assert evidence.policy.lock is not None
    assert evidence.policy.lock["log"] == "not_seen"


def test_the_name_of_the_lock_is_no_part_of_the_policy(tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    bare, locked = write_work(tmp_path / "bare", more=RULES), write_work(tmp_path, more=LOCKED)
    assert policy_hash(load(bare).config.policy) == policy_hash(load(locked).config.policy)


def changed(**values: object) -> bytes:
    good = {"policy": "0" * 64, "date": "2026-02-01", "signed_by": "A", "log": "not_seen", "log_sha256": []}
    return json.dumps({**good, **values}).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "[policy] lock 'policy.lock.json' cannot be read: No such file or directory."),
        (b"\xff\x00", "is not JSON"),
        (b"[]", "is no policy lock: its keys must be policy, date, signed_by, log, log_sha256"),
        (changed(more=1), "is no policy lock"),
        (changed(signed_by=" "), "'signed_by' must be text"),
        (changed(policy=3), "'policy' must be text"),
        (changed(date="1.2.2026"), "'date' is '1.2.2026': write the day as YYYY-MM-DD"),
        (changed(log_sha256="abc"), "'log_sha256' must be a list of hashes"),
        (changed(log="seen"), "'log' says 'seen', which its 'log_sha256' contradicts"),
        (changed(), "locks another policy: it names 000000000000, this one is"),
    ],
)
@pytest.mark.parametrize("command", ["run", "check"])
def test_a_wrong_lock_is_bad_input(
    content: bytes | None, message: str, command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = write_work(tmp_path, more=LOCKED)
    if content is not None:
        (tmp_path / "policy.lock.json").write_bytes(content)
    more = ["--out", str(tmp_path / "out")] if command == "run" else []
    assert invoke([command, str(config), "--quiet", *more]) == 2
    assert message in capfd.readouterr().err.splitlines()[-1]


def test_rules_that_were_changed_break_the_lock(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config = locked_before(tmp_path)
    config.write_text(config.read_text().replace("at_least = 0.85", "at_least = 0.5"))
    assert invoke(["run", str(config), "--out", str(tmp_path / "out"), "--quiet"]) == 2
    assert "The rules were changed after they were locked" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("by", "day", "rules", "message"),
    [
        (" ", "2026-02-01", RULES, "--by is empty"),
        ("A", "2026-02-30", RULES, "--date is '2026-02-30': write the day as YYYY-MM-DD."),
        ("A", "20260201", RULES, "write the day as YYYY-MM-DD."),
        ("A", "2026-02-01", "", "There is no rule under [policy] to lock."),
    ],
)
def test_a_lock_says_who_when_and_what(
    by: str, day: str, rules: str, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_work(tmp_path, more=rules)
    assert lock(tmp_path, by=by, day=day) == 2
    assert message in capfd.readouterr().err
    assert not (tmp_path / "policy.lock.json").exists()


def test_a_lock_is_never_written_over(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_work(tmp_path)
    assert lock(tmp_path) == 0
    before = (tmp_path / "policy.lock.json").read_bytes()
    assert lock(tmp_path, by="B") == 2
    assert "exists already" in capfd.readouterr().err
    assert (tmp_path / "policy.lock.json").read_bytes() == before
