"""Base class of the methods that approximate matrices: a frozen value whose call factorises a stack."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, ClassVar, Literal, Self, final

from tnattn.arrays import Rng
from tnattn.device_budget import Budgeted, DeviceBudget, DeviceCounts
from tnattn.randnla.units import in_units, require_resolved_size, restored
from tnattn.scalars import Parameters
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.conversion import as_structured
from tnattn.structured.dense import Dense


def rank_budget(default: int) -> Any:
    """Declare the field that holds the size of a factorisation: its rank, or its number of columns."""
    return dataclasses.field(default=default, metadata={"budget": True})


class MatrixMethod(Budgeted, Parameters, abc.ABC):
    """Base of methods that approximate matrices. A subclass is a frozen dataclass; ``cls()`` must work.

    The class of its result states in ``degrees`` which fields scale with the matrix; see ``units.restored``.
    """

    domain: ClassVar[Literal["any", "symmetric", "semidefinite"]] = "any"  # matrices that it takes
    exact_at_full_rank: ClassVar[bool] = True
    recovers_rank: ClassVar[bool] = True  # matrices of the rank asked for come back exactly, whatever they are
    forms_matrix: ClassVar[bool] = False  # every matrix is made an array first, whose entries can be scaled
    rank_is_limit: ClassVar[bool] = False  # a rank beyond min(m, n) is admitted and not used up
    needs_full_rank: ClassVar[bool] = False  # matrices of a smaller rank than asked for are refused
    # norm of the error in ``residual``, relative to the same norm of the matrix; "estimate": of no norm exactly
    residual_norm: ClassVar[Literal["Frobenius", "trace", "largest entry", "estimate"]] = "Frobenius"

    device_budget: ClassVar[DeviceBudget] = DeviceBudget(DeviceCounts(280, waits=14, copies=5))  # a few passes

    @final
    def __call__(self, a: Any, *, rng: Rng | None = None) -> StructuredMatrix:
        """Approximate a matrix or each matrix of a stack.

        Parameters
        ----------
        a : Array (..., m, n), StructuredMatrix, scipy.sparse matrix, LinearOperator, or KernelEntries
            Of float32 or float64, no axis of length 0. Arrays must be finite, and so must the products of operators.
        rng : numpy.random.Generator or DeviceDraws
            Needed by randomized methods only.

        Returns
        -------
        StructuredMatrix
            Of the shape, dtype, library and device of ``a``, with what was realised as typed fields.

        Raises
        ------
        TypeError
            If ``a`` is of another kind or dtype, or a randomized method gets no generator.
        ValueError
            If ``a`` has fewer than two axes, is empty or not finite, or the rank does not fit it; if the result leaves
            the range of the dtype, or an operator has a norm whose square does.

        Notes
        -----
        Arrays, sparse and factored matrices with very large or small entries are scaled by powers of two on the way in
        and back on the way out: ``2^k a`` has the result of ``a``, scaled.
        """
        given = as_structured(a)  # the one place where kind, dtype and finiteness are checked
        if self.forms_matrix and not given.explicit:
            given = Dense(given.to_dense())
        matrix, unit = in_units(given)  # so that squares of entries neither overflow nor vanish
        result = restored(self.factorise(matrix, rng=rng), unit)
        if unit is None:  # an operator has not been scaled: its result shows overflow
            require_resolved_size(result, given)
        return result

    @abc.abstractmethod
    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> StructuredMatrix:
        """Approximate a matrix whose kind, shape and dtype have been checked; see ``__call__``."""

    @property
    def budget(self) -> int:
        """The rank of the method: the value of its field declared by ``rank_budget``."""
        value: Any = self
        for name in _budget_path(self):
            value = getattr(value, name)
        return int(value)

    def with_rank(self, rank: int) -> Self:
        """Return the same method at another rank.

        Raises
        ------
        ValueError
            If the method has no rank to set, or it is out of range.
        """
        changed: Self = _with_value(self, _budget_path(self), rank)
        return changed


def _budget_path(method: Any) -> list[str]:
    """Return the names that lead to the rank field, through fields that are themselves dataclasses."""
    fields = dataclasses.fields(method)
    for f in fields:
        if f.metadata.get("budget"):
            return [f.name]
    for f in fields:
        inner = getattr(method, f.name)
        if dataclasses.is_dataclass(inner) and any(g.metadata.get("budget") for g in dataclasses.fields(inner)):
            return [f.name, *_budget_path(inner)]
    raise ValueError(f"{type(method).__name__} has no rank field")


def _with_value(method: Any, path: list[str], value: int) -> Any:
    name, *inner = path
    return dataclasses.replace(method, **{name: _with_value(getattr(method, name), inner, value) if inner else value})
