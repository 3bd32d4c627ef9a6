"""The validators, each as a function that says what is wrong: an empty list means that all is well."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import page
from fontTools.ttLib import TTFont

FAMILY = "Xaudit-Sans"


def profile_failures(pdf: bytes, profile: str) -> list[str]:
    """What page-validation finds against a profile: ``3a`` (PDF/A-3a) or ``ua1`` (PDF/UA-1)."""
    report = page.validate_pdf_bytes(pdf, profile=profile, limits=page.SafetyLimits.unlimited())
    assert report.rules.total > 100, "the profile was not run"
    found = [f"{failure.rule_id}: {failure.message}" for failure in report.failures]
    assert report.is_compliant == (not found)
    return found


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


def qpdf_problems(path: Path) -> list[str]:
    """What ``qpdf --check`` says beyond "no errors"."""
    done = run("qpdf", "--check", path)
    return [] if done.returncode == 0 else (done.stdout + done.stderr).splitlines()


def fonts(path: Path) -> list[tuple[str, bool, bool, bool]]:
    """Name, embedded, subset, with Unicode map, of each font that ``pdffonts`` finds."""
    done = run("pdffonts", path)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()[2:]]
    return [(words[0], *(word == "yes" for word in words[-5:-2])) for words in lines]


def font_problems(path: Path) -> list[str]:
    """Fonts that are not ours, not embedded, or without a Unicode map."""
    found = fonts(path)
    if not found:
        return ["no font"]
    return [
        name
        for name, embedded, subset, unicode_map in found
        if FAMILY not in name or not (embedded and subset and unicode_map)
    ]


def structure(path: Path) -> list[str]:
    """The tags in the order of the structure tree, as ``pdfinfo -struct`` prints them."""
    done = run("pdfinfo", "-struct", path)
    assert done.returncode == 0, done.stderr
    return [line.split()[0].rstrip(":") for line in done.stdout.splitlines() if line.strip()]


def structure_problems(path: Path) -> list[str]:
    """Tags that a report must have and this one has not; a first heading that is not H1."""
    tags = structure(path)
    wanted = ("Document", "H1", "H2", "Table", "TR", "TH", "TD", "Figure", "P")
    problems = [f"no {tag}" for tag in wanted if tag not in tags]
    headings = [tag for tag in tags if tag in ("H1", "H2", "H3", "H4", "H5", "H6")]
    if headings and headings[0] != "H1":
        problems.append(f"the first heading is {headings[0]}")
    return problems


def attachments(path: Path, folder: Path) -> dict[str, bytes]:
    """Attached files, as ``pdfdetach`` takes them out."""
    folder.mkdir(exist_ok=True)
    done = run("pdfdetach", "-saveall", "-o", folder, path)
    assert done.returncode == 0, done.stderr
    return {each.name: each.read_bytes() for each in sorted(folder.iterdir())}


def as_printed(value: str) -> str:
    """What the documents print for a text, told without the product's code: the font's own map decides."""
    printed, before = "", False
    for character in value:
        lacking = ord(character) not in _characters()
        printed += {(True, False): "[", (True, True): " ", (False, True): "]", (False, False): ""}[
            lacking, before
        ]
        printed += f"U+{ord(character):04X}" if lacking else character
        before = lacking
    return printed + ("]" if before else "")


@cache
def _characters() -> frozenset[int]:
    folder = Path(__file__).resolve().parents[2] / "reports" / "fonts"
    return frozenset(TTFont(folder / "XauditSans-Regular.woff2").getBestCmap())
