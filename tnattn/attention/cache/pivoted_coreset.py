"""Weighted keys chosen by pivoted Cholesky elimination, with Nyström weights for all others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tnattn.arrays import Array, Rng, accumulator_dtype, array_namespace, device, dtype_name, require_rng
from tnattn.attention.approximation import Approximation
from tnattn.attention.broadcasting import copied
from tnattn.attention.cost import Cost, columns_cost
from tnattn.attention.exponential_piece import exponential_piece
from tnattn.attention.heavy_keys import heavy_keys, replaced_by_mean
from tnattn.attention.method import KeyMethod, budget
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.summary import KeySet, Summary
from tnattn.device_budget import DeviceBudget, DeviceCounts, blocks
from tnattn.linalg import solve_triangular
from tnattn.randnla.semidefinite.pivoted_cholesky import RandomlyPivotedCholesky
from tnattn.structured import Dense, Selection, StructuredMatrix
from tnattn.structured.conversion import as_structured
from tnattn.structured.gather import gather_rows
from tnattn.structured.gaussian_kernel import GaussianKernel

__all__ = ["Coreset", "PivotedCoreset"]


@dataclass(frozen=True)
class PivotedCoreset(KeyMethod):
    """Keep few keys, selected by randomly pivoted Cholesky, with Nyström weights that represent all others.

    As functions of the key, the rows of the kernel, exp(scale q . k), are interpolated from the kept keys in the space
    of the kernel exp(scale k . k' / temperature^2). Every other key is thereby a signed combination of kept ones, so
    that values and masses are assigned to kept keys once, without any query.

    Parameters
    ----------
    keys : int
        Number of kept keys; all are kept, exactly, where there are no more.
    temperature : float, optional
        Positive. A high one makes the interpolation smooth, a low one local. By default, per key head, the square root
        of half the mean of scale |k - mean|^2, at least 1: then a typical pair of keys has correlation exp(-2), which
        was within 10 % of the best fixed choice on real heads; four times as much spoils denominators.
    centre : bool
        Subtract the mean key before the kernel among keys is formed, whose diagonal otherwise grows with the mean.

    Notes
    -----
    O(n keys^2 + n keys d) per key head, in float64 where the device has it; the state is keys (d + d_v + 1) scalars.
    WILDCAT (arXiv 2602.10056). Deviations: the temperature is a stated rule, not a formula of n and of radii; pivots
    are drawn from the kernel scaled to unit diagonal, a Gaussian, so that keys of large norm do not take all of the
    trace; the diagonal scaling re-enters in the weights and the interpolation is the same; keys far
    from all others, at most half of the budget, are kept first and stand for themselves, since no combination of others
    gives them and they would set the temperature. Denominators may come out non-positive; such rows are counted.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, PivotedCoreset
    >>> rng = np.random.default_rng(0)
    >>> q, v = rng.standard_normal((2, 1, 128, 4))
    >>> k = np.repeat(rng.standard_normal((1, 8, 4)), 16, axis=-2)  # 128 keys, eight of them distinct
    >>> problem = AttentionProblem(q, k, v)
    >>> error = np.linalg.norm(PivotedCoreset(keys=8)(problem, rng=rng).output - problem.output)
    >>> round(float(error), 6)
    0.0
    """

    device_budget: ClassVar = DeviceBudget(
        DeviceCounts(450, waits=14, copies=8), {"block of proposals": DeviceCounts(130, waits=11, copies=13)}
    )

    keys: int = budget(64)
    temperature: float | None = None
    centre: bool = True

    guarantee: ClassVar[str] = "none for the output; nuclear error of the kernel among the keys"
    source: ClassVar[str] = "WILDCAT 2026; Chen, Epperly, Tropp & Webber 2025"
    role: ClassVar = "representative"
    waives: ClassVar[Mapping[str, str]] = {
        "balance": "the keys are compared with each other, at a temperature set by their size and by no query",
    }

    def __post_init__(self) -> None:
        if self.keys < 1:
            raise ValueError(f"keys must be a positive integer; got {self.keys!r}")
        if self.temperature is not None and not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"temperature must be a positive number or None; got {self.temperature!r}")

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        return {"block of proposals": 3 + 2 * blocks(self.keys, 150)}

    def summarise(self, keys: KeySet, *, probe: Array | None = None, rng: Rng | None = None) -> Coreset:
        rng = require_rng(rng, type(self).__name__)
        xp = array_namespace(keys.keys)
        if self.keys >= keys.n:
            return _everything(keys)
        wide = xp.astype(keys.keys, accumulator_dtype(keys.keys))
        # half of the budget at most, so that a cloud of outliers leaves pivots for the other keys
        heavy = heavy_keys(wide, self.keys // 2)
        wide = replaced_by_mean(wide, heavy)  # at the mean they influence neither temperature nor pivots
        mean = xp.mean(wide, axis=-2, keepdims=True)
        squared = self._squared_temperature(keys.scale * xp.mean(xp.sum((wide - mean) ** 2, axis=-1), axis=-1))
        # exp(scale k . k' / temperature^2) = exp(x . y) for points x, y in these units
        points = (wide - mean if self.centre else wide) * xp.sqrt(keys.scale / squared)[..., None, None]
        pivots, weights = nystrom_weights(points, self.keys, rng=rng, spared=xp.count_nonzero(heavy.present, axis=-1))
        weights = xp.where(heavy.among[..., None, :], xp.zeros_like(weights), weights)  # heavy keys: by themselves
        own = (heavy.indices[..., None] == xp.arange(keys.n, device=device(wide))) & heavy.present[..., None]
        pivots = xp.concat([pivots, heavy.indices], axis=-1)
        weights = xp.concat([weights, xp.astype(own, weights.dtype)], axis=-2)
        weights = xp.astype(weights, keys.values.dtype)
        return Coreset(
            keys.scale,
            gather_rows(keys.keys, pivots[..., None])[..., 0, :],
            weights @ keys.values,
            xp.sum(weights, axis=-1),  # mass: sum of the weights of all keys
            Dense(weights),
        )

    def _squared_temperature(self, spread: Array) -> Array:
        """Return temperature^2, (..., G, 1), for keys whose mean of scale |k - mean|^2 is given."""
        xp = array_namespace(spread)
        if self.temperature is not None:
            return xp.full_like(spread, self.temperature**2)
        return xp.maximum(spread / 2, xp.ones_like(spread))  # at least 1: keys close together need no local kernel

    def cost(self, problem: AttentionProblem) -> Cost:
        g, n, d, e = problem.groups, problem.n_k, problem.width, problem.value_width
        r = min(self.keys, n)
        build = 0.0 if r == n else float(g * n * r * (2 * d + 3 * r + 2 * (e + 1)))
        return columns_cost(problem, r, build=build)


def nystrom_weights(points: Array, count: int, *, rng: Rng, spared: Array | None = None) -> tuple[Array, Array]:
    """Return pivots and the weights that interpolate exp(x . y) from them.

    Parameters
    ----------
    points : Array, (..., n, d)
    count : int
        ``count <= n``.
    rng : numpy.random.Generator or DeviceDraws
    spared : Array, (...), integer, optional
        Number of pivots of every matrix, at the end, that are not used.

    Returns
    -------
    pivots : Array, (..., count), integer
        0 with weights of zero where fewer suffice.
    weights : Array, (..., count, n)
        K(pivots, pivots)^-1 K(pivots, points) for K(x, y) = exp(x . y).

    Notes
    -----
    K = e^a G e^a with a = |x|^2 / 2 and the Gaussian kernel G, so that the weights are e^-a (G_pp^-1 G_pn) e^a: no
    exponential of a large square is formed by itself.
    """
    xp = array_namespace(points)
    result = RandomlyPivotedCholesky(rank=count).factorise(as_structured(GaussianKernel(points)), rng=rng)
    valid = result.pivots >= 0
    if spared is not None:
        valid = valid & (xp.arange(count, device=device(points)) < count - spared[..., None])
    pivots = xp.where(valid, result.pivots, xp.zeros_like(result.pivots))
    factor = result.factor  # (..., n, count)
    core = gather_rows(factor, pivots[..., None])[..., 0, :]
    identity = xp.eye(count, dtype=points.dtype, device=device(points))
    core = xp.where(valid[..., None], core, identity)  # unused pivots must not make the factor singular
    # G_pp = L L^T and G_pn = L F^T, hence G_pp^-1 G_pn = L^-T F^T
    weights = solve_triangular(core, factor.mT, lower=True, transpose=True)
    half = xp.sum(points * points, axis=-1) / 2
    at_pivots = gather_rows(half[..., None], pivots[..., None])[..., 0, :]  # (..., count, 1)
    # a weight that has vanished stays zero, however large the factor
    weights = weights * xp.exp(xp.where(weights == 0, xp.zeros_like(weights), half[..., None, :] - at_pivots))
    return pivots, xp.where(valid[..., None], weights, xp.zeros_like(weights))


@dataclass(frozen=True, eq=False, repr=False)
class Coreset(Summary):
    """Kept keys (..., G, 1, m, d) with the weighted sums of the values and masses of all keys.

    ``lift`` holds the weights (..., G, 1, m, n) of all keys, for inspection; it is not counted as state.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import KeySet, PivotedCoreset
    >>> rng = np.random.default_rng(0)
    >>> k, v = rng.standard_normal((2, 1, 128, 4))
    >>> summary = PivotedCoreset(keys=16).summarise(KeySet.from_arrays(k, v), rng=rng)
    >>> summary.nbytes, k.nbytes + v.nbytes
    (1152, 8192)
    >>> summary.attend(rng.standard_normal((1, 3, 4))).output.shape
    (1, 3, 4)
    """

    scale: float
    keys: Array
    values: Array
    mass: Array
    lift: StructuredMatrix | None = None

    @property
    def nbytes(self) -> int:
        width = {"float64": 8, "float32": 4}.get(dtype_name(self.values.dtype), 2)
        return int(width * sum(math.prod(part.shape) for part in (self.keys, self.values, self.mass)))

    @property
    def like(self) -> Array:
        return self.values

    @property
    def width(self) -> int:
        return int(self.keys.shape[-1])

    def approximate(self, queries: Array) -> Approximation:
        return exponential_piece(queries * self.scale, self.keys, self.values, mass=self.mass, expand=self.lift)


def _everything(keys: KeySet) -> Coreset:
    """Return the exact coreset of all keys, each with weight one."""
    xp = array_namespace(keys.keys)
    every = Selection(xp.arange(keys.n, device=device(keys.keys)), keys.n, keys.keys)
    return Coreset(keys.scale, copied(keys.keys), copied(keys.values), xp.ones_like(keys.values[..., 0]), every)
