"""CountSketch: test matrices with one random sign per row."""

from __future__ import annotations

from dataclasses import dataclass

from tnattn.arrays import Array, Rng, integers, require_rng, signs
from tnattn.randnla.sketches.base import Sketch, admissible_sizes
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.sparse import Sparse


@dataclass(frozen=True)
class CountSketch(Sketch):
    """One random sign per row, in a uniformly random column.

    Notes
    -----
    A product costs one pass over the matrix, whatever the number of columns. Clarkson & Woodruff 2013: a k-dimensional
    subspace needs O(k^2) columns, against O(k log k) of ``SparseSign`` with a few signs per row.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import CountSketch
    >>> omega = CountSketch().draw(1000, 50, rng=np.random.default_rng(0), like=np.zeros(1))
    >>> print(omega.shape, np.count_nonzero(omega.to_dense()))
    (1000, 50) 1000
    >>> x = np.ones((1000, 1))
    >>> print(round(float(np.linalg.norm(omega.mT @ x) / np.linalg.norm(x)), 1))
    0.9
    """

    def draw(self, n: int, size: int, *, rng: Rng | None, like: Array) -> StructuredMatrix:
        n, size = admissible_sizes(n, size, like)
        source = require_rng(rng, "a CountSketch")
        # every row has one entry of modulus one: E[Omega Omega^T] = I without a scale
        buckets = integers(source, 0, size, (n, 1), like=like)
        return Sparse(signs(source, (n, 1), like=like), buckets, size)
