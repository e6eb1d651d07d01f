"""Approximations from the kept keys of sparse methods."""

from __future__ import annotations

import math

from tnattn.arrays import Array, array_namespace, exp_in_place
from tnattn.attention.approximation import Approximation
from tnattn.attention.kept_piece import kept_piece
from tnattn.attention.problem import AttentionProblem
from tnattn.structured import Sparse

__all__: list[str] = []  # parts of the methods of this chapter


def kept_keys(problem: AttentionProblem, indices: Array, scores: Array, *, complete: bool = False) -> Approximation:
    """Return softmax over the kept keys alone; its mass is the kept part of the exact mass.

    Parameters
    ----------
    problem : AttentionProblem
    indices : Array, (..., n_q, w), int64
        Kept keys of every query, distinct within a row; broadcastable to the grouped layout.
    scores : Array, (..., G, R, n_q, w)
        Their masked scores, overwritten; minus infinity where the mask forbids a key.
    complete : bool
        True if a row without an admissible kept key has no admissible key at all, so that nothing needs checking.

    Notes
    -----
    O(n_q w). See ``kept_piece`` for rows without keys.
    """
    kernel, shift = _shifted(scores)
    return kept_piece(problem, Sparse(kernel, indices, problem.n_k), shift, complete=complete)


def attention_to(problem: AttentionProblem, indices: Array, *, complete: bool) -> Approximation:
    """Return softmax over kept keys (..., n_q, w), whose scores are computed here; places from n_k on are unused.

    O(n_q w (d + d_v)) operations, memory O(n_q w): keys are gathered for a block of queries at a time.
    """
    xp = array_namespace(problem.q, indices)
    unused = indices >= problem.n_k
    indices = xp.where(unused, xp.full_like(indices, problem.n_k - 1), indices)
    scores = problem.gathered_scores(indices)
    return kept_keys(problem, indices, xp.where(unused, xp.full_like(scores, -math.inf), scores), complete=complete)


def _shifted(scores: Array) -> tuple[Array, Array]:
    """Return exponentials of scores, which are overwritten, and the row maxima by which they are shifted."""
    xp = array_namespace(scores)
    shift = xp.max(scores, axis=-1)
    # exp stays in [0, 1] after the largest score is taken out; the shift cancels between numerator and denominator
    scores -= xp.where(xp.isinf(shift), xp.zeros_like(shift), shift)[..., None]
    return exp_in_place(scores), shift
