"""The number of terms of a sum that a relative tolerance asks for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Protocol, TypeVar

from tnattn.arrays import Array, array_namespace
from tnattn.randnla.accuracy import warn_of_missed, within


class Fit(Protocol):
    """A dataclass that says how near it is to a stack of tensors."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    @property
    def residual(self) -> Array:
        """Relative errors (...)."""


F = TypeVar("F", bound=Fit)


def fewest_terms(fit: Callable[[int], F], most: int, rtol: float | None) -> F:
    """Return a fit with as few terms as keep a tolerance, of those tried; with the most if there is no tolerance.

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
        With a tolerance ``converged`` says which tensors keep it, and a ``ToleranceWarning`` that some do not.

    Notes
    -----
    Terms are doubled until they suffice, then bisected: about 2 log2(terms) fits, the largest of at most twice the
    terms of the result. A sum is not improved by appending terms, so that every fit starts anew. Larger fits need not
    be better, for each may end in another local minimum: fewer terms than these may do.
    """
    if rtol is None:
        return fit(most)
    low, high = 0, 1  # the last number that failed, and the next to try
    found = fit(min(high, most))
    while not _kept(found, rtol) and high < most:
        low, high = high, min(2 * high, most)
        found = fit(high)
    if _kept(found, rtol):
        while high - low > 1:
            middle = (low + high) // 2
            tried = fit(middle)
            if _kept(tried, rtol):
                high, found = middle, tried
            else:
                low = middle
    converged = within(found.residual, rtol)
    warn_of_missed(converged, found.residual, rtol, f"{high} terms")
    return dataclasses.replace(found, converged=converged)


def _kept(found: Fit, rtol: float) -> bool:
    xp = array_namespace(found.residual)
    return bool(xp.all(within(found.residual, rtol)))
