"""Decompositions are values: frozen dataclasses whose fields are parameters and whose call runs them."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self, final

from tnattn.arrays import Array, Rng, dtype_name, eps, is_array, plain_array, require_floating
from tnattn.decomposition.entries import EntryTensor
from tnattn.decomposition.tensor_units import restored_tensor, scaled
from tnattn.device_budget import Budgeted, DeviceBudget, DeviceCounts
from tnattn.scalars import Parameters, as_integer
from tnattn.structured.tensor import StructuredTensor


@dataclass(frozen=True)
class Decomposition(Budgeted, Parameters, abc.ABC):
    """A way to write a tensor in few parameters.

    Parameters
    ----------
    order : int
        At least 2; the trailing ``order`` axes of a tensor are its modes, the rest are batch.
    """

    order: int = field(default=3, kw_only=True)

    reads_entries: ClassVar[bool] = False  # accepts implicit tensors, of type EntryTensor
    exact_at_full_rank: ClassVar[bool] = True  # the largest ranks of ``with_rank`` reproduce every tensor
    recovers_rank: ClassVar[bool] = True  # rank r reproduces a sum of r outer products of vectors
    recovery: ClassVar[float] = 1e-6  # relative error of that reproduction; larger for iterations that stop early
    certifies: ClassVar[bool] = True  # ``error_certificate`` of the result bounds its error
    # relation of ``residual`` of the result to its relative error
    residual_is: ClassVar[Literal["the error", "an upper bound", "an estimate"]] = "the error"
    quasi_optimal: ClassVar[bool] = False  # error^2 <= sum of the squared SVD tails of all unfoldings
    lowers_rank: ClassVar[bool] = False  # a rank above the largest admissible one is lowered, not refused

    device_budget: ClassVar[DeviceBudget] = DeviceBudget(
        DeviceCounts(60, waits=4, copies=2), {"mode": DeviceCounts(70, waits=3, copies=1)}
    )

    @final
    def __call__(self, tensor: Array | EntryTensor, *, rng: Rng | None = None) -> StructuredTensor:
        """Decompose a stack of tensors.

        Parameters
        ----------
        tensor : Array, (..., n_0, ..., n_{order-1}), float32 or float64, finite
            Decompositions that read entries take an implicit ``EntryTensor`` too, not checked for finiteness.
        rng : numpy.random.Generator or DeviceDraws
            Needed by randomized decompositions only.

        Raises
        ------
        TypeError
            If ``tensor`` is no array of float32 or float64, or a randomized decomposition gets no generator.
        ValueError
            If an entry is not finite, a mode is empty, or ranks or tolerance do not fit the tensor.
        """
        implicit = isinstance(tensor, EntryTensor)
        if not is_array(tensor) and not (implicit and self.reads_entries):
            cure = "use TTCross, which reads entries" if implicit else "convert it with numpy.asarray(...)"
            raise TypeError(f"tensor must be an array; got {type(tensor).__name__}; {cure}")
        if not isinstance(tensor, EntryTensor):
            tensor = plain_array(tensor, "tensor")
        require_single_or_double(tensor.like if isinstance(tensor, EntryTensor) else tensor, "tensor")
        shape = tuple(int(n) for n in tensor.shape)
        if len(shape) < self.order:
            raise ValueError(f"tensor has shape {shape}, fewer axes than order {self.order}; reduce order")
        if min(shape) == 0:
            raise ValueError(f"tensor has shape {shape}; every axis must have at least one entry; drop the empty ones")
        self._require_fit(tensor)
        if isinstance(tensor, EntryTensor):
            return restored_tensor(self.decompose(tensor, rng=rng), None)  # CountedEntries has scaled the entries read
        # by a power of two, which is exact: no algorithm below has to guard its sums of squares
        harmless, exponent = scaled(tensor, order=self.order)
        # a tensor left alone needs no product with 1 for every array of the result
        return restored_tensor(self.decompose(harmless, rng=rng), None if harmless is tensor else exponent)

    @abc.abstractmethod
    def decompose(self, tensor: Array, *, rng: Rng | None) -> StructuredTensor:
        """Decompose a tensor that has been checked and whose entries have harmless squares; see ``__call__``.

        The call scales a tensor by a power of two where squares of its entries would leave the range of the dtype, and
        the fields of the result named in its ``degrees`` back. It copies the arrays of the result, so that they may
        be views of the tensor, or broadcast.
        """

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        return {"mode": self.order}

    @abc.abstractmethod
    def with_rank(self, rank: int, sizes: Sequence[int]) -> Self:
        """Return the same decomposition with one number as its budget.

        Parameters
        ----------
        rank : int
            Wanted in every mode or bond.
        sizes : sequence of int, (order,)
            Mode sizes; a mode or bond that admits less gets the largest rank that it admits.
        """

    def _require_fit(self, tensor: Array) -> None:
        """Raise ValueError unless ranks and tolerance fit a tensor; by default every tensor is accepted."""
        return None

    def __post_init__(self) -> None:
        require_at_least("order", self.order, low=2, cure="a vector has nothing to decompose")


def as_rank(rank: int) -> int:
    """Return a rank as a Python integer; raise TypeError if it is none, ValueError if it is not positive."""
    return as_integer(rank, "rank", least=1, cure="keep at least one")


def require_single_or_double(x: Array, name: str) -> None:
    """Raise TypeError unless an array is of float32 or float64: half precision holds no sum of squares."""
    require_floating(x, name)
    if eps(x) > eps("float32"):
        raise TypeError(f"{name} has dtype {dtype_name(x.dtype)}; convert it to float32 or float64")


def require_at_least(name: str, value: int, *, low: int, cure: str) -> None:
    """Raise unless a field is an integer that is large enough."""
    as_integer(value, name, least=low, cure=cure)
