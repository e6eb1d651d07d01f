"""The QB factorisation: a matrix projected onto the range that a range finder found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from tnattn.arrays import Array, Rng
from tnattn.randnla.base import MatrixMethod
from tnattn.randnla.low_rank.range_finder import RangeFinder
from tnattn.randnla.sketches.base import adapted_to
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.low_rank import LowRankMatrix
from tnattn.structured.matrix_by_matrix import matrix_by_matrix


@dataclass(frozen=True, eq=False, repr=False)
class QBResult(LowRankMatrix):
    """The projection ``q b`` of a stack of matrices.

    Parameters
    ----------
    q : Array, (..., m, size)
        Columns orthonormal.
    b : Array, (..., size, n)
        ``q^T a``.
    omega : StructuredMatrix, (n, size), optional
        The test matrix that was drawn.
    """

    degrees: ClassVar[Mapping[str, float]] = {"b": 1.0}

    q: Array
    b: Array
    omega: StructuredMatrix | None = None

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
    Of the rank that is given; ``AdaptiveQB`` finds the rank that a tolerance takes. One product with the transpose
    beyond those of the range finder. Halko, Martinsson & Tropp 2011, Section 1.2.
    """

    range_finder: RangeFinder = field(default_factory=RangeFinder)

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> QBResult:
        omega = self.range_finder.test_matrix(a, rng=rng)
        q, b = matrix_by_matrix(lambda one: self._one(one, omega), a)
        return QBResult(q, b, adapted_to(omega, a))

    def _one(self, a: StructuredMatrix, omega: StructuredMatrix) -> tuple[Array, Array]:
        q = self.range_finder.continued(a, omega)
        return q, (a.mT @ q).mT
