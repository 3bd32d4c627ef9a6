"""Intervals: closed-form limits for proportions, their differences, ratios and means.

Pure functions on arrays, vectorised by broadcasting; every one takes ``alpha`` (an array if
need be: simultaneous inference gives each quantity its own level). Nothing here chooses between
intervals (``slices.estimates.selection`` does) and nothing draws random numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Pair = tuple[Array, Array]


def wilson(count: ArrayLike, n: ArrayLike, alpha: ArrayLike) -> Pair:
    """Limits of a proportion by inverting the score test.

    Parameters
    ----------
    count, n : array_like
        Successes and trials, ``n > 0``; effective (non-integer) numbers are allowed.
    alpha : array_like
        One minus the confidence.

    Returns
    -------
    low, high : float64 arrays

    References
    ----------
    Wilson (1927), J. Am. Stat. Assoc. 22, 209-212.
    """
    from scipy.special import ndtri

    x, size, a = np.broadcast_arrays(*_floats(count, n, alpha))
    z = -ndtri(a / 2)
    p = x / size
    centre = (p + z**2 / (2 * size)) / (1 + z**2 / size)
    half = z / (1 + z**2 / size) * np.sqrt(p * (1 - p) / size + z**2 / (4 * size**2))
    low = np.where(x <= 0, 0.0, np.clip(centre - half, 0, 1))
    return low, np.where(x >= size, 1.0, np.clip(centre + half, 0, 1))


def clopper_pearson(count: ArrayLike, n: ArrayLike, alpha: ArrayLike) -> Pair:
    """Exact limits of a proportion: never below the nominal coverage.

    Parameters and return value as in `wilson`; non-integer numbers are allowed through the
    beta distribution, as Korn and Graubard do.

    References
    ----------
    Clopper & Pearson (1934), Biometrika 26, 404-413.
    """
    from scipy.special import betaincinv

    x, size, a = np.broadcast_arrays(*_floats(count, n, alpha))
    inner_low, inner_high = x > 0, x < size
    low = np.where(inner_low, betaincinv(np.where(inner_low, x, 1), size - x + 1, a / 2), 0.0)
    high = np.where(inner_high, betaincinv(x + 1, np.where(inner_high, size - x, 1), 1 - a / 2), 1.0)
    return low, high


def jeffreys(count: ArrayLike, n: ArrayLike, alpha: ArrayLike) -> Pair:
    """Equal-tailed limits of a proportion under Jeffreys' prior; Clopper-Pearson's at 0 and ``n``.

    Parameters and return value as in `wilson`.

    References
    ----------
    Brown, Cai & DasGupta (2001), Stat. Sci. 16, 101-133, section 3.3.1 (the ends: Clopper-Pearson's
    limits instead of their modification, so that no width is 0 and none is too short there).
    """
    from scipy.special import betaincinv

    x, size, a = np.broadcast_arrays(*_floats(count, n, alpha))
    low: Array = np.asarray(betaincinv(x + 0.5, size - x + 0.5, a / 2), dtype=np.float64)
    high: Array = np.asarray(betaincinv(x + 0.5, size - x + 0.5, 1 - a / 2), dtype=np.float64)
    at_end = (x <= 0) | (x >= size)
    if np.any(at_end):
        low[at_end], high[at_end] = clopper_pearson(x[at_end], size[at_end], a[at_end])
    return low, high


def mid_p(count: ArrayLike, n: ArrayLike, alpha: ArrayLike) -> Pair:
    """Limits of a proportion by inverting the exact test with half the observed probability.

    Parameters and return value as in `wilson`. Shorter than `clopper_pearson`; its coverage is
    nominal on average over the proportion, not at each one.

    References
    ----------
    Lancaster (1961), J. Am. Stat. Assoc. 56, 223-234; Brown, Cai & DasGupta (2001),
    Stat. Sci. 16, 101-133, section 4.2.1.
    """
    from scipy.special import betainc

    x, size, a = (v.copy() for v in np.broadcast_arrays(*_floats(count, n, alpha)))

    def upper_tail(p: Array, count: Array, n: Array) -> Array:
        """P(X > count) + P(X = count) / 2 in Binomial(n, p), continued to real arguments."""
        at_least = np.where(count > 0, betainc(np.maximum(count, 1e-12), n - count + 1, p), 1.0)
        more = np.where(count < n, betainc(count + 1, np.maximum(n - count, 1e-12), p), 0.0)
        return np.asarray((at_least + more) / 2)

    exact_low, exact_high = clopper_pearson(x, size, a)
    low = _root(lambda p: upper_tail(p, x, size) - a / 2, exact_low, np.minimum(x / size, 1.0))
    high = _root(lambda p: upper_tail(p, x, size) - (1 - a / 2), x / size, exact_high)
    low = np.where(x <= 0, 0.0, low)
    high = np.where(x >= size, 1.0, high)
    # At the ends half of the observed probability is all there is: p^n / 2 = alpha / 2.
    low = np.where(x >= size, a ** (1 / size), low)
    high = np.where(x <= 0, 1 - a ** (1 / size), high)
    return low, high


def logit_t(value: ArrayLike, error: ArrayLike, df: ArrayLike, alpha: ArrayLike) -> Pair:
    """Student limits of a proportion on the logit scale, from a linearised standard error.

    Parameters
    ----------
    value : array_like
        Estimate, strictly between 0 and 1.
    error : array_like
        Its standard error (between clusters, where there are clusters).
    df : array_like
        Degrees of freedom: contributing clusters minus 1.
    alpha : array_like
        One minus the confidence.

    References
    ----------
    Korn & Graubard (1999), Analysis of Health Surveys, section 3.2.
    """
    from scipy.special import expit, logit, stdtrit

    p, se, d, a = np.broadcast_arrays(*_floats(value, error, df, alpha))
    t = -stdtrit(d, a / 2)
    scale = t * se / (p * (1 - p))
    return np.asarray(expit(logit(p) - scale)), np.asarray(expit(logit(p) + scale))


def korn_graubard(
    value: ArrayLike, n: ArrayLike, effective: ArrayLike, df: ArrayLike, alpha: ArrayLike
) -> Pair:
    """Clopper-Pearson limits at the effective sample size, adjusted for the degrees of freedom.

    Parameters
    ----------
    value : array_like
        Estimated proportion.
    n : array_like
        Denominator in rows.
    effective : array_like
        Denominator divided by the design effect; taken as at most ``n``.
    df : array_like
        Degrees of freedom of the variance: contributing clusters minus 1.
    alpha : array_like
        One minus the confidence.

    References
    ----------
    Korn & Graubard (1998), Survey Methodology 24, 193-201; Parker et al. (2017), NCHS Data
    Presentation Standards for Proportions, Vital Health Stat 2(175), page 3.
    """
    from scipy.special import stdtrit

    p, size, kish, d, a = np.broadcast_arrays(*_floats(value, n, effective, df, alpha))
    with np.errstate(invalid="ignore"):
        ratio = (stdtrit(np.maximum(size - 1, 1), a / 2) / stdtrit(np.maximum(d, 1), a / 2)) ** 2
    adjusted = np.minimum(kish * ratio, size)
    return clopper_pearson(p * adjusted, adjusted, a)


def mover_difference(
    value: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    value_other: ArrayLike,
    low_other: ArrayLike,
    high_other: ArrayLike,
    correlation: ArrayLike = 0.0,
) -> Pair:
    """Limits of a difference from the limits of its two terms (method of variance estimates recovery).

    Parameters
    ----------
    correlation : array_like
        Of the two estimates: slices share patients where there are several images a patient.

    References
    ----------
    Zou & Donner (2008), Stat. Med. 27, 1693-1702, equations 5 and 6.
    """
    v1, l1, h1, v2, l2, h2, r = _floats(value, low, high, value_other, low_other, high_other, correlation)
    d = v1 - v2
    down = _recovered(v1 - l1, h2 - v2, r)
    up = _recovered(h1 - v1, v2 - l2, r)
    return d - down, d + up


def mover_ratio(
    value: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    value_other: ArrayLike,
    low_other: ArrayLike,
    high_other: ArrayLike,
    correlation: ArrayLike = 0.0,
) -> Pair:
    """Limits of a ratio of two non-negative quantities from their limits, on the log scale.

    The comparator must be positive; its lower limit 0 gives an infinite upper limit.

    References
    ----------
    Zou & Donner (2008), Stat. Med. 27, 1693-1702, section 3.3, with logarithms: limits then
    stay positive and are never undefined.
    """
    v1, l1, h1, v2, l2, h2, r = _floats(value, low, high, value_other, low_other, high_other, correlation)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = v1 / v2
        down = _recovered(np.log(v1) - np.log(l1), np.log(h2) - np.log(v2), r)
        up = _recovered(np.log(h1) - np.log(v1), np.log(v2) - np.log(l2), r)
        lower = np.where((v1 <= 0) | (l1 <= 0), 0.0, ratio * np.exp(-down))
        # At 0 the logarithm has no distance: the limits' own ratio bounds it.
        upper = np.where(v1 > 0, ratio * np.exp(up), h1 / l2)
    return lower, upper


def mover_mean(
    values: ArrayLike, lows: ArrayLike, highs: ArrayLike, weights: ArrayLike, correlation: ArrayLike = 0.0
) -> Pair:
    """Limits of a weighted sum of quantities from their own limits.

    Parameters
    ----------
    values, lows, highs : array_like, shape (..., terms)
    weights : array_like, shape (..., terms)
        Not negative; 1 / terms each for a mean.
    correlation : array_like, shape (...)
        Of any two of the quantities; 0: independent.

    References
    ----------
    Zou, Huang & Zhang (2009), Comput. Stat. Data Anal. 53, 3755-3764; with a correlation Zou & Donner
    (2008), Stat. Med. 27, 1693-1702, equations 5 and 6.
    """
    v, low, high, w = np.broadcast_arrays(*_floats(values, lows, highs, weights))
    centre = np.sum(w * v, axis=-1)
    rho = np.asarray(correlation, dtype=np.float64)

    def together(reach: Array) -> Array:
        squares = np.sum(reach**2, axis=-1)
        crossed = np.sum(reach, axis=-1) ** 2 - squares
        return np.asarray(np.sqrt(np.maximum(squares + rho * crossed, 0.0)))

    return centre - together(w * (v - low)), centre + together(w * (high - v))


def score_p_value(count: ArrayLike, n: ArrayLike, count_other: ArrayLike, n_other: ArrayLike) -> Array:
    """Two-sided p-value of equal proportions, dual to both score intervals below.

    References
    ----------
    Miettinen & Nurminen (1985), Stat. Med. 4, 213-226, equation 9 at a difference of 0.
    """
    from scipy.special import ndtr

    x1, n1, x2, n2 = np.broadcast_arrays(*_floats(count, n, count_other, n_other))
    total = n1 + n2
    pooled = (x1 + x2) / total
    variance = pooled * (1 - pooled) * (1 / n1 + 1 / n2) * total / np.maximum(total - 1, 1)
    difference = np.abs(x1 / n1 - x2 / n2)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(difference == 0, 0.0, difference / np.sqrt(variance))
    return np.asarray(2 * ndtr(-z))


def miettinen_nurminen(
    count: ArrayLike, n: ArrayLike, count_other: ArrayLike, n_other: ArrayLike, alpha: ArrayLike
) -> Pair:
    """Score limits of a difference of two independent proportions.

    References
    ----------
    Miettinen & Nurminen (1985), Stat. Med. 4, 213-226; the restricted estimates in the closed
    form of Farrington & Manning (1990), Stat. Med. 9, 1447-1454, appendix.
    """
    from scipy.special import ndtri

    x1, n1, x2, n2, a = (
        v.copy() for v in np.broadcast_arrays(*_floats(count, n, count_other, n_other, alpha))
    )
    z = -ndtri(a / 2)
    d = x1 / n1 - x2 / n2
    total = n1 + n2

    def excess(delta: Array) -> Array:
        """Signed score statistic of ``delta`` (falls as ``delta`` rises)."""
        r1, r2 = _restricted_difference(x1, n1, x2, n2, delta)
        variance = (r1 * (1 - r1) / n1 + r2 * (1 - r2) / n2) * total / np.maximum(total - 1, 1)
        gap = d - delta
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(gap == 0, 0.0, gap / np.sqrt(variance))

    edge = 1.0
    low = _root(lambda delta: z - excess(delta), np.full_like(d, -edge), d)
    high = _root(lambda delta: -z - excess(delta), d, np.full_like(d, edge))
    return np.clip(low, -1, 1), np.clip(high, -1, 1)


def koopman(
    count: ArrayLike, n: ArrayLike, count_other: ArrayLike, n_other: ArrayLike, alpha: ArrayLike
) -> Pair:
    """Score limits of a ratio of two independent proportions (with the factor N / (N - 1)).

    The comparator's count must be positive. 0 in the slice gives the lower limit 0.

    References
    ----------
    Koopman (1984), Biometrics 40, 513-517; Miettinen & Nurminen (1985), equations 10 to 12.
    """
    from scipy.special import ndtri

    x1, n1, x2, n2, a = (
        v.copy() for v in np.broadcast_arrays(*_floats(count, n, count_other, n_other, alpha))
    )
    z = -ndtri(a / 2)
    p1, p2 = x1 / n1, x2 / n2
    total = n1 + n2

    def excess(log_ratio: Array) -> Array:
        ratio = np.exp(log_ratio)
        r2 = _restricted_ratio(x1, n1, x2, n2, ratio)
        r1 = ratio * r2
        variance = (r1 * (1 - r1) / n1 + ratio**2 * r2 * (1 - r2) / n2) * total / np.maximum(total - 1, 1)
        gap = p1 - ratio * p2
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(gap == 0, 0.0, gap / np.sqrt(np.maximum(variance, 0)))

    far = 40.0
    with np.errstate(divide="ignore"):
        middle = np.where(x1 > 0, np.log(np.where(x1 > 0, p1, 1) / p2), -far)
    low = _root(lambda log_ratio: z - excess(log_ratio), np.full_like(p1, -far), middle)
    high = _root(lambda log_ratio: -z - excess(log_ratio), middle, np.full_like(p1, far))
    return np.where(x1 > 0, np.exp(low), 0.0), np.exp(high)


def dual_p_value(limits: Callable[[Array], Pair], shape: tuple[int, ...], null: float = 0.0) -> Array:
    """Two-sided p-value dual to an interval: the largest ``alpha`` whose interval still holds ``null``.

    Parameters
    ----------
    limits : callable
        ``alpha`` (array of ``shape``) -> low, high; intervals must be nested in ``alpha``.
    shape : tuple of int
        Shape of the result.
    null : float
        The value tested.
    """
    low_z, high_z = np.zeros(shape), np.full(shape, 36.0)
    from scipy.special import ndtr

    for _ in range(50):
        z = (low_z + high_z) / 2
        low, high = limits(np.asarray(2 * ndtr(-z)))
        holds = (low <= null) & (null <= high)
        high_z = np.where(holds, z, high_z)
        low_z = np.where(holds, low_z, z)
    return np.asarray(2 * ndtr(-(low_z + high_z) / 2))


def _floats(*values: ArrayLike) -> tuple[Array, ...]:
    return tuple(np.asarray(value, dtype=np.float64) for value in values)


def _recovered(first: Array, second: Array, correlation: Array) -> Array:
    """Half-width of a difference from the half-widths of its terms."""
    return np.asarray(np.sqrt(np.maximum(first**2 + second**2 - 2 * correlation * first * second, 0.0)))


def _restricted_difference(x1: Array, n1: Array, x2: Array, n2: Array, delta: Array) -> Pair:
    """Maximum-likelihood proportions under p1 - p2 = delta (roots of a cubic, trigonometric form)."""
    theta = n2 / n1
    p1, p2 = x1 / n1, x2 / n2
    a = 1 + theta
    b = -(1 + theta + p1 + theta * p2 + delta * (theta + 2))
    c = delta**2 + delta * (2 * p1 + theta + 1) + p1 + theta * p2
    d = -p1 * delta * (1 + delta)
    v = (b / (3 * a)) ** 3 - b * c / (6 * a**2) + d / (2 * a)
    u = np.sign(v) * np.sqrt(np.maximum((b / (3 * a)) ** 2 - c / (3 * a), 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        inner = np.where(u == 0, 0.0, v / u**3)
    w = (np.pi + np.arccos(np.clip(inner, -1, 1))) / 3
    r1 = np.clip(2 * u * np.cos(w) - b / (3 * a), 0, 1)
    r1 = np.clip(r1, np.maximum(delta, 0), np.minimum(1 + delta, 1))
    return r1, np.clip(r1 - delta, 0, 1)


def _restricted_ratio(x1: Array, n1: Array, x2: Array, n2: Array, ratio: Array) -> Array:
    """Maximum-likelihood comparator proportion under p1 = ratio * p2 (the smaller root of a quadratic)."""
    a = (n1 + n2) * ratio
    b = -(n1 * ratio + x1 + n2 + x2 * ratio)
    c = x1 + x2
    root = (-b - np.sqrt(np.maximum(b**2 - 4 * a * c, 0))) / 2
    # c / root is the same root without cancellation where a is tiny.
    stable = (-b + np.sqrt(np.maximum(b**2 - 4 * a * c, 0))) / 2
    smaller = np.where(stable > 0, c / np.where(stable > 0, stable, 1), root / a)
    return np.asarray(np.clip(smaller, 0, np.minimum(1, 1 / ratio)))


def _root(function: Callable[[Array], Array], low: Array, high: Array) -> Array:
    """Root of a rising function in [low, high], elementwise; an end where there is no change of sign.

    Illinois' regula falsi with a bisection step every third time: about ten evaluations.
    """
    low, high = low.astype(np.float64).copy(), high.astype(np.float64).copy()
    f_low, f_high = function(low), function(high)
    answer = np.where(f_low >= 0, low, np.where(f_high <= 0, high, np.nan))
    done = (f_low >= 0) | (f_high <= 0)
    for step in range(100):
        if np.all(done | (high - low <= 1e-13 * np.maximum(1.0, np.abs(high)))):
            break
        with np.errstate(divide="ignore", invalid="ignore"):
            guess = (low * f_high - high * f_low) / (f_high - f_low)
        bad = ~np.isfinite(guess) | (guess <= low) | (guess >= high) | (step % 3 == 2)
        guess = np.where(bad, (low + high) / 2, guess)
        f_guess = function(guess)
        below = f_guess < 0
        # Halving the value that stays keeps the secant from stalling at one end.
        f_high = np.where(below, f_high / 2, f_guess)
        f_low = np.where(below, f_guess, f_low / 2)
        low, high = np.where(below, guess, low), np.where(below, high, guess)
    return np.where(done, answer, (low + high) / 2)
