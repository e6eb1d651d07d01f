"""Gaussian test matrices."""

from __future__ import annotations

from dataclasses import dataclass

from tnattn.arrays import Array, Rng, normal, require_rng
from tnattn.randnla.sketches.base import Sketch, admissible_sizes
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.dense import Dense


@dataclass(frozen=True)
class Gaussian(Sketch):
    """Independent normal entries of variance 1 / size, stored by columns.

    Contiguous columns: a product that reads the rows of ``a`` once runs along contiguous memory on both sides.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import Gaussian
    >>> omega = Gaussian().draw(1000, 100, rng=np.random.default_rng(0), like=np.zeros(1))
    >>> x = np.ones((1000, 1))
    >>> print(omega.shape, round(float(np.linalg.norm(omega.mT @ x) / np.linalg.norm(x)), 1))
    (1000, 100) 1.0
    """

    def draw(self, n: int, size: int, *, rng: Rng | None, like: Array) -> StructuredMatrix:
        n, size = admissible_sizes(n, size, like)
        drawn = normal(require_rng(rng, "a Gaussian sketch"), (size, n), like=like)
        # variance 1 / size: E[Omega Omega^T] = I
        return Dense((drawn * size**-0.5).mT)
