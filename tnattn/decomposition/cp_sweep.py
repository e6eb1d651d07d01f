"""One sweep of alternating least squares over the factors of a canonical polyadic decomposition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tnattn.arrays import Array, array_namespace, contract, eps, prefers_host_tiles
from tnattn.decomposition.multilinear import mode_sizes
from tnattn.decomposition.scaling import energy
from tnattn.linalg import pseudo_inverse_apply
from tnattn.structured.tensor import MODES

BLOCK = 2**18  # entries that stay in the cache of a core


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
        Other factors to start from. They replace ``factors`` where they capture at least as much after the update of
        the first mode; one more product with the tensor if they do not.
    captured : Array, (...)
        What the current fit captures: its inner product with the tensor.

    Returns
    -------
    factors : list of Array
        Columns of length one or zero.
    lengths : Array, (..., r)
        Weights of the terms.
    captured : Array, (...)
    accepted : Array, (...), bool
        Where the guess was taken.

    Notes
    -----
    The modes are split in two halves, and all of a half share one product with the tensor (Phan, Tichavsky and Cichocki
    2013), in which the columns of the Khatri-Rao product are stored as rows.
    """
    xp = array_namespace(tensor)
    sizes, batch = mode_sizes(tensor, order=order), tuple(tensor.shape[: tensor.ndim - order])
    cut = _balanced_cut(sizes)
    matrix = xp.reshape(tensor, (*batch, math.prod(sizes[:cut]), -1))
    first, second = range(cut), range(cut, order)
    tried = list(factors if guess is None else guess)
    accepted = captured >= captured
    product = _shared_product(matrix, [tried[j] for j in second], sizes[:cut], transpose=True)
    solution, reached = _least_squares(product, first, tried, 0)
    if guess is not None:
        accepted = reached >= captured
        if not bool(xp.all(accepted)):
            tried = [xp.where(accepted[..., None, None], g, f) for g, f in zip(tried, factors, strict=True)]
            product = _shared_product(matrix, [tried[j] for j in second], sizes[:cut], transpose=True)
            solution, reached = _least_squares(product, first, tried, 0)
    tried[0], lengths = _normalised(solution)
    for mode in range(1, order):
        if mode == cut:
            product = _shared_product(matrix, [tried[j] for j in first], sizes[cut:], transpose=False)
        solution, reached = _least_squares(product, first if mode < cut else second, tried, mode)
        tried[mode], lengths = _normalised(solution)
    return tried, lengths, reached, accepted


def difference_energy(tensor: Array, weights: Array, factors: Sequence[Array]) -> Array:
    """Return the squared Frobenius norm (...) of a tensor less its fit, block by block where the host computes it."""
    xp, order = array_namespace(tensor), len(factors)
    sizes, batch = mode_sizes(tensor, order=order), tuple(tensor.shape[: tensor.ndim - order])
    cut = _balanced_cut(sizes)
    matrix = xp.reshape(tensor, (*batch, math.prod(sizes[:cut]), -1))
    left = xp.matrix_transpose(khatri_rao_rows(factors[:cut]) * weights[..., None])
    right = khatri_rao_rows(factors[cut:])
    rows, columns = matrix.shape[-2:]
    step = max(1, BLOCK // (columns * max(1, math.prod(batch)))) if prefers_host_tiles(tensor) else rows
    total = xp.zeros_like(weights[..., 0])
    for start in range(0, rows, step):
        part = matrix[..., start : start + step, :] - xp.matmul(left[..., start : start + step, :], right)
        total = total + energy(part, order=2)
    return total


def _balanced_cut(sizes: Sequence[int]) -> int:
    """Return where to cut the modes in two halves whose Khatri-Rao products have the fewest rows together."""
    return min(range(1, len(sizes)), key=lambda k: math.prod(sizes[:k]) + math.prod(sizes[k:]))


def gram(factor: Array) -> Any:
    """Return the Gram matrix (..., r, r) of the columns of a factor."""
    xp = array_namespace(factor)
    return xp.matmul(xp.matrix_transpose(factor), factor)


def khatri_rao_rows(factors: Sequence[Array]) -> Array:
    """Return the columns of a Khatri-Rao product as rows (..., r, prod n_j), the index of the last factor fastest."""
    xp = array_namespace(*factors)
    rows = xp.matrix_transpose(factors[0])
    for factor in factors[1:]:
        product = rows[..., :, None] * xp.matrix_transpose(factor)[..., None, :]
        rows = xp.reshape(product, (*product.shape[:-2], -1))
    return rows


def _shared_product(matrix: Array, factors: Sequence[Array], sizes: Sequence[int], *, transpose: bool) -> Array:
    """Multiply the Khatri-Rao product of one half with the tensor: (..., r, sizes of the modes of the other half)."""
    xp, rows = array_namespace(matrix), khatri_rao_rows(factors)
    if not transpose:
        product = xp.matmul(rows, matrix)
    elif eps(matrix) > eps("float64"):  # in float32 this is half again as fast as the other, in float64 as slow
        product = xp.matrix_transpose(xp.matmul(matrix, xp.matrix_transpose(rows)))
    else:
        product = xp.matmul(rows, xp.matrix_transpose(matrix))
    return xp.reshape(product, (*product.shape[:-1], *sizes))


def _least_squares(product: Array, half: Sequence[int], factors: Sequence[Array], mode: int) -> tuple[Array, Array]:
    """Return the best factor of a mode as rows (..., r, n_mode), and what the fit with it captures."""
    xp = array_namespace(product)
    others = [j for j in half if j != mode]
    letters = "".join(MODES[j] for j in half)
    terms = ",".join(f"...{term}" for term in ["Z" + letters, *(MODES[j] + "Z" for j in others)])
    right = contract(f"{terms}->...Z{MODES[mode]}", product, *(factors[j] for j in others))
    normal = math.prod(gram(factor) for j, factor in enumerate(factors) if j != mode)
    solution = pseudo_inverse_apply(normal, right)
    return solution, xp.sum(right * solution, axis=(-2, -1))


def _normalised(rows: Array) -> tuple[Array, Array]:
    """Return the rows as columns of length one, or zero, and their lengths."""
    xp = array_namespace(rows)
    lengths = xp.linalg.vector_norm(rows, axis=-1)
    unit = rows / xp.where(lengths > 0, lengths, xp.ones_like(lengths))[..., None]
    return xp.matrix_transpose(unit), lengths
