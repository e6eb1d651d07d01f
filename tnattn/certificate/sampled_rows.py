"""Exact outputs of few queries, drawn without replacement, and the errors of an approximation there."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tnattn.arrays import Array, Rng, array_namespace, from_host, require_rng, to_host, uniform, widened
from tnattn.attention.ball import Ball
from tnattn.attention.problem import AttentionProblem
from tnattn.display import Displayed
from tnattn.scalars import Parameters, as_integer

_BLOCK = 1 << 22  # weights held at a time: 16 MB of float32

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


def drawn_rows(problem: AttentionProblem, rows: int, *, rng: Rng) -> Indices:
    """Return indices of queries (rows,), drawn without replacement, the same for all heads, in the order of the draw.

    All queries, in order, where there are no more.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem
    >>> from tnattn.certificate import drawn_rows
    >>> problem = AttentionProblem(*np.zeros((3, 1, 100, 4)))
    >>> len(set(drawn_rows(problem, 10, rng=np.random.default_rng(0)).tolist()))
    10
    """
    rows, n = as_integer(rows, "rows", least=1), problem.n_q
    rng = require_rng(rng, "drawn_rows")
    if rows >= n:
        return np.arange(n, dtype=np.int64)
    clocks = to_host(uniform(rng, (n,), like=widened(problem.q)))
    return np.argsort(clocks, kind="stable")[:rows].astype(np.int64)


def exact_rows(problem: AttentionProblem, indices: Indices) -> Array:
    """Return the exact outputs (..., H, m, d_v) of queries (m,), under the mask of the problem.

    The share m / n_q of exact attention; memory for few rows of weights at a time. In float32 for half precision.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem
    >>> from tnattn.certificate import exact_rows
    >>> problem = AttentionProblem(*np.random.default_rng(0).standard_normal((3, 2, 10, 4)))
    >>> bool(np.allclose(exact_rows(problem, np.asarray([7, 2])), problem.output[:, [7, 2]]))
    True
    """
    xp = array_namespace(problem.q)
    moved = from_host(np.asarray(indices, dtype=np.int64), like=problem.q)
    step = max(1, _BLOCK // max(1, problem.n_k * math.prod(problem.batch)))
    parts = []
    for start in range(0, len(indices), step):
        weights = widened(problem.weights.rows(moved[start : min(start + step, len(indices))]))
        parts.append(weights @ widened(problem.values))
    return problem.ungroup(xp.concat(parts, axis=-2))


@dataclass(frozen=True, eq=False, repr=False)
class RowErrors(Parameters, Displayed):
    """Errors of an approximation at drawn rows, in the order of the draw, on the host in float64.

    Parameters
    ----------
    errors : array, (H, m)
        Euclidean norms of the differences of the outputs; infinite where the approximation is not finite.
    sizes : array, (H, m)
        Euclidean norms of the exact outputs.
    envelope : array, (H,)
        No row of the head has a larger error.
    population : int
        Number of rows n of a head. A batch axis counts as heads.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, Performer
    >>> from tnattn.certificate import RowErrors
    >>> rng = np.random.default_rng(0)
    >>> problem = AttentionProblem(*rng.standard_normal((3, 2, 100, 4)) / 2)
    >>> output = Performer(features=64)(problem, rng=rng).output
    >>> measured = RowErrors.measured(output, problem, rows=20, rng=rng)
    >>> measured.errors.shape, measured.population, bool(np.all(measured.errors <= measured.envelope[:, None]))
    ((2, 20), 100, True)
    """

    errors: Floats
    sizes: Floats
    envelope: Floats
    population: int

    @classmethod
    def measured(cls, output: Array, problem: AttentionProblem, *, rows: int, rng: Rng) -> RowErrors:
        """Draw rows, compute them exactly, and compare.

        Parameters
        ----------
        output : Array, (..., H, n_q, d_v)
            By any code; in the library of the problem.
        problem : AttentionProblem
        rows : int
            m, at most all of them are drawn.
        rng : numpy.random.Generator or DeviceDraws

        Raises
        ------
        ValueError
            If the shape of ``output`` is not that of the exact output.
        """
        indices = drawn_rows(problem, rows, rng=rng)
        return cls.at(output, problem, indices, exact_rows(problem, indices), ball=Ball.of(problem))

    @classmethod
    def at(
        cls, output: Array, problem: AttentionProblem, indices: Indices, exact: Array, *, ball: Ball | None = None
    ) -> RowErrors:
        """Compare at rows (m,) whose exact outputs (..., H, m, d_v) are known; without a ball there is no envelope."""
        xp = array_namespace(problem.q, output)
        shape = (*problem.q.shape[:-1], problem.value_width)
        if tuple(output.shape) != tuple(shape):
            raise ValueError(f"output has shape {tuple(output.shape)}; the exact output has {tuple(shape)}")
        taken = widened(xp.take(output, from_host(indices, like=problem.q), axis=-2))
        errors, sizes = (to_host(xp.linalg.vector_norm(x, axis=-1)) for x in (taken - exact, exact))
        errors, sizes = (np.asarray(x, dtype=np.float64).reshape(-1, len(indices)) for x in (errors, sizes))
        errors = np.where(np.isfinite(errors), errors, np.inf)
        if ball is None:
            return cls(errors, sizes, np.full(errors.shape[0], np.inf), problem.n_q)
        bounds = ball.envelope(output)  # of all rows, also those without keys
        envelope = np.asarray(to_host(xp.max(bounds, axis=-1)), dtype=np.float64).reshape(-1)
        return cls(errors, sizes, np.where(np.isnan(envelope), np.inf, envelope), problem.n_q)

    @property
    def rows(self) -> int:
        """Number of drawn rows m."""
        return int(self.errors.shape[-1])
