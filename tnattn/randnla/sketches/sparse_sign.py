"""Sparse sign test matrices: a few random signs per row."""

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
        Signs per row; at most the number of columns.

    Notes
    -----
    The columns are cut into ``nonzeros`` blocks of as equal a length as possible and each row gets one sign per block
    (the block construction of Nelson & Nguyen 2013 and Kane & Nelson 2014): distinct positions from ``nonzeros`` random
    numbers per row, an order of magnitude fewer than a Gaussian test matrix takes. Stored as ELLPACK;
    ``StructuredMatrix.sketch`` chooses between the sparse and the dense product.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import Gaussian, SparseSign
    >>> omega = SparseSign(nonzeros=4).draw(1000, 64, rng=np.random.default_rng(0), like=np.zeros(1))
    >>> print(np.count_nonzero(omega.to_dense(), axis=1)[:5], np.linalg.norm(omega.to_dense(), axis=1)[:3])
    [4 4 4 4 4] [1. 1. 1.]
    >>> gaussian = Gaussian().draw(1000, 64, rng=np.random.default_rng(0), like=np.zeros(1))
    >>> print(omega.matmul_flops(1), gaussian.matmul_flops(1))
    8000 128000
    """

    nonzeros: int = 8  # as Tropp, Yurtsever, Udell & Cevher 2019 recommend

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
        )  # (n, width), below length up to rounding, which the minimum removes
        indices = start + xp.minimum(offset, length - 1)
        return Sparse(signs(source, (n, width), like=like) * width**-0.5, indices, size)
