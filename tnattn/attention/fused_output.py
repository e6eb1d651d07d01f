"""Exact output by the fused kernel of the array library, where it computes the same."""

from __future__ import annotations

from tnattn.arrays import Array, array_namespace, fused_attention
from tnattn.attention.column_scaling import keeps_digits
from tnattn.attention.masked_scores import ScoreData, Scores
from tnattn.attention.masks import CausalMask


def fused_output(problem: ScoreData) -> Array | None:
    """Return the exact output of a problem in grouped layout, (..., G, R, n_q, d_v), or None.

    Notes
    -----
    None without a fused kernel, under masks other than full and causal (with as many queries as keys), with a softcap,
    and where a score may overflow or the result left the range of the dtype.
    """
    rows, columns = slice(0, problem.n_q), slice(0, problem.n_k)
    full = problem.mask.coverage(rows, columns, n_q=problem.n_q, n_k=problem.n_k) == "all"
    causal = isinstance(problem.mask, CausalMask) and problem.n_q == problem.n_k
    if problem.softcap is not None or not (full or causal):
        return None
    values = problem.values
    output = fused_attention(problem.queries, problem.keys, values, scale=problem.score_scale, causal=not full)
    if output is None or not keeps_digits(output, values, terms=problem.n_k):
        return None
    # a row whose scores all overflow downwards is NaN in the sweep, and zero in the kernel
    xp = array_namespace(output)
    zeros = not bool(xp.all(xp.any(output != 0, axis=-1)))
    return None if zeros and Scores(problem).unsafe else output
