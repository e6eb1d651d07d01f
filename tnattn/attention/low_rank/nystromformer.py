"""Softmax attention through landmarks: segment means of queries and keys."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from tnattn.arrays import Array, Rng, accumulator_dtype, array_namespace, device
from tnattn.attention.approximation import Approximation
from tnattn.attention.cost import Cost
from tnattn.attention.low_rank.pseudo_inverse import iterated_pseudo_inverse, ridge_inverse
from tnattn.attention.method import JointMethod, budget
from tnattn.attention.problem import AttentionProblem
from tnattn.structured import Dense, Product


@dataclass(frozen=True)
class Nystromformer(JointMethod):
    """softmax(Q K'^T) C^+ softmax(Q' K^T) V with C = softmax(Q' K'^T) and segment means Q', K' as landmarks.

    Parameters
    ----------
    landmarks : int
        Segments of the sequence, at least one; more than queries or keys means one token each.
    iterations : int, optional
        Steps of the cubic iteration for the pseudo-inverse; None takes a singular value decomposition.
    ridge : float
        Relative ridge of the exact inverse, for ``iterations=None``; zero is the pseudo-inverse.
    normalise : bool
        Divide by the row sums of the product, which are one only when the inverse is exact.

    Notes
    -----
    O((n_q + n_k) m (d + d_v) + m^3) operations, O((n_q + n_k) m) memory. Segments may differ by one token; a landmark
    key counts with the logarithm of its segment's length, so that the softmax over landmarks stands for all keys.

    For merging, the mass of a row is estimated as sum_s n_s exp(q k'_s). By Jensen's inequality the exact mass is at
    least that, and at most exp(R^2 / 8) times as much if scores within a segment differ by no more than R.
    """

    landmarks: int = budget(64)
    iterations: int | None = 6
    ridge: float = 0.0
    normalise: bool = False

    waives: ClassVar[dict[str, str]] = {
        "P1": "rows of the product sum to one only where the pseudo-inverse has converged; see normalise",
        "P8": "six steps of the iteration regularise the inverse; exact at n with iterations=None",
        "P11": "segments are runs of positions, so permuting keys changes the landmarks",
    }
    guarantee: ClassVar[str] = "none for the output; error of the pseudo-inverse cubes at every step"
    source: ClassVar[str] = "Xiong et al. 2021, equations (13) to (15)"

    def __post_init__(self) -> None:
        if not isinstance(self.landmarks, int) or self.landmarks < 1:
            raise ValueError(f"landmarks must be an integer >= 1; got {self.landmarks!r}")
        if self.iterations is not None and (not isinstance(self.iterations, int) or self.iterations < 0):
            raise ValueError(f"iterations must be a non-negative integer or None; got {self.iterations!r}")
        if not 0 <= self.ridge < 1:
            raise ValueError(f"ridge must lie in [0, 1); got {self.ridge!r}")
        if self.ridge and self.iterations is not None:
            raise ValueError(f"ridge={self.ridge} needs iterations=None; got iterations={self.iterations}")

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        xp = array_namespace(problem.q)
        m = self._count(problem)
        q, k = segment_means(problem.q, m), segment_means(problem.k, m)
        sizes = xp.log(xp.astype(_segment_sizes(problem.n_k, m, problem.q), problem.q.dtype))
        v = xp.zeros_like(k[..., :1])
        to_landmarks = replace(problem, k=k, v=v, scale=problem.score_scale, check_finite=False)
        left, log_mass = _softmax(_scores(to_landmarks) + sizes)  # (..., G, R, n_q, m)
        core, _ = _softmax(_scores(replace(to_landmarks, q=q)) + sizes)  # (..., G, R, m, m)
        right = replace(problem, q=q, check_finite=False).weights  # streams over keys, (..., G, R, m, n_k)
        lift = Product(Dense(self._inverse(core)), right)
        values = xp.concat([problem.values, xp.ones_like(problem.values[..., :1])], axis=-1)
        compressed = lift @ values
        return Approximation(
            kernel=Dense(left),
            shift=log_mass,
            values=compressed[..., :-1],
            mass=compressed[..., -1],
            normaliser=None if self.normalise else xp.ones_like(log_mass),
            expand=lift,
        )

    def _count(self, problem: AttentionProblem) -> int:
        return min(self.landmarks, problem.n_q, problem.n_k)

    def _inverse(self, core: Array) -> Array:
        if self.iterations is None:
            return ridge_inverse(core, ridge=self.ridge)
        return iterated_pseudo_inverse(core, iterations=self.iterations)

    def cost(self, problem: AttentionProblem) -> Cost:
        """2 H m (n_q (d + d_v + 1) + n_k (d + d_v + 1)) operations, and eight m^3 for every step of the iteration."""
        m, h, e, d = self._count(problem), problem.heads, problem.value_width, problem.width
        steps = 8.0 * self.iterations if self.iterations is not None else 22.0  # a decomposition: about 22 m^3
        tokens = problem.n_q + problem.n_k
        return Cost(
            flops=2.0 * h * m * tokens * (d + e + 1) + h * (steps * m**3 + 2.0 * m * m * (d + e + 1)),
            scalars_moved=float(h * tokens * (d + e) + h * m * (problem.n_q + 4 * m)),
            peak_scalars=float(h * (problem.n_q * m + 4 * m * m)),
            state_per_token=0.0,
        )


def segment_means(x: Array, segments: int) -> Array:
    """Return means of consecutive rows, (..., segments, c), of an array (..., n, c); O(n c).

    Segment s covers rows floor(s n / segments) to floor((s + 1) n / segments) - 1, so that lengths differ by one at
    most. Sums are taken as differences of running sums in float64 where the device has it.
    """
    xp = array_namespace(x)
    running = xp.cumulative_sum(xp.astype(x, accumulator_dtype(x)), axis=-2, include_initial=True)
    sums = xp.diff(xp.take(running, _boundaries(x.shape[-2], segments, x), axis=-2), axis=-2)
    sizes = xp.astype(_segment_sizes(x.shape[-2], segments, x), sums.dtype)
    return xp.astype(sums / sizes[:, None], x.dtype)


def _boundaries(n: int, segments: int, like: Array) -> Array:
    xp = array_namespace(like)
    return xp.arange(segments + 1, dtype=xp.int64, device=device(like)) * n // segments


def _segment_sizes(n: int, segments: int, like: Array) -> Array:
    return array_namespace(like).diff(_boundaries(n, segments, like))


def _scores(problem: AttentionProblem) -> Array:
    return problem.block_scores(slice(0, problem.n_q), slice(0, problem.n_k))


def _softmax(scores: Array) -> tuple[Array, Array]:
    """Row-normalised exponentials and the logarithm of their row sums."""
    xp = array_namespace(scores)
    shift = xp.max(scores, axis=-1, keepdims=True)
    kernel = xp.exp(scores - shift)
    mass = xp.sum(kernel, axis=-1, keepdims=True)
    return kernel / mass, (shift + xp.log(mass))[..., 0]
