"""Randomized Nyström approximation of positive semidefinite matrices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from tnattn.arrays import Array, Rng, accumulator_dtype, array_namespace, eps
from tnattn.linalg import cholesky, frobenius_norm, largest_entry, orthonormalise, small_svd, solve_triangular
from tnattn.randnla.accuracy import RankOrTolerance, TrimmedFactors, leading_terms, require_above_rounding, require_rank
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.sketches import Gaussian, Sketch, require_sketch
from tnattn.randnla.symmetry import require_symmetric, require_symmetric_within
from tnattn.scalars import require_count
from tnattn.structured.base import StructuredMatrix


@dataclass(frozen=True, eq=False, repr=False)
class NystromResult(TrimmedFactors):
    """Positive semidefinite matrices ``u diag(eigenvalues) u^T``.

    Parameters
    ----------
    u : Array, (..., n, rank)
        Columns orthonormal.
    eigenvalues : Array, (..., rank)
        Descending, non-negative.
    ranks, residual, converged
        See ``Accuracy``; with a tolerance, the residual in the nuclear norm.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import Nystrom
    >>> result = Nystrom(rank=2)(np.diag([1.0, 3.0, 0.5, 2.0]), rng=np.random.default_rng(0))
    >>> print(np.round(result.eigenvalues, 3), result.u.shape)
    [3. 2.] (4, 2)
    """

    degrees: ClassVar[Mapping[str, float]] = {"eigenvalues": 1.0}

    u: Array
    eigenvalues: Array

    def factors(self) -> tuple[Array, Array]:
        return self.u, self.eigenvalues[..., None] * self.u.mT


@dataclass(frozen=True)
class Nystrom(MatrixMethod, RankOrTolerance):
    """Nyström approximation ``A Omega (Omega^T A Omega)^+ (A Omega)^T`` of a positive semidefinite matrix.

    Parameters
    ----------
    rank, rtol
        See ``RankOrTolerance``: a tolerance ``trace(a - u diag(eigenvalues) u^T) <= rtol trace(a)``, which needs the
        trace: an array, ``KernelEntries``, or a factored or sparse matrix.
    oversampling : int
        Further columns of the test matrix, dropped again by the truncation; never more than n in all.
    sketch : Sketch
        Distribution of the test matrix.

    Notes
    -----
    2 n^2 (rank + oversampling) flops in products with the matrix and O(n (rank + oversampling)^2). Tropp, Yurtsever,
    Udell & Cevher 2017, Algorithm 3: the matrix is shifted by a multiple of its rounding error, and the shift is
    subtracted from the eigenvalues. Symmetry and semidefiniteness are checked within the range of the test matrix. The
    approximation is at most the matrix in the semidefinite order, so the difference of the traces is the error in the
    nuclear norm: a tolerance neither adds nor saves products.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import Nystrom
    >>> from tnattn.gallery import exponential_spectrum, psd_with_spectrum
    >>> rng = np.random.default_rng(0)
    >>> a = psd_with_spectrum(exponential_spectrum(50), rng)
    >>> result = Nystrom(rank=8)(a, rng=rng)
    >>> best = np.linalg.norm(exponential_spectrum(50)[8:])
    >>> print(np.round(result.eigenvalues[:3], 3), np.linalg.norm(a - result.to_dense()) < 1.1 * best)
    [1.    0.607 0.368] True
    """

    domain: ClassVar = "semidefinite"
    residual_norm: ClassVar = "trace"

    rank: int = rank_budget(16)
    oversampling: int = 10
    sketch: Sketch = field(default_factory=Gaussian)
    rtol: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(self.oversampling, "oversampling", least=0)
        require_sketch(self.sketch)

    @property
    def size(self) -> int:
        """Number of columns of the test matrix, rank plus oversampling."""
        return self.rank + self.oversampling

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> NystromResult:
        require_symmetric(a)
        require_rank(self.rank, a.shape)
        trace = self._trace(a)
        n = a.shape[-1]
        xp = array_namespace(a.like)
        draw = self.sketch.draw(n, min(self.size, n), rng=rng, like=a.like)
        omega = orthonormalise(draw.dense_view())  # (n, l); the result depends on its range only
        y = a @ omega
        unit = largest_entry(y)  # squares neither overflow nor vanish
        # the shift sqrt(n) eps ||Y|| of the source keeps Omega^T (A + shift I) Omega positive definite
        norm = unit * frobenius_norm(y / unit)[..., None, None]
        # a zero matrix has no scale: its shift is arbitrary, and its eigenvalues are set to zero below
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
        # subtract the shift again; rounding may leave a negative number
        eigenvalues = xp.maximum(s * s - shift[..., 0], xp.zeros_like(s))
        eigenvalues = xp.where(norm[..., 0] > 0, eigenvalues, xp.zeros_like(s))
        u, eigenvalues = u[..., : self.rank], eigenvalues[..., : self.rank]
        if self.rtol is None or trace is None:
            return NystromResult(u, eigenvalues)
        return _smallest(u, eigenvalues, trace, self.rtol)

    def _trace(self, a: StructuredMatrix) -> Array | None:
        """Return the traces to which a tolerance is relative, or None without a tolerance."""
        if self.rtol is None:
            return None
        require_above_rounding(self.rtol, a.like)
        if not a.explicit_trace:
            raise ValueError(
                f"rtol {self.rtol:g} needs the trace, which a {type(a).__name__} does not give; pass an array, "
                f"KernelEntries, or a factored or sparse matrix, or leave rtol out"
            )
        return a.trace()


def _smallest(u: Array, eigenvalues: Array, trace: Array, rtol: float) -> NystromResult:
    """Return the fewest leading pairs within a tolerance for matrices of the given traces (...)."""
    xp = array_namespace(u)
    wide = xp.astype(eigenvalues, accumulator_dtype(eigenvalues), copy=False)
    captured = xp.cumulative_sum(wide, axis=-1, include_initial=True)
    residual = xp.maximum(trace[..., None] - captured, xp.zeros_like(captured))
    errors = residual / xp.where(trace > 0, trace, xp.ones_like(trace))[..., None]
    terms = leading_terms(xp.astype(errors, u.dtype, copy=False), rtol, like=u)
    accuracy = terms.accuracy(rtol, f"rank {eigenvalues.shape[-1]}")
    return NystromResult(terms.columns(u), terms.values(eigenvalues), **accuracy)
