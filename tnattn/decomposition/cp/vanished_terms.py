"""Replacement of vanished terms of a canonical polyadic fit, which least squares cannot restore."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tnattn.arrays import Array, array_namespace, eps
from tnattn.decomposition.multilinear import mode_product
from tnattn.decomposition.tensor_units import energy
from tnattn.decomposition.tucker.sequential import truncated_modes
from tnattn.structured.cp import CPTensor

__all__: list[str] = []


def revived(tensor: Array, weights: Array, factors: Sequence[Array], captured: Array, *, active: Array) -> list[Array]:
    """Return factors in which terms of weight zero are replaced by leading vectors of the residual.

    Parameters
    ----------
    tensor : Array, (..., n_0, ..., n_{d-1})
    weights : Array, (..., r)
    factors : sequence of Array, (..., n_j, r)
    captured : Array, (...)
        Inner product of the fit with the tensor.
    active : Array, (...), bool
        Tensors of the stack that are still fitted.

    Notes
    -----
    Starting columns that are orthogonal to a tensor with many zeros or ties, or rows sampled where it is zero, give
    the least-squares solution zero; the column is then zero in every later sweep. Where more than rounding is left to
    fit, such a term gets the leading vectors of the residual by ST-HOSVD, whose inner product with it is not zero. One
    synchronisation; nothing else unless a term has vanished.
    """
    xp, order = array_namespace(tensor), len(factors)
    # residual^2 <= sqrt(eps) ||X||^2 is an exact fit up to rounding: it needs no further term
    unfinished = active & (captured < (1 - math.sqrt(eps(tensor))) * energy(tensor, order=order))
    vanished = (weights == 0) & unfinished[..., None]
    rank = xp.cumulative_sum(xp.astype(vanished, xp.int64), axis=-1)  # the first, second, ... that has vanished
    found = list(factors)
    count = int(xp.max(rank))  # the synchronisation
    if count == 0:
        return found
    residual = tensor - CPTensor(weights, tuple(factors)).to_dense()
    for place in range(1, count + 1):
        core, steps = truncated_modes(residual, range(order), order=order, ranks=(1,) * order, allowed=None)
        chosen = (vanished & (rank == place))[..., None, :]
        for mode in range(order):
            found[mode] = xp.where(chosen, steps[mode].basis, found[mode])
            core = mode_product(core, steps[mode].basis, mode, order=order)
        residual = residual - core  # the next vanished term gets another direction
    return found
