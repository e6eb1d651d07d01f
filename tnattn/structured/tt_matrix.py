"""Matrices in tensor-train form: row and column indices split into pairs of digits, one core for each pair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tnattn.arrays import Array, array_namespace, broadcast_shape, contract, device, expanded, require_floating
from tnattn.structured.base import StructuredMatrix


@dataclass(frozen=True, eq=False, repr=False)
class TTMatrix(StructuredMatrix):
    """A stack of matrices with entries ``G_1[i_1, j_1] G_2[i_2, j_2] ...`` for digits i of the row and j of the column.

    Parameters
    ----------
    cores : tuple of Array, (..., r_k, m_k, n_k, r_{k+1})
        ``r_1 = r_{d+1} = 1``; the first digits are the most significant.
    row_count, column_count : int, optional
        Sizes of the matrix where they are smaller than the products of the m_k and n_k: what is beyond is padding, no
        part of the matrix.

    Notes
    -----
    A product costs O(r^2 sum over k of m_1 ... m_k n_k ... n_d) per column: for digits of two, n = 2^d and ranks r,
    O(r^2 n log n).

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured import TTMatrix
    >>> pair = np.array([[2.0, 1.0], [0.0, 2.0]]).reshape(1, 2, 2, 1)  # one digit of the row and of the column
    >>> matrix = TTMatrix((pair,) * 10)
    >>> matrix.shape, matrix.storage, matrix.matmul_flops(1)
    ((1024, 1024), 40, 40960)
    >>> (matrix @ np.ones(1024))[[0, -1]]  # 3^10 and 2^10
    array([59049.,  1024.])
    """

    cores: tuple[Array, ...]
    row_count: int | None = None
    column_count: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "cores", tuple(self.cores))
        if not self.cores or any(core.ndim < 4 for core in self.cores):
            shapes = [tuple(core.shape) for core in self.cores]
            raise ValueError(f"cores have shapes {shapes}; give at least one, each with at least four axes")
        for core in self.cores:
            require_floating(core, "cores")
        left, right = ([int(core.shape[axis]) for core in self.cores] for axis in (-4, -1))
        if left[0] != 1 or right[-1] != 1 or left[1:] != right[:-1]:
            raise ValueError(
                f"cores have left ranks {left} and right ranks {right}; neighbours must agree, and both ends be 1"
            )
        for name, size in zip(("row_count", "column_count"), self.padded, strict=True):
            value = getattr(self, name)
            if value is None:
                object.__setattr__(self, name, size)
            elif not 1 <= value <= size:
                raise ValueError(f"{name} is {value}; the cores have room for 1 to {size}")
        self._batch()

    def _batch(self) -> tuple[int, ...]:
        return broadcast_shape(*(core.shape[:-4] for core in self.cores))

    @property
    def padded(self) -> tuple[int, int]:
        """Products of the digits: the sizes of the matrix with its padding."""
        rows, columns = (math.prod(int(core.shape[axis]) for core in self.cores) for axis in (-3, -2))
        return rows, columns

    @property
    def largest_ranks(self) -> tuple[int, ...]:
        """Sizes of the inner bonds."""
        return tuple(int(core.shape[-1]) for core in self.cores[:-1])

    @property
    def shape(self) -> tuple[int, ...]:
        assert self.row_count is not None
        assert self.column_count is not None
        return (*self._batch(), self.row_count, self.column_count)

    @property
    def like(self) -> Array:
        return self.cores[0]

    @property
    def storage(self) -> int:
        return sum(math.prod(core.shape) for core in self.cores)

    def _matmul(self, x: Array) -> Array:
        return _swept(self.cores, x, self.padded[1])[..., : self.shape[-2], :]

    def _rmatmul(self, y: Array) -> Array:
        xp = array_namespace(y)
        # the transpose exchanges the row and column digits of every core
        turned = []
        for core in self.cores:
            axes = (*range(core.ndim - 4), *(core.ndim - j for j in (4, 2, 3, 1)))
            turned.append(xp.permute_dims(core, axes))
        return _swept(turned, y, self.padded[0])[..., : self.shape[-1], :]

    def to_dense(self) -> Array:
        xp = array_namespace(self.like)
        identity = xp.eye(self.shape[-1], dtype=self.dtype, device=device(self.like))
        return expanded(self._matmul(identity), self.shape)

    def matmul_flops(self, columns: int) -> int:
        # as _swept: a core of r m n r' numbers meets every row digit so far and every column to come
        total, done, rest = 0, 1, self.padded[1] * columns
        for core in self.cores:
            left, m, n, right = (int(size) for size in core.shape[-4:])
            rest //= n
            total += 2 * left * m * n * right * done * rest
            done *= m
        return total * self.count


def _swept(cores: Sequence[Array], x: Array, padded: int) -> Array:
    """Return the product with x (..., n, c), padded with zeros, core by core; the result has its padding."""
    xp, columns = array_namespace(x), x.shape[-1]
    missing = padded - x.shape[-2]  # columns of padding meet zeros
    if missing:
        zeros = xp.zeros((*x.shape[:-2], missing, columns), dtype=x.dtype, device=device(x))
        x = xp.concat([x, zeros], axis=-2)
    state, done, rest = x[..., None, None, :, :], 1, padded  # (..., bond, rows done, columns to come, c)
    for core in cores:
        left, m, n, right = core.shape[-4:]
        rest //= n
        folded = xp.reshape(state, (*state.shape[:-4], left, done, n, rest * columns))
        # a, b: bonds; d: row digits so far; m, n: digits of this core; z: columns to come
        product = contract("...adnz,...amnb->...bdmz", folded, core)
        done *= m
        state = xp.reshape(product, (*product.shape[:-4], right, done, rest, columns))
    return state[..., 0, :, 0, :]
