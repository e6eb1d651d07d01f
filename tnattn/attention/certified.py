"""Approximations that carry an upper bound on the error of each of their rows."""

from __future__ import annotations

from dataclasses import dataclass

from tnattn.arrays import Array, array_namespace
from tnattn.attention.approximation import Approximation
from tnattn.scalars import Parameters


@dataclass(frozen=True, eq=False, repr=False)
class CertifiedApproximation(Approximation, Parameters):
    """An approximation whose method bounds the distance of every row of the output from the exact one.

    Parameters
    ----------
    bounds : Array, (..., H, n_q)
        Of the Euclidean norms, absolute; infinite where nothing is known, zero for rows without keys. Rounding is
        included, but not that of an output which is cast to half precision.
    failure : float
        Probability, over the draws of the method, that any bound of one entry of the batch is wrong; zero where all
        follow from arithmetic.

    Notes
    -----
    The bounds are of this output: a merged piece carries none.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, ScanRefineSample
    >>> rng = np.random.default_rng(0)
    >>> problem = AttentionProblem(*rng.standard_normal((3, 1, 64, 8)), scale=1.0)
    >>> result = ScanRefineSample(keys=32)(problem, rng=rng)
    >>> errors = np.linalg.norm(result.output - problem.output, axis=-1)
    >>> bool(np.all(errors <= result.bounds)), result.failure
    (True, 0.001)
    """

    bounds: Array | None = None
    failure: float = 0.0

    @property
    def largest_bound(self) -> Array:
        """The largest of the bounds of the rows of every head, (..., H)."""
        if self.bounds is None:
            raise ValueError("this piece carries no bounds; they belong to the result of a method as it was returned")
        return array_namespace(self.bounds).max(self.bounds, axis=-1)
