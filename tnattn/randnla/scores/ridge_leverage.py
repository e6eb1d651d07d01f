"""Ridge leverage scores of the rows of matrices and of the columns of kernels, and effective dimension."""

from __future__ import annotations

from typing import Any

from tnattn.arrays import Array, array_namespace, device, eps, quiet_overflow
from tnattn.linalg import cholesky, eigh, small_svd, solve_triangular, transposed_product
from tnattn.randnla.symmetry import symmetric_dense
from tnattn.randnla.units import Unit, in_units
from tnattn.scalars import as_real
from tnattn.structured.conversion import as_structured

_ABOVE_ROUNDING = 2.0**20  # ridges in units of eps times the trace from which scores keep their digits but six


def ridge_leverage_scores(a: Any, *, ridge: float, relative: bool = False) -> Array:
    """Return the ridge leverage scores of the rows of matrices, the diagonal of ``a (a^T a + ridge)^-1 a^T``.

    Parameters
    ----------
    a : as for a MatrixMethod, (..., m, n)
        Of any rank.
    ridge : float
        Positive, in units of the square of ``a``.
    relative : bool
        Give the ridge of every matrix in units of the mean square of its min(m, n) singular values instead.

    Returns
    -------
    Array, (..., m)
        In [0, 1); they add up to the effective dimension.

    Notes
    -----
    O(m n min(m, n)): through the Gram matrix where the ridge stands well above its rounding, else through a singular
    value decomposition. Cohen, Musco & Musco 2017.
    """
    ridge = require_ridge(ridge)
    given = as_structured(a)
    if relative and (found := _through_gram(given.dense_view(), ridge, relative=True, scaled=False)) is not None:
        return found
    matrix, unit = in_units(given)
    dense = matrix.dense_view()
    if (unit is None or relative) and (found := _through_gram(dense, ridge, relative=relative)) is not None:
        return found
    u, s, _ = small_svd(dense)
    if relative:
        xp = array_namespace(s)
        mean = xp.linalg.vector_norm(s, axis=-1, keepdims=True) / s.shape[-1] ** 0.5
        s, unit = s / xp.where(mean > 0, mean, xp.ones_like(mean)), None
    # the root of the ridge is compared with the singular values, whose squares could underflow
    return array_namespace(u).sum(u * u * _smoothed(s, ridge**0.5, unit, power=2)[..., None, :], axis=-1)


def _through_gram(dense: Array, ridge: float, *, relative: bool, scaled: bool = True) -> Array | None:
    """Return the scores of rows (..., m, n) through the Gram matrices; None for wide ones or where digits are lost.

    If not ``scaled``, squares of the entries may leave the range of the dtype.
    """
    if dense.shape[-2] < dense.shape[-1]:
        return None
    with quiet_overflow():
        gram = transposed_product(dense, dense)
    xp = array_namespace(gram)
    traces = xp.sum(xp.linalg.diagonal(gram), axis=-1)  # no less than the square of the norm
    level = xp.full_like(traces, ridge)
    if relative:  # the ridge of a matrix of zeros does not matter
        level = level * xp.where(traces > 0, traces / gram.shape[-1], xp.ones_like(traces))
    resolved = level > _ABOVE_ROUNDING * eps(gram) * traces
    if not scaled:
        limits = xp.finfo(gram.dtype)
        resolved = resolved & (traces > float(limits.smallest_normal) / eps(gram) ** 2) & (traces < float(limits.max))
    if not bool(xp.all(resolved)):
        return None
    identity = xp.eye(gram.shape[-1], dtype=gram.dtype, device=device(gram))
    lower = cholesky(gram + level[..., None, None] * identity)
    # the ridge bounds the condition of the factor: the product with its inverse loses three digits at most
    inverse = solve_triangular(lower, xp.broadcast_to(identity, gram.shape), lower=True)
    rows = dense @ inverse.mT
    return xp.vecdot(rows, rows)


def kernel_ridge_leverage_scores(kernel: Any, *, ridge: float) -> Array:
    """Return the diagonals of ``K (K + ridge)^-1`` of positive semidefinite matrices.

    Parameters
    ----------
    kernel : as for a MatrixMethod, (..., n, n)
        Symmetric and positive semidefinite.
    ridge : float
        Positive, in units of the kernel.

    Returns
    -------
    Array, (..., n)
        In [0, 1]; they add up to the effective dimension.

    Notes
    -----
    O(n^3). Alaoui & Mahoney 2015.
    """
    ridge = require_ridge(ridge)
    matrix, unit = in_units(as_structured(kernel, "kernel"))
    values, vectors = eigh(symmetric_dense(matrix).dense_view())
    _require_semidefinite(values)
    return array_namespace(values).sum(vectors * vectors * _smoothed(values, ridge, unit)[..., None, :], axis=-1)


def effective_dimension(kernel: Any, *, ridge: float) -> Array:
    """Return the traces (...) of ``K (K + ridge)^-1`` of positive semidefinite matrices (..., n, n); O(n^3).

    Arguments as for :func:`kernel_ridge_leverage_scores`.
    """
    ridge = require_ridge(ridge)
    matrix, unit = in_units(as_structured(kernel, "kernel"))
    dense = symmetric_dense(matrix).dense_view()
    xp = array_namespace(dense)
    values = xp.linalg.eigvalsh(dense)
    _require_semidefinite(values)
    return xp.sum(_smoothed(values, ridge, unit), axis=-1)


def relative_scores(kernel: Array, ridge: float) -> Array:
    """Return the ridge leverage scores (..., n) at a ridge relative to the mean of the diagonal, all positive.

    Raises ValueError if a kernel is not positive semidefinite.
    """
    xp = array_namespace(kernel)
    # the mean of the diagonal is the unit: eigenvalues of about one, and a ridge without dimension
    level = xp.mean(xp.abs(xp.linalg.diagonal(kernel)), axis=-1)[..., None, None]
    values, vectors = eigh(kernel / xp.where(level > 0, level, xp.ones_like(level)))
    _require_semidefinite(values)
    scores = xp.sum(vectors * vectors * _smoothed(values, ridge, None)[..., None, :], axis=-1)
    # positive also for a zero matrix, from which any columns may be sampled
    return xp.maximum(scores, xp.full_like(scores, eps(scores) ** 2))


def _require_semidefinite(values: Array) -> None:
    """Raise ValueError if the least of ascending eigenvalues (..., n) is negative beyond rounding."""
    xp = array_namespace(values)
    # backward error of the eigenvalue algorithm, a modest multiple of n eps ||K||
    noise = 8 * values.shape[-1] * eps(values) * xp.max(xp.abs(values), axis=-1)
    if bool(xp.any(values[..., 0] < -noise)):
        raise ValueError("a is not positive semidefinite; use RandomizedSVD for indefinite matrices")


def _smoothed(values: Array, ridge: float, unit: Unit | None, *, power: int = 1) -> Array:
    """Return ``v^p / (v^p + r^p)`` (..., r) of values v in a unit and the ridge r; zero where v is not positive.

    Computed from the ratio r / v: where it overflows, the quotient is zero to rounding.
    """
    xp = array_namespace(values)
    positive = values > 0
    with quiet_overflow():
        level = xp.full_like(values, ridge)
        if unit is not None:
            level = unit.divided(level)
        ratio = (level / xp.where(positive, values, xp.ones_like(values))) ** power
    return xp.where(positive, 1 / (1 + ratio), xp.zeros_like(values))


def require_ridge(ridge: Any) -> float:
    """Return a ridge as a Python number; raise ValueError unless it is positive."""
    number = as_real(ridge, "ridge")
    if not number > 0:
        raise ValueError(f"ridge is {number!r}; a positive number is needed")
    return number
