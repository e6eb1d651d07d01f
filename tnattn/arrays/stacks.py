"""Loops over the matrices of a stack: one after the other on the host, all at once on a device."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

from tnattn.arrays.libraries import Array, array_namespace
from tnattn.arrays.threads import parallel_map, runs_on_host


class Part:
    """A matrix of a stack, or the stack itself, picked out of arrays with the same batch axes.

    Parameters
    ----------
    batch : tuple of int
        Shape of the stack.
    index : tuple of int, optional
        Place of the matrix; None for the stack.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.arrays import Part
    >>> Part((2, 3), (1, 0)).of(np.arange(12.0).reshape(2, 1, 3, 2))[0]
    array([6., 7.])
    """

    def __init__(self, batch: tuple[int, ...], index: tuple[int, ...] | None) -> None:
        self.batch, self.index = batch, index

    def of(self, x: Array, axes: int = 2) -> Array:
        """Return the part of an array whose batch axes, all but the last ``axes``, broadcast to those of the stack."""
        if self.index is None:
            return x
        wide = array_namespace(x).broadcast_to(x, (*self.batch, *x.shape[x.ndim - axes :]))
        return wide[(*self.index, ...)]


def each_matrix(work: Callable[[Part], tuple[Array, ...]], batch: tuple[int, ...], *, like: Array) -> tuple[Array, ...]:
    """Return the results of a function of the parts of a stack, with the batch axes of the stack.

    Parameters
    ----------
    work : callable
        From a part to arrays, whose shapes are those of one matrix if the part is one.
    batch : tuple of int
    like : Array
        Decides: threads of the host take one matrix each, whose temporary arrays exist once per thread and stay in
        cache. A device, or a stack without matrices, gets one call for the stack.
    """
    if not runs_on_host(like) or math.prod(batch) == 0:
        return work(Part(batch, None))
    parts = [Part(batch, index) for index in itertools.product(*(range(size) for size in batch))]
    results = parallel_map(work, parts, like=like)
    if not batch:
        return results[0]
    xp = array_namespace(like)
    return tuple(xp.reshape(xp.stack(column), (*batch, *column[0].shape)) for column in zip(*results, strict=True))
