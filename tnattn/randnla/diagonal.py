"""Diagonals and traces of square matrices, where no product has to be spent on them."""

from __future__ import annotations

from tnattn.arrays import Array, accumulator_dtype, array_namespace
from tnattn.randnla.host_operator import HostOperator
from tnattn.randnla.operand import EntriesOperator
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.dense import Dense
from tnattn.structured.low_rank import Factored


def diagonal_at_hand(a: StructuredMatrix) -> Array | None:
    """Return the diagonals (..., n) of arrays, entries on demand and sparse matrices, None for anything else."""
    if isinstance(a, EntriesOperator):
        return a.diagonal()
    if isinstance(a, Dense):
        return array_namespace(a.array).linalg.diagonal(a.array)
    if isinstance(a, HostOperator) and a.sparse:
        return array_namespace(a.like).asarray(a.operator.diagonal())
    return None


def trace_at_hand(a: StructuredMatrix) -> Array | None:
    """Return traces (...), summed in float64 where the device has it; None where they would cost products.

    Known of arrays, entries on demand, factored matrices, and SciPy's sparse matrices; O(n), or O(n r) for r columns in
    the factors.
    """
    xp = array_namespace(a.like)
    if isinstance(a, Factored):
        left, right = a.factors()
        parts = xp.sum(left * right.mT, axis=-1)
    else:
        diagonal = diagonal_at_hand(a)
        if diagonal is None:
            return None
        parts = diagonal
    return xp.sum(xp.astype(parts, accumulator_dtype(parts), copy=False), axis=-1)
