"""The generalized Nyström approximation: two sketches of a matrix, each taken once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from tnattn.arrays import Array, Rng, array_namespace, device
from tnattn.linalg import orthonormalise, pseudo_inverse_apply, small_svd
from tnattn.randnla.arguments import require_count, require_rank
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.low_rank.truncation_errors import truncation_errors
from tnattn.randnla.nested_errors import kept_ranks, stored
from tnattn.randnla.sketches.base import Sketch
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.randnla.tolerance import require_optional_tolerance, warn_of_missed, within
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.low_rank import LowRankMatrix


@dataclass(frozen=True, eq=False, repr=False)
class GeneralizedNystromResult(LowRankMatrix):
    """Leading singular triples of generalized Nyström approximations.

    Parameters
    ----------
    u : Array, (..., m, size)
        Orthonormal basis of the range sketch, in the order of the singular values.
    s : Array, (..., size)
        Singular values of the approximation before truncation, descending.
    vt : Array, (..., size, n)
        Rows orthonormal.
    kept : int
        The triples that the matrix is made of; the most of them that a matrix of the stack has, with a tolerance.
    ranks : Array, (...), integer, optional
        Where a tolerance chose them: triples that every matrix is made of.
    residual : Array, (...), optional
        Realised relative error in the Frobenius norm, with a tolerance.
    converged : Array, (...), boolean, optional
        Whether the residual is within the tolerance.
    """

    degrees: ClassVar[Mapping[str, float]] = {"s": 1.0}

    u: Array
    s: Array
    vt: Array
    kept: int
    ranks: Array | None = None
    residual: Array | None = None
    converged: Array | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.kept <= self.s.shape[-1]:
            raise ValueError(f"kept is {self.kept}; 1 <= kept <= {self.s.shape[-1]}, the number of triples, is needed")

    @property
    def storage(self) -> int:
        return super().storage if self.ranks is None else stored(self.ranks, self.shape)

    def factors(self) -> tuple[Array, Array]:
        s = self.s[..., : self.kept]
        if self.ranks is not None:
            xp = array_namespace(s)
            s = s * xp.astype(xp.arange(self.kept, device=device(s)) < self.ranks[..., None], s.dtype)
        return self.u[..., : self.kept], s[..., None] * self.vt[..., : self.kept, :]

    @property
    def untruncated(self) -> GeneralizedNystromResult:
        """The approximation before truncation."""
        return GeneralizedNystromResult(self.u, self.s, self.vt, int(self.s.shape[-1]))


@dataclass(frozen=True)
class GeneralizedNystrom(MatrixMethod):
    """Approximates A by ``A Omega (Psi A Omega)^+ Psi A``, from one product with A and one with its transpose.

    Parameters
    ----------
    rank : int
        Target rank, positive.
    oversampling : int
        Further columns of the range sketch ``A Omega``, dropped again by the truncation.
    excess : int or None
        Rows of the corange sketch ``Psi A`` beyond those columns; half as many if None. With none at all the error is
        unbounded in expectation.
    sketch : Sketch
        Distribution of both test matrices.
    rtol : float, optional
        Tolerance ``||a - b||_F <= rtol ||a||_F`` for the approximation b; every matrix of a stack then gets the
        smallest rank that meets it, ``rank`` at most. One that no rank brings there keeps ``rank`` triples, is not
        ``converged``, and causes a ``ToleranceWarning``.

    Notes
    -----
    2 m n (2 (rank + oversampling) + excess) flops in products with the matrix, independent of each other, and O((m + n)
    (rank + oversampling + excess)^2). Nakatsukasa 2020; Tropp, Yurtsever, Udell & Cevher 2017, Algorithm 4: an
    orthonormal basis of the range and a truncated singular value decomposition of ``Psi Q`` make it stable. The
    sketches do not tell the error, so a tolerance takes one more product with the matrix, 2 m n (rank + oversampling)
    flops, and another pass over it; for implicit matrices of more than a million entries it must be above ``2
    sqrt(eps)``. The error need not decrease with the rank.
    """

    rank: int = rank_budget(16)
    oversampling: int = 10
    excess: int | None = None
    sketch: Sketch = field(default_factory=Gaussian)
    rtol: float | None = None

    def __post_init__(self) -> None:
        require_optional_tolerance(self.rtol)
        require_count(self.rank, "rank", least=1)
        require_count(self.oversampling, "oversampling", least=0)
        if self.excess is not None:
            require_count(self.excess, "excess", least=0)
        if not isinstance(self.sketch, Sketch):
            raise TypeError(f"sketch is {self.sketch!r}; a Sketch such as Gaussian() is needed")

    @property
    def size(self) -> int:
        """Number of columns of the range sketch."""
        return self.rank + self.oversampling

    @property
    def corange_size(self) -> int:
        """Number of rows of the corange sketch."""
        return self.size + (-(-self.size // 2) if self.excess is None else self.excess)

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> GeneralizedNystromResult:
        require_rank(self.rank, a.shape)
        m, n = a.shape[-2:]
        size = min(self.size, m, n)
        omega = self.sketch.draw(n, size, rng=rng, like=a.like)
        psi = self.sketch.draw(m, min(self.corange_size, m), rng=rng, like=a.like)  # Psi^T, (m, s)
        q = orthonormalise(a.sketch(omega))
        b = pseudo_inverse_apply(psi.mT @ q, a.sketch_rows(psi))  # (..., size, n)
        xp = array_namespace(b)
        v, s, wt = small_svd(xp.matrix_transpose(b))
        u, vt = q @ xp.matrix_transpose(wt), xp.matrix_transpose(v)
        if self.rtol is None:
            return GeneralizedNystromResult(u, s, vt, min(self.rank, size))
        errors = truncation_errors(a, u * s[..., None, :], vt, rtol=self.rtol)
        ranks, residual, kept = kept_ranks(errors[..., : self.rank + 1], self.rtol)
        converged = within(residual, self.rtol)
        warn_of_missed(converged, residual, self.rtol, f"rank {self.rank}")
        return GeneralizedNystromResult(u, s, vt, int(kept.shape[-1]), ranks, residual, converged)
