"""The registry of forms, and what the sections of the document say."""

from __future__ import annotations

import itertools
import re

import pytest

from reports import charts, concept_charts, further, grids, overall, page_one, sections
from reports.document import print_html
from reports.errors import RenderError
from reports.evidence import AtPrevalence, Cav, Change, Evidence, Limits, WorstGap
from reports.phrases import Phrases
from reports.render import FORMATS, check_formats, render
from reports.sections import figure_of
from reports.strings import load
from tests.reports import sample

ENGLISH = load("en")


def test_an_unknown_format_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(RenderError) as problem:
        check_formats(["html", "pfd"])
    assert (
        str(problem.value)
        == f"Report format 'pfd' is not known; there are: {', '.join(FORMATS)}. Did you mean 'pdf'?"
    )


def test_render_gives_the_files_of_every_form_asked_for() -> None:
    made = render(sample.evidence(), ["html", "parquet", "junit", "html"])
    assert {"report.html", "estimates.parquet"} < set(made)
    assert all(made.values())


def phrases(evidence: Evidence) -> Phrases:
    return Phrases(evidence, ENGLISH)


def test_groups_name_their_attributes_in_the_log_s_order_and_their_class() -> None:
    p = phrases(sample.several_classes())
    assert p.group({"age": "65+", "sex": None}, "effusion") == "sex: not recorded · age: 65+ · class effusion"
    assert p.group({}) == "All cases"


def test_what_people_left_out_is_shown_as_left_out() -> None:
    parts = {part.title: part.text for part in sections.card(phrases(sample.evidence()))}
    assert parts["Out of scope"].startswith("Children under two")
    assert parts["Users"] == ""
    html = print_html(sample.evidence())
    assert html.count("Left out: nothing was written on ") == 1
    for title, text in parts.items():
        assert (f"<dt>{title}</dt>" in html) == bool(text)


def test_findings_stand_by_rule_gravest_first() -> None:
    blocks = sections.findings(phrases(sample.evidence()))
    assert [block.rule for block in blocks][:2] == ["recall-floor", "fpr-gap"]
    outcomes = [row.outcome for row in blocks[0].rows]
    assert outcomes == sorted(
        outcomes, key=["fails", "cannot_tell", "not_enough_data", "not_tested", "meets"].index
    )
    absent = next(block for block in blocks if block.rule == "skin-tone-floor")
    assert absent.rows[0].group == "skin_tone"
    assert "not in the log" in absent.rows[0].why


def test_every_finding_says_which_interval_and_level_it_was_read_from() -> None:
    p = phrases(sample.evidence())
    for block in sections.findings(p):
        for row in block.rows:
            assert "interval" in row.read_from
            assert re.search(r"\d%|no interval", row.read_from)


def test_attributes_have_one_scale_the_limit_and_the_overall_value() -> None:
    p = phrases(sample.evidence())
    scanner = next(chart for chart in charts.by_kind(p)["acquisition"] if chart.name == "scanner")
    recall = scanner.panels[0]
    assert recall.limit.low == 0.85
    assert recall.limit_text == "limit 85%"
    overall = next(e.value for e in p.evidence.results.overall[0].estimates if e.metric == "recall")
    assert recall.overall == overall
    for point in recall.points:
        assert point.low is not None
        assert recall.axis.low <= point.low
    assert [row.group for row in scanner.rows] == ["Canon", "GE", "Philips", "Siemens"]


def test_a_missing_value_is_a_row_of_its_own_and_stands_last() -> None:
    p = phrases(sample.evidence())
    sex = charts.by_kind(p)["demographic"][0]
    assert [row.group for row in sex.rows] == ["F", "M", "not recorded"]


def test_heat_grids_keep_every_cell_and_its_outcome() -> None:
    p = phrases(sample.evidence())
    made, left = grids.heat_charts(p)
    assert left == 0
    grid = next(chart.grid for chart in made if chart.title == "Recall by sex and age")
    assert grid.rows == ("F", "M", "not recorded")
    assert grid.columns == ("<18", "18-39", "40-64", "65+")
    cell = grid.cells[0][0]
    assert cell is not None
    assert cell.outcome == "fails"
    assert cell.small == "n = 49"


def test_concepts_tell_what_was_not_learnt() -> None:
    made = concept_charts.concepts(phrases(sample.evidence()))
    assert made is not None
    assert len(made.unlearnt) == 2
    assert all("grid lines" in sentence for sentence in made.unlearnt)
    assert {chart.point.outcome for chart in made.charts} == {"fails", "cannot_tell", None}


def test_concepts_that_agree_are_named_rightly_where_others_have_no_vector() -> None:
    evidence = sample.evidence()
    method = evidence.results.concept_method
    assert method is not None
    layer = evidence.results.concepts[0].layer
    tested = list(dict.fromkeys(r.concept for r in evidence.results.concepts if r.layer == layer))
    assert tested == ["ruler", "thick ribs", "lung texture", "grid lines"]
    no_vector = Cav(accuracy=None, auc=None, stability=None)
    records = [
        r.model_copy(update={"cav": no_vector, "verdict": "not_learnt"}) if r.concept == "ruler" else r
        for r in evidence.results.concepts
    ]
    # "ruler" had too few images: rows are thick ribs, lung texture, grid lines; the last was not learnt.
    matrix = [[1.0, -0.6, 0.7], [-0.6, 1.0, 0.2], [0.7, 0.2, 1.0]]
    results = evidence.results.model_copy(
        update={
            "concepts": records,
            "concept_method": method.model_copy(update={"entanglement": {layer: matrix}}),
        }
    )
    made = concept_charts.concepts(phrases(evidence.model_copy(update={"results": results})))
    assert made is not None
    assert made.entangled == (
        (
            f"Concepts that point the same or the opposite way at {layer}",
            ("“thick ribs” and “lung texture”: cosine −0.600",),
        ),
    )


def test_a_failing_group_is_joined_with_the_concepts_that_act_more_there() -> None:
    evidence = sample.evidence()
    p = phrases(evidence)
    assert concept_charts.joined(p) == ()
    records = [
        r.model_copy(
            update={
                "difference": Limits(value=1.9, low=1.2, high=2.6),
                "difference_p_adjusted": 0.02,
                "difference_verdict": "higher",
            }
        )
        if r.slice == {"scanner": "Canon"}
        else r
        for r in evidence.results.concepts
    ]
    known = evidence.model_copy(update={"results": evidence.results.model_copy(update={"concepts": records})})
    sentences = concept_charts.joined(phrases(known))
    assert len(sentences) == 1
    assert sentences[0].startswith(
        "scanner: Canon fails (Recall: at least 85%); there “ruler” drives “pneumothorax”"
    )
    assert "1.900 logits (1.200 to 2.600), adjusted p 0.020" in sentences[0]
    grid = concept_charts.concept_grids(phrases(known))[0].grid
    assert "▲ 2.400" in {cell.text for row in grid.cells for cell in row if cell}

    def said(metric: str, **update: object) -> tuple[str, ...]:
        changed = [r.model_copy(update=update) if r.slice == {"scanner": "Canon"} else r for r in records]
        results = evidence.results.model_copy(update={"concepts": changed})
        findings = [f.model_copy(update={"metric": metric}) if f.slice else f for f in evidence.findings]
        return concept_charts.joined(
            phrases(evidence.model_copy(update={"results": results, "findings": findings}))
        )

    # What opposes the class, and less so here, moves nothing "more"; nor does what is not shown to drive.
    assert said("recall", verdict="opposes") == ()
    assert said("recall", verdict="no_effect_shown") == ()
    assert said("recall", difference_verdict="not_shown") == ()
    (opposing,) = said("recall", verdict="opposes", difference_verdict="lower")
    assert "there “ruler” opposes “pneumothorax” at" in opposing
    assert "not labelled" not in opposing
    (false_alarms,) = said("fpr")
    assert "The rule counts images that are not labelled “pneumothorax”; the effect" in false_alarms


def test_above_2000_slices_paper_prints_what_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sections, "MOST_ANNEX_ROWS", 30)
    p = phrases(sample.evidence())
    on_paper, on_screen = sections.annex(p, paper=True), sections.annex(p, paper=False)
    assert len(on_screen.rows) == len(p.evidence.results.slices)
    assert 0 < len(on_paper.rows) <= 30
    assert all(row.outcome for row in on_paper.rows)
    assert f"prints the {len(on_paper.rows)} that a rule judges" in on_paper.note


def test_an_undefined_figure_is_a_reason_not_a_number() -> None:
    evidence = sample.evidence()
    record = evidence.results.slices[0]
    gone = record.estimates[1].model_copy(
        update={"value": None, "low": None, "high": None, "undefined": "no positive case"}
    )
    figure = sections.figure_of(phrases(evidence), record.model_copy(update={"estimates": [gone]}), "recall")
    assert figure.value == "undefined"
    assert figure.undefined == "no positive case"
    assert figure.interval == "–"


def test_the_print_document_s_headings_stand_in_order() -> None:
    levels = [int(level) for level in re.findall(r"<h([1-6])", print_html(sample.evidence()))]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


def test_further_checks_are_tables_where_the_run_made_them() -> None:
    evidence = sample.evidence()
    assert further.tables(phrases(evidence)) == ()
    gap = WorstGap.model_validate(
        {
            "attribute": "scanner",
            "metric": "recall",
            "value": 0.161,
            "low": 0.1,
            "high": 0.22,
            "highest": "GE",
            "lowest": "Canon",
            "groups": 4,
            "method": "m",
        }
    )
    worse = {
        "slice": {"scanner": "Canon"},
        "metric": "recall",
        "difference": {"value": -0.0004, "low": -0.0007, "high": -0.00001},
        "p_value": 0.01,
        "change": "worse",
        "changed": 12,
        "method": "m",
    }
    same = {
        **worse,
        "n": 1234,
        "slice": {"scanner": "GE"},
        "change": "no change shown",
        "difference": {"value": 0.01, "low": -0.01, "high": 0.03},
    }
    changes = [Change.model_validate(same), Change.model_validate(worse)]
    results = evidence.results.model_copy(update={"worst_gaps": [gap], "changes": changes})
    known = evidence.model_copy(update={"results": results})
    gaps, change = further.tables(phrases(known))
    assert gaps.rows == (
        ("scanner", "Recall", "GE", "Canon", "recall-floor", "+16.1\u00a0pts", "+10.0 to +22.0\u00a0pts"),
    )
    assert [row[2] for row in change.rows] == ["Worse", "No change shown"]
    assert [row[3] for row in change.rows] == ["–", "1,234"]
    assert (
        change.rows[0][5] == "\u22120.1 to \u22120.001\u00a0pts"
    )  # worse: the printed interval stays below 0
    assert 'id="further"' in print_html(known)


# Several classes


def test_overall_results_of_classes_are_one_table_with_a_row_a_class() -> None:
    p = phrases(sample.several_classes())
    made = overall.overall(p)
    assert made.classes is not None
    assert made.figures == ()
    assert made.classes.metrics == ("Recall", "False-positive rate", "Precision")
    assert [row.name for row in made.classes.rows] == ["pneumothorax", "effusion", "nodule"]
    for row, record in zip(made.classes.rows, p.evidence.results.overall, strict=True):
        assert record.counts is not None
        assert row.cases == f"{record.n:,} ({record.counts.tp + record.counts.fn:,})"
        assert [figure.value for figure in row.figures] == [
            figure_of(p, record, metric).value for metric in ("recall", "fpr", "precision")
        ]


def test_a_binary_log_has_every_metric_and_no_table_of_classes() -> None:
    p = phrases(sample.evidence())
    made = overall.overall(p)
    assert made.classes is None
    assert len(made.figures) == len(p.evidence.results.overall[0].estimates)
    assert "found" in made.counts


def test_meanings_speak_of_the_class_and_explain_averages_once() -> None:
    evidence = sample.several_classes()
    texts = overall.meanings(phrases(evidence))
    assert "Recall is the share of the true cases of the class that the model finds." in texts
    assert not any("{" in text or "over classes" in text for text in texts)
    pooled = evidence.results.overall[0]
    averaged = [
        pooled.estimates[0].model_copy(update={"metric": f"{average}_{metric}"})
        for average in ("macro", "micro")
        for metric in ("recall", "precision", "f1")
    ]
    known = pooled.model_copy(update={"klass": None, "counts": None, "estimates": averaged})
    results = evidence.results.model_copy(update={"overall": [known, *evidence.results.overall]})
    texts = overall.meanings(phrases(evidence.model_copy(update={"results": results})))
    assert sum("over classes" in text for text in texts) == 1
    assert len(texts) == 5  # recall, fpr, precision, F1, the averages


def test_a_long_log_counts_records_beside_rows() -> None:
    evidence = sample.several_classes()
    assert phrases(evidence).records is None
    first = evidence.results.overall[0]
    pooled = first.model_copy(update={"klass": None, "counts": None, "n": 1000})
    known = evidence.model_copy(
        update={
            "results": evidence.results.model_copy(
                update={"overall": [pooled, *evidence.results.overall], "slices": []}
            ),
            "data": evidence.data.model_copy(
                update={"cluster": None, "clusters": None, "roles": {"id": "study"}}
            ),
        }
    )
    assert phrases(known).records == 1000
    test_set = page_one.build(phrases(known)).facts[1].text
    assert f"1,000 records (column “study”), {known.data.rows:,} rows" in test_set


# Wide tables


def test_intervals_of_several_kinds_are_marked_and_named_once() -> None:
    p = phrases(sample.evidence())
    for block in sections.findings(p):
        kinds = {row.read_from for row in block.rows if row.interval not in ("", "–")}
        shown = {row.mark for row in block.rows if row.interval not in ("", "–")}
        assert len(shown) == max(1, len(kinds)) or not kinds
        assert all(kind in block.read_from for kind in kinds)
        for row in block.rows:
            assert (not row.mark) or f"{row.mark}: {row.read_from}" in block.read_from


@pytest.mark.parametrize(("number", "text"), [(0, "a"), (25, "z"), (26, "aa"), (27, "ab"), (52, "ba")])
def test_marks_never_run_out(number: int, text: str) -> None:
    assert sections.letter(number) == text


def test_of_many_values_those_of_rules_are_kept_then_the_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sections, "MOST_VALUES", 3)
    evidence = sample.evidence()
    age = next(a for a in evidence.data.attributes if a.name == "age")
    many = [age.values[0].model_copy(update={"value": f"v{i}", "n": i}) for i in range(9)]
    wide = age.model_copy(update={"name": "ward", "values": many})
    finding = next(f for f in evidence.findings if f.outcome == "meets").model_copy(
        update={"slice": {"ward": "v1"}}
    )
    p = phrases(evidence.model_copy(update={"findings": [finding]}))
    assert [value.value for value in sections.shown_values(p, wide)] == ["v1", "v7", "v8"]
    assert "the other 6 are in the attached evidence.json" in sections.values_left(p, wide, 3)


def test_an_annex_row_is_a_slice_where_no_rule_judges_a_class() -> None:
    evidence = sample.several_classes()
    pooled = [r.model_copy(update={"klass": None}) for r in evidence.results.slices if r.klass == "nodule"]
    results = evidence.results.model_copy(update={"slices": [*pooled, *evidence.results.slices]})
    p = phrases(evidence.model_copy(update={"results": results, "findings": []}))
    on_paper = sections.annex(p, paper=True)
    assert len(on_paper.rows) == len(pooled)
    assert f"their {len(evidence.results.slices)} rows by class" in on_paper.note
    assert len(sections.annex(p, paper=False).rows) == len(pooled) + len(evidence.results.slices)


def test_predictive_values_in_use_stand_with_the_overall_results() -> None:
    evidence = sample.evidence()
    assert overall.overall(phrases(evidence)).in_use == ()
    item = AtPrevalence(
        slice={}, metric="precision", prevalence=0.05, value=0.215, low=0.2, high=0.2304, method="m"
    )
    more = [
        item,
        item.model_copy(update={"metric": "npv", "value": None, "undefined": "nothing is passed over"}),
        item.model_copy(update={"slice": {"sex": "F"}}),
    ]
    known = evidence.model_copy(
        update={"results": evidence.results.model_copy(update={"at_prevalence": more})}
    )
    assert overall.overall(phrases(known)).in_use == (
        "Precision if 5% of the cases are positive: 21.5% (20.0 to 23.0%).",
        "Negative predictive value if 5% of the cases are positive: undefined (nothing is passed over).",
    )
    assert "Precision if 5% of the cases are positive" in print_html(known)
