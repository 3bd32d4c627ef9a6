"""No label of a figure is cut or overlaps another; shapes and colours tell the outcomes apart."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.canvas import Axis, Canvas, Limit, Placed, Point, axis_for, mark, shorten, wrap
from reports.document import print_html
from reports.figures import (
    DASHES,
    Curve,
    Heat,
    HeatCell,
    Panel,
    badge,
    bar,
    dots,
    draw_curves,
    draw_dots,
    draw_heat,
    draw_null,
    draw_shares,
    heat_columns,
)
from reports.glyphs import text_width
from reports.palette import DARK, LIGHT, OUTCOMES, Palette, readable
from tests.reports import sample

names = st.text(
    st.one_of(st.characters(codec="utf-8", exclude_categories=("Cs",)), st.sampled_from("abc WM_-é中")),
    min_size=1,
    max_size=60,
)
shares = st.floats(0, 1)


def overlapping(labels: Sequence[Placed]) -> list[tuple[str, str]]:
    return [
        (a.text, b.text)
        for a, b in itertools.combinations(labels, 2)
        if min(a.right, b.right) - max(a.left, b.left) > 0.5
        and min(a.bottom, b.bottom) - max(a.top, b.top) > 0.5
    ]


def cut(canvas: Canvas) -> list[str]:
    return [
        label.text
        for label in canvas.texts
        if label.left < -0.5
        or label.right > canvas.width + 0.5
        or label.top < -0.5
        or label.bottom > canvas.height + 0.5
    ]


def check(canvas: Canvas) -> None:
    assert cut(canvas) == []
    assert overlapping(canvas.texts) == []
    tree = ET.fromstring(str(canvas.svg()))
    assert tree[0].tag.endswith("title")
    assert tree[0].text


AXIS = Axis(0.0, 1.0, ((0.0, "0%"), (0.25, "25%"), (0.5, "50%"), (0.75, "75%"), (1.0, "100%")))


@st.composite
def panels(draw: st.DrawFn, rows: int) -> Panel:
    points = []
    for _ in range(rows):
        low, value, high = sorted(draw(st.tuples(shares, shares, shares)))
        points.append(Point(value, low, high, draw(st.sampled_from([None, *OUTCOMES]))))
    return Panel(
        heading=draw(names), axis=AXIS, points=tuple(points), limit=Limit(low=0.85), limit_text="limit 85%",
        overall=0.9, overall_text="all cases 90.0%",
    )  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_dots_keep_every_label_whole_and_apart(data: st.DataObject) -> None:
    labels = [
        (name, f"n = {len(name) * 1234:,}") for name in data.draw(st.lists(names, min_size=1, max_size=6))
    ]
    shown = [data.draw(panels(len(labels))) for _ in range(data.draw(st.integers(1, 3)))]
    check(draw_dots(labels, shown, title="t"))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(names, min_size=1, max_size=5),
    st.lists(names, min_size=1, max_size=5),
    names,
    names,
    st.booleans(),
)
def test_heat_grids_keep_every_label_whole_and_apart(
    rows: list[str], columns: list[str], down: str, across: str, judged: bool
) -> None:
    cell = HeatCell("100.0%", 0.5, "not_enough_data" if judged else None, "", "n = 12,345")
    grid = Heat(down, across, tuple(rows), tuple(columns), tuple((cell,) * len(columns) for _ in rows))
    most = heat_columns(grid)
    cut_to_fit = Heat(down, across, grid.rows, grid.columns[:most], tuple(row[:most] for row in grid.cells))
    check(draw_heat(cut_to_fit, title="t"))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=1, max_size=50), names, st.floats(-3, 3), st.booleans())
def test_null_distributions_keep_every_label_whole_and_apart(
    null: list[float], name: str, effect: float, margin: bool
) -> None:
    low, high, ticks = axis_for([*null, effect], most=6)
    axis = Axis(low, high, tuple((tick, f"{tick:g}") for tick in ticks))
    point = Point(effect, effect - 0.1, effect + 0.1, "fails")
    check(
        draw_null(
            null,
            point,
            axis,
            title="t",
            null_text="null " * 9,
            effect_text=name,
            margin=0.1 if margin else None,
        )
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(names, shares), min_size=1, max_size=8))
def test_share_bars_keep_every_label_whole_and_apart(rows: list[tuple[str, float]]) -> None:
    check(draw_shares([(name, share, f"{share:.1%}") for name, share in rows], title="t"))


@settings(max_examples=20, deadline=None)
@given(st.lists(names, min_size=1, max_size=5))
def test_curves_keep_every_label_whole_and_apart(labels: list[str]) -> None:
    lines = [
        Curve(label, ((0.0, 0.0), (0.2, 0.7), (1.0, 1.0)), ((0.2, 0.6, 0.8), (1.0, 0.9, 1.0)))
        for label in labels
    ]
    ticks = ["0", "0.25", "0.5", "0.75", "1"]
    check(
        draw_curves(
            lines, title="t", x_text="False-positive rate", y_text="Recall", x_ticks=ticks, y_ticks=ticks
        )
    )


def test_the_check_notices_an_overlap_and_a_cut_label() -> None:
    canvas = Canvas("t", 50, 20)
    canvas.text(0, 12, "one label")
    canvas.text(5, 12, "another label, too long")
    assert overlapping(canvas.texts) == [("one label", "another label, too long")]
    assert cut(canvas) == ["another label, too long"]


@given(names, st.floats(30, 300))
def test_wrapped_lines_fit_and_lose_no_character(text: str, width: float) -> None:
    from reports.glyphs import printable

    lines = wrap(text, width)
    widest = max(text_width(c, 11) for c in printable(text))
    assert all(text_width(line, 11) <= max(width, widest) for line in lines)
    assert "".join(lines).replace(" ", "") == printable(text).replace(" ", "")


@given(names, st.floats(60, 300), st.integers(1, 3))
def test_a_shortened_text_fits_and_says_that_it_was_shortened(text: str, width: float, lines: int) -> None:
    short = shorten(text, width, lines, 9.0)
    assert len(wrap(short, width, 9.0)) <= lines
    if short.endswith("…") and not text.endswith("…"):
        assert len(wrap(text, width, 9.0)) > lines


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.sampled_from([0.0, 0.05]))
def test_a_scale_holds_its_values_and_stays_in_bounds(values: list[float], least: float) -> None:
    low, high, ticks = axis_for(values, bounds=(0.0, 1.0), least=least)
    assert 0 <= low <= min(values) + 1e-9
    assert max(values) - 1e-9 <= high <= 1
    assert (ticks[0], ticks[-1]) == (low, high)
    assert 2 <= len(ticks) <= 9
    steps = {round(b - a, 9) for a, b in itertools.pairwise(ticks)}
    assert len(steps) == 1


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_a_free_scale_holds_its_values(values: list[float]) -> None:
    low, high, ticks = axis_for(values)
    span = high - low
    assert low <= min(values) + 1e-9 * span
    assert max(values) - 1e-9 * span <= high
    assert len(ticks) >= 2


def test_each_outcome_has_a_shape_of_its_own() -> None:
    shapes = {outcome: mark(outcome, 10, 10).split("d=")[-1].split("class")[0] for outcome in OUTCOMES}
    assert len(set(shapes.values())) == len(OUTCOMES)
    assert all("aria-hidden" in badge(outcome) for outcome in OUTCOMES)


def test_the_mark_of_a_value_below_the_limit_stands_in_the_shaded_part() -> None:
    svg = bar(Point(0.25, 0.2, 0.3, "fails"), AXIS, Limit(low=0.85), title="t", width=112)
    tree = ET.fromstring(str(svg))
    zone = next(e for e in tree.iter() if e.tag.endswith("rect"))
    end = float(zone.get("x", "0")) + float(zone.get("width", "0"))
    assert end == pytest.approx(6 + 0.85 * 100)
    cross = next(e for e in tree.iter() if "m-fails" in e.get("class", ""))
    assert cross.get("d", "").startswith("M27.4")  # 6 + 0.25 × 100 − 3.6


def test_a_hostile_label_stays_text() -> None:
    svg = str(
        dots(
            [("</text><script>alert(1)</script>", "n")],
            [Panel("&\"'<b>", AXIS, (Point(0.5, 0.4, 0.6),))],
            title="<b>",
        )
    )
    assert "<script" not in svg
    assert "<b>" not in svg
    ET.fromstring(svg)


# Colours


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    """WCAG 2.2, contrast ratio."""
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_measured_as_wcag_has_it() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_every_text_has_contrast_on_every_ground_it_stands_on(palette: Palette) -> None:
    for ground in (palette.page, palette.panel):
        for text in (palette.ink, palette.muted, palette.accent, *palette.outcome.values()):
            assert contrast(text, ground) >= 4.5, (text, ground)
    for outcome, tint in palette.tint.items():
        assert contrast(palette.outcome[outcome], tint) >= 4.5
        assert contrast(palette.ink, tint) >= 7
        assert contrast(palette.muted, tint) >= 4.5


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_curves_have_contrast_and_no_outcome_s_colour(palette: Palette) -> None:
    assert len(set(palette.series)) == len(DASHES) == 5
    assert all(contrast(colour, palette.page) >= 3 for colour in palette.series)
    assert not set(palette.series) & set(palette.outcome.values())


# Machado, Oliveira & Fernandes (2009), severity 1, on linear RGB.
BLINDNESS = {
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}


def lab(colour: str, matrix: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """CIE L*a*b* (D65) of a colour as seen through ``matrix``."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    rgb = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    r, g, b = (min(1.0, max(0.0, sum(m * c for m, c in zip(row, rgb, strict=True)))) for row in matrix)
    x = (0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047
    y = 0.2126729 * r + 0.7151522 * g + 0.0721750 * b
    z = (0.0193339 * r + 0.1191920 * g + 0.9503041 * b) / 1.08883
    fx, fy, fz = (v ** (1 / 3) if v > 216 / 24389 else (24389 / 27 * v + 16) / 116 for v in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


@pytest.mark.parametrize("kind", BLINDNESS)
@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_fails_and_meets_stay_apart_for_the_colour_blind(palette: Palette, kind: str) -> None:
    a, b = (lab(palette.outcome[name], BLINDNESS[kind]) for name in ("fails", "meets"))
    assert sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) ** 0.5 > 20


@pytest.mark.parametrize("colour", ["#ffee00", "#ffffff", "#1f4e79", "#000000", "#ff0000"])
@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_a_house_colour_becomes_a_shade_that_can_be_read(colour: str, palette: Palette) -> None:
    shade = readable(colour, palette)
    for ground in (palette.page, palette.panel):
        assert contrast(shade, ground) >= 4.5
    assert readable(shade, palette) == shade


def test_the_house_colour_is_in_the_print_document() -> None:
    evidence = sample.evidence()
    plain = print_html(evidence)
    report = evidence.report.model_copy(update={"accent": "#ffee00"})
    housed = print_html(evidence.model_copy(update={"report": report}))
    assert LIGHT.accent in plain
    assert LIGHT.accent not in housed
    assert housed.count("#7a7200") == plain.count(LIGHT.accent)
