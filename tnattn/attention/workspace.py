"""Memory that a thread reuses from tile to tile."""

from __future__ import annotations

from tnattn.arrays import Array, matmul_into


class Workspace:
    """Arrays of the last run of a thread, whose memory serves the next: fresh memory costs more than a product.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.workspace import Workspace
    >>> space, a, b = Workspace(), np.ones((1, 4, 2, 3)), np.ones((1, 4, 3, 2))
    >>> first = space.product("sums", a, b)
    >>> np.shares_memory(space.product("sums", a[:, :3], b[:, :3]), first)  # fewer matrices of the same size
    True
    """

    def __init__(self) -> None:
        self._arrays: dict[str, Array] = {}

    def room(self, name: str, axis: int, size: int) -> Array | None:
        """Return the array kept under a name, cut to a size along an axis; None if it is too small."""
        found = self._arrays.get(name)
        if found is None or found.shape[axis] < size:
            return None
        return found[:, :size, ...] if axis == 1 else found[..., :size, :]

    def keep(self, name: str, axis: int, array: Array | None) -> None:
        """Keep an array under a name, unless a larger one is kept."""
        if array is not None and self.room(name, axis, array.shape[axis]) is None:
            self._arrays[name] = array

    def product(self, name: str, a: Array, b: Array) -> Array:
        """Return a @ b of arrays (g, L, ...), written over the last product of this name."""
        product = matmul_into(a, b, self.room(name, 1, a.shape[1]))
        self.keep(name, 1, product)
        return product
