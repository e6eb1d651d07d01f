"""CUR approximation of the kernel: residual of the columns, amplified by the choice of rows, and effect of the ridge.

Every row of the kernel is in units of its largest entry, as the method takes its rows: A = exp(S - largest score of the
row), C its chosen columns, R its chosen rows, G their intersection; E^T A = R.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from theory.bounds.attention.perturbed import random_problem
from theory.bounds.attention.rows import exact_scores, once, per_head
from theory.statement.bound import Instance, require
from theory.statement.errors import Error, dense
from theory.statement.guarantee import Deterministic
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.arrays import eps
from tnattn.attention.approximation import Approximation
from tnattn.attention.low_rank.kernel_cur import ChosenColumns, KernelCUR
from tnattn.attention.problem import AttentionProblem

SPARE = 100.0
"""Times the rounding of the intersection that its smallest singular value exceeds: some digits of its inverse."""

LEAST_RIDGE = 0.01
"""A rounding of size eps in the intersection becomes eps / (4 ridge^2) in its damped inverse."""


@once
def _kernel(problem: AttentionProblem) -> Values:
    """Return A, (..., H, n_q, n_k)."""
    scores = exact_scores(problem)
    # in these units no row overflows, and a row without large scores counts as much as the others
    return np.asarray(np.exp(scores - scores.max(axis=-1, keepdims=True)))


def _approximate(problem: AttentionProblem, result: Approximation) -> Values:
    assert result.expand is not None
    # shifts of the result are scores of chosen keys, at most the largest of their row
    scale = np.exp(per_head(problem, dense(result.shift), 1) - exact_scores(problem).max(axis=-1))
    return np.asarray(scale[..., None] * per_head(problem, dense(result.kernel) @ dense(result.expand), 2))


def _spectral(a: npt.NDArray[np.floating]) -> Values:
    return np.asarray(np.linalg.norm(a, ord=2, axis=(-2, -1)))


@once
def _size(problem: AttentionProblem) -> Values:
    return _spectral(_kernel(problem))


scaled_kernel = Error(
    "spectral norm of the kernel, its rows in units of their largest entry",
    lambda t, r: _spectral(_kernel(t) - _approximate(t, r)),
    _size,
    _size,
)


def _parts(problem: AttentionProblem, result: Approximation) -> tuple[Values, Values, Values, Values]:
    """Return A, its columns C, the intersection G and the E^T, (..., H, r, n_q), that picks rows."""
    chosen = result.kernel
    require(isinstance(chosen, ChosenColumns), "the rows and columns are known")
    assert isinstance(chosen, ChosenColumns)
    rows, keys = (np.asarray(per_head(problem, dense(x), 1), dtype=np.int64) for x in (chosen.queries, chosen.keys))
    a = _kernel(problem)
    columns = np.take_along_axis(a, keys[..., None, :], axis=-1)
    picks = np.asarray(rows[..., None] == np.arange(problem.n_q), dtype=np.float64)
    core = np.take_along_axis(columns, rows[..., None], axis=-2)
    unit = core.max(axis=-2, keepdims=True)  # of the columns; it changes neither their range nor C G^-1
    unit = np.where(unit > 0, unit, 1.0)
    return a, columns / unit, core / unit, picks


def _two_tokens(rng: np.random.Generator) -> Instance:
    """Two nearly equal queries and keys: a column leaves as much as it can, and no row helps."""
    x = np.array([[[0.1], [-0.1]]])
    return KernelCUR(1, ridge=0.0), AttentionProblem(x, x, rng.standard_normal((1, 2, 2)))


def _two_damped_tokens(rng: np.random.Generator) -> Instance:
    """A = [[1, 1/2], [1/2, 1]], one column, and a ridge that takes a fifth of what it explains."""
    x = math.sqrt(math.log(2) / 2) * np.array([[[1.0], [-1.0]]])
    return KernelCUR(1, ridge=0.5), AttentionProblem(x, x, rng.standard_normal((1, 2, 2)), scale=1.0)


def _random(rng: np.random.Generator) -> Instance:
    return KernelCUR(5, ridge=0.0), random_problem(rng)


def _condition(method: KernelCUR, problem: AttentionProblem, result: Approximation) -> Values:
    """Return ten times the condition number of G times ||C G^-1||, (..., H): both amplify the rounding of entries."""
    _, columns, core, _ = _parts(problem, result)
    coefficients = np.linalg.solve(np.swapaxes(core, -1, -2), np.swapaxes(columns, -1, -2))
    return np.asarray(10 * np.linalg.cond(core) * np.maximum(_spectral(coefficients), 1.0))


own = Paper("re-derived", method=KernelCUR, instances=(_two_tokens, _random))

own_projection = replace(own, guarantee=Deterministic(condition=_condition))


@own_projection("by oblique projectors as in Sorensen & Embree 2016", error=scaled_kernel)
def kernel_cur_projection(method: KernelCUR, problem: AttentionProblem, result: Approximation) -> Values:
    """||A - C G^-1 R|| <= ||C G^-1|| ||A - C C^+ A|| for columns C, rows R and their intersection G.

    A - C G^-1 R = (I - P)(A - C C^+ A) with the oblique projector P = C G^-1 E^T, E picking rows; ||I - P|| = ||P||.

    Letters: A the kernel, every row in units of its largest entry; C its chosen columns; G their intersection; R its
    chosen rows.
    Hypotheses: no ridge; the rows and columns are known; the intersection is not singular, beyond rounding.
    """
    require(method.ridge == 0, "no ridge")
    a, columns, core, _ = _parts(problem, result)
    s = np.linalg.svd(core, compute_uv=False)
    least = SPARE * max(a.shape[-2:]) * eps(problem.q) * s[..., 0]
    require(bool(np.all(s[..., -1] > least)), "the intersection is not singular, beyond rounding")
    coefficients = np.linalg.solve(np.swapaxes(core, -1, -2), np.swapaxes(columns, -1, -2))  # the transpose of C G^-1
    # C C^+ from a pseudo-inverse: the columns may be nearly dependent where their intersection is not
    return np.asarray(_spectral(coefficients) * _spectral(a - columns @ (np.linalg.pinv(columns) @ a)))


# rounding is amplified by s_1 ||M||, at most 1 / ridge
own_ridge = replace(
    own,
    instances=(_two_damped_tokens, lambda rng: (KernelCUR(5), random_problem(rng))),
    guarantee=Deterministic(condition=lambda method, problem, result: 8 + 0.5 / method.ridge),
)


@own_ridge("with a ridge in place of the inverse in an oblique projector", error=scaled_kernel)
def kernel_cur_ridge(method: KernelCUR, problem: AttentionProblem, result: Approximation) -> Values:
    """||A - C M R||^2 <= ||X||^2 + (||C M|| ||E^T X|| + ||C (I - M G) C^+ A||)^2 with X = A - C C^+ A.

    M = (G^T G + t^2 s_1^2)^-1 G^T for the ridge t that the result names and the largest singular value s_1 of G;
    columns of C and G are in units of the largest entries of those of G. C^+ X = 0 and R = E^T A = G C^+ A + E^T X, so
    that A - C M R = X + C (I - M G) C^+ A - C M E^T X, of which X is orthogonal to the range of C.

    By hand: A = [[1, 1/2], [1/2, 1]], the first row and column, t = 1/2. Then M = 4/5, X = [[0, -3/10], [0, 3/5]],
    ||C M|| = 2 / sqrt 5, ||E^T X|| = 3/10, and the ridge costs (1/5) (sqrt 5 / 2) (sqrt 41 / 5) = sqrt(205) / 50:
    sqrt(9/20 + (3 / (5 sqrt 5) + sqrt(205) / 50)^2) = 0.870 bounds (1 + sqrt 0.4) / 2 = 0.816.

    Letters: C its chosen columns; M the damped inverse of G; G their intersection.
    Hypotheses: a ridge of at least 0.01, for rounding is amplified by its square; the rows and columns are known.
    """
    require(method.ridge >= LEAST_RIDGE, f"a ridge of at least {LEAST_RIDGE}, for rounding is amplified by its square")
    a, columns, core, picks = _parts(problem, result)
    u, s, vt = np.linalg.svd(core)
    assert isinstance(result.kernel, ChosenColumns)
    square = (per_head(problem, dense(result.kernel.ridge), 0)[..., None] * s[..., :1]) ** 2
    v = np.swapaxes(vt, -1, -2)
    inverse = v @ ((s / (s * s + square))[..., None] * np.swapaxes(u, -1, -2))
    damping = v @ ((square / (s * s + square))[..., None] * vt)  # I - M G without cancellation
    fitted = np.linalg.pinv(columns) @ a
    left = a - columns @ fitted
    through = _spectral(columns @ inverse) * _spectral(picks @ left) + _spectral(columns @ (damping @ fitted))
    # Pythagoras: X is orthogonal to the range of C
    return np.asarray(np.hypot(_spectral(left), through))
