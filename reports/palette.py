"""Palette: the colours of the documents, in light and dark, and the five outcomes' own.

No outcome is told by colour alone: each has a shape (``reports.figures.mark``) and a word. Text
colours have a contrast of at least 4.5 : 1 on every ground they stand on (WCAG 2.2, 1.4.3) and marks
3 : 1 (1.4.11); the outcomes stay apart under simulated colour blindness. Tests measure both.
"""

from __future__ import annotations

from dataclasses import dataclass

OUTCOMES = ("fails", "cannot_tell", "not_enough_data", "not_tested", "meets")


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours as ``#rrggbb``; ``outcome`` for marks and words, ``tint`` for the ground behind them.

    ``series``: curves of several groups; none of them is an outcome's colour.
    """

    page: str
    panel: str
    ink: str
    muted: str
    line: str
    accent: str
    outcome: dict[str, str]
    tint: dict[str, str]
    series: tuple[str, ...]


LIGHT = Palette(
    page="#ffffff",
    panel="#f4f6f8",
    ink="#15202b",
    muted="#52606d",
    line="#d3dae1",
    accent="#1f4e79",
    outcome={
        "fails": "#a3190f",
        "cannot_tell": "#8a5300",
        "not_enough_data": "#56616e",
        "not_tested": "#56489c",
        "meets": "#08666b",
    },
    tint={
        "fails": "#fbeceb",
        "cannot_tell": "#fbf2e2",
        "not_enough_data": "#eff2f5",
        "not_tested": "#f0eef9",
        "meets": "#e5f3f2",
    },
    series=("#1f4e7a", "#a83279", "#6f6a00", "#2b2b2b", "#3f83c4"),
)

DARK = Palette(
    page="#11171e",
    panel="#1a222c",
    ink="#e9eef3",
    muted="#a9b5c1",
    line="#35414e",
    accent="#8dbdec",
    outcome={
        "fails": "#ff9488",
        "cannot_tell": "#f0b65c",
        "not_enough_data": "#b0bac5",
        "not_tested": "#bdb1f5",
        "meets": "#5ccbe0",
    },
    tint={
        "fails": "#3a1d1c",
        "cannot_tell": "#35280f",
        "not_enough_data": "#252e38",
        "not_tested": "#29253f",
        "meets": "#12322f",
    },
    series=("#8dbdec", "#f08fc4", "#d2c94a", "#f2f2f2", "#5b8fd0"),
)


LEAST_CONTRAST = 4.5  # of text on its ground: WCAG 2.2, 1.4.3


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb`` (WCAG 2.2)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Contrast of two colours, 1 to 21 (WCAG 2.2).

    >>> round(contrast("#000000", "#ffffff"), 1)
    21.0
    """
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def readable(colour: str, palette: Palette = LIGHT) -> str:
    """The colour, or the nearest shade of it that can be read on the palette's page and panels.

    >>> readable("#1f4e79"), readable("#ffee00")
    ('#1f4e79', '#7a7200')
    """
    grounds = (palette.page, palette.panel)
    to = 0 if luminance(palette.page) > 0.5 else 255
    channels = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    for step in range(101):
        mixed = [round(c + (to - c) * step / 100) for c in channels]
        shade = "#" + "".join(f"{c:02x}" for c in mixed)
        if all(contrast(shade, ground) >= LEAST_CONTRAST for ground in grounds):
            return shade
    return palette.accent


def variables(palette: Palette) -> str:
    """The palette as CSS custom properties."""
    plain = {
        "page": palette.page, "panel": palette.panel, "ink": palette.ink,
        "muted": palette.muted, "line": palette.line, "accent": palette.accent,
    }  # fmt: skip
    named = {name.replace("_", "-"): colour for name, colour in palette.outcome.items()}
    tints = {"tint-" + name.replace("_", "-"): colour for name, colour in palette.tint.items()}
    series = {f"series-{i + 1}": colour for i, colour in enumerate(palette.series)}
    return ";".join(f"--{name}:{colour}" for name, colour in {**plain, **named, **tints, **series}.items())
