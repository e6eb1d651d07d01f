import numpy as np
import pytest

from theory.bounds.decomposition import tt_cross as about
from theory.bounds.decomposition.instances import decaying
from theory.comparison.compare import compare, control
from theory.statement.bound import HypothesisViolated
from theory.statistics.verdict import Verdict
from tnattn.decomposition.tensor_train.tt_cross import TTCross


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
    target = decaying(np.random.default_rng(seed), (4, 5, 6, 3))
    result = about.plain(3, 4, 2)(target, rng=np.random.default_rng(seed))
    _, growth = about.levels(target, result)
    assert np.all(growth <= 1.1 * np.array(result.largest_ranks))


def test_rounding_is_counted(seed):
    """Negative control: without what the rounding changed, the levels alone say too little."""
    target, ranks = decaying(np.random.default_rng(seed), (4, 5, 6)), (2, 3)
    result = TTCross(ranks)(target, rng=np.random.default_rng(seed))
    error = np.abs(target - result.to_dense()).max()
    assert error <= about.tt_cross_telescoping(TTCross(ranks), target, result).value
    assert error > 10 * about.telescoped(*about.levels(target, result))


@pytest.mark.parametrize("difference", [0.02, 0.3])
def test_worked_example_of_the_largest_volume(difference):
    """X_ijk = M_ij v_k: the bound is 2 d, the error 2 d - d^2."""
    x, method = about.alike_slices(difference), about.LargestVolumeTTCross((1, 1))
    assert about.tt_cross_maximal_volume(method, x).value == pytest.approx(2 * difference)
    assert np.abs(x - method(x).to_dense()).max() == pytest.approx(2 * difference - difference**2)


def test_the_largest_volume_reaches_its_bound_and_a_false_constant_is_refuted():
    method, target = about.tt_cross_maximal_volume.extremal(np.random.default_rng(0))
    for b, verdict in ((about.tt_cross_maximal_volume, Verdict.SUPPORTED), (None, Verdict.REFUTED)):
        judged = b or control(about.tt_cross_maximal_volume)
        (comparison,) = compare(method, target, [judged], rng=np.random.default_rng(0))
        assert comparison.verdict is verdict
    (true,) = compare(method, target, [about.tt_cross_maximal_volume], rng=np.random.default_rng(0))
    assert true.slack == pytest.approx(1, abs=0.02)


def test_the_largest_volume_bounds_many_small_tensors(seed):
    shares = []
    for child in np.random.default_rng(seed).spawn(10):
        x = child.standard_normal((3, 2, 3))
        method = about.LargestVolumeTTCross((2, 2))
        error = np.abs(x - method(x).to_dense()).max()
        shares.append(error / about.tt_cross_maximal_volume(method, x).value)
    assert 0.02 < max(shares) <= 1


def test_another_intersection_breaks_the_bound_of_the_largest_volume():
    """Negative control: a cross at the entry 0.01 of a matrix of ones leaves 99 times the largest entry."""
    x = np.ones((2, 2, 1))
    x[0, 0] = 0.01
    bad = x[:, :1] * x[:1] / x[0, 0]
    assert np.abs(x - bad).max() > about.tt_cross_maximal_volume(about.LargestVolumeTTCross((1, 1)), x).value


def test_a_tensor_without_the_ranks_has_no_largest_volume():
    x = np.einsum("i,j,k->ijk", *(np.arange(1.0, 4.0),) * 3)
    with pytest.raises(HypothesisViolated, match="at least its rank"):
        about.tt_cross_maximal_volume(about.LargestVolumeTTCross((2, 2)), x)


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


def test_one_rank_less_is_not_exact(seed):
    """The statement without its hypothesis is refuted, and so is another tensor."""
    method, target = about.tt_cross_exactness.extremal(np.random.default_rng(seed))
    (true,) = compare(method, target, [about.tt_cross_exactness], rng=np.random.default_rng(seed))
    assert true.verdict is Verdict.SUPPORTED
    (false,) = compare(method, target, [control(about.tt_cross_exactness)], rng=np.random.default_rng(seed))
    assert false.verdict is Verdict.REFUTED
    less = TTCross(ranks=(2, 2))(target, rng=np.random.default_rng(seed))
    assert np.abs(target - less.to_dense()).max() > 1e-2 * np.abs(target).max()
