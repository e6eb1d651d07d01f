"""Whether matrices whose entries are not at hand are symmetric."""

from __future__ import annotations

from typing import Any

from tnattn.arrays import Array, array_namespace, eps
from tnattn.randnla.operand import largest_entries, require_symmetric
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.dense import Dense


def symmetric_dense(a: StructuredMatrix) -> Dense:
    """Return matrices in dense form, once they are known to be square and symmetric; see ``require_symmetric``."""
    require_symmetric(a)
    if isinstance(a, Dense):
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
        What entries are wrong by besides rounding, relative to the largest.

    Notes
    -----
    What can be known of an operator without further products: one that is not symmetric is found out unless it happens
    to be symmetric within the basis. Rounding is judged as in ``require_symmetric``. One synchronisation on a device.
    """
    xp = array_namespace(basis, image)
    core = xp.matrix_transpose(basis) @ image
    difference = largest_entries(core - xp.matrix_transpose(core))
    # relative to the image: of an operator that turns its range away from itself the core is nearly zero
    size = largest_entries(image)
    allowed = basis.shape[-2] * (8 * eps(core) + accuracy) * xp.maximum(size, largest_entries(core))
    if bool(xp.any(difference > allowed)):
        raise ValueError(
            f"a is not symmetric: within its sketched range entries differ from their mirror images by up to "
            f"{float(xp.max(difference)):.3g}, more than rounding; symmetrise it, (a + a.mT) / 2, or use RandomizedSVD"
        )
    return core
