"""The QB factorisation: a matrix projected onto the range that a range finder found."""

from __future__ import annotations

from dataclasses import dataclass, field

from tnattn.arrays import Array, Rng
from tnattn.randnla.base import MatrixMethod
from tnattn.randnla.range_finder import RangeFinder
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.low_rank import Factored


@dataclass(frozen=True, eq=False, repr=False)
class QBResult(Factored):
    """The projection ``q b`` of a stack of matrices.

    Parameters
    ----------
    q : Array, (..., m, size)
        Columns orthonormal.
    b : Array, (..., size, n)
        ``q^T a``.
    """

    q: Array
    b: Array

    def factors(self) -> tuple[Array, Array]:
        return self.q, self.b


@dataclass(frozen=True)
class QB(MatrixMethod):
    """Projects a matrix onto the range found by a range finder, ``a ~ q (q^T a)``.

    Parameters
    ----------
    range_finder : RangeFinder

    Notes
    -----
    One product with the transpose beyond those of the range finder. Halko, Martinsson & Tropp 2011, Section 1.2.
    """

    range_finder: RangeFinder = field(default_factory=RangeFinder)

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> QBResult:
        q = self.range_finder.basis(a, rng=rng)
        return QBResult(q, (a.mT @ q).mT)
