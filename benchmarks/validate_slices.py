"""Measure the statistics' own coverage, false alarms and power; write docs/validation-slices.md.

    python -m benchmarks.validate_slices [--runs N] [--out docs/validation-slices.md]

Every interval is taken as `slices.analysis.analyse` selects it, from logs with a known truth.
Rows as units: exact coverage by enumeration of every count (no Monte Carlo error but that of the
bootstrap's own draws). Everything else: simulation, with its Monte Carlo error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binom

from benchmarks.simulated_logs import (
    beta_binomial,
    log_of_cluster_pairs,
    log_of_clusters,
    log_of_rows,
    recall_only,
    repetition,
)
from benchmarks.validate_composites import composites_section
from benchmarks.validate_more import more_sections
from benchmarks.validation_measures import RESAMPLES, SEED, Measured, measured, selected_limits
from slices.analysis import analyse
from slices.counts import CountedLog
from slices.records import Tested

Floats = NDArray[np.float64]

SUPPORTS = (10, 15, 20, 29, 30, 31, 40, 59, 60, 67, 100, 200, 500, 599, 600, 700, 1000, 1500, 2000, 5000)
# Off the lattice on purpose: at round shares a count can lie on a limit, and coverage looks better.
SHARES = np.arange(0.50, 0.99, 0.00025) + 0.00013


# --- Rows ---------------------------------------------------------------------------------------


def limits_of_every_count(n: int) -> tuple[NDArray[np.int64], Floats, Floats]:
    """The selected interval of recall for every count that any grid share makes likely."""
    least = int(binom.ppf(1e-9, n, SHARES[0]))
    counts = np.arange(least, n + 1)
    low, high = selected_limits(log_of_rows(recall_only(counts, n)), "recall")
    return counts, low, high


def exact_coverage(n: int, counts: NDArray[np.int64], low: Floats, high: Floats) -> Floats:
    """Coverage at each grid share: the probability of the counts whose interval holds it."""
    found = []
    for shares in np.array_split(SHARES[:, None], 20):
        weight = binom.pmf(counts[None, :], n, shares)
        found.append((weight * ((low <= shares) & (shares <= high))).sum(1))
    return np.concatenate(found)


def falls(low: Floats, high: Floats) -> int:
    """How often a limit lies below that of one count less."""
    return int(np.sum(np.diff(low) < 0) + np.sum(np.diff(high) < 0))


def smoothed(coverage: Floats) -> Floats:
    """Average over shares within .03 of each grid share."""
    first, last = np.searchsorted(SHARES, SHARES - 0.03), np.searchsorted(SHARES, SHARES + 0.03)
    sums = np.append(0.0, np.cumsum(coverage))
    return np.asarray((sums[last] - sums[first]) / (last - first))


def rows_section(supports: tuple[int, ...] = SUPPORTS) -> Iterator[str]:
    """Exact coverage by support."""
    yield "## Proportions, rows as units: exact coverage"
    yield ""
    yield (
        "Every count of every support was given to the analysis; the coverage at each of "
        f"{SHARES.size:,} true shares from {SHARES[0]:.5f} to {SHARES[-1]:.5f}, off the lattice of counts, "
        "is then a sum of binomial probabilities, without simulation. *Falls*: counts whose limits lie "
        "below those of one count less. *Lattice* shares have fewer than 4 expected rows on the rarer "
        "side (n(1 − p) < 4): no interval that covers at least 93.5% there can avoid covering too much."
    )
    yield ""
    yield (
        "| support | lowest coverage % | at p | mean % | highest average over p ± .03 %, lattice left out | "
        "mean width at p = .9 | zero width | falls |"
    )
    yield "|---:|---:|---:|---:|---:|---:|---:|---:|"
    for n in supports:
        counts, low, high = limits_of_every_count(n)
        coverage = exact_coverage(n, counts, low, high)
        worst = int(coverage.argmin())
        regular = n * (1 - SHARES) >= 4
        upper = f"{100 * smoothed(coverage)[regular].max():.1f}" if regular.any() else "all lattice"
        width = float(binom.pmf(counts, n, 0.9) @ (high - low))
        yield (
            f"| {n:,} | {100 * coverage[worst]:.1f} | {SHARES[worst]:.4f} | {100 * coverage.mean():.1f} | "
            f"{upper} | {width:.3f} | {int(np.sum(high <= low))} | {falls(low, high)} |"
        )
    yield ""


# --- Patients -----------------------------------------------------------------------------------


def clustered_coverage(
    patients: int,
    images: tuple[int, int],
    share: float,
    correlation: float,
    runs: int,
) -> Measured:
    """Coverage of recall with several images a patient; ``images``: least and most, drawn evenly."""
    rng = np.random.default_rng([SEED, patients, *images, round(1000 * share), round(1000 * correlation)])
    clusters = []
    for _ in range(runs):
        sizes = rng.integers(images[0], images[1] + 1, patients)
        clusters.append(recall_only(beta_binomial(rng, sizes, share, correlation), sizes))
    low, high = selected_limits(log_of_clusters(clusters), "recall")
    return measured(low, high, share)


PATIENTS = (15, 40, 150, 600, 2000)
IMAGES = ((2, 2), (4, 4), (10, 10), (1, 10))
CORRELATIONS = (0.0, 0.1, 0.3, 0.5)
CLUSTERED_SHARES = (0.5, 0.9, 0.95, 0.99)
GAPS = ((20, 200), (60, 600), (300, 3000), (700, 1400))


def patients_section(runs: int, patients: tuple[int, ...] = PATIENTS) -> Iterator[str]:
    """Coverage by patients, images, correlation and share."""
    yield "## Proportions, patients as units"
    yield ""
    yield (
        f"{runs:,} logs a cell, half as many from 600 patients on; recall; each patient's own rate is drawn "
        "from a Beta law with the stated intra-class correlation. *1–10*: the number of images differs."
    )
    yield ""
    yield "| patients | images | ICC | " + " | ".join(f"p = {p:g}" for p in CLUSTERED_SHARES) + " |"
    yield "|---:|---:|---:|" + "---:|" * len(CLUSTERED_SHARES)
    zero, lowest = 0, (1.0, "")
    for number, images, correlation in product(patients, IMAGES, CORRELATIONS):
        # The corners of the grid stand for logs of 2,000 patients, which take their time.
        if number >= 2000 and not (correlation in (0.0, 0.5) and images in ((4, 4), (1, 10))):
            continue
        fewer = runs if number < 600 else runs // 2
        cells = [clustered_coverage(number, images, p, correlation, fewer) for p in CLUSTERED_SHARES]
        label = f"{images[0]}" if images[0] == images[1] else f"{images[0]}–{images[1]}"
        for p, cell in zip(CLUSTERED_SHARES, cells, strict=True):
            zero += cell.zero_width
            lowest = min(
                lowest, (cell.share, f"{number} patients, {label} images, ICC {correlation:g}, p {p:g}")
            )
        yield f"| {number:,} | {label} | {correlation:g} | " + " | ".join(str(c) for c in cells) + " |"
    yield ""
    yield f"Lowest: {100 * lowest[0]:.1f}% ({lowest[1]}). Intervals of zero width: {zero}."
    yield ""


# --- Differences and ratios ---------------------------------------------------------------------


def gap_coverage(n: int, other: int, share: float, gap: float, runs: int) -> list[Measured]:
    """Coverage of a slice less its complement, and over it."""
    rng = np.random.default_rng([SEED, n, other, round(1000 * share), round(1000 * gap)])
    inside = recall_only(rng.binomial(n, share - gap, runs), n)
    outside = recall_only(rng.binomial(other, share, runs), other)
    return covered_gaps(log_of_rows(inside, outside), share - gap, share)


def clustered_gap_coverage(
    patients: tuple[int, int, int], share: float, correlation: float, gap: float, runs: int
) -> list[Measured]:
    """The same between patients of 8 rows: inside the slice, outside it, half in each.

    ``correlation``: of the rows of one patient, inside and outside alike.
    """
    rng = np.random.default_rng([SEED, *patients, round(1000 * share), round(1000 * correlation)])
    here = np.repeat([8, 0, 4], patients)
    scale = (1 - correlation) / correlation
    logs = []
    for _ in range(runs):
        # One difficulty a patient: the quantile of the rate on either side.
        rank = rng.random(here.size)
        rates = [beta.ppf(rank, p * scale, (1 - p) * scale) for p in (share - gap, share)]
        sizes = [here, 8 - here]
        sides = [recall_only(rng.binomial(n, p), n) for n, p in zip(sizes, rates, strict=True)]
        logs.append(np.stack(sides, axis=1))
    return covered_gaps(log_of_cluster_pairs(logs), share - gap, share)


def covered_gaps(log: CountedLog, inside: float, outside: float) -> list[Measured]:
    """Coverage of difference and ratio in a log whose every slice has the same truth."""
    analysis = analyse(log, metrics=("recall",), resamples=RESAMPLES, seed=SEED, threads=1)
    found = [record.disparities[0] for record in analysis.slices]
    result = []
    for quantity, truth in (("difference", inside - outside), ("ratio", inside / outside)):
        limits = [getattr(d, quantity) for d in found]
        low = np.array([limit.low for limit in limits], dtype=np.float64)
        high = np.array([np.inf if limit.high is None else limit.high for limit in limits], dtype=np.float64)
        result.append(measured(low, high, truth))
    return result


def gaps_section(runs: int) -> Iterator[str]:
    """Coverage of differences and ratios between a slice and its complement."""
    yield "## Differences and ratios, slice against complement"
    yield ""
    yield f"{runs:,} logs a cell; rows as units; p: recall of the complement; gap: the slice lies lower."
    yield ""
    yield "| slice | complement | p | gap | difference % | ratio % | zero width |"
    yield "|---:|---:|---:|---:|---:|---:|---:|"
    for (n, other), share, gap in product(GAPS, (0.7, 0.9, 0.97), (0.0, 0.1)):
        # The bootstrap takes its time.
        difference, ratio = gap_coverage(n, other, share, gap, runs if n < 600 else runs // 2)
        zero = difference.zero_width + ratio.zero_width
        yield f"| {n} | {other:,} | {share:g} | {gap:g} | {difference} | {ratio} | {zero} |"
    for n, other, share in ((700, 700, 0.985), (600, 6000, 0.99), (1000, 9000, 0.99)):
        difference, ratio = gap_coverage(n, other, share, 0.0, runs // 2)
        zero = difference.zero_width + ratio.zero_width
        yield f"| {n} | {other:,} | {share:g} | 0 | {difference} | {ratio} | {zero} |"
    yield ""
    yield (
        "Patients as units, 8 rows each: all inside the slice, all outside it, or half and half; one "
        "difficulty a patient."
    )
    yield ""
    yield "| patients inside, outside, both | p | ICC | gap | difference % | ratio % | zero width |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for patients, share, correlation, gap in product(
        ((15, 60, 0), (40, 40, 40), (150, 600, 0), (0, 0, 100)), (0.8, 0.95), (0.1, 0.5), (0.0, 0.05)
    ):
        difference, ratio = clustered_gap_coverage(patients, share, correlation, gap, runs)
        zero = difference.zero_width + ratio.zero_width
        named = ", ".join(str(number) for number in patients)
        yield f"| {named} | {share:g} | {correlation:g} | {gap:g} | {difference} | {ratio} | {zero} |"
    yield ""


# --- The gate -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Gate:
    """Exact probabilities for one slice of a family, from the limits of every count.

    Attributes
    ----------
    fails, meets, meets_jointly : float
        One slice *fails* (simultaneous limits), *meets* (pointwise), would *meet* simultaneously.
    """

    fails: float
    meets: float
    meets_jointly: float


def gate(share: float, n: int, slices: int, floor: float) -> Gate:
    """How a slice of ``n`` rows with a true share fares against a floor, in a family of so many slices.

    A log with one slice for every count that is likely, and repeats of the first up to the family's
    size, gives the analysis's own limits of every count; their probabilities are binomial.
    """
    likely = np.flatnonzero(binom.pmf(np.arange(n + 1), n, share) > 1e-14)
    assert likely.size <= slices, "the family is smaller than the number of likely counts"
    counts = np.concatenate([likely, np.full(slices - likely.size, likely[0])])
    pointwise, jointly = gate_limits(counts, n)
    weight = binom.pmf(likely, n, share)
    first = slice(0, likely.size)
    return Gate(
        fails=float(weight @ (jointly[first, 1] < floor)),
        meets=float(weight @ (pointwise[first] >= floor)),
        meets_jointly=float(weight @ (jointly[first, 0] >= floor)),
    )


def gate_limits(counts: NDArray[np.int64], n: int) -> tuple[Floats, Floats]:
    """Lower pointwise and both simultaneous limits of a log's slices, all of them tested for recall."""
    tested = tuple(Tested(repetition(i), None, "recall", "value", None) for i in range(counts.size))
    log = log_of_rows(recall_only(counts, n))
    analysis = analyse(log, metrics=("recall",), tested=tested, resamples=RESAMPLES, seed=SEED, threads=1)
    pointwise = np.array([record.estimates[0].low for record in analysis.slices], dtype=np.float64)
    jointly = [(record.simultaneous[0].low, record.simultaneous[0].high) for record in analysis.slices]
    return pointwise, np.array(jointly, dtype=np.float64)


def simulated_false_alarm(share: float, n: int, slices: int, runs: int) -> Measured:
    """Share of whole logs of null slices in which any slice fails."""
    rng = np.random.default_rng([SEED, n, slices, round(1000 * share)])
    fails = [
        bool(np.any(gate_limits(rng.binomial(n, share, slices), n)[1][:, 1] < share)) for _ in range(runs)
    ]
    return Measured(float(np.mean(fails)), runs)


def gate_section(runs: int) -> Iterator[str]:
    """Family-wise error of *fails*, power of *meets*."""
    slices = 400
    yield "## The gate: false alarms among 400 slices, and the power to meet"
    yield ""
    yield (
        "400 independent slices whose true recall equals the floor: every *fails* is a false alarm. *Fails* "
        "is read from simultaneous limits; at most 5% of logs may show one. *Meets* is read from the "
        "pointwise interval: a slice exactly at the floor meets wrongly with about 2.5% (more where counts "
        "are coarse), and a release, which needs every slice to meet, never more often than its worst "
        f"slice. Exact, from the analysis's limits of every count; beside it {runs} simulated logs."
    )
    yield ""
    yield "| floor = truth | rows | any of 400 fails, exact % | simulated % | one wrongly meets % |"
    yield "|---:|---:|---:|---:|---:|"
    for share, n in product((0.90, 0.95, 0.98), (50, 500)):
        found = gate(share, n, slices, share)
        familywise = 1 - (1 - found.fails) ** slices
        alarms = simulated_false_alarm(share, n, slices, runs)
        yield f"| {share:g} | {n} | {100 * familywise:.2f} | {alarms} | {100 * found.meets:.2f} |"
    yield ""
    yield (
        "What reading *meets* from the simultaneous interval would lose, in slices that truly exceed a "
        "floor of .85 (probability that one slice meets, and that all of 10 such slices do):"
    )
    yield ""
    yield "| truth | rows | one, pointwise % | one, jointly % | all 10, pointwise % | all 10, jointly % |"
    yield "|---:|---:|---:|---:|---:|---:|"
    for share, n in product((0.90, 0.95), (100, 200, 500, 1000)):
        found = gate(share, n, slices, 0.85)
        one = f"{100 * found.meets:.1f} | {100 * found.meets_jointly:.1f}"
        ten = f"{100 * found.meets**10:.1f} | {100 * found.meets_jointly**10:.1f}"
        yield f"| {share:g} | {n:,} | {one} | {ten} |"
    yield ""


# --- The whole ----------------------------------------------------------------------------------


def document(runs: int, gate_runs: int, say: Callable[[str], None]) -> str:
    """The page, section by section."""
    # The grid of patients is the widest promise: it gets the most runs.
    fewer = runs * 2 // 5
    sections: list[tuple[str, Iterator[str]]] = [
        ("rows", rows_section()),
        ("patients", patients_section(runs)),
        ("composites", composites_section(fewer)),
        ("gaps", gaps_section(fewer)),
        ("gate", gate_section(gate_runs)),
        *more_sections(fewer),
    ]
    lines = [
        "# Measured coverage and false alarms of the slice statistics",
        "",
        "Written by `python -m benchmarks.validate_slices`; do not edit. Nominal confidence 95% throughout, "
        f"{RESAMPLES:,} resamples, which is the default: what is measured is what the tool selects. "
        f"Figures after ± are one Monte Carlo standard error. Seed {SEED}.",
        "",
    ]
    for name, section in sections:
        say(name)
        lines += list(section)
    return "\n".join(lines).rstrip() + "\n"


def write(path: Path, *, runs: int = 1_000, gate_runs: int = 40) -> None:
    """Measure everything and write the page."""
    text = document(runs, gate_runs, lambda name: print(f"validate: {name}", file=sys.stderr, flush=True))
    path.write_text(text, encoding="utf-8")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--runs", type=int, default=1_000, help="simulated logs a cell of the grid of patients"
    )
    parser.add_argument("--gate-runs", type=int, default=40, help="simulated logs of 400 slices a cell")
    parser.add_argument("--out", type=Path, default=Path("docs/validation-slices.md"))
    options = parser.parse_args()
    write(options.out, runs=options.runs, gate_runs=options.gate_runs)


if __name__ == "__main__":
    main()
