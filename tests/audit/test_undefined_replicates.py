"""Over 1% undefined replicates: the small-sample interval is used, and the finding says so."""

from __future__ import annotations

import csv
import re
from math import exp
from pathlib import Path

import pytest

from audit import run_audit
from reports.evidence import Evidence
from slices.intervals import koopman

CONFIGURATION = """
[log]
path = "log.csv"
label = "label"
prediction = "prediction"
positive = "1"
[[attributes]]
name = "site"
[[policy.rules]]
id = "alarms"
metric = "fpr"
ratio_at_least = 0.1
attributes = ["site"]
[[policy.rules]]
id = "alarm-gap"
metric = "fpr"
gap_at_most = 0.2
attributes = ["site"]
[statistics]
resamples = 4000
"""
# site: false alarms, right rejections.
SITES = {"a": (40, 960), "b": (3, 997)}


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    folder: Path = tmp_path_factory.mktemp("undefined")
    with (folder / "log.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["site", "label", "prediction"])
        for site, (false, right) in SITES.items():
            writer.writerows([[site, 0, 1]] * false + [[site, 0, 0]] * right + [[site, 1, 1]] * 300)
    (folder / "audit.toml").write_text(CONFIGURATION)
    return run_audit(folder / "audit.toml")


def test_a_ratio_to_a_rare_rate_has_the_score_interval_and_says_why(evidence: Evidence) -> None:
    """Site b has no false alarm in exp(-3) = 5% of the replicates: there is no ratio to it."""
    (finding,) = (f for f in evidence.findings if f.rule == "alarms" and f.slice == {"site": "a"})
    expected = tuple(map(float, koopman(40, 1000, 3, 1000, 0.05)))
    assert (finding.low, finding.high) == pytest.approx(expected)
    told = re.fullmatch(
        r"pointwise, score \(Miettinen-Nurminen, Koopman\); undefined in ([\d.]+)% of the replicates",
        finding.interval,
    )
    assert told, finding.interval
    assert float(told[1]) == pytest.approx(100 * exp(-3), abs=1.1), "three Monte Carlo errors of 4,000 draws"
    record = next(r for r in evidence.results.slices if r.slice == {"site": "a"})
    gap = next(d for d in record.disparities if d.metric == "fpr")
    assert f"pointwise, {gap.ratio_method}" == finding.interval


def test_what_every_replicate_defines_has_the_score_interval_of_few_alarms(evidence: Evidence) -> None:
    """The difference of the same two rates, and the ratio to the frequent one: three alarms are too few."""
    gaps = [f for f in evidence.findings if f.rule == "alarm-gap"]
    ratio = next(f for f in evidence.findings if f.rule == "alarms" and f.slice == {"site": "b"})
    expected = "pointwise, score (Miettinen-Nurminen, Koopman)"
    assert [f.interval for f in (*gaps, ratio)] == [expected] * 3
