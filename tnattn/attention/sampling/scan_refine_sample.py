"""Attention with a certificate for every row: a scan of low precision, exact large scores, and a bounded tail."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Rng, array_namespace, device, parallel_map, quiet_overflow, require_rng, uniform
from tnattn.attention import masks
from tnattn.attention.broadcasting import concat_broadcast
from tnattn.attention.certified import CertifiedApproximation
from tnattn.attention.cost import Cost, exact_cost
from tnattn.attention.method import JointMethod, budget
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampled_tail import level_of
from tnattn.attention.sampling.covering_ball import covering_balls, covering_flops
from tnattn.attention.sampling.refined_tile import Refinement, joined_tiles
from tnattn.attention.sampling.rounded_keys import RoundedKeys
from tnattn.attention.score_tiles import ScoreTiles
from tnattn.device_budget import DeviceBudget, DeviceCounts
from tnattn.linalg.scaling import binary_scale
from tnattn.structured import Rows, Selection, Sparse

_SCORES = 1 << 18  # scanned scores held at a time, in about ten arrays: 1 MB of float32 each
_GATHERED = 1 << 21  # entries of gathered keys and values held at a time
_PASSES = 9.0  # over the scanned scores, entry by entry: errors, bounds, exponentials and their sums


@dataclass(frozen=True)
class ScanRefineSample(JointMethod):
    """The keys of largest scores exactly, as found by a scan of 8-bit keys, and a bound on what the others can change.

    All scores are computed from rounded keys, with an upper bound on each error. The ``keys`` keys of every query whose
    scores may be largest are computed exactly, and the others bound the rest of the mass: the output moves by the
    largest share of it towards a centre of the values, and its error is at most that share times the radius (sure).
    Where it promises a smaller bound, the last ``samples`` of these keys are drawn from the others instead, in
    proportion to their scanned weights, and an empirical Bernstein bound holds with probability. The smaller bound of
    the two is returned with its output, row by row, as ``bounds`` of the result.

    Parameters
    ----------
    keys : int
        Exact keys of every query, refined and drawn, at least one.
    samples : int, optional
        How many of them may be drawn, less than ``keys``; half of them by default, none with 0.
    bits : int
        Of every entry of the rounded keys, from 2 to 8, with one step for each key. With 4 bits hardly any head is
        certified.
    failure : float
        Probability, in (0, 1), that any of the bounds of one entry of the batch is wrong.
    attempt : int
        t = 1, 2, ...: the levels of all draws of one problem add up to the failure, so that the best of several may be
        kept; the t-th costs ln(t (t + 1)), the first included.

    Notes
    -----
    2 n_q n_k d operations for the scan, on keys of ``bits`` bits, and O(n_q keys (d + d_v)) for exact keys; O(n_q keys)
    memory. Codes are whole numbers that are exact as floating numbers; products with the queries are computed in the
    dtype of the problem, whose rounding the bounds include. No bound on every row costs less than a scan in general.

    A bound follows from scores alone, so that peaked rows are certified with few keys and diffuse ones hardly at all; a
    sample needs some hundred draws before it promises more than the sure bound. The mass of a piece lies between that
    of its exact keys and the exact mass times ``1 / (1 - share)``: where the sure bound is smaller, the estimate is the
    upper end. Under a mask the centre of a query depends on no key that it does not see.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, ScanRefineSample
    >>> rng = np.random.default_rng(0)
    >>> problem = AttentionProblem(*rng.standard_normal((3, 1, 256, 8)), scale=1.0)
    >>> for keys in (16, 64, 256):
    ...     result = ScanRefineSample(keys=keys)(problem, rng=rng)
    ...     errors = np.linalg.norm(result.output - problem.output, axis=-1)
    ...     print(keys, np.median(errors).round(3), np.median(result.bounds).round(2))
    16 0.185 0.82
    64 0.033 0.14
    256 0.0 0.0
    """

    # a confidence bound takes 30 bisections of a dozen operations, twice; the centre of the values 16 steps
    device_budget: ClassVar = DeviceBudget(DeviceCounts(1500, waits=14, copies=4))

    keys: int = budget(64)
    samples: int | None = None
    bits: int = 8
    failure: float = 1e-3
    attempt: int = 1

    masks: ClassVar[tuple[type[masks.Mask], ...]] = (
        masks.FullMask,
        masks.CausalMask,
        masks.SlidingWindowMask,
        masks.PaddingMask,
        masks.ExplicitMask,
        masks.BiasMask,
    )
    waives: ClassVar[dict[str, str]] = {
        "fields.samples": "a sample below some hundred keys promises less than the sure bound, and is not drawn",
        "fields.failure": "it changes the bounds, and the output only where they decide on a sample",
        "fields.attempt": "it changes the bounds, and the output only where they decide on a sample",
    }
    guarantee: ClassVar[str] = "every row, surely or with probability 1 - failure; bounds with the result"
    source: ClassVar[str] = "Bousquet 2002, Theorem 2.3; Hoeffding 1963, Theorems 1 and 2"

    def __post_init__(self) -> None:
        for name in ("keys", "attempt"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be an integer >= 1; got {getattr(self, name)!r}")
        if self.samples is not None and self.samples < 0:
            raise ValueError(f"samples must be a non-negative integer or None; got {self.samples!r}")
        if not 2 <= self.bits <= 8:
            raise ValueError(f"bits must be an integer from 2 to 8; got {self.bits!r}")
        if not 0 < self.failure < 1:
            raise ValueError(f"failure must be a probability in (0, 1); got {self.failure!r}")

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> CertifiedApproximation:
        xp, rng = array_namespace(problem.q), require_rng(rng, "ScanRefineSample")
        unit = binary_scale(problem.values, axis=(-2, -1))  # exact, and no square overflows
        values = problem.values / unit
        keys = RoundedKeys.of(problem, self.bits)
        refined, drawn = self._counts(problem)
        draws = uniform(rng, (*problem.batch, problem.n_q, drawn), like=values) if drawn else None
        level = level_of(self.failure, rows=problem.heads * problem.n_q, look=self.attempt)
        refinement = Refinement.of(keys, covering_balls(problem, values), values, refined, draws, level)
        with quiet_overflow():  # bad rows are counted, and bounds that are not finite say nothing
            parts = parallel_map(refinement.tile, self._tiles(problem), like=problem.q)
        tile = joined_tiles(parts)
        balls = refinement.balls
        centres = concat_broadcast([problem.values, balls.centres * unit], axis=-2)
        every = xp.arange(problem.n_k, dtype=xp.int64, device=device(values))
        share = xp.broadcast_to(balls.share, balls.points.shape)
        unit = unit[..., 0]
        return CertifiedApproximation(
            kernel=Sparse(tile.weights, tile.indices, problem.n_k + balls.centres.shape[-2]),
            shift=tile.shift + keys.offset,
            values=centres,
            expand=Rows((Selection(every, problem.n_k, problem.q), Sparse(share, balls.points, problem.n_k))),
            bounds=problem.ungroup((tile.bounds * unit)[..., None])[..., 0],
            failure=self.failure if drawn else 0.0,
        ).holding(tile.numerators * unit[..., None], tile.denominators)

    def _counts(self, problem: AttentionProblem) -> tuple[int, int]:
        """Return h, the keys that are always refined, and m, those that may be drawn instead."""
        if self.keys >= problem.n_k:  # no tail is left
            return problem.n_k, 0
        drawn = min(self.keys // 2 if self.samples is None else self.samples, self.keys - 1)
        return self.keys - drawn, drawn

    def _tiles(self, problem: AttentionProblem) -> list[tuple[slice, slice]]:
        """Return blocks of queries, with the range of keys that the mask leaves each, at least ``keys`` of them."""
        exact, heads = min(self.keys, problem.n_k), math.prod(problem.batch)
        width = exact * (problem.width + problem.value_width)
        step = max(1, min(_SCORES // (problem.n_k * heads), _GATHERED // (width * heads)))
        plan, found = ScoreTiles(problem), []
        for start in range(0, problem.n_q, step):
            rows = slice(start, min(start + step, problem.n_q))
            chunks = plan.chunks(rows)
            stop = max(chunks[-1].stop, exact)
            found.append((rows, slice(min(chunks[0].start, stop - exact), stop)))
        return found

    def cost(self, problem: AttentionProblem) -> Cost:
        """Return the cost of the scan, its passes entry by entry, of the exact keys and of the centres of the values.

        Operations of the scan count in full, whatever the precision of the keys, which are moved with few bits.
        """
        h, d, e = problem.heads, problem.width, problem.value_width
        pairs = sum((r.stop - r.start) * (c.stop - c.start) for r, c in self._tiles(problem))
        exact, whole = min(self.keys, problem.n_k), exact_cost(problem)
        codes = self.bits / 32 * problem.groups * problem.n_k * d
        return Cost(
            flops=h * (pairs * (2.0 * d + _PASSES) + 2.0 * problem.n_q * exact * (d + e + 1)) + covering_flops(problem),
            scalars_moved=whole.scalars_moved + codes + 4.0 * h * problem.n_q * exact,
            peak_scalars=float(h * problem.n_q * (2 * exact + e)),
            state_per_token=whole.state_per_token + self.bits / 32 * problem.groups * d,
        )
