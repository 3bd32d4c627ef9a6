"""The screen report in headless Chromium: accessibility, markup, keys alone, hostile values.

Run by ``make test-browser``, which installs what it needs (``scripts/browser-setup.sh``).
"""

from __future__ import annotations

import base64
import io
import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from reports.evidence import Evidence
from reports.render import render
from tests.reports import sample

pytestmark = pytest.mark.browser

HERE = Path(__file__).resolve().parent
SAMPLES = ("evidence", "second_release", "several_classes", "hostile")


def look(page: Path, *actions: str) -> dict[str, Any]:
    """Let one browser do the actions of ``check.mjs`` on a page; action -> what it saw."""
    done = subprocess.run(
        ["node", str(HERE / "check.mjs"), str(page), *actions],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


@cache
def made(name: str) -> Evidence:
    evidence: Evidence = getattr(sample, name)()
    return evidence


SCHEMES = ("light", "dark", "print")
POLICY = 'http-equiv="Content-Security-Policy"'
FAULT = '<main><script>alert(1)</script><img src="http://127.0.0.1:9/x.png" alt="x" onerror="alert(2)">'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def pages(folder: Path) -> dict[str, Path]:
    paths = {}
    for name in SAMPLES:
        paths[name] = folder / f"{name}.html"
        paths[name].write_bytes(render(made(name), ["html"])["report.html"])
    return paths


@pytest.fixture(scope="module")
def seen(pages: dict[str, Path]) -> dict[str, dict[str, Any]]:
    """What a browser saw of each sample; the keyboard and the page without scripts for the first one."""
    more = {"evidence": ("plain", "keyboard")}
    return {
        name: look(pages[name], *SCHEMES, "open", "narrow", "markup", *more.get(name, ())) for name in SAMPLES
    }


def worse(page: Path, name: str, *swaps: tuple[str, str]) -> Path:
    """A copy of a page with faults put in, for the negative controls."""
    text = page.read_text(encoding="utf-8")
    for old, new in swaps:
        assert old in text
        text = text.replace(old, new, 1)
    path = page.with_name(f"{name}.html")
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", SAMPLES)
def test_axe_finds_no_violation(seen: dict[str, dict[str, Any]], name: str, scheme: str) -> None:
    assert seen[name][scheme]["violations"] == []
    assert seen[name][scheme]["passes"] > 30


def brightness(corner: str) -> float:
    """Mean of red, green and blue of one dot, a PNG in base64."""
    picture = Image.open(io.BytesIO(base64.b64decode(corner)))
    return sum(picture.convert("RGB").getpixel((0, 0))) / 3


def test_dark_is_dark_and_print_is_white(seen: dict[str, dict[str, Any]]) -> None:
    light, dark, paper = (brightness(seen["evidence"][scheme]["corner"]) for scheme in SCHEMES)
    assert dark < 60 < 200 < light
    assert paper == 255


@pytest.mark.parametrize("name", SAMPLES)
def test_markup_is_clean(seen: dict[str, dict[str, Any]], name: str) -> None:
    assert seen[name]["markup"]["errors"] == []


def test_negative_controls_axe_and_markup(pages: dict[str, Path]) -> None:
    fault = '<main><img src="data:,"><p id="title" style="color:#888;background:#999"><div>x</div></p>'
    found = look(worse(pages["evidence"], "faulty", ("<main>", fault)), *SCHEMES, "markup")
    for scheme in SCHEMES:
        assert "image-alt" in [each["id"] for each in found[scheme]["violations"]]
    assert any(line.startswith("no-dup-id") for line in found["markup"]["errors"])


def test_keys_alone_search_filter_sort_and_link(seen: dict[str, dict[str, Any]]) -> None:
    keys = seen["evidence"]["keyboard"]
    assert keys["first"]["text"] == "Skip to the report"
    assert keys["unseenFocus"] == []
    assert 0 < len(keys["found"]) < keys["all"] == keys["cleared"]
    assert all("Canon" in group for group in keys["found"])
    assert str(len(keys["found"])) in keys["status"]
    assert keys["rightOutcome"]
    assert 0 < keys["filtered"] < keys["all"]
    assert (keys["sorted"], keys["sortedAgain"]) == ("ascending", "descending")
    assert keys["ascending"] == sorted(keys["ascending"])
    assert keys["ascending"][0] < keys["descending"][0]
    assert keys["link"] is not None
    assert keys["hash"].startswith("#s-")
    assert keys["target"]
    assert keys["errors"] == []


def test_negative_control_keys(pages: dict[str, Path]) -> None:
    """A search box that no key reaches: the same walk must miss it."""
    page = worse(pages["evidence"], "unreachable", ('id="search"', 'id="search" tabindex="-1"'))
    assert look(page, "keyboard")["keyboard"]["search"] is None


@pytest.mark.parametrize("name", SAMPLES)
def test_opens_offline_and_runs_nothing_from_the_log(seen: dict[str, dict[str, Any]], name: str) -> None:
    opened = seen[name]["open"]
    assert (opened["requests"], opened["dialogs"], opened["errors"], opened["console"]) == ([], [], [], [])
    assert opened["strange"] == {"scripts": 1, "images": 0, "frames": 0, "handlers": 0}
    assert opened["overflow"] == 0


@pytest.mark.parametrize("name", SAMPLES)
def test_a_phone_needs_no_scrolling_sideways(seen: dict[str, dict[str, Any]], name: str) -> None:
    phone = seen[name]["narrow"]
    assert phone["overflow"] <= 0
    assert phone["cells"] > 3
    assert phone["inSight"]
    assert all('"' in label for label in phone["labels"][1:])


def test_negative_control_phone(pages: dict[str, Path]) -> None:
    """Hidden words that leave their table, and something too wide: both are seen."""
    page = worse(
        pages["evidence"], "wide", ("<main>", '<main><p style="width:900px">x</p>'), (POLICY, 'name="none"')
    )
    assert look(page, "narrow")["narrow"]["overflow"] > 0


def test_hostile_values_are_shown_whole(seen: dict[str, dict[str, Any]]) -> None:
    shown = seen["hostile"]["open"]["text"]
    for value in sample.HOSTILE:
        if "\0" not in value and "\u202e" not in value:
            assert value in shown


def test_negative_control_open(pages: dict[str, Path]) -> None:
    """The page without its policy, with a script and a picture from outside: each must be seen."""
    page = worse(pages["hostile"], "open", (POLICY, 'name="none"'), ("<main>", FAULT))
    opened = look(page, "open")["open"]
    assert opened["dialogs"] == ["1", "2"]
    assert opened["requests"] == ["http://127.0.0.1:9/x.png"]
    assert opened["strange"]["handlers"] == 1


def test_policy_stops_what_escaping_would_miss(pages: dict[str, Path]) -> None:
    opened = look(worse(pages["hostile"], "stopped", ("<main>", FAULT)), "open")["open"]
    assert opened["dialogs"] == []
    assert opened["console"]  # Chromium says what it refused


def test_works_without_javascript(seen: dict[str, dict[str, Any]]) -> None:
    with_script, without = seen["evidence"]["open"], seen["evidence"]["plain"]
    assert not without["tools"]
    assert not without["theme"]
    assert without["rows"] >= len(made("evidence").results.slices)
    lost = {line for line in with_script["text"].split("\n") if line} - set(without["text"].split("\n"))
    assert len(lost) < 60  # the controls' own words only
