"""Wording: what the statistics box claims of the policy's families of checks."""

from __future__ import annotations

import pytest

from audit.config import from_document
from audit.wording import policy_sentences

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
    assert ("adjusted over all concept tests of the run, is below 5%." in text) == (CONCEPT in rules)


def test_a_policy_of_concepts_alone_speaks_of_no_figures() -> None:
    assert "figures" not in told(CONCEPT)
    assert "simultaneous" not in told(CONCEPT)
