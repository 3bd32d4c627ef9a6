"""Failed predictions as errors: a scanner whose images often fail must not pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit import run_audit
from reports.evidence import Evidence
from slices.counts import CountedLog
from slices.log import count_log
from slices.roles import Attribute, Decision, LogSpec

CONFIGURATION = """
[subject]
name = "Triage"
[log]
path = "log.csv"
label = "label"
prediction = "prediction"
positive = "1"
[[attributes]]
name = "scanner"
kind = "acquisition"
[slices]
intersections = 1
[statistics]
resamples = 200
[report]
formats = []
[[policy.rules]]
id = "floor"
metric = "recall"
at_least = 0.7
attributes = ["scanner"]
"""

GAP = """
[[policy.rules]]
id = "gap"
metric = "recall"
gap_at_most = 0.12
attributes = ["scanner"]
"""

GATE = """
[[policy.rules]]
id = "gate"
max_missing_predictions = 0.3
attributes = ["scanner"]
"""


def audited(folder: Path, more: str = "") -> Evidence:
    """Scanner A: 180 of 200 positives found. B: 90 of 100 found, predictions of 40 more failed."""
    lines = [("1", "1", "A")] * 180 + [("1", "0", "A")] * 20 + [("0", "0", "A")] * 50
    lines += [("1", "1", "B")] * 90 + [("1", "0", "B")] * 10 + [("1", "", "B")] * 40
    lines += [("0", "0", "B")] * 50 + [("0", "", "B")] * 10
    text = "label,prediction,scanner\n" + "".join(f"{','.join(line)}\n" for line in lines)
    (folder / "log.csv").write_text(text, encoding="utf-8")
    (folder / "audit.toml").write_text(CONFIGURATION + more, encoding="utf-8")
    return run_audit(folder / "audit.toml")


def outcomes(evidence: Evidence, rule: str) -> dict[str | None, str]:
    return {f.slice["scanner"]: f.outcome for f in evidence.findings if f.rule == rule}


def test_what_meets_only_without_its_failures_is_not_decided(tmp_path: Path) -> None:
    evidence = audited(tmp_path, GAP)
    assert outcomes(evidence, "floor") == {"A": "meets", "B": "cannot_tell"}
    # 0.90 against 0.90 meets; 90 of 140 against 0.90 does not, seen from either side.
    assert outcomes(evidence, "gap") == {"A": "cannot_tell", "B": "cannot_tell"}
    assert evidence.verdict.outcome == "cannot_be_decided"
    (finding,) = (f for f in evidence.findings if f.rule == "floor" and f.outcome == "cannot_tell")
    assert finding.value == pytest.approx(0.9)
    assert "failed predictions (50 in this slice)" in (finding.reason or "")
    (bound,) = (
        b
        for b in evidence.results.failed_bounds
        if (b.slice, b.metric, b.failed) == ({"scanner": "B"}, "recall", 50)
    )
    assert (bound.value, bound.as_errors) == pytest.approx((0.9, 90 / 140))
    assert bound.low is not None
    assert bound.low < 90 / 140 < 0.7
    (entry,) = (item for item in evidence.limitations if "no prediction" in item.what)
    assert "recall of scanner: B most: from 90.0% to 64.3%" in entry.size


def test_a_policy_that_gates_the_share_of_failures_has_decided(tmp_path: Path) -> None:
    evidence = audited(tmp_path, GATE.replace("0.3", "0.5"))
    assert outcomes(evidence, "floor") == {"A": "meets", "B": "meets"}
    (finding,) = (f for f in evidence.findings if f.rule == "floor" and f.slice["scanner"] == "B")
    assert "whose share rule 'gate' allows" in (finding.reason or "")


def test_a_gate_that_is_not_met_excuses_nothing(tmp_path: Path) -> None:
    evidence = audited(tmp_path, GATE)
    assert outcomes(evidence, "gate")["B"] == "cannot_tell"
    assert outcomes(evidence, "floor")["B"] == "cannot_tell"


def counted(folder: Path, text: str, **roles: object) -> CountedLog:
    (folder / "log.csv").write_text(text, encoding="utf-8")
    given: dict[str, object] = {"decision": Decision(prediction="prediction"), **roles}
    spec = LogSpec("log.csv", folder, label="label", attributes=(Attribute("s", "other", "s"),), **given)  # type: ignore[arg-type]
    return count_log(spec, intersections=1, minimum=1, keep_scores=True)


def test_a_failed_prediction_misses_a_positive_and_flags_a_negative(tmp_path: Path) -> None:
    log = counted(tmp_path, "label,prediction,s\n1,1,a\n1,,a\n0,,b\n0,0,b\n1,0,b\n", positive="1")
    worst = log.failed_as_errors
    assert worst is not None
    assert [one.inside.tolist() for one in worst.slices] == [[[1, 1, 2, 1]], [[1, 0, 1, 0]], [[0, 1, 1, 1]]]
    assert [one.n for one in log.slices] == [3, 1, 2]


def test_of_several_classes_a_failed_prediction_is_a_call_of_none(tmp_path: Path) -> None:
    text = "label,prediction,s,w\nx,x,a,1\ny,,a,2\nz,,b,1\ny,y,b,1\nz,x,b,3\n"
    worst = counted(tmp_path, text, weight="w").failed_as_errors
    assert worst is not None
    (everything, *_) = worst.slices
    assert everything.inside.reshape(3, 4).tolist() == [[1, 0, 0, 0], [0, 1, 0, 1], [1, 0, 0, 1]]
    assert everything.weighted is not None
    assert everything.weighted.inside.reshape(3, 4).tolist() == [[1, 0, 0, 0], [0, 1, 0, 2], [3, 0, 0, 1]]


def test_rows_without_a_score_get_the_worst_one(tmp_path: Path) -> None:
    text = "label,score,s\n1,0.9,a\n1,,a\n0,,b\n0,0.2,b\n"
    worst = counted(
        tmp_path, text, positive="1", decision=Decision(score="score", threshold=0.5, tie=">=")
    ).failed_as_errors
    assert worst is not None
    assert worst.scores is not None
    rows = worst.scores(worst.slices[0].slice, 0, False)
    pairs = sorted(zip(rows.scores.tolist(), rows.positive.tolist(), strict=True))
    assert pairs == [(0.0, True), (0.2, False), (0.9, True), (1.0, False)]


def test_a_log_without_failures_has_no_second_reading(tmp_path: Path) -> None:
    assert counted(tmp_path, "label,prediction,s\n1,1,a\n0,0,b\n", positive="1").failed_as_errors is None


GATED_SIDES = """
[[policy.rules]]
id = "of-a"
metric = "recall"
gap_at_most = 0.12
slices = [{ scanner = "A" }]
[[policy.rules]]
id = "share"
max_missing_predictions = 0.3
slices = [{ scanner = "A" }]
"""


def test_a_gate_on_the_slice_does_not_excuse_its_comparator(tmp_path: Path) -> None:
    """A has no failed prediction: a rule on its share says nothing of B's, against which it is held."""
    alone = audited(tmp_path, GATED_SIDES)
    (gap,) = (f for f in alone.findings if f.rule == "of-a")
    assert (gap.outcome, gap.met_without_failed) == ("cannot_tell", True)
    both = audited(tmp_path, GATED_SIDES + GATE.replace("0.3", "0.5"))
    (gap,) = (f for f in both.findings if f.rule == "of-a")
    assert (gap.outcome, gap.met_without_failed) == ("meets", False)
    everywhere = audited(tmp_path, GATED_SIDES + GATE.replace('attributes = ["scanner"]', "overall = true"))
    (gap,) = (f for f in everywhere.findings if f.rule == "of-a")
    assert gap.outcome == "meets"
