"""Exact attention as a piece: with a dense kernel for small problems, or streamed."""

from __future__ import annotations

from tnattn.arrays import array_namespace, device, exp_in_place, quiet_overflow
from tnattn.attention.approximation import Approximation
from tnattn.attention.masked_scores import Scores
from tnattn.attention.problem import AttentionProblem
from tnattn.structured import Dense, Selection


def softmax_piece(problem: AttentionProblem) -> Approximation:
    """Return exact attention under the mask of a problem; O(n_q n_k) memory.

    Every row is shifted by its largest score; a row without admissible key has shift minus infinity.
    """
    xp = array_namespace(problem.q)
    # not those of problem.weights: it and the problem keep each other, and their arrays, until garbage is collected
    blocks, rows = Scores(problem), slice(0, problem.n_q)
    with quiet_overflow():
        scores = blocks.block(blocks.query((), rows), (), rows, slice(0, problem.n_k))
    shift = xp.max(scores, axis=-1)
    # exp stays within [0, 1]; a row of minus infinities stays one
    scores -= xp.where(shift == -float("inf"), xp.zeros_like(shift), shift)[..., None]
    every = xp.arange(problem.n_k, dtype=xp.int64, device=device(scores))
    return Approximation(
        kernel=Dense(exp_in_place(scores)),
        shift=shift,
        values=problem.values,
        expand=Selection(every, problem.n_k, scores),
    )


def streamed_piece(problem: AttentionProblem) -> Approximation:
    """Return exact attention under the mask of a problem, in one sweep; O(n_q) memory beyond the output.

    The shift is the logarithm of the row sums, so that the kernel is the matrix of weights itself.
    """
    xp = array_namespace(problem.q)
    every = xp.arange(problem.n_k, dtype=xp.int64, device=device(problem.q))
    _ = problem.weights @ problem.values  # gives products with values and row sums; both are kept with the problem
    shift = problem.weights.log_mass
    return Approximation(
        kernel=problem.weights,
        shift=shift,
        values=problem.values,
        normaliser=xp.ones_like(shift),  # the kernel is normalised: its row sums are one
        expand=Selection(every, problem.n_k, problem.q),
    )
