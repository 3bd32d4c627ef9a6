"""What a validation measures, and reports as shares of runs with their Monte Carlo error."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from slices.analysis import analyse
from slices.counts import CountedLog

SEED = 20261120
# What `[statistics] resamples` is by default.
RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Measured:
    """A share of runs, the mean width of their intervals, and how many of these had none."""

    share: float
    runs: int
    width: float = 0.0
    zero_width: int = 0

    @property
    def error(self) -> float:
        """Monte Carlo standard error; never 0, since a share of 0 or 1 is not known exactly either."""
        return sqrt(max(self.share * (1 - self.share), 0.25 / self.runs) / self.runs)

    def __str__(self) -> str:
        return f"{100 * self.share:.1f} ± {100 * self.error:.1f}"


def selected_limits(
    log: CountedLog, metric: str, klass: str | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Limits of one metric in every repetition, as the analysis selects them; NaN where it has none.

    ``klass`` None: over all classes, where there are several.
    """
    analysis = analyse(log, metrics=(metric,), resamples=RESAMPLES, seed=SEED, threads=1)
    pairs = [
        (estimate.low, estimate.high)
        for record in analysis.slices
        if record.klass == klass
        for estimate in record.estimates
        if estimate.metric == metric
    ]
    limits = np.array(pairs, dtype=np.float64)
    return limits[:, 0], limits[:, 1]


def measured(low: NDArray[np.float64], high: NDArray[np.float64], truth: float) -> Measured:
    """Coverage of a truth by intervals, one a run; a NaN limit does not cover."""
    return Measured(
        float(np.mean((low <= truth) & (truth <= high))),
        low.size,
        float(np.nanmean(high - low)) if np.isfinite(high - low).any() else 0.0,
        int(np.sum(high <= low)),
    )
