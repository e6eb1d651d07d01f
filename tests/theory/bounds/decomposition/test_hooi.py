import numpy as np
import pytest

from theory.bounds.decomposition import hooi as about
from theory.bounds.decomposition.hosvd import hosvd_lower
from theory.bounds.decomposition.instances import decaying, diagonal_example
from theory.comparison.compare import compare
from theory.statement.bound import HypothesisViolated
from theory.statistics.verdict import Verdict
from tnattn.decomposition.tucker.hooi import HOOI

BOUNDS = [about.hooi_monotone, about.hooi_every_sweep, about.hooi]


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda b: b.name)
def test_the_extremal_instance_leaves_little_slack(bound, seed):
    method, target = bound.extremal(np.random.default_rng(seed))
    comparison = compare(method, target, [bound], rng=np.random.default_rng(0))[0]
    assert comparison.verdict is Verdict.SUPPORTED
    assert comparison.slack < 1.02


def test_the_worked_example_of_the_catalogue():
    result = HOOI(ranks=1)(diagonal_example())
    assert result.error_certificate == pytest.approx(1.0, rel=1e-12)
    assert about.hooi_monotone(HOOI(ranks=1), diagonal_example()).value == pytest.approx(1.0, rel=1e-12)
    assert about.hooi(HOOI(ranks=1), diagonal_example()).value == pytest.approx(3**0.5, rel=1e-12)


def test_the_sweeps_gain_something_on_the_generic_instance(seed):
    method, x = about.hooi_monotone.generic(np.random.default_rng(seed))
    start = about.hooi_monotone(method, x).value
    floor = hosvd_lower(method, x).value
    assert floor <= method(x).error_certificate < start


def test_a_tolerance_is_outside_the_hypotheses():
    with pytest.raises(HypothesisViolated, match="the ranks are given"):
        about.hooi(HOOI(rtol=0.1), np.ones((3, 3, 3)))


def test_sweeps_from_bad_bases_can_be_worse_than_the_truncation():
    """Negative control: random bases, which no sweep has improved, are worse than the start."""
    rng = np.random.default_rng(0)
    x = decaying(rng, (6, 7, 8))
    bases = [np.linalg.qr(rng.standard_normal((n, 2)))[0] for n in x.shape]
    rough = np.einsum("abc,ai,bj,ck,di,ej,fk->def", x, *bases, *bases, optimize=True)
    assert np.linalg.norm(x - rough) > about.hooi_monotone(HOOI(ranks=2), x).value
