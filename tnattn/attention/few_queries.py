"""Exact attention of few queries, as in decoding: one pass over keys and values, for all heads at once."""

from __future__ import annotations

import math

from tnattn.arrays import Array, array_namespace, exp_in_place, is_half, quiet_overflow
from tnattn.attention.column_scaling import keeps_digits
from tnattn.attention.masked_scores import ScoreData, Scores, span
from tnattn.attention.score_tiles import ScoreTiles

QUERIES = 16  # one pass is faster up to about 100, but tiles hold fewer scores and are shared by threads
_SCORES = 1 << 22  # of all heads, held at once: 16 MB of float32


def few_queries(problem: ScoreData, x: Array | None) -> tuple[Array, Array, Array] | None:
    """Return weights times x, the shifts of the rows and the log masses in their units, or None.

    Parameters
    ----------
    problem : ScoreData
    x : Array, (..., n_k, c), optional
        Without it the product has no columns.

    Returns
    -------
    product : Array, (..., G, R, n_q, c)
    shift, log_mass : Array, (..., G, R, n_q)
        Row maxima, and logarithms of the sums of exp(scores - shift).

    Notes
    -----
    None where there are many queries, a given tile, half precision or a factor of another dtype;
    and where the result shows that something left the range of the dtype, or a row has no key: the sweep over tiles
    handles both. O(n_k (d + c)) per query; keys are read once for all query heads of a group, and not copied.
    """
    n_q, n_k = problem.n_q, problem.n_k
    if (
        n_q > QUERIES
        or problem.tile is not None
        or is_half(problem.q)
        or math.prod(problem.batch) * n_q * n_k > _SCORES
    ):
        return None
    if x is not None and x.dtype != problem.q.dtype:
        return None
    xp = array_namespace(problem.q)
    rows = slice(0, n_q)
    chunks = ScoreTiles(problem).chunks(rows)
    columns = slice(chunks[0].start, chunks[-1].stop)  # a window leaves most keys out
    with quiet_overflow():
        scores = _scores(problem, rows, columns)
        top = xp.max(scores, axis=-1, keepdims=True)
        scores -= top  # the shift by the largest score cancels in the quotient
        kernel = exp_in_place(scores)
        mass = xp.sum(kernel, axis=-1, keepdims=True)  # between 1 and n_k; NaN for a shift that is no number
        if x is None:
            product, sound = kernel[..., :0], bool(xp.all(xp.isfinite(mass)))
        else:
            product = _stacked(kernel, x[..., columns, :]) / mass
            sound = keeps_digits(product, x, terms=n_k)
    if not sound:
        return None
    return product, top[..., 0], xp.log(mass)[..., 0]


def _scores(problem: ScoreData, rows: slice, columns: slice) -> Array:
    """Return masked scores, (..., G, R, n_q, columns)."""
    xp = array_namespace(problem.q)
    scores = _stacked(problem.queries * problem.score_scale, problem.keys[..., columns, :].mT)
    if problem.softcap is not None:
        scores = Scores(problem).capped(scores)
    if problem.grouped_mask.coverage(rows, columns, n_q=problem.n_q, n_k=problem.n_k) == "all":
        return scores
    i, j = span(rows, scores)[:, None], span(columns, scores)[None, :]
    added = problem.grouped_mask.additive(i, j, n_q=problem.n_q, n_k=problem.n_k, like=scores)
    return scores if added is None else xp.add(scores, added)


def _stacked(a: Array, b: Array) -> Array:
    """Return a @ b, with the rows of all heads of a group under each other where they share b."""
    if b.ndim != a.ndim or b.shape[-3] != 1 or a.shape[-3] == 1:
        return a @ b
    xp = array_namespace(a)
    *batch, heads, rows, inner = a.shape
    product = xp.reshape(a, (*batch, 1, heads * rows, inner)) @ b  # b is read once for the group
    return xp.reshape(product, (*batch, heads, rows, b.shape[-1]))
