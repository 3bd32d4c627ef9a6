"""What the bootstrap of counts costs, beside drawing rows.

Each in one run on the machine at hand:

1. milliseconds a slice, for six metrics with value, difference and ratio, at 2,000 and 10,000 draws;
   the same where patients are drawn, in a log of few kinds of patient and in one of nearly as many kinds as
   patients; 400 slices with all metrics and simultaneous limits;
2. ``fairlearn.metrics.MetricFrame(n_boot=...)`` on the same metrics and slices at 10^5 rows,
   extrapolated from a few of its replicates;
3. a vectorised NumPy row bootstrap at 10^6 rows (draw rows, look up their cells, ``bincount``), on the
   one-way sets and on all pairs, extrapolated from a few replicates; percentile limits.

Run: ``python -m benchmarks.resampling [--quick]``
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from slices.analysis import analyse
from slices.counts import CountedLog, OutcomeSpace, SliceCounts
from slices.log import count_log
from slices.metrics import METRICS
from slices.records import Tested
from slices.resampling import generator, percentile_limits, resample_counts
from slices.roles import Attribute, Decision, LogSpec
from slices.slicing import OVERALL, Slice

SIX = ("recall", "precision", "fpr", "npv", "f1", "accuracy")
WIDTHS = (2, 3, 4, 5, 8, 12, 20, 50)
BINARY = OutcomeSpace("binary", (None,), 1, 4)


def simulated(rows: int, seed: int = 1) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Outcomes (0 to 3: tp, fp, fn, tn) and eight attributes of 2 to 50 values."""
    rng = np.random.default_rng(seed)
    outcome = rng.choice(4, size=rows, p=[0.3, 0.06, 0.04, 0.6])
    return outcome, [rng.integers(0, width, rows) for width in WIDTHS]


def sets_of(attributes: list[NDArray[np.int64]], order: int) -> list[tuple[NDArray[np.int64], int]]:
    """Codes and number of cells of each one-way (or two-way) set."""
    found = []
    for names in combinations(range(len(attributes)), order):
        code, width = np.zeros_like(attributes[0]), 1
        for name in names:
            code, width = code * WIDTHS[name] + attributes[name], width * WIDTHS[name]
        found.append((code, width))
    return found


def counted(outcome: NDArray[np.int64], sets: list[tuple[NDArray[np.int64], int]]) -> CountedLog:
    """A counted log of the slices of some sets."""
    total = np.bincount(outcome, minlength=4)
    nothing = np.zeros((1, 2), dtype=np.int64)
    slices = [SliceCounts(OVERALL, total[None], np.zeros((1, 4), dtype=np.int64), nothing, 0, outcome.size)]
    for number, (code, width) in enumerate(sets):
        tables = np.bincount(code * 4 + outcome, minlength=4 * width).reshape(width, 1, 4)
        for value, table in enumerate(tables):
            slice_ = Slice(((f"set{number:02d}", f"{value:04d}"),))
            slices.append(SliceCounts(slice_, table, total[None] - table, nothing, 0, int(table.sum())))
    return CountedLog(BINARY, tuple(slices), (), (), (), outcome.size, outcome.size, None, "1")


def a_slice(draws: int, repeats: int) -> float:
    """Milliseconds a slice of 2,000 rows in 100,000: estimates, differences, ratios of six metrics."""
    rng = np.random.default_rng(0)
    tables = rng.multinomial(2000, [0.3, 0.06, 0.04, 0.6], size=repeats)
    total = np.array([30_000, 6_000, 4_000, 60_000])
    nothing = np.zeros((1, 2), dtype=np.int64)
    slices = [SliceCounts(OVERALL, total[None], total[None] * 0, nothing, 0, int(total.sum()))] + [
        SliceCounts(Slice((("group", f"{k:04d}"),)), t[None], (total - t)[None], nothing, 0, 2000)
        for k, t in enumerate(tables)
    ]
    log = CountedLog(BINARY, tuple(slices), (), (), (), 100_000, 100_000, None, "1")
    analyse(log, metrics=SIX, resamples=draws)
    start = time.perf_counter()
    analyse(log, metrics=SIX, resamples=draws, threads=1)
    return 1000 * (time.perf_counter() - start) / repeats


def by_counts(log: CountedLog, draws: int) -> float:
    """Seconds of percentile limits of six metrics for every slice, from counts."""
    start = time.perf_counter()
    for counts in log.slices[1:]:
        drawn = resample_counts(counts.inside.reshape(-1), draws, generator(1, counts.slice.key))
        for name in SIX:
            values = np.sort(METRICS[name].value(*drawn))
            values = values[np.isfinite(values)]
            if values.size:
                percentile_limits(values, 0.05)
    return time.perf_counter() - start


def by_rows(
    outcome: NDArray[np.int64], sets: list[tuple[NDArray[np.int64], int]], draws: int, replicates: int
) -> float:
    """Seconds of the same by drawing rows, extrapolated from some replicates."""
    rng = np.random.default_rng(1)
    cells = [code * 4 + outcome for code, _ in sets]
    start = time.perf_counter()
    for _ in range(replicates):
        picked = rng.integers(0, outcome.size, outcome.size)
        for cell, (_, width) in zip(cells, sets, strict=True):
            table = np.bincount(cell[picked], minlength=4 * width).reshape(-1, 4).T.astype(np.float64)
            for name in SIX:
                METRICS[name].value(*table)
    return (time.perf_counter() - start) / replicates * draws


def by_fairlearn(
    outcome: NDArray[np.int64], attributes: list[NDArray[np.int64]], draws: int, replicates: int
) -> float:
    """Seconds of ``MetricFrame(n_boot=draws)`` over the one-way sets, extrapolated."""
    from fairlearn.metrics import MetricFrame, false_positive_rate
    from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

    def npv(labels: NDArray[np.int64], predictions: NDArray[np.int64]) -> float:
        return float(precision_score(labels, predictions, pos_label=0, zero_division=0))

    def quietly(metric: object) -> object:
        return lambda labels, predictions: metric(labels, predictions, zero_division=0)  # type: ignore[operator]

    metrics = {
        "recall": quietly(recall_score),
        "precision": quietly(precision_score),
        "fpr": false_positive_rate,
        "npv": npv,
        "f1": quietly(f1_score),
        "accuracy": accuracy_score,
    }
    labels = np.isin(outcome, (0, 2)).astype(int)
    predictions = np.isin(outcome, (0, 1)).astype(int)
    seconds = 0.0
    for attribute in attributes:
        start = time.perf_counter()
        MetricFrame(
            metrics=metrics,
            y_true=labels,
            y_pred=predictions,
            sensitive_features=attribute,
            n_boot=replicates,
            ci_quantiles=[0.025, 0.975],
            random_state=1,
        )
        seconds += (time.perf_counter() - start) / (replicates + 1) * draws
    return seconds


def many_slices(draws: int) -> float:
    """CPU seconds of 400 slices with all metrics of counts, differences, ratios, and 1,600 tested values."""
    outcome, attributes = simulated(1_000_000)
    sets = sets_of(attributes, 1) + sets_of(attributes, 2)[:12]
    whole = counted(outcome, sets)
    log = replace(whole, slices=whole.slices[:401])
    names = tuple(name for name, metric in METRICS.items() if metric.kind != "score")
    tested = tuple(Tested(one.slice, None, name, "value", None) for one in log.slices[1:] for name in SIX[:4])
    start = time.process_time()
    analyse(log, metrics=names, tested=tested, resamples=draws)
    return time.process_time() - start


def patients_log(folder: Path, patients: int, images: tuple[int, int]) -> CountedLog:
    """A log of patients with so many images each, errors alike within a patient, about 400 slices."""
    rng = np.random.default_rng(3)
    patient = np.repeat(np.arange(patients), rng.integers(images[0], images[1] + 1, patients))
    label = rng.random(patient.size) < 0.4
    wrong = rng.random(patient.size) < rng.beta(0.6, 5, patients)[patient]
    names = pa.array([f"p{number}" for number in range(patients)])
    columns = {"patient": names.take(pa.array(patient)), "label": label, "prediction": label ^ wrong}
    for number, width in enumerate((4, 5, 6, 7, 9)):
        own = rng.integers(0, width, patients)[patient]
        columns[f"a{number}"] = own if number % 2 == 0 else rng.integers(0, width, patient.size)
    pq.write_table(pa.table(columns), folder / "log.parquet")
    spec = LogSpec(
        path="log.parquet",
        root=folder,
        label="label",
        decision=Decision("prediction"),
        positive="true",
        cluster="patient",
        attributes=tuple(Attribute(f"a{k}", "other", f"a{k}") for k in range(5)),
    )
    return count_log(spec, intersections=2, minimum=1)


def of_patients(patients: int, images: tuple[int, int], draws: int) -> str:
    """What resampling patients costs: CPU seconds of the analysis, and the memory at its peak."""
    with TemporaryDirectory() as folder:
        log = patients_log(Path(folder), patients, images)
    assert log.patterns is not None
    kinds = int(np.median([log.patterns(one.slice).multiplicity.size for one in log.slices]))
    start = time.process_time()
    analyse(log, metrics=SIX, resamples=draws)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return (
        f"{patients:,} patients of {images[0]} to {images[1]} images, {len(log.slices)} slices of {kinds:,} "
        f"distinct vectors (median), six metrics, {draws:,} draws: {seconds:.1f} s CPU, "
        f"{1000 * seconds / len(log.slices):.0f} ms a slice; peak of the process {peak:,} MB"
    )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="fewer repeats and 10^5 rows throughout")
    quick = bool(parser.parse_args().quick)
    for draws in (2000, 10_000):
        print(
            f"{a_slice(draws, 20 if quick else 100):.2f} ms a slice, six metrics, {draws:,} draws, one thread"
        )
    draws = 10_000
    print(of_patients(2_000 if quick else 200_000, (4, 4), 2000))
    print(of_patients(2_000 if quick else 20_000, (20, 60), draws))
    print(f"{many_slices(draws):.1f} s CPU: 400 slices, 12 metrics, {draws:,} draws, 1,600 tested values")
    outcome, attributes = simulated(100_000)
    one_way = sets_of(attributes, 1)
    ours = by_counts(counted(outcome, one_way), draws)
    theirs = by_fairlearn(outcome, attributes, draws, 2)
    print(f"fairlearn, 10^5 rows, one-way: {theirs:,.0f} s against {ours:.3f} s: {theirs / ours:,.0f} times")
    rows = 100_000 if quick else 1_000_000
    outcome, attributes = simulated(rows)
    for order, words in ((1, "one-way"), (2, "all pairs")):
        sets = sets_of(attributes, order)
        ours = by_counts(counted(outcome, sets), draws)
        theirs = by_rows(outcome, sets, draws, 2 if quick else 5)
        seconds = f"{theirs:,.0f} s against {ours:.2f} s"
        print(f"rows in NumPy, {rows:,} rows, {words}: {seconds}: {theirs / ours:,.0f} times")


if __name__ == "__main__":
    main()
