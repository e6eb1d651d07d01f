"""scikit-learn's own cases for ``randomized_svd``, run from the installed package on ours."""

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.randnla.low_rank.qb import QB
from tnattn.randnla.low_rank.randomized_eigh import RandomizedEigh
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD
from tnattn.randnla.low_rank.range_finder import RangeFinder

cases = pytest.importorskip("sklearn.utils.tests.test_extmath", reason="scikit-learn is not installed")
extmath = pytest.importorskip("sklearn.utils.extmath")


def randomized_svd(
    a, n_components, *, n_oversamples=10, n_iter="auto", flip_sign=True, transpose="auto", random_state=None, **_
):
    """Ours behind scikit-learn's signature: its normaliser and LAPACK driver have no counterpart."""
    if n_iter == "auto":
        n_iter = 7 if n_components < 0.1 * min(a.shape) else 4
    if a.dtype.kind != "f":
        a = a.astype(np.float64)
    flipped = a.shape[0] < a.shape[1] if transpose == "auto" else transpose
    method = RandomizedSVD(rank=n_components, oversampling=n_oversamples, power_iterations=n_iter)
    result = method(a.T if flipped else a, rng=np.random.default_rng(random_state))
    u, s, vt = (to_host(x) for x in (result.u, result.s, result.vt))
    if flipped:
        u, vt = vt.T, u.T
    if flip_sign:
        u, vt = extmath.svd_flip(u, vt)
    return u, s, vt


@pytest.fixture(autouse=True)
def ours(monkeypatch):
    monkeypatch.setattr(cases, "randomized_svd", randomized_svd)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32, np.float64])
def test_low_rank_in_all_dtypes(dtype):
    cases.test_randomized_svd_low_rank_all_dtypes(dtype)


# the fourth case, transpose_consistency, holds for two seeds in five of scikit-learn's own: see the last test
@pytest.mark.parametrize("name", ["low_rank_with_noise", "infinite_rank", "sign_flip", "sign_flip_with_transpose"])
def test_case_of_the_package(name):
    getattr(cases, f"test_randomized_svd_{name}")()


def test_the_cases_can_fail(monkeypatch):
    monkeypatch.setattr(cases, "randomized_svd", lambda a, k, **_: tuple(2 * x for x in randomized_svd(a, k)))
    with pytest.raises(AssertionError):
        cases.test_randomized_svd_infinite_rank()


@pytest.mark.parametrize("transpose", [False, True])
def test_errors_are_no_larger_than_theirs(transpose):
    a = cases.make_low_rank_matrix(n_samples=100, n_features=500, effective_rank=4, tail_strength=0.5, random_state=0)
    exact = np.linalg.svd(a, compute_uv=False)[:10]
    errors = [
        [np.abs(f(a, 10, n_iter=3, transpose=transpose, random_state=seed)[1] - exact).max() for seed in range(30)]
        for f in (randomized_svd, extmath.randomized_svd)
    ]
    # both medians scatter by about 10 %, so that 1.5 is passed by chance in fewer than one run of 1e4
    assert np.median(errors[0]) <= 1.5 * np.median(errors[1])


SLOW_SPECTRA = {"1/j": lambda j: 1 / j, "j^-1/2": lambda j: j**-0.5, "1/log(1 + j)": lambda j: 1 / np.log1p(j)}


def excess(a, approximation, rank):
    """Frobenius error over that of the best approximation of a diagonal matrix with descending sizes."""
    return np.linalg.norm(a - approximation) / np.linalg.norm(np.diag(a)[rank:])


@pytest.mark.parametrize("rank", [5, 16, 50])
@pytest.mark.parametrize("spectrum", SLOW_SPECTRA)
def test_the_default_is_as_accurate_as_theirs(spectrum, rank):
    """Singular vectors do not matter to Gaussian test matrices, so that diagonal matrices say everything."""
    a = np.diag(SLOW_SPECTRA[spectrum](np.arange(1.0, 401)))
    for seed in range(3):
        u, s, vt = extmath.randomized_svd(a, rank, random_state=seed)
        assert excess(a, (u * s) @ vt, rank) <= 1.01
        result = RandomizedSVD(rank)(a, rng=np.random.default_rng(seed))
        assert excess(a, result.to_dense(), rank) <= 1.01
        signed = a * np.where(np.arange(400) % 2, 1, -1)
        eigen = RandomizedEigh(rank)(signed, rng=np.random.default_rng(seed)).to_dense()
        assert excess(signed, eigen, rank) <= (1.01 if spectrum != "1/log(1 + j)" else 1.02)
        assert excess(a, QB(RangeFinder(rank))(a, rng=np.random.default_rng(seed)).to_dense(), rank) <= 1.01


def test_without_power_iterations_the_default_would_not_be():
    a = np.diag(np.arange(1.0, 401) ** -0.5)
    result = RandomizedSVD(16, power_iterations=0)(a, rng=np.random.default_rng(0))
    assert excess(a, result.to_dense(), 16) > 1.1
