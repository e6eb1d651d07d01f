"""Test matrices that sample coordinates."""

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
    """Columns ``e_i / sqrt(size p_i)``, i sampled with given probabilities: a product selects and rescales columns.

    Parameters
    ----------
    probabilities : tuple of float or Array, (n,), optional
        Non-negative weights, one per coordinate, normalised here; uniform if None. A weight of zero leaves its
        coordinate out and loses the property E[Omega Omega^T] = I: only for coordinates that are zero.
    replace : bool
        Sample with replacement. Without it, samples are uniform and at most n.

    Notes
    -----
    A product costs one column per sample. For a k-dimensional subspace, leverage scores need O(k log k) samples,
    uniform probabilities as many more as the coherence of the subspace.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import RowSampling
    >>> sampling = RowSampling(probabilities=(0.5, 0.25, 0.25, 0.0))
    >>> omega = sampling.draw(4, 8, rng=np.random.default_rng(0), like=np.zeros(1))
    >>> print(np.count_nonzero(omega.to_dense(), axis=1))
    [3 3 2 0]
    """

    probabilities: Any = None
    replace: bool = True

    def __post_init__(self) -> None:
        # a tuple of Python numbers: the value prints, compares and hashes
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
            # in the accumulating dtype: thousands of weights are summed
            p = xp.asarray(weights, dtype=accumulator_dtype(like), device=device(like))
            chosen = choice(source, n, size, p=p, replace=True, like=like)
            values = xp.astype(xp.sqrt(xp.sum(p) / (size * xp.take(p, chosen))), like.dtype, copy=False)
        return Sparse(values[:, None], chosen[:, None], n).mT
