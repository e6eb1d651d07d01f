"""Pseudo-inverses of small square matrices by a third-order iteration and by ridge regularisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tnattn.arrays import Array, accumulator_dtype, array_namespace, device, eps
from tnattn.display import Displayed
from tnattn.linalg import eigh, pseudo_inverse_apply, small_svd
from tnattn.scalars import as_integer, as_real

__all__: list[str] = []  # parts of the methods of this chapter

# squared ridges, in units of eps, from which the rounding of squared singular values changes no digit in four
_ABOVE_ROUNDING = 2.0**16


def iterated_pseudo_inverse(a: Array, *, iterations: int) -> Array:
    """Return an iterate for the pseudo-inverse, ``Z <- Z (13 - aZ (15 - aZ (7 - aZ))) / 4``.

    Parameters
    ----------
    a : Array, (..., m, m)
        Every matrix of the stack is scaled by its own norms.
    iterations : int
        Non-negative; the initial guess ``a^T / (||a||_1 ||a||_inf)`` is iterate 0.

    Returns
    -------
    Array, (..., m, m)

    Notes
    -----
    O(m^3) per iteration, four products each. The error E = a a^+ - a Z obeys E <- (3 E^3 + E^4) / 4 (Xiong et al. 2021,
    equation (15)): directions whose singular value is small against the norms stay damped, which regularises.
    """
    xp = array_namespace(a)
    iterations = as_integer(iterations, "iterations", least=0)
    rows, columns = (xp.max(xp.sum(xp.abs(a), axis=axis), axis=-1) for axis in (-1, -2))
    # ||a||_2^2 <= ||a||_1 ||a||_inf: the singular values of a Z lie in [0, 1], where the iteration converges
    z = a.mT / (rows * columns)[..., None, None]
    identity = xp.eye(a.shape[-1], dtype=a.dtype, device=device(a))
    for _ in range(iterations):
        az = a @ z
        z = 0.25 * z @ (13 * identity - az @ (15 * identity - az @ (7 * identity - az)))
    return z


@dataclass(frozen=True, eq=False, repr=False)
class DampedInverses(Displayed):
    """Inverses ``(a^T a + (ridge s_1)^2)^{-1} a^T`` of square matrices for any relative ridge, from one decomposition.

    Parameters
    ----------
    left : Array, (..., m, r)
        Right singular vectors.
    right : Array, (..., r, m)
        Singular values times transposed left singular vectors.
    squares : Array, (..., r)
        Squared singular values, in any order.
    dtype : dtype
        Of the results.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.low_rank.regularised_inverse import DampedInverses
    >>> inverses = DampedInverses.of(np.diag([2.0, 1.0]), least=0.1)
    >>> inverses.times(np.ones((2, 1)), 0.5).ravel()  # 2 / (4 + 1) and 1 / (1 + 1)
    array([0.4, 0.5])
    """

    left: Array
    right: Array
    squares: Array
    dtype: Any

    @classmethod
    def of(cls, a: Array, *, least: float) -> DampedInverses:
        """Return the inverses of matrices (..., m, m) for ridges from ``least``, positive, on.

        O(m^3). Where the smallest ridge stands well above the rounding of the squares, from the eigenvalues of a^T a in
        the widest dtype, a third of the price of a singular value decomposition.
        """
        xp, wide = array_namespace(a), accumulator_dtype(a)
        if least * least > _ABOVE_ROUNDING * eps(wide):
            widened = xp.astype(a, wide)
            values, vectors = eigh(widened.mT @ widened)
            squares = xp.maximum(values, xp.zeros_like(values))
            return cls(vectors, vectors.mT @ widened.mT, squares, a.dtype)
        u, s, vt = small_svd(a)
        return cls(vt.mT, s[..., None] * u.mT, s * s, a.dtype)

    def times(self, x: Array, ridge: float) -> Array:
        """Return the products (..., m, c) of the inverses of one ridge with x (..., m, c)."""
        xp = array_namespace(x)
        product = self.left @ (self._divisors(ridge)[..., None] * (self.right @ xp.astype(x, self.right.dtype)))
        return xp.astype(product, self.dtype, copy=False)

    def matrix(self, ridge: Array) -> Array:
        """Return the inverses (..., m, m) for ridges (...)."""
        xp = array_namespace(ridge)
        wide = xp.astype(ridge, self.squares.dtype)[..., None]
        return xp.astype(self.left @ (self._divisors(wide)[..., None] * self.right), self.dtype, copy=False)

    def _divisors(self, ridge: Array | float) -> Array:
        xp = array_namespace(self.squares)
        return 1 / (self.squares + ridge * ridge * xp.max(self.squares, axis=-1, keepdims=True))


def ridge_inverse(a: Array, *, ridge: float) -> Array:
    """Return ``(a^T a + (ridge s_1)^2)^{-1} a^T`` with the largest singular value s_1; the pseudo-inverse for ridge 0.

    Parameters
    ----------
    a : Array, (..., m, m)
    ridge : float
        Non-negative and relative: singular values below ``ridge s_1`` are damped.

    Notes
    -----
    O(m^3), through a singular value decomposition.
    """
    xp, ridge = array_namespace(a), as_real(ridge, "ridge")
    if ridge == 0:
        identity = xp.eye(a.shape[-1], dtype=a.dtype, device=device(a))
        return pseudo_inverse_apply(a, xp.broadcast_to(identity, a.shape))
    u, s, vt = small_svd(a)
    damped = s / (s * s + (ridge * s[..., :1]) ** 2)
    return vt.mT @ (damped[..., None] * u.mT)
