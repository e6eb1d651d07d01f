"""The generalized Nyström approximation: two sketches of a matrix, each taken once."""

from __future__ import annotations

from dataclasses import dataclass, field

from tnattn.arrays import Array, Rng, array_namespace
from tnattn.linalg import orthonormalise, pseudo_inverse_apply, small_svd
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.gaussian import Gaussian
from tnattn.randnla.operand import require_count, require_rank
from tnattn.randnla.sketch import Sketch, sketched, sketched_rows
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.low_rank import Factored


@dataclass(frozen=True, eq=False, repr=False)
class GeneralizedNystromResult(Factored):
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
        The triples that the matrix is made of.
    """

    u: Array
    s: Array
    vt: Array
    kept: int

    def __post_init__(self) -> None:
        if not 1 <= self.kept <= self.s.shape[-1]:
            raise ValueError(f"kept is {self.kept}; 1 <= kept <= {self.s.shape[-1]}, the number of triples, is needed")

    def factors(self) -> tuple[Array, Array]:
        return self.u[..., : self.kept], self.s[..., : self.kept, None] * self.vt[..., : self.kept, :]

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

    Notes
    -----
    2 m n (2 (rank + oversampling) + excess) flops in products with the matrix, independent of each other, and O((m + n)
    (rank + oversampling + excess)^2). Nakatsukasa 2020; Tropp, Yurtsever, Udell & Cevher 2017, Algorithm 4: an
    orthonormal basis of the range and a truncated singular value decomposition of ``Psi Q`` make it stable.
    """

    rank: int = rank_budget(16)
    oversampling: int = 10
    excess: int | None = None
    sketch: Sketch = field(default_factory=Gaussian)

    def __post_init__(self) -> None:
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
        q = orthonormalise(sketched(a, omega))
        b = pseudo_inverse_apply(psi.mT @ q, sketched_rows(a, psi))  # (..., size, n)
        xp = array_namespace(b)
        v, s, wt = small_svd(xp.matrix_transpose(b))
        return GeneralizedNystromResult(q @ xp.matrix_transpose(wt), s, xp.matrix_transpose(v), min(self.rank, size))
