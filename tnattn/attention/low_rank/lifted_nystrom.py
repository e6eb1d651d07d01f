"""Nyström approximation of one Gaussian kernel among queries and keys together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from tnattn.arrays import Array, Rng, accumulator_dtype, array_namespace, device, eps, require_rng
from tnattn.attention.approximation import Approximation
from tnattn.attention.cost import Cost
from tnattn.attention.heavy_keys import HeavyKeys, heavy_keys, replaced_by_mean, taken
from tnattn.attention.method import JointMethod, budget
from tnattn.attention.problem import AttentionProblem
from tnattn.display import Displayed
from tnattn.randnla.semidefinite.pivoted_cholesky import RandomlyPivotedCholesky
from tnattn.structured import Dense
from tnattn.structured.conversion import as_structured
from tnattn.structured.gaussian_kernel import GaussianKernel

_SMALL = 2.0**-60  # products of two smaller numbers approach the end of the range of float32, 2^-126


class RescaledFactor(Dense):
    """A factor whose rows and columns are in units of their own: its rows are not those of a Cholesky factor.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, LiftedNystrom
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 1, 32, 4))
    >>> problem = AttentionProblem(200 * q, k, v)  # exp(-|x - y|^2 / 2) vanishes for some query and all landmarks
    >>> type(LiftedNystrom(landmarks=8)(problem, rng=np.random.default_rng(0)).kernel).__name__
    'RescaledFactor'
    """


@dataclass(frozen=True, eq=False, repr=False)
class RidgedGaussian(Displayed):
    """The Gaussian kernel exp(-|x - y|^2 / 2) among points (..., n, d) with a ridge of the size of its rounding errors.

    Exponents are differences of squares, so that entries are off by ``eps`` times the largest square. The ridge keeps
    the matrix positive semidefinite all the same.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.low_rank import RidgedGaussian
    >>> points = 100 * np.random.default_rng(0).standard_normal((4, 2))
    >>> kernel = RidgedGaussian.of(np.concat([points, points]))  # each point twice: a singular kernel
    >>> least = np.linalg.eigvalsh(kernel.principal(np.arange(8))).min()
    >>> bool(least > 0), bool(np.all(kernel.diagonal() - 1 < 1e-8))
    (True, True)
    """

    entries: GaussianKernel
    ridge: Array  # (..., 1)

    @classmethod
    def of(cls, points: Array) -> RidgedGaussian:
        """Return the kernel among points."""
        xp = array_namespace(points)
        largest = xp.max(xp.sum(points * points, axis=-1), axis=-1, keepdims=True)
        # exponents are off by about eps times the largest square; the factor 4 is a margin
        return cls(GaussianKernel(points), 4 * eps(points) * largest)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.entries.shape

    @property
    def like(self) -> Array:
        return self.entries.like

    def diagonal(self) -> Array:
        """Return the diagonal, (..., n)."""
        return self.entries.diagonal() + self.ridge

    def columns(self, indices: Array) -> Array:
        """Return the columns (..., n, b) at indices (..., b)."""
        xp = array_namespace(indices)
        position = xp.arange(self.shape[-1], device=device(indices))
        return self._ridged(self.entries.columns(indices), position[:, None] == indices[..., None, :])

    def principal(self, indices: Array) -> Array:
        """Return the entries (..., b, b) among indices (..., b)."""
        return self._ridged(self.entries.principal(indices), indices[..., :, None] == indices[..., None, :])

    def _ridged(self, kernel: Array, own: Array) -> Array:
        xp = array_namespace(kernel)
        return xp.where(own, xp.ones_like(kernel) + self.ridge[..., None], kernel)


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
        xp = array_namespace(problem.q)
        wide = accumulator_dtype(problem.q)
        q, k = xp.astype(problem.scaled_queries, wide), xp.astype(problem.keys, wide)
        k = xp.broadcast_to(k, (*problem.batch, *k.shape[-2:]))
        q_mean, k_mean = xp.mean(q, axis=-2, keepdims=True), xp.mean(k, axis=-2, keepdims=True)
        if not self.centre:
            q_mean, k_mean = xp.zeros_like(q_mean), xp.zeros_like(k_mean)
        x, y = q - q_mean, k - k_mean
        # q . k = x . y + q . k_mean + q_mean . y
        rows, columns = xp.sum(q * k_mean, axis=-1), xp.sum(q_mean * y, axis=-1)
        factor = self._factor(x, y, problem.score_scale)
        x, y = x * factor, y / factor
        return x, y, rows + xp.sum(x * x, axis=-1) / 2, columns + xp.sum(y * y, axis=-1) / 2

    def _factor(self, x: Array, y: Array, scale: float) -> Array:
        """Return the factor (..., G, R, 1, 1) by which queries are multiplied and keys divided."""
        xp = array_namespace(x)
        sizes = [_root_mean_square(z) for z in (x, y)]
        # without balance both carry the root of the scale, all of which the queries hold so far
        plain = xp.full_like(sizes[0], scale**-0.5)
        if not self.balance:
            return plain
        both = (sizes[0] > 0) & (sizes[1] > 0)  # zeros cannot be balanced
        safe = xp.where(both, sizes[0], xp.ones_like(sizes[0]))
        return xp.where(both, xp.sqrt(sizes[1]) / xp.sqrt(safe), plain)

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        xp, source = array_namespace(problem.q), require_rng(rng, "LiftedNystrom")
        heavy = heavy_keys(problem.keys, self.landmarks // 2)
        light = problem
        if heavy.indices.shape[-1]:
            light = replace(problem, k=replaced_by_mean(problem.keys, heavy.among)[..., 0, :, :], check_finite=False)
        x, y, rows, columns = self.points(light)
        tokens = xp.concat([x, y], axis=-2)
        half_squares = xp.sum(tokens * tokens, axis=-1) / 2
        # where squares overflow, the factorisation is undefined: all rows are counted as bad
        usable = xp.all(xp.isfinite(half_squares), axis=-1)  # (..., G, R)
        tokens = xp.where(usable[..., None, None], tokens, xp.zeros_like(tokens))
        factor = self._factor_of(tokens, heavy, source)
        top = xp.max(columns, axis=-1, keepdims=True)  # joins the shift, so that no column factor exceeds one
        lift = factor[..., problem.n_q :, :].mT * xp.exp(columns - top)[..., None, :]
        lift = xp.where(heavy.among[..., None, :], xp.zeros_like(lift), lift)
        shift = xp.where(usable[..., None], rows + top, xp.full_like(rows, float("nan")))
        far = _lifted(problem, factor[..., : problem.n_q, :], lift, shift)
        return far + _exact(problem, heavy) if heavy.indices.shape[-1] else far

    def _factor_of(self, tokens: Array, heavy: HeavyKeys, rng: Rng) -> Array:
        """Return the factor (..., G, R, n_q + n_k, landmarks) of the Gaussian kernel, without heavy keys' landmarks."""
        xp = array_namespace(tokens)
        count = min(self.landmarks, tokens.shape[-2])
        factor = RandomlyPivotedCholesky(count).factorise(as_structured(RidgedGaussian.of(tokens)), rng=rng).factor
        # the budget counts heavy keys: as many landmarks, the last ones, are dropped
        spared = xp.count_nonzero(heavy.present, axis=-1)[..., None]
        kept = xp.arange(factor.shape[-1], device=device(tokens)) < self.landmarks - spared
        return xp.where(kept[..., None, :], factor, xp.zeros_like(factor))

    def cost(self, problem: AttentionProblem) -> Cost:
        """Count one Gaussian column and one elimination for each landmark, and the products with the values."""
        h, n_q, n_k, d, e = problem.heads, problem.n_q, problem.n_k, problem.width, problem.value_width
        r, tokens = min(self.landmarks, n_q + n_k), n_q + n_k
        return Cost(
            flops=2.0 * h * tokens * r * (d + r) + 2.0 * h * r * tokens * (e + 1),
            scalars_moved=float(h * tokens * (d + 2 * r) + problem.groups * n_k * e),
            peak_scalars=float(2 * h * tokens * r),
            state_per_token=0.0,
        )


def _root_mean_square(x: Array) -> Array:
    """Return the root of the mean squared norm of the rows of matrices (..., n, d), as (..., 1, 1)."""
    xp = array_namespace(x)
    largest = xp.max(xp.abs(x), axis=(-2, -1), keepdims=True)  # or squares might overflow, or vanish
    unit = x / xp.where(largest > 0, largest, xp.ones_like(largest))
    return largest * xp.sqrt(xp.mean(xp.sum(unit * unit, axis=-1, keepdims=True), axis=-2, keepdims=True))


def _lifted(problem: AttentionProblem, left: Array, lift: Array, shift: Array) -> Approximation:
    """Return the piece of a factor (..., n_q, r) and its columns (..., r, n_k), in the dtype of the problem.

    Where numbers would vanish in that dtype, columns of the factor and then its rows are brought to largest entry one.
    """
    xp, dtype = array_namespace(left), problem.q.dtype
    kind: type[Dense] = Dense
    if bool(xp.any(xp.max(xp.abs(left), axis=-1) < _SMALL) | xp.any(xp.max(xp.abs(lift), axis=(-2, -1)) < _SMALL)):
        column = _or_one(xp.max(xp.abs(lift), axis=-1))
        left, lift = left * column[..., None, :], lift / column[..., None]
        row = _or_one(xp.max(xp.abs(left), axis=-1))
        left, shift, kind = left / row[..., None], shift + xp.log(row), RescaledFactor
    return Approximation(
        kernel=kind(xp.astype(left, dtype)),
        shift=xp.astype(shift, dtype),
        values=xp.astype(lift @ xp.astype(problem.values, lift.dtype), dtype),
        mass=xp.astype(xp.sum(lift, axis=-1), dtype),
        expand=Dense(xp.astype(lift, dtype)),
    )


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
