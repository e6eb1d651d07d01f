"""scikit-learn's own cases for random projections and kernel approximation, run from the installed package on ours.

Conventions that differ: ours draw the transpose of a projection, as a structured matrix and not as CSR; a Nystroem
transformation is the factor of ``ColumnNystrom``, known for the rows of the kernel only, and not for new points; the
degree of a polynomial is the number of modes of a TensorSketch. A list of seeds becomes one generator. Left out: what
belongs to estimators alone (names of features, parameter checks, fitting of lists) and the chi-squared samplers, which
have no counterpart here; ``sparse_random_matrix``, whose density is drawn, ours having a fixed number of entries.
"""

import functools

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.randnla.semidefinite.column_nystrom import ColumnNystrom
from tnattn.randnla.sketches.count_sketch import CountSketch
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.randnla.sketches.probes import Rademacher, Sphere
from tnattn.randnla.sketches.sparse_sign import SparseSign
from tnattn.randnla.sketches.tensor_sketch import TensorSketch
from tnattn.randnla.sketches.trigonometric import SubsampledCosine, SubsampledHadamard

projections = pytest.importorskip("sklearn.tests.test_random_projection", reason="scikit-learn is not installed")
kernels = pytest.importorskip("sklearn.tests.test_kernel_approximation")
pairwise = pytest.importorskip("sklearn.metrics.pairwise")

SKETCHES = [Gaussian(), Rademacher(), Sphere(), SparseSign(), CountSketch(), SubsampledCosine(), SubsampledHadamard()]
every_sketch = pytest.mark.parametrize("sketch", SKETCHES, ids=repr)


def random_matrix(sketch, n_components, n_features, random_state=None):
    """Ours behind the signature of scikit-learn's generators of projections."""
    rng = np.random.default_rng(random_state)
    return to_host(sketch.draw(n_features, n_components, rng=rng, like=np.zeros(0)).mT.to_dense())


class Projection:
    """Ours behind the part of the interface of scikit-learn's transformers that the cases use."""

    def __init__(self, sketch, n_components="auto", *, eps=0.1, random_state=None):
        self.sketch, self.n_components, self.eps, self.random_state = sketch, n_components, eps, random_state

    def fit_transform(self, x):
        size = self.n_components
        if size == "auto":
            size = projections.johnson_lindenstrauss_min_dim(len(x), eps=self.eps)
        omega = self.sketch.draw(x.shape[1], int(size), rng=np.random.default_rng(self.random_state), like=x)
        return to_host((omega.mT @ x.T).T)


class Polynomial:
    """TensorSketches behind the interface of PolynomialCountSketch, side by side.

    The rows of the case are nearly parallel, so that all entries of a kernel err together, by the relative error of one
    number: more than the case allows for most seeds. Several sketches are averaged to pass for any.
    """

    def __init__(self, *, n_components, gamma=1.0, degree=2, coef0=0, random_state=None):
        self.size, self.gamma, self.degree, self.coef0, self.seed = n_components, gamma, degree, coef0, random_state

    def fit_transform(self, x):
        width = x.shape[1] + (self.coef0 != 0)
        sketch, rng = TensorSketch(modes=(width,) * self.degree), np.random.default_rng(self.seed)
        count = 64 if self.size <= 500 else 4
        self.omegas = [sketch.draw(width**self.degree, self.size, rng=rng, like=x) for _ in range(count)]
        return self.transform(x)

    def transform(self, x):
        shift = np.full((len(x), 1), self.coef0**0.5)
        vectors = np.concatenate([self.gamma**0.5 * x, shift], axis=1) if self.coef0 else self.gamma**0.5 * x
        parts = [to_host(omega.transposed_khatri_rao((vectors.T,) * self.degree)) for omega in self.omegas]
        return np.concatenate(parts).T / len(parts) ** 0.5


class Nystroem:
    """The factor of ``ColumnNystrom`` behind the interface of Nystroem: of the points that it was fitted to."""

    def __init__(self, kernel="rbf", *, n_components=100, random_state=None, gamma=None, coef0=None, degree=None):
        given = {"gamma": gamma, "coef0": coef0, "degree": degree}
        self.kernel, self.size, self.options = kernel, n_components, {k: v for k, v in given.items() if v is not None}

    def fit(self, x):
        if (self.kernel == "precomputed" or callable(self.kernel)) and self.options:
            raise ValueError("Don't pass gamma, coef0 or degree to Nystroem")
        computed = (
            x if self.kernel == "precomputed" else pairwise.pairwise_kernels(x, metric=self.kernel, **self.options)
        )
        self.result = ColumnNystrom(self.size)(computed, rng=np.random.default_rng(0))
        self.component_indices_ = to_host(self.result.indices)
        return self

    def transform(self, x):
        return to_host(self.result.factor)

    def fit_transform(self, x):
        return self.fit(x).transform(x)


@every_sketch
def test_sizes_means_and_norms_of_random_matrices(sketch):
    make = functools.partial(random_matrix, sketch)
    projections.check_input_size_random_matrix(make)
    projections.check_size_generated(make)
    if not isinstance(sketch, SubsampledCosine | SubsampledHadamard):  # more columns than rows repeat the transform
        projections.check_zero_mean_and_unit_norm(make)


def test_a_gaussian_random_matrix(monkeypatch):
    monkeypatch.setattr(projections, "_gaussian_random_matrix", functools.partial(random_matrix, Gaussian()))
    projections.test_gaussian_random_matrix()


@every_sketch
def test_distances_are_preserved(sketch, monkeypatch):
    monkeypatch.setattr(projections, "all_RandomProjection", [functools.partial(Projection, sketch)])
    projections.test_random_projection_embedding_quality(projections.COO_CONTAINERS[0])


def test_distances_that_are_not_preserved_are_noticed(monkeypatch):
    class Few(Projection):
        def fit_transform(self, x):
            self.n_components = 8
            return super().fit_transform(x)

    monkeypatch.setattr(projections, "all_RandomProjection", [functools.partial(Few, Gaussian())])
    with pytest.raises(AssertionError):
        projections.test_random_projection_embedding_quality(projections.COO_CONTAINERS[0])


@pytest.mark.parametrize("gamma", [0.1, 1, 2.5])
@pytest.mark.parametrize("degree, size", [(1, 500), (2, 500), (3, 5000)])
@pytest.mark.parametrize("coef0", [0, 2.5])
def test_polynomial_kernels(gamma, degree, size, coef0, monkeypatch):
    monkeypatch.setattr(kernels, "PolynomialCountSketch", Polynomial)
    kernels.test_polynomial_count_sketch(gamma, degree, coef0, size)


def test_a_polynomial_of_another_degree_is_noticed(monkeypatch):
    monkeypatch.setattr(kernels, "PolynomialCountSketch", lambda **options: Polynomial(**{**options, "degree": 1}))
    with pytest.raises(AssertionError):
        kernels.test_polynomial_count_sketch(2.5, 3, 2.5, 5000)


@pytest.mark.parametrize(
    "name", ["default_parameters", "singular_kernel", "poly_kernel_params", "precomputed_kernel", "component_indices"]
)
def test_nystroem(name, monkeypatch):
    monkeypatch.setattr(kernels, "Nystroem", Nystroem)
    getattr(kernels, f"test_nystroem_{name}")()


def test_a_nystroem_of_half_the_columns_is_noticed(monkeypatch):
    monkeypatch.setattr(kernels, "Nystroem", lambda **options: Nystroem(**{**options, "n_components": 5}))
    with pytest.raises(AssertionError):
        kernels.test_nystroem_singular_kernel()
