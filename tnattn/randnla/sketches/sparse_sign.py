"""Sparse sign test matrices."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from tnattn.arrays import Array, Rng, array_namespace, device, require_rng, signs, uniform
from tnattn.randnla.sketches.base import Sketch, admissible_sizes
from tnattn.scalars import require_count
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.sparse import Sparse


@dataclass(frozen=True)
class SparseSign(Sketch):
    """A few random signs per row, scaled to rows of length one.

    Parameters
    ----------
    nonzeros : int
        Signs per row; a test matrix of fewer columns has one in each.

    Notes
    -----
    The columns are cut into ``nonzeros`` blocks of as equal a length as possible and each row gets one sign per block
    (the block construction of Nelson & Nguyen 2013 and Kane & Nelson 2014): distinct positions for ``nonzeros`` draws
    per row, an order of magnitude fewer than a Gaussian test matrix. Held as ELLPACK; ``StructuredMatrix.sketch`` says
    when it is used as such.
    """

    nonzeros: int = 8

    def __post_init__(self) -> None:
        require_count(self.nonzeros, "nonzeros", least=1)

    def draw(self, n: int, size: int, *, rng: Rng | None, like: Array) -> StructuredMatrix:
        n, size = admissible_sizes(n, size, like)
        source = require_rng(rng, "a sparse sign sketch")
        xp = array_namespace(like)
        width = min(self.nonzeros, size)
        edges = [i * size // width for i in range(width + 1)]
        start = xp.asarray(edges[:-1], device=device(like))
        length = xp.asarray([hi - lo for lo, hi in pairwise(edges)], device=device(like))
        offset = xp.astype(
            uniform(source, (n, width), like=like) * xp.astype(length, like.dtype), start.dtype
        )  # (n, width), below length up to rounding
        indices = start + xp.minimum(offset, length - 1)
        return Sparse(signs(source, (n, width), like=like) * width**-0.5, indices, size)
