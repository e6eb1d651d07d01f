"""Error estimates from an independent sketch, when the matrix is no longer available."""

from __future__ import annotations

from dataclasses import dataclass

from tnattn.arrays import Array, accumulator_dtype, array_namespace
from tnattn.linalg import frobenius_norm, largest_entry
from tnattn.randnla.accuracy import leading_terms, relative_errors
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVDResult, trimmed
from tnattn.randnla.low_rank.truncation_errors import squared_truncation_errors
from tnattn.structured.base import StructuredMatrix

__all__: list[str] = []  # for streaming_svd


@dataclass(frozen=True, eq=False)
class ErrorSketch:
    """A sketch of a matrix from which the error of its approximation is estimated.

    Parameters
    ----------
    rtol : float
        Relative tolerance of the approximation.
    theta : StructuredMatrix, (m, q)
        Gaussian test matrix, independent of those that the approximation comes from.
    w : Array, (..., q, n)
        ``theta^T A``.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import ErrorSketch, Gaussian
    >>> theta = Gaussian().draw(40, 20, rng=np.random.default_rng(0), like=np.zeros(1))
    >>> s = 0.5 ** np.arange(40.0)  # truncations of diag(s) have the relative errors 1, 1/2, 1/4, ...
    >>> sketch = ErrorSketch(0.1, theta, theta.mT @ np.diag(s))
    >>> print(np.round(sketch.errors(np.eye(40)[:, :4], s[:4], np.eye(40)[:4]), 2))
    [1.   0.47 0.22 0.13 0.07]
    """

    rtol: float
    theta: StructuredMatrix
    w: Array

    def smallest(self, u: Array, s: Array, vt: Array, rank: int) -> RandomizedSVDResult:
        """Return the smallest truncations that meet the tolerance by the estimate; see ``SinglePassSVD``."""
        terms = leading_terms(self.errors(u, s, vt), self.rtol, like=s, most=rank)
        return trimmed(u, s, vt, terms, terms.accuracy(self.rtol, f"rank {rank}"))

    def errors(self, u: Array, s: Array, vt: Array) -> Array:
        """Return estimated relative errors (..., 1 + k) of the first 0, 1, ..., k triples; exactly 1 for none."""
        xp, wide = array_namespace(s), accumulator_dtype(s)
        # unit in which squares are taken; where A is zero, so are all the others
        unit = xp.maximum(largest_entry(self.w), s[..., :1, None])
        w, sketched = self.w / unit, (self.theta.mT @ u) * (s[..., None, :] / unit)
        images = w @ xp.matrix_transpose(vt)
        residual_squared = xp.astype(frobenius_norm(w - images @ vt), wide, copy=False) ** 2
        squares = squared_truncation_errors(images, sketched, residual_squared)
        # ||A||^2 is unknown: ||theta^T A||^2 times ||B||^2 / ||theta^T B||^2, whose errors cancel where B is near A
        norm_squared = xp.sum(xp.astype(s / unit[..., 0], wide, copy=False) ** 2, axis=-1)
        sketched_squared = xp.sum(xp.astype(sketched, wide, copy=False) ** 2, axis=(-2, -1))
        known = (norm_squared > 0) & (sketched_squared > 0)
        scale, sketched_scale = (xp.where(known, x, xp.ones_like(x)) for x in (norm_squared, sketched_squared))
        size = squares[..., :1] * (scale / sketched_scale)[..., None]
        return relative_errors(xp.concat([size, squares[..., 1:]], axis=-1), like=s)
