"""The piece of attention to kept keys alone, and which of its rows are empty or bad."""

from __future__ import annotations

from tnattn.arrays import Array, array_namespace, device
from tnattn.attention.approximation import Approximation
from tnattn.attention.problem import AttentionProblem
from tnattn.structured import Selection, StructuredMatrix

_BLOCK = 1 << 22  # entries of a mask evaluated at a time


def kept_piece(problem: AttentionProblem, kernel: StructuredMatrix, shift: Array, *, complete: bool) -> Approximation:
    """Return softmax over kept keys; its mass is the kept part of the exact mass.

    Parameters
    ----------
    problem : AttentionProblem
    kernel : StructuredMatrix, (..., G, R, n_q, n_k)
        exp(scores - shift) at the kept keys.
    shift : Array, (..., G, R, n_q)
        Minus infinity where the mask forbids all kept keys.
    complete : bool
        True if a row without an admissible kept key has no admissible key at all, so that nothing needs checking.

    Notes
    -----
    A row whose kept keys are all forbidden although others are not has denominator zero: it is a bad row. A row that
    the mask leaves no key at all is empty.
    """
    xp = array_namespace(shift)
    nothing = xp.isinf(shift)
    if not complete and bool(xp.any(nothing)):
        # a finite shift with denominator zero makes the row bad instead of empty
        missed = nothing & xp.broadcast_to(_sees_some_key(problem), nothing.shape)
        shift = xp.where(missed, xp.zeros_like(shift), shift)
    every = xp.arange(problem.n_k, dtype=xp.int64, device=device(shift))
    return Approximation(
        kernel=kernel, shift=shift, values=problem.values, expand=Selection(every, problem.n_k, problem.q)
    )


def _sees_some_key(problem: AttentionProblem) -> Array:
    """Return True for queries with an admissible key, broadcastable to (..., G, R, n_q); O(n_q n_k) mask entries."""
    xp = array_namespace(problem.q)
    n_q, n_k = problem.n_q, problem.n_k
    i = xp.arange(n_q, dtype=xp.int64, device=device(problem.q))[:, None]
    seen = xp.zeros((1, n_q), dtype=xp.bool, device=device(problem.q))
    step = max(1, _BLOCK // n_q)
    for start in range(0, n_k, step):
        j = xp.arange(start, min(start + step, n_k), dtype=xp.int64, device=device(problem.q))[None, :]
        added = problem.grouped_mask.additive(i, j, n_q=n_q, n_k=n_k, like=problem.q)
        if added is None:
            return xp.ones_like(seen)
        seen = seen | xp.any(added > -float("inf"), axis=-1)
    return seen
