"""The truncated singular value decomposition: the best approximation of given rank, as a reference."""

from __future__ import annotations

from dataclasses import dataclass

from tnattn.arrays import Rng
from tnattn.linalg import orthonormalise_with_factor, svd
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.operand import require_count, require_rank
from tnattn.randnla.randomized_svd import RandomizedSVDResult
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.low_rank import Factored


@dataclass(frozen=True)
class TruncatedSVD(MatrixMethod):
    """The best approximation of a given rank in every unitarily invariant norm; deterministic.

    Parameters
    ----------
    rank : int
        Positive.

    Notes
    -----
    O(m n min(m, n)) and the memory of the dense matrix, which structures other than ``Factored`` are turned into; a
    matrix that comes as a product of thin factors costs O((m + n) r^2) for r columns in the factors, without forming
    it. Eckart & Young 1936; Mirsky 1960.
    """

    rank: int = rank_budget(16)

    def __post_init__(self) -> None:
        require_count(self.rank, "rank", least=1)

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> RandomizedSVDResult:
        require_rank(self.rank, a.shape)
        if isinstance(a, Factored) and self.rank <= a.rank <= min(a.shape[-2:]):
            left, right = a.factors()
            q, r = orthonormalise_with_factor(left)
            p, t = orthonormalise_with_factor(right.mT)
            u, s, vt = svd(r @ t.mT)
            u, vt = q @ u, vt @ p.mT
        else:
            u, s, vt = svd(a.to_dense())
        return RandomizedSVDResult(u[..., : self.rank], s[..., : self.rank], vt[..., : self.rank, :])
