"""Sample sizes: trials needed to support a probability, to refute one, or to detect a deviation."""

from __future__ import annotations

from math import ceil, log, log1p

import numpy as np
from scipy import stats

from theory.statistics.probability import proper_probability

__all__ = [
    "required_trials_for_equivalence",
    "required_trials_for_excess",
    "required_trials_for_refutation",
    "required_trials_for_support",
]


def required_trials_for_support(delta: float, level: float) -> int:
    """Return the trials, all without failure, that support a failure probability of at most ``delta``."""
    return ceil(log(proper_probability("level", level)) / log1p(-proper_probability("delta", delta)))


def required_trials_for_refutation(delta: float, rate: float, level: float, power: float = 0.9) -> int:
    """Return the trials from which on ``delta`` is refuted with probability >= ``power`` if ``rate`` is true.

    Notes
    -----
    Exact; O(n) for the result n. The power of a test on counts is not monotone in n, hence "from which on": some
    smaller n reach it and lose it again.
    """
    if not proper_probability("delta", delta) < proper_probability("rate", rate):
        raise ValueError(f"rate = {rate} does not exceed delta = {delta}; only a larger failure rate can be refuted")
    # four times the normal approximation is beyond the last tooth of the saw
    spread = stats.norm.isf(proper_probability("level", level)) + stats.norm.ppf(proper_probability("power", power))
    sizes = np.arange(1, 64 + ceil(4.0 * rate * (max(float(spread), 1.0) / (rate - delta)) ** 2))
    critical = stats.binom.isf(level, sizes, delta) + 1  # smallest refuting count
    weak = np.asarray(stats.binom.sf(critical - 1, sizes, rate)) < power
    return int(sizes[weak][-1]) + 1 if weak.any() else 1


def required_trials_for_excess(cv: float, excess: float, level: float, power: float = 0.9) -> int:
    """Return the trials for a one-sided z test to see a mean above its bound by the relative ``excess``.

    ``cv`` is the coefficient of variation. A planning number; the e-process needs somewhat more.
    """
    z = float(stats.norm.isf(proper_probability("level", level)) + stats.norm.ppf(power))
    return ceil((z * cv / excess) ** 2)


def required_trials_for_equivalence(cv: float, margin: float, level: float, power: float = 0.9) -> int:
    """Return the trials for ``tost`` to declare a true identity with probability ``power``."""
    z = float(stats.norm.isf(proper_probability("level", level)) + stats.norm.ppf((1.0 + power) / 2.0))
    return ceil((z * cv / margin) ** 2)
