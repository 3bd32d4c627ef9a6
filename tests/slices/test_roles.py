"""Roles one by one, on logs small enough to count by hand or by a line of Python."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from slices.counting.images import read_images
from slices.counts import CountedLog, WeightedCells
from slices.log import count_log
from slices.reading.preview import column_names, describe
from slices.roles import Attribute, Decision, DetectionColumns, LogSpec
from slices.slicing import OVERALL, Slice

SEX = (Attribute("sex", "demographic", "sex"),)
PREDICTED = Decision(prediction="prediction")


def count(folder: Path, columns: dict[str, object], **roles: object) -> CountedLog:
    table = pa.table(columns)
    pq.write_table(table, folder / "log.parquet", row_group_size=max(2, len(table) // 3))
    given: dict[str, object] = {"label": "label", "decision": PREDICTED, "attributes": SEX, **roles}
    return count_log(LogSpec("log.parquet", folder, **given), intersections=2, minimum=1, keep_scores=True)  # type: ignore[arg-type]


def one(counted: CountedLog, **values: str | None) -> object:
    return next(s for s in counted.slices if s.slice.as_dict() == values)


# ---- classes


def test_classes_compare_as_numbers_where_all_are_numbers(tmp_path: Path) -> None:
    counted = count(
        tmp_path,
        {"label": [1, 0, 1, 0], "prediction": [1.0, 1.0, 0.0, 0.0], "sex": ["F"] * 4},
        positive="1.00",
    )
    assert counted.slices[0].inside.tolist() == [[1, 1, 1, 1]]
    assert counted.positive == "1"


def test_classes_compare_as_text_where_one_is_not_a_number(tmp_path: Path) -> None:
    counted = count(
        tmp_path,
        {"label": ["01", "ok", "01"], "prediction": ["01", "ok", "ok"], "sex": ["F"] * 3},
        positive="01",
    )
    assert counted.slices[0].inside.tolist() == [[1, 0, 1, 1]]


def test_booleans_are_classes(tmp_path: Path) -> None:
    counted = count(
        tmp_path,
        {"label": [True, False, None], "prediction": [True, True, True], "sex": ["F"] * 3},
        positive="true",
    )
    assert counted.slices[0].inside.tolist() == [[1, 1, 0, 0]]
    assert counted.slices[0].unlabelled == 1


def test_a_log_without_positive_is_multiclass_and_other_predictions_are_wrong(tmp_path: Path) -> None:
    label = ["cat", "cat", "dog", "owl", "dog", None]
    prediction = ["cat", "dog", "dog", "newt", None, "cat"]
    counted = count(tmp_path, {"label": label, "prediction": prediction, "sex": ["F"] * 6})
    assert counted.space.classes == ("cat", "dog", "owl")
    expected = np.zeros((3, 4), int)
    for place in ((0, 0), (0, 1), (1, 1), (2, 3)):
        expected[place] += 1
    overall = counted.slices[0]
    assert overall.inside.reshape(3, 4).tolist() == expected.tolist()
    assert (overall.n, int(overall.failed.sum()), overall.unlabelled) == (4, 1, 1)
    confusion = counted.space.confusion(overall.inside)
    assert confusion.tolist() == [[1, 0, 1, 2], [1, 1, 0, 2], [0, 0, 1, 3]]


def test_multiclass_numbers_are_named_as_in_the_label_column(tmp_path: Path) -> None:
    counted = count(tmp_path, {"label": [2, 10, 2], "prediction": ["2.0", "10.0", "3.0"], "sex": ["F"] * 3})
    assert counted.space.classes == ("10", "2")
    assert counted.slices[0].inside.reshape(2, 3).tolist() == [[1, 0, 0], [0, 1, 1]]


@pytest.mark.parametrize(("tie", "positives"), [(">=", 2), (">", 1)])
def test_the_tie_rule_decides_at_the_threshold(tie: str, positives: int, tmp_path: Path) -> None:
    decision = Decision(score="score", threshold=0.7, tie=tie)  # type: ignore[arg-type]
    for kind in (pa.float64(), pa.float32()):
        score = pa.array([0.7, 0.9, 0.1, None, float("nan")], kind)
        counted = count(
            tmp_path, {"label": [1, 1, 0, 1, 0], "score": score, "sex": ["F"] * 5}, decision=decision
        )
        tp, fp, fn, tn = counted.slices[0].inside[0].tolist()
        assert (tp + fp, fn + tn) == (positives, 3 - positives)
        assert counted.slices[0].failed.tolist() == [[1, 1]]
        assert [(e.reason, e.rows) for e in counted.exclusions] == [("missing prediction", 2)] * 2


def test_the_largest_score_wins_and_the_first_name_on_a_tie(tmp_path: Path) -> None:
    counted = count(
        tmp_path,
        {
            "label": ["cat", "dog", "cat", "dog"],
            "p_cat": [0.9, 0.1, 0.5, None],
            "p_dog": [0.1, 0.9, 0.5, 0.4],
            "sex": ["F"] * 4,
        },
        decision=Decision(scores={"dog": "p_dog", "cat": "p_cat"}),
    )
    assert counted.slices[0].inside.reshape(2, 3).tolist() == [[2, 0, 0], [0, 1, 0]]
    assert int(counted.slices[0].failed.sum()) == 1
    assert counted.tied == 1


# ---- multi-label


def test_multilabel_counts_each_class_and_n_counts_images(tmp_path: Path) -> None:
    counted = count(
        tmp_path,
        {
            "id": ["a", "a", "b", "b", "c", None],
            "finding": ["AF", "SB", "AF", "SB", "AF", "SB"],
            "label": [1, 0, 0, 1, 1, 1],
            "prediction": [1, 0, 1, 0, None, 1],
            "sex": ["F", "F", "M", "M", "M", "M"],
        },
        klass="finding",
        id="id",
    )
    overall = counted.slices[0]
    assert counted.space.classes == ("AF", "SB")
    assert overall.inside.tolist() == [[1, 1, 0, 0], [1, 0, 1, 1]]
    assert overall.failed.tolist() == [[1, 0], [0, 0]]
    assert overall.n == 3
    assert (counted.rows, counted.rows_used, counted.clusters) == (6, 5, None)
    assert counted.patterns is not None
    found = counted.patterns(Slice((("sex", "F"),)))
    assert int(found.multiplicity.sum()) == 3
    assert found.totals[:, 0].sum(0).tolist() == [[1, 0, 0, 0], [0, 0, 0, 1]]


def test_rows_without_a_class_are_reported(tmp_path: Path) -> None:
    counted = count(
        tmp_path,
        {"finding": ["AF", None, None], "label": [1] * 3, "prediction": [1] * 3, "sex": ["F", "F", "M"]},
        klass="finding",
    )
    assert [(e.reason, e.slice, e.rows) for e in counted.exclusions] == [
        ("missing class", OVERALL, 2),
        ("missing class", Slice((("sex", "F"),)), 1),
        ("missing class", Slice((("sex", "M"),)), 1),
    ]


# ---- clusters, weights, scores, detection


def test_what_may_share_a_column(tmp_path: Path) -> None:
    """Attributes with any role, cluster and id, and one score cut at two points."""
    low = Decision(score="score", threshold=0.3, tie=">=")
    counted = count(
        tmp_path,
        {"label": [1, 0, 1], "score": [0.9, 0.4, 0.4], "id": ["a", "b", "c"], "sex": ["F", "M", "F"]},
        positive="1",
        decision=Decision(score="score", threshold=0.5, tie=">="),
        baseline=low,
        cluster="id",
        id="id",
        attributes=(*SEX, Attribute("truth", "other", "label"), Attribute("who", "other", "id")),
    )
    assert counted.clusters == 3
    assert counted.slices[0].paired is not None
    assert counted.slices[0].paired.inside.tolist() == [[[[0, 1], [0, 0]], [[0, 1], [0, 1]]]]


def test_a_slice_without_any_weight_is_listed_with_its_rows(tmp_path: Path) -> None:
    weight = pa.array([1.0, 2.0, None], pa.float64())
    columns = {"label": [1, 0, 1], "prediction": [1, 0, 1], "sex": ["F", "F", "M"], "w": weight}
    counted = count(tmp_path, columns, positive="1", weight="w")
    assert [(e.reason, e.slice.as_dict(), e.rows) for e in counted.exclusions] == [
        ("missing weight", {}, 1),
        ("missing weight", {"sex": "M"}, 1),
    ]
    assert one(counted, sex="M").n == 0  # type: ignore[attr-defined]


def test_rows_without_a_cluster_are_clusters_of_their_own(tmp_path: Path) -> None:
    counted = count(
        tmp_path,
        {"label": [1] * 5, "prediction": [1] * 5, "sex": ["F"] * 5, "patient": [7, 7, None, None, 8]},
        positive="1",
        cluster="patient",
    )
    assert (counted.clusters, counted.unclustered) == (4, 2)


def test_weights_add_up_and_rows_without_one_are_left_out(tmp_path: Path) -> None:
    label, prediction = [1, 1, 0, 0, 1], [1, 0, 1, 0, 1]
    weight = [0.5, 2.0, 1.5, 0.0, None]
    sex = ["F", "F", "M", "M", "F"]
    counted = count(
        tmp_path,
        {"label": label, "prediction": prediction, "sex": sex, "w": weight},
        positive="1",
        weight="w",
    )
    overall, women = counted.slices[0], one(counted, sex="F")
    assert overall.inside.tolist() == [[1, 1, 1, 1]]
    assert overall.weighted is not None
    assert overall.weighted.inside.tolist() == [[0.5, 1.5, 2.0, 0.0]]
    assert overall.weighted.inside_squares.tolist() == [[0.25, 2.25, 4.0, 0.0]]
    assert overall.weighted.inside_fourths.tolist() == [[0.0625, 5.0625, 16.0, 0.0]]
    assert women.weighted.inside.tolist() == [[0.5, 0, 2.0, 0]]  # type: ignore[attr-defined]
    assert women.weighted.outside.tolist() == [[0, 1.5, 0, 0.0]]  # type: ignore[attr-defined]
    assert [(e.reason, e.slice.as_dict(), e.rows) for e in counted.exclusions] == [
        ("missing weight", {}, 1),
        ("missing weight", {"sex": "F"}, 1),
    ]


def test_sums_of_weights_do_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    n = 500
    columns = {
        "label": rng.integers(0, 2, n),
        "prediction": rng.integers(0, 2, n),
        "sex": rng.choice(["F", "M", "X"], n),
        "w": rng.lognormal(size=n),
        "patient": rng.integers(0, 60, n),
    }
    order = rng.permutation(n)
    logs = [
        count(tmp_path, {k: v[o] for k, v in columns.items()}, positive="1", weight="w", cluster="patient")
        for o in (np.arange(n), order)
    ]
    for a, b in zip(logs[0].slices, logs[1].slices, strict=True):
        for field in fields(WeightedCells):
            assert getattr(a.weighted, field.name).tolist() == getattr(b.weighted, field.name).tolist()
        assert logs[0].patterns is not None
        assert logs[1].patterns is not None
        assert logs[0].patterns(a.slice).totals.tolist() == logs[1].patterns(b.slice).totals.tolist()
    women = columns["sex"] == "F"
    patterns = logs[0].patterns(Slice((("sex", "F"),)))  # type: ignore[misc]
    assert patterns.totals[:, 0].sum() == pytest.approx(columns["w"][women].sum())
    assert patterns.totals[:, 1].sum() == pytest.approx(columns["w"][~women].sum())


def test_scores_of_a_slice_and_of_its_complement(tmp_path: Path) -> None:
    counted = count(
        tmp_path,
        {
            "label": [1, 0, 1, 0, None],
            "score": [0.9, 0.2, 0.4, 0.6, 0.5],
            "sex": ["F", "F", "M", None, "F"],
            "patient": ["b", "a", "a", "c", "d"],
        },
        decision=Decision(score="score", threshold=0.5, tie=">="),
        cluster="patient",
    )
    assert counted.scores is not None
    inside = counted.scores(Slice((("sex", "F"),)), 0, False)
    assert sorted(zip(inside.scores.tolist(), inside.positive.tolist(), strict=True)) == [
        (0.2, False),
        (0.9, True),
    ]
    assert inside.cluster is not None
    assert len(set(inside.cluster.tolist())) == 2
    outside = counted.scores(Slice((("sex", "F"),)), 0, True)
    assert (outside.scores.tolist(), outside.positive.tolist()) == ([0.4], [True])


def test_detection_counts_objects_and_n_counts_images(tmp_path: Path) -> None:
    counted = count(
        tmp_path,
        {"tp": [3, 0, 1, 2], "fp": [1, 0, 0, 0], "fn": [0, 0, 2, None], "sex": ["F", "F", "M", "M"]},
        label=None,
        decision=Decision(),
        detection=DetectionColumns("tp", "fp", "fn"),
    )
    overall, women, men = counted.slices[0], one(counted, sex="F"), one(counted, sex="M")
    assert not counted.space.negatives
    assert overall.inside.tolist() == [[4, 1, 2, 0]]
    assert (overall.n, overall.clusters, counted.rows, counted.rows_used) == (3, 3, 4, 3)
    assert (women.n, women.clusters) == (2, 2)  # type: ignore[attr-defined]
    assert men.failed.tolist() == [[1, 0]]  # type: ignore[attr-defined]
    assert counted.attributes[0].values == (("F", 2), ("M", 2))
    assert counted.patterns is not None
    found = counted.patterns(Slice((("sex", "F"),)))
    spread = np.repeat(found.totals.reshape(-1, 8), found.multiplicity, axis=0)
    assert sorted(spread.tolist()) == sorted([[3, 1, 0, 0, 0, 0, 0, 0], [0] * 8, [0, 0, 0, 0, 1, 0, 2, 0]])


# ---- attributes


def test_bands_are_named_in_order_and_empty_ones_are_kept(tmp_path: Path) -> None:
    age = (Attribute("age", "demographic", "age", (18, 40, 65)),)
    columns = {"label": [1, 1, 0, 1], "prediction": [1] * 4, "age": pa.array([17, 18, 39, None])}
    counted = count(tmp_path, columns, attributes=age, positive="1")
    assert counted.attributes[0].values == (("<18", 1), ("18-39", 2), ("40-64", 0), ("65+", 0))
    assert counted.attributes[0].missing == 1
    columns["age"] = pa.array([17.0, 18.0, 39.5, None])
    counted = count(tmp_path, columns, attributes=age, positive="1")
    assert [name for name, _ in counted.attributes[0].values] == ["<18", "[18, 40)", "[40, 65)", "65+"]


def test_typed_values_are_written_once(tmp_path: Path) -> None:
    import datetime

    cases: dict[str, tuple[pa.Array, list[str]]] = {
        "integer": (pa.array([1, 2]), ["1", "2"]),
        "wide integer": (pa.array([1, 10**12]), ["1", str(10**12)]),
        "integer with a null": (pa.array([1, None], pa.int8()), ["1"]),
        "float": (pa.array([0.1, 1.0]), ["0.1", "1.0"]),
        "single": (pa.array([0.1, 2.5], pa.float32()), ["0.1", "2.5"]),
        "boolean": (pa.array([True, False]), ["false", "true"]),
        "date": (pa.array([datetime.date(2026, 1, 2)] * 2), ["2026-01-02"]),
        "time stamp": (pa.array([datetime.datetime(2026, 1, 2, 3)] * 2), ["2026-01-02T03:00:00"]),
        "decimal": (pa.array(["1.50", "2.00"]).cast(pa.decimal128(5, 2)), ["1.50", "2.00"]),
        "category": (pa.array(["b", "a"]).dictionary_encode(), ["a", "b"]),
        "large text": (pa.array(["b", "a"], pa.large_string()), ["a", "b"]),
    }
    for name, (values, expected) in cases.items():
        counted = count(tmp_path, {"label": [1, 0], "prediction": [1, 0], "sex": values}, positive="1")
        assert [value for value, _ in counted.attributes[0].values] == expected, name


def test_listed_values_are_missing_in_every_role(tmp_path: Path) -> None:
    counted = count(
        tmp_path,
        {
            "label": ["1", "0", "?"],
            "prediction": ["1", "?", "0"],
            "sex": ["F", "?", "F"],
            "patient": ["?", "a", "b"],
        },
        positive="1",
        missing=("?",),
        cluster="patient",
    )
    assert counted.slices[0].inside.tolist() == [[1, 0, 0, 0]]
    assert (counted.slices[0].unlabelled, counted.slices[0].failed.tolist()) == (1, [[0, 1]])
    assert counted.attributes[0].missing == 1
    assert counted.unclustered == 1


def test_partitions_of_folders_are_attributes(tmp_path: Path) -> None:
    for place in ("sex=F", "sex=M%2FX", "sex=__HIVE_DEFAULT_PARTITION__"):
        (tmp_path / "log" / place).mkdir(parents=True)
        pq.write_table(
            pa.table({"label": [1, 0], "prediction": [1, 0]}), tmp_path / "log" / place / "x.parquet"
        )
    spec = LogSpec("log", tmp_path, "label", PREDICTED, SEX, positive="1")
    counted = count_log(spec, intersections=1, minimum=1)
    assert counted.attributes[0].values == (("F", 2), ("M/X", 2))
    assert counted.attributes[0].missing == 2
    assert counted.inputs[0].path == "log/sex=F/x.parquet"


def test_values_that_grow_late_are_counted_all_the_same(tmp_path: Path) -> None:
    n = 3000
    rng = np.random.default_rng(1)
    site = np.minimum(np.arange(n) // 10, 280)
    columns = {
        "label": rng.integers(0, 2, n),
        "prediction": rng.integers(0, 2, n),
        "sex": [f"s{value}" for value in site],
        "age": site % 7,
    }
    pq.write_table(pa.table(columns), tmp_path / "log.parquet", row_group_size=100)
    attributes = (*SEX, Attribute("age", "other", "age"))
    spec = LogSpec("log.parquet", tmp_path, "label", PREDICTED, attributes, positive="1")
    counted = count_log(spec, intersections=2, minimum=1, threads=3)
    assert dict(counted.attributes[0].values) == {f"s{v}": int((site == v).sum()) for v in set(site.tolist())}
    pairs = {
        (s.slice.as_dict()["sex"], s.slice.as_dict()["age"]): s.n
        for s in counted.slices
        if s.slice.order == 2
    }
    assert pairs == {(f"s{v}", str(v % 7)): int((site == v).sum()) for v in set(site.tolist())}


def test_wide_crossings_are_counted_sparsely(tmp_path: Path) -> None:
    n = 20_000
    rng = np.random.default_rng(2)
    columns = {name: rng.integers(0, 3000, n) for name in ("sex", "age")}
    columns |= {"label": rng.integers(0, 2, n), "prediction": rng.integers(0, 2, n)}
    pq.write_table(pa.table(columns), tmp_path / "log.parquet", row_group_size=6000)
    attributes = (*SEX, Attribute("age", "other", "age"))
    spec = LogSpec("log.parquet", tmp_path, "label", PREDICTED, attributes, positive="1")
    counted = count_log(spec, intersections=2, minimum=1, threads=2)
    assert counted.joint is not None
    table = counted.joint(("age", "sex"))
    names = [
        [value for value, _ in a.values] for a in sorted(counted.attributes, key=lambda a: a.attribute.name)
    ]
    found = {
        (names[0][a], names[1][s], o): int(m)
        for (a, s), o, m in zip(table.codes.tolist(), table.outcome.tolist(), table.n.tolist(), strict=True)
    }
    expected: dict[tuple[str, str, int], int] = {}
    for a, s, y, p in zip(*(columns[c].tolist() for c in ("age", "sex", "label", "prediction")), strict=True):
        key = (str(a), str(s), {(1, 1): 0, (0, 1): 1, (1, 0): 2, (0, 0): 3}[y, p])
        expected[key] = expected.get(key, 0) + 1
    assert found == expected


# ---- for the other stages


def test_image_rows_are_sorted_and_banded(tmp_path: Path) -> None:
    columns = {
        "file": ["b.png", "a.png", None],
        "label": [1, 0, 1],
        "prediction": [1, 1, 1],
        "sex": ["F", None, "M"],
        "age": [50, 20, 30],
    }
    pq.write_table(pa.table(columns), tmp_path / "log.parquet")
    attributes = (*SEX, Attribute("age", "other", "age", (40,)))
    rows = read_images(LogSpec("log.parquet", tmp_path, "label", PREDICTED, attributes, positive="1"), "file")
    assert rows.files == ("a.png", "b.png")
    assert rows.labels == ("0", "1")
    assert rows.attributes == {"sex": (None, "F"), "age": ("<40", "40+")}
    assert (rows.clusters, rows.unnamed) == (None, 1)


def test_image_rows_keep_their_cluster(tmp_path: Path) -> None:
    columns = {
        "file": ["b.png", "a.png", "c.png"],
        "label": [1, 0, 1],
        "prediction": [1, 1, 1],
        "patient": [7, None, 7],
    }
    pq.write_table(pa.table(columns), tmp_path / "log.parquet")
    spec = LogSpec("log.parquet", tmp_path, "label", PREDICTED, (), positive="1", cluster="patient")
    rows = read_images(spec, "file")
    assert (rows.files, rows.clusters) == (("a.png", "b.png", "c.png"), (None, "7", "7"))


def test_multilabel_image_rows_name_the_class_where_the_label_is_positive(tmp_path: Path) -> None:
    columns = {"file": ["a", "a"], "finding": ["AF", "SB"], "label": [1.0, 0.0], "prediction": [1, 1]}
    pq.write_table(pa.table(columns), tmp_path / "log.parquet")
    spec = LogSpec("log.parquet", tmp_path, "label", PREDICTED, (), klass="finding")
    assert read_images(spec, "file").labels == (None, "AF")


def test_a_preview_names_columns_types_and_values(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"sex": ["M", "F", ""], "age": [3, 1, None], "box": [[1], [2], [3]]}), tmp_path / "l.parquet"
    )
    sex, age, box = describe("l.parquet", tmp_path)
    assert (sex.name, sex.type, sex.values, sex.distinct, sex.missing, sex.numeric) == (
        "sex",
        "string",
        ("F", "M"),
        2,
        1,
        False,
    )
    assert (age.values, age.missing, age.numeric, age.rows) == (("1", "3"), 1, True, 3)
    assert (box.distinct, box.numeric) == (0, False)
    assert column_names("l.parquet", tmp_path) == ("sex", "age", "box")


def test_a_multilabel_slice_is_measured_by_the_rows_of_its_largest_class(tmp_path: Path) -> None:
    images = [("a", "F"), ("b", "F"), ("c", "M")]
    rows = [(i, sex, finding) for i, sex in images for finding in ("AF", "SB", "ST")]
    columns = {
        "finding": [finding for *_, finding in rows],
        "label": [1] * 9,
        "prediction": [1] * 9,
        "sex": [sex for _, sex, _ in rows],
    }
    pq.write_table(pa.table(columns), tmp_path / "log.parquet")
    spec = LogSpec("log.parquet", tmp_path, "label", PREDICTED, SEX, klass="finding")
    counted = count_log(spec, intersections=1, minimum=2)
    assert [(e.slice.as_dict(), e.rows) for e in counted.small] == [({"sex": "M"}, 1)]


def test_a_baseline_of_a_multiclass_log_is_paired_class_by_class(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    names = np.array(["cat", "dog", "owl", "newt"])
    label, prediction, base = (names[rng.integers(0, k, 200)] for k in (3, 4, 4))
    sex = rng.choice(["F", "M"], 200)
    counted = count(
        tmp_path,
        {"label": label, "prediction": prediction, "base": base, "sex": sex},
        baseline=Decision(prediction="base"),
    )
    women = one(counted, sex="F")
    for stratum, name in enumerate(counted.space.classes):
        for side, where in (("inside", sex == "F"), ("outside", sex != "F")):
            for i, j, k in np.ndindex(2, 2, 2):
                expected = (
                    where & ((label == name) == i) & ((prediction == name) == j) & ((base == name) == k)
                )
                assert getattr(women.paired, side)[stratum, i, j, k] == expected.sum()  # type: ignore[attr-defined]


def test_a_byte_order_mark_and_quoted_lines_are_read(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(b'\xef\xbb\xbflabel,prediction,sex\n1,1,"F\nemale"\n0,0,"a,b"\n')
    counted = count_log(
        LogSpec("log.csv", tmp_path, "label", PREDICTED, SEX, positive="1"), intersections=1, minimum=1
    )
    assert [value for value, _ in counted.attributes[0].values] == ["F\nemale", "a,b"]
