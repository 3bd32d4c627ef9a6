"""Write the table ``[said]`` of the English catalogue from the templates in the source.

    python scripts/extract_wording.py

Every call ``say("code", "template", ...)`` in the rooms that make evidence gives one entry. A test
holds the catalogue to this; translations are then held to the catalogue.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("slices", "concepts", "audit")
CATALOGUE = ROOT / "reports" / "wording" / "en.toml"
HEAD = (
    "# Sentences that the evidence carries, by their code: a copy of the templates in the source, which\n"
    "# scripts/extract_wording.py writes. {rows:,} is a number and how English writes it, {names:and} a\n"
    "# list and what joins it; a translation keeps what stands in braces.\n"
    "[said]\n"
)


def templates() -> dict[str, str]:
    """Code -> template of every sentence that the rooms can say.

    Raises
    ------
    ValueError
        A code or template is no literal, or one code has two templates.
    """
    found: dict[str, str] = {}
    for where, code, template in _calls():
        if found.setdefault(code, template) != template:
            raise ValueError(f"{where}: '{code}' has two templates; give one of them a code of its own.")
    return dict(sorted(found.items()))


def _calls() -> Iterator[tuple[str, str, str]]:
    for path in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say":
                where = f"{path.relative_to(ROOT)}:{node.lineno}"
                literals = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
                if len(literals) != 2 or not all(isinstance(text, str) for text in literals):
                    raise ValueError(f"{where}: code and template must be literals.")
                yield where, str(literals[0]), str(literals[1])


def section() -> str:
    """The table as TOML."""
    return HEAD + "".join(f"{code} = {_quoted(text)}\n" for code, text in templates().items())


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def main() -> None:
    before, _, rest = CATALOGUE.read_text(encoding="utf-8").partition(HEAD.partition("\n")[0])
    after = re.split(r"^(?=\[(?!said\]))", rest, maxsplit=1, flags=re.MULTILINE)[1:]
    CATALOGUE.write_text("\n\n".join([before.rstrip(), section(), *after]), encoding="utf-8")


if __name__ == "__main__":
    main()
