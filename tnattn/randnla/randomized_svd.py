"""The randomized singular value decomposition."""

from __future__ import annotations

from dataclasses import dataclass, field

from tnattn.arrays import Array, Rng
from tnattn.linalg import small_svd
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.gaussian import Gaussian
from tnattn.randnla.range_finder import RangeFinder
from tnattn.randnla.sketch import Sketch
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.low_rank import Factored


@dataclass(frozen=True, eq=False, repr=False)
class RandomizedSVDResult(Factored):
    """Truncated singular value decompositions ``u diag(s) vt``.

    Parameters
    ----------
    u : Array, (..., m, rank)
        Columns orthonormal.
    s : Array, (..., rank)
        Descending, non-negative.
    vt : Array, (..., rank, n)
        Rows orthonormal.
    """

    u: Array
    s: Array
    vt: Array

    def factors(self) -> tuple[Array, Array]:
        return self.u, self.s[..., None] * self.vt


@dataclass(frozen=True)
class RandomizedSVD(MatrixMethod):
    """Truncates the projection onto a randomized range to the target rank.

    Parameters
    ----------
    rank : int
        Target rank, positive.
    oversampling : int
        Further columns of the test matrix, dropped again by the truncation.
    power_iterations : int
        Non-negative; each one costs two more products with the matrix.
    sketch : Sketch
        Distribution of the test matrix.

    Notes
    -----
    2 m n (rank + oversampling) (2 + 2 power_iterations) flops in products with the matrix, and O((m + n) (rank +
    oversampling)^2). Halko, Martinsson & Tropp 2011, Algorithms 4.4 and 5.1, truncated as in their Section 9.4.
    """

    rank: int = rank_budget(16)
    oversampling: int = 10
    power_iterations: int = 0
    sketch: Sketch = field(default_factory=Gaussian)

    def __post_init__(self) -> None:
        self.range_finder.__post_init__()

    @property
    def range_finder(self) -> RangeFinder:
        """The range finder of the same parameters."""
        return RangeFinder(self.rank, self.oversampling, self.power_iterations, self.sketch)

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> RandomizedSVDResult:
        q = self.range_finder.basis(a, rng=rng)
        # q^T a = (a^T q)^T = (v s w^T)^T; the long factor stands on the left, where the small SVD wants it
        v, s, wt = small_svd(a.mT @ q)
        return RandomizedSVDResult(q @ wt.mT[..., : self.rank], s[..., : self.rank], v.mT[..., : self.rank, :])
