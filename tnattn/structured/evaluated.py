"""Stacks whose matrices are evaluated one by one when they are multiplied, and not kept."""

from __future__ import annotations

import abc

from tnattn.arrays import Array, Part, broadcast_shape, each_matrix
from tnattn.structured.base import StructuredMatrix


class Evaluated(StructuredMatrix):
    """Base class of stacks (..., m, n) of which every product evaluates the entries anew, one matrix at a time.

    A subclass gives the entries of a matrix; products, transpose and dense form follow. On the host one matrix is held
    per thread, on a device the stack.
    """

    @abc.abstractmethod
    def evaluated(self, part: Part) -> Array:
        """Return the entries (..., m, n) of a part of the stack, in the dtype of the structure."""

    def _matmul(self, x: Array) -> Array:
        batch = broadcast_shape(self.batch, x.shape[:-2])
        return each_matrix(lambda part: (self._own(part) @ part.of(x),), batch, like=x)[0]

    def _rmatmul(self, y: Array) -> Array:
        batch = broadcast_shape(self.batch, y.shape[:-2])
        return each_matrix(lambda part: (self._own(part).mT @ part.of(y),), batch, like=y)[0]

    def to_dense(self) -> Array:
        return each_matrix(lambda part: (self.evaluated(part),), self.batch, like=self.like)[0]

    def _own(self, part: Part) -> Array:
        """Return the entries at a part of a stack that may have more matrices, by which this one is repeated."""
        if part.index is None:
            return self.evaluated(part)
        index = part.index[len(part.index) - len(self.batch) :]
        own = tuple(0 if size == 1 else i for i, size in zip(index, self.batch, strict=True))
        return self.evaluated(Part(self.batch, own))
