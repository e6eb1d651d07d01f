"""Discrete empirical interpolation: columns at which the leading singular vectors are well conditioned."""

from __future__ import annotations

from dataclasses import dataclass

from tnattn.arrays import Array, Rng, array_namespace, device
from tnattn.linalg import host_row_pivots, pivoted_qr, with_unused
from tnattn.randnla.columns.selection import SubspaceSelection
from tnattn.structured.gather import take_rows

__all__ = ["DEIMColumns", "QDEIMColumns"]


@dataclass(frozen=True)
class DEIMColumns(SubspaceSelection):
    """One column for each singular vector: the position of the largest error of its interpolation from those before.

    Parameters
    ----------
    svd : TruncatedSVD or RandomizedSVD

    Notes
    -----
    The decomposition, and O(n size^2). Sorensen & Embree 2016, Algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import DEIMColumns, InterpolativeDecomposition
    >>> a = np.diag([1.0, 3.0, 2.0, 0.1])
    >>> print(InterpolativeDecomposition(rank=2, selection=DEIMColumns())(a).indices)
    [1 2]
    """

    def dimension(self, size: int) -> int:
        return size

    def points(self, v: Array, size: int, *, rng: Rng | None) -> Array:
        return deim(v)


@dataclass(frozen=True)
class QDEIMColumns(SubspaceSelection):
    """Pivots of a column-pivoted QR factorisation of the transposed singular vectors, independent of their order.

    Parameters
    ----------
    svd : TruncatedSVD or RandomizedSVD

    Notes
    -----
    The decomposition, and O(n size^2). Drmač & Gugercin 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import CUR, QDEIMColumns
    >>> a = np.diag([1.0, 3.0, 2.0, 0.1])
    >>> print(np.sort(CUR(rank=2, selection=QDEIMColumns())(a).column_indices))
    [1 2]
    """

    def dimension(self, size: int) -> int:
        return size

    def points(self, v: Array, size: int, *, rng: Rng | None) -> Array:
        return qdeim(v)


def deim(u: Array) -> Array:
    """Return the interpolation points (..., k), distinct, of matrices u (..., n, k) with independent columns.

    O(n k^2). Computed as the row pivots of Gaussian elimination with partial pivoting, which are the same: an
    eliminated column is the error of its interpolation from the columns before.
    """
    fast = host_row_pivots(u)  # LAPACK on the host; the loop below for devices and stacks
    if fast is not None:
        return fast
    xp = array_namespace(u)
    n, k = u.shape[-2:]
    residual = xp.asarray(u, copy=True)
    rows = xp.arange(n, device=device(u))
    free = xp.ones(u.shape[:-1], dtype=xp.bool, device=device(u))
    points = []
    for j in range(k):
        # used rows have the value -1, below every modulus
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
