"""Key sampling with probabilities from the norms of the values, without the queries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from tnattn.arrays import Array, Rng, array_namespace, require_rng
from tnattn.attention.approximation import Approximation
from tnattn.attention.cost import Cost, columns_cost, exact_cost
from tnattn.attention.exponential_piece import exponential_piece
from tnattn.attention.method import KeyMethod, budget
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling.draws import draw_by_weight, relative_norms, sampled_columns, shares
from tnattn.attention.softmax import SoftmaxOperator
from tnattn.attention.summary import KeySet, Summary, bytes_of
from tnattn.structured.gather import gather_rows


@dataclass(frozen=True)
class ValueSampling(KeyMethod):
    """Attention to ``samples`` keys drawn with replacement, each weighted with the inverse of its probability.

    Key j is drawn with probability ``uniform / n + (1 - uniform) ||v_j|| / sum ||v||``, so that keys whose values are
    large are rarely missed; the same draw serves all queries of a key head.

    Parameters
    ----------
    samples : int
        Number of samples, at least one.
    uniform : float
        Share of the uniform distribution in [0, 1]. With 0, keys whose value is zero are never drawn, and the estimate
        of the mass misses them; with 1, the values have no influence.
    normalise : bool
        Divide by the estimated row sums (self-normalised, weights sum to one). Otherwise by the exact ones, which costs
        O(n_q n_k d): the unbiased estimator to which the exact variance formulas apply.

    Notes
    -----
    O(n_q samples (d + d_v)) after O(n_k d_v); the summary keeps ``samples`` keys and values. Estimates its mass without
    bias where ``uniform > 0``, so pieces may be merged. If all values are zero, sampling is uniform.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, ValueSampling
    >>> problem = AttentionProblem(*np.random.default_rng(0).standard_normal((3, 4, 64, 8)))
    >>> outputs = [ValueSampling(samples=c)(problem, rng=np.random.default_rng(0)).output for c in (64, 4096)]
    >>> errors = [float(np.linalg.norm(x - problem.output) / np.linalg.norm(problem.output)) for x in outputs]
    >>> [round(error, 1) for error in errors]
    [0.9, 0.1]
    """

    samples: int = budget(64)
    uniform: float = 0.1
    normalise: bool = True

    guarantee: ClassVar[str] = "exact mean squared error (normalise=False); asymptotic otherwise"
    source: ClassVar[str] = "Drineas, Kannan & Mahoney 2006, Algorithm 'BasicMatrixMultiplication'"
    role: ClassVar = "representative"

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ValueError(f"samples must be an integer >= 1; got {self.samples!r}")
        if not 0 <= self.uniform <= 1:
            raise ValueError(f"uniform must lie in [0, 1]; got {self.uniform!r}")

    def probabilities(self, values: Array) -> Array:
        """Return the probabilities of the keys, (..., n), of values (..., n, d_v)."""
        xp = array_namespace(values)
        by_norm = xp.astype(shares(relative_norms(values)), values.dtype)
        return self.uniform * xp.full_like(by_norm, 1.0 / by_norm.shape[-1]) + (1 - self.uniform) * by_norm

    def summarise(self, keys: KeySet, *, probe: Array | None = None, rng: Rng | None = None) -> Summary:
        probabilities = self.probabilities(keys.values)
        indices = draw_by_weight(require_rng(rng, "ValueSampling"), probabilities, self.samples)
        xp = array_namespace(keys.keys)
        # Horvitz-Thompson weights: sums over the sample are unbiased for sums over all keys
        mass = 1 / (self.samples * xp.take_along_axis(probabilities, indices, axis=-1))
        return SampledKeys(keys, indices, mass, self.normalise)

    def cost(self, problem: AttentionProblem) -> Cost:
        """Return the cost of the samples, and of all scores where row sums are exact."""
        # three operations per entry of the values for their norms
        build = 3.0 * problem.groups * problem.n_k * problem.value_width
        if self.normalise:
            return columns_cost(problem, self.samples, build=build)
        scores = 2.0 * problem.heads * problem.n_q * problem.n_k * problem.width
        state = exact_cost(problem).state_per_token
        return columns_cost(problem, self.samples, build=build + scores, state_per_token=state)


class SampledKeys(Summary):
    """Sampled keys and values with the number of keys that each represents.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import KeySet, ValueSampling
    >>> rng = np.random.default_rng(0)
    >>> k, v = rng.standard_normal((2, 1, 100, 4))
    >>> summary = ValueSampling(samples=16).summarise(KeySet.from_arrays(k, v), rng=rng)
    >>> result = summary.attend(rng.standard_normal((1, 3, 4)))
    >>> result.kernel.shape, summary.nbytes, k.nbytes + v.nbytes
    ((1, 1, 3, 16), 1280, 6400)
    """

    def __init__(self, keys: KeySet, indices: Array, mass: Array, normalise: bool) -> None:
        self._scale, self._n = keys.scale, keys.n
        self._indices, self._mass = indices, mass  # (..., G, 1, m)
        self._keys = gather_rows(keys.keys, indices[..., None])[..., 0, :]
        self._values = gather_rows(keys.values, indices[..., None])[..., 0, :]
        self._all = (
            None if normalise else replace(keys, keys=keys.owned, values=keys.owned_values)
        )  # exact row sums need every key

    @property
    def nbytes(self) -> int:
        kept = [self._keys, self._values, self._mass, self._indices]
        kept += [] if self._all is None else [self._all.keys, self._all.values]
        return bytes_of(*kept)

    @property
    def like(self) -> Array:
        return self._values

    @property
    def width(self) -> int:
        return int(self._keys.shape[-1])

    def approximate(self, queries: Array) -> Approximation:
        piece = exponential_piece(
            queries,
            self._keys,
            self._mass[..., None] * self._values,
            scale=self._scale,
            mass=self._mass,
            expand=sampled_columns(self._indices, self._mass, self._n),
        )
        if self._all is None:
            return piece
        exact = _log_mass(queries, self._all)
        # kernel and denominator in one unit, such that neither exceeds one
        higher = array_namespace(queries).maximum(piece.shift, exact)
        return piece.rescaled(higher).divided_by(array_namespace(queries).exp(exact - higher))


def _log_mass(queries: Array, keys: KeySet) -> Array:
    """Return the logarithms of the exact row sums, (..., G, R, n_q), streamed."""
    xp = array_namespace(queries)
    *batch, groups, ratio, n_q, d = queries.shape
    q = xp.reshape(queries, (*batch, groups * ratio, n_q, d))
    k, v = (array[..., 0, :, :] for array in (keys.keys, keys.values))
    return SoftmaxOperator(AttentionProblem(q, k, v, scale=keys.scale, check_finite=False)).log_mass
