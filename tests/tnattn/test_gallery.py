"""Every property that the gallery declares."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tnattn import gallery
from tnattn.gallery import declared
from tnattn.gallery.generators import PEAK

FAMILIES = gallery.problems()
EPS = np.finfo(np.float64).eps


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("sizes", [(24, 8, 2, 2), (97, 16, 4, 2), (200, 32, 2, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_problem_has_the_properties_of_its_family(name, sizes, dtype, seed):
    problem = FAMILIES[name](*sizes, rng=np.random.default_rng(seed), dtype=dtype)
    FAMILIES[name].check(problem)
    n, d, heads, groups = sizes
    assert problem.q.shape == (heads, n, d)
    assert problem.k.shape == problem.v.shape == (groups, n, d)
    assert problem.q.dtype == problem.v.dtype == dtype


# gauss and value_outliers agree in queries and keys; a rescaled copy of either is neither
@pytest.mark.parametrize("name", FAMILIES)
def test_a_foreign_problem_is_rejected(name):
    stranger = "flat" if name != "flat" else "huge_logits"
    with pytest.raises(AssertionError, match=name):
        FAMILIES[name].check(FAMILIES[stranger](64, 8, rng=np.random.default_rng(0)))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_seed_means_one_problem(name):
    first, second, other = (FAMILIES[name](17, 8, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first.q, second.q)
    assert np.array_equal(first.k, second.k)
    assert not np.array_equal(first.v, other.v)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("n", [2, 3, 7])
def test_few_tokens_are_enough(name, n):
    problem = FAMILIES[name](n, 4, 1, rng=np.random.default_rng(3))
    assert np.all(np.isfinite(problem.output))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ties_are_ties_up_to_rounding_and_no_further(dtype):
    """A key moved by its last digits stays tied; one moved by a thousandth, the control, does not."""
    problem = FAMILIES["ties"](33, 8, 2, rng=np.random.default_rng(1), dtype=dtype)
    for moved, tied in ((np.finfo(dtype).eps, True), (1e-3, False)):
        k = problem.k * (1 + moved * (np.arange(33) % 2)[:, None]).astype(dtype)
        assert declared.has_ties(replace(problem, k=k)) is tied


def test_a_needle_is_found_by_the_weight_it_was_planted_with():
    problem = FAMILIES["needle"](64, 16, rng=np.random.default_rng(0))
    largest = problem.dense_weights().max(axis=-1)
    assert np.allclose(largest, PEAK, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "spectrum",
    [
        gallery.polynomial_spectrum(12, rate=1.5),
        gallery.exponential_spectrum(12, rate=0.7),
        gallery.gap_spectrum(3, 12),
    ],
    ids=["polynomial", "exponential", "gap"],
)
def test_a_matrix_has_the_singular_values_asked_for(spectrum, seed):
    a = gallery.matrix_with_spectrum(spectrum, (2, 20, 12), np.random.default_rng(seed))
    error = np.linalg.svd(a, compute_uv=False) - spectrum
    assert np.abs(error).max() <= 8 * 20 * EPS * spectrum[0]


def test_a_positive_semidefinite_matrix_has_the_eigenvalues_asked_for(seed):
    spectrum = gallery.gap_spectrum(2, 6, gap=100.0)
    a = gallery.psd_with_spectrum(spectrum, np.random.default_rng(seed), n=9)
    assert np.array_equal(a, a.T)
    assert np.abs(np.linalg.eigvalsh(a)[::-1][:6] - spectrum).max() <= 8 * 9 * EPS * 100
    assert np.abs(np.linalg.eigvalsh(a)[:3]).max() <= 8 * 9 * EPS * 100


def test_a_symmetric_matrix_has_eigenvalues_of_both_signs(seed):
    a = gallery.symmetric_with_spectrum(np.array([3.0, -2.0]), np.random.default_rng(seed), n=4)
    assert np.array_equal(a, a.T)
    np.testing.assert_allclose(np.linalg.eigvalsh(a), [-2, 0, 0, 3], atol=8 * 4 * EPS * 3)


def test_a_gap_spectrum_has_one_gap():
    assert gallery.gap_spectrum(2, 5).tolist() == [1e4, 1e4, 1, 1, 1]


@pytest.mark.parametrize("leverage", [0.25, 0.9, 1.0])
def test_a_coherent_basis_has_the_leverage_asked_for(leverage):
    u = gallery.coherent_orthonormal((3, 20, 5), np.random.default_rng(0), leverage=leverage)
    assert np.abs(u.mT @ u - np.eye(5)).max() <= 8 * 20 * EPS
    assert np.allclose(np.sum(u[:, :5] ** 2, axis=-1), leverage, rtol=1e-14)


def test_an_orthonormal_basis_is_uniform_over_signs():
    u = gallery.orthonormal((4000, 3, 3), np.random.default_rng(0))
    assert np.abs(u.mT @ u - np.eye(3)).max() <= 64 * EPS
    # entries have mean 0 and variance 1/3; QR without the signs fixed has a mean of its first row far from 0
    assert np.abs(u.mean(axis=0)).max() < 6 * math.sqrt(1 / 3 / 4000)


def test_kahans_last_pivot_exceeds_its_smallest_singular_value():
    a = gallery.kahan(40)
    assert a[-1, -1] > 1e3 * np.linalg.svd(a, compute_uv=False)[-1]
    assert np.array_equal(a, np.triu(a))
    # every column from i on has the norm of the diagonal entry i below row i: pivoting exchanges nothing
    for i in (0, 10, 30):
        assert np.allclose(np.linalg.norm(a[i:, i:], axis=0), a[i, i], rtol=1e-12)


def test_a_gaussian_kernel_is_positive_semidefinite_with_unit_diagonal():
    kernel = gallery.gaussian_kernel(np.random.default_rng(0).standard_normal((30, 2)), bandwidth=0.7)
    assert np.all(np.diag(kernel) == 1)
    assert np.linalg.eigvalsh(kernel)[0] > -30 * EPS * 30


@pytest.mark.parametrize("modes", [(0,), (1,), (2,), (0, 1)])
def test_every_unfolding_has_the_spectrum_asked_for(modes):
    spectrum = gallery.exponential_spectrum(4)
    t = gallery.tensor_with_spectrum(spectrum, (5, 6, 7), np.random.default_rng(0))
    s = np.linalg.svd(_unfolding(t, modes), compute_uv=False)
    assert np.abs(s[:4] - spectrum).max() <= 64 * EPS
    assert s[4:].max() <= 64 * EPS


def test_a_tucker_tensor_has_its_multilinear_rank():
    t = gallery.tucker_tensor((6, 7, 8), (2, 3, 4), np.random.default_rng(0))
    assert [np.linalg.matrix_rank(_unfolding(t, (mode,))) for mode in range(3)] == [2, 3, 4]


def test_a_tensor_train_has_its_ranks():
    t = gallery.tensor_train_tensor((4, 5, 6, 3), (2, 4, 3), np.random.default_rng(0))
    found = [np.linalg.matrix_rank(_unfolding(t, tuple(range(mode)))) for mode in (1, 2, 3)]
    assert found == [2, 4, 3]


@pytest.mark.parametrize("collinearity", [0.0, 0.9])
def test_a_canonical_tensor_has_rank_and_collinearity_asked_for(collinearity):
    """|T|^2 is the sum of all entries of the elementwise cube of the Gram matrix: 3 + 6 c^3 at rank 3."""
    t = gallery.cp_tensor((6, 7, 8), 3, np.random.default_rng(0), collinearity=collinearity)
    assert np.linalg.matrix_rank(_unfolding(t, (0,))) == 3
    assert np.isclose(np.sum(t**2), 3 + 6 * collinearity**3, rtol=1e-12)


def test_a_needle_tensor_has_one_needle():
    t = gallery.needle_tensor((5, 6, 7), np.random.default_rng(0), height=50.0, noise=0.01)
    assert np.sum(np.abs(t) > 0.1) == 1
    assert t.max() == 50.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rng: gallery.matrix_with_spectrum(np.ones(5), (4, 9), rng), "do not fit"),
        (lambda rng: gallery.matrix_with_spectrum(-np.ones(2), (4, 9), rng), "non-negative"),
        (lambda rng: gallery.psd_with_spectrum(np.ones(5), rng, n=4), "raise n"),
        (lambda rng: gallery.psd_with_spectrum(-np.ones(2), rng), "non-negative"),
        (lambda rng: gallery.gap_spectrum(5, 4), "between 0 and n"),
        (lambda rng: gallery.coherent_orthonormal((9, 5), rng), "m >= 2 n"),
        (lambda rng: gallery.coherent_orthonormal((10, 5), rng, leverage=2.0), "between 0 and 1"),
        (lambda rng: gallery.orthonormal((3, 5), rng), "do not exist"),
        (lambda rng: gallery.gaussian_kernel(np.ones((2, 2)), bandwidth=0), "positive"),
        (lambda rng: gallery.tucker_tensor((3, 3), (1, 2), rng), "impossible"),
        (lambda rng: gallery.tucker_tensor((3, 3), (1,), rng), "one per axis"),
        (lambda rng: gallery.tensor_train_tensor((2, 2), (3,), rng), "impossible"),
        (lambda rng: gallery.tensor_train_tensor((2, 2), (), rng), "give 1"),
        (lambda rng: gallery.tensor_with_spectrum(np.ones(3), (2, 5), rng), "do not fit"),
        (lambda rng: gallery.cp_tensor((3, 3), 4, rng), "between 1 and"),
        (lambda rng: gallery.cp_tensor((3, 3), 2, rng, collinearity=1.0), "collinearity"),
        (lambda rng: FAMILIES["gauss"](1, 8, rng=rng), "at least 2 tokens"),
        (lambda rng: FAMILIES["gauss"](8, 8, 3, 2, rng=rng), "cannot be shared"),
    ],
)
def test_impossible_requests_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.random.default_rng(0))


def test_arrays_land_where_like_lives(xp, assert_close):
    like = xp.asarray(np.zeros(1))
    problem = FAMILIES["smooth"](16, 8, rng=np.random.default_rng(0), dtype=xp.dtype, like=like)
    host = FAMILIES["smooth"](16, 8, rng=np.random.default_rng(0), dtype=xp.dtype)
    assert_close(problem.k, xp.asarray(host.k), rtol=0)
    assert_close(gallery.kahan(4, like=like), xp.asarray(gallery.kahan(4)), rtol=0, atol=xp.eps())


def _unfolding(t, modes):
    rest = [axis for axis in range(t.ndim) if axis not in modes]
    rows = math.prod(t.shape[mode] for mode in modes)
    return np.transpose(t, (*modes, *rest)).reshape(rows, -1)
