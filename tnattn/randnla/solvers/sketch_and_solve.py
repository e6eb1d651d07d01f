"""Sketch-and-solve for least squares: a sketch of the rows, or rows sampled by leverage scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tnattn.arrays import Array, Rng, array_namespace, device, eps
from tnattn.linalg import small_svd
from tnattn.randnla.scores.leverage import LeverageSampling
from tnattn.randnla.sketches import Sketch, SparseSign, require_sketch
from tnattn.randnla.solvers.least_squares import LeastSquaresMethod, LeastSquaresProblem, LeastSquaresSolution
from tnattn.scalars import require_count
from tnattn.structured.sparse import Sparse

__all__ = ["SampleAndSolve", "SketchAndSolve"]


@dataclass(frozen=True)
class SketchAndSolve(LeastSquaresMethod):
    """Solution of the sketched problem ``min ||S A x - S b||``.

    Parameters
    ----------
    size : int, optional
        Rows of the sketch, at least n; 4 n if None.
    sketch : Sketch
        Distribution of the transpose of S.

    Notes
    -----
    The cost of the sketch and O(size n^2). A Gaussian sketch has a mean squared residual ``1 + n / (size - n - 1)``
    times the least one, the others about that: ``SketchPreconditioned`` is accurate. Sarlos 2006.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import SketchAndSolve
    >>> rng = np.random.default_rng(0)
    >>> a = rng.standard_normal((500, 5))
    >>> b = a @ np.ones(5) + 0.1 * rng.standard_normal(500)
    >>> solution = SketchAndSolve(size=100)(a, b, rng=rng)
    >>> best = np.linalg.norm(b - a @ np.linalg.lstsq(a, b)[0])
    >>> print(np.round(solution.x, 1), round(float(solution.residual_norm / best), 1))
    [1. 1. 1. 1. 1.] 1.0
    """

    size: int | None = None
    sketch: Sketch = field(default_factory=SparseSign)

    def __post_init__(self) -> None:
        require_sketched_rows(self.size, self.sketch)

    def solve(self, problem: LeastSquaresProblem, *, rng: Rng | None) -> LeastSquaresSolution:
        whitening, _, y = sketched_problem(problem, self.size, self.sketch, rng)
        return _direct(problem, whitening @ y, None)


@dataclass(frozen=True)
class SampleAndSolve(LeastSquaresMethod):
    """Solution of the problem of rows sampled with replacement by their leverage scores.

    Parameters
    ----------
    samples : int, optional
        Number of samples, at least n; 16 n if None.

    Notes
    -----
    O(m n^2) for exact scores: for problems with many right-hand sides, or with right-hand sides that are expensive to
    measure. Drineas, Mahoney, Muthukrishnan & Sarlos 2011.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import SampleAndSolve
    >>> rng = np.random.default_rng(0)
    >>> a = rng.standard_normal((500, 5))
    >>> b = a @ np.ones(5) + 0.1 * rng.standard_normal(500)
    >>> solution = SampleAndSolve(samples=100)(a, b, rng=rng)
    >>> print(np.round(solution.x, 1), solution.sample.shape)
    [1. 1. 1. 1. 1.] (100, 500)
    """

    samples: int | None = None

    def __post_init__(self) -> None:
        if self.samples is not None:
            require_count(self.samples, "samples", least=1)

    def solve(self, problem: LeastSquaresProblem, *, rng: Rng | None) -> LeastSquaresSolution:
        n = problem.a.shape[-1]
        samples = 16 * n if self.samples is None else self.samples
        _require_rows(samples, n, "samples")
        dense = problem.a.to_dense()
        sample = LeverageSampling(samples)(dense, rng=rng)
        whitening, _, u = _whitening(sample @ dense)
        return _direct(problem, whitening @ (u.mT @ (sample @ problem.sides)), sample)


def sketched_problem(
    problem: LeastSquaresProblem, size: int | None, sketch: Sketch, rng: Rng | None
) -> tuple[Array, Array, Array]:
    """Return N (..., n, n), the singular values of S A (..., n), and the solution y of ``min ||S A N y - S b||``."""
    a = problem.a
    m, n = a.shape[-2:]
    size = 4 * n if size is None else size
    _require_rows(size, n, "size")
    omega = sketch.draw(m, size, rng=rng, like=a.like)
    whitening, s, u = _whitening(a.sketch_rows(omega))
    return whitening, s, u.mT @ (omega.mT @ problem.sides)


def _whitening(rows: Array) -> tuple[Array, Array, Array]:
    """Return N = V / s, s and U of sketched rows ``U s V^T`` (..., l, n), l >= n: ``rows @ N`` is U.

    Singular values below ``l eps`` times the largest are set to zero, with their columns.
    """
    xp = array_namespace(rows)
    u, s, vt = small_svd(rows)
    significant = (s > rows.shape[-2] * eps(s) * s[..., :1]) & (s > 0)
    zero = xp.zeros_like(s)
    inverse = xp.where(significant, 1 / xp.where(significant, s, xp.ones_like(s)), zero)
    u = xp.where(significant[..., None, :], u, xp.zeros_like(u))
    return vt.mT * inverse[..., None, :], xp.where(significant, s, zero), u


def _direct(problem: LeastSquaresProblem, x: Array, sample: Sparse | None) -> LeastSquaresSolution:
    """Return a solution computed without iterations, with its residual norm in the original problem."""
    xp = array_namespace(x)
    norm = xp.linalg.vector_norm(problem.sides - problem.a @ x, axis=-2)
    steps = xp.zeros(norm.shape, dtype=xp.int64, device=device(norm))
    return LeastSquaresSolution(x, norm, steps, steps == 0, sample)


def require_sketched_rows(size: int | None, sketch: Any) -> None:
    """Raise unless ``size`` is None or positive and ``sketch`` is a distribution of test matrices."""
    if size is not None:
        require_count(size, "size", least=1)
    require_sketch(sketch)


def _require_rows(rows: int, columns: int, name: str) -> None:
    if rows < columns:
        raise ValueError(
            f"{name} {rows} is less than the {columns} columns of a, and the sketched problem underdetermined; "
            f"raise {name}"
        )
