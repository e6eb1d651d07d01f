"""SciPy's own cases for interpolative decompositions and sketches, run from the installed package on ours.

Complex matrices and precisions in place of ranks are left out: ours are real, and an interpolative decomposition takes
a rank.
"""

import types

import numpy as np
import pytest
import scipy.linalg.interpolative as original
from scipy.linalg import hilbert
from scipy.sparse.linalg import aslinearoperator

from tnattn.arrays import to_host
from tnattn.randnla.adaptive_qb import AdaptiveQB
from tnattn.randnla.count_sketch import CountSketch
from tnattn.randnla.interpolative import InterpolativeDecomposition
from tnattn.randnla.pivoted_qr import QRColumns
from tnattn.randnla.randomized_svd import RandomizedSVD

interpolative = pytest.importorskip("scipy.linalg.tests.test_interpolative", reason="SciPy ships no tests here")
sketches = pytest.importorskip("scipy.linalg.tests.test_sketches", reason="SciPy ships no tests here")


def interp_decomp(a, rank, rand=True, rng=None):
    """Return a column order with the chosen ones first, and the coefficients of the others."""
    result = InterpolativeDecomposition(rank=int(rank), selection=QRColumns())(a, rng=np.random.default_rng(rng))
    chosen = to_host(result.indices)
    others = np.setdiff1d(np.arange(a.shape[1]), chosen)
    return np.concatenate([chosen, others]), to_host(result.coefficients)[:, others]


def svd(a, precision_or_rank, rand=True, rng=None):
    """Return u, s, v of a rank, or of as many columns as a relative precision needs."""
    rng = np.random.default_rng(rng)
    if precision_or_rank >= 1:
        result = RandomizedSVD(rank=precision_or_rank, power_iterations=2)(a, rng=rng)
        return tuple(to_host(x) for x in (result.u, result.s, result.vt.mT))
    found = AdaptiveQB(rtol=3e-8)(a, rng=rng)
    u, s, vt = np.linalg.svd(to_host(found.b), full_matrices=False)
    return to_host(found.q) @ u, s, vt.T


@pytest.fixture(autouse=True)
def ours(monkeypatch):
    names = {name: getattr(original, name) for name in dir(original) if not name.startswith("_")}
    monkeypatch.setattr(
        interpolative, "pymatrixid", types.SimpleNamespace(**{**names, "interp_decomp": interp_decomp, "svd": svd})
    )
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


@pytest.mark.parametrize("rand, operator", KINDS)
@pytest.mark.parametrize("name", ["test_real_id_fixed_rank", "test_svd_fixed_rank"])
def test_fixed_rank_on_a_hilbert_matrix(name, rand, operator):
    case = getattr(interpolative.TestInterpolativeDecomposition(), name)
    case(HILBERT, aslinearoperator(HILBERT), 1e-12, RANK, rand, operator, np.random.default_rng(0))


@pytest.mark.parametrize("rand, operator", KINDS)
def test_fixed_precision_on_a_hilbert_matrix(rand, operator):
    case = interpolative.TestInterpolativeDecomposition().test_svd_fixed_precision
    case(HILBERT, aslinearoperator(HILBERT), 1e-12, rand, operator, np.random.default_rng(0))


def test_skeleton_and_coefficients():
    case = interpolative.TestInterpolativeDecomposition().test_real_id_skel_and_interp_matrices
    case(HILBERT, None, 1e-12, RANK, False, False, np.random.default_rng(0))


@pytest.mark.parametrize("name", ["test_rank_too_large", "test_svd_aslinearoperator_shape_check"])
def test_shapes_and_refusals(name):
    getattr(interpolative.TestInterpolativeDecomposition(), name)()


@pytest.mark.parametrize(
    "name", [n for n in dir(sketches.TestClarksonWoodruffTransform) if n.startswith("test_") and n != "test_matrices"]
)
def test_sketch_case(name):
    getattr(sketches.TestClarksonWoodruffTransform(), name)()


def test_the_cases_can_fail(monkeypatch):
    monkeypatch.setattr(sketches, "clarkson_woodruff_transform", lambda *a, **k: 2 * transform(*a, **k))
    with pytest.raises(AssertionError):
        sketches.TestClarksonWoodruffTransform().test_sketch_preserves_frobenius_norm()
