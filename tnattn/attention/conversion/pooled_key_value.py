"""Grouped-query pooling applied to the keys and values themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from tnattn.arrays import Rng
from tnattn.attention.approximation import Approximation
from tnattn.attention.conversion.substituted import mean_pooled, substituted
from tnattn.attention.cost import Cost, exact_cost
from tnattn.attention.masks import BiasMask, CausalMask, ExplicitMask, Mask, PaddingMask, SlidingWindowMask
from tnattn.attention.method import JointMethod
from tnattn.attention.problem import AttentionProblem


@dataclass(frozen=True)
class PooledKeyValue(JointMethod):
    """Attend exactly to the means of the keys and values of consecutive key heads.

    Parameters
    ----------
    groups : int
        Key heads after pooling; a divisor of the number of key heads, with which the method is exact.

    Notes
    -----
    The arithmetic of exact attention; the cache shrinks by G / groups. Ainslie et al. 2023, section 2.1, on activations
    instead of weights, which is the same for keys that are linear in the hidden states. Every score is off by
    scale q . (k - mean) <= scale |q| |k - mean|, and the logarithm of the mass by no more than the largest of these.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, PooledKeyValue
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 4, 16, 8))
    >>> k, v = (np.repeat(x[::2], 2, axis=0) for x in (k, v))  # heads 0 and 1 are equal, and 2 and 3
    >>> problem = AttentionProblem(q, k, v)
    >>> errors = [np.linalg.norm(PooledKeyValue(groups=g)(problem).output - problem.output) for g in (2, 1)]
    >>> [round(float(error / np.linalg.norm(problem.output)), 2) for error in errors]
    [0.0, 0.79]
    """

    groups: int = 1

    masks: ClassVar[tuple[type[Mask], ...]] = (CausalMask, SlidingWindowMask, PaddingMask, ExplicitMask, BiasMask)
    guarantee: ClassVar[str] = "score error at most scale |q| |k - mean k|"
    source: ClassVar[str] = "Ainslie et al. 2023"
    role: ClassVar = "representative"
    waives: ClassVar[Mapping[str, str]] = {
        "P7": "means of keys are shorter than keys, which flattens the weights as a higher temperature does",
        "P8": "there is no budget of columns: the error is due to the spread of the heads of a group, 0 for groups = G",
    }

    def __post_init__(self) -> None:
        if self.groups < 1:
            raise ValueError(f"groups must be a positive integer; got {self.groups!r}")

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        k, v = (mean_pooled(x, self.groups, axis=-3) for x in (problem.k, problem.v))
        return substituted(problem, problem.q, k, v)

    def cost(self, problem: AttentionProblem) -> Cost:
        cost, width = exact_cost(problem), problem.width + problem.value_width
        # the arithmetic of exact attention, and the means; the cache holds the pooled heads
        pooling = float(problem.groups * problem.n_k * width)
        return replace(cost, flops=cost.flops + pooling, state_per_token=float(self.groups * width))
