"""Since the previous release: what the comparison of two evidence documents tells, part by part."""

from __future__ import annotations

import pytest

from audit.since import Previous, since
from audit.since_figures import direction
from reports.evidence import ConceptRecord, Evidence, Finding, Input, Since, SliceRecord
from tests.reports import sample

Keys = dict[str, str | None]


@pytest.fixture(scope="module")
def base() -> Evidence:
    return sample.evidence()


def compared(then: Evidence, now: Evidence) -> Since:
    return since(Previous(then, "old/evidence.json", "f" * 64), now)


def with_log(evidence: Evidence, sha256: str) -> Evidence:
    inputs = [i.model_copy(update={"sha256": sha256}) if i.role == "log" else i for i in evidence.run.inputs]
    return evidence.model_copy(update={"run": evidence.run.model_copy(update={"inputs": inputs})})


def with_results(evidence: Evidence, **changed: object) -> Evidence:
    return evidence.model_copy(update={"results": evidence.results.model_copy(update=changed)})


def moved(evidence: Evidence, where: Keys, metric: str, by: float) -> Evidence:
    """One figure of one slice elsewhere, with its limits."""

    def shifted(record: SliceRecord) -> SliceRecord:
        estimates = [
            e.model_copy(update={key: getattr(e, key) + by for key in ("value", "low", "high")})
            if e.metric == metric
            else e
            for e in record.estimates
        ]
        return record.model_copy(update={"estimates": estimates}) if record.slice == where else record

    return with_results(evidence, slices=[shifted(record) for record in evidence.results.slices])


def test_nothing_changed_in_the_same_evidence(base: Evidence) -> None:
    found = compared(base, base)
    assert found.data == "same_log"
    assert found.verdict == base.verdict
    assert found.policy_sha256 == base.policy.sha256
    for part in (found.rules, found.settings, found.checks, found.appeared, found.vanished, found.concepts):
        assert part == []
    assert found.compared > 50
    assert {tuple(f.slice) for f in found.figures} == {()}
    assert all(f.difference.value == 0 and f.change is None and f.joint is None for f in found.figures)


def test_one_log_with_other_figures_has_no_limits(base: Evidence) -> None:
    found = compared(moved(base, {"scanner": "GE"}, "recall", 0.001), base)
    (figure,) = (f for f in found.figures if f.slice)
    assert figure.slice == {"scanner": "GE"}
    assert figure.difference.value == pytest.approx(-0.001)
    assert (figure.difference.low, figure.joint, figure.change) == (None, None, "worse")
    assert found.joint_level is None


def test_another_log_with_as_many_rows_and_labels_everywhere_is_alike(base: Evidence) -> None:
    assert compared(with_log(base, "0" * 64), base).data == "alike"
    fewer = base.data.model_copy(update={"rows": base.data.rows - 1})
    assert compared(with_log(base, "0" * 64).model_copy(update={"data": fewer}), base).data == "different"
    counts = base.results.slices[0].counts
    assert counts is not None
    swapped = counts.model_copy(update={"tp": counts.tp - 1, "fp": counts.fp + 1})
    slices = [base.results.slices[0].model_copy(update={"counts": swapped}), *base.results.slices[1:]]
    other = with_results(with_log(base, "0" * 64), slices=slices)
    clean = [r.model_copy(update={"failed_predictions": 0}) for r in base.results.slices]
    now = with_results(base, slices=clean)
    then = with_results(other, slices=[slices[0].model_copy(update={"failed_predictions": 0}), *clean[1:]])
    assert compared(then, now).data == "different"


def test_other_predictions_of_one_log_are_not_the_same_predictions(base: Evidence) -> None:
    def with_role(role: str, column: str) -> Evidence:
        roles = {**base.data.roles, role: column}
        return base.model_copy(update={"data": base.data.model_copy(update={"roles": roles})})

    assert compared(with_role("prediction", "other"), base).data == "alike"
    assert compared(with_role("cluster", "other"), base).data == "alike"
    assert compared(with_role("attribute", "other"), base).data == "same_log"
    weighted = compared(with_role("weight", "sampling_weight"), base)
    assert weighted.data == "alike"
    assert [(s.setting, s.then, s.now) for s in weighted.settings] == [("weight", "sampling_weight", None)]


def test_figures_beyond_chance_are_told_and_others_are_not(base: Evidence) -> None:
    then = moved(with_log(base, "0" * 64), {"scanner": "GE"}, "recall", 0.09)
    then = moved(then, {"scanner": "Siemens"}, "recall", 0.01)
    found = compared(then, base)
    (figure,) = (f for f in found.figures if f.slice)
    assert figure.slice == {"scanner": "GE"}
    assert figure.change == "worse"
    assert figure.joint is not None
    assert figure.difference.value == pytest.approx(-0.09)
    assert figure.joint.low < figure.difference.low < -0.09 < figure.difference.high < figure.joint.high < 0
    assert found.joint_level == pytest.approx(1 - 0.05 / found.compared)
    overall = [f for f in found.figures if not f.slice]
    assert overall == found.figures[: len(overall)]
    assert all(f.change is None for f in overall)


def test_figures_stand_worse_first_and_single_values_before_crossings(base: Evidence) -> None:
    then = moved(with_log(base, "0" * 64), {"scanner": "GE"}, "recall", 0.09)
    then = moved(then, {"sex": "F", "scanner": "GE"}, "recall", 0.25)
    then = moved(then, {"scanner": "Canon"}, "recall", -0.3)
    found = [f for f in compared(then, base).figures if f.slice]
    assert [(f.slice, f.change) for f in found] == [
        ({"scanner": "GE"}, "worse"),
        ({"sex": "F", "scanner": "GE"}, "worse"),
        ({"scanner": "Canon"}, "better"),
    ]


def test_an_undefined_figure_is_not_compared(base: Evidence) -> None:
    first = base.results.slices[0]
    gone = [
        e.model_copy(update={"value": None, "low": None, "high": None, "support": 0}) for e in first.estimates
    ]
    then = with_results(base, slices=[first.model_copy(update={"estimates": gone}), *base.results.slices[1:]])
    whole = compared(base, base).compared
    assert compared(then, base).compared == compared(base, then).compared == whole - 2


@pytest.mark.parametrize(
    ("metric", "low", "high", "told"),
    [
        ("recall", 0.01, 0.2, "better"),
        ("fpr", 0.01, 0.2, "worse"),
        ("macro_fpr", -0.2, -0.01, "better"),
        ("selection_rate", 0.01, 0.2, "higher"),
        ("of a plugin", -0.2, -0.1, "lower"),
        ("recall", -0.01, 0.2, None),
        ("recall", 0.0, 0.2, None),
    ],
)
def test_direction(metric: str, low: float, high: float, told: str | None) -> None:
    assert direction(metric, low, high) == told


def test_rules_added_removed_and_changed(base: Evidence) -> None:
    first, *others = base.policy.rules
    assert first.limit is not None
    rules = [
        first.model_copy(update={"limit": first.limit - 0.1}),
        others[0].model_copy(update={"sentence": "Said otherwise."}),
        first.model_copy(update={"id": "old"}),
        *others[2:],
    ]
    policy = base.policy.model_copy(update={"rules": rules, "sha256": "1" * 64})
    found = compared(base.model_copy(update={"policy": policy}), base)
    assert [(r.id, r.then is not None, r.now is not None) for r in found.rules] == [
        (first.id, True, True),
        (others[1].id, False, True),
        ("old", True, False),
    ]
    assert found.policy_sha256 == "1" * 64


def test_checks_stand_worst_first_and_a_dropped_failure_is_told(base: Evidence) -> None:
    by_outcome: dict[str, list[Finding]] = {}
    for finding in base.findings:
        by_outcome.setdefault(finding.outcome, []).append(finding)
    fails, meets, unsure = by_outcome["fails"], by_outcome["meets"], by_outcome["cannot_tell"]
    outcomes = {id(fails[0]): "meets", id(meets[0]): "fails", id(unsure[0]): "meets"}
    then_findings = [
        f.model_copy(update={"outcome": outcomes[id(f)]}) if id(f) in outcomes else f for f in base.findings
    ]
    gone = [
        fails[0].model_copy(update={"rule": "dropped", "outcome": outcome, "slice": {"scanner": scanner}})
        for scanner, outcome in (("GE", "fails"), ("Canon", "meets"))
    ]
    found = compared(base.model_copy(update={"findings": [*then_findings, *gone]}), base).checks
    told = [(c.rule, c.then and c.then.outcome, c.now and c.now.outcome) for c in found]
    assert told == [
        (fails[0].rule, "meets", "fails"),
        ("dropped", "fails", None),
        (unsure[0].rule, "meets", "cannot_tell"),
        (meets[0].rule, "fails", "meets"),
    ]
    assert found[0].now is not None
    assert (found[0].now.value, found[0].now.limit) == (fails[0].value, fails[0].limit)


def test_new_checks_that_fail_or_stay_open_are_told(base: Evidence) -> None:
    found = compared(base.model_copy(update={"findings": []}), base).checks
    assert {c.now.outcome for c in found if c.now} == {f.outcome for f in base.findings} - {"meets"}
    assert all(c.then is None for c in found)


def test_slices_within_one_that_is_gone_are_not_listed_beside_it(base: Evidence) -> None:
    kept = [record for record in base.results.slices if "scanner" not in record.slice]
    found = compared(base, with_results(base, slices=kept))
    assert [s.slice for s in found.vanished] == [
        {"scanner": v} for v in ("Siemens", "GE", "Philips", "Canon")
    ]
    assert found.vanished[0].n == next(r.n for r in base.results.slices if r.slice == {"scanner": "Siemens"})
    assert found.appeared == []
    assert compared(with_results(base, slices=kept), base).appeared == found.vanished
    pairs = [record for record in base.results.slices if len(record.slice) == 1]
    crossed = compared(base, with_results(base, slices=pairs)).vanished
    assert {len(s.slice) for s in crossed} == {2}


def test_the_order_of_a_slice_s_attributes_does_not_count(base: Evidence) -> None:
    turned = [r.model_copy(update={"slice": dict(reversed(r.slice.items()))}) for r in base.results.slices]
    findings = [f.model_copy(update={"slice": dict(reversed(f.slice.items()))}) for f in base.findings]
    then = with_results(base, slices=turned).model_copy(update={"findings": findings})
    found = compared(then, base)
    assert (found.checks, found.appeared, found.vanished) == ([], [], [])


def test_settings_that_differ(base: Evidence) -> None:
    weights = Input(role="weights", path="model.safetensors", sha256="2" * 64)
    run = base.run.model_copy(update={"inputs": [*base.run.inputs, weights], "confidence": 0.9})
    then = base.model_copy(
        update={
            "run": run,
            "subject": base.subject.model_copy(update={"version": "0.1"}),
            "data": base.data.model_copy(update={"threshold": 0.4}),
        }
    )
    now_weights = next((i.sha256 for i in base.run.inputs if i.role == "weights"), None)
    found = {s.setting: (s.then, s.now) for s in compared(then, base).settings}
    assert found.pop("weights", ("2" * 64, now_weights))[1] == now_weights
    assert found == {
        "version": ("0.1", base.subject.version),
        "threshold": (0.4, base.data.threshold),
        "confidence": (0.9, base.run.confidence),
    }


def test_concepts_whose_answer_changed(base: Evidence) -> None:
    def turned(record: ConceptRecord) -> ConceptRecord | None:
        if record.concept == "thick ribs":
            return None
        return (
            record.model_copy(update={"verdict": "no_effect_shown"}) if record.verdict == "drives" else record
        )

    changed = [made for record in base.results.concepts if (made := turned(record)) is not None]
    found = compared(with_results(base, concepts=changed), base).concepts
    driving = [c for c in base.results.concepts if c.verdict == "drives" and not c.slice]
    new = {(c.concept, c.layer) for c in base.results.concepts if c.concept == "thick ribs" and not c.slice}
    assert {(c.concept, c.layer) for c in found if c.then is None} == new
    told = [c for c in found if c.then is not None and c.now is not None]
    assert [(c.concept, c.layer) for c in told] == [(c.concept, c.layer) for c in driving]
    assert all(
        (c.then.verdict, c.now.verdict) == ("no_effect_shown", "drives") for c in told if c.then and c.now
    )
    assert found[0].now is not None
    assert found[0].now.verdict == "drives"
