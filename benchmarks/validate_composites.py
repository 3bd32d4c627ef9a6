"""Coverage of figures that are no plain proportions: one model's composites, rows and patients as units.

A section for `benchmarks.validate_slices`, which writes it to docs/validation-slices.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from benchmarks.simulated_logs import beta_binomial, log_of_classes, log_of_clusters, log_of_rows
from benchmarks.validation_measures import SEED, Measured, measured, selected_limits
from slices.metrics import METRICS, POOLED
from slices.supplements.target_prevalence import at_prevalence

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

COMPOSITES = ("f1", "balanced_accuracy", "mcc")
# Positives, negatives, recall, specificity; from 600 of each on, the bootstrap.
ROWS = (
    (30, 100, 0.9, 0.95),
    (50, 50, 0.95, 0.95),
    (100, 1000, 0.9, 0.99),
    (300, 300, 0.95, 0.95),
    (700, 700, 0.9, 0.95),
    (700, 700, 0.975, 0.985),
    (1500, 6000, 0.95, 0.99),
)
# Per patient: error rate of both classes from a Beta law with this mean and correlation.
HARD = ((0.2, 0.2), (0.2, 0.5), (0.05, 0.2), (0.02, 0.2))
# Share of each label predicted as each class.
CALLS = np.array([[0.9, 0.06, 0.04], [0.08, 0.85, 0.07], [0.02, 0.03, 0.95]])
AVERAGES = ("accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1", "mcc")


def composites_section(runs: int) -> Iterator[str]:
    """Coverage of F1, balanced accuracy, MCC, averages over classes, and precision in use."""
    yield "## Composite figures of one model"
    yield ""
    yield f"{2 * runs:,} logs a cell, half as many where draws give the limits; rows as units."
    yield ""
    yield "| positives | negatives | recall | specificity | F1 | balanced accuracy | MCC |"
    yield "|---:|---:|---:|---:|---:|---:|---:|"
    for positives, negatives, recall, specificity in ROWS:
        times = 2 * runs if min(positives, negatives) < 600 else runs
        cells = [
            composite_coverage(name, positives, negatives, recall, specificity, times) for name in COMPOSITES
        ]
        setting = f"{positives:,} | {negatives:,} | {recall:g} | {specificity:g}"
        yield f"| {setting} | " + " | ".join(str(cell) for cell in cells) + " |"
    yield ""
    yield (
        f"Patients as units, {runs:,} logs a cell: 5 positive and 5 negative rows a patient, one error rate "
        "for both (a Beta law with the stated mean and intra-class correlation). *Precision in use*: at a "
        "prevalence of 10%."
    )
    yield ""
    yield "| patients | error rate | ICC | F1 | balanced accuracy | MCC | precision in use |"
    yield "|---:|---:|---:|---:|---:|---:|---:|"
    for patients, (rate, correlation) in product((15, 30, 100, 400), HARD):
        cells = [hard_coverage(name, patients, rate, correlation, runs) for name in COMPOSITES]
        cells.append(prevalence_of_patients(patients, rate, correlation, runs))
        label = f"{patients} | {rate:g} | {correlation:g}"
        yield f"| {label} | " + " | ".join(str(cell) for cell in cells) + " |"
    yield ""
    yield (
        f"Three classes, {runs:,} logs a cell; rows as units, and patients of 6 rows that are right or wrong "
        "alike (ICC .3)."
    )
    yield ""
    yield "| units | number | " + " | ".join(AVERAGES) + " |"
    yield "|---|---:|" + "---:|" * len(AVERAGES)
    for clustered, n in ((False, 150), (False, 400), (False, 2000), (True, 30), (True, 100), (True, 400)):
        cells = [average_coverage(name, n, runs, clustered=clustered) for name in AVERAGES]
        unit = "patients" if clustered else "rows"
        shown = ["no interval" if cell is None else str(cell) for cell in cells]
        yield f"| {unit} | {n:,} | " + " | ".join(shown) + " |"
    yield ""


def composite_coverage(
    name: str, positives: int, negatives: int, recall: float, specificity: float, runs: int
) -> Measured:
    """Coverage with so many rows of either class."""
    rng = np.random.default_rng([SEED, positives, negatives, round(1000 * recall), round(1000 * specificity)])
    tp, tn = rng.binomial(positives, recall, runs), rng.binomial(negatives, specificity, runs)
    table = np.stack([tp, negatives - tn, positives - tp, tn], axis=-1)
    expected = np.array([recall, 1 - specificity, 1 - recall, specificity])
    truth = float(METRICS[name].of(expected * np.array([positives, negatives, positives, negatives])))
    return measured(*selected_limits(log_of_rows(table), name), truth)


def hard_patients(rng: np.random.Generator, patients: int, rate: float, correlation: float) -> Counts:
    """Patients whose one error rate holds for their 5 positive and their 5 negative rows: (patients, 4)."""
    scale = (1 - correlation) / correlation
    own = rng.beta(rate * scale, (1 - rate) * scale, patients)
    fn, fp = rng.binomial(5, own), rng.binomial(5, own)
    return np.stack([5 - fn, fp, fn, 5 - fp], axis=-1)


def hard_coverage(name: str, patients: int, rate: float, correlation: float, runs: int) -> Measured:
    """Coverage where hard patients err in both classes."""
    rng = np.random.default_rng([SEED, patients, round(1000 * rate), round(1000 * correlation)])
    logs = [hard_patients(rng, patients, rate, correlation) for _ in range(runs)]
    truth = float(METRICS[name].of(np.array([1 - rate, rate, rate, 1 - rate])))
    low, high = selected_limits(log_of_clusters(logs), name)
    # MCC has none where too few rows are wrong: nothing is said, so nothing can be wrong.
    there = np.isfinite(low)
    return measured(low[there], high[there], truth)


def prevalence_of_patients(patients: int, rate: float, correlation: float, runs: int) -> Measured:
    """Coverage of precision at a prevalence of 10%, where hard patients err in both classes."""
    rng = np.random.default_rng([SEED, patients, round(1000 * rate), round(1000 * correlation)])
    logs = [hard_patients(rng, patients, rate, correlation) for _ in range(runs)]
    found = at_prevalence(log_of_clusters(logs), {None: 0.1})
    limits = [(x.found.low, x.found.high) for x in found if x.metric == "precision" and x.slice.order]
    low, high = np.array(limits, dtype=np.float64).T
    return measured(low, high, 0.1 * (1 - rate) / (0.1 * (1 - rate) + 0.9 * rate))


def average_coverage(name: str, n: int, runs: int, *, clustered: bool) -> Measured | None:
    """Coverage of a figure over three classes of equal share; None where it has no interval."""
    rng = np.random.default_rng([SEED, n, clustered])
    truth = float(POOLED[name].of(one_against_the_rest(CALLS / 3)))
    if not clustered:
        tables = rng.multinomial(n, (CALLS / 3).ravel(), runs).reshape(-1, 3, 3)
        low, high = selected_limits(log_of_classes(tables), name)
    else:
        logs = [patients_of_classes(rng, n) for _ in range(runs)]
        tables = np.array([each.sum(0) for each in logs])
        low, high = selected_limits(log_of_classes(tables, logs), name)
    return measured(low, high, truth) if np.isfinite(low).any() else None


def patients_of_classes(rng: np.random.Generator, patients: int) -> Counts:
    """Two rows of each class a patient; being right correlates within one (.3): (patients, 3, 3)."""
    rank = rng.random(patients)
    table = np.zeros((patients, 3, 3), dtype=np.int64)
    for label in range(3):
        right = beta_binomial(rng, np.full(patients, 2), CALLS[label, label], 0.3, rank=rank)
        wrong = [k for k in range(3) if k != label]
        first = rng.binomial(2 - right, CALLS[label, wrong[0]] / CALLS[label, wrong].sum())
        table[:, label, label] = right
        table[:, label, wrong[0]], table[:, label, wrong[1]] = first, 2 - right - first
    return table


def one_against_the_rest(matrix: Floats) -> Floats:
    """Each class's tp, fp, fn, tn: (K, K) to (K, 4)."""
    tp = np.diagonal(matrix)
    fn, fp = matrix.sum(1) - tp, matrix.sum(0) - tp
    return np.stack([tp, fp, fn, matrix.sum() - tp - fn - fp], axis=-1)
