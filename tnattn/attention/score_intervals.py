"""Sure bounds on the error of attention to all keys with scores that are known up to intervals."""

from __future__ import annotations

from typing import Any, NamedTuple

from tnattn.arrays import Array, array_namespace, eps, quiet_overflow, widened
from tnattn.linalg.norms import spectral_norm


class IntervalSums(NamedTuple):
    """Sums over the keys of every row, from scores s' with |s - s'| <= eta; p' are the weights exp(s') / sum exp(s').

    Parameters
    ----------
    weights : Array, (..., m, n)
        p'.
    excess : Array, (..., m, n)
        p' (exp(eta) - 1), at least |p' exp(s - s') - p'|.
    least : Array, (..., m)
        sum p' exp(-eta), at most the mean of exp(s - s') under p'.
    factor : Array, (..., m)
        At least the root of the chi-square divergence of the exact weights from p'.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.score_intervals import interval_sums
    >>> interval_sums(np.zeros((1, 2)), np.full((1, 2), 0.5)).factor.round(4).tolist()  # sinh(0.5)
    [0.5211]
    """

    weights: Array
    excess: Array
    least: Array
    factor: Array


def interval_sums(scores: Array, half_widths: Array) -> IntervalSums:
    """Return weights and sums over the keys, from which bounds for any values follow.

    Parameters
    ----------
    scores : Array, (..., m, n)
        s', minus infinity for keys that a row does not see.
    half_widths : Array, (..., m, n), or with axes of length one
        eta >= 0, the rounding of s' included; 0 where a score is exact, not used where a key is not seen.

    Notes
    -----
    The factor is the smaller of sinh(max eta) and sqrt(sum p' (exp(eta) - 1)^2) / sum p' exp(-eta). Half of the
    logarithm of a weight is taken before it is exponentiated: a tiny weight with a wide interval is no zero. O(m n).
    """
    xp, s = array_namespace(scores, half_widths), widened(scores)
    seen = s > -float("inf")
    top = xp.max(s, axis=-1, keepdims=True)
    shifted = s - xp.where(top > -float("inf"), top, xp.zeros_like(top))  # weights do not change by it
    mass = xp.sum(xp.exp(shifted), axis=-1, keepdims=True)
    log = shifted - xp.log(xp.where(mass > 0, mass, xp.ones_like(mass)))
    eta = xp.where(seen, xp.broadcast_to(widened(half_widths), s.shape), xp.zeros_like(s))
    weights, root = xp.exp(log), xp.exp(log / 2)
    with quiet_overflow():
        scaled = root * xp.expm1(eta)
        excess = _usable(root * scaled)
        least = xp.sum(xp.exp(log - eta), axis=-1)
        ratio = xp.linalg.vector_norm(_usable(scaled), axis=-1) / least
        factor = xp.minimum(xp.sinh(xp.max(eta, axis=-1)), _usable(ratio))
    empty = ~xp.any(seen, axis=-1)
    return IntervalSums(weights, excess, least, xp.where(empty, xp.zeros_like(factor), _usable(factor)))


def score_interval_error(
    sums: IntervalSums, values: Array, output: Array, *, spectral: bool = False, centre: Array | None = None
) -> Array:
    """Return bounds on the distance of the output sum p' v from exact attention.

    Parameters
    ----------
    sums : IntervalSums
    values : Array, (..., n, d_v)
        All that the rows see.
    output : Array, (..., m, d_v)
        sum p' v.
    spectral : bool
        Take the largest eigenvalue of the covariance of the values under p' instead of its trace: up to sqrt(d_v)
        smaller, for m products of n d_v^2 operations.
    centre : Array, (..., 1, d_v), optional
        Of a ball around the values, subtracted against cancellation; their mean by default.

    Returns
    -------
    Array, (..., m)
        Infinite where nothing follows.

    Notes
    -----
    The smaller of two bounds: sqrt(tr C) times the factor, C = sum p' (v - o')(v - o')^T, from the chi-square
    divergence with the roles of exact and approximate weights exchanged; and sum p' (exp(eta) - 1) ||v - o'|| / sum p'
    exp(-eta), from o - o' = sum p' (exp(s - s') - 1) (v - o') / sum p' exp(s - s'). The first is attained by two keys
    with opposite errors. O(m n d_v). Rounding of the sums is not included.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.score_intervals import interval_sums, score_interval_error
    >>> sums = interval_sums(np.zeros((1, 2)), np.full((1, 2), 0.1))
    >>> values = np.asarray([[1.0], [-1.0]])
    >>> float(score_interval_error(sums, values, sums.weights @ values)[0].round(4))  # sinh(0.1)
    0.1002
    """
    xp, v, o = array_namespace(sums.weights, values, output), widened(values), widened(output)
    c = xp.mean(v, axis=-2, keepdims=True) if centre is None else widened(centre)
    v, o = v - c, o - c
    squares = _square_distances(v, o)
    with quiet_overflow():
        if spectral:
            away = v[..., None, :, :] - o[..., :, None, :]  # (..., m, n, d_v)
            scaled = xp.sqrt(sums.weights)[..., None] * away
            known = xp.all(xp.isfinite(scaled), axis=(-2, -1))  # LAPACK refuses other matrices
            spread = spectral_norm(xp.where(known[..., None, None], scaled, xp.zeros_like(scaled)))
            spread = xp.where(known, spread, xp.full_like(spread, float("inf")))
        else:
            spread = xp.sqrt(xp.sum(sums.weights * squares, axis=-1))
        by_spread = xp.where(spread == 0, xp.zeros_like(spread), spread * sums.factor)
        excess = xp.where(squares == 0, xp.zeros_like(squares), sums.excess * xp.sqrt(squares))
        by_distance = xp.sum(excess, axis=-1) / sums.least
    empty = sums.least == 0  # rows without keys, whose output is zero; or infinite intervals, whose factor is infinite
    by_distance = xp.where(empty, by_spread, _usable(by_distance))
    return xp.minimum(_usable(by_spread), by_distance)


def _square_distances(v: Array, o: Array) -> Any:
    """Return upper bounds of ||v_j - o_i||^2, (..., m, n): the rounding of the cancelling squares is added."""
    xp = array_namespace(v, o)
    sizes = xp.sum(o * o, axis=-1)[..., :, None] + xp.sum(v * v, axis=-1)[..., None, :]
    squares = sizes - 2 * (o @ xp.matrix_transpose(v))
    return xp.where(squares < 0, xp.zeros_like(squares), squares) + v.shape[-1] * eps(v) * sizes


def _usable(x: Array) -> Any:
    """Return an array with infinity where it is not a number."""
    xp = array_namespace(x)
    return xp.where(xp.isnan(x), xp.full_like(x, float("inf")), x)
