"""Stated label accuracy in the evidence, held against the correction of the rows by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audit import run_audit
from audit.errors import InputError
from reports.evidence import Evidence
from tests.audit.workplace import CONFIGURATION, HEADER, RULES, rows, write_work

GAPS = """
[[policy.rules]]
id = "recall-gap"
metric = "recall"
gap_at_most = 0.5
attributes = ["scanner"]
[[policy.rules]]
id = "alarm-ratio"
metric = "fpr"
ratio_at_least = 0.3
attributes = ["sex"]
[[policy.rules]]
id = "selected"
metric = "selection_rate"
at_least = 0.1
overall = true
"""


def stated(text: str) -> str:
    return CONFIGURATION.replace("[statistics]\n", f"[statistics]\nlabel_accuracy = {text}\n")


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    configuration = stated("{ sensitivity = 0.98, specificity = 0.97 }")
    folder = tmp_path_factory.mktemp("labels")
    return run_audit(write_work(folder, configuration=configuration, more=RULES + GAPS))


def table(scanner: str) -> np.ndarray:
    counts = np.zeros(4)
    for row in rows():
        label, call, here = (row[HEADER.index(name)] for name in ("label", "prediction", "scanner"))
        if here == scanner:
            counts[{"11": 0, "01": 1, "10": 2, "00": 3}[label + call]] += 1
    return counts


def test_recall_by_rogan_and_gladen(evidence: Evidence) -> None:
    """True positives among the called and among the others, each by Rogan and Gladen's line."""
    noise = evidence.results.label_noise
    assert noise is not None
    (found,) = (x for x in noise.figures if x.slice == {"scanner": "B"} and x.metric == "recall")
    tp, fp, fn, tn = table("B")
    called, missed = ((x - 0.03 * (x + y)) / 0.95 for x, y in ((tp, fp), (fn, tn)))
    assert found.observed == pytest.approx(tp / (tp + fn))
    assert found.value == pytest.approx(called / (called + missed))
    assert found.low is not None
    assert found.high is not None
    assert found.low < called / (called + missed) < found.high
    truly = called + missed
    assert found.wrong_labels == np.ceil(0.02 * truly + 0.03 * (tp + fp + fn + tn - truly))


def test_the_worst_placing_is_tried_out(evidence: Evidence) -> None:
    """All numbers of hits turned into false alarms, and of right rejections into misses."""
    noise = evidence.results.label_noise
    assert noise is not None
    (found,) = (x for x in noise.figures if x.slice == {"scanner": "B"} and x.metric == "recall")
    tp, _, fn, tn = table("B")
    wrong = found.wrong_labels
    lowest = min(
        (tp - a) / (tp - a + fn + b)
        for a in range(int(min(wrong, tp)) + 1)
        for b in range(int(min(wrong - a, tn)) + 1)
    )
    assert found.lowest == pytest.approx(lowest)
    assert found.highest is not None
    assert found.lowest < found.observed < found.highest  # type: ignore[operator]


def test_checks_move_with_the_labels(evidence: Evidence) -> None:
    noise = evidence.results.label_noise
    assert noise is not None
    found = {(x.rule, tuple(x.slice.values())): x for x in noise.checks}
    assert {rule for rule, _ in found} == {"recall-floor", "accuracy-floor", "recall-gap", "alarm-ratio"}
    assert noise.unread == 1, "labels do not enter the selection rate"
    given = {(f.rule, tuple(f.slice.values())): f.outcome for f in evidence.findings}
    assert all(x.outcome == given[key] for key, x in found.items())
    gap, other = found["recall-gap", ("A",)], found["recall-gap", ("B",)]
    values = {
        x.slice["scanner"]: x.value for x in noise.figures if x.metric == "recall" and "scanner" in x.slice
    }
    assert gap.value == pytest.approx(values["A"] - values["B"])  # type: ignore[operator]
    assert (gap.low, gap.high) == pytest.approx((-other.high, -other.low))  # type: ignore[operator]
    fails = found["recall-floor", ("B",)]
    assert (fails.outcome, fails.corrected, fails.breaking_accuracy) == ("fails", "fails", None)
    undone = found["alarm-ratio", ("F",)]
    assert (undone.outcome, undone.corrected) == ("meets", "cannot_tell")
    assert undone.breaking_accuracy is not None
    assert 0.97 < undone.breaking_accuracy < 1


def test_right_labels_change_no_outcome(tmp_path: Path) -> None:
    right = stated("{ sensitivity = 1.0, specificity = 1.0 }")
    noise = run_audit(write_work(tmp_path, configuration=right, more=RULES + GAPS)).results.label_noise
    assert noise is not None
    assert all(x.corrected == x.outcome for x in noise.checks)
    for figure in noise.figures:
        assert figure.value == pytest.approx(figure.observed)
        assert (figure.wrong_labels, figure.lowest, figure.highest) == (0, figure.observed, figure.observed)


def test_clusters_widen_the_corrected_limits(evidence: Evidence, tmp_path: Path) -> None:
    configuration = stated("{ sensitivity = 0.98, specificity = 0.97 }")
    clustered = configuration.replace('positive = "1"', 'positive = "1"\ncluster = "scanner"')
    wide = run_audit(write_work(tmp_path, configuration=clustered, more=RULES + GAPS)).results.label_noise
    narrow = evidence.results.label_noise
    assert wide is not None
    assert narrow is not None
    for one, two in zip(narrow.figures, wide.figures, strict=True):
        if one.slice == {} and one.metric == "recall":
            assert two.value == pytest.approx(one.value)
            assert two.high - two.low > 2 * (one.high - one.low)  # type: ignore[operator]


def test_nothing_is_corrected_unless_stated(tmp_path: Path) -> None:
    assert run_audit(write_work(tmp_path)).results.label_noise is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{ sensitivity = 0.9 }", r"\[statistics.label_accuracy\] 'specificity' is missing: state the share"),
        ("{ sensitivity = 90, specificity = 1 }", r"sensitivity is 90; it must be at most 1"),
        ("{ sensitivity = 0.5, specificity = 0.5 }", r"no better than chance.*their sum must be above 1"),
        ("0.9", r"\[statistics\] label_accuracy is 0.9; it must be a table"),
        (
            "{ cat = { sensitivity = 0.9, specificity = 0.9 } }",
            r"label_accuracy names the class 'cat'; the log has two classes without a name",
        ),
        ("{ cat = { sensitivity = 0.9 } }", r"\[statistics.label_accuracy.cat\] 'specificity' is missing"),
    ],
)
def test_an_accuracy_that_cannot_be(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as told:
        run_audit(write_work(tmp_path, configuration=stated(text)))
    assert "\n" not in str(told.value)


def test_several_classes_need_an_accuracy_each(tmp_path: Path) -> None:
    one = "{ sensitivity = 0.98, specificity = 0.97 }"
    several = stated(one).replace('positive = "1"\n', "")
    with pytest.raises(InputError, match="the log has the classes '0' and '1': give sensitivity and"):
        run_audit(write_work(tmp_path, configuration=several))
    each = stated(f"{{ 1 = {one} }}").replace('positive = "1"\n', "")
    noise = run_audit(write_work(tmp_path, configuration=each)).results.label_noise
    assert noise is not None
    assert {x.klass for x in noise.figures} == {"1"}
