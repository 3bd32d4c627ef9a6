"""The screen document: whole, escaped, offline, translatable, the same to the byte."""

from __future__ import annotations

import json
import re
from functools import lru_cache

import pytest

from reports import curve_charts
from reports.document import print_html
from reports.evidence import Evidence, ScoreCurve
from reports.html import screen_html
from reports.phrases import Phrases
from reports.strings import load
from tests.reports import sample
from tests.reports.markup import Reader, fetched, reference_problems

CURVES = sample.curves({}, {"sex": "F"}, {"sex": "M"})


@lru_cache
def document(name: str) -> str:
    return screen_html(getattr(sample, name)())


@pytest.mark.parametrize(
    "name", ["evidence", "second_release", "several_classes", "without_failures", "hostile"]
)
def test_elements_close_and_identifiers_are_unique(name: str) -> None:
    assert reference_problems(document(name)) == []


@pytest.mark.parametrize("name", ["evidence", "hostile"])
def test_nothing_is_fetched(name: str) -> None:
    html = document(name)
    assert fetched(html) == []
    reader = Reader(html)
    policy = next(v for t, k, v in reader.attributes if (t, k) == ("meta", "content") and "default-src" in v)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_negative_control_references_and_fetches() -> None:
    html = document("evidence")
    broken = html.replace('id="findings"', 'id="data"', 1)
    assert reference_problems(broken) == ["twice: data", "nowhere: findings"]
    assert fetched(html.replace("<main>", '<main><img src="x.png" alt="">', 1)) == ["img src=x.png"]
    assert fetched(html.replace("<style>", "<style>@import 'x.css';p{background:url(y.png)}", 1)) == [
        "y.png",
        "@import 'x.css'",
    ]


def test_hostile_values_stay_text() -> None:
    html = document("hostile")
    reader = Reader(html)
    assert sum(tag == "script" for tag, _ in reader.texts) == 1
    assert not [k for _, k, _ in reader.attributes if k.startswith("on")]
    assert not [t for t, _, _ in reader.attributes if t == "img"]
    seen = " ".join(text for _, text in reader.texts)
    for value in sample.HOSTILE:
        if "\x00" not in value and "\u202e" not in value:
            assert value in seen
    assert "nul[U+0000]byte" in seen
    assert "[U+202E]right to left" in seen
    assert "\x00" not in html
    assert "\u202e" not in html
    assert "long " + "x" * 295 in seen


def test_the_hostile_print_document_keeps_values_text_too() -> None:
    reader = Reader(print_html(sample.hostile()))
    assert not [tag for tag, _ in reader.texts if tag == "script"]
    assert not [k for _, k, _ in reader.attributes if k.startswith("on")]


def test_every_check_and_every_slice_is_there() -> None:
    evidence = sample.evidence()
    html = document("evidence")
    rows = re.findall(r'<tr id="(s-[0-9a-f]{10})" data-o="(\w+)"', html)
    assert len(rows) == len(evidence.results.slices)
    failing = {
        json.dumps(f.slice, sort_keys=True) for f in evidence.findings if f.outcome == "fails" and f.slice
    }
    assert sum(outcome == "fails" for _, outcome in rows) == len(failing)


def test_the_same_evidence_gives_the_same_bytes() -> None:
    evidence = sample.evidence()
    again = Evidence.model_validate_json(evidence.model_dump_json(by_alias=True))
    assert screen_html(again) == document("evidence")
    assert print_html(again) == print_html(evidence)


def test_score_curves_are_drawn_where_they_exist() -> None:
    assert 'id="curves"' not in document("evidence")
    html = print_html(with_curves(sample.evidence(), CURVES))
    assert 'id="curves"' in html
    assert html.count('class="curve curve-') == 2 * 9  # a line and its sample in the legend
    assert html.count('class="band-') == 9
    assert html.count("at the operating threshold, 0.42") == 2  # all cases, and sex; on the ROC charts only


def test_values_and_their_curves_stand_in_the_order_of_the_data_with_the_operating_point() -> None:
    evidence = sample.evidence()
    data = evidence.data.model_copy(update={"threshold": 0.5, "tie": ">="})
    backwards = [c for c in reversed(CURVES) if c.kind != "pr"]
    p = Phrases(with_curves(evidence.model_copy(update={"data": data}), backwards), load("en"))
    first, sex = curve_charts.curve_blocks(p)
    assert (first.title, sex.title) == ("All cases", "sex")
    roc = next(chart for chart in sex.charts if chart.kind == "ROC curve")
    assert [line.label for line in roc.lines] == ["sex: F", "sex: M"]
    assert roc.mark_text == "at the operating threshold, 0.5"
    for line in roc.lines:
        value = line.label.removeprefix("sex: ")
        record = next(r for r in evidence.results.slices if r.slice == {"sex": value})
        assert record.counts is not None
        c = record.counts
        assert line.mark == pytest.approx((c.fp / (c.fp + c.tn), c.tp / (c.tp + c.fn)))
    (row, _) = roc.rows
    assert row.cases == "40 cases each"
    assert len(row.cells) == 11
    assert (row.cells[-1].y, row.cells[-1].interval, row.cells[-1].x) == (
        "100.0%",
        "95.0 to 100.0%",
        "FPR 100.0%",
    )


def test_three_curves_have_no_bands_and_six_stand_in_two_charts() -> None:
    evidence = sample.evidence()
    points = CURVES[0].points
    ages = next(a for a in evidence.data.attributes if a.name == "age").values
    many = [
        ScoreCurve(kind="roc", slice={"age": value}, points=points)
        for value in [*(v.value for v in ages), "x", "y"]
    ]
    p = Phrases(with_curves(evidence, many), load("en"))
    blocks = curve_charts.curve_blocks(p)
    assert [len(block.charts[0].lines) for block in blocks] == [5, 1]
    assert all(not line.band for line in blocks[0].charts[0].lines)
    assert blocks[1].charts[0].lines[0].band


def with_curves(evidence: Evidence, found: list[ScoreCurve]) -> Evidence:
    return evidence.model_copy(update={"results": evidence.results.model_copy(update={"curves": found})})


def test_words_that_promise_too_much_are_never_used() -> None:
    for text in load("en").texts.values():
        assert not re.search(r"\b(fair|unbiased|safe|compliant)\b", text, re.I), text


def test_1500_slices_stay_small() -> None:
    evidence = sample.many_slices(1500)
    html = screen_html(evidence)
    assert len(evidence.results.slices) >= 1400
    assert len(html) < 3_000_000
