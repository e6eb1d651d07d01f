"""Kronecker products and sums of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tnattn.arrays import Array, array_namespace, broadcast_shape, require_floating
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.gather import take_rows
from tnattn.structured.khatri_rao import KhatriRao
from tnattn.structured.unit_vectors import sum_of_squares


@dataclass(frozen=True, eq=False, repr=False)
class Kronecker(StructuredMatrix):
    """A stack of Kronecker products ``A_1 (x) A_2 (x) ...``, the indices of the last factor running fastest.

    Parameters
    ----------
    factors : tuple of Array, (..., m_j, n_j)

    Notes
    -----
    A product with a vector multiplies by one factor after the other, from the first: O(sum over j of m_1 ... m_j n_j
    ... n_d) instead of O(m n).

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured import Kronecker
    >>> hadamard = Kronecker((np.array([[1.0, 1.0], [1.0, -1.0]]),) * 10)
    >>> hadamard.shape, hadamard.storage, hadamard.matmul_flops(1)  # dense: 2 million
    ((1024, 1024), 40, 40960)
    >>> (hadamard @ np.ones(1024))[:3]
    array([1024.,    0.,    0.])
    """

    factors: tuple[Array, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "factors", tuple(self.factors))
        if not self.factors or any(a.ndim < 2 for a in self.factors):
            shapes = [tuple(a.shape) for a in self.factors]
            raise ValueError(f"factors have shapes {shapes}; give at least one, each with at least two axes")
        for a in self.factors:
            require_floating(a, "factors")
        _common_batch(self.factors, trailing=2)

    @property
    def shape(self) -> tuple[int, ...]:
        batch = _common_batch(self.factors, trailing=2)
        return (*batch, *(math.prod(int(a.shape[axis]) for a in self.factors) for axis in (-2, -1)))

    @property
    def like(self) -> Array:
        return self.factors[0]

    @property
    def storage(self) -> int:
        return sum(math.prod(a.shape) for a in self.factors)

    def _matmul(self, x: Array) -> Array:
        return _applied(self.factors, x)

    def _rmatmul(self, y: Array) -> Array:
        return _applied([a.mT for a in self.factors], y)

    def to_dense(self) -> Array:
        xp = array_namespace(*self.factors)
        dense = xp.asarray(self.factors[0], copy=True)
        for a in self.factors[1:]:
            product = dense[..., :, None, :, None] * a[..., None, :, None, :]
            rows, columns = dense.shape[-2] * a.shape[-2], dense.shape[-1] * a.shape[-1]
            dense = xp.reshape(product, (*product.shape[:-4], rows, columns))
        return dense

    def matmul_flops(self, columns: int) -> int:
        # as _applied: m_1 ... m_{j-1} rows are done, n_{j+1} ... n_d columns are still to come
        total, rows, rest = 0, 1, self.shape[-1] * columns
        for a in self.factors:
            m, n = (int(size) for size in a.shape[-2:])
            rest //= n
            total += 2 * rows * m * n * rest
            rows *= m
        return total * self.count

    def transposed_khatri_rao(self, vectors: Sequence[Array]) -> Array:
        """Return the transpose times the Khatri-Rao product of matrices (..., m_j, c), never formed: (..., n, c)."""
        return KhatriRao(tuple(a.mT @ v for a, v in zip(self.factors, vectors, strict=True))).to_dense()

    def diagonal(self) -> Array:
        if any(a.shape[-2] != a.shape[-1] for a in self.factors):
            return super().diagonal()  # not a product of diagonals then
        xp = array_namespace(*self.factors)
        diagonal = None
        for a in self.factors:
            own = xp.linalg.diagonal(a)
            diagonal = own if diagonal is None else _outer(diagonal, own)
        return xp.asarray(diagonal, copy=True)

    @property
    def explicit_diagonal(self) -> bool:
        return all(a.shape[-2] == a.shape[-1] for a in self.factors)

    def columns(self, indices: Array) -> Array:
        return _selected(self.factors, indices)

    def rows(self, indices: Array) -> Array:
        return _selected([a.mT for a in self.factors], indices).mT

    def squared_norm(self) -> Array:
        # the entries are products of entries of the factors: the norm is the product of the norms
        product = None
        for a in self.factors:
            own = sum_of_squares(a)
            product = own if product is None else product * own
        return product


@dataclass(frozen=True, eq=False, repr=False)
class KroneckerSum(StructuredMatrix):
    """A stack of sums of Kronecker products of two factors, ``sum_i A_i (x) B_i``.

    Parameters
    ----------
    left : Array, (..., r, m_1, n_1)
    right : Array, (..., r, m_2, n_2)
        r terms; a stack that needs fewer is padded with zeros.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured import KroneckerSum
    >>> identity, second = np.eye(3), np.array([[2.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 2.0]])
    >>> laplacian = KroneckerSum(np.stack([identity, second]), np.stack([second, identity]))
    >>> (laplacian @ np.ones(9)).reshape(3, 3)
    array([[2., 1., 2.],
           [1., 0., 1.],
           [2., 1., 2.]])
    """

    left: Array
    right: Array

    def __post_init__(self) -> None:
        if self.left.ndim < 3 or self.right.ndim < 3 or self.left.shape[-3] != self.right.shape[-3]:
            raise ValueError(
                f"left {tuple(self.left.shape)} and right {tuple(self.right.shape)} must have the shapes "
                "(..., r, m_1, n_1) and (..., r, m_2, n_2) with one number of terms r"
            )
        require_floating(self.left, "left")
        require_floating(self.right, "right")
        _common_batch((self.left, self.right), trailing=3)

    @property
    def terms(self) -> int:
        """Number of terms r."""
        return int(self.left.shape[-3])

    @property
    def shape(self) -> tuple[int, ...]:
        batch = _common_batch((self.left, self.right), trailing=3)
        return (*batch, *(int(self.left.shape[axis] * self.right.shape[axis]) for axis in (-2, -1)))

    @property
    def like(self) -> Array:
        return self.left

    @property
    def storage(self) -> int:
        return sum(math.prod(part.shape) for part in (self.left, self.right))

    def _matmul(self, x: Array) -> Array:
        # the terms are a batch axis of both factors
        return array_namespace(x).sum(_applied((self.left, self.right), x[..., None, :, :]), axis=-3)

    def _rmatmul(self, y: Array) -> Array:
        terms = _applied((self.left.mT, self.right.mT), y[..., None, :, :])
        return array_namespace(y).sum(terms, axis=-3)

    def to_dense(self) -> Array:
        return array_namespace(self.left).sum(Kronecker((self.left, self.right)).to_dense(), axis=-3)

    def matmul_flops(self, columns: int) -> int:
        products = Kronecker((self.left, self.right)).matmul_flops(columns)
        return products + (self.terms - 1) * int(self.shape[-2]) * columns * self.count

    def columns(self, indices: Array) -> Array:
        terms = Kronecker((self.left, self.right)).columns(indices[..., None, :])
        return array_namespace(terms).sum(terms, axis=-3)

    def rows(self, indices: Array) -> Array:
        terms = Kronecker((self.left, self.right)).rows(indices[..., None, :])
        return array_namespace(terms).sum(terms, axis=-3)

    def diagonal(self) -> Array:
        terms = Kronecker((self.left, self.right)).diagonal()
        return array_namespace(terms).sum(terms, axis=-2)

    @property
    def explicit_diagonal(self) -> bool:
        return Kronecker((self.left, self.right)).explicit_diagonal


def _applied(factors: tuple[Array, ...] | list[Array], x: Array) -> Array:
    """Return the Kronecker product of factors (..., m_j, n_j) times x (..., n, c)."""
    xp, columns = array_namespace(x), x.shape[-1]
    done, rest = 1, x.shape[-2]
    # x is seen as (rows done, n_j, columns to come): one batched product per factor
    for a in factors:
        m, n = a.shape[-2:]
        rest //= n
        folded = xp.reshape(x, (*x.shape[:-2], done, n, rest * columns))
        product = xp.matmul(a[..., None, :, :], folded)  # (..., done, m, rest c)
        done *= m
        x = xp.reshape(product, (*product.shape[:-3], done * rest, columns))
    return x


def _outer(x: Array, y: Array) -> Array:
    """Return the Kronecker products (..., m n) of vectors (..., m) and (..., n)."""
    product = x[..., :, None] * y[..., None, :]
    return array_namespace(x, y).reshape(product, (*product.shape[:-2], x.shape[-1] * y.shape[-1]))


def _selected(factors: tuple[Array, ...] | list[Array], indices: Array) -> Array:
    """Return the columns (..., m, b) of a Kronecker product at indices (..., b): products of columns of the factors."""
    xp, digits = array_namespace(*factors), []
    # mixed-radix digits of a column index, the last factor first
    for a in reversed(factors):
        digits.append(indices % a.shape[-1])
        indices = indices // a.shape[-1]
    rows = None  # transposed: (..., b, m)
    for a, own in zip(factors, reversed(digits), strict=True):
        chosen = take_rows(a.mT, own)
        rows = chosen if rows is None else _outer(rows, chosen)
    return xp.matrix_transpose(rows)


def _common_batch(factors: tuple[Array, ...], *, trailing: int) -> tuple[int, ...]:
    batches = [tuple(a.shape[: a.ndim - trailing]) for a in factors]
    try:
        return broadcast_shape(*batches)
    except ValueError as error:
        raise ValueError(f"batch axes {batches} do not broadcast; give all factors the same leading axes") from error
