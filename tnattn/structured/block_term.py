"""Block-term tensors: sums of Tucker tensors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tnattn.arrays import Array, array_namespace, contract, device
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.composite import Product
from tnattn.structured.dense import Dense
from tnattn.structured.tensor import MODES, StructuredTensor, Term, require_agreeing_batches, require_real
from tnattn.structured.tucker import TuckerTensor


@dataclass(frozen=True, eq=False, repr=False)
class BlockTermTensor(StructuredTensor):
    """A stack of tensors ``sum_t core_t x_0 U_0t x_1 U_1t ...``; unpacks as pairs ``core, factors``, one per term.

    Parameters
    ----------
    core : Array, (..., t, r_0, ..., r_{d-1})
        The cores of the t terms.
    factors : tuple of Array, (..., t, n_j, r_j)

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured.block_term import BlockTermTensor
    >>> rng = np.random.default_rng(0)
    >>> cores, factors = rng.standard_normal((2, 3, 3, 3)), rng.standard_normal((3, 2, 10, 3))
    >>> tensor = BlockTermTensor(cores, tuple(factors))
    >>> tensor.sizes, tensor.terms, tensor.term_ranks, tensor.storage
    ((10, 10, 10), 2, (3, 3, 3), 234)
    >>> tensor.as_tucker().largest_ranks
    (6, 6, 6)
    """

    core: Array
    factors: tuple[Array, ...]

    degrees: ClassVar[Mapping[str, float]] = {"core": 1.0}

    def __post_init__(self) -> None:
        object.__setattr__(self, "factors", tuple(self.factors))
        require_real(core=self.core, factors=self.factors)
        order = len(self.factors)
        # network letters are two disjoint sets of twelve: one of them is the index of the term
        if not 1 <= order <= 11 or self.core.ndim <= order or any(u.ndim < 3 for u in self.factors):
            raise ValueError(
                f"{order} factors do not fit cores of shape {tuple(self.core.shape)}; give one (..., t, n, r) per mode "
                "and cores (..., t, r, ..., r), of order 11 at most"
            )
        shapes = [(int(u.shape[-3]), int(u.shape[-1])) for u in self.factors]
        wanted = [(int(self.core.shape[-order - 1]), int(r)) for r in self.core.shape[-order:]]
        if shapes != wanted:
            raise ValueError(f"factors have (terms, ranks) {shapes} and the cores {wanted}; they must agree")
        self._batch()

    def _batch(self) -> tuple[int, ...]:
        order = len(self.factors)
        return require_agreeing_batches((self.core, *self.factors), (order + 1, *(3 for _ in self.factors)))

    @property
    def order(self) -> int:
        return len(self.factors)

    @property
    def terms(self) -> int:
        """Number of terms t."""
        return int(self.core.shape[-self.order - 1])

    @property
    def term_ranks(self) -> tuple[int, ...]:
        """Multilinear ranks of every term."""
        return tuple(int(u.shape[-1]) for u in self.factors)

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self._batch(), *(int(u.shape[-2]) for u in self.factors))

    @property
    def storage(self) -> int:
        return sum(math.prod(part.shape) for part in (self.core, *self.factors))

    def network(self) -> list[Term]:
        letters = MODES[: self.order + 1].upper()
        term, bonds = letters[-1], letters[:-1]
        return [(term + bonds, self.core), *((term + MODES[j] + bonds[j], u) for j, u in enumerate(self.factors))]

    def slices(self, mode: int = 0) -> StructuredMatrix:
        """Return slice i as ``[U_1 U_2 ...] diag(core_t x_mode u_it) [V_1 V_2 ...]^T``.

        Storage (t r)^2 n_mode beside the factors.
        """
        mode = self._sliced_mode(mode)
        xp = array_namespace(self.core)
        rows, columns = (j for j in range(3) if j != mode)
        bonds = "ABC"  # of the three modes; T counts the terms
        chosen = f"...T{MODES[mode]}{bonds[mode]}"
        # core_t x_mode u_it for every slice i and term t: (..., n_mode, t, r, r')
        blocks = contract(
            f"...T{bonds},{chosen}->...{MODES[mode]}T{bonds[rows]}{bonds[columns]}", self.core, self.factors[mode]
        )
        identity = xp.eye(self.terms, dtype=self.dtype, device=device(self.core))
        middle = blocks[..., :, :, None, :] * identity[:, None, :, None]  # (..., n, t, r, t, r')
        count, (r, s) = self.terms, blocks.shape[-2:]
        middle = xp.reshape(middle, (*blocks.shape[:-3], count * r, count * s))
        left, right = (_side_by_side(self.factors[j])[..., None, :, :] for j in (rows, columns))
        return Product(Dense(left), Product(Dense(middle), Dense(right.mT)))

    def as_tucker(self) -> TuckerTensor:
        """Return one Tucker tensor with the factors side by side and the cores along the diagonal of its core."""
        xp, order, count = array_namespace(self.core), self.order, self.terms
        core, first = self.core, self.core.ndim - order - 1
        identity = xp.eye(count, dtype=self.dtype, device=device(core))
        for j in range(1, order):  # (..., t, r_0, t, r_1, ...): every mode gets its own index of the term
            mask = xp.reshape(identity, (count, *(1,) * (2 * j - 1), count, *(1,) * (order - j)))
            core = xp.expand_dims(core, axis=first + 2 * j) * mask
        ranks = self.term_ranks
        core = xp.reshape(core, (*self.core.shape[: self.core.ndim - self.order - 1], *(count * r for r in ranks)))
        return TuckerTensor(core, tuple(_side_by_side(u) for u in self.factors))

    def __iter__(self) -> Iterator[Any]:
        own = (slice(None),) * self.order
        for t in range(self.terms):
            yield self.core[(..., t, *own)], [u[..., t, :, :] for u in self.factors]

    def to_tensorly(self) -> Any:
        """Return TensorLy's Tucker tensor of ``as_tucker``: it knows no block terms."""
        return self._single().as_tucker().to_tensorly()

    @classmethod
    def from_tensorly(cls, tensor: Any) -> TuckerTensor:
        return TuckerTensor.from_tensorly(tensor)


def _side_by_side(factors: Array) -> Array:
    """Return factors (..., t, n, r) as (..., n, t r)."""
    xp = array_namespace(factors)
    *batch, count, n, r = factors.shape
    return xp.reshape(xp.moveaxis(factors, -3, -2), (*batch, n, count * r))
