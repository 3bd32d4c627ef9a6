"""Configuration: what ``audit.toml`` may say, read and checked; every message is one line.

What the values mean for the log and the concepts is ``audit.translate``.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from audit.config.mistakes import told
from audit.config.models import Baseline, Config, Log
from audit.config.rules import Policy, Rule
from audit.errors import InputError

__all__ = [
    "Baseline",
    "Config",
    "Loaded",
    "Log",
    "Policy",
    "Rule",
    "from_document",
    "json_schema",
    "load",
    "policy_hash",
]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration as read.

    Attributes
    ----------
    config : Config
    root : Path
        Folder that relative paths start from: the configuration file's own.
    name : str or None
        The configuration's file name, None where it came from command-line flags.
    sha256 : str or None
        Hash of the file's bytes.
    command : str
        The command that repeats the run.
    """

    config: Config
    root: Path
    name: str | None
    sha256: str | None
    command: str


def load(path: Path) -> Loaded:
    """Read and check a configuration file.

    Raises
    ------
    InputError
        The file cannot be read, is no TOML, or says something that it may not say.
    """
    try:
        raw = path.read_bytes()
    except IsADirectoryError as error:
        raise InputError(f"Configuration '{path}' is a folder: name the audit.toml in it.") from error
    except OSError as error:
        raise InputError(f"Configuration '{path}' cannot be read: {error.strerror}.") from error
    try:
        document = tomllib.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(f"Configuration '{path}' is not UTF-8 text (byte {error.start}).") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"Configuration '{path}' is not valid TOML: {error}.") from error
    config = from_document(document, where=path.name)
    return Loaded(
        config=config,
        root=path.resolve().parent,
        name=path.name,
        sha256=sha256(raw).hexdigest(),
        command=f"xaudit run {path.name} --out DIR",
    )


def from_document(document: Mapping[str, Any], *, where: str) -> Config:
    """Check a configuration that has been parsed; ``where`` opens the message.

    Raises
    ------
    InputError
        One line that names the key, what was found and how to mend it.
    """
    try:
        return Config.model_validate(document)
    except ValidationError as error:
        raise InputError(f"{where}: {told(error, document)}") from error


def policy_hash(policy: Policy) -> str:
    """SHA-256 of the policy as read: comments, the order of keys and the name of its lock do not count."""
    stated = policy.model_dump(mode="json", exclude_none=True, exclude={"lock"})
    return sha256(json.dumps(stated, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the configuration."""
    schema = Config.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "audit.toml", **schema}
