"""Confidence bounds for means of independent draws from an interval, by the relative entropy of two coins."""

from __future__ import annotations

from tnattn.arrays import Array, array_namespace, eps, quiet_overflow, widened

_BISECTIONS = 30  # of [0, 1], to 1e-9; the upper end is returned, which is valid anyhow
_ROUNDING = 16.0  # units of the dtype in either term of the relative entropy, generously


def bernoulli_upper(mean: Array, *, draws: Array | int, level: Array | float) -> Array:
    """Return sup {mu : m kl(x, mu) <= L}: the mean of a law on [0, 1] exceeds it with probability at most exp(-L).

    Parameters
    ----------
    mean : Array, (...)
        x, the mean of independent draws; 0 <= x <= 1.
    draws : int or Array
        m.
    level : float or Array
        L > 0, the negative logarithm of the probability of failure.

    Returns
    -------
    Array, (...)
        In [x, 1]; infinite where x is no such mean.

    Notes
    -----
    kl(x, mu) = x log(x / mu) + (1 - x) log((1 - x) / (1 - mu)). Hoeffding 1963, Theorem 1, for the lower tail: it uses
    no more than the mean of exp(-s X) on [0, 1]. Always below the root form x + L / m + sqrt(2 L x / m + (L / m)^2),
    half of it at x = 0. 30 bisections of elementwise operations.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.bernoulli_bounds import bernoulli_upper
    >>> bernoulli_upper(np.asarray([0.0, 0.5]), draws=100, level=7.0).round(3).tolist()  # 1 - exp(-0.07) at zero
    [0.068, 0.681]
    """
    xp = array_namespace(mean)
    x = widened(mean)
    budget = xp.zeros_like(x) + level / draws
    unit = eps(x)
    inside, outside = x, xp.ones_like(x)
    for _ in range(_BISECTIONS):
        middle = (inside + outside) / 2
        with quiet_overflow():
            # log1p of the difference: the terms cancel where mu is close to x
            first = x * xp.log(xp.where(x > 0, x / middle, xp.ones_like(x)))
            second = (1 - x) * xp.log1p((middle - x) / xp.where(middle < 1, 1 - middle, xp.ones_like(x)))
        excluded = first + second - _ROUNDING * unit * (xp.abs(first) + second) > budget
        inside, outside = xp.where(excluded, inside, middle), xp.where(excluded, middle, outside)
    known = (x >= 0) & (x <= 1)
    return xp.where(known, outside, xp.full_like(x, float("inf")))
