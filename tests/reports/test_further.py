"""Further checks as the report prints them: label accuracy, prevalence, impact ratios."""

from __future__ import annotations

from typing import Any

from reports import further
from reports.evidence import Finding, Results
from tests.reports import sample
from tests.reports.test_render import phrases

FIGURE = {
    "slice": {"scanner": "GE"},
    "metric": "recall",
    "observed": 0.8,
    "value": 0.85,
    "low": 0.79,
    "high": 0.9,
    "wrong_labels": 1200,
    "lowest": 0.7,
    "highest": 0.88,
    "method": "m",
}
CHECK = {
    "rule": "floor",
    "slice": {"scanner": "GE"},
    "metric": "recall",
    "outcome": "meets",
    "value": 0.85,
    "low": 0.79,
    "high": 0.9,
    "corrected": "meets",
    "breaking_accuracy": 0.9375,
}
ROW = {
    "category": ["A"],
    "number": 92,
    "selected": 50,
    "rate": 50 / 92,
    "ratio": 0.8237,
    "printed": 0.82,
    "low": 0.6,
    "high": 1.1,
    "small": False,
}


def tables(findings: list[Finding] | None = None, **results: Any) -> dict[str, further.Table]:
    evidence = sample.evidence()
    document = evidence.results.model_dump(mode="json", by_alias=True)
    made = evidence.model_copy(
        update={
            "results": Results.model_validate(document | results),
            "findings": evidence.findings if findings is None else findings,
        }
    )
    return {table.id: table for table in further.tables(phrases(made))}


def noise(figures: list[dict[str, Any]], checks: list[dict[str, Any]], unread: int = 0) -> dict[str, Any]:
    stated = [{"sensitivity": 0.985, "specificity": 0.97}]
    return {"stated": stated, "figures": figures, "checks": checks, "unread": unread}


def test_corrected_figures_what_moves_most_first_after_all_cases() -> None:
    overall = FIGURE | {"slice": {}, "value": 0.81}
    none = FIGURE | {"value": None, "low": None, "high": None, "slice": {"scanner": "Canon"}}
    undefined = FIGURE | {"observed": None}
    table = tables(label_noise=noise([FIGURE, overall, none, undefined], []))["further-corrected"]
    assert [row[0] for row in table.rows] == ["All cases", "scanner: Canon", "scanner: GE"]
    assert table.rows[2][2:] == ("80.0%", "85.0%", "79.0 to 90.0%", "1,200", "70.0 to 88.0%")
    assert table.rows[1][3:5] == ("Stated accuracy does not fit", "–")
    assert "in 98.5% of the truly positive cases and in 97% of the truly negative ones" in table.intro
    assert "independently of the model's call" in table.intro


def test_classes_have_their_own_accuracy() -> None:
    document = noise([FIGURE], [])
    document["stated"] = [{"class": name, "sensitivity": 0.9, "specificity": 0.95} for name in ("AF", "SB")]
    intro = tables(label_noise=document)["further-corrected"].intro
    assert "Stated for AF: labels are right in 90% of its true cases" in intro
    assert "Stated for SB" in intro


def test_checks_that_change_stand_first() -> None:
    undone = CHECK | {"rule": "gap", "corrected": "cannot_tell", "breaking_accuracy": 0.99}
    never = CHECK | {"rule": "safe", "breaking_accuracy": None}
    failing = CHECK | {"rule": "bad", "outcome": "fails", "corrected": "fails", "breaking_accuracy": None}
    found = tables(label_noise=noise([FIGURE], [never, failing, CHECK, undone], unread=2))
    table = found["further-corrected_checks"]
    assert [row[2:] for row in table.rows] == [
        ("gap", "Meets", "Cannot tell", "99.0%"),
        ("floor", "Meets", "Meets", "93.8%"),
        ("safe", "Meets", "Meets", "met at any rate that fits the log"),
        ("bad", "Fails", "Fails", "–"),
    ]
    assert table.intro.startswith("1 of 4 checks would come out otherwise.")
    assert "2 checks cannot be corrected" in table.intro


def test_predictive_values_at_the_prevalence_of_use() -> None:
    item = {"slice": {}, "metric": "precision", "prevalence": 0.02, "value": 0.189, "method": "m"}
    undefined = item | {"metric": "npv", "value": None, "low": None, "high": None, "undefined": "no negative"}
    found = [
        item | {"low": 0.138, "high": 0.255},
        undefined,
        item | {"slice": {"sex": "F"}, "low": 0.1, "high": 0.3},
    ]
    table = tables(at_prevalence=found)["further-at_prevalence"]
    assert table.rows == (
        ("All cases", "2%", "18.9%", "13.8 to 25.5%", "–", "no negative"),
        ("sex: F", "2%", "18.9%", "10.0 to 30.0%", "–", ""),
    )
    assert table.heads[2::2] == ("Precision", "Negative predictive value")


def test_impact_ratios_are_printed_as_the_rules_print_them() -> None:
    small = ROW | {"category": ["B"], "small": True, "printed": None, "low": None, "high": None}
    one = {"attributes": ["sex"], "rows": [ROW, small], "unknown": 3, "highest": ["A"]}
    selection, scoring = (
        one | {"justification": None},
        one | {"justification": "Too few.", "rate": "scoring_rate", "median": 0.30175},
    )
    found = tables(impacts=[selection, scoring])
    first, second = found["further-impacts-1"], found["further-impacts-2"]
    assert first.rows[0] == ("A", "92", "50", "54.3%", "0.82", "0.60 to 1.10")
    assert first.heads[2:4] == ("Selected", "Selection rate")
    assert second.heads[2:4] == ("Above median", "Scoring rate")
    assert second.rows[1][0] == "B (under 2% of the data)"
    assert "scored above the median of all (0.302)" in second.intro
    assert "3 cases without a recorded group are in no row." in first.intro
    assert "left out of the ratios: Too few." in second.intro
    assert "left out" not in first.intro


def test_missing_rows_are_told_of_each_check_of_a_gap_or_ratio() -> None:
    """And of no floor, and of no comparison with a named group; a bound keeps its side of the limit."""
    bounds = {"lowest": -0.0499, "highest": 0.02, "low": -0.0502, "high": 0.03}
    ratio = {"lowest": 0.7996, "highest": 1.1, "low": 0.75, "high": 1.2}
    item = {"slice": {"sex": "F"}, "metric": "recall", "missing": 22, "value": 0.8, "method": "m"}
    item |= {"lowest": 0.7, "highest": 0.9, "low": 0.6, "high": 0.95, "difference": bounds, "ratio": ratio}

    def finding(rule: str, kind: str, limit: float, against: str | None = "complement") -> Finding:
        shown = {"value": 0.0, "low": 0.0, "high": 0.0, "interval": "i", "level": 0.95, "outcome": "meets"}
        named = {"rule": rule, "kind": kind, "slice": {"sex": "F"}, "class": None, "metric": "recall"}
        return Finding.model_validate(named | shown | {"limit": limit, "against": against})

    checks = [
        finding("gap", "gap", 0.05),
        finding("fifths", "ratio", 0.8),
        finding("floor", "floor", 0.5, None),
        finding("named", "gap", 0.05, "M"),
    ]
    table = tables(checks, missing_bounds=[item])["further-missing_gaps"]
    assert [row[2] for row in table.rows] == ["gap", "fifths"]
    gap, fifths = table.rows
    assert gap[3:5] == ("22", "5\u00a0pts")
    assert gap[5] == "\u22124.99 to +2.0\u00a0pts"
    assert gap[6].startswith("\u22125.02 to")
    assert fifths[4:6] == ("0.8", "0.7996 to 1.100")
