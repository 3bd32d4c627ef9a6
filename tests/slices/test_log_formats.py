"""One test body over every format: the same rows give the same counted log."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slices.counts import CountedLog
from slices.errors import LogError
from slices.log import count_log
from slices.reading.text import texts_of
from slices.roles import Attribute, Decision, LogSpec

ROWS = 400


def table() -> pa.Table:
    rng = np.random.default_rng(5)
    return pa.table(
        {
            "label": rng.choice(["0", "1"], ROWS),
            "prediction": rng.choice(["0.0", "1.0"], ROWS),
            "sex": rng.choice(["F", "M", ""], ROWS),
            "dose": rng.choice(["0.00", "NA", "inf", "true", "None", "2020-01-01"], ROWS),
            "site": rng.integers(1, 4, ROWS).astype(str),
        }
    )


def write_parquet(rows: pa.Table, folder: Path) -> str:
    pq.write_table(rows, folder / "log.parquet", row_group_size=97)
    return "log.parquet"


def write_hive(rows: pa.Table, folder: Path) -> str:
    for site in ("1", "2", "3"):
        (folder / "log" / f"site={site}").mkdir(parents=True)
        mine = rows.filter(pa.compute.equal(rows["site"], site)).drop_columns(["site"])
        pq.write_table(mine, folder / "log" / f"site={site}" / "part.parquet")
    (folder / "log" / "_SUCCESS").write_text("")
    return "log"


def write_glob(rows: pa.Table, folder: Path) -> str:
    for place in range(3):
        pq.write_table(rows.slice(place * 150, 150), folder / f"part-{place}.parquet")
    return "part-*.parquet"


def write_csv(rows: pa.Table, folder: Path) -> str:
    pa_csv.write_csv(rows, folder / "log.csv")
    return "log.csv"


def write_csv_gz(rows: pa.Table, folder: Path) -> str:
    pa_csv.write_csv(rows, folder / "log.csv")
    (folder / "log.csv.gz").write_bytes(gzip.compress((folder / "log.csv").read_bytes()))
    return "log.csv.gz"


def write_jsonl(rows: pa.Table, folder: Path) -> str:
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows.to_pylist()))
    return "log.jsonl"


def write_feather(rows: pa.Table, folder: Path) -> str:
    pyarrow.feather.write_feather(rows, folder / "log.feather", chunksize=97)
    return "log.feather"


def write_stream(rows: pa.Table, folder: Path) -> str:
    with pa.ipc.new_stream(folder / "log.arrow", rows.schema) as stream:
        stream.write_table(rows, max_chunksize=97)
    return "log.arrow"


WRITERS = [
    write_parquet,
    write_hive,
    write_glob,
    write_csv,
    write_csv_gz,
    write_jsonl,
    write_feather,
    write_stream,
]


def spec(path: str, root: Path) -> LogSpec:
    attributes = tuple(Attribute(name, "other", name) for name in ("sex", "dose", "site"))
    return LogSpec(path, root, "label", Decision(prediction="prediction"), attributes, positive="1")


def plain(counted: CountedLog) -> object:
    """What must not depend on the format: everything but the files."""
    return (
        [
            (s.slice.key, s.inside.tolist(), s.outside.tolist(), s.failed.tolist(), s.unlabelled, s.n)
            for s in counted.slices
        ],
        [replace(a) for a in counted.attributes],
        counted.exclusions,
        counted.rows,
        counted.rows_used,
    )


def slow_oracle(rows: pa.Table) -> dict[str, list[int]]:
    """Counts of every slice of one attribute or a pair, row by row in Python."""
    found: dict[str, list[int]] = {}
    names = ["dose", "sex", "site"]
    for row in rows.to_pylist():
        real, said = row["label"] == "1", row["prediction"] == "1.0"
        cell = {(True, True): 0, (False, True): 1, (True, False): 2, (False, False): 3}[real, said]
        values = {name: row[name] or None for name in names}
        crossings = [(), *((n,) for n in names), ("dose", "sex"), ("dose", "site"), ("sex", "site")]
        for crossing in crossings:
            key = json.dumps({name: values[name] for name in crossing}, sort_keys=True)
            found.setdefault(key, [0, 0, 0, 0])[cell] += 1
    return found


@pytest.mark.parametrize("write", WRITERS, ids=lambda w: w.__name__)
def test_every_format_gives_the_counts_of_a_loop_over_the_rows(
    write: Callable[[pa.Table, Path], str], tmp_path: Path
) -> None:
    counted = count_log(spec(write(table(), tmp_path), tmp_path), intersections=2, minimum=1)
    assert {s.slice.key: s.inside[0].tolist() for s in counted.slices} == slow_oracle(table())
    write_csv(table(), tmp_path)
    assert plain(counted) == plain(count_log(spec("log.csv", tmp_path), intersections=2, minimum=1))
    assert sum(file.rows for file in counted.inputs) == ROWS


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@settings(max_examples=40)
@given(values=st.lists(ANY_TEXT, min_size=2, max_size=12))
def test_any_text_stays_as_written_in_every_format(
    values: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("log")
    rows = pa.table(
        {
            "label": ["1", "0"] * len(values),
            "prediction": ["1"] * 2 * len(values),
            "sex": values * 2,
            "dose": values[::-1] * 2,
            "site": ["x"] * 2 * len(values),
        }
    )
    with (folder / "log.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(rows.column_names)
        writer.writerows(zip(*rows.to_pydict().values(), strict=True))
    expected = sorted({value for value in values if value})
    plains = []
    for path in (
        "log.csv",
        write_jsonl(rows, folder),
        write_parquet(rows, folder),
        write_feather(rows, folder),
    ):
        counted = count_log(spec(path, folder), intersections=2, minimum=1)
        assert [value for value, _ in counted.attributes[0].values] == expected
        plains.append(plain(counted))
    assert all(found == plains[0] for found in plains)


def test_nanoseconds_keep_moments_apart() -> None:
    moments = [1_704_103_200_000_000_001, 1_704_103_200_000_000_002, 1_704_103_200_000_000_000, -1, None]
    assert texts_of(pa.array(moments, pa.timestamp("ns")), "t") == [
        "2024-01-01T10:00:00.000000001",
        "2024-01-01T10:00:00.000000002",
        "2024-01-01T10:00:00",
        "1969-12-31T23:59:59.999999999",
        None,
    ]
    zoned = pa.array(moments[:1], pa.timestamp("ns", tz="Europe/Berlin"))
    assert texts_of(zoned, "t") == ["2024-01-01T11:00:00.000000001+01:00"]
    assert texts_of(pa.array([1, 1000], pa.time64("ns")), "t") == ["00:00:00.000000001", "00:00:00.000001"]


def test_a_moment_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(LogError, match="Column 't' holds a date outside the years 1 to 9999"):
        texts_of(pa.array([10**15], pa.timestamp("s")), "t")


def test_json_lines_may_be_called_json(tmp_path: Path) -> None:
    (tmp_path / "log.json").write_text('{"label": 1, "prediction": 1}\n{"label": 0, "prediction": 1}\n')
    spec = LogSpec("log.json", tmp_path, "label", Decision(prediction="prediction"), (), positive="1")
    assert count_log(spec, intersections=1, minimum=1).rows == 2


def test_files_of_other_kinds_beside_a_log_are_named(tmp_path: Path) -> None:
    (tmp_path / "logs" / "pictures").mkdir(parents=True)
    (tmp_path / "logs" / "a.csv").write_text("label,prediction\n1,1\n0,1\n")
    for name in ("README.md", "e.txt", "pictures/1.png", "_SUCCESS", ".hidden"):
        (tmp_path / "logs" / name).write_text("x")
    spec = LogSpec("logs", tmp_path, "label", Decision(prediction="prediction"), (), positive="1")
    assert count_log(spec, intersections=1, minimum=1).ignored == ("README.md", "e.txt", "pictures/1.png")
