"""The single-pass decomposition: updates in any order, near-optimality, refusals."""

import numpy as np
import pytest
import scipy.sparse

from theory.bounds.randnla.instances import slow_spectrum, with_singular_values
from tnattn.randnla.count_sketch import CountSketch
from tnattn.randnla.gaussian import Gaussian
from tnattn.randnla.sparse_sign import SparseSign
from tnattn.randnla.streaming_svd import SinglePassSVD
from tnattn.randnla.trigonometric import SubsampledCosine
from tnattn.structured.low_rank import LowRank


def rng(seed=0):
    return np.random.default_rng(seed)


def slow(m=60, n=50):
    return with_singular_values(rng(), slow_spectrum(min(m, n)), m, n)


def start(a, **fields):
    return SinglePassSVD(5, 5, **fields).start(a.shape, rng=rng(1), like=a)


@pytest.mark.parametrize("sketch", [Gaussian(), SparseSign(4), CountSketch(), SubsampledCosine()], ids=repr)
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
    assert 1 <= error / np.linalg.norm(slow_spectrum(50)[5:]) < 2


def test_a_larger_core_lowers_the_error():
    a = slow()
    small, large = (
        np.mean([np.linalg.norm(a - SinglePassSVD(5, 5, core)(a, rng=rng(i)).to_dense()) for i in range(8)])
        for core in (12, 40)
    )
    assert large < 0.8 * small


def test_stacks_and_libraries(xp, assert_close):
    host = with_singular_values(rng(), [5.0, 3.0, 1.0], 20, 15)
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
