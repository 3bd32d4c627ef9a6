"""The small pieces of the engine: covering blocks, keys, fingerprints, text, bands, patterns."""

from __future__ import annotations

import doctest
import importlib
import math
import subprocess
import sys
import threading
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slices.counting.covering import CELL_LIMIT, cover
from slices.counting.engine import added, digits, joined
from slices.counting.identity import fingerprints
from slices.counting.patterns import cluster_patterns, crossing_patterns, sides
from slices.counting.rows import Rows
from slices.errors import LogError
from slices.reading.arrays import numpy_of, sorted_distinct
from slices.reading.bands import band_names, band_of
from slices.reading.coding import TextCoder, Vocabulary
from slices.reading.hashing import sha256_of
from slices.reading.text import exact_number, number_of, texts_of

SIZES = [2, 3, 5, 8, 10, 20, 35, 50]

DOCUMENTED = (
    "reading.arrays",
    "reading.bands",
    "reading.text",
    "counting.covering",
    "counting.engine",
    "counting.identity",
    "counting.outcomes",
    "slicing",
)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_examples_in_docstrings(name: str) -> None:
    results = doctest.testmod(importlib.import_module(f"slices.{name}"))
    assert results.failed == 0
    assert results.attempted > 0


# ---- covering blocks


def test_pairs_of_eight_columns_need_few_blocks() -> None:
    required = [frozenset(pair) for pair in combinations(range(8), 2)]
    blocks = cover(SIZES, required)
    assert len(blocks) <= 8
    assert sum(math.prod(SIZES[c] for c in block) for block in blocks) <= 50_000
    assert all(math.prod(SIZES[c] for c in block) <= CELL_LIMIT for block in blocks)


@settings(max_examples=30)
@given(
    sizes=st.lists(st.integers(1, 400), min_size=1, max_size=15),
    order=st.integers(1, 3),
    limit=st.sampled_from([1, 100, CELL_LIMIT]),
)
def test_every_required_set_is_inside_a_block(sizes: list[int], order: int, limit: int) -> None:
    columns = range(len(sizes))
    required = [frozenset(c) for k in range(1, order + 1) for c in combinations(columns, min(k, len(sizes)))]
    blocks = cover(sizes, required, limit)
    assert all(any(wanted <= set(block) for block in blocks) for wanted in required)
    for block in blocks:
        assert math.prod(sizes[c] for c in block) <= limit or frozenset(block) in required
    assert cover(sizes, list(reversed(required)), limit) == blocks


# ---- keys


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.data())
def test_digits_and_joined_are_inverse(radix: list[int], data: st.DataObject) -> None:
    size = math.prod(radix)
    keys = np.array(data.draw(st.lists(st.integers(0, size - 1), max_size=20)), np.int64)
    found = digits(keys, radix)
    assert joined(found, radix).tolist() == keys.tolist()
    assert (found < np.array(radix)).all()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1 << 60)), max_size=7))
def test_added_sums_whole_numbers_exactly(pairs: list[tuple[int, int]]) -> None:
    keys, n = added(np.array([k for k, _ in pairs], np.int64), np.array([m for _, m in pairs], np.int64))
    expected: dict[int, int] = {}
    for key, m in pairs:
        expected[key] = expected.get(key, 0) + m
    assert dict(zip(keys.tolist(), n.tolist(), strict=True)) == expected
    assert keys.tolist() == sorted(expected)


# ---- text and bands


@given(st.floats(allow_nan=False))
def test_float_text_reads_back_as_the_same_number(value: float) -> None:
    (text,) = texts_of(pa.array([value]), "x")
    assert text is not None
    assert number_of(text) == value


@pytest.mark.parametrize("text", ["", "nan", "1_0", "0x10", "1,5", "true", "1e", "٣"])
def test_what_is_no_number(text: str) -> None:
    assert number_of(text) is None


@given(
    st.lists(st.integers(-50, 50), min_size=1, max_size=5, unique=True).map(sorted),
    st.lists(st.integers(-60, 60), min_size=1),
)
def test_band_names_say_where_the_numbers_are(cuts: list[int], numbers: list[int]) -> None:
    names = band_names(cuts, whole=True)
    assert len(set(names)) == len(cuts) + 1
    for number, band in zip(numbers, band_of(np.array(numbers, float), cuts).tolist(), strict=True):
        low = -math.inf if band == 0 else cuts[band - 1]
        high = math.inf if band == len(cuts) else cuts[band]
        assert low <= number < high
        if 0 < band < len(cuts):
            assert names[band] == (f"{low}" if high - low == 1 else f"{low}-{high - 1}")


def test_numpy_of_handles_every_plain_type() -> None:
    for kind in (pa.int8(), pa.uint16(), pa.int64(), pa.float32()):
        assert numpy_of(pa.array([1, 2, 3], kind).slice(1)).tolist() == [2, 3]
        assert numpy_of(pa.array([], kind)).tolist() == []
    assert sorted_distinct(np.array([3, 1, 3, 2])).tolist() == [1, 2, 3]


# ---- codes


def test_a_vocabulary_shared_by_threads_gives_one_code_a_text() -> None:
    vocabulary = Vocabulary("x")
    texts = [str(value) for value in range(2000)]
    found: list[np.ndarray] = []

    def work(seed: int) -> None:
        order = np.random.default_rng(seed).permutation(len(texts))
        codes = np.empty(len(texts), int)
        for place in order.tolist():
            codes[place] = vocabulary.codes_of([texts[place]])[0]
        found.append(codes)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(codes, found[0]) for codes in found)
    assert [vocabulary.values[code] for code in found[0]] == texts


@settings(max_examples=60)
@given(
    batches=st.lists(
        st.lists(
            st.one_of(st.none(), st.integers(-300, 300), st.sampled_from([10**6, -(10**9)])), min_size=1
        ),
        min_size=1,
    )
)
def test_integers_code_as_their_text_whatever_their_span(batches: list[list[int | None]]) -> None:
    vocabulary = Vocabulary("x")
    coder = TextCoder("x", vocabulary, ["7"])
    for batch in batches:
        codes = coder.codes([pa.array(batch, pa.int64())])
        expected = [None if v is None or v == 7 else str(v) for v in batch]
        assert [vocabulary.values[code] for code in codes.tolist()] == expected


@pytest.mark.parametrize("kind", [pa.int8(), pa.int16(), pa.uint8(), pa.uint16(), pa.int32(), pa.uint64()])
def test_narrow_integers_do_not_overflow(kind: pa.DataType) -> None:
    ends = np.iinfo(kind.to_pandas_dtype())
    values = [ends.min, ends.max, 0, 1] if ends.bits <= 16 else [ends.max - 5, ends.max, ends.max - 1]
    vocabulary = Vocabulary("x")
    codes = TextCoder("x", vocabulary, []).codes([pa.array([int(v) for v in values], kind)])
    assert [vocabulary.values[code] for code in codes.tolist()] == [str(v) for v in values]


# ---- identity


@given(st.lists(st.text(max_size=12), max_size=30))
def test_fingerprints_agree_exactly_where_texts_do(texts: list[str]) -> None:
    found = fingerprints(pa.array(texts, pa.string())).tolist()
    alone = [int(fingerprints(pa.array([text], pa.string()))[0]) for text in texts]
    assert found == alone
    assert len(set(found)) == len(set(texts))


def test_sha256_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1.
    assert sha256_of(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


# ---- patterns


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 60), st.sampled_from([(1, 4), (3, 4), (1, 12)]), st.booleans())
def test_patterns_by_crossing_equal_patterns_from_all_rows(
    seed: int, size: int, shape: tuple[int, int], amounts: bool
) -> None:
    rng = np.random.default_rng(seed)
    strata, cells = shape
    rows = Rows(
        cluster=np.unique(np.sort(rng.integers(0, 15, size)), return_inverse=True)[1],
        unit=None,
        attributes={
            "a": rng.integers(-1, 3, size).astype(np.int8),
            "b": rng.integers(-1, 2, size).astype(np.int8),
        },
        outcome=rng.integers(0, strata * cells, size).astype(np.int32),
        n=rng.integers(0, 4, size) if amounts else None,
        weight=None,
        score=None,
        unclustered=0,
    )
    prepared = crossing_patterns(rows, ("a", "b"), (4, 3), strata, cells)
    assert prepared is not None
    assert rows.cluster is not None
    for codes in [(a, b) for a in range(-1, 3) for b in range(-1, 2)]:
        quick = prepared.of(codes)
        side = sides(rows, ("a", "b"), codes)
        slow = cluster_patterns(rows, side, strata, cells)
        dense = np.zeros((rows.cluster.max() + 1, 2, strata * cells), int)
        for row in range(size):
            if side[row] < 2:
                dense[rows.cluster[row], side[row], rows.outcome[row]] += 1 if rows.n is None else rows.n[row]
        expected = sorted(dense.reshape(len(dense), -1).tolist())
        for found in (quick, slow):
            assert found is not None
            spread = np.repeat(found.totals.reshape(len(found.totals), -1), found.multiplicity, axis=0)
            assert sorted(spread.tolist()) == expected


def test_patterns_that_would_not_fit_in_memory_are_refused() -> None:
    rows = Rows(
        cluster=np.arange(40_000),
        unit=None,
        attributes={},
        outcome=(np.arange(40_000) % 10_000).astype(np.int32),
        n=np.arange(40_000),
        weight=None,
        score=None,
        unclustered=0,
    )
    with pytest.raises(
        LogError, match="40,000 clusters of different outcomes in 10,000 cells need 6 GiB; leave out"
    ):
        cluster_patterns(rows, sides(rows, (), ()), 1, 10_000)


# ---- what counting does not load


def test_counting_loads_neither_torch_nor_pandas_nor_weasyprint(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("label,prediction,sex,id,age\n1,1,F,a,3\n0,1,M,b,\n")
    code = (
        "import sys; from pathlib import Path; from slices.log import count_log; from slices.roles import *;"
        f"spec = LogSpec('log.csv', Path({str(tmp_path)!r}), 'label', Decision(prediction='prediction'),"
        "(Attribute('sex', 'other', 'sex'), Attribute('age', 'other', 'age', (2,))), positive='1', id='id',"
        "cluster='id'); counted = count_log(spec, intersections=2, minimum=1);"
        "counted.patterns(counted.slices[0].slice);"
        "print([m for m in ('torch', 'pandas', 'weasyprint', 'scipy', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_exponent_beyond_decimal_writes_no_class() -> None:
    assert exact_number("1e99999999999999999999") is None
    assert exact_number("1.0") == exact_number("1")
