"""The causal form of any key method: exact diagonal leaves and unmasked rectangles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import ClassVar

from tnattn.arrays import Rng, array_namespace, device
from tnattn.attention import masks
from tnattn.attention.approximation import Approximation, stack_queries
from tnattn.attention.cost import Cost, exact_cost
from tnattn.attention.method import AttentionMethod, JointMethod, KeyMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling.value_sampling import ValueSampling
from tnattn.structured import Dense, Selection


@dataclass(frozen=True)
class Causal(JointMethod):
    """Causal attention from a method without masks: two diagonal halves and one unmasked rectangle, recursively.

    The positions 0, ..., n - 1 are halved until a part has at most ``leaf`` of them; leaves are exact. Queries of the
    right half see the keys of the left half through the method, as one unmasked problem.

    Parameters
    ----------
    method : AttentionMethod
        A key method without probes. Any other sees queries together with queries that come later, which a model that
        generates token by token does not have.
    leaf : int
        Largest part that is exact, at least one.
    leaks_queries : bool
        Accept a method that sees later queries.

    Raises
    ------
    TypeError
        If the method needs queries and ``leaks_queries`` is false.

    Notes
    -----
    n_k / leaf rectangles at most, every key in log2(n_k / leaf) of them. Queries that are the last of a sequence get
    the same rectangles as they get within the whole sequence. A problem without a mask goes to the method as it is. All
    heads run together; the rectangles one after another.
    """

    method: AttentionMethod = field(default_factory=ValueSampling)
    leaf: int = 64
    leaks_queries: bool = False

    masks: ClassVar[tuple[type[masks.Mask], ...]] = (masks.Full, masks.Causal)
    waives: ClassVar[dict[str, str]] = {
        "fields.leaks_queries": "a permission: it changes what is accepted, not the output",
    }
    guarantee: ClassVar[str] = "that of the method, rectangle by rectangle; leaves exact"
    source: ClassVar[str] = "Han et al. 2023 (HyperAttention), Algorithm 4, with a leaf size"

    def __post_init__(self) -> None:
        if not isinstance(self.method, AttentionMethod):
            raise TypeError(f"method must be an attention method; got {self.method!r}")
        if not isinstance(self.leaf, int) or self.leaf < 1:
            raise ValueError(f"leaf must be an integer >= 1; got {self.leaf!r}")
        sees_queries = not isinstance(self.method, KeyMethod) or self.method.probes
        if sees_queries and not self.leaks_queries:
            raise TypeError(
                f"{type(self.method).__name__} reads queries, so earlier outputs would depend on later queries; use a "
                "key method without probes, or accept it with leaks_queries=True"
            )

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        if not any(isinstance(part, masks.Causal) for part in problem.mask.conjuncts):
            return self.method(problem, rng=rng)
        return self._part(problem, 0, problem.n_k, rng)

    def _part(self, problem: AttentionProblem, start: int, stop: int, rng: Rng | None) -> Approximation:
        """Approximate the queries at positions start, ..., stop - 1, restricted to the keys there."""
        if stop - start <= self.leaf:
            return _leaf(problem, _queries(problem, start, stop), slice(start, stop))
        middle = (start + stop) // 2
        # children of the generator, one per part, so that a draw depends on the place and not on what was drawn before
        draws: Sequence[Rng | None] = rng.spawn(3) if rng is not None else [None, None, None]
        rows, columns = _queries(problem, middle, stop), slice(start, middle)
        rectangle = self.method(problem.rectangle(rows, columns), rng=draws[1]).placed(columns, problem.n_k)
        right = self._part(problem, middle, stop, draws[2]) + rectangle
        if _queries(problem, start, middle).start == rows.start:  # no query stands in the left half
            return right
        stacked = stack_queries([self._part(problem, start, middle, draws[0]), right])
        return replace(stacked, keys=slice(start, stop))

    def cost(self, problem: AttentionProblem) -> Cost:
        """Exact leaves and the method's cost on every rectangle."""
        if not any(isinstance(part, masks.Causal) for part in problem.mask.conjuncts):
            return self.method.cost(problem)
        return reduce(lambda a, b: a + b, self._costs(problem, 0, problem.n_k))

    def _costs(self, problem: AttentionProblem, start: int, stop: int) -> Iterator[Cost]:
        if stop - start <= self.leaf:
            yield exact_cost(problem.rectangle(_queries(problem, start, stop), slice(start, stop)))
            return
        middle = (start + stop) // 2
        rows = _queries(problem, middle, stop)
        yield self.method.cost(problem.rectangle(rows, slice(start, middle)))
        yield from self._costs(problem, middle, stop)
        if _queries(problem, start, middle).start < rows.start:
            yield from self._costs(problem, start, middle)


def _queries(problem: AttentionProblem, start: int, stop: int) -> slice:
    """Queries that stand at positions start, ..., stop - 1."""
    before = problem.n_k - problem.n_q
    return slice(max(start - before, 0), max(stop - before, 0))


def _leaf(problem: AttentionProblem, rows: slice, columns: slice) -> Approximation:
    """Return the exact causal attention of a small diagonal block, its kernel held as an array."""
    xp = array_namespace(problem.q)
    scores = problem.block_scores(rows, columns)
    shift = xp.max(scores, axis=-1)  # finite: a query sees its own position
    keys = xp.arange(columns.start, columns.stop, dtype=xp.int64, device=device(scores))
    return Approximation(
        kernel=Dense(xp.exp(scores - shift[..., None])),
        shift=shift,
        values=problem.values[..., columns, :],
        keys=columns,
        expand=Selection(keys, problem.n_k, scores),
    )
