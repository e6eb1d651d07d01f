"""Results scale with powers of two of the matrix, and those that leave the range are refused by name."""

import warnings

import numpy as np
import pytest
import scipy.sparse
from fixtures import rng
from scipy.sparse.linalg import aslinearoperator

from tnattn.randnla.columns.volume_sampling import VolumeCross
from tnattn.randnla.estimates.trace import GirardHutchinson, HutchPlusPlus, XTrace
from tnattn.randnla.low_rank.range_finder import RangeFinder
from tnattn.randnla.low_rank.streaming_svd import SinglePassSVD
from tnattn.randnla.scores.leverage import LeverageSampling, coherence, leverage_scores, sketched_leverage_scores
from tnattn.randnla.scores.product_probabilities import BothNorms, Leverage
from tnattn.randnla.scores.ridge_leverage import (
    effective_dimension,
    kernel_ridge_leverage_scores,
    ridge_leverage_scores,
)
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.randnla.solvers.matrix_product import SampledProduct, SketchedProduct
from tnattn.randnla.solvers.sketch_and_solve import SampleAndSolve, SketchAndSolve
from tnattn.randnla.solvers.sketch_preconditioned import SketchPreconditioned
from tnattn.randnla.units import (
    Unit,
    columns_in_units,
    in_units,
    require_resolved_size,
    resolved_square,
    restored,
    unit_of,
)
from tnattn.structured.conversion import as_structured
from tnattn.structured.dense import Dense
from tnattn.structured.diagonal import Diagonal
from tnattn.structured.host_operator import HostOperator
from tnattn.structured.low_rank import LowRank
from tnattn.structured.sparse import Sparse

POWERS = {"float32": (-110, -61, -33, 33, 61, 110), "float64": (-960, -500, -101, 101, 500, 960)}
CASES = [(dtype, power) for dtype, powers in POWERS.items() for power in powers]
every_power = pytest.mark.parametrize("dtype, power", CASES)


@pytest.fixture(autouse=True)
def no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield


def tall(dtype, m=30, n=6):
    return (rng(1).standard_normal((m, n)) * 0.5 ** np.arange(n)).astype(dtype)


def square(dtype, n=20):
    return (rng(2).standard_normal((n, n)) + 3 * np.eye(n)).astype(dtype)


def close(actual, desired, dtype):
    np.testing.assert_allclose(actual, desired, rtol=1e3 * np.finfo(dtype).eps, atol=1e2 * np.finfo(dtype).eps)


@every_power
@pytest.mark.parametrize("method", [GirardHutchinson(6), HutchPlusPlus(9), XTrace(8), HutchPlusPlus(60)], ids=repr)
def test_traces_scale(method, dtype, power):
    a = square(dtype)
    one, two = (method(x, rng=rng(3)) for x in (a, np.ldexp(a, power)))
    close(np.ldexp(two.samples, -power), one.samples, dtype)
    close(np.ldexp(two.standard_error, -power), one.standard_error, dtype)


@every_power
def test_scores_and_bases_stay(dtype, power):
    a = tall(dtype)
    scaled = np.ldexp(a, power)
    for function in (
        leverage_scores,
        lambda x: leverage_scores(x, rank=np.int64(2)),
        coherence,
        lambda x: sketched_leverage_scores(x, sketch=Gaussian(), size=np.int64(12), rng=rng()),
        lambda x: RangeFinder(2, 2)(x, rng=rng()),
        lambda x: LeverageSampling(9)(x, rng=rng()).to_dense(),
    ):
        found = function(scaled)
        assert found.dtype == dtype
        close(found, function(a), dtype)


@every_power
def test_ridges_scale_with_the_matrix_or_its_square(dtype, power):
    a = tall(dtype)
    kernel = (a @ a.T).astype(dtype)
    kernel = (kernel + kernel.T) / 2
    for function in (kernel_ridge_leverage_scores, effective_dimension):
        close(function(np.ldexp(kernel, power), ridge=0.3 * 2.0**power), function(kernel, ridge=0.3), dtype)
    if abs(power) <= 500:  # the ridge itself is a Python number
        found = ridge_leverage_scores(np.ldexp(a, power), ridge=0.3 * 4.0**power)
        close(found, ridge_leverage_scores(a, ridge=np.float64(0.3)), dtype)


@every_power
@pytest.mark.parametrize("method", [SketchAndSolve(), SampleAndSolve(), SketchPreconditioned()], ids=repr)
def test_least_squares_scale(method, dtype, power):
    a, b = tall(dtype), rng(5).standard_normal((30, 3)).astype(dtype)
    plain = method(a, b, rng=rng(6))
    for of_a, of_b in ((power, 0), (0, power), (power, power)):
        scaled = method(np.ldexp(a, of_a), np.ldexp(b, of_b), rng=rng(6))
        close(np.ldexp(scaled.x, of_a - of_b), plain.x, dtype)
        close(np.ldexp(scaled.residual_norm, -of_b), plain.residual_norm, dtype)
        assert np.all(scaled.converged == plain.converged)


def test_right_hand_sides_have_units_of_their_own():
    a, b = tall("float64"), rng(5).standard_normal((30, 3))
    powers = np.array([-900, 0, 700])
    plain, mixed = (SketchPreconditioned()(a, x, rng=rng(6)) for x in (b, np.ldexp(b, powers)))
    close(np.ldexp(mixed.x, -powers), plain.x, "float64")
    with pytest.raises(ValueError, match="x of the result leaves the range of float64"):
        SketchAndSolve()(np.ldexp(a, -900), np.ldexp(b, 900), rng=rng(6))


@every_power
@pytest.mark.parametrize(
    "method",
    [SampledProduct(9), SampledProduct(9, BothNorms()), SampledProduct(5, Leverage(), False), SketchedProduct(9)],
    ids=repr,
)
def test_products_scale(method, dtype, power):
    a, b = square(dtype), square(dtype).T.copy()
    plain, scaled = (method(x, b, rng=rng(7)) for x in (a, np.ldexp(a, power)))
    close(np.ldexp(scaled.left, -power), plain.left, dtype)
    close(scaled.right, plain.right, dtype)


def test_factors_of_a_product_are_of_one_dtype():
    with pytest.raises(TypeError, match="a is float32 and b is float64"):
        SketchedProduct(4)(np.eye(5, dtype="f4"), np.eye(5), rng=rng())


@every_power
def test_updates_scale(dtype, power):
    a = square(dtype)
    for method in (SinglePassSVD(4, 3), SinglePassSVD(4, 3, rtol=0.3)):
        results = []
        for x in (a, np.ldexp(a, power)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                start = method.start(np.asarray(a.shape), rng=rng(8), like=a)
                results.append(start.update(x[:10], rows=slice(0, 10)).update(x[10:], rows=slice(10, 20)).result())
        close(np.ldexp(results[1].s, -power), results[0].s, dtype)
        if method.rtol:
            close(results[1].residual, results[0].residual, dtype)


def test_the_case_of_the_report():
    a = np.ldexp(square("float32"), -120)
    result = VolumeCross(5)(a, rng=rng())
    close(np.ldexp(result.to_dense(), 120), VolumeCross(5)(square("float32"), rng=rng()).to_dense(), "float32")


@pytest.mark.parametrize("make", [Dense, lambda a: HostOperator(scipy.sparse.csr_array(a))], ids=["array", "sparse"])
def test_units_are_even_powers_and_exact(make):
    a = np.ldexp(square("float64"), -333)
    scaled, unit = in_units(make(a))
    assert int(unit.exponent) % 2 == 0
    dense = scaled.to_dense()
    assert 1 <= np.abs(dense).max() < 4
    np.testing.assert_array_equal(unit.restored(dense, name="x"), a)


def test_every_matrix_of_a_stack_has_its_unit_and_harmless_ones_have_none():
    a = square("float64")
    stack = np.stack([a, np.ldexp(a, 200), np.zeros_like(a), np.ldexp(a, -200)])
    scaled, unit = in_units(Dense(stack))
    assert unit.exponent[0] == unit.exponent[2] == 0
    assert unit.exponent[1] > 190
    np.testing.assert_array_equal(unit.restored(scaled.to_dense(), name="x"), stack)
    for harmless in (a, np.zeros_like(a), 1e-3 * a, 1e3 * a):
        assert in_units(Dense(harmless))[1] is None
    columns, unit = columns_in_units(np.ldexp(a, np.arange(20) * 50))
    assert np.all(np.abs(columns).max(axis=0) < 2.0**31)
    assert unit_of(a) is None


def test_factors_are_scaled_one_by_one():
    left, right = np.ldexp(square("float64"), 600), np.ldexp(square("float64"), -700)
    scaled, unit = in_units(LowRank(left, right))
    close(np.ldexp(scaled.to_dense(), int(unit.exponent) + 100), square("float64") @ square("float64"), "float64")


def test_results_that_state_no_degrees():
    unit = Unit(np.asarray(4.0))
    found = restored(LowRank(np.ones((2, 1)), np.ones((1, 2))), unit)
    np.testing.assert_array_equal(found.to_dense(), np.full((2, 2), 16.0))
    with pytest.raises(TypeError, match="Diagonal does not state in degrees"):
        restored(Diagonal(np.ones(3)), unit)
    assert restored(found, None) is found


def test_implicit_matrices_are_refused_where_their_squares_are_lost():
    a = square("float64")
    for power, words in ((0, None), (400, None), (470, "range of float64"), (-470, "range of float64")):
        result = LowRank(np.ldexp(a, power), np.eye(20))
        operator = Sparse(np.ldexp(a[:, :1], power), np.zeros((20, 1), int), 20)
        if words is None:
            require_resolved_size(result, operator)
        else:
            with pytest.raises(ValueError, match=words):
                require_resolved_size(result, operator)
    zero = LowRank(np.zeros((20, 1)), np.zeros((1, 20)))
    require_resolved_size(zero, Sparse(np.zeros((20, 1)), np.zeros((20, 1), int), 20))
    with pytest.raises(ValueError, match="range of float64"):
        require_resolved_size(zero, operator)


# squared norms


# a product that vanishes when squared cannot be told from zero
@pytest.mark.parametrize(("size", "kind"), [(1e-200, np.asarray), (1e200, np.asarray), (1e200, aslinearoperator)])
def test_a_square_outside_the_range_is_refused(size, kind):
    with pytest.raises(ValueError, match="leaves the range"):
        resolved_square(as_structured(kind(size * np.eye(3))))


@pytest.mark.parametrize("kind", [np.asarray, aslinearoperator])
def test_the_square_of_a_zero_matrix_is_zero(kind):
    assert resolved_square(as_structured(kind(np.zeros((3, 4))))) == 0


def test_the_square_is_that_of_the_norm():
    a = np.random.default_rng(0).standard_normal((2, 5, 4))
    np.testing.assert_allclose(resolved_square(as_structured(a)), np.linalg.norm(a, axis=(-2, -1)) ** 2, rtol=1e-14)
