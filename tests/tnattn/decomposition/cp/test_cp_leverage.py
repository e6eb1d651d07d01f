"""Sampled alternating least squares: unbiased rows, true errors, fits as good as those of the whole iteration."""

import itertools

import numpy as np
import pytest
from fixtures import rng

from tnattn.arrays import dtype_name
from tnattn.decomposition.cp.als import CPALS
from tnattn.decomposition.cp.cp_leverage import CPLeverage, fibres
from tnattn.decomposition.cp.khatri_rao_sampling import KhatriRaoSampling
from tnattn.decomposition.multilinear import khatri_rao, unfold
from tnattn.structured.cp import CPTensor
from tnattn.structured.khatri_rao import KhatriRao


def of_rank(sizes=(14, 16, 18), rank=3, seed=0, noise=1e-2):
    r = rng(seed)
    x = CPTensor(np.ones(rank), tuple(r.standard_normal((n, rank)) for n in sizes)).to_dense()
    return x + noise * r.standard_normal(sizes)


def rows_of(factors, indices):
    return np.prod([f[i] for f, i in zip(factors, indices, strict=True)], axis=0)


@pytest.mark.parametrize("deterministic", [0, 1, 5, 12])
def test_sampled_gram_matrices_are_unbiased(deterministic):
    factors = [rng(1).standard_normal((4, 2)), rng(2).standard_normal((5, 2))]
    factors[0][0] *= 10
    whole = khatri_rao(factors)
    total, trials = np.zeros((2, 2)), 1200
    squares = np.zeros((2, 2))
    source = rng()
    for _ in range(trials):
        indices, scales = KhatriRaoSampling(6, deterministic).draw(factors, rng=source)
        sampled = scales[:, None] * rows_of(factors, indices)
        total += sampled.T @ sampled
        squares += (sampled.T @ sampled) ** 2
    mean = total / trials
    deviation = np.sqrt(np.maximum(squares / trials - mean**2, 0) / trials)
    assert np.all(np.abs(mean - whole.T @ whole) <= 5 * deviation + 1e-12)


def test_rows_taken_for_certain_are_the_most_probable_ones():
    factors = [rng(1).standard_normal((4, 2)), rng(2).standard_normal((5, 2)), rng(3).standard_normal((3, 2))]
    scores = [np.sum(np.linalg.qr(f)[0] ** 2, axis=1) for f in factors]
    ranked = sorted(
        itertools.product(range(4), range(5), range(3)), key=lambda i: -np.prod([s[j] for s, j in zip(scores, i)])
    )
    indices, scales = KhatriRaoSampling(4, 7).draw(factors, rng=rng())
    assert list(zip(*(i[:7].tolist() for i in indices), strict=True)) == ranked[:7]
    assert np.all(scales[:7] == 1)


def test_all_rows_taken_for_certain_are_exact():
    factors = [rng(1).standard_normal((4, 2)), rng(2).standard_normal((5, 2))]
    indices, scales = KhatriRaoSampling(3, 20).draw(factors, rng=rng())
    sampled = scales[:, None] * rows_of(factors, indices)
    np.testing.assert_allclose(sampled.T @ sampled, khatri_rao(factors).T @ khatri_rao(factors), rtol=1e-12)
    assert np.all(scales[20:] == 0)


def test_the_sampling_matrix_picks_the_rows_drawn():
    factors = (rng(1).standard_normal((4, 2)), rng(2).standard_normal((5, 2)))
    indices, scales = KhatriRaoSampling(9, 3).draw(factors, rng=rng())
    sampled = KhatriRaoSampling(9, 3)(KhatriRao(factors), rng=rng()) @ khatri_rao(factors)
    np.testing.assert_allclose(sampled, scales[:, None] * rows_of(factors, indices), rtol=1e-13)


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
def test_fibres_are_columns_of_the_unfolding(mode):
    x = rng().standard_normal((3, 4, 5, 2))
    others = [n for j, n in enumerate(x.shape) if j != mode]
    indices = [rng(j).integers(0, n, 6) for j, n in enumerate(others)]
    columns = np.ravel_multi_index(indices, others)
    np.testing.assert_array_equal(fibres(x, mode, indices, order=4), unfold(x, mode, order=4)[:, columns])


@pytest.mark.parametrize("deterministic", [0, 20])
def test_the_fit_is_nearly_that_of_all_rows(deterministic, seed):
    x = of_rank(seed=seed)
    result = CPLeverage(rank=3, samples=150, deterministic=deterministic)(x, rng=rng(seed))
    assert result.error_certificate <= 1.2 * CPALS(rank=3, sweeps=200)(x).error_certificate


def test_the_residual_is_true_and_errors_never_rise():
    x = of_rank(noise=0.5)
    result = CPLeverage(rank=3, samples=40)(x, rng=rng())
    assert result.error_certificate == pytest.approx(np.linalg.norm(x - result.to_dense()), rel=1e-10)
    assert result.errors[-1] * np.linalg.norm(x) == pytest.approx(result.error_certificate, rel=1e-12)
    assert np.all(np.diff(result.errors) <= 0)


def test_coherent_factors_do_not_hide_an_error():
    """One row holds nearly all of every factor: uniform samples of fibres would miss it and call the rest a fit."""
    r = rng()
    factors = [r.standard_normal((30, 2)) * 1e-3 for _ in range(3)]
    for f in factors:
        f[7] = r.standard_normal(2)
    x = CPTensor(np.ones(2), tuple(factors)).to_dense()
    result = CPLeverage(rank=2, samples=60)(x, rng=rng(1))
    assert result.error_certificate == pytest.approx(np.linalg.norm(x - result.to_dense()), rel=1e-6, abs=1e-12)
    assert result.error_certificate <= 0.05 * np.linalg.norm(x)


@pytest.mark.parametrize("order, sizes", [(2, (9, 8)), (4, (5, 6, 4, 5))], ids=str)
def test_other_orders_are_fitted(order, sizes):
    x = of_rank(sizes, 2, noise=0)
    result = CPLeverage(rank=2, samples=100, order=order)(x, rng=rng(2))
    assert result.error_certificate <= 1e-3 * np.linalg.norm(x)


def test_a_stack_is_decomposed_as_its_members_would_be():
    x = np.stack([of_rank(seed=0), of_rank(seed=1) * 100, np.zeros((14, 16, 18))])
    result = CPLeverage(rank=3, samples=150)(x, rng=rng())
    true = [np.linalg.norm(x[i] - result.to_dense()[i]) for i in range(3)]
    np.testing.assert_allclose(result.error_certificate, true, rtol=1e-6, atol=1e-12)
    assert result.error_certificate[0] <= 0.02 * np.linalg.norm(x[0])
    assert result.error_certificate[2] == 0


def test_every_library_gives_the_same_fit(xp, assert_close):
    host = of_rank((5, 6, 7), 2)
    method = CPLeverage(rank=2, samples=30, deterministic=4, epochs=2, sweeps=1)
    if xp.dtype == "float32":
        host = host.astype(np.float32)
    result = method(xp.asarray(host), rng=rng())
    assert_close(result.to_dense(), xp.asarray(method(host, rng=rng()).to_dense()), rtol=0, atol=1e5 * xp.eps())
    assert dtype_name(result.weights.dtype) == xp.dtype


def test_a_generator_is_needed():
    with pytest.raises(TypeError, match="CPLeverage is randomized"):
        CPLeverage(rank=2)(of_rank())


@pytest.mark.parametrize(
    "arguments, error",
    [
        ({"samples": 0}, ValueError),
        ({"deterministic": -1}, ValueError),
        ({"epochs": 0}, ValueError),
        ({"sweeps": 0}, ValueError),
        ({"stagnation": 1.0}, ValueError),
        ({"start": "random"}, TypeError),
    ],
    ids=str,
)
def test_bad_fields_are_refused(arguments, error):
    with pytest.raises(error, match=next(iter(arguments))):
        CPLeverage(**arguments)


def test_a_rank_too_large_is_refused():
    with pytest.raises(ValueError, match="rank 43 exceeds 42"):
        CPLeverage(rank=43)(np.ones((6, 7, 8)), rng=rng())


def test_too_few_samples_are_seen_in_the_error():
    """Negative control: with as many rows as terms the fit is poor, and is said to be."""
    x = of_rank(noise=0.3)
    good, bad = (CPLeverage(rank=3, samples=s, epochs=3)(x, rng=rng()) for s in (250, 3))
    assert bad.error_certificate > 1.3 * good.error_certificate
