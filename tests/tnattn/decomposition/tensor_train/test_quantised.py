import numpy as np
import pytest
from fixtures import assert_scales, normal
from hypothesis import given, settings
from hypothesis import strategies as st

from tnattn.arrays import dtype_name
from tnattn.decomposition.tensor_train.binary_digits import levels
from tnattn.decomposition.tensor_train.quantised import QuantisedTT
from tnattn.decomposition.tensor_train.quantised_matrix import QuantisedTTMatrix
from tnattn.randnla.accuracy import ToleranceWarning
from tnattn.testing.structures import check_structured

quick = settings(max_examples=25, deadline=None)
shapes = st.lists(st.integers(1, 9), min_size=2, max_size=4).map(tuple)


@pytest.mark.parametrize("n, count", [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (1024, 10), (1025, 11)])
def test_the_digits_of_an_index_are_counted(n, count):
    assert levels(n) == count


@quick
@given(shape=shapes, batch=st.sampled_from([(), (2,)]))
def test_full_ranks_are_exact(shape, batch):
    x = normal(*batch, *shape)
    result = QuantisedTT(10**6, order=len(shape))(x)
    np.testing.assert_allclose(result.to_dense(), x, atol=1e-12)
    assert result.padded == tuple(2 ** levels(n) for n in shape)
    assert result.shape == (*batch, *shape)


@quick
@given(shape=shapes, rtol=st.floats(0.01, 0.9), seed=st.integers(0, 99))
def test_the_tolerance_is_kept_and_the_certificate_bounds_the_error(shape, rtol, seed):
    x = normal(*shape, seed=seed)
    result = QuantisedTT(rtol=rtol, order=len(shape))(x)
    error = np.linalg.norm(x - result.to_dense())
    assert error <= rtol * np.linalg.norm(x) * (1 + 1e-9)
    assert error <= result.error_certificate + 1e-7 * np.linalg.norm(x)


def test_without_padding_the_certificate_is_the_error(seed):
    x = normal(4, 8, 16, seed=seed)
    result = QuantisedTT(3)(x)
    assert np.linalg.norm(x - result.to_dense()) == pytest.approx(result.error_certificate, rel=1e-6)


def test_an_exponential_of_a_million_points_is_twenty_numbers_pairs():
    v = np.exp(-1e-5 * np.arange(2**20))[None]
    result = QuantisedTT(rtol=1e-8, order=2)(v)
    assert result.largest_ranks == (1,) * 19
    assert result.storage == 40


def test_padding_raises_ranks_and_is_not_hidden():
    """Negative control: a sequence cut short is no exponential any more."""
    whole, cut = 0.9 ** np.arange(64), 0.9 ** np.arange(50)
    assert max(QuantisedTT(rtol=1e-9, order=2)(whole[None]).largest_ranks) == 1
    result = QuantisedTT(rtol=1e-9, order=2)(cut[None])
    assert max(result.largest_ranks) == 2
    assert result.padded == (1, 64)
    np.testing.assert_allclose(result.to_dense(), cut[None], atol=1e-8)


@pytest.mark.parametrize("n", [48, 50])
def test_padding_of_a_kernel_raises_its_ranks_and_is_not_hidden(n):
    """exp(-|i - j|) has ranks 3 at 64; cut to fewer rows and columns it is the product with two windows."""
    i = np.arange(64)
    whole = np.exp(-0.1 * np.abs(i[:, None] - i))
    method, cut = QuantisedTTMatrix(64, rtol=1e-9), whole[:n, :n]
    assert max(method(whole).largest_ranks) == 3
    result = method(cut)
    assert result.padded == (64, 64)
    assert result.shape == (n, n)
    assert 3 < max(result.largest_ranks) <= 12
    assert np.linalg.norm(cut - result.to_dense()) <= result.error_certificate + 1e-8 * np.linalg.norm(cut)


@quick
@given(m=st.integers(1, 20), n=st.integers(1, 20), batch=st.sampled_from([(), (2,)]))
def test_a_matrix_of_any_size_is_exact_at_full_ranks(m, n, batch):
    a = normal(*batch, m, n)
    result = QuantisedTTMatrix(10**6)(a)
    np.testing.assert_allclose(result.to_dense(), a, atol=1e-12)
    x = normal(n, 3)
    np.testing.assert_allclose(result @ x, a @ x, atol=1e-11)
    assert result.padded == (2 ** levels(m), 2 ** levels(n))


def test_a_matrix_of_low_rank_bonds_acts_on_values_without_being_formed():
    i = np.arange(300)
    decay = np.exp(-0.02 * np.abs(i[:, None] - i))
    result, values = QuantisedTTMatrix(64, rtol=1e-9)(decay), normal(300, 4)
    assert max(result.largest_ranks) <= 6
    assert result.storage < decay.size / 60
    np.testing.assert_allclose(result @ values, decay @ values, atol=1e-6)
    check_structured(result)


def test_a_tolerance_gives_way_to_the_largest_rank_and_the_miss_is_said():
    a = np.stack([normal(32, 32), np.ones((32, 32))])
    with pytest.warns(ToleranceWarning, match="rtol 1e-06 is not met at rank 5 by 1 of the 2"):
        result = QuantisedTTMatrix(5, rtol=1e-6)(a)
    assert max(result.largest_ranks) == 5
    errors = np.linalg.norm(a - result.to_dense(), axis=(-2, -1)) / np.linalg.norm(a, axis=(-2, -1))
    np.testing.assert_allclose(result.residual, errors, atol=1e-7)
    assert result.converged.tolist() == [False, True]


@pytest.mark.filterwarnings("error::tnattn.randnla.accuracy.ToleranceWarning")
def test_a_tolerance_that_is_met_needs_fewer_ranks_and_no_warning():
    result = QuantisedTTMatrix(100, rtol=0.9)(normal(32, 32))
    assert max(result.largest_ranks) < 16
    assert result.converged
    assert 0.1 < result.residual <= 0.9


def test_the_certificate_of_a_matrix_bounds_its_error(seed):
    a = normal(32, 30, seed=seed)
    result = QuantisedTTMatrix(6)(a)
    error = np.linalg.norm(a - result.to_dense())
    assert 0.8 * result.error_certificate <= error <= result.error_certificate * (1 + 1e-9)


def test_every_library_gives_the_same(xp, assert_close):
    x, a = normal(4, 5, 6), normal(8, 7)
    host, ring = (QuantisedTT(3)(t).to_dense() for t in (x, xp.asarray(x)))
    assert_close(ring, host, rtol=0, atol=1e4 * xp.eps())
    host, ring = (QuantisedTTMatrix(3)(t).to_dense() for t in (a, xp.asarray(a)))
    assert_close(ring, host, rtol=0, atol=1e4 * xp.eps())
    assert dtype_name(QuantisedTT(3)(xp.asarray(x, dtype="float32")).dtype) == "float32"


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: QuantisedTT(0), "rank is 0"),
        (lambda: QuantisedTT(2, 0.1), "both given"),
        (lambda: QuantisedTT(order=2)(np.ones((2**11, 2**10))), "more than 20 binary digits"),
        (lambda: QuantisedTT(rtol=1e-16)(np.ones((3, 4, 5))), "is below"),
        (lambda: QuantisedTTMatrix(0), "rank"),
        (lambda: QuantisedTTMatrix(rtol=0.0), "0 < rtol < 1"),
        (lambda: QuantisedTTMatrix(rtol=1e-16)(np.ones((4, 4))), "rtol 1e-16 is below"),
        (lambda: QuantisedTTMatrix()(np.full((4, 4), np.nan)), "NaN"),
        (lambda: QuantisedTTMatrix()(np.ones(4)), "two axes"),
    ],
    ids=range(9),
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("dtype, exponents", [(np.float32, (-100, -31, 31, 100)), (np.float64, (-900, -31, 31, 900))])
@pytest.mark.parametrize("method", [QuantisedTTMatrix(3), QuantisedTTMatrix(16, rtol=0.5)], ids=repr)
def test_cores_and_errors_of_matrices_have_the_size_of_the_matrix(method, dtype, exponents):
    assert_scales(method, normal(2, 12, 10).astype(dtype), exponents)


def test_matrices_of_half_precision_are_refused_by_name():
    with pytest.raises(TypeError, match="float16"):
        QuantisedTTMatrix(3)(np.ones((4, 4), np.float16))
