"""Random features everywhere, corrected to the exact kernel in a window: sparse plus low rank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from tnattn.arrays import Array, Rng, array_namespace, device
from tnattn.attention.approximation import Approximation
from tnattn.attention.cost import Cost
from tnattn.attention.method import JointMethod, budget
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.random_features.features import Directions, FeatureKind, Orthogonal, Positive
from tnattn.attention.random_features.performer import Performer
from tnattn.attention.random_features.summary import FeatureSummary
from tnattn.attention.summary import KeySet
from tnattn.structured import Selection, Sparse


@dataclass(frozen=True)
class Scatterbrain(JointMethod):
    """Estimate the kernel by random features, and correct it to exp(scores) for the keys near each query.

    Parameters
    ----------
    features : int
        Scalars per feature vector.
    window : int
        Keys on either side of the position of a query for which the kernel is exact. Queries are the last positions.
    kind : FeatureKind
    directions : Directions
    centre : bool
        As in ``Performer``.

    Notes
    -----
    O((n_q + n_k) m (d + d_v) + n_q window (m + d + d_v)) per head. Chen, Dao, Winsor, Song, Rudra & Ré 2021. Deviation:
    the support of the correction is a window of positions instead of hash buckets. Features and correction share one
    draw, so that the kernel stays unbiased, and exact on the support.
    """

    features: int = budget(64)
    window: int = 16
    kind: FeatureKind = field(default_factory=Positive)
    directions: Directions = field(default_factory=Orthogonal)
    centre: bool = True

    guarantee: ClassVar[str] = "exact mean squared error of the kernel, zero in the window"
    source: ClassVar[str] = "Chen et al. 2021 (Scatterbrain)"
    waives: ClassVar[Mapping[str, str]] = {"P11": "the window is a set of positions"}

    def __post_init__(self) -> None:
        if not isinstance(self.window, int) or self.window < 0:
            raise ValueError(f"window must be a non-negative integer; got {self.window!r}")
        self._performer.__post_init__()

    @property
    def _performer(self) -> Performer:
        return Performer(self.features, self.kind, self.directions, self.centre)

    def with_budget(self, columns: int) -> Scatterbrain:
        """Return the method with at most this many features, an even number where features come in pairs."""
        return replace(self, features=self._performer.with_budget(columns).features)

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        summary = self._performer.summarise(KeySet.of(problem), rng=rng)
        far = summary.approximate(problem.queries)
        return far + self._correction(problem, summary, far)

    def _correction(self, problem: AttentionProblem, summary: FeatureSummary, far: Approximation) -> Approximation:
        """Return exp(scores) minus the estimate, on the window."""
        xp = array_namespace(problem.q)
        indices, inside = self._support(problem)
        scores = xp.where(inside, problem.gathered_scores(indices), -float("inf"))
        shift = xp.maximum(xp.max(scores, axis=-1), far.shift)  # finite: the shift of the features is
        estimate = _entries(far, summary, indices) * xp.exp(far.shift - shift)[..., None]
        kernel = xp.exp(scores - shift[..., None]) - xp.where(inside, estimate, xp.zeros_like(estimate))
        every = xp.arange(problem.n_k, device=device(problem.q))
        return Approximation(
            kernel=Sparse(kernel, indices, problem.n_k),
            shift=shift,
            values=problem.values,
            expand=Selection(every, problem.n_k, problem.q),
        )

    def _support(self, problem: AttentionProblem) -> tuple[Array, Array]:
        """Return the keys near every query, (n_q, 2 window + 1), and which of these positions exist."""
        xp = array_namespace(problem.q)
        place = device(problem.q)
        n_q, n_k = problem.n_q, problem.n_k
        reach = min(self.window, max(n_q, n_k) - 1)
        centre = xp.arange(n_q, device=place) + (n_k - n_q)
        indices = centre[:, None] + xp.arange(-reach, reach + 1, device=place)[None, :]
        inside = (indices >= 0) & (indices < n_k)
        return xp.where(inside, indices, xp.zeros_like(indices)), inside

    def cost(self, problem: AttentionProblem) -> Cost:
        h, n_q = problem.heads, problem.n_q
        d, e, m = problem.width, problem.value_width, self.features
        width = min(2 * self.window + 1, problem.n_k)
        cost = self._performer.cost(problem)
        near = 2.0 * h * n_q * width * (d + m + e + 1)
        return replace(
            cost,
            flops=cost.flops + near,
            scalars_moved=cost.scalars_moved + h * n_q * width * (d + e + 1),
            peak_scalars=cost.peak_scalars + h * n_q * width,
            state_per_token=float(problem.groups * (d + e)),
        )


def _entries(far: Approximation, summary: FeatureSummary, indices: Array) -> Array:
    """Return the entries of the estimated kernel at (..., n_q, w) keys, one slot at a time: O(n m) memory."""
    xp = array_namespace(indices)
    if summary.lift is None:
        raise ValueError("the summary has grown and no longer knows the features of its keys; summarise again")
    features, queries = summary.lift.to_dense().mT, far.kernel.to_dense()  # (..., n_k, m), (..., n_q, m)
    slots = [
        xp.sum(queries * xp.take(features, indices[:, slot], axis=-2), axis=-1) for slot in range(indices.shape[-1])
    ]
    return xp.stack(slots, axis=-1)
