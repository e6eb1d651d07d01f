"""The control of lowest cost: every query gets the mean of its admissible values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Rng, array_namespace, device
from tnattn.attention import masks
from tnattn.attention.approximation import Approximation
from tnattn.attention.cost import Cost
from tnattn.attention.method import JointMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.spans import admissible_span
from tnattn.attention.window_sums import window_sums
from tnattn.structured import Dense, Diagonal


@dataclass(frozen=True)
class MeanValue(JointMethod):
    """The mean of the admissible values: attention whose scores are all zero.

    Notes
    -----
    O(n_k d_v) without a mask: one column of mass n_k. Under a positional mask every query has a sum of its own over
    its admissible keys: O((n_q + n_k) d_v) where all windows begin at the first key, with a factor log n_k otherwise.
    Its mass is the number of keys, the row sum of exp(0).

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, CausalMask, MeanValue
    >>> q, k = np.random.default_rng(0).standard_normal((2, 1, 4, 2))
    >>> problem = AttentionProblem(q, k, np.arange(4.0)[None, :, None], mask=CausalMask())
    >>> MeanValue()(problem).output[0, :, 0].tolist()  # running means of 0, 1, 2, 3
    [0.0, 0.5, 1.0, 1.5]
    """

    masks: ClassVar[tuple[type[masks.Mask], ...]] = (
        masks.FullMask,
        masks.CausalMask,
        masks.SlidingWindowMask,
        masks.PaddingMask,
    )
    waives: ClassVar[dict[str, str]] = {
        "P3": "neither queries nor keys are read",
        "P7": "there is no temperature",
        "P8": "there is no budget",
    }
    guarantee: ClassVar[str] = "exact where all scores of a row are equal"
    source: ClassVar[str] = "control"
    role: ClassVar = "control"
    caption: ClassVar[str] = "mean(V), free"

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        xp = array_namespace(problem.q)
        if not problem.mask.conjuncts or all(isinstance(part, masks.FullMask) for part in problem.mask.conjuncts):
            # one column for all keys: exp(0) times their number and times the sum of their values
            one = xp.ones((*problem.batch, problem.n_q, 1), dtype=problem.q.dtype, device=device(problem.q))
            return Approximation(
                kernel=Dense(one),
                shift=xp.zeros_like(one[..., 0]),
                values=xp.sum(problem.values, axis=-2, keepdims=True),
                mass=xp.full_like(problem.values[..., :1, 0], float(problem.n_k)),
                expand=Dense(xp.ones((1, problem.n_k), dtype=problem.q.dtype, device=device(problem.q))),
            )
        return _running(problem)

    def cost(self, problem: AttentionProblem) -> Cost:
        """G n_k d_v additions and one division per output; windows that move add by doubling."""
        e, g, h = problem.value_width, problem.groups, problem.heads
        sums = float(g * problem.n_k * e)
        if any(isinstance(part, masks.SlidingWindowMask) for part in problem.mask.conjuncts):
            # doubled sums, and one look-up per binary digit
            sums = 2.0 * g * problem.n_k * e * max(1, problem.n_k.bit_length())
        # without a mask the sums of all keys are one column of a product
        column = 2 * (e + 1) if all(isinstance(part, masks.FullMask) for part in problem.mask.conjuncts) else 0
        applied = float(h * problem.n_q * (e + column))
        return Cost(
            flops=sums + applied,
            scalars_moved=float(g * problem.n_k * e) + applied,
            peak_scalars=float(g * e),
            state_per_token=0.0,
        )


def _running(problem: AttentionProblem) -> Approximation:
    """Return one column per query, which holds the sum of its admissible values."""
    xp = array_namespace(problem.q)
    first, stop = admissible_span(problem)
    stop = xp.maximum(stop, first)  # a query without keys has an empty window
    # causal and padding masks leave windows from the first key on, whose sums are running sums
    begin = first if any(isinstance(part, masks.SlidingWindowMask) for part in problem.mask.conjuncts) else None
    sums = window_sums(problem.values, begin, stop, dtype=problem.q.dtype)
    counts = xp.broadcast_to(xp.astype(stop - first, problem.q.dtype), sums.shape[:-1])
    one = xp.ones((*problem.batch, problem.n_q), dtype=problem.q.dtype, device=device(problem.q))
    # queries that share a key head have the same products with the unit diagonal
    products = xp.broadcast_to(sums, (*one.shape, sums.shape[-1])), xp.broadcast_to(counts, one.shape)
    return Approximation(
        kernel=Diagonal(one),  # query i reads column i, its own window
        shift=xp.where(xp.broadcast_to(counts, one.shape) > 0, xp.zeros_like(one), -float("inf")),
        values=sums,
        mass=counts,
    ).holding(*products)
