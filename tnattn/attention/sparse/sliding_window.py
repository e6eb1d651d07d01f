"""Sliding-window attention with sinks: the neighbours of every query and the first keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Array, Rng, array_namespace, clipped, device
from tnattn.attention import masks
from tnattn.attention.approximation import Approximation
from tnattn.attention.cost import Cost, admissible_pairs, exact_cost
from tnattn.attention.method import JointMethod, budget
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.spans import admissible_span
from tnattn.attention.sparse.support import kept_blocks
from tnattn.structured.block_sparse import band_pattern

_BLOCK = (16, 64)  # least and most queries of a block, which share the union of their windows


@dataclass(frozen=True)
class SlidingWindow(JointMethod):
    """Softmax over the nearest ``width`` keys of every query and the first ``sinks`` keys of the sequence.

    Without a mask the window is centred at the query; a positional mask moves it among the admissible keys, so that a
    causal window ends at the query. At the ends of the sequence it is moved inwards, not cut. All other keys have
    weight zero.

    Parameters
    ----------
    width : int
        Keys in the window, at least one; more than there are means all.
    sinks : int
        First keys that every query keeps besides; the window starts behind them.

    Notes
    -----
    O(n (width + sinks) (d + d_v)) operations, O(n (width + sinks)) memory: blocks of at most 64 queries share the union
    of their windows, so that scores and outputs are matrix products.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, SlidingWindow
    >>> rng = np.random.default_rng(0)
    >>> x = np.cumsum(rng.standard_normal((1, 128, 4)), axis=-2) / 2  # neighbouring tokens are alike
    >>> problem = AttentionProblem(x, x, x)
    >>> outputs = [SlidingWindow(width=w)(problem).output for w in (8, 32, 128)]
    >>> [round(float(np.linalg.norm(x - problem.output) / np.linalg.norm(problem.output)), 2) for x in outputs]
    [0.5, 0.42, 0.0]
    """

    width: int = budget(64)
    sinks: int = 0

    masks: ClassVar[tuple[type[masks.Mask], ...]] = (
        masks.FullMask,
        masks.CausalMask,
        masks.SlidingWindowMask,
        masks.PaddingMask,
        masks.ExplicitMask,
        masks.BiasMask,
    )
    waives: ClassVar[dict[str, str]] = {
        "P11": "which keys are kept depends on their positions, so permuting keys changes the output"
    }
    guarantee: ClassVar[str] = "error <= dropped mass times diameter of the values"
    source: ClassVar[str] = "Beltagy, Peters & Cohan 2020 (Longformer); sinks: Xiao et al. 2024 (StreamingLLM)"
    role: ClassVar = "control"
    caption: ClassVar[str] = "window only"

    def __post_init__(self) -> None:
        for name, least in (("width", 1), ("sinks", 0)):
            value = getattr(self, name)
            if value < least:
                raise ValueError(f"{name} must be an integer >= {least}; got {value!r}")

    def _kept(self, problem: AttentionProblem) -> tuple[int, int]:
        """Return the numbers of sinks and of window keys in a problem."""
        sinks = min(self.sinks, problem.n_k)
        return sinks, min(self.width, problem.n_k - sinks)

    def _starts(self, problem: AttentionProblem) -> Array:
        """Return the first key of the window of every query, (..., n_q), which moves by at most one per query."""
        xp = array_namespace(problem.q)
        sinks, width = self._kept(problem)
        first, stop = admissible_span(problem)
        position = xp.arange(problem.n_q, dtype=xp.int64, device=device(problem.q)) + (problem.n_k - problem.n_q)
        # centred, then below the end of the admissible keys, then above their beginning
        start = xp.maximum(xp.minimum(position - width // 2, stop - width), first)
        return clipped(start, sinks, problem.n_k - width)

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        sinks, width = self._kept(problem)
        start = self._starts(problem)
        # blocks about as long as the window, so that the union of their windows is about twice as wide
        size = min(problem.n_q, max(_BLOCK[0], min(width, _BLOCK[1])))
        indices, kept = band_pattern(start, start + width, size=size, reach=width, columns=problem.n_k, fixed=sinks)
        return kept_blocks(problem, indices, kept, size=size)

    def cost(self, problem: AttentionProblem) -> Cost:
        """Return the cost of 2 H pairs (d + d_v + 1) operations, for the pairs that are kept and admissible."""
        kept, h = sum(self._kept(problem)), problem.heads
        pairs = admissible_pairs(problem, most=kept)
        d, e = problem.width, problem.value_width
        exact = exact_cost(problem)
        return Cost(
            flops=2.0 * h * pairs * (d + e + 1),
            scalars_moved=exact.scalars_moved + 2.0 * h * pairs,
            peak_scalars=float(h * problem.n_q * kept),
            state_per_token=exact.state_per_token * kept / problem.n_k,  # a cache drops what has left the window
        )
