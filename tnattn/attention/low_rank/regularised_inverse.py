"""Pseudo-inverses of small square matrices by a third-order iteration and by ridge regularisation."""

from __future__ import annotations

from tnattn.arrays import Array, array_namespace, device
from tnattn.linalg import pseudo_inverse_apply, small_svd
from tnattn.scalars import as_integer, as_real

__all__: list[str] = []  # parts of the methods of this chapter


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
