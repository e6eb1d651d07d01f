"""Tensor trains: chains of cores of order three."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tnattn.arrays import Array, contract
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.composite import Product
from tnattn.structured.dense import Dense
from tnattn.structured.low_rank import LowRank
from tnattn.structured.tensor import MODES, StructuredTensor, Term, require_agreeing_batches, tensorly


@dataclass(frozen=True, eq=False, repr=False)
class TensorTrain(StructuredTensor):
    """A stack of tensors whose entries are products of matrices ``G_0[i_0] G_1[i_1] ...``; iterates over its cores.

    Parameters
    ----------
    cores : tuple of Array, (..., r_j, n_j, r_{j+1})
        ``r_0 = r_d = 1``.
    """

    cores: tuple[Array, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "cores", tuple(self.cores))
        if not 1 <= len(self.cores) <= 11 or any(core.ndim < 3 for core in self.cores):
            shapes = [tuple(core.shape) for core in self.cores]
            raise ValueError(f"cores have shapes {shapes}; give 1 to 11 cores with at least three axes")
        left = [int(core.shape[-3]) for core in self.cores]
        right = [int(core.shape[-1]) for core in self.cores]
        if left[0] != 1 or right[-1] != 1 or left[1:] != right[:-1]:
            raise ValueError(
                f"cores have left ranks {left} and right ranks {right}; neighbours must agree, and both ends be 1"
            )
        self._batch()

    def _batch(self) -> tuple[int, ...]:
        return require_agreeing_batches(self.cores, [3] * len(self.cores))

    @property
    def order(self) -> int:
        return len(self.cores)

    @property
    def ranks(self) -> tuple[int, ...]:
        """Sizes of the inner bonds, one fewer than modes: the largest in the stack."""
        return tuple(int(core.shape[-1]) for core in self.cores[:-1])

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self._batch(), *(int(core.shape[-2]) for core in self.cores))

    @property
    def storage(self) -> int:
        return sum(math.prod(core.shape) for core in self.cores)

    def network(self) -> list[Term]:
        bonds = MODES.upper()
        return [(bonds[j] + MODES[j] + bonds[j + 1], core) for j, core in enumerate(self.cores)]

    def slices(self, mode: int = 0) -> StructuredMatrix:
        """Return slice i with the core of ``mode`` fixed to i: between its neighbours, or absorbed by the only one.

        Storage m r + n_mode r r' + n r' for the middle mode; at an end the neighbour is absorbed, n_mode m r.
        """
        self._require_order_three(mode)
        first, middle, last = self.cores
        head, tail = first[..., 0, :, :], last[..., 0]  # (..., n_0, r_1), (..., r_2, n_2)
        if mode == 0:
            return LowRank(contract("...ab,...bmc->...amc", head, middle), tail[..., None, :, :])
        if mode == 2:
            return LowRank(head[..., None, :, :], contract("...amb,...bc->...cam", middle, tail))
        chosen = contract("...ami->...mai", middle)
        return Product(Dense(head[..., None, :, :]), Product(Dense(chosen), Dense(tail[..., None, :, :])))

    def __iter__(self) -> Iterator[Any]:
        return iter(self.cores)

    def __len__(self) -> int:
        return self.order

    def to_tensorly(self) -> Any:
        return tensorly("tt_tensor").TTTensor(list(self._single().cores))

    @classmethod
    def from_tensorly(cls, tensor: Any) -> TensorTrain:
        return TensorTrain(tuple(tensor))
