"""Approximations from the kept keys of sparse methods."""

from __future__ import annotations

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


def _shifted(scores: Array) -> tuple[Array, Array]:
    """Return exponentials of scores, which are overwritten, and the row maxima by which they are shifted."""
    xp = array_namespace(scores)
    shift = xp.max(scores, axis=-1)
    # exp stays in [0, 1] after the largest score is taken out; the shift cancels between numerator and denominator
    scores -= xp.where(xp.isinf(shift), xp.zeros_like(shift), shift)[..., None]
    return exp_in_place(scores), shift
