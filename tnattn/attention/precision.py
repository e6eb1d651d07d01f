"""Half precision: problems are widened to float32 once, and results cast back once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tnattn.arrays import Array, array_namespace, is_half, widened
from tnattn.attention.problem import AttentionProblem
from tnattn.structured import StructuredMatrix


def widened_problem(problem: AttentionProblem) -> AttentionProblem:
    """Return a problem in float32 for one in half precision, and any other as it is.

    Halves are exact in float32, so that the problem is the same one. Masks follow the dtype of the scores.
    """
    if not is_half(problem.q):
        return problem
    return replace(problem, q=widened(problem.q), k=widened(problem.k), v=widened(problem.v), check_finite=False)


@dataclass(frozen=True, eq=False, repr=False)
class InDtype(StructuredMatrix):
    """A matrix whose products are formed in its own dtype and returned in another.

    Parameters
    ----------
    matrix : StructuredMatrix
    result : dtype
        Of the library of the matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, Exact
    >>> q, k, v = np.ones((3, 1, 4, 2), dtype=np.float16)
    >>> weights = Exact()(AttentionProblem(q, k, v)).weights
    >>> type(weights).__name__, weights.dtype.name, weights.matrix.dtype.name
    ('InDtype', 'float16', 'float32')
    """

    matrix: StructuredMatrix
    result: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return self.matrix.shape

    @property
    def like(self) -> Array:
        return self._cast(self.matrix.like)

    @property
    def dtype(self) -> Any:
        return self.result

    @property
    def storage(self) -> int:
        return self.matrix.storage

    # the inner product is formed in the wide dtype, so that no sum is taken in half precision

    def _matmul(self, x: Array) -> Array:
        return self._cast(self.matrix @ self._own(x))

    def _rmatmul(self, y: Array) -> Array:
        return self._cast(self.matrix.mT @ self._own(y))

    def to_dense(self) -> Array:
        return self._cast(self.matrix.to_dense())

    def matmul_flops(self, columns: int) -> int:
        return self.matrix.matmul_flops(columns)

    def _own(self, x: Array) -> Array:
        return array_namespace(x).astype(x, self.matrix.dtype, copy=False)

    def _cast(self, x: Array) -> Array:
        return array_namespace(x).astype(x, self.result, copy=False)
