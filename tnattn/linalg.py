"""Factorizations, products and norms of stacks of matrices, on every array library.

The last two axes are the matrix, all others are batch. The standard's ``linalg`` does the work where it can; what it
lacks (triangular solves, orthonormalisation that is both fast and safe) and what differs between libraries is here.
NumPy stacks go to LAPACK one matrix at a time, device stacks through batched kernels.
"""

import sys
from typing import Any

import array_api_compat
import numpy as np

from tnattn import lapack
from tnattn.arrays import (
    Array,
    accumulator_dtype,
    array_namespace,
    device,
    eps,
    from_host,
    require_floating,
    to_host,
)

_NARROW = 96  # columns below which the price of a Gram matrix and of what repairs it is that of the small SVD

# --- solves and factorizations -----------------------------------------------------------------------------------


def solve_triangular(a: Array, b: Array, *, lower: bool, transpose: bool = False) -> Array:
    """Return the solution x of ``a x = b`` (of ``a^T x = b`` if transpose) for triangular a.

    Parameters
    ----------
    a : Array, (..., n, n)
        Only the named triangle is read.
    b : Array, (..., n, k)
        Batch axes broadcast with those of ``a``.
    lower, transpose : bool
        ``lower`` speaks of ``a`` as given, before the transposition.

    Returns
    -------
    Array, (..., n, k)

    Notes
    -----
    O(n^2 k). A zero on the diagonal is not checked: the result holds infinities.
    """
    xp = array_namespace(a, b)
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != a.shape[-2] or a.shape[-1] != b.shape[-2]:
        raise ValueError(
            f"a {tuple(a.shape)} and b {tuple(b.shape)} do not fit; (..., n, n) and (..., n, k) are needed"
        )
    if array_api_compat.is_torch_array(a):
        triangle = xp.matrix_transpose(a) if transpose else a
        return sys.modules["torch"].linalg.solve_triangular(triangle, b, upper=lower == transpose)
    batch = np.broadcast_shapes(tuple(a.shape[:-2]), tuple(b.shape[:-2]))
    a, b = xp.broadcast_to(a, batch + tuple(a.shape[-2:])), xp.broadcast_to(b, batch + tuple(b.shape[-2:]))
    if array_api_compat.is_numpy_array(a):
        return lapack.solve_triangular(a, b, lower=lower, transpose=transpose)
    if array_api_compat.is_cupy_array(a):
        from cupyx.scipy.linalg import solve_triangular as cupy_solve  # needs cuBLAS: only when it is wanted

        return cupy_solve(a, b, trans=int(transpose), lower=lower)
    triangle = xp.tril(a) if lower else xp.triu(a)
    return xp.linalg.solve(xp.matrix_transpose(triangle) if transpose else triangle, b)


def cholesky(a: Array) -> Array:
    """Return the lower Cholesky factor of a stack of symmetric positive definite matrices (..., n, n).

    Raises
    ------
    ValueError
        If a matrix is not numerically positive definite. One synchronisation on a device.
    """
    xp = array_namespace(a)
    factor = _cholesky_or_nan(xp, a)
    if array_api_compat.is_cupy_array(a):
        factor = _cupy_cholesky_checked(xp, a, factor)
    bad = xp.any(~xp.isfinite(factor), axis=(-2, -1))
    if bool(xp.any(bad)):
        where = np.argwhere(to_host(bad))[0]
        place = f"matrix {tuple(int(i) for i in where)} of the stack" if len(where) else "the matrix"
        raise ValueError(f"{place} is not positive definite in {a.dtype}; add a ridge or use eigh")
    return factor


def eigh(a: Array) -> tuple[Array, Array]:
    """Return eigenvalues (..., n), ascending, and eigenvectors (..., n, n) of symmetric matrices."""
    values, vectors = array_namespace(a).linalg.eigh(a)
    return values, vectors


def leading_eigh(a: Array, *, keep: int) -> tuple[Array, Array]:
    """Return the largest ``keep`` eigenvalues (..., keep), descending, and their eigenvectors (..., n, keep).

    On the host, few of many come from relatively robust representations, without the other vectors: half the price of
    the whole decomposition, which is taken elsewhere.
    """
    xp = array_namespace(a)
    n = a.shape[-1]
    if not 1 <= keep <= n:
        raise ValueError(f"keep {keep} is outside 1 ... n = {n}; reduce keep")
    if not array_api_compat.is_numpy_array(a) or 8 * keep > n:
        values, vectors = eigh(a)
        return xp.flip(values[..., n - keep :], axis=-1), xp.flip(vectors[..., n - keep :], axis=-1)
    return lapack.leading_eigh(a, keep=keep)


def svd(a: Array) -> tuple[Array, Array, Array]:
    """Return the thin singular value decomposition u (..., m, r), s (..., r), vt (..., r, n), r = min(m, n)."""
    u, s, vt = array_namespace(a).linalg.svd(a, full_matrices=False)
    return u, s, vt


def singular_values(a: Array) -> Array:
    """Return the singular values (..., min(m, n)) of matrices (..., m, n), largest first."""
    return array_namespace(a).linalg.svdvals(a)


def small_svd(a: Array) -> tuple[Array, Array, Array]:
    """Return the thin singular value decomposition of short-and-wide or tall-and-thin matrices.

    An orthonormal factorization of the long side leaves a square core of the short side, whose decomposition is cheap
    and as accurate as the direct one. Squarer than 2 : 1, the direct one is taken.
    """
    xp = array_namespace(a)
    m, n = a.shape[-2:]
    if n > m:
        u, s, vt = small_svd(xp.matrix_transpose(a))
        return xp.matrix_transpose(vt), s, xp.matrix_transpose(u)
    if m < 2 * n:
        return svd(a)
    q, r = orthonormalise_with_factor(a)
    u, s, vt = svd(r)
    return xp.matmul(q, u), s, vt


def leading_svd(a: Array, *, keep: int) -> tuple[Array, Array, Array]:
    """Return the leading ``keep`` singular triples of short-and-wide or tall-and-thin matrices.

    Parameters
    ----------
    a : Array, (..., m, n)
        A stack of matrices.
    keep : int
        ``1 <= keep <= min(m, n)``.

    Returns
    -------
    u (..., m, keep), s (..., keep), vt (..., keep, n)
        Factors orthonormal to rounding.

    Notes
    -----
    Through the Gram matrix of the short side, in float64 where the device has it: O(m n min(m, n)) in products plus an
    eigenvalue problem of the short side, half the price of :func:`small_svd`, which takes narrow float64 matrices. The
    eigenvalues lose the singular values below ``sqrt(eps) s_1``, so a stack that has ``s_keep <= eps^(1/4) s_1``
    anywhere (eps of the Gram matrix), or that overflows, goes to :func:`small_svd` too. What the guard lets through
    departs from the best choice of directions by ``eps^(1/2) s_keep`` at most. Two synchronisations.
    """
    xp = array_namespace(a)
    m, n = a.shape[-2:]
    if not 1 <= keep <= min(m, n):
        raise ValueError(f"keep {keep} is outside 1 ... min(m, n) = {min(m, n)}; reduce keep")
    if n > m:
        u, s, vt = leading_svd(xp.matrix_transpose(a), keep=keep)
        return xp.matrix_transpose(vt), s, xp.matrix_transpose(u)
    wide = xp.astype(a, accumulator_dtype(a), copy=False)
    if eps(wide) == eps(a) and n < _NARROW:
        return _cut(small_svd(a), keep)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows here fails the guard
        gram = _gram(xp, wide)
    largest = xp.max(xp.linalg.diagonal(gram), axis=-1)
    if not bool(xp.all(xp.isfinite(largest) & (largest > 0))):
        return _cut(small_svd(a), keep)
    values, vectors = eigh(gram)
    if bool(xp.any(values[..., n - keep] <= eps(values) ** 0.5 * values[..., -1])):
        return _cut(small_svd(a), keep)
    leading = xp.flip(vectors[..., n - keep :], axis=-1)
    if eps(values) < eps(a):  # eps (s_1 / s)^2, by which the columns below depart from orthonormality, is nothing to a
        s = xp.sqrt(xp.flip(values[..., n - keep :], axis=-1))
        u = xp.astype(xp.matmul(wide, leading / s[..., None, :]), a.dtype)
        return u, xp.astype(s, a.dtype), xp.matrix_transpose(xp.astype(leading, a.dtype))
    # u = product / s would lose its orthogonality as (s_1 / s)^2 eps; a factorization of the product does not, and the
    # columns, scaled to length one, are so nearly orthonormal that one pass does.
    product = xp.matmul(a, leading)
    lengths = xp.linalg.vector_norm(product, axis=-2, keepdims=True)
    q, r = orthonormalise_with_factor(product / lengths)
    u, s, wt = svd(r * lengths)
    return xp.matmul(q, u), s, xp.matmul(wt, xp.matrix_transpose(leading))


def _cut(triples: tuple[Array, Array, Array], keep: int) -> tuple[Array, Array, Array]:
    u, s, vt = triples
    return u[..., :keep], s[..., :keep], vt[..., :keep, :]


# --- orthonormal bases -------------------------------------------------------------------------------------------


def orthonormalise(a: Array) -> Array:
    """Return matrices with orthonormal columns whose ranges contain those of ``a``.

    Parameters
    ----------
    a : Array, (..., m, n), floating
        Finite (not checked), ``m >= n``.

    Returns
    -------
    Array, (..., m, n)
        Orthonormal to a few rounding units whatever the rank of ``a``, zero included.

    Notes
    -----
    O(m n^2). Cholesky-QR, twice: matrix products at full speed, safe while the condition number squared stays below
    the reciprocal of the rounding unit. The guard is the departure of the first pass from orthonormality, measured; a
    matrix that fails it gets a shifted first pass on a device (Fukaya et al. 2020, batched QR being slow there) and,
    should that fail too, or on the host at once, Householder QR. Each matrix of a stack is judged by itself. One
    synchronisation, two more if a matrix fails.
    """
    return orthonormalise_with_factor(a)[0]


def orthonormalise_with_factor(a: Array) -> tuple[Array, Array]:
    """Return q as in :func:`orthonormalise` and the upper triangular r (..., n, n) with ``a = q r``."""
    xp = array_namespace(a)
    require_floating(a, "a")
    m, n = a.shape[-2:]
    if m < n:
        raise ValueError(
            f"a {tuple(a.shape)} has more columns than rows; {n} columns cannot be orthonormal in dimension {m}"
        )
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows here fails the guard
        return lapack.orthonormalise(a) if array_api_compat.is_numpy_array(a) else _device_stack(xp, a)


def near_orthonormal(a: Array) -> Array:
    """Return matrices (..., m, n) of the ranges of ``a``, m >= n, whose columns are orthonormal but for rounding.

    One pass of :func:`orthonormalise` on the host, without its guard: columns depart from orthonormality by about
    ``eps cond(a)^2``. For blocks that are orthonormalised again; elsewhere they are orthonormal at once.
    """
    require_floating(a, "a")
    if not array_api_compat.is_numpy_array(a) or a.shape[-2] < a.shape[-1]:
        return orthonormalise(a)
    with np.errstate(over="ignore", invalid="ignore"):
        return lapack.near_orthonormal(a)


def _device_stack(xp: Any, a: Array) -> tuple[Array, Array]:
    n = a.shape[-1]
    q, r, safe = _cholesky_qr_twice(xp, a)
    if bool(xp.all(safe)):
        return q, r
    first, outer = _cholesky_pass(xp, a, _gram(xp, a), shift=8 * n * eps(a))
    second, inner, rescued = _cholesky_qr_twice(xp, first)
    use = xp.expand_dims(~safe & rescued, axis=(-2, -1))
    q, r = xp.where(use, second, q), xp.where(use, xp.matmul(inner, outer), r)
    return _householder_where(xp, a, q, r, safe | rescued)


def lu_normalise(a: Array) -> Array:
    """Return a well-conditioned, not orthonormal, basis (..., m, n) of the range of ``a``, m >= n.

    On the host the unit lower trapezoidal factor of a pivoted LU factorization, a third of the price of
    :func:`orthonormalise`; elsewhere the latter. For use between power iterations.
    """
    require_floating(a, "a")
    if a.shape[-2] < a.shape[-1]:
        raise ValueError(f"a {tuple(a.shape)} has more columns than rows; transpose it")
    return lapack.lower_trapezoid(a) if array_api_compat.is_numpy_array(a) else orthonormalise(a)


def host_row_pivots(a: Array) -> Array | None:
    """Return the first n rows (..., n) that partial pivoting brings to the top of matrices (..., m, n), m >= n.

    None off the host, where no library gives them for a stack.
    """
    return lapack.row_pivots(a) if array_api_compat.is_numpy_array(a) else None


def _gram(xp: Any, a: Array) -> Array:
    return xp.matmul(xp.matrix_transpose(a), a)


def _cholesky_or_nan(xp: Any, a: Array) -> Array:
    """Return Cholesky factors, with NaN in place of one that does not exist."""
    if array_api_compat.is_torch_array(a):
        factor, info = sys.modules["torch"].linalg.cholesky_ex(a)
        return xp.where((info == 0)[..., None, None], factor, xp.nan)
    if array_api_compat.is_cupy_array(a):
        # CuPy does not look at cuSOLVER's report: a failure leaves a non-positive or NaN pivot on the diagonal.
        factor = xp.linalg.cholesky(a)
        sound = xp.all(xp.linalg.diagonal(factor) > 0, axis=-1)
        return xp.where(xp.expand_dims(sound, axis=(-2, -1)), factor, xp.nan)
    try:
        return xp.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        if a.ndim == 2:
            return xp.full_like(a, xp.nan)
    return xp.stack([_cholesky_or_nan(xp, a[i, ...]) for i in range(a.shape[0])])


def _cupy_cholesky_checked(xp: Any, a: Array, factor: Array) -> Array:
    """Return the factor, or NaN if cuSOLVER reports a failure, which CuPy looks at only when told to."""
    import cupyx

    try:
        with cupyx.errstate(linalg="raise"):
            return xp.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        return xp.where(xp.expand_dims(xp.any(xp.isnan(factor), axis=(-2, -1)), axis=(-2, -1)), xp.nan, factor)


def _cholesky_pass(xp: Any, a: Array, gram: Array, *, shift: float = 0.0) -> tuple[Array, Array]:
    n = a.shape[-1]
    if shift:
        trace = xp.sum(xp.linalg.diagonal(gram), axis=-1)
        gram = gram + shift * trace[..., None, None] * xp.eye(n, dtype=a.dtype, device=device(a))
    factor = _cholesky_or_nan(xp, gram)
    rows = solve_triangular(factor, xp.matrix_transpose(a), lower=True)
    return xp.matrix_transpose(rows), xp.matrix_transpose(factor)


def _departure(xp: Any, gram: Array, identity: Array) -> Array:
    """Return the Frobenius distance (...) of Gram matrices from the identity; NaN stays NaN."""
    return xp.sqrt(xp.sum((gram - identity) ** 2, axis=(-2, -1)))


def _cholesky_qr_twice(xp: Any, a: Array) -> tuple[Array, Array, Array]:
    """Return q, r and, per matrix, whether the first pass was close enough to orthonormal for the second to finish."""
    first, outer = _cholesky_pass(xp, a, _gram(xp, a))
    gram = _gram(xp, first)
    identity = xp.eye(a.shape[-1], dtype=a.dtype, device=device(a))
    departure = _departure(xp, gram, identity)
    safe = departure < 0.5  # NaN compares false
    second, inner = _cholesky_pass(xp, first, xp.where(xp.expand_dims(safe, axis=(-2, -1)), gram, identity))
    return second, xp.matmul(inner, outer), safe


def _householder_where(xp: Any, a: Array, q: Array, r: Array, safe: Array) -> tuple[Array, Array]:
    """Replace the matrices of a stack that are not safe by Householder factorizations."""
    bad = np.flatnonzero(~to_host(safe).reshape(-1))
    if bad.size == 0:
        return q, r
    batch, (m, n) = tuple(a.shape[:-2]), a.shape[-2:]
    chosen = xp.take(xp.reshape(a, (-1, m, n)), from_host(bad, like=a), axis=0)
    bad_q, bad_r = _with_positive_diagonal(xp, *xp.linalg.qr(chosen, mode="reduced"))
    flat_q = xp.asarray(xp.reshape(q, (-1, m, n)), copy=True)
    flat_r = xp.asarray(xp.reshape(r, (-1, n, n)), copy=True)
    for k, i in enumerate(int(i) for i in bad):
        flat_q[i, ...], flat_r[i, ...] = bad_q[k, ...], bad_r[k, ...]
    return xp.reshape(flat_q, (*batch, m, n)), xp.reshape(flat_r, (*batch, n, n))


def _with_positive_diagonal(xp: Any, q: Array, r: Array) -> tuple[Array, Array]:
    """Fix the signs as Cholesky-QR does, so that the factorization does not depend on the road taken."""
    diagonal = xp.linalg.diagonal(r)
    sign = xp.where(diagonal < 0, -xp.ones_like(diagonal), xp.ones_like(diagonal))
    return q * sign[..., None, :], r * sign[..., :, None]


# --- products and least squares ----------------------------------------------------------------------------------


def transposed_product(a: Array, x: Array) -> Array:
    """Return ``a^T x`` (..., n, l) for a (..., m, n) and a narrow x (..., m, l), computed with x stored as rows.

    The product ``(x^T a)^T`` walks along the rows of ``a``: half again as fast as ``a^T x`` where ``a`` is row-major.
    """
    xp = array_namespace(a, x)
    return xp.matrix_transpose(xp.matmul(xp.matrix_transpose(x), a))


def product_with_rows(a: Array, omega_rows: Array) -> Array:
    """Return ``a omega`` (..., m, l) for a (..., m, n) and a test matrix given by its rows, ``omega^T`` (..., l, n).

    In float64 computed as ``(omega^T a^T)^T``, whose rows follow each other in memory: a third faster there. In float32
    the plain order is, by a tenth for 74 columns and by half for 32.
    """
    xp = array_namespace(a, omega_rows)
    if eps(a) > 1e-10:
        return xp.matmul(a, xp.matrix_transpose(omega_rows))
    return xp.matrix_transpose(xp.matmul(omega_rows, xp.matrix_transpose(a)))


def pseudo_inverse_apply(a: Array, b: Array, *, rtol: float | None = None) -> Array:
    """Return the least-squares solution x of smallest norm, min ``||a x - b||_F``.

    Parameters
    ----------
    a : Array, (..., m, n)
        Of any rank.
    b : Array, (..., m, k)
        Right-hand sides.
    rtol : float, optional
        Singular values up to ``rtol`` times the largest count as zero; ``max(m, n) eps`` if None.

    Returns
    -------
    Array, (..., n, k)

    Notes
    -----
    O(m n min(m, n)). Through a truncated singular value decomposition, never the normal equations or an explicit
    inverse: the error grows with the condition number of what is kept, not with its square.
    """
    xp = array_namespace(a, b)
    if b.ndim < 2 or a.shape[-2] != b.shape[-2]:
        raise ValueError(
            f"a {tuple(a.shape)} and b {tuple(b.shape)} do not fit; (..., m, n) and (..., m, k) are needed"
        )
    if rtol is None:
        rtol = max(a.shape[-2:]) * eps(a)
    if not 0 <= rtol < 1:
        raise ValueError(f"rtol is {rtol}; 0 <= rtol < 1 is needed")
    u, s, vt = small_svd(a)
    kept = s > rtol * s[..., :1]
    inverse = xp.where(kept, 1 / xp.where(kept, s, xp.ones_like(s)), xp.zeros_like(s))
    return xp.matmul(xp.matrix_transpose(vt), inverse[..., None] * xp.matmul(xp.matrix_transpose(u), b))


# --- norms and ranks ---------------------------------------------------------------------------------------------


def spectral_norm(a: Array) -> Array:
    """Return the largest singular values (...) of matrices (..., m, n).

    Through the Gram matrix of the short side, scaled against overflow: the largest singular value loses nothing there.
    """
    xp = array_namespace(a)
    require_floating(a, "a")
    m, n = a.shape[-2:]
    if min(m, n) == 0:
        return xp.zeros(tuple(a.shape[:-2]), dtype=a.dtype, device=device(a))
    scale = _scale(xp, a)
    scaled = a / scale
    gram = _gram(xp, scaled if n <= m else xp.matrix_transpose(scaled))
    largest = xp.linalg.eigvalsh(gram)[..., -1]
    return scale[..., 0, 0] * xp.sqrt(largest)


def frobenius_norm(a: Array) -> Array:
    """Return the Frobenius norms (...) of matrices (..., m, n), summed in float64 where the device has it."""
    xp = array_namespace(a)
    require_floating(a, "a")
    wide = xp.astype(a, accumulator_dtype(a), copy=False)
    return xp.astype(xp.sqrt(xp.sum(wide * wide, axis=(-2, -1))), a.dtype, copy=False)


def nuclear_norm(a: Array) -> Array:
    """Return the sums of singular values (...) of matrices (..., m, n)."""
    return array_namespace(a).sum(singular_values(a), axis=-1)


def truncation_tails(s: Array) -> Array:
    """Return ``tails[..., r] = sqrt(sum_{i >= r} s_i^2)``, r = 0 ... k, of singular values (..., k).

    ``tails[..., r]`` is the Frobenius error of the best rank-r approximation. Summed from the small end, in float64
    where the device has it.
    """
    xp = array_namespace(s)
    require_floating(s, "s")
    wide = xp.astype(s, accumulator_dtype(s), copy=False)
    sums = xp.flip(xp.cumulative_sum(xp.flip(wide * wide, axis=-1), axis=-1, include_initial=True), axis=-1)
    return xp.astype(xp.sqrt(sums), s.dtype, copy=False)


def rank_for_tolerance(s: Array, *, rtol: float) -> Array:
    """Return the smallest ranks (...), integers, whose discarded tail is at most ``rtol`` times the Frobenius norm.

    Parameters
    ----------
    s : Array, (..., k)
        Singular values, largest first. All zero: rank 0.
    rtol : float
        ``0 <= rtol``; 0 asks for every singular value that is not zero.
    """
    if not rtol >= 0:
        raise ValueError(f"rtol is {rtol}; a non-negative number is needed")
    xp = array_namespace(s)
    tails = truncation_tails(s)
    return xp.sum(xp.astype(tails[..., :-1] > rtol * tails[..., :1], xp.int64), axis=-1)


def _scale(xp: Any, a: Array) -> Array:
    """Return the largest magnitude (..., 1, 1) of each matrix, 1 for a zero one."""
    largest = xp.max(xp.abs(a), axis=(-2, -1), keepdims=True)
    return xp.where(largest > 0, largest, xp.ones_like(largest))
