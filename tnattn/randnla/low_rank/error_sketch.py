"""An independent sketch that tells the error of an approximation when the matrix is gone."""

from __future__ import annotations

from dataclasses import dataclass

from tnattn.arrays import Array, accumulator_dtype, array_namespace
from tnattn.linalg import frobenius_norm
from tnattn.randnla.accuracy import warn_of_missed, within
from tnattn.randnla.columns.pivoted_qr import largest_entry
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVDResult, padded
from tnattn.randnla.low_rank.truncation_errors import squared_truncation_errors
from tnattn.randnla.nested_errors import kept_ranks
from tnattn.structured.base import StructuredMatrix


@dataclass(frozen=True, eq=False)
class ErrorSketch:
    """What is remembered of a matrix to estimate the error of its approximation.

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
        errors = self.errors(u, s, vt)
        ranks, residual, kept = kept_ranks(errors[..., : rank + 1], self.rtol)
        converged = within(residual, self.rtol)
        warn_of_missed(converged, residual, self.rtol, f"rank {rank}")
        return RandomizedSVDResult(*padded(u, s, vt, kept), ranks, residual, converged)

    def errors(self, u: Array, s: Array, vt: Array) -> Array:
        """Return estimated relative errors (..., 1 + k) of the first 0, 1, ..., k triples; 1 for none, as is known."""
        xp, wide = array_namespace(s), accumulator_dtype(s)
        # a unit for squares; where A is zero, so are all others
        unit = xp.maximum(largest_entry(self.w), s[..., :1, None])
        w, left = self.w / unit, (self.theta.mT @ u) * (s[..., None, :] / unit)
        images = w @ xp.matrix_transpose(vt)
        rest = xp.astype(frobenius_norm(w - images @ vt), wide, copy=False) ** 2
        squares = squared_truncation_errors(images, left, rest)
        # ||theta^T A||^2 errs by what ||theta^T B||^2 errs by, which is known, if B is near A
        whole = xp.sum(xp.astype(s / unit[..., 0], wide, copy=False) ** 2, axis=-1)
        seen = xp.sum(xp.astype(left, wide, copy=False) ** 2, axis=(-2, -1))
        known = (whole > 0) & (seen > 0)
        scale = xp.where(known, whole, xp.ones_like(whole)) / xp.where(known, seen, xp.ones_like(seen))
        size = squares[..., :1] * scale[..., None]
        squares = xp.concat([size, squares[..., 1:]], axis=-1) / xp.where(size > 0, size, xp.ones_like(size))
        return xp.astype(xp.sqrt(squares), s.dtype, copy=False)
