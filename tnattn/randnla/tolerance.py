"""Relative tolerances of adaptive factorisations: their range, whether they were met, and the word when they were not.

Every method with ``rtol`` answers in the same way. Its result carries ``ranks``, ``residual`` (the realised relative
error) and ``converged``, one entry for each matrix of the stack. What was computed is always returned, and one
``ToleranceWarning`` for each call says that a matrix has missed its tolerance.
"""

from __future__ import annotations

import math
import sys
import warnings
from types import FrameType

from tnattn.arrays import Array, array_namespace, dtype_name, eps


class ToleranceWarning(UserWarning):
    """The rank did not suffice for the relative tolerance; ``converged`` of the result says for which matrices.

    Who would rather stop turns it into an error: ``warnings.simplefilter("error", ToleranceWarning)``.
    """


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
        0 asks for nothing: no warning, and ``converged`` says which errors are rounding.
    spent : str
        What was spent, for the warning, such as "rank 16".

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
    """Return whether relative errors (...) are at most ``rtol``, or rounding: nobody can do better than that."""
    return residual <= max(rtol, 64 * eps(residual))


def warn_of_missed(converged: Array, residual: Array, rtol: float, spent: str) -> None:
    """Issue one ``ToleranceWarning`` if a matrix of a stack has not converged, at the line that called the package.

    See ``judged`` for the arguments. One synchronisation.
    """
    xp = array_namespace(residual)
    if bool(xp.all(converged)):
        return
    missed = int(xp.sum(xp.astype(~converged, xp.int64)))
    warnings.warn(
        f"rtol {rtol:g} is not met at {spent} by {missed} of the {math.prod(residual.shape)} matrices: the largest "
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
