"""The Gaussian kernel among points as an implicit matrix: columns and principal submatrices are computed when read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tnattn.arrays import Array, array_namespace, device, eps, exp_in_place, runs_on_host
from tnattn.structured.gather import take_rows

_TILE = 1 << 15  # entries of one matrix at a time on the host: 256 KB of float64 stay in cache until finished


@dataclass(frozen=True, eq=False)
class GaussianKernel:
    """The kernel exp(-|x - y|^2 / 2) among points (..., n, d), entry by entry.

    Parameters
    ----------
    points : Array, (..., n, d)
    dtype : dtype, optional
        Of the entries, by default that of the points, in which exponents are computed in any case: a narrower one
        saves time where entries need no more digits.

    Examples
    --------
    >>> import numpy as np
    >>> kernel = GaussianKernel(np.array([[0.0], [1.0], [2.0]]))
    >>> kernel.columns(np.array([0])).round(4)
    array([[1.    ],
           [0.6065],
           [0.1353]])
    """

    points: Array
    dtype: Any = None

    @property
    def shape(self) -> tuple[int, ...]:
        *batch, n, _ = self.points.shape
        return (*batch, n, n)

    @property
    def like(self) -> Array:
        if self.dtype is None:
            return self.points
        return array_namespace(self.points).astype(self.points[..., :1, :1], self.dtype)

    def diagonal(self) -> Array:
        """Return ones, (..., n)."""
        return self._cast(array_namespace(self.points).ones_like(self.points[..., 0]))

    def columns(self, indices: Array) -> Array:
        """Return the columns (..., n, b) at indices (..., b)."""
        return _kernel(self._chosen(indices), self.points, self.like.dtype).mT  # stored by columns

    def principal(self, indices: Array) -> Array:
        """Return the entries (..., b, b) among indices (..., b)."""
        chosen = self._chosen(indices)
        return _kernel(chosen, chosen, self.like.dtype)

    def accuracy(self) -> Array:
        """Return bounds (...) of the errors of entries relative to 1: exponents are differences of inner products."""
        largest = array_namespace(self.points).max(_half_square(self.points), axis=(-2, -1))
        return self._cast(8 * eps(self.points) * (1 + largest))

    def _cast(self, x: Array) -> Array:
        return array_namespace(x).astype(x, self.like.dtype, copy=False)

    def _chosen(self, indices: Array) -> Array:
        return take_rows(self.points, indices)  # (..., b, d)


def _kernel(few: Array, many: Array, dtype: Any) -> Array:
    """Return exp(-|x - y|^2 / 2), (..., b, n), for points x (..., b, d) and y (..., n, d)."""
    xp = array_namespace(few)
    # -|x - y|^2 / 2 = x . y - |x|^2 / 2 - |y|^2 / 2, all three from one product
    left = xp.concat([few, xp.ones_like(few[..., :1]), -_half_square(few)], axis=-1)
    if not runs_on_host(few):
        return _tile(left, many, dtype)
    b, n = few.shape[-2], many.shape[-2]
    out = xp.empty((*few.shape[:-2], b, n), dtype=dtype, device=device(few))
    step = max(1, _TILE // max(1, b))
    for start in range(0, n, step):
        span = slice(start, min(start + step, n))
        out[..., span] = _tile(left, many[..., span, :], dtype)
    return out


def _tile(left: Array, points: Array, dtype: Any) -> Array:
    xp = array_namespace(left)
    right = xp.concat([points, -_half_square(points), xp.ones_like(points[..., :1])], axis=-1)
    exponents = left @ right.mT
    # cancellation may leave a small positive exponent for equal points; the kernel is at most one
    exponents = xp.minimum(exponents, xp.zeros_like(exponents[..., :1]))
    return exp_in_place(xp.astype(exponents, dtype, copy=False))


def _half_square(points: Array) -> Array:
    return array_namespace(points).sum(points * points, axis=-1, keepdims=True) / 2
