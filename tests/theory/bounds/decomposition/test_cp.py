import numpy as np
import pytest
from fixtures import normal

from theory.bounds.decomposition import cp as about
from theory.comparison.compare import compare
from theory.statement.bound import HypothesisViolated
from theory.statistics.verdict import Verdict
from tnattn.decomposition.cp.als import CPALS
from tnattn.decomposition.cp.diagonalisation import DiagonalisationStart
from tnattn.structured.cp import CPTensor


def test_two_roads_lead_to_the_same_terms(seed):
    method, target = about.kruskal.extremal(np.random.default_rng(seed))
    comparison = compare(method, target, [about.kruskal], trials=3, rng=np.random.default_rng(0))[0]
    assert comparison.verdict is Verdict.SUPPORTED
    assert comparison.slack == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize(
    "matrix, rank",
    [
        (np.eye(3), 3),
        (normal(3, 4), 3),
        (np.array([[1.0, 2.0, 0.0], [0.0, 0.0, 1.0]]), 1),
        (np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]), 2),
        (np.zeros((3, 2)), 0),
    ],
    ids=["identity", "wide", "parallel columns", "dependent triple", "zero"],
)
def test_kruskal_ranks_by_hand(matrix, rank):
    assert about.kruskal_rank(matrix) == rank


def test_worked_examples_of_the_catalogue():
    assert about.is_certified_unique([normal(3, 3, seed=s) for s in range(3)])
    assert not about.is_certified_unique([normal(3, 4, seed=s) for s in range(3)])


def test_terms_that_share_a_vector_are_not_certified():
    """The two terms have a factor in common: any basis of the plane of the others will do."""
    factors = (np.ones((3, 2)), normal(4, 2, seed=1), normal(5, 2, seed=2))
    x = CPTensor(np.ones(2), factors).to_dense()
    method = CPALS(rank=2, sweeps=50, stagnation=0)
    assert not about.is_certified_unique(factors)
    with pytest.raises(HypothesisViolated, match="sum_n k_n"):
        about.kruskal(method, x, method(x))


def test_without_the_condition_the_terms_differ():
    """Negative control: two exact decompositions of a tensor with a shared vector, by hand."""
    a, b, c = np.ones(3), normal(4, 2, seed=1), normal(5, 2, seed=2)
    turn = np.array([[2.0, 1.0], [0.0, 1.0]])
    first = CPTensor(np.ones(2), (np.stack([a, a], axis=1), b, c))
    second = CPTensor(np.ones(2), (np.stack([a, a], axis=1), b @ turn, c @ np.linalg.inv(turn).T))
    np.testing.assert_allclose(first.to_dense(), second.to_dense(), atol=1e-12)
    assert np.abs(about.sizes_of_terms(first) - about.sizes_of_terms(second)).max() > 0.1


def test_a_fit_that_is_not_exact_is_outside_the_hypotheses():
    x = normal(5, 5, 5)
    method = CPALS(rank=2, sweeps=5, start=DiagonalisationStart())
    with pytest.raises(HypothesisViolated, match="exact"):
        about.kruskal(method, x, method(x))
