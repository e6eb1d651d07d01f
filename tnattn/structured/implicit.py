"""Implicit symmetric matrices: diagonals and columns are computed when they are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from tnattn.arrays import Array, array_namespace, broadcast_shape, check_finite, device
from tnattn.structured.base import StructuredMatrix

_BLOCK = 1 << 22  # entries evaluated at a time by a product: 32 MB of float64


@runtime_checkable
class KernelEntries(Protocol):
    """A stack of square symmetric matrices known by their entries: O(n) storage instead of O(n^2).

    ``shape`` is (..., n, n) and ``like`` any array of the library, device and dtype of the entries.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Batch axes followed by n and n."""

    @property
    def like(self) -> Array:
        """An array of the library, device and dtype."""

    def diagonal(self) -> Array:
        """Return the diagonals, (..., n)."""

    def columns(self, indices: Array) -> Array:
        """Return the columns (..., n, b) at integer indices (..., b), each matrix having its own."""


@runtime_checkable
class PrincipalEntries(Protocol):
    """Implicit entries whose principal submatrices cost less than their columns; see ``KernelEntries``."""

    def principal(self, indices: Array) -> Array:
        """Return the entries (..., b, b) among integer indices (..., b), each matrix having its own."""


@runtime_checkable
class InexactEntries(Protocol):
    """Implicit entries with errors beyond the rounding of numbers of their size; see ``KernelEntries``."""

    def accuracy(self) -> Array:
        """Return bounds (...) of the errors of the entries, relative to the largest diagonal entry."""


@dataclass(frozen=True, eq=False, repr=False)
class EntriesOperator(StructuredMatrix):
    """Matrices known by their entries; a product evaluates blocks of columns and keeps none.

    Diagonals and columns with NaN or infinite entries raise ValueError.

    Parameters
    ----------
    entries_on_demand : KernelEntries

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured import GaussianKernel
    >>> matrix = EntriesOperator(GaussianKernel(np.zeros((1000, 3))))
    >>> matrix.storage, float((matrix @ np.ones(1000))[0])
    (0, 1000.0)
    """

    entries_on_demand: KernelEntries

    def __post_init__(self) -> None:
        if len(self.shape) < 2 or self.shape[-1] != self.shape[-2]:
            raise ValueError(f"entries on demand have shape {self.shape}; (..., n, n) is needed")

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(size) for size in self.entries_on_demand.shape)

    @property
    def like(self) -> Array:
        return self.entries_on_demand.like

    @property
    def storage(self) -> int:
        return 0  # the data of the formula belong to the caller

    @property
    def mT(self) -> EntriesOperator:
        return self

    @property
    def symmetric(self) -> bool:
        return True

    def diagonal(self) -> Array:
        """Return the diagonals, (..., n)."""
        diagonal = self.entries_on_demand.diagonal()
        check_finite(diagonal, f"the diagonal of the {self.shape} entries on demand")
        return diagonal

    def columns(self, indices: Array) -> Array:
        """Return the columns (..., n, b) at indices (..., b)."""
        shape = (*broadcast_shape(self.batch, indices.shape[:-1]), indices.shape[-1])
        indices = array_namespace(self.like).broadcast_to(indices, shape)
        # checked at every read: no constructor can look at entries that do not exist yet
        columns = self.entries_on_demand.columns(indices)
        check_finite(columns, f"a block of columns of the {self.shape} entries on demand")
        return columns

    def rows(self, indices: Array) -> Array:
        return self.columns(indices).mT

    def principal(self, indices: Array) -> Array | None:
        source = self.entries_on_demand
        return source.principal(indices) if isinstance(source, PrincipalEntries) else None

    def entry_accuracy(self) -> Array | float:
        source = self.entries_on_demand
        return source.accuracy() if isinstance(source, InexactEntries) else 0.0

    def _blocks(self) -> list[tuple[slice, Array]]:
        xp = array_namespace(self.like)
        n = self.shape[-1]
        step = max(1, _BLOCK // (n * self.count))  # columns at a time
        spans = [slice(start, min(start + step, n)) for start in range(0, n, step)]
        return [(span, xp.arange(span.start, span.stop, device=device(self.like))) for span in spans]

    def _matmul(self, x: Array) -> Array:
        total = None
        for span, indices in self._blocks():
            part = self.columns(indices) @ x[..., span, :]
            total = part if total is None else total + part
        return total

    def _rmatmul(self, y: Array) -> Array:
        return self._matmul(y)  # symmetric

    def to_dense(self) -> Array:
        xp = array_namespace(self.like)
        return xp.concat([self.columns(indices) for _, indices in self._blocks()], axis=-1)

    def matmul_flops(self, columns: int) -> int:
        return 2 * columns * self.count * self.shape[-1] ** 2
