"""Exact weights on a band of keys, and one weight for all other keys of a query, in one sweep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tnattn.arrays import Array, array_namespace, exp_in_place, sums_of_rows
from tnattn.attention.approximation import Approximation
from tnattn.attention.band_kernel import BandKernel
from tnattn.attention.kept_piece import kept_piece
from tnattn.attention.problem import AttentionProblem
from tnattn.structured import Complement, Diagonal, Product, Sum
from tnattn.structured.band import Band, Run
from tnattn.structured.band_tiling import BandTiling, multiplied, scored
from tnattn.structured.outside_sums import before_and_after, window_ends
from tnattn.structured.row_tiles import Stack

Parts = Callable[[Run], tuple[Array, ...]]


def band_with_mean(problem: AttentionProblem, band: Band) -> Approximation | None:
    """Return exact weights on a band, with exp of the mean dropped score for every dropped key.

    Parameters
    ----------
    problem : AttentionProblem
        Without mask and softcap.
    band : Band
        Every query keeps a key.

    Returns
    -------
    Approximation, or None
        None where a score may leave the range of its dtype, so that pieces have to be merged with care.

    Notes
    -----
    Within a window, dropped keys get the mean score in the tile itself. All others enter by sums of keys and values
    before and after it, one for each block. No sum holds what a query keeps.
    """
    if problem.weights.blocks.unsafe:
        return None
    xp, tiling = array_namespace(problem.q), BandTiling(band, Stack(problem.batch), problem.q)
    outside = (before_and_after(band, problem.keys), before_and_after(band, problem.values))
    unknown = BandKernel(band, problem, problem.queries[..., 0])
    count = problem.n_k - unknown.kept_per_row()
    numerators, denominators, shift, mean = tiling.swept(
        _tiles(problem, tiling, count, outside), (problem.value_width, 1, 1, 1)
    )
    near = replace(unknown, shift=shift[..., 0])
    weight = xp.exp(mean - shift)[..., 0]  # of a dropped key; zero where there is none
    kernel = Sum((near, Product(Diagonal(weight), Complement(near))))
    piece = kept_piece(problem, kernel, near.shift, complete=True)
    return piece.holding(numerators, denominators[..., 0])


def _tiles(
    problem: AttentionProblem, tiling: BandTiling, count: Array, outside: tuple[Array, Array]
) -> Callable[[slice], Parts]:
    """Return the function of matrices and blocks that gives both sums, the shift and the mean dropped score of rows."""
    xp, band = array_namespace(problem.q), tiling.band
    reads = [tiling.columns(x) for x in (problem.keys, problem.values)]
    rows, counts = tiling.rows(problem.queries), tiling.rows(count[..., None])
    all_keys, all_values = (tiling.stack.flat(x) for x in outside)
    # slots that some row of a block does not keep
    ends = [slice(end.start + band.fixed, end.stop + band.fixed) for end in window_ends(band)]

    def of_matrices(heads: slice) -> Parts:
        keys, values = (read(heads) for read in reads)
        queries, numbers = rows(heads), counts(heads)

        def of_blocks(run: Run) -> tuple[Array, ...]:
            query, number = queries(run) * problem.score_scale, numbers(run)
            scores, kept = scored(query, keys(run)), tiling.kept(heads, run)
            mean = query @ all_keys[heads, run.blocks, :, None]
            for end in ends:
                part = scores[..., end]
                part = xp.where(kept[..., end], xp.zeros_like(part[..., :1, :1, :1]), part)
                mean = mean + xp.sum(part, axis=-1, keepdims=True)
            mean = xp.where(number > 0, mean / xp.maximum(number, xp.ones_like(number)), -float("inf"))
            for end in ends:
                scores[..., end] = xp.where(kept[..., end], scores[..., end], mean)
            shift = xp.maximum(xp.max(scores, axis=-1, keepdims=True), mean)
            scores -= shift
            kernel, weight = exp_in_place(scores), xp.exp(mean - shift)
            numerators = multiplied(kernel, values(run)) + weight * all_values[heads, run.blocks, None, :]
            denominators = sums_of_rows(kernel) + weight * (problem.n_k - band.width)
            return numerators, denominators, shift, mean

        return of_blocks

    return of_matrices
