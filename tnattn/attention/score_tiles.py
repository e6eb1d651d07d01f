"""Tiles of heads, queries and keys in which exact attention is evaluated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

from tnattn.arrays import runs_on_host
from tnattn.attention.masked_scores import Head, ScoreData
from tnattn.attention.masks import FullMask

# on the host a tile of one head, 2 MB of float32: the products reach full speed, and the interpreter takes a fiftieth
_ROWS, _COLUMNS = 512, 1024
_CUT = 256  # queries of a tile under a mask, and step of its keys: finer tiles follow the mask more closely
_TOGETHER = 1 << 17  # scores of heads that share a tile on the host: a quarter is 1.4 times slower, more idle threads
_DEVICE = 1 << 23  # scores of a tile of all heads on a device: 32 MB of float32, enough to fill it


class ScoreTiles:
    """Plan of the tiles of a problem: heads that share one, blocks of queries, and chunks of admissible keys.

    Parameters
    ----------
    problem : ScoreData
        Its ``tile`` sets the number of queries and keys of a tile.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, CausalMask
    >>> from tnattn.attention.score_tiles import ScoreTiles
    >>> tiles = ScoreTiles(AttentionProblem(*np.zeros((3, 2, 8, 4)), mask=CausalMask(), tile=4))
    >>> tiles.rows
    [slice(0, 4, None), slice(4, 8, None)]
    >>> [len(tiles.chunks(rows)) for rows in tiles.rows]  # keys in the future of a whole block are left out
    [1, 2]
    """

    def __init__(self, problem: ScoreData) -> None:
        self._problem = problem
        self._on_host = runs_on_host(problem.q)
        self._step, self._width, self._cell = self._sides()

    def _sides(self) -> tuple[int, int, int]:
        """Return the number of queries of a tile, of keys, and the step in which keys are compared with the mask."""
        problem = self._problem
        if problem.tile is not None:
            return problem.tile, problem.tile, problem.tile
        if self._on_host:
            return (_ROWS, _COLUMNS, _COLUMNS) if isinstance(problem.mask, FullMask) else (_CUT, _COLUMNS, _CUT)
        # comparable sides read the fewest queries and keys per score
        room = max(1, _DEVICE // max(1, math.prod(problem.batch)))
        width = min(problem.n_k, max(1, math.isqrt(room)))
        rows = min(problem.n_q, max(1, room // width))
        width = min(problem.n_k, max(1, room // rows))  # few queries leave room for more keys
        return rows, width, width

    @property
    def rows(self) -> list[slice]:
        """Blocks of queries, in order."""
        n_q = self._problem.n_q
        return [slice(i, min(i + self._step, n_q)) for i in range(0, n_q, self._step)]

    def heads(self, outer: Sequence[int]) -> list[Head]:
        """Return indices into batch axes ``outer``, one for the heads of every tile; none for an empty stack."""
        if 0 in outer:
            return []
        if not self._on_host:  # a device fills itself with one product for all heads
            return [()]
        together = max(1, _TOGETHER // (self._problem.n_q * self._problem.n_k))
        axes: list[list[int | slice]] = []
        for size in reversed(outer):
            if together == 1:
                axes.append(list(range(size)))
            else:  # whole axes from the last on, then parts of one
                axes.append([slice(i, min(i + together, size)) for i in range(0, size, together)])
                together = max(1, together // size) if together >= size else 1
        return list(product(*reversed(axes)))

    def chunks(self, rows: slice) -> list[slice]:
        """Return the chunks of keys admissible for a block of queries; at least one, by which it gets its zeros."""
        n_q, n_k = self._problem.n_q, self._problem.n_k
        mask = self._problem.grouped_mask
        found: list[tuple[slice, str]] = []
        for start in range(0, n_k, self._cell):
            cell = slice(start, min(start + self._cell, n_k))
            covered = mask.coverage(rows, cell, n_q=n_q, n_k=n_k)
            if covered == "none":
                continue
            # neighbours that the mask treats alike make one chunk: only those that it cuts pay for its entries
            if found and found[-1] == (slice(found[-1][0].start, start), covered):
                whole = slice(found[-1][0].start, cell.stop)
                if whole.stop - whole.start <= self._width:
                    found[-1] = (whole, covered)
                    continue
            found.append((cell, covered))
        return [chunk for chunk, _ in found] or [slice(0, min(self._cell, n_k))]
