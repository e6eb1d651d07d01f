import numpy as np
import pytest

from theory.bound import HypothesisViolated
from theory.bounds.decomposition import tt_cross as about
from theory.bounds.decomposition.instances import decaying
from theory.compare import compare, control
from theory.verdict import Verdict
from tnattn.decomposition.tt_cross import TTCross


def test_worked_example_of_two_levels():
    """Residuals 0.1 and 0.01, c_1 = 2: 0.1 + 2 * 0.01."""
    assert about.telescoped(np.array([0.1, 0.01]), np.array([2.0, 5.0])) == pytest.approx(0.12)


def test_a_train_of_one_lossy_bond_reaches_the_bound(seed):
    method, target = about.tt_cross_telescoping.extremal(np.random.default_rng(seed))
    (comparison,) = compare(method, target, [about.tt_cross_telescoping], rng=np.random.default_rng(seed))
    assert comparison.verdict is Verdict.SUPPORTED
    assert comparison.slack == pytest.approx(1, abs=1e-6)
    (false,) = compare(method, target, [control(about.tt_cross_telescoping)], rng=np.random.default_rng(seed))
    assert false.verdict is Verdict.REFUTED


def test_coefficients_below_one_bound_the_row_sums_by_the_ranks(seed):
    method, target = about.tt_cross_telescoping.generic(np.random.default_rng(seed))
    _, growth = about.levels(target, method(target, rng=np.random.default_rng(seed)))
    assert np.all(growth <= 1.1 * np.array(method.ranks))


def test_worked_example_of_exactness():
    """A product tensor from a cross at one entry."""
    u, v, w = np.array([1.0, 2.0]), np.array([3.0, -1.0, 2.0]), np.array([1.0, 5.0])
    x = np.einsum("i,j,k->ijk", u, v, w)
    i, j, k = 1, 2, 0
    assert np.allclose(np.einsum("i,j,k->ijk", x[:, j, k], x[i, :, k], x[i, j, :]) / x[i, j, k] ** 2, x)
    result = TTCross(ranks=1)(x, rng=np.random.default_rng(0))
    np.testing.assert_allclose(result.to_dense(), x, atol=1e-13)


def test_exactness_does_not_speak_about_other_ranks():
    x, method = decaying(np.random.default_rng(0), (4, 5, 6)), TTCross(ranks=2)
    result = method(x, rng=np.random.default_rng(0))
    with pytest.raises(HypothesisViolated, match="ranks of the train"):
        about.tt_cross_exactness(method, x, result)
    assert np.abs(x - result.to_dense()).max() > 1e-3 * np.abs(x).max()
