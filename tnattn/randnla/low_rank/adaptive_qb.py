"""QB factorisation to a tolerance: blocks of columns are added until the residual is small enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tnattn.arrays import Array, Rng, accumulator_dtype, array_namespace, require_rng
from tnattn.device_budget import DeviceBudget, DeviceCounts, blocks
from tnattn.linalg import extend_basis, orthonormalise
from tnattn.randnla.accuracy import RankOrTolerance, TrimmedFactors, leading_terms, require_resolved, warn_of_missed
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.sketches.base import Sketch, require_sketch
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.randnla.units import resolved_square
from tnattn.scalars import require_count
from tnattn.structured.base import StructuredMatrix


@dataclass(frozen=True, eq=False, repr=False)
class AdaptiveQBResult(TrimmedFactors):
    """Projections ``q b`` of a stack of matrices, each of its own rank.

    Parameters
    ----------
    q : Array, (..., m, largest rank)
        Columns orthonormal; zero beyond the rank of a matrix.
    b : Array, (..., largest rank, n)
        ``q^T a``.
    ranks, residual, converged
        See ``Accuracy``; the residual from ``||A - Q B||_F^2 = ||A||_F^2 - ||B||_F^2``.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AdaptiveQB
    >>> stack = np.stack([np.diag([1.0, 0.5, 0.01, 0.001]), np.diag([1.0, 0.01, 0.001, 0.0])])
    >>> result = AdaptiveQB(rtol=0.05, block=2)(stack, rng=np.random.default_rng(0))
    >>> print(result.ranks, result.converged, result.q.shape)
    [2 1] [ True  True] (2, 4, 2)
    """

    degrees: ClassVar[Mapping[str, float]] = {"b": 1.0}

    q: Array
    b: Array

    def factors(self) -> tuple[Array, Array]:
        return self.q, self.b


@dataclass(frozen=True)
class AdaptiveQB(MatrixMethod, RankOrTolerance):
    """QB factorisation extended block by block until ``||A - Q Q^T A||_F <= rtol ||A||_F``.

    Parameters
    ----------
    rtol : float
        Relative tolerance in the Frobenius norm, above ``2 sqrt(eps)`` of the dtype: below that the difference
        ``||A||_F^2 - ||B||_F^2``, which replaces the residual, loses all its digits.
    rank : int
        See ``RankOrTolerance``; min(m, n) where that is smaller.
    block : int
        Columns added at a time, positive.
    power_iterations : int
        Of every block, non-negative.
    sketch : Sketch
        Distribution of the test matrices.

    Notes
    -----
    4 m n r (1 + power_iterations) flops in products with the matrix for a basis of r columns, and O((m + n) r^2). Of
    the last block only the columns that the tolerance needs are kept, for each matrix of a stack separately. One
    synchronisation per block. The norm of an operator that is neither dense, factored nor sparse takes a product with
    the identity, unless it provides ``rows``. Yu, Gu & Li 2018, randQB_EI.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AdaptiveQB
    >>> from tnattn.gallery import exponential_spectrum, matrix_with_spectrum
    >>> rng = np.random.default_rng(0)
    >>> a = matrix_with_spectrum(exponential_spectrum(50), (80, 50), rng)
    >>> for rtol in 0.1, 0.001:
    ...     result = AdaptiveQB(rtol=rtol, block=4)(a, rng=rng)
    ...     print(result.ranks, result.residual <= rtol)
    5 True
    14 True
    """

    device_budget: ClassVar = DeviceBudget(
        DeviceCounts(120, waits=9, copies=3), {"block": DeviceCounts(140, waits=9, copies=3)}
    )

    rank_is_limit: ClassVar = True

    rtol: float = 0.01
    rank: int = rank_budget(256)
    block: int = 16
    power_iterations: int = 1
    sketch: Sketch = field(default_factory=Gaussian)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(self.block, "block", least=1)
        require_count(self.power_iterations, "power_iterations", least=0)
        require_sketch(self.sketch)

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        return {"block": blocks(self.rank, self.block)}

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> AdaptiveQBResult:
        result = self.extended(a, rng=rng)
        spent = f"rank {min(self.rank, *a.shape[-2:])}"
        warn_of_missed(result.converged, result.residual, self.rtol, spent)
        return result

    def extended(self, a: StructuredMatrix, *, rng: Rng | None) -> AdaptiveQBResult:
        """Factorise without a warning, for methods that truncate the projection further."""
        source = require_rng(rng, "AdaptiveQB")
        require_resolved(self.rtol, a.like)
        xp = array_namespace(a.like)
        limit = min(self.rank, *a.shape[-2:])
        norm_squared = resolved_square(a)  # (...)
        q, b = None, None
        while q is None or q.shape[-1] < limit:
            size = min(self.block, limit - (0 if q is None else q.shape[-1]))
            one = self._block(a, q, b, size, source)
            image = xp.matrix_transpose(a.mT @ one)  # the new rows of B = Q^T A, from A itself
            q = one if q is None else xp.concat([q, one], axis=-1)
            b = image if b is None else xp.concat([b, image], axis=-2)
            errors = _errors(b, norm_squared)
            if bool(xp.all(errors[..., -1] <= self.rtol)):  # of the matrix that needs most columns
                break
        terms = leading_terms(errors, self.rtol, like=q)
        accuracy = {"ranks": terms.ranks, "residual": terms.residual, "converged": terms.converged}
        return AdaptiveQBResult(terms.columns(q), terms.rows(b), **accuracy)

    def _block(self, a: StructuredMatrix, q: Array | None, b: Array | None, size: int, rng: Rng) -> Array:
        """Return new columns of the basis, orthogonal to the current ones."""
        omega = self.sketch.draw(a.shape[-1], size, rng=rng, like=a.like)
        y = a.sketch(omega)
        if q is None or b is None:
            for _ in range(self.power_iterations):
                y = a.sketch(orthonormalise(a.mT @ orthonormalise(y)))
            return orthonormalise(y)
        # A Omega - Q (B Omega): the sketch of the residual, which is never formed
        y = y - q @ (omega.mT @ b.mT).mT
        for _ in range(self.power_iterations):
            inner = orthonormalise(y)
            z = orthonormalise(a.mT @ inner - b.mT @ (q.mT @ inner))
            y = a.sketch(z) - q @ (b @ z)
        return extend_basis(q, y)  # twice: y is a difference, and zero where the basis spans the range


def _errors(b: Array, norm_squared: Array) -> Array:
    """Return ``||A - Q_r Q_r^T A||_F / ||A||_F`` (..., 1 + rows) for the first r = 0, 1, ... rows of ``b = Q^T A``."""
    xp = array_namespace(b)
    captured = xp.cumulative_sum(
        xp.sum(xp.astype(b, accumulator_dtype(b), copy=False) ** 2, axis=-1), axis=-1, include_initial=True
    )
    residual_squared = xp.maximum(norm_squared[..., None] - captured, xp.zeros_like(captured))
    return xp.sqrt(residual_squared / xp.where(norm_squared > 0, norm_squared, xp.ones_like(norm_squared))[..., None])
