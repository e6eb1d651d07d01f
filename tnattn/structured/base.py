"""The contract of every structured matrix: it multiplies, has an adjoint, and counts what it stores."""

from __future__ import annotations

import abc
import dataclasses
import functools
import math
from typing import Any, final

from scipy.sparse.linalg import LinearOperator

from tnattn.arrays import (
    Array,
    array_namespace,
    device,
    dtype_name,
    from_host,
    is_array,
    is_half,
    require_floating,
    to_host,
    widened,
)
from tnattn.display import as_html
from tnattn.scalars import Parameters, as_integer


def in_single(value: Any) -> Any:
    """Return a structure, or a part of one, with float32 arrays in place of those in half precision."""
    if is_array(value):
        return widened(value)
    if isinstance(value, tuple):
        return tuple(in_single(part) for part in value)
    if isinstance(value, Transposed):
        return Transposed(in_single(value.mT))
    if not dataclasses.is_dataclass(value) or isinstance(value, type) or not hasattr(value, "like"):
        return value
    fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
    return dataclasses.replace(value, **{name: in_single(part) for name, part in fields.items()})


def _computed_in_single(compute: Any) -> Any:
    """Let a method of a structure in half precision, or of a half-precision factor, compute in float32."""

    @functools.wraps(compute)
    def call(self: Any, *factors: Array) -> Array:
        if not is_half(self.like) and not any(is_half(x) for x in factors):
            return compute(self, *factors)
        single = in_single(self)
        result = compute(single, *(widened(x) for x in factors))
        narrow = is_half(self.like) and all(is_half(x) for x in factors)
        return array_namespace(result).astype(result, self.dtype) if narrow else result

    return call


def _of_an_integer(count: Any) -> Any:
    """Let a method of a structure that counts operations take integers of any library."""

    @functools.wraps(count)
    def call(self: Any, columns: int) -> int:
        return count(self, as_integer(columns, "columns", least=0))  # type: ignore[no-any-return]

    return call


class StructuredMatrix(Parameters, abc.ABC):
    """A stack of m-by-n matrices, immutable; the last two axes are the matrix, all others are batch.

    A subclass provides ``shape``, ``dtype``, ``storage``, ``like``, the products with it and with its transpose,
    and the dense form. Everything else follows. Matrices in float16 and bfloat16 multiply in float32, and the result is
    cast back.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in ("_matmul", "_rmatmul", "to_dense"):
            if name in cls.__dict__:
                setattr(cls, name, _computed_in_single(cls.__dict__[name]))
        if "matmul_flops" in cls.__dict__:
            cls.matmul_flops = _of_an_integer(cls.__dict__["matmul_flops"])  # type: ignore[method-assign]

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Batch axes followed by rows and columns."""

    @property
    @abc.abstractmethod
    def like(self) -> Array:
        """One of the arrays that represent it, for its library, device and dtype."""

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

    def entries(self, rows: Array, columns: Array) -> Array:
        """Return the submatrix of the given rows and columns; by default from products with unit vectors.

        Parameters
        ----------
        rows, columns : Array, (r,) and (c,), integer

        Returns
        -------
        Array, (..., r, c)
        """
        xp = array_namespace(self.like)
        unit = xp.eye(self.shape[-1], dtype=self.dtype, device=device(self.like))
        picked = self @ xp.take(unit, columns, axis=1)
        return xp.take(picked, rows, axis=-2)

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


class Transposed(StructuredMatrix):
    """The transpose of a structured matrix, sharing its storage."""

    def __init__(self, matrix: StructuredMatrix) -> None:
        self._matrix = matrix

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self._matrix.batch, self._matrix.shape[-1], self._matrix.shape[-2])

    @property
    def like(self) -> Array:
        return self._matrix.like

    @property
    def storage(self) -> int:
        return self._matrix.storage

    def _matmul(self, x: Array) -> Array:
        return self._matrix._rmatmul(x)

    def _rmatmul(self, y: Array) -> Array:
        return self._matrix._matmul(y)

    def to_dense(self) -> Array:
        return self._matrix.to_dense().mT

    def dense_view(self) -> Array:
        return self._matrix.dense_view().mT

    def matmul_flops(self, columns: int) -> int:
        return self._matrix.matmul_flops(columns)

    @property
    def mT(self) -> StructuredMatrix:
        return self._matrix
