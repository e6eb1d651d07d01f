"""Verdicts on rates of convergence, from errors at several sizes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from theory.statistics.intervals import rate_slope
from theory.statistics.verdict import Judgement, Verdict

__all__ = ["judge_rate"]


def judge_rate(sizes: ArrayLike, errors: ArrayLike, rate: float, level: float, *, one_sided: bool = False) -> Judgement:
    """Judge error ~ sizes**rate from a log-log fit.

    Parameters
    ----------
    sizes : positive, (s,), at least four
        Where the errors were measured.
    errors : positive, (s,) or (trials, s)
        Errors at these sizes.
    rate : float
        Exponent with its sign: -0.5 for n^(-1/2).
    level : float
        Probability of a wrong "inconsistent".
    one_sided : bool
        The statement is O(n^rate): a faster decay is consistent too.

    Returns
    -------
    Judgement
    """
    fit = rate_slope(sizes, errors, level)
    freedom = np.asarray(errors).size - 2
    # the standard error of the slope, read back from its interval
    spread = (fit.upper - fit.slope) / float(stats.t.isf(level / 2.0, freedom))
    distance = fit.slope - rate if one_sided else abs(fit.slope - rate)
    # a perfect power law has no spread: then rounding decides between equal and different
    t = distance / max(spread, 1e3 * np.finfo(np.float64).eps * max(1.0, abs(rate)))
    tail = float(stats.t.sf(t, freedom))
    p_value = tail if one_sided else min(1.0, 2.0 * tail)
    verdict = Verdict.INCONSISTENT if p_value <= level else Verdict.CONSISTENT
    detail = f"slope {fit.slope:.4g} in [{fit.lower:.4g}, {fit.upper:.4g}] over {len(np.asarray(sizes))} sizes"
    return Judgement(verdict, p_value, f"{detail}, stated {rate:.4g}")
