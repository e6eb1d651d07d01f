"""From the keys that a sparse method keeps to its approximation."""

from __future__ import annotations

from tnattn.arrays import Array, array_namespace, device
from tnattn.attention.approximation import Approximation
from tnattn.attention.problem import AttentionProblem
from tnattn.structured import Selection, Sparse

_BLOCK = 1 << 22  # entries of a mask looked at together


def kept_keys(problem: AttentionProblem, indices: Array, scores: Array, *, complete: bool = False) -> Approximation:
    """Return softmax over the kept keys alone; its mass is the kept part of the exact mass.

    Parameters
    ----------
    problem : AttentionProblem
    indices : Array, (..., n_q, w), int64
        Kept keys of every query, distinct within a row; broadcastable to the grouped layout.
    scores : Array, (..., G, R, n_q, w)
        Their masked scores; minus infinity where the mask forbids a key.
    complete : bool
        Whether a row without an admissible kept key has no admissible key at all, so that nothing needs checking.

    Notes
    -----
    O(n_q w). A row whose kept keys are all forbidden although others are not has denominator zero: it is a bad row.
    A row that the mask leaves no key at all is empty.
    """
    xp = array_namespace(scores)
    shift = xp.max(scores, axis=-1)
    nothing = xp.isinf(shift)
    # exp stays in [0, 1] after the largest score is taken out; the shift cancels between numerator and denominator
    kernel = xp.exp(scores - xp.where(nothing, xp.zeros_like(shift), shift)[..., None])
    if not complete and bool(xp.any(nothing)):
        missed = nothing & xp.broadcast_to(_sees_some_key(problem), nothing.shape)
        shift = xp.where(missed, xp.zeros_like(shift), shift)
    every = xp.arange(problem.n_k, dtype=xp.int64, device=device(scores))
    return Approximation(
        kernel=Sparse(kernel, indices, problem.n_k),
        shift=shift,
        values=problem.values,
        expand=Selection(every, problem.n_k, scores),
    )


def _sees_some_key(problem: AttentionProblem) -> Array:
    """Whether the mask leaves a query any key, broadcastable to (..., G, R, n_q); O(n_q n_k) looks at the mask."""
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
