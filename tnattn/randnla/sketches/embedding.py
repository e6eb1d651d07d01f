"""Subspace embeddings: the transposed test matrix as a map of the columns of a tall matrix."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tnattn.arrays import Rng, require_rng
from tnattn.randnla.sketches.base import Sketch, require_sketch
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.scalars import Parameters, require_count
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.conversion import as_structured


@dataclass(frozen=True)
class Embedding(Parameters):
    """Random map of the columns of a tall matrix to few dimensions that nearly preserves lengths and inner products.

    Parameters
    ----------
    size : int
        Dimension after the embedding, positive.
    sketch : Sketch
        Distribution of the transposed map.

    Notes
    -----
    ``S = Omega^T`` with ``E[S^T S] = I``: ``(S a)^T (S b)`` estimates ``a^T b`` without bias. The map does not depend
    on the matrix; that of ``LeverageSampling`` does.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.gallery import orthonormal
    >>> from tnattn.randnla.sketches import Embedding
    >>> a = orthonormal((1000, 3), np.random.default_rng(0))
    >>> s = Embedding(size=400)(a, rng=np.random.default_rng(1))
    >>> print(s.shape, np.round(np.linalg.svd(s @ a)[1], 1))
    (400, 1000) [1.1 1.  1. ]
    """

    size: int = 64
    sketch: Sketch = field(default_factory=Gaussian)

    def __post_init__(self) -> None:
        require_count(self.size, "size", least=1)
        require_sketch(self.sketch)

    def __call__(self, a: Any, *, rng: Rng | None = None) -> StructuredMatrix:
        """Return an embedding S, (size, m), of the columns of matrices (..., m, n), shared by the stack."""
        matrix = as_structured(a)
        source = require_rng(rng, "Embedding")
        return self.sketch.draw(matrix.shape[-2], self.size, rng=source, like=matrix.like).mT
