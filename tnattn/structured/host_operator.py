"""SciPy's sparse matrices and linear operators as structured matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import scipy.sparse as sparse

from tnattn.arrays import Array, array_namespace, check_finite
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.unit_vectors import sum_of_squares

_csr: Any = sparse.csr_array  # the type stubs cannot name a dtype that is known at run time only


def canonical_csr(a: Any) -> Any:
    """Return a SciPy sparse matrix as CSR whose rows hold every column once, in order.

    Parameters
    ----------
    a : scipy.sparse matrix or array of any format, (m, n)
        Not changed; its arrays are shared where it is canonical CSR already.

    Raises
    ------
    ValueError
        If ``a`` has not two axes, or stores an index that is out of range.

    Notes
    -----
    Formats store duplicates, which stand for their sum: a norm of the stored numbers is then no norm of the matrix.
    The flags of ``a`` are not trusted, since its arrays may have been changed since they were set.
    """
    if len(a.shape) != 2:
        raise ValueError(f"a sparse array has shape {tuple(a.shape)}; two axes (m, n) are needed")
    # conversions read indices unchecked; the checks are made on a view, since they drop unused memory of their matrix
    if hasattr(a, "check_format"):
        type(a)(a).check_format(full_check=True)
    matrix = _csr(a)
    if matrix is a or not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    return matrix


@dataclass(frozen=True, eq=False, repr=False)
class HostOperator(StructuredMatrix):
    """A single SciPy sparse matrix or linear operator, on the host.

    Parameters
    ----------
    operator : scipy.sparse matrix or array, or LinearOperator
        A sparse one is held as canonical CSR, so that its stored entries are the entries of the matrix. Products of any
        other with NaN or infinite entries raise ValueError: there are no entries to be checked before.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse
    >>> matrix = HostOperator(scipy.sparse.coo_array(np.eye(3)))
    >>> matrix.sparse, matrix.storage  # 3 entries, 3 columns, 4 row pointers
    (True, 10)
    """

    operator: Any

    def __post_init__(self) -> None:
        if sparse.issparse(self.operator):
            object.__setattr__(self, "operator", canonical_csr(self.operator))
        # a one-by-one array stands for library, device and dtype; SciPy derives the dtype of most operators itself
        prototype = _csr((1, 1), dtype=self.operator.dtype).toarray()
        object.__setattr__(self, "_prototype", prototype)

    @property
    def sparse(self) -> bool:
        """True if the entries are stored."""
        return bool(sparse.issparse(self.operator))

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(size) for size in self.operator.shape)

    @property
    def like(self) -> Array:
        return self._prototype  # type: ignore[attr-defined]

    @property
    def storage(self) -> int:
        return 2 * int(self.operator.nnz) + self.shape[0] + 1 if self.sparse else 0

    def _matmul(self, x: Array) -> Array:
        return self._per_matrix(self.operator, x)

    def _rmatmul(self, y: Array) -> Array:
        try:
            return self._per_matrix(self.operator.T, y)
        except (NotImplementedError, TypeError) as error:  # which of the two depends on how the operator was made
            raise TypeError(
                f"a has no product with its transpose ({error}); define rmatvec or rmatmat of the LinearOperator"
            ) from error

    def _per_matrix(self, operator: Any, x: Array) -> Array:
        product = self._product(operator, x)
        if not self.sparse:  # entries of a sparse matrix are checked by as_structured; an operator shows products only
            check_finite(product, f"a product with the {self.shape} operator")
        return product

    def _product(self, operator: Any, x: Array) -> Array:
        # a stack of right factors becomes one wide factor
        xp = array_namespace(self.like, x)
        if x.ndim == 2:
            return xp.astype(operator @ x, self.dtype, copy=False)
        batch, (n, c) = tuple(x.shape[:-2]), x.shape[-2:]
        wide = xp.reshape(xp.moveaxis(x, -2, 0), (n, -1))  # (n, batch * c)
        product = xp.reshape(operator @ wide, (-1, *batch, c))
        return xp.astype(xp.moveaxis(product, 0, -2), self.dtype, copy=False)

    def to_dense(self) -> Array:
        if self.sparse:
            return self.operator.toarray()
        xp = array_namespace(self.like)
        return self._matmul(xp.eye(self.shape[-1], dtype=self.dtype))

    def matmul_flops(self, columns: int) -> int:
        if self.sparse:
            return 2 * columns * int(self.operator.nnz)
        return 2 * columns * self.shape[0] * self.shape[1]

    # reads: of the stored entries of a sparse matrix, by products with unit vectors for other operators

    def columns(self, indices: Array) -> Array:
        if not self.sparse:
            return super().columns(indices)
        return _unfolded(self.operator[:, indices.reshape(-1)].toarray(), tuple(indices.shape))

    def rows(self, indices: Array) -> Array:
        if not self.sparse:
            return super().rows(indices)
        return _unfolded(self.operator[indices.reshape(-1), :].toarray().T, tuple(indices.shape)).mT

    def diagonal(self) -> Array:
        return self.operator.diagonal() if self.sparse else super().diagonal()

    @property
    def explicit_diagonal(self) -> bool:
        return self.sparse

    def squared_norm(self) -> Array:
        return sum_of_squares(self.operator.data, axes=1) if self.sparse else super().squared_norm()

    def linear_parts(self) -> tuple[Array, ...] | None:
        return (self.operator.data[None, :],) if self.sparse else None

    def with_linear_parts(self, parts: tuple[Array, ...]) -> HostOperator:
        scaled = self.operator.copy()  # shares nothing: ``data`` is replaced
        scaled.data = parts[0][0, :]
        return HostOperator(scaled)


def _unfolded(columns: Array, shape: tuple[int, ...]) -> Array:
    """Return columns (m, B b), read one after the other, as those of a stack of index vectors: (B, m, b)."""
    xp = array_namespace(columns)
    return xp.moveaxis(xp.reshape(columns, (columns.shape[0], *shape)), 0, -2)
