"""Accuracy of the results of iterations: converged to a tolerance, and stationary."""

from __future__ import annotations

from dataclasses import dataclass

from tnattn.arrays import Array
from tnattn.randnla.accuracy import Accuracy


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class IterationAccuracy(Accuracy):
    """Accuracy of the result of an iteration.

    Parameters
    ----------
    ranks, residual, converged
        See ``Accuracy``.
    stationary : Array, (...), boolean, optional
        The iteration ended because it no longer changed the result, and not because its steps were used up.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import HOOI
    >>> tensor = HOOI(ranks=(1, 1, 1))(np.ones((3, 4, 5)))
    >>> print(tensor.converged, tensor.stationary)
    True True
    """

    stationary: Array | None = None
