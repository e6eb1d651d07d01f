"""Cost model of attention methods: operations, memory traffic, peak memory and cache per token."""

from __future__ import annotations

from dataclasses import dataclass

from tnattn.arrays import accumulator_dtype, array_namespace
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.spans import admissible_span
from tnattn.display import Displayed
from tnattn.scalars import Parameters, as_integer


@dataclass(frozen=True, repr=False)
class Cost(Parameters, Displayed):
    """Counted cost of approximating a whole problem, all heads of one batch entry together.

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

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, SlidingWindow, exact_cost
    >>> problem = AttentionProblem(*np.zeros((3, 2, 1024, 16)))
    >>> exact_cost(problem)
    Cost(flops=1.34e+08, scalars_moved=131072, peak_scalars=1024, state_per_token=64)
    >>> round(SlidingWindow(width=64).cost(problem).flops / exact_cost(problem).flops, 2)  # tiles of 64 by 127
    0.13
    """

    flops: float
    scalars_moved: float
    peak_scalars: float
    state_per_token: float

    def __add__(self, other: Cost) -> Cost:
        """Return the cost of two stages of one problem, one after the other.

        Operations and traffic add; peak and cache are the larger ones.
        """
        return Cost(
            self.flops + other.flops,
            self.scalars_moved + other.scalars_moved,
            max(self.peak_scalars, other.peak_scalars),  # the first stage is over when the second begins
            max(self.state_per_token, other.state_per_token),  # both stages read one cache of the same tokens
        )


def admissible_pairs(problem: AttentionProblem, most: int | None = None) -> float:
    """Return the number of pairs of a query and a key that a head may see, over all queries of one batch entry.

    Parameters
    ----------
    problem : AttentionProblem
        Positional masks and padding count; explicit masks and biases do not. Where lengths differ over the batch, the
        mean over its entries. n (n + 1) / 2 for a causal square.
    most : int, optional
        Count at most this many keys of every query.
    """
    first, stop = admissible_span(problem)
    xp = array_namespace(first)
    # windows may be empty where two masks exclude each other
    seen = xp.maximum(stop - first, xp.zeros_like(first))
    if most is not None:
        seen = xp.minimum(seen, xp.full_like(seen, as_integer(most, "most", least=0)))
    pairs = xp.sum(xp.astype(seen, accumulator_dtype(problem.q)), axis=-1)  # float32 would round counts above 2^24
    return float(xp.mean(pairs))


def exact_cost(problem: AttentionProblem) -> Cost:
    """Cost of streamed exact attention: 2 H pairs (d + d_v) operations, G (d + d_v) cached scalars per token.

    ``pairs`` are those that the mask admits. A streamed sweep skips tiles that the mask leaves empty and evaluates in
    full those that it cuts: up to one side of a tile per query more, which is not counted.
    """
    h, g, n_q, n_k = problem.heads, problem.groups, problem.n_q, problem.n_k
    d, e = problem.width, problem.value_width
    return Cost(
        flops=2.0 * h * admissible_pairs(problem) * (d + e),
        scalars_moved=float(h * n_q * (d + e) + g * n_k * (d + e)),
        peak_scalars=float(n_k),  # scores of one query: tiles are an implementation's choice
        state_per_token=float(g * (d + e)),
    )


def columns_cost(problem: AttentionProblem, columns: int, *, build: float = 0.0, state_per_token: float = 0.0) -> Cost:
    """Cost of evaluating and applying a dense (n_q, columns) kernel per head, plus ``build`` operations before it."""
    h, n_q, d, e = problem.heads, problem.n_q, problem.width, problem.value_width
    return Cost(
        flops=2.0 * h * n_q * columns * (d + e + 1) + build,  # scores, values and the column of the mass
        scalars_moved=float(h * n_q * (d + e) + problem.groups * problem.n_k * (d + e) + 2 * h * n_q * columns),
        peak_scalars=float(h * n_q * columns),
        state_per_token=state_per_token,
    )
