"""What a method costs: operations, traffic, peak memory, cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tnattn.scalars import Parameters

if TYPE_CHECKING:
    from tnattn.attention.problem import AttentionProblem


@dataclass(frozen=True)
class Cost(Parameters):
    """Counted cost of approximating a whole problem, all heads together.

    Parameters
    ----------
    flops : float
        Floating point operations, building and applying; a multiplication and an addition are two.
    scalars_moved : float
        Scalars read and written at least once.
    peak_scalars : float
        Largest number of scalars held at a time beyond q, k, v and the output.
    state_per_token : float
        Scalars that a cache keeps per token (0 when its size does not grow with the tokens).
    """

    flops: float
    scalars_moved: float
    peak_scalars: float
    state_per_token: float

    def __add__(self, other: Cost) -> Cost:
        """Add what is done one after the other."""
        return Cost(
            self.flops + other.flops,
            self.scalars_moved + other.scalars_moved,
            max(self.peak_scalars, other.peak_scalars),
            self.state_per_token + other.state_per_token,
        )


def exact_cost(problem: AttentionProblem) -> Cost:
    """Cost of streamed exact attention: 2 H n_q n_k (d + d_v) operations, G (d + d_v) cached scalars per token."""
    h, g, n_q, n_k = problem.heads, problem.groups, problem.n_q, problem.n_k
    d, e = problem.width, problem.value_width
    return Cost(
        flops=2.0 * h * n_q * n_k * (d + e),
        scalars_moved=float(h * n_q * (d + e) + g * n_k * (d + e)),
        peak_scalars=float(n_k),
        state_per_token=float(g * (d + e)),
    )


def columns_cost(problem: AttentionProblem, columns: int, *, build: float = 0.0, state_per_token: float = 0.0) -> Cost:
    """Cost of evaluating and applying a dense (n_q, columns) kernel per head, plus ``build`` operations before it."""
    h, n_q, d, e = problem.heads, problem.n_q, problem.width, problem.value_width
    return Cost(
        flops=2.0 * h * n_q * columns * (d + e + 1) + build,
        scalars_moved=float(h * n_q * (d + e) + problem.groups * problem.n_k * (d + e) + 2 * h * n_q * columns),
        peak_scalars=float(h * n_q * columns),
        state_per_token=state_per_token,
    )
