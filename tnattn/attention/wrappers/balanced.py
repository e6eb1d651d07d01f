"""Balanced coordinates: a method on queries and keys that have one covariance, for the same attention."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from tnattn.arrays import Array, Rng, array_namespace
from tnattn.attention.approximation import SOFTMAX, Approximation
from tnattn.attention.balanced_coordinates import BalancedCoordinates, balanced_coordinates
from tnattn.attention.cost import Cost
from tnattn.attention.masks import BiasMask
from tnattn.attention.method import AttentionMethod, JointMethod
from tnattn.attention.precision import widened_problem
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.random_features.performer import Performer
from tnattn.device_budget import DeviceBudget, DeviceCounts
from tnattn.linalg.scaling import binary_scale, smallest_normal
from tnattn.structured import Diagonal, Product


@dataclass(frozen=True)
class Balanced(JointMethod):
    """The method on balanced coordinates x, y of queries and keys, in which attention is the same.

    Features, landmarks and interpolation among keys depend on the sizes of queries and keys, where attention depends on
    their inner products only. x = sqrt(scale) T^t (q - c_q) and y = sqrt(scale) T^-1 (k - c_k) have the least mean
    squares that their products admit. The scores lose a constant of the row, which the row shift gives back, and
    the term scale c_q . k_j of the key, exactly in one of two ways: a method that honours ``BiasMask`` gets it as a
    bias; any other is applied to the values times the weight w_j = exp(scale c_q . k_j) and to the weights themselves,
    sum_j exp(x . y_j) w_j [v_j | 1], of which the last column is the denominator. Features of keys and masses of
    coresets are thereby multiplied by the weights.

    Parameters
    ----------
    method : AttentionMethod
        Of softmax attention. Methods that select by exact scores, and the exact one, give what they give without this.
    centre : bool
        Subtract the mean query c_q, or the largest multiple of it whose weights span half of the exponents of the
        dtype. Without it there are no weights, and T balances the second moments of q: take that for methods that
        combine keys with signs, whose errors the weights multiply. On layer 3 of the shipped sample
        ``PivotedCoreset(256)`` has error 0.71 with weights and 0.20 without, ``KernelCUR(64)`` 1.7 and 0.40. T alone
        does not change ``KernelCUR`` and ``Nystromformer``.

    Raises
    ------
    TypeError
        If ``method`` is no attention method.
    ValueError
        If the problem has a softcap, or the method replaces the exponential by another kernel.

    Notes
    -----
    O((H n_q + G n_k) d^2 + G d^3) beyond the method, on values with one more column, and copies of q, k and v; see
    ``balanced_coordinates``. The statistics are those of all queries and keys: under a causal mask they come from later
    tokens. ``Causal(Balanced(method), leaks_queries=True)`` balances every rectangle by its own queries and the keys
    before them, and says so by the trait of that wrapper. A single query is its own mean: the weights are then the
    exact ones, at their cost of O(n_k d). Choices that a method makes by its own row sums, such as the ridge of
    ``KernelCUR``, are made without the weights.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, Balanced, Performer
    >>> rng = np.random.default_rng(0)
    >>> q, k, v = rng.standard_normal((3, 4, 128, 8))
    >>> problem = AttentionProblem(q * np.geomspace(4, 0.1, 8) + 1, k * np.geomspace(0.1, 4, 8), v)
    >>> for method in Performer(features=64), Balanced(Performer(features=64)):
    ...     error = np.linalg.norm(method(problem, rng=np.random.default_rng(0)).output - problem.output)
    ...     print(type(method).__name__, round(float(error / np.linalg.norm(problem.output)), 2))
    Performer 0.96
    Balanced 0.31
    """

    device_budget: ClassVar = DeviceBudget(DeviceCounts(120, waits=4, copies=6))

    method: AttentionMethod = field(default_factory=Performer)
    centre: bool = True

    guarantee: ClassVar[str] = "that of the method, on queries and keys of the least mean squares"
    source: ClassVar[str] = "balancing of Gramians (Moore 1981), applied to the moments of queries and keys"
    waives: ClassVar[Mapping[str, str]] = {
        "fields.method.centre": "the keys have mean zero already, so that a method which subtracts it changes nothing",
    }

    def __post_init__(self) -> None:
        if not isinstance(self.method, AttentionMethod):
            raise TypeError(f"method must be an attention method; got {self.method!r}")

    @property
    def _weighs(self) -> bool:
        """True if the values carry the weights of the keys, since the method takes no bias."""
        return self.centre and BiasMask not in self.method.masks

    def coordinates(self, problem: AttentionProblem) -> BalancedCoordinates:
        """Return the coordinates on which the method runs."""
        # half of the exponents are for weights, half for scores
        reach = -math.log(smallest_normal(problem.q)) / 2 if self._weighs else math.inf
        return balanced_coordinates(problem, centre=self.centre, reach=reach)

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        found = self.coordinates(problem)
        if self._weighs:
            weights = _KeyWeights.of(problem, found)
            piece = weights.taken_out(self._run(weights.problem, rng))
        else:
            piece = self._run(_with_coordinates(problem, found, biased=self.centre), rng)
        # what the scores lack in every row joins the shift: of the products nothing changes
        return replace(piece, shift=piece.shift + found.row_offset).holding(*piece._products)

    def _run(self, problem: AttentionProblem, rng: Rng | None) -> Approximation:
        piece = self.method(problem, rng=rng)
        if piece.units != SOFTMAX:
            raise ValueError(
                f"{type(self.method).__name__} replaces exp(scores) by {piece.units}, which depends on the coordinates "
                "of queries and keys; Balanced takes methods that approximate softmax"
            )
        return piece

    def stages(self, problem: AttentionProblem) -> list[tuple[Any, Any]]:
        found = self.coordinates(problem)
        if self._weighs:
            return [(self.method, _KeyWeights.of(problem, found).problem)]
        return [(self.method, _with_coordinates(problem, found, biased=self.centre))]

    def cost(self, problem: AttentionProblem) -> Cost:
        """Return the cost of moments, maps and coordinates, and of the method on values with the column of weights."""
        xp, g, d, e = array_namespace(problem.q), problem.groups, problem.width, problem.value_width
        tokens = problem.heads * problem.n_q + g * problem.n_k
        # moments and coordinates: two products each; products with the means, and differences from them
        own = tokens * (4.0 * d * d + 5 * d) + g * (22 + 2 / 3 + 6) * d**3
        target, held = problem, 0.0
        if self._weighs:
            v = xp.broadcast_to(problem.v[..., :1], (*problem.v.shape[:-1], e + 1))  # of which only the shape is read
            target, held = replace(problem, v=v, check_finite=False), float(g * problem.n_k * (e + 2))
            own += g * problem.n_k * (e + 1) + problem.heads * problem.n_q
        inner = self.method.cost(target)
        coordinates = float(tokens * d)
        return inner + Cost(own, 2 * coordinates + held, inner.peak_scalars + coordinates + held, 0.0)


def balanced(problem: AttentionProblem) -> AttentionProblem:
    """Return the problem in balanced coordinates, whose exact attention is that of the problem.

    Queries and keys have one diagonal covariance, of the least trace that the scores admit; means are subtracted, the
    scale is one, and the scores of the mean query join the mask as a bias of every key.

    Parameters
    ----------
    problem : AttentionProblem
        Under any mask. The statistics are those of all its queries and keys, whatever the mask forbids: under a causal
        mask an approximation of the result reads later tokens.

    Returns
    -------
    AttentionProblem
        In float32 for half precision, which would not hold the new coordinates. ``BiasMask`` is among its masks.

    Raises
    ------
    ValueError
        If the problem has a softcap: its scores are no inner products.

    Notes
    -----
    See ``balanced_coordinates``. Scores differ from those of the problem by a constant of the row.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, balanced
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 1, 64, 4))
    >>> problem = AttentionProblem(100 * q + 1, k / 100 + 1, v)
    >>> bool(np.allclose(balanced(problem).output, problem.output))
    True
    >>> [round(float(np.mean(np.sum(x**2, axis=-1))), 2) for x in (balanced(problem).q, balanced(problem).k)]
    [1.98, 1.98]
    """
    problem = widened_problem(problem)
    return _with_coordinates(problem, balanced_coordinates(problem), biased=True)


def _with_coordinates(problem: AttentionProblem, found: BalancedCoordinates, *, biased: bool) -> AttentionProblem:
    """Return the problem in other coordinates, with the bias of the keys beside its mask if they have one."""
    mask = problem.mask
    if biased:
        xp, heads_per_group = array_namespace(problem.q), problem.batch[-1]
        bias = xp.repeat(found.key_bias, heads_per_group, axis=-2)  # (..., H, n_k)
        mask = mask & BiasMask(bias[..., None, :])
    return replace(problem, q=found.queries, k=found.keys, mask=mask, scale=1.0, check_finite=False)


@dataclass(frozen=True, eq=False, repr=False)
class _KeyWeights:
    """A problem whose values carry the weights of the keys: w [v | unit], for weights (..., G, n_k).

    The last column has the size of the values, so that probabilities by the norms of values know both, and none
    depends on the unit of the values.
    """

    problem: AttentionProblem
    weights: Array
    unit: Array

    @classmethod
    def of(cls, problem: AttentionProblem, found: BalancedCoordinates) -> _KeyWeights:
        xp = array_namespace(problem.v)
        weights = xp.exp(found.key_bias)
        unit = binary_scale(problem.v, axis=(-2, -1))  # (..., G, 1, 1), powers of two: exact
        values = xp.concat([problem.v, xp.broadcast_to(unit, (*problem.v.shape[:-1], 1))], axis=-1)
        target = replace(_with_coordinates(problem, found, biased=False), v=weights[..., None] * values)
        return cls(target, weights, unit)

    def taken_out(self, piece: Approximation) -> Approximation:
        """Return the piece of the problem from that of the values with weights, of which one column is the mass."""
        sums, weights = piece._products[0], Diagonal(self.weights[..., None, :])
        return replace(
            piece,
            values=piece.values[..., :-1],
            mass=piece.values[..., -1] / self.unit,
            normaliser=None,  # the sums of the weights are the denominators, also of rows normalised by the method
            expand=None if piece.expand is None else Product(piece.expand, weights),
        ).holding(sums[..., :-1], sums[..., -1] / self.unit)
