"""Implicit tensors, given by a function of multi-indices."""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from dataclasses import dataclass

from tnattn.arrays import (
    Array,
    Rng,
    array_namespace,
    broadcast_shape,
    check_finite,
    device,
    dtype_name,
    multi_indices,
    plain_array,
    runs_on_host,
    to_host,
)
from tnattn.decomposition.tensor_units import SAFE_EXPONENT, exponents, largest_tensor_entries
from tnattn.linalg.scaling import times_power_of_two
from tnattn.structured.gather import gather_rows

BLOCK = 1 << 20  # entries per request: bounds the memory of their multi-indices, 8 d bytes each
# binary digits by which an entry may exceed the unit: twice as many, of its square, stay within the range of the dtype
HEADROOM = {"float32": 48, "float64": 400}


class EntryTensor(abc.ABC):
    """A stack of tensors that is too large to form, but whose entries can be computed one by one."""

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
    """The entries of an array (..., n_0, ..., n_{order-1}).

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition import ArrayEntries
    >>> tensor = ArrayEntries(np.arange(24.0).reshape(2, 3, 4), order=3)
    >>> tensor.entries(np.array([[0, 0, 0], [1, 2, 3]]))
    array([ 0., 23.])
    """

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


class LargerEntry(Exception):
    """An entry is too large for the unit in which those before were given; see ``CountedEntries.entries``."""


class CountedEntries:
    """Entries of a stack of tensors, one by one or in blocks, with the number of evaluations.

    Entries are given as multiples of a power of two for each tensor, so that their squares neither overflow nor vanish:
    of the largest of the first that are not zero, and of a larger one once an entry is found that needs it.

    Parameters
    ----------
    tensor : EntryTensor
    order : int
        The trailing axes that are modes; the rest is batch.

    Attributes
    ----------
    exponent : Array, (...)
        Entries of the tensor are those given times 2^exponent.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.entries import ArrayEntries, CountedEntries
    >>> source = CountedEntries(ArrayEntries(np.full((2, 3, 4), 2.0**600), order=3), order=3)
    >>> source.entries(np.array([[0, 0, 0], [1, 2, 3]])), float(source.exponent), source.evaluations
    (array([1., 1.]), 600.0, 2)
    """

    def __init__(self, tensor: EntryTensor, order: int) -> None:
        self._tensor, self.evaluations, shape = tensor, 0, tuple(int(n) for n in tensor.shape)
        self.batch, self.sizes = shape[: len(shape) - order], shape[len(shape) - order :]
        self.like = tensor.like
        xp = array_namespace(self.like)
        self.exponent = xp.zeros(self.batch, dtype=self.like.dtype, device=device(self.like))
        self._seen = xp.zeros(self.batch, dtype=xp.bool, device=device(self.like))

    def entries(self, indices: Array) -> Array:
        """Return entries (..., m) at multi-indices (..., m, d), in units of the power of two.

        Raises
        ------
        LargerEntry
            If one is so large in this unit that squares may overflow. The unit has grown; what was read must be read
            again.
        TypeError
            If they are not of the dtype of ``like``.
        ValueError
            If one is NaN or infinite.
        """
        self.evaluations += math.prod(indices.shape[:-1])
        found = plain_array(self._tensor.entries(indices), "an entry that was asked for")
        if dtype_name(found.dtype) != dtype_name(self.like.dtype):
            raise TypeError(f"entries are {dtype_name(found.dtype)}, but those of like {dtype_name(self.like.dtype)}")
        xp, largest = array_namespace(found), largest_tensor_entries(found, order=1)
        if runs_on_host(found):
            check_finite(found, "an entry that was asked for")
        # exponent 0 where squares are harmless, so that ordinary tensors are never rescaled
        needed = exponents(found, order=1)
        harmless = xp.where(xp.abs(needed) <= SAFE_EXPONENT, xp.zeros_like(needed), needed)
        # the first entries that are not zero fix the unit of a tensor
        self.exponent = xp.where(self._seen | (largest == 0), self.exponent, harmless)
        larger = (largest > 0) & (needed - self.exponent > HEADROOM[dtype_name(found.dtype)])
        self._seen = self._seen | (largest > 0)
        flags = [xp.all(xp.isfinite(largest)), xp.any(larger), xp.any(self.exponent != 0)]
        finite, larger_unit, in_units = (bool(x) for x in to_host(xp.stack(flags)))  # one wait
        if not finite:
            check_finite(found, "an entry that was asked for")
        if larger_unit:
            # entries read before are in the old unit: the caller starts again
            self.exponent = xp.where(larger, needed, self.exponent)
            raise LargerEntry
        return times_power_of_two(found, -self.exponent, stack=True) if in_units else found

    def no_index(self) -> Array:
        """Return the one multi-index (..., 1, 0) of no modes."""
        xp = array_namespace(self.like)
        return xp.zeros((*self.batch, 1, 0), dtype=xp.int64, device=device(self.like))

    def right_of(self, mode: int, count: int, rng: Rng) -> Array:
        """Return random multi-indices (..., count, d - mode - 1) of the modes after one, or all of them."""
        xp, sizes = array_namespace(self.like), self.sizes[mode + 1 :]
        if count == math.prod(sizes):  # every index once, instead of a sample with repetitions
            every = multi_index(xp.arange(count, dtype=xp.int64, device=device(self.like)), sizes)
            return xp.broadcast_to(every, (*self.batch, *every.shape))
        return multi_indices(rng, sizes, (*self.batch, count), like=self.like)

    def block(self, left: Array, mode: int, right: Array) -> Array:
        """Return all entries (..., l, n, c) with left and right parts from two lists, and any index of a mode.

        Parameters
        ----------
        left : Array, (..., l, mode), integer
        mode : int
        right : Array, (..., c, d - mode - 1), integer
        """
        xp, n = array_namespace(self.like), self.sizes[mode]
        l, c = left.shape[-2], right.shape[-2]
        step = max(1, BLOCK // (l * n * max(1, math.prod(self.batch))))
        middle = xp.arange(n, dtype=xp.int64, device=device(left))[:, None, None]
        parts = []
        for start in range(0, c, step):
            some = right[..., start : min(start + step, c), :]
            shape = (*self.batch, l, n, some.shape[-2])
            digits = (left[..., :, None, None, :], middle, some[..., None, None, :, :])  # (..., l, n, c, modes)
            full = xp.concat([xp.broadcast_to(d, (*shape, d.shape[-1])) for d in digits], axis=-1)
            flat = xp.reshape(full, (*self.batch, math.prod(shape[-3:]), len(self.sizes)))
            parts.append(xp.reshape(self.entries(flat), shape))
        return xp.concat(parts, axis=-1)


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
    for size in reversed(sizes):  # the last index runs fastest
        digits.append(positions % size)
        positions = positions // size
    if not digits:
        return xp.zeros((*positions.shape, 0), dtype=xp.int64, device=device(positions))
    return xp.stack(digits[::-1], axis=-1)


def suffixed(left: Array, chosen: Array, n: int) -> Array:
    """Return the multi-indices (..., s, k + 1) of chosen rows (..., s), pairs (one in (..., l, k), index below n)."""
    xp = array_namespace(left)
    kept = gather_rows(left, (chosen // n)[..., None])[..., 0, :]
    return xp.concat([kept, (chosen % n)[..., None]], axis=-1)


def prefixed(right: Array, chosen: Array) -> Array:
    """Return the multi-indices (..., s, k + 1) of chosen rows (..., s), pairs (index, one in (..., l, k))."""
    xp, count = array_namespace(right), right.shape[-2]
    kept = gather_rows(right, (chosen % count)[..., None])[..., 0, :]
    return xp.concat([(chosen // count)[..., None], kept], axis=-1)


def united(some: Array, others: Array) -> Array:
    """Put two lists of multi-indices (..., m, k) one after the other."""
    xp = array_namespace(some, others)
    batch = broadcast_shape(some.shape[:-2], others.shape[:-2])
    return xp.concat([xp.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (some, others)], axis=-2)
