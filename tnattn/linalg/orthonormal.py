"""Orthonormal bases of the ranges of matrices of any rank and scale, on every array library.

Every function here returns columns with ``max |Q^T Q - I| <= (8 n + m / 256) eps`` for every finite input: dependent,
repeated, zero and denormal columns, columns of very different length, entries next to the largest number. Under four
BLAS kernels at most 2.5 n eps was seen up to a thousand rows; the sums over many rows of one sign add their own
rounding, 455 eps at a million rows.
"""

from __future__ import annotations

from typing import Any

import array_api_compat
import numpy as np

from tnattn.arrays import Array, array_namespace, computed_in_single, device, eps, from_host, require_floating, to_host
from tnattn.linalg import lapack
from tnattn.linalg.scaling import binary_scale, in_square_range
from tnattn.linalg.triangular import cholesky_or_nan, solve_triangular

_NEAR = 0.5  # departure of Q^T Q from the identity that one more Cholesky-QR pass repairs
_DEPENDENT = 0.1  # overlap with the basis, after a projection, from which a second one cannot free a block


@computed_in_single
def orthonormalise(a: Array) -> Array:
    """Return matrices with orthonormal columns whose ranges contain those of ``a``.

    Parameters
    ----------
    a : Array, (..., m, n), floating
        Finite (not checked), ``m >= n``.

    Returns
    -------
    Array, (..., m, n)
        ``max |Q^T Q - I| <= (8 n + m / 256) eps`` whatever the rank of ``a``, zero included; eps in float32 for half
        precision, before the result is rounded to it. The range of the first j columns contains that of the first j
        columns of ``a``, for every j. Where a column depends on those before it, an arbitrary direction orthogonal to
        them completes the basis; ``Q u``, with u the leading left singular vectors of the triangular factor, leaves
        these out.

    Notes
    -----
    O(m n^2). Cholesky-QR, twice: matrix products at full speed, safe while the condition number squared stays below
    the reciprocal of the rounding unit; one pass suffices for columns that are nearly orthogonal, of whatever length.
    The guard is the departure of the first pass from orthonormality, measured. A matrix whose columns have squares
    beyond the range of its dtype is scaled, column by column, by powers of two, which changes no digit of Q. A matrix
    that fails the guard gets a shifted first pass on a device (Fukaya et al. 2020, batched QR being slow there) and,
    should that fail too, or on the host at once, Householder QR. Each matrix of a stack is judged by itself. One
    synchronisation, three more if a matrix fails.

    Examples
    --------
    >>> import numpy as np
    >>> q = orthonormalise(np.ones((5, 2)))  # rank one: the second column completes the basis
    >>> bool(np.abs(q.T @ q - np.eye(2)).max() < 1e-15)
    True
    """
    return orthonormalise_with_factor(a)[0]


@computed_in_single
def orthonormalise_with_factor(a: Array) -> tuple[Array, Array]:
    """Return q of :func:`orthonormalise` and the upper triangular r (..., n, n) with ``a = q r``.

    The diagonal of r is not negative. Column by column ``a - q r`` is at most ``(8 n + m / 256) eps`` times the length
    of the column of ``a``, or n times the smallest denormal number; r holds infinity where a column is longer than the
    largest number.
    """
    xp = array_namespace(a)
    require_floating(a, "a")
    m, n = a.shape[-2:]
    if m < n:
        raise ValueError(
            f"a {tuple(a.shape)} has more columns than rows; {n} columns cannot be orthonormal in dimension {m}"
        )
    if 0 in a.shape:
        return a, xp.zeros((*a.shape[:-2], n, n), dtype=a.dtype, device=device(a))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what overflows here fails the guard
        return lapack.orthonormalise(a) if array_api_compat.is_numpy_array(a) else _device_stack(xp, a)


@computed_in_single
def near_orthonormal(a: Array) -> Array:
    """Return bases (..., m, n) of the ranges of ``a``, m >= n, with ``||Q^T Q - I||_F <= 1/2``: half the price.

    One pass of :func:`orthonormalise` on the host where the triangular factor shows that this suffices, columns then
    departing from orthonormality by about ``eps cond^2``, cond that of ``a`` with columns of length one; orthonormal
    otherwise. For blocks that are orthonormalised again.
    """
    require_floating(a, "a")
    if not array_api_compat.is_numpy_array(a) or a.shape[-2] < a.shape[-1] or 0 in a.shape:
        return orthonormalise(a)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return lapack.near_orthonormal(a)


@computed_in_single
def extend_basis(basis: Array, block: Array) -> Array:
    """Return orthonormal columns that extend an orthonormal basis by the range of a block.

    Parameters
    ----------
    basis : Array, (..., m, k)
        Orthonormal columns.
    block : Array, (..., m, c), ``k + c <= m``
        Of any rank and scale; it may lie in the range of the basis.

    Returns
    -------
    Array, (..., m, c)
        Orthonormal, and orthogonal to the basis, to ``(8 (k + c) + m / 256) eps``. As far as the block depends on the
        basis or on itself, arbitrary directions orthogonal to both take the place of what is missing.

    Notes
    -----
    Two projections, "twice is enough" (Giraud, Langou & Rozloznik 2005), O(m k c). Their remainder is rounding where
    the block depends on the basis, and no number of projections frees it: completing a zero remainder gives the same
    arbitrary columns again and again, which may lie in the basis. Such a block is factorised together with the basis.
    One synchronisation beside those of :func:`orthonormalise`.
    """
    xp = array_namespace(basis, block)
    k, c = basis.shape[-1], block.shape[-1]
    if k + c > basis.shape[-2]:
        raise ValueError(
            f"a basis {tuple(basis.shape)} has no room for {c} more columns in dimension {basis.shape[-2]}; "
            f"give a block of at most {basis.shape[-2] - k}"
        )
    if k == 0 or c == 0:
        return orthonormalise(block)
    adjoint = xp.matrix_transpose(basis)
    block = block / binary_scale(block, axis=-2)  # the products with the basis cannot overflow
    first = near_orthonormal(block - xp.matmul(basis, xp.matmul(adjoint, block)))
    overlap = xp.matmul(adjoint, first)
    if bool(xp.max(xp.abs(overlap)) < _DEPENDENT):
        return orthonormalise(first - xp.matmul(basis, overlap))
    # the block depends on the basis: one factorization of both completes it with directions outside the basis
    batch = np.broadcast_shapes(tuple(basis.shape[:-2]), tuple(block.shape[:-2]))
    parts = [xp.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (basis, block)]
    return orthonormalise(xp.concat(parts, axis=-1))[..., k:]


@computed_in_single
def lu_normalise(a: Array) -> Array:
    """Return a well-conditioned, not orthonormal, basis (..., m, n) of a space that contains the range of ``a``.

    On the host the unit lower trapezoidal factor of a pivoted LU factorization, of entries at most one, a third of the
    price of :func:`orthonormalise`; elsewhere the latter. For use between power iterations. ``m >= n``.
    """
    require_floating(a, "a")
    if a.shape[-2] < a.shape[-1]:
        raise ValueError(f"a {tuple(a.shape)} has more columns than rows; transpose it")
    if not array_api_compat.is_numpy_array(a) or 0 in a.shape:
        return orthonormalise(a)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return lapack.lower_trapezoid(a)


def host_row_pivots(a: Array) -> Array | None:
    """Return the first n rows (..., n) that partial pivoting brings to the top of matrices (..., m, n), m >= n.

    None off the host, where no library gives them for a stack.
    """
    return lapack.row_pivots(a) if array_api_compat.is_numpy_array(a) else None


# --- stacks on a device ------------------------------------------------------------------------------------------


def _device_stack(xp: Any, a: Array) -> tuple[Array, Array]:
    """Cholesky-QR twice of a stack; shifted Cholesky-QR, then Householder QR, for matrices that fail its guard."""
    gram = _gram(xp, a)
    sound = xp.all(in_square_range(xp.linalg.diagonal(gram)), axis=-1)
    q, r, safe = _cholesky_qr_twice(xp, a, gram)
    safe = safe & sound
    if bool(xp.all(safe)):
        return q, r
    # shifted Cholesky-QR (Fukaya et al. 2020): the shift makes the Gram matrix definite, and two more passes follow
    scales = binary_scale(a, axis=-2)
    scaled = a / scales
    first, outer = _cholesky_pass(xp, scaled, _gram(xp, scaled), shift=8 * a.shape[-1] * eps(a))
    second, inner, rescued = _cholesky_qr_twice(xp, first, _gram(xp, first))
    use = xp.expand_dims(~safe & rescued, axis=(-2, -1))
    q, r = xp.where(use, second, q), xp.where(use, xp.matmul(inner, outer) * scales, r)
    return _householder_where(xp, scaled, scales, q, r, safe | rescued)


def _gram(xp: Any, a: Array) -> Array:
    return xp.matmul(xp.matrix_transpose(a), a)


def _cholesky_pass(xp: Any, a: Array, gram: Array, *, shift: float = 0.0) -> tuple[Array, Array]:
    """Return ``a R^-1`` and R, the Cholesky factor of the Gram matrix plus ``shift`` times its trace."""
    n = a.shape[-1]
    if shift:
        trace = xp.sum(xp.linalg.diagonal(gram), axis=-1)
        gram = gram + shift * trace[..., None, None] * xp.eye(n, dtype=a.dtype, device=device(a))
    factor = cholesky_or_nan(xp, gram)
    rows = solve_triangular(factor, xp.matrix_transpose(a), lower=True)
    return xp.matrix_transpose(rows), xp.matrix_transpose(factor)


def _cholesky_qr_twice(xp: Any, a: Array, gram: Array) -> tuple[Array, Array, Array]:
    """Return q, r and, per matrix, whether the first pass was close enough to orthonormal for the second to finish."""
    first, outer = _cholesky_pass(xp, a, gram)
    gram = _gram(xp, first)
    identity = xp.eye(a.shape[-1], dtype=a.dtype, device=device(a))
    safe = xp.sqrt(xp.sum((gram - identity) ** 2, axis=(-2, -1))) < _NEAR  # NaN compares false
    second, inner = _cholesky_pass(xp, first, xp.where(xp.expand_dims(safe, axis=(-2, -1)), gram, identity))
    return second, xp.matmul(inner, outer), safe


def _householder_where(xp: Any, a: Array, scales: Array, q: Array, r: Array, safe: Array) -> tuple[Array, Array]:
    """Replace the matrices of a stack that are not safe by Householder factorizations; ``a`` has been scaled."""
    safe_host = to_host(safe).reshape(-1)
    bad = np.flatnonzero(~safe_host)
    if bad.size == 0:
        return q, r
    batch, (m, n) = tuple(a.shape[:-2]), a.shape[-2:]
    picked = from_host(bad, like=a)
    chosen, scale = (xp.take(xp.reshape(x, (-1, *x.shape[-2:])), picked, axis=0) for x in (a, scales))
    bad_q, bad_r = _with_positive_diagonal(xp, *xp.linalg.qr(chosen, mode="reduced"))
    identity = xp.eye(n, dtype=a.dtype, device=device(a))
    if not bool(xp.max(xp.abs(_gram(xp, bad_q) - identity)) <= (8 * n + m / 256) * eps(a)):  # batched kernels differ
        bad_q, bad_r = (from_host(x, like=a) for x in lapack.orthonormalise(to_host(chosen)))
    bad_r = bad_r * scale
    # for each matrix of the stack its place among the bad ones, or the first: three operations however many there are
    places = from_host(np.maximum(np.cumsum(~safe_host) - 1, 0), like=a)
    bad_q, bad_r = (xp.reshape(xp.take(x, places, axis=0), (*batch, *x.shape[-2:])) for x in (bad_q, bad_r))
    keep = safe[..., None, None]
    return xp.where(keep, q, bad_q), xp.where(keep, r, bad_r)


def _with_positive_diagonal(xp: Any, q: Array, r: Array) -> tuple[Array, Array]:
    """Return the factors with a non-negative diagonal of r, as Cholesky-QR has it: both methods give one result."""
    diagonal = xp.linalg.diagonal(r)
    sign = xp.where(diagonal < 0, -xp.ones_like(diagonal), xp.ones_like(diagonal))
    return q * sign[..., None, :], r * sign[..., :, None]
