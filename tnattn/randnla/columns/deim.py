"""Discrete empirical interpolation: columns on which leading singular vectors are well conditioned."""

from __future__ import annotations

from dataclasses import dataclass

from tnattn.arrays import Array, Rng, array_namespace, device
from tnattn.linalg import host_row_pivots, pivoted_qr, with_unused
from tnattn.randnla.columns.selection import SubspaceSelection
from tnattn.structured.gather import take_rows

__all__ = ["DEIMColumns", "QDEIMColumns"]


@dataclass(frozen=True)
class DEIMColumns(SubspaceSelection):
    """One column for each singular vector: where its interpolation from the vectors before errs most.

    Parameters
    ----------
    svd : TruncatedSVD or RandomizedSVD

    Notes
    -----
    The decomposition, and O(n size^2). Sorensen & Embree 2016, Algorithm 1.
    """

    def dimension(self, size: int) -> int:
        return size

    def points(self, v: Array, size: int, *, rng: Rng | None) -> Array:
        return deim(v)


@dataclass(frozen=True)
class QDEIMColumns(SubspaceSelection):
    """The pivots of a column-pivoted QR factorisation of the transposed singular vectors, whose order is immaterial.

    Parameters
    ----------
    svd : TruncatedSVD or RandomizedSVD

    Notes
    -----
    The decomposition, and O(n size^2). Drmač & Gugercin 2016.
    """

    def dimension(self, size: int) -> int:
        return size

    def points(self, v: Array, size: int, *, rng: Rng | None) -> Array:
        return qdeim(v)


def deim(u: Array) -> Array:
    """Return the interpolation points (..., k), distinct, of matrices u (..., n, k) with independent columns.

    O(n k^2). The same as the row pivots of Gaussian elimination with partial pivoting, and computed so: eliminated
    columns are what their interpolation from the columns before leaves.
    """
    fast = host_row_pivots(u)
    if fast is not None:
        return fast
    xp = array_namespace(u)
    n, k = u.shape[-2:]
    residual = xp.asarray(u, copy=True)
    rows = xp.arange(n, device=device(u))
    free = xp.ones(u.shape[:-1], dtype=xp.bool, device=device(u))
    points = []
    for j in range(k):
        column = xp.where(free, xp.abs(residual[..., j]), -xp.ones_like(residual[..., j]))
        point = xp.argmax(column, axis=-1)[..., None]  # (..., 1)
        points.append(point)
        free = free & (rows != point)
        pivot = take_rows(residual, point)  # (..., 1, k)
        value = pivot[..., j, None]
        factor = residual[..., j, None] / xp.where(value == 0, xp.ones_like(value), value)
        if j + 1 < k:
            residual[..., j + 1 :] = residual[..., j + 1 :] - factor * pivot[..., j + 1 :]
    return xp.concat(points, axis=-1)


def qdeim(u: Array) -> Array:
    """Return the pivots (..., k) of a column-pivoted QR factorisation of ``u^T``, u (..., n, k); O(n k^2)."""
    return with_unused(pivoted_qr(u.mT, u.shape[-1])[2], u.shape[-2])
