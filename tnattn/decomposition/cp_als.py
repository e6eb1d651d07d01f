"""The canonical polyadic decomposition by alternating least squares."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from tnattn.arrays import Array, Rng, array_namespace, contract, device, eps
from tnattn.decomposition.base import Decomposition, require_integer
from tnattn.decomposition.cp_start import CPStart, SingularVectorStart
from tnattn.decomposition.multilinear import khatri_rao, mode_sizes
from tnattn.decomposition.scaling import energy, scaled
from tnattn.linalg import pseudo_inverse_apply, transposed_product
from tnattn.structured.cp import CPTensor
from tnattn.structured.tensor import MODES


@dataclass(frozen=True, eq=False, repr=False)
class FittedCP(CPTensor):
    """A canonical polyadic tensor with columns of length one and weights that are not negative.

    Parameters
    ----------
    weights, factors
        See ``CPTensor``.
    errors : Array, (..., sweeps)
        Relative Frobenius error after each sweep that ran, repeated once a tensor of the stack has converged.
    sweeps : Array, (...), integer
        Sweeps that each tensor took.
    converged : Array, (...), bool
        Whether the last of them changed the relative error by at most the tolerance. It may be a local minimum, or a
        swamp that was left too early.
    residual : Array, (...)
        Frobenius error, from the difference itself.
    congruence : Array, (...)
        Smallest cosine of the angle between two terms, at least -1; 1 if there is one term only.
    """

    errors: Array
    sweeps: Array
    converged: Array
    residual: Array
    congruence: Array

    @property
    def degenerate(self) -> Array:
        """Whether two terms are nearly opposite (...): they grow and cancel, and a best fit may not exist.

        The threshold -0.85 on the cosine is a convention; look at ``congruence`` and ``weights``.
        """
        return self.congruence < -0.85


@dataclass(frozen=True)
class CPALS(Decomposition):
    """Solve for one factor at a time by linear least squares, the others fixed, in sweeps over the modes.

    Parameters
    ----------
    rank : int
        Number of terms.
    sweeps : int
        Largest number of sweeps.
    tolerance : float
        A tensor of the stack is left as it is once a sweep changes its relative error by at most this; 0 runs all.
    start : CPStart
        First factors.
    order : int
        Number of modes.

    Notes
    -----
    Two products with the whole tensor a sweep, O(rank prod(n)) each, whatever the order: the modes are split in two
    halves, and all of a half share one product (Phan, Tichavsky and Cichocki 2013, the two-level tree). Least squares
    through a pseudo-inverse of the Hadamard product of Gram matrices (Kolda and Bader 2009, Figure 3.3), which squares
    the condition number of the Khatri-Rao product.
    """

    rank: int = dataclasses.field(default=8, metadata={"budget": True})
    sweeps: int = 50
    tolerance: float = 1e-6
    start: CPStart = dataclasses.field(default_factory=SingularVectorStart)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_integer("rank", self.rank, low=1, cure="keep at least one term")
        require_integer("sweeps", self.sweeps, low=1, cure="without a sweep there is no fit")
        if not 0 <= self.tolerance < 1:
            raise ValueError(f"tolerance is {self.tolerance}; 0 <= tolerance < 1 is needed; 0 runs all sweeps")
        if not isinstance(self.start, CPStart):
            raise TypeError(f"start must be a CPStart, such as GaussianStart(); got {type(self.start).__name__}")

    def with_rank(self, rank: int, sizes: Sequence[int]) -> Self:
        return dataclasses.replace(self, rank=min(rank, _largest_rank(sizes)))

    def _require_fit(self, tensor: Array) -> None:
        sizes = mode_sizes(tensor, order=self.order)
        if self.rank > _largest_rank(sizes):
            raise ValueError(
                f"rank {self.rank} exceeds {_largest_rank(sizes)}, with which every tensor of sizes {sizes} is exact; "
                "reduce it"
            )

    def decompose(self, tensor: Array, *, rng: Rng | None) -> FittedCP:
        xp = array_namespace(tensor)
        whole, scale = scaled(tensor, order=self.order)
        factors = list(self.start.factors(whole, rank=self.rank, order=self.order, rng=rng))
        size = xp.sqrt(energy(whole, order=self.order))
        weights = xp.zeros_like(factors[0][..., 0, :])
        active = size > 0
        counted = xp.astype(active, xp.int64) * 0
        history: list[Array] = []
        for _ in range(self.sweeps):
            swept, lengths, fit = _sweep(whole, factors, order=self.order)
            factors = [xp.where(active[..., None, None], new, old) for new, old in zip(swept, factors, strict=True)]
            weights = xp.where(active[..., None], lengths, weights)
            error = _relative_error(whole, weights, factors, fit, size)
            last = history[-1] if history else xp.ones_like(error)
            error = xp.where(active, error, last if history else xp.zeros_like(error))
            counted = counted + xp.astype(active, xp.int64)
            history.append(error)
            active = active & ((len(history) == 1) | (xp.abs(last - error) > self.tolerance))
            if not bool(xp.any(active)):
                break
        residual = xp.sqrt(energy(whole - CPTensor(weights, tuple(factors)).to_dense(), order=self.order))
        return FittedCP(
            weights=weights * scale[(..., *(0,) * self.order)][..., None],
            factors=tuple(factors),
            errors=xp.stack(history, axis=-1),
            sweeps=counted,
            converged=~active,
            residual=residual * scale[(..., *(0,) * self.order)],
            congruence=_congruence(factors),
        )


def _largest_rank(sizes: Sequence[int]) -> int:
    return math.prod(sizes) // max(sizes)


def _sweep(tensor: Array, factors: Sequence[Array], *, order: int) -> tuple[list[Array], Array, Array]:
    """Update all factors; return them normalised, their lengths and the inner product of the tensor with the fit."""
    xp = array_namespace(tensor)
    sizes, batch = mode_sizes(tensor, order=order), tuple(tensor.shape[: tensor.ndim - order])
    cut = min(range(1, order), key=lambda k: math.prod(sizes[:k]) + math.prod(sizes[k:]))
    factors, lengths, inner = list(factors), factors[0][..., 0, :], factors[0][..., 0, 0]
    matrix = xp.reshape(tensor, (*batch, math.prod(sizes[:cut]), -1))
    for half, others in ((range(cut), range(cut, order)), (range(cut, order), range(cut))):
        shared = khatri_rao([factors[j] for j in others])
        product = xp.matmul(matrix, shared) if half[0] == 0 else transposed_product(matrix, shared)
        product = xp.reshape(product, (*batch, *(sizes[j] for j in half), product.shape[-1]))
        for mode in half:
            right = _contracted_half(product, half, factors, mode)
            gram = math.prod(_gram(factors[j]) for j in range(order) if j != mode)
            solution = xp.matrix_transpose(pseudo_inverse_apply(gram, xp.matrix_transpose(right)))
            lengths = xp.linalg.vector_norm(solution, axis=-2)
            factors[mode] = solution / xp.where(lengths > 0, lengths, xp.ones_like(lengths))[..., None, :]
            inner = xp.sum(right * solution, axis=(-2, -1))
    return factors, lengths, inner


def _contracted_half(product: Array, half: Sequence[int], factors: Sequence[Array], mode: int) -> Array:
    """Multiply the shared product of a half with the factors of its other modes: the matrix (..., n_mode, rank)."""
    others = [j for j in half if j != mode]
    letters = "".join(MODES[j] for j in half)
    terms = ",".join(f"...{term}" for term in [letters + "Z", *(MODES[j] + "Z" for j in others)])
    return contract(f"{terms}->...{MODES[mode]}Z", product, *(factors[j] for j in others))


def _gram(factor: Array) -> Any:
    xp = array_namespace(factor)
    return xp.matmul(xp.matrix_transpose(factor), factor)


def _relative_error(tensor: Array, weights: Array, factors: Sequence[Array], inner: Array, size: Array) -> Array:
    """Return ||X - fit|| / ||X||, zero for X = 0.

    From ||X||^2 - 2 <X, fit> + ||fit||^2 while that keeps its digits, else from the difference itself.
    """
    xp = array_namespace(tensor)
    unit = xp.where(size > 0, size, xp.ones_like(size))
    coefficients = weights / unit[..., None]
    gram = math.prod(_gram(factor) for factor in factors)
    fitted = xp.sum(coefficients * xp.matmul(gram, coefficients[..., None])[..., 0], axis=-1)
    square = xp.where(size > 0, 1 - 2 * inner / unit / unit + fitted, xp.zeros_like(size))
    # terms that cancel make the middle of the sum large: rounding is relative to the squared sizes of the terms
    rounding = 1e3 * eps(tensor) * (1 + xp.sum(xp.abs(coefficients), axis=-1) ** 2)
    if bool(xp.all((square > rounding) | (size == 0))):
        return xp.sqrt(square)
    difference = tensor - CPTensor(weights, tuple(factors)).to_dense()
    return xp.sqrt(energy(difference, order=len(factors))) / unit


def _congruence(factors: Sequence[Array]) -> Array:
    """Return the smallest cosine (...) between two terms, whose columns have length one or zero."""
    xp = array_namespace(factors[0])
    cosines = math.prod(_gram(factor) for factor in factors)
    identity = xp.eye(cosines.shape[-1], dtype=cosines.dtype, device=device(cosines))
    return xp.min(xp.where(identity > 0, xp.ones_like(cosines), cosines), axis=(-2, -1))
