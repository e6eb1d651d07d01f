"""Keys rounded to few bits per entry, with the largest error that this makes in a score."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tnattn.arrays import Array, array_namespace, device, eps, widened
from tnattn.attention.masks import FullMask, PaddingMask
from tnattn.attention.problem import AttentionProblem
from tnattn.display import Displayed
from tnattn.linalg.scaling import binary_scale

__all__: list[str] = []  # parts of the methods of this chapter


@dataclass(frozen=True, eq=False, repr=False)
class RoundedKeys(Displayed):
    """Keys k^ = step code with one step per key and signed codes of ``bits`` bits, and what is lost by them.

    Parameters
    ----------
    exact : AttentionProblem
        The problem, its keys less their mean where no mask could tell a query about later keys by it: softmax does not
        see the mean, and smaller keys are rounded less.
    rounded : AttentionProblem
        The same with rounded keys, as floating numbers.
    codes : Array, (..., G, n_k, d), int8
    query_norms : Array, (..., G, R, n_q, 1)
        Norms of the scaled queries.
    offset : Array, (..., G, R, n_q)
        Scores of the mean, by which those of ``exact`` and ``rounded`` are smaller than those of the problem.
    errors : Array, (..., G, 1, 1, n_k)
        For every query, the scores of key j differ by at most query_norms * errors, rounding included.
    rounding : Array, (..., G, 1, 1, n_k)
        The part that rounding may make in an exact score.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem
    >>> from tnattn.attention.sampling.rounded_keys import RoundedKeys
    >>> problem = AttentionProblem(*np.random.default_rng(0).standard_normal((3, 1, 64, 16)))
    >>> for bits in (4, 8):
    ...     keys = RoundedKeys.of(problem, bits)
    ...     bound = keys.query_norms * keys.errors
    ...     error = np.abs(keys.exact.dense_scores() - keys.rounded.dense_scores())
    ...     print(bool(np.all(error <= bound)), round(float(np.mean(bound)), 2))
    True 0.32
    True 0.02
    """

    exact: AttentionProblem
    rounded: AttentionProblem
    codes: Array
    query_norms: Array
    offset: Array
    errors: Array
    rounding: Array

    @classmethod
    def of(cls, problem: AttentionProblem, bits: int) -> RoundedKeys:
        """Round the keys of a problem; O(n_k d)."""
        xp = array_namespace(problem.q)
        q, keys = widened(problem.q), widened(problem.k)
        unit = binary_scale(keys, axis=(-2, -1))  # exact, and no sum or square overflows
        keys = keys / unit
        centred = problem.softcap is None and all(
            isinstance(m, (FullMask, PaddingMask)) for m in problem.mask.conjuncts
        )
        centre = _mean(problem, keys) if centred else xp.zeros_like(keys[..., :1, :])
        apart = keys - centre
        largest = xp.max(xp.abs(apart), axis=-1, keepdims=True)
        step = xp.where(largest > 0, largest, xp.ones_like(largest)) / (2 ** (bits - 1) - 1)
        codes = xp.astype(xp.round(apart / step), xp.int8)
        rounded = xp.astype(codes, keys.dtype) * step  # whole numbers up to 127 are exact in every floating dtype
        digits = (problem.width + 8) * eps(keys)
        # sums of d products, on either side, and the difference from the centre
        slack = digits * (_norms(apart) + _norms(rounded) + _norms(centre))
        unit = unit[..., 0]
        exact = replace(problem, k=apart * unit[..., None], check_finite=False) if centred else problem
        scaled = problem.score_scale * (1 + digits)
        queries = binary_scale(q, axis=(-2, -1))
        norms = _norms(q / queries) * queries[..., 0] * scaled
        return cls(
            exact=exact,
            rounded=replace(problem, k=rounded * unit[..., None], check_finite=False),
            codes=codes,
            query_norms=xp.reshape(norms, (*problem.batch, problem.n_q, 1)),
            offset=((problem.queries * problem.score_scale) @ (centre * unit[..., None])[..., None, :, :].mT)[..., 0],
            errors=((_norms(apart - rounded) * (1 + digits) + slack) * unit)[..., None, None, :],
            rounding=(slack * unit)[..., None, None, :],
        )


def _mean(problem: AttentionProblem, keys: Array) -> Array:
    """Return the mean of the keys (..., G, 1, d) that no padding hides; zero where all are hidden."""
    xp = array_namespace(keys)
    j = xp.arange(problem.n_k, device=device(keys))[None, :]
    added = problem.grouped_mask.additive(xp.zeros_like(j[:, :1]), j, n_q=problem.n_q, n_k=problem.n_k, like=keys)
    if added is None:
        return xp.mean(keys, axis=-2, keepdims=True)
    seen = xp.broadcast_to(added > -float("inf"), (*problem.batch, 1, problem.n_k))[..., 0, 0, :]  # (..., G, n_k)
    count = xp.sum(xp.astype(seen, keys.dtype), axis=-1)[..., None, None]
    total = xp.sum(xp.where(seen[..., None], keys, xp.zeros_like(keys)), axis=-2, keepdims=True)
    return total / xp.maximum(count, xp.ones_like(count))


def _norms(x: Array) -> Array:
    xp = array_namespace(x)
    return xp.sqrt(xp.vecdot(x, x))
