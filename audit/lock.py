"""The policy lock: a dated statement of a named person that a policy was fixed, and before which data.

"Signed" means that a named person stands for it. Nothing here is cryptography: whoever can write the
file can write anything in it, and a log that was moved away is a log that was not there. To prove
the date to somebody else, put the file where its date cannot be changed.
"""

from __future__ import annotations

import glob
import json
from dataclasses import asdict, dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Literal

from audit.config import Loaded, policy_hash
from audit.errors import InputError

Seen = Literal["not_seen", "seen"]


@dataclass(frozen=True, slots=True)
class PolicyLock:
    """What a lock file says.

    Attributes
    ----------
    policy : str
        SHA-256 of the policy, as `audit.config.policy_hash` makes it.
    date : str
        Day of the lock, as ISO 8601 has it.
    signed_by : str
    log : str
        Whether the log was there when the policy was locked.
    log_sha256 : tuple of str
        SHA-256 of each file of the log that was there, ascending.
    """

    policy: str
    date: str
    signed_by: str
    log: Seen
    log_sha256: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReadLock:
    """A lock file as read: what it says, and the hash of its bytes."""

    lock: PolicyLock
    path: str
    sha256: str

    def entry(self, log: set[str]) -> dict[str, str]:
        """The lock as the evidence has it, beside a log whose files have these hashes."""
        seen: Seen = "seen" if log & set(self.lock.log_sha256) else "not_seen"
        return {
            "sha256": self.lock.policy,
            "date": self.lock.date,
            "signed_by": self.lock.signed_by,
            "log": seen,
        }


def write_lock(loaded: Loaded, out: Path, *, by: str, day: str) -> PolicyLock:
    """Lock the policy of a configuration, as it is now, beside the log that is there now, if any.

    Raises
    ------
    InputError
        There is no rule to lock, no name, no such day, or the file exists already.
    slices.errors.LogError
        Something is where the log should be that is no log.
    """
    if not loaded.config.policy.rules:
        raise InputError("There is no rule under [policy] to lock.")
    if not by.strip():
        raise InputError("A lock needs the name of a person who stands for it: --by is empty.")
    _check_day(day, "--date")
    hashes = log_hashes(loaded)
    lock = PolicyLock(
        policy=policy_hash(loaded.config.policy),
        date=day,
        signed_by=by.strip(),
        log="seen" if hashes else "not_seen",
        log_sha256=hashes,
    )
    try:
        # "x": a lock that could be written over would lock nothing.
        with out.open("x", encoding="utf-8") as file:
            file.write(json.dumps(asdict(lock), indent=2, ensure_ascii=False) + "\n")
    except FileExistsError as error:
        raise InputError(f"Lock '{out}' exists already; name another file.") from error
    except OSError as error:
        raise InputError(f"Lock '{out}' cannot be written: {error.strerror}.") from error
    return lock


def log_hashes(loaded: Loaded) -> tuple[str, ...]:
    """SHA-256 of the log's files, ascending; none where no log is there."""
    from slices.reading.hashing import sha256_of
    from slices.reading.sources import open_source

    path, root = loaded.config.log.path, loaded.root
    full = root / path
    there = any(full.iterdir()) if full.is_dir() else full.exists()
    if not there and not ("://" in path or (glob.has_magic(path) and glob.glob(path, root_dir=root))):
        return ()
    return tuple(sorted(sha256_of(file.path) for file in open_source(path, root).files))


def read_lock(loaded: Loaded) -> ReadLock | None:
    """The lock that the policy names; None where it names none.

    Raises
    ------
    InputError
        The file cannot be read, is no lock, or is the lock of another policy.
    """
    policy = loaded.config.policy
    if policy.lock is None:
        return None
    named = f"[policy] lock '{policy.lock}'"
    try:
        raw = (loaded.root / policy.lock).read_bytes()
    except OSError as error:
        raise InputError(f"{named} cannot be read: {error.strerror}.") from error
    try:
        document = json.loads(raw.decode("utf-8"))
    except ValueError as error:
        raise InputError(f"{named} is not JSON; write it with `xaudit lock`.") from error
    lock = _checked(document, named)
    actual = policy_hash(policy)
    if lock.policy != actual:
        raise InputError(
            f"{named} locks another policy: it names {lock.policy[:12]}, this one is {actual[:12]}. "
            "The rules were changed after they were locked: restore them, or take the lock away."
        )
    return ReadLock(lock, policy.lock, sha256(raw).hexdigest())


def _checked(document: object, named: str) -> PolicyLock:
    keys = ("policy", "date", "signed_by", "log", "log_sha256")
    if not isinstance(document, dict) or set(document) != set(keys):
        raise InputError(
            f"{named} is no policy lock: its keys must be {', '.join(keys)}; write it with `xaudit lock`."
        )
    for key in ("policy", "date", "signed_by"):
        if not isinstance(document[key], str) or not document[key].strip():
            raise InputError(f"{named}: '{key}' must be text.")
    _check_day(document["date"], f"{named}: 'date'")
    hashes = document["log_sha256"]
    if not isinstance(hashes, list) or not all(isinstance(item, str) for item in hashes):
        raise InputError(f"{named}: 'log_sha256' must be a list of hashes.")
    if document["log"] != ("seen" if hashes else "not_seen"):
        raise InputError(f"{named}: 'log' says {document['log']!r}, which its 'log_sha256' contradicts.")
    return PolicyLock(
        document["policy"], document["date"], document["signed_by"], document["log"], tuple(hashes)
    )


def _check_day(text: str, where: str) -> None:
    try:
        if date.fromisoformat(text).isoformat() == text:
            return
    except ValueError:
        pass
    raise InputError(f"{where} is '{text}': write the day as YYYY-MM-DD.")
