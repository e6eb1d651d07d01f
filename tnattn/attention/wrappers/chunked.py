"""Chunked attention: a method on consecutive chunks of keys, merged by their masses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, ClassVar

from tnattn.arrays import Rng, array_namespace
from tnattn.attention.approximation import Approximation, require_mergeable
from tnattn.attention.broadcasting import concat_broadcast
from tnattn.attention.cost import Cost
from tnattn.attention.key_relations import union
from tnattn.attention.method import AttentionMethod, JointMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.running_sums import RunningSums
from tnattn.attention.sampling.value_sampling import ValueSampling
from tnattn.device_budget import DeviceBudget, DeviceCounts
from tnattn.structured import Columns, Diagonal, Product, Rows


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
    The cost of the method on n_k / chunks keys, ``chunks`` times; products of one chunk at a time are held.

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
        sums = RunningSums(problem.batch, problem.n_q, problem.value_width, like=problem.q)
        pieces: list[Approximation] = []
        for part, draw in zip(columns, draws, strict=True):
            piece = self.method(problem.rectangle(rows, part), rng=draw).placed(part, problem.n_k)
            if len(columns) == 1:
                return piece
            require_mergeable(piece, pieces[0].units if pieces else piece.units)
            sums.add(rows, *piece._products, piece.shift)
            pieces.append(replace(piece))  # without its products, which are in the sums
            del piece  # and with it their memory, before the next chunk takes as much
        return _side_by_side(pieces, sums)

    def exact_piece(self, problem: AttentionProblem) -> Approximation:
        return self.method.exact_piece(problem)

    def cost(self, problem: AttentionProblem) -> Cost:
        """Return the sum of the method's costs on the chunks."""
        rows = slice(0, problem.n_q)
        return reduce(
            lambda a, b: a + b, (self.method.cost(problem.rectangle(rows, part)) for part in self._columns(problem))
        )


def _side_by_side(pieces: list[Approximation], sums: RunningSums) -> Approximation:
    """Return pieces of disjoint keys as one, whose products are known already."""
    xp = array_namespace(sums.shift)
    unit = xp.where(sums.shift == -float("inf"), xp.zeros_like(sums.shift), sums.shift)
    kernels = tuple(Product(Diagonal(xp.exp(piece.shift - unit)), piece.kernel) for piece in pieces)
    masses = [p.mass if p.mass is not None else xp.ones_like(p.values[..., 0]) for p in pieces]
    lifted = [piece.expand for piece in pieces if piece.expand is not None]
    return Approximation(
        kernel=Columns(kernels),
        shift=sums.shift,
        values=concat_broadcast([piece.values for piece in pieces], axis=-2),
        mass=concat_broadcast(masses, axis=-1),
        # where one piece has a denominator of its own, it is in the sum
        normaliser=sums.denominators if any(piece.normaliser is not None for piece in pieces) else None,
        keys=reduce(lambda a, b: union(a, b, like=sums.shift), (piece.keys for piece in pieces)),
        expand=Rows(tuple(lifted)) if len(lifted) == len(pieces) else None,
        units=pieces[0].units,
    ).holding(sums.numerators, sums.denominators)
