"""Coverage of the statistics beside the proportions: weights, worst gap, scores, paired models, bounds.

Sections for `benchmarks.validate_slices`, which writes them to docs/validation-slices.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from audit.config import Rule
from audit.needed import for_decision
from audit.targets import Target, kind_of
from benchmarks.simulated_logs import (
    beta_binomial,
    log_of_clusters,
    log_of_rows,
    recall_only,
    weighted_cells,
)
from benchmarks.validation_measures import SEED, Measured, measured, selected_limits
from slices.analysis import analyse
from slices.counts import OutcomeSpace
from slices.estimates.disparities import gaps, hull
from slices.estimates.jointly import joint_bounds
from slices.estimates.pooling import pooled_bounds, row_errors
from slices.estimates.selection import Bounds, bounds
from slices.metrics import METRICS, POOLED
from slices.records import Disparity, Estimate, Limits, Simultaneous
from slices.scores.calibration import calibration_error
from slices.scores.ranking import auroc, auroc_clustered, average_precision, brier, histogram
from slices.slicing import OVERALL
from slices.supplements.composed import worst_gaps
from slices.supplements.missingness import worst_case_value
from slices.supplements.paired import confusion_of_both, paired_difference, paired_difference_clustered
from slices.supplements.weights import precision_at
from slices.supplements.worst_gap import worst_gap

Floats = NDArray[np.float64]


def more_sections(runs: int) -> list[tuple[str, Iterator[str]]]:
    """Names and lines of the sections."""
    return [
        ("weights", weights_section(runs)),
        ("worst gap", worst_gap_section(runs)),
        ("scores", scores_section(runs)),
        ("paired", paired_section(runs)),
        ("bounds", bounds_section(runs)),
        ("jointly", jointly_section(100 * runs)),
        ("plans", plans_section(5 * runs)),
    ]


def repeated(runs: int, draw: Callable[[], tuple[float | None, float | None]], truth: float) -> Measured:
    """Coverage of a truth by an interval drawn anew each run; an undefined one does not cover."""
    limits = np.array([[np.nan if v is None else v for v in draw()] for _ in range(runs)])
    return measured(limits[:, 0], limits[:, 1], truth)


# --- Weights ------------------------------------------------------------------------------------


def weights_section(runs: int) -> Iterator[str]:
    """Weighted proportions by size and spread of the weights."""
    yield "## Weighted proportions"
    yield ""
    yield (
        f"{4 * runs:,} logs a cell, half as many at n = 1,000. Weights are log-normal with the stated "
        "coefficient of variation; the hit rate rises with the weight. Rows as units, and patients of 4 "
        "rows (ICC .3)."
    )
    yield ""
    yield "| units | n | CV of weights | p = .7 | p = .9 | p = .95 | p = .99 |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for clustered, n, spread in product((False, True), (30, 100, 400, 1000), (0.5, 1.0, 2.0)):
        times = 4 if n <= 400 else 2
        cells = [
            weighted_coverage(n, spread, p, times * runs, clustered=clustered) for p in (0.7, 0.9, 0.95, 0.99)
        ]
        unit = "patients" if clustered else "rows"
        yield f"| {unit} | {n} | {spread:g} | " + " | ".join(str(cell) for cell in cells) + " |"
    yield ""


def weighted_coverage(n: int, spread: float, share: float, runs: int, *, clustered: bool) -> Measured:
    """Coverage of the weighted share of the population, a large one drawn once by the same law."""
    rng = np.random.default_rng([SEED, n, round(10 * spread), round(100 * share), clustered])
    deviation = np.sqrt(np.log1p(spread**2))

    def rate(weight: Floats) -> Floats:
        # Up to 4 points to either side, less where the share leaves no room.
        return share + min(0.04, 0.8 * (1 - share)) * np.tanh(np.log(weight))

    many = rng.lognormal(0, deviation, 2_000_000)
    truth = float(many @ rate(many) / many.sum())

    tables, weights = [], []
    for _ in range(runs):
        weight = rng.lognormal(0, deviation, n)
        images = 4 if clustered else 1
        hits = beta_binomial(rng, np.full(n, images), rate(weight), 0.3 if clustered else 0.0)
        tables.append(recall_only(hits, images))
        weights.append(weight)
    if clustered:
        log = log_of_clusters(tables, weights)
    else:
        cells = [weighted_cells(each, own[:, None]) for each, own in zip(tables, weights, strict=True)]
        log = log_of_rows(np.array([each.sum(0) for each in tables]), weighted=cells)
    low, high = selected_limits(log, "recall")
    return measured(low, high, truth)


# --- Worst gap ----------------------------------------------------------------------------------


def naive_gap(events: NDArray[np.int64], n: int, rng: np.random.Generator) -> tuple[float, float]:
    """The naive interval: percentiles of the bootstrap's max - min."""
    drawn = rng.binomial(n, np.broadcast_to(events / n, (500, events.size))) / n
    spread = drawn.max(1) - drawn.min(1)
    low, high = np.quantile(spread, [0.025, 0.975])
    return float(low), float(high)


def worst_gap_coverage(groups: int, n: int, share: float, gap: float, runs: int) -> tuple[Measured, Measured]:
    """Coverage and width of the interval, and of the naive one; the truth lies in one group."""
    rng = np.random.default_rng([SEED, groups, n, round(100 * share), round(100 * gap)])
    truth = np.full(groups, share)
    truth[0] -= gap
    drawn = rng.binomial(n, truth, (runs, groups))
    ours = [worst_gap(events / n, np.full(groups, float(n))) for events in drawn]
    naive = np.array([naive_gap(events, n, rng) for events in drawn])
    low, high = (np.array([getattr(g, end) for g in ours], dtype=np.float64) for end in ("low", "high"))
    return measured(low, high, gap), measured(naive[:, 0], naive[:, 1], gap)


def worst_gap_section(runs: int) -> Iterator[str]:
    """Coverage of 0 and of true gaps, widths beside the naive interval's."""
    yield "## The largest gap among groups"
    yield ""
    yield (
        f"{2 * runs:,} logs a cell; one group lies lower by the true gap. *Naive*: percentiles of the "
        "bootstrap's maximum less minimum."
    )
    yield ""
    yield "| groups | n each | p | true gap | covers % | mean width | naive covers % | naive width |"
    yield "|---:|---:|---:|---:|---:|---:|---:|---:|"
    for groups, n, share, gap in product((2, 5, 12), (50, 500), (0.5, 0.9, 0.98), (0.0, 0.05, 0.10)):
        ours, naive = worst_gap_coverage(groups, n, share, gap, 2 * runs)
        setting = f"{groups} | {n} | {share:g} | {gap:g}"
        yield f"| {setting} | {ours} | {ours.width:.3f} | {naive} | {naive.width:.3f} |"
    yield ""
    yield f"Patients of 10 images, {runs // 2:,} logs a cell, with the errors and degrees of the analysis."
    yield ""
    yield "| groups | patients each | p | ICC | true gap | covers % | mean width |"
    yield "|---:|---:|---:|---:|---:|---:|---:|"
    for (groups, patients, share, icc), gap in product(CLUSTERED_GAPS, (0.0, 0.05, 0.10)):
        found = clustered_worst_gap_coverage(groups, patients, share, icc, gap, runs // 2)
        yield f"| {groups} | {patients} | {share:g} | {icc:g} | {gap:g} | {found} | {found.width:.3f} |"
    yield ""


CLUSTERED_GAPS = (
    (2, 40, 0.95, 0.5),
    (5, 40, 0.90, 0.3),
    (5, 40, 0.95, 0.5),
    (12, 40, 0.95, 0.5),
    (5, 100, 0.98, 0.5),
    (12, 100, 0.98, 0.5),
)


def clustered_worst_gap_coverage(
    groups: int, patients: int, share: float, icc: float, gap: float, runs: int
) -> Measured:
    """Coverage of the largest gap among groups of patients with 10 images; one group lies lower by it."""
    rng = np.random.default_rng([SEED, groups, patients, round(100 * share), round(100 * gap)])
    truth = np.full(groups, share)
    truth[0] -= gap
    images = np.full(patients, 10)

    def draw() -> tuple[float | None, float | None]:
        tables = [recall_only(beta_binomial(rng, images, rate, icc), images) for rate in truth]
        analysis = analyse(log_of_clusters(tables), metrics=("recall",), resamples=100, threads=1)
        found = worst_gaps(analysis.slices, ("recall",))[0].gap
        return found.low, found.high

    return repeated(runs, draw, gap)


# --- Scores -------------------------------------------------------------------------------------


def scores_section(runs: int) -> Iterator[str]:
    """Coverage of AUROC, average precision, Brier and calibration error."""
    yield "## Metrics of scores"
    yield ""
    yield (
        f"{runs:,} logs a cell; normal scores with the stated true AUROC; for Brier and calibration error "
        "the probabilities are uniform and wrong by the stated amount."
    )
    yield ""
    yield "| metric | setting | covers % | mean width |"
    yield "|---|---|---:|---:|"
    for area, n1, n0 in product((0.7, 0.9, 0.98), (8, 30, 200), (200,)):
        cell = auroc_coverage(area, n1, n0, runs)
        yield f"| AUROC | {n1} positives, {n0} negatives, true {area:g} | {cell} | {cell.width:.3f} |"
    for patients, area in product((20, 60, 200), (0.7, 0.9)):
        cell = clustered_auroc_coverage(patients, area, runs)
        yield f"| AUROC | {patients} patients of 4 rows, true {area:g} | {cell} | {cell.width:.3f} |"
    for n1, times in ((15, 4), (60, 4), (300, 4), (10, 100), (20, 100), (60, 100)):
        cell = average_precision_coverage(n1, runs, times)
        yield f"| average precision | {n1} positives, {times * n1:,} negatives | {cell} | {cell.width:.3f} |"
    for n in (30, 200, 2000):
        cell = brier_coverage(n, runs)
        yield f"| Brier | {n} rows | {cell} | {cell.width:.3f} |"
    for n, off in [(50, 0.0), *product((300, 2000), (0.0, 0.05, 0.15))]:
        cell = calibration_coverage(n, off, runs)
        yield f"| calibration error | {n} rows, true error {off:g} | {cell} | {cell.width:.3f} |"
    yield ""


def auroc_coverage(area: float, n1: int, n0: int, runs: int) -> Measured:
    """DeLong's logit interval (or its stand-in for few rows) for two normal classes."""
    rng = np.random.default_rng([SEED, round(100 * area), n1, n0])
    labels = np.arange(n1 + n0) < n1

    def draw() -> tuple[float | None, float | None]:
        found = auroc(histogram(rng.normal(size=n1 + n0) + labels * np.sqrt(2) * norm.ppf(area), labels))
        return found.low, found.high

    return repeated(runs, draw, area)


def clustered_auroc_coverage(patients: int, area: float, runs: int) -> Measured:
    """Obuchowski's interval: half of the score's variance lies between patients, labels vary inside."""
    rng = np.random.default_rng([SEED, round(100 * area), patients])
    clusters = np.repeat(np.arange(patients), 4)

    def draw() -> tuple[float | None, float | None]:
        labels = rng.random(4 * patients) < rng.beta(2, 3, patients)[clusters]
        noise = np.sqrt(0.5) * (rng.normal(size=patients)[clusters] + rng.normal(size=4 * patients))
        found = auroc_clustered(noise + labels * np.sqrt(2) * norm.ppf(area), labels, clusters)
        return found.low, found.high

    return repeated(runs, draw, area)


def average_precision_coverage(n1: int, runs: int, times: int = 4) -> Measured:
    """Two normal classes, shift 1.5, so many negatives a positive; the truth from two million rows."""
    rng = np.random.default_rng([SEED, n1, times])
    many = np.arange(2_000_000) % (times + 1) == 0
    truth = average_precision(histogram(np.round(rng.normal(size=many.size) + 1.5 * many, 4), many)).value
    assert truth is not None, "two million rows hold a positive one"
    labels = np.arange((times + 1) * n1) % (times + 1) == 0

    def draw() -> tuple[float | None, float | None]:
        found = average_precision(histogram(rng.normal(size=labels.size) + 1.5 * labels, labels))
        return found.low, found.high

    return repeated(runs, draw, truth)


def brier_coverage(n: int, runs: int) -> Measured:
    """Uniform calibrated probabilities: the true score is the mean of p (1 - p), 1/6."""
    rng = np.random.default_rng([SEED, n])

    def draw() -> tuple[float | None, float | None]:
        scores = rng.random(n)
        found = brier(scores, rng.random(n) < scores)
        return found.low, found.high

    return repeated(runs, draw, 1 / 6)


def calibration_coverage(n: int, off: float, runs: int) -> Measured:
    """Scores uniform on (0, 1 - off), true probability higher by ``off`` everywhere."""
    rng = np.random.default_rng([SEED, n, round(100 * off)])

    def draw() -> tuple[float | None, float | None]:
        scores = rng.random(n) * (1 - off)
        found = calibration_error(scores, rng.random(n) < scores + off)
        return found.low, found.high

    return repeated(runs, draw, off)


# --- Paired models ------------------------------------------------------------------------------

# Joint shares [label, model, baseline]: 8% and 2% of the rows change.
JOINT = {
    "8% of rows change": np.array([[[0.50, 0.04], [0.01, 0.05]], [[0.05, 0.01], [0.02, 0.32]]]),
    "2% of rows change": np.array([[[0.54, 0.01], [0.004, 0.046]], [[0.06, 0.002], [0.004, 0.334]]]),
}


def paired_section(runs: int) -> Iterator[str]:
    """Coverage of model less baseline."""
    yield "## Model against baseline on the same rows"
    yield ""
    yield f"{2 * runs:,} logs a cell; rows as units, and patients of 5 rows (difference 0)."
    yield ""
    yield "| metric | setting | rows | covers % | mean width |"
    yield "|---|---|---:|---:|---:|"
    for name, (label, shares), n in product(("recall", "precision", "f1"), JOINT.items(), (100, 500)):
        cell = paired_coverage(name, shares, n, 2 * runs)
        yield f"| {name} | {label} | {n} | {cell} | {cell.width:.3f} |"
    for patients in (15, 40, 150):
        cell = clustered_paired_coverage(patients, runs)
        yield f"| recall | {patients} patients | {5 * patients} | {cell} | {cell.width:.3f} |"
    yield ""


def paired_coverage(name: str, shares: Floats, n: int, runs: int) -> Measured:
    """Row-level paired interval."""
    metric = METRICS[name]
    rng = np.random.default_rng([SEED, n, round(1000 * shares[0, 0, 0])])
    model, baseline = confusion_of_both(shares)

    def draw() -> tuple[float | None, float | None]:
        found = paired_difference(metric, rng.multinomial(n, shares.ravel() / shares.sum()).reshape(2, 2, 2))
        return found.low, found.high

    return repeated(runs, draw, float(metric.of(model) - metric.of(baseline)))


def clustered_paired_coverage(patients: int, runs: int) -> Measured:
    """Two models of equal recall whose errors share a patient's difficulty."""
    rng = np.random.default_rng([SEED, patients])

    def draw() -> tuple[float | None, float | None]:
        hard = rng.random((patients, 5)) < rng.beta(0.6, 5, (patients, 1))
        calls = [(hard | (rng.random((patients, 5)) < 0.05)).astype(int) for _ in range(2)]
        cells = np.zeros((patients, 2, 2, 2))
        np.add.at(
            cells, (np.repeat(np.arange(patients), 5), 1, 1 - calls[0].ravel(), 1 - calls[1].ravel()), 1
        )
        found = paired_difference_clustered(METRICS["recall"], cells)
        return found.low, found.high

    return repeated(runs, draw, 0.0)


# --- Bounds and prevalence ----------------------------------------------------------------------


def bounds_section(runs: int) -> Iterator[str]:
    """Worst-case limits under informative missingness; precision at another prevalence."""
    yield "## Missing metadata and another prevalence"
    yield ""
    yield "| statistic | setting | covers % |"
    yield "|---|---|---:|"
    for kind, n in product(("hits", "misses"), (60, 400)):
        cell = missing_coverage(kind, n, 4 * runs)
        yield f"| recall, worst case | {n} positives; values withheld from {kind} alone | {cell} |"
    for prevalence, n in product((0.01, 0.1), (60, 300)):
        cell = prevalence_coverage(prevalence, n, 4 * runs)
        yield f"| precision at {prevalence:.0%} | {n} positives and {n} negatives | {cell} |"
    yield ""


def missing_coverage(kind: str, n: int, runs: int) -> Measured:
    """True recall .85, rows without the attribute all hits, or all misses."""
    rng = np.random.default_rng([SEED, n, len(kind)])

    def draw() -> tuple[float | None, float | None]:
        hits, misses = rng.multinomial(n, [0.85, 0.15])
        gone = rng.binomial([hits * (kind == "hits"), misses * (kind == "misses")], [0.1, 0.4])
        missing = np.array([gone[0], 0, gone[1], 0])
        found = worst_case_value(METRICS["recall"], np.array([hits, 0, misses, 0]) - missing, missing)
        return found.low, found.high

    return repeated(runs, draw, 0.85)


def prevalence_coverage(prevalence: float, n: int, runs: int) -> Measured:
    """Recall .85, false positive rate .08, in a set with as many positives as negatives."""
    rng = np.random.default_rng([SEED, n, round(1000 * prevalence)])
    truth = prevalence * 0.85 / (prevalence * 0.85 + (1 - prevalence) * 0.08)

    def draw() -> tuple[float | None, float | None]:
        tp, fp = rng.binomial(n, 0.85), rng.binomial(n, 0.08)
        found = precision_at(prevalence, tp, fp, n - tp, n - fp)
        return found.low, found.high

    return repeated(runs, draw, truth)


# --- Composites at the joint level --------------------------------------------------------------

SLICES = 400


def jointly_section(draws: int) -> Iterator[str]:
    """Family-wise error of *fails* for composites and means over classes."""
    yield "## False alarms of composite metrics among 400 slices"
    yield ""
    yield (
        f"As for proportions above, from {draws:,} simulated slices a cell at the level of 400 independent "
        "ones: the share of logs in which any of 400 slices at the floor fails. Binary: rows of either label "
        "with the stated recall and specificity. Several classes: rows a class, and the share given to "
        "another one."
    )
    yield ""
    yield "| metric | setting | any of 400 fails % |"
    yield "|---|---|---:|"
    for name, (n1, n0, recall, specificity) in product(("f1", "balanced_accuracy", "mcc"), BINARY_TABLES):
        cell = composite_alarm(name, n1, n0, recall, specificity, draws)
        setting = f"{n1} + {n0} rows, recall {recall:g}, specificity {specificity:g}"
        yield f"| {name} | {setting} | {cell} |"
    for name, (sizes, wrong) in product(
        ("balanced_accuracy", "macro_precision", "macro_f1", "mcc"), SEVERAL_CLASSES
    ):
        cell = pooled_alarm(name, sizes, wrong, draws // 4)
        rows = ", ".join(str(size) for size in sizes)
        yield f"| {name} (classes) | {rows} rows, {wrong:.0%} wrong | {cell} |"
    yield ""


BINARY_TABLES = ((30, 30, 0.95, 0.95), (25, 475, 0.9, 0.98), (100, 100, 0.98, 0.98), (250, 250, 0.95, 0.95))
SEVERAL_CLASSES = (((30, 30, 30), 0.05), ((200, 200, 40), 0.05))


def composite_alarm(name: str, n1: int, n0: int, recall: float, specificity: float, draws: int) -> Measured:
    """Family-wise error of *fails* for one binary metric, from one slice's own."""
    rng = np.random.default_rng([SEED, n1, n0, round(100 * recall)])
    tp, tn = rng.binomial(n1, recall, draws), rng.binomial(n0, specificity, draws)
    tables, times = np.unique(np.stack([tp, n0 - tn, n1 - tp, tn], axis=-1), axis=0, return_counts=True)
    truth = METRICS[name].of(
        np.array([n1 * recall, n0 * (1 - specificity), n1 * (1 - recall), n0 * specificity])
    )
    found = joint_bounds(METRICS[name], tables, _of_family())
    return _alarm(float(times @ (found.high < truth)) / draws, draws)


def pooled_alarm(name: str, sizes: tuple[int, ...], wrong: float, draws: int) -> Measured:
    """Family-wise error of *fails* for one figure over all classes of a multi-class log."""
    number, metric = len(sizes), POOLED[name]
    rng = np.random.default_rng([SEED, *sizes, round(100 * wrong)])
    shares = np.full((number, number), wrong / (number - 1)) + np.eye(number) * (
        1 - wrong - wrong / (number - 1)
    )
    drawn = np.stack(
        [rng.multinomial(size, row, draws) for size, row in zip(sizes, shares, strict=True)], axis=1
    )
    kinds, times = np.unique(drawn.reshape(draws, -1), axis=0, return_counts=True)
    space = OutcomeSpace("multiclass", tuple(str(k) for k in range(number)), 1, number * (number + 1))

    def cells(matrix: Floats | NDArray[np.int64]) -> NDArray[np.generic]:
        padded = np.concatenate([matrix, np.zeros((*matrix.shape[:-1], 1), dtype=matrix.dtype)], axis=-1)
        return padded.reshape(*matrix.shape[:-2], 1, -1)

    logs = cells(kinds.reshape(-1, number, number))
    truth = metric.of(space.confusion(cells(np.array(sizes)[:, None] * shares)))
    found = pooled_bounds(
        metric,
        space.confusion(logs),
        _of_family(),
        disjoint=True,
        error=row_errors(space, logs, metric),
        exact=True,
    )
    return _alarm(float(times @ (found.high < truth)) / draws, draws)


def _of_family() -> float:
    return float(1 - 0.95 ** (1 / SLICES))


def _alarm(single: float, draws: int) -> Measured:
    """The family's error; as many families as the draws make."""
    return Measured(float(1 - (1 - single) ** SLICES), max(draws // SLICES, 1))


# --- Plans --------------------------------------------------------------------------------------

# Rule, limit, hits and rows of the slice, and of its comparator.
PLANS = (
    ("at_least", 0.85, 90, 100, None),
    ("at_least", 0.85, 80, 100, None),
    ("at_least", 0.95, 78, 80, None),
    ("at_least", 0.95, 180, 200, None),
    ("gap_at_most", 0.10, 86, 100, (450, 500)),
    ("gap_at_most", 0.05, 80, 100, (450, 500)),
)


def plans_section(runs: int) -> Iterator[str]:
    """Whether a plan decides as often as it says."""
    yield "## What would decide"
    yield ""
    yield (
        f"The rows at hand are kept, the stated number is added with the present estimates as the truth, "
        f"{runs:,} times: how often a decision follows (80% is promised; *fails* is read at 1 - .001)."
    )
    yield ""
    yield "| rule | at hand | added | decided % |"
    yield "|---|---|---:|---:|"
    for rule, limit, hits, rows, other in PLANS:
        units, found = plan_power(rule, limit, hits, rows, other, runs)
        beside = "" if other is None else f" beside {other[0]} of {other[1]}"
        yield f"| {rule} {limit:g} | {hits} of {rows}{beside} | {units:,} | {found} |"
    yield ""


def plan_power(
    rule: str, limit: float, hits: int, rows: int, other: tuple[int, int] | None, runs: int
) -> tuple[int, Measured]:
    """The report's number for a recall, and how often it decides where the estimates are the truth."""
    rng = np.random.default_rng([SEED, hits, rows, round(1000 * limit), runs])
    joint = 0.999
    units = _plan(rule, limit, hits, rows, other, joint)
    size = rows + units
    more = hits + rng.binomial(units, hits / rows, runs)
    recall = METRICS["recall"]
    if other is None:
        own, family = (
            bounds(recall, recall_only(more, size), alpha, exact=exact)
            for alpha, exact in ((0.05, False), (1 - joint, True))
        )
        decided = (own.low >= limit) | (family.high < limit)
        return units, Measured(float(decided.mean()), runs)
    grown = round(other[1] * units / rows)
    beside = recall_only(other[0] + rng.binomial(grown, other[0] / other[1], runs), other[1] + grown)
    tables = recall_only(more, size), beside
    point = gaps(recall, *tables, 0.05, tested=False).difference
    far = hull(
        gaps(recall, *tables, 1 - joint, exact=True).difference,
        gaps(recall, *tables, 1 - joint, tested=False).difference,
    )
    decided = ((point.low >= -limit) & (point.high <= limit)) | (far.low > limit) | (far.high < -limit)
    return units, Measured(float(decided.mean()), runs)


def _plan(rule: str, limit: float, hits: int, rows: int, other: tuple[int, int] | None, joint: float) -> int:
    """As a finding has it: with the limits that it was read from."""
    named = Rule.model_validate({"id": "plan", "metric": "recall", rule: limit, "attributes": ["group"]})
    kind, _ = kind_of(named)
    target = Target(named, kind, limit, OVERALL, None, None)
    recall, mine = METRICS["recall"], recall_only(np.array([hits]), rows)
    own = Estimate("recall", hits / rows, None, None, rows, "")
    if other is None:
        found = bounds(recall, mine, 0.05)
        more = for_decision(target, "recall", own, None, 0.95, _jointly(joint), _ends(found))
    else:
        found = gaps(recall, mine, recall_only(np.array([other[0]]), other[1]), 0.05, tested=False).difference
        beside = Estimate("recall", other[0] / other[1], None, None, other[1], "")
        nothing = Limits(None, None, None)
        disparity = Disparity("recall", "complement", nothing, nothing, None, None, "", comparator=beside)
        more = for_decision(target, "recall", own, disparity, 0.95, _jointly(joint), _ends(found))
    assert more.units is not None, "these plans have a number"
    return more.units


def _jointly(level: float) -> Simultaneous:
    return Simultaneous("recall", "value", None, None, None, level, "")


def _ends(found: Bounds) -> tuple[float, float]:
    return float(found.low[0]), float(found.high[0])
