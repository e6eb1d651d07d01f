"""Higher-order orthogonal iteration: it starts where the truncation ends and never gets worse."""

import numpy as np
import pytest
import tensorly.decomposition
from fixtures import drawn
from hypothesis import given, settings
from hypothesis import strategies as st

from tnattn.arrays import dtype_name, to_host
from tnattn.decomposition.tucker.hooi import HOOI
from tnattn.decomposition.tucker.st_hosvd import STHOSVD

quick = settings(max_examples=30, deadline=None)
shapes = st.lists(st.integers(1, 9), min_size=2, max_size=5).map(tuple).filter(lambda s: np.prod(s) <= 3000)


@st.composite
def cases(draw):
    shape, rank = draw(shapes), draw(st.integers(1, 9))
    return drawn(shape, draw(st.integers(0, 99))), HOOI(order=len(shape), stagnation=0, sweeps=4).with_rank(rank, shape)


@quick
@given(case=cases())
def test_no_sweep_increases_the_error(case):
    x, method = case
    assert np.all(np.diff(method(x).errors) <= 1e-12)


@quick
@given(case=cases())
def test_the_reported_errors_are_true(case):
    x, method = case
    result = method(x)
    true = np.linalg.norm(x - result.to_dense())
    assert result.error_certificate == pytest.approx(true, rel=1e-7, abs=1e-14 * np.linalg.norm(x))
    assert result.errors[-1] * np.linalg.norm(x) == pytest.approx(result.error_certificate, rel=1e-12)


@quick
@given(case=cases())
def test_factors_are_orthonormal(case):
    x, method = case
    for u in method(x).factors:
        np.testing.assert_allclose(u.T @ u, np.eye(u.shape[1]), atol=1e-12)


@quick
@given(case=cases())
def test_the_start_is_the_sequential_truncation(case):
    x, method = case
    start = STHOSVD(ranks=method.ranks, order=method.order)(x)
    true = np.linalg.norm(x - start.to_dense())
    assert method(x).errors[0] * np.linalg.norm(x) == pytest.approx(true, rel=1e-6, abs=1e-13 * np.linalg.norm(x))


@quick
@given(shape=shapes)
def test_full_ranks_are_exact(shape):
    x = drawn(shape)
    result = HOOI(order=len(shape)).with_rank(10**6, shape)(x)
    assert result.error_certificate <= 1e-13 * np.linalg.norm(x)


@pytest.mark.parametrize("sizes, ranks", [((8, 9, 10), (2, 3, 4)), ((5, 6, 4, 5), (2, 2, 3, 2))], ids=str)
def test_the_stationary_point_is_as_good_as_that_of_tensorly(sizes, ranks):
    x = drawn(sizes)
    ours = HOOI(ranks=ranks, order=len(sizes), sweeps=300, stagnation=1e-12)(x)
    theirs = tensorly.decomposition.tucker(x, rank=ranks, n_iter_max=300, tol=1e-12, svd="truncated_svd")
    assert ours.error_certificate <= np.linalg.norm(x - tensorly.tucker_to_tensor(theirs)) * (1 + 1e-3)


def test_sweeps_improve_on_the_start():
    errors = HOOI(ranks=2, stagnation=0)(drawn((8, 9, 10))).errors
    assert errors.shape == (11,)
    assert errors[-1] < errors[0] - 1e-3


def test_a_tolerance_is_kept_and_improved_on():
    x = drawn((6, 7, 8))
    result = HOOI(rtol=0.5)(x)
    assert result.error_certificate <= 0.5 * np.linalg.norm(x)
    assert result.largest_ranks == STHOSVD(rtol=0.5)(x).largest_ranks
    assert result.errors[-1] < result.errors[0]


@pytest.mark.parametrize("method", [HOOI(ranks=2, stagnation=1e-4), HOOI(rtol=0.4, stagnation=1e-4)], ids=str)
def test_a_stack_is_decomposed_as_its_members_are(method):
    x = drawn((3, 5, 6, 7))
    x[0] = np.einsum("i,j,k->ijk", *(drawn(n, n) for n in (5, 6, 7)))
    x[2] = 0
    whole = method(x)
    for i in range(3):
        single = method(x[i])
        np.testing.assert_allclose(whole.to_dense()[i], single.to_dense(), atol=1e-10)
        assert whole.sweeps[i] == single.sweeps
    assert whole.storage == sum(method(x[i]).storage for i in range(3))


def test_a_fit_that_has_converged_stops_early():
    result = HOOI(ranks=2, sweeps=1000, stagnation=1e-3)(drawn((6, 7, 8)))
    assert result.stationary
    assert result.sweeps == result.errors.shape[-1] - 1 < 1000
    assert not HOOI(ranks=2, sweeps=1, stagnation=1e-9)(drawn((6, 7, 8))).stationary


def test_every_library_gives_the_same_fit(xp, assert_close):
    host = drawn((2, 4, 5, 6))
    method = HOOI(ranks=2, sweeps=3, stagnation=0)
    result = method(xp.asarray(host))
    assert_close(result.to_dense(), xp.asarray(to_host(method(host).to_dense())), rtol=0, atol=1e4 * xp.eps())
    assert_close(result.errors, xp.asarray(method(host).errors), rtol=1e4 * xp.eps())


def test_float32_stays_float32(xp):
    result = HOOI(ranks=2)(xp.asarray(drawn((4, 5, 6)), dtype="float32"))
    parts = [result.core, *result.factors, result.errors, result.error_certificate]
    assert {dtype_name(part.dtype) for part in parts} == {"float32"}


def test_a_zero_tensor_is_exact():
    result = HOOI(ranks=2)(np.zeros((3, 4, 5)))
    assert result.error_certificate == 0
    assert result.sweeps == 0


@pytest.mark.parametrize(
    "arguments, message", [({"sweeps": 0}, "sweeps is 0"), ({"stagnation": 1.0}, "0 <= stagnation < 1")], ids=str
)
def test_bad_fields_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        HOOI(**arguments)


def test_ranks_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="rank 7 at place 0"):
        HOOI(ranks=(7, 2, 2))(drawn((6, 7, 8)))
