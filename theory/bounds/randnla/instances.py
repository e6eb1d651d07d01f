"""Matrices of at most 64 rows and columns on which theorems about randomized factorisations are tried."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]


def with_singular_values(rng: np.random.Generator, s: npt.ArrayLike, m: int, n: int) -> Values:
    """Return an m-by-n matrix of given singular values and random singular vectors."""
    values = np.asarray(s, dtype=np.float64)
    u = np.linalg.qr(rng.standard_normal((m, values.size)))[0]
    v = np.linalg.qr(rng.standard_normal((n, values.size)))[0]
    return np.asarray((u * values) @ v.T)


def with_eigenvalues(rng: np.random.Generator, values: npt.ArrayLike) -> Values:
    """Return a symmetric matrix of given eigenvalues and random eigenvectors."""
    eigenvalues = np.asarray(values, dtype=np.float64)
    u = np.linalg.qr(rng.standard_normal((eigenvalues.size, eigenvalues.size)))[0]
    a = (u * eigenvalues) @ u.T
    # symmetric to the last bit, as methods for semidefinite matrices require
    return np.asarray((a + a.T) / 2)


def gap_spectrum(k: int, size: int, *, level: float = 1e4) -> Values:
    """Return k equal large values followed by ones: the moments of the Gaussian block decide the error there."""
    return np.concatenate([np.full(k, level), np.ones(size - k)])


def slow_spectrum(size: int) -> Values:
    """Return 1, 1/2, 1/3, ..."""
    return 1.0 / np.arange(1, size + 1)


def steep_spectrum(size: int, *, ratio: float = 0.3) -> Values:
    """Return 1, ratio, ratio^2, ...: for which bounds with large factors are below the norm."""
    return np.asarray(ratio ** np.arange(size))
