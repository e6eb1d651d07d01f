"""The randomized eigendecomposition of symmetric matrices, definite or not."""

from __future__ import annotations

from dataclasses import dataclass, field

from tnattn.arrays import Array, Rng, array_namespace
from tnattn.linalg import eigh
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.gaussian import Gaussian
from tnattn.randnla.operand import require_symmetric
from tnattn.randnla.range_finder import RangeFinder
from tnattn.randnla.sketch import Sketch, narrow_product
from tnattn.randnla.symmetry import require_symmetric_within
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.low_rank import Factored


@dataclass(frozen=True, eq=False, repr=False)
class RandomizedEighResult(Factored):
    """Symmetric matrices ``u diag(eigenvalues) u^T``.

    Parameters
    ----------
    u : Array, (..., n, rank)
        Columns orthonormal.
    eigenvalues : Array, (..., rank)
        Of either sign, by descending magnitude.
    """

    u: Array
    eigenvalues: Array

    def factors(self) -> tuple[Array, Array]:
        return self.u, self.eigenvalues[..., None] * self.u.mT


@dataclass(frozen=True)
class RandomizedEigh(MatrixMethod):
    """Projects a symmetric matrix onto a randomized range from both sides and keeps the eigenvalues of largest size.

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
    2 n^2 (rank + oversampling) (2 + 2 power_iterations) flops in products with the matrix and O(n (rank +
    oversampling)^2). Halko, Martinsson & Tropp 2011, Algorithm 5.3. The error is at most twice that of the projection
    from one side; for positive semidefinite matrices ``Nystrom`` is more accurate at a lower price. That the matrix is
    symmetric is checked where its entries are at hand, and of operators within the range that was found.
    """

    rank: int = rank_budget(16)
    oversampling: int = 10
    power_iterations: int = 1
    sketch: Sketch = field(default_factory=Gaussian)

    def __post_init__(self) -> None:
        self.range_finder.__post_init__()

    @property
    def range_finder(self) -> RangeFinder:
        """The range finder of the same parameters."""
        return RangeFinder(self.rank, self.oversampling, self.power_iterations, self.sketch)

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> RandomizedEighResult:
        require_symmetric(a)
        q = self.range_finder.basis(a, rng=rng)
        xp = array_namespace(q)
        core = require_symmetric_within(q, narrow_product(a, q))
        values, vectors = eigh((core + xp.matrix_transpose(core)) / 2)
        order = xp.argsort(xp.abs(values), axis=-1, descending=True)[..., : self.rank]
        columns = xp.broadcast_to(order[..., None, :], (*vectors.shape[:-1], order.shape[-1]))
        leading = xp.take_along_axis(vectors, columns, axis=-1)
        return RandomizedEighResult(q @ leading, xp.take_along_axis(values, order, axis=-1))
