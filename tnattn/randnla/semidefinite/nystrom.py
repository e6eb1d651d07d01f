"""The randomized Nyström approximation of positive semidefinite matrices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from tnattn.arrays import Array, Rng, accumulator_dtype, array_namespace, eps
from tnattn.linalg import cholesky, frobenius_norm, orthonormalise, small_svd, solve_triangular
from tnattn.randnla.arguments import require_count, require_rank
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.columns.pivoted_qr import largest_entry
from tnattn.randnla.nested_errors import kept_ranks, stored
from tnattn.randnla.sketches.base import Sketch
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.randnla.symmetry import require_symmetric, require_symmetric_within
from tnattn.randnla.tolerance import require_above_rounding, require_optional_tolerance, warn_of_missed, within
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.low_rank import LowRankMatrix


@dataclass(frozen=True, eq=False, repr=False)
class NystromResult(LowRankMatrix):
    """Positive semidefinite matrices ``u diag(eigenvalues) u^T``.

    Parameters
    ----------
    u : Array, (..., n, rank)
        Columns orthonormal.
    eigenvalues : Array, (..., rank)
        Descending, non-negative.
    ranks : Array, (...), integer, optional
        Where a tolerance chose them: pairs kept for every matrix, the others being zero.
    residual : Array, (...), optional
        Realised ``trace(a - u diag(eigenvalues) u^T) / trace(a)``, the relative nuclear error, with a tolerance.
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
class Nystrom(MatrixMethod):
    """Approximates a positive semidefinite matrix from one product with a test matrix.

    Parameters
    ----------
    rank : int
        Target rank, positive.
    oversampling : int
        Further columns of the test matrix, dropped again by the truncation; never more than n in all.
    sketch : Sketch
        Distribution of the test matrix.
    rtol : float, optional
        Tolerance ``trace(a - u diag(eigenvalues) u^T) <= rtol trace(a)``; every matrix of a stack then gets the
        smallest rank that its sketch allows, ``rank`` at most. One that would need more keeps ``rank`` pairs, is not
        ``converged``, and causes a ``ToleranceWarning``. Needs the trace: an array, entries on demand, or a factored or
        sparse matrix.

    Notes
    -----
    2 n^2 (rank + oversampling) flops in products with the matrix and O(n (rank + oversampling)^2). Tropp, Yurtsever,
    Udell & Cevher 2017, Algorithm 3: the matrix is shifted by a rounding error's worth and the shift taken off the
    eigenvalues again. That a matrix is symmetric and not indefinite is checked as far as the test matrix sees it. The
    approximation never exceeds the matrix, so their traces differ by the nuclear error: a tolerance adds no product,
    and saves none.
    """

    domain: ClassVar = "semidefinite"
    residual_norm: ClassVar = "trace"

    rank: int = rank_budget(16)
    oversampling: int = 10
    sketch: Sketch = field(default_factory=Gaussian)
    rtol: float | None = None

    def __post_init__(self) -> None:
        require_optional_tolerance(self.rtol)
        require_count(self.rank, "rank", least=1)
        require_count(self.oversampling, "oversampling", least=0)
        if not isinstance(self.sketch, Sketch):
            raise TypeError(f"sketch is {self.sketch!r}; a Sketch such as Gaussian() is needed")

    @property
    def size(self) -> int:
        """Number of columns of the test matrix, rank plus oversampling."""
        return self.rank + self.oversampling

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> NystromResult:
        require_symmetric(a)
        require_rank(self.rank, a.shape)
        whole = self._whole(a)
        n = a.shape[-1]
        xp = array_namespace(a.like)
        draw = self.sketch.draw(n, min(self.size, n), rng=rng, like=a.like)
        omega = orthonormalise(draw.dense_view())  # (n, l); the result depends on its range only
        y = a @ omega
        unit = largest_entry(y)  # squares neither overflow nor vanish
        norm = unit * frobenius_norm(y / unit)[..., None, None]
        # a zero matrix has no scale of its own: any shift will do, its eigenvalues are set to zero below
        accuracy = a.entry_accuracy() + xp.zeros_like(norm[..., 0, 0])
        shift = n**0.5 * (eps(a.like) + accuracy)[..., None, None] * xp.where(norm > 0, norm, xp.ones_like(norm))
        shifted = y + shift * omega
        core = require_symmetric_within(omega, shifted, accuracy=accuracy)  # (..., l, l)
        try:
            factor = cholesky((core + core.mT) / 2)
        except ValueError as error:
            raise ValueError(
                f"a {tuple(a.shape)} is not positive semidefinite: a compression of it has a negative eigenvalue; "
                f"use RandomizedSVD for indefinite matrices"
            ) from error
        tall = solve_triangular(factor, shifted.mT, lower=True).mT  # (..., n, l), tall tall^T is the approximation
        u, s, _ = small_svd(tall)
        eigenvalues = xp.maximum(s * s - shift[..., 0], xp.zeros_like(s))
        eigenvalues = xp.where(norm[..., 0] > 0, eigenvalues, xp.zeros_like(s))
        u, eigenvalues = u[..., : self.rank], eigenvalues[..., : self.rank]
        if self.rtol is None or whole is None:
            return NystromResult(u, eigenvalues)
        return _smallest(u, eigenvalues, whole, self.rtol)

    def _whole(self, a: StructuredMatrix) -> Array | None:
        """Return the traces that a tolerance is relative to, or None without one."""
        if self.rtol is None:
            return None
        require_above_rounding(self.rtol, a.like)
        if not a.explicit_trace:
            raise ValueError(
                f"rtol {self.rtol:g} needs the trace, which a {type(a).__name__} does not give; pass an array, entries "
                f"on demand, or a factored or sparse matrix, or leave rtol out"
            )
        return a.trace()


def _smallest(u: Array, eigenvalues: Array, whole: Array, rtol: float) -> NystromResult:
    """Return the fewest leading pairs within a tolerance for matrices of the given traces (...)."""
    xp = array_namespace(u)
    wide = xp.astype(eigenvalues, accumulator_dtype(eigenvalues), copy=False)
    captured = xp.cumulative_sum(wide, axis=-1, include_initial=True)
    left = xp.maximum(whole[..., None] - captured, xp.zeros_like(captured))
    left = left / xp.where(whole > 0, whole, xp.ones_like(whole))[..., None]
    ranks, residual, kept = kept_ranks(xp.astype(left, u.dtype, copy=False), rtol)
    converged, keep, largest = within(residual, rtol), xp.astype(kept, u.dtype), kept.shape[-1]
    warn_of_missed(converged, residual, rtol, f"rank {eigenvalues.shape[-1]}")
    return NystromResult(
        u[..., :largest] * keep[..., None, :], eigenvalues[..., :largest] * keep, ranks, residual, converged
    )
