"""Lifting queries and keys into one positive semidefinite kernel matrix, of which their kernel is a block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from theory.bounds.attention.perturbed import random_problem
from theory.bounds.attention.rows import exact_scores, per_head
from theory.statement.bound import Instance, require
from theory.statement.errors import Error, dense
from theory.statement.guarantee import Deterministic
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from theory.statistics.intervals import deterministic_slack
from tnattn.arrays import Array, Rng, array_namespace, eps
from tnattn.attention.approximation import Approximation
from tnattn.attention.cost import Cost, exact_cost
from tnattn.attention.dense_kernels import unshifted_kernel
from tnattn.attention.method import JointMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.randnla.base import MatrixMethod
from tnattn.randnla.semidefinite.pivoted_cholesky import RandomlyPivotedCholesky
from tnattn.structured import Diagonal, LowRankMatrix


@dataclass(frozen=True, eq=False, repr=False)
class QueryKeyBlock(LowRankMatrix):
    """The block of queries and keys of an approximate lifted kernel ``left @ right``, (..., n_q + n_k, n_q + n_k).

    Parameters
    ----------
    left : Array, (..., n_q + n_k, r)
    right : Array, (..., r, n_q + n_k)
    queries : int

    Examples
    --------
    >>> import numpy as np
    >>> from theory.bounds.attention.lift import QueryKeyBlock
    >>> left = np.array([[1.0], [2.0], [3.0], [4.0]])
    >>> QueryKeyBlock(left, left.T, queries=2).to_dense().tolist()
    [[3.0, 4.0], [6.0, 8.0]]
    """

    left: Array
    right: Array
    queries: int

    def factors(self) -> tuple[Array, Array]:
        return self.left[..., : self.queries, :], self.right[..., :, self.queries :]


@dataclass(frozen=True)
class Lifted(JointMethod):
    """A positive semidefinite method applied to exp(scale x . y) for x and y among queries and keys together.

    Forms the lifted kernel, O((n_q + n_k)^2), since it is here to be compared with theorems.

    Parameters
    ----------
    method : MatrixMethod
        Its error on a positive semidefinite matrix must be positive semidefinite, as that of Nystrom methods.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.bounds.attention.lift import Lifted
    >>> from theory.bounds.attention.perturbed import random_problem
    >>> from theory.statement import errors
    >>> from tnattn.randnla.semidefinite.pivoted_cholesky import RandomlyPivotedCholesky
    >>> problem = random_problem(np.random.default_rng(0), heads=1, n_q=4, n_k=4)
    >>> every_token = Lifted(RandomlyPivotedCholesky(rank=8))(problem, rng=np.random.default_rng(0))
    >>> bool(np.all(errors.relative_output(problem, every_token) < 1e-6))
    True
    """

    method: MatrixMethod

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        xp = array_namespace(problem.q)
        result = self.method(_lifted_kernel(problem), rng=rng)
        if not isinstance(result, LowRankMatrix):
            raise TypeError(f"{type(self.method).__name__} gives no factors")
        # the lifted kernel is not shifted: a shift by rows would make it unsymmetric
        shift = xp.zeros_like(problem.queries[..., 0])
        ones = xp.ones_like(problem.keys[..., 0])
        block = QueryKeyBlock(*result.factors(), problem.n_q)
        return Approximation(block, shift, problem.values, expand=Diagonal(ones))

    def cost(self, problem: AttentionProblem) -> Cost:
        return exact_cost(problem)


def _lifted_kernel(problem: AttentionProblem) -> Array:
    xp = array_namespace(problem.q)
    keys = xp.broadcast_to(problem.keys, (*problem.batch, problem.n_k, problem.width))
    # (..., n_q + n_k, d)
    tokens = xp.concat([problem.queries, keys], axis=-2)
    return xp.exp(problem.score_scale * (tokens @ tokens.mT))


def lifted_error(problem: AttentionProblem, result: Approximation) -> Values:
    """Error of the lifted kernel, (..., H, n_q + n_k, n_q + n_k), after checking that it is semidefinite."""
    require(problem.softcap is None, "scores are inner products")
    block = result.kernel
    require(isinstance(block, QueryKeyBlock), "the kernel is a block of a lifted one")
    assert isinstance(block, QueryKeyBlock)
    kernel = dense(_lifted_kernel(problem))
    error = kernel - dense(block.left) @ dense(block.right)
    size = np.linalg.norm(kernel, ord=2, axis=(-2, -1))
    # 1e-8: half of the digits, since methods for semidefinite kernels compute roots
    smallest = np.linalg.eigvalsh((error + np.swapaxes(error, -1, -2)) / 2)[..., 0]
    require(bool(np.all(smallest >= -1e-8 * size)), "the error of the lifted kernel is positive semidefinite")
    return per_head(problem, error, 2)


def _difference(problem: AttentionProblem, result: Approximation) -> Values:
    return np.asarray(np.exp(exact_scores(problem)) - unshifted_kernel(problem, result))


def lifted_size(problem: AttentionProblem) -> Values:
    return per_head(problem, np.linalg.norm(dense(_lifted_kernel(problem)), axis=(-2, -1)), 0)


def _kernel_size(problem: AttentionProblem) -> Values:
    return np.asarray(np.linalg.norm(np.exp(exact_scores(problem)), axis=(-2, -1)))


kernel_spectral = Error(
    "spectral norm of the kernel exp(scores)",
    lambda t, r: np.asarray(np.linalg.norm(_difference(t, r), ord=2, axis=(-2, -1))),
    _kernel_size,
    lifted_size,
)
kernel_frobenius = Error(
    "Frobenius norm of the kernel exp(scores)",
    lambda t, r: np.asarray(np.linalg.norm(_difference(t, r), axis=(-2, -1))),
    _kernel_size,
    lifted_size,
)
kernel_entries = Error(
    "absolute error of every entry of the kernel exp(scores)",
    lambda t, r: np.abs(_difference(t, r)),
    lambda t: np.exp(exact_scores(t)),
    lambda t: lifted_size(t)[..., None, None],
)


def _same_tokens(rng: np.random.Generator) -> Instance:
    """Queries equal to keys: all blocks of the error are alike, and the spectral bound is attained."""
    x = 0.8 * rng.standard_normal((1, 12, 3))
    return Lifted(RandomlyPivotedCholesky(rank=4)), AttentionProblem(x, x, rng.standard_normal((1, 12, 2)))


def _random(rng: np.random.Generator) -> Instance:
    return Lifted(RandomlyPivotedCholesky(rank=6)), random_problem(rng)


own = Paper(
    "Chen et al. 2021",
    method=Lifted,
    instances=(_same_tokens, _random),
    statement="their lifting, constants re-derived",
)


@own(error=kernel_spectral)
def psd_lift(method: Lifted, problem: AttentionProblem, result: Approximation) -> Values:
    """||E_qk|| <= ||E|| / 2 for the block of queries and keys of the error E >= 0 of the lifted kernel.

    Letters: E the error of the lifted kernel.
    Hypotheses: scores are inner products; the kernel is a block of a lifted one; the error of the lifted kernel is
    positive semidefinite.
    """
    # a block X Y^T of a semidefinite [X; Y] [X; Y]^T: ||X|| ||Y|| <= (||X||^2 + ||Y||^2) / 2
    return np.asarray(np.linalg.norm(lifted_error(problem, result), ord=2, axis=(-2, -1)) / 2)


@own(error=kernel_frobenius)
def psd_lift_frobenius(method: Lifted, problem: AttentionProblem, result: Approximation) -> Values:
    """||E_qk||_F <= ||E||_F / sqrt(2) for the block of queries and keys of the error E >= 0 of the lifted kernel.

    Letters: E the error of the lifted kernel.
    Hypotheses: scores are inner products; the kernel is a block of a lifted one; the error of the lifted kernel is
    positive semidefinite.
    """
    return np.asarray(np.linalg.norm(lifted_error(problem, result), axis=(-2, -1)) / 2**0.5)


def condition_of_root(first: Values, second: Values, rounding: Values) -> Values:
    """Return how many times its rounding x and y amplify in sqrt(x y): (sqrt((x + d)(y + d)) - sqrt(x y)) / d."""
    # sqrt(x y) has no derivative at zero, so that the amplification is a difference quotient
    moved = np.sqrt((first + rounding) * (second + rounding)) - np.sqrt(first * second)
    return np.asarray(moved / np.where(rounding > 0, rounding, 1.0))


def _condition_of_entries(method: Lifted, problem: AttentionProblem, result: Approximation) -> Values:
    """Return the amplification of the rounding of E_ii and E_jj, which are differences, (..., H, n_q, n_k)."""
    n = problem.n_q
    diagonal = np.maximum(np.diagonal(lifted_error(problem, result), axis1=-2, axis2=-1), 0.0)
    size, sizes = lifted_size(problem)[..., None, None], (problem.n_q, problem.n_k)
    rounding = deterministic_slack(sizes, eps(problem.q), size)
    return condition_of_root(diagonal[..., :n, None], diagonal[..., None, n:], rounding)


@own(error=kernel_entries, guarantee=Deterministic(condition=_condition_of_entries))
def psd_lift_entries(method: Lifted, problem: AttentionProblem, result: Approximation) -> Values:
    """|E_ij| <= sqrt(E_ii E_jj) for query i and key j and the error E >= 0 of the lifted kernel.

    Letters: E the error of the lifted kernel.
    Hypotheses: scores are inner products; the kernel is a block of a lifted one; the error of the lifted kernel is
    positive semidefinite.
    """
    diagonal = np.diagonal(lifted_error(problem, result), axis1=-2, axis2=-1)
    root = np.sqrt(np.maximum(diagonal, 0.0))
    return np.asarray(root[..., : problem.n_q, None] * root[..., None, problem.n_q :])
