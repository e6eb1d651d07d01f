"""Columns and rows of stacks of matrices at indices, each matrix having its own."""

from __future__ import annotations

import math
from typing import Any, Protocol, runtime_checkable

from tnattn.arrays import Array, array_namespace, device
from tnattn.randnla.operand import EntriesOperator
from tnattn.structured.base import StructuredMatrix, Transposed
from tnattn.structured.dense import Dense
from tnattn.structured.low_rank import Factored
from tnattn.structured.selection import Selection
from tnattn.structured.sparse import gather_rows


@runtime_checkable
class PrincipalEntries(Protocol):
    """Entries on demand that give those where some rows and columns meet without the columns; see ``KernelEntries``."""

    def principal(self, indices: Array) -> Array:
        """Return the entries (..., b, b) among integer indices (..., b), each matrix having its own."""


@runtime_checkable
class InexactEntries(Protocol):
    """Entries on demand that are wrong by more than the rounding of a number of their size; see ``KernelEntries``."""

    def accuracy(self) -> Array:
        """Return bounds (...) of the errors of the entries, relative to the largest diagonal entry."""


def entry_accuracy(a: Any) -> Any:
    """Return the errors (...) of the entries of matrices relative to the largest diagonal entry; 0.0 where rounded."""
    source = a.entries_on_demand if isinstance(a, EntriesOperator) else a
    return source.accuracy() if isinstance(source, InexactEntries) else 0.0


def take_columns(x: Array, indices: Array) -> Array:
    """Return the columns (..., m, b) of arrays (..., m, n) at indices (..., b)."""
    xp = array_namespace(x)
    *batch, m, n = x.shape
    start = xp.reshape(xp.arange(math.prod(batch) * m, device=device(x)) * n, (*batch, m, 1))
    flat = start + indices[..., None, :]
    return xp.reshape(xp.take(xp.reshape(x, (-1,)), xp.reshape(flat, (-1,))), flat.shape)


def take_rows(x: Array, indices: Array) -> Array:
    """Return the rows (..., b, n) of arrays (..., m, n) at indices (..., b)."""
    return gather_rows(x, indices[..., None])[..., 0, :]


def columns_at(a: StructuredMatrix, indices: Array) -> Array:
    """Return the columns (..., m, b) of matrices at indices (..., b).

    Entries are read where they are at hand; of an operator, the columns are its products with unit vectors.
    """
    if isinstance(a, Dense):
        return take_columns(a.array, indices)
    if isinstance(a, EntriesOperator):
        return a.columns(indices)
    if isinstance(a, Transposed):
        return rows_at(a.mT, indices).mT
    if isinstance(a, Factored):
        left, right = a.factors()
        return left @ take_columns(right, indices)
    return a @ Selection(indices, a.shape[-1], a.like).to_dense().mT


def rows_at(a: StructuredMatrix, indices: Array) -> Array:
    """Return the rows (..., b, n) of matrices at indices (..., b); see ``columns_at``."""
    if isinstance(a, Dense):
        return take_rows(a.array, indices)
    if isinstance(a, EntriesOperator):  # symmetric
        return a.columns(indices).mT
    if isinstance(a, Transposed):
        return columns_at(a.mT, indices).mT
    if isinstance(a, Factored):
        left, right = a.factors()
        return take_rows(left, indices) @ right
    return (a.mT @ Selection(indices, a.shape[-2], a.like).to_dense().mT).mT
