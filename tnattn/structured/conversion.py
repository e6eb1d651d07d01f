"""Constructor of structured matrices from arrays, sparse matrices, linear operators and kernels."""

from __future__ import annotations

import dataclasses
from typing import Any

import scipy.sparse
from scipy.sparse.linalg import LinearOperator

from tnattn.arrays import (
    Array,
    array_namespace,
    check_finite,
    dtype_name,
    is_array,
    is_floating,
    prefers_host_tiles,
    require_floating,
)
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.dense import Dense
from tnattn.structured.host_operator import HostOperator
from tnattn.structured.implicit import EntriesOperator, KernelEntries

_SMALL = 1 << 20  # entries up to which an implicit matrix is formed: 8 MB of float64


def as_structured(a: Any, name: str = "a") -> StructuredMatrix:
    """Return the argument of a matrix method as a structured matrix.

    Parameters
    ----------
    a : Array (..., m, n), StructuredMatrix, scipy.sparse matrix or array, LinearOperator, or KernelEntries
        Of float32 or float64. Arrays, the entries of sparse matrices and the products of operators must be finite.

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

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse
    >>> matrix = as_structured(scipy.sparse.csr_array(np.diag([1.0, 2.0, 4.0])))
    >>> matrix, float(matrix.trace()), float(matrix.squared_norm())
    (HostOperator(3, 3), 7.0, 21.0)
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
    # entries of a sparse matrix are checked here, once; those of an operator at every product
    if scipy.sparse.issparse(a):
        matrix = HostOperator(a)
        require_precision(matrix.like, name)
        check_finite(matrix.operator.data, f"{name}.data")  # of sums of duplicates, which may overflow
        return matrix
    if isinstance(a, LinearOperator):
        return HostOperator(a)
    if is_array(a):
        return Dense(checked_array(a, name, least=2))
    # a protocol, checked by the names of attributes, after the checks by type
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
        for part in fields:
            _check_parts(getattr(a, part.name), name)
    elif isinstance(a, tuple):
        for part in a:
            _check_parts(part, name)
    elif is_array(a) and is_floating(a):
        check_finite(a, f"an array of {name}")


def worth_forming(a: StructuredMatrix) -> bool:
    """Return whether the matrices of a stack are explicit, or small enough to be formed."""
    return a.explicit or a.shape[-2] * a.shape[-1] <= _SMALL
