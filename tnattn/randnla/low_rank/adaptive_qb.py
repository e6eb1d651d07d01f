"""The QB factorisation to a tolerance: blocks are added until the residual is small enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from tnattn.arrays import Array, Rng, accumulator_dtype, array_namespace, device, require_rng
from tnattn.linalg import extend_basis, orthonormalise
from tnattn.randnla.arguments import require_count
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.frobenius import resolved_square
from tnattn.randnla.sketches.base import Sketch
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.randnla.tolerance import require_resolved, warn_of_missed
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.low_rank import LowRankMatrix


@dataclass(frozen=True, eq=False, repr=False)
class AdaptiveQBResult(LowRankMatrix):
    """Projections ``q b`` of a stack of matrices, each of its own rank.

    Parameters
    ----------
    q : Array, (..., m, largest rank)
        Columns orthonormal; zero beyond the rank of a matrix.
    b : Array, (..., largest rank, n)
        ``q^T a``.
    ranks : Array, (...), integer
        The smallest that the tolerance allows, or all there are where it was not met.
    residual : Array, (...)
        Realised ``||a - q b||_F / ||a||_F`` by the residual identity; zero for a zero matrix.
    converged : Array, (...), boolean
        Whether the residual is within the tolerance.
    """

    degrees: ClassVar[Mapping[str, float]] = {"b": 1.0}

    q: Array
    b: Array
    ranks: Array
    residual: Array
    converged: Array

    def factors(self) -> tuple[Array, Array]:
        return self.q, self.b

    @property
    def storage(self) -> int:
        """Scalars of the true ranks, without the zeros."""
        total = int(array_namespace(self.ranks).sum(self.ranks))
        return total * (int(self.q.shape[-2]) + int(self.b.shape[-1]))


@dataclass(frozen=True)
class AdaptiveQB(MatrixMethod):
    """Extends a randomized basis block by block until ``||A - Q Q^T A||_F <= rtol ||A||_F``.

    Parameters
    ----------
    rtol : float
        Relative tolerance in the Frobenius norm, above ``2 sqrt(eps)`` of the dtype: below that the residual identity,
        by which the residual is known without being formed, loses its digits.
    rank : int
        Largest admissible rank, positive; min(m, n) where that is smaller. A matrix whose tolerance takes more keeps
        that rank, is not ``converged`` in the result, and causes a ``ToleranceWarning``.
    block : int
        Columns added at a time, positive.
    power_iterations : int
        Of every block, non-negative.
    sketch : Sketch
        Distribution of the test matrices.

    Notes
    -----
    4 m n r (1 + power_iterations) flops in products with the matrix for a basis of r columns, and O((m + n) r^2). Of
    the last block only the columns that the tolerance needs are kept, for every matrix of a stack by itself. One
    synchronisation per block. Operators other than dense, factored and sparse ones pay a product with the identity for
    their norm, unless they give ``rows``. Yu, Gu & Li 2018, randQB_EI.
    """

    rank_is_limit: ClassVar = True

    rtol: float = 0.01
    rank: int = rank_budget(256)
    block: int = 16
    power_iterations: int = 1
    sketch: Sketch = field(default_factory=Gaussian)

    def __post_init__(self) -> None:
        if not 0 < self.rtol < 1:
            raise ValueError(f"rtol is {self.rtol}; 0 < rtol < 1 is needed")
        require_count(self.rank, "rank", least=1)
        require_count(self.block, "block", least=1)
        require_count(self.power_iterations, "power_iterations", least=0)
        if not isinstance(self.sketch, Sketch):
            raise TypeError(f"sketch is {self.sketch!r}; a Sketch such as Gaussian() is needed")

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> AdaptiveQBResult:
        result = self.extended(a, rng=rng)
        spent = f"rank {min(self.rank, *a.shape[-2:])}"
        warn_of_missed(result.converged, result.residual, self.rtol, spent)
        return result

    def extended(self, a: StructuredMatrix, *, rng: Rng | None) -> AdaptiveQBResult:
        """Factorise without a word about what was missed, for methods that go on from here."""
        source = require_rng(rng, "AdaptiveQB")
        require_resolved(self.rtol, a.like)
        xp = array_namespace(a.like)
        limit = min(self.rank, *a.shape[-2:])
        whole = resolved_square(a)  # (...)
        q, b = None, None
        while q is None or q.shape[-1] < limit:
            size = min(self.block, limit - (0 if q is None else q.shape[-1]))
            one = self._block(a, q, b, size, source)
            image = xp.matrix_transpose(a.mT @ one)
            q = one if q is None else xp.concat([q, one], axis=-1)
            b = image if b is None else xp.concat([b, image], axis=-2)
            left = _residuals(b, whole)
            if bool(xp.all(left[..., -1] <= self.rtol**2 * whole)):
                break
        return self._trimmed(q, b, left, whole)

    def _block(self, a: StructuredMatrix, q: Array | None, b: Array | None, size: int, rng: Rng) -> Array:
        """Return new columns of the basis, orthogonal to those there are."""
        omega = self.sketch.draw(a.shape[-1], size, rng=rng, like=a.like)
        y = a.sketch(omega)
        if q is None or b is None:
            for _ in range(self.power_iterations):
                y = a.sketch(orthonormalise(a.mT @ orthonormalise(y)))
            return orthonormalise(y)
        y = y - q @ (omega.mT @ b.mT).mT
        for _ in range(self.power_iterations):
            inner = orthonormalise(y)
            z = orthonormalise(a.mT @ inner - b.mT @ (q.mT @ inner))
            y = a.sketch(z) - q @ (b @ z)
        return extend_basis(q, y)  # y has come out of a cancellation, and vanishes where the basis holds the range

    def _trimmed(self, q: Array, b: Array, left: Array, whole: Array) -> AdaptiveQBResult:
        xp = array_namespace(q)
        met = left <= self.rtol**2 * whole[..., None]  # (..., 1 + columns), for ranks 0, 1, ...
        columns = q.shape[-1]
        missed = xp.sum(xp.astype(~met, xp.int64), axis=-1)  # residuals decrease: the first that is met
        ranks = xp.minimum(missed, xp.full_like(missed, columns))
        residual = xp.take_along_axis(left, ranks[..., None], axis=-1)[..., 0]
        safe = xp.where(whole > 0, whole, xp.ones_like(whole))
        largest = max(1, int(xp.max(ranks)))
        kept = xp.astype(xp.arange(largest, device=device(q)) < ranks[..., None], q.dtype)
        return AdaptiveQBResult(
            q[..., :largest] * kept[..., None, :],
            b[..., :largest, :] * kept[..., :, None],
            ranks,
            xp.astype(xp.sqrt(residual / safe), q.dtype, copy=False),
            xp.any(met, axis=-1),
        )


def _residuals(b: Array, whole: Array) -> Array:
    """Return ``||A||_F^2 - ||leading r rows of b||_F^2`` for r = 0, 1, ..., (..., 1 + rows)."""
    xp = array_namespace(b)
    squares = xp.sum(xp.astype(b, accumulator_dtype(b), copy=False) ** 2, axis=-1)
    captured = xp.cumulative_sum(squares, axis=-1, include_initial=True)
    return xp.maximum(whole[..., None] - captured, xp.zeros_like(captured))
