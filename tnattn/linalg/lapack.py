"""LAPACK and BLAS variants, for NumPy arrays, of the factorizations of :mod:`tnattn.linalg`, which calls them.

``numpy.linalg.qr`` costs three times SciPy's economic QR, and an unsuccessful Cholesky factorization is a return code
here, not an exception. A stack is a loop over its matrices.
"""

import functools
from typing import Any

import numpy as np
import scipy.linalg
from scipy.linalg import get_blas_funcs, get_lapack_funcs

from tnattn.linalg.scaling import binary_scale

_MILD = 32.0  # largest entry of |R^-1| |R| with which a product with the inverse loses no more than a substitution
_NEAR = 0.5  # departure from orthonormality that one Cholesky-QR pass repairs
_ONE_PASS = 1 / 64  # bound on eps |d R^-1|_F^2 with which one pass departs by at most 1/2; sums over rows take the rest


def orthonormalise(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return orthonormal q (..., m, n) and triangular r (..., n, n), non-negative diagonal, with ``a = q r``."""
    if a.ndim == 2:
        return _orthonormalise(a)
    q, r = np.empty(a.shape, a.dtype), np.empty((*a.shape[:-2], a.shape[-1], a.shape[-1]), a.dtype)
    for i in np.ndindex(a.shape[:-2]):
        q[i], r[i] = _orthonormalise(a[i])
    return q, r


def _orthonormalise(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, gram, scales = _with_gram(a)
    q, r = _cholesky_qr(a, gram)
    return (q, r) if scales is None else (q, r * scales)


def _with_gram(a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return a matrix scaled into range, its Gram matrix, and the scales; None where squares were in range.

    The scales are powers of two: one for the matrix where that suffices, so that a multiple by a power of two has the
    same digits, else one for each column.
    """
    gram, scales = a.T @ a, None
    if not _in_range(gram):
        for axis in (None, 0):
            scales = binary_scale(a, axis=axis)
            scaled = a / scales
            gram = scaled.T @ scaled
            if _in_range(gram):
                break
        a = scaled
    return a, gram, scales


def _cholesky_qr(a: np.ndarray, gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cholesky-QR of one matrix: one pass if its columns are nearly orthogonal, else two, else Householder QR."""
    factors = _factors(gram)
    if factors is not None:
        lengths = np.sqrt(gram.diagonal())
        first = _pass(a, *factors)
        # lengths of columns do not matter to a Cholesky factorization, angles between them do
        if _departure(gram / lengths / lengths[:, None]) < _NEAR:
            return first, factors[0]
        gram = first.T @ first
        inner = _factors(gram) if _departure(gram) < _NEAR else None
        if inner is not None:
            return _pass(first, *inner), inner[0] @ factors[0]
    q, r = scipy.linalg.qr(a, mode="economic", check_finite=False)
    # reflections of long columns of one sign leave rounding of all rows, 250 eps at 10,000 of them; a pass takes it out
    inner = _factors(q.T @ q)
    if inner is not None:
        q, r = _pass(q, *inner), inner[0] @ r
    sign = np.where(r.diagonal() < 0, -1, 1).astype(a.dtype)  # as Cholesky-QR has them
    return q * sign, r * sign[:, None]


def near_orthonormal(a: np.ndarray) -> np.ndarray:
    """Return q (..., m, n) of one Cholesky-QR pass, or orthonormal where one pass is not enough."""
    if a.ndim > 2:
        q = np.empty(a.shape, a.dtype)
        for i in np.ndindex(a.shape[:-2]):
            q[i] = near_orthonormal(a[i])
        return q
    a, gram, _ = _with_gram(a)
    factors = _factors(gram)
    if factors is not None:
        # Q^T Q - I = R^-T E R^-1, where rounding makes |E| <= eps d d^T for columns of lengths d
        growth = np.square(np.sqrt(gram.diagonal())[:, None] * factors[1]).sum()
        if growth * np.finfo(a.dtype).eps <= _ONE_PASS:
            return _pass(a, *factors)
    return _cholesky_qr(a, gram)[0]


def _in_range(gram: np.ndarray) -> bool:
    """Return whether the squares of the columns of a matrix are finite and have not lost digits to underflow."""
    squares, limits = gram.diagonal(), np.finfo(gram.dtype)
    return bool(squares.min() >= limits.tiny / limits.eps and squares.max() <= limits.max)


def _departure(gram: np.ndarray) -> float:
    """Return the Frobenius distance of a Gram matrix from the identity; NaN stays NaN."""
    difference = gram.copy()
    difference.ravel()[:: gram.shape[0] + 1] -= 1
    return float(np.linalg.norm(difference))


def _factors(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the Cholesky factor R of a Gram matrix and its inverse, None if it is not numerically definite."""
    factorise: Any = get_lapack_funcs("potrf", (gram,))
    factor, info = factorise(gram, lower=False, clean=True)
    if info != 0 or not np.isfinite(factor).all():
        return None
    invert: Any = get_lapack_funcs("trtri", (gram,))
    inverse, info = invert(factor, lower=False)
    return (factor, inverse) if info == 0 else None


def _pass(a: np.ndarray, factor: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Return ``a R^-1``."""
    if (np.abs(inverse) @ np.abs(factor)).max() < _MILD:
        product: np.ndarray = a @ inverse  # a third of the price
        return product
    substitute: Any = get_blas_funcs("trsm", (factor,))
    # The transpose of a row-major block is what BLAS calls column-major: solve r^T q^T = a^T without a transposition.
    q: np.ndarray = substitute(1.0, factor, a.T, side=0, lower=0, trans_a=1).T
    return q


def lower_trapezoid(a: np.ndarray) -> np.ndarray:
    """Return the unit lower trapezoidal factors (..., m, n) of pivoted LU factorizations, rows in the order of ``a``.

    Stored by columns, as products want them.
    """
    if a.ndim > 2:
        rows = np.empty((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype)
        for i in np.ndindex(a.shape[:-2]):
            rows[i] = lower_trapezoid(a[i]).T
        return np.swapaxes(rows, -1, -2)
    factorise: Any = get_lapack_funcs("getrf", (a,))
    interchange: Any = get_lapack_funcs("laswp", (a,))
    factor, pivots, _ = factorise(a)  # scipy.linalg.lu builds permutation and upper factor too, at twice this price
    # where elimination leaves the range of the dtype, the row ends in no number, or a pivot is infinite; kernels leave
    # the column of a denormal pivot, which has no finite reciprocal, undivided
    sizes, limits = np.abs(factor.diagonal()), np.finfo(a.dtype)
    if not (np.isfinite(factor[:, -1]).all() and limits.tiny <= sizes.min() and sizes.max() <= limits.max):
        factor, pivots, _ = factorise(a / binary_scale(a, axis=0) / 4)
    n = a.shape[-1]
    top = factor[:n]
    top *= _strictly_lower(n, a.dtype)
    np.fill_diagonal(top, 1)
    lower: np.ndarray = interchange(factor, pivots, inc=-1, overwrite_a=1)
    return lower


@functools.lru_cache(maxsize=8)
def _strictly_lower(n: int, dtype: np.dtype) -> np.ndarray:
    return np.asfortranarray(np.tri(n, k=-1, dtype=dtype))


def row_pivots(a: np.ndarray) -> np.ndarray:
    """Return the first n rows (..., n) that partial pivoting brings to the top of matrices (..., m, n), m >= n."""
    m, n = a.shape[-2:]
    rows = np.empty((*a.shape[:-2], n), np.int64)
    factorise: Any = get_lapack_funcs("getrf", (a,))
    for i in np.ndindex(a.shape[:-2]):
        order = np.arange(m)
        for j, pivot in enumerate(factorise(a[i])[1]):  # interchanges, one after the other
            order[j], order[pivot] = order[pivot], order[j]
        rows[i] = order[:n]
    return rows


def solve_triangular(a: np.ndarray, b: np.ndarray, *, lower: bool, transpose: bool) -> np.ndarray:
    """Return the solutions of ``a x = b``, or ``a^T x = b``, for stacks (..., n, n) and (..., n, k) of one batch."""
    x = np.empty(b.shape, dtype=np.result_type(a, b))
    for i in np.ndindex(b.shape[:-2]):
        x[i] = _solve_triangular(a[i], b[i], lower=lower, transpose=transpose)
    return x


def _solve_triangular(a: np.ndarray, b: np.ndarray, *, lower: bool, transpose: bool) -> np.ndarray:
    """Solve one system by BLAS, which stores by columns, without a copy of factors that are stored by rows."""
    solve: Any = get_blas_funcs("trsm", (a, b))
    if a.flags.c_contiguous and not a.flags.f_contiguous:  # seen by BLAS as its transpose
        a, lower, transpose = a.T, not lower, not transpose
    if b.flags.c_contiguous and not b.flags.f_contiguous:  # solved as x^T a^T = b^T, without a transposition
        x: np.ndarray = solve(1.0, a, b.T, side=1, lower=int(lower), trans_a=int(not transpose)).T
    else:
        x = solve(1.0, a, b, side=0, lower=int(lower), trans_a=int(transpose))
    return x


def leading_eigh(a: np.ndarray, *, keep: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest ``keep`` eigenvalues, descending, and eigenvectors of symmetric matrices (..., n, n).

    By relatively robust representations (LAPACK's ``syevr``) without the other vectors: half the price of a full
    decomposition for few of many.
    """
    n = a.shape[-1]
    values, vectors = np.empty((*a.shape[:-2], keep), a.dtype), np.empty((*a.shape[:-1], keep), a.dtype)
    for i in np.ndindex(a.shape[:-2]):
        w, v = scipy.linalg.eigh(a[i], subset_by_index=[n - keep, n - 1], driver="evr", check_finite=False)
        values[i], vectors[i] = w[::-1], v[:, ::-1]
    return values, vectors
