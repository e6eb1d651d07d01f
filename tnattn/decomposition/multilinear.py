"""Multilinear algebra on stacks of tensors: unfoldings, mode products, Kronecker and Khatri-Rao products.

The trailing ``order`` axes of an array are the modes, numbered from 0; all axes before them are batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

from tnattn.arrays import Array, array_namespace, broadcast_shape
from tnattn.scalars import as_integer


def mode_sizes(tensor: Array, *, order: int) -> tuple[int, ...]:
    """Return the sizes of the modes."""
    order = as_integer(order, "order", least=0, most=tensor.ndim, cure="the trailing axes of the array are the modes")
    return tuple(int(n) for n in tensor.shape[tensor.ndim - order :])


def unfold(tensor: Array, mode: int, *, order: int) -> Array:
    """Return the mode unfolding: the fibres of a mode as columns, the other modes in their order.

    Parameters
    ----------
    tensor : Array, (..., n_0, ..., n_{d-1})
    mode : int
        ``0 <= mode < order``.
    order : int
        Number of modes d.

    Returns
    -------
    Array, (..., n_mode, product of the other sizes)
        Columns in row-major order of the other modes, as in TensorLy. Kolda and Bader 2009 run through them in the
        opposite order, a permutation of the columns.
    """
    xp, sizes = array_namespace(tensor), mode_sizes(tensor, order=order)
    mode, batch = _checked_mode(mode, len(sizes)), tensor.ndim - len(sizes)
    axes = (*range(batch), batch + mode, *(batch + j for j in range(len(sizes)) if j != mode))
    columns = math.prod(sizes) // sizes[mode] if sizes[mode] else 0  # -1 is ambiguous for empty tensors
    return xp.reshape(xp.permute_dims(tensor, axes), (*tensor.shape[:batch], sizes[mode], columns))


def fold(matrix: Array, mode: int, sizes: Sequence[int]) -> Array:
    """Return the tensor (..., *sizes) whose unfolding of a mode is a matrix (..., n_mode, rest)."""
    xp = array_namespace(matrix)
    sizes = tuple(as_integer(n, "sizes", least=0) for n in sizes)
    order, batch = len(sizes), matrix.ndim - 2
    mode = _checked_mode(mode, order)
    others = [j for j in range(order) if j != mode]
    moved = xp.reshape(matrix, (*matrix.shape[:-2], sizes[mode], *(sizes[j] for j in others)))
    place = {j: batch + k for k, j in enumerate([mode, *others])}  # inverse of the permutation of ``unfold``
    return xp.permute_dims(moved, (*range(batch), *(place[j] for j in range(order))))


def mode_product(tensor: Array, matrix: Array, mode: int, *, order: int) -> Array:
    """Return ``tensor x_mode matrix``: every fibre of a mode multiplied by a matrix.

    Parameters
    ----------
    tensor : Array, (..., n_0, ..., n_{d-1})
    matrix : Array, (..., p, n_mode)
        Batch axes as in ``tensor``, or none.
    mode, order : int

    Returns
    -------
    Array, (..., n_0, ..., p, ..., n_{d-1})

    Notes
    -----
    O(p prod(n)), no transposition of the tensor.
    """
    xp = array_namespace(tensor, matrix)
    sizes = mode_sizes(tensor, order=order)
    mode, batch = _checked_mode(mode, len(sizes)), tuple(tensor.shape[: tensor.ndim - len(sizes)])
    before, after = math.prod(sizes[:mode]), math.prod(sizes[mode + 1 :])
    if after == 1:  # (..., before, n) against the rows of the matrix: one product instead of many thin ones
        fibres = xp.reshape(tensor, (*batch, before, sizes[mode]))
        product = xp.matmul(fibres, xp.matrix_transpose(matrix))
    elif before == 1:
        product = xp.matmul(matrix, xp.reshape(tensor, (*batch, sizes[mode], after)))
    else:  # one product for each index of the modes before: (..., before, n, after)
        product = xp.matmul(xp.expand_dims(matrix, axis=-3), xp.reshape(tensor, (*batch, before, sizes[mode], after)))
    return xp.reshape(product, (*batch, *sizes[:mode], matrix.shape[-2], *sizes[mode + 1 :]))


def mode_gram(tensor: Array, mode: int, *, order: int) -> Array:
    """Return the Gram matrix (..., n_mode, n_mode) of the rows of a mode unfolding, without forming the unfolding.

    O(n_mode prod(n)).
    """
    xp = array_namespace(tensor)
    sizes = mode_sizes(tensor, order=order)
    mode, batch = _checked_mode(mode, len(sizes)), tuple(tensor.shape[: tensor.ndim - len(sizes)])
    n, before, after = sizes[mode], math.prod(sizes[:mode]), math.prod(sizes[mode + 1 :])
    if after == 1:
        fibres = xp.reshape(tensor, (*batch, before, n))
        return xp.matmul(xp.matrix_transpose(fibres), fibres)
    if before == 1 or 2 * n > after:  # one long product of a copy is faster than a sum of short ones
        rows = unfold(tensor, mode, order=order)
        return xp.matmul(rows, xp.matrix_transpose(rows))
    slices = xp.reshape(tensor, (*batch, before, n, after))
    return xp.sum(xp.matmul(slices, xp.matrix_transpose(slices)), axis=-3)


def kronecker(factors: Sequence[Array]) -> Array:
    """Return the Kronecker product (..., prod m_j, prod n_j) of matrices (..., m_j, n_j), the last running fastest."""

    def pair(a: Array, b: Array) -> Array:
        xp = array_namespace(a, b)
        product = a[..., :, None, :, None] * b[..., None, :, None, :]  # (..., m_a, m_b, n_a, n_b)
        shape = (a.shape[-2] * b.shape[-2], a.shape[-1] * b.shape[-1])
        return xp.reshape(product, (*broadcast_shape(a.shape[:-2], b.shape[:-2]), *shape))

    return reduce(pair, factors)


def khatri_rao(factors: Sequence[Array]) -> Array:
    """Return the columnwise Kronecker product (..., prod n_j, r) of factors (..., n_j, r), the last running fastest."""

    def pair(a: Array, b: Array) -> Array:
        xp = array_namespace(a, b)
        if a.shape[-1] != b.shape[-1]:
            raise ValueError(f"factors have {a.shape[-1]} and {b.shape[-1]} columns; all must have the same number")
        product = a[..., :, None, :] * b[..., None, :, :]  # (..., n_a, n_b, r)
        shape = (a.shape[-2] * b.shape[-2], a.shape[-1])
        return xp.reshape(product, (*broadcast_shape(a.shape[:-2], b.shape[:-2]), *shape))

    return reduce(pair, factors)


def _checked_mode(mode: int, order: int) -> int:
    mode = as_integer(mode, "mode")
    if not 0 <= mode < order:
        raise ValueError(f"mode {mode} is outside 0 ... {order - 1}; a tensor of order {order} has no such mode")
    return mode
