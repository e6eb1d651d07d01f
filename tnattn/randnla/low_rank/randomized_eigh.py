"""Randomized eigendecomposition of symmetric matrices, definite or indefinite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tnattn.arrays import Array, Rng, accumulator_dtype, array_namespace, eps
from tnattn.device_budget import DeviceBudget, DeviceCounts
from tnattn.linalg import eigh
from tnattn.randnla.accuracy import (
    RankOrTolerance,
    TrimmedFactors,
    leading_terms,
    relative_errors,
    require_rank,
    require_resolved,
)
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.low_rank.adaptive_qb import AdaptiveQB, AdaptiveQBResult
from tnattn.randnla.low_rank.range_finder import RangeFinder, require_iteration
from tnattn.randnla.sketches import Gaussian, Sketch
from tnattn.randnla.symmetry import require_symmetric, require_symmetric_within
from tnattn.structured.base import StructuredMatrix


@dataclass(frozen=True, eq=False, repr=False)
class RandomizedEighResult(TrimmedFactors):
    """Symmetric matrices ``u diag(eigenvalues) u^T``.

    Parameters
    ----------
    u : Array, (..., n, rank)
        Columns orthonormal.
    eigenvalues : Array, (..., rank)
        Of either sign, by descending magnitude.
    ranks, residual, converged
        See ``Accuracy``; with a tolerance.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import RandomizedEigh
    >>> a = np.diag([1.0, -3.0, 0.5, 2.0])
    >>> result = RandomizedEigh(rank=2)(a, rng=np.random.default_rng(0))
    >>> print(np.round(result.eigenvalues, 3), np.round(np.linalg.norm(result.u, axis=0), 3))
    [-3.  2.] [1. 1.]
    """

    degrees: ClassVar[Mapping[str, float]] = {"eigenvalues": 1.0}

    u: Array
    eigenvalues: Array

    def factors(self) -> tuple[Array, Array]:
        return self.u, self.eigenvalues[..., None] * self.u.mT


@dataclass(frozen=True)
class RandomizedEigh(MatrixMethod, RankOrTolerance):
    """Two-sided projection of a symmetric matrix onto a randomized range, truncated to the dominant eigenvalues.

    Parameters
    ----------
    rank, rtol
        See ``RankOrTolerance``; ``AdaptiveQB`` for how small a tolerance may be and what it costs.
    oversampling : int
        Further columns of the test matrix, dropped again by the truncation.
    power_iterations : int
        Non-negative; each one costs two more products with the matrix. For slowly decaying spectra (``1 / j``,
        ``j^(-1/2)``, of either sign) and ranks up to 60 the Frobenius error is at most 1.006 times the optimal one with
        four, 1.08 times with one.
    sketch : Sketch
        Distribution of the test matrix.

    Notes
    -----
    2 n^2 (rank + oversampling) (2 + 2 power_iterations) flops in products with the matrix and O(n (rank +
    oversampling)^2). Halko, Martinsson & Tropp 2011, Algorithm 5.3. The error is at most twice that of the projection
    from one side; for positive semidefinite matrices ``Nystrom`` is more accurate at a lower cost. Symmetry is checked
    for all entries where they are explicit, for operators within the computed range. With a tolerance the basis grows
    until its share of the squared error is at most half; no product is added, and the error follows from the
    eigenvalues, ``||a||^2 - sum l_i^2``.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import RandomizedEigh
    >>> from tnattn.gallery import symmetric_with_spectrum
    >>> rng = np.random.default_rng(0)
    >>> spectrum = np.array([4.0, -2.0, 1.0, -0.1, 0.1, 0.1])
    >>> a = symmetric_with_spectrum(spectrum, rng, n=60)
    >>> result = RandomizedEigh(rank=3)(a, rng=rng)
    >>> print(np.round(result.eigenvalues, 2), round(float(np.linalg.norm(a - result.to_dense())), 2))
    [ 4. -2.  1.] 0.17
    """

    device_budget: ClassVar = DeviceBudget(
        DeviceCounts(160, waits=8, copies=3), {"power iteration": DeviceCounts(70, waits=4, copies=1)}
    )

    domain: ClassVar = "symmetric"

    rank: int = rank_budget(16)
    oversampling: int = 10
    power_iterations: int = 4
    sketch: Sketch = field(default_factory=Gaussian)
    rtol: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_iteration(self.oversampling, self.power_iterations, self.sketch)

    @property
    def range_finder(self) -> RangeFinder:
        """The range finder of the same parameters."""
        return RangeFinder(self.rank, self.oversampling, self.power_iterations, self.sketch)

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        return {"power iteration": self.power_iterations}

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> RandomizedEighResult:
        require_symmetric(a)
        if self.rtol is not None:
            return self._within(a, self.rtol, rng)
        q = self.range_finder.basis(a, rng=rng)
        vectors, values = _by_magnitude(require_symmetric_within(q, a.sketch(q), accuracy=a.entry_accuracy()))
        return RandomizedEighResult(q @ vectors[..., : self.rank], values[..., : self.rank])

    def _within(self, a: StructuredMatrix, rtol: float, rng: Rng | None) -> RandomizedEighResult:
        """Return the decompositions of least rank within a tolerance."""
        require_rank(self.rank, a.shape)
        require_resolved(rtol, a.like)
        # ||A - P A P||_F^2 <= 2 ||A - P A||_F^2 for a projector P: rtol / 2 leaves half of the square to the truncation
        share = max(rtol / 2, 2.01 * eps(a.like) ** 0.5)
        basis = AdaptiveQB(share, self.range_finder.size, power_iterations=self.power_iterations, sketch=self.sketch)
        projection = basis.extended(a, rng=rng)
        xp = array_namespace(projection.q)
        vectors, values = _by_magnitude(require_symmetric_within(projection.q, xp.matrix_transpose(projection.b)))
        terms = leading_terms(_errors(values, projection), rtol, like=values, most=self.rank)
        accuracy = terms.accuracy(rtol, f"rank {self.rank}")
        u = terms.columns(projection.q @ vectors[..., : terms.size])
        return RandomizedEighResult(u, terms.values(values), **accuracy)


def _errors(values: Array, projection: AdaptiveQBResult) -> Array:
    """Return the relative errors (..., 1 + l) of the first 0, 1, ... l eigenpairs: ``||a||^2 - sum l_i^2``."""
    xp, wide = array_namespace(values), accumulator_dtype(values)
    residual, b, values = (xp.astype(x, wide, copy=False) for x in (projection.residual, projection.b, values))
    # ||b||^2 = (1 - residual^2) ||a||^2 gives the norm of a without another pass
    norm_squared = (xp.sum(b**2, axis=(-2, -1)) / (1 - residual**2))[..., None]
    captured = xp.cumulative_sum(values**2, axis=-1, include_initial=True)
    return relative_errors(xp.maximum(norm_squared - captured, xp.zeros_like(captured)), like=projection.q)


def _by_magnitude(core: Array) -> tuple[Array, Array]:
    """Return eigenvectors (..., l, l) and eigenvalues (..., l) of nearly symmetric matrices, by descending modulus."""
    xp = array_namespace(core)
    # symmetrised: its asymmetry is rounding, as checked
    values, vectors = eigh((core + xp.matrix_transpose(core)) / 2)
    order = xp.argsort(xp.abs(values), axis=-1, descending=True)
    columns = xp.broadcast_to(order[..., None, :], vectors.shape)
    return xp.take_along_axis(vectors, columns, axis=-1), xp.take_along_axis(values, order, axis=-1)
