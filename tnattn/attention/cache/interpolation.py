"""Nyström interpolation of exp(x . y) from few points, and its sums over all points without the weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from tnattn.arrays import Array, array_namespace, device, dtype_name
from tnattn.display import Displayed
from tnattn.linalg import solve_triangular
from tnattn.randnla.semidefinite.pivot_core import core_at_pivots, gaussian_factor
from tnattn.randnla.semidefinite.pivoted_cholesky import RandomlyPivotedCholesky, SharedSamples
from tnattn.structured.gather import take_rows
from tnattn.structured.gaussian_kernel import GaussianKernel

__all__: list[str] = []  # for pivoted_coreset

# differences of half squares up to which products may come before the solve: factors e^-d, and products of them with
# entries of the factor that matter, stay far from the end of the range
_SPREAD = {"float64": 300.0, "float32": 30.0}
_MILD = 2.0  # differences up to which a factor in float32 does, since rounding grows by e^2 at most


@dataclass(frozen=True, eq=False, repr=False)
class Interpolation(Displayed):
    """Weights K(pivots, pivots)^-1 K(pivots, points) of matrices for K(x, y) = exp(x . y), in factored form.

    Parameters
    ----------
    pivots : Array, (..., m), integer
        0 where fewer suffice.
    valid : Array, (..., m), boolean
    core : Array, (..., m, m)
        Lower triangular factor L of the Gaussian kernel G among the pivots; rows of the identity where they are not
        valid.
    rows : Array, (..., m, n)
        L^-1 G(pivots, points), in float32 where that is accurate enough.
    halves : Array, (..., n)
        a = |x|^2 / 2 of the points.

    Notes
    -----
    K = e^a G e^a, so that the weights are e^-a (L^-T rows) e^a: no exponential of a large square is formed by itself.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import RandomlyPivotedCholesky
    >>> from tnattn.attention.cache.interpolation import Interpolation
    >>> points = np.random.default_rng(0).standard_normal((30, 2))
    >>> method = RandomlyPivotedCholesky(rank=8)
    >>> found = Interpolation.among(points, method, method.samples(np.random.default_rng(0), like=points))
    >>> bool(np.allclose(found.sums(points), found.weights() @ points))
    True
    """

    pivots: Array
    valid: Array
    core: Array
    rows: Array
    halves: Array

    @classmethod
    def among(
        cls,
        points: Array,
        method: RandomlyPivotedCholesky,
        samples: SharedSamples,
        *,
        spared: Array | None = None,
        dtype: Any = None,
    ) -> Interpolation:
        """Return the interpolation from pivots among points (..., n, d).

        ``spared`` (...) is the number of pivots, at the end, that are not used; ``dtype`` that of the result, for which
        the factor is as narrow as ``gaussian_factor`` allows.
        """
        xp, count = array_namespace(points), method.rank
        kernel = partial(GaussianKernel, points)
        halves = _halves(points)
        # factors of e^(a - a') amplify the rounding of entries of the Gaussian kernel, however small these are
        mild = bool(xp.all(_spread(halves) <= _MILD))
        result = gaussian_factor(method, kernel, samples, narrow=dtype if mild else None)
        valid = result.pivots >= 0
        if spared is not None:
            valid = valid & (xp.arange(count, device=device(points)) < count - spared[..., None])
        pivots = xp.where(valid, result.pivots, xp.zeros_like(result.pivots))
        rows = result.factor.mT  # stored by rows
        core = xp.astype(core_at_pivots(rows, pivots, valid), points.dtype, copy=False)
        return cls(pivots, valid, core, rows, halves)

    def weights(self) -> Array:
        """Return the weights (..., m, n), zero where a pivot is not valid."""
        xp = array_namespace(self.rows)
        rows = xp.astype(self.rows, self.core.dtype, copy=False)
        weights = solve_triangular(self.core, rows, lower=True, transpose=True)
        exponents = self.halves[..., None, :] - self._at_pivots()
        # a weight that has vanished stays zero, however large the factor
        weights = weights * xp.exp(xp.where(weights == 0, xp.zeros_like(weights), exponents))
        return xp.where(self.valid[..., None], weights, xp.zeros_like(weights))

    def sums(self, x: Array) -> Array:
        """Return the products (..., m, c) of the weights with x (..., n, c).

        2 m n c + m^2 c operations: the product comes before the solve, and the weights are never formed, unless the
        squares of the points differ so much that the products would leave the range. One synchronisation.
        """
        xp, halves = array_namespace(x), self.halves
        top = xp.max(halves, axis=-1, keepdims=True)
        if bool(xp.any(_spread(halves) > _SPREAD[dtype_name(halves.dtype)])):
            return self.weights() @ xp.astype(x, self.core.dtype, copy=False)
        scaled = xp.astype(xp.exp(halves - top), self.rows.dtype, copy=False)[..., None] * x
        # many terms in the dtype of the factor, the few of the solve in the widest
        inner = xp.astype(self.rows @ xp.astype(scaled, self.rows.dtype, copy=False), self.core.dtype, copy=False)
        solved = solve_triangular(self.core, inner, lower=True, transpose=True)
        sums = xp.exp(top[..., None] - self._at_pivots()) * solved
        return xp.where(self.valid[..., None], sums, xp.zeros_like(sums))

    def _at_pivots(self) -> Array:
        return take_rows(self.halves[..., None], self.pivots)  # (..., m, 1)


def _spread(halves: Array) -> Array:
    xp = array_namespace(halves)
    return xp.max(halves, axis=-1) - xp.min(halves, axis=-1)


def _halves(points: Array) -> Array:
    return array_namespace(points).vecdot(points, points) / 2
