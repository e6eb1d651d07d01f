"""An independent sketch that estimates the error of an approximation when the matrix is no longer available."""

from __future__ import annotations

from dataclasses import dataclass

from tnattn.arrays import Array, accumulator_dtype, array_namespace
from tnattn.linalg import frobenius_norm, largest_entry
from tnattn.randnla.accuracy import leading_terms, relative_errors
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVDResult, trimmed
from tnattn.randnla.low_rank.truncation_errors import squared_truncation_errors
from tnattn.structured.base import StructuredMatrix

__all__: list[str] = []  # parts of other modules


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
    """

    rtol: float
    theta: StructuredMatrix
    w: Array

    def smallest(self, u: Array, s: Array, vt: Array, rank: int) -> RandomizedSVDResult:
        """Return the smallest truncations that meet the tolerance by the estimate; see ``SinglePassSVD``."""
        terms = leading_terms(self.errors(u, s, vt), self.rtol, like=s, most=rank)
        return trimmed(u, s, vt, terms, terms.accuracy(self.rtol, f"rank {rank}"))

    def errors(self, u: Array, s: Array, vt: Array) -> Array:
        """Return estimated relative errors (..., 1 + k) of the first 0, 1, ..., k triples; 1 for none, as is known."""
        xp, wide = array_namespace(s), accumulator_dtype(s)
        # a unit for squares; where A is zero, so are all others
        unit = xp.maximum(largest_entry(self.w), s[..., :1, None])
        w, sketched = self.w / unit, (self.theta.mT @ u) * (s[..., None, :] / unit)
        images = w @ xp.matrix_transpose(vt)
        residual_squared = xp.astype(frobenius_norm(w - images @ vt), wide, copy=False) ** 2
        squares = squared_truncation_errors(images, sketched, residual_squared)
        # ||theta^T A||^2 errs by what ||theta^T B||^2 errs by, which is known, if B is near A
        norm_squared = xp.sum(xp.astype(s / unit[..., 0], wide, copy=False) ** 2, axis=-1)
        sketched_squared = xp.sum(xp.astype(sketched, wide, copy=False) ** 2, axis=(-2, -1))
        known = (norm_squared > 0) & (sketched_squared > 0)
        scale, sketched_scale = (xp.where(known, x, xp.ones_like(x)) for x in (norm_squared, sketched_squared))
        size = squares[..., :1] * (scale / sketched_scale)[..., None]
        return relative_errors(xp.concat([size, squares[..., 1:]], axis=-1), like=s)
