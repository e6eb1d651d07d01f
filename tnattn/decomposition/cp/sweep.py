"""One sweep of alternating least squares over the factors of a canonical polyadic decomposition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tnattn.arrays import Array, array_namespace, eps, prefers_host_tiles
from tnattn.decomposition.cp.thin_products import thin_product
from tnattn.decomposition.multilinear import khatri_rao, mode_sizes
from tnattn.decomposition.tensor_units import energy
from tnattn.linalg import eigh

__all__: list[str] = []

BLOCK = 2**18  # entries of a block, 2 MiB in float64: stays in the cache of a core
ROUNDING = 64.0  # times eps: relative differences of inner products that may be rounding alone


def cp_sweep(
    tensor: Array, factors: Sequence[Array], *, order: int, guess: Sequence[Array] | None = None, captured: Array
) -> tuple[list[Array], Array, Array, Array]:
    """Update all factors, each by least squares with the others fixed.

    Parameters
    ----------
    tensor : Array, (..., n_0, ..., n_{d-1})
    factors : sequence of Array, (..., n_j, r)
    order : int
    guess : sequence of Array, (..., n_j, r), optional
        Other initial factors. They replace ``factors`` where they capture more, by more than rounding, after the
        update of the first mode; one more product with the tensor if they do not.
    captured : Array, (...)
        Inner product of the current fit with the tensor.

    Returns
    -------
    factors : list of Array
        Columns of length one or zero.
    lengths : Array, (..., r)
        Weights of the terms.
    captured : Array, (...)
    accepted : Array, (...), bool
        Mask of the tensors whose guess was accepted.

    Notes
    -----
    The modes are split in two halves, and all of a half share one product with the tensor (Phan, Tichavsky and Cichocki
    2013).
    """
    xp = array_namespace(tensor)
    sizes, batch = mode_sizes(tensor, order=order), tuple(tensor.shape[: tensor.ndim - order])
    cut = _balanced_cut(sizes)
    matrix = xp.reshape(tensor, (*batch, math.prod(sizes[:cut]), -1))
    tried = list(factors if guess is None else guess)
    product, solved = _with_second_half(matrix, tried, sizes, cut), None
    if guess is None:
        accepted = captured >= captured  # true for all, of the right shape and device; there is no guess to reject
    else:
        solved = _least_squares(product, tried, [gram(factor) for factor in tried], 0, 0)
        # after one update: the error of a least-squares fit falls exactly as its inner product grows
        accepted = solved[1] >= (1 + ROUNDING * eps(tensor)) * captured
        if not bool(xp.all(accepted)):
            tried = [xp.where(accepted[..., None, None], g, f) for g, f in zip(tried, factors, strict=True)]
            product, solved = _with_second_half(matrix, tried, sizes, cut), None
    tried, lengths, reached = _solved_half(product, tried, 0, solved)
    product = (khatri_rao_rows(tried[:cut]) @ matrix).mT
    return *_solved_half(xp.reshape(product, (*batch, *sizes[cut:], -1)), tried, cut), accepted


def half_sweep(tensor: Array, factors: Sequence[Array], *, order: int) -> tuple[list[Array], Array, Array]:
    """Update the first half of the factors, by one product with the tensor.

    Returns factors, lengths and captured as ``cp_sweep`` does.
    """
    sizes = mode_sizes(tensor, order=order)
    cut = _balanced_cut(sizes)
    shape = (*tensor.shape[: tensor.ndim - order], math.prod(sizes[:cut]), -1)
    matrix = array_namespace(tensor).reshape(tensor, shape)
    return _solved_half(_with_second_half(matrix, factors, sizes, cut), factors, 0)


def relative_error(
    tensor: Array, weights: Array, factors: Sequence[Array], captured: Array, size: Array, *, digits: int
) -> Array:
    """Return ||X - fit|| / ||X||, zero for X = 0, of a fit one factor of which is a least-squares solution.

    From ||X||^2 - <X, fit>, as ||fit||^2 = <X, fit> for such a fit; from the difference itself where cancellation
    leaves fewer digits than wanted.
    """
    xp = array_namespace(tensor)
    unit = xp.where(size > 0, size, xp.ones_like(size))
    square = xp.where(size > 0, 1 - captured / unit / unit, xp.zeros_like(size))
    # terms that cancel make <X, fit> a sum of large numbers: rounding is relative to the squared sizes of the terms
    rounding = 10.0**digits * eps(tensor) * (1 + (xp.sum(xp.abs(weights), axis=-1) / unit) ** 2)
    if bool(xp.all((square > rounding) | (size == 0))):
        return xp.sqrt(square)
    return xp.sqrt(difference_energy(tensor, weights, factors)) / unit


def difference_energy(tensor: Array, weights: Array, factors: Sequence[Array]) -> Array:
    """Return the squared Frobenius norm (...) of a tensor less its fit, block by block where the host computes it."""
    xp, order = array_namespace(tensor), len(factors)
    sizes, batch = mode_sizes(tensor, order=order), tuple(tensor.shape[: tensor.ndim - order])
    cut = _balanced_cut(sizes)
    matrix = xp.reshape(tensor, (*batch, math.prod(sizes[:cut]), -1))
    # the fit as a product of two Khatri-Rao products, of which one block of rows at a time is formed
    left = xp.matrix_transpose(khatri_rao_rows(factors[:cut]) * weights[..., None])
    right = khatri_rao_rows(factors[cut:])
    rows, columns = matrix.shape[-2:]
    step = max(1, BLOCK // (columns * max(1, math.prod(batch)))) if prefers_host_tiles(tensor) else rows
    error_squared = xp.zeros_like(weights[..., 0])
    for start in range(0, rows, step):
        part = matrix[..., start : start + step, :] - xp.matmul(left[..., start : start + step, :], right)
        error_squared = error_squared + energy(part, order=2)
    return error_squared


def _balanced_cut(sizes: Sequence[int]) -> int:
    """Return the number of modes in the first of two halves whose Khatri-Rao products have the fewest rows together."""
    return min(range(1, len(sizes)), key=lambda k: math.prod(sizes[:k]) + math.prod(sizes[k:]))


def gram(factor: Array) -> Any:
    """Return the Gram matrix (..., r, r) of the columns of a factor."""
    return factor.mT @ factor


def khatri_rao_rows(factors: Sequence[Array]) -> Array:
    """Return the columns of a Khatri-Rao product as rows (..., r, prod n_j), the index of the last factor fastest."""
    xp = array_namespace(*factors)
    rows = factors[0].mT
    for factor in factors[1:]:
        product = rows[..., :, None] * factor.mT[..., None, :]
        rows = xp.reshape(product, (*product.shape[:-2], -1))
    return rows


def _with_second_half(matrix: Array, factors: Sequence[Array], sizes: Sequence[int], cut: int) -> Array:
    """Return the product (..., sizes of the first half, r) with the Khatri-Rao product of the second half."""
    product = thin_product(matrix, khatri_rao(factors[cut:]))
    return array_namespace(matrix).reshape(product, (*matrix.shape[:-2], *sizes[:cut], -1))


def _solved_half(
    product: Array, factors: Sequence[Array], first: int, solved: tuple[Array, Array] | None = None
) -> tuple[list[Array], Array, Array]:
    """Update the factors of the modes that a product still has, which are those from ``first`` on.

    ``solved`` is the result of ``_least_squares`` for the first of them, if that is known.
    """
    xp, found = array_namespace(product), list(factors)
    grams = [gram(factor) for factor in found]
    for mode in range(first, first + product.ndim - grams[0].ndim + 1):
        solution, reached = solved or _least_squares(product, found, grams, mode, first)
        solved = None  # known for the first mode only
        # unit columns after every update: the weights cannot move to one factor and overflow there
        lengths = xp.linalg.vector_norm(solution, axis=-2)
        found[mode] = unit_columns(solution, lengths)
        grams[mode] = gram(found[mode])
    return found, lengths, reached


def _least_squares(
    product: Array, factors: Sequence[Array], grams: Sequence[Array], mode: int, first: int
) -> tuple[Array, Array]:
    """Return the least-squares factor (..., n_mode, r) of a mode, and the inner product of its fit with the tensor."""
    xp, batch = array_namespace(product), grams[0].shape[:-2]
    for j in reversed(range(first, first + product.ndim - len(batch) - 1)):
        if j != mode:  # contracted from the last on: of the modes behind j only the one solved for is left
            n, r = factors[j].shape[-2:]
            behind = (1,) if j < mode else ()
            before = (1,) * (product.ndim - len(batch) - len(behind) - 2)
            term = product * xp.reshape(factors[j], (*batch, *before, n, *behind, r))
            product = xp.sum(term, axis=-2 - len(behind))
    # the Gram matrix of a Khatri-Rao product is the Hadamard product of those of its factors
    solution = normal_solution(math.prod(g for j, g in enumerate(grams) if j != mode), product)
    return solution, xp.sum(product * solution, axis=(-2, -1))


def normal_solution(normal: Array, right: Array) -> Array:
    """Return ``right normal^+`` (..., n, r), the solution of smallest norm of normal equations (..., r, r)."""
    xp = array_namespace(normal)
    values, vectors = eigh(normal)
    # eigenvalues below r eps times the largest are rounding: collinear columns get the solution of smallest norm
    kept = values > values.shape[-1] * eps(values) * values[..., -1:]
    inverse = xp.where(kept, 1 / xp.where(kept, values, xp.ones_like(values)), xp.zeros_like(values))
    return ((right @ vectors) * inverse[..., None, :]) @ vectors.mT


def unit_columns(columns: Array, lengths: Array) -> Array:
    """Return columns (..., n, r) of length one, or zero where the length (..., r) is."""
    xp = array_namespace(columns)
    return columns / xp.where(lengths > 0, lengths, xp.ones_like(lengths))[..., None, :]
