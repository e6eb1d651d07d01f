import numpy as np
import pytest

from theory.bounds.decomposition import hosvd as about
from theory.bounds.decomposition.instances import decaying, diagonal_example
from theory.comparison.compare import compare
from theory.statement.bound import HypothesisViolated
from theory.statistics.verdict import Verdict
from tnattn.decomposition.tucker.hosvd import HOSVD
from tnattn.decomposition.tucker.st_hosvd import STHOSVD

BOUNDS = [about.hosvd, about.hosvd_lower, about.tucker_tolerance]


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
        (about.hosvd, HOSVD(ranks=1), 3**0.5),
        (about.hosvd_lower, HOSVD(ranks=1), 1.0),
        (about.hosvd_lower, STHOSVD(ranks=1), 1.0),
    ],
    ids=lambda x: getattr(x, "name", ""),
)
def test_worked_examples_of_the_catalogue(bound, method, value):
    assert bound(method, diagonal_example()).value == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize(
    "bound, method",
    [(about.hosvd, HOSVD(rtol=0.1)), (about.tucker_tolerance, STHOSVD(ranks=2)), (about.hosvd, STHOSVD(ranks=2))],
    ids=str,
)
def test_a_case_outside_the_hypotheses_is_refused(bound, method):
    with pytest.raises(HypothesisViolated):
        bound(method, np.ones((3, 3, 3)))


def test_the_upper_bound_of_hosvd_does_not_hold_for_worse_bases():
    """Negative control: random bases of the same ranks exceed the bound."""
    rng = np.random.default_rng(0)
    x = decaying(rng, (6, 7, 8))
    bases = [np.linalg.qr(rng.standard_normal((n, 2)))[0] for n in x.shape]
    rough = np.einsum("abc,ai,bj,ck,di,ej,fk->def", x, *bases, *bases, optimize=True)
    assert np.linalg.norm(x - rough) > about.hosvd(HOSVD(ranks=2), x).value
