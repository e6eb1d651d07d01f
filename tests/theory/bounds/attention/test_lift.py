from __future__ import annotations

import numpy as np
import pytest

from theory.bounds.attention.lift import Lifted, psd_lift, psd_lift_entries, psd_lift_frobenius
from theory.bounds.attention.perturbed import random_problem
from theory.statement.bound import Bound, HypothesisViolated
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse.top_k import TopK
from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD
from tnattn.randnla.semidefinite.pivoted_cholesky import RandomlyPivotedCholesky

ALL = [psd_lift, psd_lift_frobenius, psd_lift_entries]


def test_equal_queries_and_keys_worked_by_hand() -> None:
    """x = 0 and 1 for queries and keys: once a key at 0 is taken, R = [[0, 0], [0, e - 1]] stands in every block."""
    x = np.array([[[0.0], [1.0]]])
    problem = AttentionProblem(x, x, np.ones((1, 2, 1)), scale=1.0)
    method = Lifted(RandomlyPivotedCholesky(rank=1))
    result = next(
        found
        for found in (method(problem, rng=np.random.default_rng(seed)) for seed in range(20))
        if abs(found.kernel.to_dense()[0, 0, 0, 0] - 1) < 1e-12 and abs(found.kernel.to_dense()[0, 0, 1, 1] - 1) < 1e-9
    )
    assert psd_lift(method, problem, result).value.item() == pytest.approx(np.e - 1)
    assert psd_lift.error(problem, result).item() == pytest.approx(np.e - 1)
    assert psd_lift_frobenius(method, problem, result).value.item() == pytest.approx(2**0.5 * (np.e - 1))


@pytest.mark.parametrize("b", ALL, ids=lambda b: b.name)
def test_an_error_that_is_not_semidefinite_is_outside_the_hypotheses(b: Bound) -> None:
    class Inflated(TruncatedSVD):
        def factorise(self, a, *, rng):
            result = super().factorise(a, rng=rng)
            return type(result)(result.u, 2 * result.s, result.vt)

    problem = random_problem(np.random.default_rng(0))
    method = Lifted(Inflated(3))
    with pytest.raises(HypothesisViolated, match="semidefinite"):
        b(method, problem, method(problem))


def test_other_methods_are_outside_the_hypotheses() -> None:
    problem = random_problem(np.random.default_rng(0))
    with pytest.raises(HypothesisViolated, match="the method is a Lifted"):
        psd_lift(TopK(3), problem, TopK(3)(problem))
