"""Common properties of HOSVD, ST-HOSVD and TT-SVD."""

import dataclasses
import math
from dataclasses import fields

import numpy as np
import pytest
import tensorly.decomposition
from fixtures import drawn
from hypothesis import given, settings
from hypothesis import strategies as st

from tnattn.arrays import dtype_name, to_host
from tnattn.decomposition.base import Decomposition
from tnattn.decomposition.tensor_train.tt_svd import TTSVD
from tnattn.decomposition.tucker.hosvd import HOSVD
from tnattn.decomposition.tucker.st_hosvd import STHOSVD
from tnattn.decomposition.tucker.tucker_truncation import TuckerTruncation
from tnattn.discovery import subclasses

EVERY = subclasses("tnattn.decomposition", Decomposition).values()
# one singular value decomposition for each unfolding, without sweeps
CLASSES = [cls for cls in EVERY if cls.quasi_optimal and "sweeps" not in {f.name for f in fields(cls)}]
every_class = pytest.mark.parametrize("cls", CLASSES)
quick = settings(max_examples=40, deadline=None)
shapes = st.lists(st.integers(1, 9), min_size=2, max_size=5).map(tuple).filter(lambda s: math.prod(s) <= 3000)


def norms(x, order):
    return np.linalg.norm(np.reshape(x, (*x.shape[: x.ndim - order], -1)), axis=-1)


def unfoldings(cls, x):
    if issubclass(cls, TuckerTruncation):
        return [np.moveaxis(x, j, 0).reshape(x.shape[j], -1) for j in range(x.ndim)]
    return [x.reshape(math.prod(x.shape[:k]), -1) for k in range(1, x.ndim)]


@st.composite
def cases(draw, cls):
    """A tensor, and a method with ranks that it admits."""
    shape = draw(shapes)
    x = drawn((*shape,), seed=draw(st.integers(0, 99)))
    limits = cls(order=len(shape)).rank_limits(shape)
    return x, cls(order=len(shape)).with_rank(draw(st.integers(1, max(limits))), shape)


@every_class
@quick
@given(data=st.data())
def test_full_ranks_are_exact(cls, data):
    shape = data.draw(shapes)
    x = drawn(shape)
    method = cls(order=len(shape)).with_rank(10**6, shape)
    assert norms(x - method(x).to_dense(), x.ndim) <= 100 * np.finfo(float).eps * np.linalg.norm(x)


@every_class
@quick
@given(data=st.data())
def test_the_error_is_within_its_constant_of_the_best(cls, data):
    x, method = data.draw(cases(cls))
    tails = [
        np.linalg.norm(np.linalg.svd(a, compute_uv=False)[r:])
        for a, r in zip(unfoldings(cls, x), method.ranks_for(x.shape), strict=True)
    ]
    error, slack = np.linalg.norm(x - method(x).to_dense()), 1e-13 * np.linalg.norm(x)
    assert max(tails) - slack <= error <= np.linalg.norm(tails) + slack


@pytest.mark.parametrize("cls", [STHOSVD, TTSVD])
@quick
@given(data=st.data())
def test_the_certificate_is_the_error(cls, data):
    x, method = data.draw(cases(cls))
    result, energy = method(x), np.sum(x * x)
    error = np.sum((x - result.to_dense()) ** 2)
    assert abs(result.error_certificate**2 - error) <= 8 * max(x.shape) * np.finfo(float).eps * energy


@quick
@given(data=st.data())
def test_the_certificate_of_hosvd_is_an_upper_bound(data):
    x, method = data.draw(cases(HOSVD))
    result = method(x)
    slack = 1e-13 * np.linalg.norm(x)
    assert np.linalg.norm(x - result.to_dense()) <= result.error_certificate + slack


@every_class
@quick
@given(data=st.data())
def test_a_tolerance_is_kept(cls, data):
    shape, rtol = data.draw(shapes), data.draw(st.sampled_from([1e-6, 0.1, 0.5, 0.9]))
    x = drawn(shape)
    assert norms(x - cls(rtol=rtol, order=len(shape))(x).to_dense(), x.ndim) <= rtol * np.linalg.norm(x)


@pytest.mark.parametrize("cls", [HOSVD, STHOSVD])
@quick
@given(data=st.data())
def test_tucker_factors_are_orthonormal(cls, data):
    x, method = data.draw(cases(cls))
    for u in method(x).factors:
        np.testing.assert_allclose(u.T @ u, np.eye(u.shape[1]), atol=1e-13)


@quick
@given(data=st.data())
def test_all_cores_of_a_train_but_the_last_have_orthonormal_columns(data):
    x, method = data.draw(cases(TTSVD))
    for core in method(x).cores[:-1]:
        columns = core.reshape(-1, core.shape[-1])
        np.testing.assert_allclose(columns.T @ columns, np.eye(core.shape[-1]), atol=1e-13)


@every_class
@pytest.mark.parametrize("rtol", [None, 0.4])
def test_a_stack_is_decomposed_as_its_members_are(cls, rtol):
    x = drawn((2, 3, 4, 5, 6)) * np.arange(1, 7).reshape(2, 3, 1, 1, 1) ** 4.0
    x[0, 0] = np.einsum("i,j,k->ijk", *(drawn(n, seed=n) for n in (4, 5, 6)))
    method = cls(ranks=3) if rtol is None else cls(rtol=rtol)
    whole = method(x)
    storage = 0
    for i in np.ndindex(2, 3):
        single = method(x[i])
        storage += single.storage
        np.testing.assert_allclose(whole.to_dense()[i], single.to_dense(), atol=1e-12 * np.abs(x[i]).max())
        np.testing.assert_allclose(whole.discarded[i], single.discarded, rtol=1e-7, atol=1e-12 * np.abs(x[i]).max())
    assert whole.storage == storage


@every_class
@pytest.mark.parametrize("method", [{"ranks": 2}, {"rtol": 0.3}], ids=str)
def test_every_library_gives_the_same_tensor(xp, assert_close, cls, method):
    host = drawn((2, 4, 5, 6))
    result = cls(**method)(xp.asarray(host))
    desired = xp.asarray(to_host(cls(**method)(host).to_dense()))
    assert_close(result.to_dense(), desired, rtol=0, atol=1e3 * xp.eps())
    assert_close(result.norm(), xp.asarray(norms(to_host(desired), 3)), rtol=1e3 * xp.eps())


@every_class
@pytest.mark.parametrize("method", [{"ranks": 2}, {"ranks": (4, 5, 6)}, {"rtol": 0.3}], ids=str)
def test_float32_stays_float32(xp, cls, method):
    if cls is TTSVD and isinstance(method.get("ranks"), tuple):
        method = {"ranks": (4, 6)}
    result = cls(**method)(xp.asarray(drawn((2, 4, 5, 6)), dtype="float32"))
    parts = [*(result.cores if cls is TTSVD else (result.core, *result.factors)), result.discarded, result.to_dense()]
    assert {dtype_name(part.dtype) for part in parts} == {"float32"}


@every_class
@pytest.mark.parametrize("rtol", [1e-4, 1e-3, 1e-2, 0.2])
def test_float32_keeps_tolerances_below_the_root_of_its_rounding(cls, rtol, seed):
    rng = np.random.default_rng(seed)
    x = np.einsum("abc,ia,jb,kc->ijk", *(rng.standard_normal(s) for s in ((3, 3, 3), (20, 3), (21, 3), (22, 3))))
    x = (x / np.linalg.norm(x) + 1e-5 * rng.standard_normal(x.shape) / x.size**0.5).astype(np.float32)
    result = cls(rtol=rtol)(x)
    assert np.linalg.norm(x.astype(float) - result.to_dense()) <= rtol
    assert max(result.largest_ranks) <= 9


@every_class
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_extreme_scales_neither_overflow_nor_vanish(cls, scale):
    x = drawn((4, 5, 6)).astype(np.float32)
    result, plain = cls(ranks=2)((x * np.float32(scale)).astype(np.float32)), cls(ranks=2)(x)
    np.testing.assert_allclose(result.to_dense() / np.float32(scale), plain.to_dense(), atol=1e-5)
    np.testing.assert_allclose(result.error_certificate / np.float32(scale), plain.error_certificate, rtol=1e-5)


@every_class
@pytest.mark.parametrize("method", [{"ranks": 2}, {}], ids=str)
def test_a_zero_tensor_is_exact(cls, method):
    result = cls(**method)(np.zeros((3, 4, 5)))
    assert not result.to_dense().any()
    assert result.error_certificate == 0


@every_class
def test_order_two_is_the_truncated_singular_value_decomposition(cls):
    x = drawn((5, 6, 7))
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    np.testing.assert_allclose(
        cls(ranks=3, order=2)(x).to_dense(), (u[..., :3] * s[..., None, :3]) @ vt[..., :3, :], atol=1e-12
    )


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 6), (3, 4, 5, 4)])
def test_trains_are_those_of_tensorly(shape):
    x, order = drawn(shape), len(shape)
    theirs = tensorly.decomposition.tensor_train(x, rank=[1, *[2] * (order - 1), 1], svd="truncated_svd")
    np.testing.assert_allclose(TTSVD(ranks=2, order=order)(x).to_dense(), theirs.to_tensor(), atol=1e-12)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 6), (3, 4, 5, 4)])
def test_tucker_errors_are_close_to_what_sweeps_reach_in_tensorly(shape):
    x, order = drawn(shape), len(shape)
    theirs = tensorly.decomposition.tucker(x, rank=[2] * order, svd="truncated_svd", n_iter_max=100)
    reached = np.linalg.norm(x - theirs.to_tensor())
    for cls in (HOSVD, STHOSVD):
        assert np.linalg.norm(x - cls(ranks=2, order=order)(x).to_dense()) <= order**0.5 * reached


def test_the_order_of_the_modes_is_honoured():
    x = drawn((4, 5, 6))
    results = [STHOSVD(ranks=2, mode_order=order)(x) for order in ((0, 1, 2), (2, 1, 0))]
    assert [r.mode_order for r in results] == [(0, 1, 2), (2, 1, 0)]
    assert not np.allclose(results[0].to_dense(), results[1].to_dense())


def test_small_modes_go_first_by_default():
    assert STHOSVD(order=4).modes((5, 2, 9, 2)) == (1, 3, 0, 2)


@every_class
def test_ranks_come_from_one_number_and_are_lowered_to_the_sizes(cls):
    method = cls().with_rank(8, (4, 64, 64))
    assert method.ranks == ((4, 8, 8) if cls is not TTSVD else (4, 8))
    method(drawn((4, 64, 64)))


@every_class
def test_methods_are_values(cls):
    assert cls(ranks=[2] * (2 if cls is TTSVD else 3)) == cls(ranks=(2,) * (2 if cls is TTSVD else 3))
    assert hash(cls()) == hash(cls(rtol=0.01))
    assert dataclasses.replace(cls(ranks=2), ranks=3).ranks == 3


@every_class
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"order": 1}, "order is 1"),
        ({"ranks": 0}, "rank is 0"),
        ({"ranks": (2,)}, "are needed at order 3"),
        ({"ranks": 2, "rtol": 0.1}, "both given"),
        ({"rtol": 0.0}, "0 < rtol < 1"),
        ({"rtol": float("nan")}, "0 < rtol < 1"),
    ],
    ids=str,
)
def test_bad_fields_are_refused(cls, arguments, message):
    with pytest.raises(ValueError, match=message):
        cls(**arguments)


@every_class
@pytest.mark.parametrize(
    "arguments, tensor, error, message",
    [
        ({"ranks": 7}, np.ones((3, 4, 5)), ValueError, "rank 7 at place 0"),
        ({}, np.full((3, 4, 5), np.nan), ValueError, "60 NaN"),
        ({}, np.ones((3, 4)), ValueError, "fewer axes than order 3"),
        ({}, np.ones((3, 0, 4)), ValueError, "at least one entry"),
        ({}, np.ones((3, 4, 5), dtype=int), TypeError, "int64"),
        ({}, np.ones((3, 4, 5), dtype=np.float16), TypeError, "float16; convert"),
        ({}, [[1.0]], TypeError, "got list"),
        ({"rtol": 1e-15}, np.ones((30, 4, 5)), ValueError, "rtol 1e-15 is below 6.7e-15"),
    ],
    ids=["ranks", "nan", "order", "empty", "integers", "half", "list", "rtol"],
)
def test_bad_input_is_refused(cls, arguments, tensor, error, message):
    with pytest.raises(error, match=message):
        cls(**arguments)(tensor)


def test_ranks_that_no_core_has_are_refused():
    with pytest.raises(ValueError, match="rank 3 of mode 0 exceeds 1"):
        STHOSVD(ranks=(3, 1, 1))(np.ones((4, 4, 4)))


def test_bond_ranks_that_no_core_has_are_refused():
    with pytest.raises(ValueError, match="differ by more than a factor 2"):
        TTSVD(ranks=(1, 3))(np.ones((4, 2, 4)))


def test_an_order_that_misses_a_mode_is_refused():
    with pytest.raises(ValueError, match="mode_order"):
        STHOSVD(mode_order=(0, 1, 1))


@pytest.mark.parametrize("name", ["HOSVD", "STHOSVD"])
def test_truncations_of_every_mode_are_quasi_optimal(name):
    """So that the laws above hold of them."""
    assert name in {cls.__name__ for cls in CLASSES}


def test_the_tensor_train_is_quasi_optimal():
    assert TTSVD in CLASSES


def test_a_rank_too_low_is_not_exact():
    """Negative control for the exactness tests."""
    x = drawn((4, 5, 6))
    assert np.linalg.norm(x - STHOSVD(ranks=(3, 5, 6))(x).to_dense()) > 0.1
