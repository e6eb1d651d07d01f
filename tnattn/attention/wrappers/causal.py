"""The causal form of any key method: exact diagonal leaves and unmasked rectangles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, ClassVar, NamedTuple

from tnattn.arrays import Array, Rng, array_namespace, device
from tnattn.attention import masks
from tnattn.attention.approximation import Approximation, merge_all
from tnattn.attention.cost import Cost, exact_cost
from tnattn.attention.method import AttentionMethod, JointMethod, KeyMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling.value_sampling import ValueSampling
from tnattn.device_budget import DeviceBudget, DeviceCounts, blocks
from tnattn.structured import ShiftedBlocks
from tnattn.structured.shifted_blocks import from_stack


class Span(NamedTuple):
    """Intervals of the positions of queries and keys of a part.

    Examples
    --------
    >>> from tnattn.attention.wrappers import Span
    >>> Span(rows=slice(4, 8), columns=slice(0, 4))  # queries of the later, keys of the earlier half
    Span(rows=slice(4, 8, None), columns=slice(0, 4, None))
    """

    rows: slice
    columns: slice


@dataclass(frozen=True)
class Causal(JointMethod):
    """Causal attention from a method without masks: two diagonal halves and one unmasked rectangle, recursively.

    The positions 0, ..., n - 1 are halved until a part has at most ``leaf`` of them; leaves are exact, in the method's
    own kernel. The method approximates attention of the queries of a right half to the keys of its left half, as one
    unmasked problem.

    Parameters
    ----------
    method : AttentionMethod
        A key method without probes. Any other reads later queries, which are not available in token-by-token
        generation.
    leaf : int
        Largest part that is exact, at least one.
    leaks_queries : bool
        Accept a method that reads later queries.

    Raises
    ------
    TypeError
        If the method needs queries and ``leaks_queries`` is false.

    Notes
    -----
    n_k / leaf rectangles at most, every key in log2(n_k / leaf) of them. Queries that are the last of a sequence get
    the same rectangles as they get within the whole sequence. A problem without a mask goes to the method as it is.

    Rectangles of one size, at most two per level, run together as a stack in a new batch axis, with one generator per
    stack: a method that draws once for all heads (Performer) does so for all rectangles of the stack. They are stacked
    from the end of the sequence, so that draws made matrix by matrix are those of the whole sequence also where only
    its last queries are given; a rectangle that has some of its queries is filled up with zeros.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, Causal, CausalMask, PivotedCoreset
    >>> problem = AttentionProblem(*np.random.default_rng(0).standard_normal((3, 1, 128, 4)), mask=CausalMask())
    >>> for keys in (4, 16, 64):
    ...     method = Causal(PivotedCoreset(keys=keys), leaf=16)
    ...     error = np.linalg.norm(method(problem, rng=np.random.default_rng(0)).output - problem.output)
    ...     print(keys, round(float(error / np.linalg.norm(problem.output)), 2))
    4 0.42
    16 0.12
    64 0.0
    """

    # rectangles of one level are one call of the method, or two where their shapes differ
    device_budget: ClassVar = DeviceBudget(
        DeviceCounts(250, waits=8, copies=4), {"level": DeviceCounts(150, waits=4, copies=4)}
    )

    method: AttentionMethod = field(default_factory=ValueSampling)
    leaf: int = 64
    leaks_queries: bool = False

    masks: ClassVar[tuple[type[masks.Mask], ...]] = (masks.FullMask, masks.CausalMask)
    waives: ClassVar[dict[str, str]] = {
        "fields.leaks_queries": "a permission: it changes what is accepted, not the output",
    }
    guarantee: ClassVar[str] = "that of the method, rectangle by rectangle; leaves exact"
    source: ClassVar[str] = "Han et al. 2023 (HyperAttention), Algorithm 4, with a leaf size"
    role: ClassVar = "adapter"

    def __post_init__(self) -> None:
        if not isinstance(self.method, AttentionMethod):
            raise TypeError(f"method must be an attention method; got {self.method!r}")
        if self.leaf < 1:
            raise ValueError(f"leaf must be an integer >= 1; got {self.leaf!r}")
        sees_queries = not isinstance(self.method, KeyMethod) or self.method.probes
        if sees_queries and not self.leaks_queries:
            raise TypeError(
                f"{type(self.method).__name__} reads queries, so earlier outputs would depend on later queries; use a "
                "key method without probes, or accept it with leaks_queries=True"
            )

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        levels = blocks(target.n_k, self.leaf).bit_length()
        return {"level": levels, "method": 2 * levels}

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        if not any(isinstance(part, masks.CausalMask) for part in problem.mask.conjuncts):
            return self.method(problem, rng=rng)
        rectangles, leaves = _parts(problem.n_k, self.leaf)
        # children of the generator, one per stack, so that a draw does not depend on what was drawn before
        draws: Sequence[Rng | None] = rng.spawn(len(rectangles)) if rng is not None else [None] * len(rectangles)
        # a query outside a part has shift minus infinity there, so that all pieces cover all queries and merge at once
        pieces = []
        for spans, draw in zip(rectangles, draws, strict=True):
            seen = _with_queries(problem, spans)
            if seen:
                inner = self.method(_stacked(problem, seen, masks.FullMask()), rng=draw)
                pieces.append(_spread(inner, seen, problem))
        for spans in leaves:
            seen = _with_queries(problem, spans)
            if seen:
                pieces.append(
                    _spread(self.method.exact_piece(_stacked(problem, seen, masks.CausalMask())), seen, problem)
                )
        return merge_all(pieces)

    def exact_piece(self, problem: AttentionProblem) -> Approximation:
        return self.method.exact_piece(problem)

    def cost(self, problem: AttentionProblem) -> Cost:
        """Return the cost of exact leaves and of the method on every rectangle; one cache serves all of them."""
        if not any(isinstance(part, masks.CausalMask) for part in problem.mask.conjuncts):
            return self.method.cost(problem)
        return reduce(lambda a, b: a + b, self._costs(problem, 0, problem.n_k))

    def _costs(self, problem: AttentionProblem, start: int, stop: int) -> Iterator[Cost]:
        if stop - start <= self.leaf:
            yield exact_cost(problem.rectangle(_queries(problem, start, stop), slice(start, stop), masks.CausalMask()))
            return
        # the same halves as in _parts
        middle = (start + stop) // 2
        rows = _queries(problem, middle, stop)
        yield self.method.cost(problem.rectangle(rows, slice(start, middle)))
        yield from self._costs(problem, middle, stop)
        if _queries(problem, start, middle).start < rows.start:
            yield from self._costs(problem, start, middle)


def _queries(problem: AttentionProblem, start: int, stop: int) -> slice:
    """Return the queries at positions start, ..., stop - 1."""
    before = problem.n_k - problem.n_q  # earlier positions have keys, but no query
    return slice(max(start - before, 0), max(stop - before, 0))


def _parts(n: int, leaf: int) -> tuple[list[list[Span]], list[list[Span]]]:
    """Return stacks of equal rectangles, level by level, and stacks of equal leaves; each stack from the end."""
    rectangles: list[dict[tuple[int, int], list[Span]]] = []
    leaves: dict[int, list[Span]] = {}
    parts = [(0, n)]
    while parts:
        halves, level = [], {}  # type: list[tuple[int, int]], dict[tuple[int, int], list[Span]]
        for start, stop in parts:
            if stop - start <= leaf:
                leaves.setdefault(stop - start, []).append(Span(slice(start, stop), slice(start, stop)))
                continue
            middle = (start + stop) // 2
            span = Span(slice(middle, stop), slice(start, middle))
            level.setdefault((stop - middle, middle - start), []).append(span)
            halves += [(start, middle), (middle, stop)]  # breadth first: a level has at most two sizes
        rectangles.append(level)
        parts = halves
    stacks = [spans for level in rectangles for _, spans in sorted(level.items())]
    return [spans[::-1] for spans in stacks], [spans[::-1] for _, spans in sorted(leaves.items())]


def _with_queries(problem: AttentionProblem, spans: list[Span]) -> list[Span]:
    """Return the parts with a query at their positions: those at the end."""
    return [span for span in spans if span.rows.stop > problem.n_k - problem.n_q]


def _stacked(problem: AttentionProblem, spans: list[Span], mask: masks.Mask) -> AttentionProblem:
    """Return the parts as one problem with a new first batch axis; where queries are missing, zeros stand in front."""
    xp = array_namespace(problem.q)
    before = problem.n_k - problem.n_q

    def queries(rows: slice) -> Array:
        found = problem.q[..., max(rows.start - before, 0) : rows.stop - before, :]
        # a first rectangle may have some of its queries only; rows of zeros are cut off again by _spread
        missing = (*found.shape[:-2], rows.stop - rows.start - found.shape[-2], found.shape[-1])
        return xp.concat([xp.zeros(missing, dtype=found.dtype, device=device(found)), found], axis=-2)

    return replace(
        problem,
        q=xp.stack([queries(span.rows) for span in spans]),
        k=xp.stack([problem.k[..., span.columns, :] for span in spans]),
        v=xp.stack([problem.v[..., span.columns, :] for span in spans]),
        mask=mask,
        scale=problem.score_scale,
        check_finite=False,
    )


def _spread(stack: Approximation, spans: list[Span], problem: AttentionProblem) -> Approximation:
    """Return a stack of parts as one piece for all queries; a query outside all parts has no key in it."""
    xp = array_namespace(problem.q)
    before, depth = problem.n_k - problem.n_q, len(stack.kernel.batch)
    starts = tuple(span.rows.start - before for span in spans)  # negative where queries in front are missing

    def rows(x: Array, outside: float) -> Array:
        """(b, ..., r) to (..., n_q)."""
        out = xp.full((*x.shape[1:-1], problem.n_q), outside, dtype=x.dtype, device=device(x))
        for block, start in enumerate(starts):
            out[..., max(start, 0) : start + x.shape[-1]] = x[block, ..., max(-start, 0) :]
        return out

    expand = stack.expand
    if expand is not None:
        columns = tuple(span.columns.start for span in spans)
        expand = ShiftedBlocks(expand.mT, columns, problem.n_k, shared=len(expand.batch) < depth).mT
    return replace(
        stack,
        kernel=ShiftedBlocks(stack.kernel, starts, problem.n_q),
        shift=rows(stack.shift, -float("inf")),
        values=from_stack(stack.values),
        mass=None if stack.mass is None else from_stack(stack.mass[..., None])[..., 0],
        normaliser=None if stack.normaliser is None else rows(stack.normaliser, 0.0),
        keys=slice(None),
        expand=expand,
    )
