"""Tensors known by their entries, evaluated on demand."""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from dataclasses import dataclass

from tnattn.arrays import Array, array_namespace, device


class EntryTensor(abc.ABC):
    """A stack of tensors that is too large to form, but whose entries can be asked for one by one."""

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Batch axes followed by the mode sizes."""

    @property
    @abc.abstractmethod
    def like(self) -> Array:
        """An array of the library, device and dtype of the entries."""

    @abc.abstractmethod
    def entries(self, indices: Array) -> Array:
        """Return entries.

        Parameters
        ----------
        indices : Array, (..., m, d), integer
            One multi-index per entry; every tensor of the stack has its own.

        Returns
        -------
        Array, (..., m)
        """


@dataclass(frozen=True, eq=False)
class ArrayEntries(EntryTensor):
    """The entries of an array (..., n_0, ..., n_{order-1})."""

    array: Array
    order: int

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(n) for n in self.array.shape)

    @property
    def like(self) -> Array:
        return self.array

    def entries(self, indices: Array) -> Array:
        xp = array_namespace(self.array, indices)
        sizes = self.shape[len(self.shape) - self.order :]
        flat = xp.reshape(self.array, (*self.shape[: len(self.shape) - self.order], math.prod(sizes)))
        return xp.take_along_axis(flat, linear_index(indices, sizes), axis=-1)


def linear_index(indices: Array, sizes: Sequence[int]) -> Array:
    """Return the positions (..., m) of multi-indices (..., m, d) in row-major order."""
    total = indices[..., 0]
    for place, size in enumerate(sizes[1:], start=1):
        total = total * size + indices[..., place]
    return total


def multi_index(positions: Array, sizes: Sequence[int]) -> Array:
    """Return the multi-indices (..., m, d) at positions (..., m) in row-major order; (..., m, 0) for no sizes."""
    xp = array_namespace(positions)
    digits = []
    for size in reversed(sizes):
        digits.append(positions % size)
        positions = positions // size
    if not digits:
        return xp.zeros((*positions.shape, 0), dtype=xp.int64, device=device(positions))
    return xp.stack(digits[::-1], axis=-1)
