"""Extrapolation of the steps of alternating least squares, for its slow convergence in swamps."""

from __future__ import annotations

from collections.abc import Sequence

from tnattn.arrays import Array, array_namespace

__all__: list[str] = []

GROWTH, SHRINKAGE = 1.5, 0.5  # of the length after an accepted and after a rejected step


class Extrapolation:
    """Guess the next factors from the last two, by a step whose length adapts to each tensor of a stack.

    The length grows after an accepted step and shrinks after a rejected one; the measured fit decides on acceptance.
    Harshman's line search with a measured outcome in place of a fixed length (Bro 1998, Section 4.4).

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.cp.path import Extrapolation
    >>> path, weights = Extrapolation(), np.ones(1)
    >>> guesses = [path.guess([np.full((2, 1), x), np.ones((2, 1))], weights) for x in (0.0, 1.0, 3.0)]
    >>> guesses[:2], guesses[2][0].ravel()
    ([None, None], array([5., 5.]))
    """

    def __init__(self) -> None:
        self._points: list[list[Array]] = []
        self._lengths: Array | None = None  # (...), once there was a guess

    def guess(self, factors: Sequence[Array], weights: Array) -> list[Array] | None:
        """Return extrapolated factors, the last of which carries the weights; None until two sweeps have been made."""
        xp = array_namespace(weights)
        self._points.append([*factors[:-1], factors[-1] * weights[..., None, :]])
        if len(self._points) < 3:  # the first point is the initial guess, whose scale means nothing
            return None
        _, old, new = self._points
        self._points = self._points[1:]
        if self._lengths is None:
            self._lengths = xp.ones_like(weights[..., 0])
        step = self._lengths[..., None, None]
        return [b + step * (b - a) for a, b in zip(old, new, strict=True)]

    def judge(self, accepted: Array) -> None:
        """Adapt the lengths of the steps to the acceptance (...) of the last guess."""
        if self._lengths is not None:
            xp = array_namespace(self._lengths)
            self._lengths = xp.where(accepted, GROWTH * self._lengths, SHRINKAGE * self._lengths)
