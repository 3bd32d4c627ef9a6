"""Robustness in the evidence: held against slow searches over the log's own rows."""

from __future__ import annotations

import csv
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from audit import run_audit
from audit.check import check
from audit.config import load
from audit.errors import InputError
from audit.policy import Judged
from audit.robustness import still_met
from reports.evidence import Evidence
from slices.estimates.selection import bounds
from slices.metrics import METRICS
from slices.slicing import OVERALL
from slices.supplements.label_noise import breaking_point
from tests.audit.workplace import CONFIGURATION, HEADER, RULES, rows, write_log, write_work


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    by_score = CONFIGURATION.replace(
        'prediction = "prediction"', 'score = "score"\nthreshold = 0.5\ntie = ">="'
    )
    return run_audit(write_work(tmp_path_factory.mktemp("robust"), configuration=by_score))


def column(name: str) -> list[str]:
    return [row[HEADER.index(name)] for row in rows()]


def test_the_worst_gap_is_the_largest_difference_seen(evidence: Evidence) -> None:
    (gap,) = (
        item for item in evidence.results.worst_gaps if (item.attribute, item.metric) == ("scanner", "recall")
    )
    values = {
        record.slice["scanner"]: next(e.value for e in record.estimates if e.metric == "recall")
        for record in evidence.results.slices
        if list(record.slice) == ["scanner"]
    }
    assert gap.value == pytest.approx(abs(values["A"] - values["B"]))  # type: ignore[operator]
    assert (gap.highest, gap.lowest) == ("A", "B")
    assert gap.low is not None
    assert gap.high is not None
    assert 0 < gap.low < gap.value < gap.high <= 1


def test_bounds_hold_every_allocation_of_the_missing_rows(evidence: Evidence) -> None:
    """Every number of missing hits and misses that could belong to the slice, by counting."""
    (bounds,) = (
        item
        for item in evidence.results.missing_bounds
        if item.slice == {"sex": "F"} and item.metric == "recall"
    )
    hit = [float(score) >= 0.5 for score in column("score")]
    positive = [label == "1" for label in column("label")]
    sex = column("sex")
    inside, missing = (
        [h for h, p, s in zip(hit, positive, sex, strict=True) if p and s == wanted] for wanted in ("F", "")
    )
    assert missing, "the log must hide some positives"
    every = [
        (sum(inside) + hits) / (len(inside) + hits + misses)
        for hits, misses in product(range(sum(missing) + 1), range(len(missing) - sum(missing) + 1))
    ]
    assert bounds.lowest == pytest.approx(min(every))
    assert bounds.highest == pytest.approx(max(every))
    assert bounds.low is not None
    assert bounds.low <= bounds.lowest  # type: ignore[operator]
    male = [h for h, p, s in zip(hit, positive, sex, strict=True) if p and s == "M"]
    ratios = [
        (sum(inside) + hits)
        / (len(inside) + hits + misses)
        / ((sum(male) + sum(missing) - hits) / (len(male) + len(missing) - hits - misses))
        for hits, misses in product(range(sum(missing) + 1), range(len(missing) - sum(missing) + 1))
    ]
    assert bounds.ratio is not None
    assert (bounds.ratio.lowest, bounds.ratio.highest) == pytest.approx((min(ratios), max(ratios)))
    (entry,) = (item for item in evidence.limitations if "“sex” is missing" in item.what)
    assert "Wherever they belong" in entry.size


def test_breaking_points_are_of_met_floors_only(evidence: Evidence) -> None:
    met = {
        (finding.rule, tuple(finding.slice.items()))
        for finding in evidence.findings
        if finding.outcome == "meets" and finding.kind in ("floor", "ceiling")
    }
    points = evidence.results.breaking_points
    assert {(item.rule, tuple(item.slice.items())) for item in points} == met
    assert met
    assert all(1 <= item.wrong_labels <= item.rows for item in points)
    (entry,) = (item for item in evidence.limitations if "taken as right" in item.what)
    fewest = min(points, key=lambda item: (item.wrong_labels, item.wrong_labels / item.rows))
    assert points[0] == fewest
    assert f"“{fewest.rule}”, {fewest.metric} in" in entry.who
    assert entry.size.startswith(f"{fewest.wrong_labels:,} wrong label")
    assert f"among its {fewest.rows:,} rows" in entry.size


def met(metric: str, limit: float, low: float, high: float, *, floor: bool = True) -> Judged:
    return Judged(
        rule="r",
        kind="floor" if floor else "ceiling",
        slice=OVERALL,
        klass=None,
        metric=metric,
        against=None,
        limit=limit,
        value=(low + high) / 2,
        low=low,
        high=high,
        interval="pointwise",
        level=0.95,
        outcome="meets",
        reason="",
    )


@pytest.mark.parametrize("counts", [(27, 2, 1, 40), (290, 20, 10, 300), (570, 20, 30, 900)])
@pytest.mark.parametrize("floor", [True, False])
def test_a_check_on_its_limit_is_undone_by_one_label(counts: tuple[int, ...], floor: bool) -> None:
    """The limit is the interval's own end: the verdict stands at the counts, and at no worse ones.

    Above 600 rows the verdict's interval is a bootstrap's; any small shift stands for it here.
    """
    table = np.array(counts, dtype=np.int64)
    limits = bounds(METRICS["recall"], table, 0.05)
    shift = 0.0007 if table[[0, 2]].sum() >= 600 else 0.0
    low, high = float(limits.low) + shift, float(limits.high) + shift
    on_it = met("recall", low if floor else high, low, high, floor=floor)
    assert breaking_point(table, still_met(on_it, table, 0.95)) == 1


def test_the_breaking_point_is_the_smallest_by_trying_all() -> None:
    """Every number of each kind of wrong label, one after the other."""
    table = np.array((95, 10, 5, 90), dtype=np.int64)
    limits = bounds(METRICS["recall"], table, 0.05)
    holds = still_met(met("recall", 0.8, float(limits.low), float(limits.high)), table, 0.95)
    tp, fp, fn, tn = table
    broken = [
        abs(a) + abs(b)
        for a, b in product(range(-12, 11), range(-5, 13))  # tp into fp (or back), tn into fn (or back)
        if not holds(np.array([[tp + a, fp - a, fn + b, tn - b]], dtype=float))[0]
    ]
    assert breaking_point(table, holds) == min(broken) > 1


def test_curves_of_the_scores(evidence: Evidence) -> None:
    """The ROC curve passes through the operating point; reliability bins hold every row once."""
    roc, bins = (
        next(item for item in evidence.results.curves if item.slice == {} and item.kind == kind)
        for kind in ("roc", "reliability")
    )
    assert (roc.points[0].x, roc.points[0].y, roc.points[-1].x, roc.points[-1].y) == (0, 0, 1, 1)
    assert [point.y for point in roc.points] == sorted(point.y for point in roc.points)
    assert sum(point.n or 0 for point in bins.points) == 600
    assert all(point.low <= point.y <= point.high for point in bins.points)  # type: ignore[operator]
    kinds = {(item.kind, tuple(item.slice.items())) for item in evidence.results.curves}
    assert ("roc", (("scanner", "B"),)) in kinds


def test_score_metrics_can_be_gated(tmp_path: Path) -> None:
    """AUROC by scikit-learn; a floor that it meets and one that scanner B fails."""
    from sklearn.metrics import roc_auc_score

    by_score = CONFIGURATION.replace(
        'prediction = "prediction"', 'score = "score"\nthreshold = 0.5\ntie = ">="'
    )
    more = '[[policy.rules]]\nid = "auc"\nmetric = "auroc"\nat_least = 0.9\n'
    more += 'attributes = ["scanner"]\noverall = true\n'
    evidence = run_audit(write_work(tmp_path, configuration=by_score, more=more))
    found = {tuple(finding.slice.items()): finding for finding in evidence.findings}
    labels, scores, scanner = column("label"), [float(s) for s in column("score")], column("scanner")
    assert found[()].value == pytest.approx(roc_auc_score([y == "1" for y in labels], scores))
    here = [k for k, s in enumerate(scanner) if s == "B"]
    expected = roc_auc_score([labels[k] == "1" for k in here], [scores[k] for k in here])
    assert found[(("scanner", "B"),)].value == pytest.approx(expected)
    assert found[(("scanner", "B"),)].outcome == "fails"


def test_without_a_stated_prevalence_nothing_is_adjusted(evidence: Evidence) -> None:
    assert evidence.results.at_prevalence == []


def test_without_scores_there_are_no_curves(tmp_path: Path) -> None:
    assert run_audit(write_work(tmp_path, more=RULES)).results.curves == []


def test_patients_have_breaking_points_that_need_fewer_labels_than_rows(tmp_path: Path) -> None:
    """Met by the wider interval of patients: the same rows as independent ones take more to undo."""
    rules = RULES.replace("0.6", "0.7")
    (tmp_path / "a").mkdir()
    alone = run_audit(write_work(tmp_path / "a", more=rules))
    more = CONFIGURATION.replace('positive = "1"', 'positive = "1"\ncluster = "patient"')
    (tmp_path / "b").mkdir()
    work = write_work(tmp_path / "b", more=rules, configuration=more)
    lines = [row for row in rows(200) for _ in range(3)]
    lines = [(f"i{k}.png", f"p{k // 3}", *line[2:]) for k, line in enumerate(lines)]
    write_log(tmp_path / "b", lines)
    together = run_audit(work)
    (one,) = (b for b in alone.results.breaking_points if b.rule == "accuracy-floor")
    (other,) = (b for b in together.results.breaking_points if b.rule == "accuracy-floor")
    assert 1 <= other.wrong_labels < one.wrong_labels


def test_a_gap_and_a_ratio_have_breaking_points(tmp_path: Path) -> None:
    """Placed as found, so many wrong labels do undo the check: the log is audited with them."""
    gap = """
[[policy.rules]]
id = "gap"
metric = "accuracy"
gap_at_most = 0.15
attributes = ["sex"]
[[policy.rules]]
id = "ratio"
metric = "accuracy"
ratio_at_least = 0.8
attributes = ["sex"]
against = "M"
"""
    found = run_audit(write_work(tmp_path, more=gap)).results.breaking_points
    assert {(b.rule, b.slice["sex"]) for b in found} == {("gap", "F"), ("gap", "M"), ("ratio", "F")}
    fewest = next(b for b in found if b.rule == "ratio").wrong_labels
    assert fewest > 1

    def outcome(wrong: int) -> str:
        """Labels of F turned against the right calls: every one lowers F's accuracy."""
        changed, left = [], wrong
        for row in rows():
            label, prediction, sex = row[2], row[3], row[5]
            turn = left > 0 and sex == "F" and label == prediction
            left -= turn
            changed.append((*row[:2], str(1 - int(label)) if turn else label, *row[3:]))
        write_log(tmp_path, changed)
        (finding,) = (f for f in run_audit(tmp_path / "audit.toml").findings if f.rule == "ratio")
        return finding.outcome

    assert outcome(fewest + 1) != "meets"
    assert outcome(fewest - 2) == "meets"


def test_weights_have_no_breaking_point_and_it_is_said(tmp_path: Path) -> None:
    configuration = CONFIGURATION.replace('positive = "1"', 'positive = "1"\nweight = "w"')
    work = write_work(tmp_path, configuration=configuration)
    with_columns(tmp_path, w=[str(1 + k % 3) for k in range(600)])
    evidence = run_audit(work)
    assert evidence.results.breaking_points == []
    (entry,) = (item for item in evidence.limitations if "taken as right" in item.what)
    assert "Rows have weights" in entry.how_known
    # Bounds for missing values are of weighted counts.
    assert {tuple(b.slice) for b in evidence.results.missing_bounds} == {("sex",)}


def test_a_baseline_and_impact_ratios_take_weights(tmp_path: Path) -> None:
    configuration = CONFIGURATION.replace(
        'positive = "1"', 'positive = "1"\nweight = "w"\nbaseline = "other"'
    ).replace('formats = ["html"]', 'formats = ["html"]\nimpact_ratios = [["sex"]]')
    work = write_work(tmp_path, configuration=configuration)
    label, prediction = column("label"), column("prediction")
    weight = [1 + k % 3 for k in range(600)]
    other = [y if k % 2 else p for k, (y, p) in enumerate(zip(label, prediction, strict=True))]
    with_columns(tmp_path, w=[str(w) for w in weight], other=other)
    evidence = run_audit(work)
    (change,) = (c for c in evidence.results.changes if not c.slice and c.metric == "accuracy")
    right = [
        [w * (call == y) for w, call, y in zip(weight, calls, label, strict=True)]
        for calls in (prediction, other)
    ]
    assert change.difference.value == pytest.approx((sum(right[0]) - sum(right[1])) / sum(weight))
    assert change.change == "worse"
    (impact,) = evidence.results.impacts
    for row in impact.rows:
        here = [
            (w, p == "1")
            for w, p, s in zip(weight, prediction, column("sex"), strict=True)
            if s == row.category[0]
        ]
        assert row.rate == pytest.approx(sum(w for w, hit in here if hit) / sum(w for w, _ in here))


def with_columns(folder: Path, **columns: list[str]) -> None:
    """Add columns to the log in a folder."""
    with (folder / "log.csv").open(encoding="utf-8", newline="") as file:
        header, *lines = csv.reader(file)
    with (folder / "log.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*header, *columns])
        writer.writerows([*line, *(column[k] for column in columns.values())] for k, line in enumerate(lines))


def test_a_baseline_is_compared_on_the_same_rows(tmp_path: Path) -> None:
    """The other model is right wherever this one is wrong in scanner B: better there, by counting."""
    config = write_work(
        tmp_path, configuration=CONFIGURATION.replace('positive = "1"', 'positive = "1"\nbaseline = "other"')
    )
    label, scanner, prediction = column("label"), column("scanner"), column("prediction")
    other = [y if s == "B" else p for y, s, p in zip(label, scanner, prediction, strict=True)]
    with_columns(tmp_path, other=other)
    found = {(tuple(item.slice.items()), item.metric): item for item in run_audit(config).results.changes}
    worse = found[(("scanner", "B"),), "recall"]
    share = [p == "1" for p, s, y in zip(prediction, scanner, label, strict=True) if s == "B" and y == "1"]
    assert worse.difference.value == pytest.approx(sum(share) / len(share) - 1)
    assert worse.change == "worse"
    same = found[(("scanner", "A"),), "recall"]
    assert (same.difference.value, same.change, same.changed) == (0, "no change shown", 0)


def test_rows_without_a_baseline_prediction_are_said(tmp_path: Path) -> None:
    """200 of 600 rows: an exclusion of the whole log, and the rows compared in each change."""
    config = write_work(
        tmp_path, configuration=CONFIGURATION.replace('positive = "1"', 'positive = "1"\nbaseline = "other"')
    )
    other = ["" if k % 3 == 0 else text for k, text in enumerate(column("prediction"))]
    assert other.count("") == 200
    with_columns(tmp_path, other=other)
    evidence = run_audit(config)
    (left,) = (item for item in evidence.data.excluded if "baseline" in item.reason)
    assert (left.slice, left.rows) == ({}, 200)
    assert {item.n for item in evidence.results.changes if item.slice == {}} == {400}
    assert evidence.data.rows_used == 600


def test_weights_are_counted_as_so_many_rows(tmp_path: Path) -> None:
    """A row of weight 3 moves a share as three rows do; the interval does not shrink as if they were."""
    config = write_work(
        tmp_path, configuration=CONFIGURATION.replace('positive = "1"', 'positive = "1"\nweight = "w"')
    )
    weight = [3 if scanner == "B" else 1 for scanner in column("scanner")]
    with_columns(tmp_path, w=[str(w) for w in weight])
    (overall,) = run_audit(config).results.overall
    recall = next(item for item in overall.estimates if item.metric == "recall")
    hits = [
        (w, p == "1")
        for w, p, y in zip(weight, column("prediction"), column("label"), strict=True)
        if y == "1"
    ]
    assert recall.value == pytest.approx(sum(w for w, hit in hits if hit) / sum(w for w, _ in hits))
    assert recall.effective is not None
    assert recall.effective < recall.support == len(hits)


def test_impact_ratios_are_of_the_selection_rates(tmp_path: Path) -> None:
    more = RULES.replace(
        "[[policy",
        '[report]\nformats = ["html"]\nimpact_ratios = [["scanner"], ["sex", "scanner"]]\n[[policy',
        1,
    )
    config = write_work(
        tmp_path, configuration=CONFIGURATION.replace('[report]\nformats = ["html"]\n', ""), more=more
    )
    one, crossed = run_audit(config).results.impacts
    rate = {
        wanted: sum(
            p == "1" for p, s in zip(column("prediction"), column("scanner"), strict=True) if s == wanted
        )
        / column("scanner").count(wanted)
        for wanted in "AB"
    }
    ratios = {row.category[0]: row.ratio for row in one.rows}
    assert ratios == {name: pytest.approx(share / max(rate.values())) for name, share in rate.items()}
    assert len(crossed.rows) == 4
    assert crossed.unknown == column("sex").count("")


def stated(prevalence: str) -> str:
    return CONFIGURATION.replace("[statistics]\n", f"[statistics]\ntarget_prevalence = {prevalence}\n")


def test_predictive_values_at_the_prevalence_of_use(tmp_path: Path) -> None:
    """Bayes by hand from the rows: 2% of those seen in use are positive."""
    evidence = run_audit(write_work(tmp_path, configuration=stated("0.02")))
    pairs = list(zip(column("label"), column("prediction"), strict=True))
    positives = [p == "1" for y, p in pairs if y == "1"]
    negatives = [p == "1" for y, p in pairs if y != "1"]
    recall, fpr = sum(positives) / len(positives), sum(negatives) / len(negatives)
    found = {(tuple(x.slice.items()), x.metric): x for x in evidence.results.at_prevalence}
    overall = found[(), "precision"]
    assert overall.value == pytest.approx(0.02 * recall / (0.02 * recall + 0.98 * fpr))
    assert overall.low < overall.value < overall.high  # type: ignore[operator]
    assert overall.prevalence == 0.02
    assert ((("scanner", "B"),), "npv") in found


@pytest.mark.parametrize(
    ("prevalence", "message"),
    [
        ("{ cat = 0.1 }", "target_prevalence names the class 'cat'; the log has two classes without a name."),
        ("1.5", "target_prevalence"),
        ("0", "target_prevalence"),
    ],
)
def test_a_prevalence_that_cannot_be(tmp_path: Path, prevalence: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as told:
        run_audit(write_work(tmp_path, configuration=stated(prevalence)))
    assert "\n" not in str(told.value)


def test_several_classes_need_a_prevalence_each(tmp_path: Path) -> None:
    configuration = stated("0.1").replace('positive = "1"\n', "")
    work = write_work(tmp_path, configuration=configuration)
    for refusing in (run_audit, lambda path: check(load(path))):
        with pytest.raises(InputError, match="the log has the classes '0' and '1': give one share a class"):
            refusing(work)
