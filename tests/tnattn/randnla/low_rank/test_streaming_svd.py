"""The single-pass decomposition: updates in any order, near-optimality, refusals."""

import numpy as np
import pytest
import scipy.sparse
from fixtures import relative_of_each, rng

from tnattn.arrays import to_host
from tnattn.discovery import subclasses
from tnattn.gallery import matrix_with_spectrum, polynomial_spectrum
from tnattn.randnla.accuracy import ToleranceWarning
from tnattn.randnla.low_rank.streaming_svd import SinglePassSVD
from tnattn.randnla.sketches.base import Sketch
from tnattn.structured.low_rank import LowRank


def slow(m=60, n=50):
    return matrix_with_spectrum(polynomial_spectrum(min(m, n)), (m, n), rng())


def start(a, **fields):
    return SinglePassSVD(5, 5, **fields).start(a.shape, rng=rng(1), like=a)


@pytest.mark.parametrize("sketch", [cls() for cls in subclasses("tnattn.randnla", Sketch).values()], ids=repr)
def test_rows_may_come_in_any_order(sketch):
    a = slow()
    whole = SinglePassSVD(5, 5, sketch=sketch)(a, rng=rng(1)).to_dense()
    stream = start(a, sketch=sketch)
    for rows in (slice(40, 60), slice(0, 7), slice(7, 40)):
        stream = stream.update(a[rows], rows=rows)
    np.testing.assert_allclose(stream.result().to_dense(), whole, atol=1e-11)


def test_updates_add_up_whatever_their_structure():
    a = slow()
    left, right = rng(2).standard_normal((60, 2)), rng(3).standard_normal((2, 50))
    spike = scipy.sparse.csr_array(([2.0], ([3], [4])), shape=(60, 50))
    stream = start(a).update(a).update(LowRank(left, right)).update(spike)
    desired = start(a).update(a + left @ right + spike.toarray()).result()
    np.testing.assert_allclose(stream.result().to_dense(), desired.to_dense(), atol=1e-10)


def test_what_came_before_may_be_forgotten():
    a, b = slow(), 3 * slow()[::-1]
    stream = start(a).update(a).update(b, forget=0.5)
    np.testing.assert_allclose(stream.result().to_dense(), start(a).update(0.5 * a + b).result().to_dense(), atol=1e-11)


def test_an_update_leaves_the_sketches_it_came_from_alone():
    a = slow()
    first = start(a)
    first.update(a)
    assert np.all(first.result().to_dense() == 0)


def test_the_error_is_near_that_of_the_best_approximation(seed):
    a = slow()
    error = np.linalg.norm(a - SinglePassSVD(5, 15)(a, rng=rng(seed)).to_dense())
    assert 1 <= error / np.linalg.norm(polynomial_spectrum(50)[5:]) < 2


def test_a_larger_core_lowers_the_error():
    a = slow()
    small, large = (
        np.mean([np.linalg.norm(a - SinglePassSVD(5, 5, core)(a, rng=rng(i)).to_dense()) for i in range(8)])
        for core in (12, 40)
    )
    assert large < 0.8 * small


def test_stacks_and_libraries(xp, assert_close):
    host = matrix_with_spectrum([5.0, 3.0, 1.0], (20, 15), rng())
    a = xp.asarray(np.stack([host, 2 * host]))
    stream = SinglePassSVD(4, 3).start(a.shape, rng=rng(1), like=a)
    stream = stream.update(a[:, :8, :], rows=slice(0, 8)).update(a[:, 8:, :], rows=slice(8, 20))
    assert_close(stream.result().to_dense(), a, rtol=0, atol=2000 * xp.eps())


def test_without_a_generator_it_raises():
    with pytest.raises(TypeError, match="pass rng"):
        SinglePassSVD(2).start((4, 4), rng=None, like=np.empty(0))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda a: start(a).update(a[:5]), "60 rows of length 50"),
        (lambda a: start(a).update(a[:5], rows=slice(0, 6)), "6 rows"),
        (lambda a: start(a).update(a[:5], rows=slice(0, 10, 2)), "step 1"),
        (lambda a: SinglePassSVD(5, 5, core=9), "core"),
        (lambda a: SinglePassSVD(5).start((4, 0), rng=rng(), like=a), "length 0"),
        (lambda a: SinglePassSVD(5).start((4, 9), rng=rng(), like=a), "rank 5 exceeds"),
    ],
)
def test_what_does_not_fit_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call(slow())


@pytest.mark.parametrize("rtol", [0.5, 0.05, 0.002])
def test_a_tolerance_takes_a_rank_that_meets_it_up_to_the_spread_of_the_estimate(xp, rtol):
    decays = (0.7 ** np.arange(50), 0.3 ** np.arange(50), np.zeros(50))
    a = np.stack([matrix_with_spectrum(10.0**i * s, (60, 50), rng(i)) for i, s in enumerate(decays)])
    for dtype in xp.dtypes:
        result = SinglePassSVD(25, rtol=rtol, probes=40)(xp.asarray(a, dtype), rng=rng())
        ranks, error = to_host(result.ranks), relative_of_each(a, result)
        assert np.all(to_host(result.converged))
        assert np.all(to_host(result.residual) <= rtol)
        np.testing.assert_allclose(to_host(result.residual), error, rtol=0.4, atol=100 * np.finfo(dtype).eps)
        assert np.all(error <= 1.4 * rtol)
        assert ranks[0] > ranks[1] > ranks[2] == 0
        assert result.storage == 110 * ranks.sum()


@pytest.mark.parametrize(
    "s", [polynomial_spectrum(50), np.ones(50), np.r_[10.0, np.full(49, 0.1)]], ids=["slow", "flat", "1"]
)
def test_the_estimate_is_right_on_average_and_as_steady_as_is_said(s):
    a, ratios = matrix_with_spectrum(s, (60, 50), rng()), []
    for i in range(60):
        with pytest.warns(ToleranceWarning):
            result = SinglePassSVD(12, 5, rtol=0.01)(a, rng=rng(i))
        ratios.append(float(result.residual) / relative_of_each(a, result))
    assert abs(np.mean(ratios) - 1) < 0.06
    assert np.std(ratios) < 0.22


def test_the_estimate_of_one_direction_spreads_as_a_chi_square():
    """A truncation that leaves a spike behind: the error has rank one, the worst case."""
    a, squares = matrix_with_spectrum([10.0, 1.0], (30, 25), rng()), []
    for i in range(300):
        with pytest.warns(ToleranceWarning):
            result = SinglePassSVD(1, 4, rtol=0.01)(a, rng=rng(i))
        squares.append(float(result.residual / relative_of_each(a, result)) ** 2)
    assert abs(np.mean(squares) - 1) < 0.12
    assert 0.8 < np.std(squares) / (2 / 10) ** 0.5 < 1.2


def test_an_exact_approximation_is_known_to_be_exact():
    a = matrix_with_spectrum([5.0, 3.0, 1.0], (30, 25), rng())
    result = SinglePassSVD(4, rtol=1e-8)(a, rng=rng())
    assert (int(result.ranks), bool(result.converged)) == (3, True)
    assert result.residual < 1e-12


def test_a_tolerance_draws_last_and_changes_nothing_else():
    a = slow()
    with pytest.warns(ToleranceWarning, match="rtol 0.01 is not met at rank 5 by 1 of the 1") as caught:
        result = SinglePassSVD(5, 5, rtol=0.01)(a, rng=rng(1))
    assert len(caught) == 1
    np.testing.assert_allclose(result.to_dense(), SinglePassSVD(5, 5)(a, rng=rng(1)).to_dense(), atol=1e-13)
    assert (int(result.ranks), bool(result.converged)) == (5, False)


def test_the_error_sketch_follows_updates():
    a = matrix_with_spectrum(0.5 ** np.arange(50), (60, 50), rng())
    whole = SinglePassSVD(20, rtol=0.01)(a, rng=rng(1))
    stream = SinglePassSVD(20, rtol=0.01).start(a.shape, rng=rng(1), like=a).update(a)
    for rows in (slice(40, 60), slice(0, 7), slice(7, 40)):
        stream = stream.update(a[rows], rows=rows)
    result = stream.update(-1.5 * a, forget=0.75).update(a).result()  # 0.75 * 2 - 1.5 + 1
    assert result.ranks == whole.ranks
    np.testing.assert_allclose(result.residual, whole.residual, rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_a_tolerance_has_no_scale(scale):
    a = matrix_with_spectrum(0.5 ** np.arange(30), (40, 30), rng())
    one, two = (SinglePassSVD(20, rtol=0.01)(x, rng=rng()) for x in (a, scale * a))
    assert one.ranks == two.ranks
    np.testing.assert_allclose(two.residual, one.residual, rtol=1e-9)


@pytest.mark.parametrize(
    "fields, words", [({"rtol": 0.0}, "rtol"), ({"rtol": 1e-15}, "round"), ({"probes": 0}, "probes")]
)
def test_an_impossible_tolerance_is_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        SinglePassSVD(3, **fields)(slow(), rng=rng())
