"""The nearest sum of Kronecker products, by the SVD of a rearranged matrix."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Array, Rng, array_namespace
from tnattn.decomposition.subspace import leading_subspace
from tnattn.decomposition.tensor_units import energy, norm
from tnattn.randnla.accuracy import Accuracy, judged, require_above_rounding, require_optional_tolerance
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.scalars import require_count
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.kronecker import KroneckerSum


@dataclass(frozen=True, eq=False, repr=False)
class NearestKroneckerSum(Accuracy, KroneckerSum):
    """The sum of Kronecker products that is nearest to a matrix in the Frobenius norm.

    Parameters
    ----------
    left, right
        See ``KroneckerSum``.
    error_certificate : Array, (...)
        Frobenius error, exact: that of the truncated SVD of the rearranged matrix.
    ranks, residual, converged
        See ``Accuracy``; ranks count the terms.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition import NearestKronecker
    >>> matrix = np.kron(np.eye(3), np.ones((4, 4))) + np.kron(np.ones((3, 3)), np.eye(4))
    >>> result = NearestKronecker(terms=1, rows=3, columns=3)(matrix)
    >>> error = np.linalg.norm(matrix - result.to_dense())
    >>> round(float(error), 2), round(float(result.error_certificate), 2)
    (2.95, 2.95)
    """

    degrees: ClassVar[Mapping[str, float]] = {"right": 1.0, "error_certificate": 1.0}

    error_certificate: Array


@dataclass(frozen=True)
class NearestKronecker(MatrixMethod):
    """Approximate a matrix by a sum of few Kronecker products, the best one in the Frobenius norm.

    Parameters
    ----------
    terms : int
        At most; no more are used than the rearranged matrix has rows or columns.
    rtol : float, optional
        Fewer terms are used where they leave a relative error of at most this; a
        ``ToleranceWarning`` reports that ``terms`` do not suffice.
    rows, columns : int, optional
        Sizes of the left factors, divisors of those of the matrix; by default the ones nearest to the square root.

    Notes
    -----
    O(m n min(m_1 n_1, m_2 n_2)); the matrix is formed. Van Loan & Pitsianis 1993: the entries rearranged so that each
    Kronecker product becomes one of rank one, whose best approximation is the truncated singular value decomposition.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition import NearestKronecker
    >>> matrix = np.kron(np.eye(3), np.ones((4, 4))) + np.kron(np.ones((3, 3)), np.eye(4))
    >>> result = NearestKronecker(terms=2, rows=3, columns=3)(matrix)
    >>> result.storage, bool(result.residual < 1e-12)
    (50, True)
    """

    forms_matrix: ClassVar = True
    rank_is_limit: ClassVar = True

    terms: int = rank_budget(4)
    rtol: float | None = None
    rows: int | None = None
    columns: int | None = None

    def __post_init__(self) -> None:
        require_count(self.terms, "terms", least=1)
        for name in ("rows", "columns"):
            value = getattr(self, name)
            if value is not None:
                require_count(value, name, least=1)
        require_optional_tolerance(self.rtol)

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> NearestKroneckerSum:
        dense = a.to_dense()
        xp = array_namespace(dense)
        require_above_rounding(self.rtol or 0.0, dense)
        m, n = (int(size) for size in dense.shape[-2:])
        m1, n1 = _divisor(self.rows, m, "rows"), _divisor(self.columns, n, "columns")
        table = rearranged(dense, m1, n1)  # the Frobenius norm is kept, so that Eckart and Young applies
        step = None if self.rtol is None else leading_subspace(table, energy=self.rtol**2 * energy(table, order=2))
        if step is None or step.basis.shape[-1] > self.terms:  # ``terms`` is an upper bound, tolerance or not
            step = leading_subspace(table, rank=min(self.terms, *table.shape[-2:]))
        others = xp.matmul(xp.matrix_transpose(step.basis), table)  # (..., r, m_2 n_2)
        batch, terms = tuple(dense.shape[:-2]), step.basis.shape[-1]
        error = xp.sqrt(step.discarded)
        residual, converged = judged(error, norm(table, order=2), self.rtol or 0.0, f"{terms} terms")
        return NearestKroneckerSum(
            xp.reshape(step.basis.mT, (*batch, terms, m1, n1)),
            xp.reshape(others, (*batch, terms, m // m1, n // n1)),
            error,
            ranks=step.ranks,
            residual=residual,
            converged=converged,
        )


def rearranged(a: Array, rows: int, columns: int) -> Array:
    """Return the matrix (..., m_1 n_1, m_2 n_2) in which A (x) B becomes the product of their entries as vectors."""
    xp = array_namespace(a)
    *batch, m, n = a.shape
    blocks = xp.reshape(a, (*batch, rows, m // rows, columns, n // columns))  # (..., i_1, i_2, j_1, j_2)
    axes = (*range(len(batch)), *(len(batch) + j for j in (0, 2, 1, 3)))  # (i_1, j_1) against (i_2, j_2)
    return xp.reshape(xp.permute_dims(blocks, axes), (*batch, rows * columns, -1))


def _divisor(wanted: int | None, size: int, name: str) -> int:
    """Return the size of the left factors: the one wanted, or the divisor nearest to the square root, in logarithms."""
    if wanted is None:  # factors of similar size store the fewest numbers
        divisors = [j for j in range(1, size + 1) if size % j == 0]
        return min(divisors, key=lambda j: abs(math.log(j) - math.log(size) / 2))
    if size % wanted:
        raise ValueError(f"{name} is {wanted}, which does not divide {size}; choose a divisor, or pad the matrix")
    return wanted
