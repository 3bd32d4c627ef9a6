"""The console script: checks that the four packages are ours, then hands over to ``audit.cli``.

``slices``, ``concepts`` and ``reports`` are import names of other distributions too.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("audit", "slices", "concepts", "reports")


def shadowed(home: Path) -> str | None:
    """One line on the first package that does not come from ``home``, or None."""
    for name in PACKAGES:
        spec = find_spec(name)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        if origin is None:
            return f"package '{name}' is missing from {home}; reinstall xaudit in an environment of its own."
        if origin.parent.parent != home:
            return (
                f"package '{name}' of xaudit ({home / name}) is shadowed by {origin.parent}; "
                "take that folder off PYTHONPATH, or install xaudit in an environment of its own."
            )
    return None


def main() -> None:
    """Run the command line; exit code 2 where another package shadows one of ours."""
    problem = shadowed(Path(__file__).resolve().parent)
    if problem is not None:
        print(f"xaudit: error: {problem}", file=sys.stderr)
        raise SystemExit(2)
    from audit.cli import main as run_command

    run_command()


if __name__ == "__main__":
    main()
