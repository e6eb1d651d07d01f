"""Rank or tolerance: the request of a method, the truncation that meets it, and the accuracy that a result states.

A method with ``rank`` and ``rtol`` is a :class:`RankOrTolerance`; its result is an :class:`Accuracy`. An algorithm
computes the errors of its leading 0, 1, 2, ... terms; :func:`leading_terms` chooses the ranks, and ``LeadingTerms``
trims factors to them. The result is always returned; one ``ToleranceWarning`` per call reports a tolerance not met.
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
    """A relative tolerance is not met at the rank given; ``converged`` of the result shows for which matrices.

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
        Relative error, in the norm named by ``residual_norm`` of the method (Frobenius unless stated otherwise) or
        estimated. Zero for a zero matrix; None where it was not asked for.
    converged : Array, (...), boolean, optional
        The residual is at most the tolerance, or rounding. Without a tolerance: it is rounding.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import RandomizedSVD
    >>> svd = RandomizedSVD(rank=4, rtol=0.1)(np.diag([4.0, 2.0, 0.1, 0.01]), rng=np.random.default_rng(0))
    >>> print(svd.ranks, round(float(svd.residual), 3), svd.converged)
    2 0.022 True
    """

    ranks: Array | None = None
    residual: Array | None = None
    converged: Array | None = None


@dataclass(frozen=True, eq=False, repr=False)
class TrimmedFactors(Accuracy, LowRankMatrix):
    """Products of two factors, trimmed to the ranks that a tolerance requires.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import RandomizedSVD
    >>> stack = np.stack([np.eye(4), np.diag([4.0, 2.0, 0.0, 0.0])])
    >>> svd = RandomizedSVD(rank=4, rtol=0.1)(stack, rng=np.random.default_rng(0))
    >>> print(svd.u.shape, svd.ranks, svd.storage == (4 + 2) * (4 + 4))
    (2, 4, 4) [4 2] True
    """

    @property
    def storage(self) -> int:
        """Stored scalars; with a tolerance those of the true ranks, without the zeros that pad a stack."""
        if self.ranks is None or self.converged is None:  # no tolerance: every stored column counts
            return super().storage
        return int(array_namespace(self.ranks).sum(self.ranks)) * sum(self.shape[-2:])


class RankOrTolerance(Parameters):
    """Base of methods that take a rank and, optionally, a tolerance that lowers it.

    A subclass is a frozen dataclass with the fields

    rank : int
        Number of terms, positive; the largest admissible one where there is a tolerance.
    rtol : float, optional
        Relative tolerance of ``residual``. Every matrix of a stack gets the smallest rank that meets it, ``rank`` at
        most. A matrix that needs more keeps ``rank`` terms, is not ``converged``, and causes a ``ToleranceWarning``.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import PivotedQR
    >>> a = np.diag([1.0, 0.5, 0.01])
    >>> print(PivotedQR(rank=3)(a).ranks, PivotedQR(rank=3, rtol=0.1)(a).ranks)
    3 2
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
    """The fewest leading terms of each factorisation of a stack that are within a tolerance.

    Parameters
    ----------
    ranks : Array, (...), integer
        The smallest within the tolerance, or of all terms.
    residual : Array, (...)
        Relative errors at these ranks.
    converged : Array, (...), boolean
    chosen : Array, (..., largest rank, at least 1), boolean
        Terms of each matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.randnla.accuracy import leading_terms
    >>> errors = np.array([1.0, 0.5, 0.1, 0.0])  # of the first 0, 1, 2, 3 terms
    >>> terms = leading_terms(errors, 0.2, like=errors)
    >>> print(terms.ranks, terms.residual, terms.values(np.array([3.0, 2.0, 1.0])))
    2 0.1 [3. 2.]
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
        """Return the fields of an ``Accuracy`` by name; warn if a matrix exceeds its tolerance at rank ``spent``."""
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
        Of the dtype of the residuals.
    most : int, optional
        Largest rank admitted, where that is fewer than r.
    """
    xp = array_namespace(errors)
    errors = errors if most is None else errors[..., : min(most + 1, errors.shape[-1])]
    steps = xp.arange(errors.shape[-1], dtype=xp.int64, device=device(errors))
    # the first index within the tolerance, as a minimum: errors of truncations that are no projections may increase
    ranks = xp.min(xp.where(errors <= rtol, steps, xp.full_like(steps, errors.shape[-1] - 1)), axis=-1)
    residual = xp.take_along_axis(errors, ranks[..., None], axis=-1)[..., 0]
    largest = max(1, int(xp.max(ranks)))  # one synchronisation; factors keep one column, of zeros if all ranks are 0
    chosen = xp.arange(largest, device=device(errors)) < ranks[..., None]
    return LeadingTerms(ranks, xp.astype(residual, like.dtype, copy=False), residual <= rtol, chosen)


def relative_errors(squares: Array, *, like: Array) -> Array:
    """Return the roots of squared errors (..., 1 + r) relative to rank 0, in the dtype of ``like``; zero for zero."""
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
    # ||A||^2 - ||B||^2 is known to eps ||A||^2, so the relative residual, its root, to sqrt(eps); factor 2 of safety
    least = 2 * eps(like) ** 0.5
    if rtol <= least:
        raise ValueError(
            f"rtol {rtol} is below {least:.2g}, where the residual of a {dtype_name(like.dtype)} matrix cannot be told "
            f"from rounding; raise rtol, convert to float64, or give a rank"
        )


def require_above_rounding(rtol: float, like: Array) -> None:
    """Raise ValueError if a positive tolerance is below the rounding of a factorisation in the dtype of ``like``."""
    least = 64 * eps(like)  # residuals of factorisations are some tens of eps at the sizes met here
    if 0 < rtol < least:
        raise ValueError(
            f"rtol {rtol} is below {least:.2g}, the rounding of a {dtype_name(like.dtype)} matrix; raise rtol, "
            f"convert to float64, or give a rank"
        )


def judged(error: Array, size: Array, rtol: float, spent: str) -> tuple[Array, Array]:
    """Return the relative errors of a stack, and which are within the tolerance; warn if some are not.

    Parameters
    ----------
    error, size : Array, (...)
        In the same norm; where the size is zero, so is the error.
    rtol : float
        0 stands for none: no warning, and ``converged`` states which errors are rounding.
    spent : str
        Rank or number of terms for the warning, such as "rank 16".
    """
    xp = array_namespace(error)
    residual = error / xp.where(size > 0, size, xp.ones_like(size))
    converged = within(residual, rtol)
    if rtol > 0:
        warn_of_missed(converged, residual, rtol, spent)
    return residual, converged


def within(residual: Array, rtol: float) -> Array:
    """Return which relative errors (...) are at most ``rtol`` or of the size of rounding, booleans (...)."""
    return residual <= max(rtol, 64 * eps(residual))  # the same 64 as in require_above_rounding


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
    """Return the number of frames, this one included, from a frame of this package to its first caller outside."""
    depth = 1  # stacklevel 1 is the call of warnings.warn itself
    while frame is not None and str(frame.f_globals.get("__name__")).split(".")[0] == "tnattn":
        frame, depth = frame.f_back, depth + 1
    return depth
