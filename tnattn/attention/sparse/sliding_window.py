"""Sliding-window attention with sinks: the neighbours of every query and the first keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Array, Rng, array_namespace, clipped, device
from tnattn.attention import masks
from tnattn.attention.approximation import Approximation
from tnattn.attention.band_kernel import band_piece, key_band
from tnattn.attention.cost import Cost, exact_cost
from tnattn.attention.method import JointMethod, budget
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.spans import admissible_span
from tnattn.structured.band import Band, band_entries

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
    O(n (width + sinks) (d + d_v)) operations, memory for the result: blocks of at most 64 queries share the union of
    their windows, so that scores and outputs are matrix products, tile by tile. Keys are read where they lie.

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

    def _size(self, problem: AttentionProblem) -> int:
        """Return the queries of a block: as many as keys in the window, so that their union is about twice as wide."""
        return min(problem.n_q, max(_BLOCK[0], min(self._kept(problem)[1], _BLOCK[1])))

    def band(self, problem: AttentionProblem) -> Band:
        """Return the pattern of kept keys."""
        sinks, width = self._kept(problem)
        start = self._starts(problem)
        return key_band(problem, start, start + width, size=self._size(problem), reach=width, fixed=sinks)

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        return band_piece(problem, self.band(problem))

    def entries(self, problem: AttentionProblem) -> int:
        """Return the number of scores of a head that are evaluated, those of keys outside the windows included."""
        sinks, width = self._kept(problem)
        size = self._size(problem)
        return band_entries(problem.n_q, problem.n_k, size=size, reach=width, fixed=sinks)

    def cost(self, problem: AttentionProblem) -> Cost:
        """Return the cost of 2 H (d + d_v + 1) operations for every score of a tile, whatever the mask."""
        entries, h = self.entries(problem), problem.heads
        d, e = problem.width, problem.value_width
        exact, size = exact_cost(problem), self._size(problem)
        return Cost(
            flops=2.0 * h * entries * (d + e + 1),
            scalars_moved=exact.scalars_moved + h * entries * (d + e) / size,  # every block reads its keys and values
            peak_scalars=float(h * problem.n_q * (e + 2) + entries * size / problem.n_q),
            state_per_token=exact.state_per_token * sum(self._kept(problem)) / problem.n_k,  # a cache drops other keys
        )
