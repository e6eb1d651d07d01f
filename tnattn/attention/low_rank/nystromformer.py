"""Softmax attention through landmarks: segment means of queries and keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from tnattn.arrays import Array, Rng, accumulator_dtype, array_namespace, device
from tnattn.attention.approximation import Approximation
from tnattn.attention.cost import Cost
from tnattn.attention.exponential_piece import exponential_piece
from tnattn.attention.exponentials import exponentials
from tnattn.attention.low_rank.regularised_inverse import iterated_pseudo_inverse, ridge_inverse
from tnattn.attention.method import JointMethod, budget
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.window_sums import window_sums
from tnattn.device_budget import DeviceBudget, DeviceCounts
from tnattn.scalars import as_integer
from tnattn.structured import Dense, Product

__all__ = ["Nystromformer"]


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
    key counts with the logarithm of its segment's length, so that the softmax over landmarks represents all keys.

    For merging, the mass of a row is estimated as sum_s n_s exp(q k'_s). By Jensen's inequality the exact mass is at
    least that, and at most exp(R^2 / 8) times as much if scores within a segment differ by no more than R.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, Nystromformer
    >>> rng = np.random.default_rng(0)
    >>> q, k = np.cumsum(rng.standard_normal((2, 1, 128, 4)), axis=-2) / 8  # neighbouring tokens are alike
    >>> problem = AttentionProblem(q, k, rng.standard_normal((1, 128, 4)))
    >>> outputs = [Nystromformer(landmarks=m, iterations=None)(problem).output for m in (1, 4, 16)]
    >>> [round(float(np.linalg.norm(x - problem.output) / np.linalg.norm(problem.output)), 2) for x in outputs]
    [0.36, 0.07, 0.01]
    """

    device_budget: ClassVar = DeviceBudget(
        DeviceCounts(220, waits=8, copies=2), {"doubling of a window": DeviceCounts(40)}
    )

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
    role: ClassVar = "representative"

    def __post_init__(self) -> None:
        if self.landmarks < 1:
            raise ValueError(f"landmarks must be an integer >= 1; got {self.landmarks!r}")
        if self.iterations is not None and self.iterations < 0:
            raise ValueError(f"iterations must be a non-negative integer or None; got {self.iterations!r}")
        if not 0 <= self.ridge < 1:
            raise ValueError(f"ridge must lie in [0, 1); got {self.ridge!r}")
        if self.ridge and self.iterations is not None:
            raise ValueError(f"ridge={self.ridge} needs iterations=None; got iterations={self.iterations}")

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        return {"doubling of a window": target.n_k.bit_length()}

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        xp = array_namespace(problem.q)
        m = self._count(problem)
        q, k = segment_means(problem.q, m), segment_means(problem.k, m)
        sizes = xp.log(xp.astype(_segment_sizes(problem.n_k, m, problem.q), problem.q.dtype))
        # the third factor softmax(Q' K^T), (..., G, R, m, n_k), stays implicit: its products stream over keys
        means = replace(problem, q=q, check_finite=False)  # the problem of the landmark queries
        landmarks, scale = k[..., None, :, :], problem.score_scale  # (..., G, 1, m, d)
        # a segment of n_s keys has weight n_s exp(q . k'_s), hence the bias log n_s
        core, _ = exponentials(means.queries * scale, landmarks, bias=sizes, softcap=problem.softcap)
        core = core / xp.sum(core, axis=-1, keepdims=True)  # softmax(Q' K'^T), (..., G, R, m, m): shifts cancel
        right = means.weights
        inverse = self._inverse(core)
        return exponential_piece(
            problem.queries,
            landmarks,
            inverse @ (right @ problem.values),
            scale=scale,
            mass=xp.sum(inverse, axis=-1),  # the rows of the third factor sum to one
            row_sums=not self.normalise,
            bias=sizes,
            softcap=problem.softcap,
            expand=Product(Dense(inverse), right),
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
    """Return means of consecutive rows, (..., segments, c), of an array (..., n, c).

    Segment s covers rows floor(s n / segments) to floor((s + 1) n / segments) - 1, so that lengths differ by one at
    most. Sums are taken in float64 where the device has it; O(n c), or O(n c log(n / segments)) if lengths differ.
    """
    xp = array_namespace(x)
    *batch, n, c = x.shape
    segments = as_integer(segments, "segments", least=1, most=n)
    if n % segments == 0:  # equal lengths: one mean along an axis
        parts = xp.reshape(x, (*batch, segments, n // segments, c))
        return xp.astype(xp.mean(xp.astype(parts, accumulator_dtype(x), copy=False), axis=-2), x.dtype)
    boundaries = _boundaries(n, segments, x)
    sums = window_sums(x, boundaries[:-1], boundaries[1:])
    sizes = xp.astype(_segment_sizes(n, segments, x), sums.dtype)
    return xp.astype(sums / sizes[:, None], x.dtype)


def _boundaries(n: int, segments: int, like: Array) -> Array:
    xp = array_namespace(like)
    return xp.arange(segments + 1, dtype=xp.int64, device=device(like)) * n // segments


def _segment_sizes(n: int, segments: int, like: Array) -> Array:
    return array_namespace(like).diff(_boundaries(n, segments, like))
