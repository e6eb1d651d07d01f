"""Sizes of the modes into which a vector is folded by sketches that act mode by mode."""

from __future__ import annotations

import math
from typing import Any

from tnattn.scalars import require_count

__all__ = ["folded_sizes"]

Modes = int | tuple[int, ...]


def require_modes(modes: Any) -> None:
    """Raise unless ``modes`` is a number of modes or a tuple of their sizes."""
    if isinstance(modes, tuple):
        if not modes:
            raise ValueError("modes is empty; give at least one size, or the number of modes")
        for size in modes:
            require_count(size, "each of modes", least=1)
    else:
        require_count(modes, "modes", least=1)


def folded_sizes(n: int, modes: Modes) -> tuple[int, ...]:
    """Return sizes of modes whose product is at least n, nearly equal and as small as that allows.

    Parameters
    ----------
    n : int
    modes : int or tuple of int
        Sizes, whose product must be n; or how many modes of nearly equal sizes, whose product may exceed n.

    Raises
    ------
    ValueError
        If given sizes do not multiply to n.
    """
    if isinstance(modes, tuple):
        if math.prod(modes) != n:
            raise ValueError(f"modes {modes} multiply to {math.prod(modes)}, but there are {n} coordinates")
        return modes
    sizes: list[int] = []
    uncovered = n
    for remaining in range(modes, 0, -1):
        size = max(1, int(uncovered ** (1 / remaining)))
        while size**remaining < uncovered:  # the root is rounded: raise it in integers until the modes cover n
            size += 1
        sizes.append(size)
        uncovered = -(-uncovered // size)
    return tuple(sizes)
