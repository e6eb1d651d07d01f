"""Keys chosen by scores that few bits of every key estimate: transform-coded keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from tnattn.arrays import Array, Rng, array_namespace, device
from tnattn.attention import masks
from tnattn.attention.approximation import Approximation
from tnattn.attention.cost import Cost, admissible_pairs, exact_cost
from tnattn.attention.method import JointMethod, budget
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse.estimated_scores import EstimatedScores, score_tiles, unpadded
from tnattn.attention.sparse.key_choice import KeyChoice
from tnattn.attention.sparse.key_code import KeyCode
from tnattn.attention.sparse.key_statistics import CodeSource, KeyStatistics, code_rank, second_moments
from tnattn.attention.sparse.row_segments import Segment, positions_ahead, row_segments, seen_keys
from tnattn.attention.sparse.support import attention_to
from tnattn.device_budget import DeviceBudget, DeviceCounts


@dataclass(frozen=True)
class CodedKeySelection(JointMethod):
    """Softmax over the keys whose scores are largest as a transform code of few bits per key estimates them.

    Keys are rotated and truncated so that a given number of bits makes the mean square error of the scores least,
    every coordinate is rounded to its nearest Lloyd-Max level, and queries are scored against these codes. Attention
    to the kept keys is exact, and normalised over them.

    Parameters
    ----------
    keys : int
        Kept keys per query; more than there are means all, exactly. At least the keys that ``run`` and ``block`` force.
    bits : int
        Per key and key head. 32 serve 2048 tokens of text; long contexts and verbatim copies want 64.
    sinks : int
        First keys that are always kept, and left out of the statistics; at most half of the kept ones.
    run : int
        Keys are kept in runs of so many neighbours, by the log-sum-exp of their estimates: 8 and 16 gather larger
        pieces of memory.
    block : int
        So many consecutive queries share a choice, by the sum of their estimated weights.
    per_group : bool
        The heads of a key group share a choice, by the mean of their estimated weights: keys are gathered once.
    statistics : KeyStatistics, optional
        Of another text, or of a part of this one. By default those of the problem; under masks that read positions
        those of its prefixes, so that no output depends on what its query may not see.
    leaks_queries : bool
        Admit ``block > 1`` under masks that read positions: the first queries of a block then depend on the last.

    Notes
    -----
    O(n d^2) operations for statistics, 2 d r per key for its code, 2 r for every pair, with r = 5/8 bits, and those of
    exact attention to the kept keys; what is read for the choice is ``bits`` per key. Under causal and window masks
    the statistics are renewed whenever the sequence is 4/3 as long as before, and the first ``keys`` rows are exact.
    Under them the query's own key is kept, too. Statistics do not look into explicit masks and biases: a causal rule
    that is given as one does not protect them.

    Reverse water filling: Cover & Thomas 2006, Theorem 10.3.3; levels: Max 1960; choice among approximate scores:
    Ribar et al. 2024 (SparQ), Singhania et al. 2024 (Loki). Deviations: the transform is that of Q K^T, not of K.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, CodedKeySelection, TopK
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 2, 256, 32)) * 0.8 ** np.arange(32)
    >>> problem = AttentionProblem(q, k, v, scale=2.0)
    >>> methods = [CodedKeySelection(keys=32, bits=8), CodedKeySelection(keys=32), TopK(keys=32)]
    >>> errors = [np.linalg.norm(method(problem).output - problem.output) for method in methods]
    >>> [round(float(error / np.linalg.norm(problem.output)), 3) for error in errors]
    [0.332, 0.23, 0.21]
    """

    device_budget: ClassVar = DeviceBudget(
        DeviceCounts(60, waits=4, copies=4),
        {"segment": DeviceCounts(190, waits=2, copies=6), "tile": DeviceCounts(40, waits=1)},
    )

    keys: int = budget(64)
    bits: int = 32
    sinks: int = 4
    run: int = 1
    block: int = 1
    per_group: bool = False
    statistics: CodeSource | None = None
    leaks_queries: bool = False

    masks: ClassVar[tuple[type[masks.Mask], ...]] = (
        masks.FullMask,
        masks.CausalMask,
        masks.SlidingWindowMask,
        masks.PaddingMask,
        masks.ExplicitMask,
        masks.BiasMask,
    )
    waives: ClassVar[dict[str, str]] = {
        "P11": "the first keys are kept whatever they are, and left out of the statistics",
        "fields.statistics": "statistics of another problem have no default; they are tested by themselves",
        "fields.leaks_queries": "a permission: it changes what is accepted, not the output",
    }
    guarantee: ClassVar[str] = "error <= dropped mass times diameter of the values"
    source: ClassVar[str] = "reverse water filling (Cover & Thomas 2006, Theorem 10.3.3) of the SVD of Q K^T; Max 1960"
    caption: ClassVar[str] = "coded keys"

    def __post_init__(self) -> None:
        for name, least in (("keys", 1), ("bits", 1), ("sinks", 0), ("run", 1), ("block", 1)):
            value = getattr(self, name)
            if value < least:
                raise ValueError(f"{name} must be an integer >= {least}; got {value!r}")
        if self.statistics is not None and not isinstance(self.statistics, CodeSource):
            raise TypeError(
                f"statistics must be KeyStatistics or None; got {type(self.statistics).__name__}; "
                "KeyStatistics.of(problem) makes them"
            )
        if self.keys < self._own * self.run:
            raise ValueError(
                f"keys={self.keys} cannot hold the {self._own * self.run} own keys of {self.block} queries in runs of "
                f"{self.run}; raise keys, or reduce run or block"
            )

    @property
    def _own(self) -> int:
        """Most runs that the own keys of a block of queries touch."""
        return 1 if self.block == 1 else (self.block - 2) // self.run + 2

    def calibrated(self, problem: AttentionProblem) -> Self:
        """Return the method with the statistics of a problem, whatever it is applied to; see ``KeyStatistics.of``."""
        return replace(self, statistics=KeyStatistics.of(problem, sinks=self.sinks))

    def choice(self, problem: AttentionProblem) -> KeyChoice:
        """Return the rule by which keys of a problem are kept."""
        every = -(-problem.n_k // self.run)
        count = every if self.keys >= problem.n_k else min(self.keys // self.run, every)
        aligned = positions_ahead(problem) is not None
        runs = min(count // 2, count - self._own) if aligned else count // 2
        return KeyChoice(
            count=count,
            run=self.run,
            block=self.block,
            per_group=self.per_group,
            sinks=min(self.sinks, self.run * max(0, runs)),
            offset=problem.n_k - problem.n_q if aligned else None,
        )

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        xp = array_namespace(problem.q)
        if self.block > 1 and not self.leaks_queries and positions_ahead(problem) is not None:
            raise ValueError(
                f"block={self.block} lets the first queries of a block depend on later ones, which the mask "
                f"{problem.mask} hides; use block=1, or accept it with leaks_queries=True"
            )
        if self.statistics is not None:
            self.statistics.require_fit(problem)
        choice = self.choice(problem)
        indices = xp.concat([self._kept(problem, segment, choice) for segment in self._segments(problem)], axis=-2)
        return attention_to(problem, indices, complete=not choice.shared)

    def _segments(self, problem: AttentionProblem) -> list[Segment]:
        choice, own = self.choice(problem), self.statistics is None
        return list(row_segments(problem, width=choice.count * self.run, block=self.block, renewed=own))

    def _kept(self, problem: AttentionProblem, segment: Segment, choice: KeyChoice) -> Array:
        """Return the kept keys of the queries of a segment, (..., G, R or 1, rows, w)."""
        xp, place = array_namespace(problem.q), device(problem.q)
        width, rows = choice.count * choice.run, segment.stop - segment.start
        heads = (*problem.batch[:-1], 1 if self.per_group else problem.batch[-1])
        if segment.exact:  # no query sees a key behind these
            return xp.broadcast_to(xp.arange(width, dtype=xp.int64, device=place), (*heads, rows, width))
        estimates = EstimatedScores.of(problem, self._code(problem, segment), segment.start, segment.stop)
        chosen = estimates.chosen(choice, self._tiles(problem, segment))
        if self.block == 1:
            return chosen
        repeated = xp.broadcast_to(chosen[..., None, :], (*chosen.shape[:-1], self.block, width))
        return xp.reshape(repeated, (*heads, chosen.shape[-2] * self.block, width))[..., :rows, :]

    def _tiles(self, problem: AttentionProblem, segment: Segment) -> list[slice]:
        return score_tiles(problem, segment.start, segment.stop, block=self.block)

    def _code(self, problem: AttentionProblem, segment: Segment) -> KeyCode:
        """Return the code of the given statistics, or of the queries and keys that a segment may depend on."""
        if self.statistics is not None:
            return self.statistics.code(self.bits, like=problem.k)
        queries_seen, keys_seen = unpadded(problem)
        own = second_moments(
            problem.queries[..., : segment.queries, :],
            problem.keys[..., : segment.keys, :],
            sinks=self.sinks,
            queries_seen=None if queries_seen is None else queries_seen[..., : segment.queries],
            keys_seen=None if keys_seen is None else keys_seen[..., : segment.keys],
            isotropic=0.0 if positions_ahead(problem) is None else 1.0,  # the first segments know few queries
        )
        return own.code(self.bits)

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        segments = self._segments(target)
        return {"segment": len(segments), "tile": sum(len(self._tiles(target, segment)) for segment in segments)}

    def cost(self, problem: AttentionProblem) -> Cost:
        """Return the cost of statistics, codes and estimates, and of exact attention to the kept keys."""
        g, h, d, e = problem.groups, problem.heads, problem.width, problem.value_width
        r, choice = code_rank(self.bits, d), self.choice(problem)
        width = choice.count * self.run
        flops = read = 0.0
        for segment in self._segments(problem):
            if segment.exact:
                continue
            tiles, last = self._tiles(problem, segment), seen_keys(problem, segment.stop - 1)
            pairs = sum((part.stop - part.start) * seen_keys(problem, part.stop - 1) for part in tiles)
            if self.statistics is None:
                # products, entry by entry: centring, and centring of the mean
                flops += 2.0 * d * d * (h * segment.queries + g * segment.keys) + 2.0 * g * segment.keys * d
            flops += g * (18.0 * d**3 + 8.0 * d**3 + 4.0 * d * d * r)  # two eigenvalue problems, and their products
            flops += 2.0 * d * r * (g * last + h * (segment.stop - segment.start)) + g * last * (d + 6.0 * r)
            flops += h * pairs * (2.0 * r + choice.operations)
            read += g * last * (self.bits / 64 + d)  # codes, in words of 64 bits, and keys that are encoded
        kept = admissible_pairs(problem, most=width)
        return Cost(
            flops=flops + 2.0 * h * kept * (d + e + 1),
            scalars_moved=exact_cost(problem).scalars_moved + read + h * kept * (d + e),
            peak_scalars=float(2 * h * problem.n_q * width + g * problem.n_k * (2 * r if flops else 0)),
            state_per_token=float(g * (d + e + self.bits / 64)),
        )
