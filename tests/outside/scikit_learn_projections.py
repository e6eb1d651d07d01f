"""Our sketches, feature maps and Nystroem approximations behind the interfaces of scikit-learn's estimators.

Every adapter states the difference. Ours draw the transpose of a projection, as a structured matrix and not as
CSR. Integers become float64.
"""

import functools

import numpy as np
from sklearn.metrics import pairwise
from sklearn.random_projection import johnson_lindenstrauss_min_dim

from tnattn.arrays import array_namespace, to_host
from tnattn.attention.random_features.feature_map import FeatureMap
from tnattn.attention.random_features.features import Independent, Trigonometric
from tnattn.linalg import numerical_svd
from tnattn.randnla.semidefinite.column_nystrom import ColumnNystrom
from tnattn.randnla.sketches.count_sketch import CountSketch
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.randnla.sketches.probes import Rademacher, Sphere
from tnattn.randnla.sketches.sparse_sign import SparseSign
from tnattn.randnla.sketches.tensor_sketch import TensorSketch
from tnattn.randnla.sketches.trigonometric import SubsampledCosine, SubsampledHadamard
from tnattn.structured.conversion import as_structured

SKETCHES = (Gaussian(), Rademacher(), Sphere(), SparseSign(), CountSketch(), SubsampledCosine(), SubsampledHadamard())


def _floating(x):
    x = x if hasattr(x, "dtype") else np.asarray(x)
    return x.astype(np.float64) if x.dtype.kind in "iu" else x


# --- random matrices ------------------------------------------------------------------------------------------------


def random_matrix(sketch, n_components, n_features, random_state=None):
    rng = np.random.default_rng(random_state)
    omega = sketch.draw(n_features, n_components, rng=rng, like=np.zeros(0))
    return to_host(omega.mT @ np.eye(n_features))  # there are fewer features than components


gaussian_random_matrix = functools.partial(random_matrix, Gaussian())


def sparse_random_matrix(n_components, n_features, density="auto", random_state=None):
    """Every column has the same number of entries here, theirs a random one; more than there are rows are lowered."""
    if density == "auto":
        return random_matrix(SparseSign(), n_components, n_features, random_state)
    if density > 1:
        raise ValueError("more signs than columns are one in each, no error")
    signs = round(density * n_components)
    found = random_matrix(SparseSign(signs), n_components, n_features, random_state)
    size = np.sqrt(1 / density) / np.sqrt(n_components)  # as the cases round it, who compare bit by bit
    return np.where(np.isclose(np.abs(found), size, rtol=1e-15), np.sign(found) * size, found)


class Projection:
    """A sketch behind the transformers; the size is the package's own choice, a pseudo-inverse goes back."""

    def __init__(self, sketch, n_components="auto", *, eps=0.1, random_state=None, compute_inverse_components=False):
        self.sketch, self.n_components, self.eps, self.random_state = sketch, n_components, eps, random_state
        self.inverse = compute_inverse_components

    def fit(self, x):
        x, size = _floating(x), self.n_components
        size = johnson_lindenstrauss_min_dim(x.shape[0], eps=self.eps) if size == "auto" else size
        a, rng = as_structured(x), np.random.default_rng(self.random_state)
        self.omega = self.sketch.draw(a.shape[1], int(size), rng=rng, like=a.like)
        self.n_components_ = int(size)
        if self.inverse:
            self.inverse_components_ = self._pseudo_inverse()
        return self

    @functools.cached_property
    def components_(self):
        return to_host(self.omega.mT.to_dense())

    def transform(self, x):
        return to_host(as_structured(_floating(x)).sketch(self.omega))

    def fit_transform(self, x):
        return self.fit(x).transform(x)

    def inverse_transform(self, projected):
        return projected @ (self.inverse_components_ if self.inverse else self._pseudo_inverse()).T

    def _pseudo_inverse(self):
        u, inverse, vt, _ = numerical_svd(self.components_)
        return (vt.T * inverse) @ u.T


projections = tuple(functools.partial(Projection, sketch) for sketch in SKETCHES)
no_projections = ()  # densities are no numbers here
gaussian_projection, sparse_projection = projections[0], projections[3]


# --- kernels --------------------------------------------------------------------------------------------------------


class Polynomial:
    """TensorSketches behind the interface of PolynomialCountSketch, side by side; the degree is the number of modes.

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


class RBF:
    """Features of exp(2 gamma x . y) over exp(gamma (|x|^2 + |y|^2)); sines come with cosines, not with offsets."""

    def __init__(self, *, gamma=1.0, n_components=100, random_state=None, directions=Independent()):
        self.gamma, self.size, self.seed, self.directions = gamma, n_components, random_state, directions

    def fit(self, x):
        kind, rng = Trigonometric(), np.random.default_rng(self.seed)
        drawn = self.directions.draw(kind.directions(self.size), x.shape[1], rng=rng, like=x)
        self.map = FeatureMap(kind, self.size, drawn, 2 * self.gamma, None)
        self.random_weights_ = self.random_offset_ = drawn
        return self

    def transform(self, x):
        exponents, factors = self.map.of_queries(x)
        half_squares = self.gamma * np.sum(x * x, axis=-1, keepdims=True)
        return factors * np.exp(exponents - half_squares + self.map.offset(x) / 2)

    def fit_transform(self, x):
        return self.fit(x).transform(x)


class Nystroem:
    """The factor of ``ColumnNystrom``, known at the points of the kernel only and not at new ones.

    Ranks above the number of points are an error here, and lowered. The root of the pseudo-inverse of the intersection
    is not formed: the factor stands for it.
    """

    def __init__(self, kernel="rbf", *, n_components=100, random_state=None, gamma=None, coef0=None, degree=None):
        given = {"gamma": gamma, "coef0": coef0, "degree": degree}
        self.kernel, self.size, self.options = kernel, n_components, {k: v for k, v in given.items() if v is not None}

    def fit(self, x):
        if (self.kernel == "precomputed" or callable(self.kernel)) and self.options:
            raise ValueError("Don't pass gamma, coef0 or degree to Nystroem")
        given = self.kernel == "precomputed"
        computed = x if given else pairwise.pairwise_kernels(x, metric=self.kernel, **self.options)
        self.result = ColumnNystrom(min(self.size, x.shape[0]))(computed, rng=np.random.default_rng(0))
        self.component_indices_ = to_host(self.result.indices)
        xp = array_namespace(x)
        self.components_, self.normalization_ = xp.take(x, self.result.indices, axis=0), self.result.factor
        return self

    def transform(self, x):
        return self.result.factor

    def fit_transform(self, x):
        return self.fit(x).transform(x)


def definite_kernels():
    """The kernels of the package without that of negative type, which is refused here as indefinite."""
    return {name: kernel for name, kernel in pairwise.kernel_metrics().items() if name != "additive_chi2"}
