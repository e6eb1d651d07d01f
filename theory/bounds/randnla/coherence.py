"""Embeddings by uniformly sampled rows, in terms of the coherence of the subspace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from theory.bounds.hypotheses import require_full_column_rank
from theory.bounds.randnla.leverage import chernoff_lower, chernoff_upper, embedding_distortion
from theory.statement.bound import Instance, require
from theory.statement.errors import dense
from theory.statement.guarantee import WithProbability
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.arrays import Rng
from tnattn.randnla.sketches.row_sampling import RowSampling
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.conversion import as_structured


@dataclass(frozen=True)
class UniformRows:
    """Draws uniform rows of a tall matrix, rescaled to preserve lengths on average.

    Parameters
    ----------
    size : int
        Number of samples, positive.
    replace : bool

    Examples
    --------
    >>> import numpy as np
    >>> from theory.bounds.randnla.coherence import UniformRows
    >>> a = np.ones((32, 1))
    >>> sample = UniformRows(size=8)(a, rng=np.random.default_rng(0))
    >>> sample.shape, np.sum((sample @ a) ** 2).round(4).item()  # rows of one length keep it exactly
    ((8, 32), 32.0)
    """

    size: int = 64
    replace: bool = True

    def __call__(self, a: Any, *, rng: Rng | None = None) -> StructuredMatrix:
        """Return the sampling matrix S, (size, m), of matrices (..., m, n)."""
        matrix = as_structured(a)
        return RowSampling(replace=self.replace).draw(matrix.shape[-2], self.size, rng=rng, like=matrix.like).mT


def _signs(rng: np.random.Generator) -> Instance:
    """Columns of signs, orthogonal: all rows count alike."""
    columns = np.kron([[1.0, 1.0], [1.0, -1.0]], np.ones((32, 1)))
    return UniformRows(size=48), columns


def _spread(rng: np.random.Generator) -> Instance:
    return UniformRows(size=56, replace=False), rng.standard_normal((64, 2))


tropp = Paper(
    "Tropp 2011, 2015; Gross & Nesme 2010",
    method=UniformRows,
    instances=(_signs, _spread),
    must_fail=0.1,
    guarantee=WithProbability(),
)


@tropp("Chernoff bounds, also without replacement, re-derived", error=embedding_distortion)
def uniform_embedding_coherence(method: UniformRows, a: Any, *, epsilon: float = 0.7) -> tuple[Values, Values]:
    """||U^T S^T S U - I|| < e, except with probability k c(-e)^(s/(mu k)) + k c(e)^(s/(mu k)), mu the coherence.

    U is an orthonormal basis of the range of A, of dimension k; c(e) = exp(e) / (1+e)^(1+e); s uniform rows.

    Letters: S the sampling or sketching matrix; e the distortion, a parameter; s the number of rows drawn; mu the
    coherence of U, m / k times its largest squared row norm; k the number of columns of A.
    Hypotheses: 0 < e < 1; A is tall; A has full column rank, beyond rounding.
    """
    require(0 < epsilon < 1, "0 < e < 1")
    s, k = require_full_column_rank(a)
    u = np.linalg.svd(dense(a), full_matrices=False)[0]
    # uniform rows serve like leverage samples in a share 1 / mu of the number
    draws = method.size / (a.shape[-2] / k * np.sum(u**2, axis=-1).max(axis=-1))  # s / mu
    chance = [chernoff_lower(epsilon, k, d) + chernoff_upper(epsilon, k, d) for d in draws.ravel()]
    return np.full(s.shape[:-1], epsilon), np.reshape(chance, s.shape[:-1])
