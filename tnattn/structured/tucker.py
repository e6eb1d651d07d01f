"""Tucker tensors: a small core multiplied by a factor matrix in every mode."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tnattn.arrays import Array, contract
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.composite import Product
from tnattn.structured.dense import Dense
from tnattn.structured.tensor import MODES, StructuredTensor, Term, require_agreeing_batches, require_real, tensorly


@dataclass(frozen=True, eq=False, repr=False)
class TuckerTensor(StructuredTensor):
    """A stack of tensors ``core x_0 U_0 x_1 U_1 ...``; unpacks as ``core, factors``.

    Parameters
    ----------
    core : Array, (..., r_0, ..., r_{d-1})
    factors : tuple of Array, (..., n_j, r_j)

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured.tucker import TuckerTensor
    >>> factor = np.eye(10, 2)
    >>> tensor = TuckerTensor(np.arange(8.0).reshape(2, 2, 2), (factor, factor, factor))
    >>> tensor.sizes, tensor.largest_ranks, tensor.storage, round(tensor.compression, 1)
    ((10, 10, 10), (2, 2, 2), 68, 14.7)
    >>> core, factors = tensor
    >>> round(float(tensor.norm() / np.linalg.norm(core)), 4)  # orthonormal factors keep the norm
    1.0
    """

    core: Array
    factors: tuple[Array, ...]

    degrees: ClassVar[Mapping[str, float]] = {"core": 1.0}

    def __post_init__(self) -> None:
        object.__setattr__(self, "factors", tuple(self.factors))
        require_real(core=self.core, factors=self.factors)
        order = len(self.factors)
        # letters for modes, bonds and their mirror images: see network.py
        if not 1 <= order <= 12 or self.core.ndim < order:
            raise ValueError(
                f"{order} factors do not fit a core of shape {tuple(self.core.shape)}; give one per mode, 12 at most"
            )
        widths, core = tuple(int(u.shape[-1]) for u in self.factors), tuple(self.core.shape[-order:])
        if widths != core:
            raise ValueError(f"factors have {widths} columns and the core has sizes {core}; they must agree")
        require_agreeing_batches((self.core, *self.factors), (order, *(2 for _ in self.factors)))

    @property
    def order(self) -> int:
        return len(self.factors)

    @property
    def largest_ranks(self) -> tuple[int, ...]:
        """Sizes of the core: the largest multilinear ranks in the stack."""
        return tuple(int(u.shape[-1]) for u in self.factors)

    @property
    def shape(self) -> tuple[int, ...]:
        batch = require_agreeing_batches((self.core, *self.factors), (self.order, *(2 for _ in self.factors)))
        return (*batch, *(int(u.shape[-2]) for u in self.factors))

    @property
    def storage(self) -> int:
        return sum(math.prod(part.shape) for part in (self.core, *self.factors))

    def network(self) -> list[Term]:
        bonds = MODES[: self.order].upper()  # bond j joins the core and factor j
        return [(bonds, self.core), *((MODES[j] + bonds[j], u) for j, u in enumerate(self.factors))]

    def slices(self, mode: int = 0) -> StructuredMatrix:
        """Return slice i as ``U_rows (core x_mode u_i) U_columns^T``, of which only the middle differs in i.

        Storage n_mode r_rows r_columns + m r_rows + n r_columns; see ``StructuredTensor.slices``.
        """
        mode = self._sliced_mode(mode)
        rows, columns = (j for j in range(3) if j != mode)
        bonds, chosen = "ABC", MODES[mode] + "ABC"[mode]
        middle = contract(
            f"...{bonds},...{chosen}->...{MODES[mode]}{bonds[rows]}{bonds[columns]}", self.core, self.factors[mode]
        )
        # axis -3 numbers the slices, of which all share the outer factors
        left, right = self.factors[rows][..., None, :, :], self.factors[columns][..., None, :, :]
        return Product(Dense(left), Product(Dense(middle), Dense(right.mT)))

    def __iter__(self) -> Iterator[Any]:
        yield self.core
        yield list(self.factors)

    def to_tensorly(self) -> Any:
        return tensorly("tucker_tensor").TuckerTensor((self._single().core, list(self.factors)))

    @classmethod
    def from_tensorly(cls, tensor: Any) -> TuckerTensor:
        core, factors = tensor
        return TuckerTensor(core, tuple(factors))
