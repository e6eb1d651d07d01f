"""Approximations from the kept keys of sparse methods."""

from __future__ import annotations

import math

from tnattn.arrays import Array, array_namespace, device, exp_in_place, parallel_map
from tnattn.attention.approximation import Approximation
from tnattn.attention.problem import AttentionProblem
from tnattn.structured import BlockSparse, Selection, Sparse
from tnattn.structured.block_sparse import block_parts

__all__: list[str] = []  # parts of the methods of this chapter

_BLOCK = 1 << 22  # entries of a mask evaluated at a time


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
    O(n_q w). A row whose kept keys are all forbidden although others are not has denominator zero: it is a bad row.
    A row that the mask leaves no key at all is empty.
    """
    kernel, shift = _shifted(scores)
    return _approximation(problem, Sparse(kernel, indices, problem.n_k), shift, complete=complete)


def kept_blocks(problem: AttentionProblem, indices: Array, kept: Array, *, size: int) -> Approximation:
    """Return softmax over kept keys, which the queries of a block select from a common list.

    Parameters
    ----------
    problem : AttentionProblem
    indices : Array, (..., p, s), int64
        Keys of every block of queries, distinct within a block; broadcastable to the grouped layout.
    kept : Array, (..., p, b, s), bool
        True for the keys of the list that a query keeps.
    size : int
        Queries of a block, b; the last block may have fewer.

    Notes
    -----
    O(n_q s (d + d_v)) as matrix products, block by block; see ``kept_keys`` for the rows without keys.
    """
    xp = array_namespace(problem.q)
    n_q = problem.n_q
    blocks, width = indices.shape[-2:]
    kernel = xp.zeros((*problem.batch, blocks, size, width), dtype=problem.q.dtype, device=device(problem.q))
    shift = xp.zeros((*problem.batch, blocks, size), dtype=problem.q.dtype, device=device(problem.q))

    def work(part: slice) -> None:
        rows = slice(part.start * size, min(part.stop * size, n_q))
        filled = (rows.stop - rows.start) // (part.stop - part.start)  # queries of each block of this part
        scores = problem.tile_scores(rows, indices[..., part, :])
        chosen = kept[..., part, :filled, :]
        barrier = xp.where(chosen, xp.zeros_like(scores[..., :1, :1, :1]), -float("inf"))
        kernel[..., part, :filled, :], shift[..., part, :filled] = _shifted(scores + barrier)

    weight = math.prod(problem.batch) * width * (size + problem.width)
    full = n_q // size  # the last block may be shorter, and is a part of its own
    parts = block_parts(full, weight, like=problem.q)
    parallel_map(work, parts + ([slice(full, blocks)] if full < blocks else []), like=problem.q)
    shift = xp.reshape(shift, (*problem.batch, blocks * size))[..., :n_q]
    return _approximation(problem, BlockSparse(kernel, indices, n_q, problem.n_k, kept), shift, complete=False)


def _shifted(scores: Array) -> tuple[Array, Array]:
    """Return exponentials of scores, which are overwritten, and the row maxima by which they are shifted."""
    xp = array_namespace(scores)
    shift = xp.max(scores, axis=-1)
    # exp stays in [0, 1] after the largest score is taken out; the shift cancels between numerator and denominator
    scores -= xp.where(xp.isinf(shift), xp.zeros_like(shift), shift)[..., None]
    return exp_in_place(scores), shift


def _approximation(
    problem: AttentionProblem, kernel: Sparse | BlockSparse, shift: Array, *, complete: bool
) -> Approximation:
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
