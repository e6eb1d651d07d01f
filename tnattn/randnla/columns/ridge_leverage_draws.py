"""Column selection by ridge leverage scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Array, Rng, require_rng, uniform
from tnattn.randnla.columns.selection import ColumnSelection
from tnattn.randnla.scores import relative_scores, require_ridge, sample_indices
from tnattn.randnla.symmetry import symmetric_dense
from tnattn.scalars import require_count
from tnattn.structured.base import StructuredMatrix


@dataclass(frozen=True)
class RidgeLeverageDraws(ColumnSelection):
    """Columns of a positive semidefinite matrix sampled with replacement by their exact ridge leverage scores.

    Parameters
    ----------
    ridge : float
        Positive, relative to the mean of the diagonal: independent of the scale of the kernel.

    Notes
    -----
    O(n^3) and the dense matrix: a reference. ``RecursiveNystrom`` needs neither. Alaoui & Mahoney 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import ColumnNystrom, RidgeLeverageDraws
    >>> a = np.diag([3.0, 2.0, 0.0, 0.0])
    >>> result = ColumnNystrom(rank=4, selection=RidgeLeverageDraws())(a, rng=np.random.default_rng(0))
    >>> print(result.indices, round(float(result.residual), 2))
    [1 0 0 0] 0.0
    """

    ridge: float = 0.1

    domain: ClassVar = "semidefinite"
    repeats: ClassVar = True

    def __post_init__(self) -> None:
        require_ridge(self.ridge)

    def select(self, a: StructuredMatrix, size: int, *, rng: Rng | None) -> Array:
        require_count(size, "size", least=1)
        scores = relative_scores(symmetric_dense(a).dense_view(), self.ridge)
        return sample_indices(scores, uniform(require_rng(rng, "RidgeLeverageDraws"), (size,), like=a.like))
