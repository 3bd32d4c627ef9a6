"""Builds the vendored fonts of the documents from Inter (npm package ``inter-ui`` 4.1.1, folder ``web``).

Usage: ``python scripts/build_fonts.py FOLDER`` with the folder that holds ``Inter-Regular.woff2`` and so on.

What is done to Inter, and why:

* only Latin, Greek, Cyrillic, punctuation, arrows, mathematics and shapes are kept: about 60 kB a weight;
* digits and signs are the tabular ones *by default* (the ``tnum`` feature frozen into the character map),
  so that columns of figures align in every renderer, and a text's width is the sum of its advances;
* contextual alternates and ligatures are dropped: ``-->`` stays what the log says;
* invisible characters (direction marks, zero-width spaces, the soft hyphen) and the private use area are
  dropped: the first are printed as ``U+202E``, the second breaks PDF/A-3a (ISO 19005-3, 6.2.11.7.3);
* the family is renamed, so that an installed Inter can never stand in for it.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

HOME = Path(__file__).resolve().parent.parent / "reports" / "fonts"
FAMILY = "Xaudit Sans"
WEIGHTS = {"Regular": ("Regular", 400), "SemiBold": ("SemiBold", 600), "Bold": ("Bold", 700)}
KEPT_RANGES = (
    (0x20, 0x7E), (0xA0, 0x24F), (0x259, 0x259), (0x2B0, 0x36F), (0x370, 0x3FF), (0x400, 0x52F),
    (0x1E00, 0x1EFF), (0x2000, 0x2BFF),
)  # fmt: skip
INVISIBLE = {0xAD, 0x34F, *range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070)}
TABULAR = [*"0123456789", "+", "\N{MINUS SIGN}", "\N{PLUS-MINUS SIGN}", "=", "<", ">", "≤", "≥", "≈"]
FEATURES = ["kern", "mark", "mkmk", "ccmp", "locl"]
EPOCH_2000 = 3029529600  # seconds from 1904 to 2000: a fixed date keeps the bytes the same


def tabular_glyphs(font: TTFont) -> dict[str, str]:
    """Glyph name -> its tabular form, read from the font's own ``tnum`` feature."""
    table = font["GSUB"].table
    lookups = {
        index
        for record in table.FeatureList.FeatureRecord
        if record.FeatureTag == "tnum"
        for index in record.Feature.LookupListIndex
    }
    mapping: dict[str, str] = {}
    for index in lookups:
        for part in table.LookupList.Lookup[index].SubTable:
            mapping.update(getattr(part, "ExtSubTable", part).mapping)
    return mapping


def build(source: Path, style: str, weight: int) -> bytes:
    """One weight as WOFF2 bytes."""
    font = TTFont(source, recalcTimestamp=False)
    tabular = tabular_glyphs(font)
    for table in font["cmap"].tables:
        if table.isUnicode():
            for character in TABULAR:
                glyph = table.cmap.get(ord(character))
                if glyph in tabular:
                    table.cmap[ord(character)] = tabular[glyph]
    options = subset.Options()
    options.layout_features = FEATURES
    options.hinting = False
    options.notdef_outline = True
    options.name_IDs = [0, 13, 14]
    options.drop_tables += ["DSIG", "STAT"]
    options.recalc_timestamp = False
    cutter = subset.Subsetter(options)
    cutter.populate(
        unicodes=[c for first, last in KEPT_RANGES for c in range(first, last + 1) if c not in INVISIBLE]
    )
    cutter.subset(font)
    rename(font, style)
    font["OS/2"].usWeightClass = weight
    font["head"].created = font["head"].modified = EPOCH_2000
    font.flavor = "woff2"
    out = io.BytesIO()
    font.save(out)
    return out.getvalue()


def rename(font: TTFont, style: str) -> None:
    """Own names in every place that a font matcher reads."""
    plain = style in ("Regular", "Bold")
    names = {
        1: FAMILY if plain else f"{FAMILY} {style}",
        2: style if plain else "Regular",
        3: f"{FAMILY} {style}, made from Inter 4.001",
        4: f"{FAMILY} {style}",
        5: "Version 4.001",
        6: f"{FAMILY.replace(' ', '')}-{style}",
        10: "A subset of Inter (rsms.me/inter) with tabular figures by default.",
        16: FAMILY,
        17: style,
    }
    for identifier, text in names.items():
        if identifier in (16, 17) and plain:
            continue
        font["name"].setName(text, identifier, 3, 1, 0x409)


def main() -> None:
    folder = Path(sys.argv[1])
    for name, (style, weight) in WEIGHTS.items():
        data = build(folder / f"Inter-{name}.woff2", style, weight)
        target = HOME / f"XauditSans-{style}.woff2"
        target.write_bytes(data)
        print(f"{target.name}: {len(data):,} bytes")


if __name__ == "__main__":
    main()
