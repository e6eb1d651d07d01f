"""Projection of a matrix onto columns sampled by leverage scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Array, Rng, require_rng, uniform
from tnattn.linalg import numerical_svd
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.scores.leverage import leverage_scores, sample_indices
from tnattn.scalars import require_count
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.gather import gather_rows
from tnattn.structured.low_rank import LowRankMatrix


@dataclass(frozen=True, eq=False, repr=False)
class LeverageColumnsResult(LowRankMatrix):
    """Projections of matrices onto some of their columns.

    Parameters
    ----------
    q : Array, (..., m, r)
        Orthonormal basis of the span of the sampled columns, zero columns where they are dependent.
    b : Array, (..., r, n)
        ``q^T a``.
    indices : Array, (..., size), integer
        The sampled columns, with repetitions.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import LeverageColumns
    >>> result = LeverageColumns(size=4, subspace=2)(np.diag([3.0, 2.0, 0.1, 0.1]), rng=np.random.default_rng(0))
    >>> print(result.indices, result.q.shape)
    [1 0 0 0] (4, 4)
    """

    degrees: ClassVar[Mapping[str, float]] = {"b": 1.0}

    q: Array
    b: Array
    indices: Array

    def factors(self) -> tuple[Array, Array]:
        return self.q, self.b


@dataclass(frozen=True)
class LeverageColumns(MatrixMethod):
    """Projection onto columns sampled with replacement by the leverage scores of the leading singular subspace.

    Parameters
    ----------
    size : int
        Number of samples, positive.
    subspace : int
        Dimension of the leading right singular subspace whose leverage scores are used, positive.

    Notes
    -----
    O(m n min(m, n)) for exact scores. Drineas, Mahoney & Muthukrishnan 2008.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import LeverageColumns
    >>> from tnattn.gallery import exponential_spectrum, matrix_with_spectrum
    >>> rng = np.random.default_rng(0)
    >>> a = matrix_with_spectrum(exponential_spectrum(50), (80, 50), rng)
    >>> result = LeverageColumns(size=24, subspace=8)(a, rng=rng)
    >>> best = np.linalg.norm(exponential_spectrum(50)[8:])
    >>> print(np.linalg.norm(a - result.to_dense()) < 1.5 * best)
    True
    """

    rank_is_limit: ClassVar = True
    exact_at_full_rank: ClassVar = False

    size: int = rank_budget(32)
    subspace: int = 8

    def __post_init__(self) -> None:
        require_count(self.size, "size", least=1)
        require_count(self.subspace, "subspace", least=1)

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> LeverageColumnsResult:
        if self.subspace > min(a.shape[-2:]):
            raise ValueError(f"subspace {self.subspace} exceeds min(m, n) of the {a.shape} stack; reduce subspace")
        dense = a.to_dense()
        # of the rows of A^T: squared row norms of the leading right singular vectors of A
        scores = leverage_scores(dense.mT, rank=self.subspace)
        indices = sample_indices(scores, uniform(require_rng(rng, "LeverageColumns"), (self.size,), like=scores))
        columns = gather_rows(dense.mT, indices[..., None])[..., 0, :].mT  # (..., m, size)
        q = numerical_svd(columns)[0]  # repeated columns are dependent: no division by zero singular values
        return LeverageColumnsResult(q, (dense.mT @ q).mT, indices)
