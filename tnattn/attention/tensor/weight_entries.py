"""Exact weights of all heads as an implicit tensor of computable entries."""

from __future__ import annotations

from dataclasses import dataclass

from tnattn.arrays import Array, array_namespace, device, dtype_name, widened
from tnattn.attention.problem import AttentionProblem
from tnattn.decomposition.entries import EntryTensor
from tnattn.display import Displayed
from tnattn.structured.gather import gather_rows

_BLOCK = 1 << 18  # entries computed at a time: 2 d as many gathered scalars


@dataclass(frozen=True, eq=False, repr=False)
class WeightEntries(EntryTensor, Displayed):
    """The weights (..., H, n_q, n_k) of a problem, entry by entry: exp(score - log mass of the row).

    For decompositions that read entries, such as ``TTCross``. Memory O(n) beyond queries and keys. The log masses cost
    one streamed pass over all scores, O(H n_q n_k d), at the first entry; an entry costs O(d).

    Parameters
    ----------
    problem : AttentionProblem
        With any mask; float32 or float64.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem
    >>> from tnattn.attention.tensor import WeightEntries
    >>> problem = AttentionProblem(*np.random.default_rng(0).standard_normal((3, 2, 50, 4)))
    >>> weights = WeightEntries(problem)
    >>> entries = weights.entries(np.asarray([[0, 3, 7], [1, 49, 0]]))  # (head, query, key)
    >>> dense = problem.dense_weights()
    >>> weights.shape, bool(np.allclose(entries, [dense[0, 3, 7], dense[1, 49, 0]]))
    ((2, 50, 50), True)
    """

    problem: AttentionProblem

    def __post_init__(self) -> None:
        if dtype_name(self.problem.q.dtype) not in ("float32", "float64"):
            raise TypeError(f"the problem has dtype {self.problem.q.dtype}; convert it to float32 or float64")

    @property
    def shape(self) -> tuple[int, ...]:
        problem = self.problem
        return (*(int(n) for n in problem.q.shape[:-3]), problem.heads, problem.n_q, problem.n_k)

    @property
    def like(self) -> Array:
        return self.problem.q

    def entries(self, indices: Array) -> Array:
        xp, m = array_namespace(indices), indices.shape[-2]
        blocks = [self._block(indices[..., start : min(start + _BLOCK, m), :]) for start in range(0, m, _BLOCK)]
        return xp.concat(blocks, axis=-1)

    def _block(self, indices: Array) -> Array:
        xp, problem = array_namespace(indices), self.problem
        head, i, j = (indices[..., place] for place in range(3))
        ratio = problem.heads // problem.groups  # head h reads key head h // ratio
        queries = _rows(problem.q, head * problem.n_q + i)
        keys = _rows(problem.k, (head // ratio) * problem.n_k + j)
        scores = problem.weights.blocks.capped(xp.vecdot(widened(queries), widened(keys)) * problem.score_scale)
        added = self._added(head, i, j)
        log_mass = problem.ungroup(problem.weights.log_mass[..., None])  # (..., H, n_q, 1)
        mass = _rows(log_mass, head * problem.n_q + i)[..., 0]
        empty = xp.isinf(mass)  # a row that sees no key has weights zero
        gap = (scores if added is None else scores + added) - xp.where(empty, xp.zeros_like(mass), mass)
        return xp.where(empty, xp.zeros_like(gap), xp.exp(gap))

    def _added(self, head: Array, i: Array, j: Array) -> Array | None:
        """Return the additive mask of the entries, (..., m), or None for zero."""
        xp, problem = array_namespace(i), self.problem
        added = problem.grouped_mask.additive(
            i[..., None, None, :, None],
            j[..., None, None, :, None],
            n_q=problem.n_q,
            n_k=problem.n_k,
            like=problem.q,
        )  # (..., G or 1, R or 1, m, 1)
        if added is None:
            return None
        m = i.shape[-1]
        place = xp.arange(m, dtype=xp.int64, device=device(i))
        each = xp.broadcast_to(added, (*problem.batch, m, 1))
        return _rows(xp.reshape(each, (*problem.batch[:-2], problem.heads * m, 1)), head * m + place)[..., 0]


def _rows(x: Array, positions: Array) -> Array:
    """Return the rows (..., m, c) at positions (..., m) of x (..., a, b, c), of which two axes are taken for one."""
    xp = array_namespace(x)
    flat = x if x.ndim == positions.ndim + 1 else xp.reshape(x, (*x.shape[:-3], x.shape[-3] * x.shape[-2], x.shape[-1]))
    return gather_rows(flat, positions[..., None])[..., 0, :]
