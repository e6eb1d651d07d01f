"""Scatterbrain: random features corrected to the exact kernel in a window, sparse plus low rank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from tnattn.arrays import Rng, array_namespace, device
from tnattn.attention.approximation import Approximation
from tnattn.attention.band_kernel import band_piece, key_band
from tnattn.attention.corrected import corrected
from tnattn.attention.cost import Cost
from tnattn.attention.method import JointMethod, budget
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.random_features.features import Directions, FeatureKind, Orthogonal, Positive
from tnattn.attention.random_features.performer import Performer
from tnattn.attention.summary import KeySet
from tnattn.device_budget import DeviceBudget, DeviceCounts
from tnattn.structured.band import band_entries

_BLOCK = 32  # queries that share the union of their windows: the products are of matrices, the union little wider


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

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, Scatterbrain
    >>> rng = np.random.default_rng(0)
    >>> x = np.cumsum(rng.standard_normal((1, 128, 4)), axis=-2) / 4  # neighbouring tokens are alike
    >>> problem = AttentionProblem(x, x, x)
    >>> outputs = [Scatterbrain(window=w)(problem, rng=np.random.default_rng(0)).output for w in (0, 32, 127)]
    >>> [round(float(np.linalg.norm(x - problem.output) / np.linalg.norm(problem.output)), 2) for x in outputs]
    [0.28, 0.21, 0.0]
    """

    features: int = budget(64)
    window: int = 16
    kind: FeatureKind = field(default_factory=Positive)
    directions: Directions = field(default_factory=Orthogonal)
    centre: bool = True

    guarantee: ClassVar[str] = "exact mean squared error of the kernel, zero in the window"
    device_budget: ClassVar = DeviceBudget(DeviceCounts(400, waits=10, copies=6))  # two sweeps and a draw
    source: ClassVar[str] = "Chen et al. 2021 (Scatterbrain)"
    waives: ClassVar[Mapping[str, str]] = {
        "P11": "the window is a set of positions",
        "balance": "as for Performer: features read the sizes of queries and keys",
    }

    def __post_init__(self) -> None:
        if self.window < 0:
            raise ValueError(f"window must be a non-negative integer; got {self.window!r}")
        self._performer.__post_init__()

    @property
    def _performer(self) -> Performer:
        return Performer(self.features, self.kind, self.directions, self.centre)

    def with_budget(self, columns: int) -> Scatterbrain:
        """Return the method with at most this many features, an even number where features come in pairs."""
        return replace(self, features=self._performer.with_budget(columns).features)

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        summary = self._performer.summarise(replace(KeySet.of(problem), shared=True), rng=rng)
        return corrected(self._near(problem), summary.approximate(problem.queries))

    def _near(self, problem: AttentionProblem) -> Approximation:
        """Return the exact piece of the keys in the window, which are none for a query far from all keys."""
        xp = array_namespace(problem.q)
        n_q, n_k = problem.n_q, problem.n_k
        # a wider window than the sequence admits the same keys
        reach = min(self.window, max(n_q, n_k) - 1)
        centre = xp.arange(n_q, dtype=xp.int64, device=device(problem.q)) + (n_k - n_q)
        band = key_band(problem, centre - reach, centre + reach + 1, size=_BLOCK, reach=2 * reach + 1)
        return band_piece(problem, band, missing_is_empty=True)

    def cost(self, problem: AttentionProblem) -> Cost:
        """Return the cost of the features, of the window, and of the features once more for its correction."""
        h, n_q, n_k = problem.heads, problem.n_q, problem.n_k
        d, e, m = problem.width, problem.value_width, self.features
        reach = 2 * min(self.window, max(n_q, n_k) - 1) + 1
        entries = band_entries(n_q, n_k, size=_BLOCK, reach=reach)
        again = (n_q + n_k) * self.kind.directions(m) * d
        cost = self._performer.cost(problem)
        return replace(
            cost,
            flops=cost.flops + 2.0 * h * (entries * (d + m + 2 * (e + 1)) + again),
            scalars_moved=cost.scalars_moved + h * (entries * (2 * d + 2 * e + m) / _BLOCK + (n_q + n_k) * m),
            peak_scalars=max(cost.peak_scalars, float(h * n_q * 3 * (e + 1) + n_k * m)),
            state_per_token=float(problem.groups * (d + e)),
        )
