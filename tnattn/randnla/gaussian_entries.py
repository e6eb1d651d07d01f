"""The Gaussian kernel among points, entry by entry."""

from __future__ import annotations

from dataclasses import dataclass

from tnattn.arrays import Array, array_namespace, exp_in_place
from tnattn.structured.sparse import gather_rows


@dataclass(frozen=True, eq=False)
class GaussianEntries:
    """The kernel exp(-|x - y|^2 / 2) among points (..., n, d), entry by entry."""

    points: Array

    @property
    def shape(self) -> tuple[int, ...]:
        *batch, n, _ = self.points.shape
        return (*batch, n, n)

    @property
    def like(self) -> Array:
        return self.points

    def diagonal(self) -> Array:
        """Return ones, (..., n)."""
        return array_namespace(self.points).ones_like(self.points[..., 0])

    def columns(self, indices: Array) -> Array:
        """Return the columns (..., n, b) at indices (..., b)."""
        xp = array_namespace(self.points)
        chosen = gather_rows(self.points, indices[..., None])[..., 0, :]  # (..., b, d)
        # -|x - y|^2 / 2 = x . y - |x|^2 / 2 - |y|^2 / 2, all three from one product, stored by columns
        wide = xp.concat([self.points, -_half_square(self.points), xp.ones_like(self.points[..., :1])], axis=-1)
        few = xp.concat([chosen, xp.ones_like(chosen[..., :1]), -_half_square(chosen)], axis=-1)
        exponents = few @ wide.mT
        return exp_in_place(xp.minimum(exponents, xp.zeros_like(exponents[..., :1]))).mT


def _half_square(points: Array) -> Array:
    return array_namespace(points).sum(points * points, axis=-1, keepdims=True) / 2
