"""Quantised tensor trains: long axes split into binary digits, one core for each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from tnattn.arrays import Array, Rng, array_namespace, contract, device
from tnattn.decomposition.base import Decomposition, as_rank
from tnattn.decomposition.multilinear import mode_sizes
from tnattn.decomposition.tensor_train.binary_digits import levels, padded, train_over
from tnattn.decomposition.tensor_train.truncated_train import TruncatedTensorTrain
from tnattn.decomposition.truncation import chosen_tolerance, require_ranks, require_tolerance_for
from tnattn.device_budget import DeviceBudget, DeviceCounts
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.tensor import StructuredTensor, Term
from tnattn.structured.tensor_train import MOST_CORES, TensorTrain


@dataclass(frozen=True, eq=False, repr=False)
class QuantisedTensor(StructuredTensor):
    """A stack of tensors as trains over the binary digits of their indices; iterates over the digit cores.

    Parameters
    ----------
    digits : TruncatedTensorTrain
        One core of mode size 2 for each digit, the most significant of the first mode first.
    unpadded : tuple of int
        Sizes of the modes; entries beyond them, up to the powers of two, are padding and no part of the tensor.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.tensor_train import QuantisedTT
    >>> wave = np.cos(np.arange(60) / 7)  # cosines have ranks 2
    >>> result = QuantisedTT(rank=4, order=2)(wave[None])
    >>> result.shape, result.padded, len(list(result)), result.merged().sizes
    ((1, 60), (1, 64), 6, (1, 60))
    """

    digits: TruncatedTensorTrain
    unpadded: tuple[int, ...]

    degrees: ClassVar[Mapping[str, float]] = {"digits": 1.0}

    @property
    def order(self) -> int:
        return len(self.unpadded)

    @property
    def padded(self) -> tuple[int, ...]:
        """Sizes of the modes with their padding: powers of two."""
        return tuple(2 ** levels(n) for n in self.unpadded)

    @property
    def largest_ranks(self) -> tuple[int, ...]:
        """Sizes of the bonds between digits: the largest in the stack."""
        return self.digits.largest_ranks

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.digits.batch, *self.unpadded)

    @property
    def storage(self) -> int:
        return self.digits.storage

    @property
    def error_certificate(self) -> Array:
        """Bound on the Frobenius error (...): the exact error with the padding, and without where there is none."""
        return self.digits.error_certificate

    @property
    def ranks(self) -> Array:
        """Ranks of the bonds between digits of each tensor (..., digits - 1), integer."""
        return self.digits.ranks

    @property
    def residual(self) -> Array:
        """The certificate, relative to the norm of each tensor (...)."""
        return self.digits.residual

    @property
    def converged(self) -> Array:
        """Mask (...) of the tensors with a residual within the tolerance, or rounding."""
        return self.digits.converged

    def merged(self) -> TensorTrain:
        """Return the train over the modes, O(n r r') scalars each, without the padding."""
        xp, place = array_namespace(self.digits.like), 0
        cores: list[Array] = []
        bond = 1
        for n in self.unpadded:
            # the identity on the bond, multiplied by one digit core after the other
            core = xp.broadcast_to(
                xp.eye(bond, dtype=self.digits.dtype, device=device(self.digits.like))[:, None, :],
                (*self.digits.batch, bond, 1, bond),
            )
            for digit in self.digits.cores[place : place + levels(n)]:
                product = contract("...anb,...bmc->...anmc", core, digit)
                core = xp.reshape(product, (*product.shape[:-3], core.shape[-2] * digit.shape[-2], product.shape[-1]))
            place, bond = place + levels(n), core.shape[-1]
            cores.append(core[..., :n, :])  # the padding is cut off
        for rest in self.digits.cores[place:]:  # a tensor with fewer than two digits has ends of one entry
            cores[-1] = contract("...anb,...bmc->...anc", cores[-1], rest)
        return TensorTrain(tuple(cores))

    def network(self) -> list[Term]:
        return self.merged().network()

    def slices(self, mode: int = 0) -> StructuredMatrix:
        """Return the slices of the train over the modes; see ``TensorTrain.slices``."""
        return self.merged().slices(mode)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.digits.cores)

    def to_tensorly(self) -> Any:
        """Return TensorLy's train over the modes, which ``merged`` forms: the one over digits is another tensor."""
        return self.merged().to_tensorly()

    @classmethod
    def from_tensorly(cls, tensor: Any) -> TensorTrain:
        return TensorTrain(tuple(tensor))


@dataclass(frozen=True)
class QuantisedTT(Decomposition):
    """Split every mode into binary digits, and truncate a tensor train over them all.

    Parameters
    ----------
    rank : int, optional
        Of every bond, lowered where the sizes admit less.
    rtol : float, optional
        Bound on the relative error. 0.01 if neither is given.
    order : int
        Number of modes; a sequence v is the tensor v[None] of order 2.

    Notes
    -----
    As ``TTSVD`` on a tensor of up to 20 modes of size 2. Storage O(r^2 log n) per mode. Khoromskij 2011. A mode whose
    size is no power of two is padded with zeros: they may raise low ranks, and the error of the truncation in the
    padding is counted as if it mattered.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.tensor_train import QuantisedTT
    >>> decay = np.exp(-np.arange(1024) / 100)  # exponentials have ranks 1 in the digits
    >>> result = QuantisedTT(rtol=1e-8, order=2)(decay[None])
    >>> result.storage, bool(result.residual < 1e-8)
    (20, True)
    """

    device_budget: ClassVar = DeviceBudget(DeviceCounts(150, waits=6, copies=4), {"bond": DeviceCounts(80, waits=3)})

    recovers_rank: ClassVar[bool] = False  # bonds between digits have other ranks than modes
    residual_is: ClassVar = "an upper bound"  # padding has an error too
    lowers_rank: ClassVar[bool] = True  # bonds near the ends admit 2, 4, ... only

    rank: int | None = None
    rtol: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "rtol", chosen_tolerance(self.rank, self.rtol))
        require_ranks(self.rank)

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        # padded to a power of two; indices have 63 digits at most
        shape = getattr(target, "shape", None)
        return {"bond": sum((n - 1).bit_length() for n in shape[-self.order :]) if shape else 63}

    def with_rank(self, rank: int, sizes: Sequence[int]) -> Self:
        return dataclasses.replace(self, rank=as_rank(rank), rtol=None)

    def _require_fit(self, tensor: Array) -> None:
        sizes = mode_sizes(tensor, order=self.order)
        if sum(levels(n) for n in sizes) > MOST_CORES:
            raise ValueError(f"sizes {sizes} have more than {MOST_CORES} binary digits; quantise fewer modes")
        require_tolerance_for(self.rtol, sizes, tensor)

    def decompose(self, tensor: Array, *, rng: Rng | None) -> QuantisedTensor:
        sizes = mode_sizes(tensor, order=self.order)
        extended = padded(tensor, [2 ** levels(n) for n in sizes])
        count = sum(levels(n) for n in sizes)  # one mode of size 2 for each digit
        return QuantisedTensor(train_over(extended, [2] * count, self.order, self.rank, self.rtol), sizes)
