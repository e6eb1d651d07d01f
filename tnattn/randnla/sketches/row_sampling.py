"""Test matrices that pick coordinates at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tnattn.arrays import (
    Array,
    Rng,
    accumulator_dtype,
    array_namespace,
    choice,
    device,
    is_array,
    require_rng,
    to_host,
)
from tnattn.randnla.sketches.base import Sketch, admissible_sizes
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.sparse import Sparse


@dataclass(frozen=True)
class RowSampling(Sketch):
    """Columns ``e_i / sqrt(size p_i)`` with i drawn with given probabilities: a product picks and rescales columns.

    Parameters
    ----------
    probabilities : tuple of float or Array, (n,), optional
        Non-negative weights, one per coordinate, normalised here; uniform if None. A weight of zero leaves its
        coordinate out, and with it the property E[Omega Omega^T] = I: only for coordinates that do not matter.
    replace : bool
        Whether a coordinate may be drawn more than once. Without replacement draws are uniform, at most n of them.

    Notes
    -----
    A product costs as many columns as are drawn. Blind to where the mass is unless the probabilities know it: leverage
    scores need O(k log k) draws for a k-dimensional subspace, uniform ones as many times more as it is coherent.
    """

    probabilities: Any = None
    replace: bool = True

    def __post_init__(self) -> None:
        if is_array(self.probabilities):
            object.__setattr__(self, "probabilities", to_host(self.probabilities).tolist())
        if self.probabilities is None:
            return
        weights = tuple(float(p) for p in self.probabilities)
        if not all(0 <= p < float("inf") for p in weights) or not sum(weights) > 0:
            raise ValueError(
                f"probabilities have minimum {min(weights, default=0.0)} and sum {sum(weights)}; "
                f"weights must be finite, >= 0 and not all zero"
            )
        if not self.replace:
            raise ValueError("probabilities are given with replace=False; pass replace=True, or no probabilities")
        object.__setattr__(self, "probabilities", weights)

    def draw(self, n: int, size: int, *, rng: Rng | None, like: Array) -> StructuredMatrix:
        n, size = admissible_sizes(n, size, like)
        source = require_rng(rng, "row sampling")
        xp = array_namespace(like)
        weights = self.probabilities
        if weights is None:
            chosen = choice(source, n, size, replace=self.replace, like=like)
            values = xp.full_like(xp.astype(chosen, like.dtype), (n / size) ** 0.5)
        else:
            if len(weights) != n:
                raise ValueError(f"{len(weights)} probabilities do not fit {n} coordinates; give one per coordinate")
            p = xp.asarray(weights, dtype=accumulator_dtype(like), device=device(like))
            chosen = choice(source, n, size, p=p, replace=True, like=like)
            values = xp.astype(xp.sqrt(xp.sum(p) / (size * xp.take(p, chosen))), like.dtype, copy=False)
        return Sparse(values[:, None], chosen[:, None], n).mT
