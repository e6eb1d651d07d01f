"""A sparse method, and the mean of what it dropped with its share of the mass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from tnattn.arrays import Array, Rng, array_namespace, device
from tnattn.attention.approximation import SOFTMAX, Approximation
from tnattn.attention.cost import Cost
from tnattn.attention.method import AttentionMethod, JointMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse.sliding_window import SlidingWindow
from tnattn.structured import BlockSparse, Columns, Dense, Rows, Selection, Sparse


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
    The dropped part of the kernel is c_i times a matrix of ones without the kept places: one column more than the
    sparse kernel has. The mean score comes from the sum of all keys minus the kept scores. By Jensen's inequality the
    dropped mass is at least its estimate, and at most exp(R^2 / 8) times it when the dropped scores of the row span R;
    exact where they are equal. O(n_k (d + d_v)) beyond the sparse method, and its kept scores a second time.
    """

    method: AttentionMethod = field(default_factory=SlidingWindow)

    waives: ClassVar[dict[str, str]] = {"P11": "holds only if it holds for the sparse method inside"}
    guarantee: ClassVar[str] = "dropped mass within a factor exp(R^2 / 8), R the range of dropped scores"
    source: ClassVar[str] = "Jensen's inequality, Hoeffding's lemma"

    def __post_init__(self) -> None:
        if not isinstance(self.method, AttentionMethod):
            raise TypeError(f"method must be an attention method; got {self.method!r}")

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        near = self.method(problem, rng=rng)
        if not isinstance(near.kernel, (Sparse, BlockSparse)):
            raise TypeError(f"{type(self.method).__name__} gives no sparse kernel; choose a sparse method")
        if near.units != SOFTMAX:
            raise ValueError(f"the mean dropped score belongs to exp(scores), and the pieces hold {near.units}")
        xp = array_namespace(problem.q)
        mean, some = _mean_dropped_score(problem, near.kernel)
        shift = xp.where(some, xp.maximum(near.shift, mean), near.shift)
        level = xp.where(some, xp.exp(mean - shift), xp.zeros_like(shift))[..., None]  # (..., G, R, n_q, 1)
        factor = near.kernel.per_row(xp.exp(near.shift - shift))
        corrected = near.kernel.values * factor - near.kernel.per_row(level[..., 0])
        one = xp.ones((1, problem.n_k), dtype=problem.q.dtype, device=device(problem.q))
        every = xp.arange(problem.n_k, dtype=xp.int64, device=device(problem.q))
        total = xp.sum(problem.values, axis=-2, keepdims=True)
        mass = xp.ones_like(problem.values[..., 0])
        return Approximation(
            kernel=Columns((near.kernel.with_values(corrected), Dense(level))),
            shift=shift,
            values=xp.concat([problem.values, total], axis=-2),
            mass=xp.concat([mass, xp.full_like(mass[..., :1], float(problem.n_k))], axis=-1),
            expand=Rows((Selection(every, problem.n_k, problem.q), Dense(one))),
        )

    def cost(self, problem: AttentionProblem) -> Cost:
        """The sparse method, sums of keys and values, and the kept scores once more (at most the method's cost)."""
        inner = self.method.cost(problem)
        n_q, n_k, d, e = problem.n_q, problem.n_k, problem.width, problem.value_width
        sums = float(problem.groups * n_k * (d + e) + 2 * problem.heads * n_q * (d + e + 1))
        again = inner.flops * d / (d + e + 1)
        return inner + Cost(sums + again, float(problem.groups * n_k * (d + e)), inner.peak_scalars, 0.0)


def _mean_dropped_score(problem: AttentionProblem, kernel: Sparse | BlockSparse) -> tuple[Array, Array]:
    """Mean score over the keys that a row does not keep, (..., G, R, n_q), and whether there are any."""
    xp = array_namespace(problem.q)
    dropped = problem.n_k - kernel.kept_per_row()
    # keys are taken around their mean, which gives the same scores and cancels less
    centre = xp.mean(problem.keys, axis=-2, keepdims=True)
    centred = problem.keys - centre
    queries = problem.scaled_queries
    total = (queries @ xp.sum(centred, axis=-2, keepdims=True).mT)[..., 0]
    rest = total - kernel.row_sums(kernel.sampled(queries, centred))
    mean = (queries @ centre.mT)[..., 0] + rest / xp.maximum(dropped, xp.ones_like(dropped))
    return mean, xp.broadcast_to(dropped > 0, mean.shape)
