"""Sequential truncation of the modes, and the order of the modes that costs least."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from tnattn.arrays import Array, array_namespace
from tnattn.decomposition.multilinear import mode_product
from tnattn.decomposition.subspace import Subspace, mode_subspace

__all__: list[str] = []

LARGEST_SEARCH = 6  # modes of which all orders are compared: 720


def truncated_modes(
    core: Array, modes: Sequence[int], *, order: int, ranks: Sequence[int] | None, allowed: Array | None
) -> tuple[Array, dict[int, Subspace]]:
    """Project some modes of a stack of tensors, each on the leading singular vectors of the current core.

    Parameters
    ----------
    core : Array, (..., n_0, ..., n_{order-1})
    modes : sequence of int
        In the order in which they are truncated.
    order : int
    ranks : sequence of int, (order,), optional
    allowed : Array, (...), optional
        Energy that each step may discard, given if ``ranks`` is not.

    Returns
    -------
    core : Array
        The tensor in the coordinates of the bases.
    found : dict of int to Subspace
        One for each mode named.
    """
    xp, found = array_namespace(core), {}
    for mode in modes:
        rank = None if ranks is None else ranks[mode]
        size = core.shape[core.ndim - order + mode]
        found[mode] = mode_subspace(core, mode, order=order, rank=rank, energy=allowed)
        if rank != size:  # else the basis is the identity
            core = mode_product(core, xp.matrix_transpose(found[mode].basis), mode, order=order)
    return core, found


def cheapest_order(sizes: Sequence[int], ranks: Sequence[int] | None, modes: Sequence[int]) -> tuple[int, ...]:
    """Return the order in which to truncate some modes: of least cost if the ranks are known, else by size.

    Parameters
    ----------
    sizes : sequence of int, (d,)
    ranks : sequence of int, (d,), optional
        Ranks of all modes; those of modes that are not named do not matter.
    modes : sequence of int
        The modes to be truncated.
    """
    by_size = tuple(sorted(modes, key=lambda j: sizes[j]))
    if ranks is None or len(by_size) > LARGEST_SEARCH:
        return by_size
    return min(itertools.permutations(by_size), key=lambda order: _flops(sizes, ranks, order))


def require_mode_order(mode_order: tuple[int, ...] | None, order: int) -> None:
    """Raise ValueError unless an order of the modes, if there is one, names each of them once."""
    if mode_order is not None and sorted(mode_order) != list(range(order)):
        raise ValueError(f"mode_order is {mode_order}; it must name each of the modes 0 ... {order - 1} once")


def _flops(sizes: Sequence[int], ranks: Sequence[int], modes: Sequence[int]) -> float:
    """Count the Gram matrices of the shorter sides, their eigenvalues and the projections."""
    left, flops = list(sizes), 0.0
    for mode in modes:
        n, rank = left[mode], ranks[mode]
        count = math.prod(left)
        if rank < n:  # a mode of full rank costs nothing
            side = min(n, count // n)
            # half of a symmetric product, eigenvalues and eigenvectors, the mode product
            flops += side * count + 4.0 * side**3 + 2.0 * rank * count
        left[mode] = rank
    return flops
