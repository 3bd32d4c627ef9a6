"""The tidy table holds every estimate once, with its limits, and undefined values as nulls."""

from __future__ import annotations

import io
import json

import pandas as pd
import pyarrow.parquet as pq

from reports.tables import COLUMNS, to_frame, to_parquet
from tests.reports import sample


def test_one_row_an_estimate() -> None:
    evidence = sample.several_classes()
    records = [*evidence.results.overall, *evidence.results.slices]
    frame = evidence.to_frame()
    assert len(frame) == sum(len(r.estimates) for r in records)
    assert not frame.duplicated(["slice", "class", "metric"]).any()
    assert list(frame.columns)[: len(COLUMNS)] == list(COLUMNS)


def test_a_row_is_the_evidence_s_own_figure() -> None:
    evidence = sample.evidence()
    frame = to_frame(evidence)
    for record in evidence.results.slices[::7]:
        key = json.dumps(record.slice, ensure_ascii=False, sort_keys=True)
        for e in record.estimates:
            row = frame[(frame["slice"] == key) & (frame["metric"] == e.metric)].iloc[0]
            assert (row["value"], row["low"], row["high"], row["support"]) == (
                e.value,
                e.low,
                e.high,
                e.support,
            )
            for d in record.disparities:
                if d.metric == e.metric:
                    assert row["difference"] == d.difference.value
                    assert row["p_adjusted"] == d.p_adjusted
        for name, value in record.slice.items():
            got = frame.loc[frame["slice"] == key, f"attribute:{name}"].iloc[0]
            assert got == value if value is not None else pd.isna(got)


def test_outcomes_stand_beside_the_figures_they_judge() -> None:
    evidence = sample.evidence()
    frame = to_frame(evidence)
    failing = frame[(frame["outcome"] == "fails") & (frame["metric"] == "recall")]
    assert len(failing) == sum(f.outcome == "fails" and f.metric == "recall" for f in evidence.findings)


def test_undefined_is_null_never_a_number() -> None:
    evidence = sample.evidence()
    record = evidence.results.slices[0]
    gone = record.estimates[0].model_copy(
        update={"value": None, "low": None, "high": None, "support": 0, "undefined": "no case"}
    )
    changed = record.model_copy(update={"estimates": [gone]})
    made = evidence.model_copy(
        update={"results": evidence.results.model_copy(update={"slices": [changed], "overall": []})}
    )
    frame = to_frame(made)
    assert pd.isna(frame["value"].iloc[0])
    assert frame["undefined"].iloc[0] == "no case"


def test_parquet_holds_the_same_table_and_the_same_bytes() -> None:
    evidence = sample.evidence()
    data = to_parquet(evidence)
    assert data == to_parquet(evidence)
    table = pq.read_table(io.BytesIO(data))
    frame = to_frame(evidence)
    assert table.column_names == list(frame.columns)
    assert table.column("value").to_pylist() == [None if pd.isna(x) else x for x in frame["value"]]


def test_frames_are_selected_as_pandas_users_expect() -> None:
    frame = sample.evidence().to_frame()
    worst = frame[(frame["metric"] == "recall") & (frame["order"] == 1)].sort_values("value").iloc[0]
    assert worst["attribute:scanner"] == "Canon" or worst["attribute:site"] == "D"
