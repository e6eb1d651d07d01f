"""Leverage scores, exact and sketched, and sampling by them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tnattn.arrays import (
    Array,
    Rng,
    accumulator_dtype,
    array_namespace,
    device,
    eps,
    require_rng,
    uniform,
)
from tnattn.linalg import numerical_svd, orthonormalise_with_factor, solve_triangular
from tnattn.randnla.accuracy import require_rank
from tnattn.randnla.sketches.base import Sketch
from tnattn.randnla.units import in_units
from tnattn.scalars import Parameters, as_integer, require_count
from tnattn.structured.conversion import as_structured
from tnattn.structured.gather import gather_rows
from tnattn.structured.sparse import Sparse

_FINE = 1e-12  # rounding unit below which a thousand rows of weights, shifted by 0 ... 999, keep nine digits


def leverage_scores(a: Any, *, rank: int | None = None) -> Array:
    """Return the leverage scores of the rows of matrices.

    Parameters
    ----------
    a : as for a MatrixMethod, (..., m, n)
        Of any rank.
    rank : int, optional
        Number of leading left singular vectors; all with singular values above rounding if None.

    Returns
    -------
    Array, (..., m)
        Squared row norms of an orthonormal basis of the range, in [0, 1]; they add up to the rank.

    Notes
    -----
    O(m n min(m, n)). Through an orthonormal factorisation of the long side, never the Gram matrix.
    """
    a = in_units(as_structured(a))[0]  # scores do not depend on the scale
    if rank is not None:
        rank = as_integer(rank, "rank", least=1)
        require_rank(rank, a.shape)
    u = numerical_svd(a.to_dense())[0]
    xp = array_namespace(u)
    return xp.sum(xp.square(u[..., : a.shape[-1] if rank is None else rank]), axis=-1)


def sketched_leverage_scores(a: Any, *, sketch: Sketch, size: int, rng: Rng | None = None) -> Array:
    """Return approximate leverage scores of the rows of tall matrices of full column rank.

    Parameters
    ----------
    a : Array (..., m, n), or what a MatrixMethod takes
        ``m >= n``.
    sketch : Sketch
        Distribution of the test matrix that compresses the rows: the triangular factor of the sketch makes the columns
        of ``a`` nearly orthonormal.
    size : int
        Rows of the sketch, n <= size. The error is a factor of at most 1 + e for a subspace embedding of the range with
        distortion e.
    rng : numpy.random.Generator or DeviceDraws

    Returns
    -------
    Array, (..., m)

    Raises
    ------
    ValueError
        If ``size`` is out of range, or the sketch is singular.

    Notes
    -----
    The sketch, O(size n^2) and O(m n^2) for the rows; no decomposition of the matrix itself. Drineas, Magdon-Ismail,
    Mahoney & Woodruff 2012, Algorithm 1, without its second projection, an advantage only for n much larger than log m.
    """
    matrix = in_units(as_structured(a))[0]
    size = as_integer(size, "size", least=1)
    m, n = matrix.shape[-2:]
    if not n <= size:
        raise ValueError(f"size {size} is smaller than the {n} columns of the {matrix.shape} stack; raise size")
    if size >= m:
        return leverage_scores(matrix.to_dense())
    compressed = matrix.mT.sketch(sketch.draw(m, size, rng=rng, like=matrix.like)).mT  # (..., size, n)
    _, r = orthonormalise_with_factor(compressed)
    xp = array_namespace(r)
    diagonal = xp.abs(xp.linalg.diagonal(r))
    if bool(xp.any(xp.min(diagonal, axis=-1) <= size * eps(r) * xp.max(diagonal, axis=-1))):
        raise ValueError(f"the sketch of a {matrix.shape} stack is singular: a lacks full rank, or raise size")
    rows = solve_triangular(r, matrix.to_dense().mT, lower=False, transpose=True)  # r^-T a^T
    return xp.sum(rows * rows, axis=-2)


def coherence(a: Any, *, rank: int | None = None) -> Array:
    """Return m / k times the largest leverage score, (...), of matrices (..., m, n) of rank k, or of leading subspaces.

    From 1, for equal scores, to m / k, where one row is orthogonal to all others; 0 for zero matrices. See
    ``leverage_scores``.
    """
    scores = leverage_scores(a, rank=rank)
    xp = array_namespace(scores)
    total = xp.sum(scores, axis=-1)
    return xp.max(scores, axis=-1) * scores.shape[-1] / xp.where(total > 0, total, xp.ones_like(total))


def sample_indices(weights: Array, uniforms: Array) -> Array:
    """Return independent samples with replacement, (..., s), with probabilities proportional to weights (..., n).

    Parameters
    ----------
    weights : Array, (..., n)
        Non-negative. Where all are zero every index is the last.
    uniforms : Array, (s,)
        Uniform on [0, 1), shared by all rows of weights: the samples of one row do not depend on the others.
    """
    xp = array_namespace(weights, uniforms)
    wide = accumulator_dtype(weights)
    cumulative = xp.cumulative_sum(xp.astype(weights, wide, copy=False), axis=-1)
    aim = xp.astype(uniforms, wide, copy=False) * cumulative[..., -1:]  # (..., s)
    n, last = weights.shape[-1], cumulative[..., -1:]
    # inversion of the distribution function; indices of weight zero are never the first above the aim
    if cumulative.ndim == 1:
        below = xp.searchsorted(cumulative, aim, side="right")
    elif eps(cumulative) < _FINE:  # one search for the whole stack: row i is brought to between i and i + 1
        row = xp.reshape(xp.arange(math.prod(last.shape), device=device(last)), last.shape)
        start = xp.astype(row, wide)
        scaled = cumulative / xp.where(last > 0, last, xp.ones_like(last)) + start
        aim = xp.astype(uniforms, wide, copy=False) + start
        position = xp.searchsorted(xp.reshape(scaled, (-1,)), xp.reshape(aim, (-1,)), side="right")
        below = xp.reshape(position, aim.shape) - row * n
    else:  # float32 would lose the digits: count, O(s n)
        below = xp.sum(xp.astype(cumulative[..., None, :] <= aim[..., :, None], xp.int64), axis=-1)
    # rounding of the total may put the aim beyond the last sum
    return xp.minimum(below, xp.full_like(below, n - 1))


@dataclass(frozen=True)
class LeverageSampling(Parameters):
    """Rows of a tall matrix sampled with replacement by their leverage scores, rescaled to preserve norms.

    Parameters
    ----------
    size : int
        Number of samples, positive.

    Notes
    -----
    The result S has rows ``e_j^T / sqrt(size p_j)``, ``p_j`` proportional to the scores, so that ``E[S^T S]`` is the
    identity on the range of the matrix. Drineas, Mahoney & Muthukrishnan 2006.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import LeverageSampling
    >>> a = np.concatenate([np.ones((99, 1)), [[100.0]]])  # the last row carries nearly all of the column
    >>> s = LeverageSampling(size=5)(a, rng=np.random.default_rng(0))
    >>> print(s.indices[:, 0], np.round(np.linalg.norm(s @ a) / np.linalg.norm(a), 2))
    [99 99 99 99 99] 1.0
    """

    size: int = 64

    def __post_init__(self) -> None:
        require_count(self.size, "size", least=1)

    def __call__(self, a: Any, *, rng: Rng | None = None) -> Sparse:
        """Return the sampling matrices S, (..., size, m), of a stack of matrices (..., m, n)."""
        matrix = as_structured(a)
        scores = leverage_scores(matrix.to_dense())
        drawn = uniform(require_rng(rng, "LeverageSampling"), (self.size,), like=scores)
        indices = sample_indices(scores, drawn)
        xp = array_namespace(scores)
        picked = gather_rows(scores[..., None], indices[..., None])[..., 0, :]  # (..., size, 1)
        total = xp.sum(scores, axis=-1)[..., None, None]
        # a zero matrix has the range {0} and no scores to sample by: rows of zeros are exact
        positive = picked > 0
        scale = xp.sqrt(total / (self.size * xp.where(positive, picked, xp.ones_like(picked))))
        return Sparse(xp.where(positive, scale, xp.zeros_like(scale)), indices[..., None], scores.shape[-1])
