"""Leading left singular subspaces, by a Gram matrix where it is accurate enough and by an SVD otherwise."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tnattn.arrays import Array, array_namespace, device, eps
from tnattn.decomposition.multilinear import mode_gram, mode_sizes, unfold
from tnattn.decomposition.tensor_units import energy as energy_of
from tnattn.linalg import leading_eigh, orthonormalise, small_svd
from tnattn.scalars import as_integer


@dataclass(frozen=True, eq=False)
class Subspace:
    """A truncated left singular subspace of each matrix of a stack.

    Parameters
    ----------
    basis : Array, (..., m, r)
        Orthonormal columns; those beyond the rank of a matrix are zero.
    discarded : Array, (...)
        Energy outside it: the sum of the squares of the discarded singular values.
    ranks : Array, (...), integer
        Columns that are kept for each matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.subspace import leading_subspace
    >>> step = leading_subspace(np.diag([3.0, 2.0, 1.0]), rank=2)
    >>> step.basis.round(6) + 0.0, round(float(step.discarded), 6), int(step.ranks)
    (array([[1., 0.],
           [0., 1.],
           [0., 0.]]), 1.0, 2)
    """

    basis: Array
    discarded: Array
    ranks: Array


def mode_subspace(
    tensor: Array, mode: int, *, order: int, rank: int | None = None, energy: Array | None = None
) -> Subspace:
    """Return the leading left singular subspace of a mode unfolding; see :func:`leading_subspace`."""
    sizes = mode_sizes(tensor, order=order)
    mode, order = as_integer(mode, "mode", least=0, most=len(sizes) - 1), len(sizes)
    rank = None if rank is None else as_integer(rank, "rank", least=1)
    # a mode longer than all others together: the Gram matrix of the other side of the unfolding is the smaller one
    if sizes[mode] ** 2 > math.prod(sizes):
        return leading_subspace(unfold(tensor, mode, order=order), rank=rank, energy=energy)
    if rank == sizes[mode]:
        return _full_space(tensor.shape[: tensor.ndim - order], rank, like=tensor)
    found = _from_gram(mode_gram(tensor, mode, order=order), rank=rank, energy=energy, size=max(sizes))
    if found is not None:
        return found
    return _from_svd(unfold(tensor, mode, order=order), rank=rank, energy=energy)


def leading_subspace(a: Array, *, rank: int | None = None, energy: Array | None = None) -> Subspace:
    """Return the leading left singular subspace of each matrix, of given rank or discarding at most some energy.

    Parameters
    ----------
    a : Array, (..., m, n)
    rank : int, optional
        ``1 <= rank <= min(m, n)``, or m.
    energy : Array, (...), optional
        Largest energy that may be discarded, given if ``rank`` is not. At least one column is kept.

    Notes
    -----
    O(m n min(m, n)). From the eigenvalues of the Gram matrix of the short side, whose rounding is about eps times the
    whole energy. If what is discarded does not stand well above that, so that the directions kept may be wrong by
    sqrt(eps), the whole stack is decomposed anew by an orthonormal factorization of the long side. Where every
    direction is kept, nothing is decomposed: the basis is the identity, or any of the range. One synchronisation.
    """
    xp = array_namespace(a)
    m, n = a.shape[-2:]
    rank = None if rank is None else as_integer(rank, "rank", least=1)
    if rank == m:
        return _full_space(a.shape[:-2], m, like=a)
    if rank == n:
        return dataclasses.replace(_full_space(a.shape[:-2], n, like=a), basis=orthonormalise(a))
    if m <= n:
        found = _from_gram(xp.matmul(a, xp.matrix_transpose(a)), rank=rank, energy=energy, size=n)
        return _from_svd(a, rank=rank, energy=energy) if found is None else found
    found = _from_gram(xp.matmul(xp.matrix_transpose(a), a), rank=rank, energy=energy, size=m)
    if found is None:
        return _from_svd(a, rank=rank, energy=energy)
    # A V = U S; unit columns before the QR, for singular values may range over many orders of magnitude
    images = xp.matmul(a, found.basis)
    lengths = xp.linalg.vector_norm(images, axis=-2, keepdims=True)
    basis = orthonormalise(images / xp.where(lengths > 0, lengths, xp.ones_like(lengths)))
    return Subspace(masked_columns(xp, basis, found.ranks), found.discarded, found.ranks)


def _full_space(batch: Sequence[int], m: int, *, like: Array) -> Subspace:
    """Return the subspace of all m dimensions, whose basis is the identity."""
    xp, batch = array_namespace(like), tuple(batch)
    identity = xp.broadcast_to(xp.eye(m, dtype=like.dtype, device=device(like)), (*batch, m, m))
    nothing = xp.zeros(batch, dtype=like.dtype, device=device(like))
    return Subspace(identity, nothing, xp.full(batch, m, dtype=xp.int64, device=device(like)))


def _from_gram(gram: Array, *, rank: int | None, energy: Array | None, size: int) -> Subspace | None:
    """Truncate the eigenvalue decomposition; None if what is discarded is of the order of its rounding."""
    xp, count = array_namespace(gram), gram.shape[-1]
    norm_squared = xp.linalg.trace(gram)
    # errors of a sum of ``size`` products grow like sqrt(size); 4 is a safety factor
    rounding = 4 * math.sqrt(size) * eps(gram) * norm_squared
    values, vectors = leading_eigh(gram, keep=count if rank is None else rank)
    vectors = vectors * column_signs(vectors)
    values = xp.maximum(values, xp.zeros_like(values))
    if energy is None:
        # the trace is the sum of all eigenvalues, so that the discarded ones need not be computed
        residual_squared = norm_squared - xp.sum(values, axis=-1)
        residual_squared = xp.maximum(residual_squared, xp.zeros_like(residual_squared))
        found = Subspace(vectors, residual_squared, _equal(rank, like=values))
        sound = found.discarded >= 4 * rounding  # the discarded energy is then known to 25 percent
    else:
        found = cut_to_energy(values, vectors, energy=energy, margin=rounding)
        # with all columns kept there is no error to make, unless only the margin has kept them
        sound = (found.discarded >= 4 * rounding) | ((found.ranks == count) & (energy >= 8 * rounding))
    return found if bool(xp.all(sound)) else None


def _from_svd(a: Array, *, rank: int | None, energy: Array | None) -> Subspace:
    """Truncate the singular value decomposition."""
    xp = array_namespace(a)
    u, s, _ = small_svd(a)
    u = u * column_signs(u)
    if energy is None:
        return Subspace(u[..., :rank], xp.sum(s[..., rank:] ** 2, axis=-1), _equal(rank, like=s))
    # no margin: singular values have errors of eps s_1, not of sqrt(eps) s_1
    return cut_to_energy(s * s, u, energy=energy, margin=xp.zeros_like(energy))


def energy_outside(a: Array, basis: Array, coefficients: Array) -> Array:
    """Return the energy (...) of matrices outside an orthonormal basis, given their coefficients in it.

    The difference of the energies; the energy of the difference where cancellation would leave fewer than four digits.
    """
    xp, norm_squared = array_namespace(a), energy_of(a, order=2)
    residual_squared = norm_squared - energy_of(coefficients, order=2)
    if bool(xp.all(residual_squared >= 1e4 * eps(a) * norm_squared)):  # four digits are left
        return residual_squared
    return energy_of(a - xp.matmul(basis, coefficients), order=2)


def column_signs(vectors: Array) -> Array:
    """Return the sign (..., 1, r) of the largest entry of each column.

    Singular vectors times these signs are the same for every library, and with them the remainder that the test
    matrices of later modes are multiplied with.
    """
    xp = array_namespace(vectors)
    place = xp.argmax(xp.abs(vectors), axis=-2, keepdims=True)
    largest = xp.take_along_axis(vectors, place, axis=-2)
    return xp.where(largest < 0, -xp.ones_like(largest), xp.ones_like(largest))


def _equal(rank: int | None, *, like: Array) -> Array:
    """Return one rank for each matrix of a stack (..., k)."""
    xp = array_namespace(like)
    return xp.full(tuple(like.shape[:-1]), rank, dtype=xp.int64, device=device(like))


def cut_to_energy(values: Array, vectors: Array, *, energy: Array, margin: Array) -> Subspace:
    """Keep as few columns as leave at most the given energy, less a margin."""
    xp = array_namespace(values)
    # tails[k] is the energy discarded with k columns kept, summed from the smallest value on
    tails = xp.flip(xp.cumulative_sum(xp.flip(values, axis=-1), axis=-1, include_initial=True), axis=-1)
    needed = xp.sum(xp.astype(tails[..., :-1] + margin[..., None] > energy[..., None], xp.int64), axis=-1)
    ranks = xp.maximum(needed, xp.ones_like(needed))
    keep = int(xp.max(ranks))  # a stack is padded to its largest rank
    discarded = xp.take_along_axis(tails, ranks[..., None], axis=-1)[..., 0]
    return Subspace(masked_columns(xp, vectors[..., :keep], ranks), discarded, ranks)


def masked_columns(xp: Any, basis: Array, ranks: Array) -> Array:
    """Put zeros in the columns beyond the rank of each matrix."""
    columns = xp.arange(basis.shape[-1], device=device(basis))
    return xp.where((columns < ranks[..., None])[..., None, :], basis, xp.zeros_like(basis))
