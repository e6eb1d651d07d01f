"""Exact attention as a piece: with a dense kernel for small problems, or streamed."""

from __future__ import annotations

from tnattn.arrays import array_namespace, device, exp_in_place, quiet_overflow
from tnattn.attention.approximation import Approximation
from tnattn.attention.masked_scores import Scores
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.softmax import SoftmaxOperator
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


def streamed_piece(problem: AttentionProblem, *, kept: bool = True) -> Approximation:
    """Return exact attention under the mask of a problem, in one sweep; O(n_q) memory beyond the output.

    The problem keeps the sweep, for its own output, unless ``kept`` is false: it and the operator then hold each other,
    and their arrays, until garbage is collected.

    The shift is the logarithm of the row sums, so that the kernel is the matrix of weights itself.
    """
    xp = array_namespace(problem.q)
    every = xp.arange(problem.n_k, dtype=xp.int64, device=device(problem.q))
    weights = problem.weights if kept else SoftmaxOperator(problem)
    products = weights.products_of_values  # and row sums, in one sweep
    shift = weights.log_mass
    ones = xp.ones_like(shift)  # the kernel is normalised: its row sums are one
    return Approximation(
        kernel=weights,
        shift=shift,
        values=problem.values,
        normaliser=ones,
        expand=Selection(every, problem.n_k, problem.q),
    ).holding(products, ones)
