"""Leverage scores of Khatri-Rao products, and sampling by those of the factors."""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.bounds.hypotheses import has_rank
from theory.bounds.randnla.leverage import chernoff_lower, chernoff_upper, embedding_distortion
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error
from theory.statement.guarantee import Deterministic, WithProbability
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.decomposition.cp.khatri_rao_sampling import KhatriRaoSampling
from tnattn.structured.khatri_rao import KhatriRao


def _orthogonal(rng: np.random.Generator) -> Instance:
    """Factors with orthogonal columns of disjoint support: the product of the scores is the score of a row.

    Three columns: of two the probability stated for half the distortion is refuted in 70 % of the runs only.
    """
    support = np.kron(np.eye(3), np.ones((3, 1)))[:8]
    factors = tuple(support * rng.standard_normal((8, 1)) for _ in range(2))
    return KhatriRaoSampling(samples=540), KhatriRao(factors)


def _generic(rng: np.random.Generator) -> Instance:
    return KhatriRaoSampling(samples=150), KhatriRao(tuple(rng.standard_normal((n, 2)) for n in (6, 8)))


def _spiky(rng: np.random.Generator) -> Instance:
    factors = [rng.standard_normal((n, 2)) for n in (4, 4, 4)]
    for u in factors:
        u[0] *= 30.0
    return KhatriRaoSampling(samples=120), KhatriRao(tuple(factors))


def scores(a: Any) -> Values:
    """Return the leverage scores of the rows of a matrix of full column rank."""
    return np.asarray(np.sum(np.square(np.linalg.qr(errors.dense(a))[0]), axis=-1))


def products_of_scores(matrix: KhatriRao) -> Values:
    """Return the products of the leverage scores of the factors, one for each row of their Khatri-Rao product."""
    product = np.ones(1)
    for factor in matrix.factors:
        # row i = (i_1, ..., i_N), the last index fastest, as rows of the Khatri-Rao product
        product = np.multiply.outer(product, scores(factor)).reshape(-1)
    return product


def _largest_ratio(target: Any, result: Any) -> Values:
    products = products_of_scores(target)
    known = products > 0
    return np.asarray(np.max(scores(target)[known] / products[known]))


def _one(target: Any) -> Values:
    return np.ones(())


def _trivial_ratio(target: Any) -> Values:
    """Return the ratio that follows from scores being at most one."""
    products = products_of_scores(target)
    return np.asarray(1 / products[products > 0].min())


score_ratio = Error(
    "largest ratio of a leverage score to the product of those of the factors", _largest_ratio, _trivial_ratio, _one
)


def _require_full_rank(matrix: KhatriRao) -> tuple[int, int]:
    """Return the number of columns and of factors, or raise HypothesisViolated."""
    for factor in (*matrix.factors, matrix.to_dense()):
        a = errors.dense(factor)
        require(a.ndim == 2, "there is one matrix, no stack")
        require(has_rank(factor, a.shape[-1]), "factors and product have full column rank, beyond rounding")
    return int(matrix.shape[-1]), len(matrix.factors)


cheng = Paper("Cheng, Peng, Liu & Perros 2016", method=KhatriRaoSampling, instances=(_orthogonal, _spiky))


@cheng("Theorem 3.3", error=score_ratio, guarantee=Deterministic(condition=1e3))
def khatri_rao_leverage(method: KhatriRaoSampling, matrix: KhatriRao) -> Values:
    """l_i(A_1 o ... o A_N) <= prod_k l_{i_k}(A_k) for every row i = (i_1, ..., i_N).

    The columns of the Khatri-Rao product are among those of the Kronecker product, whose scores are the products.

    Letters: l leverage scores; A the factors, A_k the k-th; o the Khatri-Rao product; N the number of factors; i a row,
    of multi-index (i_1, ..., i_N).
    Hypotheses: there is one matrix, no stack; factors and product have full column rank, beyond rounding.
    """
    _require_full_rank(matrix)
    return np.ones(())


larsen = Paper(
    "Larsen & Kolda 2022", method=KhatriRaoSampling, instances=(_orthogonal, _generic), guarantee=WithProbability()
)


@larsen("Theorem 6, constants from Tropp 2015, Theorem 5.1.1", error=embedding_distortion, sharpest={"epsilon": 0.5})
def cp_arls_lev_samples(method: KhatriRaoSampling, matrix: KhatriRao, *, epsilon: float = 0.7) -> tuple[Values, Values]:
    """||U^T S^T S U - I|| < e, except with probability R c(-e)^(s/R^N) + R c(e)^(s/R^N), c(e) = exp(e) / (1+e)^(1+e).

    U is an orthonormal basis of the range of a Khatri-Rao product of N factors with R columns; s rows are drawn by the
    products of the factors' scores, which is leverage sampling with beta >= R^-(N-1). For R = 2, N = 2, s = 120 and
    e = 0.7 the part of the smallest eigenvalue alone is 2 (exp(-0.7) / 0.3^0.3)^(120 / 4) = 7.7047e-05.

    Letters: S the sampling matrix; e the distortion, a parameter; c the function stated; s the number of rows drawn.
    Hypotheses: 0 < e < 1; all rows are drawn; there is one matrix, no stack; factors and product have full column rank,
    beyond rounding.
    """
    require(0 < epsilon < 1, "0 < e < 1")
    require(method.deterministic == 0, "all rows are drawn")
    columns, factors = _require_full_rank(matrix)
    # the statement for leverage sampling at s / R^(N-1) draws, as many fewer as the products overrate the scores
    draws = method.samples / columns ** (factors - 1)
    chance = chernoff_lower(epsilon, columns, draws) + chernoff_upper(epsilon, columns, draws)
    return np.asarray(epsilon), np.asarray(chance)
