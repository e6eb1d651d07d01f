"""Eigenvalues and eigenvectors of stacks of symmetric matrices, on every array library."""

from __future__ import annotations

import array_api_compat

from tnattn.arrays import Array, array_namespace, computed_in_single
from tnattn.linalg import lapack
from tnattn.linalg.scaling import binary_scale
from tnattn.scalars import as_integer


@computed_in_single
def eigh(a: Array) -> tuple[Array, Array]:
    """Return eigenvalues (..., n), ascending, and eigenvectors (..., n, n) of symmetric matrices."""
    xp = array_namespace(a)
    if array_api_compat.is_numpy_array(a) or 0 in a.shape:  # LAPACK brings a matrix into range
        values, vectors = xp.linalg.eigh(a)
        return values, vectors
    # cuSOLVER and others do not scale: squares of entries beyond the square root of the range would overflow
    scale = binary_scale(a, axis=(-2, -1))
    values, vectors = xp.linalg.eigh(a / scale)
    return values * scale[..., 0], vectors


@computed_in_single
def leading_eigh(a: Array, *, keep: int) -> tuple[Array, Array]:
    """Return the largest ``keep`` eigenvalues (..., keep), descending, and their eigenvectors (..., n, keep).

    On the host, few eigenvectors (``8 keep <= n``) are computed by relatively robust representations, without the
    others, at half the price of a full decomposition; devices compute all.
    """
    xp = array_namespace(a)
    n = a.shape[-1]
    keep = as_integer(keep, "keep")
    if not 1 <= keep <= n:
        raise ValueError(f"keep {keep} is outside 1 ... n = {n}; reduce keep")
    # from an eighth of the vectors on, the divide-and-conquer method for all of them is faster
    if not array_api_compat.is_numpy_array(a) or 8 * keep > n:
        values, vectors = eigh(a)
        return xp.flip(values[..., n - keep :], axis=-1), xp.flip(vectors[..., n - keep :], axis=-1)
    return lapack.leading_eigh(a, keep=keep)
