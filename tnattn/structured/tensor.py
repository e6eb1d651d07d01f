"""Base class of structured tensors, and their matricisations, which multiply without being formed."""

from __future__ import annotations

import abc
import importlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import opt_einsum

from tnattn.arrays import Array, array_namespace, broadcast_shape, expanded, require_floating, widened
from tnattn.display import as_html
from tnattn.scalars import Parameters, as_integer
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.network import MODES as MODES
from tnattn.structured.network import Term as Term
from tnattn.structured.network import contracted, network_norm

COLUMN = "Z"  # the letter of the columns of a right factor


class StructuredTensor(Parameters, abc.ABC):
    """A stack of tensors, immutable; the last ``order`` axes are the modes, all others batch.

    A subclass gives its tensor network: a list of arrays with one letter for each of their trailing axes, mode j being
    ``MODES[j]``. The dense form, norms and products follow. It unpacks as TensorLy's tuple of its kind does.
    """

    # fields that are proportional to a power of the tensor, with that power; of a tuple of arrays the last one
    degrees: ClassVar[Mapping[str, float]] = {}

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Batch axes followed by the mode sizes."""

    @property
    @abc.abstractmethod
    def order(self) -> int:
        """Number of modes."""

    @property
    @abc.abstractmethod
    def storage(self) -> int:
        """Stored scalars over the whole stack."""

    @abc.abstractmethod
    def network(self) -> list[Term]:
        """Letters and arrays whose contraction is the tensor; batch axes lead in each array."""

    @abc.abstractmethod
    def slices(self, mode: int = 0) -> StructuredMatrix:
        """Return the slices of a tensor of order three as a stack (..., n_mode, m, n) of structured matrices.

        Slice i fixes the index of ``mode`` to i; rows and columns are the two other modes in their order. The stack
        multiplies without forming a slice.
        """

    @abc.abstractmethod
    def __iter__(self) -> Iterator[Any]:
        """Unpack as TensorLy's tuple of this kind does."""

    @abc.abstractmethod
    def to_tensorly(self) -> Any:
        """Return the same arrays as a TensorLy tensor; no copy. TensorLy knows no stacks."""

    @classmethod
    @abc.abstractmethod
    def from_tensorly(cls, tensor: Any) -> StructuredTensor:
        """Return the same arrays as a structured tensor, from a TensorLy tensor or a tuple of its form; no copy."""

    @property
    @final
    def like(self) -> Array:
        """One of the arrays that represent it, for its library, device and dtype."""
        return self.network()[0][1]

    @property
    @final
    def dtype(self) -> Any:
        """Data type of the entries."""
        return self.like.dtype

    @property
    @final
    def batch(self) -> tuple[int, ...]:
        """Shape of the stack without the modes."""
        return self.shape[: len(self.shape) - self.order]

    @property
    @final
    def sizes(self) -> tuple[int, ...]:
        """Sizes of the modes."""
        return self.shape[len(self.shape) - self.order :]

    @property
    @final
    def compression(self) -> float:
        """Entries of the stack divided by the scalars stored for it; below 1 it stores more than the tensor itself."""
        return math.prod(self.shape) / self.storage

    @final
    def to_dense(self) -> Array:
        """Return the stack as one array, which the caller may write to."""
        terms = self.network()
        formed = contracted(terms, MODES[: self.order])
        if len(terms) == 1:  # nothing was multiplied: a view of the only array
            formed = array_namespace(formed).asarray(formed, copy=True)
        return expanded(formed, self.shape)

    def norm(self) -> Array:
        """Return the Frobenius norms (...), to rounding of the terms that the tensor is a sum of.

        See :func:`tnattn.structured.network.network_norm`; a tensor of more than four million entries after
        compression loses half of the digits where its terms cancel.
        """
        norm = network_norm([(letters, widened(array)) for letters, array in self.network()], self.batch)
        return array_namespace(norm).astype(norm, self.dtype, copy=False)

    @final
    def as_matrix(self, rows: Sequence[int], columns: Sequence[int]) -> StructuredMatrix:
        """Return the matricisation with some modes as rows and the others as columns, the last running fastest.

        Raises
        ------
        ValueError
            If ``rows`` and ``columns`` together are not all modes, each once.
        """
        rows, columns = (tuple(as_integer(j, "a mode") for j in modes) for modes in (rows, columns))
        if sorted(rows + columns) != list(range(self.order)):
            raise ValueError(
                f"rows {rows} and columns {columns} must split the modes 0 ... {self.order - 1}; name each mode once"
            )
        return TensorMatrix(self, rows, columns)

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self.shape}"

    def _repr_html_(self) -> str:
        return as_html(self)

    def _single(self) -> Self:
        """Return the tensor itself; raise ValueError if it is a stack."""
        if self.batch:
            raise ValueError(f"TensorLy knows no stacks; this one has batch shape {self.batch}; convert one by one")
        return self

    def _sliced_mode(self, mode: int) -> int:
        """Return the mode whose index numbers slices, of a tensor of order three."""
        mode = as_integer(mode, "mode")
        if self.order != 3:
            raise ValueError(f"slices are matrices for tensors of order 3; this one has order {self.order}; as_matrix")
        if not 0 <= mode < 3:
            raise ValueError(f"mode {mode} is outside 0 ... 2; choose the mode whose index numbers the slices")
        return mode


@dataclass(frozen=True, eq=False, repr=False)
class TensorMatrix(StructuredMatrix):
    """A matricisation of a structured tensor, sharing its storage; see ``StructuredTensor.as_matrix``.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured.cp import CPTensor
    >>> tensor = CPTensor(np.ones(1), (np.ones((10, 1)), np.ones((20, 1)), np.ones((30, 1))))
    >>> unfolding = tensor.as_matrix((1,), (0, 2))
    >>> unfolding, unfolding.storage
    (TensorMatrix(20, 300), 61)
    >>> (unfolding @ np.ones(300))[:2]
    array([300., 300.])
    """

    tensor: StructuredTensor
    row_modes: tuple[int, ...]
    column_modes: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        sizes = self.tensor.sizes
        row_count, column_count = (math.prod(sizes[j] for j in modes) for modes in (self.row_modes, self.column_modes))
        return (*self.tensor.batch, row_count, column_count)

    @property
    def like(self) -> Array:
        return self.tensor.like

    @property
    def storage(self) -> int:
        return self.tensor.storage

    def _matmul(self, x: Array) -> Array:
        return self._product(x, self.column_modes, self.row_modes)

    def _rmatmul(self, y: Array) -> Array:
        return self._product(y, self.row_modes, self.column_modes)

    def _product(self, x: Array, summed: tuple[int, ...], kept: tuple[int, ...]) -> Array:
        xp, sizes = array_namespace(x), self.tensor.sizes
        folded = xp.reshape(x, (*x.shape[:-2], *(sizes[j] for j in summed), x.shape[-1]))
        # the right factor is one more term of the network, with the summed modes and a letter for its columns
        terms = [*self.tensor.network(), ("".join(MODES[j] for j in summed) + COLUMN, folded)]
        product = contracted(terms, "".join(MODES[j] for j in kept) + COLUMN)
        batch = broadcast_shape(self.tensor.batch, tuple(x.shape[:-2]))
        wide = expanded(product, (*batch, *product.shape[product.ndim - len(kept) - 1 :]))
        return xp.reshape(wide, (*batch, math.prod(sizes[j] for j in kept), x.shape[-1]))

    def to_dense(self) -> Array:
        xp, dense = array_namespace(self.tensor.like), self.tensor.to_dense()
        first = len(self.tensor.batch)
        moved = xp.permute_dims(dense, (*range(first), *(first + j for j in (*self.row_modes, *self.column_modes))))
        return xp.reshape(moved, self.shape)

    def matmul_flops(self, columns: int) -> int:
        terms = self.tensor.network()
        sizes = self.tensor.sizes
        inputs = [letters for letters, _ in terms] + ["".join(MODES[j] for j in self.column_modes) + COLUMN]
        shapes = [tuple(a.shape[a.ndim - len(letters) :]) for letters, a in terms]
        shapes.append((*(sizes[j] for j in self.column_modes), columns))
        output = "".join(MODES[j] for j in self.row_modes) + COLUMN
        # the path that contract takes, of one tensor of the stack
        _, plan = opt_einsum.contract_path(f"{','.join(inputs)}->{output}", *shapes, shapes=True)
        return int(plan.opt_cost) * self.count


def require_agreeing_batches(arrays: Sequence[Array], trailing: Sequence[int]) -> tuple[int, ...]:
    """Return the common batch shape of arrays of which the last ``trailing`` axes are not batch.

    Raises
    ------
    ValueError
        If the batch axes do not broadcast.
    """
    batches = [tuple(a.shape[: a.ndim - t]) for a, t in zip(arrays, trailing, strict=True)]
    try:
        return broadcast_shape(*batches)
    except ValueError as error:
        raise ValueError(f"batch axes {batches} do not broadcast; give all parts the same leading axes") from error


def require_real(**parts: Array | tuple[Array, ...]) -> None:
    """Raise TypeError unless all arrays of a tensor hold real floating-point numbers."""
    for name, part in parts.items():
        for array in part if isinstance(part, tuple) else (part,):
            require_floating(array, name)


def tensorly(module: str) -> Any:
    """Return a module of TensorLy, imported when it is first wanted."""
    return importlib.import_module(f"tensorly.{module}")
