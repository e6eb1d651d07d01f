"""Attention to the most important keys of a head, exactly, and to a weighted sample of the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Array, Rng, array_namespace, device, require_rng, uniform, widened
from tnattn.attention.approximation import Approximation
from tnattn.attention.cost import Cost, columns_cost
from tnattn.attention.method import JointMethod, budget
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling.centred_columns import KeyPlan, centred_column_norms, key_plan, planned_piece


@dataclass(frozen=True)
class HeavyPlusSampled(JointMethod):
    """The most important keys of every head, the same for all queries, and a weighted sample of the others.

    The importance of key j is c_j = (sum_i p_ij^2 ||v_j - o_i||^2)^(1/2), over a random sample of the queries i, whose
    exact weights p_i and outputs o_i are computed. The h keys of largest c_j are exact; ``keys - h`` others are drawn
    with replacement, and weighted with the inverse of their probability.

    Parameters
    ----------
    keys : int
        Number of exact and drawn keys, at least one. All are exact where there are no more.
    exact : int, optional
        h, at most ``keys - 1``. By default the number that minimises (sum_(j > h) c_j)^2 / (keys - h), the mean squared
        error for large samples.
    rows : int, optional
        Number of queries of which the importance is computed, half as many as ``keys`` by default. At most half of the
        queries are used, lest the method read all weights.
    uniform : float
        Share of the uniform distribution over keys that are not exact, in (0, 1], beside that in proportion to c_j: it
        bounds the weight of a key that matters to few queries, none of which was among the sampled ones.

    Notes
    -----
    O(rows n_k (d + d_v)) for the importance, O(n_q keys (d + d_v)) for the output. Numerators and denominators are
    unbiased for given importance, so pieces may be merged. The output, a quotient, is biased: least in rows whose exact
    keys hold most of the mass, most in rows without such keys, where the denominator is a sum of few random terms.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, HeavyPlusSampled, ValueSampling
    >>> rng = np.random.default_rng(0)
    >>> q, k, v = rng.standard_normal((3, 1, 256, 8))
    >>> k[0, :8] *= 3  # few keys attract most of the weight
    >>> problem = AttentionProblem(q, k, v)
    >>> for method in (ValueSampling(samples=64), HeavyPlusSampled(keys=64)):
    ...     error = np.linalg.norm(method(problem, rng=np.random.default_rng(0)).output - problem.output)
    ...     print(type(method).__name__, round(float(error / np.linalg.norm(problem.output)), 1))
    ValueSampling 1.2
    HeavyPlusSampled 0.5
    """

    keys: int = budget(64)
    exact: int | None = None
    rows: int | None = None
    uniform: float = 0.1

    guarantee: ClassVar[str] = "exact weighted mean squared error, given the importance"
    source: ClassVar[str] = "Drineas, Kannan & Mahoney 2006, Lemma 4, for weights times centred values"

    def __post_init__(self) -> None:
        _require_keys(self.keys)
        if self.rows is not None and self.rows < 1:
            raise ValueError(f"rows must be an integer >= 1 or None; got {self.rows!r}")
        _require_exact(self.exact)
        if not 0 < self.uniform <= 1:
            raise ValueError(f"uniform must lie in (0, 1]; got {self.uniform!r}")

    def plan(self, problem: AttentionProblem, *, rng: Rng) -> KeyPlan:
        """Return the exact keys and the probabilities of the others, from newly sampled queries."""
        norms = centred_column_norms(problem, _sampled_rows(problem, self._rows(problem), rng=rng))
        return key_plan(norms, self.keys, exact=self.exact, uniform=self.uniform)

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        rng = require_rng(rng, "HeavyPlusSampled")
        return planned_piece(problem, self.plan(problem, rng=rng), self.keys, rng=rng)

    def cost(self, problem: AttentionProblem) -> Cost:
        """Return the cost of the importance and of the columns."""
        return columns_cost(problem, min(self.keys, problem.n_k), build=_importance_flops(problem, self._rows(problem)))

    def _rows(self, problem: AttentionProblem) -> int:
        """Return the number of queries of which the importance is computed."""
        return min(self.rows or max(1, self.keys // 2), max(1, problem.n_q // 2))


@dataclass(frozen=True)
class OptimalHeavyPlusSampled(JointMethod):
    """Exact and drawn keys as of ``HeavyPlusSampled``, by the importance over all queries: an oracle.

    Parameters
    ----------
    keys : int
        Number m of exact and drawn keys, at least one. All are exact where there are no more.
    exact : int, optional
        h, at most ``keys - 1``. By default the number that minimises (sum_(j > h) c_j)^2 / (m - h); with 0 all keys are
        drawn.

    Notes
    -----
    The importance c_j needs all weights once, O(n_q n_k (d + d_v)), streamed. With the denominators D_i relative to the
    exact ones, E sum_i D_i^2 ||O_i - o_i||^2
    = ((sum_(j > h) c_j)^2 - sum_i ||sum_(j > h) p_ij (v_j - o_i)||^2) / (m - h), and D_i is at least the exact
    keys' share of the mass. No such bound holds for the error itself: where that share is small the quotient is biased.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, ColumnSampling, OptimalHeavyPlusSampled
    >>> rng = np.random.default_rng(0)
    >>> q, k, v = rng.standard_normal((3, 1, 256, 8))
    >>> k[0, :8] *= 3  # few keys attract most of the weight
    >>> problem = AttentionProblem(q, k, v)
    >>> for method in (ColumnSampling(samples=64), OptimalHeavyPlusSampled(keys=64)):
    ...     error = np.linalg.norm(method(problem, rng=np.random.default_rng(0)).output - problem.output)
    ...     print(type(method).__name__, round(float(error / np.linalg.norm(problem.output)), 1))
    ColumnSampling 0.5
    OptimalHeavyPlusSampled 0.4
    """

    keys: int = budget(64)
    exact: int | None = None

    reads_weights: ClassVar[bool] = True
    guarantee: ClassVar[str] = "exact weighted mean squared error"
    source: ClassVar[str] = "Drineas, Kannan & Mahoney 2006, Lemma 4, for weights times centred values"

    def __post_init__(self) -> None:
        _require_keys(self.keys)
        _require_exact(self.exact)

    def plan(self, problem: AttentionProblem) -> KeyPlan:
        """Return the exact keys and the probabilities of the others."""
        every = array_namespace(problem.q).arange(problem.n_q, device=device(problem.q))
        return key_plan(centred_column_norms(problem, every), self.keys, exact=self.exact)

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        rng = require_rng(rng, "OptimalHeavyPlusSampled")
        return planned_piece(problem, self.plan(problem), self.keys, rng=rng)

    def cost(self, problem: AttentionProblem) -> Cost:
        """Return the cost of the importance and of the columns."""
        return columns_cost(problem, min(self.keys, problem.n_k), build=_importance_flops(problem, problem.n_q))


def _importance_flops(problem: AttentionProblem, rows: int) -> float:
    """Return the operations of the importance of all keys over some queries, all heads together."""
    # scores, outputs, sums of squared weights times outputs; shift, quotient and square of every weight
    per_weight = 2 * problem.width + 4 * problem.value_width + 7
    return float(problem.heads * rows * problem.n_k * per_weight)


def _require_keys(keys: int) -> None:
    """Raise ValueError unless a number of keys is positive."""
    if keys < 1:
        raise ValueError(f"keys must be an integer >= 1; got {keys!r}")


def _require_exact(exact: int | None) -> None:
    """Raise ValueError unless a number of exact keys is None or non-negative."""
    if exact is not None and exact < 0:
        raise ValueError(f"exact must be a non-negative integer or None; got {exact!r}")


def _sampled_rows(problem: AttentionProblem, rows: int, *, rng: Rng) -> Array:
    """Return indices of queries, drawn without replacement, the same for all heads."""
    xp = array_namespace(problem.q)
    clocks = uniform(rng, (problem.n_q,), like=widened(problem.q))
    return xp.astype(xp.argsort(clocks, stable=True)[:rows], xp.int64)
