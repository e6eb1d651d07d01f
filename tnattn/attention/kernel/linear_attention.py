"""Linear attention: the kernel phi(q) . phi(k) in place of the exponential."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from tnattn.arrays import Array, Rng, array_namespace, device
from tnattn.attention.approximation import Approximation
from tnattn.attention.cost import Cost, columns_cost
from tnattn.attention.feature_matrices import KeyFeatures, QueryFeatures
from tnattn.attention.feature_sums import FeatureSums
from tnattn.attention.kernel.elu_features import UNITS, EluFeatures, elu_plus_one
from tnattn.attention.method import KeyMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.summary import KeySet, Summary, bytes_of
from tnattn.structured import Dense, Selection, StructuredMatrix


@dataclass(frozen=True)
class LinearAttention(KeyMethod):
    """Replace exp(scale q . k) by phi(q) . phi(k) with phi(x) = elu(sqrt(scale) x) + 1, entry by entry.

    The method has no budget: it is exact for its own kernel, in linear time, and not an approximation of softmax.

    Notes
    -----
    O((n_q + n_k) d d_v) per head; the state is d (d_v + 1) scalars per key head (not O(n m^2) time, as is sometimes
    printed). Katharopoulos et al. 2020, section 3.2. Deviation: the scale of the scores is split evenly between
    queries and keys, where the paper has none, so that ``scale`` keeps its meaning.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, LinearAttention
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 1, 16, 4))
    >>> phi_q, phi_k = (np.where(x > 0, x / 2**0.5 + 1, np.exp(x / 2**0.5)) for x in (q, k))  # scale 1 / 2
    >>> kernel = phi_q @ phi_k.mT
    >>> output = LinearAttention()(AttentionProblem(q, k, v)).output
    >>> bool(np.allclose(output, kernel @ v / kernel.sum(axis=-1, keepdims=True)))
    True
    """

    scanned: ClassVar[bool] = True
    guarantee: ClassVar[str] = "exact for its own kernel"
    source: ClassVar[str] = "Katharopoulos et al. 2020"
    role: ClassVar = "representative"
    waives: ClassVar[Mapping[str, str]] = {
        "P7": "another kernel has no temperature that softmax would recognise",
        "P8": "exact for its own kernel, which is not softmax; there is no budget",
        "balance": "elu + 1 reads the sizes of queries and keys, not only their products",
        "P9": "elu + 1 is not an exponential: one vector added to all keys changes the weights",
    }

    def summarise(self, keys: KeySet, *, probe: Array | None = None, rng: Rng | None = None) -> LinearState:
        return LinearState.of(keys)

    def prefix_features(self, first: KeySet, *, rng: Rng | None) -> EluFeatures:
        return EluFeatures(int(first.keys.shape[-1]), first.scale)

    def exact_piece(self, problem: AttentionProblem) -> Approximation:
        xp = array_namespace(problem.q)
        root = math.sqrt(problem.score_scale)  # split evenly between queries and keys
        kernel = elu_plus_one(problem.queries * root) @ elu_plus_one(problem.keys * root).mT
        i, j = (xp.arange(n, dtype=xp.int64, device=device(kernel)) for n in (problem.n_q, problem.n_k))
        added = problem.grouped_mask.additive(i[:, None], j[None, :], n_q=problem.n_q, n_k=problem.n_k, like=kernel)
        if added is not None:  # minus infinity forbids a key; another kernel has no scores to add a bias to
            kernel = xp.where(added == -float("inf"), xp.zeros_like(kernel), kernel)
        return Approximation(
            kernel=Dense(kernel),
            shift=xp.zeros_like(kernel[..., 0]),
            values=problem.values,
            expand=Selection(j, problem.n_k, kernel),
            units=UNITS,
        )

    def cost(self, problem: AttentionProblem) -> Cost:
        d, e = problem.width, problem.value_width
        # features cost no product: the second term takes back the d^2 that columns_cost counts for scores
        build = 2.0 * problem.groups * problem.n_k * d * (e + 1) - 2.0 * problem.heads * problem.n_q * d * d
        cost = columns_cost(problem, d, build=build)
        return replace(cost, peak_scalars=float(problem.groups * d * (e + 1) + d))  # the sums, and one feature vector


@dataclass(frozen=True, eq=False, repr=False)
class LinearState(Summary):
    """Sums over the keys of feature times value, (..., G, 1, d, d_v), and of feature, (..., G, 1, d).

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import KeySet, LinearAttention
    >>> k, v = np.random.default_rng(0).standard_normal((2, 1, 100, 4))
    >>> state = LinearAttention().summarise(KeySet.from_arrays(k, v))
    >>> longer = state.extend(k, v)
    >>> state.nbytes, longer.nbytes  # independent of the number of keys
    (160, 160)
    """

    scale: float
    values: Array
    mass: Array
    lift: StructuredMatrix | None = None

    @classmethod
    def of(cls, keys: KeySet) -> LinearState:
        """Sum the features of keys, tile by tile."""
        features = EluFeatures(int(keys.keys.shape[-1]), keys.scale)
        sums = FeatureSums.of(features, keys)
        return cls(keys.scale, sums.values, sums.mass, KeyFeatures(features, keys.owned, None))

    @property
    def nbytes(self) -> int:
        return bytes_of(self.values, self.mass)

    @property
    def like(self) -> Array:
        return self.values

    @property
    def width(self) -> int:
        return int(self.values.shape[-2])

    def approximate(self, queries: Array) -> Approximation:
        kernel, (numerators, denominators) = QueryFeatures.shifted(
            EluFeatures(self.width, self.scale), queries, None, times=(self.values, self.mass[..., None])
        )
        piece = Approximation(
            kernel=kernel,
            shift=kernel.top,  # zero: elu + 1 grows linearly, and nothing overflows
            values=self.values,
            mass=self.mass,
            expand=self.lift,
            units=UNITS,
        )
        return piece.holding(numerators, denominators[..., 0])

    def _extended(self, k: Array, v: Array, *, rng: Rng | None) -> LinearState:
        new = LinearState.of(KeySet.from_arrays(k, v, scale=self.scale, check_finite=False))
        # sums add; the features of earlier keys, which would lift the weights, are not kept
        return replace(self, values=self.values + new.values, mass=self.mass + new.mass, lift=None)
