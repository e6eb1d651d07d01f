"""Canonical polyadic tensors: sums of outer products of vectors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tnattn.arrays import Array
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.composite import Product
from tnattn.structured.dense import Dense
from tnattn.structured.diagonal import Diagonal
from tnattn.structured.tensor import MODES, StructuredTensor, Term, require_agreeing_batches, require_real, tensorly


@dataclass(frozen=True, eq=False, repr=False)
class CPTensor(StructuredTensor):
    """A stack of tensors ``sum_r w_r u_r^(0) o u_r^(1) o ...``; unpacks as ``weights, factors``.

    Parameters
    ----------
    weights : Array, (..., r)
    factors : tuple of Array, (..., n_j, r)

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured.cp import CPTensor
    >>> u = np.array([[1.0, 0.0], [1.0, 1.0]])
    >>> tensor = CPTensor(np.array([2.0, 3.0]), (u, u, u))
    >>> tensor.to_dense()[1], tensor.rank, tensor.storage
    (array([[2., 2.],
           [2., 5.]]), 2, 14)
    >>> tensor.as_matrix((0,), (1, 2)) @ np.ones(4)
    array([ 8., 11.])
    """

    weights: Array
    factors: tuple[Array, ...]

    degrees: ClassVar[Mapping[str, float]] = {"weights": 1.0}

    def __post_init__(self) -> None:
        object.__setattr__(self, "factors", tuple(self.factors))
        require_real(weights=self.weights, factors=self.factors)
        if not 1 <= len(self.factors) <= 12:  # as for Tucker tensors
            raise ValueError(f"{len(self.factors)} factors are given; one for each of 1 to 12 modes is needed")
        widths = tuple(int(u.shape[-1]) for u in self.factors)
        if {*widths} != {int(self.weights.shape[-1])}:
            raise ValueError(f"factors have {widths} columns for {self.weights.shape[-1]} weights; they must agree")
        self._batch()

    def _batch(self) -> tuple[int, ...]:
        return require_agreeing_batches((self.weights, *self.factors), (1, *(2 for _ in self.factors)))

    @property
    def order(self) -> int:
        return len(self.factors)

    @property
    def rank(self) -> int:
        """Number of terms."""
        return int(self.weights.shape[-1])

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self._batch(), *(int(u.shape[-2]) for u in self.factors))

    @property
    def storage(self) -> int:
        return sum(math.prod(part.shape) for part in (self.weights, *self.factors))

    def network(self) -> list[Term]:
        # one bond A, shared by all factors: the index of the term
        return [("A", self.weights), *((MODES[j] + "A", u) for j, u in enumerate(self.factors))]

    def slices(self, mode: int = 0) -> StructuredMatrix:
        """Return slice i as ``U_rows diag(w u_i) U_columns^T``, of which only the diagonal differs in i."""
        mode = self._sliced_mode(mode)
        rows, columns = (self.factors[j][..., None, :, :] for j in range(3) if j != mode)
        # (..., n_mode, r): broadcasting adds the axis of the slices to the other factors
        middle = Diagonal(self.weights[..., None, :] * self.factors[mode])
        return Product(Dense(rows), Product(middle, Dense(columns.mT)))

    def __iter__(self) -> Iterator[Any]:
        yield self.weights
        yield list(self.factors)

    def to_tensorly(self) -> Any:
        return tensorly("cp_tensor").CPTensor((self._single().weights, list(self.factors)))

    @classmethod
    def from_tensorly(cls, tensor: Any) -> CPTensor:
        weights, factors = tensor
        return CPTensor(weights, tuple(factors))
