import numpy as np
import pytest

from theory.bounds.decomposition import st_hosvd as about
from theory.bounds.decomposition.instances import decaying, diagonal_example
from theory.comparison.compare import compare
from theory.statement.bound import HypothesisViolated
from theory.statistics.verdict import Verdict
from tnattn.decomposition.tucker.hosvd import HOSVD
from tnattn.decomposition.tucker.st_hosvd import STHOSVD

BOUNDS = [about.sthosvd, about.sthosvd_identity]


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda b: b.name)
def test_the_extremal_instance_leaves_little_slack(bound, seed):
    method, target = bound.extremal(np.random.default_rng(seed))
    comparison = compare(method, target, [bound], rng=np.random.default_rng(0))[0]
    assert comparison.verdict is Verdict.SUPPORTED
    assert comparison.slack < 1.02


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda b: b.name)
def test_generic_instances_discard_something(bound, seed):
    method, target = bound.generic(np.random.default_rng(seed))
    assert np.linalg.norm(target - method(target).to_dense()) > 1e-3 * np.linalg.norm(target)


@pytest.mark.parametrize(
    "bound, method, value",
    [
        (about.sthosvd, STHOSVD(ranks=1), 3**0.5),
    ],
    ids=lambda x: getattr(x, "name", ""),
)
def test_worked_examples_of_the_catalogue(bound, method, value):
    assert bound(method, diagonal_example()).value == pytest.approx(value, rel=1e-6)


def test_the_worked_example_discards_one_and_then_nothing():
    result = STHOSVD(ranks=1)(diagonal_example())
    np.testing.assert_allclose(result.discarded, [1, 0, 0], atol=1e-7)
    assert np.linalg.norm(diagonal_example() - result.to_dense()) == pytest.approx(1.0, rel=1e-14)


def test_no_step_discards_more_than_the_tail_of_the_whole_tensor(seed):
    x = decaying(np.random.default_rng(seed), (5, 6, 4))
    tails = [
        np.linalg.norm(np.linalg.svd(a, compute_uv=False)[2:])
        for a in (np.moveaxis(x, j, 0).reshape(x.shape[j], -1) for j in range(3))
    ]
    assert np.all(STHOSVD(ranks=2)(x).discarded <= np.array(tails) * (1 + 1e-9))


@pytest.mark.parametrize(
    "bound, method", [(about.sthosvd, STHOSVD(ranks=2, order=2)), (about.sthosvd, HOSVD(ranks=2))], ids=str
)
def test_a_case_outside_the_hypotheses_is_refused(bound, method):
    with pytest.raises(HypothesisViolated):
        bound(method, np.ones((3, 3, 3)))
