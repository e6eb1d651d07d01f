"""Every head by a method of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from tnattn.arrays import Array, Rng, array_namespace, seeded
from tnattn.attention.approximation import Approximation
from tnattn.attention.baseline.exact import Exact
from tnattn.attention.cost import Cost
from tnattn.attention.head_problems import head_problem, runs_of_equal
from tnattn.attention.masks import Mask
from tnattn.attention.method import AttentionMethod, JointMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.device_budget import DeviceBudget, DeviceCounts
from tnattn.structured import Diagonal


@dataclass(frozen=True)
class PerHead(JointMethod):
    """Every head by a method of its own, exact where nothing else is worth its cost.

    Parameters
    ----------
    methods : tuple of AttentionMethod
        One for all heads, or one for each.
    seed : int, optional
        Every head is approximated by itself, from a generator of its own with this seed, whatever generator the call
        is given: the output is a part of the value, and what was certified is what a caller gets. None: the
        generator of the call, and consecutive heads of one method in one run.

    Raises
    ------
    TypeError
        If ``methods`` holds anything else.
    ValueError
        If there is no method, or their number is neither one nor that of the heads.

    Notes
    -----
    Heads are views of the problem; those of a group read the same keys. The cost is the sum over the heads, and keys
    that the heads of a group summarise by one method are kept once. Columns differ from head to head, so that the
    result has no weights over the keys, unless all heads share a method. Masks are those that every method honours.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, Exact, PerHead, SlidingWindow
    >>> problem = AttentionProblem(*np.random.default_rng(0).standard_normal((3, 2, 128, 4)))
    >>> result = PerHead((Exact(), SlidingWindow(width=16)))(problem)
    >>> np.round(np.linalg.norm(result.output - problem.output, axis=(-2, -1)), 1).tolist()
    [0.0, 8.3]
    """

    methods: tuple[AttentionMethod, ...] = (Exact(),)
    seed: int | None = None

    device_budget: ClassVar = DeviceBudget(
        DeviceCounts(200, waits=10, copies=4), {"further run": DeviceCounts(400, waits=20, copies=8)}
    )
    masks: ClassVar[tuple[type[Mask], ...]] = Exact.masks
    waives: ClassVar[dict[str, str]] = {
        "fields.methods": "methods show their effect through fields of their own",
        "fields.seed": "of randomized methods; exact attention draws nothing",
    }
    guarantee: ClassVar[str] = "that of its method, head by head"
    source: ClassVar[str] = "the choice of a method for every head"

    def __post_init__(self) -> None:
        if not isinstance(self.methods, tuple) or not self.methods:
            raise ValueError(f"methods must be a tuple of one method for all heads, or one for each: {self.methods!r}")
        for method in self.methods:
            if not isinstance(method, AttentionMethod):
                raise TypeError(f"methods must hold attention methods; got {method!r}")
        if self.seed is not None and self.seed < 0:
            raise ValueError(f"seed is {self.seed}; give a non-negative integer, or None for the draws of the call")

    def honours(self, mask: Mask) -> bool:
        return all(method.honours(mask) for method in self.methods)

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        return {"further run": len(self._runs(target)) - 1}

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        runs = self._runs(problem)
        if self.seed is not None:
            draws: list[Rng | None] = [seeded(self.seed) for _ in runs]
        elif len(runs) == 1:
            draws = [rng]
        else:  # children of the generator, so that the draw of a run does not depend on those before it
            draws = list(rng.spawn(len(runs))) if rng is not None else [None] * len(runs)
        methods = self._methods(problem)
        if len(runs) == 1:
            return methods[0](problem, rng=draws[0])
        parts = [head_problem(problem, run) for run in runs]
        pieces = [methods[run.start](part, rng=draw) for run, part, draw in zip(runs, parts, draws, strict=True)]
        return _beside_each_other(problem, parts, pieces)

    def exact_piece(self, problem: AttentionProblem) -> Approximation:
        return self.methods[0].exact_piece(problem)

    def cost(self, problem: AttentionProblem) -> Cost:
        """Return the sum of the costs of the heads; caches of a group add where its heads have different methods."""
        methods = self._methods(problem)
        costs = [(run, methods[run.start].cost(head_problem(problem, run))) for run in self._runs(problem)]
        total = Cost(0.0, 0.0, 0.0, 0.0)
        for _, cost in costs:
            total = total + cost
        ratio = problem.heads // problem.groups
        states = {(run.start // ratio, methods[run.start]): cost.state_per_token for run, cost in costs}
        return replace(total, state_per_token=sum(states.values()))

    def _methods(self, problem: AttentionProblem) -> tuple[AttentionMethod, ...]:
        """Return one method for each head."""
        if len(self.methods) not in (1, problem.heads):
            raise ValueError(
                f"there are {len(self.methods)} methods for {problem.heads} heads; give one for all, or one for each"
            )
        return self.methods if len(self.methods) == problem.heads else self.methods * problem.heads

    def _runs(self, problem: AttentionProblem) -> list[slice]:
        """Return the runs of heads that are approximated together."""
        if self.seed is not None:  # draws of a method may depend on the number of heads
            return [slice(head, head + 1) for head in range(problem.heads)]
        return runs_of_equal(self._methods(problem), problem.heads // problem.groups)


def _beside_each_other(
    problem: AttentionProblem, parts: list[AttentionProblem], pieces: list[Approximation]
) -> Approximation:
    """Return pieces of consecutive heads as one, of whose kernel only the products are held."""
    xp = array_namespace(problem.q)

    def joined(arrays: list[Array]) -> Array:
        heads = xp.concat([part.ungroup(array) for part, array in zip(parts, arrays, strict=True)], axis=-3)
        return xp.reshape(heads, (*problem.batch, *heads.shape[-2:]))

    numerators = joined([piece._products[0] for piece in pieces])
    denominators = joined([piece._products[1][..., None] for piece in pieces])[..., 0]
    units = {piece.units for piece in pieces}
    refusals = [piece.unmergeable for piece in pieces if piece.unmergeable]
    if len(units) > 1:
        refusals.append("its heads hold sums of different kernels")
    return Approximation(
        kernel=Diagonal(xp.ones_like(denominators)),  # query i reads column i, its own sum
        shift=joined([piece.shift[..., None] for piece in pieces])[..., 0],
        values=numerators,
        mass=denominators,
        unmergeable=refusals[0] if refusals else "",
        units=pieces[0].units,
    ).holding(numerators, denominators)
