"""Exact coverage of a proportion's limits where they are drawn on request, and how often they fall.

python -m benchmarks.drawn_proportions

Every count of each support is given to the analysis with ``[statistics] proportions = "bootstrap"``; the
coverage at a true share is then a sum of binomial probabilities. *Falls*: limits below those of one count
less.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import binom

from benchmarks.simulated_logs import log_of_rows, recall_only
from benchmarks.validation_measures import RESAMPLES, SEED
from slices.analysis import analyse

SUPPORTS = (600, 1000, 2000)
SHARES = np.linspace(0.50013, 0.98988, 1960)


def main() -> None:
    """Print a row a support."""
    print("| support | lowest coverage % | at p | mean % | falls |")
    print("|---:|---:|---:|---:|---:|")
    for n in SUPPORTS:
        counts = np.arange(int(0.4 * n), n + 1)
        log = log_of_rows(recall_only(counts, n))
        analysis = analyse(
            log, metrics=("recall",), resamples=RESAMPLES, seed=SEED, threads=1, drawn_proportions=True
        )
        found = [record.estimates[0] for record in analysis.slices]
        low, high = (np.array([getattr(one, end) for one in found]) for end in ("low", "high"))
        covered = np.array(
            [binom.pmf(counts, n, share)[(low <= share) & (share <= high)].sum() for share in SHARES]
        )
        falls = int((np.diff(low) < 0).sum() + (np.diff(high) < 0).sum())
        at, lowest, mean = SHARES[covered.argmin()], 100 * covered.min(), 100 * covered.mean()
        print(f"| {n:,} | {lowest:.1f} | {at:.4f} | {mean:.1f} | {falls} |")


if __name__ == "__main__":
    main()
