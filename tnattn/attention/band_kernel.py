"""Kernels exp(scores - shift) on a band of keys, and the piece of attention to the keys of a band."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from tnattn.arrays import Array, array_namespace, clipped, device, exp_in_place, sums_of_rows
from tnattn.attention.approximation import Approximation
from tnattn.attention.kept_piece import kept_piece
from tnattn.attention.mask_arrays import barrier
from tnattn.attention.masks import CausalMask, FullMask, Mask, PaddingMask, SlidingWindowMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.spans import admissible_span
from tnattn.structured import BandTiles
from tnattn.structured.band import Band, Run
from tnattn.structured.band_tiling import BandTiling, multiplied, scored
from tnattn.structured.exponential_kernel import less_maximum
from tnattn.structured.row_tiles import Stack


@dataclass(frozen=True, eq=False, repr=False)
class BandKernel(BandTiles):
    """exp(masked scores - shift) at the places of a band, (..., G, R, n_q, n_k), evaluated in tiles on use.

    Parameters
    ----------
    band : Band
        Of queries and keys; positional parts of the mask have cut it already, so that they are looked at for the fixed
        keys only.
    problem : AttentionProblem
    shift : Array, (..., G, R, n_q)
        Minus infinity for a row without keys.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, SlidingWindow
    >>> kernel = SlidingWindow(3)(AttentionProblem(*np.random.default_rng(0).standard_normal((3, 1, 6, 2)))).kernel
    >>> type(kernel).__name__, kernel.shape, np.count_nonzero(kernel.to_dense(), axis=-1).tolist()
    ('BandKernel', (1, 1, 6, 6), [[[3, 3, 3, 3, 3, 3]]])
    """

    problem: AttentionProblem
    shift: Array

    @classmethod
    def shifted(
        cls, problem: AttentionProblem, band: Band, *, times: tuple[Array, ...]
    ) -> tuple[BandKernel, tuple[Array, ...]]:
        """Return the kernel whose shifts are the largest scores of its rows, its products and its row sums.

        One sweep gives all; the products are with arrays (..., n_k, c), the sums (..., n_q, 1).
        """
        xp = array_namespace(problem.q)
        unknown = cls(band, problem, problem.queries[..., 0])
        tiling = unknown.tiling(Stack(problem.batch))
        scores, reads = unknown._scores(tiling), [tiling.columns(x) for x in times]

        def work(heads: slice) -> Callable[[Run], tuple[Array, ...]]:
            own, columns = scores(heads), [read(heads) for read in reads]

            def products(run: Run) -> tuple[Array, ...]:
                kernel = own(run)
                # exp stays in [0, 1] after the largest score is taken out; it cancels in the quotient
                top = xp.max(kernel, axis=-1, keepdims=True)
                kernel = exp_in_place(less_maximum(kernel, top))
                return (*(multiplied(kernel, each(run)) for each in columns), sums_of_rows(kernel), top)

            return products

        *products, sums, shift = tiling.swept(work, (*(x.shape[-1] for x in times), 1, 1))
        return replace(unknown, shift=shift[..., 0]), (*products, sums)

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.problem.batch, self.problem.n_q, self.problem.n_k)

    @property
    def like(self) -> Array:
        return self.problem.q

    @property
    def storage(self) -> int:
        arrays = (self.problem.q, self.problem.k, self.shift)
        return sum(int(math.prod(x.shape)) for x in arrays) + self.band.storage

    @property
    def entry_flops(self) -> int:
        return 2 * self.problem.width

    def tiling(self, stack: Stack) -> BandTiling:
        # entries of a mask that is an array are read for all heads at once
        return BandTiling(self.band, stack, self.like, together=_is_listed(self.problem.mask))

    def tile(self, tiling: BandTiling) -> Callable[[slice], Callable[[Run], Array]]:
        scores, shifts = self._scores(tiling), tiling.rows(self.shift[..., None])

        def of_matrices(heads: slice) -> Callable[[Run], Array]:
            own, shift = scores(heads), shifts(heads)
            return lambda run: exp_in_place(less_maximum(own(run), shift(run)))

        return of_matrices

    def _scores(self, tiling: BandTiling) -> Callable[[slice], Callable[[Run], Array]]:
        """Return the function of matrices and blocks that gives masked scores, minus infinity where none is kept."""
        problem, blocks = self.problem, self.problem.weights.blocks
        queries, keys = tiling.rows(problem.queries), tiling.columns(problem.keys)
        terms = self._terms(tiling)

        def of_matrices(heads: slice) -> Callable[[Run], Array]:
            rows, columns = queries(heads), keys(heads)

            def of_blocks(run: Run) -> Array:
                scores = blocks.capped(scored(rows(run) * problem.score_scale, columns(run)))
                added = terms(heads, run)
                scores += added
                return _representable(scores, added) if blocks.unsafe else scores

            return of_blocks

        return of_matrices

    def _terms(self, tiling: BandTiling) -> Callable[[slice, Run], Array]:
        """Return the function of a tile that gives mask terms, minus infinity where the band keeps no key."""
        xp, problem, fixed = array_namespace(self.like), self.problem, self.band.fixed
        listed = _is_listed(problem.mask)
        slots = self.band.width if listed else fixed  # the mask has cut the windows already, but not the fixed keys
        seen = slice(0, problem.n_k if listed else fixed)

        def terms(heads: slice, run: Run) -> Array:
            own, rows = barrier(tiling.kept(heads, run), self.like), tiling.places(run)
            sees_all = problem.grouped_mask.coverage(rows, seen, n_q=problem.n_q, n_k=problem.n_k) == "all"
            added = None if slots == 0 or sees_all else self._mask_terms(tiling, run, slots)
            if added is None:
                return own
            added = added[heads, ...]
            if listed:
                return own + added
            own = xp.broadcast_to(own, (*added.shape[:-1], own.shape[-1]))
            return xp.concat([added, own[..., fixed:]], axis=-1)

        return terms

    def _mask_terms(self, tiling: BandTiling, run: Run, slots: int) -> Array | None:
        """Return what the mask adds at the first slots of a run of blocks, (matrices, blocks, b, slots)."""
        xp, problem, size = array_namespace(self.like), self.problem, self.band.size
        blocks = run.blocks.stop - run.blocks.start
        i = xp.arange(run.blocks.start * size, run.blocks.stop * size, dtype=xp.int64, device=device(self.like))
        i = clipped(i, 0, problem.n_q - 1)[:, None]  # rows of padding have the terms of the last one
        listed = self.band.indices[..., run.blocks, None, :slots]
        repeated = xp.broadcast_to(listed, (*listed.shape[:-2], size, slots))
        j = xp.reshape(repeated, (*listed.shape[:-3], blocks * size, slots))
        added = problem.grouped_mask.additive(i, j, n_q=problem.n_q, n_k=problem.n_k, like=self.like)
        if added is None:
            return None
        added = xp.broadcast_to(added, (*added.shape[:-2], blocks * size, slots))
        return xp.reshape(tiling.stack.flat(added), (tiling.stack.count, blocks, size, slots))


def key_band(problem: AttentionProblem, first: Array, stop: Array, *, size: int, reach: int, fixed: int = 0) -> Band:
    """Return the band of consecutive keys of every query, cut by the positional parts of the mask.

    Parameters
    ----------
    problem : AttentionProblem
    first, stop : Array, (..., n_q), integer
        Query i keeps the keys first_i, ..., stop_i - 1 that exist and are admissible. Neither bound may fall nor grow
        by more than one from query to query.
    size : int
        Queries of a block, which share the union of their windows.
    reach : int
        Most consecutive keys of a query.
    fixed : int
        First keys that all queries keep besides.
    """
    xp = array_namespace(problem.q)
    least, most = admissible_span(problem)
    return Band(xp.maximum(first, least), xp.minimum(stop, most), size, reach, problem.n_k, fixed)


def band_piece(problem: AttentionProblem, band: Band, *, missing_is_empty: bool = False) -> Approximation:
    """Return softmax over the keys of a band; its mass is that of these keys.

    Parameters
    ----------
    problem : AttentionProblem
    band : Band
        As ``key_band`` makes it.
    missing_is_empty : bool
        A row without a kept key is empty, whatever other keys there are: for pieces that are merged with others.

    Notes
    -----
    2 (d + d_v + 1) operations for every entry of a tile, memory for the result only. See ``kept_piece`` for rows
    without keys.
    """
    kernel, (numerators, denominators) = BandKernel.shifted(problem, band, times=(problem.values,))
    piece = kept_piece(problem, kernel, kernel.shift, complete=missing_is_empty)
    return piece.holding(numerators, denominators[..., 0])


def _is_listed(mask: Mask) -> bool:
    """Return True if a part of a mask is no interval of keys for every query."""
    return not all(isinstance(part, (FullMask, CausalMask, SlidingWindowMask, PaddingMask)) for part in mask.conjuncts)


def _representable(scores: Array, added: Array) -> Array:
    """Return scores with NaN for plus infinity, and minus infinity for forbidden keys whatever their scores."""
    xp = array_namespace(scores)
    scores = xp.where(scores == float("inf"), xp.full_like(scores, float("nan")), scores)
    return xp.where(added == -float("inf"), added, scores)
