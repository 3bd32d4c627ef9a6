"""BCa limits against R's boot on tie-free data (conventions for ties differ: ours are mid-ranks).

library(boot)                                                              # boot 1.3.28.1
x <- c(2.31, 0.47, 5.86, 1.12, 3.94, 0.83, 7.45, 2.07, 1.58, 4.29,
       0.19, 9.73, 1.96, 3.38, 0.64, 2.72, 6.11, 1.41, 0.98, 5.03)
f <- function(d, i) mean(d[i]);  r <- function(d, i) { e <- d[i]; sd(e) / mean(e) }
set.seed(1); b <- boot(x, f, R = 199999)
boot.ci(b, type = "bca", L = empinf(b, type = "jack"))$bca[4:5]            # "2.157000" "4.437500"
set.seed(1); b <- boot(x, r, R = 199999)
boot.ci(b, type = "bca", L = empinf(b, type = "jack"))$bca[4:5]            # "0.651652" "1.154735"
set.seed(2), the same                                                      # "0.652327" "1.150819"
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from slices.resampling import acceleration, bca_limits

_FIRST = [2.31, 0.47, 5.86, 1.12, 3.94, 0.83, 7.45, 2.07, 1.58, 4.29]
_SECOND = [0.19, 9.73, 1.96, 3.38, 0.64, 2.72, 6.11, 1.41, 0.98, 5.03]
X = np.array([*_FIRST, *_SECOND])


def variation(rows: np.ndarray) -> np.ndarray:
    return rows.std(-1, ddof=1) / rows.mean(-1)


@pytest.mark.parametrize(
    ("statistic", "expected", "noise"),
    [
        (lambda rows: rows.mean(-1), (2.157000, 4.437500), 0.015),
        (variation, (0.651652, 1.154735), 0.006),
    ],
)
def test_limits(
    statistic: Callable[[np.ndarray], np.ndarray], expected: tuple[float, float], noise: float
) -> None:
    rng = np.random.default_rng(1)
    replicates = np.sort(statistic(X[rng.integers(0, 20, (199_999, 20))]))
    left_out = statistic(np.array([np.delete(X, i) for i in range(20)]))
    found = bca_limits(replicates, float(statistic(X)), float(acceleration(left_out, np.ones(20))), 0.05)
    assert found == pytest.approx(expected, abs=noise)
    # The percentile limits are elsewhere: the test can tell BCa from them.
    percentile = np.quantile(replicates, [0.025, 0.975])
    assert abs(percentile[1] - expected[1]) > 3 * noise
