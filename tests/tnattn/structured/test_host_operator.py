"""Sparse matrices in any format mean the sums of what they store, and are not changed."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sparse

from tnattn.discovery import subclasses
from tnattn.randnla.accuracy import ToleranceWarning
from tnattn.randnla.base import MatrixMethod
from tnattn.randnla.estimates.trace import HutchPlusPlus
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD
from tnattn.randnla.scores.leverage import leverage_scores
from tnattn.structured.conversion import as_structured
from tnattn.structured.host_operator import HostOperator, canonical_csr

METHODS = subclasses("tnattn.randnla", MatrixMethod)
N = 12

pytestmark = pytest.mark.filterwarnings("ignore::tnattn.randnla.accuracy.ToleranceWarning")


def semidefinite():
    q = np.linalg.qr(np.random.default_rng(1).standard_normal((N, N)))[0]
    a = (q * 0.5 ** np.arange(N)) @ q.T
    return (a + a.T) / 2


def halves(a, form="csr", kind="array", index=np.int32):
    """Return a matrix whose entries are stored as two halves, rows from the right to the left, with explicit zeros."""
    m, n = a.shape
    if form in ("csr", "csc"):
        b = a if form == "csr" else a.T
        columns = np.tile(np.repeat(np.arange(b.shape[1])[::-1], 2), b.shape[0])
        data = np.repeat(b[:, ::-1] / 2, 2, axis=1).ravel()
        starts = np.arange(0, 2 * b.size + 1, 2 * b.shape[1])
        parts = (data, columns.astype(index), starts.astype(index))
    elif form == "bsr":
        blocks = a.reshape(m // 2, 2, n // 2, 2).transpose(0, 2, 1, 3)[:, ::-1] / 2
        data = np.repeat(blocks, 2, axis=1).reshape(-1, 2, 2)
        columns = np.tile(np.repeat(np.arange(n // 2)[::-1], 2), m // 2)
        parts = (data, columns.astype(index), np.arange(0, 2 * (m // 2) * (n // 2) + 1, n).astype(index))
    elif form == "coo":
        i, j = (np.tile(x.ravel()[::-1], 2).astype(index) for x in np.indices(a.shape))
        parts = (np.tile(a.ravel()[::-1] / 2, 2), (i, j))
    else:  # formats that cannot store duplicates
        return getattr(sparse, f"{form}_{kind}")(a)
    return getattr(sparse, f"{form}_{kind}")(parts, shape=a.shape)


def frozen(a):
    """Return the arrays of a sparse matrix, made read-only, and copies of them."""
    arrays = [getattr(a, name) for name in ("data", "indices", "indptr", "row", "col", "offsets") if hasattr(a, name)]
    for x in arrays:
        x.flags.writeable = False
    return arrays, [x.copy() for x in arrays]


FORMATS = ["csr", "csc", "bsr", "coo", "dia", "lil", "dok"]
every_format = pytest.mark.parametrize("form", FORMATS)
every_kind = pytest.mark.parametrize("kind", ["array", "matrix"])


def test_the_residual_is_that_of_the_matrix_and_not_of_its_halves():
    a = sparse.csr_array((np.full(8, 0.5), np.repeat(np.arange(4), 2), np.arange(0, 9, 2)), shape=(4, 4))
    for rtol, ranks in ((0.5, {3, 4}), (0.6, {3})):  # 2 leave 0.707; 3 leave 0.5, up to rounding
        result = RandomizedSVD(rank=4, rtol=rtol)(a, rng=np.random.default_rng(0))
        true = np.linalg.norm(np.eye(4) - result.to_dense()) / 2
        assert int(result.ranks) in ranks
        assert result.residual == pytest.approx(true, abs=1e-7)
    with pytest.warns(ToleranceWarning):
        short = RandomizedSVD(rank=2, rtol=0.5)(a, rng=np.random.default_rng(0))
    assert short.residual == pytest.approx(0.5**0.5)
    assert not short.converged


@every_kind
@every_format
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_a_matrix_is_made_canonical_on_a_copy(form, kind, index):
    a = semidefinite()
    given = halves(a, form, kind, index)
    arrays, before = frozen(given) if form not in ("lil", "dok") else ([], [])
    made = HostOperator(given)
    np.testing.assert_allclose(made.to_dense(), a, rtol=1e-15)
    assert made.operator.nnz == N * N
    assert made.storage == 2 * N * N + N + 1
    np.testing.assert_allclose(made.squared_norm(), np.sum(a * a), rtol=1e-13)
    np.testing.assert_allclose(made.trace(), np.trace(a), rtol=1e-13)
    for now, then in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_flags_that_have_become_wrong_are_not_trusted():
    a = sparse.csr_array(np.eye(4))
    assert a.has_canonical_format
    doubled = sparse.csr_array((np.full(8, 0.5), np.repeat(np.arange(4), 2), np.arange(0, 9, 2)), shape=(4, 4))
    doubled.has_canonical_format = True
    assert canonical_csr(doubled).nnz == 4
    assert canonical_csr(a).nnz == 4


@every_kind
@every_format
@pytest.mark.parametrize("name", METHODS)
def test_every_method_takes_every_format_as_the_matrix_that_it_stands_for(name, form, kind):
    a = semidefinite()
    method = METHODS[name]()
    if name != "RidgeNystrom":
        method = method.with_rank(6)
    if "rtol" in {f.name for f in dataclasses.fields(method)}:
        method = dataclasses.replace(method, rtol=0.1)
    given, plain = halves(a, form, kind), sparse.csr_array(a)
    one, two = (method(x, rng=np.random.default_rng(3)) for x in (given, plain))
    np.testing.assert_allclose(one.to_dense(), two.to_dense(), atol=1e-12)
    for f in dataclasses.fields(one):
        if getattr(getattr(one, f.name), "dtype", None) == np.float64 and f.name in ("residual", "residual_trace"):
            np.testing.assert_allclose(getattr(one, f.name), getattr(two, f.name), atol=1e-12)


@every_format
def test_estimates_and_scores_take_every_format(form):
    a = semidefinite()
    given = halves(a, form)
    np.testing.assert_allclose(leverage_scores(given, rank=3), leverage_scores(a, rank=3), atol=1e-10)
    assert HutchPlusPlus(3 * N)(given, rng=np.random.default_rng(0)).value == pytest.approx(np.trace(a))


def test_duplicates_that_overflow_together_are_refused():
    a = sparse.csr_array((np.full(2, 1e308), np.zeros(2, int), np.array([0, 2])), shape=(1, 1))
    with pytest.raises(ValueError, match=r"a\.data holds 0 NaN and 1 infinite"):
        as_structured(a)


@pytest.mark.parametrize("form", ["csr", "csc", "bsr"])
def test_indices_out_of_range_are_refused(form):
    a = halves(semidefinite(), form)
    a.indices[0] = 99
    with pytest.raises(ValueError, match="ind(ex|ices)"):
        as_structured(a)


def test_other_dtypes_and_other_numbers_of_axes_are_refused():
    for dtype in (np.longdouble, np.complex128, np.int64):
        with pytest.raises(TypeError, match=r"a has dtype (float128|complex128|int64)"):
            as_structured(sparse.csr_array(np.eye(3, dtype=dtype)))
    with pytest.raises(ValueError, match=r"shape \(4,\); two axes"):
        as_structured(sparse.coo_array(np.ones(4)))
