"""Exact entries of causal attention within leaves of consecutive positions."""

from __future__ import annotations

from dataclasses import dataclass

from tnattn.arrays import Array, array_namespace, device, exp_in_place
from tnattn.attention.workspace import Workspace
from tnattn.scalars import Parameters


@dataclass(frozen=True)
class Leaves(Parameters):
    """Runs of consecutive positions within which attention is exact; queries are the last positions of their leaf.

    Parameters
    ----------
    size : int
        Largest number of positions of a leaf.
    scale : float
        Of the scores.
    unsafe : bool
        True if a score may overflow: a forbidden key is then forbidden whatever its score.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.exact_leaves import Leaves
    >>> from tnattn.attention.workspace import Workspace
    >>> x = np.asarray([1.0, 2.0])[None, None, None, :, None]  # (g, L, R, r, d)
    >>> entries, shift = Leaves(size=2, scale=1.0).of_scores(x, x, Workspace())
    >>> shift.ravel().tolist(), np.log(entries[0, 0, 0, 1]).tolist()  # scores 1, and 2 and 4
    ([1.0, 4.0], [-2.0, 0.0])
    """

    size: int
    scale: float
    unsafe: bool = False

    def of_scores(self, queries: Array, keys: Array, space: Workspace) -> tuple[Array, Array]:
        """Return exp(scores - shift), (g, L, R, r', r), and the largest scores (g, L, R, r') as shifts.

        Parameters
        ----------
        queries : Array, (g, L, R, r', d)
        keys : Array, (g, L, 1, r, d)
        space : Workspace
        """
        xp = array_namespace(queries)
        scaled = space.room("scaled", 1, queries.shape[1])
        if scaled is None or scaled.shape != queries.shape:
            scaled = xp.zeros_like(queries)
            space.keep("scaled", 1, scaled)
        scaled[...] = queries
        scaled *= self.scale
        scores = space.product("within", scaled, keys.mT)
        count, n = scores.shape[-2:]
        # zero up to the position of the query, minus infinity for later keys
        least = xp.full((count, n), -float("inf"), dtype=scores.dtype, device=device(scores))
        barrier = xp.triu(least, k=n - count + 1)
        if self.unsafe:
            scores = xp.where(barrier < 0, barrier, scores)
        else:
            scores += barrier
        shift = xp.max(scores, axis=-1)
        # a row whose scores all left the range stays one of minus infinities
        scores -= xp.where(shift == -float("inf"), xp.zeros_like(shift), shift)[..., None]
        return exp_in_place(scores), shift

    def of_features(self, queries: Array, keys: Array, space: Workspace) -> tuple[Array, Array]:
        """Return inner products of features of queries and of keys up to them, (g, L, R, r', r), and zero shifts."""
        xp = array_namespace(queries)
        kernel = space.product("within", queries, keys.mT)
        kernel = xp.tril(kernel, k=kernel.shape[-1] - kernel.shape[-2])
        return kernel, xp.zeros_like(kernel[..., 0])
