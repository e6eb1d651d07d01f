"""The kernel through chosen keys and queries: what the columns leave, amplified by the choice of rows."""

from __future__ import annotations

import numpy as np

from theory.bound import Instance, Source, Values, conditional_bound, require
from theory.bounds.attention.perturbed import random_problem
from theory.bounds.attention.rows import exact_scores, per_head
from theory.errors import Error, dense
from theory.guarantee import Deterministic
from tnattn.attention.approximation import Approximation
from tnattn.attention.low_rank.kernel_cur import ChosenColumns, KernelCUR
from tnattn.attention.problem import AttentionProblem


def _shifted(problem: AttentionProblem, result: Approximation) -> Values:
    """Return exp(S - shift) with the shifts of the result, (..., H, n_q, n_k)."""
    return np.exp(exact_scores(problem) - per_head(problem, dense(result.shift), 1)[..., None])


def _approximate(problem: AttentionProblem, result: Approximation) -> Values:
    assert result.expand is not None
    return per_head(problem, dense(result.kernel) @ dense(result.expand), 2)


def _measure(problem: AttentionProblem, result: Approximation) -> Values:
    return np.asarray(np.linalg.norm(_shifted(problem, result) - _approximate(problem, result), ord=2, axis=(-2, -1)))


def _size(problem: AttentionProblem) -> Values:
    scores = exact_scores(problem)
    return np.asarray(np.linalg.norm(np.exp(scores - scores.max(axis=-1, keepdims=True)), ord=2, axis=(-2, -1)))


# the shifts come with the result; rows of exp(S - shift) are at least as large as with their largest score
shifted_kernel = Error("spectral norm of the kernel exp(scores - shift)", _measure, _size, _size)


def _two_tokens(rng: np.random.Generator) -> Instance:
    """Two nearly equal queries and keys: a column leaves as much as it can, and no row helps."""
    x = np.array([[[0.1], [-0.1]]])
    return KernelCUR(1, ridge=0.0), AttentionProblem(x, x, rng.standard_normal((1, 2, 2)))


def _random(rng: np.random.Generator) -> Instance:
    return KernelCUR(5, ridge=0.0), random_problem(rng)


@conditional_bound(
    method=KernelCUR,
    error=shifted_kernel,
    guarantee=Deterministic(condition=1e4),
    source=Source("re-derived; oblique projections as in Sorensen & Embree 2016"),
    extremal=_two_tokens,
    generic=_random,
)
def kernel_cur_projection(method: KernelCUR, problem: AttentionProblem, result: Approximation) -> Values:
    """||A - C G^-1 R|| <= ||C G^-1|| ||A - C C^+ A|| for A = exp(S - shift), its columns C, rows R, intersection G.

    A - C G^-1 R = (I - P)(A - C C^+ A) with the oblique projector P = C G^-1 E^T, E picking rows; ||I - P|| = ||P||.
    """
    require(method.ridge == 0, "no ridge")
    chosen = result.kernel
    require(isinstance(chosen, ChosenColumns), "the rows are known")
    assert isinstance(chosen, ChosenColumns)
    kernel, columns = _shifted(problem, result), per_head(problem, dense(chosen), 2)
    rows = np.asarray(per_head(problem, dense(chosen.queries), 1), dtype=np.int64)
    core = np.take_along_axis(columns, rows[..., None], axis=-2)
    s = np.linalg.svd(core, compute_uv=False)
    require(bool(np.all(s[..., -1] > 1e-10 * s[..., 0])), "the intersection is not singular, beyond rounding")
    coefficients = np.linalg.solve(np.swapaxes(core, -1, -2), np.swapaxes(columns, -1, -2))  # the transpose of C G^-1
    growth = np.linalg.norm(coefficients, ord=2, axis=(-2, -1))
    left = kernel - columns @ (np.linalg.pinv(columns) @ kernel)
    return np.asarray(growth * np.linalg.norm(left, ord=2, axis=(-2, -1)))
