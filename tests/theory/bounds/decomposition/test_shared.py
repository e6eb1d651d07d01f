import numpy as np
import pytest

from theory.bounds.decomposition import shared as about
from theory.comparison.compare import compare
from theory.statement.bound import HypothesisViolated
from theory.statistics.verdict import Verdict
from tnattn.decomposition.tucker.shared_factors import SharedFactors

EXAMPLE = np.array([np.diag([2.0, 0.0]), np.diag([0.0, 1.0])])
BOUNDS = [about.head_stack_eckart_young, about.head_stack_floor]


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda b: b.name)
def test_members_with_the_same_singular_vectors_leave_no_slack(bound, seed):
    method, target = bound.extremal(np.random.default_rng(seed))
    comparison = compare(method, target, [bound], rng=np.random.default_rng(0))[0]
    assert comparison.verdict is Verdict.SUPPORTED
    assert comparison.slack < 1.0001


def test_the_example_by_hand():
    """W_1 W_1^T + W_2 W_2^T = diag(4, 1): one shared vector leaves 1, vectors of their own leave nothing."""
    method = SharedFactors(ranks=1)
    prediction = about.head_stack_eckart_young(method, EXAMPLE, method(EXAMPLE))
    assert prediction.value == pytest.approx(1.0, rel=1e-12)
    assert prediction.observed == pytest.approx(1.0, rel=1e-12)
    assert about.head_stack_floor(method, EXAMPLE).value == pytest.approx(0.0, abs=1e-12)


def test_sharing_costs_something_where_members_differ(seed):
    method, x = about.head_stack_floor.generic(np.random.default_rng(seed))
    assert method(x).error_certificate ** 2 > 1.2 * about.head_stack_floor(method, x).value


@pytest.mark.parametrize("method", [SharedFactors(rtol=0.1), SharedFactors(ranks=1, modes=(1, 2))], ids=str)
def test_a_case_outside_the_hypotheses_is_refused(method):
    with pytest.raises(HypothesisViolated):
        about.head_stack_floor(method, EXAMPLE)
