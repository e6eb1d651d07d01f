"""Masked scores as codes of the keys estimate them, block by block."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tnattn.arrays import Array, array_namespace, device, parallel_map, quiet_overflow
from tnattn.attention.masks import PaddingMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse.key_choice import KeyChoice
from tnattn.attention.sparse.key_code import CodedKeys, KeyCode
from tnattn.attention.sparse.row_segments import seen_keys
from tnattn.display import Displayed
from tnattn.scalars import Parameters

__all__: list[str] = []  # parts of the methods of this chapter

_BLOCK = 1 << 18  # scores held at a time: 1 MB of float32, sorted in cache


@dataclass(frozen=True, eq=False, repr=False)
class EstimatedScores(Parameters, Displayed):
    """Coordinates of consecutive queries and of all keys that they see.

    Parameters
    ----------
    problem : AttentionProblem
    queries : Array, (..., G, R, rows, r)
        Scaled.
    levels : Array, (..., G, 1, n, r)
        Coordinates for which the codes of the first n keys stand.
    start : int
        The first query.
    means : Array, (..., G, R, rows, 1), optional
        Scores with the mean key, where they matter.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem
    >>> from tnattn.attention.sparse import KeyStatistics
    >>> from tnattn.attention.sparse.estimated_scores import EstimatedScores
    >>> problem = AttentionProblem(*np.random.default_rng(0).standard_normal((3, 1, 32, 4)))
    >>> code = KeyStatistics.of(problem).code(bits=24)
    >>> estimates = EstimatedScores.of(problem, code, 8, 16).block(slice(8, 12))[0, 0]
    >>> exact = problem.dense_scores()[0, 8:12]
    >>> apart = (estimates - exact) - (estimates - exact).mean(axis=-1, keepdims=True)  # of every row, without its mean
    >>> round(float(apart.std() / exact.std()), 2)
    0.02
    """

    problem: AttentionProblem
    queries: Array
    levels: Array
    start: int
    means: Array | None = None

    @classmethod
    def of(cls, problem: AttentionProblem, code: KeyCode, start: int, stop: int) -> EstimatedScores:
        """Return the estimates of queries ``start`` to ``stop``: O((rows + n) d r) per head."""
        coded = code.encode(problem.keys[..., : seen_keys(problem, stop - 1), :])
        return cls.from_codes(problem, coded, start, stop)

    @classmethod
    def from_codes(cls, problem: AttentionProblem, coded: CodedKeys, start: int, stop: int) -> EstimatedScores:
        """Return the estimates of queries ``start`` to ``stop`` with keys that are coded already."""
        code = coded.code
        queries, scale = problem.queries[..., start:stop, :], problem.score_scale
        # one number for all keys of a row does not change their order, but a softcap bends scores
        means = None if problem.softcap is None else code.mean_scores(queries) * scale
        return cls(problem, code.coordinates(queries) * scale, coded.levels(), start, means)

    def block(self, rows: slice) -> Array:
        """Return masked estimates of queries with all keys that the last of them may see, (..., G, R, rows, n)."""
        problem, xp = self.problem, array_namespace(self.queries)
        columns = slice(0, seen_keys(problem, rows.stop - 1))
        place = slice(rows.start - self.start, rows.stop - self.start)
        with quiet_overflow():
            scores = self.queries[..., place, :] @ self.levels[..., columns, :].mT
        if self.means is not None:
            scores = problem.weights.blocks.capped(scores + self.means[..., place, :])
        sizes = {"n_q": problem.n_q, "n_k": problem.n_k}
        if problem.grouped_mask.coverage(rows, columns, **sizes) == "all":
            return scores
        i = xp.arange(rows.start, rows.stop, dtype=xp.int64, device=device(scores))[:, None]
        j = xp.arange(columns.stop, dtype=xp.int64, device=device(scores))[None, :]
        added = problem.grouped_mask.additive(i, j, **sizes, like=scores)
        return scores if added is None else scores + added

    def chosen(self, choice: KeyChoice, tiles: list[slice]) -> Array:
        """Return the kept keys of blocks of queries, (..., G, R or 1, choices, w)."""
        parts = parallel_map(lambda rows: choice.indices(self.block(rows), rows.start), tiles, like=self.queries)
        return array_namespace(self.queries).concat(parts, axis=-2)


def score_tiles(problem: AttentionProblem, start: int, stop: int, *, block: int = 1) -> list[slice]:
    """Return blocks of queries, of multiples of ``block``, whose scores with all keys are held at a time."""
    step = max(1, _BLOCK // (problem.n_k * math.prod(problem.batch) * block)) * block
    return [slice(i, min(i + step, stop)) for i in range(start, stop, step)]


def unpadded(problem: AttentionProblem) -> tuple[Array | None, Array | None]:
    """Return true for queries (..., n_q) and keys (..., n_k) that are no padding, or None where none is known.

    Queries at positions of padded keys are padding themselves. Where there are more queries than keys they have no
    positions, and all count.
    """
    xp, place = array_namespace(problem.q), device(problem.q)
    keys = None
    for part in problem.mask.conjuncts:
        if isinstance(part, PaddingMask):
            lengths = part.lengths
            if not isinstance(lengths, int):
                lengths = lengths[..., None, None, None]
            inside = xp.arange(problem.n_k, dtype=xp.int64, device=place) < lengths
            keys = inside if keys is None else keys & inside
    if keys is None or problem.n_q > problem.n_k:
        return None, keys
    return keys[..., problem.n_k - problem.n_q :], keys
