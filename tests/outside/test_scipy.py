"""SciPy's own cases for interpolative decompositions and sketches, run from the installed package on ours.

Complex matrices are refused here. A precision in place of a rank is a relative tolerance of ours, in the
Frobenius norm where SciPy's refers to the largest pivot.
"""

import inspect
import types

import numpy as np
import pytest
import scipy.linalg.interpolative as original
from scipy.linalg import hilbert
from scipy.sparse.linalg import aslinearoperator

from tnattn.arrays import to_host
from tnattn.randnla.columns.interpolative import InterpolativeDecomposition
from tnattn.randnla.columns.pivoted_qr import QRColumns
from tnattn.randnla.estimates.norm_estimates import SpectralNorm
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD
from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD
from tnattn.randnla.sketches.count_sketch import CountSketch
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.structured.low_rank import LowRank

interpolative = pytest.importorskip("scipy.linalg.tests.test_interpolative", reason="SciPy ships no tests here")
sketches = pytest.importorskip("scipy.linalg.tests.test_sketches", reason="SciPy ships no tests here")


def to_precision(a, precision, rand, rng):
    """Return an interpolative decomposition of as many columns as a relative precision needs, 100 at most."""
    selection = QRColumns(sketch=Gaussian()) if rand else QRColumns()
    method = InterpolativeDecomposition(min(100, *a.shape), selection, rtol=precision)
    return method(a, rng=np.random.default_rng(rng))


def interp_decomp(a, precision_or_rank, rand=True, rng=None):
    """Return the rank, if a precision is given, the columns with the chosen ones first, and the coefficients."""
    if precision_or_rank < 1:
        result = to_precision(a, precision_or_rank, rand, rng)
    else:
        result = InterpolativeDecomposition(int(precision_or_rank))(a)
    chosen = to_host(result.indices)
    others = np.setdiff1d(np.arange(a.shape[1]), chosen)
    found = np.concatenate([chosen, others]), to_host(result.coefficients)[:, others]
    return (int(result.ranks), *found) if precision_or_rank < 1 else found


def triples(result):
    return tuple(to_host(x) for x in (result.u, result.s, result.vt.mT))


def id_to_svd(columns, order, coefficients):
    """Return u, s, v of an interpolative decomposition, which is not multiplied out."""
    return triples(
        TruncatedSVD(len(columns.T))(LowRank(columns, original.reconstruct_interp_matrix(order, coefficients)))
    )


def svd(a, precision_or_rank, rand=True, rng=None):
    """Return u, s, v of a rank, or of as many columns as a relative precision needs."""
    if precision_or_rank >= 1:
        method = RandomizedSVD(rank=precision_or_rank, power_iterations=2)
        return triples(method(a, rng=np.random.default_rng(rng)))
    found = to_precision(a, precision_or_rank, rand, rng)
    return triples(TruncatedSVD(int(found.ranks))(found))


def svd_by_blocks(a, precision, rand=True, rng=None):
    """Return u, s, v of a basis that grows until the residual identity, good for half of the digits, is satisfied."""
    return triples(RandomizedSVD(rank=100, rtol=max(precision, 3e-8))(a, rng=np.random.default_rng(rng)))


def estimate_rank(a, precision, rng=None):
    return int(to_precision(a, precision, True, rng).ranks)


def estimate_spectral_norm(a, its=20, rng=None):
    return float(SpectralNorm(steps=its)(a, rng=np.random.default_rng(rng)).value)


OURS = {
    "interp_decomp": interp_decomp,
    "svd": svd,
    "id_to_svd": id_to_svd,
    "estimate_rank": estimate_rank,
    "estimate_spectral_norm": estimate_spectral_norm,
    "estimate_spectral_norm_diff": lambda a, b, its=20, rng=None: estimate_spectral_norm(a - b, its, rng),
}


@pytest.fixture(autouse=True)
def ours(monkeypatch):
    names = {name: getattr(original, name) for name in dir(original) if not name.startswith("_")}
    monkeypatch.setattr(interpolative, "pymatrixid", types.SimpleNamespace(**{**names, **OURS}))
    monkeypatch.setattr(interpolative, "interp_decomp", interp_decomp)
    monkeypatch.setattr(sketches, "cwt_matrix", lambda rows, n, rng: _matrix(rows, n, rng))
    monkeypatch.setattr(sketches, "clarkson_woodruff_transform", transform)


class _matrix:
    """A CountSketch behind the name and the method that SciPy's case uses."""

    def __init__(self, rows, n, rng):
        self.sketch = CountSketch().draw(n, rows, rng=np.random.default_rng(rng), like=np.zeros(()))

    def toarray(self):
        return self.sketch.to_dense().T


def transform(a, rows, rng=None, seed=None):
    dense = a.toarray() if hasattr(a, "toarray") else a
    omega = CountSketch().draw(a.shape[0], rows, rng=np.random.default_rng(seed if rng is None else rng), like=dense)
    return omega.mT @ dense


HILBERT = hilbert(300)
RANK = int(np.nonzero(np.linalg.svd(HILBERT, compute_uv=False) < 1e-12)[0][0])
KINDS = [(False, False), (True, False), (True, True)]
FIXED_RANK = ["test_real_id_fixed_rank", "test_svd_fixed_rank"]
FIXED_PRECISION = ["test_real_id_fixed_precision", "test_svd_fixed_precision"]
ESTIMATES = [
    "test_estimate_spectral_norm",
    "test_estimate_spectral_norm_diff",
    "test_rank_estimates_array",
    "test_rank_estimates_lin_op",
]
SHAPES = ["test_badcall", "test_full_rank", "test_rank_too_large", "test_svd_aslinearoperator_shape_check"]
SINGLE = ["test_id_to_svd", "test_bug_9793", "test_real_id_skel_and_interp_matrices"]
RUN = {*FIXED_RANK, *FIXED_PRECISION, *ESTIMATES, *SHAPES, *SINGLE}
SKETCH_CASES = [
    "test_seed_returns_identical_transform_matrix",
    "test_seed_returns_identically",
    "test_sketch_dimensions",
    "test_sketch_preserves_frobenius_norm",
    "test_sketch_preserves_vector_norm",
]


@pytest.mark.parametrize("rand, operator", KINDS)
@pytest.mark.parametrize("name", FIXED_RANK)
def test_fixed_rank_on_a_hilbert_matrix(name, rand, operator):
    case = getattr(interpolative.TestInterpolativeDecomposition(), name)
    case(HILBERT, aslinearoperator(HILBERT), 1e-12, RANK, rand, operator, np.random.default_rng(0))


@pytest.mark.parametrize("rand, operator", KINDS)
@pytest.mark.parametrize("name", FIXED_PRECISION)
def test_fixed_precision_on_a_hilbert_matrix(name, rand, operator):
    case = getattr(interpolative.TestInterpolativeDecomposition(), name)
    case(HILBERT, aslinearoperator(HILBERT), 1e-12, rand, operator, np.random.default_rng(0))


@pytest.mark.parametrize("rand, operator", KINDS)
def test_fixed_precision_by_blocks(monkeypatch, rand, operator):
    monkeypatch.setattr(interpolative.pymatrixid, "svd", svd_by_blocks)
    case = interpolative.TestInterpolativeDecomposition().test_svd_fixed_precision
    case(HILBERT, aslinearoperator(HILBERT), 1e-12, rand, operator, np.random.default_rng(0))


def test_singular_values_of_an_interpolative_decomposition():
    interpolative.TestInterpolativeDecomposition().test_id_to_svd(HILBERT, 1e-12, RANK)


@pytest.mark.parametrize("name", ESTIMATES)
def test_estimates(name):
    getattr(interpolative.TestInterpolativeDecomposition(), name)(HILBERT, np.random.default_rng(0))


@pytest.mark.parametrize("rand", [True, False])
@pytest.mark.parametrize("eps", [1, 0.1])
def test_the_input_is_left_alone(rand, eps):
    interpolative.TestInterpolativeDecomposition().test_bug_9793(np.float64, rand, eps)


def test_skeleton_and_coefficients():
    case = interpolative.TestInterpolativeDecomposition().test_real_id_skel_and_interp_matrices
    case(HILBERT, None, 1e-12, RANK, False, False, np.random.default_rng(0))


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_and_refusals(name):
    getattr(interpolative.TestInterpolativeDecomposition(), name)()


@pytest.mark.parametrize("name", SKETCH_CASES)
def test_sketch_case(name):
    getattr(sketches.TestClarksonWoodruffTransform(), name)()


def test_a_coarser_precision_fails_its_case(monkeypatch):
    monkeypatch.setattr(
        interpolative.pymatrixid, "interp_decomp", lambda a, eps, **options: interp_decomp(a, 1e-5, **options)
    )
    with pytest.raises(AssertionError):
        test_fixed_precision_on_a_hilbert_matrix("test_real_id_fixed_precision", False, False)


COMPLEX = HILBERT * (1 + 1j)


@pytest.mark.parametrize("name", [*FIXED_RANK, *FIXED_PRECISION, "test_real_id_skel_and_interp_matrices"])
@pytest.mark.parametrize("rand", [True, False])
def test_complex_matrices_are_refused_by_name(name, rand):
    case = getattr(interpolative.TestInterpolativeDecomposition(), name)
    rank = {} if name in FIXED_PRECISION else {"rank": RANK}
    with pytest.raises(TypeError, match="complex"):
        case(A=COMPLEX, L=None, eps=1e-12, **rank, rand=rand, lin_op=False, rng=np.random.default_rng(0))


@pytest.mark.parametrize("name", [*ESTIMATES, "test_id_to_svd", "test_bug_9793"])
def test_complex_matrices_are_refused_by_name_in_estimates(name):
    case = getattr(interpolative.TestInterpolativeDecomposition(), name)
    rng = np.random.default_rng(0)
    arguments = {"test_id_to_svd": (COMPLEX, 1e-12, RANK), "test_bug_9793": (np.complex128, True, 0.1)}
    with pytest.raises(TypeError, match="complex"):
        case(*arguments.get(name, (COMPLEX, rng)))


def cases_in(module):
    """Return the names of the functions, and of the methods of classes, that are tests: (class or None, name)."""
    found = {(None, name) for name, f in vars(module).items() if name.startswith("test") and inspect.isfunction(f)}
    for name, cls in vars(module).items():
        if inspect.isclass(cls) and name.startswith("Test"):
            found |= {(name, n) for n, f in vars(cls).items() if n.startswith("test") and inspect.isfunction(f)}
    return found


def forgotten():
    """Return the tests of the package that do not run here, and those that run and do not exist."""
    listed = {("TestInterpolativeDecomposition", name) for name in RUN}
    return (
        cases_in(interpolative) ^ listed,
        cases_in(sketches) ^ {("TestClarksonWoodruffTransform", name) for name in SKETCH_CASES},
    )


def test_every_test_of_the_package_runs():
    assert forgotten() == (set(), set())


def test_a_new_test_of_the_package_is_noticed(monkeypatch):
    def test_new():
        """Stand for a test of a later version."""

    monkeypatch.setattr(sketches, "test_new", test_new, raising=False)
    monkeypatch.setattr(interpolative.TestInterpolativeDecomposition, "test_new", test_new, raising=False)
    assert forgotten() == ({("TestInterpolativeDecomposition", "test_new")}, {(None, "test_new")})


def test_the_choices_of_the_package_are_ours():
    """Random or not, an array or an operator."""
    for name in (*FIXED_RANK, *FIXED_PRECISION):
        (mark,) = getattr(interpolative.TestInterpolativeDecomposition, name).pytestmark
        assert sorted(mark.args[1]) == sorted(KINDS)


def test_the_cases_can_fail(monkeypatch):
    monkeypatch.setattr(sketches, "clarkson_woodruff_transform", lambda *a, **k: 2 * transform(*a, **k))
    with pytest.raises(AssertionError):
        sketches.TestClarksonWoodruffTransform().test_sketch_preserves_frobenius_norm()
