import numpy as np
import pytest
from fixtures import assert_scales, normal
from hypothesis import given, settings
from hypothesis import strategies as st

from tnattn.arrays import dtype_name
from tnattn.decomposition.kronecker_sum import NearestKronecker, rearranged
from tnattn.randnla.accuracy import ToleranceWarning
from tnattn.testing.structures import check_structured

quick = settings(max_examples=25, deadline=None)


@quick
@given(sizes=st.tuples(*[st.integers(1, 4)] * 4), seed=st.integers(0, 99))
def test_a_kronecker_product_becomes_a_product_of_vectors(sizes, seed):
    m1, n1, m2, n2 = sizes
    a, b = normal(m1, n1, seed=seed), normal(m2, n2, seed=seed + 1)
    np.testing.assert_allclose(rearranged(np.kron(a, b), m1, n1), np.outer(a, b), atol=1e-13)


@quick
@given(terms=st.integers(1, 5), batch=st.sampled_from([(), (2,)]), seed=st.integers(0, 99))
def test_the_error_is_the_tail_of_the_rearranged_matrix(terms, batch, seed):
    a = normal(*batch, 12, 10, seed=seed)
    result = NearestKronecker(terms, rows=3, columns=2)(a)
    s = np.linalg.svd(rearranged(a, 3, 2), compute_uv=False)
    error = np.linalg.norm(a - result.to_dense(), axis=(-2, -1))
    np.testing.assert_allclose(error, np.linalg.norm(s[..., terms:], axis=-1), atol=1e-10)
    np.testing.assert_allclose(result.error_certificate, error, atol=1e-7)


def test_a_sum_of_products_is_recovered_with_its_terms(seed):
    a = sum(np.kron(normal(4, 3, seed=10 * seed + k), normal(2, 5, seed=100 + k)) for k in range(3))
    result = NearestKronecker(10, rtol=1e-8, rows=4, columns=3)(a)
    assert result.terms == 3
    np.testing.assert_allclose(result.to_dense(), a, atol=1e-10)


def test_a_tolerance_needs_no_more_terms_than_are_allowed_and_the_miss_is_said():
    a = np.stack([normal(16, 16), np.eye(16)])
    with pytest.warns(ToleranceWarning, match="rtol 1e-06 is not met at 2 terms by 1 of the 2"):
        result = NearestKronecker(2, rtol=1e-6)(a)
    assert result.terms == 2
    errors = np.linalg.norm(a - result.to_dense(), axis=(-2, -1)) / np.linalg.norm(a, axis=(-2, -1))
    np.testing.assert_allclose(result.residual, errors, atol=1e-7)
    assert result.converged.tolist() == [False, True]


@pytest.mark.filterwarnings("error::tnattn.randnla.accuracy.ToleranceWarning")
def test_a_tolerance_that_is_met_needs_fewer_terms_and_no_warning():
    result = NearestKronecker(100, rtol=0.5)(normal(16, 16))
    assert result.terms < 16
    assert result.converged
    assert 0.1 < result.residual <= 0.5


def test_a_zero_matrix_is_exact():
    result = NearestKronecker(rtol=0.1)(np.zeros((4, 6)))
    assert not result.to_dense().any()
    assert result.converged


def test_the_result_is_a_sound_matrix():
    check_structured(NearestKronecker(3)(normal(2, 12, 10)))


def test_sizes_are_split_near_the_root_by_default():
    result = NearestKronecker(1)(normal(12, 36))
    assert result.left.shape[-2:] in ((3, 6), (4, 6))
    assert NearestKronecker(1)(normal(7, 5)).shape == (7, 5)


def test_the_identity_is_a_kronecker_product_and_a_random_matrix_is_none():
    """Negative control beside it."""
    assert np.linalg.norm(NearestKronecker(1)(np.eye(16)).to_dense() - np.eye(16)) <= 1e-12
    a = normal(16, 16)
    assert np.linalg.norm(NearestKronecker(1)(a).to_dense() - a) > 0.5 * np.linalg.norm(a)


def test_every_library_gives_the_same(xp, assert_close):
    a = normal(6, 8)
    host, ring = (NearestKronecker(2)(x).to_dense() for x in (a, xp.asarray(a)))
    assert_close(ring, host, rtol=0, atol=1e4 * xp.eps())
    assert dtype_name(NearestKronecker(2)(xp.asarray(a, dtype="float32")).dtype) == "float32"


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: NearestKronecker(0), "terms"),
        (lambda: NearestKronecker(rtol=1.5), "0 < rtol < 1"),
        (lambda: NearestKronecker(rows=0), "rows"),
        (lambda: NearestKronecker(rows=5)(np.ones((12, 10))), "does not divide 12"),
        (lambda: NearestKronecker()(np.full((4, 4), np.nan)), "NaN"),
        (lambda: NearestKronecker(rtol=1e-16)(np.ones((4, 4))), "rtol 1e-16 is below"),
        (lambda: NearestKronecker()(np.ones(4)), "two axes"),
    ],
    ids=range(7),
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("dtype, exponents", [(np.float32, (-100, -31, 31, 100)), (np.float64, (-900, -31, 31, 900))])
@pytest.mark.parametrize("method", [NearestKronecker(2), NearestKronecker(9, rtol=0.5)], ids=repr)
def test_terms_and_errors_have_the_size_of_the_matrix(method, dtype, exponents):
    assert_scales(method, normal(2, 12, 10).astype(dtype), exponents)


def test_half_precision_is_refused_by_name():
    with pytest.raises(TypeError, match="float16"):
        NearestKronecker(2)(normal(4, 4).astype(np.float16))
