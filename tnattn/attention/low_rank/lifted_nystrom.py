"""Nyström approximation of one Gaussian kernel among queries and keys together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Array, Rng, accumulator_dtype, array_namespace, require_rng
from tnattn.attention.approximation import Approximation
from tnattn.attention.cost import Cost
from tnattn.attention.method import JointMethod, budget
from tnattn.attention.problem import AttentionProblem
from tnattn.randnla.gaussian_entries import GaussianEntries
from tnattn.randnla.operand import as_structured
from tnattn.randnla.pivoted_cholesky import RandomlyPivotedCholesky
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
        Queries and keys that the kernel is interpolated from, at least one.
    centre : bool
        Take the means off queries and keys first. Both re-enter exactly, in the factors of rows and columns; what is
        left is smaller, and its Gaussian kernel closer to low rank.
    balance : bool
        Scale queries up and keys down, or the other way, to one mean square: their products do not change.

    Notes
    -----
    O((n_q + n_k) landmarks^2) operations and O((n_q + n_k) landmarks) memory, in float64 where the device has it. The
    idea of lifting is that of Skyformer (Chen et al. 2021). Deviations: the kernel keeps the factors that make it that
    of softmax; landmarks are pivots, not a sample. The row sums come from the same product, so that pieces merge;
    denominators that are not positive are counted.
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
        """Return what queries are multiplied with and keys divided by, (..., G, R, 1, 1)."""
        xp = array_namespace(x)
        sizes = [_root_mean_square(z) for z in (x, y)]
        # without balance both carry the root of the scale, which is with the queries so far
        plain = xp.full_like(sizes[0], scale**-0.5)
        if not self.balance:
            return plain
        both = (sizes[0] > 0) & (sizes[1] > 0)
        safe = xp.where(both, sizes[0], xp.ones_like(sizes[0]))
        return xp.where(both, xp.sqrt(sizes[1]) / xp.sqrt(safe), plain)

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        xp, source = array_namespace(problem.q), require_rng(rng, "LiftedNystrom")
        x, y, rows, columns = self.points(problem)
        tokens = xp.concat([x, y], axis=-2)
        count = min(self.landmarks, tokens.shape[-2])
        factor = RandomlyPivotedCholesky(count).factorise(as_structured(GaussianEntries(tokens)), rng=source).factor
        top = xp.max(columns, axis=-1, keepdims=True)  # joins the shift, so that no column factor exceeds one
        lift = factor[..., problem.n_q :, :].mT * xp.exp(columns - top)[..., None, :]
        dtype = problem.q.dtype
        return Approximation(
            kernel=Dense(xp.astype(factor[..., : problem.n_q, :], dtype)),
            shift=xp.astype(rows + top, dtype),
            values=xp.astype(lift @ xp.astype(problem.values, lift.dtype), dtype),
            mass=xp.astype(xp.sum(lift, axis=-1), dtype),
            expand=Dense(xp.astype(lift, dtype)),
        )

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
