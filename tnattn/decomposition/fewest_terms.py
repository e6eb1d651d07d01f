"""Search for the smallest number of terms that meets a relative tolerance."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Protocol, TypeVar

from tnattn.arrays import Array, array_namespace
from tnattn.randnla.accuracy import warn_of_missed, within


class Fit(Protocol):
    """A dataclass with the residual of a fit to a stack of tensors, and a field ``converged``."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    @property
    def residual(self) -> Array:
        """Relative errors (...)."""


F = TypeVar("F", bound=Fit)


def fewest_terms(fit: Callable[[int], F], most: int, rtol: float | None) -> F:
    """Return the smallest fit tried that meets a tolerance; the largest one if there is no tolerance.

    Parameters
    ----------
    fit : callable
        Fits a stack of tensors with a number of terms.
    most : int
        Number of terms, at most.
    rtol : float, optional
        Relative error that every tensor of the stack is to keep.

    Returns
    -------
    fit
        Its ``converged`` tells which tensors meet the tolerance, or are exact to rounding where there is none; a
        ``ToleranceWarning`` reports that some do not meet it.

    Notes
    -----
    Terms are doubled until they suffice, then bisected: about 2 log2(terms) fits, the largest of at most twice the
    terms of the result. A sum is not improved by appending terms, so that every fit starts anew. Larger fits need not
    be better, for each may end in another local minimum: fewer terms than these may do.
    """
    if rtol is None:
        fitted = fit(most)
        return dataclasses.replace(fitted, converged=within(fitted.residual, 0.0))
    low, high = 0, 1  # the last number that failed, and the next to try
    fitted = fit(min(high, most))
    # doubling: all fits together cost at most twice the largest, as their cost is at least linear in the terms
    while not _all_within(fitted, rtol) and high < most:
        low, high = high, min(2 * high, most)
        fitted = fit(high)
    if _all_within(fitted, rtol):
        # bisection on (low, high]: low fails, high meets the tolerance
        while high - low > 1:
            middle = (low + high) // 2
            tried = fit(middle)
            if _all_within(tried, rtol):
                high, fitted = middle, tried
            else:
                low = middle
    converged = within(fitted.residual, rtol)
    warn_of_missed(converged, fitted.residual, rtol, f"{high} terms")
    return dataclasses.replace(fitted, converged=converged)


def _all_within(fitted: Fit, rtol: float) -> bool:
    xp = array_namespace(fitted.residual)
    return bool(xp.all(within(fitted.residual, rtol)))
