"""Bad input: each kind with its one line (what, where, found, fix)."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from slices.counting.images import read_images
from slices.errors import EmptyLogError, LogError
from slices.log import count_log
from slices.roles import Attribute, Decision, DetectionColumns, LogSpec
from slices.slicing import attribute_sets

CSV = "label,prediction,score,sex,age,id,w\n1,1,0.9,F,30,a,1\n0,1,0.6,M,40,b,2\n0,0,0.1,F,50,c,1\n"


def spec(folder: Path, path: str = "log.csv", **changed: object) -> LogSpec:
    roles: dict[str, object] = {
        "label": "label",
        "decision": Decision(prediction="prediction"),
        "attributes": (Attribute("sex", "demographic", "sex"),),
        "positive": "1",
    }
    return LogSpec(path, folder, **{**roles, **changed})  # type: ignore[arg-type]


def count(folder: Path, path: str = "log.csv", **changed: object) -> object:
    return count_log(spec(folder, path, **changed), intersections=2, minimum=1)


def log(folder: Path, text: str = CSV, name: str = "log.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def truncated_parquet(folder: Path) -> object:
    pq.write_table(pa.table({"label": ["1"] * 1000, "prediction": ["1"] * 1000}), folder / "log.parquet")
    whole = (folder / "log.parquet").read_bytes()
    (folder / "log.parquet").write_bytes(whole[: len(whole) // 2])
    return count(folder, "log.parquet")


def folder_without_files(folder: Path) -> object:
    (folder / "empty").mkdir()
    (folder / "empty" / "notes.md").write_text("nothing")
    return count(folder, "empty")


def mixed_folder(folder: Path) -> object:
    (folder / "mixed").mkdir()
    log(folder / "mixed")
    log(folder / "mixed", "{}", "log.jsonl")
    return count(folder, "mixed")


def uneven_partitions(folder: Path) -> object:
    for place in ("log/site=1", "log"):
        (folder / place).mkdir(parents=True, exist_ok=True)
        log(folder / place)
    return count(folder, "log")


def damaged_gzip(folder: Path) -> object:
    (folder / "log.csv.gz").write_bytes(b"\x1f\x8b\x08\x00 not compressed")
    return count(folder, "log.csv.gz")


def listed_column(folder: Path) -> object:
    table = pa.table({"label": ["1", "0"], "prediction": ["1", "0"], "sex": [["F"], ["M"]]})
    pq.write_table(table, folder / "log.parquet")
    return count(folder, "log.parquet")


def many_values(folder: Path) -> object:
    rows = 70_000
    label = pa.array(np.arange(rows) % 2)
    table = pa.table({"label": label, "prediction": label, "sex": pa.array([f"p{i}" for i in range(rows)])})
    pq.write_table(table, folder / "log.parquet")
    return count(folder, "log.parquet")


def by_score(**parts: object) -> Decision:
    return Decision(score="score", **parts)  # type: ignore[arg-type]


def beside_a_log(name: str) -> Callable[[Path], object]:
    """A folder with a log and one file more."""

    def act(folder: Path) -> object:
        (folder / "logs").mkdir()
        log(folder / "logs")
        (folder / "logs" / name).write_bytes(b"label,prediction\n1,1\n")
        return count(folder, "logs")

    return act


def utf16(folder: Path) -> object:
    (folder / "log.csv").write_bytes(CSV.encode("utf-16"))
    return count(folder)


def stray_quote(folder: Path) -> object:
    """Row 500 of 1,000 opens a quotation mark that nothing closes; the parser sees 500 legal rows."""
    rows = ["1,0,M" if k % 2 else "0,0,F" for k in range(1000)]
    rows[499] = '1,0,"M'
    return count(log(folder, "label,prediction,sex\n" + "\n".join(rows) + "\n"))


def stray_quote_closed_by_another(folder: Path) -> object:
    """The next quoted value closes it: the rows between are one value."""
    return count(log(folder, 'label,prediction,sex\n1,1,F\n1,0,"M\n0,1,F\n0,0,"F"\n1,1,F\n'))


def packed_stray_quote(folder: Path) -> object:
    with gzip.open(folder / "log.csv.gz", "wt") as stream:
        stream.write('label,prediction,sex\n1,1,F\n0,0,F\n1,0,"M\n0,1,F\n')
    return count(folder, "log.csv.gz")


def one_column_twice(**changed: object) -> Callable[[Path], object]:
    return lambda folder: count(log(folder), **changed)


def counts_of(tp: int, rows: int) -> Callable[[Path], object]:
    """A detection log with so large a count in every row."""

    def act(folder: Path) -> object:
        columns = {"tp": [tp] * rows, "fp": [1] * rows, "fn": [1] * rows, "sex": ["F", "M"] * (rows // 2)}
        pq.write_table(pa.table(columns), folder / "log.parquet", row_group_size=2)
        detection = DetectionColumns("tp", "fp", "fn")
        roles = {"label": None, "decision": Decision(), "positive": None, "detection": detection}
        return count(folder, "log.parquet", **roles)

    return act


SCORE = Decision(score="score", threshold=0.5, tie=">=")
CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing column": (
        lambda f: count(log(f), attributes=(Attribute("tone", "other", "sexx"),)),
        "Column 'sexx' (attribute 'tone') is not in log.csv; it has: age, id, label, prediction, score, "
        "sex, w. Did you mean 'sex'?",
    ),
    "no file": (lambda f: count(f, "log.csv"), "Log 'log.csv' was not found in "),
    "unknown ending": (
        lambda f: count(log(f, name="log.xlsx"), "log.xlsx"),
        "has the unknown ending '.xlsx'; known",
    ),
    "no match": (lambda f: count(f, "part-*.csv"), "No file matches 'part-*.csv'; check the pattern"),
    "database": (lambda f: count(f, "postgresql://x/y"), "is an address; this version reads logs from files"),
    "folder without files": (
        folder_without_files,
        "Folder 'empty' holds no file of a known format (.parquet,",
    ),
    "mixed formats": (
        mixed_folder,
        "'mixed' mixes CSV and JSON Lines files; keep one format or give a glob.",
    ),
    "uneven partitions": (uneven_partitions, "'log' has files at different depths of key=value folders"),
    "truncated Parquet": (truncated_parquet, "log.parquet cannot be read as Parquet: "),
    "damaged gzip": (damaged_gzip, "log.csv.gz cannot be read as CSV: "),
    "not UTF-8": (
        lambda f: ((f / "log.csv").write_bytes(CSV.replace("F", "\xe9").encode("latin-1")), count(f)),
        "log.csv cannot be read as CSV: ",
    ),
    "ragged CSV": (lambda f: count(log(f, CSV + "1,1\n")), "log.csv cannot be read as CSV: CSV parse error"),
    "header twice": (
        lambda f: count(log(f, "label,prediction,sex,sex\n1,1,F,F\n")),
        "Column 'sex' stands twice in log.csv; rename one.",
    ),
    "empty file": (lambda f: count(log(f, "")), "log.csv cannot be read as CSV: Empty CSV file."),
    "empty log": (lambda f: count(log(f, "label,prediction,sex\n")), "Log 'log.csv' has no rows"),
    "not JSON": (
        lambda f: count(log(f, '{"label": 1}\n{nope\n', "log.jsonl"), "log.jsonl"),
        "Line 2 of log.jsonl is not JSON (",
    ),
    "a quotation mark that never closes": (
        stray_quote,
        "log.csv: the quotation mark that opens a value in line 501 never closes",
    ),
    "a quotation mark closed by another": (
        stray_quote_closed_by_another,
        "log.csv: the quotation mark that opens a value in line 3 closes before other text",
    ),
    "a quotation mark in a packed file": (packed_stray_quote, "opens a value in line 4 never closes"),
    "label and prediction": (
        one_column_twice(decision=Decision(prediction="label")),
        "Column 'label' is both label and prediction; name a column of its own",
    ),
    "label and score": (
        one_column_twice(decision=Decision(score="label", threshold=0.5, tie=">")),
        "both label and prediction",
    ),
    "label and weight": (one_column_twice(weight="label"), "both label and weight"),
    "label and cluster": (one_column_twice(cluster="label"), "both label and cluster"),
    "prediction and id": (one_column_twice(id="prediction"), "both prediction and id"),
    "a baseline that is the model": (
        one_column_twice(baseline=Decision(prediction="prediction")),
        "both prediction and baseline",
    ),
    "a baseline of the model's threshold": (
        one_column_twice(decision=SCORE, baseline=SCORE),
        "Column 'score' is both prediction and baseline",
    ),
    "one column of two classes": (
        one_column_twice(decision=Decision(scores={"fox": "score", "wolf": "score"}), positive=None),
        "Column 'score' is the score of two classes",
    ),
    "one column of two counts": (
        one_column_twice(
            label=None, decision=Decision(), positive=None, detection=DetectionColumns("w", "w", "w")
        ),
        "Column 'w' is both tp and fp",
    ),
    "a count beyond what sums hold": (counts_of(1 << 62, 4), "sums are exact below 2^53 only"),
    "a total beyond what sums hold": (counts_of(1 << 51, 4), "sums are exact below 2^53 only"),
    "a weight out of range": (
        lambda f: count(log(f, CSV.replace("a,1", "a,1e300")), weight="w"),
        "Column 'w' (weight) holds 1e+300; weights are 0, or from 1e-50 to 1e+50",
    ),
    "cut points that floats merge": (
        lambda f: count(log(f), attributes=(Attribute("age", "other", "age", (9007199254740993.0,)),)),
        "whole numbers from 2^53 on are not told apart",
    ),
    "a table in another form beside the log": (
        beside_a_log("more.csv.bz2"),
        "holds 'more.csv.bz2', which may",
    ),
    "a spreadsheet beside the log": (beside_a_log("e.xlsx"), "holds 'e.xlsx', which may hold rows"),
    "JSON beside the log": (beside_a_log("d.json"), "mixes CSV and JSON Lines files"),
    "UTF-16": (utf16, "log.csv is UTF-16 text; save it as UTF-8"),
    "semicolons": (
        lambda f: count(log(f, CSV.replace(",", ";"))),
        "That is one column: the file seems to be separated by semicolons",
    ),
    "nested JSON": (
        lambda f: count(log(f, '{"label": ' + "[" * 100_000 + "\n", "log.jsonl"), "log.jsonl"),
        "Line 1 of log.jsonl is nested too deeply",
    ),
    "a key twice": (
        lambda f: count(log(f, '{"label": 1, "prediction": 1, "prediction": 0}\n', "log.jsonl"), "log.jsonl"),
        "Line 1 of log.jsonl has the key 'prediction' twice in one object",
    ),
    "not an object": (
        lambda f: count(log(f, "[1]\n", "log.jsonl"), "log.jsonl"),
        "Line 1 of log.jsonl begins a JSON array; write one object a line",
    ),
    "half a surrogate pair": (
        lambda f: count(
            log(f, '{"label": 1, "prediction": 1, "sex": "\\ud800"}\n', "log.jsonl"), "log.jsonl"
        ),
        "Record 1 of log.jsonl holds half of a surrogate pair in 'sex', which is no character",
    ),
    "a list in JSON": (
        lambda f: count(log(f, '{"label": 1, "prediction": [1], "sex": "F"}\n', "log.jsonl"), "log.jsonl"),
        "Record 1 of log.jsonl holds a list in 'prediction'; a role needs text, numbers or booleans",
    ),
    "list column": (listed_column, "Column 'sex' is of type list<"),
    "an identifier as attribute": (
        many_values,
        "Column 'sex' has more than 65,536 distinct values; give bands",
    ),
    "all labels missing": (
        lambda f: count(log(f, "label,prediction,sex\n,1,F\n,0,M\n")),
        "Log 'log.csv': all 2 rows are excluded, since column 'label' (label) is missing in each.",
    ),
    "nothing can be counted": (
        lambda f: count(log(f, "label,prediction,sex\n1,,F\n0,,M\n,1,M\n")),
        "Log 'log.csv': none of its 3 rows can be counted (1 without a label, 2 without a prediction).",
    ),
    "label is neither class": (
        lambda f: count(log(f, CSV + "maybe,0,0,F,3,d,1\n")),
        "Column 'label' holds 'maybe', which is neither class; found: '1', '0', 'maybe' "
        "(first in row 4 of log.csv). Mend the value, or list it as missing.",
    ),
    "prediction is neither class": (
        lambda f: count(log(f, CSV + "1,2,0,F,3,d,1\n")),
        "Column 'prediction' holds '2', which is neither class; found: '1', '0', '2' "
        "(first in row 4 of log.csv)",
    ),
    "positive occurs nowhere": (
        lambda f: count(log(f), positive="yes"),
        "The positive class 'yes' occurs nowhere in column 'label' (label); found: '0', '1'. "
        "Set positive to one",
    ),
    "one class": (
        lambda f: count(log(f, "label,prediction,sex\ncat,cat,F\n"), positive=None),
        "Column 'label' (label) has one class only, 'cat'; a multi-class log needs two or more.",
    ),
    "no label role": (lambda f: count(log(f), label=None), "The log has no label column; set label"),
    "no prediction role": (
        lambda f: count(log(f), decision=Decision()),
        "exactly one of prediction, score and scores",
    ),
    "two prediction roles": (
        lambda f: count(
            log(f), decision=Decision(prediction="prediction", score="score", threshold=0.5, tie=">")
        ),
        "The prediction needs exactly one of prediction, score and scores; found prediction and score.",
    ),
    "score without threshold": (
        lambda f: count(log(f), decision=by_score()),
        "Score 'score' has no threshold and tie; state threshold and tie ('>=' or '>')",
    ),
    "score without tie": (
        lambda f: count(log(f), decision=by_score(threshold=0.5)),
        "Score 'score' has no tie; state",
    ),
    "score of text": (
        lambda f: count(log(f, CSV.replace("0.6", "high")), decision=by_score(threshold=0.5, tie=">")),
        "Column 'score' holds 'high', which is not a number (first in row 2 of log.csv).",
    ),
    "scores of one class": (
        lambda f: count(log(f), positive=None, decision=Decision(scores={"a": "score"})),
        "scores names fewer than two classes",
    ),
    "scores in a binary log": (
        lambda f: count(log(f), decision=Decision(scores={"0": "score", "1": "age"})),
        "scores (one score column a class) is for multi-class logs; leave out positive and class.",
    ),
    "banded text": (
        lambda f: count(
            log(f, CSV.replace("40", "old")), attributes=(Attribute("age", "other", "age", (18.0,)),)
        ),
        "Column 'age' holds 'old', which is not a number (first in row 2 of log.csv).",
    ),
    "bands not ascending": (
        lambda f: count(log(f), attributes=(Attribute("age", "other", "age", (40, 18)),)),
        "The bands of attribute 'age' are [40, 18]; give ascending cut points.",
    ),
    "attribute twice": (
        lambda f: count(
            log(f), attributes=(Attribute("sex", "other", "sex"), Attribute("sex", "other", "age"))
        ),
        "Attribute 'sex' is named twice; give each a name of its own.",
    ),
    "doubled id": (
        lambda f: count(log(f, CSV + "1,1,1,F,3,b,1\n"), id="id"),
        "Column 'id' (id) holds 'b' 2 times (row 2 of log.csv and row 4 of log.csv); "
        "1 such in all. Remove the repeats; if a row is one label",
    ),
    "doubled id within a class": (
        lambda f: count(log(f, CSV + "1,1,1,F,3,b,1\n1,1,1,M,3,b,1\n"), id="id", klass="sex", attributes=()),
        "Column 'id' (id) holds 'b' 2 times for class 'M' (row 2 of log.csv and row 5 of log.csv)",
    ),
    "no class named": (
        lambda f: count(log(f, "label,prediction,sex\n1,1,\n0,0,\n"), klass="sex", attributes=()),
        "Column 'sex' (class) names no class in any row; fill it in.",
    ),
    "negative weight": (
        lambda f: count(log(f, CSV.replace(",2\n", ",-2\n")), weight="w"),
        "Column 'w' (weight) holds -2; weights are finite and not negative.",
    ),
    "weight of text": (
        lambda f: count(log(f, CSV.replace(",2\n", ",two\n")), weight="w"),
        "Column 'w' holds 'two', which is not a number (first in row 2 of log.csv).",
    ),
    "half an object": (
        lambda f: count(
            log(f, "tp,fp,fn\n1,0,0.5\n"),
            label=None,
            decision=Decision(),
            positive=None,
            attributes=(),
            detection=DetectionColumns("tp", "fp", "fn"),
        ),
        "Column 'fn' (counts of an image) holds 0.5; give whole numbers from 0 on.",
    ),
    "detection with labels": (
        lambda f: count(log(f), detection=DetectionColumns("tp", "fp", "fn")),
        "A detection log counts tp, fp and fn in each image; leave out label and prediction.",
    ),
    "no image": (
        lambda f: read_images(spec(log(f, "label,prediction,sex,file\n1,1,F,\n")), "file"),
        "Column 'file' (image column) names no file in any row; fill it in.",
    ),
    "order below one": (
        lambda f: attribute_sets(["a"], 0),
        "intersections is 0; give 1 (none), 2 (pairs), 3,",
    ),
    "crossing of an unknown attribute": (
        lambda f: attribute_sets(["sex", "age"], (("sex", "agee"),)),
        "Intersection ['sex', 'agee'] names 'agee', which is no attribute; they are: age, sex. "
        "Did you mean 'age'?",
    ),
    "crossing with itself": (
        lambda f: attribute_sets(["sex"], (("sex", "sex"),)),
        "Intersection ['sex', 'sex'] names an attribute twice.",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_one_line(name: str, tmp_path: Path) -> None:
    act, expected = CASES[name]
    with pytest.raises(LogError) as told:
        act(tmp_path)
    message = str(told.value)
    assert expected in message
    assert "\n" not in message
    assert str(tmp_path) not in message


@pytest.mark.parametrize("name", ["empty log", "all labels missing", "nothing can be counted"])
def test_nothing_to_count_is_an_error_of_its_own(name: str, tmp_path: Path) -> None:
    with pytest.raises(EmptyLogError):
        CASES[name][0](tmp_path)


def test_a_table_not_counted_together_is_refused(tmp_path: Path) -> None:
    counted = count_log(spec(log(tmp_path)), intersections=1, minimum=1)
    assert counted.joint is not None
    with pytest.raises(LogError, match="age x sex was not counted together; counted are: sex"):
        counted.joint(("sex", "age"))


def test_row_numbers_are_those_of_the_file_and_not_of_the_batch(tmp_path: Path) -> None:
    rows = [{"label": i % 2, "prediction": "x" if i == 150 else 1, "sex": "F"} for i in range(200)]
    log(tmp_path, "".join(json.dumps(r) + "\n" for r in rows), "log.jsonl")
    table = pa.table({k: [str(r[k]) for r in rows] for k in rows[0]})
    pq.write_table(table, tmp_path / "log.parquet", row_group_size=64)
    for name in ("log.jsonl", "log.parquet"):
        with pytest.raises(LogError, match=f"row 151 of {name}"):
            count(tmp_path, name)
