"""Exact attention to substituted keys and values as an approximation of attention to the given ones."""

from __future__ import annotations

from dataclasses import replace

from tnattn.arrays import Array, array_namespace, broadcast_shape, is_half, widened
from tnattn.attention.approximation import Approximation
from tnattn.attention.precision import widened_problem
from tnattn.attention.problem import AttentionProblem
from tnattn.scalars import as_integer

__all__: list[str] = []  # parts of the methods of this chapter


def substituted(problem: AttentionProblem, q: Array, k: Array, v: Array) -> Approximation:
    """Return the exact attention to keys (..., g, n_k, d) and values (..., g, n_k, d_v), g a divisor of G.

    The result has the layout of the problem: every new key head serves G / g old ones. Its mass is that of the new
    scores s': within exp(+-max_j |s'_ij - s_ij|) of the true one, so that pieces may be merged. It has no weights
    over the original keys, for these would act on the original values.
    """
    k, v = (_repeated(x, problem.groups) for x in (k, v))
    changed = widened_problem(replace(problem, q=q, k=k, v=v, scale=problem.score_scale))
    _ = changed.output  # one sweep gives products with values and row sums; both are kept with the problem
    shift = changed.weights.log_mass  # log of the row sums of the new scores, so that pieces merge
    return Approximation(
        kernel=changed.weights,
        shift=shift,
        values=changed.values,
        normaliser=array_namespace(shift).ones_like(shift),  # in these units the kernel is the matrix of weights
        dtype=problem.q.dtype if is_half(problem.q) else None,
    )


def mean_pooled(heads: Array, groups: int, *, axis: int) -> Array:
    """Return the means of consecutive heads, ``groups`` of them.

    The mean minimises the sum of squared distances to the heads of a group.

    Raises
    ------
    ValueError
        If the number of heads is no multiple of ``groups``.
    """
    xp = array_namespace(heads)
    axis, groups = axis % heads.ndim, as_integer(groups, "groups", least=1)
    count = heads.shape[axis]
    if count % groups:
        raise ValueError(
            f"{count} key heads cannot be pooled into groups={groups}; the first must be a multiple of the second"
        )
    shape = (*heads.shape[:axis], groups, count // groups, *heads.shape[axis + 1 :])
    pooled = xp.mean(xp.reshape(widened(heads), shape), axis=axis + 1)
    return xp.astype(pooled, heads.dtype, copy=False)


def _repeated(heads: Array, count: int) -> Array:
    """(..., g, n, d) to (..., count, n, d), every head repeated."""
    xp = array_namespace(heads)
    *batch, groups, n, d = heads.shape
    if count % groups:
        raise ValueError(f"{groups} key heads cannot stand for {count}; the second must be a multiple of the first")
    shape = broadcast_shape((*batch, groups, count // groups, n, d))
    return xp.reshape(xp.broadcast_to(heads[..., :, None, :, :], shape), (*batch, count, n, d))
