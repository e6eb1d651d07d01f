"""Tucker tensors with factors in some modes only: Tucker-1, Tucker-2 and the like (Kolda and Bader 2009)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tnattn.arrays import Array, array_namespace, contract, device
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.composite import Product
from tnattn.structured.dense import Dense
from tnattn.structured.tensor import MODES, StructuredTensor, Term, require_agreeing_batches, require_real, tensorly
from tnattn.structured.tucker import TuckerTensor


@dataclass(frozen=True, eq=False, repr=False)
class PartialTuckerTensor(StructuredTensor):
    """A stack of tensors ``core x_j U_j`` over some modes j only; unpacks as ``core, factors``.

    Parameters
    ----------
    core : Array, (..., c_0, ..., c_{d-1})
        ``c_j`` is the rank of mode j if it has a factor, else its size.
    factors : tuple of Array, (..., n_j, r_j)
        One for each of ``modes``.
    modes : tuple of int
        The modes with a factor, ascending; one at least.
    mode_count : int
        Number of modes d, with and without factor.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured.partial_tucker import PartialTuckerTensor
    >>> rng = np.random.default_rng(0)
    >>> core, factor = rng.standard_normal((2, 3, 4)), rng.standard_normal((50, 3))
    >>> tensor = PartialTuckerTensor(core, (factor,), modes=(1,), mode_count=3)
    >>> tensor.sizes, tensor.storage, round(tensor.compression, 2)
    ((2, 50, 4), 174, 2.3)
    """

    core: Array
    factors: tuple[Array, ...]
    modes: tuple[int, ...]
    mode_count: int

    degrees: ClassVar[Mapping[str, float]] = {"core": 1.0}

    def __post_init__(self) -> None:
        object.__setattr__(self, "factors", tuple(self.factors))
        require_real(core=self.core, factors=self.factors)
        object.__setattr__(self, "modes", tuple(self.modes))
        if self.core.ndim < self.order or not 1 <= self.order <= 12:
            raise ValueError(
                f"a core of shape {tuple(self.core.shape)} has no {self.order} modes; give 1 to 12, as many as it has"
            )
        if not self.modes or list(self.modes) != sorted({j for j in self.modes if 0 <= j < self.order}):
            raise ValueError(f"modes are {self.modes}; name some of 0 ... {self.order - 1}, ascending, each once")
        widths = tuple(int(u.shape[-1]) for u in self.factors)
        core = tuple(int(self.core.shape[self.core.ndim - self.order + j]) for j in self.modes)
        if widths != core:
            raise ValueError(f"factors have {widths} columns and the core has sizes {core} in their modes; they differ")
        self._batch()

    def _batch(self) -> tuple[int, ...]:
        return require_agreeing_batches((self.core, *self.factors), (self.order, *(2 for _ in self.factors)))

    @property
    def order(self) -> int:
        return self.mode_count

    @property
    def largest_ranks(self) -> tuple[int, ...]:
        """Columns of the factors: the largest ranks in the stack."""
        return tuple(int(u.shape[-1]) for u in self.factors)

    @property
    def shape(self) -> tuple[int, ...]:
        sizes = list(self.core.shape[self.core.ndim - self.order :])
        for mode, factor in zip(self.modes, self.factors, strict=True):
            sizes[mode] = int(factor.shape[-2])
        return (*self._batch(), *sizes)

    @property
    def storage(self) -> int:
        return sum(math.prod(part.shape) for part in (self.core, *self.factors))

    def network(self) -> list[Term]:
        # the core has a bond (upper case) where a factor follows, and the mode itself where none does
        letters = "".join(MODES[j].upper() if j in self.modes else MODES[j] for j in range(self.order))
        terms = [(MODES[j] + MODES[j].upper(), u) for j, u in zip(self.modes, self.factors, strict=True)]
        return [(letters, self.core), *terms]

    def slices(self, mode: int = 0) -> StructuredMatrix:
        """Return slice i as ``U_rows C_i U_columns^T``, without the factor of a mode that is kept.

        The middle C_i differs in i only; if the mode that numbers the slices has a factor, it is the slice of
        ``core x_mode U_mode``.
        """
        mode = self._sliced_mode(mode)
        factors = dict(zip(self.modes, self.factors, strict=True))
        letters, numbered = "ABC", MODES[mode]
        rest = "".join(c for j, c in enumerate(letters) if j != mode)
        if mode in factors:  # absorbed: slice i takes row i of it
            chosen = f"...{letters},...{numbered}{letters[mode]}->...{numbered}{rest}"
            middle = contract(chosen, self.core, factors[mode])
        else:
            middle = contract(f"...{letters}->...{letters[mode]}{rest}", self.core)
        rows, columns = (j for j in range(3) if j != mode)
        product: StructuredMatrix = Dense(middle)  # modes without factor need no product
        if columns in factors:
            product = Product(product, Dense(factors[columns][..., None, :, :].mT))
        if rows in factors:
            product = Product(Dense(factors[rows][..., None, :, :]), product)
        return product

    def __iter__(self) -> Iterator[Any]:
        yield self.core
        yield list(self.factors)

    def to_tensorly(self) -> Any:
        """Return a TensorLy tensor with identities in the modes that are kept; no copy of core or factors."""
        single = self._single()
        xp, factors = array_namespace(self.core), dict(zip(single.modes, single.factors, strict=True))
        identities = {
            j: xp.eye(n, dtype=self.core.dtype, device=device(self.core))
            for j, n in enumerate(single.sizes)
            if j not in factors
        }
        parts = [(factors | identities)[j] for j in range(single.order)]
        return tensorly("tucker_tensor").TuckerTensor((single.core, parts))

    @classmethod
    def from_tensorly(cls, tensor: Any) -> TuckerTensor:
        """Return a Tucker tensor with a factor in every mode, as TensorLy has it."""
        return TuckerTensor.from_tensorly(tensor)
