"""Nyström approximation of one Gaussian kernel among queries and keys together."""

from __future__ import annotations

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
from tnattn.attention.cost import Cost
from tnattn.attention.heavy_keys import HeavyKeys, heavy_keys, taken
from tnattn.attention.low_rank.lifting import SMALL, LandmarkFactor, Landmarks, Lifting, largest_modulus
from tnattn.attention.method import JointMethod, budget
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.validation import require_inner_products
from tnattn.device_budget import DeviceBudget, DeviceCounts, blocks
from tnattn.randnla.semidefinite.pivoted_cholesky import RandomlyPivotedCholesky
from tnattn.structured import Dense


@dataclass(frozen=True)
class LiftedNystrom(JointMethod):
    """exp(S) as rows times a block of a Gaussian kernel times columns, the kernel being approximated at landmarks.

    With x and y the scaled queries and keys, exp(x . y) = e^(|x|^2 / 2) e^(-|x - y|^2 / 2) e^(|y|^2 / 2). The middle is
    a block of the Gaussian kernel among queries and keys together, which is positive semidefinite: landmarks are pivots
    of its randomly pivoted Cholesky factorisation. The outer factors are exact.

    Parameters
    ----------
    landmarks : int
        Queries and keys from which the kernel is interpolated, at least one.
    centre : bool
        Subtract the means of queries and keys first. Both re-enter exactly, in the factors of rows and columns; the
        centred points are smaller, and their Gaussian kernel closer to low rank.
    balance : bool
        Scale queries up and keys down, or the other way, to one mean square: their products do not change.

    Notes
    -----
    O((n_q + n_k) landmarks^2) operations and O((n_q + n_k) landmarks) memory, in float64 where the device has it. The
    idea of lifting is that of Skyformer (Chen et al. 2021). Deviations: the kernel keeps the factors that make it that
    of softmax; landmarks are pivots, not a sample; keys far from all others, at most half of the budget, are columns of
    their own, exact, since their factor exp(|y|^2 / 2) would make those of all others underflow. The row sums come
    from the same product, so that pieces merge; rows whose denominator is not positive are counted as bad.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, LiftedNystrom
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 1, 128, 4))
    >>> problem = AttentionProblem(q, k, v)
    >>> outputs = [LiftedNystrom(landmarks=r)(problem, rng=np.random.default_rng(0)).output for r in (16, 64, 128)]
    >>> [round(float(np.linalg.norm(x - problem.output) / np.linalg.norm(problem.output)), 2) for x in outputs]
    [0.31, 0.06, 0.0]
    """

    device_budget: ClassVar = DeviceBudget(
        DeviceCounts(450, waits=14, copies=8), {"block of proposals": DeviceCounts(130, waits=11, copies=13)}
    )

    landmarks: int = budget(64)
    centre: bool = True
    balance: bool = True

    guarantee: ClassVar[str] = "entries of the kernel, from the residual of the factorisation; trace in expectation"
    source: ClassVar[str] = "Chen et al. 2021 (Skyformer); Chen, Epperly, Tropp & Webber 2025"

    def __post_init__(self) -> None:
        if self.landmarks < 1:
            raise ValueError(f"landmarks must be an integer >= 1; got {self.landmarks!r}")

    def points(self, problem: AttentionProblem) -> tuple[Array, Array, Array, Array]:
        """Return points and the logarithms of the outer factors.

        Returns
        -------
        x : Array, (..., G, R, n_q, d)
        y : Array, (..., G, R, n_k, d)
        rows : Array, (..., G, R, n_q)
        columns : Array, (..., G, R, n_k)
            Scores are ``rows + columns - |x - y|^2 / 2``.
        """
        return self._lifting(problem).points(Part(problem.batch, None))

    def _lifting(self, problem: AttentionProblem, heavy: Array | None = None) -> Lifting:
        require_inner_products(problem.softcap)
        return Lifting(problem.queries, problem.keys, problem.score_scale, self.centre, self.balance, heavy)

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        return {"block of proposals": 3 + 2 * blocks(self.landmarks, 150)}

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        xp, source = array_namespace(problem.q), require_rng(rng, "LiftedNystrom")
        heavy = heavy_keys(problem.keys, self.landmarks // 2)
        some = heavy.indices.shape[-1] > 0
        lifting = self._lifting(problem, heavy.among if some else None)
        pivoting = RandomlyPivotedCholesky(min(self.landmarks, problem.n_q + problem.n_k))
        samples = pivoting.samples(source, like=xp.astype(problem.q[..., :1, :1], accumulator_dtype(problem.q)))
        # the budget counts heavy keys: as many landmarks, the last ones, are dropped
        wanted = xp.broadcast_to(self.landmarks - xp.count_nonzero(heavy.present, axis=-1), problem.batch)

        landmarks = Landmarks(lifting, pivoting, samples, wanted)

        def work(part: Part) -> tuple[Array, ...]:
            tokens, left, lift = landmarks.evaluated(part)
            top = tokens.rows + xp.max(tokens.columns, axis=-1, keepdims=True)
            shift = xp.where(tokens.usable[..., None], top, xp.full_like(top, float("nan")))
            return _sums(left, lift, shift, part.of(problem.values))

        far = _piece(landmarks, *each_matrix(work, problem.batch, like=problem.q))
        return far + _exact(problem, heavy) if some else far

    def cost(self, problem: AttentionProblem) -> Cost:
        """Count the Gaussian columns, the elimination, and the products with the values, head by head."""
        h, n_q, n_k, d, e = problem.heads, problem.n_q, problem.n_k, problem.width, problem.value_width
        r, tokens = min(self.landmarks, n_q + n_k), n_q + n_k
        points = 16.0 * tokens * d + 6.0 * problem.groups / h * n_k * d  # means, sizes and squares; distances of keys
        pivoting = RandomlyPivotedCholesky(rank=r)
        own = points + 2.0 * tokens * r * (d + 2) + pivoting.flops(tokens)
        return Cost(
            flops=h * (own + 2.0 * r * tokens * (e + 1) + n_k * r),
            scalars_moved=float(h * tokens * (d + 2 * r) + problem.groups * n_k * e),
            # the factor of one head, and the columns of one block of pivots
            peak_scalars=float(tokens * (r + min(r, pivoting.block) + d) + h * (r + n_q) * (e + 2)),
            state_per_token=0.0,
        )


def _sums(left: Array, lift: Array, shift: Array, values: Array) -> tuple[Array, ...]:
    """Return the units of columns and rows, the shifts, the columns' sums and the products, in the dtype of the values.

    Parameters
    ----------
    left : Array, (..., n_q, r)
    lift : Array, (..., r, n_k)
        The kernel is their product.
    shift : Array, (..., n_q)
    values : Array, (..., n_k, d_v)

    Returns
    -------
    units : Array, (..., r)
    row_units : Array, (..., n_q)
        Where numbers would vanish in the dtype, columns of the factor and then its rows are brought to largest entry
        one; ones elsewhere.
    shift : Array, (..., n_q)
    summed : Array, (..., r, d_v + 1)
        ``lift`` times values and ones.
    products : Array, (..., n_q, d_v + 1)
        ``left`` times these.
    """
    xp, dtype = array_namespace(left), values.dtype
    largest = largest_modulus(lift)  # (..., r)
    tiny = (xp.min(largest_modulus(left), axis=-1) < SMALL) | (xp.max(largest, axis=-1) < SMALL)
    units = xp.where(tiny[..., None], _or_one(largest), xp.ones_like(largest))
    row_units = xp.ones_like(shift)
    if bool(xp.any(tiny)):
        left, lift = left * units[..., None, :], lift / units[..., None]
        row_units = xp.where(tiny[..., None], _or_one(largest_modulus(left)), row_units)
        left = left / row_units[..., None]
    wide = xp.astype(values, lift.dtype, copy=False)
    summed = xp.concat([lift @ wide, xp.sum(lift, axis=-1, keepdims=True)], axis=-1)
    summed = xp.astype(summed, dtype, copy=False)
    products = xp.astype(left, dtype, copy=False) @ summed
    return units, row_units, xp.astype(shift + xp.log(row_units), dtype, copy=False), summed, products


def _piece(
    landmarks: Landmarks, units: Array, row_units: Array, shift: Array, summed: Array, products: Array
) -> Approximation:
    """Return the piece of the factor of queries, with that of the keys as its weights."""
    xp = array_namespace(shift)
    rescaled = bool(xp.any(units != 1) | xp.any(row_units != 1))
    return Approximation(
        kernel=LandmarkFactor(landmarks, units, row_units, rescaled),
        shift=shift,
        values=summed[..., :-1],
        mass=summed[..., -1],
        expand=LandmarkFactor(landmarks, units, None, rescaled),
    ).holding(products[..., :-1], products[..., -1])


def _exact(problem: AttentionProblem, heavy: HeavyKeys) -> Approximation:
    """Return the exact piece of the heavy keys."""
    xp = array_namespace(problem.q)
    scores = problem.scaled_queries @ taken(problem.keys, heavy).mT
    scores = xp.where(heavy.present[..., None, :], scores, xp.full_like(scores, -float("inf")))
    shift = xp.max(scores, axis=-1)
    # a matrix without heavy keys has shift minus infinity, and exp(-inf - 0) = 0
    kernel = xp.exp(scores - xp.where(shift == -float("inf"), xp.zeros_like(shift), shift)[..., None])
    position = xp.arange(problem.n_k, device=device(scores))
    own = (heavy.indices[..., None] == position) & heavy.present[..., None]
    return Approximation(Dense(kernel), shift, taken(problem.values, heavy), expand=Dense(xp.astype(own, scores.dtype)))


def _or_one(x: Array) -> Array:
    xp = array_namespace(x)
    return xp.where(x > 0, x, xp.ones_like(x))
