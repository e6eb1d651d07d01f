"""Further sketches, feature maps and sparse formats in scikit-learn's cases, and the accuracy of ours beside theirs."""

import functools
import importlib.util
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from tnattn.attention.random_features.features import Independent, Orthogonal
from tnattn.randnla.low_rank.qb import QB
from tnattn.randnla.low_rank.randomized_eigh import RandomizedEigh
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD
from tnattn.randnla.low_rank.range_finder import RangeFinder
from tnattn.randnla.sketches.trigonometric import SubsampledCosine, SubsampledHadamard

extmath_cases = pytest.importorskip("sklearn.utils.tests.test_extmath", reason="scikit-learn is not installed")
extmath = pytest.importorskip("sklearn.utils.extmath")
projection_cases = pytest.importorskip("sklearn.tests.test_random_projection")
kernel_cases = pytest.importorskip("sklearn.tests.test_kernel_approximation")


def load(name):
    """Return a file beside this one; the tests are no package."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


randomized_svd = load("scikit_learn_adapters").randomized_svd
ours = load("scikit_learn_projections")
every_sketch = pytest.mark.parametrize("sketch", ours.SKETCHES, ids=repr)


@every_sketch
def test_sizes_means_and_norms_of_random_matrices(sketch):
    make = functools.partial(ours.random_matrix, sketch)
    projection_cases.check_input_size_random_matrix(make)
    projection_cases.check_size_generated(make)
    if not isinstance(sketch, SubsampledCosine | SubsampledHadamard):  # more columns than rows repeat the transform
        projection_cases.check_zero_mean_and_unit_norm(make)


@every_sketch
@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("n_samples, n_features", [(9, 11), (11, 9), (10, 1000)])
def test_projections_are_inverted(sketch, inverse, n_samples, n_features):
    made = functools.partial(ours.Projection, sketch)
    projection_cases.test_inverse_transform(projection_cases.COO_CONTAINERS[0], n_samples, n_features, made, inverse, 0)


@pytest.mark.parametrize("directions", [Independent(), Orthogonal()], ids=repr)
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_trigonometric_features_give_the_gaussian_kernel(directions, seed, monkeypatch):
    """Of positive features the case would need a hundred times as many: their variance is six where entries are one."""

    def made(n_components, random_state, **options):
        return ours.RBF(**options, n_components=n_components, random_state=seed, directions=directions)

    monkeypatch.setattr(kernel_cases, "RBFSampler", made)
    kernel_cases.test_rbf_sampler()


def test_a_nystroem_of_half_the_columns_is_noticed(monkeypatch):
    monkeypatch.setattr(kernel_cases, "Nystroem", lambda **o: ours.Nystroem(**{**o, "n_components": 5}))
    with pytest.raises(AssertionError):
        kernel_cases.test_nystroem_singular_kernel()


def test_distances_that_are_not_preserved_are_noticed(monkeypatch):
    class Few(ours.Projection):
        def fit(self, x):
            self.n_components = 8
            return super().fit(x)

    monkeypatch.setattr(projection_cases, "all_RandomProjection", [functools.partial(Few, ours.SKETCHES[0])])
    with pytest.raises(AssertionError):
        projection_cases.test_random_projection_embedding_quality(projection_cases.COO_CONTAINERS[0])


def test_a_polynomial_of_another_degree_is_noticed(monkeypatch):
    monkeypatch.setattr(kernel_cases, "PolynomialCountSketch", lambda **o: ours.Polynomial(**{**o, "degree": 1}))
    with pytest.raises(AssertionError):
        kernel_cases.test_polynomial_count_sketch(2.5, 3, 2.5, 5000)


@pytest.mark.parametrize("layout", ["bsr", "coo", "csc", "csr", "dia", "dok", "lil"])
@pytest.mark.parametrize("kind", ["array", "matrix"])
def test_every_sparse_format_gives_the_triples_of_the_dense_matrix_without_a_warning(layout, kind):
    a = extmath_cases.make_low_rank_matrix(50, 20, effective_rank=10, random_state=np.random.RandomState(42))
    a[np.abs(a) < 0.02] = 0.0
    made = getattr(sparse, f"{layout}_{kind}")(a)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = randomized_svd(made, 5, n_iter=1, random_state=0)
    for part, expected in zip(found, randomized_svd(a, 5, n_iter=1, random_state=0), strict=True):
        np.testing.assert_allclose(part, expected, atol=1e-13)  # singular values of order one; gaps above 0.01


@pytest.mark.parametrize("transpose", [False, True])
def test_errors_are_no_larger_than_theirs(transpose):
    a = extmath_cases.make_low_rank_matrix(
        n_samples=100, n_features=500, effective_rank=4, tail_strength=0.5, random_state=0
    )
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
