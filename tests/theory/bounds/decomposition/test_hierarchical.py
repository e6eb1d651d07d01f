import numpy as np
import pytest

from theory.bounds.decomposition import hierarchical as about
from theory.bounds.decomposition.instances import decaying
from theory.comparison.compare import compare, control
from theory.statement.bound import HypothesisViolated
from theory.statistics.verdict import Verdict
from tnattn.decomposition.tucker.hosvd import HOSVD

bound = about.htucker_truncation


def diagonal():
    """X_0000 = 2, X_1111 = 1."""
    x = np.zeros((2,) * 4)
    x[0, 0, 0, 0], x[1, 1, 1, 1] = 2.0, 1.0
    return x


@pytest.mark.parametrize(
    "order, nodes",
    [
        (3, [(0,), (1,), (2,)]),
        (4, [(0, 1), (0,), (1,), (2,), (3,)]),
        (5, [(0, 1), (0,), (1,), (2,), (3, 4), (3,), (4,)]),
    ],
)
def test_a_tree_has_two_d_minus_three_matricisations(order, nodes):
    assert about.matricisations(tuple(range(order))) == nodes
    assert len(nodes) == 2 * order - 3


def test_worked_example_of_the_catalogue():
    """d = 4, five tails of 0.1, which are those of the diagonal with 2 and 0.1."""
    x = diagonal()
    x[1, 1, 1, 1] = 0.1
    assert bound(about.HierarchicalTruncation(ranks=1, order=4), x).value == pytest.approx(0.223607, abs=1e-6)


def test_worked_example_of_the_diagonal():
    method = about.HierarchicalTruncation(ranks=1, order=4)
    assert bound(method, diagonal()).value == pytest.approx(5**0.5)
    assert np.linalg.norm(diagonal() - method(diagonal()).to_dense()) == pytest.approx(1)


def test_the_extremal_instance_leaves_little_slack_and_a_false_constant_is_refuted(seed):
    method, target = bound.extremal(np.random.default_rng(seed))
    (true,) = compare(method, target, [bound], rng=np.random.default_rng(seed))
    assert true.verdict is Verdict.SUPPORTED
    assert true.slack < 1.02
    (false,) = compare(method, target, [control(bound)], rng=np.random.default_rng(seed))
    assert false.verdict is Verdict.REFUTED


def test_over_three_modes_it_is_the_truncation_of_tucker(seed):
    x = decaying(np.random.default_rng(seed), (5, 6, 4))
    tree, tucker = about.HierarchicalTruncation(ranks=(2, 3, 2)), HOSVD(ranks=(2, 3, 2))
    np.testing.assert_allclose(tree(x).to_dense(), tucker(x).to_dense(), atol=1e-10 * np.linalg.norm(x))


@pytest.mark.parametrize("order", [3, 4, 5])
def test_full_ranks_are_exact_and_the_bound_says_so(order):
    x = np.random.default_rng(0).standard_normal((2, 3, 2, 3, 2)[:order])
    method = about.HierarchicalTruncation(order=order).with_rank(100, x.shape)
    np.testing.assert_allclose(method(x).to_dense(), x, atol=1e-12)
    assert bound(method, x).value == 0


def test_the_middle_matricisation_matters(seed):
    """Negative control: without its tail the sum over the leaves is exceeded."""
    rng = np.random.default_rng(seed)
    x = np.einsum("ij,kl->ikjl", np.diag([1.0, 0.9, 0.8]), np.diag([1.0, 0.9, 0.8])) + 1e-3 * rng.standard_normal(
        (3,) * 4
    )
    method = about.HierarchicalTruncation(ranks=(1, 3, 3, 3, 3), order=4)
    leaves = about.HierarchicalTruncation(ranks=(9, 3, 3, 3, 3), order=4)
    error = np.linalg.norm(x - method(x).to_dense())
    assert bound(leaves, x).value < error <= bound(method, x).value * (1 + 1e-12)


@pytest.mark.parametrize(
    "method, shape",
    [
        (about.HierarchicalTruncation(rtol=0.1), (3, 3, 3)),
        (about.HierarchicalTruncation(ranks=1), (2, 3, 3, 3)),
        (HOSVD(ranks=1), (3, 3, 3)),
    ],
    ids=range(3),
)
def test_a_case_outside_the_hypotheses_is_refused(method, shape):
    with pytest.raises(HypothesisViolated):
        bound(method, np.ones(shape))
