"""Base class of structured matrices: products, adjoint, storage, and reads of columns, rows, diagonal and norms."""

from __future__ import annotations

import abc
import functools
import inspect
import math
from dataclasses import dataclass
from typing import Any, final

from scipy.sparse.linalg import LinearOperator

from tnattn.arrays import Array, dtype_name, from_host, require_floating, to_host
from tnattn.display import as_html
from tnattn.scalars import Parameters, as_integer
from tnattn.structured.half_precision import product_in_single, read_in_single, sum_in_single
from tnattn.structured.reads import MatrixReads


def _of_an_integer(count: Any) -> Any:
    """Wrap a count of operations so that it takes integers of any library."""

    @functools.wraps(count)
    def call(self: Any, columns: int) -> int:
        return count(self, as_integer(columns, "columns", least=0))  # type: ignore[no-any-return]

    return call


# methods of every subclass that compute half precision in float32, by kind of result: products follow both factors,
# reads the matrix, and sums stay in float32
_IN_SINGLE = {
    **dict.fromkeys(("_matmul", "_rmatmul", "to_dense"), product_in_single),
    **dict.fromkeys(("columns", "rows", "diagonal", "sketch", "sketch_rows"), read_in_single),
    **dict.fromkeys(("trace", "squared_norm"), sum_in_single),
}


class StructuredMatrix(MatrixReads, Parameters, abc.ABC):
    """A stack of m-by-n matrices, immutable; the last two axes are the matrix, all others are batch.

    A subclass provides ``shape``, ``storage``, ``like``, the products with it and with its transpose, the dense form
    and the operations of a product. Everything else follows from products with blocks of unit vectors; a subclass that
    reads its columns, rows or diagonal in another way overrides that read, and every algorithm gains. Matrices in
    float16 and bfloat16 compute in float32, and the result is cast back.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured import LowRank
    >>> matrix = LowRank(np.array([[1.0], [2.0]]), np.array([[3.0, 4.0]]))
    >>> matrix.columns(np.array([1]))
    array([[4.],
           [8.]])
    >>> float(matrix.trace()), float(matrix.squared_norm())
    (11.0, 125.0)
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # wrapped here, once for each class, so that no subclass can forget it
        for name, computed in _IN_SINGLE.items():
            if inspect.isfunction(cls.__dict__.get(name)):
                setattr(cls, name, computed(cls.__dict__[name]))
        if "matmul_flops" in cls.__dict__:
            cls.matmul_flops = _of_an_integer(cls.__dict__["matmul_flops"])  # type: ignore[method-assign]

    @property
    @abc.abstractmethod
    def storage(self) -> int:
        """Stored scalars over the whole stack, indices included, shared factors once."""

    @abc.abstractmethod
    def _matmul(self, x: Array) -> Array:
        """Product with x, (..., n, c)."""

    @abc.abstractmethod
    def _rmatmul(self, y: Array) -> Array:
        """Product of the transpose with y, (..., m, c)."""

    @abc.abstractmethod
    def to_dense(self) -> Array:
        """The stack as one array, (..., m, n), writable, which shares memory with nothing."""

    @abc.abstractmethod
    def matmul_flops(self, columns: int) -> int:
        """Floating point operations of a product with ``columns`` columns, over the whole stack."""

    def dense_view(self) -> Array:
        """Return the stack as one array, (..., m, n), for reading: it may be an array of the structure itself."""
        return self.to_dense()

    @property
    def dtype(self) -> Any:
        """Data type of the entries."""
        return self.like.dtype

    @property
    @final
    def batch(self) -> tuple[int, ...]:
        """Shape of the stack without the matrix axes."""
        return self.shape[:-2]

    @property
    @final
    def count(self) -> int:
        """Number of matrices in the stack."""
        return math.prod(self.batch)

    def thin_factors(self) -> tuple[Array, Array] | None:
        """Return factors (..., m, r) and (..., r, n) if the matrices are held as their product, else None."""
        return None

    def linear_parts(self) -> tuple[Array, ...] | None:
        """Return the arrays (..., p, q) in each of which the matrix is linear; None if unknown."""
        return None

    def with_linear_parts(self, parts: tuple[Array, ...]) -> StructuredMatrix:
        """Return the matrix with other arrays in the places of ``linear_parts``."""
        raise NotImplementedError(f"{type(self).__name__} has no linear parts")

    @final
    def __matmul__(self, x: Array) -> Array:
        """Multiply with an array of shape (..., n, c) or (n,)."""
        shape = getattr(x, "shape", None)
        if shape is None or len(shape) == 0:
            raise TypeError(
                f"the right factor must be an array of shape (..., {self.shape[-1]}, c); got {type(x).__name__}"
            )
        require_floating(x, "the right factor")
        vector = len(shape) == 1
        if shape[-1 if vector else -2] != self.shape[-1]:
            raise ValueError(
                f"a {self.shape} {type(self).__name__} cannot multiply an array of shape {tuple(shape)}; "
                f"its {'length' if vector else 'next-to-last axis'} must be {self.shape[-1]}"
            )
        return self._matmul(x[:, None])[..., 0] if vector else self._matmul(x)

    @property
    def mT(self) -> StructuredMatrix:
        """The transpose."""
        return Transposed(self)

    @final
    def as_linear_operator(self) -> LinearOperator:
        """Return a SciPy operator of a single matrix on the host."""
        if self.count != 1:
            raise ValueError(
                f"a linear operator is one matrix; this stack has batch shape {self.batch}; index it first"
            )
        rows, columns = self.shape[-2:]

        def apply(product: Any, x: Array) -> Array:
            # SciPy passes (n,), (n, 1) and (n, c)
            block = x.reshape(x.shape[0], -1)
            moved = from_host(block, like=self.like, dtype=self.dtype)
            return to_host(product(moved)).reshape(-1, block.shape[1]).reshape((-1, *x.shape[1:]))

        return LinearOperator(
            shape=(rows, columns),
            matvec=lambda x: apply(self._matmul, x),
            rmatvec=lambda y: apply(self._rmatmul, y),
            matmat=lambda x: apply(self._matmul, x),
            rmatmat=lambda y: apply(self._rmatmul, y),
            dtype=dtype_name(self.dtype),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self.shape}"

    def _repr_html_(self) -> str:
        return as_html(self)


@dataclass(frozen=True, eq=False, repr=False)
class Transposed(StructuredMatrix):
    """The transpose of a structured matrix, sharing its storage.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured import LowRank
    >>> matrix = LowRank(np.array([[1.0], [2.0]]), np.array([[3.0, 4.0, 5.0]]))
    >>> matrix.mT, matrix.mT.storage
    (Transposed(3, 2), 5)
    >>> matrix.mT @ np.array([1.0, 1.0])
    array([ 9., 12., 15.])
    """

    matrix: StructuredMatrix

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.matrix.batch, self.matrix.shape[-1], self.matrix.shape[-2])

    @property
    def like(self) -> Array:
        return self.matrix.like

    @property
    def storage(self) -> int:
        return self.matrix.storage

    def _matmul(self, x: Array) -> Array:
        return self.matrix._rmatmul(x)

    def _rmatmul(self, y: Array) -> Array:
        return self.matrix._matmul(y)

    def to_dense(self) -> Array:
        return self.matrix.to_dense().mT

    def dense_view(self) -> Array:
        return self.matrix.dense_view().mT  # a view: no copy

    def matmul_flops(self, columns: int) -> int:
        return self.matrix.matmul_flops(columns)

    @property
    def mT(self) -> StructuredMatrix:
        return self.matrix

    def columns(self, indices: Array) -> Array:
        return self.matrix.rows(indices).mT

    def rows(self, indices: Array) -> Array:
        return self.matrix.columns(indices).mT

    def diagonal(self) -> Array:
        return self.matrix.diagonal()

    def trace(self) -> Array:
        return self.matrix.trace()

    def squared_norm(self) -> Array:
        return self.matrix.squared_norm()

    def sketch(self, test_matrix: MatrixReads | Array) -> Array:
        return self.matrix.sketch_rows(test_matrix).mT

    def sketch_rows(self, test_matrix: MatrixReads | Array) -> Array:
        return self.matrix.sketch(test_matrix).mT

    @property
    def symmetric(self) -> bool:
        return self.matrix.symmetric

    @property
    def explicit_diagonal(self) -> bool:
        return self.matrix.explicit_diagonal

    @property
    def explicit_trace(self) -> bool:
        return self.matrix.explicit_trace
