"""Tests of an expectation by betting against it: valid at every sample size, for every distribution.

All arrays hold float64 with the trials on the first axis and the problems of a stack on the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

__all__ = [
    "EProcess",
    "bennett_lower_p_value",
    "empirical_bernstein_upper",
    "expectation_p_value",
    "support_p_value",
]

Floats = NDArray[np.float64]

# factors of two cover means from 2 % to a multiple above the bound; a stake below 1 cannot lose all of the wealth
STAKES = np.array([0.02, 0.05, 0.1, 0.2, 0.4, 0.8])
"""Shares of the wealth that are bet at once; their average is a mixture, so that no tuning to the data is needed."""


def _sample(x: ArrayLike) -> Floats:
    x = np.asarray(x, dtype=np.float64)
    if x.ndim < 1 or x.shape[0] < 1:
        raise ValueError(f"x has shape {x.shape}; pass at least one trial, with the trials on the first axis")
    if np.isnan(x).any() or (x < 0).any():
        raise ValueError("x contains negative or NaN values; pass a non-negative statistic such as an error")
    return x


def _bound(bound: ArrayLike) -> Floats:
    bound = np.asarray(bound, dtype=np.float64)
    if np.isnan(bound).any() or (bound < 0).any():
        raise ValueError(f"bound is {bound}; a bound on the mean of a non-negative statistic is non-negative, not NaN")
    return bound


def _above(x: Floats, upper: ArrayLike) -> Floats:
    """Return ``upper - x``, the non-negative mirror image of a bounded sample."""
    top = np.asarray(upper, dtype=np.float64)
    if np.isnan(top).any() or (x > top).any():
        raise ValueError(
            f"x reaches {x.max():g} but its almost sure upper bound is stated as {top.max():g}; "
            "pass a bound that holds with rounding, or None if there is none"
        )
    return np.asarray(top - x)


@dataclass(frozen=True, eq=False)
class EProcess:
    """Wealth of a gambler who bets against E X <= B, for X >= 0 and a stack of problems.

    Under the hypothesis the wealth is a non-negative supermartingale started at 1, so the probability that it ever
    reaches 1 / level is at most ``level`` (Ville's inequality): for every distribution, at any time one cares to stop.

    Parameters
    ----------
    bound : float64, (...)
        Non-negative. Where it is zero, one positive observation makes the wealth infinite and a zero leaves it as it
        is. Where it is infinite the wealth stays 1.
    log_capital : float64, (6, ...), optional
        Logarithm of the wealth of each stake; zero at the start.
    log_peak : float64, (...), optional
        Largest logarithm of the mean wealth so far; zero at the start.

    Notes
    -----
    W_n = mean_l prod_t (1 + s_l (X_t / B - 1)) over the stakes 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, held as logarithms.
    The trials must be independent, or at least have conditional mean at most B given the past.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.statistics import EProcess
    >>> process = EProcess(np.asarray(1.0)).update([1.5, 1.5, 1.5])  # three trials against E X <= 1
    >>> float(process.p_value.round(2)), bool(process.update(np.full(50, 1.5)).p_value < 1e-6)
    (0.66, True)
    """

    bound: Floats
    log_capital: Floats | None = None
    log_peak: Floats | None = None

    def __post_init__(self) -> None:
        bound = _bound(self.bound)
        object.__setattr__(self, "bound", bound)
        if self.log_capital is None:
            object.__setattr__(self, "log_capital", np.zeros((len(STAKES), *bound.shape)))
        if self.log_peak is None:
            object.__setattr__(self, "log_peak", np.zeros(bound.shape))

    def __repr__(self) -> str:
        return (
            f"<e-process against means of at most {self.bound.shape}, p-value {np.min(self.p_value, initial=1.0):.3g}>"
        )

    @property
    def _state(self) -> tuple[Floats, Floats]:
        assert self.log_capital is not None  # filled by __post_init__
        assert self.log_peak is not None
        return self.log_capital, self.log_peak

    def update(self, x: ArrayLike) -> EProcess:
        """Return the process after further trials; this one is left unchanged.

        Parameters
        ----------
        x : float64, (trials, ...)
            Non-negative; infinite values count as infinite evidence. The other axes are those of ``bound``.
        """
        log_capital, log_peak = self._state
        x = _sample(x)
        if x.shape[1:] != self.bound.shape:
            raise ValueError(f"x has shape {x.shape}; expected (trials, *{self.bound.shape}), the shape of the bound")
        positive = (self.bound > 0) & np.isfinite(self.bound)
        # without a scale there is nothing to bet on but the event X > 0, which E X <= 0 excludes
        unscaled = np.where((x > 0) & (self.bound == 0), np.inf, 1.0)
        ratio = np.where(positive, x / np.where(positive, self.bound, 1.0), unscaled)
        stakes = STAKES.reshape(-1, *[1] * x.ndim)
        # log1p keeps the digits of a small gain, which a sum with 1 would lose
        gains = np.cumsum(np.log1p(stakes * (ratio - 1.0)), axis=1)  # (6, trials, ...)
        capital = log_capital[:, None] + gains
        wealth = logsumexp(capital, axis=0) - np.log(len(STAKES))
        # Ville's inequality is about the largest wealth ever, so that stopping early costs nothing
        peak = np.maximum(log_peak, wealth.max(axis=0))
        return EProcess(self.bound, capital[:, -1], peak)

    @property
    def log_wealth(self) -> Floats:
        """Logarithm of the wealth now, (...)."""
        return np.asarray(logsumexp(self._state[0], axis=0) - np.log(len(STAKES)))

    @property
    def p_value(self) -> Floats:
        """Anytime-valid p-value min(1, 1 / sup wealth), (...)."""
        return np.asarray(np.exp(-self._state[1]))


def expectation_p_value(x: ArrayLike, bound: ArrayLike) -> Floats:
    """P{p <= level} <= level whenever E X <= B and X >= 0: small values refute the upper bound B.

    Parameters
    ----------
    x : float64, (trials, ...)
        The sample, one statistic per trial.
    bound : float64, broadcastable to (...)
        B, the right-hand side of the statement.

    Returns
    -------
    float64, (...)

    Notes
    -----
    O(trials). No finite moments are needed: the p-value is valid however rare a large value is.
    """
    x = _sample(x)
    return EProcess(np.broadcast_to(_bound(bound), x.shape[1:])).update(x).p_value


def support_p_value(x: ArrayLike, bound: ArrayLike, upper: ArrayLike) -> Floats:
    """P{p <= level} <= level whenever E X >= B and 0 <= X <= M: small values support E X <= B, or refute E X >= B.

    Parameters
    ----------
    x : float64, (trials, ...)
        The sample, one statistic per trial.
    bound : float64, broadcastable to (...)
        B, the right-hand side of the statement.
    upper : float64, broadcastable to (...)
        M, which X never exceeds. It is indispensable: no test can tell from a finite sample that the mean of an
        unbounded variable is *small*, because a rare large value may not have been seen.

    Returns
    -------
    float64, (...)
        Zero where M <= B, for there the upper bound on the mean holds by itself, and a lower bound above M is false.

    Notes
    -----
    The process prod (1 + s (B - X) / (M - B)) is the one of ``EProcess`` for M - X with bound M - B.
    """
    x = _sample(x)
    mirrored = _above(x, upper)
    # M - X >= 0 has mean at most M - B under the hypothesis: the same bet, mirrored
    gap = np.broadcast_to(np.asarray(upper, dtype=np.float64) - _bound(bound), x.shape[1:])
    p_value = expectation_p_value(mirrored, np.maximum(gap, 0.0))
    return np.where(gap <= 0, 0.0, p_value)


def empirical_bernstein_upper(x: ArrayLike, upper: ArrayLike, level: float) -> Floats:
    """P{E X > mean + sqrt(2 V log(2/level) / n) + 7 M log(2/level) / (3 (n - 1))} <= level for 0 <= X <= M.

    Parameters
    ----------
    x : float64, (trials, ...), at least two trials
        The sample, one statistic per trial.
    upper : float64, broadcastable to (...)
        M, which X never exceeds.
    level : float
        Probability that the returned value is below the mean.

    Returns
    -------
    float64, (...)

    Notes
    -----
    V is the unbiased sample variance. Maurer & Pontil 2009, Theorem 4.
    """
    x = _sample(x)
    _above(x, upper)
    n = x.shape[0]
    if n < 2:
        raise ValueError(f"x has {n} trial; the sample variance needs at least 2")
    weight, top = np.log(2.0 / level), np.asarray(upper, dtype=np.float64)
    share = x / np.where(top > 0, top, 1.0)  # in units of M the squares neither overflow nor underflow
    spread = np.sqrt(2.0 * share.var(axis=0, ddof=1) * weight / n)
    return np.asarray((share.mean(axis=0) + spread + 7.0 * weight / (3.0 * (n - 1))) * top)


def bennett_lower_p_value(
    x: ArrayLike, bound: ArrayLike, variance: ArrayLike | None = None, *, spread: ArrayLike | None = None
) -> Floats:
    """P{mean X <= B - t} <= exp(-n r h(t / (B r))), h(u) = (1 + u) log(1 + u) - u, whenever E X >= B, X >= 0.

    Parameters
    ----------
    x : float64, (trials, ...)
        The sample, one statistic per trial.
    bound : float64, broadcastable to (...)
        B, the smallest mean that the hypothesis allows.
    variance : float64, broadcastable to (...), optional
        A bound on E (X - B)^2. With it or ``spread`` the p-value is valid at every sample size. With neither the sample
        estimate takes its place and the p-value is **asymptotic**: dishonest where a rare large value carries the mean.
    spread : float64, broadcastable to (...), optional
        r, a bound on the relative variance Var X / (E X)^2; infinite where none is known, and then p is 1.

    Returns
    -------
    float64, (...)

    Notes
    -----
    Bennett's inequality for B - X, which is at most B because X >= 0; no upper bound on X enters. Where E X exceeds B,
    the smaller variable X B / E X has the mean B and the same relative variance. Everything is computed from X / B, so
    that squares neither overflow nor underflow and a power of two times the data changes nothing. The estimate is
    taken about B, not about the sample mean, and one unseen trial of twice the largest value is added to the sample:
    where the large values are missing, the sample variance is too small exactly when the mean is. At nominal 1 % and
    100 trials with E X = B, a t test refutes 3 % for chi-squared, 21 % for lognormal (sigma 2) and 61 % for a value
    of 200 with probability 1/200; this test 0.02 %, 3 % and 61 %. Nothing but a known variance helps the last one.
    """
    x = _sample(x)
    center = np.broadcast_to(_bound(bound), x.shape[1:])
    positive = (center > 0) & np.isfinite(center)
    ratio = np.where(positive, x / np.where(positive, center, 1.0), 1.0)
    # only a mean below the bound is evidence against a lower bound
    shortfall = np.maximum(1.0 - ratio.mean(axis=0), 0.0)
    low = shortfall > 0  # then no ratio exceeds the number of trials
    if spread is not None:
        share = np.broadcast_to(np.asarray(spread, dtype=np.float64), center.shape)
    elif variance is not None:
        share = (np.sqrt(np.asarray(variance, dtype=np.float64)) / np.where(positive, center, 1.0)) ** 2
    else:
        # one unseen trial of twice the largest value: the sample variance is too small exactly where large values are
        # missing
        ratio = np.where(low, ratio, 1.0)
        share = np.mean((np.concatenate([ratio, 2.0 * ratio.max(axis=0, keepdims=True)]) - 1.0) ** 2, axis=0)
    known = np.isfinite(share)
    with np.errstate(divide="ignore", invalid="ignore"):
        u = shortfall / share
        exponent = x.shape[0] * share * ((1.0 + u) * np.log1p(u) - u)
    exponent = np.where(share > 0, exponent, np.inf)  # a variance of zero admits no shortfall at all
    return np.where(low & known, np.exp(-exponent), 1.0)
