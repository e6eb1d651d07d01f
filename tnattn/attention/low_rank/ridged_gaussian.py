"""The Gaussian kernel among points far from the origin, kept semidefinite by a ridge of the size of its rounding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tnattn.arrays import Array, array_namespace, eps, with_entries
from tnattn.display import Displayed
from tnattn.structured.gaussian_kernel import GaussianKernel


@dataclass(frozen=True, eq=False, repr=False)
class RidgedGaussian(Displayed):
    """The Gaussian kernel exp(-|x - y|^2 / 2) among points (..., n, d) with a ridge of the size of its rounding errors.

    Exponents are differences of squares, so that entries are off by ``eps`` times the largest square. The ridge keeps
    the matrix positive semidefinite all the same.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.low_rank import RidgedGaussian
    >>> points = 100 * np.random.default_rng(0).standard_normal((4, 2))
    >>> kernel = RidgedGaussian.of(np.concat([points, points]))  # each point twice: a singular kernel
    >>> least = np.linalg.eigvalsh(kernel.principal(np.arange(8))).min()
    >>> bool(least > 0), bool(np.all(kernel.diagonal() - 1 < 1e-8))
    (True, True)
    """

    entries: GaussianKernel
    ridge: Array  # (..., 1)

    @classmethod
    def of(cls, points: Array, dtype: Any = None) -> RidgedGaussian:
        """Return the kernel among points, with entries in a dtype of their own; see ``GaussianKernel``."""
        xp = array_namespace(points)
        largest = xp.max(xp.sum(points * points, axis=-1), axis=-1, keepdims=True)
        # exponents are off by about eps times the largest square; the factor 4 is a margin
        entries = GaussianKernel(points, dtype)
        return cls(entries, xp.astype(4 * eps(points) * largest, entries.like.dtype, copy=False))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.entries.shape

    @property
    def like(self) -> Array:
        return self.entries.like

    def diagonal(self) -> Array:
        """Return the diagonal, (..., n)."""
        return self.entries.diagonal() + self.ridge

    def columns(self, indices: Array) -> Array:
        """Return the columns (..., n, b) at indices (..., b)."""
        rows = self.entries.columns(indices).mT  # stored by columns; entry (i, indices[i]) is on the diagonal
        return with_entries(rows, indices, 1 + self.ridge).mT

    def principal(self, indices: Array) -> Array:
        """Return the entries (..., b, b) among indices (..., b)."""
        xp = array_namespace(indices)
        entries = self.entries.principal(indices)
        own = indices[..., :, None] == indices[..., None, :]
        return xp.where(own, xp.ones_like(entries) + self.ridge[..., None], entries)
