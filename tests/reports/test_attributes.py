"""Attribute figures show what rules judge: gaps, ratios, classes, and the interval a result is read from."""

from __future__ import annotations

import dataclasses
import re

import pytest

from reports import charts, gaps, grids, sections
from reports.document import print_html
from reports.evidence import Evidence, Finding
from reports.html import screen_html
from reports.phrases import Phrases, edged, visible
from reports.strings import load
from tests.reports import sample


def phrases(evidence: Evidence) -> Phrases:
    return Phrases(evidence, load("en"))


def chart_named(p: Phrases, name: str, *, by_class: bool = False) -> charts.AttributeChart:
    found = [
        c for kind in charts.by_kind(p).values() for c in kind if c.name == name and c.by_class == by_class
    ]
    assert len(found) == 1
    return found[0]


def gap_finding(evidence: Evidence) -> Finding:
    return next(f for f in evidence.findings if f.kind == "gap" and f.value is not None)


def test_a_gap_rule_is_drawn_with_both_limits_and_marked_in_the_table() -> None:
    p = phrases(sample.evidence())
    finding = gap_finding(p.evidence)
    chart = chart_named(p, next(iter(finding.slice)))
    assert chart.gaps is not None
    panel = chart.gaps.figures[0].panels[0]
    assert finding.limit is not None
    assert (panel.limit.low, panel.limit.high) == (-finding.limit, finding.limit)
    judged = [
        f for f in p.evidence.findings if f.rule == finding.rule and f.slice.keys() == finding.slice.keys()
    ]
    drawn = [point.outcome for point in panel.points if point.outcome is not None]
    assert sorted(drawn) == sorted(f.outcome for f in judged if f.value is not None)
    marked = [gap.difference.outcome for row in chart.gaps.rows for gap in row.gaps if gap]
    assert sorted(outcome for outcome in marked if outcome) == sorted(drawn)


def test_a_ratio_rule_is_drawn_over_its_reference() -> None:
    evidence = sample.evidence()
    record = next(r for r in evidence.results.slices if r.slice.keys() == {"sex"} and r.disparities)
    old = gap_finding(evidence)
    ratio = record.disparities[0].ratio
    finding = old.model_copy(
        update={
            "rule": "four-fifths", "kind": "ratio", "slice": record.slice, "klass": None, "limit": 0.8,
            "metric": record.disparities[0].metric, "against": "complement", "outcome": "meets",
            "value": ratio.value, "low": ratio.low, "high": ratio.high,
        }
    )  # fmt: skip
    p = phrases(evidence.model_copy(update={"findings": [*evidence.findings, finding]}))
    chart = chart_named(p, "sex")
    assert chart.gaps is not None
    panel = next(q for f in chart.gaps.figures for q in f.panels if q.overall == 1.0)
    assert (panel.limit.low, panel.limit.high) == (0.8, None)
    assert [point.outcome for point in panel.points].count("meets") == 1
    assert "meets" in [gap.ratio.outcome for row in chart.gaps.rows for gap in row.gaps if gap]


def test_the_corrected_interval_stands_beside_the_plain_one_where_a_result_was_read_from_it() -> None:
    evidence = sample.evidence()
    p = phrases(evidence)
    joint = [
        f
        for f in evidence.findings
        if f.kind == "floor"
        and f.level is not None
        and f.level > evidence.run.confidence
        and len(f.slice) == 1
    ]
    assert joint
    finding = joint[0]
    chart = chart_named(p, next(iter(finding.slice)))
    place = next(i for i, m in enumerate(chart.metrics) if m == p.metric(finding.metric or ""))
    outer = [point.outer for point in chart.panels[place].points]
    assert (finding.low, finding.high) in outer
    value = p.value(chart.name, next(iter(finding.slice.values())))
    row = next(row for row in chart.rows if row.group == value)
    assert row.figures[place].joint
    assert row.figures[place].joint != row.figures[place].interval
    assert None in outer  # read from the plain interval: no second one


def test_p_values_are_raw_and_adjusted_by_benjamini_hochberg() -> None:
    p = phrases(sample.evidence())
    record = next(r for r in p.evidence.results.slices if len(r.slice) == 1 and r.disparities)
    found = record.disparities[0].model_copy(update={"p_value": 0.004, "p_bh": 0.016, "p_adjusted": 0.192})
    made = gaps.gap_of(
        p, record.model_copy(update={"disparities": [found]}), gaps.Comparison(found.metric, "complement")
    )
    assert made is not None
    assert (made.p, made.p_bh) == ("0.004", "0.016")


def test_rules_on_classes_are_drawn_a_row_a_class_and_group() -> None:
    p = phrases(sample.several_classes())
    finding = next(f for f in p.evidence.findings if f.klass is not None and len(f.slice) == 1)
    chart = chart_named(p, next(iter(finding.slice)), by_class=True)
    assert {row.klass for row in chart.rows} <= {p.klass(k) for k in p.evidence.data.classes}
    assert any(point.outcome == finding.outcome for panel in chart.panels for point in panel.points)
    record = next(
        r for r in p.evidence.results.slices if (r.slice, r.klass) == (finding.slice, finding.klass)
    )
    assert record.counts is not None
    positives = p.count(record.counts.tp + record.counts.fn)
    row = next(r for r in chart.rows if r.klass == p.klass(record.klass))
    same = [r for r in chart.rows if r.klass == row.klass]
    assert f"{positives} of {p.count(record.n)}" in [r.rows for r in same]
    assert [bool(r.first) for r in same] == [True] + [False] * (len(same) - 1)


def test_table_one_counts_each_class_in_each_group() -> None:
    p = phrases(sample.several_classes())
    (matrix, *_) = sections.data_section(p).classes
    record = next(
        r for r in p.evidence.results.slices if len(r.slice) == 1 and r.klass == p.evidence.data.classes[0]
    )
    assert record.counts is not None
    name, value = next(iter(record.slice.items()))
    row = next(
        cells
        for attribute, _, shown, cells in matrix.rows
        if (attribute, shown) == (name, p.value(name, value))
    )
    assert row[0] == p.count(record.counts.tp + record.counts.fn)
    assert sections.data_section(phrases(sample.evidence())).classes == ()


def test_long_figures_keep_the_gravest_rows_of_any_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group that is undecided on the second metric alone stays in a figure that is cut."""
    monkeypatch.setattr(charts, "MOST_ROWS", 2)
    evidence = sample.evidence()
    evidence = evidence.model_copy(update={"findings": [f for f in evidence.findings if len(f.slice) > 1]})
    p = phrases(evidence)
    attribute = max(evidence.data.attributes, key=lambda a: len(a.values))
    records = charts.one_way(p, attribute)
    metrics = charts.attribute_metrics(p, records)
    assert len(records) > charts.MOST_ROWS
    best = max(records, key=lambda r: next(e.value or 0 for e in r.estimates if e.metric == metrics[0]))
    other = gap_finding(sample.evidence())
    grave = other.model_copy(
        update={
            "slice": best.slice,
            "klass": best.klass,
            "metric": metrics[-1],
            "outcome": "fails",
            "rule": "x",
        }
    )
    chart = charts.attribute_charts(
        phrases(evidence.model_copy(update={"findings": [*evidence.findings, grave]})), attribute
    )[0]
    assert len(chart.labels) == charts.MOST_ROWS
    assert p.value(attribute.name, best.slice[attribute.name]) in [name for name, _ in chart.labels]


def test_the_crossing_of_what_fails_comes_first_and_its_metrics_together() -> None:
    p = phrases(sample.evidence())
    made, _ = grids.heat_charts(p)
    crossings = [re.sub(r"^.*? by ", "", chart.title) for chart in made]
    runs = [name for i, name in enumerate(crossings) if i == 0 or crossings[i - 1] != name]
    assert len(runs) == len(set(runs))
    judged = [any(cell and cell.outcome for row in c.grid.cells for cell in row) for c in made]
    assert judged[0]


def test_a_cell_of_few_cases_is_muted_and_shades_nothing() -> None:
    p = phrases(sample.evidence())
    record = next(
        r for r in p.evidence.results.slices if len(r.slice) == 2 and p.judged(r, "precision") is None
    )
    few = [e.model_copy(update={"support": 3}) for e in record.estimates]
    cell = grids.cell_of(p, record.model_copy(update={"estimates": few}), "precision")
    full = grids.cell_of(p, record, "precision")
    assert cell is not None
    assert full is not None
    assert cell.few
    assert not full.few
    beyond = dataclasses.replace(cell, shade=9.0)
    ((_, shaded),) = grids.shaded([[beyond, full]])
    assert shaded is not None
    assert shaded.shade == grids.shaded([[full]])[0][0].shade  # type: ignore[union-attr]


def test_the_annex_names_the_rule_that_no_column_shows() -> None:
    evidence = sample.evidence()
    record = next(r for r in evidence.results.slices if r.slice == {"sex": "M"} and r.klass is None)
    hidden = gap_finding(evidence).model_copy(
        update={"rule": "failed-share", "kind": "missing_predictions", "metric": None, "slice": record.slice,
                "klass": None, "outcome": "fails"}
    )  # fmt: skip
    others = [f for f in evidence.findings if f.slice != record.slice]
    p = phrases(evidence.model_copy(update={"findings": [*others, hidden]}))
    rows = {row.group: row for row in sections.annex(p, paper=True).rows}
    assert rows["sex: M"].by == "failed-share"
    assert all(not row.by for row in rows.values() if row.outcome in (None, "meets"))


def test_the_annex_tells_what_a_figure_rests_on_and_could_have_shown() -> None:
    p = phrases(sample.evidence())
    record = next(r for r in p.evidence.results.slices if r.disparities)
    metric = record.disparities[0].metric
    estimate = next(e for e in record.estimates if e.metric == metric)
    told = record.model_copy(
        update={
            "estimates": [estimate.model_copy(update={"effective": 41.6, "design_effect": 1.5})],
            "disparities": [record.disparities[0].model_copy(update={"detectable_gap": 0.1234})],
        }
    )
    text = sections.basis_of(p, told, metric)
    assert text == f"{p.count(p.cases(told, told.estimates[0]))} cases, worth 42, gap 12.3\u00a0pts"


def test_rows_left_out_are_listed_once() -> None:
    p = phrases(sample.evidence())
    data = sections.data_section(p)
    assert {where for _, where, _ in data.excluded} <= {"the whole log"}
    assert bool(data.excluded_note) == any(x.slice for x in p.evidence.data.excluded)


def test_invisible_characters_stand_in_brackets_and_edge_spaces_are_seen() -> None:
    assert visible("\u202eevil\u202c") == "[U+202E]evil[U+202C]"
    assert visible("a\x00\x1fb") == "a[U+0000 U+001F]b"
    assert edged("  a ") == "[U+0020 U+0020]a[U+0020]"
    assert edged("a b") == "a b"
    assert edged(" ") == "[U+0020]"


def test_only_words_longer_than_any_are_broken_inside() -> None:
    html = print_html(sample.hostile())
    assert '<span class="long">' + "x" * 295 + "</span>" in html
    assert not re.search(r'<span class="long">[^<]{1,20}</span>', html)
    assert 'title="<' not in html
    for tag in re.findall(r"<[a-z][^<>]*>", screen_html(sample.hostile()).split("<script>")[0]):
        assert "class=&#34;long" not in tag
