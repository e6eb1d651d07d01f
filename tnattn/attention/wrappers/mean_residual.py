"""Sparse attention plus the mean of the dropped keys and values, with its estimated share of the mass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from tnattn.arrays import Array, Rng, array_namespace
from tnattn.attention.approximation import SOFTMAX, Approximation
from tnattn.attention.band_with_mean import band_with_mean
from tnattn.attention.cost import Cost
from tnattn.attention.method import AttentionMethod, JointMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse.sliding_window import SlidingWindow
from tnattn.device_budget import DeviceBudget, DeviceCounts
from tnattn.structured import BandTiles, BlockSparse, Complement, Diagonal, Product, Sparse
from tnattn.structured.complement import outside_flops


@dataclass(frozen=True)
class MeanResidual(JointMethod):
    """Exact weights on the kept keys; every dropped key of a row gets exp of the mean dropped score of that row.

    Parameters
    ----------
    method : AttentionMethod
        A sparse method, which keeps distinct keys in every row.

    Raises
    ------
    TypeError
        If the method's kernel is not sparse.

    Notes
    -----
    The dropped part of the kernel is c_i times a matrix of ones without the kept places. Dropped keys and values are
    summed directly (see ``Complement``): a difference of the sum of all and the kept ones would lose them beside
    one large kept key or value. By Jensen's inequality the dropped mass is at least its estimate, and at most
    exp(R^2 / 8) times it when the dropped scores of the row span R; exact where they are equal. Beyond the sparse
    method O((n_k + n_q b) (d + d_v)) for windows of blocks of b queries, and for a pattern of w keys that each query
    has to itself O(n_q w (d + d_v) log(n_k / w)).

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, MeanResidual, SlidingWindow
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 1, 128, 8))
    >>> problem = AttentionProblem(q / 4, k, v)
    >>> window = SlidingWindow(width=16)
    >>> outputs = [method(problem).output for method in (window, MeanResidual(window))]
    >>> [round(float(np.linalg.norm(x - problem.output) / np.linalg.norm(problem.output)), 2) for x in outputs]
    [2.63, 0.2]
    """

    device_budget: ClassVar = DeviceBudget(
        DeviceCounts(150, waits=4, copies=4), {"doubling of a window": DeviceCounts(60)}
    )

    method: AttentionMethod = field(default_factory=SlidingWindow)

    waives: ClassVar[dict[str, str]] = {"P11": "holds only if it holds for the sparse method inside"}
    guarantee: ClassVar[str] = "dropped mass within a factor exp(R^2 / 8), R the range of dropped scores"
    source: ClassVar[str] = "Jensen's inequality, Hoeffding's lemma"
    role: ClassVar = "representative"

    def __post_init__(self) -> None:
        if not isinstance(self.method, AttentionMethod):
            raise TypeError(f"method must be an attention method; got {self.method!r}")

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        return {"doubling of a window": target.n_k.bit_length()}

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        if type(self.method) is SlidingWindow and problem.softcap is None:  # not a subclass, which may do otherwise
            found = band_with_mean(problem, self.method.band(problem))
            if found is not None:
                return found
        near = self.method(problem, rng=rng)
        if not isinstance(near.kernel, (Sparse, BlockSparse, BandTiles)):  # kind of argument: only these have a pattern
            raise TypeError(f"{type(self.method).__name__} gives no sparse kernel; choose a sparse method")
        if near.units != SOFTMAX:
            raise ValueError(f"the mean dropped score belongs to exp(scores), and the pieces hold {near.units}")
        xp = array_namespace(problem.q)
        dropped = Complement(near.kernel)  # ones at the dropped places
        count = problem.n_k - near.kernel.kept_per_row()
        shift = _mean_dropped_score(problem, dropped, count)
        # in units of exp(mean dropped score) every dropped key has weight one
        far = replace(near, kernel=Product(Diagonal(xp.ones_like(shift)), dropped), shift=shift)
        sums = dropped @ near.values
        shape = (*problem.batch, problem.n_q)
        return near + far.holding(xp.broadcast_to(sums, (*shape, sums.shape[-1])), xp.broadcast_to(count, shape))

    def cost(self, problem: AttentionProblem) -> Cost:
        """Return the cost of the sparse method, sums of dropped keys and values, and inner products with the former."""
        inner = self.method.cost(problem)
        h, n_q, n_k, d, e = problem.heads, problem.n_q, problem.n_k, problem.width, problem.value_width
        held = 0.0
        if isinstance(self.method, SlidingWindow):
            # one sum for each block, added to its rows, and what rows of a block drop of their window
            ends = self.method.entries(problem) - n_q * min(self.method.width + self.method.sinks, n_k)
            sums = float((n_k + 2 * n_q) * (d + e) + max(0, ends))
        else:  # queries have keys of their own
            sums = float(outside_flops(n_q, n_k, min(self.method.budget or n_k, n_k)) * (d + e) + 2 * n_q * d)
            held = h * n_q * 2.0 * e
        far = Cost(h * sums, float(h * (2 * n_q + n_k) * (d + e)), held, 0.0)
        return inner + far


def _mean_dropped_score(problem: AttentionProblem, dropped: Complement, count: Array) -> Array:
    """Return the mean score over the dropped keys of every row, (..., G, R, n_q); minus infinity for none."""
    xp = array_namespace(problem.q)
    # the mean of scores is the score of the mean key; queries are divided, since their products with sums may overflow
    queries = problem.scaled_queries / xp.maximum(count, xp.ones_like(count))[..., None]
    return xp.where(count > 0, dropped.inner_products(queries, problem.keys), -float("inf"))
