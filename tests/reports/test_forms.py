"""The other forms, each against the independent validator or reader of its format, with negative controls."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import jsonschema
import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from huggingface_hub import ModelCard
from lxml import etree
from markdown_it import MarkdownIt

from reports.evidence import Evidence, Finding, to_bytes
from reports.forms import cyclonedx, intoto, junit, model_card
from reports.forms.wording import (
    finding_name,
    finding_numbers,
    finding_sentence,
    in_xml,
    metric_name,
    slice_name,
)
from tests.reports import sample

CASES = ("evidence", "several_classes", "without_failures", "hostile")


@cache
def evidence(name: str) -> Evidence:
    made: Evidence = getattr(sample, name)()
    return made


def without_rules(name: str = "evidence") -> Evidence:
    made = evidence(name)
    none = {
        "outcome": "no_rule",
        "meets": 0,
        "fails": 0,
        "cannot_tell": 0,
        "not_enough_data": 0,
        "not_tested": 0,
    }
    return made.model_copy(
        update={
            "findings": [],
            "verdict": made.verdict.model_copy(update=none),
            "policy": made.policy.model_copy(update={"rules": [], "sha256": None}),
        }
    )


def all_meet() -> Evidence:
    made = evidence("evidence")
    found = [each for each in made.findings if each.outcome == "meets"]
    tally = {
        "outcome": "meets",
        "meets": len(found),
        "fails": 0,
        "cannot_tell": 0,
        "not_enough_data": 0,
        "not_tested": 0,
    }
    return made.model_copy(update={"findings": found, "verdict": made.verdict.model_copy(update=tally)})


# --- JUnit -------------------------------------------------------------------------------------------


@cache
def junit_schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(Path(__file__).with_name("junit.xsd")))


@pytest.mark.parametrize("name", CASES)
def test_junit_follows_the_schema_and_counts_agree(name: str) -> None:
    made = evidence(name)
    root = etree.fromstring(junit.render(made)["junit.xml"])
    junit_schema().assertValid(root)
    findings, verdict = made.findings, made.verdict
    undecided = verdict.cannot_tell + verdict.not_enough_data + verdict.not_tested
    assert int(root.get("tests")) == len(root.findall(".//testcase")) == len(findings)
    assert int(root.get("failures")) == len(root.findall(".//failure")) == verdict.fails
    assert int(root.get("errors")) == len(root.findall(".//error")) == undecided
    for attribute in ("tests", "failures", "errors"):
        suites = root.findall("testsuite")
        assert sum(int(suite.get(attribute)) for suite in suites) == int(root.get(attribute))


def test_junit_negative_control() -> None:
    text = junit.render(evidence("evidence"))["junit.xml"].replace(
        b"<testcase classname", b"<testcase klass", 1
    )
    assert not junit_schema().validate(etree.fromstring(text))


@pytest.mark.parametrize("name", CASES)
def test_each_finding_has_a_name_of_its_own(name: str) -> None:
    names = [(each.rule, finding_name(each)) for each in evidence(name).findings]
    assert len(names) == len(set(names)) or name == "hostile"  # that sample repeats slices on purpose


def test_junit_never_shows_an_undecided_finding_as_passed_or_skipped() -> None:
    root = etree.fromstring(junit.render(evidence("without_failures"))["junit.xml"])
    assert root.findall(".//skipped") == []
    for case in root.iter("testcase"):
        children = [child.tag for child in case]
        assert (children == ["system-out"]) == (case.get("status") == "meets")


def test_junit_without_rules_has_no_case() -> None:
    root = etree.fromstring(junit.render(without_rules())["junit.xml"])
    junit_schema().assertValid(root)
    assert root.get("tests") == "0"


def test_text_for_xml_names_what_xml_cannot_hold() -> None:
    assert in_xml("a\0b\x1f\ufffe\n<&中🩻") == "aU+0000bU+001FU+FFFE\n<&中🩻"


# --- in-toto -----------------------------------------------------------------------------------------

RESOURCE = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "uri": {"type": "string"},
        "digest": {
            "type": "object",
            "minProperties": 1,
            "properties": {"sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"}},
        },
    },
    "anyOf": [{"required": ["digest"]}, {"required": ["uri"]}],
}
NAMES = {"type": "array", "items": {"type": "string", "minLength": 1}}
STATEMENT = {  # in-toto Statement v1 and the predicate test-result v0.1, typed from their specifications
    "type": "object",
    "required": ["_type", "subject", "predicateType", "predicate"],
    "additionalProperties": False,
    "properties": {
        "_type": {"const": "https://in-toto.io/Statement/v1"},
        "subject": {"type": "array", "minItems": 1, "items": {**RESOURCE, "required": ["digest"]}},
        "predicateType": {"const": "https://in-toto.io/attestation/test-result/v0.1"},
        "predicate": {
            "type": "object",
            "required": ["result", "configuration"],
            "properties": {
                "result": {"enum": ["PASSED", "WARNED", "FAILED"]},
                "configuration": {"type": "array", "items": RESOURCE},
                "url": {"type": "string"},
                "passedTests": NAMES,
                "warnedTests": NAMES,
                "failedTests": NAMES,
            },
        },
    },
}


def statement(made: Evidence) -> dict[str, object]:
    document: dict[str, object] = json.loads(intoto.render(made)["attestation.intoto.json"])
    jsonschema.validate(document, STATEMENT)
    return document


@pytest.mark.parametrize("name", CASES)
def test_intoto_statement_follows_its_specification(name: str) -> None:
    made = evidence(name)
    predicate = statement(made)["predicate"]
    assert len(predicate["failedTests"]) == made.verdict.fails
    assert len(predicate["passedTests"]) == made.verdict.meets
    listed = sum(len(predicate[key]) for key in ("passedTests", "warnedTests", "failedTests"))
    assert listed == len(made.findings)


def test_intoto_negative_control() -> None:
    broken = {**statement(evidence("evidence")), "subject": []}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, STATEMENT)


def test_intoto_binds_the_weights_and_the_evidence() -> None:
    made = evidence("evidence")
    subject = {each["name"]: each["digest"]["sha256"] for each in statement(made)["subject"]}
    assert subject == {
        "model.safetensors": sample.digest("weights"),
        "evidence.json": hashlib.sha256(to_bytes(made)).hexdigest(),
    }
    bare = made.model_copy(
        update={
            "run": made.run.model_copy(update={"inputs": [i for i in made.run.inputs if i.role == "log"]})
        }
    )
    assert [each["name"] for each in statement(bare)["subject"]] == ["evidence.json"]


@pytest.mark.parametrize(
    ("made", "result"),
    [
        (lambda: evidence("evidence"), "FAILED"),
        (lambda: evidence("without_failures"), "WARNED"),
        (all_meet, "PASSED"),
        (without_rules, "WARNED"),
    ],
)
def test_intoto_passes_only_what_meets(made: object, result: str) -> None:
    assert statement(made())["predicate"]["result"] == result


# --- CycloneDX ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strict() -> JsonStrictValidator:
    return JsonStrictValidator(SchemaVersion.V1_7)


def bill(made: Evidence) -> dict[str, object]:
    document: dict[str, object] = json.loads(cyclonedx.render(made)["model.cdx.json"])
    return document


@pytest.mark.parametrize("name", CASES)
def test_cyclonedx_is_strictly_valid(name: str, strict: JsonStrictValidator) -> None:
    assert strict.validate_str(cyclonedx.render(evidence(name))["model.cdx.json"].decode()) is None


def test_cyclonedx_without_rules_or_organisation_is_valid(strict: JsonStrictValidator) -> None:
    made = without_rules()
    made = made.model_copy(update={"report": made.report.model_copy(update={"organisation": None})})
    assert strict.validate_str(cyclonedx.render(made)["model.cdx.json"].decode()) is None


def test_cyclonedx_negative_control(strict: JsonStrictValidator) -> None:
    document = bill(evidence("evidence"))
    document["metadata"]["component"]["modelCard"]["fairness"] = "yes"
    assert strict.validate_str(json.dumps(document)) is not None


def test_cyclonedx_has_every_defined_estimate_with_its_interval() -> None:
    made = evidence("several_classes")
    metrics = bill(made)["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    records = made.results.overall + made.results.slices
    expected = [
        (each.metric, each.value, each.low, each.high)
        for record in records
        for each in record.estimates
        if each.value is not None
    ]
    found = [
        (
            each["type"],
            float(each["value"]),
            float(each["confidenceInterval"]["lowerBound"]),
            float(each["confidenceInterval"]["upperBound"]),
        )
        for each in metrics
    ]
    assert found == expected
    assert "class effusion, age = 65+" in {each["slice"] for each in metrics}


def test_cyclonedx_claims_follow_the_findings() -> None:
    declarations = bill(evidence("evidence"))["declarations"]
    maps = {each["requirement"]: each for each in declarations["attestations"][0]["map"]}
    failing = maps["requirement:recall-floor"]
    assert failing["counterClaims"] == ["claim:recall-floor"]
    assert failing["conformance"]["score"] == 0
    assert "claims" not in failing
    assert maps["requirement:fpr-gap"]["conformance"]["score"] == 1
    undecided = maps["requirement:skin-tone-floor"]
    assert set(undecided) == {"requirement", "conformance"}
    assert undecided["conformance"] == {"rationale": "1 looked at: 1 not tested."}


def test_cyclonedx_names_the_people_whom_a_rule_fails() -> None:
    card = bill(evidence("evidence"))["metadata"]["component"]["modelCard"]
    groups = [each["groupAtRisk"] for each in card["considerations"]["fairnessAssessments"]]
    # A scanner that fails is no group of people.
    assert groups == ["age = <18, sex = F"]


def test_cyclonedx_counts_undefined_estimates() -> None:
    made = evidence("evidence")
    first = made.results.overall[0]
    nothing = {"value": None, "low": None, "high": None, "support": 0, "undefined": "no case"}
    empty = first.estimates[0].model_copy(update=nothing)
    overall = [first.model_copy(update={"estimates": [empty, *first.estimates[1:]]})]
    changed = made.model_copy(update={"results": made.results.model_copy(update={"overall": overall})})

    def undefined(document: dict[str, object]) -> int:
        properties = document["metadata"]["component"]["properties"]
        return int(next(p["value"] for p in properties if p["name"] == "xaudit:undefinedEstimates"))

    assert undefined(bill(changed)) == undefined(bill(made)) + 1


# --- Model card --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_model_card_is_read_by_huggingface_hub(name: str) -> None:
    made = evidence(name)
    card = ModelCard(model_card.render(made)["MODEL_CARD.md"].decode())
    assert card.data.model_name == made.subject.name
    expected = {
        (record.klass, each.metric): each.value
        for record in made.results.overall
        for each in record.estimates
    }
    assert {(r.dataset_config, r.metric_type): r.metric_value for r in card.data.eval_results} == expected


def test_model_card_negative_control() -> None:
    text = model_card.render(evidence("evidence"))["MODEL_CARD.md"].decode()
    with pytest.raises((ValueError, yaml.YAMLError)):
        ModelCard(text.replace("results:", "outcomes:", 1))


def html(made: Evidence) -> str:
    body = model_card.render(made)["MODEL_CARD.md"].decode().split("---\n", 2)[2]
    return MarkdownIt("gfm-like", {"linkify": False}).render(body)


def test_model_card_shows_hostile_values_as_text() -> None:
    made = html(evidence("hostile"))
    tree = etree.HTML(made)
    assert {element.tag for element in tree.iter()} <= {
        "html", "body", "h1", "h2", "h3", "p", "ul", "li", "strong", "em", "code",
        "table", "thead", "tbody", "tr", "th", "td",
    }  # fmt: skip
    shown = " ".join("".join(cell.itertext()) for cell in tree.iter("td"))
    for value in sample.HOSTILE:
        visible = "".join(f"U+{ord(c):04X}" if c in "\0\u202e\u202c" else c for c in value)
        assert f"vendor = {visible}" in shown


def test_markup_in_values_is_a_negative_control_for_the_tree() -> None:
    assert "script" in {
        e.tag
        for e in etree.HTML(MarkdownIt("gfm-like", {"linkify": False}).render("<script>x</script>")).iter()
    }


@pytest.mark.parametrize(
    "text",
    [
        *("# no heading", "- no item", "1. no item", "+ no", "=====", "a | b", "a\nb", "<b>", "&amp;"),
        *("*no*", "[no](http://x)", "`no`", "~~no~~", "www.x.com", "a@b.com"),
    ],
)
def test_escaped_text_is_shown_as_written(text: str) -> None:
    rendered = MarkdownIt("gfm-like", {"linkify": False}).render(model_card.escaped(text))
    (paragraph,) = etree.HTML(rendered).find("body")
    assert paragraph.tag == "p"
    assert list(paragraph) == []
    assert paragraph.text.strip() == text.replace("\n", "U+000A")


def test_model_card_prints_what_was_left_out() -> None:
    text = model_card.render(evidence("several_classes"))["MODEL_CARD.md"].decode()
    assert "- **Primary intended uses:** *Not provided.*" in text
    assert "## Training data\n\n*Not provided.*" in text
    full = model_card.render(evidence("evidence"))["MODEL_CARD.md"].decode()
    assert "- **Primary intended uses:** A radiologist reads every image" in full


def test_model_card_sections_are_those_of_mitchell() -> None:
    text = model_card.render(evidence("evidence"))["MODEL_CARD.md"].decode()
    sections = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert sections == [
        "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data",
        "Quantitative analyses", "Ethical considerations", "Caveats and recommendations",
    ]  # fmt: skip


def test_model_card_never_words_no_rule_as_a_pass() -> None:
    text = model_card.render(without_rules())["MODEL_CARD.md"].decode()
    assert "**Audit verdict: no rule given.**" in text
    assert "meets the release rule" not in text


def test_long_cards_say_how_many_rows_are_elsewhere() -> None:
    made = evidence("several_classes")
    one_way = next(record for record in made.results.slices if len(record.slice) == 1)
    many = [one_way.model_copy(update={"slice": {"ward": str(number)}}) for number in range(1000)]
    made = made.model_copy(update={"results": made.results.model_copy(update={"slices": many})})
    text = model_card.render(made)["MODEL_CARD.md"].decode()
    shown = text.count(", ward = ")
    assert shown == 400 - len(made.results.overall)
    assert f"{1000 - shown} more groups are in `evidence.json`." in text


# --- Wording -----------------------------------------------------------------------------------------


def finding(**changes: object) -> Finding:
    base = {
        "rule": "r", "kind": "floor", "slice": {"sex": "F"}, "class": None, "metric": "recall", "limit": 0.85,
        "value": 0.8493, "low": 0.8, "high": 0.8496, "interval": "simultaneous", "level": 0.999,
        "outcome": "fails",
    }  # fmt: skip
    return Finding.model_validate({**base, **changes})


def test_numbers_never_contradict_the_outcome() -> None:
    text = finding_numbers(finding())
    assert (
        text == "84.97% (simultaneous interval at 99.9%: 80.00 to 84.96%); limit 85%." or "85.0%" not in text
    )


def test_gaps_are_in_points_and_ratios_in_plain_numbers() -> None:
    gap = finding(
        kind="gap", metric="fpr", limit=0.05, value=-0.02, low=-0.06, high=0.01, against="complement"
    )
    assert finding_numbers(gap).startswith("−2.0\u00a0pts, interval −6.0 to +1.0\u00a0pts (")
    assert finding_name(gap) == "false-positive rate against the others, sex = F"
    ratio = finding(kind="ratio", limit=0.8, value=0.75, low=0.7, high=0.79, against="M")
    assert finding_numbers(ratio).startswith("0.75, interval 0.70 to 0.79 (")
    assert finding_name(ratio) == "recall against M, sex = F"


def test_a_finding_without_a_figure_gives_its_reason() -> None:
    bare = finding(
        value=None, low=None, high=None, outcome="not_tested", reason="not in the log", slice={"tone": None}
    )
    assert finding_sentence(bare) == "No figure: not in the log."
    assert finding_name(bare) == "recall, tone: any value"


def test_a_level_is_never_rounded_to_certainty() -> None:
    assert "(99.9998%, simultaneous)" in finding_numbers(finding(level=0.999998))


def test_a_reason_speaks_for_itself() -> None:
    told = finding(
        outcome="cannot_tell", needed_n=1200, reason="The interval crosses the floor; 1,200 more decide."
    )
    assert finding_sentence(told).endswith("limit 85%. The interval crosses the floor; 1,200 more decide.")


def test_what_would_decide_is_said() -> None:
    open_finding = finding(outcome="cannot_tell", needed_n=1200, needed_clusters=300)
    assert finding_sentence(open_finding).endswith(
        "About 1,200 more cases from 300 more clusters would decide it with 80% probability."
    )


def test_slices_are_named_in_one_order() -> None:
    assert slice_name({"b": "1", "a": None}) == slice_name({"a": None, "b": "1"}) == "a not recorded, b = 1"
    assert slice_name({}) == "all cases"
    assert metric_name("micro_f1") == "micro F1"


# --- All of them -------------------------------------------------------------------------------------

FORMS = (junit, intoto, cyclonedx, model_card)


def test_same_bytes_in_another_process_time_zone_and_hash_seed() -> None:
    code = (
        "import hashlib; from tests.reports.test_forms import FORMS, evidence\n"
        "for form in FORMS:\n"
        "    for name, data in form.render(evidence('hostile')).items():\n"
        "        print(name, hashlib.sha256(data).hexdigest())"
    )
    environment = {
        **os.environ,
        "TZ": "Asia/Tokyo",
        "PYTHONHASHSEED": "7",
        "PYTHONPATH": os.getcwd(),
        "LC_ALL": "C",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    here = [
        f"{name} {hashlib.sha256(data).hexdigest()}"
        for form in FORMS
        for name, data in form.render(evidence("hostile")).items()
    ]
    assert done.stdout.split("\n")[:-1] == here


@pytest.mark.parametrize("form", FORMS)
def test_no_form_holds_a_clock_time_or_a_path(form: object) -> None:
    for data in form.render(evidence("evidence")).values():
        text = data.decode()
        assert os.getcwd() not in text
        assert "T00:" not in text
        assert text.endswith("\n")
