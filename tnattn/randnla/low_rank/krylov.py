"""Block Krylov methods: the subspace spanned by all iterates of the power method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tnattn.arrays import Array, Rng, accumulator_dtype, array_namespace
from tnattn.device_budget import DeviceBudget, DeviceCounts
from tnattn.linalg import extend_basis, leading_svd, near_orthonormal, orthonormalise
from tnattn.randnla.accuracy import RankOrTolerance, leading_terms, require_rank, require_resolved
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVDResult, projection_errors, trimmed
from tnattn.randnla.low_rank.range_finder import require_iteration
from tnattn.randnla.sketches.base import Sketch, adapted_to
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.randnla.units import resolved_square
from tnattn.scalars import require_count
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.matrix_by_matrix import matrix_by_matrix

__all__ = ["BlockKrylov"]


@dataclass(frozen=True)
class BlockKrylov(MatrixMethod, RankOrTolerance):
    """Truncated projection onto the block Krylov space ``[A Omega, (A A^T) A Omega, ..., (A A^T)^q A Omega]``.

    Parameters
    ----------
    rank, rtol
        See ``RankOrTolerance``; ``AdaptiveQB`` for how small a tolerance may be.
    oversampling : int
        Further columns of the test matrix.
    power_iterations : int
        q, non-negative. The basis has up to q + 1 blocks, never more than min(m, n) columns.
    sketch : Sketch
        Distribution of the test matrix.
    block : int, optional
        Columns of the test matrix, ``rank + oversampling`` if None. Blocks narrower than the rank give a higher degree
        for the same number of products; ``(q + 1) block >= rank`` is needed.

    Notes
    -----
    2 m n block (2 + 2 q) flops in products with the matrix, with the default block as many as ``RandomizedSVD``, and
    O((m + n) ((q + 1) block)^2). The larger basis contains Chebyshev polynomials of ``A A^T``, not only its powers,
    an advantage for slowly decaying spectra and expensive products. Every block is orthogonalised twice against
    all before it. Musco & Musco 2015, Algorithm 2; narrow blocks as in Meyer, Musco & Musco 2024. For rank 64 of a
    1024-by-1024 softmax matrix, ``block=44, power_iterations=2, sketch=RowStart(4)`` has a smaller error than
    ``RandomizedSVD`` with two power iterations, at three fifths of its products. With a tolerance, blocks are added,
    ``power_iterations`` of them at most, until the squared error of every projection of the stack is half of the
    squared tolerance, which leaves the other half to the truncation: many narrow blocks adapt best. The error follows
    from the singular values, ``||a||^2 - sum s_i^2``, with one more pass over ``a``.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import BlockKrylov
    >>> from tnattn.gallery import matrix_with_spectrum, polynomial_spectrum
    >>> rng = np.random.default_rng(0)
    >>> a = matrix_with_spectrum(polynomial_spectrum(50), (80, 50), rng)
    >>> svd = BlockKrylov(rank=8, block=6, power_iterations=4)(a, rng=rng)
    >>> best = np.linalg.norm(polynomial_spectrum(50)[8:])
    >>> print(round(float(np.linalg.norm(a - svd.to_dense()) / best), 2))
    1.0
    """

    device_budget: ClassVar = DeviceBudget(
        DeviceCounts(200, waits=9, copies=4), {"power iteration": DeviceCounts(70, waits=4, copies=1)}
    )

    rank: int = rank_budget(16)
    oversampling: int = 10
    power_iterations: int = 2
    sketch: Sketch = field(default_factory=Gaussian)
    block: int | None = None
    rtol: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_iteration(self.oversampling, self.power_iterations, self.sketch)
        require_count(self.width, "block", least=1)
        if (self.power_iterations + 1) * self.width < self.rank:
            raise ValueError(
                f"block {self.block} spans {(self.power_iterations + 1) * self.width} columns in "
                f"{self.power_iterations + 1} blocks, fewer than rank {self.rank}; widen it or raise power_iterations"
            )

    @property
    def width(self) -> int:
        """Columns of the test matrix."""
        return self.rank + self.oversampling if self.block is None else self.block

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        return {"power iteration": self.power_iterations}

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> RandomizedSVDResult:
        require_rank(self.rank, a.shape)
        width = min(self.width, *a.shape[-2:])
        omega = self.sketch.draw(a.shape[-1], width, rng=rng, like=a.like)
        if self.rtol is not None:
            return self._within(a, omega, self.rtol)
        return RandomizedSVDResult(*matrix_by_matrix(lambda one: self._one(one, omega), a))

    def _one(self, a: StructuredMatrix, omega: StructuredMatrix) -> tuple[Array, Array, Array]:
        space = _started(a, omega)
        for _ in range(self.power_iterations):
            if not space.extend():
                break
        svd = space.truncated(self.rank)
        return svd.u, svd.s, svd.vt

    def _within(self, a: StructuredMatrix, omega: StructuredMatrix, rtol: float) -> RandomizedSVDResult:
        require_resolved(rtol, a.like)
        xp = array_namespace(a.like)
        norm_squared = resolved_square(a)  # (...)
        space, steps = _started(a, omega), self.power_iterations
        while True:
            residual_squared = _residual_squared(space.image, norm_squared)
            last = steps == 0 or space.size == min(a.shape[-2:])
            # squared errors of projection and truncation add up: half of the square for each
            if last or bool(xp.all(residual_squared <= rtol**2 / 2)):
                full = space.truncated(space.size)
                errors = projection_errors(full.s, residual_squared)
                terms = leading_terms(errors, rtol, like=full.s, most=self.rank)
                if last or bool(xp.all(terms.converged)):
                    return trimmed(full.u, full.s, full.vt, terms, terms.accuracy(rtol, f"rank {self.rank}"))
            space.extend()
            steps -= 1


def _started(a: StructuredMatrix, omega: StructuredMatrix) -> KrylovSpace:
    return KrylovSpace(a, orthonormalise(a.sketch(adapted_to(omega, a))))


class KrylovSpace:
    """Orthonormal basis Q of a growing block Krylov subspace of the range of A, with A^T Q.

    Parameters
    ----------
    a : StructuredMatrix, (..., m, n)
    basis : Array, (..., m, l)
        Orthonormal columns, the first block.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import Dense
    >>> from tnattn.randnla.low_rank.krylov import KrylovSpace
    >>> space = KrylovSpace(Dense(np.diag([1.0, 0.5, 0.25, 0.125])), np.full((4, 1), 0.5))
    >>> while space.extend():
    ...     pass
    >>> print(space.size, np.round(space.truncated(2).s, 3))
    4 [1.  0.5]
    """

    def __init__(self, a: StructuredMatrix, basis: Array) -> None:
        self._a = a
        # stored transposed: concatenation of rows is contiguous
        self._rows = array_namespace(basis).matrix_transpose(basis)  # (..., columns of the basis, m)
        self._image_rows = (a.mT @ basis).mT  # (..., columns of the basis, n)
        self._width = self.size  # of the last block

    @property
    def basis(self) -> Array:
        """Orthonormal columns, (..., m, size)."""
        return array_namespace(self._rows).matrix_transpose(self._rows)

    @property
    def image(self) -> Array:
        """A^T times the basis, (..., n, size)."""
        return array_namespace(self._rows).matrix_transpose(self._image_rows)

    @property
    def size(self) -> int:
        """Number of columns of the basis."""
        return int(self._rows.shape[-2])

    def extend(self) -> bool:
        """Add A times the last block of A^T Q to the basis; return False if the basis is complete.

        Products with A and its transpose: one of each, as wide as the block.
        """
        xp = array_namespace(self._rows)
        room = min(self._a.shape[-2:]) - self.size
        if room <= 0:
            return False
        # scaling the columns changes no span, and keeps the block clear of overflow
        last = near_orthonormal(self.image[..., -self._width :])
        block = self._a.sketch(last)[..., : min(room, self._width)]
        block = extend_basis(self.basis, block)
        self._width = block.shape[-1]
        self._rows = xp.concat([self._rows, xp.matrix_transpose(block)], axis=-2)
        self._image_rows = xp.concat([self._image_rows, xp.matrix_transpose(self._a.mT @ block)], axis=-2)
        return True

    def truncated(self, rank: int) -> RandomizedSVDResult:
        """Return the leading singular triples of the projection ``Q Q^T A``."""
        v, s, wt = leading_svd(self.image, keep=rank)
        return RandomizedSVDResult(self.basis @ wt.mT, s, v.mT)

    def restart(self, keep: int) -> None:
        """Reduce the basis to the leading left singular vectors of the projection, which become the last block."""
        v, s, wt = leading_svd(self.image, keep=keep)
        self._rows = wt @ self._rows
        self._image_rows = s[..., None] * v.mT
        self._width = keep


def _residual_squared(image: Array, norm_squared: Array) -> Array:
    """Return the relative squared errors (...) of projections, from ``A^T Q`` (..., n, l) and ``||A||_F^2`` (...)."""
    xp = array_namespace(image)
    captured = xp.sum(xp.astype(image, accumulator_dtype(image), copy=False) ** 2, axis=(-2, -1))
    positive = xp.where(norm_squared > 0, norm_squared, xp.ones_like(norm_squared))
    return xp.maximum(norm_squared - captured, xp.zeros_like(norm_squared)) / positive
