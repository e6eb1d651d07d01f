"""Generalized Nyström approximation from two independent sketches of a matrix."""

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
        Number of leading triples of which the approximation consists; with a tolerance, the largest of the stack.
    ranks, residual, converged
        See ``Accuracy``; with a tolerance.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import GeneralizedNystrom
    >>> a = np.diag(0.5 ** np.arange(30.0))
    >>> result = GeneralizedNystrom(rank=4, oversampling=6)(a, rng=np.random.default_rng(0))
    >>> print(result.kept, result.s.shape, np.round(result.s[:4], 3))
    4 (10,) [1.    0.5   0.25  0.125]
    >>> print(result.rank, result.untruncated.rank)
    4 10
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
    """Approximation ``A Omega (Psi A Omega)^+ Psi A``, from one product with A and one with its transpose.

    Parameters
    ----------
    rank, rtol
        See ``RankOrTolerance``.
    oversampling : int
        Further columns of the range sketch ``A Omega``, dropped again by the truncation.
    excess : int or None
        Rows of the corange sketch ``Psi A`` beyond those columns; half as many if None. For zero the expected error is
        infinite.
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

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import GeneralizedNystrom
    >>> from tnattn.gallery import exponential_spectrum, matrix_with_spectrum
    >>> rng = np.random.default_rng(0)
    >>> a = matrix_with_spectrum(exponential_spectrum(50), (80, 50), rng)
    >>> result = GeneralizedNystrom(rank=8)(a, rng=rng)
    >>> print(round(float(np.linalg.norm(a - result.to_dense())), 2))
    0.02
    >>> print(round(float(np.linalg.norm(exponential_spectrum(50)[8:])), 2))
    0.02
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
        # (Psi Q)^+ Psi A instead of (Psi A Omega)^+: Psi Q is as well conditioned as the sketch allows
        b = pseudo_inverse_apply(psi.mT @ q, a.sketch_rows(psi))  # (..., size, n)
        xp = array_namespace(b)
        v, s, wt = small_svd(xp.matrix_transpose(b))  # transposed, tall: b = w s v^T
        u, vt = q @ xp.matrix_transpose(wt), xp.matrix_transpose(v)
        if self.rtol is None:
            return GeneralizedNystromResult(u, s, vt, min(self.rank, size))
        errors = truncation_errors(a, u * s[..., None, :], vt, rtol=self.rtol)
        terms = leading_terms(errors, self.rtol, like=s, most=self.rank)
        return GeneralizedNystromResult(u, s, vt, terms.size, **terms.accuracy(self.rtol, f"rank {self.rank}"))
