"""Attention with a known perturbation, on which theorems about perturbations are nearly sharp."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from theory.statement.bound import Instance
from tnattn.arrays import Array, Rng, array_namespace
from tnattn.attention.approximation import Approximation
from tnattn.attention.cost import Cost, exact_cost
from tnattn.attention.masks import BiasMask, CausalMask, ExplicitMask, FullMask, Mask, PaddingMask, SlidingWindowMask
from tnattn.attention.method import JointMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.structured import Dense, Diagonal


@dataclass(frozen=True, eq=False)
class PerturbedScores(JointMethod):
    """Exact attention whose scores are perturbed.

    Parameters
    ----------
    perturbation : Array, broadcastable to the grouped layout (..., G, R, n_q, n_k)
        Added to the scores.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.bounds.attention.perturbed import PerturbedScores, one_dimensional_problem
    >>> from theory.statement import errors
    >>> problem = one_dimensional_problem(np.array([-0.25, 0.25]), np.array([1.0, -1.0]))
    >>> exchanged = PerturbedScores(np.array([0.5, -0.5]))(problem)
    >>> errors.weights_rows_l1(problem, exchanged).round(4).tolist()  # 2 tanh(1/4), the most that a range of 1 can move
    [[0.4898]]
    """

    perturbation: Array

    masks: ClassVar[tuple[type[Mask], ...]] = (CausalMask, PaddingMask, SlidingWindowMask, ExplicitMask, BiasMask)

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        scores = problem.block_scores(slice(0, problem.n_q), slice(0, problem.n_k)) + self.perturbation
        return _dense(problem, *_exponentials(scores))

    def cost(self, problem: AttentionProblem) -> Cost:
        return exact_cost(problem)


@dataclass(frozen=True, eq=False)
class PerturbedKernel(JointMethod):
    """Exact attention whose kernel exp(scores) is multiplied by factors, entry by entry.

    Parameters
    ----------
    factors : Array, broadcastable to the grouped layout (..., G, R, n_q, n_k)

    Examples
    --------
    >>> import numpy as np
    >>> from theory.bounds.attention.perturbed import PerturbedKernel, one_dimensional_problem
    >>> problem = one_dimensional_problem(np.zeros(2), np.array([1.0, -1.0]))
    >>> PerturbedKernel(np.array([1.1, 0.9]))(problem).output.round(4).tolist()
    [[[0.1]]]
    """

    factors: Array

    masks: ClassVar[tuple[type[Mask], ...]] = (CausalMask, PaddingMask, SlidingWindowMask, ExplicitMask, BiasMask)

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        scores = problem.block_scores(slice(0, problem.n_q), slice(0, problem.n_k))
        kernel, shift = _exponentials(scores)
        return _dense(problem, self.factors * kernel, shift)

    def cost(self, problem: AttentionProblem) -> Cost:
        return exact_cost(problem)


def _exponentials(scores: Array) -> tuple[Array, Array]:
    """Return exp(scores - shift) and the shift, the largest score of every row; minus infinity where there is none."""
    xp = array_namespace(scores)
    shift = xp.max(scores, axis=-1)
    # the shift cancels in the normalisation; a row of minus infinity has none
    return xp.exp(scores - xp.where(xp.isinf(shift), xp.zeros_like(shift), shift)[..., None]), shift


def _dense(problem: AttentionProblem, kernel: Array, shift: Array) -> Approximation:
    ones = array_namespace(kernel).ones_like(problem.keys[..., 0])
    return Approximation(Dense(kernel), shift, problem.values, expand=Diagonal(ones))


def random_problem(
    rng: np.random.Generator,
    *,
    heads: int = 2,
    groups: int = 1,
    n_q: int = 10,
    n_k: int = 14,
    width: int = 4,
    size: float = 1.0,
    mask: Mask = FullMask(),
) -> AttentionProblem:
    """Return a problem with normal queries and keys of standard deviation ``size``, and three normal value columns."""
    return AttentionProblem(
        q=size * rng.standard_normal((heads, n_q, width)),
        k=size * rng.standard_normal((groups, n_k, width)),
        v=rng.standard_normal((groups, n_k, 3)),
        mask=mask,
    )


def one_dimensional_problem(scores: np.ndarray, values: np.ndarray) -> AttentionProblem:
    """Return the problem of one query with the given scores and one column of values."""
    return AttentionProblem(q=np.ones((1, 1, 1)), k=scores[None, :, None], v=values[None, :, None], scale=1.0)


def two_groups_of_scores(rng: np.random.Generator, *, distance: float = 1.0) -> Instance:
    """Two keys exchange their scores -distance/4 and distance/4; their values are opposite.

    Of all perturbations of range ``distance`` none moves more mass, and none moves the output further.
    """
    side = np.array([1.0, -1.0])
    return PerturbedScores(distance / 2 * side), one_dimensional_problem(-distance / 4 * side, side)


def two_keys_out_of_balance(rng: np.random.Generator, *, excess: float = 0.1) -> Instance:
    """Two keys with opposite values, one taken too heavy and the other too light by the same relative amount.

    The scores are those for which the relative error moves most mass.
    """
    side = np.array([1.0, -1.0])
    # logarithm of the ratio of the factors: half of it on each side makes the two perturbed weights equal and opposite
    gap = np.log1p(excess) - np.log1p(-excess)
    return PerturbedKernel(1 + excess * side), one_dimensional_problem(-gap / 4 * side, side)


def random_scores(rng: np.random.Generator) -> Instance:
    """A random problem whose scores are perturbed at random."""
    return PerturbedScores(0.3 * rng.standard_normal((1, 2, 10, 14))), random_problem(rng)


def random_kernel(rng: np.random.Generator) -> Instance:
    """A random problem whose kernel is perturbed at random, by at most 20 percent."""
    return PerturbedKernel(1 + rng.uniform(-0.2, 0.2, (1, 2, 10, 14))), random_problem(rng)


def masked_kernel(rng: np.random.Generator) -> Instance:
    """A random causal problem whose kernel is perturbed at random, by at most 20 percent."""
    problem = random_problem(rng, mask=CausalMask())
    return PerturbedKernel(1 + rng.uniform(-0.2, 0.2, (1, 2, 10, 14))), problem
