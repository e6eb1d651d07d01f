"""Norm estimates: values, confidence bounds, and sample sizes too small for them."""

import math

import numpy as np
import pytest
import scipy.sparse
from fixtures import rng, slow

from tnattn.arrays import to_host
from tnattn.gallery import gap_spectrum, matrix_with_spectrum
from tnattn.randnla.estimates.norm_estimates import FrobeniusNorm, SpectralNorm, frobenius_factors
from tnattn.structured.low_rank import LowRank

METHODS = [SpectralNorm(), SpectralNorm(probes=1, steps=2), SpectralNorm(probes=40), FrobeniusNorm()]
every_method = pytest.mark.parametrize("method", METHODS, ids=repr)


def true_norm(method, a):
    return np.linalg.norm(a, axis=(-2, -1), ord=2 if isinstance(method, SpectralNorm) else "fro")


@every_method
def test_the_norm_lies_between_the_limits(xp, method):
    host = np.stack([slow(), 5 * slow(seed=1)])
    for dtype in xp.dtypes:
        a = xp.asarray(host, dtype)
        estimate = method(a, rng=rng(3))
        lower, upper = to_host(estimate.lower), to_host(estimate.upper)
        assert np.all(lower <= true_norm(method, host) * (1 + 100 * np.finfo(dtype).eps))
        assert np.all(true_norm(method, host) <= upper)
        assert estimate.value.dtype == estimate.lower.dtype == estimate.upper.dtype == a.dtype


@pytest.mark.parametrize("shape", [(40, 30), (30, 40), (5, 60), (60, 5)])
def test_lanczos_steps_find_a_separated_norm_to_rounding(shape):
    a = matrix_with_spectrum(gap_spectrum(2, min(shape), gap=10.0), shape, rng())
    np.testing.assert_allclose(SpectralNorm(probes=4, steps=4)(a, rng=rng()).value, 10.0, rtol=1e-10)


def test_more_steps_raise_the_value():
    a = slow(60, 50)
    values = [SpectralNorm(probes=2, steps=steps)(a, rng=rng(1)).value for steps in (0, 1, 2, 6)]
    assert np.all(np.diff(values) > 0)
    np.testing.assert_allclose(values[-1], 1.0, rtol=1e-6)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_an_exhausted_krylov_space_does_not_raise_the_value_above_the_norm(rank, seed):
    """The blocks beyond the rank are arbitrary: only the division by the norm of the basis is certain to save it."""
    a = matrix_with_spectrum(np.full(rank, 2.0), (9, 8), rng(seed))
    value = SpectralNorm(probes=3, steps=5)(a, rng=rng(seed)).value
    np.testing.assert_allclose(value, 2.0, rtol=1e-12)


def dependent_blocks():
    """Return matrices whose Krylov blocks are soon dependent: what is orthogonalised then is rounding."""
    n, i = 300, np.arange(300)
    hilbert = 1.0 / (i[:, None] + i + 1)
    column = np.zeros((n, n))
    column[:, 0] = 0.2 * hilbert[:, 0]
    graded = rng(1).standard_normal((60, 50)) * 2.0 ** -np.arange(0, 500, 10)
    return {
        "one column": column,
        "rank one": np.outer(i + 1.0, np.cos(i)),
        "repeated columns": np.repeat(rng(2).standard_normal((80, 2)), 20, axis=1),
        "graded": graded,
        "one entry": np.where(np.arange(900).reshape(30, 30) == 37, 1e-200, 0.0),
        "Hilbert": hilbert,
    }


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", dependent_blocks())
def test_the_lower_limit_is_one_and_close_even_where_blocks_are_dependent(name, dtype):
    a = dependent_blocks()[name].astype(dtype)
    norm = np.linalg.norm(a.astype(np.float64), 2)
    for steps in (4, 20):
        estimate = SpectralNorm(steps=steps)(a, rng=rng(steps))
        assert estimate.lower <= norm * (1 + 1e3 * np.finfo(dtype).eps)
        assert estimate.lower >= norm * (1 - 1e-4)


@pytest.mark.parametrize("shape", [(1, 7), (7, 1), (1, 1)])
@every_method
def test_a_single_row_or_column_is_measured(method, shape):
    a = rng(2).standard_normal(shape)
    estimate = method(a, rng=rng())
    assert estimate.lower <= np.linalg.norm(a) * (1 + 1e-12)
    assert estimate.upper >= np.linalg.norm(a) * (1 - 1e-12)


@every_method
def test_a_zero_matrix_has_norm_zero(xp, method):
    estimate = method(xp.asarray(np.zeros((2, 6, 9))), rng=rng())
    for limit in (estimate.value, estimate.lower, estimate.upper):
        assert np.all(to_host(limit) == 0)


def test_too_few_probes_give_no_upper_limit():
    few = FrobeniusNorm(probes=10)(slow(), rng=rng())
    assert few.upper == math.inf
    assert 0 < few.lower < few.value
    assert FrobeniusNorm(probes=10)(np.zeros((3, 3)), rng=rng()).upper == 0


@pytest.mark.parametrize("probes", [24, 25, 100])
def test_as_many_probes_as_columns_give_the_norm(probes):
    a = slow()
    for method in (FrobeniusNorm(probes), SpectralNorm(probes)):
        estimate = method(a, rng=rng())
        np.testing.assert_allclose([estimate.value, estimate.lower], true_norm(method, a), rtol=1e-12)
    np.testing.assert_allclose(FrobeniusNorm(probes)(a, rng=rng()).upper, np.linalg.norm(a), rtol=1e-12)
    assert FrobeniusNorm(probes)(a, rng=rng()).products == 24
    assert FrobeniusNorm(23)(a, rng=rng()).value != pytest.approx(np.linalg.norm(a), rel=1e-6)


def test_the_squared_frobenius_estimate_is_unbiased():
    a, generator = slow(), rng(5)
    squares = np.array([FrobeniusNorm(probes=4)(a, rng=generator).value ** 2 for _ in range(2000)])
    assert abs(squares.mean() - np.linalg.norm(a) ** 2) < 5.5 * squares.std() / 2000**0.5


def test_a_biased_estimate_would_be_seen():
    a, generator = slow(), rng(5)
    values = np.array([FrobeniusNorm(probes=1)(a, rng=generator).value for _ in range(2000)])
    assert abs(values.mean() - np.linalg.norm(a)) > 5.5 * values.std() / 2000**0.5  # the root is biased downwards


def test_limits_by_hand():
    """m = 100, x = 1: factors 1 / (1 + 0.2 + 0.02) and 1 / (1 - 0.2); at m = 4 x there is none."""
    np.testing.assert_allclose(frobenius_factors(100, 1.0), (1 / 1.22, 1.25))
    assert frobenius_factors(4, 1.0)[1] is None


@every_method
@pytest.mark.parametrize("dtype, powers", [("float32", (-100, -60, 60, 120)), ("float64", (-990, -480, 480, 1000))])
def test_a_power_of_two_comes_through(method, dtype, powers):
    a = slow().astype(dtype)
    one = method(a, rng=rng())
    for power in powers:
        two = method(np.ldexp(a, power), rng=rng())
        for name in ("value", "lower", "upper"):
            np.testing.assert_allclose(np.ldexp(getattr(two, name), -power), getattr(one, name), rtol=1e-6)


@every_method
def test_a_norm_beyond_the_range_is_refused(method):
    with pytest.raises(ValueError, match="value of the result leaves the range of float32"):
        method(np.full((30, 24), 3e38, np.float32), rng=rng())


@every_method
def test_each_matrix_of_a_stack_is_measured_as_if_alone(method):
    stack = np.stack([slow(seed=i) * 10.0**i for i in range(4)]).reshape(2, 2, 30, 24)
    together = method(stack, rng=rng(5))
    alone = [method(a, rng=rng(5)) for a in stack.reshape(4, 30, 24)]
    for name in ("value", "lower", "upper"):
        actual = getattr(together, name).reshape(4)
        np.testing.assert_allclose(actual, [getattr(one, name) for one in alone], rtol=1e-10)


@every_method
def test_a_seed_gives_the_same_bits_twice(method):
    assert method(slow(), rng=rng(2)).value == method(slow(), rng=rng(2)).value


@every_method
@pytest.mark.parametrize("make", [scipy.sparse.csr_array, scipy.sparse.linalg.aslinearoperator, None])
def test_implicit_matrices_are_measured_as_dense_ones(method, make):
    a = slow()
    given = LowRank(a, np.eye(24)) if make is None else make(a)
    np.testing.assert_allclose(method(given, rng=rng()).value, method(a, rng=rng()).value, rtol=1e-10)


def test_products_and_failures_are_stated():
    estimate = SpectralNorm(probes=3, steps=2)(slow(), rng=rng())
    assert estimate.products == 3 * (1 + 2 * 2)
    np.testing.assert_allclose(estimate.failure, 1e-3)
    assert FrobeniusNorm(probes=7, failure=0.2)(slow(), rng=rng()).failure == 0.2


@pytest.mark.parametrize(
    "call, kind, words",
    [
        (lambda: SpectralNorm(probes=0), ValueError, "probes is 0"),
        (lambda: SpectralNorm(steps=-1), ValueError, "steps is -1"),
        (lambda: SpectralNorm(inflation=1.0), ValueError, "inflation is 1.0"),
        (lambda: FrobeniusNorm(probes=2.5), TypeError, "an integer is needed"),
        (lambda: FrobeniusNorm(failure=0), ValueError, "failure is 0"),
        (lambda: SpectralNorm()(np.full((2, 2), np.inf), rng=rng()), ValueError, "must be finite"),
        (lambda: SpectralNorm()(np.ones(3), rng=rng()), ValueError, "two axes"),
        (lambda: SpectralNorm()(np.eye(2)), TypeError, "pass rng"),
        (lambda: FrobeniusNorm()(np.eye(2), rng=3), TypeError, "pass rng"),
    ],
)
def test_bad_input_is_refused(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


@pytest.mark.parametrize("method", [SpectralNorm(), FrobeniusNorm()], ids=repr)
@pytest.mark.parametrize(
    "dtype, scale", [("float32", 2.0**-90), ("float32", 2.0**90), ("float64", 2.0**-800), ("float64", 2.0**800)]
)
def test_estimates_and_limits_have_the_scale_of_the_matrix(method, dtype, scale):
    """Squares of the entries vanish or overflow."""
    a = np.random.default_rng(0).standard_normal((2, 9, 7)).astype(dtype)
    given, scaled = (method(x, rng=np.random.default_rng(1)) for x in (a, a * np.asarray(scale, dtype)))
    for name in ("value", "lower", "upper"):
        np.testing.assert_allclose(getattr(scaled, name) / scale, getattr(given, name), rtol=1e-5)
