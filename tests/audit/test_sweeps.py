"""Threshold sweeps in evidence and report: at the operating threshold they are the figures of the log."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from audit import curves, run_audit
from reports.evidence import Evidence
from reports.phrases import Phrases
from reports.strings import load
from reports.sweep_charts import sweep_blocks
from tests.audit.workplace import CONFIGURATION, RULES, write_work

SCORED = CONFIGURATION.replace(
    'prediction = "prediction"', 'score = "score"\nthreshold = 0.5\ntie = ">="\ncluster = "patient"'
)
GAP = """
[[policy.rules]]
id = "gap"
metric = "recall"
gap_at_most = 0.5
attributes = ["scanner"]
against = "A"
"""


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return run_audit(write_work(tmp_path_factory.mktemp("swept"), more=RULES + GAP, configuration=SCORED))


def test_the_operating_point_is_the_figure_of_the_log(evidence: Evidence) -> None:
    records = [*evidence.results.overall, *evidence.results.slices]
    checked = 0
    for sweep in evidence.results.sweeps:
        (record,) = (r for r in records if r.slice == sweep.slice)
        (point,) = (q for q in sweep.points if q.x == 0.5)
        estimate = next(e for e in record.estimates if e.metric == sweep.metric)
        if sweep.against is None:
            assert (point.y, point.n) == (pytest.approx(estimate.value), estimate.support)
            assert point.low is not None
            assert point.low < point.y
        else:
            (found,) = (d for d in record.disparities if d.against == "A" and d.metric == sweep.metric)
            assert (sweep.slice, sweep.limit, sweep.rule) == ({"scanner": "B"}, 0.5, "gap")
            assert point.y == pytest.approx(found.difference.value)
        checked += 1
    # Recall and accuracy of all, two sexes and two scanners; the gap of scanner B.
    assert checked == 2 * 5 + 1
    assert all(len(sweep.points) <= curves.THRESHOLDS + 1 for sweep in evidence.results.sweeps)


def test_a_chart_for_every_metric_that_a_rule_judges_and_one_for_the_gap(evidence: Evidence) -> None:
    every, sex, scanner = sweep_blocks(Phrases(evidence, load("en")))
    # Overall both metrics; of an attribute what a rule names it for; and the gap.
    assert [len(block.charts) for block in (every, sex, scanner)] == [2, 1, 2]
    alone = evidence.model_copy(
        update={"policy": evidence.policy.model_copy(update={"rules": []}), "findings": []}
    )
    assert [len(block.charts) for block in sweep_blocks(Phrases(alone, load("en")))] == [2, 2, 3]
    (gap,) = (chart for chart in scanner.charts if chart.guides is not None and chart.guides.levels)
    assert gap.guides is not None
    assert gap.guides.levels[1] < 0.5 < gap.guides.levels[2]
    assert gap.guides.upright is not None
    assert 0 < gap.guides.upright < 1
    assert any("in use" in cell.x for cell in gap.rows[0].cells)


def test_the_evidence_stays_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "MOST_SWEPT", 2)
    found = run_audit(write_work(tmp_path, configuration=SCORED)).results
    assert {tuple(sweep.slice.items()) for sweep in found.sweeps} == {(), (("scanner", "A"),)}
    assert found.sweeps_left_out == 3


def test_a_log_of_predictions_has_no_sweep(tmp_path: Path) -> None:
    assert run_audit(write_work(tmp_path)).results.sweeps == []


def of_classes(folder: Path, configuration: str) -> Evidence:
    """300 rows of three classes with a score each; a table a row, and one a row and class."""
    rng = np.random.default_rng(2)
    wide, long = ["label,p_a,p_b,p_c,sex"], ["id,finding,label,score,sex"]
    for row in range(300):
        label, sex = "abc"[row % 3], "FM"[row % 2]
        raw = rng.random(3) + 0.8 * (np.array(list("abc")) == label)
        share = (raw / raw.sum()).round(3)
        wide.append(f"{label},{share[0]},{share[1]},{share[2]},{sex}")
        long += [
            f"i{row},{name},{int(name == label)},{p},{sex}" for name, p in zip("abc", share, strict=True)
        ]
    (folder / "wide.csv").write_text("\n".join(wide) + "\n", encoding="utf-8")
    (folder / "long.csv").write_text("\n".join(long) + "\n", encoding="utf-8")
    shared = '[[attributes]]\nname = "sex"\nkind = "demographic"\n[statistics]\nresamples = 100\n'
    (folder / "audit.toml").write_text(
        f'[subject]\nname = "Classes"\n{configuration}\n{shared}[report]\nformats = []\n', encoding="utf-8"
    )
    return run_audit(folder / "audit.toml")


WIDE = '[log]\npath = "wide.csv"\nlabel = "label"\nscores = { a = "p_a", b = "p_b", c = "p_c" }'
LONG = """
[log]
path = "long.csv"
label = "label"
score = "score"
threshold = 0.4
tie = ">="
positive = "1"
class = "finding"
id = "id"
"""


def test_classes_have_curves_in_both_layouts(tmp_path: Path) -> None:
    wide, long = of_classes(tmp_path, WIDE), of_classes(tmp_path, LONG)
    found = [
        {(c.kind, c.klass, tuple(c.slice.items())): c.points for c in evidence.results.curves}
        for evidence in (wide, long)
    ]
    assert len(found[0]) == 2 * 3 * 3
    assert found[0].keys() == found[1].keys()
    for key, points in found[0].items():
        pairs = [[(q.x, q.y) for q in either] for either in (points, found[1][key])]
        assert np.array(pairs[0]) == pytest.approx(np.array(pairs[1]))
    labels = [line.split(",") for line in (tmp_path / "wide.csv").read_text().splitlines()[1:]]
    area = roc_auc_score([row[0] == "b" for row in labels], [float(row[2]) for row in labels])
    points = found[0]["roc", "b", ()]
    trapezoids = np.trapezoid([q.y for q in points], [q.x for q in points])
    assert trapezoids == pytest.approx(area, abs=0.01)  # 60 points of the curve
    # Classes of the long log have a threshold, and figures at others.
    assert {sweep.klass for sweep in long.results.sweeps} == {"a", "b", "c"}
    assert wide.results.sweeps == []
