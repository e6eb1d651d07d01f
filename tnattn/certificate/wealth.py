"""Wealth of a gambler who bets on the draws of a sample: large only where the law that he bets against is false."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# half of the wealth bets everything on an error of zero, which is where the least possible bound lies; the other half
# is spread over all stakes as a universal portfolio spreads it
_STAKES = np.asarray([1.0, *(math.sin((2 * k + 1) * math.pi / 64) ** 2 for k in range(16))])
_SHARES = np.log(np.asarray([0.5, *(1 / 32,) * 16]))
_BISECTIONS = 24  # of the interval that is possible, to 6e-8; the upper end is returned, which is valid anyhow


def log_wealth(edges: Floats) -> Floats:
    """Return the logarithm of the wealth after each of the draws, (..., m).

    Parameters
    ----------
    edges : array, (..., m)
        At least -1, with a conditional mean of at most zero under the law that is bet against.

    Notes
    -----
    The mixture over stakes lambda of prod_t (1 + lambda edge_t): a non-negative supermartingale that starts at one, so
    that it ever reaches 1 / failure with no more than the probability failure (Ville's inequality).

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.certificate.wealth import log_wealth
    >>> np.exp(log_wealth(np.zeros(3))).round(9).tolist()
    [1.0, 1.0, 1.0]
    """
    with np.errstate(divide="ignore", invalid="ignore"):  # a bet that lost everything
        wealth = np.cumsum(np.log1p(_STAKES * edges[..., None]), axis=-2) + _SHARES
        largest = np.max(wealth, axis=-1, keepdims=True)  # finite: smaller stakes never lose everything
        return np.asarray(largest[..., 0] + np.log(np.sum(np.exp(wealth - largest), axis=-1)))


def least_excluded(excluded: Any, low: Floats, high: Floats) -> Floats:
    """Return the least mean that a test excludes, to 6e-8 of the interval and from above; ``high`` where none is.

    ``excluded`` maps means to truth values, and excludes every mean above one that it excludes.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.certificate.wealth import least_excluded
    >>> least_excluded(lambda mean: mean > 0.25, np.zeros(1), np.ones(1)).round(6).tolist()
    [0.25]
    """
    inside, outside = low, np.where(excluded(high), high, np.nan)
    for _ in range(_BISECTIONS):
        middle = (inside + outside) / 2
        wrong = excluded(middle)
        inside, outside = np.where(wrong, inside, middle), np.where(wrong, middle, outside)
    return np.asarray(np.where(np.isnan(outside), high, outside))
