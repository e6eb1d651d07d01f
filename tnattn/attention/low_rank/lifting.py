"""Queries and keys as points of one Gaussian kernel, and its factor at landmarks, evaluated on use."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from tnattn.arrays import Array, Part, accumulator_dtype, array_namespace, device
from tnattn.attention.heavy_keys import replaced_by_mean
from tnattn.attention.low_rank.ridged_gaussian import RidgedGaussian
from tnattn.display import Displayed
from tnattn.randnla.semidefinite.pivot_core import gaussian_factor
from tnattn.randnla.semidefinite.pivoted_cholesky import RandomlyPivotedCholesky, SharedSamples
from tnattn.scalars import Parameters
from tnattn.structured import Evaluated

__all__ = ["LandmarkFactor", "Landmarks", "Lifting"]

SMALL = 2.0**-60  # products of two smaller numbers approach the end of the range of float32, 2^-126


class _Tokens(NamedTuple):
    """Points of queries and keys together, with the logarithms of the outer factors.

    Parameters
    ----------
    points : Array, (..., n_q + n_k, d)
        Zeros where squares overflow.
    rows : Array, (..., n_q)
    columns : Array, (..., n_k)
        Scores are ``rows + columns - |x - y|^2 / 2``.
    usable : Array, (...), boolean
        False where squares overflow, and the factorisation is undefined.
    """

    points: Array
    rows: Array
    columns: Array
    usable: Array


@dataclass(frozen=True, eq=False, repr=False)
class Lifting(Parameters, Displayed):
    """The map from queries and keys to points x, y with q . k = rows + columns - |x - y|^2 / 2.

    Parameters
    ----------
    queries : Array, (..., G, R, n_q, d)
    keys : Array, (..., G, 1, n_k, d)
    scale : float
    centre, balance : bool
        See ``LiftedNystrom``.
    heavy : Array, (..., G, 1, n_k), boolean, optional
        Keys that are moved to the mean of the others.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.arrays import Part
    >>> from tnattn.attention.low_rank.lifting import Lifting
    >>> q, k = np.random.default_rng(0).standard_normal((2, 1, 1, 5, 3))
    >>> x, y, rows, columns = Lifting(q, k, 1.0).points(Part((1, 1), (0, 0)))
    >>> distances = np.sum((x[:, None] - y) ** 2, axis=-1)
    >>> bool(np.allclose(rows[:, None] + columns - distances / 2, q[0, 0] @ k[0, 0].T))
    True
    """

    queries: Array
    keys: Array
    scale: float
    centre: bool = True
    balance: bool = True
    heavy: Array | None = None

    def points(self, part: Part) -> tuple[Array, Array, Array, Array]:
        """Return points x (..., n_q, d) and y (..., n_k, d) with the logarithms of the outer factors."""
        xp, wide = array_namespace(self.queries), accumulator_dtype(self.queries)
        q = xp.astype(part.of(self.queries) * self.scale, wide)
        k = part.of(self.keys)
        if self.heavy is not None:
            k = replaced_by_mean(k, part.of(self.heavy, 1))
        k = xp.broadcast_to(xp.astype(k, wide), (*q.shape[:-2], *k.shape[-2:]))
        q_mean, k_mean = xp.mean(q, axis=-2, keepdims=True), xp.mean(k, axis=-2, keepdims=True)
        if not self.centre:
            q_mean, k_mean = xp.zeros_like(q_mean), xp.zeros_like(k_mean)
        x, y = q - q_mean, k - k_mean
        # q . k = x . y + q . k_mean + q_mean . y
        rows, columns = (q @ k_mean.mT)[..., 0], (y @ q_mean.mT)[..., 0]
        factor = self._factor(x, y)
        x, y = x * factor, y / factor
        return x, y, rows + xp.vecdot(x, x) / 2, columns + xp.vecdot(y, y) / 2

    def _factor(self, x: Array, y: Array) -> Array:
        """Return the factor (..., 1, 1) by which queries are multiplied and keys divided."""
        xp = array_namespace(x)
        sizes = [_root_mean_square(z) for z in (x, y)]
        # without balance both carry the root of the scale, all of which the queries hold so far
        plain = xp.full_like(sizes[0], self.scale**-0.5)
        if not self.balance:
            return plain
        both = (sizes[0] > 0) & (sizes[1] > 0)  # zeros cannot be balanced
        safe = xp.where(both, sizes[0], xp.ones_like(sizes[0]))
        return xp.where(both, xp.sqrt(sizes[1]) / xp.sqrt(safe), plain)

    def tokens(self, part: Part) -> _Tokens:
        """Return queries and keys as one set of points."""
        xp = array_namespace(self.queries)
        x, y, rows, columns = self.points(part)
        points = xp.concat([x, y], axis=-2)
        usable = xp.isfinite(xp.max(xp.vecdot(points, points), axis=-1))
        return _Tokens(xp.where(usable[..., None, None], points, xp.zeros_like(points)), rows, columns, usable)


@dataclass(frozen=True, eq=False, repr=False)
class Landmarks(Displayed):
    """The factorisation of the Gaussian kernel of every head, the same whenever it is evaluated.

    Parameters
    ----------
    lifting : Lifting
    pivoting : RandomlyPivotedCholesky
    samples : SharedSamples
    wanted : Array, (..., G, R), integer
        Number of landmarks, the first ones, that are used.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, LiftedNystrom
    >>> from tnattn.arrays import Part
    >>> problem = AttentionProblem(*np.random.default_rng(0).standard_normal((3, 1, 32, 4)))
    >>> landmarks = LiftedNystrom(landmarks=8)(problem, rng=np.random.default_rng(0)).kernel.landmarks
    >>> _, left, lift = landmarks.evaluated(Part((1, 1), (0, 0)))
    >>> left.shape, lift.shape
    ((32, 8), (8, 32))
    """

    lifting: Lifting
    pivoting: RandomlyPivotedCholesky
    samples: SharedSamples
    wanted: Array

    def evaluated(self, part: Part) -> tuple[_Tokens, Array, Array]:
        """Return the tokens, the factors of queries (..., n_q, r), and those of keys (..., r, n_k).

        The latter carry the outer factors of the keys in units of the largest, zero for heavy keys.
        """
        tokens = self.lifting.tokens(part)
        factor = self._factor(tokens)
        xp, n_q, heavy = array_namespace(factor), tokens.rows.shape[-1], self.lifting.heavy
        rows = factor.mT  # (..., r, n_q + n_k), stored by rows
        # the largest joins the shift of the rows, so that no outer factor exceeds one
        outer = xp.exp(tokens.columns - xp.max(tokens.columns, axis=-1, keepdims=True))
        if heavy is not None:
            outer = xp.where(part.of(heavy, 1), xp.zeros_like(outer), outer)
            used = xp.arange(rows.shape[-2], device=device(rows)) < part.of(self.wanted, 0)[..., None]
            rows = xp.where(used[..., None], rows, xp.zeros_like(rows))
        lift = rows[..., n_q:]
        lift *= xp.astype(outer, lift.dtype, copy=False)[..., None, :]
        return tokens, rows[..., :n_q].mT, lift

    def _factor(self, tokens: _Tokens) -> Array:
        """Return the factor of the kernel, in the dtype of the problem where no row would vanish in it."""
        xp, kernel = array_namespace(tokens.points), partial(RidgedGaussian.of, tokens.points)
        narrow = self.lifting.queries.dtype
        if narrow != tokens.points.dtype:
            factor = gaussian_factor(self.pivoting, kernel, self.samples, narrow=narrow).factor
            if factor.dtype != narrow or not bool(xp.any(largest_modulus(factor) < SMALL)):
                return factor
        return gaussian_factor(self.pivoting, kernel, self.samples, narrow=None).factor


@dataclass(frozen=True, eq=False, repr=False)
class LandmarkFactor(Evaluated):
    """The factor F of F F^T, the Nyström approximation of a lifted kernel: rows of queries, or columns of keys.

    Every product factorises again, O(n r^2) per head.

    Parameters
    ----------
    landmarks : Landmarks
    units : Array, (..., G, R, r)
        Columns of the factor of queries are multiplied by them, rows of that of keys divided.
    row_units : Array, (..., G, R, n_q), optional
        Rows of the factor of queries are divided by them; None for the factor of keys, (..., G, R, r, n_k).
    rescaled : bool
        True if units differ from one: rows are those of no Cholesky factor.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, LiftedNystrom
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 1, 32, 4))
    >>> result = LiftedNystrom(landmarks=8)(AttentionProblem(q, k, v), rng=np.random.default_rng(0))
    >>> result.kernel, result.expand, result.kernel.rescaled
    (LandmarkFactor(1, 1, 32, 8), LandmarkFactor(1, 1, 8, 32), False)
    >>> far = AttentionProblem(200 * q, k, v)  # exp(-|x - y|^2 / 2) vanishes for some query and all landmarks
    >>> LiftedNystrom(landmarks=8)(far, rng=np.random.default_rng(0)).kernel.rescaled
    True
    """

    landmarks: Landmarks
    units: Array
    row_units: Array | None
    rescaled: bool

    @property
    def shape(self) -> tuple[int, ...]:
        *batch, r = self.units.shape
        if self.row_units is None:
            return (*batch, r, int(self.landmarks.lifting.keys.shape[-2]))
        return (*batch, int(self.row_units.shape[-1]), r)

    @property
    def like(self) -> Array:
        return self.landmarks.lifting.queries

    @property
    def storage(self) -> int:
        lifting = self.landmarks.lifting
        parts = (lifting.queries, lifting.keys, self.units, *(() if self.row_units is None else (self.row_units,)))
        return sum(math.prod(part.shape) for part in parts)

    def evaluated(self, part: Part) -> Array:
        _, left, lift = self.landmarks.evaluated(part)
        xp, units = array_namespace(left), part.of(self.units, 1)
        if self.row_units is None:
            return xp.astype(lift / units[..., None], self.dtype)
        return xp.astype(left * units[..., None, :] / part.of(self.row_units, 1)[..., None], self.dtype)

    def matmul_flops(self, columns: int) -> int:
        """Operations of the Gaussian columns, of the elimination, and of the product."""
        lifting, r = self.landmarks.lifting, self.units.shape[-1]
        tokens = lifting.queries.shape[-2] + lifting.keys.shape[-2]
        return int(self.count * r * (tokens * (2 * lifting.queries.shape[-1] + r) + 2 * max(self.shape[-2:]) * columns))


def largest_modulus(x: Array) -> Array:
    """Return the largest moduli of the rows of matrices (..., m, n), as (..., m), without an array of moduli."""
    xp = array_namespace(x)
    return xp.maximum(xp.max(x, axis=-1), -xp.min(x, axis=-1))


def _root_mean_square(x: Array) -> Array:
    """Return the root of the mean squared norm of the rows of matrices (..., n, d), as (..., 1, 1)."""
    xp = array_namespace(x)
    largest = xp.max(largest_modulus(x), axis=-1)[..., None, None]  # or squares might overflow, or vanish
    unit = x / xp.where(largest > 0, largest, xp.ones_like(largest))
    return largest * xp.sqrt(xp.mean(xp.vecdot(unit, unit)[..., None], axis=-2, keepdims=True))
