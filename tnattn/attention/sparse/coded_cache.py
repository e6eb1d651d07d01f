"""A cache of all keys and values that reads few of them: codes of the keys choose which."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

from tnattn.arrays import Array, Rng, array_namespace
from tnattn.attention.approximation import Approximation
from tnattn.attention.broadcasting import copied
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse.coded_key_selection import CodedKeySelection
from tnattn.attention.sparse.estimated_scores import EstimatedScores, score_tiles
from tnattn.attention.sparse.key_code import CodedKeys
from tnattn.attention.sparse.support import attention_to
from tnattn.attention.summary import KeySet, Summary, bytes_of

__all__ = ["CodedCache"]


@dataclass(frozen=True, eq=False, repr=False)
class CodedCache(Summary):
    """All keys (..., G, 1, n, d) and values (..., G, 1, n, d_v) of a decoder, and the codes by which it reads few.

    A query reads the codes of all keys and the kept keys and values, not the others. Codes of further tokens are made
    under the statistics of the method, which stay; the last keys, of the queries themselves, are always kept.

    Parameters
    ----------
    method : CodedKeySelection
        With statistics, and ``block=1``: queries are answered one by one.
    keys, values : Array
    scale : float
    coded : CodedKeys

    Notes
    -----
    O(n (r + log n) + kept (d + d_v)) operations per query; ``extend`` copies the cache. ``nbytes`` counts the indices
    as they are held, a byte for each coordinate; packed, they take ``coded.nbytes``.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, CodedKeySelection, KeySet
    >>> from tnattn.attention.sparse import CodedCache
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 2, 65, 16)) * 0.7 ** np.arange(16)
    >>> known = AttentionProblem(q[:, :64], k[:, :64], v[:, :64])  # the prompt, or another text
    >>> method = CodedKeySelection(keys=32).calibrated(known)
    >>> cache = CodedCache.of(method, KeySet.from_arrays(known.k, known.v))
    >>> cache = cache.extend(k[:, 64:], v[:, 64:])  # one more token
    >>> cache.coded.n, cache.coded.nbytes, cache.attend(q[:, 64:]).output.shape
    (65, 520, (2, 1, 16))
    """

    method: CodedKeySelection
    keys: Array
    values: Array
    scale: float
    coded: CodedKeys

    @classmethod
    def of(cls, method: CodedKeySelection, keys: KeySet) -> Self:
        """Return the cache of a key set.

        Raises
        ------
        ValueError
            If the method has no statistics, or its queries share choices.
        """
        if method.statistics is None or method.block > 1:
            raise ValueError(
                f"a cache needs a method with statistics and block=1; got {method}; "
                "method.calibrated(problem) takes statistics of another text, or of the prompt"
            )
        coded = method.statistics.code(method.bits, like=keys.keys).encode(keys.keys)
        return cls(method, keys.owned, copied(keys.values), keys.scale, coded)

    @property
    def nbytes(self) -> int:
        held = int(math.prod(self.coded.indices.shape))
        return bytes_of(self.keys, self.values) + held

    @property
    def like(self) -> Array:
        return self.values

    @property
    def width(self) -> int:
        return int(self.keys.shape[-1])

    def approximate(self, queries: Array) -> Approximation:
        q = array_namespace(queries).reshape(queries, (*queries.shape[:-4], -1, *queries.shape[-2:]))
        k, v = self.keys[..., 0, :, :], self.values[..., 0, :, :]
        problem = AttentionProblem(q, k, v, scale=self.scale, check_finite=False)
        choice = self.method.choice(problem)
        if problem.n_q < problem.n_k:  # the queries are the last tokens
            choice = replace(choice, offset=problem.n_k - problem.n_q)
        estimates = EstimatedScores.from_codes(problem, self.coded, 0, problem.n_q)
        indices = estimates.chosen(choice, score_tiles(problem, 0, problem.n_q))
        return attention_to(problem, indices, complete=not choice.shared)

    def _extended(self, k: Array, v: Array, *, rng: Rng | None) -> CodedCache:
        xp = array_namespace(k)
        k, v = k[..., None, :, :], v[..., None, :, :]
        return replace(
            self,
            keys=xp.concat([self.keys, k], axis=-2),
            values=xp.concat([self.values, v], axis=-2),
            coded=self.coded.extend(k),
        )
