"""Relative tolerances of adaptive factorisations: their range, and the honest failure."""

from __future__ import annotations

from tnattn.arrays import Array, array_namespace, eps


def require_tolerance(rtol: float) -> None:
    """Raise ValueError unless a relative tolerance is in [0, 1)."""
    if not 0 <= rtol < 1:
        raise ValueError(f"rtol is {rtol!r}; 0 <= rtol < 1 is needed")


def require_met(error: Array, size: Array, rtol: float, spent: str) -> None:
    """Raise ValueError unless errors (...) are at most ``rtol`` times sizes (...); one synchronisation.

    Parameters
    ----------
    error, size : Array, (...)
        In the same norm.
    rtol : float
    spent : str
        What was spent, for the message, such as "rank 16".
    """
    xp = array_namespace(error)
    allowed = xp.maximum(rtol * size, 64 * eps(error) * size)  # nobody can do better than rounding
    if bool(xp.any(error > allowed)):
        relative = xp.where(size > 0, error / xp.where(size > 0, size, xp.ones_like(size)), xp.zeros_like(size))
        raise ValueError(
            f"rtol {rtol:g} is not met at {spent}: the relative error is {float(xp.max(relative)):.3g}; "
            f"raise the rank or rtol"
        )
