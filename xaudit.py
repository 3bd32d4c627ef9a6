"""The console script: checks that the four packages come from one place, then hands over to ``audit.cli``.

``slices``, ``concepts`` and ``reports`` are import names of other distributions too, and a folder
``reports`` on a user's PYTHONPATH comes before ours.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("audit", "slices", "concepts", "reports")


def located() -> dict[str, Path | None]:
    """Folder that each package would be imported from (None: not to be found); imports none of them."""
    found: dict[str, Path | None] = {}
    for name in PACKAGES:
        spec = find_spec(name)
        # A folder without __init__.py has no origin: a namespace package, never one of ours.
        places = list(spec.submodule_search_locations or []) if spec else []
        found[name] = Path(places[0]).resolve() if places else None
    return found


def shadowed(folders: Mapping[str, Path | None]) -> str | None:
    """One line on the first package that is missing or lies elsewhere than the others, or None."""
    parents = Counter(folder.parent for folder in folders.values() if folder is not None)
    if not parents:
        return "none of its packages can be found; install xaudit in an environment of its own."
    home = parents.most_common(1)[0][0]
    for name, folder in folders.items():
        if folder is None:
            return f"package '{name}' is missing from {home}; install xaudit in an environment of its own."
        if folder.parent != home:
            return (
                f"package '{name}' of xaudit ({home / name}) is shadowed by {folder}; "
                "take that folder off PYTHONPATH, or install xaudit in an environment of its own."
            )
    return None


def main() -> None:
    """Run the command line; exit code 2 where another package shadows one of ours."""
    problem = shadowed(located())
    if problem is not None:
        print(f"xaudit: error: {problem}", file=sys.stderr)
        raise SystemExit(2)
    from audit.cli import main as run_command

    run_command()


if __name__ == "__main__":
    main()
