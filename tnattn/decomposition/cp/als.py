"""The canonical polyadic decomposition by alternating least squares."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from tnattn.arrays import Array, Rng, array_namespace, device
from tnattn.decomposition.base import Decomposition, as_rank, require_integer
from tnattn.decomposition.cp.path import Extrapolation
from tnattn.decomposition.cp.start import CPStart, SingularVectorStart
from tnattn.decomposition.cp.sweep import cp_sweep, gram, relative_error
from tnattn.decomposition.cp.vanished_terms import revived
from tnattn.decomposition.fewest_terms import fewest_terms
from tnattn.decomposition.fit import History
from tnattn.decomposition.multilinear import mode_sizes
from tnattn.decomposition.scaling import energy, unit
from tnattn.randnla.accuracy import require_above_rounding, require_optional_tolerance
from tnattn.structured.cp import CPTensor


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
        swamp that was left too early. Where ``rtol`` was given: whether the relative error is within it.
    error_certificate : Array, (...)
        Frobenius error, measured: from the difference itself where the difference of norms keeps fewer than six digits.
    residual : Array, (...)
        The same, relative to the norm of the tensor.
    congruence : Array, (...)
        Smallest cosine of the angle between two terms, at least -1; 1 if there is one term only.
    """

    errors: Array
    sweeps: Array
    converged: Array
    error_certificate: Array
    residual: Array
    congruence: Array

    degrees: ClassVar[Mapping[str, float]] = {**CPTensor.degrees, "error_certificate": 1.0}

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
        Number of terms; at most, if there is a tolerance on the error.
    sweeps : int
        Largest number of sweeps.
    tolerance : float
        A tensor of the stack is left as it is once a sweep changes its relative error by at most this; 0 runs
        all until one changes nothing.
    start : CPStart
        First factors. On a large tensor ``CoreStart`` saves nearly all sweeps.
    extrapolate : bool
        Whether each sweep starts further along the step of the one before, where that captures no less.
    rtol : float, optional
        Fewer terms are used where they leave a relative error of at most this; see ``fewest_terms``.
    order : int
        Number of modes.

    Notes
    -----
    Two products with the whole tensor a sweep, O(rank prod(n)) each, whatever the order: the modes are split in two
    halves, and all of a half share one product (Phan, Tichavsky and Cichocki 2013, the two-level tree). Least squares
    through a pseudo-inverse of the Hadamard product of Gram matrices (Kolda and Bader 2009, Figure 3.3), which squares
    the condition number of the Khatri-Rao product. Errors come from the last of these problems, without another pass.
    """

    recovery: ClassVar[float] = 1e-3  # sweeps stop early

    rank: int = dataclasses.field(default=8, metadata={"budget": True})
    sweeps: int = 50
    tolerance: float = 1e-6
    start: CPStart = dataclasses.field(default_factory=SingularVectorStart)
    extrapolate: bool = True
    rtol: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_integer("rank", self.rank, low=1, cure="keep at least one term")
        require_integer("sweeps", self.sweeps, low=1, cure="without a sweep there is no fit")
        if not 0 <= self.tolerance < 1:
            raise ValueError(f"tolerance is {self.tolerance}; 0 <= tolerance < 1 is needed; 0 runs all sweeps")
        if not isinstance(self.start, CPStart):
            raise TypeError(f"start must be a CPStart, such as GaussianStart(); got {type(self.start).__name__}")
        require_optional_tolerance(self.rtol)

    def with_rank(self, rank: int, sizes: Sequence[int]) -> Self:
        return dataclasses.replace(self, rank=min(as_rank(rank), largest_rank(sizes)), rtol=None)

    def _require_fit(self, tensor: Array) -> None:
        require_rank(self.rank, mode_sizes(tensor, order=self.order))
        require_above_rounding(self.rtol or 0.0, tensor)

    def decompose(self, tensor: Array, *, rng: Rng | None) -> FittedCP:
        return fewest_terms(lambda rank: self._fitted(tensor, rank, rng=rng), self.rank, self.rtol)

    def _fitted(self, tensor: Array, rank: int, *, rng: Rng | None) -> FittedCP:
        xp, order = array_namespace(tensor), self.order
        total = energy(tensor, order=order)
        starts = self.start.factors(tensor, rank=rank, order=order, rng=rng)
        factors = [unit(factor, order=2)[0] for factor in starts]  # only their ranges matter
        size, captured = xp.sqrt(total), xp.zeros_like(total)
        weights = xp.zeros_like(factors[0][..., 0, :])
        history, path = History(size > 0, self.tolerance), Extrapolation()
        for _ in range(self.sweeps):
            guess = path.guess(factors, weights) if self.extrapolate else None
            swept, lengths, reached, accepted = cp_sweep(tensor, factors, order=order, guess=guess, captured=captured)
            path.judge(accepted)
            active = history.active
            factors = [xp.where(active[..., None, None], new, old) for new, old in zip(swept, factors, strict=True)]
            weights = xp.where(active[..., None], lengths, weights)
            captured = xp.where(active, reached, captured)
            if not history.record(relative_error(tensor, weights, factors, captured, size, digits=3)):
                break
            factors = revived(tensor, weights, factors, captured, active=history.active)
        residual = relative_error(tensor, weights, factors, captured, size, digits=6)
        return FittedCP(
            weights=weights,
            factors=tuple(factors),
            errors=history.stacked(),
            sweeps=history.sweeps,
            converged=history.converged,
            error_certificate=residual * size,
            residual=residual,
            congruence=congruence(factors),
        )


def largest_rank(sizes: Sequence[int]) -> int:
    """Return a number of terms with which every tensor of the given sizes is exact."""
    sizes = [int(n) for n in sizes]
    return math.prod(sizes) // max(sizes)


def require_rank(rank: int, sizes: Sequence[int]) -> None:
    """Raise ValueError if there are more terms than any tensor of the given sizes can need."""
    if rank > largest_rank(sizes):
        raise ValueError(
            f"rank {rank} exceeds {largest_rank(sizes)}, with which every tensor of sizes {sizes} is exact; reduce it"
        )


def congruence(factors: Sequence[Array]) -> Array:
    """Return the smallest cosine (...) between two terms, whose columns have length one or zero."""
    xp = array_namespace(factors[0])
    cosines = math.prod(gram(factor) for factor in factors)
    identity = xp.eye(cosines.shape[-1], dtype=cosines.dtype, device=device(cosines))
    return xp.min(xp.where(identity > 0, xp.ones_like(cosines), cosines), axis=(-2, -1))
