"""Confidence bounds on the errors of all rows from those of few rows, drawn without replacement.

Every bound holds for any population of errors, at any number of rows, with no assumption of normality. The rows must be
drawn after everything else is fixed: rows that chose the method, its budget or a cap certify nothing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, logsumexp

from tnattn.certificate.wealth import Floats, least_excluded, log_wealth
from tnattn.scalars import as_integer, as_real

__all__ = ["below_relative", "exceeding_rows", "mean_below", "mean_floor", "mean_upper", "winsorised_mean_upper"]


def mean_upper(x: npt.ArrayLike, *, population: int, failure: float) -> Floats:
    """Return an upper confidence bound on the mean of a population of numbers in [0, 1].

    Parameters
    ----------
    x : array, (..., m)
        Drawn without replacement, in the order of the draws.
    population : int
        Number n of the population, at least m.
    failure : float
        Probability, in (0, 1), that the bound is wrong, whenever one stops: after every draw the statement holds
        with one probability for all of them.

    Returns
    -------
    array, (...)
        Between the mean of what is known with zeros elsewhere and the same with ones elsewhere; the mean itself where
        m = n.

    Raises
    ------
    ValueError
        If a number lies outside [0, 1] or is NaN, or a parameter out of range.

    Notes
    -----
    A gambler bets that the mean is below mu: with mu_t the mean that mu leaves to the rows not yet drawn, the wealth
    prod_t (1 + lambda (mu_t - x_t) / (1 - mu_t)) is a martingale under the true mean, and so is its mixture over lambda
    (Ville's inequality). The bound is the largest mu against which no wealth has reached 1 / failure. O(m) for each of
    24 bisections.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.certificate import mean_upper
    >>> x = np.random.default_rng(0).exponential(0.03, 256).clip(0, 1)
    >>> round(float(mean_upper(x, population=4096, failure=1e-3)), 2)
    0.06
    """
    x = in_unit_interval(x)
    m = x.shape[-1]
    population = as_integer(population, "population", least=m)
    most = -math.log(probability(failure))
    total = np.sum(x, axis=-1)
    low, high = total / population, (total + population - m) / population  # zeros or ones elsewhere
    return least_excluded(lambda mean: _excluded(x, mean, population, most), low, high)


def mean_below(x: npt.ArrayLike, level: npt.ArrayLike, *, population: int, failure: float) -> npt.NDArray[np.bool_]:
    """Return whether the mean of a population of numbers in [0, 1] is confirmed to be below a level.

    Parameters
    ----------
    x : array, (..., m)
        Drawn without replacement, in the order of the draws.
    level : float or array, (...)
        Fixed before the draw.
    population : int
    failure : float
        Probability of True where the mean is not below the level.

    Notes
    -----
    The answer of ``mean_upper(...) <= level`` for one evaluation instead of 25.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.certificate.confidence import mean_below
    >>> x = np.full(256, 0.01)
    >>> mean_below(x, [0.03, 0.1], population=4096, failure=1e-3).tolist()
    [False, True]
    """
    x = in_unit_interval(x)
    population = as_integer(population, "population", least=x.shape[-1])
    mean = np.asarray(level, dtype=np.float64)
    return np.asarray(_excluded(x, mean, population, -math.log(probability(failure))))


def _excluded(x: Floats, mean: Floats, population: int, most: float) -> Any:
    """Return where a bet against a mean, (...), has won the logarithmic wealth ``most`` after some draw."""
    left = population - np.arange(x.shape[-1])  # rows not yet drawn
    rest = (population * mean[..., None] - (np.cumsum(x, axis=-1) - x)) / left
    with np.errstate(divide="ignore", invalid="ignore"):
        edge = np.where(rest < 1, (rest - x) / (1 - rest), 0.0)  # a mean of one leaves ones only: the factor is one
    # a mean above one cannot be
    return np.any(log_wealth(edge) >= most, axis=-1) | np.any(rest > 1 + 1e-12, axis=-1)


def mean_floor(population: int, rows: int, failure: float) -> float:
    """Return the least upper bound on a mean of numbers in [0, 1] that any such statement can give, K / n.

    Where all drawn numbers are zero, a population with K ones is overlooked with probability greater than ``failure``;
    K is the largest such number. About log(1 / failure) / rows for few rows.

    Examples
    --------
    >>> from tnattn.certificate import mean_floor
    >>> round(mean_floor(4096, 256, 1e-3), 4)  # 256 rows cannot certify less than 2.6 % of the envelope
    0.0256
    """
    return exceeding_rows(population, rows, failure) / population


def exceeding_rows(population: int, rows: int, failure: float, *, exceeding: int = 0) -> int:
    """Return how many rows of all may exceed a threshold that ``exceeding`` of the drawn ones exceed.

    Parameters
    ----------
    population, rows : int
        Numbers n and m of all rows and of those drawn without replacement.
    failure : float
        Probability that more do.
    exceeding : int
        Fixed before the draw, or counted for a threshold that is fixed before the draw.

    Returns
    -------
    int
        The largest K with P(Hypergeometric(n, K, m) <= exceeding) > failure.

    Notes
    -----
    The hypergeometric law itself is inverted: the binomial one is not always on the safe side. O(exceeding log n).

    Examples
    --------
    >>> from tnattn.certificate import exceeding_rows
    >>> exceeding_rows(4096, 256, 1e-3) / 4096  # at most 2.6 % of the rows are worse than the worst of 256
    0.025634765625
    """
    population = as_integer(population, "population", least=1)
    rows = as_integer(rows, "rows", least=1, most=population)
    exceeding = as_integer(exceeding, "exceeding", least=0, most=rows)
    failure = probability(failure)
    if exceeding == rows:
        return population
    low, high = exceeding, population - (rows - exceeding)  # what is seen is certain
    while low < high:  # the probability falls with K
        middle = (low + high + 1) // 2
        if _few(population, middle, rows, exceeding) > failure * (1 - 1e-9):  # on the safe side of rounding
            low = middle
        else:
            high = middle - 1
    return low


def winsorised_mean_upper(x: npt.ArrayLike, *, cap: float, largest: float, population: int, failure: float) -> Floats:
    """Return an upper confidence bound on the mean of numbers in [0, largest] of which few exceed a cap.

    Parameters
    ----------
    x : array, (..., m)
        Drawn without replacement, in the order of the draws.
    cap : float
        In (0, largest], fixed before the draw.
    largest : float
    population : int
    failure : float

    Notes
    -----
    The mean of min(x, cap), by ``mean_upper`` at half the failure, and the number of rows above the cap, by
    ``exceeding_rows`` at the other half, each of which adds at most ``largest - cap``.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.certificate import winsorised_mean_upper
    >>> x = np.full(256, 0.01)
    >>> round(float(winsorised_mean_upper(x, cap=0.02, largest=1.0, population=4096, failure=1e-3)), 3)
    0.038
    """
    x = np.asarray(x, dtype=np.float64)
    largest, cap = as_real(largest, "largest"), as_real(cap, "cap")
    if not 0 < cap <= largest:
        raise ValueError(f"cap is {cap}; it must lie in (0, largest] = (0, {largest}]")
    capped = mean_upper(np.minimum(x, cap) / cap, population=population, failure=failure / 2) * cap
    counts = np.count_nonzero(x > cap, axis=-1)
    table = {c: exceeding_rows(population, x.shape[-1], failure / 2, exceeding=c) for c in np.unique(counts).tolist()}
    above = np.vectorize(table.__getitem__, otypes=[np.float64])(counts)
    return np.asarray(np.minimum(capped + above / population * (largest - cap), largest))


def below_relative(
    errors: npt.ArrayLike, sizes: npt.ArrayLike, *, level: float, largest: float, population: int, failure: float
) -> npt.NDArray[np.bool_]:
    """Return whether the sum of all errors is confirmed to be below ``level`` times the sum of all sizes.

    Parameters
    ----------
    errors, sizes : array, (..., m)
        Non-negative, of the rows drawn without replacement, in the order of the draws.
    level : float
        Positive.
    largest : float
        No error of any row exceeds it.
    population : int
    failure : float
        Probability that False would have been right.

    Notes
    -----
    y = level size - error is at least -largest. Where the statement is wrong, y has a mean of at most zero, and a
    gambler who bets on a positive mean has wealth 1 / failure with no more than that probability. The size is not
    estimated: an error bound divided by the size of a sample certifies no relative error.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.certificate import below_relative
    >>> ones = np.ones(256)
    >>> bool(below_relative(0.001 * ones, ones, level=0.01, largest=0.1, population=4096, failure=1e-3))
    True
    """
    errors, sizes = np.asarray(errors, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    if np.isnan(errors).any() or (errors < 0).any() or (errors > largest).any():
        raise ValueError(f"errors must lie in [0, largest] = [0, {largest}]; got up to {np.max(errors)}")
    y = as_real(level, "level") * sizes - errors
    m = y.shape[-1]
    population = as_integer(population, "population", least=m)
    mean = -(np.cumsum(y, axis=-1) - y) / (population - np.arange(m))  # what zero leaves to the rows not yet drawn
    room = largest + mean
    with np.errstate(divide="ignore", invalid="ignore"):
        edge = np.where(room > 0, (y - mean) / room, 0.0)
    won = log_wealth(edge) >= -math.log(probability(failure))
    return np.asarray(np.any(won | (room < 0), axis=-1))


def _few(population: int, marked: int, rows: int, most: int) -> float:
    """Return P(Hypergeometric(population, marked, rows) <= most)."""
    k = np.arange(max(0, rows - (population - marked)), min(most, marked) + 1)
    if not k.size:
        return 0.0
    log = _choose(marked, k) + _choose(population - marked, rows - k) - _choose(population, np.asarray(rows))
    return float(np.exp(logsumexp(log)))


def _choose(n: int, k: npt.NDArray[Any]) -> Floats:
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))


def probability(failure: float) -> float:
    """Return a probability of failure, or raise ValueError if it is none."""
    failure = as_real(failure, "failure")
    if not 0 < failure < 1:
        raise ValueError(f"failure is {failure}; it must be a probability between 0 and 1, such as 1e-3")
    return failure


def in_unit_interval(x: npt.ArrayLike) -> Floats:
    """Return numbers of drawn rows, (..., m), or raise ValueError if there are none or one lies outside [0, 1]."""
    x = np.asarray(x, dtype=np.float64)
    if x.ndim < 1 or not x.shape[-1]:
        raise ValueError(f"x has shape {x.shape}; at least one drawn row is needed")
    if np.isnan(x).any() or (x < 0).any() or (x > 1).any():
        raise ValueError(f"x must lie in [0, 1]; got values from {np.min(x)} to {np.max(x)}; divide by the envelope")
    return x
