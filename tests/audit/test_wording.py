"""Wording: what the statistics box claims of the policy's families of checks."""

from __future__ import annotations

import pytest

from audit.config import from_document
from audit.errors import InputError
from audit.wording import interval_reason, needed_reason, policy_sentences, rule_sentence
from slices.said import say

BASE = {
    "log": {"path": "log.csv", "label": "label", "prediction": "prediction"},
    "model": {"weights": "w", "factory": "a:b", "layers": ["a"], "outputs": ["x"], "input": {"size": [8, 8]}},
    "concepts": {"concept": [{"name": "ruler", "folder": "r"}], "random": "random"},
}
FIGURE = {"id": "f", "metric": "recall", "at_least": 0.5, "overall": True}
SHARE = {"id": "s", "max_missing_predictions": 0.1, "overall": True}
CONCEPT = {"id": "c", "concept": "ruler", "must_not_drive": ["x"]}


def told(*rules: dict[str, object]) -> str:
    return " ".join(
        policy_sentences(from_document({**BASE, "policy": {"rules": list(rules)}}, where="here"), 7)
    )


def test_one_family_claims_one_level() -> None:
    text = told(FIGURE)
    assert "jointly over the 7 figures from counts and scores that the policy tests, so that" in text
    assert "families" not in text
    assert "concept" not in text
    assert told() == ""


@pytest.mark.parametrize(
    ("rules", "number"),
    [((FIGURE, SHARE), "Two"), ((FIGURE, CONCEPT), "Two"), ((FIGURE, SHARE, CONCEPT), "Three")],
)
def test_no_level_is_claimed_over_several_families(rules: tuple[dict[str, object], ...], number: str) -> None:
    text = told(*rules)
    assert f"{number} families are held at 95% each" in text
    assert "No level is claimed over all of them together" in text
    assert "all 7 figures" not in text
    assert ("shares of failed predictions" in text) == (SHARE in rules)
    assert ("adjusted over all concept tests of the run, is below 5%" in text) == (CONCEPT in rules)


def test_a_policy_of_concepts_alone_speaks_of_no_figures() -> None:
    assert "figures" not in told(CONCEPT)
    assert "simultaneous" not in told(CONCEPT)


CLASSES = {
    **BASE,
    "attributes": [
        {"name": "sex", "names": {"F": "women"}},
        {"name": "age", "bands": [18, 40.5]},
    ],
    "classes": {"names": {"x": "class X"}},
}


def sentence(rule: dict[str, object], *, each_class: bool = False) -> str:
    config = from_document({**CLASSES, "policy": {"rules": [rule]}}, where="here")
    return rule_sentence(config, config.policy.rules[0], each_class=each_class)


def test_a_rule_that_is_applied_to_each_class_says_so() -> None:
    assert sentence(FIGURE, each_class=True).endswith("at least 50% over all cases, for each class.")
    assert sentence(FIGURE).endswith("at least 50% over all cases.")
    assert sentence(FIGURE | {"classes": ["x"]}).endswith("over all cases, class class X.")


def test_rules_call_values_and_concepts_as_the_report_does() -> None:
    by_sex = {"id": "g", "metric": "recall", "gap_at_most": 0.1, "attributes": ["sex"], "against": "F"}
    assert "for every value of sex" in sentence(by_sex)
    assert sentence(by_sex).endswith("of that of “women”.")
    one = {"id": "o", "metric": "recall", "at_least": 0.5, "slices": [{"sex": "F", "age": "[18, 40.5)"}]}
    assert "for age: 18 to <40.5 with sex: women" in sentence(one)
    assert sentence(CONCEPT).startswith("The concept “ruler” must not drive class X")


@pytest.mark.parametrize(
    ("units", "text"),
    [(87, "About 87 more cases"), (5384, "About 5,400 more cases"), (4_470_431, "It lies on the limit")],
)
def test_a_plan_is_no_more_exact_than_it_can_be(units: int, text: str) -> None:
    assert needed_reason(units, None, comparator_grows=False, reason=None).startswith(text)


def test_numbers_in_sentences_have_a_minus_and_names_keep_their_hyphen() -> None:
    reason = interval_reason("gap", 0.05, "recall", -0.187, -0.096, "fails")
    assert "−18.7 points to −9.6 points" in reason
    assert say("x", "{n:.1f} {name} {limit:number}", n=-0.5, name="a-1", limit="2020-01-02") == (
        "−0.5 a-1 2020-01-02"
    )
    assert say("x", "{p:.1e}", p=1e-7) == "1.0e-07"


def test_a_house_colour_that_cannot_be_read_is_refused_with_one_that_can() -> None:
    document = {**BASE, "report": {"accent": "#FFEE00"}}
    with pytest.raises(InputError, match=r"'#FFEE00' has a contrast of 1\.\d : 1 .* '#7a7200'"):
        from_document(document, where="here")
    assert from_document({**BASE, "report": {"accent": "#7a7200"}}, where="here").report.accent == "#7a7200"
