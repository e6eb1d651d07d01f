"""Matrices with prescribed singular values, eigenvalues or leverage.

Matrices are computed in float64 on the host and moved once, to the library and device of ``like`` in ``dtype``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tnattn.arrays import Array, Shape, from_host, require_host


def polynomial_spectrum(n: int, *, rate: float = 1.0) -> np.ndarray:
    """Return i ** -rate for i = 1, ..., n: the slow decay of real attention heads at rate about 1."""
    return np.asarray(np.arange(1.0, n + 1) ** -rate)


def exponential_spectrum(n: int, *, rate: float = 0.5) -> np.ndarray:
    """Return exp(-rate i) for i = 0, ..., n - 1."""
    return np.asarray(np.exp(-rate * np.arange(n)))


def gap_spectrum(k: int, n: int, gap: float = 1e4) -> np.ndarray:
    """Return ``k`` values ``gap`` followed by n - k ones: near-extremal for bounds on Gaussian sketches."""
    if not 0 <= k <= n:
        raise ValueError(f"k is {k}; it must lie between 0 and n = {n}")
    return np.where(np.arange(n) < k, gap, 1.0)


def orthonormal(shape: Shape, rng: np.random.Generator, *, like: Array | None = None, dtype: Any = None) -> Array:
    """Return matrices (..., m, n), m >= n, with orthonormal columns, uniformly distributed."""
    return _moved(_orthonormal(shape, rng), like, dtype)


def coherent_orthonormal(
    shape: Shape,
    rng: np.random.Generator,
    *,
    leverage: float = 0.99,
    like: Array | None = None,
    dtype: Any = None,
) -> Array:
    """Return matrices (..., m, n) with orthonormal columns whose first n rows have a stated leverage score.

    Parameters
    ----------
    shape : tuple of int
        With m >= 2 n.
    rng : numpy.random.Generator
    leverage : float
        In [0, 1]; n / m would be incoherent, 1 makes the columns unit vectors, which uniform sampling misses.
    like, dtype
        See the module.
    """
    *batch, m, n = shape
    if m < 2 * n:
        raise ValueError(f"shape {tuple(shape)} has fewer than twice as many rows as columns; give m >= 2 n")
    if not 0 <= leverage <= 1:
        raise ValueError(f"leverage is {leverage}; it must lie between 0 and 1")
    # the columns of [sqrt(l) I; sqrt(1 - l) Q] are orthonormal, and its first n rows have the leverage l
    top = math.sqrt(leverage) * np.broadcast_to(np.eye(n), (*batch, n, n))
    rest = math.sqrt(1 - leverage) * _orthonormal((*batch, m - n, n), rng)
    return _moved(np.concatenate([top, rest], axis=-2), like, dtype)


def matrix_with_spectrum(
    spectrum: np.ndarray,
    shape: Shape,
    rng: np.random.Generator,
    *,
    like: Array | None = None,
    dtype: Any = None,
) -> Array:
    """Return matrices (..., m, n) with given singular values and uniformly distributed singular vectors.

    Parameters
    ----------
    spectrum : numpy.ndarray, (r,) or (..., r), non-negative, r <= min(m, n)
        Further singular values are zero.
    shape : tuple of int
    rng : numpy.random.Generator
    like, dtype
        See the module.
    """
    *batch, m, n = shape
    s = np.asarray(spectrum, dtype=np.float64)
    if s.shape[-1] > min(m, n):
        raise ValueError(
            f"{s.shape[-1]} singular values do not fit into the shape {tuple(shape)}; give at most min(m, n)"
        )
    if np.any(s < 0):
        raise ValueError(f"the spectrum holds {s.min()}; singular values are non-negative")
    left = _orthonormal((*batch, m, s.shape[-1]), rng)
    right = _orthonormal((*batch, n, s.shape[-1]), rng)
    return _moved((left * s[..., None, :]) @ right.mT, like, dtype)  # U diag(s) V^T


def symmetric_with_spectrum(
    spectrum: np.ndarray,
    rng: np.random.Generator,
    *,
    n: int | None = None,
    like: Array | None = None,
    dtype: Any = None,
) -> Array:
    """Return a symmetric matrix (..., n, n) with given eigenvalues and uniformly distributed eigenvectors.

    Parameters
    ----------
    spectrum : numpy.ndarray, (..., r)
        Further eigenvalues are zero.
    rng : numpy.random.Generator
    n : int, optional
        At least r, which is the default.
    like, dtype
        See the module.
    """
    values = np.asarray(spectrum, dtype=np.float64)
    n = values.shape[-1] if n is None else n
    if n < values.shape[-1]:
        raise ValueError(f"{values.shape[-1]} eigenvalues do not fit into a matrix of order {n}; raise n")
    basis = _orthonormal((*values.shape[:-1], n, values.shape[-1]), rng)
    product = (basis * values[..., None, :]) @ basis.mT
    return _moved((product + product.mT) / 2, like, dtype)  # symmetric to the last bit


def psd_with_spectrum(
    spectrum: np.ndarray,
    rng: np.random.Generator,
    *,
    n: int | None = None,
    like: Array | None = None,
    dtype: Any = None,
) -> Array:
    """Return a positive semidefinite matrix (..., n, n) with given eigenvalues and random eigenvectors.

    Parameters as for :func:`symmetric_with_spectrum`; ``spectrum`` is non-negative.
    """
    s = np.asarray(spectrum, dtype=np.float64)
    if np.any(s < 0):
        raise ValueError(
            f"the spectrum holds {s.min()}; eigenvalues of a positive semidefinite matrix are non-negative"
        )
    return symmetric_with_spectrum(s, rng, n=n, like=like, dtype=dtype)


def kahan(n: int, *, angle: float = 1.2, like: Array | None = None, dtype: Any = None) -> Array:
    """Return Kahan's upper triangular matrix: diag(s^i) times (1 on the diagonal, -c above), c, s = cos, sin(angle).

    Column pivoting leaves it as it is, though its last diagonal entry is far above its smallest singular value.
    """
    triangle = np.eye(n) - math.cos(angle) * np.triu(np.ones((n, n)), 1)
    return _moved(math.sin(angle) ** np.arange(n)[:, None] * triangle, like, dtype)


def gaussian_kernel(
    points: np.ndarray, *, bandwidth: float = 1.0, like: Array | None = None, dtype: Any = None
) -> Array:
    """Return exp(-|x_i - x_j|^2 / (2 bandwidth^2)) for points (..., n, d): (..., n, n), with unit diagonal."""
    if bandwidth <= 0:
        raise ValueError(f"bandwidth is {bandwidth}; it must be positive")
    x = np.asarray(points, dtype=np.float64)
    # differences first: |x|^2 + |y|^2 - 2 x.y would lose the small distances to cancellation
    squares = np.sum((x[..., :, None, :] - x[..., None, :, :]) ** 2, axis=-1)
    return _moved(np.exp(-squares / (2 * bandwidth**2)), like, dtype)


def _orthonormal(shape: Shape, rng: np.random.Generator) -> np.ndarray:
    *batch, m, n = shape
    if n > m:
        raise ValueError(f"{n} orthonormal columns do not exist in dimension {m}")
    q, r = np.linalg.qr(require_host(rng).standard_normal((*batch, m, n)))
    # QR alone is not uniform: LAPACK fixes the signs of R; undoing them makes the distribution invariant
    signs = np.sign(np.diagonal(r, axis1=-2, axis2=-1))
    return np.asarray(q * np.where(signs == 0, 1.0, signs)[..., None, :])


def _moved(host: np.ndarray, like: Array | None, dtype: Any) -> Array:
    """Return a host array in the library, on the device and in the dtype asked for."""
    if like is None:
        return host if dtype is None else host.astype(dtype)
    return from_host(host, like=like, dtype=dtype)
