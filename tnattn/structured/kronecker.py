"""Kronecker products of matrices, applied one factor at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce

from tnattn.arrays import Array, array_namespace
from tnattn.structured.base import StructuredMatrix


@dataclass(frozen=True, eq=False, repr=False)
class Kronecker(StructuredMatrix):
    """One matrix ``A_1 x A_2 x ...`` (Kronecker); the index of the first factor runs slowest.

    Parameters
    ----------
    parts : tuple of Array, (m_k, n_k)
    """

    parts: tuple[Array, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        if not self.parts or any(part.ndim != 2 for part in self.parts):
            shapes = [tuple(part.shape) for part in self.parts]
            raise ValueError(f"a Kronecker product needs at least one factor, each (m, n); got shapes {shapes}")

    @property
    def shape(self) -> tuple[int, ...]:
        return (math.prod(int(p.shape[0]) for p in self.parts), math.prod(int(p.shape[1]) for p in self.parts))

    @property
    def like(self) -> Array:
        return self.parts[0]

    @property
    def storage(self) -> int:
        return sum(math.prod(part.shape) for part in self.parts)

    def _matmul(self, x: Array) -> Array:
        return _apply(self.parts, x)

    def _rmatmul(self, y: Array) -> Array:
        return _apply(tuple(array_namespace(part).matrix_transpose(part) for part in self.parts), y)

    def transposed_kronecker(self, vectors: tuple[Array, ...]) -> Array:
        """Return the transpose times Khatri-Rao columns, one thin product per factor, (..., prod n_k, c).

        Parameters
        ----------
        vectors : tuple of Array, (..., m_k, c)
            Column j of the operand is the Kronecker product of the columns j of all of them.
        """
        xp = array_namespace(*vectors)
        return khatri_rao([xp.matrix_transpose(p) @ v for p, v in zip(self.parts, vectors, strict=True)])

    def to_dense(self) -> Array:
        return reduce(_kron, self.parts)

    def matmul_flops(self, columns: int) -> int:
        total, width = 0, self.shape[-1]
        for part in reversed(self.parts):
            rows, length = (int(size) for size in part.shape)
            total += 2 * columns * width * rows
            width = width // length * rows
        return total


def khatri_rao(columns: list[Array]) -> Array:
    """Return the column-wise Kronecker product (..., prod n_k, c) of matrices (..., n_k, c), the first slowest."""
    xp = array_namespace(*columns)
    made = columns[0]
    for other in columns[1:]:
        outer = made[..., :, None, :] * other[..., None, :, :]
        made = xp.reshape(outer, (*outer.shape[:-3], -1, outer.shape[-1]))
    return made


def _kron(a: Array, b: Array) -> Array:
    rows, columns = a.shape[0] * b.shape[0], a.shape[1] * b.shape[1]
    return array_namespace(a).reshape(a[:, None, :, None] * b[None, :, None, :], (rows, columns))


def _apply(parts: tuple[Array, ...], x: Array) -> Array:
    """Multiply mode by mode, the last mode first: what is left of it counts as rows, what is right of it as columns."""
    xp = array_namespace(x)
    batch, c = tuple(x.shape[:-2]), int(x.shape[-1])
    right = 1
    left = math.prod(int(part.shape[1]) for part in parts)
    for part in reversed(parts):
        rows, length = (int(size) for size in part.shape)
        left //= length
        x = part @ xp.reshape(x, (*batch, left, length, right * c))
        right *= rows
    return xp.reshape(x, (*batch, right, c))
