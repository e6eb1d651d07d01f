"""Tensor trains: chains of cores of order three."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tnattn.arrays import Array, array_namespace, broadcast_shape, contract, device, is_half
from tnattn.linalg import orthonormalise_with_factor
from tnattn.linalg.scaling import binary_scale, euclidean_norm, exponent_of, times_power_of_two
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.composite import Product
from tnattn.structured.dense import Dense
from tnattn.structured.half_precision import in_single
from tnattn.structured.low_rank import LowRank
from tnattn.structured.tensor import MODES, StructuredTensor, Term, require_agreeing_batches, require_real, tensorly

MOST_CORES = 20  # 20 modes and 21 bonds leave 11 of 52 letters to the columns of a product and batch axes


@dataclass(frozen=True, eq=False, repr=False)
class TensorTrain(StructuredTensor):
    """A stack of tensors whose entries are products of matrices ``G_0[i_0] G_1[i_1] ...``; iterates over its cores.

    Sums, differences, multiples, Hadamard and inner products are taken in the cores: ranks add under sums and multiply
    under Hadamard products. Oseledets 2011, Section 4.

    Parameters
    ----------
    cores : tuple of Array, (..., r_j, n_j, r_{j+1})
        ``r_0 = r_d = 1``.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured.tensor_train import TensorTrain
    >>> x = TensorTrain((np.ones((1, 4, 1)),) * 10)  # all 4^10 entries are one
    >>> x.storage, float(x.norm()), (x + 2 * x).largest_ranks[0]
    (40, 1024.0, 2)
    >>> float(x.inner(x)), float((x - x).norm())
    (1048576.0, 0.0)
    """

    cores: tuple[Array, ...]

    degrees: ClassVar[Mapping[str, float]] = {"cores": 1.0}

    def __post_init__(self) -> None:
        object.__setattr__(self, "cores", tuple(self.cores))
        require_real(cores=self.cores)
        if not 1 <= len(self.cores) <= MOST_CORES or any(core.ndim < 3 for core in self.cores):
            shapes = [tuple(core.shape) for core in self.cores]
            raise ValueError(f"cores have shapes {shapes}; give 1 to {MOST_CORES} cores with at least three axes")
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
    def largest_ranks(self) -> tuple[int, ...]:
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

    def inner(self, other: TensorTrain) -> Array:
        """Return the inner products (...) with another train of the same sizes: O(d n r^3).

        To rounding of ``|X| |Y|``, whatever the scales of the cores.
        """
        self._require_same_sizes(other)
        if is_half(self.like):
            product = in_single(self).inner(in_single(other))
            return array_namespace(product).astype(product, self.dtype)
        xp = array_namespace(*self.cores, *other.cores)
        batch = broadcast_shape(self.batch, other.batch)
        left = xp.ones((*batch, 1, 1), dtype=self.dtype, device=device(self.like))
        exponent = xp.zeros((*batch, 1, 1), dtype=self.dtype, device=device(self.like))
        for a, b in zip(self.cores, other.cores, strict=True):
            # powers of two keep products of many cores within the range of the dtype
            scales = [binary_scale(core, axis=(-3, -2, -1)) for core in (a, b)]
            left = contract("...ac,...anb,...cnd->...bd", left, a / scales[0], b / scales[1])
            scale = binary_scale(left, axis=(-2, -1))
            left = left / scale
            for taken in (scale, *(s[..., 0] for s in scales)):
                exponent = exponent + exponent_of(taken)
        return times_power_of_two(left, exponent)[..., 0, 0]

    def norm(self) -> Array:
        """Return the Frobenius norms (...) from a sweep of orthonormal factorizations, O(d n r^3).

        To rounding of the trains that were added up to this one: a difference keeps its digits.
        """
        if is_half(self.like):
            norm = in_single(self).norm()
            return array_namespace(norm).astype(norm, self.dtype)
        xp, batch = array_namespace(*self.cores), self.batch
        factor = xp.ones((*batch, 1, 1), dtype=self.dtype, device=device(self.like))
        exponent = xp.zeros((*batch, 1, 1), dtype=self.dtype, device=device(self.like))
        # the orthonormalisation of rounding (Oseledets 2011, Algorithm 2), of which only triangular factors are kept
        for core in reversed(self.cores):
            scale = binary_scale(core, axis=(-3, -2, -1))
            # the factor of the cores to the right is absorbed before the core is factorised
            moved = contract("...anb,...bc->...anc", core / scale, factor)
            rows = xp.reshape(moved, (*moved.shape[:-3], moved.shape[-3], moved.shape[-2] * moved.shape[-1]))
            factor = xp.matrix_transpose(_triangle(xp.matrix_transpose(rows)))
            size = binary_scale(factor, axis=(-2, -1))
            factor, exponent = factor / size, exponent + exponent_of(size) + exponent_of(scale[..., 0])
        norm = euclidean_norm(factor, axis=(-2, -1), keepdims=True)
        return times_power_of_two(norm, exponent)[..., 0, 0]

    def hadamard(self, other: TensorTrain) -> TensorTrain:
        """Return the entrywise product: cores are Kronecker products of slices, ranks multiply."""
        self._require_same_sizes(other)
        cores = []
        for a, b in zip(self.cores, other.cores, strict=True):
            product = contract("...anb,...cnd->...acnbd", a, b)  # slice by slice A_n (x) B_n
            shape = (a.shape[-3] * b.shape[-3], a.shape[-2], a.shape[-1] * b.shape[-1])
            cores.append(array_namespace(product).reshape(product, (*product.shape[:-5], *shape)))
        return TensorTrain(tuple(cores))

    def __add__(self, other: TensorTrain) -> TensorTrain:
        """Add two trains: block diagonal cores, ranks add."""
        if not isinstance(other, TensorTrain):
            return NotImplemented
        self._require_same_sizes(other)
        last = self.order - 1
        if last == 0:  # one core has no bonds to put side by side
            return TensorTrain((self.cores[0] + other.cores[0],))
        pairs = enumerate(zip(self.cores, other.cores, strict=True))
        return TensorTrain(tuple(_joined(a, b, first=j == 0, last=j == last) for j, (a, b) in pairs))

    def __sub__(self, other: TensorTrain) -> TensorTrain:
        """Subtract a train; the norm of a difference of near equals has an absolute error of eps |X|."""
        return self + (-1.0) * other if isinstance(other, TensorTrain) else NotImplemented

    def __mul__(self, factor: float) -> TensorTrain:
        """Multiply by a number."""
        if not isinstance(factor, (int, float)):
            return NotImplemented
        return TensorTrain((*self.cores[:-1], self.cores[-1] * factor))  # the others stay orthonormal if they were

    __rmul__ = __mul__

    def _require_same_sizes(self, other: TensorTrain) -> None:
        if self.sizes != other.sizes:
            raise ValueError(f"trains have sizes {self.sizes} and {other.sizes}; they must agree")

    def slices(self, mode: int = 0) -> StructuredMatrix:
        """Return slice i with the core of ``mode`` fixed to i: between its neighbours, or absorbed by the only one.

        Storage m r + n_mode r r' + n r' for the middle mode; at an end the neighbour is absorbed, n_mode m r.
        """
        mode = self._sliced_mode(mode)
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


def _triangle(columns: Array) -> Array:
    """Return the triangular factor of tall matrices (columns keep their inner products), others as they are."""
    return columns if columns.shape[-2] <= columns.shape[-1] else orthonormalise_with_factor(columns)[1]


def _joined(a: Array, b: Array, *, first: bool, last: bool) -> Array:
    """Return the core of a sum: side by side in the first, on top of each other in the last, else block diagonal."""
    xp = array_namespace(a, b)
    batch = broadcast_shape(a.shape[:-3], b.shape[:-3])
    a, b = (xp.broadcast_to(core, (*batch, *core.shape[-3:])) for core in (a, b))
    if first:
        return xp.concat([a, b], axis=-1)
    if last:
        return xp.concat([a, b], axis=-3)
    right = xp.zeros_like(a[..., :1, :, :1])
    upper = xp.broadcast_to(right, (*a.shape[:-1], b.shape[-1]))
    lower = xp.broadcast_to(right, (*b.shape[:-1], a.shape[-1]))
    return xp.concat([xp.concat([a, upper], axis=-1), xp.concat([lower, b], axis=-1)], axis=-3)
