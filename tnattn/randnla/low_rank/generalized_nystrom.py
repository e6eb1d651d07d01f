"""The generalized Nyström approximation: two sketches of a matrix, each taken once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from tnattn.arrays import Array, Rng, array_namespace, device
from tnattn.linalg import orthonormalise, pseudo_inverse_apply, small_svd
from tnattn.randnla.accuracy import RankOrTolerance, TrimmedFactors, leading_terms, require_rank
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.low_rank.truncation_errors import truncation_errors
from tnattn.randnla.sketches import Gaussian, Sketch, require_sketch
from tnattn.scalars import require_count
from tnattn.structured.base import StructuredMatrix


@dataclass(frozen=True, eq=False, repr=False)
class GeneralizedNystromResult(TrimmedFactors):
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
    ranks, residual, converged
        See ``Accuracy``; with a tolerance.
    """

    degrees: ClassVar[Mapping[str, float]] = {"s": 1.0}

    u: Array
    s: Array
    vt: Array
    kept: int

    def __post_init__(self) -> None:
        if not 1 <= self.kept <= self.s.shape[-1]:
            raise ValueError(f"kept is {self.kept}; 1 <= kept <= {self.s.shape[-1]}, the number of triples, is needed")

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
class GeneralizedNystrom(MatrixMethod, RankOrTolerance):
    """Approximates A by ``A Omega (Psi A Omega)^+ Psi A``, from one product with A and one with its transpose.

    Parameters
    ----------
    rank, rtol
        See ``RankOrTolerance``.
    oversampling : int
        Further columns of the range sketch ``A Omega``, dropped again by the truncation.
    excess : int or None
        Rows of the corange sketch ``Psi A`` beyond those columns; half as many if None. With none at all the error is
        unbounded in expectation.
    sketch : Sketch
        Distribution of both test matrices.

    Notes
    -----
    2 m n (2 (rank + oversampling) + excess) flops in products with the matrix, independent of each other, and O((m + n)
    (rank + oversampling + excess)^2). Nakatsukasa 2020; Tropp, Yurtsever, Udell & Cevher 2017, Algorithm 4: an
    orthonormal basis of the range and a truncated singular value decomposition of ``Psi Q`` make it stable. The
    sketches do not determine the error, so a tolerance takes one more product with the matrix, 2 m n (rank +
    oversampling) flops, and another pass over it; for implicit matrices of more than a million entries it must be above
    ``2 sqrt(eps)``. The error need not decrease with the rank.
    """

    rank: int = rank_budget(16)
    oversampling: int = 10
    excess: int | None = None
    sketch: Sketch = field(default_factory=Gaussian)
    rtol: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(self.oversampling, "oversampling", least=0)
        if self.excess is not None:
            require_count(self.excess, "excess", least=0)
        require_sketch(self.sketch)

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
        terms = leading_terms(errors, self.rtol, like=s, most=self.rank)
        return GeneralizedNystromResult(u, s, vt, terms.size, **terms.accuracy(self.rtol, f"rank {self.rank}"))
