"""Quantised tensor trains: long axes split into binary digits, one core for each."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from tnattn.arrays import Array, Rng, array_namespace, contract, device
from tnattn.decomposition.base import Decomposition, as_rank
from tnattn.decomposition.multilinear import mode_sizes
from tnattn.decomposition.scaling import norm
from tnattn.decomposition.tensor_train.tt_svd import TTSVD
from tnattn.decomposition.truncated import TruncatedTensorTrain
from tnattn.decomposition.truncation import DEFAULT_TOLERANCE
from tnattn.randnla.accuracy import judged, require_above_rounding, require_optional_tolerance
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.operand import require_count
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.tensor import StructuredTensor, Term
from tnattn.structured.tensor_train import MOST_CORES, TensorTrain
from tnattn.structured.tt_matrix import TTMatrix


def levels(n: int) -> int:
    """Return the number of binary digits of the indices 0, ..., n - 1."""
    return (n - 1).bit_length()


@dataclass(frozen=True, eq=False, repr=False)
class QuantisedTensor(StructuredTensor):
    """A stack of tensors whose modes are cut out of a train over their binary digits; iterates over the digit cores.

    Parameters
    ----------
    digits : TruncatedTensorTrain
        One core of mode size 2 for each digit, the most significant of the first mode first.
    unpadded : tuple of int
        Sizes of the modes; what the digits have beyond is padding and no part of the tensor.
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
    def ranks(self) -> tuple[int, ...]:
        """Sizes of the bonds between digits: the largest in the stack."""
        return self.digits.ranks

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

    def merged(self) -> TensorTrain:
        """Return the train over the modes, O(n r r') scalars each, without the padding."""
        xp, place = array_namespace(self.digits.like), 0
        cores: list[Array] = []
        bond = 1
        for n in self.unpadded:
            core = xp.broadcast_to(
                xp.eye(bond, dtype=self.digits.dtype, device=device(self.digits.like))[:, None, :],
                (*self.digits.batch, bond, 1, bond),
            )
            for digit in self.digits.cores[place : place + levels(n)]:
                product = contract("...anb,...bmc->...anmc", core, digit)
                core = xp.reshape(product, (*product.shape[:-3], core.shape[-2] * digit.shape[-2], product.shape[-1]))
            place, bond = place + levels(n), core.shape[-1]
            cores.append(core[..., :n, :])
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
    size is no power of two is padded with zeros: they raise the ranks of what would have low ones, and the error that
    the truncation makes in them is counted as if it mattered.
    """

    recovers_rank: ClassVar[bool] = False  # bonds between digits have other ranks than modes
    lowers_rank: ClassVar[bool] = True  # bonds near the ends admit 2, 4, ... only

    rank: int | None = None
    rtol: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rank is None and self.rtol is None:
            object.__setattr__(self, "rtol", DEFAULT_TOLERANCE)
        TTSVD(ranks=self.rank, rtol=self.rtol)

    def with_rank(self, rank: int, sizes: Sequence[int]) -> Self:
        return dataclasses.replace(self, rank=as_rank(rank), rtol=None)

    def _require_fit(self, tensor: Array) -> None:
        sizes = mode_sizes(tensor, order=self.order)
        if sum(levels(n) for n in sizes) > MOST_CORES:
            raise ValueError(f"sizes {sizes} have more than {MOST_CORES} binary digits; quantise fewer modes")
        if self.rtol is not None:
            TTSVD(rtol=self.rtol, order=self.order)._require_fit(tensor)

    def decompose(self, tensor: Array, *, rng: Rng | None) -> QuantisedTensor:
        sizes = mode_sizes(tensor, order=self.order)
        padded = _padded(tensor, [2 ** levels(n) for n in sizes])
        count = sum(levels(n) for n in sizes)
        return QuantisedTensor(_train(padded, [2] * count, self.order, self.rank, self.rtol), sizes)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class QuantisedMatrix(TTMatrix):
    """A matrix in tensor-train form over pairs of binary digits.

    Parameters
    ----------
    cores, rows, columns
        See ``TTMatrix``.
    error_certificate : Array, (...)
        Frobenius error with the padding; without it no more, and the same where there is none.
    bond_ranks : Array, (..., L - 1), integer
        Ranks of each matrix of the stack.
    residual : Array, (...)
        The certificate, relative to the norm of the matrix.
    converged : Array, (...), bool
        Whether it is within the tolerance, or rounding where none was given.
    """

    degrees: ClassVar[Mapping[str, float]] = {"cores": 1.0, "error_certificate": 1.0}

    error_certificate: Array
    bond_ranks: Array
    residual: Array
    converged: Array


@dataclass(frozen=True)
class QuantisedTTMatrix(MatrixMethod):
    """Approximate a matrix in tensor-train form over pairs of binary digits, one of the row and one of the column.

    Parameters
    ----------
    rank : int
        Of every bond at most, lowered where the sizes admit less.
    rtol : float, optional
        Smaller ranks are used where they leave a relative error of at most this. Without it the rank is taken. Where
        the rank does not suffice, a ``ToleranceWarning`` says so.

    Notes
    -----
    As ``TTSVD`` on a tensor of log2(n) modes of size 4; the matrix is formed. Of two sizes the smaller has its digits
    at the end, without padding to the larger one; both are padded with zeros to powers of two. Kazeev, Khoromskij &
    Tyrtyshnikov 2013: matrices of functions of i - j have small ranks if the functions have.
    """

    forms_matrix: ClassVar = True
    rank_is_limit: ClassVar = True
    recovers_rank: ClassVar = False  # a rank of bonds is none of the matrix
    residual_norm: ClassVar = "estimate"  # an upper bound

    rank: int = rank_budget(16)
    rtol: float | None = None

    def __post_init__(self) -> None:
        require_count(self.rank, "rank", least=1)
        require_optional_tolerance(self.rtol)

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> QuantisedMatrix:
        dense = a.to_dense()
        xp = array_namespace(dense)
        require_above_rounding(self.rtol or 0.0, dense)
        m, n = (int(size) for size in dense.shape[-2:])
        count = max(levels(m), levels(n), 1)
        digits = [[2 if place >= count - levels(size) else 1 for place in range(count)] for size in (m, n)]
        padded = _padded(dense, [math.prod(one) for one in digits])
        batch = tuple(dense.shape[:-2])
        split = xp.reshape(padded, (*batch, *digits[0], *digits[1]))
        pairs = [len(batch) + j + side * count for j in range(count) for side in (0, 1)]
        paired = xp.permute_dims(split, (*range(len(batch)), *pairs))
        sizes = [i * j for i, j in zip(*digits, strict=True)]
        train = _train(paired, sizes, 2 * count, None if self.rtol else self.rank, self.rtol)
        if self.rtol is not None and max(train.ranks) > self.rank:
            train = _train(paired, sizes, 2 * count, self.rank, None)
        cores = [
            xp.asarray(xp.reshape(core, (*batch, core.shape[-3], i, j, core.shape[-1])), copy=True)  # the caller's own
            for core, i, j in zip(train.cores, *digits, strict=False)
        ]
        if len(train.cores) > count:  # a single pair of digits: the train has an end of one entry
            cores[-1] = cores[-1] * train.cores[-1][..., None]
        error = train.error_certificate
        residual, converged = judged(error, norm(dense, order=2), self.rtol or 0.0, f"rank {self.rank}")
        return QuantisedMatrix(
            tuple(cores),
            m,
            n,
            error_certificate=error,
            bond_ranks=train.bond_ranks,
            residual=residual,
            converged=converged,
        )


def _train(
    tensor: Array, sizes: list[int], trailing: int, rank: int | None, rtol: float | None
) -> TruncatedTensorTrain:
    """Return the train of a tensor whose last axes are reshaped to the given sizes, at least two of them."""
    xp = array_namespace(tensor)
    sizes = sizes + [1] * (2 - len(sizes))
    folded = xp.reshape(tensor, (*tensor.shape[: tensor.ndim - trailing], *sizes))
    method = TTSVD(order=len(sizes), rtol=rtol)
    return (method if rank is None else method.with_rank(rank, sizes)).decompose(folded, rng=None)


def _padded(tensor: Array, sizes: Sequence[int]) -> Array:
    """Return a tensor whose trailing modes are extended by zeros to the given sizes."""
    xp = array_namespace(tensor)
    first = tensor.ndim - len(sizes)
    for place, size in enumerate(sizes, start=first):
        missing = size - tensor.shape[place]
        if missing:
            shape = tuple(missing if axis == place else n for axis, n in enumerate(tensor.shape))
            tensor = xp.concat([tensor, xp.zeros(shape, dtype=tensor.dtype, device=device(tensor))], axis=place)
    return tensor
