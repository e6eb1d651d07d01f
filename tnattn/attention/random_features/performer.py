"""Performer: attention through random features of the exponential kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from tnattn.arrays import Array, Rng, array_namespace, require_rng
from tnattn.attention.cost import Cost, columns_cost
from tnattn.attention.method import KeyMethod, budget
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.random_features.feature_map import FeatureMap
from tnattn.attention.random_features.feature_summary import FeatureSummary
from tnattn.attention.random_features.features import Directions, FeatureKind, Orthogonal, Positive
from tnattn.attention.summary import KeySet


@dataclass(frozen=True)
class Performer(KeyMethod):
    """Estimate exp(scores) without bias by the inner product of random features of queries and keys.

    Parameters
    ----------
    features : int
        Scalars per feature vector, m. Trigonometric and hyperbolic features spend two on each direction.
    kind : FeatureKind
        ``Positive()``, ``Hyperbolic()`` or ``Trigonometric()``.
    directions : Directions
        ``Independent()`` or ``Orthogonal()``.
    centre : bool
        Subtract the mean key from all keys and give its scores back through the row shift: exact for the exponential,
        and of lower variance where the keys have a mean. Theorems then apply to the centred keys. A summary that
        grows keeps the mean of its first keys.

    Notes
    -----
    O((n_q + n_k) m (d + d_v)) per head. Choromanski et al. 2021, Lemmas 1 and 2, with x = sqrt(scale) q and
    y = sqrt(scale) k. Deviations: one draw is shared by all heads; exponents are shifted per query row and per feature
    over the keys, and both shifts are given back, so that no constant is added and nothing is clamped. The numerator
    and the denominator are unbiased, their ratio is not.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, Performer
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 4, 128, 4)) / 2
    >>> problem = AttentionProblem(q, k, v)
    >>> outputs = [Performer(features=m)(problem, rng=np.random.default_rng(0)).output for m in (16, 256, 4096)]
    >>> [round(float(np.linalg.norm(x - problem.output) / np.linalg.norm(problem.output)), 2) for x in outputs]
    [0.14, 0.09, 0.03]
    """

    features: int = budget(64)
    kind: FeatureKind = field(default_factory=Positive)
    directions: Directions = field(default_factory=Orthogonal)
    centre: bool = True

    scanned: ClassVar[bool] = True
    guarantee: ClassVar[str] = "exact mean squared error of the kernel"
    source: ClassVar[str] = "Choromanski et al. 2021"
    role: ClassVar = "representative"
    waives: ClassVar[Mapping[str, str]] = {
        "balance": "the variance of the features depends on the sizes of queries and keys, not only on their products",
    }

    def __post_init__(self) -> None:
        if self.features < 1:
            raise ValueError(f"features must be a positive integer; got {self.features!r}")
        self.kind.directions(self.features)  # raises for an odd number of paired features

    def with_budget(self, columns: int) -> Performer:
        """Return the method with at most this many features, an even number where features come in pairs."""
        # two features from one direction
        paired = self.kind.directions(2) == 1
        return replace(self, features=max(2, columns - columns % 2) if paired else columns)

    def draw(self, keys: KeySet, *, rng: Rng | None) -> FeatureMap:
        """Draw the directions and fix the origin of the keys."""
        rng = require_rng(rng, type(self).__name__)
        xp = array_namespace(keys.keys)
        count = self.kind.directions(self.features)
        drawn = self.directions.draw(count, keys.keys.shape[-1], rng=rng, like=keys.keys)
        # exp(q . k) = exp(q . (k - mean)) exp(q . mean): the second factor joins the row shift
        origin = xp.mean(keys.keys, axis=-2, keepdims=True) if self.centre else None
        return FeatureMap(self.kind, self.features, drawn, keys.scale, origin)

    def prefix_features(self, first: KeySet, *, rng: Rng | None) -> FeatureMap:
        return self.draw(first, rng=rng)

    def summarise(self, keys: KeySet, *, probe: Array | None = None, rng: Rng | None = None) -> FeatureSummary:
        return FeatureSummary.of(self.draw(keys, rng=rng), keys)

    def cost(self, problem: AttentionProblem) -> Cost:
        m, p = self.features, self.kind.directions(self.features)
        g, n_k, d, e = problem.groups, problem.n_k, problem.width, problem.value_width
        # columns_cost counts products of width d for every feature, where only p directions need one
        build = 2.0 * g * n_k * (p * d + m * (e + 1)) - 2.0 * problem.heads * problem.n_q * (m - p) * d
        cost = columns_cost(problem, m, build=build)
        return replace(cost, peak_scalars=float(g * m * (e + 1) + m))  # the sums, and the features of one vector
