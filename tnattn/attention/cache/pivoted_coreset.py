"""Weighted keys chosen by pivoted Cholesky elimination, with Nyström weights for all others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tnattn.arrays import (
    Array,
    Part,
    Rng,
    accumulator_dtype,
    array_namespace,
    device,
    each_matrix,
    require_rng,
)
from tnattn.attention.approximation import Approximation
from tnattn.attention.cache.interpolation import Interpolation
from tnattn.attention.cost import Cost, columns_cost
from tnattn.attention.exponential_piece import exponential_piece
from tnattn.attention.heavy_keys import heavy_keys, replaced_by_mean, taken
from tnattn.attention.method import KeyMethod, budget
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.summary import KeySet, Summary, bytes_of
from tnattn.device_budget import DeviceBudget, DeviceCounts, blocks
from tnattn.randnla.semidefinite.pivoted_cholesky import RandomlyPivotedCholesky, SharedSamples
from tnattn.structured import Evaluated, Selection, StructuredMatrix
from tnattn.structured.gather import take_rows

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
        # half of the budget at most, so that a cloud of outliers leaves pivots for the other keys
        heavy = heavy_keys(keys.keys, self.keys // 2)
        pivoting = RandomlyPivotedCholesky(rank=self.keys)
        samples = pivoting.samples(rng, like=xp.astype(keys.keys[..., :1, :1], accumulator_dtype(keys.keys)))

        coresets = CoresetWeights(self, keys.owned, keys.scale, *heavy, pivoting, samples)

        def work(part: Part) -> tuple[Array, ...]:
            found, values = coresets.interpolation(part), part.of(keys.values)
            light = xp.astype(~part.of(heavy.among, 1), values.dtype)[..., None]  # heavy keys: by themselves
            sums = found.sums(xp.concat([light * values, light], axis=-1))
            return found.pivots, xp.astype(sums, values.dtype)

        pivots, sums = each_matrix(work, tuple(keys.keys.shape[:-2]), like=keys.keys)
        own = xp.astype(heavy.present, sums.dtype)[..., None]
        masses = xp.concat([sums[..., -1:], own], axis=-2)[..., 0]  # sums of the weights of all keys
        return Coreset(
            keys.scale,
            take_rows(keys.keys, xp.concat([pivots, heavy.indices], axis=-1)),
            xp.concat([sums[..., :-1], own * taken(keys.values, heavy)], axis=-2),
            masses,
            coresets,
        )

    def points(self, keys: Array, scale: float, heavy: Array | None = None) -> Array:
        """Return points x (..., n, d) with K(k, k') = exp(x . x') for keys, of which the heavy ones are at the mean."""
        xp = array_namespace(keys)
        wide = xp.astype(keys, accumulator_dtype(keys))
        # at the mean they influence neither temperature nor pivots
        wide = wide if heavy is None else replaced_by_mean(wide, heavy)
        mean = xp.mean(wide, axis=-2, keepdims=True)
        apart = wide - mean
        spread = xp.sum(xp.vecdot(apart, apart), axis=-1, keepdims=True) / keys.shape[-2]
        squared = self._squared_temperature(scale * spread)
        # exp(scale k . k' / temperature^2) = exp(x . y) for points x, y in these units
        return (apart if self.centre else wide) * xp.sqrt(scale / squared)[..., None]

    def _squared_temperature(self, spread: Array) -> Array:
        """Return temperature^2, (..., G, 1), for keys whose mean of scale |k - mean|^2 is given."""
        xp = array_namespace(spread)
        if self.temperature is not None:
            return xp.full_like(spread, self.temperature**2)
        return xp.maximum(spread / 2, xp.ones_like(spread))  # at least 1: keys close together need no local kernel

    def cost(self, problem: AttentionProblem) -> Cost:
        """Count the Gaussian columns, the elimination, products with values and ones, and the solve after them."""
        g, n, d, e = problem.groups, problem.n_k, problem.width, problem.value_width
        r = min(self.keys, n)
        if r == n:
            return columns_cost(problem, r)
        points = 16.0 * n * d  # distances from the median, mean, spread, squares
        sums = 2.0 * r * (n + r / 2) * (e + 1)
        elimination = RandomlyPivotedCholesky(rank=r).flops(n)
        return columns_cost(problem, r, build=g * (points + 2.0 * n * r * (d + 2) + elimination + sums))


@dataclass(frozen=True, eq=False, repr=False)
class CoresetWeights(Evaluated):
    """The weights (..., G, 1, m, n) by which kept keys represent all keys, evaluated on use.

    Parameters
    ----------
    method : PivotedCoreset
    keys : Array, (..., G, 1, n, d)
    scale : float
    indices, present, among : Array
        See ``HeavyKeys``; these stand for themselves, after the pivots.
    pivoting : RandomlyPivotedCholesky
    samples : SharedSamples
        Those of the first evaluation, so that every one finds the same pivots.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import KeySet, PivotedCoreset
    >>> rng = np.random.default_rng(0)
    >>> k, v = rng.standard_normal((2, 1, 128, 4))
    >>> summary = PivotedCoreset(keys=16).summarise(KeySet.from_arrays(k, v), rng=rng)
    >>> bool(np.allclose(summary.lift @ v, summary.values[0]))  # the weighted sums of the values
    True
    """

    method: PivotedCoreset
    keys: Array
    scale: float
    indices: Array
    present: Array
    among: Array
    pivoting: RandomlyPivotedCholesky
    samples: SharedSamples

    @property
    def shape(self) -> tuple[int, ...]:
        rows = self.pivoting.rank + int(self.indices.shape[-1])
        return (*self.keys.shape[:-2], rows, int(self.keys.shape[-2]))

    @property
    def like(self) -> Array:
        return self.keys

    @property
    def storage(self) -> int:
        return sum(math.prod(part.shape) for part in (self.keys, self.indices, self.present, self.among))

    def interpolation(self, part: Part) -> Interpolation:
        """Return the interpolation of the light keys of a part, without the last pivots, one for each heavy key."""
        xp = array_namespace(self.like)
        heavy = part.of(self.among, 1) if self.indices.shape[-1] else None
        points = self.method.points(part.of(self.keys), self.scale, heavy)
        spared = xp.count_nonzero(part.of(self.present, 1), axis=-1)
        return Interpolation.among(points, self.pivoting, self.samples, spared=spared, dtype=self.dtype)

    def evaluated(self, part: Part) -> Array:
        weights = self.interpolation(part).weights()
        xp = array_namespace(weights)
        among, indices, present = (part.of(x, 1) for x in (self.among, self.indices, self.present))
        weights = xp.where(among[..., None, :], xp.zeros_like(weights), weights)
        own = (indices[..., None] == xp.arange(self.shape[-1], device=device(weights))) & present[..., None]
        return xp.astype(xp.concat([weights, xp.astype(own, weights.dtype)], axis=-2), self.dtype)

    def matmul_flops(self, columns: int) -> int:
        """Operations of the Gaussian columns, of two substitutions, and of the product."""
        r, (m, n) = self.pivoting.rank, self.shape[-2:]
        return int(2 * self.count * n * (r * self.keys.shape[-1] + r * r + m * columns))


@dataclass(frozen=True, eq=False, repr=False)
class Coreset(Summary):
    """Kept keys (..., G, 1, m, d) with the weighted sums of the values and masses of all keys.

    ``lift`` evaluates the weights (..., G, 1, m, n) of all keys on use, for inspection, from keys that it keeps; it is
    not counted as state.

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
        return bytes_of(self.keys, self.values, self.mass)

    @property
    def like(self) -> Array:
        return self.values

    @property
    def width(self) -> int:
        return int(self.keys.shape[-1])

    def approximate(self, queries: Array) -> Approximation:
        return exponential_piece(queries, self.keys, self.values, scale=self.scale, mass=self.mass, expand=self.lift)


def _everything(keys: KeySet) -> Coreset:
    """Return the exact coreset of all keys, each with weight one."""
    xp = array_namespace(keys.keys)
    every = Selection(xp.arange(keys.n, device=device(keys.keys)), keys.n, keys.keys)
    return Coreset(keys.scale, keys.owned, keys.owned_values, xp.ones_like(keys.values[..., 0]), every)
