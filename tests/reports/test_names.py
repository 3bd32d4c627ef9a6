"""Names of values and classes, their order, and what a size counts."""

from __future__ import annotations

import io
import re

from pypdf import PdfReader

from reports import charts, page_facts, sections
from reports.document import print_html
from reports.evidence import Evidence, SliceRecord, to_bytes
from reports.html import screen_html
from reports.phrases import Phrases
from reports.strings import load
from tests.reports import sample

ENGLISH = load("en")


def named(evidence: Evidence) -> Evidence:
    """The women and men of the sample, and its first class, under names; the values in another order."""
    attributes = [
        a.model_copy(update={"names": {"F": "women", "M": "men <b>"}, "values": list(reversed(a.values))})
        if a.name == "sex"
        else a
        for a in evidence.data.attributes
    ]
    classes = {"nodule": "lung nodule"} if evidence.data.classes else {}
    return evidence.model_copy(
        update={"data": evidence.data.model_copy(update={"attributes": attributes, "class_names": classes})}
    )


def pooled(evidence: Evidence) -> Evidence:
    """With a record over all classes for each slice; a row a record and class."""
    of_first = evidence.data.classes[0]

    def over_all(records: list[SliceRecord]) -> list[SliceRecord]:
        every = [r.model_copy(update={"klass": None, "counts": None}) for r in records if r.klass == of_first]
        return [*records, *every]

    results = evidence.results
    rows = {"rows": evidence.data.rows * 3, "rows_used": evidence.data.rows_used * 3}
    return evidence.model_copy(
        update={
            "data": evidence.data.model_copy(update=rows),
            "results": results.model_copy(
                update={"slices": over_all(results.slices), "overall": over_all(results.overall)}
            ),
        }
    )


def test_the_report_calls_values_and_classes_by_their_names_and_the_evidence_keeps_them() -> None:
    evidence = named(sample.several_classes())
    assert b'"sex": "F"' in to_bytes(evidence)
    for html in (print_html(evidence), screen_html(evidence)):
        assert "sex: women" in html
        assert "sex: men &lt;b&gt;" in html
        assert "class lung nodule" in html
        assert not re.search(r"sex: [FM]\b", html)
        assert "class nodule" not in html
        assert 'women <span class="quiet">(F)</span>' in html  # Table 1 leads back to the log


def test_a_comparator_has_its_name() -> None:
    evidence = named(sample.evidence())
    gap = next(f for f in evidence.findings if f.kind == "gap")
    against = gap.model_copy(update={"slice": {"sex": "M"}, "against": "F"})
    assert Phrases(evidence, ENGLISH).against(against) == "“women”"


def test_a_band_between_numbers_that_are_not_whole_is_said_in_words() -> None:
    evidence = sample.evidence()
    first = evidence.data.attributes[0]
    ink = first.model_copy(update={"name": "ink", "bands": [2.5, 3.5]})
    data = evidence.data.model_copy(update={"attributes": [ink]})
    p = Phrases(evidence.model_copy(update={"data": data}), ENGLISH)
    assert p.value("ink", "[2.5, 3.5)") == "2.5 to <3.5"
    assert p.value("ink", "<2.5") == "<2.5"
    assert p.value("other", "[2.5, 3.5)") == "[2.5, 3.5)"


def test_the_annex_follows_the_configuration() -> None:
    """Attributes as configured, values as listed, the missing one last, classes of a group together."""
    evidence = named(sample.several_classes())
    shuffled = evidence.results.model_copy(update={"slices": sorted(evidence.results.slices, key=repr)})
    p = Phrases(evidence.model_copy(update={"results": shuffled}), ENGLISH)
    rows = [row.group for row in sections.annex(p, paper=False).rows]
    names = [a.name for a in evidence.data.attributes]
    single = [row.split(":")[0] for row in rows if row.count(":") == 1]
    assert single == sorted(single, key=names.index)
    sex = [row for row in rows if row.startswith("sex:") and row.count(":") == 1]
    values = [row.removeprefix("sex: ").split(" · ")[0] for row in sex]
    listed = [p.value("sex", v.value) for v in p.attributes["sex"].values if v.value is not None]
    assert list(dict.fromkeys(values)) == [*listed, "not recorded"]
    assert values == sorted(values, key=[*listed, "not recorded"].index)
    crossed = [i for i, row in enumerate(rows) if row.count(":") == 2]
    assert crossed == list(range(crossed[0], len(rows)))


def test_a_group_without_a_recorded_value_stands_in_table_one() -> None:
    evidence = sample.evidence()
    p = Phrases(evidence, ENGLISH)
    for attribute in evidence.data.attributes:
        if attribute.missing:
            last = [g for g in sections.data_section(p).groups if g.attribute == attribute.name][-1]
            assert (last.value, last.rows) == ("not recorded", p.count(attribute.missing))
    assert any(a.missing for a in evidence.data.attributes)


def test_records_are_called_records() -> None:
    evidence = pooled(sample.several_classes())
    p = Phrases(evidence, ENGLISH)
    assert p.records is not None
    chart = charts.attribute_charts(p, evidence.data.attributes[0])[0]
    assert chart.rows_head == sections.annex(p, paper=True).rows_head == "Records"
    assert Phrases(sample.evidence(), ENGLISH).counted == "Rows"


def test_rows_that_only_the_comparison_leaves_out_are_not_called_left_out() -> None:
    evidence = sample.evidence()
    other = evidence.data.excluded[0].model_copy(
        update={"reason": "missing baseline prediction", "slice": {}, "rows": 98_765, "of": "comparison"}
    )
    data = evidence.data.model_copy(update={"excluded": [*evidence.data.excluded, other]})
    p = Phrases(evidence.model_copy(update={"data": data}), ENGLISH)
    facts = page_facts.unshown(p)
    assert facts == page_facts.unshown(Phrases(evidence, ENGLISH))
    assert any("rows are left out" in fact for fact in facts)
    assert "98,765" in str(sections.data_section(p).excluded)


def test_accuracy_of_a_class_against_the_rest_is_left_out_and_said_so() -> None:
    evidence = pooled(sample.several_classes())
    rule = evidence.policy.rules[0].model_copy(update={"metric": "accuracy"})
    accuracy = (
        evidence.results.slices[1].estimates[0].model_copy(update={"metric": "accuracy", "value": 0.987654})
    )
    slices = [
        r.model_copy(update={"estimates": [*(e for e in r.estimates if e.metric != "accuracy"), accuracy]})
        for r in evidence.results.slices
    ]
    flattered = evidence.model_copy(
        update={
            "results": evidence.results.model_copy(update={"slices": slices}),
            "policy": evidence.policy.model_copy(update={"rules": [rule]}),
            "findings": [],
        }
    )
    p = Phrases(flattered, ENGLISH)
    annex = sections.annex(p, paper=False)
    assert annex.metrics == ("Accuracy", "Recall", "Precision")
    of_class = [row for row in annex.rows if "class" in row.group]
    assert {row.figures[0].value for row in of_class} == {"–"}
    assert {row.sorts[0] for row in of_class} == {""}
    assert {row.figures[0].value for row in annex.rows if "class" not in row.group} == {"98.8%"}
    assert "high even for a class that the model never finds" in annex.note


def test_the_undersigned_have_room_to_sign() -> None:
    from reports.pdf import write_pdf

    html = print_html(sample.evidence())
    start = html.index('<nav class="toc"')
    data = write_pdf(html[:start] + "</main></body></html>", title="t", language="en", attachments={})
    heights: dict[str, float] = {}

    def visit(text: str, _cm: object, matrix: list[float], _font: object, _size: object) -> None:
        for role in ("Sign-off owner", "Second reader"):
            if role in text:
                heights[role] = matrix[5]

    PdfReader(io.BytesIO(data)).pages[0].extract_text(visitor_text=visit)
    assert abs(heights["Sign-off owner"] - heights["Second reader"]) * 0.75 >= 20
