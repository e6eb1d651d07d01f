"""CountSketch: one random sign per row."""

from __future__ import annotations

from dataclasses import dataclass

from tnattn.arrays import Array, Rng, integers, require_rng, signs
from tnattn.randnla.sketches.base import Sketch, admissible_sizes
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.sparse import Sparse


@dataclass(frozen=True)
class CountSketch(Sketch):
    """One random sign per row, in a column drawn uniformly.

    Notes
    -----
    A product costs one pass over the matrix, whatever the number of columns. Clarkson & Woodruff 2013: a k-dimensional
    subspace needs O(k^2) columns, against O(k log k) of ``SparseSign`` with a few signs per row.
    """

    def draw(self, n: int, size: int, *, rng: Rng | None, like: Array) -> StructuredMatrix:
        n, size = admissible_sizes(n, size, like)
        source = require_rng(rng, "a CountSketch")
        buckets = integers(source, 0, size, (n, 1), like=like)
        return Sparse(signs(source, (n, 1), like=like), buckets, size)
