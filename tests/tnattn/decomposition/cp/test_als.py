import numpy as np
import pytest
import tensorly.decomposition

from tnattn.arrays import dtype_name, to_host
from tnattn.decomposition.cp.als import CPALS
from tnattn.decomposition.cp.start import GaussianStart, GivenStart, SingularVectorStart
from tnattn.structured.cp import CPTensor


def rank_three(sizes=(6, 7, 8), seed=0):
    rng = np.random.default_rng(seed)
    return CPTensor(np.ones(3), tuple(rng.standard_normal((n, 3)) for n in sizes)).to_dense()


def noise(sizes=(6, 7, 8), seed=0):
    return np.random.default_rng(seed).standard_normal(sizes)


def start(sizes=(6, 7, 8), rank=3, batch=()):
    rng = np.random.default_rng(9)
    return tuple(rng.standard_normal((*batch, n, rank)) for n in sizes)


@pytest.mark.parametrize("sizes", [(5, 6), (6, 7, 8), (4, 5, 6, 3), (3, 4, 3, 4, 3)], ids=str)
def test_sweeps_from_one_start_are_those_of_tensorly(sizes):
    x, first = noise(sizes), start(sizes)
    ours = CPALS(rank=3, sweeps=5, stagnation=0, order=len(sizes), start=GivenStart(first), extrapolate=False)(x)
    theirs = tensorly.decomposition.parafac(
        x, rank=3, n_iter_max=5, init=tensorly.cp_tensor.CPTensor((np.ones(3), list(first))), tol=None, linesearch=False
    )
    np.testing.assert_allclose(ours.to_dense(), tensorly.cp_to_tensor(theirs), atol=1e-8)


def test_a_tensor_of_the_rank_is_found(seed):
    x = rank_three(seed=seed)
    result = CPALS(rank=3, sweeps=500, stagnation=1e-12)(x)
    assert result.error_certificate <= 1e-7 * np.linalg.norm(x)
    assert result.stationary


@pytest.mark.parametrize("extrapolate", [False, True])
@pytest.mark.parametrize("sizes", [(6, 7, 8), (4, 5, 6, 3)], ids=str)
def test_no_sweep_increases_the_error(sizes, extrapolate):
    errors = CPALS(rank=3, sweeps=40, stagnation=0, order=len(sizes), extrapolate=extrapolate)(noise(sizes)).errors
    assert errors.shape == (40,)
    assert np.all(np.diff(errors) <= 1e-12)


def swamp(seed=0, congruence=0.95, rank=4, n=12):
    """A tensor of rank four with factors whose columns are nearly parallel: a fit creeps."""
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky(np.full((rank, rank), congruence) + (1 - congruence) * np.eye(rank)).T
    factors = [np.linalg.qr(rng.standard_normal((n, rank)))[0] @ root for _ in range(3)]
    return CPTensor(np.ones(rank), tuple(factors)).to_dense()


def test_extrapolation_leaves_a_swamp_sooner(seed):
    x, start = swamp(seed), GaussianStart()
    creeping, leaping = (
        CPALS(rank=4, sweeps=150, stagnation=0, start=start, extrapolate=e)(x, rng=np.random.default_rng(seed))
        for e in (False, True)
    )
    assert leaping.errors[-1] < 0.5 * creeping.errors[-1]
    assert np.all(np.diff(leaping.errors) <= 1e-12)


def test_reported_errors_are_true():
    x = noise()
    result = CPALS(rank=4, sweeps=7, stagnation=0)(x)
    true = np.linalg.norm(x - result.to_dense())
    assert result.error_certificate == pytest.approx(true, rel=1e-12)
    assert result.errors[-1] == pytest.approx(true / np.linalg.norm(x), rel=1e-10)


def test_errors_do_not_stop_at_the_root_of_the_rounding_unit():
    result = CPALS(rank=3, sweeps=100, stagnation=0)(rank_three())
    assert result.errors[-1] < 1e-12


def test_a_fit_cut_short_is_not_called_converged():
    result = CPALS(rank=3, sweeps=2, stagnation=1e-9)(noise())
    assert not result.stationary
    assert result.sweeps == 2


def test_a_converged_fit_stops_early():
    result = CPALS(rank=3, sweeps=1000, stagnation=1e-3)(noise())
    assert result.stationary
    assert result.sweeps == result.errors.shape[-1] < 1000
    assert abs(result.errors[-1] - result.errors[-2]) <= 1e-3


def test_columns_have_length_one():
    result = CPALS(rank=3, sweeps=3)(noise())
    for u in result.factors:
        np.testing.assert_allclose(np.linalg.norm(u, axis=0), 1, rtol=1e-13)
    assert np.all(result.weights > 0)


def test_a_stack_is_decomposed_as_its_members_are():
    x = np.stack([rank_three(), noise(), np.zeros((6, 7, 8))])
    method = CPALS(rank=3, sweeps=60, stagnation=1e-3)
    whole = method(x)
    assert len(set(whole.sweeps.tolist())) == 3
    for i in range(3):
        single = method(x[i])
        np.testing.assert_allclose(whole.to_dense()[i], single.to_dense(), atol=1e-9)
        assert whole.sweeps[i] == single.sweeps
        assert whole.stationary[i] == single.stationary


def test_a_border_rank_tensor_is_flagged_as_degenerate():
    """W = aab + aba + baa has rank three and is a limit of tensors of rank two: their terms grow and cancel."""
    a, b = np.eye(2)
    w = sum(np.einsum("i,j,k->ijk", *triple) for triple in ((a, a, b), (a, b, a), (b, a, a)))
    result = CPALS(rank=2, sweeps=400, stagnation=0, start=GaussianStart())(w, rng=np.random.default_rng(1))
    assert result.degenerate
    assert result.weights.min() > 3.5


def test_orthogonal_terms_are_not_flagged():
    x = np.zeros((3, 3, 3))
    x[0, 0, 0], x[1, 1, 1] = 2.0, 1.0
    result = CPALS(rank=2, sweeps=50)(x)
    assert not result.degenerate
    np.testing.assert_allclose(sorted(result.weights), [1, 2], rtol=1e-6)


def test_every_library_gives_the_same_fit(xp, assert_close):
    first = start(batch=(2,))
    x = np.stack([noise(seed=1), noise(seed=2)])
    ring = CPALS(rank=3, sweeps=4, stagnation=0, start=GivenStart(tuple(xp.asarray(f) for f in first)))(xp.asarray(x))
    host = CPALS(rank=3, sweeps=4, stagnation=0, start=GivenStart(first))(x)
    assert_close(ring.to_dense(), xp.asarray(to_host(host.to_dense())), rtol=0, atol=1e4 * xp.eps())
    assert_close(ring.errors, xp.asarray(host.errors), rtol=1e4 * xp.eps())


def test_float32_stays_float32(xp):
    result = CPALS(rank=3, sweeps=3)(xp.asarray(noise(), dtype="float32"))
    assert {
        dtype_name(a.dtype) for a in (result.weights, *result.factors, result.errors, result.error_certificate)
    } == {"float32"}


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_extreme_scales_neither_overflow_nor_vanish(scale):
    x = noise().astype(np.float32)
    result, plain = CPALS(rank=2, sweeps=5)((x * np.float32(scale)).astype(np.float32)), CPALS(rank=2, sweeps=5)(x)
    np.testing.assert_allclose(result.to_dense() / np.float32(scale), plain.to_dense(), atol=1e-4)


def test_a_zero_tensor_is_exact():
    result = CPALS(rank=2)(np.zeros((3, 4, 5)))
    assert not result.to_dense().any()
    assert result.error_certificate == 0
    assert result.sweeps == 0


def test_a_random_start_needs_a_generator():
    with pytest.raises(TypeError, match="CPALS with a Gaussian initial guess is randomized"):
        CPALS(rank=2, start=GaussianStart())(noise())


def test_more_terms_than_singular_vectors_need_a_generator():
    with pytest.raises(TypeError, match="above the 6 singular vectors of mode 0"):
        CPALS(rank=8)(noise())
    assert CPALS(rank=8, sweeps=2)(noise(), rng=np.random.default_rng(0)).rank == 8


def test_the_same_seed_gives_the_same_bits():
    fits = [CPALS(rank=3, start=GaussianStart(), sweeps=3)(noise(), rng=np.random.default_rng(7)) for _ in range(2)]
    np.testing.assert_array_equal(fits[0].to_dense(), fits[1].to_dense())


def test_the_rank_is_lowered_to_what_makes_every_tensor_exact():
    assert CPALS().with_rank(100, (3, 4, 5)).rank == 12


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"rank": 0}, ValueError, "rank is 0"),
        ({"sweeps": 0}, ValueError, "sweeps is 0"),
        ({"stagnation": 1.0}, ValueError, "0 <= stagnation < 1"),
        ({"start": "random"}, TypeError, "start must be a CPStart"),
    ],
    ids=str,
)
def test_bad_fields_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        CPALS(**arguments)


@pytest.mark.parametrize(
    "method, message",
    [(CPALS(rank=43), "rank 43 exceeds 42"), (CPALS(rank=3, start=GivenStart(start(rank=2))), "given factors")],
    ids=["rank", "start"],
)
def test_what_does_not_fit_the_tensor_is_refused(method, message):
    with pytest.raises(ValueError, match=message):
        method(noise())


def test_methods_are_values():
    assert CPALS(start=SingularVectorStart()) == CPALS()
    assert hash(CPALS()) == hash(CPALS(rank=8))


def test_too_few_terms_are_not_exact():
    """Negative control for the recovery test."""
    x = rank_three()
    assert CPALS(rank=2, sweeps=200)(x).error_certificate > 0.01 * np.linalg.norm(x)
