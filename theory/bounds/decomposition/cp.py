"""Uniqueness of canonical polyadic decompositions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from theory.statement import errors
from theory.statement.bound import HypothesisViolated, Instance, require
from theory.statement.guarantee import Deterministic
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.arrays import eps
from tnattn.decomposition.cp.als import CPALS
from tnattn.decomposition.cp.diagonalisation import DiagonalisationStart
from tnattn.decomposition.cp.fitted_cp import FittedCP
from tnattn.decomposition.cp.start import GaussianStart
from tnattn.structured.cp import CPTensor

EXACT = 1e-9  # relative residual up to which a fit counts as a decomposition
INDEPENDENT = 1e-3  # least singular value of independent unit columns: of fits that are exact to rounding only


def _planted(rng: np.random.Generator, sizes: Sequence[int], rank: int) -> Values:
    """Return a tensor of given rank with terms of different size whose columns are far from parallel."""
    # 0.2 of noise: orthogonal factors would make the problem a diagonal one
    factors = [np.linalg.qr(rng.standard_normal((n, rank)))[0] + 0.2 * rng.standard_normal((n, rank)) for n in sizes]
    return np.asarray(CPTensor(1.0 + np.arange(rank), tuple(factors)).to_dense())


def _cube(rng: np.random.Generator) -> Instance:
    return CPALS(rank=3, sweeps=100, stagnation=1e-14, start=GaussianStart()), _planted(rng, (6, 6, 6), 3)


def _order_four(rng: np.random.Generator) -> Instance:
    return CPALS(rank=3, sweeps=100, stagnation=1e-14, start=GaussianStart(), order=4), _planted(rng, (5, 4, 4, 3), 3)


def kruskal_rank(a: Any) -> int:
    """Return the largest k such that any k columns are independent; exponential in the number of columns.

    Columns are compared at unit length, and count as dependent below ``INDEPENDENT``.
    """
    a = errors.dense(a)
    sizes = np.linalg.norm(a, axis=0)
    a = a / np.where(sizes > 0, sizes, 1.0)
    columns, k = a.shape[-1], 0
    # the definition, set by set: no cheaper test of all subsets is known
    while k < min(a.shape) and all(
        np.linalg.svd(a[:, list(chosen)], compute_uv=False)[-1] > INDEPENDENT
        for chosen in itertools.combinations(range(columns), k + 1)
    ):
        k += 1
    return k


def is_certified_unique(factors: Sequence[Any]) -> bool:
    """Say whether sum_n k_n >= 2 R + d - 1 for the Kruskal ranks k_n of d factors with R columns."""
    columns = int(factors[0].shape[-1])
    return sum(kruskal_rank(u) for u in factors) >= 2 * columns + len(factors) - 1


def sizes_of_terms(tensor: CPTensor) -> Values:
    """Return the Frobenius norms of the terms in ascending order, whatever the scales of the columns."""
    sizes = np.abs(errors.dense(tensor.weights))
    for factor in tensor.factors:
        sizes = sizes * np.linalg.norm(errors.dense(factor), axis=0)
    return np.asarray(np.sort(sizes))


kruskal_2000 = Paper(
    "Kruskal 1977; Sidiropoulos & Bro 2000",
    method=CPALS,
    instances=(_cube, _order_four),
    guarantee=Deterministic(condition=1e4),
)


@kruskal_2000("as given in Kolda & Bader 2009, not numbered", error=errors.tensor_frobenius)
def kruskal(method: CPALS, tensor: Any, result: FittedCP) -> tuple[Values, Values]:
    """Two exact decompositions have the same terms if sum_n k_n >= 2 R + d - 1, k_n the Kruskal ranks of one of them.

    The sides are the sizes of the terms found by the method and by simultaneous diagonalisation. With Kruskal ranks
    (3, 3, 3), R = 3 is certified, 9 >= 8; R = 4 with factors of three rows is not, 9 >= 10.

    Letters: R the number of terms.
    Hypotheses: there is one tensor, no stack; the decomposition is exact; no term is zero, beyond rounding; sum_n k_n
    >= 2 R + d - 1; the other decomposition is exact.
    """
    require(len(tensor.shape) == method.order, "there is one tensor, no stack")
    allowed = max(EXACT, 1e3 * eps(tensor)) * float(np.linalg.norm(errors.dense(tensor)))
    require(bool(errors.dense(result.error_certificate) <= allowed), "the decomposition is exact")
    # a term of the size of rounding has columns of rounding, which certify nothing
    require(bool(sizes_of_terms(result)[0] > allowed / INDEPENDENT), "no term is zero, beyond rounding")
    require(is_certified_unique(result.factors), "sum_n k_n >= 2 R + d - 1")
    second = CPALS(rank=result.rank, sweeps=20, stagnation=0, start=DiagonalisationStart(), order=method.order)
    try:
        other = second(tensor)
    except ValueError as unknown:
        raise HypothesisViolated("the tensor is large enough for simultaneous diagonalisation") from unknown
    assert isinstance(other, FittedCP)
    require(bool(errors.dense(other.error_certificate) <= allowed), "the other decomposition is exact")
    return sizes_of_terms(result), sizes_of_terms(other)
