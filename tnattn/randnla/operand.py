"""What a matrix method may be applied to: arrays, structured and sparse matrices, operators, entries on demand."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import scipy.sparse
from scipy.sparse.linalg import LinearOperator

from tnattn.arrays import (
    Array,
    array_namespace,
    check_finite,
    device,
    dtype_name,
    eps,
    is_array,
    is_floating,
    parallel_map,
    prefers_host_tiles,
    require_floating,
)
from tnattn.randnla.host_operator import HostOperator
from tnattn.scalars import as_integer
from tnattn.structured.base import StructuredMatrix, Transposed
from tnattn.structured.dense import Dense

_SMALL = 1 << 20  # entries up to which an implicit matrix is formed: 8 MB of float64
_LARGE = 1 << 14  # entries of a matrix from which it is worth a call of its own
_STRIP = 64  # columns of a matrix compared with rows at a time
_BLOCK = 1 << 22  # entries evaluated at a time by a product with entries on demand


@runtime_checkable
class KernelEntries(Protocol):
    """A stack of square symmetric matrices known by their entries: O(n) storage instead of O(n^2).

    ``shape`` is (..., n, n) and ``like`` any array of the library, device and dtype of the entries.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Batch axes followed by n and n."""

    @property
    def like(self) -> Array:
        """An array of the library, device and dtype."""

    def diagonal(self) -> Array:
        """Return the diagonals, (..., n)."""

    def columns(self, indices: Array) -> Array:
        """Return the columns (..., n, b) at integer indices (..., b), each matrix having its own."""


def as_structured(a: Any, name: str = "a") -> StructuredMatrix:
    """Return what a matrix method was given as a structured matrix.

    Parameters
    ----------
    a : Array (..., m, n), StructuredMatrix, scipy.sparse matrix or array, LinearOperator, or KernelEntries
        Of float32 or float64. Arrays and the entries of sparse matrices must be finite, and so must be what operators
        return.

    Raises
    ------
    TypeError
        If ``a`` is none of these, a masked array, or of another dtype: half precision is refused, since its products
        would be rounded to three digits.
    ValueError
        If ``a`` has fewer than two axes, an axis of length 0, or an entry that is not finite.

    Notes
    -----
    Arrays of foreign byte order are converted, and stored duplicates of sparse matrices summed, on a copy.
    """
    matrix = _wrapped(a, name)
    if len(matrix.shape) < 2:
        raise ValueError(f"{name} has shape {tuple(matrix.shape)}; at least two axes (..., m, n) are needed")
    if 0 in matrix.shape:
        raise ValueError(f"{name} has shape {tuple(matrix.shape)}; no axis may have length 0")
    require_precision(matrix.like, name)
    return matrix


def require_precision(x: Array, name: str) -> None:
    """Raise TypeError unless an array holds float32 or float64."""
    require_floating(x, name)
    if dtype_name(x.dtype) not in ("float32", "float64"):
        raise TypeError(f"{name} has dtype {dtype_name(x.dtype)}; convert it to float32 or float64")


def checked_array(a: Array, name: str, *, least: int = 0) -> Array:
    """Return an array of float32 or float64 in native byte order; raise if it is another, masked, or not finite.

    Parameters
    ----------
    a : Array
    name : str
    least : int
        Number of axes that it must have.
    """
    if hasattr(a, "filled") and hasattr(a, "mask"):
        raise TypeError(f"{name} is a masked array, whose mask would be lost; fill it, {name}.filled(...)")
    require_precision(a, name)
    if a.ndim < least:
        raise ValueError(f"{name} has shape {tuple(a.shape)}; at least two axes (..., m, n) are needed")
    check_finite(a, name)
    if not prefers_host_tiles(a):
        return a
    # NumPy alone has byte orders, and subclasses (numpy.matrix) that multiply in their own way
    xp = array_namespace(a)
    return xp.asarray(a, dtype=getattr(xp, dtype_name(a.dtype)))


def _wrapped(a: Any, name: str) -> StructuredMatrix:
    if isinstance(a, StructuredMatrix):
        _check_parts(a, name)
        return a
    if _is_sparse(a):
        matrix = HostOperator(a)
        require_precision(matrix.like, name)
        check_finite(matrix.operator.data, f"{name}.data")  # of sums of duplicates, which may overflow
        return matrix
    if isinstance(a, LinearOperator):
        return HostOperator(a)
    if is_array(a):
        return Dense(checked_array(a, name, least=2))
    if isinstance(a, KernelEntries):
        return EntriesOperator(a)
    raise TypeError(
        f"{name} is a {type(a).__name__}; pass an array, a StructuredMatrix, a scipy.sparse matrix, a LinearOperator, "
        f"or an object with shape, like, diagonal() and columns(indices)"
    )


def _check_parts(a: Any, name: str) -> None:
    """Raise ValueError if an array of which a structured matrix is made holds NaN or infinity."""
    if isinstance(a, StructuredMatrix):
        fields: Any = dataclasses.fields(a) if dataclasses.is_dataclass(a) else ()
        for part in vars(a).values() if isinstance(a, Transposed) else [getattr(a, f.name) for f in fields]:
            _check_parts(part, name)
    elif isinstance(a, tuple):
        for part in a:
            _check_parts(part, name)
    elif is_array(a) and is_floating(a):
        check_finite(a, f"an array of {name}")


@dataclass(frozen=True, eq=False, repr=False)
class EntriesOperator(StructuredMatrix):
    """Matrices known by their entries; a product evaluates blocks of columns and keeps none.

    Diagonals and columns with NaN or infinite entries raise ValueError.
    """

    entries_on_demand: KernelEntries

    def __post_init__(self) -> None:
        if len(self.shape) < 2 or self.shape[-1] != self.shape[-2]:
            raise ValueError(f"entries on demand have shape {self.shape}; (..., n, n) is needed")

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(size) for size in self.entries_on_demand.shape)

    @property
    def like(self) -> Array:
        return self.entries_on_demand.like

    @property
    def storage(self) -> int:
        return 0

    def diagonal(self) -> Array:
        """Return the diagonals, (..., n)."""
        diagonal = self.entries_on_demand.diagonal()
        check_finite(diagonal, f"the diagonal of the {self.shape} entries on demand")
        return diagonal

    def columns(self, indices: Array) -> Array:
        """Return the columns (..., n, b) at indices (..., b)."""
        columns = self.entries_on_demand.columns(indices)
        check_finite(columns, f"a block of columns of the {self.shape} entries on demand")
        return columns

    def _blocks(self) -> list[tuple[slice, Array]]:
        xp = array_namespace(self.like)
        n = self.shape[-1]
        step = max(1, _BLOCK // (n * self.count))
        spans = [slice(start, min(start + step, n)) for start in range(0, n, step)]
        place = device(self.like)
        return [
            (s, xp.broadcast_to(xp.arange(s.start, s.stop, device=place), (*self.batch, s.stop - s.start)))
            for s in spans
        ]

    def _matmul(self, x: Array) -> Array:
        total = None
        for span, indices in self._blocks():
            part = self.columns(indices) @ x[..., span, :]
            total = part if total is None else total + part
        return total

    def _rmatmul(self, y: Array) -> Array:
        return self._matmul(y)

    def to_dense(self) -> Array:
        xp = array_namespace(self.like)
        return xp.concat([self.columns(indices) for _, indices in self._blocks()], axis=-1)

    def matmul_flops(self, columns: int) -> int:
        return 2 * columns * self.count * self.shape[-1] ** 2


def matrix_by_matrix(
    function: Callable[[StructuredMatrix], tuple[Array, ...]], a: StructuredMatrix
) -> tuple[Array, ...]:
    """Return what a function gives for a stack of matrices, working on one matrix after the other where that is faster.

    Parameters
    ----------
    function : callable
        Of a stack (..., m, n); returns arrays with the same batch axes.
    a : StructuredMatrix

    Notes
    -----
    A dense stack on the host whose matrices are large: one matrix stays in the cache through all products with it, and
    threads share the stack. Everything else goes through ``function`` at once.
    """
    if not (isinstance(a, Dense) and prefers_host_tiles(a.array) and a.count > 1 and math.prod(a.shape[-2:]) >= _LARGE):
        return function(a)
    xp = array_namespace(a.array)
    flat = xp.reshape(a.array, (-1, *a.shape[-2:]))
    parts = parallel_map(lambda i: function(Dense(flat[i, ...])), range(a.count), like=a.array)
    return tuple(xp.reshape(xp.stack(each), (*a.batch, *each[0].shape)) for each in zip(*parts, strict=True))


def worth_forming(a: StructuredMatrix) -> bool:
    """Return whether each matrix of a stack is an array already, or so small that it may become one."""
    return isinstance(a, Dense) or a.shape[-2] * a.shape[-1] <= _SMALL


def require_rank(rank: int, shape: tuple[int, ...]) -> None:
    """Raise ValueError if a rank exceeds the smaller side of the matrices of a stack."""
    limit = min(shape[-2:])
    if rank > limit:
        raise ValueError(f"rank {rank} exceeds min(m, n) = {limit} of the {tuple(shape)} stack; reduce rank")


def require_count(value: int, name: str, *, least: int) -> None:
    """Raise unless a parameter is an integer of at least the given size."""
    as_integer(value, name, least=least)


def describe(matrix: StructuredMatrix) -> str:
    """Return the shape and dtype of a matrix for a message."""
    return f"{tuple(matrix.shape)} {dtype_name(matrix.dtype)}"


def _is_sparse(a: Any) -> bool:
    return bool(scipy.sparse.issparse(a))


def largest_entries(a: Array) -> Array:
    """Return the largest absolute values (...) of the entries of matrices (..., m, n)."""
    xp = array_namespace(a)
    return xp.maximum(xp.max(a, axis=(-2, -1)), -xp.min(a, axis=(-2, -1)))


def require_symmetric(a: StructuredMatrix) -> None:
    """Raise ValueError unless matrices are square and, where their entries are at hand, symmetric to rounding.

    One synchronisation on a device. Operators are not checked.
    """
    n = a.shape[-1]
    if a.shape[-2] != n:
        raise ValueError(f"a has shape {tuple(a.shape)}; a symmetric matrix is square")
    if not isinstance(a, Dense):
        return
    xp = array_namespace(a.array)
    largest = largest_entries(a.array)
    asymmetry = xp.zeros_like(largest)
    step = _STRIP if prefers_host_tiles(a.array) else n  # a transposed matrix is read badly unless it is narrow
    for start in range(0, n, step):
        strip = a.array[..., start : start + step, start:] - a.array[..., start:, start : start + step].mT
        asymmetry = xp.maximum(asymmetry, largest_entries(strip))
    allowed = 8 * n * eps(a.array) * largest
    if bool(xp.any(asymmetry > allowed)):
        raise ValueError(
            f"a is not symmetric: entries differ from their mirror images by up to {float(xp.max(asymmetry)):.3g}, "
            f"more than rounding; symmetrise it, (a + a.mT) / 2, or use RandomizedSVD"
        )
