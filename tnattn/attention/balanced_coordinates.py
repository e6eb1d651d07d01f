"""Coordinates of queries and keys with one diagonal covariance, whose trace is the least that the scores admit."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tnattn.arrays import Array, Part, accumulator_dtype, array_namespace, device, each_matrix, eps, quiet_overflow
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.validation import require_inner_products
from tnattn.display import Displayed
from tnattn.linalg import cholesky, svd
from tnattn.linalg.scaling import largest_magnitude, power_of_two_below


@dataclass(frozen=True, eq=False, repr=False)
class BalancedCoordinates(Displayed):
    """Queries x and keys y of another problem with the same attention.

    The scores of the problem are x . y + key_bias of the key + row_offset of the query.

    Parameters
    ----------
    queries : Array, (..., H, n_q, d)
        Scaled: the scores need no further factor.
    keys : Array, (..., G, n_k, d)
    key_bias : Array, (..., G, n_k)
        Largest value zero.
    row_offset : Array, (..., G, R, n_q)
        Cancels in the weights; a mass needs it.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem
    >>> from tnattn.attention.balanced_coordinates import balanced_coordinates
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 1, 200, 2)) @ np.diag([10.0, 0.1])
    >>> found = balanced_coordinates(AttentionProblem(q + 1, k, v))
    >>> [np.round(np.diag(np.cov(x[0].T)), 2).tolist() for x in (found.queries, found.keys)]
    [[71.31, 0.01], [71.31, 0.01]]
    """

    queries: Array
    keys: Array
    key_bias: Array
    row_offset: Array


def balanced_coordinates(
    problem: AttentionProblem, *, centre: bool = True, reach: float = math.inf
) -> BalancedCoordinates:
    """Return x = sqrt(scale) T^t (q - c_q) and y = sqrt(scale) T^-1 (k - c_k), with what centring takes off the scores.

    Parameters
    ----------
    problem : AttentionProblem
        The mask is not read: the statistics are those of all queries and keys.
    centre : bool
        c_q is the mean query; zero otherwise, and then no key has a bias. c_k is the mean key.
    reach : float
        Largest admissible range of the key bias. Where the mean query exceeds it, c_q is the largest multiple of the
        mean query that does not: the scores are the same for every c_q.

    Returns
    -------
    BalancedCoordinates
        In the dtype of the problem.

    Raises
    ------
    ValueError
        If the problem has a softcap.

    Notes
    -----
    With C_q, C_k the second moments of q - c_q and k - c_k, their Cholesky factors L_q, L_k and the singular value
    decomposition L_q^t L_k = U S W^t, T = L_k W S^(-1/2) and T^-t = L_q U S^(-1/2): both second moments are scale S,
    and E|x|^2 = E|y|^2 = scale times the nuclear norm of C_q^(1/2) C_k^(1/2), which is the least value of
    (E|x|^2 + E|y|^2) / 2 over invertible T. One T per key head, from all its query heads.

    O((H n_q + G n_k) d^2 + G d^3), in float64 where the device has it. A singular moment gets a ridge of sqrt(eps) of
    its mean eigenvalue, which keeps T invertible; the scores do not depend on it, for T and T^-t come from the same
    factors, and rounding enters with the norms of L_q and L_k, as it does in the scores themselves.
    """
    require_inner_products(problem.softcap)
    xp, dtype = array_namespace(problem.q), problem.q.dtype
    outer, scale = problem.batch[:-1], problem.score_scale
    # heads that share a key head are neighbours: their queries are the rows of one matrix, without a copy
    tokens = xp.reshape(problem.q, (*outer, problem.batch[-1] * problem.n_q, problem.width))

    def work(part: Part) -> tuple[Array, ...]:
        (q, q_unit), (k, k_unit) = _in_units(part.of(tokens)), _in_units(part.of(problem.k))
        size = scale * (q_unit * k_unit)  # (..., 1, 1), of the scores of tokens in these units
        k_mean = xp.mean(k, axis=-2, keepdims=True)
        k = k - k_mean
        bias, origin = xp.zeros_like(k[..., 0]), xp.zeros_like(k_mean)
        if centre:
            bias, origin = _key_bias(size, xp.mean(q, axis=-2, keepdims=True), k, reach)
        q = q - origin
        top = xp.max(bias, axis=-1, keepdims=True)
        offset = (size * (q @ k_mean.mT + origin @ k_mean.mT))[..., 0] + top
        to_x, to_y = _maps(q, k)
        # zeros have no unit, and no score to be balanced
        root = xp.sqrt(xp.where((q_unit > 0) & (k_unit > 0), size, xp.ones_like(size)))
        found = (q @ (root * to_x), k @ (root * to_y), bias - top, offset)
        return tuple(xp.astype(x, dtype, copy=False) for x in found)

    with quiet_overflow():  # scores out of range leave rows that are counted
        x, y, bias, offset = each_matrix(work, outer, like=problem.q)
    offset = xp.reshape(offset, (*problem.batch, problem.n_q))
    return BalancedCoordinates(xp.reshape(x, tuple(problem.q.shape)), y, bias, offset)


def _in_units(tokens: Array) -> tuple[Array, Array]:
    """Return tokens (..., n, d) in units of a power of two, in which squares and sums neither overflow nor vanish.

    The units, (..., 1, 1), are zero where all tokens are.
    """
    xp = array_namespace(tokens)
    wide = xp.astype(tokens, accumulator_dtype(tokens), copy=False)
    largest = largest_magnitude(wide, axis=(-2, -1), keepdims=True)
    unit = power_of_two_below(largest)
    return wide / unit, xp.where(largest > 0, unit, xp.zeros_like(unit))


def _key_bias(size: Array, mean: Array, keys: Array, reach: float) -> tuple[Array, Array]:
    """Return the scores (..., n_k) of c_q with centred keys, and c_q (..., 1, d), a multiple of the mean query."""
    xp = array_namespace(keys)
    bias = size * (mean @ keys.mT)  # (..., 1, n_k)
    span = xp.max(bias, axis=-1, keepdims=True) - xp.min(bias, axis=-1, keepdims=True)
    share = xp.where(span > reach, reach / xp.where(span > 0, span, xp.ones_like(span)), xp.ones_like(span))
    return (share * bias)[..., 0, :], share * mean


def _maps(q: Array, k: Array) -> tuple[Array, Array]:
    """Return matrices P and Q (..., d, d) with P Q^t = I for which q P and k Q have the same second moments."""
    left, right = _root(q), _root(k)
    u, s, vt = svd(left.mT @ right)
    inverse = array_namespace(s).sqrt(1 / s)[..., None, :]
    return (right @ vt.mT) * inverse, (left @ u) * inverse


def _root(tokens: Array) -> Array:
    """Return the Cholesky factor (..., d, d) of the second moments of tokens (..., n, d), with a small ridge."""
    xp, (n, d) = array_namespace(tokens), tokens.shape[-2:]
    moments = tokens.mT @ tokens / n
    mean = xp.linalg.trace(moments)[..., None, None] / d
    # tokens out of range are NaN in any coordinates
    moments = xp.where(xp.isfinite(mean), moments, xp.zeros_like(moments))
    mean = xp.where(xp.isfinite(mean), mean, xp.ones_like(mean))
    small = math.sqrt(eps(tokens))
    # below sqrt(eps) of the largest token, whose size is about one here, moments are rounding or zero: equal tokens
    ridge = small * xp.maximum(mean, xp.full_like(mean, small**2))
    identity = xp.eye(d, dtype=tokens.dtype, device=device(tokens))
    return cholesky(moments + ridge * identity)
