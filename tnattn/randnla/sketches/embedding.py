"""Random embeddings of the rows' space: what a sketch does to the columns of a tall matrix."""

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
    """Maps the columns of a tall matrix to few dimensions, nearly preserving their lengths and inner products.

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
    """

    size: int = 64
    sketch: Sketch = field(default_factory=Gaussian)

    def __post_init__(self) -> None:
        require_count(self.size, "size", least=1)
        require_sketch(self.sketch)

    def __call__(self, a: Any, *, rng: Rng | None = None) -> StructuredMatrix:
        """Return an embedding S, (size, m), for matrices (..., m, n): one for the whole stack."""
        matrix = as_structured(a)
        source = require_rng(rng, "Embedding")
        return self.sketch.draw(matrix.shape[-2], self.size, rng=source, like=matrix.like).mT
