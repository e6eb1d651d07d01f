"""Tests and confidence bounds that are not bets: counts, quantiles, equivalence, rates, several tests, rounding.

``level`` is always the probability of a wrong statement, and one-sided where a pair of confidence bounds is returned.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from theory.statistics.probability import proper_probability

__all__ = [
    "Slope",
    "binomial_p_value",
    "clopper_pearson",
    "deterministic_slack",
    "geometric_mean",
    "holm",
    "median_interval",
    "quantile_interval",
    "rate_slope",
    "tost",
    "z_p_value",
]

Floats = NDArray[np.float64]

ROUNDING = 8.0
"""Constant c of the rounding slack; 300 exactly rank-deficient matrices needed at most 0.7."""


def _counts(failures: ArrayLike, trials: int) -> Floats:
    counts = np.asarray(failures, dtype=np.float64)
    if trials < 1 or (counts < 0).any() or (counts > trials).any():
        raise ValueError(f"failures = {counts} of trials = {trials}; need trials >= 1 and 0 <= failures <= trials")
    return counts


def clopper_pearson(failures: ArrayLike, trials: int, level: float) -> tuple[Floats, Floats]:
    """Return one-sided lower and upper confidence bounds of a failure probability, each wrong with prob. <= level.

    Parameters
    ----------
    failures : integers, (...)
        How often the statement failed.
    trials : int
        Number of independent trials behind each count.
    level : float
        Error probability of *each* bound; both together hold with probability 1 - 2 level.

    Returns
    -------
    lower, upper : float64, (...)

    Notes
    -----
    Clopper & Pearson 1934: Beta^-1(level; x, n - x + 1) and Beta^-1(1 - level; x + 1, n - x).
    """
    x = _counts(failures, trials)
    proper_probability("level", level)
    # a count of 0 has the lower bound 0, a count of all trials the upper bound 1; the maxima keep the arguments valid
    lower = np.where(x > 0, special.betaincinv(np.maximum(x, 1.0), trials - x + 1.0, level), 0.0)
    room = np.maximum(trials - x, 1.0)
    upper = np.where(x < trials, special.betaincinv(x + 1.0, room, 1.0 - level), 1.0)
    return lower, upper


def binomial_p_value(failures: ArrayLike, trials: int, delta: ArrayLike) -> Floats:
    """Return P{Bin(trials, delta) >= failures}: small values refute a failure probability of at most ``delta``.

    Notes
    -----
    Exact. It is at most ``level`` precisely where the lower bound of ``clopper_pearson`` is at least ``delta``.
    """
    x = _counts(failures, trials)
    delta = np.clip(np.asarray(delta, dtype=np.float64), 0.0, 1.0)  # a delta above 1 claims no more than 1 does
    # the binomial tail as an incomplete beta function, without a sum that cancels
    tail = special.betainc(np.maximum(x, 1.0), trials - x + 1.0, delta)
    return np.where(x > 0, tail, 1.0)


def _standardized(x: ArrayLike, expected: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return deviation of the mean and its standard error in units of the scale, and the scale: the largest |x|."""
    x, target = np.asarray(x, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    if x.ndim < 1 or x.shape[0] < 2:
        raise ValueError(f"x has shape {x.shape}; a standard error needs at least 2 trials on the first axis")
    largest = np.maximum(np.abs(x).max(axis=0), np.abs(target))
    # the power of two up to the largest, so that scaling is exact and no scale overflows or vanishes; without it the
    # squares of tiny numbers vanish and all are "equal"
    scale: Floats = np.asarray(np.ldexp(1.0, np.frexp(largest)[1] - 1))
    # division by a power of two is exact
    x = x / scale
    error = x.std(axis=0, ddof=1) / np.sqrt(x.shape[0])
    return np.asarray(x.mean(axis=0) - target / scale), np.asarray(error), scale


def z_p_value(x: ArrayLike, expected: ArrayLike) -> Floats:
    """Return the two-sided normal p-value of E X = expected; asymptotic, for light tails.

    Parameters
    ----------
    x : float64, (trials, ...)
        May have any sign. A constant sample has p-value 1 if it equals ``expected``, else 0.
    expected : float64, broadcastable to (...)
        The mean that the identity states.

    Returns
    -------
    float64, (...)
    """
    deviation, error, _ = _standardized(x, expected)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(error > 0, np.abs(deviation) / error, np.where(deviation == 0, 0.0, np.inf))
    return np.asarray(2.0 * stats.norm.sf(z))


def tost(x: ArrayLike, expected: ArrayLike, margin: float, level: float) -> NDArray[np.bool_]:
    """Declare E X equal to ``expected`` within the relative ``margin``, by two one-sided tests; asymptotic.

    Parameters
    ----------
    x : float64, (trials, ...)
        The sample, one statistic per trial.
    expected : float64, broadcastable to (...), not zero
        The mean that the identity states.
    margin : float
        Positive, relative to ``expected``.
    level : float
        Probability of declaring an identity that is off by ``margin`` or more.

    Returns
    -------
    bool, (...)
        False where the sample is too small or the identity fails; the test does not tell these apart.
    """
    if not margin > 0:
        raise ValueError(f"margin is {margin}; equality within nothing cannot be shown, pass a positive margin")
    deviation, error, scale = _standardized(x, expected)
    room = margin * np.abs(np.asarray(expected, dtype=np.float64) / scale)
    return np.asarray(np.abs(deviation) + stats.norm.isf(proper_probability("level", level)) * error < room)


class Slope(NamedTuple):
    """Fitted exponent of a power law with its confidence interval.

    Examples
    --------
    >>> from theory.statistics import rate_slope
    >>> fit = rate_slope([1, 2, 4, 8], [1.0, 0.5, 0.25, 0.125], level=0.05)
    >>> round(fit.slope, 4), round(fit.upper - fit.lower, 4)
    (-1.0, 0.0)
    """

    slope: float
    lower: float
    upper: float


def rate_slope(sizes: ArrayLike, errors: ArrayLike, level: float) -> Slope:
    """Return the log-log slope of errors against sizes with its 1 - level confidence interval.

    Parameters
    ----------
    sizes : positive, (s,)
        At least four different values.
    errors : positive, (s,) or (trials, s)
        Independent trials at each size narrow the interval; their logarithms are fitted.
    level : float
        Two-sided error probability of the interval.

    Notes
    -----
    Least squares with Student's t on ``errors.size - 2`` degrees of freedom: exact for a pure power law with
    lognormal noise; a curvature widens the interval.
    """
    x, y = np.asarray(sizes, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    if x.ndim != 1 or len(np.unique(x)) < 4:
        raise ValueError(f"sizes = {x.tolist()} hold fewer than four different values; no rate is read off fewer")
    if y.shape[-1:] != x.shape or y.ndim > 2:
        raise ValueError(f"errors has shape {y.shape}; expected ({len(x)},) or (trials, {len(x)})")
    if not (x > 0).all() or not ((y > 0) & np.isfinite(y)).all():
        raise ValueError("sizes and errors must be positive and finite; drop sizes where the method is exact")
    fit = stats.linregress(np.log(np.broadcast_to(x, y.shape)).ravel(), np.log(y).ravel())
    spread = 0.0 if y.min() == y.max() else fit.stderr  # equal errors lie on their line; linregress gives NaN
    reach = float(stats.t.isf(proper_probability("level", level) / 2.0, y.size - 2) * spread)
    slope = float(fit.slope)
    return Slope(slope, slope - reach, slope + reach)


def quantile_interval(x: ArrayLike, probability: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return order statistics that enclose a quantile with the given confidence, whatever the distribution.

    Parameters
    ----------
    x : float64, (n,), independent
        The sample, one statistic per trial.
    probability : float
        Which quantile; 0.5 is the median.
    confidence : float
        Each side is missed with probability at most (1 - confidence) / 2.

    Returns
    -------
    lower, upper : float
        Infinite where n is too small for a bound on that side (for the median at 95 %: n < 6).
    """
    ordered = np.sort(np.asarray(x, dtype=np.float64).ravel())
    n, miss = len(ordered), (1.0 - proper_probability("confidence", confidence)) / 2.0
    if n < 1 or np.isnan(ordered).any():
        raise ValueError(f"x holds {n} values, NaN included; pass at least one number and no NaN")
    proper_probability("probability", probability)
    ranks = np.arange(n)
    # P{quantile < x_(i)} <= P{Bin < i} and P{quantile > x_(i)} <= P{Bin >= i}, ranks from 1
    low = int(np.sum(stats.binom.cdf(ranks, n, probability) <= miss))
    high = int(np.sum(stats.binom.sf(ranks, n, probability) > miss))
    lower = float(ordered[low - 1]) if low >= 1 else -np.inf
    upper = float(ordered[high]) if high < n else np.inf
    return lower, upper


def median_interval(x: ArrayLike, confidence: float = 0.95) -> tuple[float, float]:
    """Return order statistics that enclose the median with the given confidence; see ``quantile_interval``."""
    return quantile_interval(x, 0.5, confidence)


def holm(p_values: ArrayLike) -> Floats:
    """Return Holm's adjusted p-values: rejecting those <= level errs at all with probability <= level.

    Any dependence between the tests is allowed. Holm 1979. The shape is kept.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if np.isnan(p).any() or (p < 0).any() or (p > 1).any():
        raise ValueError("p_values must lie in [0, 1] and hold no NaN; leave out what was not applicable")
    flat = p.ravel()
    order = np.argsort(flat, kind="stable")
    adjusted = np.empty_like(flat)
    # the k-th smallest p-value is multiplied by the number of hypotheses not yet rejected; the maximum keeps the order
    adjusted[order] = np.minimum(np.maximum.accumulate(flat[order] * np.arange(flat.size, 0, -1)), 1.0)
    return adjusted.reshape(p.shape)


def geometric_mean(x: ArrayLike) -> float:
    """Return the geometric mean of non-negative ratios; zero if one of them is zero."""
    x = np.asarray(x, dtype=np.float64)
    if x.size == 0 or not (x >= 0).all():
        raise ValueError(f"x holds {x.size} values; pass at least one, all non-negative, none NaN")
    # the logarithm of an exact result is minus infinity
    if (x == 0).any():
        return 0.0
    return float(np.exp(np.log(x).mean()))


def deterministic_slack(
    shape: tuple[int, ...], eps: float, norm: ArrayLike, *, condition: ArrayLike = 1.0, subtraction: bool = False
) -> Floats:
    """Return the rounding allowance of a deterministic inequality: 8 max(m, n) eps ||A|| condition.

    Parameters
    ----------
    shape : tuple of int
        Of the matrix; the last two are m and n.
    eps : float
        Machine epsilon of the precision the *method* ran in: 2**-10 for TF32 products, 2**-7 for bfloat16.
    norm : float64, (...)
        Spectral norm of A; its Frobenius norm with ``subtraction``.
    condition : float64, (...)
        Product of the condition numbers that enter the right side of the bound.
    subtraction : bool
        The quantity was obtained as the root of a difference of squares: sqrt(8 max(m, n) eps) ||A||_F condition.

    Returns
    -------
    float64, (...)
    """
    if len(shape) < 2:
        raise ValueError(f"shape is {shape}; pass the shape of a matrix or of a stack of matrices")
    # a root of a difference of squares keeps half of the digits: its error is the root of the relative one
    relative = ROUNDING * max(shape[-2:]) * eps
    return np.asarray((relative**0.5 if subtraction else relative) * np.asarray(norm) * np.asarray(condition))
