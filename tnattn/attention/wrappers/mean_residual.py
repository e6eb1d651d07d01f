"""Sparse attention plus the mean of the dropped keys and values, with its estimated share of the mass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tnattn.arrays import Array, Rng, array_namespace, device
from tnattn.attention.approximation import SOFTMAX, Approximation
from tnattn.attention.cost import Cost
from tnattn.attention.method import AttentionMethod, JointMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse.sliding_window import SlidingWindow
from tnattn.device_budget import DeviceBudget, DeviceCounts
from tnattn.structured import BlockSparse, Complement, Diagonal, Product, Selection, Sparse


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
    method O(n_k (d + d_v)), its tiles once more, and for a pattern of w keys that each query has to itself
    O(n_q w (d + d_v) log(n_k / w)).

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
        near = self.method(problem, rng=rng)
        if not isinstance(near.kernel, (Sparse, BlockSparse)):  # kind of argument: only these have a pattern
            raise TypeError(f"{type(self.method).__name__} gives no sparse kernel; choose a sparse method")
        if near.units != SOFTMAX:
            raise ValueError(f"the mean dropped score belongs to exp(scores), and the pieces hold {near.units}")
        xp = array_namespace(problem.q)
        dropped = Complement(near.kernel)  # ones at the dropped places
        shift = _mean_dropped_score(problem, near.kernel, dropped)
        every = xp.arange(problem.n_k, dtype=xp.int64, device=device(problem.q))
        far = Approximation(
            # in units of exp(mean dropped score) every dropped key has weight one
            kernel=Product(Diagonal(xp.ones_like(shift)), dropped),
            shift=shift,
            values=problem.values,
            expand=Selection(every, problem.n_k, problem.q),
        )
        return near + far

    def cost(self, problem: AttentionProblem) -> Cost:
        """Return the cost of the sparse method, pairwise sums of keys and values, and the sparse products once more.

        A block of queries is taken to share its keys; see Notes for queries with keys of their own.
        """
        inner = self.method.cost(problem)
        n_q, n_k, d, e = problem.n_q, problem.n_k, problem.width, problem.value_width
        sums = float(problem.groups * n_k * (d + e) + 2 * problem.heads * n_q * (d + e + 1))
        again = inner.flops * (d + e) / (d + e + 1)
        return inner + Cost(sums + again, float(problem.groups * n_k * (d + e)), inner.peak_scalars, 0.0)


def _mean_dropped_score(problem: AttentionProblem, kernel: Sparse | BlockSparse, dropped: Complement) -> Array:
    """Return the mean score over the dropped keys of every row, (..., G, R, n_q); minus infinity for none."""
    xp = array_namespace(problem.q)
    queries = problem.scaled_queries
    count = problem.n_k - kernel.kept_per_row()
    mean_key = (dropped @ problem.keys) / xp.maximum(count, xp.ones_like(count))[..., None]
    # the mean of scores is the score of the mean key
    mean = xp.vecdot(queries, xp.broadcast_to(mean_key, queries.shape))
    return xp.where(count > 0, mean, -float("inf"))
