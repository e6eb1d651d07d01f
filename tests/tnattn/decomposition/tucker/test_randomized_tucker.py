"""Truncations whose bases come from range finders: nearly as good as the exact ones, certified all the same."""

import numpy as np
import pytest
from fixtures import drawn, rng
from hypothesis import given, settings
from hypothesis import strategies as st

from tnattn.arrays import dtype_name, to_host
from tnattn.decomposition.tucker.randomized_tucker import RandomizedHOSVD, RandomizedSTHOSVD
from tnattn.decomposition.tucker.st_hosvd import STHOSVD
from tnattn.randnla.sketches.sparse_sign import SparseSign
from tnattn.testing import check_decomposition

CLASSES = [RandomizedHOSVD, RandomizedSTHOSVD]
every_class = pytest.mark.parametrize("cls", CLASSES)
quick = settings(max_examples=30, deadline=None)
shapes = st.lists(st.integers(1, 9), min_size=2, max_size=5).map(tuple).filter(lambda s: np.prod(s) <= 3000)


def decaying(sizes, seed=0):
    x = drawn(sizes, seed)
    for mode, n in enumerate(sizes):
        basis = np.linalg.qr(drawn((n, n), seed + mode))[0] / np.arange(1, n + 1) ** 1.5
        x = np.moveaxis(np.tensordot(basis, x, (1, mode)), 0, mode)
    return x


@every_class
@quick
@given(shape=shapes)
def test_full_ranks_are_exact(cls, shape):
    x = drawn(shape)
    result = cls(order=len(shape), exact_below=0).with_rank(10**6, shape)(x, rng=rng())
    assert np.linalg.norm(x - result.to_dense()) <= 1e-13 * np.linalg.norm(x)


@every_class
@quick
@given(shape=shapes, rank=st.integers(1, 9), recompress=st.booleans())
def test_the_certificate_and_the_factors_are_sound(cls, shape, rank, recompress):
    x = drawn(shape)
    method = cls(order=len(shape), exact_below=0, oversampling=2, recompress=recompress).with_rank(rank, shape)
    result = method(x, rng=rng())
    error, slack = np.linalg.norm(x - result.to_dense()), 1e-10 * np.linalg.norm(x)
    assert error <= result.error_certificate + slack
    if cls is RandomizedSTHOSVD:
        assert result.error_certificate == pytest.approx(error, rel=1e-6, abs=slack)
    for u in result.factors:
        np.testing.assert_allclose(u.T @ u, np.eye(u.shape[1]), atol=1e-12)


@every_class
@pytest.mark.parametrize("sketch", [None, SparseSign()], ids=["Gaussian", "SparseSign"])
def test_it_is_nearly_as_good_as_the_exact_truncation(cls, sketch, seed):
    x = decaying((20, 30, 40))
    extra = {} if sketch is None else {"sketch": sketch}
    result = cls(ranks=4, exact_below=0, **extra)(x, rng=rng(seed))
    best = np.linalg.norm(x - STHOSVD(ranks=4)(x).to_dense())
    assert np.linalg.norm(x - result.to_dense()) <= 1.02 * best


@every_class
def test_a_tensor_of_the_ranks_is_found(cls):
    core, factors = drawn((2, 3, 4)), [drawn((n, r), n) for n, r in ((20, 2), (30, 3), (40, 4))]
    x = np.einsum("abc,ia,jb,kc->ijk", core, *factors, optimize=True)
    result = cls(ranks=(2, 3, 4), exact_below=0)(x, rng=rng())
    assert np.linalg.norm(x - result.to_dense()) <= 1e-13 * np.linalg.norm(x)
    assert result.error_certificate <= 1e-12 * np.linalg.norm(x)


@every_class
@pytest.mark.parametrize("rtol", [0.3, 0.05, 1e-4, 1e-9])
def test_a_tolerance_is_kept(cls, rtol):
    x = decaying((40, 90, 80))
    result = cls(rtol=rtol, exact_below=1.0)(x, rng=rng())
    assert np.linalg.norm(x - result.to_dense()) <= rtol * np.linalg.norm(x)


def test_a_tolerance_needs_hardly_more_than_the_smallest_ranks():
    x = decaying((20, 90, 80))
    sketched = RandomizedSTHOSVD(rtol=0.1, exact_below=1.0)(x, rng=rng()).largest_ranks
    exact = STHOSVD(rtol=0.1)(x).largest_ranks
    assert all(r <= e + 1 for r, e in zip(sketched, exact, strict=True))


@every_class
def test_without_recompression_the_oversampling_stays(cls):
    x = decaying((20, 30, 40))
    method = cls(ranks=4, oversampling=3, exact_below=0, recompress=False)
    assert method(x, rng=rng()).largest_ranks == (7, 7, 7)


@every_class
def test_short_modes_are_not_sketched(cls):
    x = decaying((8, 9, 10))
    np.testing.assert_array_equal(cls(ranks=3)(x, rng=rng(0)).core, cls(ranks=3)(x, rng=rng(1)).core)
    sketched = cls(ranks=3, oversampling=1, exact_below=0)
    assert np.any(sketched(x, rng=rng(0)).core != sketched(x, rng=rng(1)).core)


@every_class
@pytest.mark.parametrize("rtol", [None, 0.2])
def test_a_stack_is_decomposed_as_its_members_are(cls, rtol):
    x = np.stack([decaying((20, 25, 30), 1), decaying((20, 25, 30), 2) * 1e3])
    method = cls(ranks=3, exact_below=0) if rtol is None else cls(rtol=rtol, exact_below=0)
    whole = method(x, rng=rng())
    for i in range(2):
        assert np.linalg.norm(x[i] - whole.to_dense()[i]) <= 1.02 * np.linalg.norm(
            x[i] - method(x[i], rng=rng()).to_dense()
        )
    assert whole.storage == sum(method(x[i], rng=rng()).storage for i in range(2))


@every_class
@pytest.mark.parametrize("arguments", [{"ranks": 2}, {"rtol": 0.3}], ids=str)
def test_every_library_gives_the_same_tensor(xp, assert_close, cls, arguments):
    host, method = decaying((2, 8, 9, 10)), cls(exact_below=0, oversampling=2, **arguments)
    result = method(xp.asarray(host), rng=rng())
    if xp.dtype == "float32":
        host = host.astype(np.float32)  # the draws follow the dtype
    desired = to_host(method(host, rng=rng()).to_dense())
    assert_close(result.to_dense(), xp.asarray(desired), rtol=0, atol=1e4 * xp.eps())


@every_class
def test_float32_stays_float32(xp, cls):
    result = cls(ranks=2, exact_below=0)(xp.asarray(drawn((4, 5, 6)), dtype="float32"), rng=rng())
    parts = [result.core, *result.factors, result.discarded]
    assert {dtype_name(part.dtype) for part in parts} == {"float32"}


@every_class
@pytest.mark.parametrize("arguments", [{"exact_below": 0.0}, {"exact_below": 0.0, "recompress": False}], ids=str)
def test_the_laws_hold_where_everything_is_sketched(cls, arguments):
    check_decomposition(cls(**arguments), laws=["recovery", "full rank", "certificate", "orthonormality", "seed"])


@every_class
def test_zero_tensors_are_exact(cls):
    result = cls(ranks=2, exact_below=0)(np.zeros((5, 6, 7)), rng=rng())
    assert not result.to_dense().any()


@every_class
def test_a_generator_is_needed(cls):
    with pytest.raises(TypeError, match=f"{cls.__name__} is randomized"):
        cls(ranks=2)(drawn((4, 5, 6)))


@every_class
@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"oversampling": -1}, ValueError, "oversampling"),
        ({"power_iterations": -1}, ValueError, "power_iterations"),
        ({"sketch": "gaussian"}, TypeError, "sketch"),
        ({"exact_below": -1.0}, ValueError, "exact_below"),
    ],
    ids=str,
)
def test_bad_fields_are_refused(cls, arguments, error, message):
    with pytest.raises(error, match=message):
        cls(**arguments)


def test_a_bad_order_of_modes_is_refused():
    with pytest.raises(ValueError, match="mode_order"):
        RandomizedSTHOSVD(mode_order=(0, 1, 1))


def test_a_sketch_too_narrow_is_worse():
    """Negative control: without oversampling and power iterations the error of a flat tensor is larger."""
    x = drawn((30, 30, 30))
    crude = RandomizedSTHOSVD(ranks=3, oversampling=0, power_iterations=0, exact_below=0)(x, rng=rng())
    best = np.linalg.norm(x - STHOSVD(ranks=3)(x).to_dense())
    assert np.linalg.norm(x - crude.to_dense()) > 1.002 * best
