"""Chunked attention: a method on consecutive chunks of keys, merged by their masses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, ClassVar

from tnattn.arrays import Rng
from tnattn.attention.approximation import Approximation
from tnattn.attention.cost import Cost
from tnattn.attention.method import AttentionMethod, JointMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling.value_sampling import ValueSampling
from tnattn.device_budget import DeviceBudget, DeviceCounts


@dataclass(frozen=True)
class Chunked(JointMethod):
    """The method applied to each of ``chunks`` runs of keys; the pieces merge by their masses.

    Parameters
    ----------
    method : AttentionMethod
        Must estimate its mass; its budget is spent on every chunk.
    chunks : int
        Runs whose lengths differ by one at most; more than keys means one key each.

    Raises
    ------
    ValueError
        If the method's pieces cannot be merged.

    Notes
    -----
    The cost of the method on n_k / chunks keys, ``chunks`` times.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, Chunked, PivotedCoreset
    >>> problem = AttentionProblem(*np.random.default_rng(0).standard_normal((3, 1, 128, 4)))
    >>> for keys in (4, 16, 32):
    ...     result = Chunked(PivotedCoreset(keys=keys), chunks=4)(problem, rng=np.random.default_rng(0))
    ...     error = np.linalg.norm(result.output - problem.output) / np.linalg.norm(problem.output)
    ...     print(result.kernel.shape[-1], round(float(error), 2))  # columns of four pieces, error
    16 0.51
    64 0.2
    128 0.0
    """

    device_budget: ClassVar = DeviceBudget(DeviceCounts(120, waits=4, copies=2), {"chunk": DeviceCounts(80, waits=2)})

    method: AttentionMethod = field(default_factory=ValueSampling)
    chunks: int = 2

    waives: ClassVar[dict[str, str]] = {
        "P11": "chunks are runs of positions, so permuting keys changes them",
    }
    guarantee: ClassVar[str] = "that of the method, chunk by chunk"
    source: ClassVar[str] = "the merge algebra"

    def __post_init__(self) -> None:
        if not isinstance(self.method, AttentionMethod):
            raise TypeError(f"method must be an attention method; got {self.method!r}")
        if self.chunks < 1:
            raise ValueError(f"chunks must be an integer >= 1; got {self.chunks!r}")

    def _columns(self, problem: AttentionProblem) -> list[slice]:
        count, n = min(self.chunks, problem.n_k), problem.n_k
        # integer division gives lengths that differ by one at most
        return [slice(s * n // count, (s + 1) * n // count) for s in range(count)]

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        return {"chunk": self.chunks, "method": self.chunks}

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        columns = self._columns(problem)
        rows = slice(0, problem.n_q)
        # children of the generator, so that the draw of a chunk does not depend on those before it
        draws: Sequence[Rng | None] = rng.spawn(len(columns)) if rng is not None else [None] * len(columns)
        pieces = [
            self.method(problem.rectangle(rows, part), rng=draw).placed(part, problem.n_k)
            for part, draw in zip(columns, draws, strict=True)
        ]
        return reduce(lambda a, b: a + b, pieces)

    def exact_piece(self, problem: AttentionProblem) -> Approximation:
        return self.method.exact_piece(problem)

    def cost(self, problem: AttentionProblem) -> Cost:
        """Return the sum of the method's costs on the chunks."""
        rows = slice(0, problem.n_q)
        return reduce(
            lambda a, b: a + b, (self.method.cost(problem.rectangle(rows, part)) for part in self._columns(problem))
        )
