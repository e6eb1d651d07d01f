"""The randomized eigendecomposition of symmetric matrices, definite or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from tnattn.arrays import Array, Rng, accumulator_dtype, array_namespace, eps
from tnattn.linalg import eigh
from tnattn.randnla.arguments import require_rank
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.low_rank.adaptive_qb import AdaptiveQB
from tnattn.randnla.low_rank.range_finder import RangeFinder
from tnattn.randnla.nested_errors import kept_ranks, stored
from tnattn.randnla.sketches.base import Sketch
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.randnla.symmetry import require_symmetric, require_symmetric_within
from tnattn.randnla.tolerance import require_optional_tolerance, require_resolved, warn_of_missed
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.low_rank import LowRankMatrix


@dataclass(frozen=True, eq=False, repr=False)
class RandomizedEighResult(LowRankMatrix):
    """Symmetric matrices ``u diag(eigenvalues) u^T``.

    Parameters
    ----------
    u : Array, (..., n, rank)
        Columns orthonormal.
    eigenvalues : Array, (..., rank)
        Of either sign, by descending magnitude.
    ranks : Array, (...), integer, optional
        Where a tolerance chose them: pairs kept for every matrix, the others being zero.
    residual : Array, (...), optional
        Realised ``||a - u diag(eigenvalues) u^T||_F / ||a||_F``, with a tolerance.
    converged : Array, (...), boolean, optional
        Whether the residual is within the tolerance.
    """

    degrees: ClassVar[Mapping[str, float]] = {"eigenvalues": 1.0}

    u: Array
    eigenvalues: Array
    ranks: Array | None = None
    residual: Array | None = None
    converged: Array | None = None

    @property
    def storage(self) -> int:
        return super().storage if self.ranks is None else stored(self.ranks, self.shape)

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
        Non-negative; each one costs two more products with the matrix. With four the Frobenius error on slow spectra
        (``1 / j``, ``j^(-1/2)``), of either sign, is at most 1.006 of the best at ranks up to 60; with one, 1.08.
    sketch : Sketch
        Distribution of the test matrix.
    rtol : float, optional
        Tolerance ``||a - u diag(eigenvalues) u^T||_F <= rtol ||a||_F``; every matrix of a stack then gets the smallest
        rank that its basis allows, ``rank`` at most. One that would need more keeps ``rank`` pairs, is not
        ``converged``, and causes a ``ToleranceWarning``. See ``AdaptiveQB`` for how small it may be and what it costs.

    Notes
    -----
    2 n^2 (rank + oversampling) (2 + 2 power_iterations) flops in products with the matrix and O(n (rank +
    oversampling)^2). Halko, Martinsson & Tropp 2011, Algorithm 5.3. The error is at most twice that of the projection
    from one side; for positive semidefinite matrices ``Nystrom`` is more accurate at a lower price. That the matrix is
    symmetric is checked where its entries are at hand, and of operators within the range that was found. With a
    tolerance the basis grows until its own share of the squared error is at most half; no product is added, and the
    error is known from the eigenvalues, ``||a||^2 - sum l_i^2``.
    """

    domain: ClassVar = "symmetric"

    rank: int = rank_budget(16)
    oversampling: int = 10
    power_iterations: int = 4
    sketch: Sketch = field(default_factory=Gaussian)
    rtol: float | None = None

    def __post_init__(self) -> None:
        self.range_finder.__post_init__()
        require_optional_tolerance(self.rtol)

    @property
    def range_finder(self) -> RangeFinder:
        """The range finder of the same parameters."""
        return RangeFinder(self.rank, self.oversampling, self.power_iterations, self.sketch)

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> RandomizedEighResult:
        require_symmetric(a)
        if self.rtol is not None:
            return self._within(a, self.rtol, rng)
        q = self.range_finder.basis(a, rng=rng)
        vectors, values = _by_magnitude(require_symmetric_within(q, a.sketch(q), accuracy=a.entry_accuracy()))
        return RandomizedEighResult(q @ vectors[..., : self.rank], values[..., : self.rank])

    def _within(self, a: StructuredMatrix, rtol: float, rng: Rng | None) -> RandomizedEighResult:
        """Return the smallest decompositions within a tolerance."""
        require_rank(self.rank, a.shape)
        require_resolved(rtol, a.like)
        # both sides of the basis miss at most twice what one misses: half of the tolerance leaves half of its square
        share = max(rtol / 2, 2.01 * eps(a.like) ** 0.5)
        basis = AdaptiveQB(share, self.range_finder.size, power_iterations=self.power_iterations, sketch=self.sketch)
        found = basis.extended(a, rng=rng)
        xp = array_namespace(found.q)
        vectors, values = _by_magnitude(require_symmetric_within(found.q, xp.matrix_transpose(found.b)))
        wide = accumulator_dtype(values)
        missed = xp.astype(found.residual, wide, copy=False) ** 2
        seen = xp.sum(xp.astype(found.b, wide, copy=False) ** 2, axis=(-2, -1))
        whole = (seen / (1 - missed))[..., None]  # ||a||^2, as ||b||^2 = (1 - missed) ||a||^2
        captured = xp.cumulative_sum(xp.astype(values, wide, copy=False) ** 2, axis=-1, include_initial=True)
        left = xp.maximum(whole - captured, xp.zeros_like(captured)) / xp.where(whole > 0, whole, xp.ones_like(whole))
        known = min(self.rank + 1, left.shape[-1])
        errors = xp.astype(xp.sqrt(left[..., :known]), values.dtype, copy=False)  # for ranks 0, 1, ...
        ranks, residual, kept = kept_ranks(errors, rtol)
        converged, keep = residual <= rtol, xp.astype(kept, values.dtype)
        warn_of_missed(converged, residual, rtol, f"rank {self.rank}")
        largest = keep.shape[-1]
        u = (found.q @ vectors[..., :largest]) * keep[..., None, :]
        return RandomizedEighResult(u, values[..., :largest] * keep, ranks, residual, converged)


def _by_magnitude(core: Array) -> tuple[Array, Array]:
    """Return eigenvectors (..., l, l) and eigenvalues (..., l) of nearly symmetric matrices, the largest size first."""
    xp = array_namespace(core)
    values, vectors = eigh((core + xp.matrix_transpose(core)) / 2)
    order = xp.argsort(xp.abs(values), axis=-1, descending=True)
    columns = xp.broadcast_to(order[..., None, :], vectors.shape)
    return xp.take_along_axis(vectors, columns, axis=-1), xp.take_along_axis(values, order, axis=-1)
