"""QB factorisation: the projection of a matrix onto a randomized range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tnattn.arrays import Array, Rng
from tnattn.device_budget import DeviceBudget, DeviceCounts
from tnattn.randnla.base import MatrixMethod
from tnattn.randnla.low_rank.range_finder import RangeFinder
from tnattn.randnla.sketches.base import adapted_to
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.low_rank import LowRankMatrix
from tnattn.structured.matrix_by_matrix import matrix_by_matrix


@dataclass(frozen=True, eq=False, repr=False)
class QBResult(LowRankMatrix):
    """Projections ``q b`` of a stack of matrices.

    Parameters
    ----------
    q : Array, (..., m, size)
        Columns orthonormal.
    b : Array, (..., size, n)
        ``q^T a``.
    omega : StructuredMatrix, (n, size), optional
        The sampled test matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import QB, RangeFinder
    >>> rng = np.random.default_rng(0)
    >>> a = np.diag(1.0 / np.arange(1.0, 21.0))
    >>> result = QB(RangeFinder(rank=3, oversampling=2))(a, rng=rng)
    >>> print(result.q.shape, result.b.shape, np.allclose(result.b, result.q.T @ a))
    (20, 5) (5, 20) True
    """

    degrees: ClassVar[Mapping[str, float]] = {"b": 1.0}

    q: Array
    b: Array
    omega: StructuredMatrix | None = None

    def factors(self) -> tuple[Array, Array]:
        return self.q, self.b


@dataclass(frozen=True)
class QB(MatrixMethod):
    """Projection ``q (q^T a)`` of a matrix onto the range computed by a range finder.

    Parameters
    ----------
    range_finder : RangeFinder

    Notes
    -----
    Of a given rank; ``AdaptiveQB`` chooses the rank by a tolerance. One product with the transpose
    beyond those of the range finder. Halko, Martinsson & Tropp 2011, Section 1.2.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import QB, RangeFinder
    >>> from tnattn.gallery import exponential_spectrum, matrix_with_spectrum
    >>> rng = np.random.default_rng(0)
    >>> a = matrix_with_spectrum(exponential_spectrum(50), (80, 50), rng)
    >>> result = QB(RangeFinder(rank=8, oversampling=4))(a, rng=rng)
    >>> print(result.q.shape, round(float(np.linalg.norm(a - result.to_dense())), 4))
    (80, 12) 0.0031
    """

    device_budget: ClassVar = DeviceBudget(
        DeviceCounts(120, waits=7, copies=3), {"power iteration": DeviceCounts(70, waits=4, copies=1)}
    )

    range_finder: RangeFinder = field(default_factory=RangeFinder)

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        return {"power iteration": self.range_finder.power_iterations}

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> QBResult:
        omega = self.range_finder.test_matrix(a, rng=rng)
        q, b = matrix_by_matrix(lambda one: self._one(one, omega), a)
        # theorems are evaluated for the test matrix that was multiplied, rows of the matrix included
        return QBResult(q, b, adapted_to(omega, a))

    def _one(self, a: StructuredMatrix, omega: StructuredMatrix) -> tuple[Array, Array]:
        q = self.range_finder.continued(a, omega)
        return q, (a.mT @ q).mT  # q^T a, from the product with the transpose that every operator has
