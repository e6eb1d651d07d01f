"""Least squares by conjugate gradients with a preconditioner from a sketch."""

from __future__ import annotations

from dataclasses import dataclass, field

from tnattn.arrays import Array, Rng, array_namespace, device, eps
from tnattn.randnla.sketches import Sketch, SparseSign
from tnattn.randnla.solvers.least_squares import LeastSquaresMethod, LeastSquaresProblem, LeastSquaresSolution
from tnattn.randnla.solvers.sketch_and_solve import require_sketched_rows, sketched_problem
from tnattn.scalars import require_count
from tnattn.structured.base import StructuredMatrix

_PATIENCE = 5  # steps without a smaller gradient, after which it is taken to be rounding


@dataclass(frozen=True)
class SketchPreconditioned(LeastSquaresMethod):
    """Conjugate gradients for ``min ||A N y - b||``, x = N y; N from a sketch makes A N well conditioned.

    Parameters
    ----------
    size : int, optional
        Rows of the sketch, at least n; 4 n if None. More rows, fewer steps.
    sketch : Sketch
        Distribution of its transpose.
    tolerance : float, optional
        Stopping criterion ``||(A N)^T (b - A x)|| <= tolerance ||b||``: the error of the fitted values is then about as
        large. ``10 sqrt(m) eps`` if None. The rounding level ``sqrt(m) eps (cond(A) ||b - A x|| + ||A|| ||x||)``, that
        of a direct method, counts as converged too.
    iterations : int
        Largest number of steps.

    Notes
    -----
    The cost of the sketch, O(size n^2), and two products with A per step. For size = 4 n each step about halves the
    error, for every condition number of A. The initial guess is the sketched solution, without which the result is not
    as accurate as that of a direct method (Meier, Nakatsukasa, Townsend & Webb 2024). N is V / s of the singular value
    decomposition of the sketch: Meng, Saunders & Mahoney 2014 (LSRN), after Avron, Maymounkov & Toledo 2010
    (Blendenpik). Deviation: CGLS instead of LSQR. Dependent columns give the solution of least norm.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import SketchPreconditioned
    >>> rng = np.random.default_rng(0)
    >>> a = rng.standard_normal((500, 5)) * 10.0 ** np.arange(5)  # condition about 1e4
    >>> b = a @ np.ones(5) + 0.1 * rng.standard_normal(500)
    >>> solution = SketchPreconditioned()(a, b, rng=rng)
    >>> print(np.allclose(solution.x, np.linalg.lstsq(a, b)[0]), solution.converged, solution.iterations < 50)
    True True True
    """

    size: int | None = None
    sketch: Sketch = field(default_factory=SparseSign)
    tolerance: float | None = None
    iterations: int = 100

    def __post_init__(self) -> None:
        require_sketched_rows(self.size, self.sketch)
        require_count(self.iterations, "iterations", least=0)
        if self.tolerance is not None and not 0 <= self.tolerance < 1:
            raise ValueError(f"tolerance is {self.tolerance}; 0 <= tolerance < 1 is needed")

    def solve(self, problem: LeastSquaresProblem, *, rng: Rng | None) -> LeastSquaresSolution:
        a, b = problem.a, problem.sides
        xp = array_namespace(b)
        m = a.shape[-2]
        tolerance = 10 * m**0.5 * eps(b) if self.tolerance is None else self.tolerance
        whitening, s, y = sketched_problem(problem, self.size, self.sketch, rng)
        x = whitening @ y
        rounding = eps(b) * _amplified(s, xp.linalg.vector_norm(b - a @ x, axis=-2), x)
        asked = tolerance * xp.linalg.vector_norm(b, axis=-2)
        goal = xp.maximum(asked, rounding)
        y, first = _conjugate_gradients(a, whitening, b, y, goal, self.iterations)
        # restart from the computed residual, from which the recursion has drifted; no step if it meets the goal
        y, second = _conjugate_gradients(a, whitening, b, y, goal, self.iterations - int(xp.max(first)))
        x = whitening @ y
        residual = b - a @ x
        gradient = xp.linalg.vector_norm(whitening.mT @ (a.mT @ residual), axis=-2)
        reached = gradient <= xp.maximum(2 * asked, m**0.5 * rounding)
        return LeastSquaresSolution(x, xp.linalg.vector_norm(residual, axis=-2), first + second, reached)


def _amplified(s: Array, residual: Array, x: Array) -> Array:
    """Return ``cond ||b - A x|| + ||A|| ||x||`` (..., k), with the singular values s (..., n) of the sketch for A's."""
    xp = array_namespace(s)
    largest = s[..., :1]
    least = xp.min(xp.where(s > 0, s, largest + xp.zeros_like(s)), axis=-1, keepdims=True)
    condition = largest / xp.where(least > 0, least, xp.ones_like(least))
    return condition * residual + largest * xp.linalg.vector_norm(x, axis=-2)


def _conjugate_gradients(
    a: StructuredMatrix, whitening: Array, b: Array, y: Array, goal: Array, iterations: int
) -> tuple[Array, Array]:
    """Return y (..., n, k) after CGLS steps for ``min ||A N y - b||``, and the steps made (..., k).

    Every right-hand side stops separately when the norm of its gradient is at most its goal (..., k), or has not
    decreased for five steps; then the y of its least gradient is returned. One synchronisation per step.
    """
    xp = array_namespace(b)
    # CGLS (Björck 1996, Algorithm 7.4.1): conjugate gradients for the normal equations, which are never formed
    residual = b - a @ (whitening @ y)
    gradient = whitening.mT @ (a.mT @ residual)
    direction, square = gradient, xp.sum(xp.square(gradient), axis=-2)
    best, least = y, square
    taken = xp.zeros(square.shape, dtype=xp.int64, device=device(b))
    idle = xp.zeros_like(taken)
    for _ in range(iterations):
        active = (xp.sqrt(least) > goal) & (idle < _PATIENCE)
        if not bool(xp.any(active)):
            break
        image = a @ (whitening @ direction)
        curvature = xp.sum(xp.square(image), axis=-2)
        moves = active & (curvature > 0)
        step = xp.where(moves, square / xp.where(moves, curvature, xp.ones_like(curvature)), xp.zeros_like(square))
        y = y + step[..., None, :] * direction
        residual = residual - step[..., None, :] * image
        gradient = whitening.mT @ (a.mT @ residual)
        following = xp.sum(xp.square(gradient), axis=-2)
        ratio = following / xp.where(square > 0, square, xp.ones_like(square))
        direction, square = gradient + ratio[..., None, :] * direction, following
        better = active & (following < least)
        # near rounding the gradient oscillates: keep the best iterate
        best = xp.where(better[..., None, :], y, best)
        least = xp.where(better, following, least)
        taken = taken + xp.astype(active, xp.int64)
        idle = xp.where(better, xp.zeros_like(idle), idle + xp.astype(active, xp.int64))
    return xp.where((idle < _PATIENCE)[..., None, :], y, best), taken
