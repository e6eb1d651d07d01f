import numpy as np
import pytest

from theory.bounds.decomposition import tt_svd as about
from theory.bounds.decomposition.instances import decaying, diagonal_example
from theory.comparison.compare import compare
from theory.statement.bound import HypothesisViolated
from theory.statement.errors import dense
from theory.statistics.verdict import Verdict
from tnattn.decomposition.tensor_train.tt_svd import TTSVD

BOUNDS = [about.ttsvd, about.ttsvd_lower, about.ttsvd_identity, about.tt_rounding]


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda b: b.name)
def test_the_extremal_instance_leaves_little_slack(bound, seed):
    method, target = bound.extremal(np.random.default_rng(seed))
    comparison = compare(method, target, [bound], rng=np.random.default_rng(0))[0]
    assert comparison.verdict is Verdict.SUPPORTED
    assert comparison.slack < 1.02


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda b: b.name)
def test_generic_instances_discard_something(bound, seed):
    method, target = bound.generic(np.random.default_rng(seed))
    x = dense(target)
    assert np.linalg.norm(x - method(target).to_dense()) > 1e-3 * np.linalg.norm(x)


@pytest.mark.parametrize(
    "bound, method, value",
    [
        (about.ttsvd, TTSVD(ranks=1), 1.414214),
        (about.ttsvd_lower, TTSVD(ranks=1), 1.0),
    ],
    ids=lambda x: getattr(x, "name", ""),
)
def test_worked_examples_of_the_catalogue(bound, method, value):
    assert bound(method, diagonal_example()).value == pytest.approx(value, rel=1e-6)


def test_the_worked_example_discards_one_and_then_nothing():
    result = TTSVD(ranks=1)(diagonal_example())
    np.testing.assert_allclose(result.discarded, [1, 0], atol=1e-7)
    assert np.linalg.norm(diagonal_example() - result.to_dense()) == pytest.approx(1.0, rel=1e-14)


def test_no_step_discards_more_than_the_tail_of_the_whole_tensor(seed):
    x = decaying(np.random.default_rng(seed), (5, 6, 4))
    tails = [np.linalg.norm(np.linalg.svd(a, compute_uv=False)[2:]) for a in (x.reshape(5, -1), x.reshape(30, -1))]
    assert np.all(TTSVD(ranks=2)(x).discarded <= np.array(tails) * (1 + 1e-9))


@pytest.mark.parametrize(
    "bound, method", [(about.tt_rounding, TTSVD(ranks=2)), (about.ttsvd, TTSVD(rtol=0.2))], ids=str
)
def test_a_case_outside_the_hypotheses_is_refused(bound, method):
    with pytest.raises(HypothesisViolated):
        bound(method, np.ones((3, 3, 3)))


def test_worked_example_of_rounding():
    x = decaying(np.random.default_rng(0), (4, 4, 4, 4))
    x /= np.linalg.norm(x)
    assert about.tt_rounding(TTSVD(rtol=0.03, order=4), x).value == pytest.approx(0.03)


@pytest.mark.parametrize("rtol", [0.1, 0.3, 0.6])
def test_rounding_needs_no_more_than_the_delta_ranks_of_the_unfoldings(rtol, seed):
    x = decaying(np.random.default_rng(seed), (4, 5, 6, 3))
    delta = rtol / 3**0.5 * np.linalg.norm(x)
    for k, rank in enumerate(TTSVD(rtol=rtol, order=4)(x).largest_ranks, start=1):
        s = np.linalg.svd(x.reshape(np.prod(x.shape[:k]), -1), compute_uv=False)
        assert rank <= max(1, sum(np.linalg.norm(s[r:]) > delta for r in range(len(s))))
