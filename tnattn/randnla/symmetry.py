"""Symmetry checks of explicit matrices, and of operators within a subspace."""

from __future__ import annotations

from typing import Any

from tnattn.arrays import Array, array_namespace, eps, prefers_host_tiles
from tnattn.linalg import largest_entries
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.dense import Dense

_STRIP = 64  # columns of a matrix compared with rows at a time: a wider transpose leaves the cache


def require_symmetric(a: StructuredMatrix) -> None:
    """Raise ValueError unless matrices are square and, where their entries are explicit, symmetric to rounding.

    One synchronisation on a device. Operators are not checked.
    """
    n = a.shape[-1]
    if a.shape[-2] != n:
        raise ValueError(f"a has shape {tuple(a.shape)}; a symmetric matrix is square")
    if not a.explicit:
        return
    array = a.dense_view()
    xp = array_namespace(array)
    largest = largest_entries(array)  # (...)
    asymmetry = xp.zeros_like(largest)
    step = _STRIP if prefers_host_tiles(array) else n  # strips only where a wide transposed read is slow
    for start in range(0, n, step):
        strip = array[..., start : start + step, start:] - array[..., start:, start : start + step].mT
        asymmetry = xp.maximum(asymmetry, largest_entries(strip))
    allowed = 8 * n * eps(array) * largest  # a product X X^T computed by blocks differs from its transpose by n eps
    if bool(xp.any(asymmetry > allowed)):
        raise ValueError(
            f"a is not symmetric: entries differ from their mirror images by up to {float(xp.max(asymmetry)):.3g}, "
            f"more than rounding; symmetrise it, (a + a.mT) / 2, or use RandomizedSVD"
        )


def symmetric_dense(a: StructuredMatrix) -> StructuredMatrix:
    """Return explicit matrices, after a check that they are square and symmetric; see ``require_symmetric``."""
    require_symmetric(a)
    if a.explicit:
        return a
    dense = Dense(a.to_dense())
    require_symmetric(dense)
    return dense


def require_symmetric_within(basis: Array, image: Array, *, accuracy: Any = 0.0) -> Array:
    """Return the compression ``basis^T image`` (..., l, l) of matrices a; raise ValueError where it is not symmetric.

    Parameters
    ----------
    basis : Array, (..., n, l)
        Orthonormal columns.
    image : Array, (..., n, l)
        ``a @ basis``.
    accuracy : Array (...) or float
        Errors of the entries besides rounding, relative to the largest.

    Notes
    -----
    No further products: an operator that is not symmetric is detected unless it happens to be symmetric within the
    basis. Rounding is judged as in ``require_symmetric``. One synchronisation on a device.
    """
    xp = array_namespace(basis, image)
    core = xp.matrix_transpose(basis) @ image
    difference = largest_entries(core - xp.matrix_transpose(core))
    # relative to the image: an operator that maps its range to the orthogonal complement has a core of nearly zero
    size = largest_entries(image)
    allowed = basis.shape[-2] * (8 * eps(core) + accuracy) * xp.maximum(size, largest_entries(core))
    if bool(xp.any(difference > allowed)):
        raise ValueError(
            f"a is not symmetric: within its sketched range entries differ from their mirror images by up to "
            f"{float(xp.max(difference)):.3g}, more than rounding; symmetrise it, (a + a.mT) / 2, or use RandomizedSVD"
        )
    return core
