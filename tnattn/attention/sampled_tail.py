"""Attention to kept keys and a sample of the others, with a bound on its error that holds with a stated probability."""

from __future__ import annotations

import math
from typing import NamedTuple

from tnattn.arrays import Array, array_namespace, eps, quiet_overflow, widened
from tnattn.attention.bernoulli_bounds import bernoulli_upper
from tnattn.linalg.norms import spectral_norm
from tnattn.scalars import as_integer, as_real

EVENTS = 5  # each fails with probability exp(-level): two tails of the denominator, the sum, and its two moments


class KeptPart(NamedTuple):
    """Exact attention to the keys whose scores are exact, fixed before the draw.

    Parameters
    ----------
    log_mass : Array, (...)
        log Z, log-sum-exp of their scores; minus infinity where none is kept.
    output : Array, (..., d_v)
        r, attention to them alone; any point of the ball where none is kept.
    reach : Array, (...)
        D = ||r - c|| + rho, with a ball (c, rho) that holds the values of all keys that the row sees.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.sampled_tail import KeptPart
    >>> KeptPart(np.zeros(1), np.ones((1, 2)), np.full(1, 3.0)).reach.tolist()
    [3.0]
    """

    log_mass: Array
    output: Array
    reach: Array


class DrawnTail(NamedTuple):
    """Keys drawn independently with probabilities exp(s'_j) / M' from all keys that are not kept.

    Parameters
    ----------
    log_mass : Array, (...)
        log M', log-sum-exp of the approximate scores s' of these keys; minus infinity where all keys are kept.
    half_width : Array, (...)
        eta, no score of them differs from its approximation by more, rounding included; fixed before the draw.
    log_ratios : Array, (..., m)
        s - s' of the drawn keys.
    values : Array, (..., m, d_v)
        Of the drawn keys.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.sampled_tail import DrawnTail
    >>> DrawnTail(np.zeros(1), np.zeros(1), np.zeros((1, 8)), np.ones((1, 8, 2))).values.shape
    (1, 8, 2)
    """

    log_mass: Array
    half_width: Array
    log_ratios: Array
    values: Array


class SampledTail(NamedTuple):
    """The output of every row, and a bound on its distance from exact attention.

    Parameters
    ----------
    output : Array, (..., d_v)
    error : Array, (...)
        Fails with probability at most 5 exp(-L) in each row.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.sampled_tail import SampledTail
    >>> SampledTail(np.zeros((1, 2)), np.zeros(1)).error.tolist()
    [0.0]
    """

    output: Array
    error: Array


def level_of(failure: float, *, rows: int = 1, look: int | None = None) -> float:
    """Return L for which the bounds of all rows hold together, with probability 1 - failure, at every look.

    Parameters
    ----------
    failure : float
        Of all rows and looks together.
    rows : int
        Rows, times heads, times tokens to come.
    look : int, optional
        t = 1, 2, ...: number of the draw of a row, the first included, which spends 1 / (t (t + 1)) of the failure: all
        draws together spend no more than it. None where there is one draw in all.

    Examples
    --------
    >>> from tnattn.attention.sampled_tail import level_of
    >>> round(level_of(1e-3, rows=8192), 2)
    17.53
    """
    failure = as_real(failure, "failure")
    if not 0 < failure < 1:
        raise ValueError(f"failure is {failure}; it must be a probability between 0 and 1, such as 1e-3")
    rows = as_integer(rows, "rows", least=1)
    spent = 1 if look is None else as_integer(look, "look", least=1) * (look + 1)
    return math.log(EVENTS * rows * spent / failure)


def sampled_tail(kept: KeptPart, drawn: DrawnTail, *, level: float, spectral: bool = True) -> SampledTail:
    """Return attention to kept and drawn keys, and a bound on its error that fails with probability 5 exp(-level).

    Parameters
    ----------
    kept : KeptPart
    drawn : DrawnTail
        Drawn after everything else was fixed; draws that helped to choose it certify nothing.
    level : float
        L, see ``level_of``.
    spectral : bool
        Use the largest eigenvalue of the second moment of the draws beside its trace, for O(m d_v min(m, d_v)) per row.

    Returns
    -------
    SampledTail
        The error is zero where all keys are kept, infinite where nothing follows: an approximation that is not finite
        or a drawn score outside its interval.

    Notes
    -----
    With w = exp(s - s') in [1 / kappa, kappa], Y = w (v - r) and means over the draws, the output is r + M' Y / (Z + M'
    w), and its error at most (M' / Z_low) (Delta + ||o' - r|| Delta_w): Delta_w = (kappa - 1 / kappa) sqrt(L / (2 m))
    from Hoeffding's inequality, Z_low = Z + M' max(w - Delta_w, 1 / kappa), which is positive whatever the draws, and
    Delta of ``mean_deviation`` with moments from ``bernoulli_upper``. O(m d_v) per row. Rounding of the means is not
    included.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.sampled_tail import DrawnTail, KeptPart, level_of, sampled_tail
    >>> kept = KeptPart(np.log([9.0]), np.zeros((1, 1)), np.ones(1))
    >>> values = np.where(np.arange(400) % 2, 1.0, -1.0)[None, :, None]
    >>> drawn = DrawnTail(np.zeros(1), np.full(1, 0.01), np.zeros((1, 400)), values)
    >>> found = sampled_tail(kept, drawn, level=level_of(1e-3))
    >>> found.output.tolist(), found.error.round(3).tolist()
    ([[0.0]], [0.029])
    """
    ratios, values = widened(drawn.log_ratios), widened(drawn.values)
    xp, m = array_namespace(ratios, values), ratios.shape[-1]
    eta, r, reach = widened(drawn.half_width), widened(kept.output), widened(kept.reach)
    with quiet_overflow():
        kappa, w = xp.exp(eta), xp.exp(ratios)
        y = w[..., None] * (values - r[..., None, :])  # (..., m, d_v)
        mean, mean_ratio = xp.mean(y, axis=-2), xp.mean(w, axis=-1)
        deviation = sample_deviation(y, kappa * reach, level=level, spectral=spectral)
        deviation_ratio = (kappa - 1 / kappa) * math.sqrt(level / (2 * m))
        quotient = xp.exp(widened(kept.log_mass) - widened(drawn.log_mass))  # Z / M'
        moved = mean / (quotient + mean_ratio)[..., None]
        least = quotient + xp.maximum(mean_ratio - deviation_ratio, 1 / kappa)
        error = (deviation + xp.linalg.vector_norm(moved, axis=-1) * deviation_ratio) / least
        outside = xp.max(xp.abs(ratios), axis=-1) > eta
    complete = widened(drawn.log_mass) == -float("inf")
    error = xp.where(xp.isnan(error) | outside, xp.full_like(error, float("inf")), error)
    output = r + xp.where(complete[..., None], xp.zeros_like(moved), moved)
    return SampledTail(output, xp.where(complete, xp.zeros_like(error), error))


def sample_deviation(y: Array, largest: Array, *, level: float, spectral: bool = True) -> Array:
    """Return Delta of draws (..., m, d_v) of norm at most ``largest`` (...): bounds of ||mean - E y||.

    Each of the moments fails with probability exp(-level), and so does the deviation given both.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.sampled_tail import sample_deviation
    >>> y = np.random.default_rng(0).uniform(-0.1, 0.1, (1, 500, 3))
    >>> sample_deviation(y, np.ones(1), level=7.0).round(2).tolist()
    [0.05]
    """
    xp, m = array_namespace(y), y.shape[-2]
    square = largest * largest
    safe = xp.where(square > 0, square, xp.ones_like(square))
    with quiet_overflow():
        squares = xp.sum(y * y, axis=-1)
        trace = safe * bernoulli_upper(_share(xp.mean(squares, axis=-1), safe), draws=m, level=level)
        norm = trace
        if spectral:
            known = xp.isfinite(squares[..., None])  # LAPACK refuses others; their trace is infinite already
            found = spectral_norm(xp.where(known, y, xp.zeros_like(y))) ** 2 / m
            norm = xp.minimum(trace, safe * bernoulli_upper(_share(found, safe), draws=m, level=level))
    norm = xp.where(xp.isfinite(trace), norm, trace)
    return mean_deviation(trace, norm, largest, draws=m, level=level)


def mean_deviation(trace: Array, norm: Array, largest: Array, *, draws: Array | int, level: Array | float) -> Array:
    """Return Delta, which the norm of a mean minus its expectation exceeds with probability at most exp(-level).

    Parameters
    ----------
    trace, norm : Array, (...)
        Upper bounds of E ||Y||^2 and of the largest eigenvalue of E Y Y^T.
    largest : Array, (...)
        No ||Y|| is larger.
    draws : int or Array
        m, of independent draws.
    level : float or Array

    Returns
    -------
    Array, (...)
        sqrt(tr / m) + sqrt(2 L / m (lambda + 2 B sqrt(tr / m))) + B L / (3 m), B = largest + min(sqrt(lambda),
        largest).

    Notes
    -----
    Bousquet 2002, Theorem 2.3, for the supremum over the unit ball; B because ||E Y||^2 <= lambda. A plan for the
    number of draws evaluates it with the moments of a pilot sample.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.sampled_tail import mean_deviation
    >>> one = np.ones(1)
    >>> mean_deviation(0.01 * one, 0.01 * one, one, draws=500, level=7.0).round(3).tolist()
    [0.033]
    """
    xp = array_namespace(trace, norm, largest)
    envelope = largest + xp.minimum(xp.sqrt(norm), largest)
    mean = xp.sqrt(trace / draws)
    return mean + xp.sqrt(2 * level / draws * (norm + 2 * envelope * mean)) + envelope * level / (3 * draws)


def _share(mean: Array, largest: Array) -> Array:
    """Return the quotient; one where it exceeds one by no more than rounding."""
    xp = array_namespace(mean)
    share = mean / largest
    return xp.where((share > 1) & (share <= 1 + 64 * eps(share)), xp.ones_like(share), share)
