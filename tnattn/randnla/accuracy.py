"""Rank or tolerance: the request of a method, the truncation that meets it, and the accuracy that a result states.

A method with ``rank`` and ``rtol`` is a :class:`RankOrTolerance`. An algorithm hands the errors of its leading 0, 1, 2,
... terms to :func:`leading_terms`, which chooses the ranks; ``LeadingTerms`` trims factors to them. A result is an
:class:`Accuracy`, with ``ranks``, ``residual`` and ``converged`` of every matrix or tensor of the stack. The computed
result is always returned; one ``ToleranceWarning`` for each call reports that a tolerance is not met.
"""

from __future__ import annotations

import math
import sys
import warnings
from dataclasses import dataclass
from types import FrameType
from typing import Any, ClassVar

from tnattn.arrays import Array, array_namespace, device, dtype_name, eps
from tnattn.scalars import Parameters, as_integer
from tnattn.structured.low_rank import LowRankMatrix


class ToleranceWarning(UserWarning):
    """A relative tolerance is not met at the rank given; ``converged`` of the result says for which matrices.

    ``warnings.simplefilter("error", ToleranceWarning)`` turns it into an error.
    """


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Accuracy:
    """Ranks and accuracy of a factorisation or decomposition; a base of the classes of results.

    Parameters
    ----------
    ranks : Array, (...), integer, optional
        Number of terms (columns, crosses, singular triples) of each matrix of the stack: factors have as many terms as
        the largest of them, the terms beyond are zero, their indices -1. None where all have the rank asked for. For
        tensors with several ranks (..., d), one for each mode or bond.
    residual : Array, (...), optional
        Relative error. ``residual_norm`` of the method names the norm (Frobenius unless stated otherwise), and says
        where it is an estimate. Zero for zero; None where it was not asked for.
    converged : Array, (...), boolean, optional
        The residual is at most the tolerance, or rounding. Without a tolerance: it is rounding.
    """

    ranks: Array | None = None
    residual: Array | None = None
    converged: Array | None = None


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class IterationAccuracy(Accuracy):
    """The accuracy of the result of an iteration.

    Parameters
    ----------
    ranks, residual, converged
        See ``Accuracy``.
    stationary : Array, (...), boolean, optional
        The iteration ended because it no longer changed the result, and not because its steps were used up.
    """

    stationary: Array | None = None


@dataclass(frozen=True, eq=False, repr=False)
class TrimmedFactors(Accuracy, LowRankMatrix):
    """Products of two factors, trimmed to the ranks that a tolerance asks for."""

    @property
    def storage(self) -> int:
        """Stored scalars; with a tolerance those of the true ranks, without the zeros that pad a stack."""
        if self.ranks is None or self.converged is None:
            return super().storage
        return int(array_namespace(self.ranks).sum(self.ranks)) * sum(self.shape[-2:])


class RankOrTolerance(Parameters):
    """Base of methods that take a rank, and optionally the tolerance that lowers it.

    A subclass is a frozen dataclass with the fields

    rank : int
        Number of terms, positive; the largest admissible one where there is a tolerance.
    rtol : float, optional
        Relative tolerance of ``residual``. Every matrix of a stack gets the smallest rank that meets it, ``rank`` at
        most. A matrix that needs more keeps ``rank`` terms, is not ``converged``, and causes a ``ToleranceWarning``.
    """

    no_tolerance: ClassVar[float | None] = None  # value of rtol without a tolerance; 0.0 for eliminations

    rank: int
    rtol: float | None

    def __post_init__(self) -> None:
        as_integer(self.rank, "rank", least=1)
        if self.no_tolerance is None or self.rtol is None:
            require_optional_tolerance(self.rtol)
        else:
            require_tolerance(self.rtol)


@dataclass(frozen=True, eq=False)
class LeadingTerms:
    """The leading terms of a stack of factorisations that are within a tolerance.

    Parameters
    ----------
    ranks : Array, (...), integer
        The smallest within the tolerance, or all there are.
    residual : Array, (...)
        Relative errors at these ranks.
    converged : Array, (...), boolean
    chosen : Array, (..., largest rank, at least 1), boolean
        Terms of each matrix.
    """

    ranks: Array
    residual: Array
    converged: Array
    chosen: Array

    @property
    def size(self) -> int:
        """The largest rank of the stack, at least 1."""
        return int(self.chosen.shape[-1])

    def columns(self, x: Array) -> Array:
        """Return the chosen columns (..., m, size) of arrays (..., m, r), zero beyond the rank of a matrix."""
        return x[..., : self.size] * self._mask(x)[..., None, :]

    def rows(self, x: Array) -> Array:
        """Return the chosen rows (..., size, n) of arrays (..., r, n), zero beyond the rank of a matrix."""
        return x[..., : self.size, :] * self._mask(x)[..., None]

    def values(self, x: Array) -> Array:
        """Return the chosen numbers (..., size) of arrays (..., r), zero beyond the rank of a matrix."""
        return x[..., : self.size] * self._mask(x)

    def indices(self, x: Array) -> Array:
        """Return the chosen indices (..., size) of integer arrays (..., r), -1 beyond the rank of a matrix."""
        xp, x = array_namespace(x), x[..., : self.size]
        return xp.where(self.chosen, x, -xp.ones_like(x))

    def accuracy(self, rtol: float, spent: str) -> dict[str, Any]:
        """Return the fields of an ``Accuracy`` by name; warn if a matrix misses its tolerance at what was spent."""
        warn_of_missed(self.converged, self.residual, rtol, spent)
        return {"ranks": self.ranks, "residual": self.residual, "converged": self.converged}

    def _mask(self, x: Array) -> Array:
        return array_namespace(x).astype(self.chosen, x.dtype)


def leading_terms(errors: Array, rtol: float, *, like: Array, most: int | None = None) -> LeadingTerms:
    """Return the fewest leading terms whose relative error is within a tolerance, or all there are.

    Parameters
    ----------
    errors : Array, (..., 1 + r)
        Relative errors of the first 0, 1, ..., r terms; they need not decrease.
    rtol : float
        At least ``64 eps``.
    like : Array
        Of the dtype that residuals are to have.
    most : int, optional
        Largest rank admitted, where that is fewer than r.
    """
    xp = array_namespace(errors)
    errors = errors if most is None else errors[..., : min(most + 1, errors.shape[-1])]
    steps = xp.arange(errors.shape[-1], dtype=xp.int64, device=device(errors))
    ranks = xp.min(xp.where(errors <= rtol, steps, xp.full_like(steps, errors.shape[-1] - 1)), axis=-1)
    residual = xp.take_along_axis(errors, ranks[..., None], axis=-1)[..., 0]
    largest = max(1, int(xp.max(ranks)))
    chosen = xp.arange(largest, device=device(errors)) < ranks[..., None]
    return LeadingTerms(ranks, xp.astype(residual, like.dtype, copy=False), residual <= rtol, chosen)


def relative_errors(squares: Array, *, like: Array) -> Array:
    """Return roots of squared errors (..., 1 + r) over that of rank 0, in the dtype of an array; zero for zeros."""
    xp, norm_squared = array_namespace(squares), squares[..., :1]
    ratios = squares / xp.where(norm_squared > 0, norm_squared, xp.ones_like(norm_squared))
    return xp.astype(xp.sqrt(ratios), like.dtype, copy=False)


def counted(indices: Array) -> Array:
    """Return the numbers (...) of the indices (..., r) that are not -1: the ranks of factorisations by selection."""
    xp = array_namespace(indices)
    return xp.sum(xp.astype(indices >= 0, xp.int64), axis=-1)


def require_rank(rank: int, shape: tuple[int, ...]) -> None:
    """Raise ValueError if a rank exceeds the smaller side of the matrices of a stack."""
    limit = min(shape[-2:])
    if rank > limit:
        raise ValueError(f"rank {rank} exceeds min(m, n) = {limit} of the {tuple(shape)} stack; reduce rank")


def require_tolerance(rtol: float) -> None:
    """Raise ValueError unless a relative tolerance is in [0, 1); 0 stands for none."""
    if not 0 <= rtol < 1:
        raise ValueError(f"rtol is {rtol!r}; 0 <= rtol < 1 is needed")


def require_optional_tolerance(rtol: float | None) -> None:
    """Raise ValueError unless a relative tolerance is in (0, 1), or None where there is none."""
    if rtol is not None and not 0 < rtol < 1:
        raise ValueError(f"rtol is {rtol!r}; 0 < rtol < 1 is needed, or None for the given rank")


def require_resolved(rtol: float, like: Array) -> None:
    """Raise ValueError if a tolerance is below what a difference of squared norms resolves in the dtype of ``like``."""
    least = 2 * eps(like) ** 0.5
    if rtol <= least:
        raise ValueError(
            f"rtol {rtol} is below {least:.2g}, where the residual of a {dtype_name(like.dtype)} matrix cannot be told "
            f"from rounding; raise rtol, convert to float64, or give a rank"
        )


def require_above_rounding(rtol: float, like: Array) -> None:
    """Raise ValueError if a tolerance other than 0 is below what anything resolves in the dtype of ``like``."""
    least = 64 * eps(like)
    if 0 < rtol < least:
        raise ValueError(
            f"rtol {rtol} is below {least:.2g}, the rounding of a {dtype_name(like.dtype)} matrix; raise rtol, "
            f"convert to float64, or give a rank"
        )


def judged(error: Array, size: Array, rtol: float, spent: str) -> tuple[Array, Array]:
    """Return the relative errors of a stack and whether they are within the tolerance; warn if some are not.

    Parameters
    ----------
    error, size : Array, (...)
        In the same norm; where the size is zero, so is the error.
    rtol : float
        0 stands for none: no warning, and ``converged`` states which errors are rounding.
    spent : str
        Rank or number of terms for the warning, such as "rank 16".

    Returns
    -------
    residual, converged : Array, (...)
    """
    xp = array_namespace(error)
    residual = error / xp.where(size > 0, size, xp.ones_like(size))
    converged = within(residual, rtol)
    if rtol > 0:
        warn_of_missed(converged, residual, rtol, spent)
    return residual, converged


def within(residual: Array, rtol: float) -> Array:
    """Return whether relative errors (...) are at most ``rtol``, or rounding, below which no method gets."""
    return residual <= max(rtol, 64 * eps(residual))


def warn_of_missed(converged: Array, residual: Array, rtol: float, spent: str) -> None:
    """Issue one ``ToleranceWarning`` if a matrix of a stack has not converged, at the line that called the package.

    See ``judged`` for the arguments. One synchronisation.
    """
    xp = array_namespace(residual)
    if bool(xp.all(converged)):
        return
    count = int(xp.sum(xp.astype(~converged, xp.int64)))
    warnings.warn(
        f"rtol {rtol:g} is not met at {spent} by {count} of the {math.prod(residual.shape)} matrices: the largest "
        f"relative error is {float(xp.max(residual)):.3g}; raise rank or rtol",
        ToleranceWarning,
        stacklevel=_depth(sys._getframe()),
    )


def _depth(frame: FrameType | None) -> int:
    """Return how many frames, this one included, lie between a frame of this package and its first caller outside."""
    depth = 1
    while frame is not None and str(frame.f_globals.get("__name__")).split(".")[0] == "tnattn":
        frame, depth = frame.f_back, depth + 1
    return depth
