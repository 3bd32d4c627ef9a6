"""The run: command line, configuration, stage list, policy verdicts, provenance, sign-off, demo."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audit.run import run_audit as run_audit

__version__ = "0.1.0"
__all__ = ["__version__", "run_audit"]


def __getattr__(name: str) -> object:
    """``from audit import run_audit`` for notebooks, without its weight for ``xaudit --help``."""
    if name == "run_audit":
        from audit.run import run_audit

        return run_audit
    raise AttributeError(f"module 'audit' has no attribute '{name}'")
