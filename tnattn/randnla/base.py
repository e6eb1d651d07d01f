"""The contract of every matrix method: a value whose call factorises a stack of matrices."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, Self, final

from tnattn.arrays import Rng
from tnattn.randnla.operand import as_structured
from tnattn.scalars import Parameters
from tnattn.structured.base import StructuredMatrix


def rank_budget(default: int) -> Any:
    """Declare the field that says how large a factorisation may be."""
    return dataclasses.field(default=default, metadata={"budget": True})


class MatrixMethod(Parameters, abc.ABC):
    """A way to approximate matrices. A subclass is a frozen dataclass; ``cls()`` must work."""

    @final
    def __call__(self, a: Any, *, rng: Rng | None = None) -> StructuredMatrix:
        """Approximate a matrix or each matrix of a stack.

        Parameters
        ----------
        a : Array (..., m, n), StructuredMatrix, scipy.sparse matrix, LinearOperator, or KernelEntries
            Real floating, no axis of length 0. Arrays must be finite; operators are not checked.
        rng : numpy.random.Generator or DeviceDraws
            Needed by randomized methods only.

        Returns
        -------
        StructuredMatrix
            Of the shape, dtype, library and device of ``a``, with what was realised as typed fields.

        Raises
        ------
        TypeError
            If ``a`` is of another kind or not floating, or a randomized method gets no generator.
        ValueError
            If ``a`` has fewer than two axes, is empty or not finite, or the rank does not fit it.
        """
        return self.factorise(as_structured(a), rng=rng)

    @abc.abstractmethod
    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> StructuredMatrix:
        """Approximate a matrix whose kind, shape and dtype have been checked; see ``__call__``."""

    @property
    def budget(self) -> int:
        """The rank that the method may spend."""
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
    """Return the names that lead to the budget field, looking into fields that are themselves dataclasses."""
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
    name, *rest = path
    return dataclasses.replace(method, **{name: _with_value(getattr(method, name), rest, value) if rest else value})
