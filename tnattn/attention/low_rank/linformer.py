"""Linformer: keys and values projected along the sequence by a random matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Array, Rng, array_namespace, device, normal, require_rng
from tnattn.attention.approximation import Approximation
from tnattn.attention.cost import Cost, columns_cost, exact_cost
from tnattn.attention.exponential_piece import exponential_piece
from tnattn.attention.method import JointMethod, budget
from tnattn.attention.problem import AttentionProblem
from tnattn.structured import Dense, Product


@dataclass(frozen=True)
class Linformer(JointMethod):
    """softmax(Q (E K)^T) E V with a Gaussian E of ``size`` rows and n_k columns, entries of variance 1 / size.

    Parameters
    ----------
    size : int
        Projected keys, at least one.
    project_weights : bool
        Approximate P V by P E^T E V instead, with the exact weights P, to which the Johnson-Lindenstrauss argument for
        the method applies. An oracle, O(n_q n_k (d + size)).

    Notes
    -----
    O((n_q + n_k) size (d + d_v)) operations, O((n_q + n_k) size) memory. E is shared by all heads. Deviation: E is
    drawn, not trained, so that the softmax over projected keys estimates nothing; the method serves as the control
    without training. E has ``size`` rows (some surveys print its transpose).

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, Linformer
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 1, 64, 8))
    >>> problem, rng = AttentionProblem(q, k, v + 1), np.random.default_rng(0)
    >>> for method in (Linformer(size=1024), Linformer(size=1024, project_weights=True)):
    ...     error = np.linalg.norm(method(problem, rng=rng).output - problem.output) / np.linalg.norm(problem.output)
    ...     print(method.project_weights, round(float(error), 1))
    False 1.0
    True 0.1
    """

    size: int = budget(64)
    project_weights: bool = False

    waives: ClassVar[dict[str, str]] = {
        "P1": "a random combination of ones is not one",
        "P7": "projected keys have scores of another size, so the temperature is not the requested one",
        "P8": "without training, a random square projection inside the softmax is not the identity",
        "P9": "a vector added to all keys enters the projected keys with different factors",
    }
    guarantee: ClassVar[str] = "exact mean squared error (project_weights=True); none otherwise"
    source: ClassVar[str] = "Wang et al. 2020 (Linformer), equation (7), with a random projection"
    role: ClassVar = "representative"

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size must be an integer >= 1; got {self.size!r}")

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        generator = require_rng(rng, "Linformer")
        # entries of variance 1 / size: E[E^T E] = I
        projection = normal(generator, (self.size, problem.n_k), like=problem.q) / self.size**0.5
        values = projection @ problem.values
        if self.project_weights:
            return self._projected_weights(problem, projection, values)
        # projected keys are no tokens: a mask has no meaning for them, and none is honoured
        return exponential_piece(
            problem.scaled_queries,
            projection @ problem.keys,
            values,
            expand=Dense(projection),
            unmergeable="a softmax over projected keys does not estimate the sum of exp(scores)",
        )

    def _projected_weights(self, problem: AttentionProblem, projection: Array, values: Array) -> Approximation:
        xp = array_namespace(problem.q)
        log_mass = problem.weights.log_mass
        return Approximation(
            kernel=Product(problem.weights, Dense(projection.mT)),
            shift=log_mass,
            values=values,
            # exact row sums: the kernel is that of the weights, shifted by the log mass
            normaliser=xp.ones(log_mass.shape, dtype=log_mass.dtype, device=device(log_mass)),
            expand=Dense(projection),
        )

    def cost(self, problem: AttentionProblem) -> Cost:
        """Projecting keys and values, 2 G size n_k (d + d_v), then attention to ``size`` columns."""
        build = 2.0 * problem.groups * self.size * problem.n_k * (problem.width + problem.value_width)
        if self.project_weights:
            build += exact_cost(problem).flops
        return columns_cost(problem, self.size, build=build)
